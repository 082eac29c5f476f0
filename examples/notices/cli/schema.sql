CREATE TABLE clients (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, date_of_birth date NULL, registered_on date NULL
);
CREATE TABLE client_services (
  id integer PRIMARY KEY, client_id integer NOT NULL, service varchar(60) NOT NULL, opened_on date NOT NULL, completed_on date NULL,
  FOREIGN KEY (client_id) REFERENCES clients (id)
);
CREATE INDEX client_services_client ON client_services (client_id);
CREATE TABLE case_notes (
  id integer PRIMARY KEY, service_id integer NOT NULL, note varchar(200) NOT NULL,
  FOREIGN KEY (service_id) REFERENCES client_services (id)
);
CREATE INDEX case_notes_service ON case_notes (service_id);
-- What was reported about a client's safety. Without closed_on: open.
CREATE TABLE referrals (
  id integer PRIMARY KEY, client_id integer NOT NULL, account varchar(200) NULL, closed_on date NULL,
  FOREIGN KEY (client_id) REFERENCES clients (id)
);
CREATE INDEX referrals_client ON referrals (client_id);

-- A recruitment exercise.
CREATE TABLE vacancies (id integer PRIMARY KEY, title varchar(60) NOT NULL, completed_on date NULL);
CREATE TABLE applicants (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, first_applied_on date NULL
);
CREATE TABLE applications (
  id integer PRIMARY KEY, applicant_id integer NOT NULL, vacancy_id integer NULL, outcome varchar(20) NULL,
  FOREIGN KEY (applicant_id) REFERENCES applicants (id),
  FOREIGN KEY (vacancy_id) REFERENCES vacancies (id)
);
CREATE INDEX applications_applicant ON applications (applicant_id);
CREATE INDEX applications_vacancy ON applications (vacancy_id);
-- Consent to be thought of for other vacancies.
CREATE TABLE vacancy_consents (
  id integer PRIMARY KEY, applicant_id integer NOT NULL, given_on date NOT NULL, withdrawn_on date NULL,
  FOREIGN KEY (applicant_id) REFERENCES applicants (id)
);
CREATE INDEX vacancy_consents_applicant ON vacancy_consents (applicant_id);

CREATE TABLE research_records (
  id integer PRIMARY KEY, full_name varchar(100) NULL, postcode varchar(10) NULL, date_of_birth date NULL,
  weekly_income integer NULL, outcome varchar(60) NOT NULL, collected_at ${instant} NULL
);
CREATE INDEX research_records_collected ON research_records (collected_at);

CREATE TABLE employees (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, file_opened_on date NULL, line_manager_id integer NULL,
  FOREIGN KEY (line_manager_id) REFERENCES employees (id)
);
CREATE INDEX employees_line_manager ON employees (line_manager_id);
-- Without ended_on: employed.
CREATE TABLE employments (
  id integer PRIMARY KEY, employee_id integer NOT NULL, post varchar(60) NOT NULL, ended_on date NULL,
  FOREIGN KEY (employee_id) REFERENCES employees (id)
);
CREATE INDEX employments_employee ON employments (employee_id);
CREATE TABLE personnel_documents (
  id integer PRIMARY KEY, employee_id integer NOT NULL, kind varchar(40) NOT NULL, file_name varchar(100) NOT NULL,
  FOREIGN KEY (employee_id) REFERENCES employees (id)
);
CREATE INDEX personnel_documents_employee ON personnel_documents (employee_id);
