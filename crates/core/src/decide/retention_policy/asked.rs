//! What asks for a run: a token, the schedule, and what the last run says against it.

use jiff::Timestamp;

use super::{Deciding, Wanted, whole_second};
use crate::api::reason::Reason;
use crate::api::retention_policy::ScheduledStatus;
use crate::decide::due;
use crate::report::{RunOutcome, RunReport};

impl Deciding<'_, '_> {
    /// A token that was not acted on yet.
    pub(super) fn token(&self) -> Option<String> {
        let token = self.o.meta.run_now?;
        let handled = self.status.handled_run_now.as_deref() == Some(token);
        (!handled && due::is_token(token)).then(|| token.to_owned())
    }

    pub(super) fn tick(&self, wanted: &Wanted<'_>) -> Option<Timestamp> {
        due::tick(wanted.schedule, self.ticks_since(), self.o.now)
    }

    /// Whether the last run left rows that nothing explains, and no plan was made since: then the
    /// schedule alone starts nothing.
    pub(super) fn unexplained(&self) -> bool {
        self.last_run_speaks().is_some_and(|run| {
            matches!(run.outcome, RunOutcome::Failed(Reason::VerificationFailed))
        })
    }

    /// The last run, where the plan says nothing newer.
    pub(super) fn last_run_speaks(&self) -> Option<&RunReport> {
        let run = self.status.last_run.as_ref()?;
        // What ended because the promise changed says nothing of the present one, whose plan stands.
        // Its instant alone could not tell: it is counted in whole seconds.
        let given_up = [Reason::Abandoned, Reason::Drifted]
            .map(RunOutcome::Stopped)
            .contains(&run.outcome);
        if given_up {
            return None;
        }
        // What did not come to its end stays told while the same plan stands, however often it is
        // counted anew.
        let unfinished = run.outcome != RunOutcome::Completed;
        let speaks = self.status.plan.as_ref().is_none_or(|plan| {
            plan.as_of <= run.finished_at || (unfinished && plan.digest == run.plan)
        });
        speaks.then_some(run)
    }

    /// Ticks of another schedule or mode do not count.
    pub(super) fn note_schedule(&mut self, wanted: &Wanted<'_>) {
        let schedule = wanted.schedule.expression().to_owned();
        let time_zone = wanted
            .schedule
            .zone()
            .iana_name()
            .unwrap_or("Etc/UTC")
            .to_owned();
        let mode = if wanted.enforce { "Enforce" } else { "DryRun" }.to_owned();
        let since = match &self.status.scheduled {
            Some(s) if s.schedule == schedule && s.time_zone == time_zone && s.mode == mode => {
                return;
            }
            Some(_) => whole_second(self.o.now),
            None => self.o.meta.created_at,
        };
        self.status.scheduled = Some(ScheduledStatus {
            schedule,
            time_zone,
            mode,
            since,
        });
    }
}
