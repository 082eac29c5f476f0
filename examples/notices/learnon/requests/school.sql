-- A learner's row names others: who is called in an emergency, and for somebody under 16 who speaks for them.
CREATE TABLE learners (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, date_of_birth date NULL, interests varchar(100) NULL,
  emergency_name varchar(100) NULL, emergency_email varchar(100) NULL, guardian_name varchar(100) NULL, guardian_email varchar(100) NULL
);
CREATE TABLE certificates (
  id integer PRIMARY KEY, learner_id integer NOT NULL, award varchar(100) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX certificates_learner ON certificates (learner_id);
-- What people wrote about courses; who wrote it, and about whom, may stand in the text.
CREATE TABLE feedback (
  id integer PRIMARY KEY, learner_id integer NULL, course varchar(60) NOT NULL, words varchar(200) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX feedback_learner ON feedback (learner_id);
INSERT INTO learners VALUES
  (1, 'Araminta Holloway', 'minty@example.org', '1984-10-21', 'weaving', 'Silas Greatorex', 'silas@example.org', NULL, NULL),
  (2, 'Silas Greatorex', 'silas@example.org', '1980-04-12', 'dyeing', 'Araminta Holloway', 'MINTY@example.org', NULL, NULL),
  (3, 'Tobias Holloway', NULL, '2014-05-06', NULL, 'Silas Greatorex', 'silas@example.org', 'Araminta Holloway', 'minty@example.org'),
  (4, 'Aramínta Hollowáy', 'mínty@example.org', '1984-10-20', 'weaving', NULL, NULL, NULL, NULL);
INSERT INTO certificates VALUES (10, 1, 'Level 2'), (11, 2, 'Level 2');
INSERT INTO feedback VALUES (20, 1, 'Weaving', 'Too fast for me'), (21, 2, 'Weaving', 'The loom was broken');
