-- Made-up rows for the demo: days on either side of each boundary, about half of everything past its time.
INSERT INTO learners (learner_no, full_name, email, phone, born_on, income, joined_on, left_on)
  SELECT 'L' || n, 'Learner ' || n, 'learner-' || n || '@mail.example', '0161 ' || n, date '1950-01-01' + n % 18000, 12000 + n,
    current_date - 3000, CASE WHEN n % 10 = 0 THEN NULL ELSE (current_date - interval '6 years')::date + n % 100 - 50 END
  FROM generate_series(1, 20000) n;
INSERT INTO enrolments (learner_id, course, started_on)
  SELECT 1 + n % 20000, 'Course ' || n % 40, current_date - 2900 FROM generate_series(1, 30000) n;
INSERT INTO enquiries (full_name, email, course, status, enquired_at)
  SELECT 'Person ' || n, 'person-' || n || '@mail.example', 'Course ' || n % 40, (ARRAY['closed', 'withdrawn', 'open'])[1 + n % 3],
    now() - interval '6 months' + (n % 100 - 49.5) * interval '1 day'
  FROM generate_series(1, 15000) n;
INSERT INTO enquiry_notes (enquiry_id, body, noted_at)
  SELECT 1 + n % 15000, 'Rang back, note ' || n, now() - interval '6 months' FROM generate_series(1, 10000) n;
INSERT INTO messages (sender_id, body, sent_at)
  SELECT 1 + n % 20000, 'See you on Tuesday, message ' || n, now() - interval '1 year' + (n % 100 - 49.5) * interval '1 day'
  FROM generate_series(1, 30000) n;
ANALYZE;
