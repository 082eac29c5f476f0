CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL, full_name varchar(100));
INSERT INTO learners (id, left_at, full_name) VALUES (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett'), (2, current_timestamp, 'Ibrahim Cole');

CREATE TABLE learners_log (id integer, full_name varchar(100));
CREATE FUNCTION keep_learner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ${schema} AS $$
BEGIN INSERT INTO learners_log VALUES (OLD.id, OLD.full_name); RETURN OLD; END $$;
CREATE TRIGGER keep_a_copy AFTER DELETE ON learners FOR EACH ROW EXECUTE FUNCTION keep_learner();
