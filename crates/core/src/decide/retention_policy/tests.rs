//! A policy's life in small steps: a world that is looked at again and again, as the controller does.

use jiff::tz::TimeZone;

use super::*;
use crate::api::condition::{RECONCILING, STALLED};
use crate::api::parse::FieldError;
use crate::approval::Asks;
use crate::catalog::Engine;
use crate::decide::approval::Filed;
use crate::decide::job::{JobOutcome, StopWhy};
use crate::decide::{Meta, ran_before};
use crate::digest::Digest;
use crate::plan::Refusal;
use crate::report::{
    Effect, Loosened, PlanReport, Residual, RulePlan, RuleRun, RunOutcome, RunReport, TableCount,
};
use crate::schedule::{Schedule, WorkWindows};

const UID: &str = "u-1";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The world around one policy; fields are changed freely between looks.
struct World {
    generation: i64,
    schedule: Schedule,
    windows: WorkWindows,
    enforce: bool,
    suspended: bool,
    deleting: bool,
    run_now: Option<String>,
    faults: Vec<FieldError>,
    database: Database,
    conflicts: Vec<String>,
    unreadable: Vec<String>,
    duties: Option<String>,
    status: RetentionPolicyStatus,
    failures: Failures,
    job: Option<(JobKind, i64, Progress, Option<JobOutcome>)>,
    current: bool,
    digest: &'static str,
    asks: Asks,
    approvals: Vec<Filed>,
    released: Vec<Loosened>,
    under: Option<Assent>,
    told_at: Option<Timestamp>,
    now: Timestamp,
}

impl World {
    /// A policy created at noon, with a nightly schedule.
    fn new() -> Self {
        Self {
            generation: 1,
            schedule: Schedule::parse("30 2 * * *", TimeZone::UTC).unwrap(),
            windows: WorkWindows::default(),
            enforce: false,
            suspended: false,
            deleting: false,
            run_now: None,
            faults: vec![],
            database: Database::Ready(Engine::Postgres),
            conflicts: vec![],
            unreadable: vec![],
            duties: None,
            status: RetentionPolicyStatus::default(),
            failures: Failures::default(),
            job: None,
            current: true,
            digest: "sha256:one",
            asks: Asks::NOTHING,
            approvals: vec![],
            released: vec![],
            under: None,
            told_at: None,
            now: at("2026-01-10T12:00:00Z"),
        }
    }

    fn enforcing() -> Self {
        let mut world = Self::planned();
        world.enforce = true;
        world.generation += 1;
        world.look();
        world.end(planned(12));
        world.look();
        world
    }

    /// After its first plan.
    fn planned() -> Self {
        let mut world = Self::new();
        assert_eq!(world.look().action, Action::Start(JobKind::Plan));
        world.end(planned(12));
        world.look();
        world
    }

    fn decide(&self) -> Decision {
        let job = match &self.job {
            None => Job::None,
            Some((kind, _, progress, None)) => Job::Running {
                kind,
                current: self.current,
                under: self.under.as_ref(),
                progress,
            },
            Some((kind, generation, _, Some(outcome))) => Job::Finished(Finished {
                kind,
                generation: *generation,
                dry: !self.enforce,
                duties: self.duties.as_deref(),
                outcome,
            }),
        };
        let wanted = Wanted {
            schedule: &self.schedule,
            windows: &self.windows,
            enforce: self.enforce,
            suspended: self.suspended,
            asks: self.asks,
            digest: self.digest,
        };
        decide(&Observed {
            meta: Meta {
                uid: UID,
                generation: self.generation,
                created_at: at("2026-01-10T12:00:00Z"),
                deleting: self.deleting,
                run_now: self.run_now.as_deref(),
            },
            spec: if self.faults.is_empty() {
                Ok(wanted)
            } else {
                Err(&self.faults)
            },
            status: &self.status,
            database: self.database.clone(),
            conflicts: &self.conflicts,
            unreadable: &self.unreadable,
            duties: self.duties.as_deref(),
            approvals: &self.approvals,
            released: &self.released,
            job,
            failures: self.failures,
            told_at: self.told_at,
            jitter: 0.0,
            now: self.now,
        })
    }

    /// Decides and does what the controller does with it.
    fn look(&mut self) -> Decision {
        let decision = self.decide();
        self.status = decision.status.clone();
        self.failures = decision.failures;
        match &decision.action {
            Action::Nothing | Action::Stop(_) => {}
            Action::Start(kind) => {
                self.job = Some((kind.clone(), self.generation, Progress::BEGUN, None));
                self.told_at = None;
                self.under.clone_from(&decision.assent);
            }
            Action::Forget => self.job = None,
        }
        decision
    }

