//! When a policy has fallen behind, why, and when it will have caught up.

use super::*;
use crate::api::condition::FALLING_BEHIND;
use crate::schedule::WorkWindow;

fn behind(world: &World) -> Option<(&str, &str)> {
    world.condition(FALLING_BEHIND)
}

fn message(world: &World) -> &str {
    let all = &world.status.conditions;
    let condition = all.iter().find(|c| c.type_ == FALLING_BEHIND);
    &condition.unwrap().message
}

/// The run of the next night, as far as it is begun.
fn nightfall(world: &mut World) -> String {
    let next = world.schedule.next_after(world.now).unwrap();
    world.now = next;
    world.look();
    world.run_id()
}

fn end(world: &mut World, outcome: JobOutcome) -> Decision {
    world.end(outcome);
    world.look()
}

fn at_work(world: &mut World, done: i64, planned: i64, rate: i64) {
    world.job.as_mut().unwrap().2 = Progress {
        phase: Phase::Running,
        rule: Some("enquiries".to_owned()),
        done,
        planned,
        rate,
        waiting: None,
    };
    world.told_at = None;
}

#[test]
fn a_dry_run_promises_nothing_and_a_new_policy_is_not_behind() {
    let world = World::planned();
    assert_eq!(behind(&world), None);
    let world = World::enforcing();
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
    assert_eq!(world.status.keep_up, None);
}

#[test]
fn rows_that_stay_locked_are_behind_until_a_run_has_taken_them() {
    let mut world = World::enforcing();
    let id = nightfall(&mut world);
    let locked = RunOutcome::Stopped(Reason::RowsLocked);
    let now = world.now;
    let decision = end(&mut world, ran(&id, now, locked, 3));
    assert_eq!(behind(&world), Some(("True", "RowsLocked")));
    let told: Vec<&Event> = decision
        .events
        .iter()
        .filter(|event| event.action == "KeepUp")
        .collect();
    assert!(told.len() == 1 && told[0].warning, "{told:?}");
    assert_eq!(world.status.overdue[0].rows, 3);
    assert!(message(&world).contains("3 rows of rule enquiries"));
    // Looking again says nothing new.
    let status = world.status.clone();
    world.look();
    world.look();
    assert_eq!(behind(&world), Some(("True", "RowsLocked")));
    assert_eq!(world.status.keep_up, status.keep_up);
    let id = nightfall(&mut world);
    let now = world.now;
    let decision = end(&mut world, ran(&id, now, RunOutcome::Completed, 0));
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
    assert!(
        decision
            .events
            .iter()
            .any(|e| e.action == "KeepUp" && !e.warning)
    );
    assert_eq!(
        (world.status.overdue.len(), world.status.keep_up),
        (0, None)
    );
}

#[test]
fn a_run_over_the_limits_never_catches_up_until_somebody_raises_them() {
    let mut world = World::enforcing();
    nightfall(&mut world);
    let refused = JobOutcome::Refused {
        plan: Some(plan_of(12, world.now)),
        refusals: vec![Refusal::whole(
            Reason::LimitExceeded,
            "12 rows, 10 are allowed",
        )],
    };
    end(&mut world, refused);
    assert_eq!(behind(&world), Some(("True", "LimitExceeded")));
    assert!(message(&world).contains("never"), "{}", message(&world));
    assert!(world.status.keep_up.as_ref().unwrap().never);
    world.generation += 1;
    world.failures = Failures::default();
    world.look();
    let now = world.now;
    end(&mut world, JobOutcome::Planned(plan_of(12, now)));
    // The night's run still has not been made up for.
    assert_eq!(behind(&world), Some(("True", "LimitExceeded")));
    let id = nightfall(&mut world);
    let now = world.now;
    end(&mut world, ran(&id, now, RunOutcome::Completed, 0));
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
}

#[test]
fn a_run_that_is_not_through_when_the_next_is_due_is_throttled_or_has_too_short_windows() {
    let mut world = World::enforcing();
    nightfall(&mut world);
    at_work(&mut world, 1_000, 100_000, 1);
    world.look();
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
    let next = world.schedule.next_after(world.now).unwrap();
    world.now = next;
    at_work(&mut world, 13_600, 100_000, 1);
    world.look();
    assert_eq!(behind(&world), Some(("True", "Throttled")));
    let keep_up = world.status.keep_up.clone().unwrap();
    assert_eq!(keep_up.rows_left, 86_400);
    // One row a second: a day.
    assert_eq!(keep_up.caught_up_at, world.schedule.next_after(next));
    // The same in windows of a third of the day.
    let opens = Schedule::parse("0 0 * * *", TimeZone::UTC).unwrap();
    world.windows = WorkWindows::new(vec![WorkWindow::new(opens, Duration::from_hours(8))]);
    world.told_at = None;
    world.look();
    assert_eq!(behind(&world), Some(("True", "WindowsTooShort")));
    let end_at = world.status.keep_up.as_ref().unwrap().caught_up_at.unwrap();
    assert_eq!(end_at, next + jiff::SignedDuration::from_hours(72));
    // What it measured stays known while the window is closed.
    world.now = at("2026-01-12T08:00:00Z");
    end(&mut world, JobOutcome::Stopped(StopWhy::WindowClosed));
    world.look();
    assert_eq!(world.ready(), ("True", "WindowClosed"));
    assert_eq!(behind(&world), Some(("True", "WindowsTooShort")));
    let keep_up = world.status.keep_up.as_ref().unwrap();
    assert_eq!(
        (keep_up.rows_left, keep_up.rows_per_second),
        (86_400, Some(1))
    );
    assert!(keep_up.caught_up_at.is_some());
}

#[test]
fn what_waits_for_people_or_is_suspended_when_the_next_run_is_due_is_behind() {
    let mut world = World::enforcing();
    world.suspended = true;
    world.now = at("2026-01-11T12:00:00Z");
    world.look();
    // One run is due: it can still be made up for.
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
    world.now = at("2026-01-12T02:30:00Z");
    world.look();
    assert_eq!(behind(&world), Some(("True", "Suspended")));
    world.suspended = false;
    world.look();
    let id = world.run_id();
    let now = world.now;
    end(&mut world, ran(&id, now, RunOutcome::Completed, 0));
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));

    let mut world = World::new();
    world.enforce = true;
    world.asks = Asks {
        approval: crate::approval::ApprovalGuard::Required,
        ..Asks::NOTHING
    };
    world.look();
    end(&mut world, planned(12));
    world.look();
    assert_eq!(behind(&world), Some(("False", "KeepingUp")));
    world.now = at("2026-01-11T02:30:00Z");
    world.look();
    end(&mut world, planned(12));
    world.look();
    assert_eq!(behind(&world), Some(("True", "ApprovalMissing")));
    assert!(world.status.keep_up.as_ref().unwrap().never);
}
