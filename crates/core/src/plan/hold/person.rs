//! A held person's rows: found through the maps by what the person is known by, as a request would
//! find them, in every batch anew. What a request would refuse for its doubts is held here instead.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, ColumnKind, Reference, Table};
use crate::duty::{Against, DataMap, MappedTable, NamedMap};
use crate::hold::HeldPerson;
use crate::name::{Ident, TableName};
use crate::people::{Identifier, Known, Reached, Role, Way};
use crate::plan::clock::Typing;
use crate::plan::draft::View;
use crate::plan::refusal::Refusal;
use crate::policy::{
    Action, Expiry, Hop, Limits, Match, Normalise, Partitions, Policy, Reach, ReachWay, Rule,
};
use crate::sql::{HeldTest, MOST_STEPS, ReachSql};

/// So many ways to rows of one table are followed over references that no map decides about; beyond, the
/// whole table is held.
const MOST_WAYS: usize = 64;

/// A held person as far as one database knows them: their rows in each table, not yet typed.
#[derive(Clone, Debug)]
pub struct PersonHold {
    /// Namespace and name of the LegalHold.
    pub name: String,
    /// One for each table in which rows may be theirs.
    tables: BTreeMap<TableName, Theirs>,
}

/// Which rows of a table are a person's.
#[derive(Clone, Debug)]
enum Theirs {
    /// Those that are reached so, as a map says.
    Mapped(Reach),
    /// Those that are reached so, over references that no map says anything of.
    Hanging(Reach),
    /// It cannot be told.
    Every,
}

/// The maps of a hold. Refused where one of them is not there, or says nothing of persons any more: whom it
/// keeps could not be told.
pub fn maps_of(
    hold: &HeldPerson,
    maps: &[NamedMap],
    catalog: &Catalog,
) -> Result<Vec<NamedMap>, Refusal> {
    let refuse = |message: String| {
        let message = format!("the hold {} cannot be kept: {message}", hold.name);
        Refusal::whole(Reason::HoldsUnreadable, message)
    };
    let mut found = Vec::new();
    for name in &hold.maps {
        let Some(named) = maps.iter().find(|named| named.name == *name) else {
            return Err(refuse(format!(
                "it is on a person who is found through the DataMap {name}, which is not there: bring \
                 it back, or release the hold"
            )));
        };
        if !knows(&named.map, &hold.known) {
            return Err(refuse(format!(
                "the DataMap {name} has none of the identifiers any more by which the person is found: \
                 give it one back, or release the hold"
            )));
        }
        found.push(widened(named, catalog));
    }
    Ok(found)
}

/// A hold on a person as the ledger of one database keeps it. `maps`: those of the database through which
/// they may be found. `None`: these know nothing by which they could be.
///
/// All that they are known by is kept, also what no map of this database makes use of: once one ledger has
/// the hold the Secret is not asked any more, and another database, or a map that comes later, may know
/// them by that alone.
pub fn held_person<'m>(
    id: &str,
    name: &str,
    maps: impl Iterator<Item = &'m NamedMap>,
    known: &Known,
) -> Option<HeldPerson> {
    let maps = maps.filter(|named| knows(&named.map, known));
    let maps: BTreeSet<String> = maps.map(|named| named.name.clone()).collect();
    (!maps.is_empty()).then(|| HeldPerson {
        id: id.to_owned(),
        name: name.to_owned(),
        maps,
        known: known.clone(),
    })
}

/// Whether a person who is known so could be found through a map at all.
fn knows(map: &DataMap, known: &Known) -> bool {
    map.identifiers()
        .any(|identifier| !known.texts(&identifier.name).is_empty())
}

/// The same map, but that text is compared without regard to case and spaces at its ends where the map
/// compares it as it is: what was written in other letters is rather held than not.
fn widened(named: &NamedMap, catalog: &Catalog) -> NamedMap {
    let mut named = named.clone();
    let map = &mut named.map;
    for role in &mut map.people.roles {
        let table = catalog.table(&role.table);
        for identifier in &mut role.identifiers {
            widen(identifier, table);
        }
    }
    for entry in &mut map.tables {
        let table = catalog.table(&entry.table);
        let ways = entry
            .reached
            .iter_mut()
            .flat_map(|reached| &mut reached.ways);
        for way in ways {
            if let Way::Own(identifier) = way {
                widen(identifier, table);
            }
        }
    }
    named
}

