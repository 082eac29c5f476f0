CREATE TABLE in_seconds (id integer PRIMARY KEY, made bigint);
CREATE TABLE in_milliseconds (id integer PRIMARY KEY, made bigint);
CREATE TABLE in_microseconds (id integer PRIMARY KEY, made bigint);
CREATE TABLE in_days (id integer PRIMARY KEY, made integer);
-- 1577836800 is 2020-01-01, 4102444800 is 2100-01-01; 0 and below are no dates.
INSERT INTO in_seconds VALUES (1, 1577836800), (2, 4102444800), (3, 0), (4, -5), (5, NULL), (6, 1577836800000);
INSERT INTO in_milliseconds VALUES (1, 1577836800000), (2, 4102444800000), (3, 0), (4, 86399999), (5, NULL);
INSERT INTO in_microseconds VALUES (1, 1577836800000000), (2, 4102444800000000), (3, 0), (4, 1577836800), (5, NULL);
INSERT INTO in_days VALUES (1, 18262), (2, 47482), (3, 0), (4, -1), (5, NULL);
