CREATE TABLE people (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NULL, phone varchar(30) NULL
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, person_id integer NOT NULL, course varchar(100) NOT NULL, enrolled_on date NOT NULL,
  status varchar(20) NOT NULL,
  FOREIGN KEY (person_id) REFERENCES people (id)
);
CREATE INDEX enrolments_person ON enrolments (person_id);
-- The register of the drop-in sessions: who comes leaves a name and a number.
CREATE TABLE attendances (
  id integer PRIMARY KEY, full_name varchar(100) NOT NULL, phone varchar(30) NULL, attended_on date NOT NULL
);

CREATE TABLE enquiries (
  id integer PRIMARY KEY, full_name varchar(100) NULL, email varchar(100) NULL, phone varchar(30) NULL,
  course varchar(100) NULL, enquired_at ${instant} NULL
);
CREATE INDEX enquiries_enquired ON enquiries (enquired_at);
CREATE TABLE enquiry_notes (
  id integer PRIMARY KEY, enquiry_id integer NOT NULL, note varchar(200) NOT NULL,
  FOREIGN KEY (enquiry_id) REFERENCES enquiries (id)
);
CREATE INDEX enquiry_notes_enquiry ON enquiry_notes (enquiry_id);
-- An appointment without held_on was not kept.
CREATE TABLE advice_sessions (
  id integer PRIMARY KEY, enquiry_id integer NULL, adviser varchar(60) NOT NULL, held_on date NULL,
  FOREIGN KEY (enquiry_id) REFERENCES enquiries (id)
);
CREATE INDEX advice_sessions_enquiry ON advice_sessions (enquiry_id);

CREATE TABLE information_requests (
  id integer PRIMARY KEY, kind varchar(30) NOT NULL, full_name varchar(100) NOT NULL, email varchar(100) NULL,
  received_on date NOT NULL, closed_on date NULL
);
CREATE TABLE request_letters (
  id integer PRIMARY KEY, request_id integer NOT NULL, direction varchar(10) NOT NULL, sent_on date NOT NULL,
  FOREIGN KEY (request_id) REFERENCES information_requests (id)
);
CREATE INDEX request_letters_request ON request_letters (request_id);
CREATE TABLE letter_attachments (
  id integer PRIMARY KEY, letter_id integer NOT NULL, file_name varchar(100) NOT NULL,
  FOREIGN KEY (letter_id) REFERENCES request_letters (id)
);
CREATE INDEX letter_attachments_letter ON letter_attachments (letter_id);
-- What people answered for the profile of their community.
CREATE TABLE profile_answers (
  id integer PRIMARY KEY, full_name varchar(100) NULL, postcode varchar(10) NULL, age integer NULL,
  ethnicity varchar(40) NULL, answered_on date NULL
);
CREATE INDEX profile_answers_answered ON profile_answers (answered_on);
