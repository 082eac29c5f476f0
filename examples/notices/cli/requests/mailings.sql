CREATE TABLE contacts (id integer PRIMARY KEY, address varchar(100) NOT NULL, wants varchar(60) NULL);
INSERT INTO contacts VALUES (1, 'sallow@example.org', 'recipes'), (2, 'Leo@example.org', 'vacancies'), (3, 'léo@example.org', 'vacancies'),
  (4, 'odell@example.org', 'everything');
