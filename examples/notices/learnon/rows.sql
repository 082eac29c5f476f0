INSERT INTO learners VALUES
  (1, 'Ada Bennett', 'ada.bennett@example.org', '1970-05-17', 'deaf', 'White Welsh', 'woman', current_timestamp - INTERVAL '8' YEAR),
  (2, 'Ibrahim Cole', 'ibrahim.cole@example.org', '1970-05-17', NULL, 'Black Caribbean', 'man', current_timestamp - INTERVAL '8' YEAR),
  (3, 'Planted Three', NULL, NULL, 'dyslexia', 'Chinese', 'woman', current_timestamp - INTERVAL '8' YEAR),
  (4, 'Planted Four', NULL, NULL, NULL, 'Indian', 'man', current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY),
  (5, 'Planted Five', NULL, NULL, NULL, 'Irish', 'man', current_timestamp - INTERVAL '8' YEAR),
  (6, 'Planted Six', NULL, NULL, 'deaf', 'Irish', 'woman', current_timestamp - INTERVAL '8' YEAR),
  (7, 'Planted Seven', NULL, NULL, NULL, NULL, NULL, current_timestamp - INTERVAL '3' YEAR),
  (8, 'Planted Eight', NULL, NULL, NULL, 'Indian', 'man', current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY);
-- On each side of a year: 1 and 2; 3 waits for one; 4 and 8 have none; on each side of six years: 5 and 6.
INSERT INTO certificates VALUES
  (11, 1, 'Level 2', current_timestamp - INTERVAL '5' YEAR), (12, 1, 'Level 3', current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY),
  (21, 2, 'Level 2', current_timestamp - INTERVAL '5' YEAR), (22, 2, 'Level 3', current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY),
  (31, 3, 'Level 2', current_timestamp - INTERVAL '7' YEAR), (32, 3, 'Level 3', NULL),
  (51, 5, 'Level 2', current_timestamp - INTERVAL '6' YEAR - INTERVAL '2' DAY),
  (61, 6, 'Level 2', current_timestamp - INTERVAL '6' YEAR + INTERVAL '2' DAY);
INSERT INTO forms VALUES
  (1, 'enrolment', 'planted-1@example.org', current_timestamp - INTERVAL '31' DAY, NULL),
  (2, 'enrolment', 'planted-2@example.org', current_timestamp - INTERVAL '29' DAY, NULL),
  (3, 'enrolment', 'planted-3@example.org', current_timestamp - INTERVAL '2' YEAR, current_timestamp - INTERVAL '2' YEAR);
INSERT INTO form_answers VALUES (1, 1, 'name', 'Planted One'), (2, 1, 'phone', '020 7946 0001'), (3, 2, 'name', 'Planted Two'), (4, 3, 'name', 'Planted Three');
