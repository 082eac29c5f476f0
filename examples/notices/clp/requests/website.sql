CREATE TABLE newsletter (id integer PRIMARY KEY, phone varchar(30) NOT NULL, first_name varchar(60) NULL);
CREATE TABLE bookings (id integer PRIMARY KEY, email varchar(100) NOT NULL, phone varchar(30) NULL, event varchar(60) NOT NULL);
INSERT INTO newsletter VALUES (1, '07700900311', 'Jose'), (2, '07700900312', 'Ana'), (3, '07700 900 313', 'Perry');
-- Booked by one of the household for both.
INSERT INTO bookings VALUES (1, 'thistlewoods@example.org', '07700900311', 'Open day'), (2, 'thistlewoods@example.org', '07700900312', 'Fair'),
  (3, 'ashdown@example.org', '07700900313', 'Open day');
