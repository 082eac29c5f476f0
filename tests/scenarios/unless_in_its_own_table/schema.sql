CREATE TABLE threads (id integer PRIMARY KEY, parent_id integer NULL, posted_at ${instant} NOT NULL,
  FOREIGN KEY (parent_id) REFERENCES threads (id));
CREATE INDEX threads_parent ON threads (parent_id);
-- 1 > 2 > 3 > 4 > 5 > 6 all old; 10 > 11, which is young; 20 is alone
INSERT INTO threads SELECT id, parent, current_timestamp - INTERVAL '2' YEAR FROM (
    SELECT 1 AS id, NULL AS parent UNION ALL SELECT 2, 1 UNION ALL SELECT 3, 2 UNION ALL SELECT 4, 3 UNION ALL SELECT 5, 4
    UNION ALL SELECT 6, 5 UNION ALL SELECT 10, NULL UNION ALL SELECT 20, NULL) AS given;
INSERT INTO threads VALUES (11, 10, current_timestamp);
