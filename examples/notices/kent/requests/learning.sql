CREATE TABLE people (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, address varchar(200) NULL, photo_file varchar(60) NULL
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, person_id integer NOT NULL, course varchar(100) NOT NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX enrolments_person ON enrolments (person_id);
CREATE TABLE absences (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, missed_on date NOT NULL, reason varchar(100) NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX absences_enrolment ON absences (enrolment_id);
CREATE TABLE receipts (
  id integer PRIMARY KEY, person_id integer NOT NULL, receipt_no integer NOT NULL, pence integer NOT NULL, paid_on date NOT NULL, paid_by varchar(60) NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX receipts_person ON receipts (person_id);
INSERT INTO people VALUES
  (1, 'Cordelia Wrenfield', 'CORDELIA@example.org', '4 Tannery Row', 'wrenfield.jpg'),
  (2, 'Barnaby Lockhart', 'barnaby@example.org', '6 Tannery Row', 'lockhart.jpg'),
  (3, 'Córdelia Wrenfield', 'córdelia@example.org', '4 Tannery Mews', 'wrenfield2.jpg');
INSERT INTO enrolments VALUES (10, 1, 'Pottery'), (11, 2, 'Pottery'), (12, 3, 'Pottery');
INSERT INTO absences VALUES (20, 10, '2026-03-02', 'migraine'), (21, 11, '2026-03-02', 'toothache'), (22, 12, '2026-03-02', 'chilblains');
INSERT INTO receipts VALUES
  (30, 1, 1930417265, 4500, current_date - INTERVAL '2' YEAR, 'card of C Wrenfield'), (31, 1, 1847265039, 2500, current_date - INTERVAL '9' YEAR, 'cash'),
  (32, 2, 1930417266, 4500, current_date - INTERVAL '2' YEAR, 'card of B Lockhart');
