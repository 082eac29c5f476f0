CREATE TABLE people (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, first_contact_on date NULL
);
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
-- What courses reached whom, for statistics.
CREATE TABLE course_statistics (
  id integer PRIMARY KEY, full_name varchar(100) NULL, date_of_birth date NULL, course varchar(100) NOT NULL,
  ended_on date NULL
);
CREATE INDEX course_statistics_ended ON course_statistics (ended_on);
