CREATE TABLE learners (id integer PRIMARY KEY, left_at timestamptz, full_name varchar(100));
CREATE TABLE old_learners (PRIMARY KEY (id)) INHERITS (learners);
CREATE TABLE oldest_learners (PRIMARY KEY (id)) INHERITS (old_learners);
INSERT INTO learners VALUES (1, now() - interval '2 years', 'Ada Bennett'), (2, now(), 'Ibrahim Cole'), (3, now() - interval '6 years', 'Mary Okafor');
INSERT INTO old_learners VALUES (11, now() - interval '2 years', 'Ada Bennett'), (12, now() - interval '6 years', 'Ibrahim Cole');
INSERT INTO oldest_learners VALUES (21, now() - interval '6 years', 'Ada Bennett'), (22, now() - interval '9 years', 'Ibrahim Cole'), (23, now() - interval '9 years', 'Mary Okafor');
