CREATE TABLE learners (
  id        integer PRIMARY KEY,
  left_at   ${instant} NULL,
  full_name varchar(100) NOT NULL,
  visits    integer NOT NULL
);
-- "Érased" and "ERASED" equal "erased" under the collations that MySQL and MariaDB use by default.
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett', 12),
  (2, current_timestamp - INTERVAL '2' YEAR, 'Érased',      12),
  (3, current_timestamp - INTERVAL '2' YEAR, 'ERASED',      0),
  (4, current_timestamp - INTERVAL '2' YEAR, 'erased ',     0),
  (5, current_timestamp - INTERVAL '2' YEAR, 'erased',      0),
  (6, current_timestamp,                     'Ibrahim Cole', 4);
