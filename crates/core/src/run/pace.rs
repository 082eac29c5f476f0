//! How wide the next window is and how long to wait before it: the batch duration bounds the lock
//! wait of one transaction, the rate bounds the application's tail latency (PERFORMANCE.md 9.4).

use std::time::Duration;

use super::fit::Fit;
use super::rate::Rate;

/// Most rows one transaction may change while the application works.
pub const MOST_CHANGED: u32 = 5_000;
/// The same in Backlog: a PostgreSQL batch of 5,000 is so short that a tenth of it is what every
/// transaction pays.
pub const MOST_CHANGED_IN_BACKLOG: u32 = 20_000;
/// Part of the target, and of what every transaction pays, that is left to rows at the least: where
/// the fixed part is long, narrower windows would not make transactions shorter, only more of them.
const ROWS_SHARE: f64 = 0.5;
/// Above this part of the target widths alternate, to tell the fixed part from that of the rows.
const SLOW: f64 = 0.8;
/// How far.
const APART: f64 = 0.15;

/// How much wider a window may be than the one before, where it is far from what it may take.
const GROWTH: f64 = 1.5;
/// The same in Backlog: from 200 rows to 20,000 in four batches instead of twelve.
const GROWTH_IN_BACKLOG: f64 = 4.0;

/// What the width of a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows by their key.
    Rows,
    /// Pages of the table's file.
    Pages,
}

/// Widths of a unit.
#[derive(Clone, Copy, Debug)]
struct Widths {
    /// Of the first window.
    first: f64,
    /// The fewest where a window is not narrowed around a lock or by a low rate.
    least: f64,
    /// The most, where few rows are eligible.
    most: f64,
    /// Rows that one holds, until that is known.
    rows: f64,
}

impl Unit {
    fn widths(self) -> Widths {
        match self {
            Self::Rows => Widths {
                first: 200.0,
                least: 60.0,
                most: 50_000.0,
                rows: 1.0,
            },
            // A page has room for 291 rows at the most.
            Self::Pages => Widths {
                first: 8.0,
                least: 8.0,
                most: 2_000.0,
                rows: 100.0,
            },
        }
    }
}

/// What a pace aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceSettings {
    /// What windows are counted in.
    pub unit: Unit,
    /// How long one transaction should take.
    pub target: Duration,
    /// Most rows a second for this lane; `None` in Steady mode: measured, see [`Pace::took`].
    pub rate: Option<f64>,
    /// Whether there is a rate at all (Backlog without a stated one has none).
    pub limited: bool,
    /// Most rows that one transaction may change.
    pub most_changed: u32,
    /// Batches under one checkpoint row before it is replaced.
    pub part: u32,
}

/// The controller of one lane.
#[derive(Clone, Debug)]
pub struct Pace {
    target: f64,
    width: f64,
    /// Which way the next width is put apart.
    wider: bool,
    fit: Fit,
    widths: Widths,
    /// Changed rows per spanned row or page: rises at once, falls slowly.
    share: f64,
    rate: Rate,
    /// Bytes of the log that the batch wrote that is told of next.
    written: f64,
    most_changed: f64,
    part: u32,
}

impl Pace {
    /// A pace that has seen nothing yet.
    pub fn new(settings: PaceSettings) -> Self {
        let PaceSettings {
            unit,
            target,
            rate,
            limited,
            most_changed,
            part,
        } = settings;
        let widths = unit.widths();
        Self {
            target: target.as_secs_f64() * 1_000.0,
            width: widths.first,
            wider: false,
            fit: Fit::default(),
            widths,
            share: widths.rows,
            rate: Rate::new(limited, rate),
            written: 0.0,
            most_changed: most_changed.into(),
            part,
        }
    }

    /// The same, with what another lane's share of the stated rate was.
    #[must_use]
    pub fn alone(mut self, rate: Option<f64>) -> Self {
        self.rate.stated = rate;
        self
    }

    /// Batches under one checkpoint row before it is replaced.
    pub(super) fn part(&self) -> u32 {
        self.part
    }