    /// The job ends.
    fn end(&mut self, outcome: JobOutcome) {
        self.job.as_mut().expect("a job").3 = Some(outcome);
    }

    fn crash(&mut self) {
        self.job = None;
        self.failures = Failures::default();
        self.told_at = None;
    }

    fn run_id(&self) -> String {
        match &self.job {
            Some((JobKind::Run { id }, ..)) => id.clone(),
            other => panic!("no run: {other:?}"),
        }
    }

    fn condition(&self, kind: &str) -> Option<(&str, &str)> {
        let condition = self.status.conditions.iter().find(|c| c.type_ == kind)?;
        Some((&condition.status, &condition.reason))
    }

    fn ready(&self) -> (&str, &str) {
        self.condition(READY).unwrap()
    }

    /// The run was given up and nothing of it is open.
    fn expect_abandoned(&self, id: &str, rows: i64) {
        assert_eq!(self.status.open_run, None);
        let past = &self.status.history[0];
        assert_eq!((past.run.as_str(), past.rows_changed), (id, rows));
        assert_eq!(past.outcome, RunOutcome::Stopped(Reason::Abandoned));
    }
}

fn fault(reason: Reason) -> FieldError {
    FieldError {
        path: "spec.rules[0].unles".to_owned(),
        reason,
        message: "did you mean `unless`?".to_owned(),
    }
}

/// Something that happens around a policy.
type Change = fn(&mut World);

fn plan_of(rows: i64, as_of: Timestamp) -> PlanReport {
    PlanReport {
        parts: None,
        digest: Digest::of_bytes(b"plan"),
        as_of,
        rules: vec![RulePlan {
            rule: "enquiries".into(),
            table: "public.enquiries".into(),
            effect: Effect::Deleted,
            cutoff: as_of,
            eligible: rows,
            total: 100,
            clock_null: 0,
            implausible: 0,
            held: 0,
            held_by: vec![],
            small_groups: None,
            kept: crate::report::KeptRows::default(),
            overdue_since: (rows > 0).then(|| at("2025-12-01T00:00:00Z")),
            related: vec![],
            partitions: 0,
            walk: "enquiries_pkey".into(),
        }],
        warnings: vec![],
        loosened: vec![],
        survivors: vec![],
    }
}

fn planned(rows: i64) -> JobOutcome {
    JobOutcome::Planned(plan_of(rows, at("2026-01-10T12:00:00Z")))
}

fn ran(id: &str, now: Timestamp, outcome: RunOutcome, left: i64) -> JobOutcome {
    JobOutcome::Ran {
        plan: Some(plan_of(12, now)),
        run: RunReport {
            run: id.to_owned(),
            plan: Digest::of_bytes(b"plan"),
            as_of: now,
            started_at: now,
            finished_at: now,
            outcome,
            rules: vec![RuleRun {
                rule: "enquiries".into(),
                cutoff: now,
                changed: vec![TableCount {
                    table: "public.enquiries".into(),
                    effect: Effect::Deleted,
                    rows: 12 - left,
                }],
                residual: Residual {
                    locked: left,
                    ..Residual::default()
                },
                oldest_left: None,
                held_by: vec![],
                small_groups: None,
                partitions: 0,
                kept: crate::report::KeptRows::default(),
                failed: None,
            }],
            evidence: Some(Digest::of_bytes(b"head")),
        },
    }
}

/// A run that was given up after so many rows.
fn abandoned(id: &str, now: Timestamp, rows: i64) -> JobOutcome {
    let outcome = RunOutcome::Stopped(Reason::Abandoned);
    match ran(id, now, outcome, 12 - rows) {
        JobOutcome::Ran { mut run, .. } => {
            run.rules[0].residual = Residual::default();
            JobOutcome::Ran { plan: None, run }
        }
        other => other,
    }
}

fn refusal(reason: Reason) -> JobOutcome {
    let remedy = "related:\n- table: public.notes";
    JobOutcome::Refused {
        plan: None,
        refusals: vec![
            Refusal::of("enquiries", reason, "public.notes refers to it").remedy(remedy),
        ],
    }
}

fn failed(reason: Reason) -> JobOutcome {
    JobOutcome::Failed {
        reason,
        message: "no answer from crm-rw:5432".to_owned(),
        passing: false,
    }
}

