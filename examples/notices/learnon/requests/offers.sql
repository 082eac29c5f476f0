CREATE TABLE profiles (id integer PRIMARY KEY, email varchar(100) NOT NULL, score integer NOT NULL, guess varchar(60) NULL);
CREATE TABLE mailings (id integer PRIMARY KEY, address varchar(100) NOT NULL, subject varchar(60) NOT NULL);
INSERT INTO profiles VALUES (1, 'minty@example.org', 71, 'spins wool'), (2, 'silas@example.org', 17, 'spins yarns'), (3, 'mínty@example.org', 7, NULL);
INSERT INTO mailings VALUES (1, 'silas@example.org', 'Looms'), (2, 'Minty@example.org ', 'Looms'), (3, 'minty@example.com', 'Looms');
