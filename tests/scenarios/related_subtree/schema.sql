CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL, referred_by integer NULL, FOREIGN KEY (referred_by) REFERENCES learners (id));
CREATE INDEX learners_referred_by ON learners (referred_by);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, NULL), (2, current_timestamp, 1),
  (3, current_timestamp - INTERVAL '2' YEAR, 2), (4, NULL, 3), (5, NULL, 5);
