CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL);
