CREATE TABLE events (id integer PRIMARY KEY, at timestamp NOT NULL, pad varchar(100), INDEX (at));
CREATE TABLE digit (d integer PRIMARY KEY);
INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
INSERT INTO events
SELECT n * 3, now() - INTERVAL (n % 4) YEAR, repeat('x', 100)
FROM (SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n
      FROM digit a, digit b, digit c, digit e, (SELECT d FROM digit WHERE d < 4) f) AS numbers;
ANALYZE TABLE events;
