//! What a database's status tells of erased persons: that it was restored to an instant before erasures,
//! and what a look through it has found. Counts and names of requests only.

use jiff::Timestamp;

use super::{Found, Ledger, Observed};
use crate::api::condition::{self, REAPPEARED, State};
use crate::api::reason::Reason;
use crate::api::target_database::{ErasedPersonsStatus, RestoredStatus, TargetDatabaseStatus};
use crate::decide::{Event, Verdict, whole_second};
use crate::erasure::Restored;
use crate::ledger::Rewound;

/// Requests that a message names.
const NAMED: usize = 16;

/// What a look for erased persons has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persons {
    /// When it began.
    pub at: Timestamp,
    /// Requests whose persons are back.
    pub requests: i64,
    /// Rows that hold an identifier of theirs.
    pub rows: i64,
    /// How many of those rows are of requests that do not exist any more.
    pub of_nobody: i64,
    /// What could not be looked at: whoever is there is not found.
    pub unlooked: Vec<Unlooked>,
}

/// What stood in the way of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlooked {
    /// The class.
    pub reason: Reason,
    /// What; never a value.
    pub message: String,
}

/// What the status has of a restore after a look. `found`: what it means that the ledger is behind, and how
/// many requests were applied again since that is known.
pub(super) fn restored(
    status: &TargetDatabaseStatus,
    ledger: &Ledger,
    (found, applied): (Option<&Restored>, i64),
    now: Timestamp,
) -> Option<RestoredStatus> {
    let before = status.restored.clone();
    match (ledger, found) {
        (Ledger::Ours { .. }, _) => None,
        (Ledger::Rewound(_), Some(found)) => {
            let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
            let (again, forgotten) = match found {
                Restored::Restored { again, forgotten } => {
                    (count(again.len()), count(forgotten.len()))
                }
                // That all have been applied again is told until the ledger is accepted.
                Restored::Rewound if before.is_some() => (0, 0),
                Restored::Rewound => return None,
            };
            let known = before.as_ref();
            let known = known.map_or(0, |before| before.again + before.forgotten + before.applied);
            Some(RestoredStatus {
                since: before.map_or_else(|| whole_second(now), |before| before.since),
                again,
                // Whoever deletes a request has not applied it.
                forgotten: forgotten.max(known - again - applied),
                applied,
            })
        }
        (Ledger::Rewound(_) | Ledger::Missing | Ledger::Unfit(_), _) => before,
    }
}

/// Whether all that a restored database had lost was applied again, so that its ledger may be accepted as
/// it is, and nobody has to be asked.
pub fn is_applied_again(status: &TargetDatabaseStatus, found: &Found, now: Timestamp) -> bool {
    let seen = (found.restored.as_ref(), found.applied_again);
    let restored = restored(status, &found.ledger, seen, now);
    found.restored == Some(Restored::Rewound)
        && restored.is_some_and(|restored| restored.again == 0 && restored.forgotten == 0)
}

/// Why the ledger is behind, where it is because of a restore; `None`: a person has to find out.
pub(super) fn why_behind(
    status: &TargetDatabaseStatus,
    rewound: &Rewound,
    found: Option<&Restored>,
) -> Option<Verdict> {
    let gone = status.restored.as_ref()?.forgotten;
    if gone > 0
        && !matches!(found, Some(Restored::Restored { forgotten, .. }) if !forgotten.is_empty())
    {
        let message = format!(
            "{gone} requests went whose erasures are lost, and which were not applied again: nobody knows \
             any more whose rows are back. {} {}",
            Reason::ErasureForgotten.remedy(),
            rewound.explain()
        );
        return Some(Verdict::new(Reason::ErasureForgotten, message));
    }
    let Some(Restored::Restored { again, forgotten }) = found else {
        let message = "the erasures that it had lost have been applied again; its ledger is accepted \
                       as it is with the next look";
        return Some(Verdict::new(Reason::Restored, message));
    };
    let named = |all: &std::collections::BTreeSet<String>| {
        let mut names: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
        if all.len() > NAMED {
            names.push("others");
        }
        names.join(", ")
    };
    if !forgotten.is_empty() {
        let message = format!(
            "the erasures of {} are lost, and nothing is kept by which their persons could be found \
             again. {} {}",
            named(forgotten),
            Reason::ErasureForgotten.remedy(),
            rewound.explain()
        );
        return Some(Verdict::new(Reason::ErasureForgotten, message));
    }
    let message = format!(
        "the erasures of {} were lost and are applied again. {}",
        named(again),
        Reason::Restored.remedy()
    );
    Some(Verdict::new(Reason::Restored, message))
}

/// Enters what the last look for erased persons has found; an event where that is news.
pub(super) fn tell(status: &mut TargetDatabaseStatus, o: &Observed<'_>) -> Option<Event> {
    let found = o.persons?;
    status.erased_persons = Some(ErasedPersonsStatus {
        looked_at: whole_second(found.at),
        requests: found.requests,
        rows: found.rows,
        of_nobody: found.of_nobody,
    });
    let (state, verdict) = if let Some(first) = found.unlooked.first() {
        let message = format!("{}. {}", first.message, first.reason.remedy());
        (State::Unknown, Verdict::new(first.reason, message))
    } else if found.of_nobody > 0 {
        let message = format!(
            "{} rows hold identifiers that requests have erased which do not exist any more: nobody \
             else tells of them, and nothing erases them again. `oubliette suppressed` finds out whose \
             identifiers they are; a new request erases them",
            found.of_nobody
        );
        (State::True, Verdict::new(Reason::Reappeared, message))
    } else {
        condition::clear(&mut status.conditions, REAPPEARED);
        return None;
    };
    let mut before = o.status.conditions.iter();
    let said = before.any(|c| {
        c.type_ == REAPPEARED && c.reason == verdict.reason.as_str() && c.message == verdict.message
    });
    condition::set(
        &mut status.conditions,
        REAPPEARED,
        state,
        verdict.reason,
        &verdict.message,
        Some(o.meta.generation),
        whole_second(o.now),
    );
    (!said).then(|| Event::new(true, verdict.reason, "Look", &verdict.message))
}

/// Tells that the erasures which a restored database had lost were applied again, and that its ledger
/// was accepted as it is.
pub fn applied_again(rewound: &Rewound) -> Event {
    let note = format!(
        "the erasures that the database had lost were applied again, and its ledger was accepted as it \
         is: {} remembered heads of its evidence are not looked for any more; the ledger keeps this as \
         evidence",
        rewound.lost.len()
    );
    Event::new(true, Reason::Restored, "Check", &note)
}
