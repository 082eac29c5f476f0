//! What is due, from status and schedule alone. A timer only says when to look again: it is lost
//! at a restart, clamped by the runtime and wrong after a sleep of the machine.

use jiff::Timestamp;

use crate::digest::Digest;
use crate::schedule::Schedule;

/// The annotation that asks for a run out of schedule; its value is a token of the asker's.
pub const RUN_NOW: &str = "oubliette.dev/run-now";

/// Longest token.
pub const MAX_TOKEN: usize = 63;

/// From when ticks of the schedule count.
///
/// A tick that was missed (the operator was down, the database could not be reached) is due until
/// it is handled. Ticks from before the present schedule or mode are not: who switches to Enforce
/// or writes another schedule at noon did not ask for the run of half past two.
pub fn base(
    created_at: Timestamp,
    last_scheduled_at: Option<Timestamp>,
    scheduled_since: Option<Timestamp>,
) -> Timestamp {
    [last_scheduled_at, scheduled_since]
        .into_iter()
        .flatten()
        .fold(created_at, Timestamp::max)
}

/// The tick that is due: the latest since `base`. However many were missed, one run makes up for
/// all of them.
pub fn tick(schedule: &Schedule, base: Timestamp, now: Timestamp) -> Option<Timestamp> {
    schedule.latest_in(base, now)
}

/// Whether a token can stand in a run's id.
pub fn is_token(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_TOKEN
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '+'))
}

/// The id of the run of a tick.
pub fn id_of_tick(uid: &str, tick: Timestamp) -> String {
    format!("{uid}/{tick}")
}

/// The id of the run that a token asks for.
pub fn id_of_token(uid: &str, token: &str) -> String {
    format!("{uid}/now-{token}")
}

/// The id of the run of a call of `oubliette apply`: a plan as of an instant, so that one call cannot
/// run twice, and an edited policy is another one within the same second.
pub fn id_of_call(uid: &str, as_of: Timestamp, plan: &Digest) -> String {
    let plan = hex::encode(plan.as_bytes());
    let begin = plan.get(..12).unwrap_or_default();
    format!("{uid}/{as_of}-{begin}")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nightly() -> Schedule {
        let london = TimeZone::get("Europe/London").unwrap();
        Schedule::parse("30 2 * * *", london).unwrap()
    }

    #[test]
    fn nothing_is_due_before_the_first_tick_after_creation() {
        let since = base(at("2026-01-10T03:00:00Z"), None, None);
        assert_eq!(tick(&nightly(), since, at("2026-01-11T02:29:59Z")), None);
        assert_eq!(
            tick(&nightly(), since, at("2026-01-11T02:30:00Z")),
            Some(at("2026-01-11T02:30:00Z"))
        );
    }

    #[test]
    fn of_several_missed_ticks_only_the_latest_is_due_and_only_once() {
        let now = at("2026-01-20T12:00:00Z");
        let since = base(
            at("2026-01-01T00:00:00Z"),
            Some(at("2026-01-10T02:30:00Z")),
            None,
        );
        let due = tick(&nightly(), since, now).unwrap();
        assert_eq!(due, at("2026-01-20T02:30:00Z"));
        let since = base(at("2026-01-01T00:00:00Z"), Some(due), None);
        assert_eq!(tick(&nightly(), since, now), None);
    }

    #[test]
    fn a_schedule_written_at_noon_does_not_ask_for_the_night_before() {
        let noon = at("2026-01-20T12:00:00Z");
        let since = base(
            at("2026-01-01T00:00:00Z"),
            Some(at("2026-01-19T02:30:00Z")),
            Some(noon),
        );
        assert_eq!(tick(&nightly(), since, at("2026-01-20T23:00:00Z")), None);
        assert!(tick(&nightly(), since, at("2026-01-21T02:30:00Z")).is_some());
    }

    #[test]
    fn ids_name_the_resource_and_what_asked() {
        assert_eq!(
            id_of_tick("u-1", at("2026-01-20T02:30:00Z")),
            "u-1/2026-01-20T02:30:00Z"
        );
        assert_eq!(id_of_token("u-1", "deploy-42"), "u-1/now-deploy-42");
        let call = |plan| id_of_call("u-1", at("2026-01-20T02:30:00Z"), &Digest::of_bytes(plan));
        assert_eq!(call("a"), "u-1/2026-01-20T02:30:00Z-ca978112ca1b");
        assert_ne!(call("a"), call("b"));
    }

    #[test]
    fn tokens_are_short_words() {
        for good in ["1", "deploy-42", "2026-11-22T05:00:00Z", "a.b_c"] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a/b", "é", &"a".repeat(64)] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
