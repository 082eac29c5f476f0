//! What happens to the rows of a rule that duties keep only in part: steps of their own, one for each
//! set of duties that keeps the same columns.

use std::collections::{BTreeMap, BTreeSet};

use super::{Duties, Typed, concerns};
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Table};
use crate::duty::{Against, MappedTable};
use crate::name::Ident;
use crate::plan::draft::RuleDraft;
use crate::plan::graph;
use crate::plan::refusal::Refusal;
use crate::policy::{
    Action, Clause, Condition, Expiry, Partitions, Reach, ReachWay, Rule, Since, Treatment,
};
use crate::sql::{Held, HeldAt, Kept};

/// A part of a rule: what happens to those of its rows of which a duty keeps a part.
pub(in crate::plan) struct Remainder {
    /// The rule that says so.
    pub(in crate::plan) rule: Rule,
    within: Vec<Kept>,
    kept: Vec<Kept>,
}

impl Remainder {
    /// Puts the part's predicate into its draft.
    pub(in crate::plan) fn bind(self, catalog: &Catalog, drafted: &mut RuleDraft) {
        let change = &mut drafted.change;
        let before = change.eligible.looks_elsewhere();
        change.eligible.within = self.within;
        change.eligible.kept = self.kept;
        if !before && change.eligible.looks_elsewhere() {
            change.grips = graph::grip(catalog, &change.window.table, &mut change.referenced);
        }
        drafted.count.eligible = change.eligible.clone();
        drafted.remainder = true;
    }
}

/// A duty that keeps a part of rows.
struct Keeper<'k> {
    duty: &'k Typed<'k>,
    kept: Kept,
    /// What it keeps of them.
    columns: BTreeSet<Ident>,
    /// Whether it is about rows that hang on them.
    below: bool,
}

/// The duties that keep rows of a rule.
#[derive(Default)]
pub(super) struct Keepers<'k> {
    partial: Vec<Keeper<'k>>,
    whole: Vec<Kept>,
}

impl<'k> Keepers<'k> {
    /// A duty that keeps the rows as they are.
    pub(super) fn keep_whole(&mut self, found: &Kept) {
        self.whole.push(found.clone());
    }

    /// A duty of which nothing is a part that also keeps rows from below.
    pub(super) fn add(&mut self, duty: &'k Typed<'k>, found: &Kept) {
        let own = found.held.places.iter().all(|place| place.path.is_empty());
        match duty.columns().filter(|_| own) {
            Some(columns) => self.partial.push(Keeper {
                duty,
                kept: found.clone(),
                columns: columns.into_iter().cloned().collect(),
                below: false,
            }),
            None => self.keep_whole(found),
        }
    }

    /// The same, and what hangs on rows keeps of them only what it refers to.
    pub(super) fn add_apart(&mut self, duty: &'k Typed<'k>, found: &Kept) {
        let (own, below): (Vec<HeldAt>, Vec<HeldAt>) = {
            let places = found.held.places.iter().cloned();
            places.partition(|place| place.path.is_empty())
        };
        let at = |places: Vec<HeldAt>| Held {
            hold: found.held.hold.clone(),
            places,
        };
        if !own.is_empty() {
            let found = Kept {
                held: at(own),
                clocks: found.clocks.clone(),
            };
            self.add(duty, &found);
        }
        if below.is_empty() {
            return;
        }
        let referred = below.iter().filter_map(|place| place.path.first());
        let referred = referred.flat_map(|step| &step.pairs);
        let columns = referred.map(|(_, to)| to.name.clone()).collect();
        // The part has no related rows of its own, and so no nodes.
        let places = below.into_iter().map(|place| HeldAt {
            node: None,
            ..place
        });
        self.partial.push(Keeper {
            duty,
            kept: Kept {
                held: at(places.collect()),
                clocks: Vec::new(),
            },
            columns,
            below: true,
        });
    }

    /// Which of the duties keep a column.
    fn of(&self, column: &Ident) -> Vec<usize> {
        let keepers = self.partial.iter().enumerate();
        let keepers = keepers.filter(|(_, keeper)| keeper.columns.contains(column));
        keepers.map(|(index, _)| index).collect()
    }

    fn are_all(&self, keepers: &[usize]) -> bool {
        keepers.len() == self.partial.len()
    }
}

/// What maps say of the columns of a table.
#[derive(Default)]
struct Said {
    treatments: Vec<Treatment>,
    /// Named without a strategy; they stay.
    stay: Vec<Ident>,
    /// Nothing is said of them.
    missing: Vec<Ident>,
}

