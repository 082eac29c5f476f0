//! What people are asked for before a run, in a policy's life.

use super::*;
use crate::api::condition::APPROVED;
use crate::approval::{ApprovalGuard, Decision, DryRunGuard, Ruling, TargetKind};

const REQUIRED: Asks = Asks {
    approval: ApprovalGuard::Required,
    dry_run: DryRunGuard::Required,
};
const DRY_RUN_FIRST: Asks = Asks {
    approval: ApprovalGuard::None,
    dry_run: DryRunGuard::Required,
};

fn ruling(by: &str, decision: Decision, max_rows: i64) -> Filed {
    Filed {
        name: format!("of-{by}"),
        at: Timestamp::UNIX_EPOCH,
        ruling: Ok(Ruling {
            kind: TargetKind::RetentionPolicy,
            target: "p".to_owned(),
            uid: UID.to_owned(),
            decision,
            plan: Digest::of_bytes(b"plan"),
            max_rows,
            by: by.to_owned(),
        }),
    }
}

/// In mode Enforce from the first moment, planned once.
fn asked(asks: Asks) -> World {
    let mut world = World::new();
    world.enforce = true;
    world.asks = asks;
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
    world
}

/// The schedule's time comes; the answer is what is started.
fn tick(world: &mut World, day: u8) -> Action {
    world.now = at(&format!("2026-01-{day}T02:30:00Z"));
    world.look().action
}

#[test]
fn a_tick_without_an_approval_plans_anew_and_is_not_made_up_for() {
    let mut world = asked(REQUIRED);
    assert_eq!(world.ready(), ("True", "ApprovalMissing"));
    assert_eq!(
        world.condition(APPROVED),
        Some(("False", "ApprovalMissing"))
    );
    assert_eq!(tick(&mut world, 11), Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    world.approvals = vec![ruling("dpo", Decision::Approve, 15)];
    let decision = world.look();
    assert_eq!(decision.action, Action::Nothing);
    assert_eq!(world.condition(APPROVED), Some(("True", "Approved")));
    assert_eq!(world.ready(), ("True", "Scheduled"));
    let told = |e: &Event| (e.warning, e.reason);
    assert_eq!(
        decision.events.iter().map(told).collect::<Vec<_>>(),
        [(false, Reason::Approved)]
    );
    assert_eq!(world.look().events, vec![]);
    // The next one runs, as it was approved and no further.
    world.now = at("2026-01-12T02:30:00Z");
    let decision = world.look();
    assert!(matches!(
        decision.action,
        Action::Start(JobKind::Run { .. })
    ));
    let assent = decision.assent.unwrap();
    let plan = Digest::of_bytes(b"plan");
    assert_eq!((assent.plan, assent.max_rows), (plan, Some(15)));
}

#[test]
fn a_token_without_an_approval_is_handled_and_says_why_nothing_runs() {
    let mut world = asked(REQUIRED);
    world.run_now = Some("now".to_owned());
    let decision = world.look();
    assert_eq!(decision.action, Action::Start(JobKind::Plan));
    assert_eq!(world.status.handled_run_now.as_deref(), Some("now"));
    let event = &decision.events[0];
    assert_eq!(
        (event.warning, event.reason),
        (false, Reason::ApprovalMissing)
    );
    assert!(
        event
            .note
            .starts_with("nothing runs, though a run is asked for")
    );
    assert_eq!(world.status.open_run, None);
}

#[test]
fn a_token_waits_for_the_first_plan_where_something_is_asked_of_it() {
    let mut world = World::new();
    world.enforce = true;
    world.asks = REQUIRED;
    world.run_now = Some("now".to_owned());
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.status.handled_run_now, None);
    world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
    world.end(planned(12));
    world.look();
    assert!(matches!(
        world.look().action,
        Action::Start(JobKind::Run { .. })
    ));
}

