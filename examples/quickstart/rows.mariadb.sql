-- Made-up rows for the demo: days on either side of each boundary, about half of everything past its time.
INSERT INTO learners (learner_no, full_name, email, phone, born_on, income, joined_on, left_on)
  SELECT concat('L', seq), concat('Learner ', seq), concat('learner-', seq, '@mail.example'), concat('0161 ', seq),
    date '1950-01-01' + INTERVAL seq % 18000 DAY, 12000 + seq, current_date - INTERVAL 3000 DAY,
    if(seq % 10 = 0, NULL, current_date - INTERVAL 6 YEAR + INTERVAL CAST(seq AS SIGNED) % 100 - 50 DAY)
  FROM seq_1_to_20000;
INSERT INTO enrolments (learner_id, course, started_on)
  SELECT 1 + seq % 20000, concat('Course ', seq % 40), current_date - INTERVAL 2900 DAY FROM seq_1_to_30000;
INSERT INTO enquiries (full_name, email, course, status, enquired_at)
  SELECT concat('Person ', seq), concat('person-', seq, '@mail.example'), concat('Course ', seq % 40),
    elt(1 + seq % 3, 'closed', 'withdrawn', 'open'), now() - INTERVAL 6 MONTH + INTERVAL 24 * (CAST(seq AS SIGNED) % 100 - 49) - 12 HOUR
  FROM seq_1_to_15000;
INSERT INTO enquiry_notes (enquiry_id, body, noted_at)
  SELECT 1 + seq % 15000, concat('Rang back, note ', seq), now() - INTERVAL 6 MONTH FROM seq_1_to_10000;
INSERT INTO messages (sender_id, body, sent_ms)
  SELECT 1 + seq % 20000, concat('See you on Tuesday, message ', seq),
    1000 * unix_timestamp(now() - INTERVAL 1 YEAR + INTERVAL 24 * (CAST(seq AS SIGNED) % 100 - 49) - 12 HOUR)
  FROM seq_1_to_30000;
ANALYZE TABLE learners, enrolments, enquiries, enquiry_notes, messages;
