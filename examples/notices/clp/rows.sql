INSERT INTO people VALUES
  (1, 'Ada Bennett', 'ada.bennett@example.org', NULL), (2, 'Ibrahim Cole', 'ibrahim.cole@example.org', NULL);
INSERT INTO enrolments VALUES
  (1, 1, 'Pottery', current_timestamp - INTERVAL '5' MONTH, 'active'),
  (2, 2, 'Welsh', current_timestamp - INTERVAL '5' MONTH, 'cancelled');
INSERT INTO attendances VALUES (1, 'Planted Five', '(020) 7946-0005', current_timestamp - INTERVAL '4' MONTH);
INSERT INTO enquiries VALUES
  (1, 'Planted One', 'planted-1@example.org', '020 7946 0001', 'Pottery', current_timestamp - INTERVAL '6' MONTH - INTERVAL '1' DAY),
  (2, 'Planted Two', 'planted-2@example.org', '020 7946 0002', 'Pottery', current_timestamp - INTERVAL '6' MONTH + INTERVAL '1' DAY),
  (3, 'Ada Bennett', ' Ada.Bennett@Example.org', NULL, 'Pottery', current_timestamp - INTERVAL '9' MONTH),
  (4, 'Ibrahim Cole', 'ibrahim.cole@example.org', NULL, 'Welsh', current_timestamp - INTERVAL '9' MONTH),
  (5, 'Planted Five', NULL, '020 7946 0005', NULL, current_timestamp - INTERVAL '9' MONTH),
  (6, 'Planted Six', 'planted-6@example.org', NULL, NULL, current_timestamp - INTERVAL '9' MONTH),
  (7, 'Planted Seven', 'planted-7@example.org', NULL, NULL, current_timestamp - INTERVAL '9' MONTH),
  (8, NULL, NULL, NULL, 'Welsh', current_timestamp - INTERVAL '9' MONTH),
  (9, 'Planted Nine', 'planted-9@example.org', NULL, NULL, NULL);
INSERT INTO enquiry_notes VALUES
  (1, 1, 'Planted note'), (2, 1, 'Planted note'), (3, 2, 'Planted note'), (4, 3, 'Planted note'), (5, 4, 'Planted note');
-- 6 was advised; 7 did not come.
INSERT INTO advice_sessions VALUES (1, 6, 'B. Adviser', current_timestamp - INTERVAL '8' MONTH), (2, 7, 'B. Adviser', NULL);
INSERT INTO information_requests VALUES
  (1, 'subject access', 'Ada Bennett', 'ada.bennett@example.org', current_timestamp - INTERVAL '3' YEAR, current_timestamp - INTERVAL '2' YEAR - INTERVAL '2' DAY),
  (2, 'freedom of information', 'Ibrahim Cole', NULL, current_timestamp - INTERVAL '3' YEAR, current_timestamp - INTERVAL '2' YEAR + INTERVAL '2' DAY),
  (3, 'subject access', 'Planted Three', NULL, current_timestamp - INTERVAL '5' YEAR, NULL);
INSERT INTO request_letters VALUES
  (1, 1, 'in', current_timestamp - INTERVAL '3' YEAR), (2, 1, 'out', current_timestamp - INTERVAL '2' YEAR),
  (3, 2, 'in', current_timestamp - INTERVAL '3' YEAR), (4, 3, 'in', current_timestamp - INTERVAL '5' YEAR);
INSERT INTO letter_attachments VALUES (1, 1, 'passport.pdf'), (2, 2, 'copy.zip'), (3, 3, 'question.pdf');
-- Of each age and ethnicity: 1 to 3 are exactly three, 4 to 7 are more, 8 and 9 are two; 10 is not due yet.
INSERT INTO profile_answers VALUES
  (1, 'Planted One', 'ZZ1 1ZZ', 30, 'Somali', current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY),
  (2, 'Planted Two', 'ZZ2 2ZZ', 34, 'Somali', current_timestamp - INTERVAL '14' MONTH),
  (3, 'Planted Three', 'ZZ3 3ZZ', 39, 'Somali', current_timestamp - INTERVAL '2' YEAR),
  (4, 'Planted Four', 'ZZ1 1ZZ', 40, NULL, current_timestamp - INTERVAL '2' YEAR),
  (5, 'Planted Five', 'ZZ1 1ZZ', 42, NULL, current_timestamp - INTERVAL '2' YEAR),
  (6, 'Planted Six', NULL, 49, NULL, current_timestamp - INTERVAL '3' YEAR),
  (7, NULL, NULL, 40, NULL, current_timestamp - INTERVAL '4' YEAR),
  (8, 'Planted Eight', 'ZZ1 1ZZ', 60, 'Welsh', current_timestamp - INTERVAL '2' YEAR),
  (9, 'Planted Nine', 'ZZ1 1ZZ', 61, 'Welsh', current_timestamp - INTERVAL '2' YEAR),
  (10, 'Planted Ten', 'ZZ1 1ZZ', 62, 'Welsh', current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY);
