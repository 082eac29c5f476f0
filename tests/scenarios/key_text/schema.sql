CREATE TABLE subscribers (
  email varchar(80) PRIMARY KEY,
  left_at ${instant} NULL
);
-- Keys that collations order differently from bytes.
INSERT INTO subscribers VALUES
  ('Zoe@example.org',    current_timestamp - INTERVAL '2' YEAR),
  ('adam@example.org',   current_timestamp - INTERVAL '2' YEAR),
  ('Adele@example.org',  current_timestamp),
  ('émile@example.org',  current_timestamp - INTERVAL '2' YEAR),
  ('eve@example.org',    current_timestamp),
  ('_x@example.org',     current_timestamp - INTERVAL '2' YEAR),
  ('o''brien@example.org', current_timestamp - INTERVAL '2' YEAR),
  ('日本@example.org',    current_timestamp - INTERVAL '2' YEAR),
  ('',                   current_timestamp - INTERVAL '2' YEAR);
