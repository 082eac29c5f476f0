CREATE TABLE learners (id ENUM('entry', 'one', 'two') PRIMARY KEY, left_at timestamp NULL, full_name varchar(100));
INSERT INTO learners VALUES ('entry', now() - interval 2 year, 'Ada Bennett'), ('two', now(), 'Ibrahim Cole');
