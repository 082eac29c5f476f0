CREATE TABLE learners (
  id integer PRIMARY KEY,
  left_at ${instant} NULL,
  full_name varchar(100)
);
CREATE TABLE messages (
  id integer PRIMARY KEY,
  learner_id integer NOT NULL,
  body varchar(200),
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX messages_learner ON messages (learner_id);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett'),
  (2, current_timestamp, 'Ibrahim Cole');
INSERT INTO messages VALUES (10, 1, 'hello'), (11, 1, NULL), (12, 2, 'bye');
