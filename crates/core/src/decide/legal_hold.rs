//! What a legal hold needs next: to be brought into the ledger or out of it, or to wait; and its
//! whole status. It is Active only once the ledger has it.

use std::time::Duration;

use jiff::Timestamp;

use super::retention_policy::{Database, whole_second};
use super::retry::Failures;
use super::{Event, Verdict, known, of_faults};
use crate::api::condition::{self, READY, State};
use crate::api::legal_hold::{LegalHoldStatus, ReleasedStatus};
use crate::api::parse::FieldError;
use crate::api::reason::Reason;
use crate::hold::{WantedHold, WantedOn, WantedRows};
use crate::ledger::HoldRow;

/// True from the commit that put the hold in force until its release.
pub const ACTIVE: &str = "Active";
/// True once the day of its review has come.
pub const REVIEW_DUE: &str = "ReviewDue";

/// How often the ledger is asked for a hold that is well: a restored database may have lost it.
const CHECK_EVERY: Duration = Duration::from_mins(5);

/// Said of a hold in force that looks well and keeps nothing.
const FITS_NONE: &str = ". It fitted no row of the table then: compare the values with the column, \
    one for each line, since text is compared byte by byte, capitals and spaces included. Rows \
    that were sealed before are held, too, but not counted";

/// Said of a hold on a person who is found nowhere.
const FITS_NOBODY: &str = ". No row was theirs then: compare what is in the Secret with the columns \
    that the DataMaps name";

/// What the controller found.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Generation of the spec.
    pub generation: i64,
    /// What the spec asks for, or what is wrong with it.
    pub spec: Result<&'a WantedHold, &'a [FieldError]>,
    /// The status as stored.
    pub status: &'a LegalHoldStatus,
    /// What the ledger has, now that it was brought to what the spec asks for; or why it was not.
    pub kept: Option<&'a Result<Kept, Verdict>>,
    /// When this process last asked the ledger, for which generation.
    pub checked: Option<(Timestamp, i64)>,
    /// What is remembered of failures.
    pub failures: Failures,
    /// Between 0 and 1, new each time.
    pub jitter: f64,
    /// The clock.
    pub now: Timestamp,
}

/// What the ledger has of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The hold; `None`: it was released before it had been accepted.
    pub row: Option<HoldRow>,
    /// Rows that it fits, where it was placed just now and they could be counted.
    pub rows: Option<i64>,
    /// Of a hold on a person: the databases in whose ledgers it is, each as namespace/name.
    pub databases: Vec<String>,
}

/// What to do, and what to tell.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether to bring the ledger to what the spec asks for, and to decide again with what it has.
    pub keep: bool,
    /// The whole status.
    pub status: LegalHoldStatus,
    /// Events, each once.
    pub events: Vec<Event>,
    /// What to remember of failures.
    pub failures: Failures,
    /// What failed.
    pub failed: Option<Reason>,
    /// When to look again at the latest.
    pub requeue_after: Duration,
}

/// Decides.
pub fn decide(o: &Observed<'_>) -> Decision {
    let mut status = o.status.clone();
    let mut failures = o.failures;
    let mut keep = false;
    let verdict = match (o.spec, o.kept) {
        (Err(faults), _) => of_faults(faults),
        (Ok(wanted), Some(kept)) => {
            let verdict = match kept {
                Ok(kept) => told(&mut status, wanted, kept),
                Err(verdict) => verdict.clone(),
            };
            failures = failures.after(verdict.reason, o.jitter, o.now);
            verdict
        }
        (Ok(_), None) => {
            keep = failures.look_is_due(o.checked, o.generation, CHECK_EVERY, o.now);
            known(
                &o.status.conditions,
                o.status.observed_generation == Some(o.generation),
                "the ledger is being brought to what the spec asks for",
            )
        }
    };
    let before = o.status.conditions.iter().find(|c| c.type_ == READY);
    let said = before.is_some_and(|c| c.reason == verdict.reason.as_str());
    let events = if said || verdict.reason == Reason::Pending {
        Vec::new()
    } else {
        let warning = verdict.reason.is_failure();
        vec![Event::new(
            warning,
            verdict.reason,
            "Hold",
            &verdict.message,
        )]
    };
    let failed = verdict.reason.is_failure() && (o.kept.is_some() || !said);
    status.observed_generation = Some(o.generation);
    conditions(&mut status, o, &verdict);
    Decision {
        keep,
        events,
        failed: failed.then_some(verdict.reason),
        requeue_after: requeue_after(o, failures),
        failures,
        status,
    }
}

