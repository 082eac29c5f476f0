CREATE TABLE learners (
  id        integer PRIMARY KEY,
  left_on   date NULL,
  born_on   date,
  joined_on date,
  seen_on   date,
  moved_on  date,
  income    integer
);
INSERT INTO learners VALUES
  (1, DATE '2020-01-31', DATE '1987-05-17', DATE '2011-08-31', DATE '2019-12-31', DATE '1969-03-02', 27500),
  (2, DATE '2020-01-31', DATE '1990-01-01', DATE '2012-01-01', DATE '2019-12-01', DATE '1970-01-01', -1),
  (3, DATE '2020-01-31', NULL,              NULL,              NULL,              NULL,              NULL),
  (4, NULL,              DATE '1999-09-09', DATE '2022-02-02', DATE '2023-03-03', DATE '2024-04-04', 31000);
