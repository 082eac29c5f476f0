CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL, phone varchar(20));
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '8' YEAR, '1'), (2, current_timestamp - INTERVAL '2' YEAR, '2'), (3, current_timestamp, '3');
CREATE TABLE enquiries (id integer PRIMARY KEY, made_at ${instant} NULL);
INSERT INTO enquiries VALUES (1, current_timestamp - INTERVAL '2' YEAR), (2, current_timestamp);