#[test]
fn a_new_policy_is_planned_at_once_and_shows_its_counts() {
    let mut world = World::new();
    let decision = world.look();
    assert_eq!(decision.action, Action::Start(JobKind::Plan));
    assert_eq!(world.ready(), ("Unknown", "Planning"));
    assert_eq!(world.condition(RECONCILING), Some(("True", "Planning")));
    world.end(planned(12));
    let decision = world.look();
    assert_eq!(decision.action, Action::Forget);
    assert_eq!(decision.requeue_after, Duration::ZERO);
    assert_eq!(world.ready(), ("True", "DryRun"));
    assert_eq!(world.condition(RECONCILING), None);
    assert_eq!(world.status.overdue_rows, Some(12));
    assert_eq!(
        world.status.oldest_overdue_at,
        Some(at("2025-12-01T00:00:00Z"))
    );
    assert_eq!(world.status.next_run_at, Some(at("2026-01-11T02:30:00Z")));
    assert!(
        world
            .status
            .left_elsewhere
            .iter()
            .any(|place| place.contains("backups"))
    );
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn looking_again_at_an_unchanged_world_changes_nothing() {
    let mut world = World::planned();
    world.look();
    let before = world.status.clone();
    world.now = at("2026-01-10T13:00:00Z");
    let decision = world.look();
    assert_eq!(world.status, before);
    assert_eq!(decision.action, Action::Nothing);
    assert_eq!(decision.events, []);
    assert!(decision.requeue_after <= LOOK_AGAIN && decision.requeue_after > Duration::ZERO);
}

#[test]
fn a_tick_in_dry_run_counts_anew_and_stays_ready_meanwhile() {
    let mut world = World::planned();
    world.now = at("2026-01-11T02:30:05Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.ready(), ("True", "DryRun"));
    assert_eq!(
        world.status.last_scheduled_at,
        Some(at("2026-01-11T02:30:00Z"))
    );
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn switching_to_enforce_waits_for_the_schedule() {
    let mut world = World::planned();
    // The tick of the night was missed, say because the operator was down.
    world.now = at("2026-01-11T12:00:00Z");
    world.enforce = true;
    world.generation = 2;
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    assert_eq!(world.ready(), ("True", "Scheduled"));
    assert_eq!(world.look().action, Action::Nothing);
    world.now = at("2026-01-12T02:30:00Z");
    let run = JobKind::Run {
        id: "u-1/2026-01-12T02:30:00Z".to_owned(),
    };
    assert_eq!(world.look().action, Action::Start(run));
    assert_eq!(world.ready(), ("True", "Running"));
}

#[test]
fn a_completed_run_is_told_once_and_entered_in_the_history() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran(&id, world.now, RunOutcome::Completed, 0));
    let decision = world.look();
    assert_eq!(decision.action, Action::Forget);
    assert_eq!(world.ready(), ("True", "Completed"));
    assert_eq!(world.status.history.len(), 1);
    assert_eq!(world.status.history[0].rows_changed, 12);
    assert_eq!(world.status.overdue_rows, Some(0));
    assert_eq!(world.status.oldest_overdue_at, None);
    assert_eq!(world.status.open_run, None);
    assert_eq!(world.status.progress, None);
    assert_eq!(
        world.status.ledger_head,
        Some(Digest::of_bytes(b"head").to_string())
    );
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "Completed"));
}

#[test]
fn deciding_the_same_end_twice_gives_the_same_status() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran(&id, world.now, RunOutcome::Completed, 0));
    let first = world.decide();
    world.status = first.status.clone();
    let second = world.decide();
    assert_eq!(first.status, second.status);
}

#[test]
fn a_failure_counts_when_it_appears_and_each_time_an_attempt_ends_in_it() {
    let mut world = World::enforcing();
    world.conflicts = vec!["overlap".into()];
    assert_eq!(world.look().failed, [Reason::Conflict]);
    assert_eq!(world.look().failed, []);
    world.conflicts.clear();
    world.faults = vec![fault(Reason::UnknownField)];
    assert_eq!(world.look().failed, [Reason::UnknownField]);
    world.faults.clear();
    world.database = Database::NotFound("there is none".to_owned());
    assert_eq!(world.look().failed, [Reason::DatabaseNotFound]);
    world.database = Database::Ready(Engine::Postgres);
    world.now = at("2026-01-11T02:30:00Z");
    assert_eq!(world.look().failed, []);
    world.end(failed(Reason::Unreachable));
    assert_eq!(world.look().failed, [Reason::Unreachable]);
    world.now = at("2026-01-11T02:31:00Z");
    assert_eq!(world.look().failed, []);
    // Its database has noticed, too: one of them may hide the other.
    world.database = Database::NotReady("no answer".to_owned());
    world.end(failed(Reason::Unreachable));
    assert_eq!(
        world.look().failed,
        [Reason::Unreachable, Reason::DatabaseNotReady]
    );
    assert_eq!(world.look().failed, []);
}

