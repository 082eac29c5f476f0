-- The published rows lie in the parent alone, the leaves have no keys, and what refers to customers and rentals has no
-- indexes: the plan asks for these. Here every leaf has some of the rows, and a key by which rows that two ways lead to are told
-- apart.

CREATE INDEX ON rental (customer_id);
CREATE INDEX ON payment (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 1 RETURNING *)
INSERT INTO payment_p2007_01 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-01-15 12:00' FROM moved;
ALTER TABLE payment_p2007_01 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_01 (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 2 RETURNING *)
INSERT INTO payment_p2007_02 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-02-15 12:00' FROM moved;
ALTER TABLE payment_p2007_02 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_02 (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 3 RETURNING *)
INSERT INTO payment_p2007_03 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-03-15 12:00' FROM moved;
ALTER TABLE payment_p2007_03 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_03 (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 4 RETURNING *)
INSERT INTO payment_p2007_04 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-04-15 12:00' FROM moved;
ALTER TABLE payment_p2007_04 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_04 (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 5 RETURNING *)
INSERT INTO payment_p2007_05 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-05-15 12:00' FROM moved;
ALTER TABLE payment_p2007_05 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_05 (rental_id);

WITH moved AS (DELETE FROM ONLY payment WHERE payment_id % 7 = 6 RETURNING *)
INSERT INTO payment_p2007_06 SELECT payment_id, customer_id, staff_id, rental_id, amount, timestamp '2007-06-15 12:00' FROM moved;
ALTER TABLE payment_p2007_06 ADD PRIMARY KEY (payment_id);
CREATE INDEX ON payment_p2007_06 (rental_id);
