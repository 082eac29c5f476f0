//! A request's life in small steps, as the controller looks at it again and again.

use jiff::ToSpan;

use super::*;
use crate::api::erasure_request::DuplicateState;
use crate::api::words::Choice;
use crate::approval::TargetKind;
use crate::erasure::find::Doubt;
use crate::erasure::outcome::{PlacePlan, PlaceRun};
use crate::plan::Refusal;
use crate::report::{
    DutyCount, Effect, KeptRows, PlanReport, Residual, RulePlan, RuleRun, RunOutcome, RunReport,
    TableCount,
};
use crate::settings::calendar::Calendar;

const UID: &str = "r-1";
const FILER: &str = "filer";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn maps() -> Digest {
    Digest::of_bytes(b"maps")
}

fn request() -> Request {
    Request {
        secret: "subject".to_owned(),
        case: "DSR-1".to_owned(),
        requested_by: FILER.to_owned(),
        received_at: at("2026-01-10T12:00:00Z"),
        speaks_since: None,
        identity_required: false,
        identified_at: None,
        extension: None,
        grounds: vec![],
        scope: crate::erasure::Scope::default(),
        confirmations: vec![],
        close: None,
        replied_at: None,
        suspend: false,
    }
}

/// A request's job.
enum Job {
    Running,
    Finished(RequestOutcome),
}

/// The world around one request; fields are changed freely between looks.
struct World {
    request: Request,
    status: ErasureRequestStatus,
    maps: Result<Digest, Verdict>,
    map_uids: Vec<String>,
    four_eyes: bool,
    approvals: Vec<Filed>,
    job: Option<Job>,
    elsewhere: Vec<Elsewhere>,
    told: Vec<(String, Result<(), String>)>,
    certified: Option<Result<CertificateStatus, Verdict>>,
    forgotten: Option<Result<(), Verdict>>,
    records: Records,
    digests_ended: bool,
    looked: Vec<Looked>,
    lost: Vec<String>,
    duplicates: Vec<DuplicateStatus>,
    passed_by: Vec<String>,
    failures: Failures,
    deleting: bool,
    ending: bool,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self {
            request: request(),
            status: ErasureRequestStatus::default(),
            maps: Ok(maps()),
            map_uids: vec!["m-1".to_owned(), "m-2".to_owned()],
            four_eyes: false,
            approvals: vec![],
            job: None,
            elsewhere: vec![],
            told: vec![],
            certified: None,
            forgotten: None,
            records: Records::default(),
            digests_ended: false,
            looked: vec![],
            lost: vec![],
            duplicates: vec![],
            passed_by: vec![],
            failures: Failures::default(),
            deleting: false,
            ending: false,
            now: at("2026-01-10T12:00:00Z"),
        }
    }

    /// After its plan, which waits for people.
    fn planned() -> Self {
        let mut world = Self::new();
        assert_eq!(world.look().action, Some(Action::Plan));
        world.end(RequestOutcome::Planned(plan(3, at("2026-01-10T12:00:00Z"))));
        world.is(Reason::ApprovalMissing);
        world
    }

    /// After its run has begun.
    fn erasing() -> Self {
        let mut world = Self::planned();
        world.approve("dpo", 3);
        let decision = world.look();
        assert!(matches!(decision.action, Some(Action::Run { .. })));
        assert!(decision.holds, "the object stays");
        world
    }

    /// After its run, of which so many rows are kept until then.
    fn erased(kept: i64, until: Option<Timestamp>) -> Self {
        let mut world = Self::erasing();
        world.end(RequestOutcome::Erased(runs(3, kept, until)));
        assert_eq!(world.look().action, Some(Action::Certify));
        world.certified = Some(Ok(certificate()));
        world.look();
        world
    }

    fn decide(&self) -> Decision {
        let clock = Clock::read(&self.request, &Calendar::default(), 5, self.now);
        decide(&Observed {
            meta: Meta {
                uid: UID,
                generation: 1,
                created_at: at("2026-01-10T12:00:00Z"),
                deleting: self.deleting,
                run_now: None,
            },
            ending: self.ending,
            spec: Ok(&self.request),
            status: &self.status,
            maps: self.maps.as_ref().copied(),
            map_uids: &self.map_uids,
            four_eyes: self.four_eyes,
            approvals: &self.approvals,
            stage: match &self.job {
                None => Stage::Idle,
                Some(Job::Running) => Stage::Running,
                Some(Job::Finished(outcome)) => Stage::Finished(outcome),
            },
            clock: &clock,
            elsewhere: &self.elsewhere,
            targets: &["mailing".to_owned()],
            told: &self.told,
            reviews: &[],
            certified: self.certified.as_ref().map(Result::as_ref),
            forgotten: self.forgotten.as_ref().map(|tried| match tried {
                Ok(()) => Ok(()),
                Err(verdict) => Err(verdict),
            }),
            digests: None,
            looked: &self.looked,
            lost: &self.lost,
            duplicates: &self.duplicates,
            passed_by: &self.passed_by,
            records: (&self.records, &Calendar::default()),
            digests_ended: self.digests_ended,
            failures: self.failures,
            jitter: 0.0,
            now: self.now,
        })
    }

    /// Decides and does what the controller does with it.
    fn look(&mut self) -> Decision {
        let decision = self.decide();
        self.status = decision.status.clone();
        self.failures = decision.failures;
        if matches!(self.job, Some(Job::Finished(_))) {
            self.job = None;
        }
        if let Some(Action::Plan | Action::Run { .. }) = decision.action {
            self.job = Some(Job::Running);
        }
        decision
    }

    /// The job ends.
    fn end(&mut self, outcome: RequestOutcome) {
        *self.job.as_mut().expect("a job") = Job::Finished(outcome);
    }

    fn approve(&mut self, by: &str, max_rows: i64) {
        let plan = self.status.plan.as_ref().expect("a plan").digest;
        self.approvals.push(Filed {
            name: format!("by-{by}"),
            at: self.now,
            ruling: Ok(Ruling {
                kind: TargetKind::ErasureRequest,
                target: "request".to_owned(),
                uid: UID.to_owned(),
                decision: Ruled::Approve,
                plan,
                max_rows,
                by: by.to_owned(),
            }),
        });
    }

    /// Looks, and its Ready condition has this reason.
    fn is(&mut self, reason: Reason) -> Decision {
        let decision = self.look();
        let conditions = &self.status.conditions;
        let ready = conditions.iter().find(|c| c.type_ == READY);
        let ready = ready.expect("a Ready condition");
        assert_eq!(ready.reason, reason.as_str(), "{}", ready.message);
        decision
    }

    fn state(&self) -> Option<RequestState> {
        self.status.state.as_ref().and_then(Choice::known)
    }

    fn outcome(&self) -> Option<Outcome> {
        self.status.outcome.as_ref().and_then(Choice::known)
    }
}

