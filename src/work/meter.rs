//! How far a run is: counts rows as they are committed and shows them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oubliette_core::api::reason::Reason;
use oubliette_core::report::{Phase, PlanReport, Progress};

use super::job::ProgressSender;

/// The rate is that of so long at the most: what a slow start or a wait did is soon forgotten.
const RECENT: Duration = Duration::from_secs(30);

/// How far apart the counts are that are remembered for it.
const APART: Duration = Duration::from_secs(1);

/// Shows how far the run is.
pub(super) struct Meter<'a> {
    progress: &'a ProgressSender,
    before: i64,
    added: Mutex<Added>,
    started: Instant,
    planned: i64,
}

/// Rows added since the start, and how many there were at some instants of the last seconds.
#[derive(Default)]
struct Added {
    rows: i64,
    marks: VecDeque<(Duration, i64)>,
}

impl Added {
    /// Rows a second over the last seconds, `at` so long after the start.
    fn rate(&mut self, at: Duration) -> i64 {
        let last = self.marks.back().map(|(mark, _)| *mark);
        if last.is_none_or(|last| at.saturating_sub(last) >= APART) {
            self.marks.push_back((at, self.rows));
        }
        let old = |mark: &(Duration, i64)| at.saturating_sub(mark.0) >= RECENT;
        // Two stay, however old: batches may be further apart than that.
        while self.marks.len() > 2 && self.marks.front().is_some_and(old) {
            self.marks.pop_front();
        }
        let (since, before) = self.marks.front().copied().unwrap_or_default();
        let millis = at.saturating_sub(since).max(APART).as_millis();
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        (self.rows - before).saturating_mul(1_000) / millis
    }
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a ProgressSender, before: i64, plan: &PlanReport) -> Self {
        Self {
            progress,
            before,
            added: Mutex::default(),
            started: Instant::now(),
            planned: before + plan.rows(),
        }
    }

    pub(super) fn phase(&self, phase: Phase, rule: &str) {
        self.show(Some((phase, rule)), None);
    }

    pub(super) fn add(&self, rows: i64, waits: Option<Reason>) {
        self.lock().rows += rows;
        self.show(None, waits);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Added> {
        // A panicked holder left counts that are off by one batch at the most.
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, moved: Option<(Phase, &str)>, waiting: Option<Reason>) {
        let (added, rate) = {
            let mut added = self.lock();
            let rate = added.rate(self.started.elapsed());
            (added.rows, rate)
        };
        self.progress.send_modify(|p| {
            let phase = moved.map_or(p.phase, |(phase, _)| phase);
            let rule = moved.map_or_else(|| p.rule.clone(), |(_, rule)| Some(rule.to_owned()));
            *p = Progress {
                phase,
                rule,
                done: self.before + added,
                planned: self.planned,
                rate,
                waiting,
            };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut added = Added::default();
        assert_eq!(added.rate(at(0)), 0);
        // It waits for a lock for ten minutes, then does a thousand rows a second.
        for second in 600..=660 {
            added.rate(at(second));
            added.rows += 1_000;
        }
        let rate = added.rate(at(661));
        assert!((990..=1_010).contains(&rate), "{rate}");
        // It waits again.
        assert_eq!(added.rate(at(800)), 0);
    }

    #[test]
    fn batches_far_apart_have_a_rate_too() {
        let mut added = Added::default();
        for minute in 0..10 {
            added.rate(at(60 * minute));
            added.rows += 600;
        }
        assert_eq!(added.rate(at(600)), 10);
    }

    #[test]
    fn what_a_run_has_done_in_its_first_second_is_not_multiplied() {
        let mut added = Added::default();
        added.rate(Duration::ZERO);
        added.rows += 500;
        assert_eq!(added.rate(Duration::from_millis(10)), 500);
    }

    #[test]
    fn however_many_batches_there_are_few_counts_are_remembered() {
        let mut added = Added::default();
        for millis in 0..100_000 {
            added.rate(Duration::from_millis(millis));
            added.rows += 1;
        }
        assert!(added.marks.len() < 40, "{}", added.marks.len());
        assert_eq!(added.rate(at(100)), 1_000);
    }
}
