CREATE TABLE `Order` (
  `select` integer PRIMARY KEY,
  `left "at"` timestamp NULL,
  `Naïve; DROP TABLE` varchar(20)
);
INSERT INTO `Order` VALUES (1, now() - interval 2 year, 'a'), (2, now(), 'b');
