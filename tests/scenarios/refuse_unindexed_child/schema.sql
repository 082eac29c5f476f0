CREATE TABLE enquiries (id integer PRIMARY KEY, enquired_at timestamp with time zone);
CREATE TABLE notes (
  id integer PRIMARY KEY,
  enquiry_id integer NULL,
  FOREIGN KEY (enquiry_id) REFERENCES enquiries (id)
);
INSERT INTO enquiries VALUES (1, now() - interval '1 year'), (2, now());
-- A small table may be searched in full; this one is not small.
INSERT INTO notes SELECT n, 1 + n % 2 FROM generate_series(1, 12000) n;
ANALYZE;
