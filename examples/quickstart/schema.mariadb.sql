-- The tables that the quickstart's policies speak of.
CREATE TABLE learners (
  id          bigint AUTO_INCREMENT PRIMARY KEY,
  learner_no  varchar(12) NOT NULL UNIQUE,
  full_name   varchar(200) NOT NULL,
  email       varchar(320) NOT NULL,
  phone       varchar(40),
  born_on     date,
  income      int,
  joined_on   date NOT NULL,
  left_on     date
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE enrolments (
  id          bigint AUTO_INCREMENT PRIMARY KEY,
  learner_id  bigint NOT NULL,
  course      varchar(100) NOT NULL,
  started_on  date NOT NULL,
  ended_on    date,
  FOREIGN KEY (learner_id) REFERENCES learners (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE enquiries (
  id          bigint AUTO_INCREMENT PRIMARY KEY,
  full_name   varchar(200) NOT NULL,
  email       varchar(320) NOT NULL,
  course      varchar(100) NOT NULL,
  status      varchar(20) NOT NULL,
  enquired_at datetime,
  KEY (enquired_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE enquiry_notes (
  id          bigint AUTO_INCREMENT PRIMARY KEY,
  enquiry_id  bigint NOT NULL,
  body        text NOT NULL,
  noted_at    datetime NOT NULL,
  FOREIGN KEY (enquiry_id) REFERENCES enquiries (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE messages (
  id          bigint AUTO_INCREMENT PRIMARY KEY,
  sender_id   bigint NOT NULL,
  body        text NOT NULL,
  sent_ms     bigint NOT NULL,
  FOREIGN KEY (sender_id) REFERENCES learners (id),
  KEY (sent_ms)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
