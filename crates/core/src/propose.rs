//! What a retention policy for a database could look like, from its catalog alone: a starting point
//! for people, who alone know what was promised.
//!
//! A rule is proposed where a plan of it would not be refused: the guards themselves are asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::reason::Reason;
use crate::api::rule::{MAX_RELATED, MAX_RULES};
use crate::catalog::{Catalog, Column, ColumnKind, Reference, Table};
use crate::coverage::is_of_a_life;
use crate::duty::Against;
use crate::ledger::looks_like_a_ledgers;
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::plan::{Draft, Intent, Refusal, Setting};
use crate::policy::{
    Action, Clock, Expiry, Limits, Partitions, Policy, Related, RelatedAction, Rule, Since,
};
use crate::sql::{ClockSql, CountSql};

/// The period of every proposed rule: long, so that what it shows is what nobody has thought of.
pub const PERIOD: &str = "P7Y";

/// References that need a decision, and whether each leads back to a table above.
pub type Hanging<'c> = Vec<(&'c Reference, bool)>;

/// Longest name of a rule.
const NAME: usize = 63;
/// Longest name of a resource that is made of a database's.
const RESOURCE: usize = 50;

/// What is proposed, and what is not.
#[derive(Debug)]
pub struct Proposal<'c> {
    /// The rules, the largest table first.
    pub rules: Vec<Proposed<'c>>,
    /// Tables with a date whose plan would be refused, and by what first.
    pub refused: Vec<(&'c Table, Refusal)>,
    /// Tables with a date beyond the number that was asked for.
    pub beyond: Vec<&'c Table>,
    /// Tables without a date.
    pub undated: Vec<&'c Table>,
}

/// One proposed rule.
#[derive(Debug)]
pub struct Proposed<'c> {
    /// A name for it.
    pub name: String,
    /// The table.
    pub table: &'c Table,
    /// The column that starts the period.
    pub clock: &'c Column,
    /// Other columns that could.
    pub others: Vec<&'c Column>,
    /// What hangs on its rows.
    pub related: Hanging<'c>,
    /// Counts all rows of the table; its `eligible` are those with a plausible date, its `oldest` the
    /// least of these.
    pub extent: CountSql,
}

impl<'c> Proposal<'c> {
    /// Proposes rules for at most `most` of the `wanted` tables. `ledger`: where a ledger would be.
    pub fn of(
        catalog: &'c Catalog,
        wanted: &[TableName],
        ledger: &Ident,
        most: usize,
        as_of: Timestamp,
    ) -> Self {
        let mut tables: Vec<&Table> = wanted
            .iter()
            .filter_map(|name| catalog.table(name))
            .filter(|table| !is_ledgers(catalog, table))
            .collect();
        tables.sort_by(|a, b| {
            let rows = b.estimated_rows.cmp(&a.estimated_rows);
            rows.then_with(|| a.name.cmp(&b.name))
        });
        let proposing = Proposing {
            catalog,
            ledger,
            as_of,
            hanging: hanging(catalog),
        };
        let mut names = BTreeSet::new();
        let mut proposal = Self {
            rules: Vec::new(),
            refused: Vec::new(),
            beyond: Vec::new(),
            undated: Vec::new(),
        };
        for table in tables {
            let clocks = clocks(table);
            let Some((clock, others)) = clocks.split_first() else {
                proposal.undated.push(table);
                continue;
            };
            if proposal.rules.len() >= most.min(MAX_RULES) {
                proposal.beyond.push(table);
                continue;
            }
            match proposing.rule(table, clock) {
                Ok((related, extent)) => proposal.rules.push(Proposed {
                    name: unique(table.name.table.as_str(), &mut names),
                    table,
                    clock,
                    others: others.to_vec(),
                    related,
                    extent,
                }),
                Err(refusal) => proposal.refused.push((table, refusal)),
            }
        }
        proposal
    }
}

/// What rules are proposed from.
struct Proposing<'c, 'a> {
    catalog: &'c Catalog,
    ledger: &'a Ident,
    as_of: Timestamp,
    /// The references to each table.
    hanging: BTreeMap<&'c TableName, Vec<&'c Reference>>,
}

impl<'c> Proposing<'c, '_> {
    /// The references that a rule for the table has to decide, or why there can be no such rule.
    fn rule(&self, table: &'c Table, clock: &Column) -> Result<(Hanging<'c>, CountSql), Refusal> {
        let related = self.related(table)?;
        let mut policy = policy_of(&table.name, clock, Action::Delete);
        policy.rules[0].related = related
            .iter()
            .map(|(reference, closes)| decided(reference, *closes))
            .collect();
        let setting = Setting {
            spec: &serde_json::Value::Null,
            ledger: self.ledger,
            intent: Intent::DryRun,
            as_of: self.as_of,
        };
        let draft = Draft::of(&policy, self.catalog, &setting);
        let drafted = draft.map(|draft| draft.rules.into_iter().next());
        match drafted {
            Ok(Some(rule)) => {
                let mut extent = rule.count;
                if let ClockSql::Own(reading) = &mut extent.eligible.clock {
                    reading.cutoff.clone_from(&reading.ceiling);
                }
                Ok((related, extent))
            }
            Ok(None) => Err(Refusal::whole(Reason::InternalError, "nothing was drafted")),
            Err(refusals) => Err(first(refusals)),
        }
    }

    /// Every reference on which the table's rows hang, at any depth, parents first. What the guards
    /// refuse is left for them to refuse.
    fn related(&self, table: &'c Table) -> Result<Hanging<'c>, Refusal> {
        let mut found: Vec<(&Reference, bool)> = Vec::new();
        let mut open = VecDeque::from([vec![&table.name]]);
        let mut ways = 0;
        while let Some(way) = open.pop_front() {
            let Some(end) = way.last() else {
                continue;
            };
            for reference in self.hanging.get(*end).into_iter().flatten() {
                let closes = way.contains(&&reference.from);
                ways += 1;
                if ways > MAX_RELATED {
                    return Err(Refusal::whole(
                        Reason::ReferenceUndecided,
                        format!(
                            "{}: rows hang on its own in more than {MAX_RELATED} ways, more than a \
                             rule can decide",
                            table.name
                        ),
                    ));
                }
                // One entry decides all foreign keys over the same columns.
                match found
                    .iter_mut()
                    .find(|(known, _)| are_alike(known, reference))
                {
                    Some((_, known)) => *known |= closes,
                    None => found.push((reference, closes)),
                }
                if closes {
                    continue;
                }
                let mut further = way.clone();
                further.push(&reference.from);
                open.push_back(further);
            }
        }
        Ok(found)
    }
}

