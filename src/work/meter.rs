//! How far a run is: counts rows as they are committed and shows them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use oubliette_core::api::reason::Reason;
use oubliette_core::report::{Phase, PlanReport, Progress};

use super::job::ProgressSender;

/// Shows how far the run is.
pub(super) struct Meter<'a> {
    progress: &'a ProgressSender,
    before: i64,
    added: AtomicI64,
    started: Instant,
    planned: i64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a ProgressSender, before: i64, plan: &PlanReport) -> Self {
        Self {
            progress,
            before,
            added: AtomicI64::new(0),
            started: Instant::now(),
            planned: before + plan.rows(),
        }
    }

    pub(super) fn phase(&self, phase: Phase, rule: &str) {
        self.show(Some((phase, rule)), None);
    }

    pub(super) fn add(&self, rows: i64, waits: Option<Reason>) {
        self.added.fetch_add(rows, Ordering::Relaxed);
        self.show(None, waits);
    }

    fn show(&self, moved: Option<(Phase, &str)>, waiting: Option<Reason>) {
        let added = self.added.load(Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs().max(1);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.progress.send_modify(|p| {
            let phase = moved.map_or(p.phase, |(phase, _)| phase);
            let rule = moved.map_or_else(|| p.rule.clone(), |(_, rule)| Some(rule.to_owned()));
            *p = Progress {
                phase,
                rule,
                done: self.before + added,
                planned: self.planned,
                rate: added / seconds,
                waiting,
            };
        });
    }
}
