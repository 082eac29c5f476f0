CREATE TABLE learners (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, date_of_birth date NULL,
  disability varchar(60) NULL, ethnicity varchar(60) NULL, gender varchar(20) NULL, registered_on date NULL
);
-- Without issued_on: the awarding body has been asked, and has not answered yet.
CREATE TABLE certificates (
  id integer PRIMARY KEY, learner_id integer NOT NULL, award varchar(100) NOT NULL, issued_on date NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE INDEX certificates_learner ON certificates (learner_id);
CREATE TABLE forms (
  id integer PRIMARY KEY, form varchar(40) NOT NULL, email varchar(100) NULL, saved_at ${instant} NULL, submitted_at ${instant} NULL
);
CREATE TABLE form_answers (
  id integer PRIMARY KEY, form_id integer NOT NULL, question varchar(40) NOT NULL, answer varchar(100) NULL,
  FOREIGN KEY (form_id) REFERENCES forms (id)
);
CREATE INDEX form_answers_form ON form_answers (form_id);
