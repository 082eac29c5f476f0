-- A site for one subject, which knows nothing but the name to log in with. These differ by case, a blank and an accent.
CREATE TABLE members (id integer PRIMARY KEY, username varchar(40) NOT NULL, last_seen_from varchar(40) NULL);
INSERT INTO members VALUES
  (1, 'mina.q', '192.0.2.61'), (2, 'Mina.Q', '192.0.2.62'), (3, 'mina.q ', '192.0.2.63'), (4, 'miná.q', '192.0.2.64'),
  (5, 'mina_q', '192.0.2.65');
