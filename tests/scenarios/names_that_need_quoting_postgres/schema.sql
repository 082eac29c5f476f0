CREATE TABLE "Order" (
  "select" integer PRIMARY KEY,
  "left ""at""" timestamp with time zone,
  "Naïve; DROP TABLE" varchar(20)
);
INSERT INTO "Order" VALUES (1, now() - interval '2 years', 'a'), (2, now(), 'b');
