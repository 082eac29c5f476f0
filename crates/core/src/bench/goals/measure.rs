//! What a goal looks at in a cell, as one figure.

use std::collections::BTreeSet;

use crate::bench::{Cell, Foreground, Latency, Mode, Run, Who, stats};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// How many times as many rows a second, while rows are changed, as somebody else.
    Speed {
        /// Who.
        of: Who,
        /// As who.
        to: Who,
    },
    /// How many times as long for a row, while rows are changed, as somebody else takes.
    Cost {
        /// Who.
        of: Who,
        /// As who.
        to: Who,
    },
    /// How many times as many things a second, from the call to its end, as somebody else.
    Whole {
        /// Who.
        of: Who,
        /// As who.
        to: Who,
    },
    /// How many times its idle latency the application has meanwhile.
    Tail {
        /// Beside whom.
        of: Who,
        /// Which latency.
        percentile: Percentile,
    },
    /// The longest wait for a lock of any run that counts, as a multiple of what a batch should take.
    LockWait {
        /// Beside whom.
        of: Who,
        /// What a batch should take, in milliseconds.
        target: f64,
    },
    /// Something that was counted, by its name.
    Counted {
        /// By whom.
        of: Who,
        /// Its name.
        name: &'static str,
        /// Of what, as the result writes it; what is counted in something else says nothing.
        unit: &'static str,
    },
    /// How many times one thing that was counted is another.
    Growth {
        /// By whom.
        of: Who,
        /// The one.
        last: &'static str,
        /// The other.
        first: &'static str,
    },
}

/// A latency that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// Of 95 in 100.
    P95,
    /// Of 99 in 100.
    P99,
}

impl Percentile {
    fn of(self, latency: &Latency) -> f64 {
        match self {
            Self::P95 => latency.p95,
            Self::P99 => latency.p99,
        }
    }

    /// Its idle latency: that of the quicker window, because of the one afterwards some may be the run's doing.
    pub fn idle(self, seen: &Foreground) -> f64 {
        self.of(&seen.idle_before).min(self.of(&seen.idle_after))
    }

    /// How many times its idle latency the application has in a run.
    pub fn times_idle(self, seen: &Foreground) -> Option<f64> {
        let idle = self.idle(seen);
        stats::ratio(Some(self.of(&seen.during)), Some(idle))
    }
}

/// A figure, and what must be known of it.
pub(super) struct Found {
    pub(super) figure: f64,
    pub(super) whole: Option<f64>,
    pub(super) cut: bool,
}

impl Measure {
    /// Who is measured.
    pub fn of_whom(self) -> Who {
        match self {
            Self::Speed { of, .. }
            | Self::Cost { of, .. }
            | Self::Whole { of, .. }
            | Self::Tail { of, .. }
            | Self::LockWait { of, .. }
            | Self::Counted { of, .. }
            | Self::Growth { of, .. } => of,
        }
    }

    /// The figure; none where the cell says nothing about it.
    pub(super) fn of(self, cell: &Cell) -> Option<Found> {
        let plain = |figure: f64| Found {
            figure,
            whole: None,
            cut: false,
        };
        match self {
            Self::Speed { of, to } => compared(cell.mode(of)?, cell.mode(to)?),
            Self::Cost { of, to } => compared(cell.mode(to)?, cell.mode(of)?),
            Self::Whole { of, to } => {
                let (of, to) = (cell.mode(of)?, cell.mode(to)?);
                let figure = stats::ratio(of.whole_rate(), to.whole_rate())?;
                Some(Found {
                    cut: of.is_cut() || to.is_cut(),
                    ..plain(figure)
                })
            }
            Self::Tail { of, percentile } => {
                let mode = cell.mode(of)?;
                let seen = mode.counting().filter_map(|run| run.foreground.as_ref());
                stats::median(seen.filter_map(|seen| percentile.times_idle(seen))).map(plain)
            }
            Self::LockWait { of, target } => {
                let longest = cell.mode(of)?.longest(|run| run.longest_lock_wait)?;
                Some(plain(longest / target))
            }
            Self::Counted { of, name, unit } => cell
                .mode(of)?
                .median(|run| {
                    let figure = run.figures.get(name)?;
                    (figure.unit == unit).then_some(figure.value)
                })
                .map(plain),
            Self::Growth { of, last, first } => cell
                .mode(of)?
                .median(|run| {
                    let [last, first] = [last, first].map(|name| run.figures.get(name));
                    let alike = last?.unit == first?.unit;
                    alike.then(|| stats::ratio(Some(last?.value), Some(first?.value)))?
                })
                .map(plain),
        }
    }

    /// Which checks failed in some run of whoever is measured.
    pub(super) fn wrong(self, cell: &Cell) -> Vec<String> {
        let runs = cell
            .mode(self.of_whom())
            .into_iter()
            .flat_map(|mode| &mode.runs);
        let failed: BTreeSet<&String> = runs
            .flat_map(|run| &run.checks)
            .filter_map(|(check, passed)| (!passed).then_some(check))
            .collect();
        failed.into_iter().cloned().collect()
    }
}

fn compared(of: &Mode, to: &Mode) -> Option<Found> {
    Some(Found {
        figure: stats::ratio(of.rate(), to.rate())?,
        whole: stats::ratio(of.whole_rate(), to.whole_rate()),
        cut: of.is_cut() || to.is_cut(),
    })
}

impl Cell {
    /// What somebody did.
    pub fn mode(&self, who: Who) -> Option<&Mode> {
        self.modes.iter().find(|mode| mode.name == who)
    }
}

impl Mode {
    /// The runs that are judged.
    pub fn counting(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.counts())
    }

    /// The median of something over the runs that are judged.
    pub fn median(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        stats::median(self.counting().filter_map(of))
    }

    /// The most of something in any run that is judged.
    pub fn longest(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        self.counting().filter_map(of).max_by(f64::total_cmp)
    }

    /// Rows a second while rows are changed, the median. Of a run that was cut, until then.
    pub fn rate(&self) -> Option<f64> {
        self.median(|run| a_second(run.changed, run.phases.run))
    }

    /// Rows a second from the call to its end, the median.
    pub fn whole_rate(&self) -> Option<f64> {
        self.median(|run| a_second(run.changed, run.phases.total()))
    }

    /// Whether some run that is judged was cut.
    pub fn is_cut(&self) -> bool {
        self.counting().any(|run| run.cut)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows is far from it")]
fn a_second(count: i64, milliseconds: f64) -> Option<f64> {
    stats::ratio(Some(count as f64 * 1000.0), Some(milliseconds))
}