#[test]
fn more_rows_than_approved_void_the_approval_and_change_nothing() {
    let mut world = asked(REQUIRED);
    world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
    assert!(matches!(
        tick(&mut world, 11),
        Action::Start(JobKind::Run { .. })
    ));
    let refusal = Refusal::whole(Reason::ApprovalVoid, "the plan changes 13 rows now");
    world.end(JobOutcome::Refused {
        plan: Some(plan_of(13, world.now)),
        refusals: vec![refusal],
    });
    world.look();
    world.look();
    assert_eq!(world.ready(), ("True", "ApprovalVoid"));
    assert_eq!(world.condition(APPROVED), Some(("False", "ApprovalVoid")));
    assert_eq!(world.condition(STALLED), None);
    assert_eq!((world.failures.count, &world.status.open_run), (0, &None));
    assert_eq!(
        world.status.history[0].outcome,
        RunOutcome::Stopped(Reason::ApprovalVoid)
    );
    // The plan stands and is not made again and again.
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn a_run_stops_when_its_approval_goes_and_is_resumed_when_it_comes_back() {
    type Gone = fn(&mut World);
    let cases: [(Gone, &str); 3] = [
        (|world| world.approvals.clear(), "ApprovalMissing"),
        (
            |world| world.approvals.push(ruling("lead", Decision::Reject, 0)),
            "Rejected",
        ),
        (
            |world| world.asks.approval = ApprovalGuard::FourEyes,
            "ApprovalMissing",
        ),
    ];
    for (gone, reason) in cases {
        let mut world = asked(REQUIRED);
        world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
        tick(&mut world, 11);
        let id = world.run_id();
        assert_eq!(world.look().action, Action::Nothing, "{reason}");
        gone(&mut world);
        assert_eq!(world.look().action, Action::Stop(StopWhy::Unapproved));
        world.end(JobOutcome::Stopped(StopWhy::Unapproved));
        world.look();
        assert_eq!(world.look().action, Action::Nothing, "{reason}");
        assert_eq!(world.ready(), ("True", reason));
        let open = world.status.open_run.as_ref().map(|open| &open.run);
        assert_eq!(open, Some(&id), "{reason}");
        // Rows were changed meanwhile: what is left is less, and needs no look at the count.
        world.asks = REQUIRED;
        world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
        assert_eq!(world.look().action, Action::Start(JobKind::Run { id }));
    }
}

#[test]
fn a_guard_that_comes_in_the_middle_of_a_run_stops_it() {
    let mut world = World::enforcing();
    tick(&mut world, 11);
    world.asks = REQUIRED;
    assert_eq!(world.look().action, Action::Stop(StopWhy::Unapproved));
    // That a dry run should have come first is no matter any more.
    world.asks = DRY_RUN_FIRST;
    assert_eq!(world.look().action, Action::Nothing);
}

#[test]
fn enforcing_waits_for_a_dry_run_of_the_same_plan() {
    let mut world = asked(DRY_RUN_FIRST);
    assert_eq!(world.ready(), ("True", "DryRunMissing"));
    assert_eq!(world.condition(APPROVED), None);
    assert_eq!(tick(&mut world, 11), Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    assert_eq!(world.status.dry_run, None);

    world.enforce = false;
    world.generation += 1;
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    let plan = Digest::of_bytes(b"plan");
    let recorded = world.status.dry_run.as_ref().map(|dry| dry.plan);
    assert_eq!(recorded, Some(plan));

    world.enforce = true;
    world.generation += 1;
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(planned(12));
    world.look();
    world.look();
    assert_eq!(world.ready(), ("True", "Scheduled"));
    world.now = at("2026-01-12T02:30:00Z");
    let decision = world.look();
    assert!(matches!(
        decision.action,
        Action::Start(JobKind::Run { .. })
    ));
    let assent = decision.assent.unwrap();
    assert_eq!((assent.plan, assent.max_rows), (plan, None));

    // Another plan, of which no dry run is recorded.
    let mut another = plan_of(12, world.now);
    another.digest = Digest::of_bytes(b"another plan");
    world.end(JobOutcome::Refused {
        plan: Some(another),
        refusals: vec![Refusal::whole(Reason::DryRunMissing, "another plan")],
    });
    world.look();
    world.look();
    assert_eq!(world.ready(), ("True", "DryRunMissing"));
    let ready = world.status.conditions.iter().find(|c| c.type_ == READY);
    let message = &ready.unwrap().message;
    assert!(
        message.contains("not that of the recorded dry run"),
        "{message}"
    );
}

#[test]
fn an_approval_stands_for_the_dry_run() {
    let mut world = asked(REQUIRED);
    world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
    assert_eq!(world.status.dry_run, None);
    assert!(matches!(
        tick(&mut world, 11),
        Action::Start(JobKind::Run { .. })
    ));
}

#[test]
fn a_policy_in_dry_run_says_whether_it_is_approved_and_stays_a_dry_run() {
    let mut world = World::planned();
    world.asks = REQUIRED;
    world.look();
    assert_eq!(world.ready(), ("True", "DryRun"));
    assert_eq!(
        world.condition(APPROVED),
        Some(("False", "ApprovalMissing"))
    );
    world.approvals = vec![ruling("dpo", Decision::Approve, 12)];
    world.look();
    assert_eq!(world.condition(APPROVED), Some(("True", "Approved")));
    assert_eq!(tick(&mut world, 11), Action::Start(JobKind::Plan));
    // Where nobody is asked any more, nothing is said of it.
    world.asks = Asks::NOTHING;
    world.look();
    assert_eq!(world.condition(APPROVED), None);
    assert_eq!(world.status.approval, None);
}
