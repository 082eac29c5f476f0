//! Foreign keys of MySQL and MariaDB.
//!
//! Owns the distinction between what exists and what our user can see: `information_schema` hides
//! references of tables the user has no rights on, and the delete cascades all the same (SQL.md
//! section 3). InnoDB's own tables show all, to whoever has PROCESS.

use std::collections::{BTreeMap, BTreeSet};

use oubliette_core::catalog::{Engine, OnDelete, Reference};
use oubliette_core::name::TableName;
use oubliette_core::sql::Bound;

use super::answer::Answer;
use super::{ident, table_name};
use crate::database::fault::Fault;
use crate::database::session::Tx;

/// All foreign keys, one row per column. `TYPE`: 1 and 2 are ON DELETE CASCADE and SET NULL, 4 and
/// 8 the same ON UPDATE.
const MYSQL: &str = "SELECT f.ID, f.FOR_NAME, f.REF_NAME, CAST(f.TYPE AS SIGNED), \
    c.FOR_COL_NAME, c.REF_COL_NAME \
    FROM information_schema.INNODB_FOREIGN f \
    JOIN information_schema.INNODB_FOREIGN_COLS c ON c.ID = f.ID \
    ORDER BY f.ID, c.POS";

/// MariaDB shows table names as files are called (`odd@002dname`); the server turns them back.
macro_rules! plain {
    ($name:literal) => {
        concat!(
            "CONCAT(CONVERT(CONVERT(CONVERT(SUBSTRING_INDEX(",
            $name,
            ", '/', 1) USING binary) USING filename) USING utf8mb4), '/', \
             CONVERT(CONVERT(CONVERT(SUBSTRING_INDEX(",
            $name,
            ", '/', -1) USING binary) USING filename) USING utf8mb4))"
        )
    };
}

const MARIADB: &str = concat!(
    "SELECT f.ID, ",
    plain!("f.FOR_NAME"),
    ", ",
    plain!("f.REF_NAME"),
    ", CAST(f.TYPE AS SIGNED), c.FOR_COL_NAME, c.REF_COL_NAME \
     FROM information_schema.INNODB_SYS_FOREIGN f \
     JOIN information_schema.INNODB_SYS_FOREIGN_COLS c ON c.ID = f.ID \
     ORDER BY f.ID, c.POS"
);

/// What a user without PROCESS sees.
const VISIBLE: &str = "SELECT CONCAT(k.CONSTRAINT_SCHEMA, '/', k.CONSTRAINT_NAME, '/', k.TABLE_NAME), \
    CONCAT(k.TABLE_SCHEMA, '/', k.TABLE_NAME), \
    CONCAT(k.REFERENCED_TABLE_SCHEMA, '/', k.REFERENCED_TABLE_NAME), \
    CAST(CASE r.DELETE_RULE WHEN 'CASCADE' THEN 1 WHEN 'SET NULL' THEN 2 ELSE 0 END \
        + CASE r.UPDATE_RULE WHEN 'CASCADE' THEN 4 WHEN 'SET NULL' THEN 8 ELSE 0 END AS SIGNED), \
    k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME, k.CONSTRAINT_NAME \
    FROM information_schema.KEY_COLUMN_USAGE k \
    JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
        ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
        AND r.TABLE_NAME = k.TABLE_NAME \
    WHERE k.REFERENCED_TABLE_NAME IS NOT NULL \
    ORDER BY 1, k.ORDINAL_POSITION";

/// All foreign keys the user can see, and whether these are all there are.
pub(super) struct Seen {
    pub(super) references: Vec<Reference>,
    pub(super) complete: bool,
}

