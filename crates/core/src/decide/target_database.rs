//! What a target database needs next: to be looked at, or to wait; and its whole status.

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
use crate::ledger::{HoldRow, Rewound, RunRow};
use crate::report::RunReport;

/// How often a database is looked at that is well. Secrets are read again with it.
pub const CHECK_EVERY: Duration = Duration::from_mins(5);

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
    condition::summarise(
        &mut status.conditions,
        verdict.reason,
        &verdict.message,
        generation,
        whole_second(o.now),
    );
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
    let worth_telling = verdict.reason.is_failure() || verdict.reason == Reason::Connected;
    // That a well database is still well, in other words (a new version), is told too.
    if same || !worth_telling {
        return Vec::new();
    }
    let warning = verdict.reason.is_failure();
    vec![Event::new(
        warning,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::Gap;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn found() -> Found {
        Found {
            engine: Engine::Postgres,
            version: "15.18".into(),
            database_clock: SignedDuration::from_millis(120),
            api_clock: Some(SignedDuration::from_secs(-1)),
            ledger: Ledger::Ours {
                version: 1,
                head: Some("sha256:aa".into()),
                open: vec![],
            },
            holds: vec![],
            coverage: None,
        }
    }

    struct World {
        generation: i64,
        suspended: bool,
        status: TargetDatabaseStatus,
        checked: Option<(Timestamp, i64)>,
        failures: Failures,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            Self {
                generation: 1,
                suspended: false,
                status: TargetDatabaseStatus::default(),
                checked: None,
                failures: Failures::default(),
                now: at(0),
            }
        }

        fn decide(&self, found: Option<&Result<Found, Verdict>>) -> Decision {
            self.decide_with(found, self.generation)
        }

        /// With a look at the database by the spec of that generation.
        fn decide_with(&self, found: Option<&Result<Found, Verdict>>, generation: i64) -> Decision {
            let check = found.map(|found| Check {
                generation,
                found: found.clone(),
            });
            decide(&Observed {
                meta: Meta {
                    uid: "u",
                    generation: self.generation,
                    created_at: at(0),
                    deleting: false,
                    run_now: None,
                },
                spec: Ok(Wanted {
                    suspended: self.suspended,
                    address: "crm-rw:5432/crm",
                }),
                status: &self.status,
                check: check.as_ref(),
                checked: self.checked,
                failures: self.failures,
                jitter: 0.0,
                now: self.now,
            })
        }

        fn check(&mut self, found: &Result<Found, Verdict>) -> Decision {
            let decision = self.decide(Some(found));
            self.checked = Some((self.now, self.generation));
            self.status = decision.status.clone();
            self.failures = decision.failures;
            decision
        }

        fn ready(&self) -> (&str, &str) {
            let ready = self
                .status
                .conditions
                .iter()
                .find(|c| c.type_ == READY)
                .unwrap();
            (&ready.status, &ready.reason)
        }
    }

    #[test]
    fn a_new_database_is_looked_at_at_once_and_told() {
        let mut world = World::new();
        let decision = world.decide(None);
        assert!(decision.check);
        assert_eq!(
            decision
                .status
                .conditions
                .iter()
                .filter(|c| c.status == "True")
                .count(),
            1
        );
        let decision = world.check(&Ok(found()));
        assert_eq!(world.ready(), ("True", "Connected"));
        assert_eq!(world.status.engine.as_deref(), Some("PostgreSQL"));
        assert_eq!(world.status.clock_skew.as_deref(), Some("120ms"));
        assert_eq!(world.status.ledger.as_ref().unwrap().version, 1);
        assert_eq!(decision.requeue_after, CHECK_EVERY);
        assert!(!world.decide(None).check);
        assert_eq!(world.decide(None).events, []);
        assert_eq!(world.decide(None).status, world.status);
    }

    #[test]
    fn a_well_database_is_looked_at_every_five_minutes_and_after_a_change() {
        let mut world = World::new();
        world.check(&Ok(found()));
        world.now = at(299);
        assert!(!world.decide(None).check);
        world.now = at(300);
        assert!(world.decide(None).check);
        world.now = at(1);
        world.generation = 2;
        let decision = world.decide(None);
        assert!(decision.check);
        // The old check does not vouch for the new spec.
        let ready = decision
            .status
            .conditions
            .iter()
            .find(|c| c.type_ == READY)
            .unwrap();
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("Unknown", "Pending")
        );
    }

    #[test]
    fn a_look_by_an_older_spec_vouches_for_nothing() {
        for old in [
            Ok(found()),
            Err(Verdict::new(Reason::Unreachable, "no answer")),
        ] {
            let mut world = World::new();
            world.check(&Ok(found()));
            world.generation = 2;
            let decision = world.decide_with(Some(&old), 1);
            assert!(decision.check);
            assert_eq!(decision.events, []);
            assert_eq!(decision.failures, Failures::default());
            world.status = decision.status;
            assert_eq!(world.ready(), ("Unknown", "Pending"));
            world.check(&Ok(found()));
            assert_eq!(world.ready(), ("True", "Connected"));
        }
    }

    #[test]
    fn a_failing_database_is_tried_again_with_pauses_that_grow_and_recovers() {
        let mut world = World::new();
        let down = || Err(Verdict::new(Reason::Unreachable, "no answer"));
        assert_eq!(world.check(&down()).events.len(), 1);
        assert_eq!(world.ready(), ("False", "Unreachable"));
        assert!(!world.decide(None).check);
        world.now = at(2);
        assert!(world.decide(None).check);
        assert_eq!(world.decide(None).failed, None);
        let decision = world.check(&down());
        assert_eq!(decision.events, []);
        assert_eq!(decision.failed, Some(Reason::Unreachable));
        assert_eq!(decision.requeue_after, Duration::from_secs(4));
        world.now = at(6);
        assert_eq!(world.check(&Ok(found())).failed, None);
        assert_eq!(world.ready(), ("True", "Connected"));
        assert_eq!(world.failures, Failures::default());
    }

    #[test]
    fn a_ledger_that_is_behind_stops_everything_and_its_head_is_still_remembered() {
        let mut world = World::new();
        world.check(&Ok(found()));
        let mut behind = found();
        let rewound = Rewound {
            head: "sha256:bb".into(),
            lost: vec!["sha256:aa".into()],
        };
        let token = rewound.token();
        behind.ledger = Ledger::Rewound(rewound);
        let decision = world.check(&Ok(behind));
        assert_eq!(world.ready(), ("False", "LedgerRewound"));
        assert!(decision.events[0].warning && decision.events[0].note.contains(&token));
        let remembered = world.status.ledger.as_ref().unwrap();
        assert_eq!(remembered.head.as_deref(), Some("sha256:aa"));
        world.check(&Ok(found()));
        assert_eq!(world.ready(), ("True", "Connected"));
    }

    #[test]
    fn only_a_run_whose_policy_was_watched_and_is_gone_is_an_orphan() {
        let run = |policy: &str, uid: &str| RunRow {
            id: format!("{uid}/1"),
            policy_uid: uid.to_owned(),
            policy: policy.to_owned(),
            plan: String::new(),
            as_of: String::new(),
            epoch: 1,
            state: "open".to_owned(),
            started_at: String::new(),
            steps: "[]".to_owned(),
            report: None,
        };
        let open = [
            run("crm/here", "u-1"),
            run("crm/gone", "u-2"),
            run("web/elsewhere", "u-3"),
        ];
        let found = orphaned(&open, |namespace| namespace == "crm", |uid| uid == "u-1");
        assert_eq!(found, [run("crm/gone", "u-2")]);
    }

    #[test]
    fn clocks_that_disagree_stop_everything_whichever_is_wrong() {
        let minutes = SignedDuration::from_mins;
        for (database, api) in [
            (6, None),
            (-6, None),
            (0, Some(6)),
            (0, Some(-6)),
            (3, Some(-3)),
        ] {
            let mut world = World::new();
            let mut found = found();
            found.database_clock = minutes(database);
            found.api_clock = api.map(minutes);
            world.check(&Ok(found));
            assert_eq!(world.ready(), ("False", "ClockSkew"), "{database} {api:?}");
        }
        let mut world = World::new();
        let mut found = found();
        found.database_clock = minutes(5);
        found.api_clock = Some(minutes(5));
        world.check(&Ok(found));
        assert_eq!(world.ready(), ("True", "Connected"));
    }

    #[test]
    fn an_unfit_ledger_is_not_ready_and_what_was_remembered_of_it_stays() {
        let mut world = World::new();
        world.check(&Ok(found()));
        let mut other = found();
        other.ledger = Ledger::Unfit(Verdict::new(Reason::LedgerOwned, "it belongs to crm/other"));
        world.check(&Ok(other));
        assert_eq!(world.ready(), ("False", "LedgerOwned"));
        assert_eq!(
            world.status.ledger.as_ref().unwrap().head.as_deref(),
            Some("sha256:aa")
        );
    }

    #[test]
    fn gaps_are_counted_and_the_first_of_them_named_for_as_long_as_they_can_be_told() {
        let mut world = World::new();
        let gap = |number: usize| Gap {
            table: format!("crm.t{number:02}").parse().unwrap(),
            personal: vec!["email".into()],
            dates: vec![],
        };
        let mut with = found();
        with.coverage = Some(Coverage {
            tables: 40,
            gaps: (0..17).map(gap).collect(),
        });
        world.check(&Ok(with));
        let told = world.status.coverage.as_ref().unwrap();
        assert_eq!((told.tables, told.gaps, told.names.len()), (40, 17, 16));
        assert_eq!(told.names[0], "crm.t00");
        // A look that finds nothing leaves what was known; one that cannot tell any more does not.
        world.check(&Err(Verdict::new(Reason::Unreachable, "no answer")));
        assert_eq!(world.status.coverage.as_ref().unwrap().gaps, 17);
        world.check(&Ok(found()));
        assert_eq!(world.status.coverage, None);
    }

    #[test]
    fn a_suspended_database_is_well_and_says_so() {
        let mut world = World::new();
        world.suspended = true;
        world.check(&Ok(found()));
        assert_eq!(world.ready(), ("True", "Suspended"));
    }
}
