CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR), (2, current_timestamp - INTERVAL '3' YEAR), (3, current_timestamp), (4, NULL);
