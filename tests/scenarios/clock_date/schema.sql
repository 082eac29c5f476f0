CREATE TABLE learners (id integer PRIMARY KEY, left_on date);
-- Two days on each side of the boundary: whatever the hour, and wherever it is, these are clear.
INSERT INTO learners VALUES
  (1, current_date - INTERVAL '30' DAY - INTERVAL '2' DAY),
  (2, current_date - INTERVAL '30' DAY + INTERVAL '2' DAY),
  (3, NULL),
  (4, current_date);
