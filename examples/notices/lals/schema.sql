CREATE TABLE learners (
  id integer PRIMARY KEY, uln varchar(10) NULL, full_name varchar(100) NOT NULL, date_of_birth date NULL, registered_on date NULL
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL, course varchar(100) NOT NULL, started_on date NOT NULL, ended_on date NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX enrolments_learner ON enrolments (learner_id);
CREATE TABLE attendance_marks (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, held_on date NOT NULL, mark varchar(1) NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX attendance_marks_enrolment ON attendance_marks (enrolment_id);
CREATE TABLE achievements (
  id integer PRIMARY KEY, enrolment_id integer NOT NULL, award varchar(100) NOT NULL, awarded_on date NOT NULL,
  FOREIGN KEY (enrolment_id) REFERENCES enrolments (id)
);
CREATE INDEX achievements_enrolment ON achievements (enrolment_id);
CREATE TABLE learner_documents (
  id integer PRIMARY KEY, learner_id integer NOT NULL, file_name varchar(100) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX learner_documents_learner ON learner_documents (learner_id);
-- Questions of the funding body about a learner.
CREATE TABLE audit_queries (
  id integer PRIMARY KEY, learner_id integer NOT NULL, status varchar(10) NOT NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX audit_queries_learner ON audit_queries (learner_id);
CREATE TABLE contact_preferences (
  id integer PRIMARY KEY, learner_id integer NOT NULL, by_post varchar(3) NOT NULL, by_phone varchar(3) NOT NULL,
  by_email varchar(3) NOT NULL, changed_at ${instant} NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX contact_preferences_learner ON contact_preferences (learner_id);

-- The returns to the funding body, several a year. It asks for the postcode, and not for the rest.
CREATE TABLE mi_returns (id integer PRIMARY KEY, period varchar(20) NOT NULL, submitted_at ${instant} NULL);
CREATE TABLE return_answers (
  id integer PRIMARY KEY, return_id integer NULL, learner_id integer NOT NULL, postcode varchar(10) NULL,
  travels_by varchar(40) NULL, heard_of_us varchar(40) NULL,
  FOREIGN KEY (return_id) REFERENCES mi_returns (id),
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX return_answers_return ON return_answers (return_id);
CREATE INDEX return_answers_learner ON return_answers (learner_id);
