CREATE TABLE learners (id integer PRIMARY KEY, name varchar(40) NOT NULL, left_at ${instant} NULL);
CREATE SCHEMA archive;
CREATE TABLE archive.learners (LIKE learners INCLUDING ALL);
CREATE SCHEMA ${sealed};
CREATE TABLE ${sealed}.learners (LIKE learners, sealed_at ${sealed_at} NOT NULL, sealed_by ${sealed_by} NOT NULL, PRIMARY KEY (id, sealed_at));
INSERT INTO archive.learners VALUES (1, 'Planted One', current_timestamp - INTERVAL '7' YEAR);
INSERT INTO ${sealed}.learners VALUES
  (7, 'Planted Seven', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '2' YEAR, 'another'),
  (8, 'Planted Eight', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '2' YEAR, 'another');
