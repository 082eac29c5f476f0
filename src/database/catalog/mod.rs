//! What the catalogs say of the tables a policy names and of everything that hangs on them.
//!
//! Owns the reading; what follows from it is `oubliette_core::plan`'s. Statements are fixed texts
//! with bound names and run in a reading transaction.

mod answer;
mod mysql;
mod mysql_grants;
mod mysql_references;
mod postgres;
mod postgres_text;
mod readers;
mod survey;

use oubliette_core::catalog::{Catalog, Engine, Table};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::Bound;

pub(super) use self::answer::harmless;
pub use self::mysql::may_exchange;
pub use self::readers::readers;
pub use self::survey::{survey, survey_stored};
use super::fault::{Fault, FaultClass};
use super::session::Tx;

/// Reads the facts of `wanted`, of the tables that reference them at any depth, and of those they
/// reference themselves.
pub async fn inspect(tx: &mut Tx, wanted: &[TableName]) -> Result<Catalog, Fault> {
    match tx.engine() {
        Engine::Postgres => postgres::inspect(tx, wanted).await,
        Engine::MySql | Engine::MariaDb => mysql::inspect(tx, wanted).await,
    }
}

/// The tables that the user may know of: those of all schemas on PostgreSQL, of the connected database
/// on MySQL and MariaDB; not the system's, and no partitions by themselves. One whose name is none is
/// left out.
pub async fn tables(tx: &mut Tx) -> Result<Vec<TableName>, Fault> {
    let text = match tx.engine() {
        Engine::Postgres => postgres_text::ALL_TABLES,
        Engine::MySql | Engine::MariaDb => mysql::ALL_TABLES,
    };
    let mut names = Vec::new();
    for row in tx.rows(&Bound::fixed(text, Vec::new())).await? {
        let mut answer = answer::Answer::new(row);
        names.extend(table_name(&answer.text()?, &answer.text()?).ok());
    }
    Ok(names)
}

fn ident(name: &str) -> Result<Ident, Fault> {
    Ident::new(name).map_err(|_| {
        Fault::own(
            FaultClass::Other,
            "the catalog holds a name with control characters or more than 64 characters",
        )
    })
}

fn table_name(schema: &str, table: &str) -> Result<TableName, Fault> {
    Ok(TableName::qualified(ident(schema)?, ident(table)?))
}

/// Notes that whoever reads a generated column reads what it is made from.
fn made_from(table: &mut Table, generated: &Ident, sources: &[Ident]) {
    for index in &mut table.indexes {
        if index.compares.contains(generated) || index.reads.contains(generated) {
            let more = sources.iter().filter(|name| !index.compares.contains(name));
            index.reads.extend(more.cloned());
        }
    }
    for check in &mut table.checks {
        if check.columns.contains(generated) {
            check.columns.extend_from_slice(sources);
        }
    }
}

/// Endings of the copies that online schema changes and careful people leave behind.
const ENDINGS: [&str; 5] = ["_old", "_new", "_gho", "_ghc", "_del"];

/// Whether `candidate` looks like a leftover copy of `table`: `t_old`, `_t_new`, `__t_old` (pt-osc),
/// `_t_gho`, `_t_20260102030405_del` (gh-ost).
fn is_copy(table: &str, candidate: &str) -> bool {
    let stem = |name: &str| name.trim_start_matches('_').to_owned();
    ENDINGS.iter().any(|ending| {
        candidate.strip_suffix(ending).is_some_and(|rest| {
            let rest = stem(rest);
            let undated = rest
                .trim_end_matches(|c: char| c.is_ascii_digit())
                .strip_suffix('_')
                .unwrap_or(&rest);
            rest == stem(table) || undated == stem(table)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_schema_changes_are_recognised() {
        for copy in [
            "people_old",
            "_people_new",
            "__people_old",
            "_people_gho",
            "_people_20260102030405_del",
        ] {
            assert!(is_copy("people", copy), "{copy}");
        }
        for other in ["people", "people_older", "our_people_old", "older_people"] {
            assert!(!is_copy("people", other), "{other}");
        }
    }
}