fn widen(identifier: &mut Identifier, table: Option<&Table>) {
    let column = table.and_then(|table| table.column(&identifier.column));
    let is_text = |column: &Column| column.kind == ColumnKind::Text;
    if identifier.normalise.is_none() && column.is_some_and(is_text) {
        identifier.normalise = Some(Normalise::LowercaseTrim);
    }
}

impl PersonHold {
    /// Where a person's rows are. `maps`: see [`maps_of`]. `known`: with what the database leads on to.
    /// `vague`: map and role in which rows have one of the identifiers, and none fits all that is known.
    pub fn of(
        hold: &HeldPerson,
        maps: &[NamedMap],
        known: &Known,
        vague: &BTreeSet<(String, String)>,
        catalog: &Catalog,
    ) -> Self {
        let mut mapped = BTreeMap::new();
        for named in maps {
            let lowering = Lowering {
                named,
                known,
                vague,
                catalog,
            };
            lowering.add(&mut mapped);
        }
        let beside = Beside {
            maps,
            mapped: &mapped,
            catalog,
        };
        let hanging = beside.tables();
        Self {
            name: hold.name.clone(),
            tables: mapped.into_iter().chain(hanging).collect(),
        }
    }

    /// Each table with the rows that are theirs, typed. A map that does not fit its database is refused.
    pub(super) fn typed<'c>(
        &self,
        catalog: &'c Catalog,
    ) -> Result<Vec<(&'c Table, HeldTest)>, Vec<Refusal>> {
        let policy = Policy {
            zone: TimeZone::UTC,
            limits: Limits::default(),
            rules: Vec::new(),
            maps: Vec::new(),
            against: Against::Erasure,
        };
        let mut all = Vec::new();
        let mut refusals = Vec::new();
        for (name, theirs) in &self.tables {
            let Some(table) = catalog.table(name) else {
                refusals.push(self.refuse(&format!(
                    "table {name} does not exist in database {}, or user {} may not see it",
                    catalog.database, catalog.user
                )));
                continue;
            };
            let typed = match theirs {
                Theirs::Every => Ok(None),
                Theirs::Mapped(reach) => self
                    .reach(&policy, catalog, table, reach)
                    .map(Some)
                    .map_err(|found| found.iter().map(|r| self.refuse(&r.message)).collect()),
                // Nobody has said that the columns compare.
                Theirs::Hanging(reach) => Ok(self.reach(&policy, catalog, table, reach).ok()),
            };
            match typed {
                Ok(None) => all.push((table, HeldTest::Every)),
                Ok(Some(reach)) if reach.is_empty() => {}
                Ok(Some(reach)) => {
                    all.push((table, HeldTest::Person(table.name.clone(), reach)));
                }
                Err(found) => refusals.extend::<Vec<Refusal>>(found),
            }
        }
        if refusals.is_empty() {
            Ok(all)
        } else {
            Err(refusals)
        }
    }

    fn refuse(&self, message: &str) -> Refusal {
        let message = format!("the hold {} cannot be kept: {message}", self.name);
        Refusal::whole(Reason::HoldsUnreadable, message)
    }

    fn reach(
        &self,
        policy: &Policy,
        catalog: &Catalog,
        table: &Table,
        reach: &Reach,
    ) -> Result<ReachSql, Vec<Refusal>> {
        let rule = Rule {
            name: self.name.clone(),
            table: table.name.clone(),
            expiry: Expiry::Reached(reach.clone()),
            conditions: Vec::new(),
            only_if: Vec::new(),
            unless: Vec::new(),
            action: Action::Delete,
            groups: None,
            related: Vec::new(),
            // A hold is no worse for being slow.
            allow_unindexed: true,
            triggers: Vec::new(),
            partitions: Partitions::Rows,
            seal: None,
            sealed_from: None,
        };
        let view = View {
            policy,
            catalog,
            // Nothing is changed in what is looked at, whosever it is.
            ledger: &table.name.table,
        };
        Typing::of(policy, &rule, view).reach(table, reach)
    }
}

