CREATE TABLE learners (id integer PRIMARY KEY, name varchar(40) NOT NULL, left_at ${instant} NULL);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL, course varchar(40) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX enrolments_learner ON enrolments (learner_id);
CREATE TABLE messages (
  id integer PRIMARY KEY, learner_id integer NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX messages_learner ON messages (learner_id);
CREATE SCHEMA ${sealed};
CREATE TABLE ${sealed}.learners AS SELECT * FROM learners WHERE 1 = 0;
ALTER TABLE ${sealed}.learners
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
CREATE TABLE ${sealed}.enrolments AS SELECT * FROM enrolments WHERE 1 = 0;
ALTER TABLE ${sealed}.enrolments
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
INSERT INTO learners VALUES
  (1, 'Planted One', current_timestamp - INTERVAL '7' YEAR), (2, 'Planted Two', current_timestamp), (3, 'Planted Three', current_timestamp - INTERVAL '7' YEAR);
INSERT INTO enrolments VALUES (10, 1, 'Welsh'), (11, 1, 'Pottery'), (12, 2, 'Welsh');
INSERT INTO messages VALUES (100, 1), (101, 2), (102, 3);
-- Sealed before, a year and two days ago and two days less than that; no end is told for what hung on them.
INSERT INTO ${sealed}.learners VALUES
  (90, 'Planted Ninety', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY, 'earlier'),
  (91, 'Planted Ninety-one', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY, 'earlier');