fn certificate() -> CertificateStatus {
    CertificateStatus {
        digest: Digest::of_bytes(b"certificate"),
        config_map: "request-certificate".to_owned(),
        key: None,
    }
}

fn plan(rows: i64, as_of: Timestamp) -> RequestReport {
    let plan = PlanReport {
        parts: None,
        digest: Digest::of_bytes(b"plan"),
        as_of,
        rules: vec![RulePlan {
            rule: "accounts".into(),
            table: "public.accounts".into(),
            effect: Effect::Deleted,
            cutoff: as_of,
            eligible: rows,
            total: 100,
            clock_null: 0,
            implausible: 0,
            held: 0,
            held_by: vec![],
            small_groups: None,
            kept: KeptRows::default(),
            overdue_since: None,
            related: vec![],
            partitions: 0,
            walk: "accounts_pkey".into(),
        }],
        warnings: vec![],
        loosened: vec![],
        survivors: vec![],
    };
    let place = PlacePlan {
        map: "team/crm".to_owned(),
        map_uid: "m-1".to_owned(),
        database: "team/crm".to_owned(),
        found: vec![("customer".to_owned(), 1)],
        unclassified: vec![],
        plan,
    };
    let places = if rows == 0 { vec![] } else { vec![place] };
    RequestReport::of(as_of, places, &Digest::of_bytes(b"whom")).unwrap()
}

