//! What a DataMap of persons could look like, from a catalog alone: a starting point for people, who
//! alone know whose a row is.
//!
//! Follows references, and guesses where names and types say that there is one; each guess is called
//! one. Owns no judgement of its own about what a plan takes: the guards of columns are asked. Reads
//! no row.

mod columns;
mod decide;
mod ground;
mod identifiers;
mod links;
mod reach;
mod text;

use std::collections::BTreeSet;

use thiserror::Error;

use self::columns::{FoundColumn, Proposing};
use self::decide::Decided;
pub use self::ground::Ground;
use self::identifiers::FoundIdentifier;
use self::links::Link;
use self::reach::Reach;
use crate::api::data_map::MAX_TABLES;
use crate::api::people::{MAX_ROLES, MAX_WAYS};
use crate::catalog::{Catalog, Table};
use crate::coverage::Gap;
use crate::name::{Ident, TableName};
use crate::propose::unique;

/// A proposed map.
#[derive(Debug)]
pub struct Discovery<'c> {
    catalog: &'c Catalog,
    roles: Vec<FoundRole<'c>>,
    entries: Vec<Entry<'c>>,
    /// Tables that are reached, and for which a map has no room.
    beyond: BTreeSet<&'c TableName>,
    /// Tables that refer to mapped ones, and that no map of this database can name.
    unnamed: BTreeSet<&'c TableName>,
    /// Tables that look personal, and that nothing leads to.
    unreached: Vec<Gap>,
}

/// A proposed role.
#[derive(Debug)]
struct FoundRole<'c> {
    name: String,
    table: &'c Table,
    identifiers: Vec<FoundIdentifier<'c>>,
    /// Of these, the ones that tables of this database hold without a reference.
    leads_to: Vec<FoundIdentifier<'c>>,
}

/// A proposed entry.
#[derive(Debug)]
struct Entry<'c> {
    name: String,
    table: &'c Table,
    ways: Vec<FoundWay<'c>>,
    decided: Decided,
    columns: Vec<FoundColumn<'c>>,
    /// What a person should know of it.
    notes: Vec<String>,
}

/// A proposed way.
#[derive(Debug)]
enum FoundWay<'c> {
    /// The role's own rows.
    Role(String),
    /// Rows that hang on those of a role or entry.
    Over(String, &'c Link<'c>),
    /// Rows with an identifier of their own.
    Own(FoundIdentifier<'c>),
}

/// Why there is nothing to propose.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Undiscovered {
    /// No table was named.
    #[error("no table of persons: name it with --subject-table{0}")]
    NoSubject(Candidates),
    /// There is no such table.
    #[error(
        "--subject-table {0}: there is no such table in database {1}, or user {2} may not see it{3}"
    )]
    NoTable(TableName, String, String, Candidates),
    /// It has no column by which anybody could be found.
    #[error("--subject-table {0}: no column of it could be an identifier of a person{1}")]
    Nobody(TableName, Candidates),
    /// A map has no room for them.
    #[error("--subject-table: {0} tables are too many: a map has at most {MAX_ROLES} roles")]
    TooMany(usize),
}

/// Tables that look as if persons were in them, the likeliest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates(pub Vec<TableName>);

impl std::fmt::Display for Candidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [] => f.write_str("; no table looks as if persons were in it"),
            names => write!(f, "; these look personal: {}", names.join(", ")),
        }
    }
}

/// Whether a map can name the column.
fn can_be_written(name: &Ident) -> bool {
    !name.as_str().trim().is_empty()
}

impl<'c> Discovery<'c> {
    /// Proposes a map in which persons are in these tables.
    pub fn of(ground: &'c Ground<'c>, subjects: &[TableName]) -> Result<Self, Undiscovered> {
        if subjects.is_empty() {
            return Err(Undiscovered::NoSubject(ground.candidates()));
        }
        let mut tables: Vec<&Table> = Vec::new();
        for name in subjects {
            let table = ground.subject(name)?;
            if !tables.iter().any(|known| known.name == table.name) {
                tables.push(table);
            }
        }
        if tables.len() > MAX_ROLES {
            return Err(Undiscovered::TooMany(tables.len()));
        }
        let mut names = BTreeSet::new();
        let mut roles = Vec::new();
        for table in tables {
            roles.push(FoundRole::of(ground, table, &mut names)?);
        }
        let mut discovery = Self {
            catalog: ground.catalog,
            roles,
            entries: Vec::new(),
            beyond: BTreeSet::new(),
            unnamed: BTreeSet::new(),
            unreached: Vec::new(),
        };
        discovery.fill(ground, names);
        Ok(discovery)
    }

