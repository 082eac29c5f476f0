-- The management information system: who learns what.
CREATE TABLE learners (
  id integer PRIMARY KEY, learner_no integer NOT NULL, uln varchar(20) NULL, full_name varchar(100) NOT NULL,
  email varchar(100) NULL, date_of_birth date NULL
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL, course varchar(100) NOT NULL, ended_on date NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX enrolments_learner ON enrolments (learner_id);
CREATE TABLE attendance_marks (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, mark varchar(1) NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX attendance_marks_enrolment ON attendance_marks (enrolment_id);
-- 2 has the number of 1 but for a digit; the address of 3 differs from that of 1 by an accent.
INSERT INTO learners VALUES
  (1, 704135291, '99 1234 5670', 'Wilhelmina Quartermain', ' Mina.Quartermain@example.org', '1961-07-09'),
  (2, 70413529, '99 1234 5671', 'Ottoline Fairweather', 'otto@example.org', '1970-02-01'),
  (3, 704135292, NULL, 'Miná Quartermaine', 'miná.quartermain@example.org', NULL);
INSERT INTO enrolments VALUES (10, 1, 'Bookbinding', '2020-06-30'), (11, 1, 'Latin', NULL), (12, 2, 'Latin', '2020-06-30');
INSERT INTO attendance_marks VALUES (20, 10, 'p'), (21, 11, 'a'), (22, 12, 'p');