fn runs(changed: i64, kept: i64, until: Option<Timestamp>) -> Vec<PlaceRun> {
    let now = at("2026-01-10T12:00:00Z");
    let duty = DutyCount {
        duty: "team/crm accounts[0]".to_owned(),
        rows: kept,
        open_ended: 0,
        next_ends_at: until,
    };
    vec![PlaceRun {
        map: "team/crm".to_owned(),
        database: "team/crm".to_owned(),
        residue: None,
        run: RunReport {
            run: "r-1.12345678".to_owned(),
            plan: Digest::of_bytes(b"plan"),
            as_of: now,
            started_at: now,
            finished_at: now,
            outcome: RunOutcome::Completed,
            rules: vec![RuleRun {
                rule: "accounts".into(),
                cutoff: now,
                changed: vec![TableCount {
                    table: "public.accounts".into(),
                    effect: Effect::Deleted,
                    rows: changed,
                }],
                residual: Residual {
                    kept,
                    ..Residual::default()
                },
                oldest_left: None,
                held_by: vec![],
                small_groups: None,
                partitions: 0,
                kept: KeptRows {
                    rows: kept,
                    duties: vec![duty],
                },
                failed: None,
            }],
            evidence: None,
        },
    }]
}

#[test]
fn a_request_is_planned_approved_erased_certified_answered_and_forgotten() {
    let mut world = World::erased(0, None);
    assert_eq!(world.state(), Some(RequestState::AwaitingReply));
    assert_eq!(world.outcome(), Some(Outcome::Erased));
    world.request.replied_at = Some(world.now);
    assert_eq!(world.look().action, Some(Action::Forget));
    world.forgotten = Some(Ok(()));
    let decision = world.is(Reason::Completed);
    assert_eq!(world.state(), Some(RequestState::Finished));
    assert!(!decision.holds, "the object may go");
}

#[test]
fn other_requests_about_the_person_are_told_until_it_is_begun_and_hold_nothing_up() {
    let mut world = World::planned();
    let found = |world: &World| {
        let mut conditions = world.status.conditions.iter();
        let found = conditions.find(|c| c.type_ == FOUND).expect("Found");
        (found.reason.clone(), found.message.clone())
    };
    assert_eq!(found(&world).1, "the person is in one database");
    world.duplicates = vec![DuplicateStatus {
        uid: "r-0".to_owned(),
        name: Some("before".to_owned()),
        state: DuplicateState::Open.into(),
    }];
    world.is(Reason::ApprovalMissing);
    assert_eq!(
        found(&world),
        (
            Reason::SubjectFound.as_str().to_owned(),
            "the person is in one database; another request gives one of the same identifiers: before \
             (Open)"
                .to_owned()
        )
    );
    world.approve("dpo", 3);
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    // What people knew when they allowed it stays.
    world.duplicates.clear();
    world.look();
    assert_eq!(world.status.duplicates.len(), 1);
}

#[test]
fn maps_that_nobody_has_named_are_told_to_who_approves() {
    let mut world = World::planned();
    world.passed_by = (1..=5).map(|n| format!("hr/hr-{n}")).collect();
    world.is(Reason::ApprovalMissing);
    let mut conditions = world.status.conditions.iter();
    let found = conditions.find(|c| c.type_ == FOUND).expect("Found");
    let words = "the person is in one database; not searched: the DataMaps hr/hr-1, hr/hr-2, hr/hr-3 and 2 more,";
    assert!(found.message.starts_with(words), "{}", found.message);
    assert_eq!(passed_by(&[]), None);
}

#[test]
fn nobody_is_erased_without_an_approval_of_that_plan_and_that_many_rows() {
    let mut world = World::planned();
    world.approve("dpo", 2);
    assert_eq!(world.look().action, None);
    assert_eq!(world.status.begun_at, None);
    world.approvals.clear();
    world.approve("dpo", 3);
    if let Ok(ruling) = &mut world.approvals[0].ruling {
        ruling.plan = Digest::of_bytes(b"another plan");
    }
    assert_eq!(world.look().action, None);
    assert_eq!(world.status.begun_at, None);
}

