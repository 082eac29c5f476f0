//! What a look at a policy, and the end of its run, mean for the metrics.

use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::RetentionPolicyStatus;
use oubliette_core::report::{RunOutcome, RunReport};

use super::super::{Context, Name};
use super::Seen;
use crate::metrics::Kind;

/// A run has ended.
pub(super) fn ended(name: &Name, run: &RunReport, context: &Context) {
    let Name { namespace, name } = name;
    let took = run
        .finished_at
        .duration_since(run.started_at)
        .unsigned_abs();
    let metrics = &context.metrics;
    metrics.run_ended(namespace, name, run.outcome, took);
    for count in run.rules.iter().flat_map(|rule| &rule.changed) {
        let rows = u64::try_from(count.rows).unwrap_or_default();
        metrics.rows_changed(namespace, name, count.effect, rows);
    }
    match run.outcome {
        RunOutcome::Completed => metrics.last_success(namespace, name, run.finished_at),
        RunOutcome::Stopped(reason) | RunOutcome::Failed(reason) => {
            metrics.failed(Kind::RetentionPolicy, reason);
        }
    }
}

/// A policy was looked at, and this is its status now.
pub(super) fn looked(seen: &Seen, status: &RetentionPolicyStatus, context: &Context) {
    let Name { namespace, name } = &seen.name;
    if let Some(rows) = status.overdue_rows {
        context.metrics.overdue(namespace, name, rows);
    }
    // From the status, so that a restart does not forget it, not even when runs failed since.
    let completed = status
        .history
        .iter()
        .find(|run| run.outcome == RunOutcome::Completed);
    if let Some(run) = completed {
        context
            .metrics
            .last_success(namespace, name, run.finished_at);
    }
    context
        .metrics
        .next_run(namespace, name, status.next_run_at);
    if let Some(reason) = gate(seen) {
        context.metrics.failed(Kind::RetentionPolicy, reason);
    }
}

/// What keeps a policy from any job, whose end would count it: it is found at each look.
fn gate(seen: &Seen) -> Option<Reason> {
    match &*seen.mandate {
        Err(faults) => faults.first().map(|fault| fault.reason),
        Ok(mandate) => {
            let conflicts = !mandate.suspend && !seen.conflicts.is_empty();
            conflicts.then_some(Reason::Conflict)
        }
    }
}
