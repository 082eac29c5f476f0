CREATE TABLE learners (id integer PRIMARY KEY, left_on date);
INSERT INTO learners VALUES (1, DATE '2004-12-31'), (2, DATE '2005-01-01'), (3, DATE '1999-09-09'), (4, DATE '2015-01-01');