#[test]
fn several_missed_ticks_are_made_up_for_by_one_run() {
    let mut world = World::enforcing();
    world.now = at("2026-01-20T08:00:00Z");
    world.look();
    let id = world.run_id();
    assert_eq!(id, "u-1/2026-01-20T02:30:00Z");
    world.end(ran(&id, world.now, RunOutcome::Completed, 0));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_run_is_resumed_under_its_id_after_a_restart() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.crash();
    world.now = at("2026-01-11T02:31:00Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Run { id }));
}

#[test]
fn a_plan_is_made_again_after_a_restart() {
    let mut world = World::planned();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    world.crash();
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

#[test]
fn an_older_open_run_is_reported_and_the_one_asked_for_is_started_after_it() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran("u-1/older", world.now, RunOutcome::Completed, 0));
    world.look();
    assert_eq!(world.status.history[0].run, "u-1/older");
    assert_eq!(world.look().action, Action::Start(JobKind::Run { id }));
}

#[test]
fn a_token_runs_once_out_of_schedule() {
    let mut world = World::enforcing();
    world.run_now = Some("ticket-7".to_owned());
    world.look();
    assert_eq!(world.run_id(), "u-1/now-ticket-7");
    assert_eq!(world.status.handled_run_now.as_deref(), Some("ticket-7"));
    world.end(ran("u-1/now-ticket-7", world.now, RunOutcome::Completed, 0));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
    world.run_now = Some("ticket-8".to_owned());
    world.look();
    assert_eq!(world.run_id(), "u-1/now-ticket-8");
}

#[test]
fn a_token_that_is_used_again_tells_no_old_run_as_a_new_one() {
    let mut world = World::enforcing();
    let first = |now| match ran("u-1/now-a", now, RunOutcome::Completed, 0) {
        JobOutcome::Ran { run, .. } => JobOutcome::Ran { plan: None, run },
        other => other,
    };
    // Asked for, carried out, and the operator died before it told so: the ledger's word is news.
    world.run_now = Some("a".to_owned());
    world.look();
    let began = world.now;
    world.end(first(began));
    assert!(!ran_before(&world.status, &first(began)));
    world.look();
    assert_eq!(world.ready(), ("True", "Completed"));
    world.look();
    // Another one, after which rows are left.
    world.now += Duration::from_hours(1);
    world.run_now = Some("b".to_owned());
    world.look();
    world.end(ran("u-1/now-b", world.now, RunOutcome::Completed, 5));
    world.look();
    world.look();
    let before = world.status.clone();
    // And the first token again.
    world.now += Duration::from_hours(1);
    world.run_now = Some("a".to_owned());
    assert!(matches!(
        world.look().action,
        Action::Start(JobKind::Run { .. })
    ));
    world.end(first(began));
    assert!(ran_before(&world.status, &first(began)));
    let decision = world.look();
    assert_eq!(decision.action, Action::Forget);
    let told: Vec<Reason> = decision.events.iter().map(|event| event.reason).collect();
    assert_eq!(told, [Reason::InvalidSpec], "{:?}", decision.events);
    assert_eq!(world.look().action, Action::Nothing);
    let after = &world.status;
    assert_eq!(after.last_run, before.last_run);
    assert_eq!(after.history, before.history);
    assert_eq!(after.ledger_head, before.ledger_head);
    assert_eq!(after.overdue_rows, Some(5));
    assert_eq!(after.open_run, None);
    assert_eq!(after.handled_run_now.as_deref(), Some("a"));
    assert_eq!(world.ready(), ("True", "Completed"));
}

#[test]
fn a_token_in_dry_run_only_counts() {
    let mut world = World::planned();
    world.run_now = Some("a".to_owned());
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.status.handled_run_now.as_deref(), Some("a"));
}

#[test]
fn a_token_that_is_none_is_told_once_and_runs_nothing() {
    let mut world = World::enforcing();
    world.run_now = Some("now please".to_owned());
    let decision = world.look();
    assert_eq!(decision.action, Action::Nothing);
    assert_eq!(decision.events.len(), 1);
    assert!(decision.events[0].warning);
    assert_eq!(world.look().events, []);
}

#[test]
fn suspension_stops_a_run_and_its_end_resumes_it() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.suspended = true;
    world.generation += 1;
    assert_eq!(world.look().action, Action::Stop(StopWhy::Suspended));
    assert_eq!(world.ready(), ("True", "Suspended"));
    world.end(JobOutcome::Stopped(StopWhy::Suspended));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.status.next_run_at, None);
    assert_eq!(world.status.open_run.as_ref().unwrap().run, id);
    world.suspended = false;
    world.generation += 1;
    assert_eq!(world.look().action, Action::Start(JobKind::Run { id }));
}

