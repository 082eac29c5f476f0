//! What a target database needs next: to be looked at, or to wait; and its whole status.

mod persons;

pub use persons::{Persons, Unlooked, applied_again, is_applied_again};

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::retention_policy::whole_second;
use super::retry::Failures;
use super::{Event, Meta, Verdict, of_faults, say};
use crate::api::condition::{self, READY, State};
use crate::api::parse::FieldError;
use crate::api::reason::Reason;
use crate::api::target_database::{
    CoverageStatus, LedgerStatus, OrphanedHolds, TargetDatabaseStatus,
};
use crate::catalog::Engine;
use crate::coverage::Coverage;
use crate::digest::Digest;
use crate::erasure::Restored;
use crate::ledger::{HoldRow, Rewound, RunRow};
use crate::report::RunReport;

/// How often a database is looked at that is well. Secrets are read again with it.
pub const CHECK_EVERY: Duration = Duration::from_mins(5);

/// Seconds for which a look that finds nothing new is not written: each write is a call and another version
/// in etcd.
const TOLD_EVERY: i64 = 3_600;

/// How far two clocks may be apart before cutoffs could be wrong.
pub const MOST_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// True while holds are in force whose objects are gone.
pub const ORPHANED: &str = "HoldsOrphaned";

/// What the controller found.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object's metadata.
    pub meta: Meta<'a>,
    /// What the spec asks for, or what is wrong with it.
    pub spec: Result<Wanted<'a>, &'a [FieldError]>,
    /// The status as stored.
    pub status: &'a TargetDatabaseStatus,
    /// What a look at the database found just now. One for another generation vouches for nothing.
    pub check: Option<&'a Check>,
    /// When this process last looked, for which generation.
    pub checked: Option<(Timestamp, i64)>,
    /// What the last look for erased persons has found, since the operator has begun.
    pub persons: Option<&'a Persons>,
    /// What is remembered of failures.
    pub failures: Failures,
    /// Between 0 and 1, new each time.
    pub jitter: f64,
    /// The clock.
    pub now: Timestamp,
}

/// What the spec asks for, as far as it concerns the status.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Whether nothing is to run.
    pub suspended: bool,
    /// Where it is, for people (`crm-rw.crm.svc:5432/crm`).
    pub address: &'a str,
}

/// A look at the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The generation of the spec by which it was looked at.
    pub generation: i64,
    /// What it found, or why it found nothing.
    pub found: Result<Found, Verdict>,
}

/// What a look at the database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The engine that answered.
    pub engine: Engine,
    /// Its version as it states it.
    pub version: String,
    /// The database's clock minus the operator's.
    pub database_clock: SignedDuration,
    /// The API server's clock minus the operator's, where it could be read.
    pub api_clock: Option<SignedDuration>,
    /// The ledger.
    pub ledger: Ledger,
    /// The holds in force; once the controller has looked at them, those whose objects are gone.
    pub holds: Vec<HoldRow>,
    /// The tables about which no policy decides, where they could be told.
    pub coverage: Option<Coverage>,
    /// What it means that the ledger is behind; the requests by namespace and name.
    pub restored: Option<Restored>,
    /// Requests that were applied again there since that is known.
    pub applied_again: i64,
}

/// The ledger as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ledger {
    /// There is none yet: a dry run needs none.
    Missing,
    /// There is one, and it is ours.
    Ours {
        /// Version of its tables.
        version: i64,
        /// Head of its evidence chain.
        head: Option<String>,
        /// The runs that have not ended, of all policies.
        open: Vec<RunRow>,
    },
    /// It is ours and behind what is remembered of it. Nothing may run.
    Rewound(Rewound),
    /// It cannot be used, and why. Nothing may run.
    Unfit(Verdict),
}

