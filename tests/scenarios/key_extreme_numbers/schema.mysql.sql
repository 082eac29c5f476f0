CREATE TABLE marks (id bigint unsigned PRIMARY KEY, made_at timestamp NULL);
INSERT INTO marks VALUES
  (18446744073709551615, now() - interval 2 year), (9223372036854775808, now() - interval 2 year), (9223372036854775807, now() - interval 2 year), (0, now()),
  (1, now() - interval 2 year), (7, now());
