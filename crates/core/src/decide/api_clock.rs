//! For how long what was measured of the API server's clock is believed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::target_database::MOST_SKEW;

/// How long at the most. A clock that is put right little by little takes the time that has passed with it,
/// and must not get far.
const EVERY: Duration = Duration::from_mins(5);

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
    /// was set meanwhile is another clock. Clocks that are too far apart are asked for again: somebody may have
    /// set the other one.
    pub fn holds(&self, now: Timestamp, passed: Duration) -> bool {
        let moved = now.duration_since(self.at);
        let passed_by_us = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let is_near = self.ahead.abs() <= MOST_SKEW;
        is_near && passed < EVERY && moved.saturating_sub(passed_by_us).abs() <= SET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_clock_is_believed_for_a_while_unless_one_of_them_was_set_or_is_to_be() {
        let at = Timestamp::UNIX_EPOCH;
        let measured = Measured {
            ahead: SignedDuration::from_secs(2),
            at,
        };
        let holds = |moved: i64, passed: u64| {
            let now = at + SignedDuration::from_secs(moved);
            measured.holds(now, Duration::from_secs(passed))
        };
        assert!(holds(0, 0) && holds(299, 299) && holds(201, 200));
        assert!(!holds(300, 300));
        // Set forward, and back; a computer that slept counts as one whose clock was set.
        assert!(!holds(400, 200) && !holds(0, 200) && !holds(-7_200, 200));
        let far = Measured {
            ahead: SignedDuration::from_mins(-6),
            at,
        };
        assert!(!far.holds(at, Duration::ZERO));
    }
}
