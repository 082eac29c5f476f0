//! When a failed attempt is made again: exponential, bounded, jittered, per object.
//!
//! No clock and no randomness in it: the caller passes both.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::reason::{Reason, Standing};
use crate::backoff;

/// What the controller remembers of an object's failures since its last success. It is lost at a
/// restart, which only means that the first attempt after it comes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many in a row.
    pub count: u32,
    /// Not before this is it tried again.
    pub retry_at: Option<Timestamp>,
}

impl Failures {
    /// One more, at `now`, for `reason`. `jitter` is between 0 and 1.
    #[must_use]
    pub fn and_one(self, reason: Reason, jitter: f64, now: Timestamp) -> Self {
        let count = self.count.saturating_add(1);
        let pause = delay(count, reason, jitter);
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
        Self {
            count,
            retry_at: now.checked_add(pause).ok(),
        }
    }

    /// After a look that came to this.
    #[must_use]
    pub fn after(self, reason: Reason, jitter: f64, now: Timestamp) -> Self {
        if reason.is_failure() {
            self.and_one(reason, jitter, now)
        } else {
            Self::default()
        }
    }

    /// Whether to look again. `checked`: when this process last looked, and at which generation.
    pub fn look_is_due(
        self,
        checked: Option<(Timestamp, i64)>,
        generation: i64,
        every: Duration,
        now: Timestamp,
    ) -> bool {
        let Some((at, of)) = checked else {
            return true;
        };
        let old = now.duration_since(at).unsigned_abs() >= every;
        let retry = self.count > 0 && self.is_over(now);
        old || retry || of != generation
    }

    /// Whether the pause is over.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }
}

/// The pause after the `count`-th failure.
fn delay(count: u32, reason: Reason, jitter: f64) -> Duration {
    let (first, most) = match (reason, reason.standing()) {
        // The plan counted rows to find it out: not every few seconds.
        (Reason::LimitExceeded | Reason::WalkUnindexed, _) => {
            (Duration::from_mins(1), Duration::from_mins(15))
        }
        (_, Standing::Stalled) => (Duration::from_secs(5), Duration::from_mins(5)),
        (_, Standing::Well | Standing::Waiting | Standing::Working | Standing::Retrying) => {
            (Duration::from_secs(2), Duration::from_mins(2))
        }
    };
    backoff::pause(count, first, most, jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_jitter_only_shortens_them() {
        let of = |count, reason, jitter| delay(count, reason, jitter).as_secs_f64().to_string();
        assert_eq!(of(1, Reason::Unreachable, 0.0), "2");
        assert_eq!(of(3, Reason::Unreachable, 0.0), "8");
        assert_eq!(of(60, Reason::Unreachable, 0.0), "120");
        assert_eq!(of(60, Reason::TableMissing, 0.0), "300");
        assert_eq!(of(1, Reason::TableMissing, 1.0), "3.75");
        assert_eq!(of(0, Reason::Unreachable, 0.5), "1.75");
        assert_eq!(of(1, Reason::LimitExceeded, 0.0), "60");
    }

    #[test]
    fn the_pause_is_over_when_its_instant_has_come_or_there_was_none() {
        let now = Timestamp::UNIX_EPOCH;
        assert!(Failures::default().is_over(now));
        let failed = Failures::default().and_one(Reason::Unreachable, 0.0, now);
        assert!(!failed.is_over(now));
        assert!(failed.is_over(now + SignedDuration::from_secs(2)));
    }
}
