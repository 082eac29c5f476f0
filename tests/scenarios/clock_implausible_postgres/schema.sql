CREATE TABLE learners (id integer PRIMARY KEY, left_at timestamp with time zone);
INSERT INTO learners VALUES
  (1, '-infinity'), (2, 'infinity'), (3, '0044-03-15 BC'), (4, '1900-01-01'), (5, '1970-01-01 00:00:00+00'),
  (6, '1970-01-03 00:00:00+00'), (7, '2015-01-01'), (8, '9999-12-31'), (9, now());
