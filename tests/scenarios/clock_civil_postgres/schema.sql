CREATE TABLE calls (id integer PRIMARY KEY, ended timestamp);
-- What clocks in Auckland showed: 13 or 12 hours ahead of UTC.
INSERT INTO calls VALUES
  (1, (now() - interval '30 days 1 hour') AT TIME ZONE 'Pacific/Auckland'),
  (2, (now() - interval '29 days 20 hours') AT TIME ZONE 'Pacific/Auckland'),
  (3, NULL);
