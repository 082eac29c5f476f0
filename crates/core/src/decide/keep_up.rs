//! When a policy that has fallen behind will have caught up: from what its last runs did, what fell due
//! meanwhile, and when its database may be worked on.
//!
//! An estimate by averages, good for a person's decision and for an alert. It decides nothing.

use jiff::{SignedDuration, Timestamp};

use crate::api::retention_policy::PastRun;
use crate::schedule::WorkWindows;

/// Over so long the share of open time is taken.
const WEEK: SignedDuration = SignedDuration::from_hours(168);

const DAY: f64 = 86_400.0;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Rows that are to go.
    pub left: i64,
    /// Rows that go in a second in which a window is open.
    pub gone: f64,
    /// Rows that fall due in a second, whatever the clock shows.
    pub due: f64,
}

/// When all is caught up. `None`: never at this pace, because no fewer rows fall due than go.
pub fn caught_up(measured: Measured, windows: &WorkWindows, now: Timestamp) -> Option<Timestamp> {
    let Measured { left, gone, due } = measured;
    if left <= 0 {
        return Some(now);
    }
    let week = now.checked_add(WEEK).ok()?;
    let open = windows.open_between(now, week).as_secs_f64() / WEEK.as_secs_f64();
    let net = gone * open - due;
    if net.is_nan() || net <= 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate; a row more or less in 2^52 is none"
    )]
    let seconds = left as f64 / net;
    let after = SignedDuration::try_from_secs_f64(seconds).ok()?;
    windows.opens(now.checked_add(after).ok()?)
}

/// How fast the runs of the past went on, newest first, over the time from the begin of the oldest to
/// that of the newest: rows of the rules' own tables that went, and that fell due. `None`: there are not
/// two to compare.
pub fn paces(history: &[PastRun]) -> Option<(f64, f64)> {
    let (newest, oldest) = (history.first()?, history.last()?);
    let span = newest.started_at.duration_since(oldest.started_at);
    if span < SignedDuration::from_secs(1) {
        return None;
    }
    let after_the_oldest = history.split_last()?.1;
    let gone: i64 = after_the_oldest.iter().map(PastRun::own_changed).sum();
    let due = gone
        .saturating_add(newest.rows_left)
        .saturating_sub(oldest.rows_left)
        .max(0);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let a_second = |rows: i64| rows as f64 / span.as_secs_f64();
    Some((a_second(gone), a_second(due)))
}

/// Rows in a day, for people.
pub fn a_day(a_second: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float ends at the bounds"
    )]
    let rows = (a_second * DAY).round() as i64;
    rows
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::report::RunOutcome;
    use crate::schedule::{Schedule, WorkWindow};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn nightly(hours: u64) -> WorkWindows {
        let opens = Schedule::parse("0 22 * * *", TimeZone::UTC).unwrap();
        WorkWindows::new(vec![WorkWindow::new(opens, Duration::from_hours(hours))])
    }

    fn past(day: i64, changed: i64, left: i64) -> PastRun {
        let started_at = Timestamp::from_second(day * 86_400).unwrap();
        PastRun {
            run: format!("r{day}"),
            started_at,
            finished_at: started_at,
            outcome: RunOutcome::Completed,
            rows_changed: changed,
            own_rows_changed: Some(changed),
            rows_left: left,
        }
    }

    #[test]
    fn a_backlog_takes_as_long_as_its_rows_at_that_pace_and_ends_within_a_window() {
        let now = at("2026-01-10T12:00:00Z");
        let measured = Measured {
            left: 86_400,
            gone: 1.0,
            due: 0.0,
        };
        let always = WorkWindows::NONE;
        assert_eq!(
            caught_up(measured, always, now),
            Some(at("2026-01-11T12:00:00Z"))
        );
        // A third of the day is open: three days, and then the next evening.
        assert_eq!(
            caught_up(measured, &nightly(8), now),
            Some(at("2026-01-13T22:00:00Z"))
        );
        let falling_due = Measured {
            due: 0.5,
            ..measured
        };
        assert_eq!(
            caught_up(falling_due, always, now),
            Some(at("2026-01-12T12:00:00Z"))
        );
        assert_eq!(caught_up(falling_due, &nightly(8), now), None);
    }

    #[test]
    fn what_falls_due_is_what_went_and_what_is_left_more() {
        assert_eq!(paces(&[]), None);
        assert_eq!(paces(&[past(1, 100, 0)]), None);
        // Newest first: 300 went in two days, and 100 more are left.
        let history = [past(3, 200, 150), past(2, 100, 90), past(1, 999, 50)];
        let (gone, due) = paces(&history).unwrap();
        assert_eq!((a_day(gone), a_day(due)), (150, 200));
        // Somebody else took rows away: nothing fell due.
        let (_, due) = paces(&[past(2, 0, 0), past(1, 0, 500)]).unwrap();
        assert_eq!(a_day(due), 0);
    }

    fn any_windows() -> impl Strategy<Value = WorkWindows> {
        prop_oneof![Just(WorkWindows::default()), (1_u64..24).prop_map(nightly)]
    }

    proptest! {
        #[test]
        fn never_is_said_exactly_where_no_fewer_rows_fall_due_than_go(
            left in 1_i64..1_000_000,
            gone in 0_u32..1_000,
            due in 0_u32..1_000,
        ) {
            let now = at("2026-03-28T12:00:00Z");
            let measured = Measured { left, gone: gone.into(), due: due.into() };
            let end = caught_up(measured, WorkWindows::NONE, now);
            prop_assert_eq!(end.is_none(), due >= gone);
        }

        #[test]
        fn the_end_comes_later_with_more_rows_and_never_before_now_or_outside_of_a_window(
            left in 0_i64..1_000_000,
            more in 0_i64..1_000_000,
            gone in 0.1_f64..1_000.0,
            slower in 0.1_f64..1.0,
            due in 0.0_f64..10.0,
            windows in any_windows(),
        ) {
            let now = at("2026-03-28T12:00:00Z");
            let of = |left, gone, due| caught_up(Measured { left, gone, due }, &windows, now);
            let end = of(left, gone, due);
            if let Some(end) = end {
                prop_assert!(end >= now);
                prop_assert!(left == 0 || windows.is_open(end));
            }
            // `None` is later than any instant.
            let later = |one: Option<Timestamp>, other: Option<Timestamp>| match (one, other) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(one), Some(other)) => one <= other,
            };
            prop_assert!(later(end, of(left + more, gone, due)));
            prop_assert!(left == 0 || later(end, of(left, gone * slower, due)));
            prop_assert!(left == 0 || later(end, of(left, gone, due + slower)));
        }
    }
}
