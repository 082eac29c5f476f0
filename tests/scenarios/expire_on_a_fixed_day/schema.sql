CREATE TABLE preferences (id integer PRIMARY KEY, post varchar(3) NOT NULL, changed_at ${instant} NULL);
INSERT INTO preferences VALUES
  (1, 'yes', '2017-03-01 10:00:00'), (2, 'yes', '2018-06-30 22:59:59'), (3, 'yes', '2018-06-30 23:00:00'),
  (4, 'yes', '2019-01-01 00:00:00'), (5, 'yes', NULL), (6, 'no', '2017-03-01 10:00:00');
CREATE TABLE later (id integer PRIMARY KEY, changed_at ${instant} NULL);
INSERT INTO later VALUES (1, '2017-03-01 10:00:00');
