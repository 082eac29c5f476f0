CREATE TABLE attendances (
  course varchar(10) NOT NULL,
  week integer NOT NULL,
  learner integer NOT NULL,
  held_on date NOT NULL,
  PRIMARY KEY (course, week, learner)
);
INSERT INTO attendances VALUES
  ('bread', 1, 7, DATE '2015-01-05'), ('bread', 1, 8, DATE '2015-01-05'),
  ('bread', 2, 7, DATE '2015-01-12'), ('bread', 2, 8, DATE '2035-01-12'),
  ('algebra', 1, 7, DATE '2035-01-05'),
  ('welsh', 1, 7, DATE '2035-01-05'), ('welsh', -1, 7, DATE '2015-01-05');
