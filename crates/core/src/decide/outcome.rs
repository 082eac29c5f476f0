//! What the end of a job changes in a policy's status. Entering the same end twice gives the same
//! status: a write that was refused is decided again.

use super::job::{JobKind, JobOutcome, StopWhy};
use super::retention_policy::{Finished, Observed};
use super::retry::Failures;
use super::{Event, Verdict, elsewhere, say};
use crate::api::condition::cut;
use crate::api::reason::Reason;
use crate::api::retention_policy::{
    DryRunStatus, HISTORY, OverdueStatus, PastRun, RetentionPolicyStatus,
};
use crate::report::{PlanReport, RunOutcome, RunReport};

/// The status schema's bounds on warnings.
const WARNINGS: usize = 64;
const WARNING: usize = 1_024;

/// What the end of a job means for the decision.
pub(super) struct Told {
    /// What the conditions say now; `None` where the end says nothing (it was told to stop).
    pub verdict: Option<Verdict>,
    pub events: Vec<Event>,
    pub failures: Failures,
}

/// Whether the end is that of a run which had been begun before it was last asked for: its token was
/// used again, say. It was told then, and is no news.
pub fn ran_before(status: &RetentionPolicyStatus, outcome: &JobOutcome) -> bool {
    let JobOutcome::Ran { plan: None, run } = outcome else {
        return false;
    };
    let asked = status.open_run.as_ref().filter(|open| open.run == run.run);
    asked.is_some_and(|open| run.as_of < open.since)
}

/// Enters the end of a job.
pub(super) fn enter(
    status: &mut RetentionPolicyStatus,
    job: &Finished<'_>,
    observed: &Observed<'_>,
) -> Told {
    status.progress = None;
    let mut told = Told {
        verdict: None,
        events: Vec::new(),
        failures: Failures::default(),
    };
    match job.outcome {
        JobOutcome::Planned(plan) => {
            enter_plan(status, plan, job, observed);
            if job.dry && *job.kind == JobKind::Plan {
                status.dry_run = Some(DryRunStatus {
                    plan: plan.digest,
                    parts: plan.parts,
                    as_of: plan.as_of,
                });
            }
        }
        JobOutcome::Refused { plan, refusals } => {
            if let Some(plan) = plan {
                enter_plan(status, plan, job, observed);
            }
            // Where only people are waited for, the plan stands: it is what they look at.
            let waits = plan.is_some() && refusals.iter().all(|r| r.reason.is_waiting());
            if !waits {
                status.plan_generation = None;
            }
            let verdict = say::refused(refusals);
            if let JobKind::Run { id } = job.kind {
                close(status, id, observed, RunOutcome::Stopped(verdict.reason));
            }
            if !waits {
                told.failures = failed(observed, verdict.reason);
            }
            for refusal in refusals {
                told.events.push(Event::new(
                    true,
                    refusal.reason,
                    "Plan",
                    &say::refusal(refusal),
                ));
            }
            told.verdict = Some(verdict).filter(|_| !waits);
        }
        JobOutcome::Ran { run, .. } if ran_before(status, job.outcome) => {
            status.open_run = None;
            told.failures = observed.failures;
            told.events.push(Event::new(
                true,
                Reason::InvalidSpec,
                "Run",
                &say::ran_before(run),
            ));
        }
        JobOutcome::Ran { plan, run } => {
            if let Some(plan) = plan {
                enter_plan(status, plan, job, observed);
            }
            // A plan that a run has drifted from was counted after all that the run did.
            let counted = plan.is_some() && run.outcome == RunOutcome::Stopped(Reason::Drifted);
            enter_run(status, run, counted);
            if run.outcome == RunOutcome::Stopped(Reason::Drifted) {
                // What is there now was not planned for.
                status.plan_generation = None;
            }
            let verdict = say::ended(run);
            let warning = verdict.reason.is_failure();
            told.events
                .push(Event::new(warning, verdict.reason, "Run", &verdict.message));
            told.verdict = Some(verdict);
        }
        // The run stays open in the status until the ledger says how it ended.
        JobOutcome::Stopped(why) => {
            told.failures = observed.failures;
            if *why == StopWhy::WindowClosed && *job.kind == JobKind::Plan {
                status.plan_generation = None;
            }
        }
        JobOutcome::NeverBegun => {
            told.failures = observed.failures;
            if let JobKind::GiveUp { id } = job.kind {
                let note = say::given_up(id);
                told.events
                    .push(Event::new(true, Reason::Abandoned, "Run", &note));
                let outcome = RunOutcome::Stopped(Reason::Abandoned);
                close(status, id, observed, outcome);
            }
        }
        JobOutcome::Failed {
            reason,
            message,
            passing: _,
        } => {
            told.failures = failed(observed, *reason);
            // A run stays open and is asked for again under its id: the ledger says what is left.
            if *job.kind == JobKind::Plan {
                status.plan_generation = None;
            }
            let message = if message.is_empty() {
                reason.meaning()
            } else {
                message
            };
            // One of several lines ends with YAML to copy: that is what to do.
            let text = if message.contains('\n') {
                message.to_owned()
            } else {
                format!("{message}. {}", reason.remedy())
            };
            told.verdict = Some(Verdict::new(*reason, text));
        }
    }
    told
}

