//! From a map and a person's keys to a policy: one rule for each entry that leads to the person, what
//! hangs on others first. The policy is planned, approved, run and verified as every other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::find::{FoundRole, Known};
use super::request::Scope;
use crate::catalog::{Catalog, Reference};
use crate::duty::{Against, MappedColumn, MappedTable, NamedMap};
use crate::name::{Ident, TableName};
use crate::people::{Decision, Reached, Way};
use crate::policy::{
    Action, Expiry, Hop, Limits, Match, Partitions, Policy, Reach, ReachWay, Related,
    RelatedAction, Rule, Treatment,
};
use crate::strategy::Strategy;
use crate::value::Key;

/// What was found of a person in one database, and what they are known by.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Their rows in each role in which they were found.
    pub roles: &'a [FoundRole],
    /// What they are known by.
    pub known: &'a Known,
    /// Keys of their rows that a duty kept, by entry: what they were known by is gone from those.
    pub kept: &'a BTreeMap<String, Vec<Key>>,
}

/// What a request asks of one entry.
enum Asked {
    /// Nothing.
    Nothing,
    /// Its rows go.
    Rows,
    /// Columns of them are transformed.
    Columns(Vec<Treatment>),
}

/// The policy that carries a request out in one database. `maps`: every map of it, whose duties bind
/// the request.
pub fn policy(
    map: &NamedMap,
    maps: &[NamedMap],
    person: Person<'_>,
    scope: &Scope,
    catalog: &Catalog,
) -> Policy {
    let mut maps = maps.to_vec();
    maps.sort_by_key(|other| other.name != map.name);
    let lowering = Lowering {
        map,
        person,
        scope,
        catalog,
    };
    let mut rules: Vec<Rule> = map
        .map
        .tables
        .iter()
        .filter_map(|entry| lowering.rule(entry))
        .collect();
    lowering.sort(&mut rules);
    Policy {
        zone: TimeZone::UTC,
        limits: Limits::default(),
        rules,
        maps,
        against: Against::Erasure,
    }
}

struct Lowering<'a> {
    map: &'a NamedMap,
    person: Person<'a>,
    scope: &'a Scope,
    catalog: &'a Catalog,
}