impl Duties<'_> {
    /// The parts of a rule, one for each set of duties that keeps columns, and what a person should
    /// know of them.
    pub(super) fn split(
        &self,
        rule: &Rule,
        drafted: &RuleDraft,
        keepers: &Keepers<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> (Vec<Remainder>, Vec<String>) {
        let catalog = self.catalog;
        let table = catalog.tables.get(&drafted.change.window.table);
        let Some(table) = table.filter(|_| !keepers.partial.is_empty()) else {
            return (Vec::new(), Vec::new());
        };
        let mut found_by = found_by(rule, table);
        // A duty whose date went would have no end.
        let beside = self
            .all
            .iter()
            .filter(|duty| concerns(catalog, &duty.table.name, &table.name));
        let dates = beside.flat_map(|duty| &duty.duty.until);
        found_by.extend(dates.map(|ends| ends.clock.column.clone()));
        let said = match &rule.action {
            Action::Anonymise(treatments) => Said {
                treatments: treatments.clone(),
                ..Said::default()
            },
            Action::Delete => self.said(rule, table, keepers, |column| {
                found_by.contains(column) || keepers.are_all(&keepers.of(column))
            }),
        };
        if !said.missing.is_empty() {
            refusals.push(self.strategy_missing(rule, table, keepers, &said.missing));
        }
        let mut groups: BTreeMap<Vec<usize>, Vec<Treatment>> = BTreeMap::new();
        let mut stay = Vec::new();
        for treatment in said.treatments {
            let of = keepers.of(&treatment.column);
            if keepers.are_all(&of) {
                continue;
            }
            if found_by.contains(&treatment.column) {
                stay.push(treatment.column);
                continue;
            }
            groups.entry(of).or_default().push(treatment);
        }
        let told = |columns: &[Ident], why: &str| {
            let names: Vec<String> = columns.iter().map(ToString::to_string).collect();
            (!columns.is_empty()).then(|| {
                format!(
                    "rule {}: {} of {} stay in rows of which a duty keeps a part: {why}",
                    rule.name,
                    names.join(", "),
                    table.name
                )
            })
        };
        let found_again = "rule or duty is judged by them, and has to find the rows again";
        let undecided = "the DataMap names them without a strategy";
        let told = [told(&stay, found_again), told(&said.stay, undecided)];
        let within = || keepers.partial.iter().map(|keeper| keeper.kept.clone());
        let parts = groups.into_iter().enumerate();
        let parts = parts.map(|(index, (of, treatments))| {
            let kept = of.iter().map(|&index| keepers.partial[index].kept.clone());
            Remainder {
                rule: Rule {
                    name: match index {
                        0 => format!("{} (kept)", rule.name),
                        _ => format!("{} (kept {})", rule.name, index + 1),
                    },
                    action: Action::Anonymise(treatments),
                    related: Vec::new(),
                    // What it makes of rows is neither what the rule promises of small groups nor whole.
                    groups: None,
                    partitions: Partitions::Rows,
                    seal: None,
                    ..rule.clone()
                },
                within: within().collect(),
                kept: keepers.whole.iter().cloned().chain(kept).collect(),
            }
        });
        (parts.collect(), told.into_iter().flatten().collect())
    }

    /// The entry from which a request's rule came, and the name of its map. Another map of the database may
    /// have an entry of that name, too.
    fn asked_by(&self, rule: &Rule) -> Option<(&str, &MappedTable)> {
        let named = self.maps.first()?;
        let mut entries = named.map.tables.iter();
        let entry = entries.find(|entry| {
            self.against == Against::Erasure
                && entry.reached.is_some()
                && entry.name == rule.name
                && entry.table == rule.table
        })?;
        Some((&named.name, entry))
    }

    /// What the maps say of the columns of a table that do not all stay, and of which they say
    /// nothing.
    fn said(
        &self,
        rule: &Rule,
        table: &Table,
        keepers: &Keepers<'_>,
        stays: impl Fn(&Ident) -> bool,
    ) -> Said {
        // What an entry says counts for the duties beside it; what several say must not depend on
        // their order, and so the first by name speaks.
        let own = keepers.partial.iter().filter(|keeper| !keeper.below);
        let mut beside: Vec<&Typed<'_>> = own.map(|keeper| keeper.duty).collect();
        beside.sort_by(|a, b| a.name.cmp(&b.name));
        let asked_by = self.asked_by(rule).map(|(_, entry)| entry);
        let entries = asked_by.into_iter();
        let entries: Vec<&MappedTable> = entries
            .chain(beside.into_iter().map(|duty| duty.entry))
            .collect();
        let treatments: Vec<Treatment> = entries
            .iter()
            .flat_map(|entry| entry.treatments())
            .collect();
        // A policy has to know what it does; a request leaves what its map leaves.
        let is_named = |name: &Ident| {
            let mut named = entries.iter().flat_map(|entry| &entry.columns);
            self.against == Against::Erasure && named.any(|mapped| mapped.column == *name)
        };
        let mut said = Said::default();
        let columns = table.columns.iter().filter(|column| !column.generated);
        for column in columns.filter(|column| !stays(&column.name)) {
            match treatments.iter().find(|said| said.column == column.name) {
                Some(treatment) => said.treatments.push(treatment.clone()),
                None if is_named(&column.name) => said.stay.push(column.name.clone()),
                None => said.missing.push(column.name.clone()),
            }
        }
        said
    }

    fn strategy_missing(
        &self,
        rule: &Rule,
        table: &Table,
        keepers: &Keepers<'_>,
        missing: &[Ident],
    ) -> Refusal {
        let partial = &keepers.partial;
        let mut duties: Vec<&str> = partial
            .iter()
            .map(|keeper| keeper.duty.name.as_str())
            .collect();
        duties.dedup();
        let columns: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let own = partial.iter().find(|keeper| !keeper.below);
        let place = match (own.map(|keeper| keeper.duty), self.asked_by(rule)) {
            (Some(duty), _) => format!(
                "in the DataMap {}, entry {} of tables, write what happens to each, or add it to \
                 mustKeep[{}].columns:\ncolumns:\n",
                duty.name.split(' ').next().unwrap_or_default(),
                duty.entry.name,
                duty.place
            ),
            (None, Some((map, entry))) => format!(
                "in the DataMap {map}, entry {} of tables, write what happens to each:\ncolumns:\n",
                entry.name
            ),
            (None, None) => String::new(),
        };
        let yaml: Vec<String> = missing
            .iter()
            .map(|column| {
                format!(
                    "- {{column: {}, strategy: Nullify}}",
                    crate::yaml::scalar(column.as_str())
                )
            })
            .collect();
        let why = if own.is_some() {
            "a part of some rows must be kept"
        } else {
            "some rows stay, because rows that hang on them must be kept"
        };
        Refusal::of(
            &rule.name,
            Reason::StrategyMissing,
            format!(
                "{}: {why} ({}), and nothing says what happens to {}",
                table.name,
                duties.join(", "),
                columns.join(", ")
            ),
        )
        .remedy(format!("{place}{}", yaml.join("\n")))
    }
}

