CREATE TABLE enquiries (id integer PRIMARY KEY, enquired_at timestamp with time zone);
CREATE TABLE notes (id integer PRIMARY KEY, enquiry_id integer);
CREATE INDEX ON notes (enquiry_id);
INSERT INTO enquiries VALUES (1, now() - interval '1 year'), (2, now());
INSERT INTO notes VALUES (10, 1), (11, 2);
ALTER TABLE notes ADD CONSTRAINT notes_enquiry FOREIGN KEY (enquiry_id) REFERENCES enquiries (id) NOT ENFORCED;
