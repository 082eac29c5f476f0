//! What hangs on what: the references of a catalog, and those that only names and types suggest.

use std::collections::{BTreeMap, BTreeSet};

use super::can_be_written;
use super::identifiers::{plain, singular};
use super::reach::Reach;
use crate::catalog::{Catalog, Column, ColumnKind, Reference, Table};
use crate::coverage::words;
use crate::name::{Ident, TableName};
use crate::plan::are_comparable;
use crate::propose::are_alike;

/// Pairs of columns of one way at the most.
const MAX_PAIRS: usize = 8;

/// Rows of one table that hang on another's.
#[derive(Debug)]
pub(super) struct Link<'c> {
    pub(super) from: &'c Table,
    pub(super) to: &'c Table,
    /// `(of the first, of the second)`.
    pub(super) pairs: Vec<(&'c Column, &'c Column)>,
    /// The database knows of it.
    pub(super) declared: bool,
}

impl Link<'_> {
    /// Whether rows may hang on none.
    pub(super) fn is_nullable(&self) -> bool {
        self.pairs.iter().any(|(column, _)| column.nullable)
    }

    pub(super) fn has(&self, column: &Ident) -> bool {
        self.pairs.iter().any(|(own, _)| own.name == *column)
    }

    /// The referring columns, for people.
    pub(super) fn columns(&self) -> String {
        let names: Vec<&str> = self
            .pairs
            .iter()
            .map(|(own, _)| own.name.as_str())
            .collect();
        names.join(", ")
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Links<'c> {
    all: Vec<Link<'c>>,
    /// The places of those that lead to a table.
    to: BTreeMap<&'c TableName, Vec<usize>>,
    /// References that no map can write.
    unnamed: Vec<&'c Reference>,
    /// Columns over which references run.
    referring: BTreeSet<(&'c TableName, &'c Ident)>,
}

impl<'c> Links<'c> {
    pub(super) fn of(catalog: &'c Catalog, tables: &BTreeMap<&'c TableName, &'c Table>) -> Self {
        let mut links = Self {
            all: Vec::new(),
            to: BTreeMap::new(),
            unnamed: Vec::new(),
            referring: BTreeSet::new(),
        };
        let mut references: Vec<&Reference> = catalog.references.iter().collect();
        references.sort_by_key(|r| (&r.to, &r.from, &r.from_columns, &r.to_columns));
        // Side by side stand those that are alike.
        references.dedup_by(|a, b| are_alike(a, b));
        for reference in references {
            let columns = reference.from_columns.iter();
            links
                .referring
                .extend(columns.map(|c| (&reference.from, c)));
            match declared(reference, tables) {
                Some(link) => links.all.push(link),
                None => links.unnamed.push(reference),
            }
        }
        let guessed = guessed(tables, &links.referring);
        links.all.extend(guessed);
        for (place, link) in links.all.iter().enumerate() {
            links.to.entry(&link.to.name).or_default().push(place);
        }
        links
    }

    /// Those that lead to a table, references first.
    pub(super) fn to(&self, table: &TableName) -> impl Iterator<Item = &Link<'c>> {
        let places = self.to.get(table).into_iter().flatten();
        places.map(|place| &self.all[*place])
    }

    /// Those that begin in a table.
    pub(super) fn from(&self, table: &TableName) -> impl Iterator<Item = &Link<'c>> {
        self.all.iter().filter(move |link| link.from.name == *table)
    }

    /// Whether a reference runs over a column.
    pub(super) fn refers(&self, table: &TableName, column: &Ident) -> bool {
        self.referring.contains(&(table, column))
    }

    /// The tables whose references to what is reached cannot be written.
    pub(super) fn unnamed_to(&self, reach: &Reach<'c>) -> impl Iterator<Item = &'c TableName> {
        let reached = |reference: &&&Reference| {
            let mut nodes = reach.nodes.iter();
            nodes.any(|node| node.table.name == reference.to)
        };
        self.unnamed
            .iter()
            .filter(reached)
            .map(|reference| &reference.from)
    }
}

fn declared<'c>(
    reference: &'c Reference,
    tables: &BTreeMap<&'c TableName, &'c Table>,
) -> Option<Link<'c>> {
    let (from, to) = (*tables.get(&reference.from)?, *tables.get(&reference.to)?);
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    let pairs = columns.map(|(a, b)| Some((from.column(a)?, to.column(b)?)));
    let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
    let written = |(a, b): &(&Column, &Column)| can_be_written(&a.name) && can_be_written(&b.name);
    let fits = !pairs.is_empty() && pairs.len() <= MAX_PAIRS && pairs.iter().all(written);
    fits.then_some(Link {
        from,
        to,
        pairs,
        declared: true,
    })
}

/// `learner_id` mostly is the key of `learners`, whose type it then has.
fn guessed<'c>(
    tables: &BTreeMap<&'c TableName, &'c Table>,
    referring: &BTreeSet<(&'c TableName, &'c Ident)>,
) -> Vec<Link<'c>> {
    let mut called: BTreeMap<String, BTreeMap<&TableName, (&'c Table, &'c Column)>> =
        BTreeMap::new();
    for table in tables.values() {
        let Some((key, names)) = names_of_key(table) else {
            continue;
        };
        for name in names {
            called
                .entry(name)
                .or_default()
                .insert(&table.name, (table, key));
        }
    }
    let mut links = Vec::new();
    for from in tables.values() {
        for column in &from.columns {
            if referring.contains(&(&from.name, &column.name)) || !can_be_written(&column.name) {
                continue;
            }
            let fits = |(to, key): &&(&'c Table, &'c Column)| {
                to.name != from.name
                    && are_comparable(column, key)
                    && column.type_name == key.type_name
            };
            let named = called.get(&plain(column.name.as_str()));
            let named: Vec<_> = named
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter(fits)
                .collect();
            let beside = |(to, _): &&&(&'c Table, &'c Column)| to.name.schema == from.name.schema;
            let near: Vec<_> = named.iter().filter(beside).collect();
            let one = match (near.as_slice(), named.as_slice()) {
                ([one], _) => *one,
                ([], [one]) => one,
                _ => continue,
            };
            links.push(Link {
                from,
                to: one.0,
                pairs: vec![(column, one.1)],
                declared: false,
            });
        }
    }
    links
}

/// The key of a table, and how columns of others are called that mean it.
fn names_of_key(table: &Table) -> Option<(&Column, BTreeSet<String>)> {
    let [key] = table.primary_key.as_slice() else {
        return None;
    };
    let key = table.column(key).filter(|key| can_be_written(&key.name))?;
    let kinds = [
        ColumnKind::Int,
        ColumnKind::UnsignedBigInt,
        ColumnKind::Decimal,
        ColumnKind::Text,
        ColumnKind::Uuid,
        ColumnKind::Bytes,
    ];
    let own = plain(key.name.as_str());
    if !kinds.contains(&key.kind) || words(key.name.as_str()).is_empty() {
        return None;
    }
    let table = table.name.table.as_str();
    let stems = [plain(table), plain(&singular(table))];
    let mut names: BTreeSet<String> = BTreeSet::new();
    for stem in stems.iter().filter(|stem| !stem.is_empty()) {
        names.insert(format!("{stem}id"));
        names.insert(format!("{stem}{own}"));
        if own.starts_with(stem.as_str()) {
            names.insert(own.clone());
        }
    }
    Some((key, names))
}
