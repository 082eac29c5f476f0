CREATE TABLE events (id integer PRIMARY KEY, at timestamp with time zone NOT NULL, pad varchar(100));
INSERT INTO events SELECT n * 3, now() - (n % 4) * interval '1 year', repeat('x', 100) FROM generate_series(1, 40000) n;
CREATE INDEX ON events (at);
ANALYZE events;
