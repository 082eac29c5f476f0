-- Who uses the services. 1 and 2 are a household with one address; that of 4 differs from it by an accent and that of 5
-- by its end; 3 has the same phone number but for a digit.
CREATE TABLE people (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, phone varchar(30) NULL,
  likes_news varchar(3) NULL, heard_of_us varchar(60) NULL
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, person_id integer NOT NULL, course varchar(100) NOT NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX enrolments_person ON enrolments (person_id);
CREATE TABLE enquiries (id integer PRIMARY KEY, full_name varchar(100) NULL, phone varchar(30) NULL, question varchar(200) NOT NULL);
INSERT INTO people VALUES
  (1, 'Jose Thistlewood', 'Thistlewoods@Example.org  ', '07700 900 311', 'yes', 'from a leaflet'),
  (2, 'Ana Thistlewood', 'thistlewoods@example.org', '07700 900312', 'yes', 'from Jose'),
  (3, 'Peregrine Ashdown', 'ashdown@example.org', '07700 900313', 'yes', 'at a fair'),
  (4, 'José Thistlewoód', 'thistlewoóds@example.org', NULL, 'yes', NULL),
  (5, 'JOSE THISTLEWOOD', 'thistlewoods@example.org.uk', NULL, 'yes', NULL);
INSERT INTO enrolments VALUES (10, 1, 'Joinery'), (11, 2, 'Joinery'), (12, 3, 'Joinery');
INSERT INTO enquiries VALUES
  (20, 'Jose T.', '(07700) 900311', 'Is there a ramp?'), (21, 'Ana T.', '07700 900312', 'Is there tea?'), (22, NULL, NULL, 'How much?');
