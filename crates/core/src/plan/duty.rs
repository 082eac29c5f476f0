//! Duties against a draft: what must be kept of a rule's rows, and what happens to the rest of them.
//!
//! A duty about the whole row takes it out of the rule until it ends. One about some columns splits
//! the rule: rows without a running duty go as the rule says; of the others the columns that no duty
//! keeps are transformed, by a step of its own with a predicate of its own. Duties are part of the
//! statements and of the digest, unlike holds: one that is loosened makes another plan.
//!
//! A row that must stay because rows that hang on it are kept stays whole when it has expired. When a
//! person asks for erasure it stays for those rows only, and of itself goes what its entry says.
//!
//! It fails closed: a map whose table or column is not there any more refuses the whole plan,
//! whichever tables its rules are about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::remainder::Keepers;
pub(super) use self::remainder::Remainder;
use super::clock::{Cutoffs, Due, ReadAs, Reader};
use super::draft::RuleDraft;
use super::facts::RuleFacts;
use super::hold::{concerns, places, sealed};
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Table};
use crate::digest::{Digest, DigestError};
use crate::duty::{Against, Duty, MappedTable, NamedMap, digest_of};
use crate::name::Ident;
use crate::policy::Rule;
use crate::report::{DutyCount, KeptRows};
use crate::sql::{Effect, Held, HeldTest, Kept, Reading, TypedTest};

/// A duty, typed.
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
    typed(
        maps,
        &TimeZone::UTC,
        catalog,
        as_of,
        Against::Expiry,
        &mut refusals,
    );
    refusals
}

/// Every duty against what asks, typed against the catalog; what does not fit is refused.
pub(super) fn typed<'a>(
    maps: &'a [NamedMap],
    zone: &TimeZone,
    catalog: &'a Catalog,
    as_of: Timestamp,
    against: Against,
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
                    Ok((clocks, ends)) if duty.stands(against) => all.push(Typed {
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
            let test = HeldTest::All(vec![(clock.column.clone(), test)]);
            let found = places(rule, self.table, &test, catalog, matters);
            all.extend(found.ok_or_else(|| self.unknown_below(rule))?);
            all.extend(sealed(rule, rules, self.table, &test, catalog));
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

    /// Whether it is about the rows of which duties keep a part where the rule of this name ends rows.
    pub(super) fn is_rest_of(&self, rule: &str) -> bool {
        let rest = self.name.strip_prefix(rule);
        self.remainder && rest.is_some_and(|rest| rest.starts_with(" (kept"))
    }

    /// What duties keep of a rule's rows, for reports.
    pub fn kept(&self, facts: &RuleFacts) -> KeptRows {
        let duties = self.count.eligible.kept.iter().zip(&facts.kept_by);
        let duties = duties.zip(&self.ends).map(|((kept, found), ends)| {
            let ends = ends.iter().zip(&found.oldest);
            let first = ends.filter_map(|((read_as, due), oldest)| read_as.due(oldest, due));
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
    let Duties {
        all,
        catalog,
        against,
        maps: _,
    } = duties;
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
    digest_of(entries.into_iter(), *against)
}

/// The duties under which a policy's rules are drafted.
pub(super) struct Duties<'a> {
    pub(super) all: Vec<Typed<'a>>,
    pub(super) catalog: &'a Catalog,
    /// What asks for the end of the rows.
    pub(super) against: Against,
    /// Every map of the database.
    pub(super) maps: &'a [NamedMap],
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
    ) -> (Vec<Remainder>, Vec<String>) {
        let mut kept = Vec::new();
        let mut ends = Vec::new();
        let mut keepers = Keepers::default();
        for duty in &self.all {
            match duty.kept(drafted, rules, self.catalog) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let own = found.held.places.iter().any(|place| place.path.is_empty());
                    // What was sealed stays whole: it is out of reach already.
                    match self.against {
                        _ if rule.sealed_from.is_some() => keepers.keep_whole(&found),
                        Against::Expiry => keepers.add(duty, &found),
                        Against::Erasure => keepers.add_apart(duty, &found),
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
        self.split(rule, drafted, &keepers, refusals)
    }
}

mod remainder;
#[cfg(test)]
pub(crate) mod tests;