/// What to do, and what to tell.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether to look at the database now, and to decide again with what was found.
    pub check: bool,
    /// The whole status.
    pub status: TargetDatabaseStatus,
    /// Events, each once.
    pub events: Vec<Event>,
    /// What to remember of failures.
    pub failures: Failures,
    /// What failed, each time once: a look, or what the conditions say now and did not say before.
    pub failed: Option<Reason>,
    /// When to look again at the latest.
    pub requeue_after: Duration,
}

/// Decides.
pub fn decide(o: &Observed<'_>) -> Decision {
    let mut status = o.status.clone();
    let mut failures = o.failures;
    let mut check = false;
    let looked = o.check.filter(|c| c.generation == o.meta.generation);
    let verdict = match (&o.spec, looked) {
        (Err(faults), _) => of_faults(faults),
        (Ok(wanted), Some(looked)) => {
            let verdict = told(&mut status, *wanted, &looked.found, o.now);
            failures = failures.after(verdict.reason, o.jitter, o.now);
            verdict
        }
        (Ok(wanted), None) => {
            check = failures.look_is_due(o.checked, o.meta.generation, CHECK_EVERY, o.now);
            known(&status, *wanted, o.meta.generation)
        }
    };
    let events = news(&o.status.conditions, &verdict);
    let ready = o.status.conditions.iter().find(|c| c.type_ == READY);
    let said = ready.is_some_and(|c| c.reason == verdict.reason.as_str());
    let counts = verdict.reason.is_failure() && (looked.is_some() || !said);
    let failed = counts.then_some(verdict.reason);
    let generation = Some(o.meta.generation);
    status.observed_generation = generation;
    orphaned_holds_condition(&mut status, o);
    let mut events = events;
    events.extend(persons::tell(&mut status, o));
    condition::summarise(
        &mut status.conditions,
        verdict.reason,
        &verdict.message,
        generation,
        whole_second(o.now),
    );
    if !is_news(o.meta.uid, o.status, &status, o.now) {
        status.clone_from(o.status);
    }
    let requeue_after = match (failures.retry_at, o.spec.is_ok()) {
        (Some(at), _) if at > o.now => at.duration_since(o.now).unsigned_abs(),
        (_, true) => CHECK_EVERY,
        (_, false) => CHECK_EVERY * 2,
    };
    Decision {
        check,
        status,
        events,
        failures,
        failed,
        requeue_after: requeue_after.min(CHECK_EVERY * 2),
    }
}

/// Whether a status tells more than that the database was looked at again, or tells that after a while.
fn is_news(
    uid: &str,
    before: &TargetDatabaseStatus,
    status: &TargetDatabaseStatus,
    now: Timestamp,
) -> bool {
    let told_at = before.checked_at;
    if told_at.is_none_or(|at| own_hour(uid, at) != own_hour(uid, now)) {
        return before != status;
    }
    let seconds = |status: &TargetDatabaseStatus| seconds(status.clock_skew.as_deref()?);
    let apart = seconds(before).zip(seconds(status));
    let alike = match apart {
        Some((one, other)) => one.abs_diff(other) <= 1,
        None => before.clock_skew == status.clock_skew,
    };
    let as_before = TargetDatabaseStatus {
        checked_at: told_at,
        clock_skew: before.clock_skew.clone(),
        ..status.clone()
    };
    !alike || as_before != *before
}

/// What was known before this look. A new generation is not vouched for by the last one's check.
fn known(status: &TargetDatabaseStatus, wanted: Wanted<'_>, generation: i64) -> Verdict {
    let ready = status.conditions.iter().find(|c| c.type_ == READY);
    let before = ready.and_then(|c| {
        let reason = Reason::ALL.iter().find(|r| r.as_str() == c.reason)?;
        Some(Verdict::new(*reason, &c.message))
    });
    match before {
        Some(before)
            if status.observed_generation == Some(generation)
                && !matches!(
                    before.reason,
                    Reason::Pending | Reason::UnknownField | Reason::InvalidSpec
                ) =>
        {
            before
        }
        _ => Verdict::new(Reason::Pending, format!("connecting to {}", wanted.address)),
    }
}

