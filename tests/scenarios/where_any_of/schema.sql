CREATE TABLE enquiries (
  id integer PRIMARY KEY,
  enquired_at ${instant} NULL,
  status varchar(20) NOT NULL,
  owner varchar(20),
  notes integer NOT NULL
);
INSERT INTO enquiries VALUES
  (1, current_timestamp - INTERVAL '1' YEAR, 'closed', NULL,  0),
  (2, current_timestamp - INTERVAL '1' YEAR, 'closed', 'mia', 0),
  (3, current_timestamp - INTERVAL '1' YEAR, 'closed', 'mia', 5),
  (4, current_timestamp - INTERVAL '1' YEAR, 'closed', 'ola', 0),
  (5, current_timestamp - INTERVAL '1' YEAR, 'open',   NULL,  0),
  (6, current_timestamp,                     'closed', NULL,  0);
