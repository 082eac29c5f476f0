//! Duties against a draft: what must be kept of a rule's rows, and what happens to the rest of them.
//!
//! A duty about the whole row takes it out of the rule until it ends. One about some columns splits
//! the rule: rows without a running duty go as the rule says; of the others the columns that no duty
//! keeps are transformed, by a step of its own with a predicate of its own. Duties are part of the
//! statements and of the digest, unlike holds: one that is loosened makes another plan.
//!
//! It fails closed: a map whose table or column is not there any more refuses the whole plan,
//! whichever tables its rules are about.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock::{Cutoffs, Due, ReadAs, Reader};
use super::draft::RuleDraft;
use super::facts::RuleFacts;
use super::hold::{concerns, places, sealed};
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Table};
use crate::digest::{Digest, DigestError};
use crate::duty::{Duty, MappedTable, NamedMap, digest_of};
use crate::name::Ident;
use crate::policy::{Action, Clause, Condition, Expiry, Partitions, Rule, Since, Treatment};
use crate::report::{DutyCount, KeptRows};
use crate::sql::{Effect, Held, Kept, Reading, TypedTest};

/// A duty against expiry, typed.
pub(super) struct Typed<'a> {
    name: String,
    entry: &'a MappedTable,
    duty: &'a Duty,
    place: usize,
    table: &'a Table,
    clocks: Vec<Reading>,
    ends: Vec<(ReadAs, Due)>,
}

/// When a duty's dates end it, for reports: one for each of [`Kept::clocks`].
pub(super) type Ends = Vec<(ReadAs, Due)>;

/// Why maps do not fit a database whose catalog has their tables; empty: they do.
pub fn misfits(maps: &[NamedMap], catalog: &Catalog, as_of: Timestamp) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    typed(maps, &TimeZone::UTC, catalog, as_of, &mut refusals);
    refusals
}

/// Every duty against expiry, typed against the catalog; what does not fit is refused.
pub(super) fn typed<'a>(
    maps: &'a [NamedMap],
    zone: &TimeZone,
    catalog: &'a Catalog,
    as_of: Timestamp,
    refusals: &mut Vec<Refusal>,
) -> Vec<Typed<'a>> {
    let mut all = Vec::new();
    for NamedMap { name, map } in maps {
        let refuse = |message: String| {
            let message = format!("the DataMap {name} does not fit the database: {message}");
            Refusal::whole(Reason::DutiesUnfit, message)
        };
        for entry in &map.tables {
            let Some(table) = catalog.table(&entry.table) else {
                refusals.push(refuse(format!(
                    "table {} does not exist in database {}, or user {} may not see it",
                    entry.table, catalog.database, catalog.user
                )));
                continue;
            };
            let named = entry.columns.iter().map(|mapped| &mapped.column);
            let kept = entry.duties.iter().flat_map(|duty| &duty.columns);
            for column in named.chain(kept) {
                if table.column(column).is_none() {
                    refusals.push(refuse(format!("{} has no column {column}", table.name)));
                }
            }
            for (place, duty) in entry.duties.iter().enumerate() {
                let reader = Reader { rule: name, zone };
                match reader.duty(table, duty, as_of) {
                    Ok((clocks, ends)) if duty.against_expiry => all.push(Typed {
                        name: format!("{name} {}[{place}]", entry.name),
                        entry,
                        duty,
                        place,
                        table,
                        clocks,
                        ends,
                    }),
                    Ok(_) => {}
                    Err(refusal) => refusals.push(refuse(refusal.message)),
                }
            }
        }
    }
    all
}

impl Reader<'_> {
    fn duty(
        &self,
        table: &Table,
        duty: &Duty,
        as_of: Timestamp,
    ) -> Result<(Vec<Reading>, Ends), Refusal> {
        let mut clocks = Vec::new();
        let mut ends = Vec::new();
        for until in &duty.until {
            let cutoffs = Cutoffs::after(until.plus, as_of, self.zone)
                .map_err(|e| Refusal::of(self.rule, Reason::DutiesUnfit, e.to_string()))?;
            let (reading, read_as) =
                self.reading(table, &until.clock, &cutoffs, "until.latestOf")?;
            clocks.push(reading);
            ends.push((read_as, Due::After(until.plus, self.zone.clone())));
        }
        Ok((clocks, ends))
    }
}

