//! What a template of the letter may use. A field here is a name there: none is ever renamed.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::api::erasure_plan::{ErasurePlanSpec, PlannedEffect, PlannedTable};
use crate::api::erasure_request::{
    ErasureRequestStatus, ExtensionReason, RefusalGround, RequestOutcome,
};
use crate::api::words::{Choice, Word};
use crate::erasure::Request;
use crate::erasure::deadline::{Deadline, Extended};
use crate::settings::Settings;
use crate::settings::letter::Controller;

/// What is known of a request for its letter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LetterFacts {
    /// The case's number.
    pub case: String,
    /// When the request reached the organisation.
    pub received_on: Date,
    /// The last day to answer; `None`: the time has not begun.
    pub due_on: Option<Date>,
    /// How it came out, as `status.outcome` spells it; `None`: it has not.
    pub outcome: Option<&'static str>,
    /// The ground of a refusal, as `spec.close.ground` spells it.
    pub refusal: Option<&'static str>,
    /// More time to answer.
    pub extension: Option<LongerFacts>,
    /// What was erased.
    pub erased: ErasedFacts,
    /// What is kept and the person may know.
    pub kept: Vec<KeptFacts>,
    /// Places outside the databases, by what became of them.
    pub places: PlacesFacts,
    /// When the last backup from before the erasure has expired; `None`: nobody has said.
    pub backups_until: Option<Date>,
    /// Who answers.
    pub controller: Controller,
}

/// More time to answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LongerFacts {
    /// By how many months.
    pub months: u8,
    /// `Complexity` or `NumberOfRequests`.
    pub reason: &'static str,
    /// Whether it counts, because the person was told in time.
    pub in_time: bool,
}

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ErasedFacts {
    /// Records that went.
    pub deleted: i64,
    /// Records in which columns were changed.
    pub transformed: i64,
    /// The same by the entries of the maps, as far as it is known. Records that hung on them are in
    /// the sums only.
    pub kinds: Vec<ErasedKind>,
}

/// What was erased of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErasedKind {
    /// The entry in the map.
    pub what: String,
    /// Records that went.
    pub deleted: i64,
    /// Records in which columns were changed.
    pub transformed: i64,
}

/// What is kept of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeptFacts {
    /// The entry in the map.
    pub what: String,
    /// Records.
    pub records: i64,
    /// The statute or contract.
    pub law: String,
    /// The ground in Art. 17(3), such as `Art17_3_b`.
    pub ground: Option<String>,
    /// Until when the last of them; `None`: no end is known of any.
    pub until: Option<Date>,
    /// Records of which no end is known.
    pub open_ended: i64,
}

/// Places outside the databases, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PlacesFacts {
    /// They have done their part.
    pub done: Vec<String>,
    /// They were told.
    pub told: Vec<String>,
    /// They cannot be told.
    pub impossible: Vec<String>,
    /// Telling them would take disproportionate effort.
    pub disproportionate: Vec<String>,
    /// They are not told yet.
    pub pending: Vec<String>,
}

/// Rows are kept, and nobody says which of them the person may know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rows are kept, and what the person may be told of them stands in the request's ErasurePlan, \
     which is missing"
)]
pub struct KeptUnknown;

impl LetterFacts {
    /// The facts of a request. `plan`: what was planned for it.
    pub fn of(
        request: &Request,
        status: &ErasureRequestStatus,
        plan: Option<&ErasurePlanSpec>,
        settings: &Settings,
    ) -> Result<Self, KeptUnknown> {
        let Settings {
            calendar,
            due_soon_days: _,
            controller,
            letter: _,
            signing: _,
            targets: _,
            suppression: _,
            map_namespaces: _,
            records,
        } = settings;
        let day = |at: Timestamp| calendar.day(at);
        if plan.is_none() && status.kept.as_ref().is_some_and(|kept| kept.rows > 0) {
            return Err(KeptUnknown);
        }
        let deadline = Deadline::of(request, calendar);
        let due_on = status.due_on.as_ref().and_then(|due| due.parse().ok());
        let outcome = status.outcome.as_ref().and_then(Choice::known);
        let extension = request.extension.map(|extension| LongerFacts {
            months: extension.months,
            reason: extension.reason.as_str(),
            in_time: deadline
                .as_ref()
                .is_none_or(|deadline| deadline.extension == Some(Extended::Counts)),
        });
        let refusal = request.close.as_ref().and_then(|close| close.ground);
        let erased_at = status.databases.iter().map(|one| one.verified_at).max();
        let backups = erased_at.and_then(|at| records.backups_end(at, calendar).ok()?);
        let tables = || {
            let databases = plan.iter().flat_map(|plan| &plan.databases);
            databases.flat_map(|database| &database.tables)
        };
        Ok(Self {
            case: request.case.clone(),
            received_on: day(request.received_at),
            due_on: due_on.or(deadline.map(|deadline| deadline.last)),
            outcome: outcome.map(RequestOutcome::as_str),
            refusal: refusal.map(RefusalGround::as_str),
            extension,
            erased: ErasedFacts::of(status, tables()),
            kept: tables().flat_map(|table| kept(table, day)).collect(),
            places: PlacesFacts::of(status),
            backups_until: backups.map(day),
            controller: controller.clone(),
        })
    }
}