struct Lowering<'a> {
    named: &'a NamedMap,
    known: &'a Known,
    vague: &'a BTreeSet<(String, String)>,
    catalog: &'a Catalog,
}

impl Lowering<'_> {
    fn map(&self) -> &DataMap {
        &self.named.map
    }

    fn add(&self, tables: &mut BTreeMap<TableName, Theirs>) {
        let roles = self.map().people.roles.iter();
        let roles = roles.map(|role| (&role.table, Theirs::Mapped(self.role(role))));
        let entries = self.map().tables.iter().filter_map(|entry| {
            let theirs = match self.entry(entry.reached.as_ref()?, 0) {
                Some(reach) => Theirs::Mapped(reach),
                None => Theirs::Every,
            };
            Some((&entry.table, theirs))
        });
        for (name, theirs) in roles.chain(entries) {
            let name = self.catalog.table(name).map_or(name, |table| &table.name);
            merge(tables, name, theirs);
        }
    }

    /// The rows in which a person has a role: with one of the identifiers, and without one of another's.
    fn role(&self, role: &Role) -> Reach {
        let given = role.identifiers.iter().filter_map(|identifier| {
            let texts = self.known.texts(&identifier.name);
            (!texts.is_empty()).then(|| {
                let column = identifier.column.clone();
                (column, identifier.normalise, texts.to_vec())
            })
        });
        let given: Vec<_> = given.collect();
        let vague = (self.named.name.clone(), role.name.clone());
        let ways = if given.is_empty() {
            Vec::new()
        } else if self.vague.contains(&vague) {
            let any = given.into_iter();
            any.map(|(column, normalise, values)| ReachWay::Identifier {
                column,
                normalise,
                values,
            })
            .collect()
        } else {
            vec![ReachWay::Fits(given)]
        };
        Reach { ways }
    }

    /// The rows of an entry; `None`: its ways do not end.
    fn entry(&self, reached: &Reached, depth: usize) -> Option<Reach> {
        if depth > MOST_STEPS {
            return None;
        }
        let mut ways = Vec::new();
        for way in &reached.ways {
            match way {
                Way::Role(name) => {
                    ways.extend(
                        self.map()
                            .people
                            .role(name)
                            .map_or(Vec::new(), |role| self.role(role).ways),
                    );
                }
                Way::OfRole(name, pairs) => {
                    let role = self.map().people.role(name)?;
                    ways.extend(through(&role.table, pairs, self.role(role)));
                }
                Way::OfEntry(name, pairs) => {
                    let mut entries = self.map().tables.iter();
                    let entry: &MappedTable = entries.find(|entry| entry.name == *name)?;
                    let above = self.entry(entry.reached.as_ref()?, depth + 1)?;
                    ways.extend(through(&entry.table, pairs, above));
                }
                Way::Own(identifier) => {
                    let values = self.known.texts(&identifier.name).to_vec();
                    ways.extend((!values.is_empty()).then(|| ReachWay::Identifier {
                        column: identifier.column.clone(),
                        normalise: identifier.normalise,
                        values,
                    }));
                }
            }
        }
        Some(Reach { ways })
    }
}

/// What hangs on a person's rows beside what maps say.
struct Beside<'a> {
    maps: &'a [NamedMap],
    mapped: &'a BTreeMap<TableName, Theirs>,
    catalog: &'a Catalog,
}

