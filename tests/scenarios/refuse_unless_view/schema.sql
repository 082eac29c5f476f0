CREATE TABLE enquiries (id integer PRIMARY KEY, email varchar(60), enquired_at ${instant} NOT NULL);
INSERT INTO enquiries VALUES (1, 'a', current_timestamp - INTERVAL '7' MONTH);
CREATE TABLE all_enrolments (id integer PRIMARY KEY, email varchar(60), closed integer);
CREATE VIEW enrolments AS SELECT id, email FROM all_enrolments WHERE closed = 0;
