//! For how long what was measured of the API server's clock is believed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long at the most.
const EVERY: Duration = Duration::from_hours(1);

/// How far our clock may move against the time that has passed before it was set.
const SET: SignedDuration = SignedDuration::from_secs(1);

/// The API server's clock, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// It minus ours.
    pub ahead: SignedDuration,
    /// When, by our clock.
    pub at: Timestamp,
}

impl Measured {
    /// Whether it still holds when this time has `passed`, whatever our clock says, which is `now`. One that
    /// was set meanwhile is another clock.
    pub fn holds(&self, now: Timestamp, passed: Duration) -> bool {
        let moved = now.duration_since(self.at);
        let passed_by_us = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        passed < EVERY && moved.saturating_sub(passed_by_us).abs() <= SET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_clock_is_believed_for_an_hour_unless_ours_was_set() {
        let at = Timestamp::UNIX_EPOCH;
        let measured = Measured {
            ahead: SignedDuration::from_secs(2),
            at,
        };
        let holds = |moved: i64, passed: u64| {
            let now = at + SignedDuration::from_secs(moved);
            measured.holds(now, Duration::from_secs(passed))
        };
        assert!(holds(0, 0) && holds(3_599, 3_599) && holds(301, 300));
        assert!(!holds(3_600, 3_600));
        // Set forward, and back; a computer that slept counts as one whose clock was set.
        assert!(!holds(600, 300) && !holds(0, 300) && !holds(-7_200, 300));
    }
}
