//! What a retention policy needs next: start, resume, stop or wait, and its whole status.
//!
//! A reconcile observes, asks here, writes the status and then acts. It may be asked again at any
//! moment, with a status that is older than what it wrote: the write is refused then and it decides
//! anew, so nothing here may rely on having been asked before.

mod allowed;
mod asked;
mod keep_up;
mod observed;
mod window;

use std::time::Duration;

use jiff::Timestamp;

use super::approval::is_still_approved;
use super::job::{JobKind, StopWhy};
use super::retry::Failures;
use super::{Event, Verdict, due, of_faults, outcome, say};
use crate::api::condition::{self, READY};
use crate::api::reason::Reason;
use crate::api::retention_policy::{OpenRun, ProgressStatus, RetentionPolicyStatus};
use crate::plan::Assent;
use crate::report::{Phase, Progress};

pub use self::observed::{Database, Finished, Job, Observed, Wanted};

/// A status is not written more often than this for its progress alone.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(3);

/// Everything is looked at again after this, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

/// What to do, and what to tell.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What to do, after the status was written.
    pub action: Action,
    /// What the run that starts is allowed by, where something was asked for.
    pub assent: Option<Assent>,
    /// The whole status.
    pub status: RetentionPolicyStatus,
    /// Events, each once.
    pub events: Vec<Event>,
    /// What to remember of failures.
    pub failures: Failures,
    /// What failed, each time once: an attempt that has just ended, and what the conditions say now
    /// and did not say before.
    pub failed: Vec<Reason>,
    /// When to look again at the latest.
    pub requeue_after: Duration,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Start a job.
    Start(JobKind),
    /// Stop the job.
    Stop(StopWhy),
    /// The finished job's outcome stands in the status now: forget it and look again.
    Forget,
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decision {
    let mut deciding = Deciding {
        o: observed,
        status: observed.status.clone(),
        events: Vec::new(),
        failures: observed.failures,
        failed: Vec::new(),
        action: Action::Nothing,
        assent: None,
        measured: false,
    };
    let verdict = deciding.decide();
    deciding.finish(&verdict)
}

struct Deciding<'a, 'b> {
    o: &'b Observed<'a>,
    status: RetentionPolicyStatus,
    events: Vec<Event>,
    failures: Failures,
    failed: Vec<Reason>,
    action: Action,
    assent: Option<Assent>,
    /// Whether there is something new to estimate from.
    measured: bool,
}

impl Deciding<'_, '_> {
    fn decide(&mut self) -> Verdict {
        let mut told = None;
        self.status.window_opens_at = None;
        if let Job::Finished(job) = &self.o.job {
            let end = outcome::enter(&mut self.status, job, self.o);
            self.action = Action::Forget;
            self.measured = true;
            self.failures = end.failures;
            self.events = end.events;
            told = end.verdict;
            let attempt = told.iter().map(|told| told.reason);
            self.failed.extend(attempt.filter(|r| r.is_failure()));
        }
        if self.o.meta.deleting {
            self.stop(StopWhy::Deleted);
            // Somebody's finalizer holds the policy; its run need not wait for that.
            if self.o.spec.is_ok() {
                self.give_up_if(|_| true);
            }
            return Verdict::new(Reason::Abandoned, "the policy is being deleted");
        }
        let wanted = match self.o.spec {
            Ok(wanted) => wanted,
            Err(faults) => {
                self.stop(StopWhy::SpecInvalid);
                return of_faults(faults);
            }
        };
        self.note_schedule(&wanted);
        if let Some(closed) = self.gate(&wanted) {
            return closed;
        }
        if let Job::Running {
            kind,
            current,
            under,
            progress,
        } = self.o.job
        {
            return self.running(&wanted, kind, current, under, progress);
        }
        if let Some(told) = told {
            return told;
        }
        if matches!(self.o.job, Job::Finished(_)) {
            return self.rest(&wanted);
        }
        self.start_what_is_due(&wanted)
    }

