CREATE TYPE level AS ENUM ('entry', 'one', 'two');
CREATE TABLE learners (id level PRIMARY KEY, left_at timestamp with time zone, full_name varchar(100));
INSERT INTO learners VALUES ('entry', now() - interval '2 years', 'Ada Bennett'), ('two', now(), 'Ibrahim Cole');
