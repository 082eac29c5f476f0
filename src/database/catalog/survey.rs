//! Every table of a database with its columns, whoever may read it: what nobody has thought of is
//! mostly what nobody was given rights on.
//!
//! Reads names and types only. PostgreSQL's catalog hides nothing. On MySQL and MariaDB
//! `information_schema` shows what the user has rights on, and InnoDB's own dictionary the rest, to
//! whoever has PROCESS.

use std::collections::{BTreeMap, BTreeSet};

use oubliette_core::catalog::Engine;
use oubliette_core::coverage::{SeenColumn, SeenTable};
use oubliette_core::name::TableName;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::answer::Answer;
use super::{mysql, table_name};
use crate::database::fault::{Fault, FaultClass};
use crate::database::session::Tx;

/// Relations of these kinds, but for partitions, the system's, temporary ones and those of extensions.
/// Domains are followed to what they are made of.
macro_rules! relations {
    ($kinds:literal) => {
        concat!(
            r"
WITH RECURSIVE made AS (
    SELECT t.oid AS type, t.typname, t.typbasetype
    FROM pg_catalog.pg_type t
    UNION ALL
    SELECT made.type, b.typname, b.typbasetype
    FROM made
    JOIN pg_catalog.pg_type b ON b.oid = made.typbasetype
)
SELECT n.nspname, c.relname, a.attname, made.typname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN made ON made.type = a.atttypid AND made.typbasetype = 0
WHERE c.relkind IN (",
            $kinds,
            r") AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
            AND d.deptype = 'e')
ORDER BY c.oid, a.attnum
"
        )
    };
}

/// Ordinary and partitioned tables.
const POSTGRES: &str = relations!("'r', 'p'");
/// With materialised views, whose rows are others' as they were.
const POSTGRES_STORED: &str = relations!("'r', 'p', 'm'");

const VISIBLE: &str = "SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE \
    FROM information_schema.COLUMNS c \
    JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
    WHERE c.TABLE_SCHEMA = DATABASE() AND t.TABLE_SCHEMA = DATABASE() \
        AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
    ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION";

/// All of InnoDB's tables whose database's name begins with this text. A type is the server's own
/// number of it.
macro_rules! dictionary {
    ($tables:literal, $columns:literal) => {
        concat!(
            "SELECT t.NAME, c.NAME, CASE c.PRTYPE & 255 WHEN 10 THEN 'date' WHEN 14 THEN 'date' \
                WHEN 12 THEN 'datetime' WHEN 18 THEN 'datetime' \
                WHEN 7 THEN 'timestamp' WHEN 17 THEN 'timestamp' ELSE '' END \
             FROM information_schema.",
            $tables,
            " t JOIN information_schema.",
            $columns,
            " c ON c.TABLE_ID = t.TABLE_ID WHERE LOCATE(?, t.NAME) = 1 ORDER BY t.NAME, c.POS"
        )
    };
}

const DICTIONARY_MYSQL: &str = dictionary!("INNODB_TABLES", "INNODB_COLUMNS");
const DICTIONARY_MARIADB: &str = dictionary!("INNODB_SYS_TABLES", "INNODB_SYS_COLUMNS");

/// Every table of all schemas (PostgreSQL) or of the connected database. One whose name is none is left
/// out: no rule could name it.
pub async fn survey(tx: &mut Tx) -> Result<Vec<SeenTable>, Fault> {
    seen(tx, POSTGRES).await
}

/// The same with whatever else has rows of its own: PostgreSQL's materialised views.
pub async fn survey_stored(tx: &mut Tx) -> Result<Vec<SeenTable>, Fault> {
    seen(tx, POSTGRES_STORED).await
}

async fn seen(tx: &mut Tx, postgres: &'static str) -> Result<Vec<SeenTable>, Fault> {
    let text = match tx.engine() {
        Engine::Postgres => postgres,
        Engine::MySql | Engine::MariaDb => VISIBLE,
    };
    let mut tables = Tables::default();
    for row in tx.rows(&Bound::fixed(text, Vec::new())).await? {
        let mut a = Answer::new(row);
        let (schema, table) = (a.text()?, a.text()?);
        tables.add(&schema, &table, a.shown()?, &a.text()?);
    }
    if tx.engine().is_innodb() {
        hidden(tx, &mut tables).await?;
    }
    Ok(tables.0.into_values().flatten().collect())
}

