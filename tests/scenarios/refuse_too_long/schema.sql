CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL, full_name varchar(12));
INSERT INTO learners (id, left_at, full_name) VALUES (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett'), (2, current_timestamp, 'Ibrahim Cole');
