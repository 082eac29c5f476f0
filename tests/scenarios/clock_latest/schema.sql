CREATE TABLE learners (id integer PRIMARY KEY, created_at ${instant} NULL);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL, ended_on date NULL, status varchar(20) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX enrolments_learner ON enrolments (learner_id);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '30' YEAR), (2, current_timestamp - INTERVAL '30' YEAR), (3, current_timestamp - INTERVAL '30' YEAR), (4, current_timestamp - INTERVAL '30' YEAR),
  (5, current_timestamp - INTERVAL '2' YEAR), (6, NULL), (7, current_timestamp - INTERVAL '30' YEAR), (8, current_timestamp - INTERVAL '30' YEAR);
-- 1: long ago; 2: one is recent; 3: one is open; 4 and 5: none at all; 6: none, and nothing else is known;
-- 7: nobody can mean the date of one; 8: the open one was cancelled and does not count.
INSERT INTO enrolments VALUES
  (11, 1, CAST(current_timestamp - INTERVAL '20' YEAR AS date), 'done'), (12, 1, CAST(current_timestamp - INTERVAL '15' YEAR AS date), 'done'),
  (21, 2, CAST(current_timestamp - INTERVAL '20' YEAR AS date), 'done'), (22, 2, CAST(current_timestamp - INTERVAL '13' YEAR AS date), 'done'),
  (31, 3, CAST(current_timestamp - INTERVAL '20' YEAR AS date), 'done'), (32, 3, NULL, 'open'),
  (71, 7, CAST(current_timestamp - INTERVAL '20' YEAR AS date), 'done'), (72, 7, '1900-01-01', 'done'),
  (81, 8, CAST(current_timestamp - INTERVAL '20' YEAR AS date), 'done'), (82, 8, NULL, 'cancelled');
