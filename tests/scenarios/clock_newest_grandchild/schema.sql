CREATE TABLE clients (id integer PRIMARY KEY, note varchar(40) NULL, registered_at ${instant} NOT NULL);
CREATE TABLE cases (
  id integer PRIMARY KEY, client_id integer NOT NULL, FOREIGN KEY (client_id) REFERENCES clients (id)
);
CREATE INDEX cases_client ON cases (client_id);
CREATE TABLE sessions (
  id integer PRIMARY KEY, case_id integer NOT NULL, held_at ${instant} NULL,
  FOREIGN KEY (case_id) REFERENCES cases (id)
);
CREATE INDEX sessions_case ON sessions (case_id);
INSERT INTO clients VALUES
  (1, 'a', current_timestamp - INTERVAL '9' YEAR), (2, 'b', current_timestamp - INTERVAL '9' YEAR), (3, 'c', current_timestamp - INTERVAL '9' YEAR), (4, 'd', current_timestamp - INTERVAL '9' YEAR);
INSERT INTO cases VALUES (10, 1), (11, 1), (20, 2), (21, 2), (30, 3);
-- 1: the newest of both cases is old, and one case had no session; 2: one session is recent; 3 and 4 had none
INSERT INTO cases VALUES (12, 1);
INSERT INTO sessions VALUES
  (100, 10, current_timestamp - INTERVAL '8' YEAR), (110, 11, current_timestamp - INTERVAL '8' YEAR), (200, 20, current_timestamp - INTERVAL '8' YEAR), (210, 21, current_timestamp - INTERVAL '6' YEAR);
