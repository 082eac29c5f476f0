CREATE TABLE learners (
  id        integer PRIMARY KEY,
  left_at   ${instant} NULL,
  email     varchar(100)
);
INSERT INTO learners VALUES
  (1, current_timestamp - INTERVAL '2' YEAR, 'ada@example.org'),
  (2, current_timestamp - INTERVAL '2' YEAR, 'ada@example.org'),
  (3, current_timestamp - INTERVAL '2' YEAR, 'José Ñandú'),
  (4, current_timestamp - INTERVAL '2' YEAR, ''),
  (5, current_timestamp - INTERVAL '2' YEAR, '日本語 🦉'),
  (6, current_timestamp - INTERVAL '2' YEAR, 'O''Brien 50% _'),
  (7, current_timestamp - INTERVAL '2' YEAR, NULL),
  (8, current_timestamp, 'kept@example.org');
