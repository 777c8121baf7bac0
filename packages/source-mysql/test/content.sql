CREATE DATABASE shop DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE DATABASE `Straße/50%` DEFAULT CHARACTER SET utf8mb4;
CREATE DATABASE `a``b -- '"`;
CREATE DATABASE empty;
USE shop;
CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL, note TEXT, UNIQUE KEY (name)) COMMENT 'it''s "quoted" \\ `too`
-- Current Database: `empty`';
INSERT INTO customers (name, note) VALUES ('Zoë', 'line\nbreak\r\n\0nul\Zsub'), ('O''Brien \\', NULL), ('"; DROP', '\\'), ('),(', '); -- x'), ('日本', '');
CREATE TABLE orders (
  id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, total DECIMAL(12,2) NOT NULL, ratio DOUBLE, weight FLOAT,
  state ENUM('new','it''s') NOT NULL DEFAULT 'new', flags SET('a','b'), bits BIT(9), raw VARBINARY(300), big LONGBLOB,
  at TIMESTAMP(6) NOT NULL DEFAULT '2026-01-01 00:00:00', day DATE, span TIME(3), year YEAR, doc JSON, place POINT,
  cents INT AS (total * 100) VIRTUAL, kept INT AS (customer + 1) PERSISTENT,
  CONSTRAINT fk FOREIGN KEY (customer) REFERENCES customers (id), CHECK (total >= 0), KEY (day)
);
INSERT INTO orders (customer, total, ratio, weight, state, flags, bits, raw, big, at, day, span, year, doc, place) VALUES
  (1, 12.34, 1e-300, 0.1, 'it''s', 'a,b', b'101010101', X'00270A5C22FF', REPEAT(X'27', 5000), '2026-03-29 01:30:00.123456', '0001-01-01', '-838:59:59', 1999, '{"a": "\\"b\\n"}', POINT(1.5, -2)),
  (2, 0, NULL, NULL, 'new', '', NULL, '', NULL, '2026-03-29 02:30:00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders (customer, total, raw) SELECT 1 + seq MOD 5, seq / 7, UNHEX(SHA2(seq, 256)) FROM seq_1_to_3000;
CREATE TABLE `odd
-- Current Database: ``empty``` (`col``umn` INT, `VALUES` INT) ENGINE=Aria;
INSERT INTO `odd
-- Current Database: ``empty``` VALUES (2, 1), (1, 2);
CREATE TABLE `VALUES` (`VALUES` VARCHAR(20)) PARTITION BY KEY (`VALUES`) PARTITIONS 3;
INSERT INTO `VALUES` VALUES ('VALUES ('), (NULL);
CREATE TABLE nothing (id INT) ENGINE=MyISAM;
CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 5;
SELECT NEXT VALUE FOR numbers;
CREATE TABLE log (id BIGINT PRIMARY KEY DEFAULT (NEXT VALUE FOR numbers), text TEXT);
DELIMITER //
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC COMMENT 'a;b' RETURN x * 2//
CREATE PROCEDURE note(IN t TEXT) BEGIN
  -- Current Database: `empty`
  /* kept; */ INSERT INTO log (text) VALUES (CONCAT(t, ';
-- Dump completed
'));
END//
CREATE TRIGGER second BEFORE INSERT ON log FOR EACH ROW SET NEW.text = CONCAT(NEW.text, '2')//
CREATE TRIGGER first BEFORE INSERT ON log FOR EACH ROW PRECEDES second SET NEW.text = CONCAT(NEW.text, '1')//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2026-12-01 03:00:00' COMMENT 'at three' DO BEGIN DELETE FROM log; SELECT 'x;'; END//
DELIMITER ;
CREATE VIEW totals AS SELECT c.name, twice(COUNT(*)) AS twice, 'it''s\n`' AS quoted FROM customers c JOIN orders o ON o.customer = c.id GROUP BY c.name;
CREATE VIEW `above` AS SELECT * FROM totals WHERE twice > 2;
USE `Straße/50%`;
CREATE TABLE `Tür` (`größe` INT PRIMARY KEY);
INSERT INTO `Tür` VALUES (3), (1), (2);
CREATE VIEW across AS SELECT * FROM shop.customers;
USE `a``b -- '"`;
CREATE TABLE `t``t` (a INT, b INT, KEY (b));
INSERT INTO `t``t` VALUES (1, 1);
CREATE ROLE reader;
CREATE ROLE writer;
GRANT SELECT ON shop.* TO reader;
GRANT reader TO writer;
CREATE USER clerk@'10.%' IDENTIFIED BY 'cl''erk "\\' WITH MAX_USER_CONNECTIONS 3;
CREATE USER old ACCOUNT LOCK;
GRANT writer TO clerk@'10.%';
SET DEFAULT ROLE writer FOR clerk@'10.%';
GRANT EXECUTE ON PROCEDURE shop.note TO clerk@'10.%';
GRANT SELECT (name), UPDATE (name) ON shop.customers TO old WITH GRANT OPTION;
GRANT SELECT ON shop.totals TO old;
