INSERT INTO clients VALUES
  (1, 'Ada Bennett', '1970-05-17', current_timestamp - INTERVAL '12' YEAR), (2, 'Ibrahim Cole', '1970-05-17', current_timestamp - INTERVAL '12' YEAR),
  (3, 'Planted Three', NULL, current_timestamp - INTERVAL '12' YEAR), (4, 'Planted Four', NULL, current_timestamp - INTERVAL '7' YEAR - INTERVAL '2' DAY),
  (5, 'Planted Five', NULL, current_timestamp - INTERVAL '7' YEAR + INTERVAL '2' DAY);
-- On each side of seven years: 1 and 2; 3 has an open case; 4 and 5 never had a service.
INSERT INTO client_services VALUES
  (11, 1, 'mentoring', current_timestamp - INTERVAL '12' YEAR, current_timestamp - INTERVAL '10' YEAR),
  (12, 1, 'housing', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '7' YEAR - INTERVAL '2' DAY),
  (21, 2, 'mentoring', current_timestamp - INTERVAL '12' YEAR, current_timestamp - INTERVAL '10' YEAR),
  (22, 2, 'housing', current_timestamp - INTERVAL '9' YEAR, current_timestamp - INTERVAL '7' YEAR + INTERVAL '2' DAY),
  (31, 3, 'mentoring', current_timestamp - INTERVAL '12' YEAR, current_timestamp - INTERVAL '10' YEAR),
  (32, 3, 'housing', current_timestamp - INTERVAL '9' YEAR, NULL);
INSERT INTO case_notes VALUES (1, 11, 'Planted note'), (2, 12, 'Planted note'), (3, 21, 'Planted note'), (4, 31, 'Planted note');
-- Long after their services, on each side of the ten years that a report must be kept: 6 and 7; 8 is held.
INSERT INTO clients VALUES
  (6, 'Planted Six', NULL, current_timestamp - INTERVAL '15' YEAR), (7, 'Planted Seven', NULL, current_timestamp - INTERVAL '15' YEAR),
  (8, 'Planted Eight', NULL, current_timestamp - INTERVAL '15' YEAR), (9, 'Planted Nine', NULL, current_timestamp - INTERVAL '15' YEAR);
INSERT INTO referrals VALUES
  (6, 6, 'Planted account', current_timestamp - INTERVAL '10' YEAR + INTERVAL '2' DAY),
  (7, 7, 'Planted account', current_timestamp - INTERVAL '10' YEAR - INTERVAL '2' DAY),
  (9, 9, 'Planted account', NULL);

INSERT INTO vacancies VALUES
  (1, 'Mentor', current_timestamp - INTERVAL '12' MONTH - INTERVAL '2' DAY), (2, 'Cook', current_timestamp - INTERVAL '12' MONTH + INTERVAL '2' DAY), (3, 'Driver', NULL);
INSERT INTO applicants
  SELECT id, 'Planted', 'planted-999@example.org', current_timestamp - INTERVAL '30' MONTH FROM (
    SELECT 1 AS id UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7
    UNION ALL SELECT 8) AS ids;
INSERT INTO applicants VALUES (9, 'Planted Nine', NULL, current_timestamp - INTERVAL '3' MONTH);
-- On each side of twelve months: 1 and 2; 3 applied for both; for 4 one is not complete; 5 was hired; 6 agreed to be kept;
-- 7 does not any more; 8 and 9 sent a letter and applied for nothing.
INSERT INTO applications VALUES
  (11, 1, 1, 'rejected'), (21, 2, 2, 'rejected'), (31, 3, 1, 'rejected'), (32, 3, 2, 'withdrawn'), (41, 4, 1, 'rejected'),
  (42, 4, 3, NULL), (51, 5, 1, 'hired'), (61, 6, 1, 'rejected'), (71, 7, 1, 'rejected');
INSERT INTO vacancy_consents VALUES
  (1, 6, current_timestamp - INTERVAL '14' MONTH, NULL), (2, 7, current_timestamp - INTERVAL '14' MONTH, current_timestamp - INTERVAL '1' MONTH);

INSERT INTO research_records VALUES
  (1, 'Planted One', 'ZZ1 1ZZ', '1984-07-21', 357, 'found work', current_timestamp - INTERVAL '61' DAY),
  (2, 'Planted Two', 'ZZ1 1ZZ', '1984-07-21', 357, 'found work', current_timestamp - INTERVAL '59' DAY),
  (3, 'Planted Three', 'ZZ1 1ZZ', '1984-07-21', 357, 'found work', current_timestamp - INTERVAL '1' YEAR - INTERVAL '1' DAY),
  (4, 'Planted Four', NULL, '1991-01-01', 400, 'moved away', current_timestamp - INTERVAL '1' YEAR + INTERVAL '1' DAY),
-- With 1 exactly three are alike, because 2 is not due and 3 goes; with 4 they are four; 10 and 11 are two.
  (5, 'Planted Five', 'ZZ2 2ZZ', '1984-01-01', 300, 'found work', current_timestamp - INTERVAL '90' DAY),
  (6, 'Planted Six', 'ZZ3 3ZZ', '1984-12-31', 399, 'found work', current_timestamp - INTERVAL '91' DAY),
  (7, 'Planted Seven', NULL, '1991-03-03', 401, 'moved away', current_timestamp - INTERVAL '92' DAY),
  (8, 'Planted Eight', NULL, '1991-04-04', 450, 'moved away', current_timestamp - INTERVAL '93' DAY),
  (9, 'Planted Nine', NULL, '1991-05-05', 499, 'moved away', current_timestamp - INTERVAL '94' DAY),
  (10, 'Planted Ten', 'ZZ1 1ZZ', '1975-05-05', 210, 'in training', current_timestamp - INTERVAL '95' DAY),
  (11, 'Planted Eleven', 'ZZ1 1ZZ', '1975-06-06', 220, 'in training', current_timestamp - INTERVAL '96' DAY);

INSERT INTO employees VALUES
  (1, 'Ada Bennett', current_timestamp - INTERVAL '15' YEAR, NULL), (2, 'Ibrahim Cole', current_timestamp - INTERVAL '15' YEAR, 1),
  (4, 'Planted Four', current_timestamp - INTERVAL '15' YEAR, 1), (3, 'Planted Three', current_timestamp - INTERVAL '15' YEAR, 4);
-- On each side of six years: 1 and 2; 3 has come back; 4 never left.
INSERT INTO employments VALUES
  (11, 1, 'Mentor', current_timestamp - INTERVAL '6' YEAR - INTERVAL '2' DAY), (21, 2, 'Mentor', current_timestamp - INTERVAL '6' YEAR + INTERVAL '2' DAY),
  (31, 3, 'Cook', current_timestamp - INTERVAL '9' YEAR), (32, 3, 'Cook', NULL), (41, 4, 'Driver', NULL);
INSERT INTO personnel_documents VALUES (1, 1, 'contract', 'contract.pdf'), (2, 1, 'sickness', 'note.pdf'), (3, 2, 'contract', 'contract.pdf'), (4, 3, 'contract', 'contract.pdf');
