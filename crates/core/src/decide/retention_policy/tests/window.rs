//! What waits outside of the database's windows, and goes on within them.

use super::*;
use crate::schedule::WorkWindow;

/// From ten in the evening for an hour; the policy's schedule is half past two.
fn evenings() -> WorkWindows {
    let schedule = Schedule::parse("0 22 * * *", TimeZone::UTC).unwrap();
    WorkWindows::new(vec![WorkWindow::new(schedule, Duration::from_hours(1))])
}

const TEN: &str = "2026-01-10T22:00:00Z";

fn enforcing() -> World {
    let mut world = World::enforcing();
    world.windows = evenings();
    world
}

fn message(world: &World) -> &str {
    let ready = world.status.conditions.iter().find(|c| c.type_ == READY);
    &ready.unwrap().message
}

#[test]
fn a_new_policy_is_counted_when_a_window_opens() {
    let mut world = World::new();
    world.windows = evenings();
    let decision = world.look();
    assert_eq!(decision.action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "WindowClosed"));
    assert!(message(&world).contains("opens at 2026-01-10T22:00:00Z"));
    assert_eq!(world.status.window_opens_at, Some(at(TEN)));
    assert!(decision.requeue_after <= LOOK_AGAIN);
    world.now = at("2026-01-10T21:59:59Z");
    assert_eq!(world.look().requeue_after, Duration::from_secs(1));
    world.now = at(TEN);
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    assert_eq!(world.status.window_opens_at, None);
}

#[test]
fn a_run_that_was_due_between_windows_begins_once_with_the_next() {
    let mut world = enforcing();
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "Scheduled"));
    // Nothing is due before half past two, and then not before ten in the evening.
    assert_eq!(world.status.next_run_at, Some(at("2026-01-11T22:00:00Z")));
    for instant in ["2026-01-11T02:30:00Z", "2026-01-13T12:00:00Z"] {
        world.now = at(instant);
        assert_eq!(world.look().action, Action::Nothing);
        assert_eq!(world.ready(), ("True", "WindowClosed"));
    }
    world.now = at("2026-01-13T22:00:00Z");
    world.look();
    assert_eq!(world.run_id(), "u-1/2026-01-13T02:30:00Z");
    let id = world.run_id();
    world.end(ran(&id, world.now, RunOutcome::Completed, 0));
    world.look();
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "Completed"));
    assert_eq!(world.status.next_run_at, Some(at("2026-01-14T22:00:00Z")));
}

#[test]
fn a_token_waits_for_the_window_too_and_is_not_handled_before() {
    let mut world = enforcing();
    world.run_now = Some("deploy-42".to_owned());
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("True", "WindowClosed"));
    assert!(message(&world).contains("deploy-42"), "{}", message(&world));
    assert_eq!(world.status.handled_run_now, None);
    world.now = at(TEN);
    world.look();
    assert_eq!(world.run_id(), "u-1/now-deploy-42");
}

#[test]
fn a_run_stops_with_its_window_and_goes_on_in_the_next_under_its_id() {
    let mut world = enforcing();
    world.run_now = Some("a".to_owned());
    world.now = at(TEN);
    world.look();
    let id = world.run_id();
    world.end(JobOutcome::Stopped(StopWhy::WindowClosed));
    world.now = at("2026-01-10T23:00:00Z");
    assert_eq!(world.look().action, Action::Forget);
    for _ in 0..2 {
        assert_eq!(world.ready(), ("True", "WindowClosed"));
        assert!(message(&world).contains(&id), "{}", message(&world));
        assert_eq!(
            world.status.open_run.as_ref().map(|open| &open.run),
            Some(&id)
        );
        assert_eq!(world.look().action, Action::Nothing);
    }
    world.now = at("2026-01-11T22:00:00Z");
    world.look();
    assert_eq!(world.run_id(), id);
}

#[test]
fn what_works_on_stops_when_the_windows_are_written_anew() {
    for kind in [JobKind::Plan, JobKind::Run { id: "x".into() }] {
        let mut world = enforcing();
        world.job = Some((kind, world.generation, Progress::BEGUN, None));
        assert_eq!(
            world.look().action,
            Action::Stop(StopWhy::WindowClosed),
            "at noon"
        );
        world.now = at(TEN);
        assert_eq!(world.look().action, Action::Nothing);
    }
}

#[test]
fn a_count_that_was_cut_off_is_made_anew_in_the_next_window() {
    let mut world = World::planned();
    world.windows = evenings();
    // The night's tick asks a dry run for a count.
    world.now = at("2026-01-11T22:59:59Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
    world.end(JobOutcome::Stopped(StopWhy::WindowClosed));
    world.now = at("2026-01-11T23:00:00Z");
    world.look();
    world.look();
    assert_eq!(world.ready(), ("True", "WindowClosed"));
    world.now = at("2026-01-12T22:00:00Z");
    assert_eq!(world.look().action, Action::Start(JobKind::Plan));
}

#[test]
fn what_has_failed_and_what_people_are_waited_for_stays_told() {
    let mut world = enforcing();
    world.run_now = Some("a".to_owned());
    world.now = at(TEN);
    world.look();
    world.end(failed(Reason::Unreachable));
    world.look();
    world.now = at("2026-01-10T23:00:00Z");
    assert_eq!(world.look().action, Action::Nothing);
    assert_eq!(world.ready(), ("False", "Unreachable"));
    assert_eq!(
        world.status.window_opens_at,
        Some(at("2026-01-11T22:00:00Z"))
    );
}