#[test]
fn nothing_is_planned_or_run_while_the_database_is_suspended() {
    let mut world = World::new();
    world.database = Database::Suspended("the database crm is suspended".to_owned());
    world.run_now = Some("a".to_owned());
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "Suspended"));
}

#[test]
fn another_spec_abandons_a_run_and_is_planned() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.generation += 1;
    world.current = false;
    world.digest = "sha256:two";
    assert_eq!(world.look().action, Action::Stop(StopWhy::SpecChanged));
    world.end(abandoned(&id, world.now, 5));
    let decision = world.look();
    assert!(
        decision
            .events
            .iter()
            .any(|e| e.warning && e.reason == Reason::Abandoned)
    );
    world.expect_abandoned(&id, 5);
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

#[test]
fn a_run_that_stopped_before_the_ledger_was_asked_is_given_up_there() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.generation += 1;
    world.current = false;
    world.digest = "sha256:two";
    world.look();
    // It waited for its turn, or for a Secret: what it did before that, the ledger knows.
    world.end(JobOutcome::Stopped(StopWhy::SpecChanged));
    world.look();
    assert_eq!(world.status.history, []);
    let give_up = JobKind::GiveUp { id: id.clone() };
    assert_eq!(world.look().action, Action::Start(give_up));
    // The ledger has never seen it.
    world.end(JobOutcome::NeverBegun);
    let decision = world.look();
    world.expect_abandoned(&id, 0);
    assert!(decision.events[0].note.contains("before it had changed"));
    assert_eq!(world.status.overdue_rows, Some(12));
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

/// It changed rows, of which only the ledger knows.
#[test]
fn a_run_whose_giving_up_was_stopped_stays_open_until_the_ledger_was_asked() {
    for why in [
        StopWhy::Shutdown,
        StopWhy::LeaseLost,
        StopWhy::Suspended,
        StopWhy::SpecInvalid,
        StopWhy::SpecChanged,
        StopWhy::Deleted,
    ] {
        let mut world = World::enforcing();
        world.now = at("2026-01-11T02:30:00Z");
        world.look();
        let id = world.run_id();
        world.crash();
        world.deleting = true;
        let give_up = Action::Start(JobKind::GiveUp { id: id.clone() });
        assert_eq!(world.look().action, give_up);
        world.end(JobOutcome::Stopped(why));
        world.look();
        assert_eq!(world.status.history, [], "{why:?}");
        assert_eq!(world.look().action, give_up, "{why:?}");
        world.end(abandoned(&id, world.now, 5));
        world.look();
        world.expect_abandoned(&id, 5);
    }
}

#[test]
fn going_back_to_dry_run_stops_a_run_for_good() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.enforce = false;
    world.generation += 1;
    assert_eq!(world.look().action, Action::Stop(StopWhy::SpecChanged));
    // Even where the operator was down when the mode was changed.
    world.crash();
    let give_up = JobKind::GiveUp { id: id.clone() };
    assert_eq!(world.look().action, Action::Start(give_up));
    assert_eq!(world.look().action, Action::Nothing, "it is left in peace");
    world.end(abandoned(&id, world.now, 7));
    world.look();
    world.expect_abandoned(&id, 7);
    assert_eq!(world.status.overdue_rows, Some(5));
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

#[test]
fn a_run_that_cannot_be_given_up_yet_does_not_keep_its_policy_from_being_planned() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    let give_up = || Action::Start(JobKind::GiveUp { id: id.clone() });
    world.crash();
    world.enforce = false;
    world.generation += 1;
    assert_eq!(world.look().action, give_up());
    world.end(failed(Reason::MissingGrants));
    world.look();
    assert_eq!(world.ready(), ("False", "MissingGrants"));
    world.now = at("2026-01-11T02:30:10Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    assert_eq!(world.ready(), ("False", "MissingGrants"));
    assert_eq!(world.look().action, give_up());
    world.end(failed(Reason::MissingGrants));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
    world.now = at("2026-01-11T02:31:00Z");
    assert_eq!(world.look().action, give_up());
}

#[test]
fn an_open_run_of_another_promise_is_given_up_also_where_nothing_may_run() {
    let mut suspended = World::enforcing();
    suspended.suspended = true;
    let mut conflicting = World::enforcing();
    conflicting.conflicts = vec!["overlap".into()];
    let mut held = World::enforcing();
    held.deleting = true;
    for (mut world, reason) in [
        (suspended, "Suspended"),
        (conflicting, "Conflict"),
        (held, "Abandoned"),
    ] {
        world.status.open_run = Some(OpenRun {
            run: "u-1/now-a".into(),
            since: world.now,
            spec: Some("sha256:two".into()),
        });
        let id = "u-1/now-a".to_owned();
        assert_eq!(
            world.look().action,
            Action::Start(JobKind::GiveUp { id: id.clone() }),
            "{reason}"
        );
        assert_eq!(world.ready().1, reason);
        assert_eq!(world.look().action, Action::Nothing, "{reason}");
        world.end(abandoned(&id, world.now, 3));
        world.look();
        world.expect_abandoned(&id, 3);
        assert_eq!(world.look().action, Action::Nothing, "{reason}");
        assert_eq!(world.ready().1, reason);
    }
}

