//! Words and numbers that the forms of output share.

use jiff::Timestamp;
use oubliette_core::report::{Effect, Residual, RulePlan, RunOutcome, RunReport};
pub(in crate::command) use oubliette_core::rows::number;

use super::{OpenRunTold, Told};

/// "1 row", "2,000 rows".
pub(in crate::command) fn rows(count: i64) -> String {
    let unit = if count == 1 { "row" } else { "rows" };
    format!("{} {unit}", number(count))
}

/// "1 row is", "2,000 rows are".
fn are(count: i64) -> String {
    format!("{} {}", rows(count), if count == 1 { "is" } else { "are" })
}

/// How much of its table goes.
pub(super) fn share(rule: &RulePlan) -> String {
    match rule.eligible.saturating_mul(100).checked_div(rule.total) {
        None => "-".to_owned(),
        Some(0) if rule.eligible > 0 => "<1 %".to_owned(),
        Some(percent) => format!("{percent} %"),
    }
}

/// The day since when rows are overdue.
pub(super) fn day(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// A number of seconds, coarsely.
pub(in crate::command) fn seconds(seconds: Option<i64>) -> String {
    match seconds {
        None => "?".to_owned(),
        Some(0) => "<1 s".to_owned(),
        Some(s) if s < 120 => format!("{s} s"),
        Some(s) if s < 7200 => format!("{} min", s / 60),
        Some(s) if s < 172_800 => format!("{} h", s / 3600),
        Some(s) => format!("{} days", s / 86_400),
    }
}

/// A rule's tables with what happens to their rows, its own first.
pub(super) fn tables(rule: &RulePlan) -> Vec<(&str, Effect, i64)> {
    let own = (rule.table.as_str(), rule.effect, rule.eligible);
    let related = rule.related.iter();
    std::iter::once(own)
        .chain(related.map(|table| (table.table.as_str(), table.effect, table.rows)))
        .collect()
}

/// What no rule will ever take, because its clock cannot be read.
pub(super) fn unreadable(rule: &RulePlan) -> Option<String> {
    let told: Vec<String> = [
        (rule.clock_null, "without a date"),
        (rule.implausible, "with a date that nobody can mean"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", rows(count)))
    .collect();
    let (rule, told) = (&rule.rule, told.join(" and "));
    (!told.is_empty()).then(|| format!("rule {rule}: {told} never expire by it"))
}

/// What legal holds keep of a rule, and which do.
pub(super) fn held(rule: &RulePlan) -> Option<String> {
    let holds = rule.held_by.iter();
    let holds: Vec<String> = holds
        .map(|held| format!("{} by {}", held.rows, held.hold))
        .collect();
    let (name, count) = (&rule.rule, rows(rule.held));
    (rule.held > 0).then(|| {
        format!(
            "rule {name}: {count} under a legal hold: {}",
            holds.join(", ")
        )
    })
}

/// What would happen or has happened, in a few words.
pub(super) fn outlook(told: &Told) -> String {
    if let Some(run) = &told.run {
        let changed = rows(changed(run));
        return match run.outcome {
            RunOutcome::Completed => format!("done, {changed} changed"),
            RunOutcome::Stopped(_) | RunOutcome::Failed(_) => {
                format!("not completed, {changed} changed")
            }
        };
    }
    if let Some(open) = &told.open_run {
        return format!("stopped, {} changed so far", rows(open.rows_changed));
    }
    let Some(plan) = &told.plan else {
        return "not planned".to_owned();
    };
    match plan.rows() {
        0 => "nothing to do".to_owned(),
        count if !told.refusals.is_empty() => {
            format!("refused, nothing would change; {} due", are(count))
        }
        count => format!("{} would change", rows(count)),
    }
}

/// What is to be done about a run that has not come to its end.
pub(super) fn open(open: &OpenRunTold) -> String {
    format!(
        "the run {} is open in the ledger: the same command goes on with it",
        open.run
    )
}

/// Rows that a run has changed, of all tables.
pub(super) fn changed(run: &RunReport) -> i64 {
    let tables = run.rules.iter().flat_map(|rule| &rule.changed);
    tables.map(|table| table.rows).sum()
}

/// What a run did, a line each.
pub(super) fn ran(run: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    let outcome = match run.outcome {
        RunOutcome::Completed => "completed".to_owned(),
        RunOutcome::Stopped(reason) => format!("stopped: {reason}. {}", reason.meaning()),
        RunOutcome::Failed(reason) => format!("failed: {reason}. {}", reason.meaning()),
    };
    let took = run.finished_at.duration_since(run.started_at);
    lines.push(format!("run {outcome} ({} s)", took.as_secs().max(0)));
    for rule in &run.rules {
        let changed: Vec<String> = rule
            .changed
            .iter()
            .map(|table| {
                format!(
                    "{} of {} {}",
                    rows(table.rows),
                    table.table,
                    past(table.effect)
                )
            })
            .collect();
        let left = rule
            .failed
            .map_or_else(|| left(rule.residual), |reason| format!("failed: {reason}"));
        lines.push(format!("{}: {}; {left}", rule.rule, changed.join(", ")));
    }
    if let Some(evidence) = &run.evidence {
        lines.push(format!("evidence {evidence}"));
    }
    lines
}

fn past(effect: Effect) -> &'static str {
    match effect {
        Effect::Deleted => "deleted",
        Effect::Pseudonymised => "pseudonymised",
        Effect::Masked => "masked",
        Effect::Detached => "detached",
        Effect::Sealed => "sealed",
    }
}

fn left(residual: Residual) -> String {
    let told: Vec<String> = residual
        .classes()
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", rows(count)))
        .collect();
    if told.is_empty() {
        "verified: none left".to_owned()
    } else {
        format!("left: {}", told.join(", "))
    }
}
