CREATE TABLE exercises (id integer PRIMARY KEY, completed_on date NULL);
CREATE TABLE applicants (id integer PRIMARY KEY, name varchar(40), created_on date NOT NULL);
CREATE TABLE applications (
  id integer PRIMARY KEY, applicant_id integer NOT NULL, exercise_id integer NULL,
  FOREIGN KEY (applicant_id) REFERENCES applicants (id),
  FOREIGN KEY (exercise_id) REFERENCES exercises (id)
);
CREATE INDEX applications_applicant ON applications (applicant_id);
CREATE INDEX applications_exercise ON applications (exercise_id);
INSERT INTO exercises VALUES (1, CAST(current_timestamp - INTERVAL '20' MONTH AS date)), (2, CAST(current_timestamp - INTERVAL '3' MONTH AS date)), (3, NULL);
INSERT INTO applicants VALUES
  (1, 'a', CAST(current_timestamp - INTERVAL '30' MONTH AS date)), (2, 'b', CAST(current_timestamp - INTERVAL '30' MONTH AS date)), (3, 'c', CAST(current_timestamp - INTERVAL '30' MONTH AS date)),
  (4, 'd', CAST(current_timestamp - INTERVAL '30' MONTH AS date)), (5, 'e', CAST(current_timestamp - INTERVAL '30' MONTH AS date)), (6, 'f', CAST(current_timestamp - INTERVAL '1' MONTH AS date));
-- 1: over; 2: the later one is recent; 3: one is not over; 4: one belongs to no exercise yet; 5, 6: none
INSERT INTO applications VALUES
  (11, 1, 1), (21, 2, 1), (22, 2, 2), (31, 3, 1), (32, 3, 3), (41, 4, 1), (42, 4, NULL);
