CREATE TABLE learners (
  id integer PRIMARY KEY,
  email varchar(80) NULL,
  left_at ${instant} NULL
);
INSERT INTO learners VALUES
  (1, 'a@held.invalid', current_timestamp - INTERVAL '2' YEAR),
  (2, 'A@held.invalid', current_timestamp - INTERVAL '2' YEAR),
  (3, NULL, current_timestamp - INTERVAL '2' YEAR),
  (4, 'b@held.invalid', current_timestamp - INTERVAL '2' YEAR),
  (5, 'a@held.invalid', current_timestamp),
  (6, 'c@held.invalid', current_timestamp - INTERVAL '2' YEAR);
CREATE TABLE letters (
  id integer PRIMARY KEY,
  learner_id integer NOT NULL,
  subject varchar(80),
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX letters_learner ON letters (learner_id);
INSERT INTO letters VALUES (10, 1, 'x'), (20, 2, 'x'), (40, 4, 'complaint'), (60, 6, 'x');
