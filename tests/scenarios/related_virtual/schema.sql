CREATE TABLE enquiries (id integer PRIMARY KEY, enquired_at ${instant} NULL);
CREATE TABLE notes (
  id integer PRIMARY KEY,
  enquiry_id integer NULL
);
CREATE INDEX notes_enquiry ON notes (enquiry_id);
INSERT INTO enquiries VALUES (1, current_timestamp - INTERVAL '1' YEAR), (2, current_timestamp);
INSERT INTO notes VALUES (10, 1), (11, 2);
