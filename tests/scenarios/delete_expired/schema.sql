CREATE TABLE enquiries (
  id          integer PRIMARY KEY,
  enquired_at ${instant} NULL,
  email       varchar(100)
);
CREATE INDEX enquiries_enquired_at ON enquiries (enquired_at);

INSERT INTO enquiries VALUES
  (1, current_timestamp - INTERVAL '7' MONTH, 'older-than-six-months@example.org'),
  (2, current_timestamp - INTERVAL '5' MONTH, 'younger-than-six-months@example.org'),
  (3, current_timestamp - INTERVAL '3' YEAR,  'much-older@example.org'),
  (4, NULL,                                   'nobody-knows-when@example.org'),
  (5, current_timestamp,                      'now@example.org');
