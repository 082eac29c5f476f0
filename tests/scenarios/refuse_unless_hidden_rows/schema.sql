CREATE TABLE enquiries (id integer PRIMARY KEY, email varchar(60), enquired_at ${instant} NOT NULL);
INSERT INTO enquiries VALUES (1, 'a', current_timestamp - INTERVAL '7' MONTH);
CREATE TABLE enrolments (id integer PRIMARY KEY, email varchar(60));
ALTER TABLE enrolments ENABLE ROW LEVEL SECURITY;
