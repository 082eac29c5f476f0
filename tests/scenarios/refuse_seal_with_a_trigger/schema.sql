CREATE TABLE learners (id integer PRIMARY KEY, name varchar(40) NOT NULL, left_at ${instant} NULL);
CREATE SCHEMA ${sealed};
CREATE FUNCTION ${sealed}.extra() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION ${sealed}.extra() OWNER TO pg_monitor;
CREATE FUNCTION ${sealed}.carry() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE ${sealed}.learners (LIKE learners, sealed_at ${sealed_at} NOT NULL, sealed_by ${sealed_by} NOT NULL,
  extra integer DEFAULT ${sealed}.extra(), taken ${instant} DEFAULT now(), PRIMARY KEY (id, sealed_at));
CREATE TRIGGER carry BEFORE INSERT ON ${sealed}.learners FOR EACH ROW EXECUTE FUNCTION ${sealed}.carry();
CREATE RULE carry AS ON INSERT TO ${sealed}.learners DO ALSO NOTHING;
INSERT INTO learners VALUES (1, 'Planted One', current_timestamp - INTERVAL '7' YEAR), (2, 'Planted Two', current_timestamp);
