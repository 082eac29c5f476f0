CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL);
INSERT INTO learners VALUES (1, NULL), (2, current_timestamp - INTERVAL '2' YEAR), (3, NULL), (4, current_timestamp);