impl Beside<'_> {
    /// Whether a map says something of a table. Where it leads to no row of it, none is theirs.
    fn says(&self, table: &TableName) -> bool {
        let mut maps = self.maps.iter();
        maps.any(|named| {
            let roles = named.map.people.roles.iter().map(|role| &role.table);
            let mut all = roles.chain(named.map.tables());
            all.any(|name| self.catalog.is(name, table))
        })
    }

    fn references(&self, of: impl Fn(&Reference) -> bool) -> impl Iterator<Item = &Reference> {
        self.catalog.references.iter().filter(move |r| of(r))
    }

    /// The tables that hang on a person's rows, at any depth, and of which no map says anything.
    fn tables(&self) -> BTreeMap<TableName, Theirs> {
        let mut open: Vec<&TableName> = self.mapped.keys().collect();
        let mut found = BTreeMap::new();
        while let Some(above) = open.pop() {
            for reference in self.references(|r| r.to == *above) {
                let from = &reference.from;
                if !found.contains_key(from) && !self.says(from) {
                    let rows = self.hanging(from, &mut Vec::new());
                    found.insert(from.clone(), rows.map_or(Theirs::Every, Theirs::Hanging));
                    open.push(from);
                }
            }
        }
        found
    }

    /// Whether a table of which no map says anything hangs on a person's rows at all.
    fn hangs(&self, table: &TableName) -> bool {
        let mut open = vec![table];
        let mut seen = BTreeSet::new();
        while let Some(from) = open.pop() {
            for reference in self.references(|r| r.from == *from) {
                if self.mapped.contains_key(&reference.to) {
                    return true;
                }
                if !self.says(&reference.to) && seen.insert(&reference.to) {
                    open.push(&reference.to);
                }
            }
        }
        false
    }

    /// The rows of such a table; `None`: what hangs on what cannot be told, because it leads in a circle,
    /// too far, or in too many ways.
    fn hanging(&self, table: &TableName, below: &mut Vec<TableName>) -> Option<Reach> {
        if below.contains(table) || below.len() >= MOST_STEPS {
            return None;
        }
        below.push(table.clone());
        let mut ways = Vec::new();
        for reference in self.references(|r| r.from == *table) {
            let above = match self.mapped.get(&reference.to) {
                Some(Theirs::Mapped(reach) | Theirs::Hanging(reach)) => reach.clone(),
                Some(Theirs::Every) => return None,
                None if self.says(&reference.to) => continue,
                None if !self.hangs(&reference.to) => continue,
                None => self.hanging(&reference.to, below)?,
            };
            let columns = reference.from_columns.iter().zip(&reference.to_columns);
            let pairs: Vec<(Ident, Ident)> = columns.map(|(a, b)| (a.clone(), b.clone())).collect();
            ways.extend(through(&reference.to, &pairs, above));
        }
        below.pop();
        let reach = Reach { ways };
        (ways_of(&reach) <= MOST_WAYS && steps_of(&reach) <= MOST_STEPS).then_some(reach)
    }
}

/// The way over a table's rows, where any of those is the person's.
fn through(table: &TableName, pairs: &[(Ident, Ident)], above: Reach) -> Option<ReachWay> {
    let matches = pairs.iter().map(|(own, theirs)| Match {
        column: theirs.clone(),
        equals: own.clone(),
        normalise: None,
    });
    let hop = Hop {
        table: table.clone(),
        matches: matches.collect(),
    };
    (!above.ways.is_empty()).then_some(ReachWay::Through(hop, above))
}

fn ways_of(reach: &Reach) -> usize {
    let of_way = |way: &ReachWay| match way {
        ReachWay::Through(_, reach) => ways_of(reach),
        ReachWay::Keys(..) | ReachWay::Identifier { .. } | ReachWay::Fits(_) => 1,
    };
    reach.ways.iter().map(of_way).sum()
}

fn steps_of(reach: &Reach) -> usize {
    let of_way = |way: &ReachWay| match way {
        ReachWay::Through(_, reach) => 1 + steps_of(reach),
        ReachWay::Keys(..) | ReachWay::Identifier { .. } | ReachWay::Fits(_) => 0,
    };
    reach.ways.iter().map(of_way).max().unwrap_or(0)
}

/// Rows that are theirs by any of what maps say of a table.
fn merge(tables: &mut BTreeMap<TableName, Theirs>, name: &TableName, theirs: Theirs) {
    match (tables.get_mut(name), theirs) {
        (Some(Theirs::Mapped(known)), Theirs::Mapped(more)) => known.ways.extend(more.ways),
        (None, theirs) | (Some(_), theirs @ (Theirs::Every | Theirs::Hanging(_))) => {
            tables.insert(name.clone(), theirs);
        }
        (Some(Theirs::Every | Theirs::Hanging(_)), Theirs::Mapped(_)) => {}
    }
}

#[cfg(test)]
mod tests;
