CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR), (2, current_timestamp - INTERVAL '2' YEAR), (3, current_timestamp - INTERVAL '2' YEAR),
  (4, current_timestamp - INTERVAL '2' YEAR), (5, current_timestamp), (6, current_timestamp), (7, current_timestamp), (8, current_timestamp),
  (9, current_timestamp), (10, current_timestamp);
