CREATE TABLE stores (id integer PRIMARY KEY, closed_at ${instant} NULL, manager_id integer NULL);
CREATE TABLE staff (id integer PRIMARY KEY, store_id integer NOT NULL, FOREIGN KEY (store_id) REFERENCES stores (id));
CREATE INDEX staff_store ON staff (store_id);
ALTER TABLE stores ADD FOREIGN KEY (manager_id) REFERENCES staff (id);
CREATE INDEX stores_manager ON stores (manager_id);
INSERT INTO stores VALUES (1, current_timestamp - INTERVAL '2' YEAR, NULL), (2, NULL, NULL);
INSERT INTO staff VALUES (1, 1), (2, 2);
UPDATE stores SET manager_id = 1;