/// Enters what a look found.
fn told(
    status: &mut TargetDatabaseStatus,
    wanted: Wanted<'_>,
    check: &Result<Found, Verdict>,
    now: Timestamp,
) -> Verdict {
    status.checked_at = Some(whole_second(now));
    let found = match check {
        Ok(found) => found,
        Err(verdict) => {
            return Verdict::new(
                verdict.reason,
                format!(
                    "{}: {}. {}",
                    wanted.address,
                    verdict.message,
                    verdict.reason.remedy()
                ),
            );
        }
    };
    let Found {
        engine,
        version,
        database_clock,
        api_clock,
        ledger,
        holds,
        coverage,
        restored,
        applied_again,
    } = found;
    status.coverage = coverage.as_ref().map(covered);
    if matches!(ledger, Ledger::Ours { .. }) {
        status.orphaned_holds = OrphanedHolds::of(holds);
    }
    status.engine = Some(engine.name().to_owned());
    status.version = Some(condition::cut(version, 128).to_owned());
    status.clock_skew = Some(shown(*database_clock));
    status.ledger = match ledger {
        Ledger::Ours {
            version,
            head,
            open: _,
        } => Some(LedgerStatus {
            version: *version,
            head: head.clone(),
        }),
        // What is remembered must outlive a look that could not read it: it tells a rewound ledger.
        Ledger::Missing | Ledger::Rewound(_) | Ledger::Unfit(_) => status.ledger.clone(),
    };
    let found = (restored.as_ref(), *applied_again);
    status.restored = persons::restored(status, ledger, found, now);
    let skews = [
        ("the database's", Some(*database_clock)),
        ("the API server's", *api_clock),
        (
            "the database's and the API server's",
            api_clock.map(|api| *database_clock - api),
        ),
    ];
    for (whose, skew) in skews {
        if let Some(skew) = skew.filter(|skew| skew.abs() > MOST_SKEW) {
            let other = if whose.contains(" and ") {
                "each other"
            } else {
                "the operator's"
            };
            let message = format!(
                "{whose} clock differs from {other} by {}; nothing runs until all agree within \
                 five minutes",
                shown(skew)
            );
            return Verdict::new(Reason::ClockSkew, message);
        }
    }
    if let Ledger::Rewound(rewound) = ledger {
        if let Some(verdict) = persons::why_behind(status, rewound, restored.as_ref()) {
            return verdict;
        }
        let text = format!("{}. {}", rewound.explain(), Reason::LedgerRewound.remedy());
        return Verdict::new(Reason::LedgerRewound, text);
    }
    if let Ledger::Unfit(verdict) = ledger {
        let text = format!("{}. {}", verdict.message, verdict.reason.remedy());
        return Verdict::new(verdict.reason, text);
    }
    if wanted.suspended {
        let message = "suspend: true is set on the database; nothing is changed in it";
        return Verdict::new(Reason::Suspended, message);
    }
    let ledger = match &status.ledger {
        Some(ledger) => format!("ledger of version {}", ledger.version),
        None => "no ledger yet (a dry run needs none)".to_owned(),
    };
    let message = format!(
        "{} {version} at {}; {ledger}",
        engine.name(),
        wanted.address
    );
    Verdict::new(Reason::Connected, message)
}

/// Gaps that are named in the status.
const NAMED_GAPS: usize = 16;

fn covered(coverage: &Coverage) -> CoverageStatus {
    let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let named = coverage.gaps.iter().take(NAMED_GAPS);
    CoverageStatus {
        tables: count(coverage.tables),
        gaps: count(coverage.gaps.len()),
        names: named.map(|gap| gap.table.to_string()).collect(),
    }
}

