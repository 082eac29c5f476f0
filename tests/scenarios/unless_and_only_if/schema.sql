CREATE TABLE enquiries (id integer PRIMARY KEY, email varchar(60) NULL, phone varchar(40) NULL, enquired_at ${instant} NOT NULL);
CREATE TABLE enrolments (id integer PRIMARY KEY, email varchar(60) NULL, status varchar(10) NOT NULL);
CREATE TABLE advice (id integer PRIMARY KEY, phone varchar(40) NULL);
CREATE TABLE consents (id integer PRIMARY KEY, enquiry_id integer NOT NULL, given varchar(3) NOT NULL);
CREATE INDEX consents_enquiry ON consents (enquiry_id);
INSERT INTO enquiries
  SELECT id, email, phone, current_timestamp - INTERVAL '7' MONTH FROM (
    SELECT 1 AS id, 'a@x.org' AS email, '01' AS phone UNION ALL
    SELECT 2, 'José@x.org', '02' UNION ALL
    SELECT 3, ' B@X.org ', '03' UNION ALL
    SELECT 4, 'c@x.org', '+44 (0)20 79' UNION ALL
    SELECT 5, '', '' UNION ALL
    SELECT 6, NULL, NULL UNION ALL
    SELECT 7, 'd@x.org', '07' UNION ALL
    SELECT 8, 'e@x.org', '08' UNION ALL
    SELECT 9, 'f@x.org', '09') AS given;
INSERT INTO enquiries VALUES (10, 'young@x.org', '10', current_timestamp);
-- jose is not José; JOSÉ differs from José beyond A to Z; what is empty is nobody's; 7 was cancelled
INSERT INTO enrolments VALUES
  (1, 'jose@x.org', 'active'), (2, 'JOSÉ@X.ORG', 'active'), (3, 'b@x.ORG', 'active'), (4, '  ', 'active'), (5, NULL, 'active'), (6, 'D@x.org', 'cancelled');
INSERT INTO advice VALUES (1, '44-020-79'), (2, 'none'), (3, NULL);
INSERT INTO consents SELECT id, id, 'yes' FROM enquiries WHERE id NOT IN (8, 9);
INSERT INTO consents VALUES (99, 9, 'no');
