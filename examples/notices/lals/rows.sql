INSERT INTO learners VALUES
  (1, '1000000001', 'Ada Bennett', '1970-05-17', current_timestamp - INTERVAL '25' YEAR),
  (2, '1000000002', 'Ibrahim Cole', '1970-05-17', current_timestamp - INTERVAL '25' YEAR),
  (3, '1000000003', 'Planted Three', '1970-05-17', current_timestamp - INTERVAL '25' YEAR),
  (4, NULL, 'Planted Four', NULL, current_timestamp - INTERVAL '20' YEAR - INTERVAL '2' DAY),
  (5, NULL, 'Planted Five', NULL, current_timestamp - INTERVAL '20' YEAR + INTERVAL '2' DAY),
  (6, '1000000006', 'Planted Six', '1970-05-17', current_timestamp - INTERVAL '25' YEAR),
  (7, '1000000007', 'Planted Seven', '1970-05-17', current_timestamp - INTERVAL '25' YEAR);
-- 1: the newest is over for long enough; 2: not yet; 3: one goes on; 4 and 5: none; 6 and 7: old, and somebody asked.
INSERT INTO enrolments VALUES
  (11, 1, 'Welsh', current_timestamp - INTERVAL '24' YEAR, current_timestamp - INTERVAL '23' YEAR),
  (12, 1, 'Pottery', current_timestamp - INTERVAL '22' YEAR, current_timestamp - INTERVAL '20' YEAR - INTERVAL '2' DAY),
  (21, 2, 'Welsh', current_timestamp - INTERVAL '24' YEAR, current_timestamp - INTERVAL '23' YEAR),
  (22, 2, 'Pottery', current_timestamp - INTERVAL '21' YEAR, current_timestamp - INTERVAL '20' YEAR + INTERVAL '2' DAY),
  (31, 3, 'Welsh', current_timestamp - INTERVAL '24' YEAR, current_timestamp - INTERVAL '23' YEAR),
  (32, 3, 'Welsh', current_timestamp - INTERVAL '23' YEAR, NULL),
  (61, 6, 'Welsh', current_timestamp - INTERVAL '24' YEAR, current_timestamp - INTERVAL '23' YEAR),
  (71, 7, 'Welsh', current_timestamp - INTERVAL '24' YEAR, current_timestamp - INTERVAL '23' YEAR);
INSERT INTO attendance_marks VALUES
  (1, 11, current_timestamp - INTERVAL '24' YEAR, 'p'), (2, 12, current_timestamp - INTERVAL '22' YEAR, 'a'), (3, 22, current_timestamp - INTERVAL '21' YEAR, 'p');
INSERT INTO achievements VALUES (1, 12, 'Level 1', current_timestamp - INTERVAL '20' YEAR), (2, 21, 'Level 1', current_timestamp - INTERVAL '20' YEAR);
INSERT INTO learner_documents VALUES (1, 1, 'agreement.pdf'), (2, 4, 'agreement.pdf'), (3, 5, 'agreement.pdf');
INSERT INTO audit_queries VALUES (1, 6, 'open'), (2, 7, 'closed');
-- 1 July 2018 began at 23:00 UTC in Leicester.
INSERT INTO contact_preferences VALUES
  (1, 2, 'yes', 'no', 'yes', '2018-06-30 22:59:59'), (2, 3, 'yes', 'yes', 'yes', '2018-06-30 23:00:00'),
  (3, 5, 'yes', 'no', 'no', '2019-01-15 10:00:00'), (4, 6, 'yes', 'yes', 'yes', NULL),
  (5, 6, 'no', 'no', 'no', '2017-03-01 10:00:00'), (6, 1, 'yes', 'yes', 'yes', '2016-03-01 10:00:00');
INSERT INTO mi_returns VALUES
  (1, 'R10', current_timestamp - INTERVAL '31' DAY), (2, 'R11', current_timestamp - INTERVAL '29' DAY), (3, 'R12', NULL);
INSERT INTO return_answers VALUES
  (1, 1, 2, 'ZZ1 1ZZ', 'bus', 'radio'), (2, 2, 2, 'ZZ1 1ZZ', 'bus', 'radio'), (3, 3, 3, 'ZZ1 1ZZ', 'bus', NULL),
  (4, NULL, 5, 'ZZ1 1ZZ', 'car', NULL), (5, 1, 5, 'ZZ1 1ZZ', NULL, 'radio'), (6, 1, 7, 'ZZ1 1ZZ', 'bus', NULL);
