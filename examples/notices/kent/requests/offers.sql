-- What a processor sends offers by.
CREATE TABLE subscribers (id integer PRIMARY KEY, address varchar(100) NOT NULL, interests varchar(100) NULL);
INSERT INTO subscribers VALUES (1, 'barnaby@example.org', 'glazes'), (2, ' Cordelia@example.org', 'wood-fired kilns'), (3, 'córdelia@example.org', 'clay');