impl Lowering<'_> {
    fn entry(&self, name: &str) -> Option<&MappedTable> {
        self.map.map.tables.iter().find(|entry| entry.name == name)
    }

    fn rule(&self, entry: &MappedTable) -> Option<Rule> {
        let reached = entry.reached.as_ref()?;
        let action = match self.asked(entry, reached) {
            Asked::Nothing => return None,
            Asked::Rows => Action::Delete,
            Asked::Columns(treatments) => Action::Anonymise(treatments),
        };
        let related = match action {
            Action::Delete => self.related(&entry.table),
            Action::Anonymise(_) => Vec::new(),
        };
        Some(Rule {
            name: entry.name.clone(),
            table: entry.table.clone(),
            expiry: Expiry::Reached(self.reach(entry, reached)),
            conditions: Vec::new(),
            only_if: Vec::new(),
            unless: Vec::new(),
            action,
            groups: None,
            related,
            // A person's rows are few, and one look over the table is what the law asks for.
            allow_unindexed: true,
            triggers: Vec::new(),
            partitions: Partitions::Rows,
            seal: None,
            sealed_from: None,
        })
    }

    /// Rows go where all that they are used for ends; otherwise columns do of which that is so.
    fn asked(&self, entry: &MappedTable, reached: &Reached) -> Asked {
        let purposes = &self.scope.purposes;
        let all = purposes.is_empty();
        let ends =
            |of: &[String]| all || (!of.is_empty() && of.iter().all(|p| purposes.contains(p)));
        if reached.decision == Decision::Delete && ends(&reached.purposes) {
            return Asked::Rows;
        }
        if reached.decision == Decision::Delete && all {
            return Asked::Nothing;
        }
        let treated = |mapped: &MappedColumn| -> Option<Treatment> {
            let strategy = mapped.strategy.clone().filter(|_| ends(&mapped.purposes))?;
            let column = mapped.column.clone();
            Some(Treatment { column, strategy })
        };
        let treatments: Vec<Treatment> = entry.columns.iter().filter_map(treated).collect();
        if treatments.is_empty() {
            Asked::Nothing
        } else {
            Asked::Columns(treatments)
        }
    }

    fn reach(&self, entry: &MappedTable, reached: &Reached) -> Reach {
        let ways = reached.ways.iter().filter_map(|way| self.way(way));
        Reach {
            ways: ways.chain(self.kept(entry)).collect(),
        }
    }

    /// The way to rows that a duty kept before.
    fn kept(&self, entry: &MappedTable) -> Option<ReachWay> {
        let keys = self.person.kept.get(&entry.name)?;
        let table = self.catalog.table(&entry.table)?;
        Some(ReachWay::Keys(table.primary_key.clone(), keys.clone()))
    }

    fn way(&self, way: &Way) -> Option<ReachWay> {
        match way {
            Way::Role(name) => {
                let role = self.map.map.people.role(name)?;
                let key = &self.catalog.table(&role.table)?.primary_key;
                Some(self.keys(name, key, &key.iter().collect::<Vec<_>>()))
            }
            Way::OfRole(name, pairs) => {
                let own: Vec<Ident> = pairs.iter().map(|(own, _)| own.clone()).collect();
                let theirs: Vec<&Ident> = pairs.iter().map(|(_, theirs)| theirs).collect();
                Some(self.keys(name, &own, &theirs))
            }
            Way::OfEntry(name, pairs) => {
                let entry = self.entry(name)?;
                let matches = pairs.iter().map(|(own, theirs)| Match {
                    column: theirs.clone(),
                    equals: own.clone(),
                    normalise: None,
                });
                let hop = Hop {
                    table: entry.table.clone(),
                    matches: matches.collect(),
                };
                let reached = entry.reached.as_ref()?;
                Some(ReachWay::Through(hop, self.reach(entry, reached)))
            }
            Way::Own(identifier) => {
                // Who asks in one role asks for what that role's rows lead to.
                let all = self.scope.role.is_none();
                let texts = self.person.known.texts(&identifier.name);
                Some(ReachWay::Identifier {
                    column: identifier.column.clone(),
                    normalise: identifier.normalise,
                    values: if all { texts.to_vec() } else { Vec::new() },
                })
            }
        }
    }

    fn keys(&self, role: &str, own: &[Ident], theirs: &[&Ident]) -> ReachWay {
        let wanted = self.scope.role.as_ref().is_none_or(|only| only == role);
        let found = self
            .person
            .roles
            .iter()
            .filter(|found| wanted && found.role == role);
        let keys = found.flat_map(|found| found.keys(theirs)).collect();
        ReachWay::Keys(own.to_vec(), keys)
    }

    /// What becomes of the rows that refer to rows of a table that go, at any depth: what came since
    /// their own rules ran goes with these, and nothing is left that refers to nobody.
    fn related(&self, table: &TableName) -> Vec<Related> {
        let mut related = Vec::new();
        let mut open = vec![table.clone()];
        let mut seen = BTreeSet::new();
        while let Some(above) = open.pop() {
            if !seen.insert(above.to_string()) {
                continue;
            }
            let references = self.catalog.references.iter();
            for reference in references.filter(|r| self.catalog.is(&above, &r.to)) {
                let Some(action) = self.of_reference(reference) else {
                    // The plan refuses what nobody has decided.
                    continue;
                };
                if matches!(action, RelatedAction::Delete) {
                    open.push(reference.from.clone());
                }
                let pairs = reference.from_columns.iter().zip(&reference.to_columns);
                related.push(Related {
                    table: reference.from.clone(),
                    of: reference.to.clone(),
                    matches: pairs.map(|(a, b)| (a.clone(), b.clone())).collect(),
                    action,
                });
            }
        }
        related
    }

    /// What becomes of the rows behind a reference: what the entry says whose way it is. Rows that are
    /// the person's by other ways only are not theirs by this one: an order that somebody approved is
    /// the customer's. They let go, or the plan is refused where they cannot.
    fn of_reference(&self, reference: &Reference) -> Option<RelatedAction> {
        let of_table = || {
            let entries = self.map.map.tables.iter();
            entries.filter(|entry| self.catalog.is(&entry.table, &reference.from))
        };
        let is_way = |entry: &&MappedTable| {
            let ways = entry.reached.iter().flat_map(|reached| &reached.ways);
            ways.into_iter().any(|way| match way {
                Way::OfRole(role, pairs) => {
                    let role = self.map.map.people.role(role);
                    self.leads(role.map(|role| &role.table), pairs, reference)
                }
                Way::OfEntry(entry, pairs) => {
                    let entry = self.entry(entry);
                    self.leads(entry.map(|entry| &entry.table), pairs, reference)
                }
                Way::Role(_) | Way::Own(_) => false,
            })
        };
        let Some(entry) = of_table().find(is_way) else {
            let reached = |entry: &&MappedTable| entry.reached.is_some();
            return of_table().find(reached).map(|_| RelatedAction::Detach);
        };
        let reached = entry.reached.as_ref()?;
        let lets_go = |treatments: &[Treatment]| {
            treatments.iter().any(|treatment| {
                treatment.strategy == Strategy::Nullify
                    && reference.from_columns.contains(&treatment.column)
            })
        };
        Some(match self.asked(entry, reached) {
            Asked::Rows => RelatedAction::Delete,
            Asked::Columns(treatments) if lets_go(&treatments) => {
                RelatedAction::Anonymise(treatments)
            }
            Asked::Columns(_) | Asked::Nothing => RelatedAction::Detach,
        })
    }

    /// Whether a way from a table is just this reference.
    fn leads(
        &self,
        from: Option<&TableName>,
        pairs: &[(Ident, Ident)],
        reference: &Reference,
    ) -> bool {
        let columns = reference.from_columns.iter().zip(&reference.to_columns);
        let of: Vec<(&Ident, &Ident)> = columns.collect();
        from.is_some_and(|from| self.catalog.is(from, &reference.to))
            && pairs.len() == of.len()
            && pairs
                .iter()
                .all(|(own, theirs)| of.contains(&(own, theirs)))
    }

    /// Rows that refer to others go first, and those through which others are reached go last.
    fn sort(&self, rules: &mut Vec<Rule>) {
        let mut left = std::mem::take(rules);
        while !left.is_empty() {
            let free = |rule: &Rule| {
                let others = left.iter().filter(|other| other.name != rule.name);
                !others
                    .into_iter()
                    .any(|other| self.stands_before(other, rule))
            };
            // Rows in a ring have no order: whichever comes first takes the others with it.
            let at = left.iter().position(free).unwrap_or(0);
            rules.push(left.remove(at));
        }
    }

    /// Whether a rule must run before another.
    fn stands_before(&self, first: &Rule, then: &Rule) -> bool {
        let looks = || first.looked_at().any(|table| *table == then.table);
        let refers = || {
            let references = self.catalog.references.iter();
            references.into_iter().any(|reference| {
                reference.from != reference.to
                    && self.catalog.is(&first.table, &reference.from)
                    && self.catalog.is(&then.table, &reference.to)
            })
        };
        // What is transformed lets go before what it refers to goes; of one table both ways are the same.
        first.table != then.table && (looks() || refers())
    }
}
