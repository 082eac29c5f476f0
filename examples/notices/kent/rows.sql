INSERT INTO people (id, full_name, email, first_contact_on) VALUES
  (1, 'Ada Bennett', 'ada.bennett@example.org', current_timestamp - INTERVAL '25' YEAR),
  (2, 'Ibrahim Cole', 'ibrahim.cole@example.org', current_timestamp - INTERVAL '25' YEAR),
  (3, 'Planted Three', 'planted-3@example.org', current_timestamp - INTERVAL '14' YEAR - INTERVAL '2' DAY),
  (4, 'Planted Four', 'planted-4@example.org', current_timestamp - INTERVAL '14' YEAR + INTERVAL '2' DAY),
  (5, 'Planted Five', NULL, current_timestamp - INTERVAL '25' YEAR),
  (6, 'Planted Six', NULL, NULL);
-- Consented to offers and to pictures: 2 and 4 do not any more, 2 for three days, 4 since today.
UPDATE people SET photo_file = 'planted.jpg', offers_by = 'email' WHERE id IN (2, 4, 5);
UPDATE people SET withdrawn_on = current_timestamp - INTERVAL '3' DAY WHERE id = 2;
UPDATE people SET withdrawn_on = current_timestamp WHERE id = 4;
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
INSERT INTO ${sealed}.people (id, full_name, email, first_contact_on, sealed_at, sealed_by) VALUES
  (90, 'Planted Ninety', NULL, current_timestamp - INTERVAL '30' YEAR, current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY, 'earlier'),
  (91, 'Planted Ninety-one', NULL, current_timestamp - INTERVAL '30' YEAR, current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY, 'earlier');
INSERT INTO ${sealed}.enrolments VALUES
  (901, 90, 'Welsh', current_timestamp - INTERVAL '20' YEAR, current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY, 'earlier'),
  (911, 91, 'Welsh', current_timestamp - INTERVAL '20' YEAR, current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY, 'earlier');
-- Alike in decade and course: with 3, which is done already, exactly three; 4 to 7 are more. 8 and 9 are two, and not due.
INSERT INTO course_statistics VALUES
  (1, 'Planted One', '1980-02-29', 'Welsh', current_timestamp - INTERVAL '1' YEAR - INTERVAL '2' DAY),
  (2, 'Planted Two', '1989-12-31', 'Welsh', current_timestamp - INTERVAL '2' YEAR),
  (3, NULL, '1980-01-01', 'Welsh', current_timestamp - INTERVAL '3' YEAR),
  (4, 'Planted Four', '1990-01-01', 'Pottery', current_timestamp - INTERVAL '2' YEAR),
  (5, 'Planted Five', '1992-02-02', 'Pottery', current_timestamp - INTERVAL '2' YEAR),
  (6, 'Planted Six', '1993-03-03', 'Pottery', current_timestamp - INTERVAL '2' YEAR),
  (7, 'Planted Seven', '1999-12-31', 'Pottery', current_timestamp - INTERVAL '2' YEAR),
  (8, 'Planted Eight', '1970-07-07', 'Pottery', current_timestamp - INTERVAL '1' YEAR + INTERVAL '2' DAY),
  (9, 'Planted Nine', '1971-07-07', 'Pottery', NULL);