/// A policy of one rule, which nothing else is said of.
pub(crate) fn policy_of(table: &TableName, clock: &Column, action: Action) -> Policy {
    let zone = (clock.kind == ColumnKind::Civil).then_some(TimeZone::UTC);
    let rule = Rule {
        name: "proposed".to_owned(),
        table: table.clone(),
        expiry: Expiry::After {
            period: period(),
            since: Since::Own(Clock {
                column: clock.name.clone(),
                epoch: None,
                zone,
                not_before: Clock::PLAUSIBLE_FROM,
            }),
        },
        conditions: Vec::new(),
        only_if: Vec::new(),
        unless: Vec::new(),
        action,
        groups: None,
        related: Vec::new(),
        allow_unindexed: false,
        triggers: Vec::new(),
        partitions: Partitions::Rows,
        seal: None,
        sealed_from: None,
    };
    Policy {
        zone: TimeZone::UTC,
        limits: Limits::default(),
        rules: vec![rule],
        maps: Vec::new(),
        against: Against::Expiry,
    }
}

fn hanging(catalog: &Catalog) -> BTreeMap<&TableName, Vec<&Reference>> {
    let mut hanging: BTreeMap<&TableName, Vec<&Reference>> = BTreeMap::new();
    for reference in &catalog.references {
        hanging.entry(&reference.to).or_default().push(reference);
    }
    hanging
}

/// The first refusal that speaks of the table; that privileges are missing is said of all of them.
fn first(refusals: Vec<Refusal>) -> Refusal {
    let mut refusals = refusals.into_iter();
    let first = refusals.next();
    first.unwrap_or_else(|| Refusal::whole(Reason::InternalError, "it is refused for no reason"))
}

/// Whether two references run over the same columns, whatever they are called.
pub(crate) fn are_alike(a: &Reference, b: &Reference) -> bool {
    let pairs = |reference: &Reference| -> BTreeSet<(Ident, Ident)> {
        let columns = reference.from_columns.iter().cloned();
        columns.zip(reference.to_columns.iter().cloned()).collect()
    };
    a.from == b.from && a.to == b.to && pairs(a) == pairs(b)
}

/// The decision that [`crate::plan::entry`] writes.
fn decided(reference: &Reference, closes: bool) -> Related {
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    Related {
        table: reference.from.clone(),
        of: reference.to.clone(),
        matches: columns.map(|(a, b)| (a.clone(), b.clone())).collect(),
        action: if closes && reference.nullable {
            RelatedAction::Detach
        } else {
            RelatedAction::Delete
        },
    }
}

pub(crate) fn is_ledgers(catalog: &Catalog, table: &Table) -> bool {
    let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    looks_like_a_ledgers(catalog.engine, table.name.table.as_str(), &columns)
}

fn period() -> Period {
    PERIOD.parse().expect("it is a period")
}

/// Words in names of columns that say when something ended: retention mostly counts from there.
const ENDS: [&str; 12] = [
    "ended",
    "closed",
    "left",
    "cancel",
    "complete",
    "finish",
    "deleted",
    "withdrawn",
    "returned",
    "terminat",
    "archived",
    "last_seen",
];
/// Words that say that the column moves on with every change of the row.
const MOVES: [&str; 4] = ["update", "modif", "changed", "touched"];

/// The columns that could start a period, the likeliest first.
fn clocks(table: &Table) -> Vec<&Column> {
    let dated = |column: &&Column| {
        let kinds = [ColumnKind::Date, ColumnKind::Instant, ColumnKind::Civil];
        kinds.contains(&column.kind) && !is_of_a_life(column.name.as_str())
    };
    let mut clocks: Vec<&Column> = table.columns.iter().filter(dated).collect();
    clocks.sort_by_key(|column| {
        if column.on_update_now || has(column, &MOVES) {
            2
        } else {
            usize::from(!has(column, &ENDS))
        }
    });
    clocks
}

fn has(column: &Column, words: &[&str]) -> bool {
    let name = column.name.as_str().to_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// A resource's name out of a database's.
pub fn name_of(database: &str) -> String {
    let kept = |c: char| {
        let lower = c.to_ascii_lowercase();
        if lower.is_ascii_alphanumeric() {
            lower
        } else {
            '-'
        }
    };
    let name: String = database.chars().map(kept).take(RESOURCE).collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "database".to_owned()
    } else {
        name.to_owned()
    }
}

/// A rule's name out of a table's.
pub(crate) fn unique(table: &str, taken: &mut BTreeSet<String>) -> String {
    let mut name = String::new();
    for character in table.chars() {
        let lower = character.to_ascii_lowercase();
        if lower.is_ascii_alphanumeric() {
            name.push(lower);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(NAME - 4);
    let name = match name.trim_end_matches('-') {
        "" => "table",
        name => name,
    };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
pub(crate) mod tests;