#[test]
fn a_suspended_database_is_left_alone_also_by_what_would_end_a_run() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    world.crash();
    world.enforce = false;
    world.database = Database::Suspended("the database crm is suspended".to_owned());
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_changed_schedule_does_not_stop_a_run() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    world.schedule = Schedule::parse("0 4 * * *", TimeZone::UTC).unwrap();
    world.generation += 1;
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "Running"));
}

#[test]
fn deletion_stops_a_run_for_good() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.deleting = true;
    assert_eq!(world.look().action, Action::Stop(StopWhy::Deleted));
    world.end(abandoned(&id, world.now, 4));
    world.look();
    world.expect_abandoned(&id, 4);
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_refusal_stalls_says_what_to_do_and_recovers_by_itself() {
    let mut world = World::new();
    world.look();
    world.end(refusal(Reason::ReferenceUndecided));
    let decision = world.look();
    assert_eq!(world.ready(), ("False", "ReferenceUndecided"));
    assert_eq!(
        world.condition(STALLED),
        Some(("True", "ReferenceUndecided"))
    );
    assert!(
        world.status.conditions[0]
            .message
            .contains("- table: public.notes")
    );
    assert_eq!(decision.events.len(), 1);
    assert!(decision.events[0].warning && decision.events[0].note.contains("public.notes"));
    // Not at once …
    let waiting = world.look();
    assert_eq!(waiting.action, Action::Nothing);
    assert_eq!(waiting.requeue_after, Duration::from_secs(5));
    assert_eq!(world.ready(), ("False", "ReferenceUndecided"));
    // … but soon, without a flicker, and without repeating itself.
    world.now = at("2026-01-10T12:00:05Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.ready(), ("False", "ReferenceUndecided"));
    world.end(refusal(Reason::ReferenceUndecided));
    let again = world.look();
    assert_eq!(again.events, []);
    assert_eq!(again.failures.retry_at, Some(at("2026-01-10T12:00:15Z")));
    world.now = at("2026-01-10T12:00:15Z");
    world.look();
    world.end(planned(3));
    world.look();
    assert_eq!(world.ready(), ("True", "DryRun"));
    assert_eq!(world.condition(STALLED), None);
    assert_eq!(world.failures, Failures::default());
}

#[test]
fn a_changed_spec_is_planned_without_waiting_for_the_pause() {
    let mut world = World::new();
    world.look();
    world.end(refusal(Reason::TableMissing));
    world.look();
    world.generation = 2;
    // The controller starts the count of failures anew with each generation.
    world.failures = Failures::default();
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.ready(), ("Unknown", "Planning"));
}

#[test]
fn a_refused_run_changes_nothing_and_waits_for_the_next_tick() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    world.end(refusal(Reason::LimitExceeded));
    world.look();
    assert_eq!(world.ready(), ("False", "LimitExceeded"));
    assert_eq!(world.status.open_run, None);
    assert_eq!(
        world.status.history[0].outcome,
        RunOutcome::Stopped(Reason::LimitExceeded)
    );
    // Counted again after a while, so that the status recovers, but not run.
    world.now = at("2026-01-11T02:35:00Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    assert_eq!(world.ready(), ("True", "Scheduled"));
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_run_that_lost_its_database_is_resumed_under_its_id() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(failed(Reason::Unreachable));
    world.look();
    assert_eq!(world.ready(), ("False", "Unreachable"));
    assert_eq!(world.look().action, Action::Nothing);
    world.now = at("2026-01-11T02:30:02Z");
    assert_eq!(
        world.look().action,
        Action::Start(JobKind::Run { id: id.clone() })
    );
    // Still failed until rows are changed again.
    assert_eq!(world.ready(), ("False", "Unreachable"));
    world.job.as_mut().unwrap().2.phase = Phase::Running;
    world.look();
    assert_eq!(world.ready(), ("True", "Running"));
    world.end(ran(&id, world.now, RunOutcome::Completed, 0));
    world.look();
    assert_eq!(world.ready(), ("True", "Completed"));
}

