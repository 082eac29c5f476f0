//! How many rows a second a lane may change, and so how long it waits between batches. The rate is
//! what protects the application's tail latency (PERFORMANCE.md 9.4 and 14).

use std::time::Duration;

/// Rows changed, or time worked, without a pause before a default rate is set.
const UNPACED_ROWS: f64 = 5_000.0;
const UNPACED: Duration = Duration::from_secs(1);
/// Rows whose batches make up what the engine does.
const MEMORY_ROWS: f64 = 20_000.0;
/// Part of what the engine does that is used at first, at the most and at the least.
const SHARE: f64 = 0.2;
const MOST_SHARE: f64 = 0.4;
const LEAST_SHARE: f64 = 0.05;
/// What a quick batch adds to the share, and what a lock waited for in vain leaves of it.
const RAISED: f64 = 1.002;
const CUT: f64 = 0.5;
/// The default rate is never below this, so that a slow first look cannot stall a run.
const LEAST_RATE: f64 = 100.0;
/// Bytes a second that are written to the log at the most while batches run and rest: every commit of the application waits for all that
/// is in the log before it. A fifth of what a usual disk of a cloud writes (125 MB a second, AWS gp3): the p95 of the
/// benchmark's application was 1.3 times the idle one, with 40 MB 1.6, without a bound 1.9.
const LOG_RATE: f64 = 25_000_000.0;
/// Seconds that one batch and its rest are made to take for the log at the most: others write to it, too, and it is not
/// for them to stop a run.
const LONGEST_FOR_LOG: f64 = 1.0;
/// The longest wait between two batches.
const LONGEST: Duration = Duration::from_hours(1);

/// The rate of one lane.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    /// Whether there is a rate at all.
    pub(super) limited: bool,
    /// The stated one.
    pub(super) stated: Option<f64>,
    /// Rows a second while a batch runs: the mean over rows, so that windows in which hardly a row
    /// is eligible do not count as slowness.
    capacity: f64,
    changed: f64,
    busy: Duration,
    share: f64,
}

impl Rate {
    pub(super) fn new(limited: bool, stated: Option<f64>) -> Self {
        Self {
            limited,
            stated,
            capacity: 0.0,
            changed: 0.0,
            busy: Duration::ZERO,
            share: SHARE,
        }
    }

    /// A batch changed `rows` rows and wrote `log` bytes to the log, 0 where nobody looked; `quick`: it
    /// was not slower than those before. Returns how long to wait.
    pub(super) fn took(&mut self, rows: f64, log: f64, elapsed: Duration, quick: bool) -> Duration {
        if !self.limited {
            return Duration::ZERO;
        }
        let rate = self.stated.or_else(|| self.measured(rows, elapsed, quick));
        let due = rate.map_or(0.0, |rate| rows / rate.max(f64::MIN_POSITIVE));
        let due = due.max((log / LOG_RATE).min(LONGEST_FOR_LOG));
        let wait = (due - elapsed.as_secs_f64()).clamp(0.0, LONGEST.as_secs_f64());
        Duration::from_secs_f64(wait)
    }

    /// The default rate; `None` while it is measured.
    fn measured(&mut self, rows: f64, elapsed: Duration, quick: bool) -> Option<f64> {
        let unpaced = self.changed < UNPACED_ROWS && self.busy < UNPACED;
        if rows > 0.0 {
            let now = rows / elapsed.as_secs_f64().max(0.000_1);
            let weight = rows / (rows + self.changed.min(MEMORY_ROWS));
            self.capacity += weight * (now - self.capacity);
        }
        self.changed += rows;
        self.busy += elapsed;
        if unpaced {
            return None;
        }
        if quick {
            self.share = (self.share * RAISED).min(MOST_SHARE);
        }
        Some((self.share * self.capacity).max(LEAST_RATE))
    }

    /// A lock was waited for in vain.
    pub(super) fn locked(&mut self) {
        self.share = (self.share * CUT).max(LEAST_SHARE);
    }
}
