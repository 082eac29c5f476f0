CREATE TABLE people (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, first_contact_on date NULL,
  photo_file varchar(60) NULL, offers_by varchar(20) NULL, withdrawn_on date NULL
);
CREATE INDEX people_withdrawn ON people (withdrawn_on);
CREATE TABLE emergency_contacts (
  id integer PRIMARY KEY, person_id integer NOT NULL, full_name varchar(100) NOT NULL, phone varchar(30) NOT NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX emergency_contacts_person ON emergency_contacts (person_id);
-- Without enrolled_on: on the waiting list.
CREATE TABLE enrolments (
  id integer PRIMARY KEY, person_id integer NOT NULL, course varchar(100) NOT NULL, enrolled_on date NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX enrolments_person ON enrolments (person_id);
CREATE TABLE payments (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, pence integer NOT NULL, paid_on date NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX payments_enrolment ON payments (enrolment_id);
CREATE TABLE support_plans (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, need varchar(100) NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX support_plans_enrolment ON support_plans (enrolment_id);
-- Where users of the system do not reach what was put out of their reach.
CREATE SCHEMA ${sealed};
CREATE TABLE ${sealed}.people AS SELECT * FROM people WHERE 1 = 0;
ALTER TABLE ${sealed}.people
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
CREATE TABLE ${sealed}.emergency_contacts AS SELECT * FROM emergency_contacts WHERE 1 = 0;
ALTER TABLE ${sealed}.emergency_contacts
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
CREATE TABLE ${sealed}.enrolments AS SELECT * FROM enrolments WHERE 1 = 0;
ALTER TABLE ${sealed}.enrolments
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
CREATE TABLE ${sealed}.payments AS SELECT * FROM payments WHERE 1 = 0;
ALTER TABLE ${sealed}.payments
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
CREATE TABLE ${sealed}.support_plans AS SELECT * FROM support_plans WHERE 1 = 0;
ALTER TABLE ${sealed}.support_plans
  ADD COLUMN sealed_at ${sealed_at} NOT NULL, ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (id, sealed_at);
-- What courses reached whom, for statistics.
CREATE TABLE course_statistics (
  id integer PRIMARY KEY, full_name varchar(100) NULL, date_of_birth date NULL, course varchar(100) NOT NULL,
  ended_on date NULL
);
CREATE INDEX course_statistics_ended ON course_statistics (ended_on);