#[test]
fn where_four_eyes_are_asked_for_who_filed_it_does_not_count() {
    let mut world = World::planned();
    world.four_eyes = true;
    world.approve(FILER, 3);
    assert_eq!(world.look().action, None);
    world.approve("dpo", 3);
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
}

#[test]
fn a_map_that_says_something_else_is_planned_by_anew() {
    let mut world = World::planned();
    world.approve("dpo", 3);
    world.maps = Ok(Digest::of_bytes(b"edited"));
    assert_eq!(world.look().action, Some(Action::Plan));
    assert_eq!(world.status.begun_at, None);
}

#[test]
fn a_plan_that_is_another_one_by_now_is_shown_and_waits_for_people() {
    let mut world = World::erasing();
    let void = Refusal::whole(Reason::ApprovalVoid, "another one");
    world.end(RequestOutcome::Refused {
        report: Some(plan(4, world.now)),
        refusals: vec![(String::new(), void)],
    });
    let decision = world.is(Reason::ApprovalVoid);
    assert!(decision.plan.is_some(), "the new plan is shown");
    assert_eq!(world.status.begun_at, None);
    assert_eq!(world.status.plan.as_ref().map(|plan| plan.deletes), Some(4));
}

#[test]
fn a_run_that_a_database_refuses_as_void_is_not_tried_again_at_once() {
    let mut world = World::erasing();
    let void = Refusal::whole(Reason::ApprovalVoid, "the schema is another one");
    world.end(RequestOutcome::Refused {
        report: None,
        refusals: vec![("team/crm".to_owned(), void)],
    });
    let decision = world.is(Reason::ApprovalVoid);
    assert_eq!(decision.action, None);
    assert!(
        world.status.begun_at.is_some(),
        "another database may be done"
    );
    assert_eq!(world.look().action, None, "it pauses first");
    world.now += 2.hours();
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
}

#[test]
fn what_was_begun_is_not_complete_without_a_map_of_its_plan() {
    let mut world = World::erasing();
    world.end(RequestOutcome::Stopped(StopWhy::Shutdown));
    world.map_uids = vec!["m-1".to_owned()];
    assert_eq!(world.is(Reason::NoMap).action, None);
    assert_eq!(world.status.completed_at, None);
    world.map_uids.push("m-2".to_owned());
    world.now += 2.hours();
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
}

#[test]
fn before_it_is_begun_a_lost_map_only_makes_another_plan() {
    let mut world = World::planned();
    world.map_uids = vec!["m-1".to_owned()];
    world.maps = Ok(Digest::of_bytes(b"one map"));
    assert_eq!(world.look().action, Some(Action::Plan));
}

#[test]
fn what_a_duty_keeps_goes_when_it_ends_and_the_counts_add_up() {
    let until = at("2027-01-10T00:00:00Z");
    let mut world = World::erased(2, Some(until));
    assert_eq!(world.outcome(), Some(Outcome::ErasedInPart));
    world.request.replied_at = Some(world.now);
    assert_eq!(world.look().action, None);
    assert_eq!(world.state(), Some(RequestState::KeptInPart));
    world.now = until;
    let decision = world.look();
    let Some(Action::Run { round, .. }) = decision.action else {
        panic!("{:?}", decision.action);
    };
    assert!(!round.is_empty());
    let mut rest = runs(2, 0, None);
    rest[0].run.run.push_str(&round);
    world.end(RequestOutcome::Erased(rest));
    world.certified = None;
    assert_eq!(world.look().action, Some(Action::Certify));
    assert_eq!(world.status.databases.len(), 1);
    assert_eq!(world.status.databases[0].deleted, 5);
    assert_eq!(world.outcome(), Some(Outcome::Erased));
    assert_eq!(world.status.kept, None);
}

