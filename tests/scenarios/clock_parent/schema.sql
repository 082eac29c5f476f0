CREATE TABLE returns (id integer PRIMARY KEY, submitted_at ${instant} NULL);
CREATE TABLE answers (
  id integer PRIMARY KEY, return_id integer NULL, extra varchar(40) NULL,
  FOREIGN KEY (return_id) REFERENCES returns (id)
);
CREATE INDEX answers_return ON answers (return_id);
INSERT INTO returns VALUES (1, current_timestamp - INTERVAL '40' DAY), (2, current_timestamp - INTERVAL '20' DAY), (3, NULL);
INSERT INTO answers VALUES (10, 1, 'a'), (11, 1, NULL), (20, 2, 'b'), (30, 3, 'c'), (40, NULL, 'd');
