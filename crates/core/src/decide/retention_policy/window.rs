//! What waits until the database may be worked on: nothing is counted or changed outside of its windows.

use super::{Deciding, Wanted, is_gate};
use crate::api::reason::Reason;
use crate::decide::{Verdict, say};

impl Deciding<'_, '_> {
    /// Whether nothing may be begun now.
    pub(super) fn is_closed(&self, wanted: &Wanted<'_>) -> bool {
        !wanted.windows.is_open(self.o.now)
    }

    /// What waits for the next window to open, beside an open run. It stays due: it is neither entered
    /// as handled nor as scheduled until then.
    pub(super) fn waits_outside(&self, wanted: &Wanted<'_>, unplanned: bool) -> Option<String> {
        if let Some(token) = self.token() {
            return Some(format!(
                "the run that the token {token} asks for begins then"
            ));
        }
        let due = self.tick(wanted);
        if due.is_some() && wanted.enforce && !self.unexplained() {
            return due.map(|at| format!("the run that was due at {at} begins then"));
        }
        let counts = unplanned || due.is_some() || self.asks_for_a_plan(wanted);
        counts.then(|| "rows are counted then".to_owned())
    }

    /// What is known when a job has just ended.
    pub(super) fn rest(&mut self, wanted: &Wanted<'_>) -> Verdict {
        match &self.status.open_run {
            Some(open) if self.is_closed(wanted) && self.allowed(wanted, true).is_ok() => {
                let what = format!("the run {} goes on then", open.run);
                self.until_it_opens(wanted, &what)
            }
            Some(_) | None => self.idle(wanted),
        }
    }

    /// Says that it waits. What failed stays failed until it is tried again.
    pub(super) fn until_it_opens(&mut self, wanted: &Wanted<'_>, what: &str) -> Verdict {
        let opens = wanted.windows.opens(self.o.now);
        self.status.window_opens_at = opens;
        match self.before() {
            Some(before) if before.reason.is_failure() && !is_gate(before.reason) => before,
            _ => Verdict::new(Reason::WindowClosed, say::closed(opens, what)),
        }
    }
}