#[test]
fn where_a_map_has_changed_since_what_is_left_is_approved_anew() {
    let until = at("2027-01-10T00:00:00Z");
    let mut world = World::erased(2, Some(until));
    world.now = until;
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    let mut rest = plan(2, until);
    rest.digest = Digest::of_bytes(b"rest");
    world.end(RequestOutcome::Outdated(rest));
    let decision = world.is(Reason::ApprovalVoid);
    assert!(decision.plan.is_some(), "the new plan is shown");
    assert_eq!(decision.action, None);
    assert!(decision.holds, "the object stays");
    world.approve("dpo", 2);
    let Some(Action::Run { digest, round, .. }) = world.look().action else {
        panic!("it goes on");
    };
    assert_eq!(digest, Digest::of_bytes(b"rest"));
    assert_eq!(round, format!("@{until}"), "the same round");
}

#[test]
fn a_suspended_request_erases_nothing_when_a_duty_ends() {
    let until = at("2027-01-10T00:00:00Z");
    let mut world = World::erased(2, Some(until));
    world.now = until;
    world.request.suspend = true;
    assert_eq!(world.is(Reason::Suspended).action, None);
}

#[test]
fn a_lost_map_is_told_when_a_duty_ends_and_nothing_runs() {
    let until = at("2027-01-10T00:00:00Z");
    let mut world = World::erased(2, Some(until));
    world.map_uids.clear();
    world.now = until;
    assert_eq!(world.is(Reason::NoMap).action, None);
}

#[test]
fn what_stays_although_its_day_has_come_is_looked_at_tomorrow_and_keeps_its_certificate() {
    let mut world = World::erased(2, Some(at("2026-01-10T11:00:00Z")));
    let next = world
        .status
        .kept
        .as_ref()
        .and_then(|kept| kept.next_ends_at);
    assert_eq!(next, Some(world.now + 24.hours()));
    world.request.replied_at = Some(world.now);
    world.certified = None;
    world.now += 24.hours();
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    world.end(RequestOutcome::Erased(runs(0, 2, None)));
    assert_eq!(world.look().action, None);
    assert_eq!(world.status.certificate, Some(certificate()));
}

#[test]
fn what_stands_in_the_status_is_not_counted_again_when_nobody_heard_that_it_was_written() {
    let mut world = World::erasing();
    for _ in 0..2 {
        world.job = Some(Job::Finished(RequestOutcome::Erased(runs(3, 0, None))));
        assert_eq!(world.look().action, Some(Action::Certify));
        assert_eq!(world.status.databases.len(), 1);
        assert_eq!(world.status.databases[0].deleted, 3);
    }
    assert_eq!(world.outcome(), Some(Outcome::Erased));
}

#[test]
fn what_a_hold_keeps_is_looked_at_every_day_whatever_a_duty_keeps_beside_it() {
    let mut world = World::erasing();
    let mut kept = runs(0, 2, Some(at("2036-01-10T00:00:00Z")));
    kept[0].run.rules[0].residual.held = 3;
    world.end(RequestOutcome::Erased(kept));
    world.look();
    let kept = world.status.kept.as_ref().unwrap();
    assert_eq!(kept.rows, 5);
    assert_eq!(kept.next_ends_at, Some(world.now + 24.hours()));
    assert_eq!(world.status.databases[0].held, 3);
}

#[test]
fn a_round_that_failed_pauses_before_the_next() {
    let until = at("2027-01-10T00:00:00Z");
    let mut world = World::erased(2, Some(until));
    world.now = until;
    world.look();
    world.end(RequestOutcome::Failed {
        reason: Reason::RunFailed,
        message: "the server went away".to_owned(),
        passing: true,
    });
    assert_eq!(world.is(Reason::RunFailed).action, None);
    assert_eq!(world.is(Reason::RunFailed).action, None);
    world.now += 2.hours();
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
}

#[test]
fn a_certificate_that_cannot_be_kept_is_told_and_tried_again_later() {
    let mut world = World::erasing();
    world.end(RequestOutcome::Erased(runs(3, 0, None)));
    world.look();
    let quota = Verdict::new(Reason::CertificateNotKept, "quota");
    world.certified = Some(Err(quota));
    world.is(Reason::CertificateNotKept);
    world.certified = None;
    assert_eq!(world.is(Reason::CertificateNotKept).action, None);
    world.now += 2.hours();
    assert_eq!(world.look().action, Some(Action::Certify));
}

