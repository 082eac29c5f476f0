CREATE TABLE learners (
  id integer PRIMARY KEY,
  email varchar(80) NULL,
  phone varchar(20) NULL,
  left_at ${instant} NULL,
  paid_at bigint NULL
);
INSERT INTO learners VALUES
  (1, 'a@example.org', '1', current_timestamp - INTERVAL '9' YEAR, 1000000000),
  (2, 'b@example.org', '2', current_timestamp - INTERVAL '9' YEAR, 4000000000),
  (3, 'c@example.org', '3', current_timestamp, NULL);
