//! The benchmark's own schema: how it is made, known again and removed.

use super::text::Text;
use crate::catalog::Engine;
use crate::sql::Bound;

/// What is found under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What a benchmark made.
    Own,
    /// Something that somebody else made.
    Foreign,
}

/// Statements about it.
#[derive(Clone, Copy, Debug)]
pub struct PlaceSql(pub Engine);

impl PlaceSql {
    fn write(self, postgres: &'static str, innodb: &'static str) -> Bound {
        let mut text = Text::new(self.0, &[], &[]);
        text.say(match self.0 {
            Engine::Postgres => postgres,
            Engine::MySql | Engine::MariaDb => innodb,
        });
        text.finish()
    }

    /// Takes the only place for a benchmark in the schema's database (InnoDB: on the server), for as long as
    /// the session lasts: 1, or 0 where somebody else has it.
    pub fn take(self) -> Bound {
        self.write(
            "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('oubliette_bench', 0))::int::bigint",
            "SELECT CAST(GET_LOCK('oubliette_bench', 0) AS SIGNED)",
        )
    }

    /// How many there are of: schemas of its names, and tables that only a benchmark makes in one.
    pub fn look(self) -> Bound {
        self.write(
            "SELECT (SELECT count(*) FROM pg_catalog.pg_namespace \
             WHERE nspname IN ('oubliette_bench', 'oubliette_bench_ledger')), \
             (SELECT count(*) FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'oubliette_bench' AND c.relname = 'made_by_oubliette_bench')",
            "SELECT (SELECT count(*) FROM information_schema.schemata \
             WHERE schema_name = 'oubliette_bench'), \
             (SELECT count(*) FROM information_schema.tables \
             WHERE table_schema = 'oubliette_bench' AND table_name = 'made_by_oubliette_bench')",
        )
    }

    /// What its answer says.
    pub fn found(schemas: i64, marks: i64) -> Found {
        match (schemas, marks) {
            (0, _) => Found::Nothing,
            (_, 0) => Found::Foreign,
            _ => Found::Own,
        }
    }

    /// Makes it, with the table by which it is known again.
    pub fn make(self) -> [Bound; 2] {
        let name = self.write(
            "CREATE SCHEMA oubliette_bench",
            "CREATE DATABASE oubliette_bench",
        );
        let mark = "CREATE TABLE oubliette_bench.made_by_oubliette_bench (n integer PRIMARY KEY)";
        [name, self.write(mark, mark)]
    }

    /// Removes all of it. The mark goes last or with the rest, so that what is left of an end in the
    /// middle is known again.
    pub fn remove(self) -> Vec<Bound> {
        match self.0 {
            Engine::Postgres => vec![
                Bound::fixed(
                    "DROP SCHEMA IF EXISTS oubliette_bench_ledger CASCADE",
                    vec![],
                ),
                Bound::fixed("DROP SCHEMA IF EXISTS oubliette_bench CASCADE", vec![]),
            ],
            Engine::MySql | Engine::MariaDb => {
                vec![Bound::fixed(
                    "DROP DATABASE IF EXISTS oubliette_bench",
                    vec![],
                )]
            }
        }
    }
}