fn failed(observed: &Observed<'_>, reason: Reason) -> Failures {
    observed
        .failures
        .and_one(reason, observed.jitter, observed.now)
}

fn enter_plan(
    status: &mut RetentionPolicyStatus,
    plan: &PlanReport,
    job: &Finished<'_>,
    observed: &Observed<'_>,
) {
    let mut plan = plan.clone();
    plan.warnings.truncate(WARNINGS);
    for warning in &mut plan.warnings {
        *warning = cut(warning, WARNING).to_owned();
    }
    status.left_elsewhere = elsewhere::places(observed.database.engine(), &plan.survivors);
    status.enter_plan(plan);
    status.plan_generation = Some(job.generation);
    status.duties = job.duties.map(str::to_owned);
}

fn enter_run(status: &mut RetentionPolicyStatus, run: &RunReport, counted: bool) {
    status.enter_run(run.clone());
    if run.outcome.counts_the_rest() {
        status.overdue = run
            .rules
            .iter()
            .filter(|rule| rule.residual.rows() > 0)
            .map(|rule| OverdueStatus {
                rule: rule.rule.clone(),
                rows: rule.residual.rows(),
                oldest_at: rule.oldest_left,
            })
            .collect();
        // Not known from a run of an older version: at least not older than the plan's.
        let oldest = status
            .overdue
            .iter()
            .filter_map(|rule| rule.oldest_at)
            .min();
        status.oldest_overdue_at = oldest.or(status.oldest_overdue_at);
    }
    let left = if counted {
        status.overdue_rows.unwrap_or_default()
    } else {
        left_after(run, status)
    };
    status.overdue_rows = Some(left);
    if left == 0 {
        status.oldest_overdue_at = None;
        status.overdue.clear();
    }
    if let Some(past) = status.history.first_mut() {
        past.rows_left = left;
    }
    if !counted && !run.outcome.counts_the_rest() {
        // What is left is to be counted anew.
        status.plan_generation = None;
    }
    if let Some(head) = &run.evidence {
        status.ledger_head = Some(head.to_string());
    }
    // An older open run is resumed before the one that was asked for: then that one is still open.
    if status
        .open_run
        .as_ref()
        .is_some_and(|open| open.run == run.run)
    {
        status.open_run = None;
    }
}

/// Rows left after a run: as it counted them, or where it was given up before it could, what was due
/// before it less what it changed.
fn left_after(run: &RunReport, status: &RetentionPolicyStatus) -> i64 {
    if run.outcome.counts_the_rest() {
        return status.history.first().map_or(0, |past| past.rows_left);
    }
    (status.overdue_rows.unwrap_or_default() - run.own_changed()).max(0)
}

/// Ends a run in the status that the ledger has never seen: it changed nothing.
fn close(
    status: &mut RetentionPolicyStatus,
    id: &str,
    observed: &Observed<'_>,
    outcome: RunOutcome,
) {
    let open = status.open_run.take();
    if status.history.iter().any(|past| past.run == id) {
        return;
    }
    let past = PastRun {
        run: id.to_owned(),
        started_at: open.map_or(observed.now, |open| open.since),
        finished_at: observed.now,
        outcome,
        rows_changed: 0,
        own_rows_changed: Some(0),
        rows_left: status.overdue_rows.unwrap_or_default(),
    };
    status.history.insert(0, past);
    status.history.truncate(HISTORY);
}
