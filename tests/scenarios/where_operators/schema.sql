CREATE TABLE in_list (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO in_list VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE not_in_list (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO not_in_list VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE less_than (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO less_than VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE greater_than (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO greater_than VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE is_null (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO is_null VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE is_not_null (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO is_not_null VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE seen_before (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO seen_before VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
CREATE TABLE seen_after (id integer PRIMARY KEY, made_at ${instant} NULL, status varchar(20), visits integer, seen_on date);
INSERT INTO seen_after VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'closed',    9,    DATE '2015-05-31'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'withdrawn', 10,   DATE '2015-06-01'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'open',      11,   DATE '2015-06-02'),
  (4, current_timestamp - INTERVAL '2' YEAR, NULL,        NULL, NULL),
  (5, current_timestamp,                     'closed',    9,    DATE '2015-05-31');
