//! Every row of a database, and in which rows it differs from what it was: nobody else's may.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::sql::Database;
use crate::world::World;

/// A row, by its columns.
type Row = BTreeMap<String, Option<String>>;

/// The rows of every table by their ids, but for the ledger's.
#[derive(Clone)]
pub(super) struct Rows(BTreeMap<String, BTreeMap<i64, Row>>);

/// In what the rows of a table differ.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Changes {
    /// These are not there any more.
    gone: BTreeSet<i64>,
    /// In these only these columns have changed, to these values.
    changed: BTreeMap<i64, Row>,
    /// These are new.
    new: BTreeSet<i64>,
}

impl Rows {
    pub(super) fn of(world: &World, database: &Database) -> Result<Self> {
        let columns = if database.server.is_postgres() {
            "SELECT table_name, column_name FROM information_schema.columns \
             WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        } else {
            "SELECT table_name, column_name FROM information_schema.columns \
             WHERE table_schema = database() AND table_name NOT LIKE 'oubliette\\_%' \
             ORDER BY table_name, ordinal_position"
        };
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in world.block_on(database.admin.rows(columns))? {
            let mut row = row.into_iter().flatten();
            let (table, column) = row.next().zip(row.next()).context("no column")?;
            tables.entry(table).or_default().push(column);
        }
        let mut all = BTreeMap::new();
        for (table, columns) in tables {
            let select = format!("SELECT {} FROM {table}", columns.join(", "));
            let mut rows = BTreeMap::new();
            for row in world.block_on(database.admin.rows(&select))? {
                let row: Row = columns.iter().cloned().zip(row).collect();
                let id = row.get("id").cloned().flatten();
                let id = id.with_context(|| format!("{table} has no id"))?;
                rows.insert(id.parse()?, row);
            }
            all.insert(table, rows);
        }
        Ok(Self(all))
    }

    /// What has changed until then, in tables where something has.
    pub(super) fn until(&self, then: &Self) -> BTreeMap<String, Changes> {
        let mut all = BTreeMap::new();
        for (table, now) in &then.0 {
            let nothing = BTreeMap::new();
            let before = self.0.get(table).unwrap_or(&nothing);
            let mut changes = Changes {
                gone: before
                    .keys()
                    .filter(|id| !now.contains_key(id))
                    .copied()
                    .collect(),
                new: now
                    .keys()
                    .filter(|id| !before.contains_key(id))
                    .copied()
                    .collect(),
                ..Changes::default()
            };
            for (id, row) in now {
                let Some(was) = before.get(id) else { continue };
                let other = row
                    .iter()
                    .filter(|(column, value)| was.get(*column) != Some(value));
                let other: Row = other.map(|(c, v)| (c.clone(), v.clone())).collect();
                if !other.is_empty() {
                    changes.changed.insert(*id, other);
                }
            }
            if changes != Changes::default() {
                all.insert(table.clone(), changes);
            }
        }
        all
    }
}
