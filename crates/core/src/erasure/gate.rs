//! What a map says nothing of: tables that hang on a person's rows, and columns of rows that stay. A
//! place that nobody has decided about may hold the person.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Column, ColumnKind, Table};
use crate::duty::{DataMap, MappedTable};
use crate::name::{Ident, TableName};
use crate::people::{Decision, Way};

/// What has no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unclassified {
    /// A table whose rows refer to a person's.
    Table(TableName),
    /// A column of rows that stay.
    Column(TableName, Ident),
}

impl std::fmt::Display for Unclassified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(table) => write!(f, "{table}"),
            Self::Column(table, column) => write!(f, "{table}.{column}"),
        }
    }
}

impl Unclassified {
    /// The YAML that decides it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Table(table) => format!(
                "- {{name: {}, table: {}, reachedBy: [{{from: …, match: [{{column: …, equals: …}}]}}], \
                 decision: {{type: Delete}}}}",
                table.table.as_str().to_ascii_lowercase().replace('_', "-"),
                crate::yaml::scalar(&table.to_string())
            ),
            Self::Column(_, column) => format!(
                "- {{column: {}, strategy: Nullify}}   # or without a strategy, if it says nothing of \
                 the person",
                crate::yaml::scalar(column.as_str())
            ),
        }
    }
}

/// Everything that has no decision, in the order of the catalog.
pub fn unclassified(map: &DataMap, catalog: &Catalog) -> Vec<Unclassified> {
    let mut all = Vec::new();
    for table in hanging(map, catalog) {
        if !map
            .tables
            .iter()
            .any(|entry| catalog.is(&entry.table, &table))
        {
            all.push(Unclassified::Table(table));
        }
    }
    let mut seen = BTreeSet::new();
    for entry in map.tables.iter().filter(|entry| stays(entry)) {
        let Some(table) = catalog.table(&entry.table) else {
            continue;
        };
        if seen.insert(table.name.to_string()) {
            let columns = columns(map, table, catalog).into_iter();
            all.extend(columns.map(|column| Unclassified::Column(table.name.clone(), column)));
        }
    }
    all
}

/// Whether rows of an entry stay.
fn stays(entry: &MappedTable) -> bool {
    let reached = entry.reached.as_ref();
    reached.is_some_and(|reached| reached.decision != Decision::Delete)
}

/// The tables whose rows refer to a person's, at any depth.
fn hanging(map: &DataMap, catalog: &Catalog) -> BTreeSet<TableName> {
    let roles = map.people.roles.iter().map(|role| &role.table);
    let reached = map.tables.iter().filter(|entry| entry.reached.is_some());
    let named = roles.chain(reached.map(|entry| &entry.table));
    let mut open: Vec<TableName> = named
        .filter_map(|name| catalog.table(name))
        .map(|table| table.name.clone())
        .collect();
    let mut seen: BTreeSet<TableName> = open.iter().cloned().collect();
    let mut below = BTreeSet::new();
    while let Some(above) = open.pop() {
        // What hangs on rows that the map passes by is not the person's.
        let passed = map
            .tables
            .iter()
            .any(|entry| entry.reached.is_none() && catalog.is(&entry.table, &above));
        if passed {
            continue;
        }
        for reference in catalog.references.iter().filter(|r| r.to == above) {
            below.insert(reference.from.clone());
            if seen.insert(reference.from.clone()) {
                open.push(reference.from.clone());
            }
        }
    }
    below
}

/// The columns of a table's rows that no entry names. Keys and what rows hang on by are no decision, they
/// must stay; unless they are text: that may be an address.
fn columns(map: &DataMap, table: &Table, catalog: &Catalog) -> Vec<Ident> {
    let entries = || {
        let entries = map.tables.iter();
        entries.filter(|entry| catalog.is(&entry.table, &table.name))
    };
    let by = entries()
        .flat_map(|entry| entry.reached.iter())
        .flat_map(|reached| &reached.ways);
    let by: BTreeSet<&Ident> = by
        .flat_map(|way| match way {
            Way::OfRole(_, pairs) | Way::OfEntry(_, pairs) => {
                pairs.iter().map(|(own, _)| own).collect::<Vec<_>>()
            }
            Way::Own(_) | Way::Role(_) => Vec::new(),
        })
        .collect();
    let references = catalog.references.iter();
    let linked: BTreeSet<&Ident> = references
        .flat_map(|reference| {
            let from = reference
                .from_columns
                .iter()
                .filter(|_| reference.from == table.name);
            let to = reference
                .to_columns
                .iter()
                .filter(|_| reference.to == table.name);
            from.chain(to)
        })
        .collect();
    let named = |name: &Ident| {
        entries().any(|entry| entry.columns.iter().any(|mapped| mapped.column == *name))
    };
    let columns = table.columns.iter().filter(|column| !column.generated);
    let must_stay = |column: &&Column| {
        let name = &column.name;
        column.kind != ColumnKind::Text
            && (table.primary_key.contains(name) || by.contains(name) || linked.contains(name))
    };
    columns
        .filter(|column| !must_stay(column) && !named(&column.name))
        .map(|column| column.name.clone())
        .collect()
}
