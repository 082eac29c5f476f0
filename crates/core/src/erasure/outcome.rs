//! What a request comes to: the plan over all databases, and what was done in each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::find::Doubt;
use crate::api::erasure_request::{DatabaseErasure, KeptStatus};
use crate::api::reason::Reason;
use crate::api::residue::ResidueStatus;
use crate::decide::job::StopWhy;
use crate::digest::{Digest, DigestError};
use crate::plan::Refusal;
use crate::report::{Effect, PlanReport, RunReport};

/// What would be done to a person's rows in one database.
#[derive(Clone, Debug)]
pub struct PlacePlan {
    /// Namespace and name of the DataMap.
    pub map: String,
    /// Its UID.
    pub map_uid: String,
    /// Namespace and name of the TargetDatabase.
    pub database: String,
    /// Rows of the person in each role.
    pub found: Vec<(String, usize)>,
    /// What of the map has no decision, where that is only reported.
    pub unclassified: Vec<String>,
    /// The plan.
    pub plan: PlanReport,
}

/// The plan of a request.
#[derive(Clone, Debug)]
pub struct RequestReport {
    /// What is approved: it changes with every database's plan, and with the person.
    pub digest: Digest,
    /// When it was made.
    pub as_of: Timestamp,
    /// The databases in which something is the person's.
    pub places: Vec<PlacePlan>,
}

/// A plan's rows by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows that go.
    pub deletes: i64,
    /// Rows that are transformed.
    pub transforms: i64,
    /// Rows that a duty keeps, in part or whole.
    pub keeps: i64,
    /// Rows that a legal hold keeps.
    pub held: i64,
}

impl RequestReport {
    /// Puts the plans of the databases together. `whom`: a digest of who is meant, which nobody can guess.
    pub fn of(
        as_of: Timestamp,
        places: Vec<PlacePlan>,
        whom: &Digest,
    ) -> Result<Self, DigestError> {
        let mut parts: Vec<_> = places
            .iter()
            .map(|place| json!({"map": place.map_uid, "plan": place.plan.digest.to_string()}))
            .collect();
        parts.sort_by_key(ToString::to_string);
        Ok(Self {
            digest: Digest::of_json(&json!({"plans": parts, "whom": whom.to_string()}))?,
            as_of,
            places,
        })
    }

    /// The rows of all databases. Rows that hang on others are reached by a rule of their own and with
    /// these; they are counted once.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for place in &self.places {
            let rules = &place.plan.rules;
            let mut below: BTreeMap<&str, (Effect, i64)> = BTreeMap::new();
            for related in rules.iter().flat_map(|rule| &rule.related) {
                let most = below.entry(&related.table).or_insert((related.effect, 0));
                most.1 = most.1.max(related.rows);
            }
            for rule in rules {
                totals.add(rule.effect, rule.eligible);
                if let Some((_, rows)) = below.get_mut(rule.table.as_str()) {
                    *rows -= rule.eligible;
                }
                totals.keeps += rule.kept.rows;
                totals.held += rule.held;
            }
            for (effect, rows) in below.into_values() {
                totals.add(effect, rows.max(0));
            }
        }
        totals
    }
}

impl Totals {
    /// Rows that would change.
    pub fn rows(self) -> i64 {
        self.deletes + self.transforms
    }

    fn add(&mut self, effect: Effect, rows: i64) {
        match effect {
            Effect::Deleted | Effect::Sealed => self.deletes += rows,
            Effect::Pseudonymised | Effect::Masked | Effect::Anonymised | Effect::Detached => {
                self.transforms += rows;
            }
        }
    }
}

/// What was done in one database.
#[derive(Clone, Debug)]
pub struct PlaceRun {
    /// Namespace and name of the DataMap.
    pub map: String,
    /// Namespace and name of the TargetDatabase.
    pub database: String,
    /// What it did.
    pub run: RunReport,
    /// What a search of all texts still found, where the map asks for it.
    pub residue: Option<ResidueStatus>,
}

impl PlaceRun {
    /// What was done there, for people.
    pub fn erasure(&self) -> DatabaseErasure {
        let changed = self.run.rules.iter().flat_map(|rule| &rule.changed);
        let mut totals = Totals::default();
        for count in changed {
            totals.add(count.effect, count.rows);
        }
        let residuals = || self.run.rules.iter().map(|rule| rule.residual);
        DatabaseErasure {
            map: self.map.clone(),
            database: self.database.clone(),
            run: self.run.run.clone(),
            deleted: totals.deletes,
            transformed: totals.transforms,
            kept: residuals().map(|residual| residual.kept).sum(),
            held: residuals().map(|residual| residual.held).sum(),
            verified_at: self.run.finished_at,
            evidence: self.run.evidence,
            residue: self.residue.clone(),
        }
    }
}

/// What duties and holds keep after the runs of a round, and when the first duty ends, if it is known
/// what ends first: a hold ends on any day. `None`: nothing.
pub fn kept(runs: &[PlaceRun]) -> Option<KeptStatus> {
    let rules = || runs.iter().flat_map(|place| &place.run.rules);
    let residuals = rules().map(|rule| rule.residual);
    let rows: i64 = residuals.map(|left| left.kept + left.held).sum();
    let held = rules().any(|rule| rule.residual.held > 0);
    let duties = rules().flat_map(|rule| &rule.kept.duties);
    let duties = duties.filter(|_| !held);
    (rows > 0).then(|| KeptStatus {
        rows,
        next_ends_at: duties.filter_map(|duty| duty.next_ends_at).min(),
    })
}

/// How a job of a request ended.
#[derive(Clone, Debug)]
pub enum RequestOutcome {
    /// The person was looked for everywhere, and the plan stands. Nothing changed.
    Planned(RequestReport),
    /// It is not known who is meant. Nothing changed.
    Doubtful {
        /// The map.
        map: String,
        /// The role.
        role: String,
        /// Why.
        doubt: Doubt,
    },
    /// Something stands in the way. Nothing was begun.
    Refused {
        /// The figures, where there are any.
        report: Option<RequestReport>,
        /// Every refusal with its map; never empty.
        refusals: Vec<(String, Refusal)>,
    },
    /// It was begun, and what would be done to what is left of it is not what people approved any more: a
    /// map or a schema is another one now. With the plan of what is left.
    Outdated(RequestReport),
    /// All databases are done, and another search found nothing that is not kept or held.
    Erased(Vec<PlaceRun>),
    /// It was told to stop. What it had done before, the ledgers know.
    Stopped(StopWhy),
    /// Something ended it; the ledgers know what was done.
    Failed {
        /// Why.
        reason: Reason,
        /// What happened and what to do; never a value.
        message: String,
        /// Whether trying again may help without anybody acting.
        passing: bool,
    },
}
