CREATE TABLE learners (id integer PRIMARY KEY, left_at timestamptz, full_name varchar(100));
CREATE TABLE letters (id integer PRIMARY KEY, learner integer REFERENCES learners (id));
CREATE TABLE old_letters () INHERITS (letters);
CREATE INDEX ON letters (learner);
INSERT INTO learners VALUES (1, now() - interval '2 years', 'Ada Bennett');
INSERT INTO letters VALUES (10, 1);
INSERT INTO old_letters VALUES (11, 1);
