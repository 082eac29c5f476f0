CREATE TABLE learners (
  id        integer PRIMARY KEY,
  left_at   ${instant} NULL,
  phone     varchar(40),
  born_on   date,
  score     integer
);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, '020 7946 0018', DATE '1970-05-17', 7),
  (2, current_timestamp - INTERVAL '2' YEAR, NULL,            DATE '1981-01-02', NULL),
  (3, current_timestamp - INTERVAL '2' YEAR, NULL,            NULL,              NULL),
  (4, current_timestamp,                     '020 7946 0333', DATE '1999-09-09', 3);