impl Typed<'_> {
    /// The columns that it keeps, its own dates among them; `None`: the whole row.
    fn columns(&self) -> Option<BTreeSet<&Ident>> {
        let clocks = self.duty.until.iter().map(|ends| &ends.clock.column);
        let named = &self.duty.columns;
        (!named.is_empty()).then(|| named.iter().chain(clocks).collect())
    }

    /// Whether it keeps columns, not the whole row.
    fn is_partial(&self) -> bool {
        !self.duty.columns.is_empty()
    }

    /// Where it keeps rows of a rule, or rows below them; `None`: nowhere.
    fn kept(
        &self,
        rule: &RuleDraft,
        rules: &[RuleDraft],
        catalog: &Catalog,
    ) -> Result<Option<Kept>, Refusal> {
        let columns = self.columns();
        let matters = |effect: &Effect| match (effect, &columns) {
            (Effect::Update(transforms, _), Some(columns)) => {
                transforms.iter().any(|t| columns.contains(&t.column.name))
            }
            (Effect::Delete | Effect::Update(..), _) => true,
        };
        let mut all = Vec::new();
        for clock in &self.clocks {
            let test = TypedTest::NotPast {
                floor: clock.floor.clone(),
                moment: clock.cutoff.clone(),
            };
            let tests = [(clock.column.clone(), test)];
            let found = places(rule, self.table, &tests, catalog, matters);
            all.extend(found.ok_or_else(|| self.unknown_below(rule))?);
            all.extend(sealed(rule, rules, self.table, &tests, catalog));
        }
        let own = all.iter().any(|place| place.path.is_empty());
        Ok((!all.is_empty()).then(|| Kept {
            held: Held {
                hold: self.name.clone(),
                places: all,
            },
            clocks: if own { self.clocks.clone() } else { Vec::new() },
        }))
    }

    /// See `hold::places`.
    fn unknown_below(&self, rule: &RuleDraft) -> Refusal {
        Refusal::of(
            &rule.name,
            Reason::DutiesUnfit,
            format!(
                "the duty {} is about {}, whose rows hang on the rule's over references that lead in \
                 a circle or in too many ways: which rows it keeps cannot be told, and so the rule \
                 rests",
                self.name, self.table.name
            ),
        )
    }
}

impl RuleDraft {
    /// Whether what duties keep is told of it: of rows of which a part is left, the rule before tells.
    pub fn tells_duties(&self) -> bool {
        !self.remainder && !self.count.eligible.kept.is_empty()
    }

    /// What duties keep of a rule's rows, for reports.
    pub fn kept(&self, facts: &RuleFacts) -> KeptRows {
        let duties = self.count.eligible.kept.iter().zip(&facts.kept_by);
        let duties = duties.zip(&self.ends).map(|((kept, found), ends)| {
            let ends = ends.iter().zip(&found.oldest);
            let first = ends.filter_map(|((read_as, due), oldest)| {
                let began = read_as.instant(oldest)?;
                match due {
                    Due::After(period, zone) => period.due(began, zone).ok(),
                    Due::At(instant) => Some(*instant),
                }
            });
            DutyCount {
                duty: kept.held.hold.clone(),
                rows: found.rows,
                open_ended: found.open,
                // No row's duty ends before any of its dates has passed.
                next_ends_at: first.max().filter(|_| found.rows > found.open),
            }
        });
        KeptRows::of(facts.kept, duties)
    }
}

