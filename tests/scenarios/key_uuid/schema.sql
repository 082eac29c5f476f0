CREATE TABLE sessions (
  id ${uuid} PRIMARY KEY,
  ended_at ${instant} NULL
);
INSERT INTO sessions VALUES
  ('00000000-0000-0000-0000-000000000000', current_timestamp - INTERVAL '2' YEAR),
  ('0190b8f0-6d4a-7c3e-9f00-0123456789ab', current_timestamp - INTERVAL '2' YEAR),
  ('0190b8f0-6d4a-7c3e-9f00-0123456789ac', current_timestamp),
  ('6ba7b810-9dad-11d1-80b4-00c04fd430c8', current_timestamp - INTERVAL '2' YEAR),
  ('f47ac10b-58cc-4372-a567-0e02b2c3d479', current_timestamp),
  ('ffffffff-ffff-ffff-ffff-ffffffffffff', current_timestamp - INTERVAL '2' YEAR);
