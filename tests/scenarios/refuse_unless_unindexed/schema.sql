CREATE TABLE enquiries (id integer PRIMARY KEY, email varchar(60), enquired_at timestamp with time zone NOT NULL);
INSERT INTO enquiries VALUES (1, 'a', now() - interval '7 months');
CREATE TABLE enrolments (id integer PRIMARY KEY, email varchar(60));
INSERT INTO enrolments SELECT n, 'x' FROM generate_series(1, 12000) n;
ANALYZE;