/// Reads the foreign keys. `process`: the user has PROCESS.
pub(super) async fn read(tx: &mut Tx, process: bool) -> Result<Seen, Fault> {
    let text = match (process, tx.engine()) {
        (false, _) => VISIBLE,
        (true, Engine::MariaDb) => MARIADB,
        (true, Engine::MySql | Engine::Postgres) => MYSQL,
    };
    let mut complete = process;
    let mut references: Vec<Reference> = Vec::new();
    let mut last = None;
    for row in tx.rows(&Bound::fixed(text, Vec::new())).await? {
        let mut a = Answer::new(row);
        let id = a.text()?;
        let (from, to, action) = (a.text()?, a.text()?, a.int()?);
        let (from_column, to_column) = (ident(&a.text()?)?, ident(&a.text()?)?);
        if last.as_ref() == Some(&id)
            && let Some(reference) = references.last_mut()
        {
            reference.from_columns.push(from_column);
            reference.to_columns.push(to_column);
            continue;
        }
        // A slash inside a name makes the answer ambiguous: then nothing is certain any more.
        let (Some(from), Some(to)) = (split(&from)?, split(&to)?) else {
            complete = false;
            continue;
        };
        let name = if process {
            id.split_once('/')
                .map_or(id.as_str(), |(_, name)| name)
                .to_owned()
        } else {
            a.text()?
        };
        references.push(Reference {
            name,
            from,
            from_columns: vec![from_column],
            to,
            to_columns: vec![to_column],
            on_delete: match action & 0b11 {
                0 => OnDelete::Refuse,
                1 => OnDelete::Cascade,
                _ => OnDelete::SetNull,
            },
            on_update_acts: action & 0b1100 != 0,
            // The session's foreign_key_checks is asserted, and there is no other way to switch
            // one off.
            enforced: true,
            deferrable: false,
            nullable: false,
            // InnoDB refuses a foreign key without an index on the referencing columns.
            indexed: true,
        });
        last = Some(id);
    }
    Ok(Seen {
        references,
        complete,
    })
}

fn split(name: &str) -> Result<Option<TableName>, Fault> {
    match name.split_once('/') {
        Some((schema, table)) if !table.contains('/') => Ok(Some(table_name(schema, table)?)),
        _ => Ok(None),
    }
}

impl Seen {
    /// The tables that reference `wanted` at any depth, `wanted` included.
    pub(super) fn reached(&self, wanted: &BTreeSet<TableName>) -> BTreeSet<TableName> {
        let mut children: BTreeMap<&TableName, Vec<&TableName>> = BTreeMap::new();
        for reference in &self.references {
            children
                .entry(&reference.to)
                .or_default()
                .push(&reference.from);
        }
        let mut reached = wanted.clone();
        let mut open: Vec<&TableName> = wanted.iter().collect();
        while let Some(table) = open.pop() {
            for child in children.get(table).into_iter().flatten() {
                if reached.insert((*child).clone()) {
                    open.push(child);
                }
            }
        }
        reached
    }

    /// The tables that `tables` reference themselves.
    pub(super) fn parents(&self, tables: &BTreeSet<TableName>) -> BTreeSet<TableName> {
        self.references
            .iter()
            .filter(|r| tables.contains(&r.from))
            .map(|r| r.to.clone())
            .collect()
    }

    /// Keeps the references into or out of `tables`.
    pub(super) fn about(self, tables: &BTreeSet<TableName>) -> Vec<Reference> {
        let mut references = self.references;
        references.retain(|r| tables.contains(&r.from) || tables.contains(&r.to));
        references
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(from: &str, to: &str) -> Reference {
        let table = |name: &str| table_name("crm", name).unwrap();
        Reference {
            name: format!("{from}_{to}"),
            from: table(from),
            from_columns: Vec::new(),
            to: table(to),
            to_columns: Vec::new(),
            on_delete: OnDelete::Cascade,
            on_update_acts: false,
            enforced: true,
            deferrable: false,
            nullable: false,
            indexed: true,
        }
    }

    #[test]
    fn cascades_of_cascades_are_reached_and_cycles_end() {
        let seen = Seen {
            references: vec![
                reference("b", "a"),
                reference("c", "b"),
                reference("a", "c"),
                reference("c", "elsewhere"),
            ],
            complete: true,
        };
        let wanted = BTreeSet::from([table_name("crm", "a").unwrap()]);
        let reached = seen.reached(&wanted);
        assert_eq!(reached.len(), 3);
        assert_eq!(seen.parents(&reached).len(), 4);
    }
}
