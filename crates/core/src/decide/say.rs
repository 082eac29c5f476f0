//! The sentences of a policy's status and events. Counts, names of tables and instants only.

use jiff::Timestamp;

use super::Verdict;
use super::retention_policy::whole_second;
use crate::api::reason::Reason;
use crate::api::retention_policy::ApprovalStatus;
use crate::plan::Refusal;
use crate::report::{Effect, PlanReport, Residual, RunOutcome, RunReport};

/// Tables that a sentence names; the status has them all.
const NAMED: usize = 8;

/// "12000 rows of public.enquiries deleted, 3 of public.notes detached".
fn counts<'a>(
    verb: fn(Effect) -> &'static str,
    counts: impl Iterator<Item = (&'a str, Effect, i64)>,
) -> String {
    let mut told: Vec<String> = counts
        .filter(|(_, _, rows)| *rows > 0)
        .map(|(table, effect, rows)| format!("{} {} of {table}", verb(effect), rows_of(rows)))
        .collect();
    if told.is_empty() {
        return "no rows".to_owned();
    }
    let more = told.len().saturating_sub(NAMED);
    told.truncate(NAMED);
    if more > 0 {
        told.push(format!("and {more} more tables"));
    }
    told.join(", ")
}

pub(super) fn rows_of(rows: i64) -> String {
    if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    }
}

fn done_as(effect: Effect) -> &'static str {
    match effect {
        Effect::Deleted => "deleted",
        Effect::Pseudonymised => "pseudonymised",
        Effect::Masked => "masked",
        Effect::Detached => "detached",
        Effect::Sealed => "sealed",
    }
}

fn planned(plan: &PlanReport) -> String {
    counts(
        Effect::verb,
        plan.rules.iter().flat_map(|rule| {
            let related = rule.related.iter();
            std::iter::once((rule.table.as_str(), rule.effect, rule.eligible))
                .chain(related.map(|t| (t.table.as_str(), t.effect, t.rows)))
        }),
    )
}

/// A dry run's plan.
pub(super) fn dry_run(plan: &PlanReport) -> String {
    format!(
        "a run at {} would: {}; mode DryRun changes nothing",
        whole_second(plan.as_of),
        planned(plan)
    )
}

/// A plan that is approved.
pub(super) fn approved(approved: &ApprovalStatus) -> String {
    format!(
        "the plan {} is approved by {}: each of its runs may change {} at the most",
        approved.plan,
        approved.approvals.join(" and "),
        rows_of(approved.max_rows)
    )
}

/// A plan that waits for the schedule.
pub(super) fn scheduled(plan: &PlanReport, next: Option<Timestamp>) -> String {
    let when = next.map_or_else(
        || "does not come".to_owned(),
        |at| format!("is due at {at}"),
    );
    format!(
        "counted at {}, a run would: {}; the next run {when}",
        whole_second(plan.as_of),
        planned(plan)
    )
}

/// A run under way.
pub(super) fn running(id: &str) -> String {
    format!("the run {id} is under way")
}

/// How a run ended.
pub(super) fn ended(run: &RunReport) -> Verdict {
    let changed = counts(
        done_as,
        run.rules
            .iter()
            .flat_map(|rule| &rule.changed)
            .map(|t| (t.table.as_str(), t.effect, t.rows)),
    );
    let residuals = run.rules.iter().map(|rule| rule.residual);
    let left: Vec<String> = residuals
        .fold(Residual::default(), Residual::and)
        .classes()
        .into_iter()
        .filter(|(rows, _)| *rows > 0)
        .map(|(rows, what)| format!("{} {what}", rows_of(rows)))
        .collect();
    let left = if !run.outcome.counts_the_rest() {
        "what is left was not counted".to_owned()
    } else if left.is_empty() {
        "no row is left".to_owned()
    } else {
        format!("left: {}", left.join(", "))
    };
    let failed = run.rules.iter().filter_map(|rule| {
        let reason = rule.failed?;
        Some(format!("; rule {} failed: {reason}", rule.rule))
    });
    let took = format!(
        "the run {} ended at {}: {changed}; {left}{}",
        run.run,
        whole_second(run.finished_at),
        failed.collect::<String>()
    );
    match run.outcome {
        RunOutcome::Completed => Verdict::new(Reason::Completed, took),
        RunOutcome::Stopped(reason) | RunOutcome::Failed(reason) => Verdict::new(
            reason,
            format!("{took}. {} {}", reason.meaning(), reason.remedy()),
        ),
    }
}

/// A run that was asked for and never begun.
pub(super) fn given_up(id: &str) -> String {
    format!("the run {id} was given up before it had changed a row")
}

/// A run that was asked for again.
pub(super) fn ran_before(run: &RunReport) -> String {
    format!(
        "nothing runs: the run {} was carried out before, from {} to {}; to have another one, write a \
         token into the annotation oubliette.dev/run-now that was not used yet",
        run.run,
        whole_second(run.started_at),
        whole_second(run.finished_at)
    )
}

/// Every refusal with what to do, the one that needs somebody first.
pub(super) fn refused(refusals: &[Refusal]) -> Verdict {
    let worst = refusals
        .iter()
        .find(|r| r.reason.is_stalled())
        .or(refusals.first());
    let reason = worst.map_or(Reason::InternalError, |r| r.reason);
    let told: Vec<_> = refusals.iter().map(refusal).collect();
    Verdict::new(reason, told.join("\n"))
}

/// One refusal with what to do.
pub(super) fn refusal(refusal: &Refusal) -> String {
    let rule = refusal
        .rule
        .as_ref()
        .map_or(String::new(), |rule| format!("rule {rule}: "));
    let mut text = format!("{rule}{}", refusal.message);
    match &refusal.remedy {
        // YAML or SQL to copy stands on lines of its own.
        Some(remedy) if remedy.contains('\n') => {
            text.push('\n');
            text.push_str(remedy.trim_end());
        }
        Some(remedy) => {
            text.push_str("; ");
            text.push_str(remedy);
        }
        None => {
            text.push_str(". ");
            text.push_str(refusal.reason.remedy());
        }
    }
    text
}
