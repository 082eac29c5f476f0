CREATE TABLE marks (id bigint PRIMARY KEY, made_at ${instant});
INSERT INTO marks VALUES
  (-9223372036854775808, now() - interval '2 years'), (-1, now() - interval '2 years'), (0, now()),
  (1, now() - interval '2 years'), (9223372036854775807, now() - interval '2 years'), (7, now());