    /// Whether there is a rate.
    pub fn is_limited(&self) -> bool {
        self.rate.limited
    }

    /// Rows or pages the next window spans.
    pub fn width(&self) -> u32 {
        let apart = if self.fit.mean() <= SLOW * self.target {
            1.0
        } else if self.wider {
            1.0 + APART
        } else {
            1.0 - APART
        };
        whole((self.width * apart).min(self.by_rows()).min(self.by_rate())).max(1)
    }

    /// A window of `width` rows or pages took `elapsed` and changed `changed` rows; `whole`: it was not cut
    /// short by the end of the range. Returns how long to wait before the next one: in Steady mode
    /// without a stated rate nothing for the first 5,000 changed rows or the first second of work,
    /// then what makes it a share of the rows a second that the engine does while it works: a fifth,
    /// 0.2 % more with each batch that is not slower than expected, up to two fifths, and half of it
    /// after every lock that was waited for in vain, down to a twentieth. At least as
    /// long, up to a second, as the log is to have for what [`Pace::wrote`] was told.
    pub fn took(&mut self, width: u32, changed: i64, elapsed: Duration, whole: bool) -> Duration {
        let ms = elapsed.as_secs_f64() * 1_000.0;
        let spanned = f64::from(width.max(1));
        let rows = rows(changed);
        let expected = self.fit.expects(spanned);
        let quick = expected.is_none_or(|expected| ms <= 1.5 * expected);
        if whole {
            self.learn(spanned, rows, ms);
        }
        let log = std::mem::take(&mut self.written);
        self.rate.took(rows, log, elapsed, quick)
    }

    /// While the batch ran that [`Pace::took`] is told of next, so many bytes were written to the
    /// server's log.
    pub fn wrote(&mut self, bytes: u64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch writes far less than 2^52 bytes"
        )]
        let bytes = bytes as f64;
        self.written = bytes;
    }

    fn learn(&mut self, spanned: f64, rows: f64, ms: f64) {
        let expected = self.longest();
        self.fit.take(spanned, ms);
        let now = rows / spanned;
        self.share = now.max(0.7 * self.share + 0.3 * now);
        let left = self.longest() - self.fit.fixed;
        let ideal = left / self.fit.cost.max(f64::MIN_POSITIVE);
        let mut factor = (ideal / self.width).clamp(0.5, self.growth());
        if ms > 2.0 * expected {
            // Whether that was a stall or the rows, the next batches tell.
            factor = 0.5;
        }
        self.width = (self.width * factor)
            .min(self.by_rows())
            .clamp(self.widths.least, self.widths.most);
        self.wider = !self.wider;
    }

    /// How much wider the next window may be.
    fn growth(&self) -> f64 {
        if self.rate.limited {
            GROWTH
        } else {
            GROWTH_IN_BACKLOG
        }
    }

    /// How long a batch may take, in milliseconds: the target, where the fixed part leaves enough of it.
    fn longest(&self) -> f64 {
        let fixed = self.fit.fixed;
        let rows = ROWS_SHARE * self.target.max(fixed);
        self.target.max(fixed + rows)
    }

    /// A lock was waited for in vain.
    pub fn locked(&mut self) {
        self.rate.locked();
    }

    /// The widest window that changes no more rows than one transaction may.
    fn by_rows(&self) -> f64 {
        self.widest(self.most_changed)
    }

    /// The widest window by which a stated rate is kept every second, not on the average.
    fn by_rate(&self) -> f64 {
        let rate = self.rate.stated.filter(|_| self.rate.limited);
        rate.map_or(self.widths.most, |rate| self.widest(rate))
    }

    /// The widest window that changes about so many rows.
    fn widest(&self, rows: f64) -> f64 {
        (rows / self.share.max(f64::MIN_POSITIVE)).clamp(1.0, self.widths.most)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "row counts of one batch are far below 2^52"
)]
fn rows(changed: i64) -> f64 {
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
