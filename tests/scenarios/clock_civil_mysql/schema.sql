CREATE TABLE calls (id integer PRIMARY KEY, ended datetime NULL);
-- What clocks in Lagos showed: one hour ahead of UTC all year, written as an offset because the
-- server has no table of time zones.
INSERT INTO calls VALUES
  (1, CONVERT_TZ(UTC_TIMESTAMP() - INTERVAL 30 DAY - INTERVAL 30 MINUTE, '+00:00', '+01:00')),
  (2, CONVERT_TZ(UTC_TIMESTAMP() - INTERVAL 30 DAY + INTERVAL 30 MINUTE, '+00:00', '+01:00')),
  (3, NULL);
