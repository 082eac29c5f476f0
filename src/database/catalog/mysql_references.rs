//! Foreign keys of MySQL and MariaDB.
//!
//! Owns the distinction between what exists and what our user can see: `information_schema` hides
//! references of tables the user has no rights on, and the delete cascades all the same (SQL.md
//! section 3). InnoDB's own tables show all, to whoever has PROCESS.

use std::collections::{BTreeMap, BTreeSet};

use oubliette_core::catalog::{Engine, OnDelete, Reference};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::Bound;

use super::answer::{Answer, harmless};
use super::{ident, table_name};
use crate::database::fault::{Fault, FaultClass};
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

/// All foreign keys the user can see: those of other people's databases among them, whose tables may
/// be called anything. Names are read only where they concern the tables that are asked for.
pub(super) struct Seen {
    keys: Vec<Key>,
    /// They are all there are.
    pub(super) complete: bool,
}

/// One foreign key as the server writes it: tables as `database/table`.
struct Key {
    name: String,
    from: String,
    to: String,
    /// Pairs of referencing and referenced column.
    columns: Vec<(String, String)>,
    action: i64,
}

/// Reads the foreign keys. `process`: the user has PROCESS.
pub(super) async fn read(tx: &mut Tx, process: bool) -> Result<Seen, Fault> {
    let text = match (process, tx.engine()) {
        (false, _) => VISIBLE,
        (true, Engine::MariaDb) => MARIADB,
        (true, Engine::MySql | Engine::Postgres) => MYSQL,
    };
    let mut keys: Vec<Key> = Vec::new();
    let mut last = None;
    for row in tx.rows(&Bound::fixed(text, Vec::new())).await? {
        let mut a = Answer::new(row);
        let id = a.text()?;
        let (from, to, action) = (a.text()?, a.text()?, a.int()?);
        let columns = (a.text()?, a.text()?);
        if last.as_ref() == Some(&id)
            && let Some(key) = keys.last_mut()
        {
            key.columns.push(columns);
            continue;
        }
        let name = if process {
            harmless(id.split_once('/').map_or(id.as_str(), |(_, name)| name))
        } else {
            a.shown()?
        };
        keys.push(Key {
            name,
            from,
            to,
            columns: vec![columns],
            action,
        });
        last = Some(id);
    }
    Ok(Seen {
        keys,
        complete: process,
    })
}

/// A table as InnoDB writes it.
fn joined(name: &TableName) -> String {
    let schema = name.schema.as_ref().map_or("", Ident::as_str);
    format!("{schema}/{}", name.table.as_str())
}

fn split(joined: &str) -> Result<TableName, Fault> {
    match joined.split_once('/') {
        Some((schema, table)) if !table.contains('/') => table_name(schema, table),
        // The answer does not tell which of the slashes divides.
        _ => Err(Fault::own(
            FaultClass::Other,
            "a foreign key runs between a table of the policy and one whose own or whose database's \
             name contains a slash: rename it, or drop the key",
        )),
    }
}

impl Key {
    fn read(&self) -> Result<Reference, Fault> {
        let Self {
            name,
            from,
            to,
            columns,
            action,
        } = self;
        let of = |column: fn(&(String, String)) -> &String| {
            columns.iter().map(|pair| ident(column(pair))).collect()
        };
        let from_columns: Result<_, Fault> = of(|(from, _)| from);
        let to_columns: Result<_, Fault> = of(|(_, to)| to);
        Ok(Reference {
            name: name.clone(),
            from: split(from)?,
            from_columns: from_columns?,
            to: split(to)?,
            to_columns: to_columns?,
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
        })
    }
}

/// What the foreign keys say of some tables.
pub(super) struct About {
    /// The tables that reference them at any depth, themselves included.
    pub(super) reached: BTreeSet<TableName>,
    /// The tables that those reference.
    pub(super) parents: BTreeSet<TableName>,
    /// The foreign keys into or out of the reached tables.
    pub(super) references: Vec<Reference>,
}

impl Seen {
    /// Reads what concerns `wanted`.
    pub(super) fn about(&self, wanted: &BTreeSet<TableName>) -> Result<About, Fault> {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for key in &self.keys {
            children.entry(&key.to).or_default().push(&key.from);
        }
        let roots: Vec<String> = wanted.iter().map(joined).collect();
        let mut names: BTreeSet<&str> = roots.iter().map(String::as_str).collect();
        let mut open: Vec<&str> = names.iter().copied().collect();
        while let Some(table) = open.pop() {
            for child in children.get(table).into_iter().flatten() {
                if names.insert(child) {
                    open.push(child);
                }
            }
        }
        let mut about = About {
            reached: wanted.clone(),
            parents: BTreeSet::new(),
            references: Vec::new(),
        };
        for key in &self.keys {
            let outward = names.contains(key.from.as_str());
            if !outward && !names.contains(key.to.as_str()) {
                continue;
            }
            let reference = key.read()?;
            if outward {
                about.reached.insert(reference.from.clone());
                about.parents.insert(reference.to.clone());
            }
            about.references.push(reference);
        }
        Ok(about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(from: &str, to: &str) -> Key {
        Key {
            name: format!("{from} {to}"),
            from: from.to_owned(),
            to: to.to_owned(),
            columns: vec![("p".to_owned(), "id".to_owned())],
            action: 1,
        }
    }

    fn about(keys: Vec<Key>) -> Result<About, Fault> {
        let seen = Seen {
            keys,
            complete: true,
        };
        seen.about(&BTreeSet::from([table_name("crm", "a")?]))
    }

    #[test]
    fn cascades_of_cascades_are_reached_and_cycles_end() {
        let found = about(vec![
            key("crm/b", "crm/a"),
            key("crm/c", "crm/b"),
            key("crm/a", "crm/c"),
            key("crm/c", "crm/elsewhere"),
            key("crm/x", "crm/elsewhere"),
        ])
        .unwrap();
        assert_eq!(found.reached.len(), 3);
        assert_eq!(found.parents.len(), 4);
        assert_eq!(found.references.len(), 4);
    }

    #[test]
    fn other_peoples_names_are_passed_over_and_those_of_referencing_tables_are_not() {
        let names = ["web/a/b", "web/a\nb", "web/x/crm/a", "we/b/a"];
        let others = names.map(|name| key(name, "web/t"));
        assert_eq!(about(others.into()).unwrap().references.len(), 0);
        for name in ["web/a/b", "web/a\nb"] {
            assert!(about(vec![key(name, "crm/a")]).is_err(), "{name}");
            assert!(about(vec![key("crm/a", name)]).is_err(), "{name}");
        }
    }
}
