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
    /// the session lasts, on PostgreSQL its transaction, which a pooler gives to nobody else: 1, or 0 where
    /// somebody else has it.
    pub fn take(self) -> Bound {
        self.write(
            "SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('oubliette_bench', 0))::int::bigint",
            "SELECT CAST(GET_LOCK('oubliette_bench', 0) AS SIGNED)",
        )
    }

    /// How many there are of: schemas of its names, and tables that only a benchmark makes in each.
    pub fn look(self) -> Bound {
        self.write(
            "SELECT (SELECT count(*) FROM pg_catalog.pg_namespace \
             WHERE nspname IN ('oubliette_bench', 'oubliette_bench_ledger')), \
             (SELECT count(*) FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE n.nspname IN ('oubliette_bench', 'oubliette_bench_ledger') \
             AND c.relname = 'made_by_oubliette_bench')",
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
            (schemas, marks) if marks < schemas => Found::Foreign,
            _ => Found::Own,
        }
    }

    /// Counts publications of every table that there is or will be, by which what is made would go to
    /// subscribers that lack it and stop there for good. `None`: the engine has none.
    pub fn published(self) -> Option<Bound> {
        let all = "SELECT count(*) FROM pg_catalog.pg_publication WHERE puballtables";
        (self.0 == Engine::Postgres).then(|| Bound::fixed(all, vec![]))
    }

    /// Makes it, with the tables by which it is known again, in one session.
    pub fn make(self) -> Vec<Bound> {
        match self.0 {
            // Both or neither, as statements that are sent together are.
            Engine::Postgres => vec![Bound::fixed(
                "CREATE SCHEMA oubliette_bench \
                 CREATE TABLE made_by_oubliette_bench (n integer PRIMARY KEY); \
                 CREATE SCHEMA oubliette_bench_ledger \
                 CREATE TABLE made_by_oubliette_bench (n integer PRIMARY KEY)",
                vec![],
            )],
            // Filters of replicas go by the database that is in use.
            Engine::MySql | Engine::MariaDb => [
                "CREATE DATABASE oubliette_bench",
                "USE oubliette_bench",
                "CREATE TABLE made_by_oubliette_bench (n integer PRIMARY KEY)",
            ]
            .map(|text| Bound::fixed(text, vec![]))
            .into(),
        }
    }

    /// Removes all of it. Each mark goes with its schema, so that what is left of an end in the
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_without_its_mark_is_somebody_elses_beside_one_that_has_it() {
        for (schemas, marks, found) in [
            (0, 0, Found::Nothing),
            (1, 1, Found::Own),
            (2, 2, Found::Own),
            (1, 0, Found::Foreign),
            (2, 1, Found::Foreign),
        ] {
            assert_eq!(PlaceSql::found(schemas, marks), found, "{schemas}, {marks}");
        }
    }
}
