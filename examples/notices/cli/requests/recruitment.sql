CREATE TABLE vacancies (id integer PRIMARY KEY, title varchar(60) NOT NULL, completed_on date NULL);
CREATE TABLE applicants (id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, history varchar(200) NULL);
-- Who was named as a referee is in the row of who applied.
CREATE TABLE applications (
  id integer PRIMARY KEY, applicant_id integer NOT NULL, vacancy_id integer NOT NULL, outcome varchar(20) NULL,
  referee_name varchar(100) NULL, referee_email varchar(100) NULL,
  FOREIGN KEY (applicant_id) REFERENCES applicants (id), FOREIGN KEY (vacancy_id) REFERENCES vacancies (id)
);
CREATE INDEX applications_applicant ON applications (applicant_id);
CREATE INDEX applications_vacancy ON applications (vacancy_id);
-- Notes of the panel about a vacancy, which are kept without whom they are about.
CREATE TABLE panel_notes (
  id integer PRIMARY KEY, vacancy_id integer NOT NULL, applicant_id integer NULL, note varchar(200) NOT NULL,
  FOREIGN KEY (vacancy_id) REFERENCES vacancies (id), FOREIGN KEY (applicant_id) REFERENCES applicants (id)
);
CREATE INDEX panel_notes_vacancy ON panel_notes (vacancy_id);
CREATE INDEX panel_notes_applicant ON panel_notes (applicant_id);
-- Complete for two months: by itself an application would stay for ten more.
INSERT INTO vacancies VALUES (1, 'Key worker', current_date - INTERVAL '2' MONTH), (2, 'Cook', NULL);
INSERT INTO applicants VALUES
  (1, 'Leopold Marchbanks', 'leo@example.org', 'Ten years at sea'), (2, 'Hermione Sallow', 'sallow@example.org', 'A gap'),
  (3, 'Léopold Marchbanks', 'léo@example.org', 'At sea');
INSERT INTO applications VALUES
  (10, 1, 1, 'rejected', 'Hermione Sallow', 'sallow@example.org'), (11, 2, 2, NULL, 'Leopold Marchbanks', ' LEO@example.org'),
  (12, 3, 1, 'rejected', NULL, NULL);
INSERT INTO panel_notes VALUES (20, 1, 1, 'Answered well'), (21, 1, 3, 'Was late'), (22, 2, 2, 'Not seen yet');