    /// What keeps everything from running, first cause first.
    fn gate(&mut self, wanted: &Wanted<'_>) -> Option<Verdict> {
        let (why, verdict) = match &self.o.database {
            Database::NotFound(message) => (
                Some(StopWhy::Deleted),
                Verdict::new(Reason::DatabaseNotFound, message),
            ),
            Database::NotUsable(message) => (
                Some(StopWhy::Suspended),
                Verdict::new(Reason::DatabaseNotUsable, message),
            ),
            _ if !self.o.conflicts.is_empty() => {
                let message = format!(
                    "{}. {}",
                    self.o.conflicts.join("; "),
                    Reason::Conflict.remedy()
                );
                (
                    Some(StopWhy::Suspended),
                    Verdict::new(Reason::Conflict, message),
                )
            }
            _ if !self.o.unreadable.is_empty() => {
                let message = format!(
                    "{}. {}",
                    self.o.unreadable.join("; "),
                    Reason::DutiesUnreadable.remedy()
                );
                (
                    Some(StopWhy::Suspended),
                    Verdict::new(Reason::DutiesUnreadable, message),
                )
            }
            _ if wanted.suspended => {
                let message = "suspend: true is set on the policy; nothing is changed";
                (
                    Some(StopWhy::Suspended),
                    Verdict::new(Reason::Suspended, message),
                )
            }
            Database::Suspended(message) => (
                Some(StopWhy::Suspended),
                Verdict::new(Reason::Suspended, message),
            ),
            Database::Invalid(message) => (
                Some(StopWhy::SpecInvalid),
                Verdict::new(Reason::DatabaseNotReady, message),
            ),
            Database::Rewound(message) => (
                Some(StopWhy::Suspended),
                Verdict::new(Reason::LedgerRewound, message),
            ),
            // A run under way finds out by itself what is the matter, and may be right.
            Database::NotReady(message) => (None, Verdict::new(Reason::DatabaseNotReady, message)),
            Database::Pending(message) => (None, Verdict::new(Reason::Pending, message)),
            Database::Ready(_) => return None,
        };
        match (why, &self.o.job) {
            (Some(why), _) => self.stop(why),
            (None, Job::Running { .. }) => return None,
            (None, Job::None | Job::Finished(_)) => {}
        }
        self.give_up_if(|open| is_given_up(open, wanted));
        Some(verdict)
    }

    fn stop(&mut self, why: StopWhy) {
        if let Job::Running { kind, .. } = self.o.job
            && kind.heeds(why)
        {
            self.action = Action::Stop(why);
        }
    }

    /// Starts to end an open run in the ledger where nothing else is to be done. It changes no row,
    /// and the run's checkpoints may hold keys: so it does not wait until the policy may run again.
    fn give_up_if(&mut self, so: impl Fn(&OpenRun) -> bool) {
        if matches!(self.o.database, Database::Ready(_))
            && matches!(self.o.job, Job::None)
            && self.failures.is_over(self.o.now)
            && self.status.open_run.as_ref().is_some_and(so)
        {
            self.give_up();
        }
    }

    /// Starts to end the open run in the ledger, which alone knows what it did.
    fn give_up(&mut self) {
        if let Some(open) = &self.status.open_run {
            let id = open.run.clone();
            self.action = Action::Start(JobKind::GiveUp { id });
            self.status.progress = Some(connecting());
        }
    }

    fn running(
        &mut self,
        wanted: &Wanted<'_>,
        kind: &JobKind,
        current: bool,
        under: Option<&Assent>,
        progress: &Progress,
    ) -> Verdict {
        let changes = matches!(kind, JobKind::Run { .. });
        if !current || (changes && !wanted.enforce) {
            self.stop(StopWhy::SpecChanged);
        } else if self.is_closed(wanted) {
            // Whoever works on it hears of the end by itself, unless the windows are others now.
            self.stop(StopWhy::WindowClosed);
        } else if changes
            && !is_still_approved(wanted.asks, self.o.meta.uid, under, self.o.approvals)
        {
            self.stop(StopWhy::Unapproved);
        }
        let old = |at: Timestamp| self.o.now.duration_since(at).unsigned_abs() >= PROGRESS_EVERY;
        if self.status.progress.is_none() || self.o.told_at.is_none_or(old) {
            self.status.progress = Some(ProgressStatus::of(progress, self.o.now));
            self.measured = true;
        }
        match kind {
            JobKind::Plan | JobKind::GiveUp { .. } => self.planning(),
            JobKind::Run { id } => match progress.phase {
                Phase::Connecting | Phase::Planning => self.run_begins(id),
                Phase::Running | Phase::Verifying => {
                    Verdict::new(Reason::Running, say::running(id))
                }
            },
        }
    }

    /// While a plan is made the conditions keep telling what is known. Only who has never been
    /// looked at is "Planning": a nightly count must not turn everything yellow.
    fn planning(&self) -> Verdict {
        match self.before() {
            Some(before)
                if self.status.observed_generation == Some(self.o.meta.generation)
                    && !is_gate(before.reason)
                    && before.reason != Reason::Pending
                    && before.reason != Reason::Suspended
                    && before.reason != Reason::WindowClosed =>
            {
                before
            }
            _ => Verdict::new(Reason::Planning, "the catalog is read and rows are counted"),
        }
    }

