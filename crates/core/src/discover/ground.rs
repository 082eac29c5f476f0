//! The tables that a map can name, with what hangs on what.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Links;
use super::{Candidates, Undiscovered, identifiers};
use crate::catalog::{Catalog, Column, Table, TableKind};
use crate::coverage::{Coverage, Gap, SeenColumn, SeenTable};
use crate::name::{Ident, TableName};
use crate::propose::is_ledgers;

/// Candidates for a subject's table that are named at the most.
const CANDIDATES: usize = 10;

/// What is looked at, with its references and guesses. A proposal borrows from it.
#[derive(Debug)]
pub struct Ground<'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) tables: BTreeMap<&'c TableName, &'c Table>,
    pub(super) links: Links<'c>,
}

impl<'c> Ground<'c> {
    /// Reads the catalog of a whole database.
    pub fn of(catalog: &'c Catalog) -> Self {
        let fits = |table: &&Table| {
            let kinds = !matches!(
                table.kind,
                TableKind::Partition { .. }
                    | TableKind::Foreign
                    | TableKind::View
                    | TableKind::MaterialisedView
                    | TableKind::Other { .. }
            );
            kinds && can_be_named(catalog, &table.name) && !is_ledgers(catalog, table)
        };
        let tables = catalog.tables.values().filter(fits);
        let tables: BTreeMap<_, _> = tables.map(|table| (&table.name, table)).collect();
        let links = Links::of(catalog, &tables);
        Self {
            catalog,
            tables,
            links,
        }
    }

    /// Tables that look as if persons were in them.
    pub(super) fn candidates(&self) -> Candidates {
        let mut gaps = self.personal(&BTreeSet::new());
        gaps.sort_by_key(|gap| {
            let table = self.tables.get(&gap.table);
            let person = table.is_some_and(|table| identifiers::is_person(table));
            (!person, std::cmp::Reverse(gap.personal.len()))
        });
        let names = gaps.into_iter().take(CANDIDATES).map(|gap| gap.table);
        Candidates(names.collect())
    }

    /// Tables with columns that look personal, but for these.
    pub(super) fn personal(&self, known: &BTreeSet<TableName>) -> Vec<Gap> {
        let column = |column: &Column| SeenColumn {
            name: column.name.to_string(),
            type_name: column.type_name.to_ascii_lowercase(),
        };
        let seen = self.tables.values().map(|table| SeenTable {
            name: table.name.clone(),
            columns: table.columns.iter().map(column).collect(),
        });
        let seen: Vec<SeenTable> = seen.collect();
        let coverage = Coverage::of(self.catalog.engine, &seen, known);
        let mut gaps = coverage.gaps;
        gaps.retain(|gap| !gap.personal.is_empty());
        gaps
    }

    /// The table that is named as one of persons.
    pub(super) fn subject(&self, name: &TableName) -> Result<&'c Table, Undiscovered> {
        let found = self.catalog.table(name);
        let table = found.and_then(|table| self.tables.get(&table.name).copied());
        table.ok_or_else(|| {
            let Catalog { database, user, .. } = self.catalog;
            let (database, user) = (database.clone(), user.clone());
            Undiscovered::NoTable(name.clone(), database, user, self.candidates())
        })
    }
}

/// Whether a map of the database can name the table: on InnoDB another database is out of reach.
fn can_be_named(catalog: &Catalog, name: &TableName) -> bool {
    let schema = name.schema.as_ref().map(Ident::as_str);
    !catalog.engine.is_innodb() || schema.is_none_or(|schema| schema == catalog.database)
}
