CREATE TABLE learners (
  id integer PRIMARY KEY, left_at timestamp NULL, full_name varchar(100),
  changed_at timestamp NOT NULL DEFAULT current_timestamp ON UPDATE current_timestamp
);
INSERT INTO learners (id, left_at, full_name, changed_at) VALUES
  (1, now() - INTERVAL 2 YEAR, 'Ada Bennett', '2015-01-01 12:00:00'), (2, now(), 'Ibrahim Cole', '2015-01-01 12:00:00');