/// The digest of the entries whose duties are about tables that rules change; `None`: there are none.
pub(super) fn digest(
    duties: &Duties<'_>,
    rules: &[RuleDraft],
) -> Result<Option<Digest>, DigestError> {
    let Duties { all, catalog } = duties;
    let touched = |duty: &&Typed<'_>| {
        rules.iter().any(|rule| {
            let nodes = rule.nodes.iter().map(|node| &node.depth.table);
            std::iter::once(&rule.change.window.table)
                .chain(nodes)
                .any(|table| concerns(catalog, &duty.table.name, table))
        })
    };
    let mut entries: Vec<&MappedTable> = Vec::new();
    for duty in all.iter().filter(touched) {
        if !entries.iter().any(|entry| std::ptr::eq(*entry, duty.entry)) {
            entries.push(duty.entry);
        }
    }
    digest_of(entries.into_iter())
}

/// The duties under which a policy's rules are drafted.
pub(super) struct Duties<'a> {
    pub(super) all: Vec<Typed<'a>>,
    pub(super) catalog: &'a Catalog,
}

/// A part of a rule: what happens to those of its rows of which a duty keeps a part.
pub(super) struct Remainder {
    /// The rule that says so.
    pub(super) rule: Rule,
    within: Vec<Kept>,
    kept: Vec<Kept>,
}

impl Remainder {
    /// Puts the part's predicate into its draft.
    pub(super) fn bind(self, drafted: &mut RuleDraft) {
        let eligible = &mut drafted.change.eligible;
        eligible.within = self.within;
        eligible.kept = self.kept;
        drafted.count.eligible = eligible.clone();
        drafted.remainder = true;
    }
}