#[test]
fn more_than_one_person_is_nobody() {
    let mut world = World::new();
    world.look();
    world.end(RequestOutcome::Doubtful {
        map: "team/crm".to_owned(),
        role: "customer".to_owned(),
        doubt: Doubt::Several(2),
    });
    assert_eq!(world.is(Reason::Ambiguous).action, None);
    assert_eq!(world.status.plan, None);
}

#[test]
fn nothing_found_is_an_answer() {
    let mut world = World::new();
    world.look();
    world.end(RequestOutcome::Planned(plan(0, world.now)));
    assert_eq!(world.look().action, None);
    assert_eq!(world.outcome(), Some(Outcome::NothingFound));
    assert_eq!(world.state(), Some(RequestState::AwaitingReply));
}

#[test]
fn before_it_is_begun_deleting_withdraws_it_and_afterwards_it_stays() {
    let mut world = World::planned();
    world.deleting = true;
    assert!(!world.look().holds);
    assert_eq!(world.outcome(), Some(Outcome::Withdrawn));
    let mut world = World::erasing();
    world.deleting = true;
    assert!(world.look().holds);
    assert_eq!(world.outcome(), None);
}

#[test]
fn with_its_namespace_it_stops_lets_the_ledgers_forget_and_goes() {
    let mut world = World::erasing();
    world.job = Some(Job::Running);
    world.deleting = true;
    world.ending = true;
    let decision = world.is(Reason::Running);
    assert!(decision.holds && decision.stop == Some(StopWhy::Deleted));
    assert_eq!(decision.action, None, "it has not stopped yet");
    world.end(RequestOutcome::Stopped(StopWhy::Deleted));
    assert_eq!(world.look().action, Some(Action::Forget));
    for forgotten in [Ok(()), Err(Verdict::new(Reason::NoMap, "no map"))] {
        world.forgotten = Some(forgotten);
        let decision = world.decide();
        assert!(!decision.holds);
        let ready = decision.status.conditions.iter().find(|c| c.type_ == READY);
        assert_eq!(ready.unwrap().reason, Reason::Abandoned.as_str());
    }
}

#[test]
fn closing_ends_what_was_not_begun_and_not_what_was() {
    let close = crate::erasure::Close {
        outcome: CloseName::NotOurs,
        ground: None,
        by: FILER.to_owned(),
    };
    let mut world = World::planned();
    world.request.close = Some(close.clone());
    world.is(Reason::AwaitingReply);
    assert_eq!(world.outcome(), Some(Outcome::NotOurs));
    let mut world = World::erasing();
    world.request.close = Some(close);
    world.is(Reason::Running);
    assert_eq!(world.outcome(), None);
}

#[test]
fn nobody_is_looked_for_before_they_are_identified() {
    let mut world = World::new();
    world.request.identity_required = true;
    assert_eq!(world.is(Reason::AwaitingIdentity).action, None);
    world.request.identified_at = Some(world.now);
    assert_eq!(world.look().action, Some(Action::Plan));
}

#[test]
fn the_end_of_the_time_to_answer_is_told_once_and_nothing_but_the_answer_ends_it() {
    let told = |decision: &Decision, of: Reason| {
        let told = decision.events.iter().filter(|e| e.reason == of);
        (told.count(), decision.due_at)
    };
    // Counted from a Saturday: the last day is a Tuesday.
    let due = Some(at("2026-02-11T00:00:00Z"));
    let mut world = World::planned();
    assert_eq!(told(&world.look(), Reason::DueSoon), (0, due));
    world.now = at("2026-02-05T00:00:00Z");
    assert_eq!(told(&world.look(), Reason::DueSoon), (1, due));
    assert_eq!(told(&world.look(), Reason::DueSoon), (0, due));
    world.request.suspend = true;
    world.now = at("2026-02-11T00:00:00Z");
    assert_eq!(told(&world.look(), Reason::Overdue), (1, due));
    let again = world.look();
    assert_eq!(told(&again, Reason::Overdue), (0, due));
    assert_eq!(told(&again, Reason::DueSoon), (0, due));
    world.request.replied_at = Some(world.now);
    assert_eq!(told(&world.look(), Reason::Overdue), (0, None));
}