/// Tells of holds whose objects are gone.
fn orphaned_holds_condition(status: &mut TargetDatabaseStatus, o: &Observed<'_>) {
    let now = whole_second(o.now);
    let list = &mut status.conditions;
    match &status.orphaned_holds {
        Some(orphaned) => condition::set(
            list,
            ORPHANED,
            State::True,
            Reason::HoldsOrphaned,
            &format!(
                "{} in force without an object: {}. {}",
                orphaned.count,
                orphaned.names.join(", "),
                Reason::HoldsOrphaned.remedy()
            ),
            Some(o.meta.generation),
            now,
        ),
        None => condition::clear(list, ORPHANED),
    }
}

/// The holds in force that nobody can release by their objects: those were watched and are gone.
pub fn orphaned_holds(
    holds: &[HoldRow],
    watched: impl Fn(&str) -> bool,
    lives: impl Fn(&str) -> bool,
) -> Vec<HoldRow> {
    holds
        .iter()
        .filter(|hold| {
            let namespace = hold.name.split('/').next().unwrap_or_default();
            watched(namespace) && !lives(&hold.id)
        })
        .cloned()
        .collect()
}

/// The open runs that nobody will go on with: their policies were watched and are gone.
pub fn orphaned(
    open: &[RunRow],
    watched: impl Fn(&str) -> bool,
    lives: impl Fn(&str) -> bool,
) -> Vec<RunRow> {
    open.iter()
        .filter(|run| {
            let namespace = run.policy.split('/').next().unwrap_or_default();
            watched(namespace) && !lives(&run.policy_uid)
        })
        .cloned()
        .collect()
}

/// Tells that a run was ended whose policy is gone.
pub fn ended(policy: &str, run: &RunReport) -> Event {
    let verdict = say::ended(run);
    let note = format!("the policy {policy} is gone: {}", verdict.message);
    Event::new(verdict.reason.is_failure(), verdict.reason, "Check", &note)
}

/// Tells that a person accepted a ledger that is behind.
pub fn accepted(rewound: &Rewound) -> Event {
    let note = format!(
        "the ledger was accepted as it is by the annotation {}={}: {} remembered heads of its \
         evidence are not looked for any more; the ledger keeps this as evidence",
        crate::ledger::ACCEPT,
        rewound.token(),
        rewound.lost.len()
    );
    Event::new(true, Reason::LedgerRewound, "Check", &note)
}

fn news(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
    verdict: &Verdict,
) -> Vec<Event> {
    let before = conditions.iter().find(|c| c.type_ == READY);
    let same =
        before.is_some_and(|c| c.reason == verdict.reason.as_str() && c.message == verdict.message);
    let restored = verdict.reason == Reason::Restored;
    let failure = verdict.reason.is_failure();
    let worth_telling = failure || restored || verdict.reason == Reason::Connected;
    // That a well database is still well, in other words (a new version), is told too.
    if same || !worth_telling {
        return Vec::new();
    }
    vec![Event::new(
        failure || restored,
        verdict.reason,
        "Check",
        &verdict.message,
    )]
}

/// `120ms`, `-3s`.
fn shown(skew: SignedDuration) -> String {
    let millis = skew.as_millis();
    if millis.abs() < 1_000 {
        format!("{millis}ms")
    } else {
        format!("{}s", skew.as_secs())
    }
}

/// The hour in which an instant lies, by an object's own count: the hours of many do not end all at once.
fn own_hour(uid: &str, at: Timestamp) -> i64 {
    let [first, second, ..] = *Digest::of_bytes(uid).as_bytes();
    let ahead = (i64::from(u16::from_be_bytes([first, second])) * TOLD_EVERY) >> 16;
    (at.as_second() + ahead).div_euclid(TOLD_EVERY)
}

/// The whole seconds of a skew as it is shown.
fn seconds(shown: &str) -> Option<i64> {
    match shown.strip_suffix("ms") {
        Some(millis) => Some(millis.parse::<i64>().ok()? / 1_000),
        None => shown.strip_suffix('s')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
