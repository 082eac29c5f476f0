-- An adult-learning charity's records, made up: half of everything is past its time.
CREATE TABLE learners (
  id integer PRIMARY KEY, full_name varchar(80) NOT NULL, email varchar(80), phone varchar(40), born_on date,
  left_at timestamp with time zone
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL REFERENCES learners (id), course varchar(40) NOT NULL
);
CREATE TABLE enquiries (
  id integer PRIMARY KEY, email varchar(80), question varchar(200), status varchar(20) NOT NULL,
  enquired_at timestamp with time zone NOT NULL
);
CREATE TABLE enquiry_notes (
  id integer PRIMARY KEY, enquiry_id integer NOT NULL REFERENCES enquiries (id), body varchar(200)
);
CREATE TABLE messages (
  id integer PRIMARY KEY, learner_id integer NOT NULL REFERENCES learners (id), body varchar(200),
  sent_at timestamp with time zone NOT NULL
);

-- Whole days on either side of each boundary: six years, six months, one year. One in ten has not left.
INSERT INTO learners
  SELECT n, 'Learner ' || n, 'learner-' || n || '@mail.example', '0161 ' || n, date '1950-01-01' + n % 18000,
    CASE WHEN n % 10 = 0 THEN NULL ELSE now() - interval '6 years' + (n % 101 - 50.5) * interval '1 day' END
  FROM generate_series(1, 20000) n;
INSERT INTO enrolments SELECT n, 1 + n % 20000, 'Course ' || n % 40 FROM generate_series(1, 30000) n;
INSERT INTO enquiries
  SELECT n, 'person-' || n || '@mail.example', 'Is there room on course ' || n % 40 || '?',
    (ARRAY['closed', 'withdrawn', 'open'])[1 + n % 3], now() - interval '6 months' + (n % 101 - 50.5) * interval '1 day'
  FROM generate_series(1, 30000) n;
INSERT INTO enquiry_notes SELECT n, 1 + n % 30000, 'Rang back, note ' || n FROM generate_series(1, 20000) n;
INSERT INTO messages
  SELECT n, 1 + n % 20000, 'See you on Tuesday, message ' || n, now() - interval '1 year' + (n % 101 - 50.5) * interval '1 day'
  FROM generate_series(1, 60000) n;

CREATE INDEX ON learners (left_at);
CREATE INDEX ON enrolments (learner_id);
CREATE INDEX ON enquiries (enquired_at);
CREATE INDEX ON enquiry_notes (enquiry_id);
CREATE INDEX ON messages (learner_id);
CREATE INDEX ON messages (sent_at);
ANALYZE;
