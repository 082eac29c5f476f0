CREATE TABLE learners (
  id integer PRIMARY KEY,
  uln varchar(20) NULL,
  full_name varchar(80) NOT NULL,
  phone varchar(20) NULL,
  state varchar(20) NULL,
  left_at ${instant} NULL
);
INSERT INTO learners VALUES
  (1, 'u1', 'goes', '1', 'left', current_timestamp - INTERVAL '7' YEAR),
  (2, 'u2', 'in part', '2', 'left', current_timestamp - INTERVAL '2' YEAR),
  (3, 'u3', 'in part', NULL, 'left', current_timestamp - INTERVAL '3' YEAR),
  (4, 'u4', 'still here', '4', 'left', current_timestamp),
  (5, 'u5', 'another state', '5', 'here', current_timestamp - INTERVAL '2' YEAR);