    fn start_what_is_due(&mut self, wanted: &Wanted<'_>) -> Verdict {
        let interrupted = self.status.progress.take().is_some();
        let may_try = self.failures.is_over(self.o.now);
        let unplanned = self.is_unplanned();
        if let Some(open) = self.status.open_run.clone() {
            if !is_given_up(&open, wanted) {
                return match self.allowed(wanted, true) {
                    Err(waits) => waits,
                    Ok(_) if self.is_closed(wanted) => {
                        let what = format!("the run {} goes on then", open.run);
                        self.until_it_opens(wanted, &what)
                    }
                    Ok(_) if !may_try => self.idle(wanted),
                    Ok(assent) => self.start_run(assent, open.run, "resumed"),
                };
            }
            // Where that fails, the policy is planned all the same.
            if may_try && !(unplanned && self.failures.count > 0) {
                self.give_up();
                return self.planning();
            }
        }
        if self.is_closed(wanted) {
            if interrupted {
                self.status.plan_generation = None;
            }
            return match self.waits_outside(wanted, unplanned || interrupted) {
                Some(what) => self.until_it_opens(wanted, &what),
                None => self.idle(wanted),
            };
        }
        // What is asked of a plan cannot be answered before there is one.
        if self.asks_for_a_plan(wanted) {
            if may_try {
                return self.start_plan();
            }
            let Some(token) = self.token() else {
                return self.idle(wanted);
            };
            self.status.handled_run_now = Some(token);
            return self.start_plan();
        }
        if let Some(token) = self.token() {
            self.status.handled_run_now = Some(token.clone());
            return self.start_if_allowed(
                wanted,
                due::id_of_token(self.o.meta.uid, &token),
                "asked for",
            );
        }
        if let Some(tick) = self.tick(wanted) {
            self.status.last_scheduled_at = Some(tick);
            if !wanted.enforce || !self.unexplained() {
                return self.start_if_allowed(
                    wanted,
                    due::id_of_tick(self.o.meta.uid, tick),
                    "due",
                );
            }
        }
        if may_try && (unplanned || interrupted) {
            return self.start_plan();
        }
        self.idle(wanted)
    }

    /// Whether the plan is of another spec, or was made under other duties.
    fn is_unplanned(&self) -> bool {
        self.status.plan_generation != Some(self.o.meta.generation)
            || self.status.duties.as_deref() != self.o.duties
    }

    fn start_plan(&mut self) -> Verdict {
        self.action = Action::Start(JobKind::Plan);
        self.status.progress = Some(connecting());
        self.planning()
    }

    /// A run that failed stays failed until it changes rows again: it must not flicker.
    fn run_begins(&self, id: &str) -> Verdict {
        match self.before() {
            Some(before)
                if self.failures.count > 0
                    && before.reason.is_failure()
                    && !is_gate(before.reason) =>
            {
                before
            }
            _ => Verdict::new(Reason::Running, say::running(id)),
        }
    }

    fn start_run(&mut self, assent: Option<Assent>, id: String, how: &str) -> Verdict {
        let verdict = self.run_begins(&id);
        if verdict.reason == Reason::Running {
            let note = format!("{}; {how}", verdict.message);
            self.events
                .push(Event::new(false, Reason::Running, "Run", &note));
        }
        if self
            .status
            .open_run
            .as_ref()
            .is_none_or(|open| open.run != id)
        {
            self.status.open_run = Some(OpenRun {
                run: id.clone(),
                since: whole_second(self.o.now),
                spec: self.o.spec.ok().map(|wanted| wanted.digest.to_owned()),
            });
        }
        self.status.progress = Some(connecting());
        self.assent = assent;
        self.action = Action::Start(JobKind::Run { id });
        verdict
    }

    /// Nothing to do: what is known.
    fn idle(&self, wanted: &Wanted<'_>) -> Verdict {
        // A failed attempt stands until the next one.
        let unplanned = self.is_unplanned();
        if (unplanned || self.status.open_run.is_some())
            && let Some(before) = self.before()
            && before.reason.is_failure()
            && !is_gate(before.reason)
        {
            return before;
        }
        let Some(plan) = self.status.plan.as_ref().filter(|_| !unplanned) else {
            return Verdict::new(Reason::Planning, "the catalog is read and rows are counted");
        };
        if !wanted.enforce {
            return Verdict::new(Reason::DryRun, say::dry_run(plan));
        }
        let ended = self.last_run_speaks().map(say::ended);
        if let Some(failed) = ended.as_ref().filter(|ended| ended.reason.is_failure()) {
            return failed.clone();
        }
        if let Err(waits) = self.allowed(wanted, self.status.open_run.is_some()) {
            return waits;
        }
        if let Some(ended) = ended {
            return ended;
        }
        let next = self.next_run(wanted);
        Verdict::new(Reason::Scheduled, say::scheduled(plan, next))
    }