#[test]
fn a_run_that_failed_stays_failed_and_is_asked_for_again() {
    // Also where somebody has to act: the run would fail again, and must not look well meanwhile.
    for reason in [
        Reason::LedgerMissing,
        Reason::ConstraintConflict,
        Reason::RunFailed,
    ] {
        let mut world = World::enforcing();
        world.now = at("2026-01-11T02:30:00Z");
        world.look();
        let id = world.run_id();
        world.end(failed(reason));
        world.look();
        world.look();
        assert_eq!(world.ready(), ("False", reason.as_str()));
        world.now = at("2026-01-11T02:40:00Z");
        assert_eq!(world.look().action, Action::Start(JobKind::Run { id }));
    }
}

#[test]
fn an_open_run_of_another_promise_is_given_up_and_waits_for_the_schedule() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.crash();
    world.generation += 1;
    world.digest = "sha256:two";
    let give_up = JobKind::GiveUp { id: id.clone() };
    assert_eq!(world.look().action, Action::Start(give_up));
    world.end(abandoned(&id, world.now, 2));
    world.look();
    world.expect_abandoned(&id, 2);
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(1));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_drifted_run_is_planned_anew_and_waits_for_the_schedule() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran(&id, world.now, RunOutcome::Stopped(Reason::Drifted), 4));
    world.look();
    assert_eq!(world.ready(), ("False", "Drifted"));
    world.now = at("2026-01-11T02:30:10Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(JobOutcome::Planned(plan_of(4, world.now)));
    world.now = at("2026-01-11T02:30:20Z");
    world.look();
    assert_eq!(world.ready(), ("True", "Scheduled"));
}

#[test]
fn an_error_of_the_program_is_told_and_tried_again() {
    let mut world = World::new();
    world.look();
    world.end(failed(Reason::InternalError));
    world.look();
    assert_eq!(world.ready(), ("False", "InternalError"));
    world.now = at("2026-01-10T12:01:00Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

#[test]
fn rows_that_nothing_explains_stop_the_schedule_until_somebody_looks() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran(
        &id,
        world.now,
        RunOutcome::Failed(Reason::VerificationFailed),
        1,
    ));
    world.look();
    assert_eq!(world.ready(), ("False", "VerificationFailed"));
    world.now = at("2026-01-12T02:30:00Z");
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("False", "VerificationFailed"));
    world.run_now = Some("looked".to_owned());
    assert!(matches!(
        world.look().action,
        Action::Start(JobKind::Run { .. })
    ));
}

#[test]
fn rows_left_after_a_run_stay_overdue() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    world.end(ran(&id, world.now, RunOutcome::Completed, 2));
    world.look();
    assert_eq!(world.status.overdue_rows, Some(2));
    assert!(world.status.oldest_overdue_at.is_some());
}

/// It was "no row is left", and no alert on overdue rows came.
#[test]
fn what_a_run_that_met_its_ceiling_left_is_counted_anew_and_the_ceiling_stays_told() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    let id = world.run_id();
    let met = RunOutcome::Stopped(Reason::CeilingReached);
    world.end(ran(&id, world.now, met, 0));
    let decision = world.look();
    let told = format!("{:?}", decision.status.conditions);
    assert!(told.contains("what is left was not counted"), "{told}");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.now = at("2026-01-11T02:31:00Z");
    world.end(planned(5_000));
    world.look();
    assert_eq!(world.status.overdue_rows, Some(5_000));
    assert_eq!(world.ready().1, "CeilingReached");
}

#[test]
fn what_keeps_everything_from_running_is_told_and_clears_with_its_cause() {
    let cases: [(&str, Change, &str); 7] = [
        (
            "a rewound ledger",
            |w| w.database = Database::Rewound("restored".into()),
            "LedgerRewound",
        ),
        (
            "an unknown field",
            |w| {
                w.faults = vec![fault(Reason::InvalidSpec), fault(Reason::UnknownField)];
            },
            "UnknownField",
        ),
        (
            "a missing database",
            |w| w.database = Database::NotFound("none".into()),
            "DatabaseNotFound",
        ),
        (
            "a foreign database",
            |w| w.database = Database::NotUsable("no".into()),
            "DatabaseNotUsable",
        ),
        (
            "a broken database",
            |w| w.database = Database::NotReady("down".into()),
            "DatabaseNotReady",
        ),
        (
            "an overlap",
            |w| w.conflicts = vec!["crm/other has rule a".into()],
            "Conflict",
        ),
        (
            "a map that cannot be read",
            |w| w.unreadable = vec!["the DataMap crm/map has faults".into()],
            "DutiesUnreadable",
        ),
    ];
    for (what, breaks, reason) in cases {
        let mut world = World::enforcing();
        world.now = at("2026-01-11T02:30:00Z");
        breaks(&mut world);
        let decision = world.look();
        assert_eq!(decision.action, Action::Nothing, "{what}");
        assert_eq!(world.ready(), ("False", reason), "{what}");
        assert!(decision.events.iter().any(|e| e.warning), "{what}");
        assert_eq!(world.look().events, [], "{what} is told once");
        world.faults.clear();
        world.conflicts.clear();
        world.unreadable.clear();
        world.database = Database::Ready(Engine::Postgres);
        let decision = world.look();
        assert!(
            matches!(decision.action, Action::Start(JobKind::Run { .. })),
            "{what}"
        );
        assert_eq!(world.ready(), ("True", "Running"), "{what}");
    }
}

