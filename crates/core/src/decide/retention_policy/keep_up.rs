//! Whether a policy keeps up: rows that were due when its last run was are gone, and each run has ended
//! before the next is due. If not, why, and when it will have caught up.

use jiff::{SignedDuration, Timestamp};

use super::{Deciding, Wanted, is_given_up, whole_second};
use crate::api::condition::{self, FALLING_BEHIND, State};
use crate::api::reason::Reason;
use crate::api::retention_policy::{KeepUpStatus, PastRun};
use crate::decide::keep_up::{Measured, a_day, caught_up, paces};
use crate::decide::{Event, Verdict, say};
use crate::report::RunOutcome;
use crate::schedule::WorkWindows;

impl Deciding<'_, '_> {
    /// Sets the condition, and tells an event where it changes.
    pub(super) fn tell_keep_up(&mut self, verdict: &Verdict) {
        // What cannot be read says nothing of what it promised.
        let Ok(wanted) = self.o.spec else { return };
        if !wanted.enforce || self.status.plan.is_none() || self.o.meta.deleting {
            condition::clear(&mut self.status.conditions, FALLING_BEHIND);
            self.status.keep_up = None;
            return;
        }
        let behind = self.behind(&wanted, verdict);
        if self.measured || (behind.is_some() && self.status.keep_up.is_none()) {
            self.status.keep_up = behind.map(|reason| self.estimate(&wanted, reason));
        } else if behind.is_none() {
            self.status.keep_up = None;
        }
        let reason = behind.unwrap_or(Reason::KeepingUp);
        let message = match behind {
            Some(reason) => say::behind(&self.status, reason),
            None => say::keeping_up(self.status.overdue_rows.unwrap_or_default()),
        };
        let before = self.o.status.conditions.iter();
        let before = before.rev().find(|c| c.type_ == FALLING_BEHIND);
        let was_behind = before.is_some_and(|before| before.status == State::True.as_str());
        if was_behind != behind.is_some() {
            let warning = behind.is_some();
            let event = Event::new(warning, reason, "KeepUp", &message);
            self.events.push(event);
        }
        condition::set(
            &mut self.status.conditions,
            FALLING_BEHIND,
            State::from(behind.is_some()),
            reason,
            &message,
            Some(self.o.meta.generation),
            whole_second(self.o.now),
        );
    }

    /// Why it has fallen behind; `None`: it has not.
    fn behind(&self, wanted: &Wanted<'_>, verdict: &Verdict) -> Option<Reason> {
        let now = self.o.now;
        let open = self.status.open_run.as_ref();
        let open = open.filter(|open| !is_given_up(open, wanted));
        if let Some(open) = open
            && wanted.schedule.latest_in(open.since, now).is_some()
        {
            // The next run is due, and this one has not ended.
            return Some(what_slows(wanted, verdict));
        }
        if self.status.overdue_rows.unwrap_or_default() == 0 {
            return None;
        }
        let mut ended = self.status.history.iter();
        let last = ended.find(|run| !is_no_matter(run.outcome));
        if open.is_none() {
            // One that is due was not even begun when the next came.
            let first = wanted.schedule.next_after(self.ticks_since());
            if first.is_some_and(|first| wanted.schedule.latest_in(first, now).is_some()) {
                return Some(what_slows(wanted, verdict));
            }
            if self.was_passed_over(last) {
                return self.kept_from_running(verdict);
            }
        }
        let last = last?;
        match last.outcome {
            RunOutcome::Completed => None,
            RunOutcome::Stopped(reason) | RunOutcome::Failed(reason) => {
                let left = last.rows_left > 0 || !last.outcome.counts_the_rest();
                left.then_some(reason)
            }
        }
    }

    /// Whether nothing ran for the last tick that was due.
    fn was_passed_over(&self, last: Option<&PastRun>) -> bool {
        let since = self.status.scheduled.as_ref().map(|s| s.since);
        let due = self.status.last_scheduled_at;
        due.is_some_and(|due| {
            last.is_none_or(|run| run.started_at < due) && since.is_none_or(|since| since <= due)
        })
    }

    /// Why it did not, and still is not made up for: as it is now, or as it was said then.
    fn kept_from_running(&self, verdict: &Verdict) -> Option<Reason> {
        if verdict.reason.is_waiting() || verdict.reason.is_failure() {
            return Some(verdict.reason);
        }
        let before = self.o.status.conditions.iter();
        let before = before.rev().find(|c| c.type_ == FALLING_BEHIND)?;
        Reason::named(&before.reason).filter(|reason| *reason != Reason::KeepingUp)
    }

    fn estimate(&self, wanted: &Wanted<'_>, reason: Reason) -> KeepUpStatus {
        let paces = paces(&self.status.history);
        let due = paces.map(|(_, due)| due);
        let known = self.status.keep_up.as_ref();
        let progress = self.status.progress.as_ref().filter(|p| p.rows_planned > 0);
        let under_way = progress.map(|p| (p.rows_planned - p.rows_done, p.rows_per_second));
        let open = self.status.open_run.is_some();
        let (left, gone, windows) = match under_way {
            Some((left, rate)) if open => {
                let rate = (rate > 0).then_some(rate);
                let rate = rate.or(known.and_then(|known| known.rows_per_second));
                (left, rate, wanted.windows)
            }
            // As far as it was when it stopped.
            _ if open => (
                known.map_or(self.status.overdue_rows.unwrap_or_default(), |known| {
                    known.rows_left
                }),
                known.and_then(|known| known.rows_per_second),
                wanted.windows,
            ),
            _ => (
                self.status.overdue_rows.unwrap_or_default(),
                None,
                WorkWindows::NONE,
            ),
        };
        let a_second = match gone {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            Some(rate) => Some(rate as f64),
            // Nothing runs until somebody decides otherwise.
            None if !open && (reason == Reason::LimitExceeded || reason.is_waiting()) => Some(0.0),
            None if !open => paces.map(|(gone, _)| gone),
            None => None,
        };
        let end = a_second.map(|gone| {
            let due = due.unwrap_or_default();
            caught_up(Measured { left, gone, due }, windows, self.o.now)
        });
        KeepUpStatus {
            rows_left: left,
            rows_per_second: gone,
            rows_due_per_day: due.map(a_day),
            caught_up_at: end.flatten().map(whole_minute),
            never: end == Some(None),
        }
    }

    /// Since when ticks count.
    pub(super) fn ticks_since(&self) -> Timestamp {
        let since = self.status.scheduled.as_ref().map(|s| s.since);
        crate::decide::due::base(self.o.meta.created_at, self.status.last_scheduled_at, since)
    }
}

/// What a run that is not through in time is slowed down by.
fn what_slows(wanted: &Wanted<'_>, verdict: &Verdict) -> Reason {
    let reason = verdict.reason;
    if reason.is_failure() || reason.is_waiting() || reason == Reason::Suspended {
        reason
    } else if wanted.windows.are_any() {
        Reason::WindowsTooShort
    } else {
        Reason::Throttled
    }
}

/// Ended for another promise's sake: it says nothing of this one.
fn is_no_matter(outcome: RunOutcome) -> bool {
    [Reason::Abandoned, Reason::Drifted]
        .map(RunOutcome::Stopped)
        .contains(&outcome)
}

/// The next whole minute: an estimate is no more exact.
fn whole_minute(at: Timestamp) -> Timestamp {
    let seconds = at.as_second().rem_euclid(60);
    let rest = SignedDuration::from_secs((60 - seconds).rem_euclid(60));
    whole_second(at).checked_add(rest).unwrap_or(at)
}