    /// When it runs next.
    fn next_run(&self, wanted: &Wanted<'_>) -> Option<Timestamp> {
        let next = || {
            wanted
                .windows
                .opens(wanted.schedule.next_after(self.o.now)?)
        };
        self.status.window_opens_at.or_else(next)
    }

    /// What `Ready` says in the stored status.
    fn before(&self) -> Option<Verdict> {
        let ready = self.o.status.conditions.iter().find(|c| c.type_ == READY)?;
        let reason = Reason::ALL.iter().find(|r| r.as_str() == ready.reason)?;
        Some(Verdict::new(*reason, &ready.message))
    }

    fn finish(mut self, verdict: &Verdict) -> Decision {
        let o = self.o;
        if matches!(self.action, Action::Nothing | Action::Forget)
            && matches!(o.job, Job::None | Job::Finished(_))
        {
            self.status.progress = None;
        }
        let held = verdict.reason == Reason::Suspended;
        self.status.next_run_at = match o.spec {
            Ok(wanted) if !held => self.next_run(&wanted),
            Ok(_) | Err(_) => None,
        };
        self.tell(verdict);
        self.tell_approval();
        self.tell_keep_up(verdict);
        let news = self.before().is_none_or(|b| b.reason != verdict.reason);
        if news && verdict.reason.is_failure() && !self.failed.contains(&verdict.reason) {
            self.failed.push(verdict.reason);
        }
        let generation = Some(o.meta.generation);
        self.status.observed_generation = generation;
        // What is already said stays as it stands, so that a repeated look writes nothing.
        condition::summarise(
            &mut self.status.conditions,
            verdict.reason,
            &verdict.message,
            generation,
            whole_second(o.now),
        );
        let requeue_after = self.look_again();
        Decision {
            action: self.action,
            assent: self.assent,
            status: self.status,
            events: self.events,
            failures: self.failures,
            failed: self.failed,
            requeue_after,
        }
    }

    /// An event for news that no event tells yet.
    fn tell(&mut self, verdict: &Verdict) {
        if let Some(token) = self.o.meta.run_now
            && !due::is_token(token)
        {
            let token = condition::cut(token, MAX_HANDLED);
            if self.status.handled_run_now.as_deref() != Some(token) {
                self.status.handled_run_now = Some(token.to_owned());
                let note = "the value of the annotation oubliette.dev/run-now is not a token, so \
                            nothing runs for it: write at most 63 letters, digits, '.', '_', ':', \
                            '+' or '-'";
                self.events
                    .push(Event::new(true, Reason::InvalidSpec, "Run", note));
            }
        }
        let before = self.before();
        let same = before.as_ref() == Some(verdict);
        if same {
            // A retry that failed again in the same way is no news.
            let news = [Reason::InvalidSpec, Reason::Abandoned];
            self.events
                .retain(|event| !event.warning || news.contains(&event.reason));
            return;
        }
        let told = self
            .events
            .iter()
            .any(|event| event.reason == verdict.reason);
        let was_bad = before.is_some_and(|b| b.reason.is_failure());
        if told || (!verdict.reason.is_failure() && !was_bad) {
            return;
        }
        let warning = verdict.reason.is_failure();
        let event = Event::new(warning, verdict.reason, "Check", &verdict.message);
        self.events.push(event);
    }

    fn look_again(&self) -> Duration {
        if self.action == Action::Forget {
            return Duration::ZERO;
        }
        [self.status.next_run_at, self.failures.retry_at]
            .into_iter()
            .flatten()
            .filter(|at| *at > self.o.now)
            .map(|at| at.duration_since(self.o.now).unsigned_abs())
            .fold(LOOK_AGAIN, Duration::min)
    }
}

/// Whether a run was begun for something else than what is promised now.
fn is_given_up(open: &OpenRun, wanted: &Wanted<'_>) -> bool {
    let other = |spec: &str| spec != wanted.digest;
    !wanted.enforce || open.spec.as_deref().is_some_and(other)
}

/// The status schema's bound on `handledRunNow`.
const MAX_HANDLED: usize = 256;

/// Reasons that are found again at each look: they end when their cause does, and nothing runs before.
pub fn is_gate(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownField
            | Reason::InvalidSpec
            | Reason::Conflict
            | Reason::DutiesUnreadable
            | Reason::DatabaseNotFound
            | Reason::DatabaseNotUsable
            | Reason::DatabaseNotReady
            | Reason::LedgerRewound
    )
}

fn connecting() -> ProgressStatus {
    ProgressStatus {
        phase: crate::report::Phase::Connecting.as_str().to_owned(),
        rule: None,
        rows_done: 0,
        rows_planned: 0,
        rows_per_second: 0,
        estimated_end_at: None,
        waiting_for: None,
    }
}

/// `metav1.Time` has whole seconds: what is written must compare equal to what is read back.
pub fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
