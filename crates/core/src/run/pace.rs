//! How wide the next window is and how long to wait before it: the batch duration bounds the lock
//! wait of one transaction, the rate bounds the application's tail latency (PERFORMANCE.md 9.4).

use std::time::Duration;

/// Rows of a window at the start.
const FIRST: u32 = 200;
/// Fewest rows of a window that is not being narrowed around a lock.
const LEAST: u32 = 50;
/// Most rows one transaction may change.
const MOST_CHANGED: f64 = 5_000.0;
/// Most rows a window may span where few of them are eligible.
const MOST: u32 = 50_000;
/// Batches measured without a pause before the default rate is set.
const UNPACED: u32 = 8;
/// Default rate: a fifth of what was measured without a pause.
const SHARE: f64 = 0.2;
/// The default rate is never below this, so that a slow first look cannot stall a run.
const LEAST_RATE: f64 = 100.0;

/// What a pace aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceSettings {
    /// How long one transaction should take.
    pub target: Duration,
    /// Most rows a second for this lane; `None` in Steady mode: a fifth of the measured rate.
    pub rate: Option<f64>,
    /// Whether there is a rate at all (Backlog has none).
    pub limited: bool,
}

/// The controller of one lane.
#[derive(Clone, Debug)]
pub struct Pace {
    settings: PaceSettings,
    width: u32,
    /// Milliseconds per spanned row, smoothed.
    cost: Option<f64>,
    /// Changed rows per spanned row, smoothed.
    share: f64,
    measured: u32,
    changed: f64,
    busy: Duration,
}

impl Pace {
    /// A pace that has seen nothing yet.
    pub fn new(settings: PaceSettings) -> Self {
        Self {
            settings,
            width: FIRST,
            cost: None,
            share: 1.0,
            measured: 0,
            changed: 0.0,
            busy: Duration::ZERO,
        }
    }

    /// Rows the next window spans.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// A window of `width` rows took `elapsed` and changed `changed` rows. Returns how long to wait
    /// before the next one.
    pub fn took(&mut self, width: u32, changed: u64, elapsed: Duration) -> Duration {
        let ms = elapsed.as_secs_f64() * 1_000.0;
        let spanned = f64::from(width.max(1));
        let rows = rows(changed);
        let per_row = ms / spanned;
        let cost = self.cost.map_or(per_row, |old| 0.7 * old + 0.3 * per_row);
        self.cost = Some(cost);
        self.share = 0.7 * self.share + 0.3 * (rows / spanned);
        let target = self.settings.target.as_secs_f64() * 1_000.0;
        let ideal = if cost > 0.0 {
            target / cost
        } else {
            f64::from(MOST)
        };
        let factor = (ideal / f64::from(self.width)).clamp(0.5, 1.5);
        let factor = if ms > 2.0 * target { 0.5 } else { factor };
        let by_rows = MOST_CHANGED / self.share.max(MOST_CHANGED / f64::from(MOST));
        self.width = whole((f64::from(self.width) * factor).min(by_rows)).clamp(LEAST, MOST);
        self.delay(rows, elapsed)
    }

    fn delay(&mut self, rows: f64, elapsed: Duration) -> Duration {
        if !self.settings.limited {
            return Duration::ZERO;
        }
        self.changed += rows;
        self.busy += elapsed;
        self.measured = self.measured.saturating_add(1);
        let rate = match self.settings.rate {
            Some(rate) => rate,
            None if self.measured <= UNPACED => return Duration::ZERO,
            None => (SHARE * self.changed / self.busy.as_secs_f64().max(0.001)).max(LEAST_RATE),
        };
        let due = rows / rate.max(1.0);
        Duration::from_secs_f64((due - elapsed.as_secs_f64()).clamp(0.0, 60.0))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "row counts of one batch are far below 2^52"
)]
fn rows(changed: u64) -> f64 {
    changed as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of u32 first"
)]
fn whole(x: f64) -> u32 {
    x.clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    fn pace(rate: Option<f64>, limited: bool) -> Pace {
        Pace::new(PaceSettings {
            target: TARGET,
            rate,
            limited,
        })
    }

    #[test]
    fn the_width_settles_where_a_window_takes_the_target() {
        let mut pace = pace(None, false);
        for _ in 0..60 {
            let width = pace.width();
            pace.took(
                width,
                u64::from(width),
                Duration::from_micros(u64::from(width) * 50),
            );
        }
        assert!((900..=1100).contains(&pace.width()), "{}", pace.width());
    }

    #[test]
    fn a_batch_changes_at_most_five_thousand_rows_and_a_sparse_window_grows_wide() {
        let mut dense = pace(None, false);
        let mut sparse = pace(None, false);
        for _ in 0..60 {
            let width = dense.width();
            dense.took(width, u64::from(width), Duration::from_millis(1));
            let width = sparse.width();
            sparse.took(width, 0, Duration::from_millis(1));
        }
        assert!(dense.width() <= 5_100, "{}", dense.width());
        assert_eq!(sparse.width(), MOST);
    }

    #[test]
    fn a_stated_rate_spreads_batches_evenly() {
        let mut pace = pace(Some(1_000.0), true);
        let wait = pace.took(200, 200, Duration::from_millis(20));
        assert_eq!(wait, Duration::from_millis(180));
    }

    #[test]
    fn the_default_rate_is_a_fifth_of_what_was_measured() {
        let mut pace = pace(None, true);
        let mut wait = Duration::ZERO;
        for _ in 0..=UNPACED {
            wait = pace.took(100, 100, Duration::from_millis(10));
        }
        // 10,000 rows a second measured, 2,000 allowed: 50 ms for 100 rows, 10 of them spent.
        assert!((39..=41).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn backlog_never_waits() {
        let mut pace = pace(Some(1.0), false);
        assert_eq!(
            pace.took(200, 200, Duration::from_millis(20)),
            Duration::ZERO
        );
    }
}