/// The columns by which a rule finds its rows, now and when a duty has ended.
fn found_by(rule: &Rule, table: &Table) -> BTreeSet<Ident> {
    let mut columns: BTreeSet<Ident> = table.primary_key.iter().cloned().collect();
    let clock = match &rule.expiry {
        Expiry::After {
            since: Since::Own(clock),
            ..
        }
        | Expiry::On { changed: clock, .. } => Some(clock),
        Expiry::After {
            since: Since::Other(event),
            ..
        } => event.otherwise.as_ref(),
        Expiry::Reached(reach) => {
            columns.extend(links(reach));
            None
        }
    };
    columns.extend(clock.map(|clock| clock.column.clone()));
    let condition = |condition: &Condition| condition.column.clone();
    for clause in &rule.conditions {
        match clause {
            Clause::Test(test) => {
                columns.insert(condition(test));
            }
            Clause::AnyOf(groups) => columns.extend(groups.iter().flatten().map(condition)),
        }
    }
    for lookup in rule.lookups() {
        let hop = lookup.via.as_ref().map_or(&lookup.hop, |via| &via.hop);
        columns.extend(hop.matches.iter().map(|pair| pair.equals.clone()));
    }
    columns
}

/// The columns by which a person's rows hang on others. What identifies the person is none of them: it
/// goes like every other column that no duty keeps.
fn links(reach: &Reach) -> Vec<Ident> {
    let mut columns = Vec::new();
    for way in &reach.ways {
        match way {
            ReachWay::Keys(of, _) => columns.extend(of.iter().cloned()),
            ReachWay::Through(hop, _) => {
                columns.extend(hop.matches.iter().map(|pair| pair.equals.clone()));
            }
            ReachWay::Identifier { .. } | ReachWay::Fits(_) => {}
        }
    }
    columns
}
