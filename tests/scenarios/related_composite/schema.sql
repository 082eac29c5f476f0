CREATE TABLE weeks (course integer NOT NULL, week integer NOT NULL, held_on date, PRIMARY KEY (course, week));
CREATE TABLE attendances (id integer PRIMARY KEY, course integer NOT NULL, week integer NULL, FOREIGN KEY (course, week) REFERENCES weeks (course, week));
CREATE INDEX attendances_week ON attendances (course, week);
INSERT INTO weeks VALUES (1, 1, DATE '2015-01-01'), (1, 2, NULL);
INSERT INTO attendances VALUES (1, 1, 1), (2, 1, 2), (3, 1, NULL);