    fn fill(&mut self, ground: &'c Ground<'c>, mut names: BTreeSet<String>) {
        let persons = decide::persons(ground, self.roles.iter().map(|role| role.table));
        let mut reached = BTreeSet::new();
        let mut reaches = Vec::new();
        for role in &self.roles {
            let reach = Reach::of(ground, &[role.table], &BTreeSet::new());
            reached.extend(reach.nodes.iter().map(|node| &node.table.name));
            reaches.push((Some(role), reach));
        }
        let own: Vec<&Table> = ground
            .tables
            .values()
            .filter(|table| !reached.contains(&table.name) && !self.own(ground, table).is_empty())
            .copied()
            .collect();
        reaches.push((None, Reach::of(ground, &own, &reached)));
        let mut entries = Vec::new();
        for (role, reach) in &reaches {
            self.unnamed.extend(ground.links.unnamed_to(reach));
            let decided = decide::decided(ground, reach, *role, &persons, &|table| {
                self.own(ground, table)
            });
            let room = MAX_TABLES.saturating_sub(entries.len());
            let left_out = reach.nodes.iter().skip(room);
            self.beyond.extend(left_out.map(|node| &node.table.name));
            let called: Vec<String> = reach
                .nodes
                .iter()
                .take(room)
                .enumerate()
                .map(|(i, node)| match role {
                    Some(role) if i == 0 => own_name(node.table, &role.name, &mut names),
                    _ => unique(node.table.name.table.as_str(), &mut names),
                })
                .collect();
            for (i, decided) in decided.into_iter().take(room).enumerate() {
                let table = reach.nodes[i].table;
                let ways = self.ways(ground, reach, i, *role, &called, &decided);
                let proposing = Proposing {
                    catalog: ground.catalog,
                    links: &ground.links,
                    role: *role,
                    table,
                    ways: &ways,
                    decided: &decided,
                };
                let (columns, more) = proposing.columns();
                let mut notes = reach.notes(i);
                if role.is_none() && reach.is_root(i) && persons.contains(&table.name) {
                    let note = "Looks as if persons were in it: if they are, make it a role of its own \
                                with --subject-table.";
                    notes.push(note.to_owned());
                }
                if more > 0 {
                    notes.push(format!(
                        "TO DO: {more} more columns, for which an entry has no room."
                    ));
                }
                entries.push(Entry {
                    name: called[i].clone(),
                    table,
                    ways,
                    decided,
                    columns,
                    notes,
                });
            }
        }
        let mut known: BTreeSet<TableName> = entries.iter().map(|e| e.table.name.clone()).collect();
        known.extend(self.beyond.iter().map(|name| (*name).clone()));
        self.unreached = ground.personal(&known);
        self.entries = entries;
    }

    /// The ways to the rows of a table that is reached.
    fn ways(
        &self,
        ground: &'c Ground<'c>,
        reach: &Reach<'c>,
        place: usize,
        role: Option<&FoundRole<'c>>,
        called: &[String],
        decided: &Decided,
    ) -> Vec<FoundWay<'c>> {
        let node = &reach.nodes[place];
        let all_nullable = node.ways.iter().all(|(_, link)| link.is_nullable());
        let role_at = |from: usize| role.filter(|_| from == 0);
        let mut ways: Vec<FoundWay<'c>> = Vec::new();
        ways.extend(role_at(place).map(|role| FoundWay::Role(role.name.clone())));
        ways.extend(node.ways.iter().filter_map(|(from, link)| {
            let name = role_at(*from).map(|role| &role.name);
            let name = name.or_else(|| called.get(*from))?;
            Some(FoundWay::Over(name.clone(), link))
        }));
        // Rows that hang on none may be the person's, too.
        if role_at(place).is_none() && all_nullable && !decided.is_others {
            let own = self.own(ground, node.table).into_iter();
            ways.extend(own.map(FoundWay::Own));
            ways.truncate(MAX_WAYS);
        }
        ways
    }

    /// The identifiers of roles that a table holds in columns of its own.
    fn own(&self, ground: &Ground<'c>, table: &'c Table) -> Vec<FoundIdentifier<'c>> {
        let mut own: Vec<FoundIdentifier<'c>> = Vec::new();
        for known in self.roles.iter().flat_map(|role| &role.identifiers) {
            for found in known.held_by(&ground.links, table) {
                if !own
                    .iter()
                    .any(|other| other.column.name == found.column.name)
                {
                    own.push(found);
                }
            }
        }
        own
    }
}

impl<'c> FoundRole<'c> {
    fn of(
        ground: &'c Ground<'c>,
        table: &'c Table,
        names: &mut BTreeSet<String>,
    ) -> Result<Self, Undiscovered> {
        let identifiers = identifiers::of(table);
        if identifiers.is_empty() {
            return Err(Undiscovered::Nobody(
                table.name.clone(),
                ground.candidates(),
            ));
        }
        let held = |identifier: &&FoundIdentifier<'c>| {
            let others = ground.tables.values();
            let mut others = others.filter(|other| other.name != table.name);
            identifier.is_number()
                && others.any(|other| !identifier.held_by(&ground.links, other).is_empty())
        };
        Ok(Self {
            name: unique(&identifiers::singular(table.name.table.as_str()), names),
            table,
            leads_to: identifiers.iter().filter(held).cloned().collect(),
            identifiers,
        })
    }
}

/// The entry of a role's own rows may be called like the role: both mean the same rows.
fn own_name(table: &Table, role: &str, names: &mut BTreeSet<String>) -> String {
    let own = unique(table.name.table.as_str(), &mut BTreeSet::new());
    if own == role {
        own
    } else {
        unique(&own, names)
    }
}

#[cfg(test)]
mod tests;
