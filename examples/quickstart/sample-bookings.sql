-- An adult-learning charity's records, made up: half of everything is past its time.
CREATE TABLE learners (
  id integer PRIMARY KEY, full_name varchar(80) NOT NULL, email varchar(80), phone varchar(40), born_on date,
  left_at timestamp NULL, INDEX (left_at)
);
CREATE TABLE enrolments (
  id integer PRIMARY KEY, learner_id integer NOT NULL, course varchar(40) NOT NULL, FOREIGN KEY (learner_id) REFERENCES learners (id)
);
CREATE TABLE enquiries (
  id integer PRIMARY KEY, email varchar(80), question varchar(200), status varchar(20) NOT NULL,
  enquired_at timestamp NOT NULL, INDEX (enquired_at)
);
CREATE TABLE enquiry_notes (
  id integer PRIMARY KEY, enquiry_id integer NOT NULL, body varchar(200), FOREIGN KEY (enquiry_id) REFERENCES enquiries (id)
);
CREATE TABLE messages (
  id integer PRIMARY KEY, learner_id integer NOT NULL, body varchar(200), sent_at timestamp NOT NULL,
  INDEX (sent_at), FOREIGN KEY (learner_id) REFERENCES learners (id)
);

-- Whole days on either side of each boundary: six years, six months, one year. One in ten has not left.
INSERT INTO learners
  SELECT seq, concat('Learner ', seq), concat('learner-', seq, '@mail.example'), concat('0161 ', seq),
    date '1950-01-01' + INTERVAL seq % 18000 DAY,
    if(seq % 10 = 0, NULL, now() - INTERVAL 6 YEAR + INTERVAL 24 * (seq % 101 - 50) - 12 HOUR)
  FROM seq_1_to_20000;
INSERT INTO enrolments SELECT seq, 1 + seq % 20000, concat('Course ', seq % 40) FROM seq_1_to_30000;
INSERT INTO enquiries
  SELECT seq, concat('person-', seq, '@mail.example'), concat('Is there room on course ', seq % 40, '?'),
    elt(1 + seq % 3, 'closed', 'withdrawn', 'open'), now() - INTERVAL 6 MONTH + INTERVAL 24 * (seq % 101 - 50) - 12 HOUR
  FROM seq_1_to_30000;
INSERT INTO enquiry_notes SELECT seq, 1 + seq % 30000, concat('Rang back, note ', seq) FROM seq_1_to_20000;
INSERT INTO messages
  SELECT seq, 1 + seq % 20000, concat('See you on Tuesday, message ', seq), now() - INTERVAL 1 YEAR + INTERVAL 24 * (seq % 101 - 50) - 12 HOUR
  FROM seq_1_to_60000;
ANALYZE TABLE learners, enrolments, enquiries, enquiry_notes, messages;
