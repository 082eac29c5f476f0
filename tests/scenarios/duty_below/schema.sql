CREATE TABLE learners (
  id integer PRIMARY KEY,
  left_at ${instant} NULL
);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR),
  (2, current_timestamp - INTERVAL '2' YEAR),
  (3, current_timestamp - INTERVAL '2' YEAR);
CREATE TABLE invoices (
  id integer PRIMARY KEY,
  learner_id integer NOT NULL,
  paid_on date NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX invoices_learner ON invoices (learner_id);
INSERT INTO invoices VALUES
  (10, 1, CURRENT_DATE - INTERVAL '8' YEAR),
  (20, 2, CURRENT_DATE - INTERVAL '8' YEAR),
  (21, 2, CURRENT_DATE - INTERVAL '2' YEAR),
  (30, 3, NULL);