/// Enters what the ledger has.
fn told(status: &mut LegalHoldStatus, wanted: &WantedHold, kept: &Kept) -> Verdict {
    let Kept {
        row,
        rows,
        databases,
    } = kept;
    let Some(row) = row else {
        return Verdict::new(
            Reason::HoldReleased,
            "it was released before it had been in force",
        );
    };
    status.accepted_at = row.accepted_at.parse().ok().or(status.accepted_at);
    if rows.is_some() {
        status.held_rows = *rows;
    }
    for name in databases {
        if !status.databases.contains(name) {
            status.databases.push(name.clone());
        }
    }
    match &row.released {
        None => Verdict::new(Reason::Held, in_force(status, wanted, &row.accepted_at)),
        Some(released) => {
            status.released = released.at.parse().ok().map(|at| ReleasedStatus {
                at,
                by: released.by.clone(),
                reason: released.reason.clone(),
            });
            Verdict::new(
                Reason::HoldReleased,
                format!(
                    "released by {} at {} ({}): runs may take the rows",
                    released.by, released.at, released.reason
                ),
            )
        }
    }
}

/// That a hold is in force.
fn in_force(status: &LegalHoldStatus, wanted: &WantedHold, since: &str) -> String {
    let none = status.held_rows == Some(0);
    let reason = &wanted.reason;
    match &wanted.on {
        WantedOn::Rows(WantedRows { table, .. }) => format!(
            "rows of {table} are held for {reason} since {since}: no run has changed one of them \
             after that{}",
            if none { FITS_NONE } else { "" }
        ),
        WantedOn::Subject(_) => format!(
            "the person is held for {reason} since {since}, in {}: no run has changed a row of theirs \
             after that{}",
            status.databases.join(", "),
            if none { FITS_NOBODY } else { "" }
        ),
    }
}

fn conditions(status: &mut LegalHoldStatus, o: &Observed<'_>, verdict: &Verdict) {
    let now = whole_second(o.now);
    let generation = Some(o.generation);
    let list = &mut status.conditions;
    condition::summarise(list, verdict.reason, &verdict.message, generation, now);
    let active = status.accepted_at.is_some() && status.released.is_none();
    let (reason, message) = match (active, status.accepted_at) {
        (true, Some(at)) => (Reason::Held, format!("in force since {at}")),
        _ if status.released.is_some() => (Reason::HoldReleased, verdict.message.clone()),
        _ => (verdict.reason, "not in force: rows may go".to_owned()),
    };
    let state = State::from(active);
    condition::set(list, ACTIVE, state, reason, &message, generation, now);
    let review = o.spec.ok().map(|wanted| wanted.review_at);
    match review.filter(|at| active && *at <= o.now) {
        Some(at) => condition::set(
            list,
            REVIEW_DUE,
            State::True,
            Reason::ReviewDue,
            &format!(
                "it was to be reviewed at {at}; it stays in force. {}",
                Reason::ReviewDue.remedy()
            ),
            generation,
            now,
        ),
        None => condition::clear(list, REVIEW_DUE),
    }
}

fn requeue_after(o: &Observed<'_>, failures: Failures) -> Duration {
    let until = |at: Timestamp| {
        let ahead = at > o.now;
        ahead.then(|| at.duration_since(o.now).unsigned_abs())
    };
    let retry = failures.retry_at.and_then(until);
    let review = o.spec.ok().and_then(|wanted| until(wanted.review_at));
    let times = [retry, review, Some(CHECK_EVERY)];
    times.into_iter().flatten().min().unwrap_or(CHECK_EVERY)
}