impl ErasedFacts {
    fn of<'p>(
        status: &ErasureRequestStatus,
        tables: impl Iterator<Item = &'p PlannedTable>,
    ) -> Self {
        let deleted = status.databases.iter().map(|one| one.deleted).sum();
        let transformed = status.databases.iter().map(|one| one.transformed).sum();
        let kinds: Vec<ErasedKind> = tables
            .filter(|table| table.rows > 0)
            .map(|table| {
                let goes = table.effect.known() == Some(PlannedEffect::Delete);
                ErasedKind {
                    what: table.entry.clone(),
                    deleted: if goes { table.rows } else { 0 },
                    transformed: if goes { 0 } else { table.rows },
                }
            })
            .collect();
        // They were planned and the sums were done: where they do not fit, the sums alone are true.
        let fit = kinds.iter().map(|kind| kind.deleted).sum::<i64>() <= deleted
            && kinds.iter().map(|kind| kind.transformed).sum::<i64>() <= transformed;
        Self {
            deleted,
            transformed,
            kinds: if fit { kinds } else { Vec::new() },
        }
    }
}

/// What is kept of a table and the person may know.
fn kept(table: &PlannedTable, day: impl Fn(Timestamp) -> Date) -> Vec<KeptFacts> {
    let told = table.kept.iter().filter(|kept| kept.tell_subject);
    let facts = told.map(|kept| KeptFacts {
        what: table.entry.clone(),
        records: kept.rows,
        law: kept.law.clone(),
        ground: kept.ground.as_ref().map(|ground| ground.text().to_owned()),
        until: kept.until.map(&day),
        open_ended: kept.open_ended,
    });
    facts.collect()
}

impl PlacesFacts {
    fn of(status: &ErasureRequestStatus) -> Self {
        let mut places = Self::default();
        for place in &status.elsewhere {
            let list = match place.state.as_str() {
                "Done" => &mut places.done,
                "Told" => &mut places.told,
                "Impossible" => &mut places.impossible,
                "Disproportionate" => &mut places.disproportionate,
                // A word of a newer version is no claim that something is done.
                _ => &mut places.pending,
            };
            list.push(place.name.clone());
        }
        places
    }
}

/// A letter of each kind, with all that may be in it and with nothing.
pub(super) fn samples() -> Vec<LetterFacts> {
    let outcomes = RequestOutcome::ALL.iter().map(|(_, word)| Some(*word));
    let letters = outcomes.chain([None]).flat_map(|outcome| {
        let full = full(outcome);
        let bare = LetterFacts {
            extension: full.extension.clone().filter(|_| outcome.is_none()),
            due_on: None,
            erased: ErasedFacts::default(),
            kept: Vec::new(),
            places: PlacesFacts::default(),
            backups_until: None,
            controller: Controller::default(),
            ..full.clone()
        };
        [full, bare]
    });
    let mut letters: Vec<LetterFacts> = letters.collect();
    for letter in &mut letters {
        if letter.outcome != Some(RequestOutcome::Refused.as_str()) {
            letter.refusal = None;
        }
    }
    letters
}

/// Facts in which nothing is missing, also what no one letter has.
pub(super) fn full(outcome: Option<&'static str>) -> LetterFacts {
    let kind = |what: &str, deleted, transformed| ErasedKind {
        what: what.to_owned(),
        deleted,
        transformed,
    };
    let places = |name: &str| vec![name.to_owned()];
    let (received, due) = (
        jiff::civil::date(2026, 11, 2),
        jiff::civil::date(2026, 12, 2),
    );
    LetterFacts {
        case: "SR-0042".to_owned(),
        received_on: received,
        due_on: Some(due),
        outcome,
        refusal: Some(RefusalGround::Obligation.as_str()),
        extension: Some(LongerFacts {
            months: 2,
            reason: ExtensionReason::Complexity.as_str(),
            in_time: true,
        }),
        erased: ErasedFacts {
            deleted: 1204,
            transformed: 1,
            kinds: vec![kind("contacts", 1, 0), kind("orders", 0, 1)],
        },
        kept: vec![
            KeptFacts {
                what: "invoices".to_owned(),
                records: 3,
                law: "Companies Act 2006, s. 388".to_owned(),
                ground: Some("Art17_3_b".to_owned()),
                until: Some(jiff::civil::date(2032, 12, 31)),
                open_ended: 1,
            },
            KeptFacts {
                what: "enrolments".to_owned(),
                records: 1,
                law: "Education Act 1996, s. 537A".to_owned(),
                ground: None,
                until: None,
                open_ended: 1,
            },
        ],
        places: PlacesFacts {
            done: places("paper-files"),
            told: places("mailing-house"),
            impossible: places("former-printer"),
            disproportionate: places("press-archive"),
            pending: places("photo-archive"),
        },
        backups_until: Some(jiff::civil::date(2027, 1, 6)),
        controller: Controller {
            name: Some("Example Learning Ltd".to_owned()),
            contact: Some("privacy@example.org".to_owned()),
            complaints: "the Information Commissioner".to_owned(),
        },
    }
}