/// Adds what the user has no rights on.
async fn hidden(tx: &mut Tx, tables: &mut Tables) -> Result<(), Fault> {
    let (database, process) = mysql::standing(tx).await?;
    if !process {
        return Err(Fault::own(
            FaultClass::Privilege,
            "the user does not see the tables that it has no rights on: GRANT PROCESS ON *.* to it",
        ));
    }
    let visible: BTreeSet<String> = tables.0.keys().map(|(_, table)| alike(table)).collect();
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let begins: String = database.as_str().chars().take_while(plain).collect();
    let text = match tx.engine() {
        Engine::MariaDb => DICTIONARY_MARIADB,
        Engine::MySql | Engine::Postgres => DICTIONARY_MYSQL,
    };
    let bound = Bound::fixed(text, vec![Value::Text(begins)]);
    for row in tx.rows(&bound).await? {
        let mut a = Answer::new(row);
        let file = a.text()?;
        let Some((schema, table)) = file.split_once('/') else {
            continue;
        };
        if alike(&spelt(schema)) != alike(database.as_str()) || is_servers_own(table) {
            continue;
        }
        let end = table.to_ascii_lowercase().find("#p#");
        let table = spelt(&table[..end.unwrap_or(table.len())]);
        if !visible.contains(&alike(&table)) {
            tables.add(database.as_str(), &table, a.shown()?, &a.text()?);
        }
    }
    Ok(())
}

/// The tables of full-text indexes and of alterations under way.
fn is_servers_own(table: &str) -> bool {
    let name = table.to_ascii_lowercase();
    let of_index = name.strip_prefix("fts_").is_some_and(|rest| {
        let number = rest.get(..16).unwrap_or_default();
        number.len() == 16 && number.chars().all(|c| c.is_ascii_hexdigit())
    });
    of_index || name.starts_with('#')
}

/// A table's name out of its file's: `odd@002dname`. Letters of other alphabets stand in it in a code
/// of the server's own, of which only the place is read.
fn spelt(file: &str) -> String {
    let mut name = String::new();
    let mut rest = file;
    while let Some((before, coded)) = rest.split_once('@') {
        name.push_str(before);
        let point = coded
            .get(..4)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let (character, length) = match point.and_then(char::from_u32) {
            Some(character) => (character, 4),
            None => (char::REPLACEMENT_CHARACTER, 2),
        };
        name.push(character);
        rest = coded.get(length..).unwrap_or_default();
    }
    name.push_str(rest);
    name
}

/// A name as far as both ways of reading it agree.
fn alike(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii() {
            c
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    name.chars().map(plain).collect()
}

/// By schema and name. `None`: its name is none.
#[derive(Default)]
struct Tables(BTreeMap<(String, String), Option<SeenTable>>);

impl Tables {
    fn add(&mut self, schema: &str, table: &str, column: String, type_name: &str) {
        let key = (schema.to_owned(), table.to_owned());
        let named = || {
            let name: TableName = table_name(schema, table).ok()?;
            Some(SeenTable {
                name,
                columns: Vec::new(),
            })
        };
        if let Some(table) = self.0.entry(key).or_insert_with(named) {
            // Partitions have the columns of their table once more.
            if !table.columns.iter().any(|known| known.name == column) {
                table.columns.push(SeenColumn {
                    name: column,
                    type_name: type_name.to_ascii_lowercase(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_read_as_far_as_it_can_be() {
        assert_eq!(spelt("odd@002dn@0kme@0024"), "odd-n\u{fffd}me$");
        assert_eq!(spelt("plain_name"), "plain_name");
        assert_eq!(spelt("@"), "\u{fffd}");
        assert_eq!(alike(&spelt("n@0kme")), alike("näme"));
    }

    #[test]
    fn the_servers_own_tables_are_told_from_others() {
        assert!(is_servers_own("FTS_0000000000000015_CONFIG"));
        assert!(is_servers_own("fts_000000000000042b_being_deleted"));
        assert!(is_servers_own("#sql-ib123"));
        assert!(!is_servers_own("fts_people"));
        assert!(!is_servers_own("fts_"));
    }
}
