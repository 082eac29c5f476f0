-- The learning platform, in which a learner is a number and has a name to log in with.
CREATE TABLE mdl_user (
  id integer PRIMARY KEY, idnumber varchar(20) NULL, username varchar(40) NOT NULL, first_name varchar(40) NOT NULL
);
CREATE TABLE mdl_forum_posts (
  id integer PRIMARY KEY, user_id integer NOT NULL, message varchar(200) NOT NULL,
  FOREIGN KEY (user_id) REFERENCES mdl_user (id)
);
CREATE INDEX mdl_forum_posts_user ON mdl_forum_posts (user_id);
CREATE TABLE mdl_messages (
  id integer PRIMARY KEY, from_user integer NULL, to_user integer NULL, message varchar(200) NULL,
  FOREIGN KEY (from_user) REFERENCES mdl_user (id), FOREIGN KEY (to_user) REFERENCES mdl_user (id)
);
CREATE INDEX mdl_messages_from ON mdl_messages (from_user);
CREATE INDEX mdl_messages_to ON mdl_messages (to_user);
INSERT INTO mdl_user VALUES
  (1, '70413529', 'otto', 'Ottoline'), (2, '704135291', 'mina.q', 'Wilhelmina'), (3, '7041352910', 'minna', 'Minna'), (4, NULL, 'tutor', 'Tutor');
INSERT INTO mdl_forum_posts VALUES (1, 2, 'Quartermain was here'), (2, 1, 'Latin is hard'), (3, 2, 'So it is');
-- 1 and 2 are two persons' rows.
INSERT INTO mdl_messages VALUES (1, 2, 1, 'ring me on 07700 900461'), (2, 1, 2, 'thank you'), (3, 4, 1, 'homework');
