INSERT INTO people VALUES
  (1, 'Ada Bennett', 'ada.bennett@example.org', current_timestamp - INTERVAL '25' YEAR),
  (2, 'Ibrahim Cole', 'ibrahim.cole@example.org', current_timestamp - INTERVAL '25' YEAR),
  (3, 'Planted Three', 'planted-3@example.org', current_timestamp - INTERVAL '14' YEAR - INTERVAL '2' DAY),
  (4, 'Planted Four', 'planted-4@example.org', current_timestamp - INTERVAL '14' YEAR + INTERVAL '2' DAY),
  (5, 'Planted Five', NULL, current_timestamp - INTERVAL '25' YEAR),
  (6, 'Planted Six', NULL, NULL);
INSERT INTO emergency_contacts VALUES (1, 1, 'Planted Mother', '020 7946 0001'), (2, 2, 'Planted Father', '020 7946 0002'), (3, 3, 'Planted Friend', '020 7946 0003');
-- 1 and 2: twice; 3 and 4: never; 5: waits for a place; 6: never, and nobody knows since when.
INSERT INTO enrolments VALUES
  (11, 1, 'Welsh', current_timestamp - INTERVAL '20' YEAR), (12, 1, 'Pottery', current_timestamp - INTERVAL '14' YEAR - INTERVAL '2' DAY),
  (21, 2, 'Welsh', current_timestamp - INTERVAL '20' YEAR), (22, 2, 'Pottery', current_timestamp - INTERVAL '14' YEAR + INTERVAL '2' DAY),
  (51, 5, 'Welsh', current_timestamp - INTERVAL '20' YEAR), (52, 5, 'Welsh', NULL);
INSERT INTO payments VALUES
  (1, 11, 4500, current_timestamp - INTERVAL '20' YEAR), (2, 12, 4500, current_timestamp - INTERVAL '14' YEAR), (3, 21, 4500, current_timestamp - INTERVAL '20' YEAR);
INSERT INTO support_plans VALUES (1, 12, 'large print'), (2, 22, 'large print');
-- Out of reach already: 90 for a year and two days, 91 for two days less than a year.
INSERT INTO ${sealed}.people VALUES
  (90, 'Planted Ninety', NULL, current_timestamp - INTERVAL '30' YEAR, current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY, 'earlier'),
  (91, 'Planted Ninety-one', NULL, current_timestamp - INTERVAL '30' YEAR, current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY, 'earlier');
INSERT INTO ${sealed}.enrolments VALUES
  (901, 90, 'Welsh', current_timestamp - INTERVAL '20' YEAR, current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY, 'earlier'),
  (911, 91, 'Welsh', current_timestamp - INTERVAL '20' YEAR, current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY, 'earlier');