#[test]
fn a_suspended_request_or_database_is_left_alone() {
    let mut world = World::planned();
    world.approve("dpo", 3);
    world.request.suspend = true;
    assert_eq!(world.is(Reason::Suspended).action, None);
    world.request.suspend = false;
    world.maps = Err(Verdict::new(Reason::Suspended, "the database"));
    assert_eq!(world.is(Reason::Suspended).action, None);
    assert_eq!(world.status.begun_at, None);
}

impl World {
    /// After its end.
    fn finished() -> Self {
        let mut world = Self::erased(0, None);
        world.request.replied_at = Some(world.now);
        world.certified = None;
        assert_eq!(world.look().action, Some(Action::Forget));
        world.forgotten = Some(Ok(()));
        world.is(Reason::Completed);
        world.forgotten = None;
        world
    }

    /// A look through the database a minute later finds so many rows.
    fn found(&mut self, rows: i64, again: bool) {
        self.now += Duration::from_mins(1);
        self.looked = vec![Looked {
            database: "team/crm".to_owned(),
            at: self.now,
            back: vec![Back {
                map: "team/crm".to_owned(),
                rows,
                again,
            }],
        }];
    }

    fn reappeared(&self) -> bool {
        let mut conditions = self.status.conditions.iter();
        conditions.any(|c| c.type_ == crate::api::condition::REAPPEARED && c.status == "True")
    }

    /// It is carried out once more, from its first look to its end.
    fn goes_again(&mut self, changed: i64) {
        let action = self.is(Reason::ErasedAgain).action;
        let Some(Action::Run { round, .. }) = action else {
            panic!("{action:?}");
        };
        assert!(crate::erasure::again::is_again(&round), "{round}");
        assert_eq!(self.state(), Some(RequestState::Erasing));
        assert_eq!(self.status.finished_at, None);
        self.now += Duration::from_mins(1);
        self.end(RequestOutcome::Erased(runs(changed, 0, None)));
        self.lost.clear();
        if changed > 0 {
            assert_eq!(self.look().action, Some(Action::Certify));
            self.certified = Some(Ok(certificate()));
        }
        assert_eq!(self.look().action, Some(Action::Forget));
        self.certified = None;
        self.forgotten = Some(Ok(()));
        self.is(Reason::Completed);
        self.forgotten = None;
        assert_eq!(self.state(), Some(RequestState::Finished));
    }
}

#[test]
fn a_person_who_is_back_is_told_once_and_no_more_when_they_are_gone() {
    let mut world = World::finished();
    world.found(2, false);
    let decision = world.look();
    assert_eq!(decision.action, None);
    assert_eq!(decision.events.len(), 1, "{:?}", decision.events);
    assert!(decision.events[0].note.contains("2 rows in team/crm"));
    assert!(world.reappeared());
    world.found(2, false);
    assert_eq!(world.look().events, []);
    assert_eq!(world.state(), Some(RequestState::Finished));
    world.found(0, false);
    world.look();
    assert!(!world.reappeared());
    assert_eq!(world.status.reappeared, []);
}

#[test]
fn where_the_map_says_so_a_request_is_carried_out_again_and_not_for_what_is_left() {
    let mut world = World::finished();
    world.found(2, true);
    world.goes_again(2);
    // What the look saw before it went again is no news.
    assert_eq!(world.look().action, None);
    assert!(!world.reappeared());
    world.found(1, true);
    world.goes_again(0);
    // A row that nothing takes away is told, and nothing is tried for it day by day.
    for _ in 0..3 {
        world.found(1, true);
        assert_eq!(world.look().action, None);
        assert!(world.reappeared());
    }
    world.found(2, true);
    world.goes_again(1);
}

#[test]
fn an_erasure_that_a_restore_has_undone_is_applied_again_also_before_the_answer() {
    let mut world = World::finished();
    world.lost = vec!["team/crm".to_owned()];
    world.goes_again(1);
    assert_eq!(world.look().action, None);
    let mut world = World::erased(0, None);
    world.certified = None;
    world.is(Reason::AwaitingReply);
    world.lost = vec!["team/crm".to_owned()];
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    // Nobody is looked for whom nothing was erased of.
    let mut world = World::new();
    world.look();
    world.end(RequestOutcome::Planned(plan(0, world.now)));
    world.look();
    world.lost = vec!["team/crm".to_owned()];
    assert_eq!(world.look().action, None);
}