impl Duties<'_> {
    /// Puts the duties into a rule's predicate. `rules`: those before it. Returns what happens to the rows of which they keep a
    /// part, and what a person should know of it.
    pub(super) fn bind(
        &self,
        rule: &Rule,
        drafted: &mut RuleDraft,
        rules: &[RuleDraft],
        refusals: &mut Vec<Refusal>,
    ) -> (Vec<Remainder>, Option<String>) {
        let catalog = self.catalog;
        let mut kept = Vec::new();
        let mut ends = Vec::new();
        let mut partial: Vec<(&Typed<'_>, Kept)> = Vec::new();
        let mut whole = Vec::new();
        for duty in &self.all {
            match duty.kept(drafted, rules, catalog) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let below = found.held.places.iter().any(|place| !place.path.is_empty());
                    let own = found.held.places.iter().any(|place| place.path.is_empty());
                    // What was sealed stays whole: it is out of reach already.
                    let in_part = duty.is_partial() && rule.sealed_from.is_none();
                    if own && !below && in_part {
                        partial.push((duty, found.clone()));
                    } else {
                        whole.push(found.clone());
                    }
                    ends.push(if own { duty.ends.clone() } else { Vec::new() });
                    kept.push(found);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        drafted.change.eligible.kept.clone_from(&kept);
        drafted.count.eligible.kept = kept;
        drafted.ends = ends;
        if partial.is_empty() {
            return (Vec::new(), None);
        }
        self.split(rule, drafted, &partial, &whole, refusals)
    }

    /// The parts of a rule, one for each set of duties that keeps columns.
    fn split(
        &self,
        rule: &Rule,
        drafted: &RuleDraft,
        partial: &[(&Typed<'_>, Kept)],
        whole: &[Kept],
        refusals: &mut Vec<Refusal>,
    ) -> (Vec<Remainder>, Option<String>) {
        let catalog = self.catalog;
        let Some(table) = catalog.tables.get(&drafted.change.window.table) else {
            return (Vec::new(), None);
        };
        let mut found_by = found_by(rule, table);
        // A duty whose date went would have no end.
        let beside = self
            .all
            .iter()
            .filter(|duty| concerns(catalog, &duty.table.name, &table.name));
        let dates = beside.flat_map(|duty| &duty.duty.until);
        found_by.extend(dates.map(|ends| ends.clock.column.clone()));
        let keeps = |column: &Ident| -> Vec<usize> {
            let duties = partial.iter().enumerate();
            duties
                .filter(|(_, (duty, _))| {
                    duty.columns()
                        .is_some_and(|columns| columns.contains(column))
                })
                .map(|(index, _)| index)
                .collect()
        };
        let all = |keepers: &[usize]| keepers.len() == partial.len();
        let (treatments, missing) = match &rule.action {
            Action::Anonymise(treatments) => (treatments.clone(), Vec::new()),
            Action::Delete => treatments(table, partial, |column| {
                found_by.contains(column) || all(&keeps(column))
            }),
        };
        if !missing.is_empty() {
            refusals.push(strategy_missing(rule, table, partial, &missing));
        }
        let mut groups: BTreeMap<Vec<usize>, Vec<Treatment>> = BTreeMap::new();
        let mut stay = Vec::new();
        for treatment in treatments {
            let keepers = keeps(&treatment.column);
            if all(&keepers) {
                continue;
            }
            if found_by.contains(&treatment.column) {
                stay.push(treatment.column.to_string());
                continue;
            }
            groups.entry(keepers).or_default().push(treatment);
        }
        let told = (!stay.is_empty()).then(|| {
            format!(
                "rule {}: {} of {} stay in rows of which a duty keeps a part: rule or duty is judged \
                 by them, and has to find the rows again",
                rule.name,
                stay.join(", "),
                table.name
            )
        });
        let parts = groups.into_iter().enumerate();
        let parts = parts.map(|(index, (keepers, treatments))| {
            let kept = keepers.iter().map(|&index| partial[index].1.clone());
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
                within: partial.iter().map(|(_, kept)| kept.clone()).collect(),
                kept: whole.iter().cloned().chain(kept).collect(),
            }
        });
        (parts.collect(), told)
    }
}

/// What the maps say of the columns of a table that do not all stay, and of which they say
/// nothing.
fn treatments(
    table: &Table,
    partial: &[(&Typed<'_>, Kept)],
    stays: impl Fn(&Ident) -> bool,
) -> (Vec<Treatment>, Vec<Ident>) {
    // What an entry says counts for the duties beside it; what several say must not depend on
    // their order, and so the first by name speaks.
    let mut entries: Vec<&Typed<'_>> = partial.iter().map(|(duty, _)| *duty).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let said: Vec<Treatment> = entries
        .iter()
        .flat_map(|duty| duty.entry.treatments())
        .collect();
    let mut treatments = Vec::new();
    let mut missing = Vec::new();
    let columns = table.columns.iter().filter(|column| !column.generated);
    for column in columns.filter(|column| !stays(&column.name)) {
        match said.iter().find(|said| said.column == column.name) {
            Some(said) => treatments.push(said.clone()),
            None => missing.push(column.name.clone()),
        }
    }
    (treatments, missing)
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

fn strategy_missing(
    rule: &Rule,
    table: &Table,
    partial: &[(&Typed<'_>, Kept)],
    missing: &[Ident],
) -> Refusal {
    let duties: Vec<&str> = partial.iter().map(|(duty, _)| duty.name.as_str()).collect();
    let columns: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let first = partial.first().map(|(duty, _)| *duty);
    let place = first.map_or_else(String::new, |duty| {
        let map = duty.name.split(' ').next().unwrap_or_default();
        let entry = &duty.entry.name;
        format!(
            "in the DataMap {map}, entry {entry} of tables, write what happens to each, or add it to \
             mustKeep[{}].columns:\ncolumns:\n",
            duty.place
        )
    });
    let yaml: Vec<String> = missing
        .iter()
        .map(|column| {
            format!(
                "- {{column: {}, strategy: Nullify}}",
                crate::yaml::scalar(column.as_str())
            )
        })
        .collect();
    Refusal::of(
        &rule.name,
        Reason::StrategyMissing,
        format!(
            "{}: a part of some rows must be kept ({}), and nothing says what happens to {}",
            table.name,
            duties.join(", "),
            columns.join(", ")
        ),
    )
    .remedy(format!("{place}{}", yaml.join("\n")))
}

#[cfg(test)]
mod tests;