/// Why the database of a hold cannot be asked, where it cannot. One that is not Ready is asked all the
/// same: a hold must not wait for what stops runs.
pub fn unusable(database: &Database) -> Option<Verdict> {
    match database {
        Database::NotFound(message) => Some(Verdict::new(Reason::DatabaseNotFound, message)),
        Database::NotUsable(message) => Some(Verdict::new(Reason::DatabaseNotUsable, message)),
        Database::Invalid(message) => Some(Verdict::new(Reason::DatabaseNotReady, message)),
        Database::Suspended(_)
        | Database::Pending(_)
        | Database::Rewound(_)
        | Database::NotReady(_)
        | Database::Ready(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hold::WantedSubject;
    use crate::ledger::Released;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn wanted() -> WantedHold {
        WantedHold {
            on: WantedOn::Rows(WantedRows {
                database: "crm".into(),
                database_namespace: None,
                table: "public.learners".parse().unwrap(),
                tests: vec![],
            }),
            reason: "LIT-1".into(),
            placed_by: "jane".into(),
            review_at: at(1_000),
            release: None,
        }
    }

    fn row(released: bool) -> HoldRow {
        HoldRow {
            id: "u".into(),
            name: "crm/matter".into(),
            table: "public.learners".into(),
            reason: "LIT-1".into(),
            placed_by: "jane".into(),
            accepted_at: at(1).to_string(),
            released: released.then(|| Released {
                at: at(5).to_string(),
                by: "joe".into(),
                reason: "LIT-1/closed".into(),
            }),
        }
    }

    struct World {
        status: LegalHoldStatus,
        checked: Option<(Timestamp, i64)>,
        failures: Failures,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            Self {
                status: LegalHoldStatus::default(),
                checked: None,
                failures: Failures::default(),
                now: at(0),
            }
        }

        fn decide(&self, kept: Option<&Result<Kept, Verdict>>) -> Decision {
            decide(&Observed {
                generation: 1,
                spec: Ok(&wanted()),
                status: &self.status,
                kept,
                checked: self.checked,
                failures: self.failures,
                jitter: 0.0,
                now: self.now,
            })
        }

        /// Decides with what the ledger has, and remembers it.
        fn keeps(&mut self, kept: &Result<Kept, Verdict>) -> Decision {
            let decision = self.decide(Some(kept));
            self.status = decision.status.clone();
            self.failures = decision.failures;
            self.checked = Some((self.now, 1));
            decision
        }

        fn says(&self, kind: &str) -> Option<(String, String)> {
            let found = self.status.conditions.iter().find(|c| c.type_ == kind);
            found.map(|c| (c.status.clone(), c.reason.clone()))
        }
    }

    fn said(status: &str, reason: &str) -> (String, String) {
        (status.to_owned(), reason.to_owned())
    }

    #[test]
    fn a_hold_is_active_only_once_the_ledger_has_it() {
        let mut world = World::new();
        let first = world.decide(None);
        assert!(first.keep && first.events.is_empty());
        world.status = first.status;
        assert_eq!(world.says(ACTIVE), Some(said("False", "Pending")));
        let why = Verdict::new(Reason::Unreachable, "no answer");
        let failed = world.keeps(&Err(why));
        assert_eq!(world.says(ACTIVE), Some(said("False", "Unreachable")));
        assert_eq!(failed.failed, Some(Reason::Unreachable));
        assert_eq!(failed.requeue_after, Duration::from_secs(2));
        let kept = Kept {
            row: Some(row(false)),
            rows: Some(3),
            databases: Vec::new(),
        };
        let decision = world.keeps(&Ok(kept));
        assert_eq!(world.says(ACTIVE), Some(said("True", "Held")));
        assert_eq!(world.says(READY), Some(said("True", "Held")));
        assert_eq!(world.status.accepted_at, Some(at(1)));
        assert_eq!(world.status.held_rows, Some(3));
        assert_eq!(decision.events.len(), 1);
        // Asked again it says the same, and nothing more.
        let again = world.decide(None);
        assert!(!again.keep && again.events.is_empty() && again.status == world.status);
    }

    #[test]
    fn a_hold_that_fits_no_row_says_so_whenever_it_is_asked() {
        let mut world = World::new();
        let message = |decision: &Decision| {
            let mut conditions = decision.status.conditions.iter();
            conditions
                .find(|c| c.type_ == READY)
                .unwrap()
                .message
                .clone()
        };
        let kept = |rows| {
            Ok(Kept {
                row: Some(row(false)),
                rows,
                databases: Vec::new(),
            })
        };
        let placed = world.keeps(&kept(Some(0)));
        assert_eq!(world.says(ACTIVE), Some(said("True", "Held")));
        assert!(message(&placed).contains("fitted no row"), "{placed:?}");
        assert!(placed.events[0].note.contains("fitted no row"));
        // Asked again nobody counts.
        let again = world.keeps(&kept(None));
        assert!(message(&again).contains("fitted no row"), "{again:?}");
        let mut other = World::new();
        let fits = other.keeps(&kept(Some(1)));
        assert!(!message(&fits).contains("fitted no row"), "{fits:?}");
    }

    #[test]
    fn a_hold_on_a_person_names_its_databases_and_forgets_none() {
        let wanted = WantedHold {
            on: WantedOn::Subject(WantedSubject {
                secret: "matter".into(),
                maps: vec![],
            }),
            ..wanted()
        };
        let mut status = LegalHoldStatus::default();
        for databases in [["a/crm"], ["b/lms"]] {
            let kept = Ok(Kept {
                row: Some(row(false)),
                rows: None,
                databases: databases.map(str::to_owned).to_vec(),
            });
            status = decide(&Observed {
                generation: 1,
                spec: Ok(&wanted),
                status: &status,
                kept: Some(&kept),
                checked: None,
                failures: Failures::default(),
                jitter: 0.0,
                now: at(0),
            })
            .status;
        }
        assert_eq!(status.databases, ["a/crm", "b/lms"]);
        let ready = status.conditions.iter().find(|c| c.type_ == READY).unwrap();
        assert!(ready.message.contains("in a/crm, b/lms"), "{ready:?}");
    }

    #[test]
    fn a_hold_in_force_stays_active_while_its_database_does_not_answer() {
        let mut world = World::new();
        world.keeps(&Ok(Kept {
            row: Some(row(false)),
            rows: None,
            databases: Vec::new(),
        }));
        world.keeps(&Err(Verdict::new(Reason::Unreachable, "no answer")));
        assert_eq!(world.says(ACTIVE), Some(said("True", "Held")));
        assert_eq!(world.says(READY), Some(said("False", "Unreachable")));
    }

    #[test]
    fn a_review_that_is_due_leaves_the_hold_in_force() {
        let mut world = World::new();
        let kept = || {
            Ok(Kept {
                row: Some(row(false)),
                rows: None,
                databases: Vec::new(),
            })
        };
        world.now = at(999);
        let decision = world.keeps(&kept());
        assert_eq!(decision.requeue_after, Duration::from_secs(1));
        assert_eq!(world.says(REVIEW_DUE), None);
        world.now = at(1_000);
        world.status = world.decide(None).status;
        assert_eq!(world.says(REVIEW_DUE), Some(said("True", "ReviewDue")));
        assert_eq!(world.says(ACTIVE), Some(said("True", "Held")));
        world.keeps(&Ok(Kept {
            row: Some(row(true)),
            rows: None,
            databases: Vec::new(),
        }));
        assert_eq!(world.says(REVIEW_DUE), None);
        assert_eq!(world.says(ACTIVE), Some(said("False", "HoldReleased")));
        let released = world.status.released.as_ref().unwrap();
        assert_eq!((released.by.as_str(), released.at), ("joe", at(5)));
    }
}