#[test]
fn what_maps_say_now_is_not_carried_out_again_before_people_have_seen_it() {
    let mut world = World::finished();
    world.maps = Ok(Digest::of_bytes(b"other maps"));
    world.found(2, true);
    let none = world.look().action;
    assert!(
        matches!(none, Some(Action::Run { max_rows: 0, .. })),
        "{none:?}"
    );
    world.approvals.clear();
    world.end(RequestOutcome::Outdated(plan(2, world.now)));
    assert_eq!(world.is(Reason::ApprovalMissing).action, None);
    world.approve("dpo", 2);
    let some = world.look().action;
    assert!(
        matches!(some, Some(Action::Run { max_rows: 2, .. })),
        "{some:?}"
    );
}

#[test]
fn what_a_duty_keeps_in_one_database_is_kept_when_another_one_was_restored() {
    let until = at("2036-01-10T00:00:00Z");
    let mut world = World::erased(4, Some(until));
    let kept = world.status.kept.clone();
    world.lost = vec!["team/shop".to_owned()];
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    let mut there = runs(1, 0, None);
    there[0].map = "team/shop".to_owned();
    world.end(RequestOutcome::Erased(there));
    world.lost.clear();
    world.look();
    assert_eq!(world.status.kept, kept);
    assert_eq!(kept.map(|kept| kept.rows), Some(4));
    assert_eq!(world.outcome(), Some(Outcome::ErasedInPart));
}

#[test]
fn more_rows_than_were_approved_wait_for_another_approval() {
    let mut world = World::finished();
    world.found(9, true);
    assert!(matches!(world.look().action, Some(Action::Run { .. })));
    world.now += Duration::from_mins(1);
    world.approvals.clear();
    world.end(RequestOutcome::Outdated(plan(9, world.now)));
    assert_eq!(world.is(Reason::ApprovalMissing).action, None);
    assert_eq!(world.state(), Some(RequestState::AwaitingApproval));
    world.approve("dpo", 9);
    let action = world.look().action;
    assert!(
        matches!(action, Some(Action::Run { max_rows: 9, .. })),
        "{action:?}"
    );
}

#[test]
fn digests_that_somebody_else_wrote_are_not_those_of_the_request() {
    let kept = |digest| DigestsStatus {
        config_map: "request-erased".to_owned(),
        digest,
        ends_at: Timestamp::UNIX_EPOCH,
    };
    let written = kept(Some(Digest::of_bytes("[1]")));
    assert!(written.is_of("[1]"));
    assert!(!written.is_of("[]"), "nobody would be found again");
    assert!(!kept(None).is_of("[]"));
}

#[test]
fn what_is_kept_of_a_request_goes_when_its_time_is_over() {
    let mut world = World::finished();
    world.records.retention = Some("P60D".parse().unwrap());
    world.status.digests = Some(DigestsStatus {
        config_map: "request-erased".to_owned(),
        digest: None,
        ends_at: world.now + Duration::from_hours(24),
    });
    assert_eq!(world.look().action, None);
    world.now += Duration::from_hours(24);
    let action = Action::EndDigests("request-erased".to_owned());
    assert_eq!(world.look().action, Some(action));
    world.digests_ended = true;
    assert_eq!(world.look().action, None);
    assert_eq!(world.status.digests, None);
    world.now += Duration::from_hours(58 * 24);
    assert_eq!(world.look().action, None);
    world.now += Duration::from_hours(25);
    assert_eq!(world.look().action, Some(Action::End));
    world.deleting = true;
    assert_eq!(world.look().action, None);
    // One that has not ended has no end.
    let mut world = World::erased(0, None);
    world.records.retention = Some("P60D".parse().unwrap());
    world.certified = None;
    world.now += Duration::from_hours(61 * 24);
    assert_eq!(world.look().action, None);
}
