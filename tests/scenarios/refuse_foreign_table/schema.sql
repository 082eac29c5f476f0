CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', dbname 'nowhere');
CREATE FOREIGN TABLE learners (id integer, left_at timestamp with time zone) SERVER elsewhere OPTIONS (table_name 'learners');
