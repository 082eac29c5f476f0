CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX enrolments_learner ON enrolments (learner_id);
CREATE TABLE assessments (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX assessments_enrolment ON assessments (enrolment_id);
CREATE TABLE remarks (
  id integer PRIMARY KEY, assessment_id integer NULL, body varchar(40),
  FOREIGN KEY (assessment_id) REFERENCES assessments (id)
);
CREATE INDEX remarks_assessment ON remarks (assessment_id);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '7' YEAR), (2, current_timestamp), (3, current_timestamp - INTERVAL '7' YEAR);
INSERT INTO enrolments VALUES (10, 1), (11, 1), (12, 2), (13, 3);
INSERT INTO assessments VALUES (100, 10), (101, 11), (102, 12), (103, 12), (104, 13);
INSERT INTO remarks VALUES (1000, 100, 'a'), (1001, 100, 'b'), (1002, 102, 'c'), (1003, 104, 'd'), (1004, NULL, 'e');