#[test]
fn what_appears_in_the_middle_of_a_run_stops_it_except_a_database_that_stumbles() {
    let cases: [(Change, Action); 9] = [
        (
            |w| w.unreadable = vec!["a map has faults".into()],
            Action::Stop(StopWhy::Suspended),
        ),
        (
            |w| w.database = Database::Rewound("restored".into()),
            Action::Stop(StopWhy::Suspended),
        ),
        (
            |w| w.faults = vec![fault(Reason::UnknownField)],
            Action::Stop(StopWhy::SpecInvalid),
        ),
        (
            |w| w.database = Database::Invalid("a misspelt guard".into()),
            Action::Stop(StopWhy::SpecInvalid),
        ),
        (
            |w| w.database = Database::NotFound("none".into()),
            Action::Stop(StopWhy::Deleted),
        ),
        (
            |w| w.database = Database::NotUsable("no".into()),
            Action::Stop(StopWhy::Suspended),
        ),
        (
            |w| w.database = Database::Suspended("s".into()),
            Action::Stop(StopWhy::Suspended),
        ),
        (
            |w| w.conflicts = vec!["overlap".into()],
            Action::Stop(StopWhy::Suspended),
        ),
        (
            |w| w.database = Database::NotReady("down".into()),
            Action::Nothing,
        ),
    ];
    for (breaks, action) in cases {
        let mut world = World::enforcing();
        world.now = at("2026-01-11T02:30:00Z");
        world.look();
        breaks(&mut world);
        assert_eq!(world.look().action, action);
    }
}

#[test]
fn progress_is_written_now_and_then_only() {
    let mut world = World::enforcing();
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    for (second, done, told) in [
        (0, 0, true),
        (1, 100, false),
        (2, 200, false),
        (4, 400, true),
    ] {
        world.now = at("2026-01-11T02:30:00Z") + jiff::SignedDuration::from_secs(second);
        let progress = &mut world.job.as_mut().unwrap().2;
        progress.phase = Phase::Running;
        progress.done = done;
        progress.planned = 1000;
        progress.rate = 100;
        world.look();
        let shown = world.status.progress.as_ref().unwrap().rows_done;
        assert_eq!(shown == done, told, "after {second} s");
        if shown == done {
            world.told_at = Some(world.now);
        }
    }
    let end = world.status.progress.as_ref().unwrap().estimated_end_at;
    assert_eq!(end, Some(at("2026-01-11T02:30:10Z")));
}

#[test]
fn the_history_keeps_ten_runs() {
    let mut world = World::enforcing();
    for day in 11..=25 {
        world.now = at(&format!("2026-01-{day}T02:30:00Z"));
        world.look();
        let id = world.run_id();
        world.end(ran(&id, world.now, RunOutcome::Completed, 0));
        world.look();
    }
    assert_eq!(world.status.history.len(), 10);
    assert_eq!(world.status.history[0].run, "u-1/2026-01-25T02:30:00Z");
}

#[test]
fn no_note_is_longer_than_the_api_server_takes() {
    let mut world = World::new();
    world.look();
    let long = Refusal::whole(Reason::MissingGrants, "é".repeat(3000));
    world.end(JobOutcome::Refused {
        plan: None,
        refusals: vec![long],
    });
    let decision = world.look();
    assert!(decision.events[0].note.len() <= crate::decide::MAX_NOTE);
}

mod allowed;
mod keep_up;
mod window;

#[test]
fn under_other_duties_the_policy_is_planned_anew() {
    let mut world = World::enforcing();
    assert_eq!(world.look().action, Action::Nothing);
    for duties in [Some("sha256:one"), Some("sha256:two"), None] {
        world.duties = duties.map(str::to_owned);
        assert_eq!(
            world.look().action,
            Action::Start(JobKind::Plan),
            "{duties:?}"
        );
        world.end(planned(3));
        world.look();
        assert_eq!(world.look().action, Action::Nothing, "{duties:?}");
        assert_eq!(world.status.duties.as_deref(), duties);
    }
}
