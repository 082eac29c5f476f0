//! RetentionPolicy (`orp`): promises about time. Fields, their manual, and the status.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::guards::PolicyGuardsSpec;
use super::refs::{DatabaseRef, KeyRef};
use super::rule::RuleSpec;
use super::status::{conditions_schema, lenient};
use super::words::{Choice, words};
use crate::approval::PlanParts;
use crate::digest::Digest;
use crate::report::{PlanReport, Progress, RunOutcome, RunReport};

/// The zone of a policy that names none.
pub const DEFAULT_TIME_ZONE: &str = "Etc/UTC";

/// Promises about how long rows of one database are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicySpec {
    /// The database in which the promises are kept. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "databaseRef is immutable: create another policy for another database"
    }]))]
    pub database_ref: Option<DatabaseRef>,
    /// When it runs: five fields (minute, hour, day of month, month, day of week) as in CronJob, read
    /// in `timeZone`. A run that was missed is made up for once. Example: `30 2 * * *`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 6, max = 128))]
    pub schedule: Option<String>,
    /// The time zone of the schedule and of the calendar in which periods are counted, by its IANA
    /// name. Default: Etc/UTC. Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("default" = DEFAULT_TIME_ZONE))]
    pub time_zone: Option<String>,
    /// DryRun: nothing is changed; status shows what would be. Enforce: expired rows are changed as
    /// the rules say. Default: DryRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "DryRun"))]
    pub mode: Option<Choice<Mode>>,
    /// Stops a run within one batch and starts none until it is false again. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub suspend: Option<bool>,
    /// Ceilings of one run. A run that would exceed one is refused whole, with the numbers. The
    /// database's `guards` hold as well; the tighter one counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// What is asked for before a run changes rows. The database's `guards` hold as well; the stricter
    /// one counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guards: Option<PolicyGuardsSpec>,
    /// The promises, in the order in which they are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.all(x, self.exists_one(y, y.name == x.name))",
        "message": "rule names must be unique"
    }]))]
    pub rules: Option<Vec<RuleSpec>>,
    /// The secret key of the strategy Pseudonym, required where a rule uses it. Whoever has it can
    /// tell which pseudonym belongs to a known value; without it nobody can. Keep it as long as
    /// pseudonyms must stay equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pseudonym_key: Option<PseudonymKeySpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// Whether rows are changed.
    pub enum Mode {
        /// Nothing is changed.
        DryRun,
        /// Expired rows are changed.
        Enforce,
    }
}

/// Ceilings of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Most rows that one run may change, related rows among them. Left out: no ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_rows: Option<i64>,
    /// Most of a rule's table that one run may change, in per cent. Left out: no ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<i32>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Where the key of pseudonyms is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PseudonymKeySpec {
    /// A key of a Secret in the policy's namespace with at least 32 random bytes. The Secret must be
    /// of the type `oubliette.dev/pseudonym-key`; no other one is taken for a key. Its annotation
    /// `oubliette.dev/database` (`namespace/name`, several with commas between them) names the
    /// TargetDatabases that may be sent the key; without it any may to which a policy of the
    /// namespace refers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<KeyRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl RetentionPolicySpec {
    /// What a plan's digest covers of the spec, defaults filled in, so that a changed default or a
    /// spelt-out one makes no difference. Left out on purpose: `mode`, `schedule`, `suspend`, `guards`,
    /// which change when a plan may run and not what it does, and each rule's `basis`.
    pub fn digest_input(&self) -> Value {
        let Self {
            database_ref,
            schedule: _,
            time_zone,
            mode: _,
            suspend: _,
            limits,
            guards: _,
            rules,
            pseudonym_key,
            unknown,
        } = self;
        let rules = rules.iter().flatten();
        serde_json::json!({
            "databaseRef": database_ref,
            "timeZone": time_zone.as_deref().unwrap_or(DEFAULT_TIME_ZONE),
            "limits": limits,
            "rules": rules.map(RuleSpec::digest_input).collect::<Vec<_>>(),
            "pseudonymKey": pseudonym_key,
            "unknown": unknown,
        })
    }
}

/// What is known of a policy. Counts, table names and instants only; never a value from a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionPolicyStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, and while they hold Reconciling and Stalled. docs/reasons.md explains every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The last plan: what a run would have changed at its instant.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub plan: Option<PlanReport>,
    /// The generation of the spec that `plan` was made for and passed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_generation: Option<i64>,
    /// Digest of what the DataMaps of the database asked for when `plan` was made; left out where there
    /// were none. With another one the policy is planned anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub duties: Option<String>,
    /// Rows that the plan would change, of all of its tables: what an Approval's `maxRows` is held
    /// against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_rows: Option<i64>,
    /// The last dry run: a plan that passed in mode DryRun.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub dry_run: Option<DryRunStatus>,
    /// What was approved last, and what of it holds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub approval: Option<ApprovalStatus>,
    /// Entries of the plan that were left out of this status for its size; the ledger has them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_tables_left_out: Option<i64>,
    /// The last run that changed rows or found none to change.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub last_run: Option<RunReport>,
    /// The last ten runs, newest first, totals only.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<PastRun>,
    /// Rows that are expired and not yet changed, of all rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_rows: Option<i64>,
    /// When the oldest of them fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_overdue_at: Option<Timestamp>,
    /// The same for each rule that has any, as the last plan or run found them. Rows that a legal hold
    /// keeps are not among them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub overdue: Vec<OverdueStatus>,
    /// When it will have caught up, while the condition FallingBehind is True. In mode Enforce it is
    /// True when rows are overdue and the last run that was due has left some behind that no legal hold
    /// keeps (the reason says why: a limit, rows that stayed locked), or was refused, or still waits for
    /// people; or when a run has not ended, or not begun, before the next one was due (WindowsTooShort,
    /// Throttled, or what keeps it from running).
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub keep_up: Option<KeepUpStatus>,
    /// When it runs next: where the database has `pacing.windows`, not before one is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Timestamp>,
    /// When the next of the database's `pacing.windows` opens, while something waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_opens_at: Option<Timestamp>,
    /// The scheduled time of the last run that was started by the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scheduled_at: Option<Timestamp>,
    /// The schedule and mode by which ticks are counted, and since when.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub scheduled: Option<ScheduledStatus>,
    /// The run that was started and has not come to its end; it is resumed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub open_run: Option<OpenRun>,
    /// The value of the annotation `oubliette.dev/run-now` that was acted on last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub handled_run_now: Option<String>,
    /// Head of the evidence chain in the database's ledger after the last run. A ledger that does not
    /// have it is of a database that was restored: nothing runs then (`LedgerRewound`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub ledger_head: Option<String>,
    /// The plan or run under way.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub progress: Option<ProgressStatus>,
    /// Where the changed rows may still be: backups, logs, replicas, files. Oubliette does not reach
    /// these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub left_elsewhere: Vec<String>,
}

/// What is overdue of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverdueStatus {
    /// The rule's name.
    #[schemars(length(max = 140))]
    pub rule: String,
    /// Rows that are expired and not yet changed.
    pub rows: i64,
    /// When the oldest of them fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
}

/// How a policy that has fallen behind gets on. An estimate by averages of what was measured last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeepUpStatus {
    /// Rows that are to go.
    pub rows_left: i64,
    /// Rows that go in a second while the run works, as last measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<i64>,
    /// Rows that fall due in a day, by the runs in `history`; left out where there are not two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_due_per_day: Option<i64>,
    /// When it will have caught up at this pace, within `pacing.windows`; left out where it never will,
    /// and where nothing was measured yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_up_at: Option<Timestamp>,
    /// Whether it never will at this pace: no fewer rows fall due than go, or none go.
    #[serde(default)]
    pub never: bool,
}

/// A dry run that passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunStatus {
    /// Digest of its plan: what `guards.dryRun` compares with.
    #[schemars(with = "String", length(max = 128))]
    pub plan: Digest,
    /// What the digest is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<PlanParts>,
    /// The instant from which its cutoffs were counted.
    pub as_of: Timestamp,
}

/// A plan that was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Digest of the plan.
    #[schemars(with = "String", length(max = 128))]
    pub plan: Digest,
    /// What the digest is made of: an approval that has become void is compared with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<PlanParts>,
    /// Most rows of each of its runs.
    pub max_rows: i64,
    /// When the oldest of its Approvals was made, by the operator's clock and rather too early: a legal
    /// hold on the plan's tables that is released later voids them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// The Approvals that count, by name.
    #[schemars(length(max = 16), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub approvals: Vec<String>,
}

/// How far a plan or run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressStatus {
    /// Connecting, Planning, Running or Verifying.
    #[schemars(length(max = 32))]
    pub phase: String,
    /// The rule at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub rule: Option<String>,
    /// Rows done so far, of all rules.
    pub rows_done: i64,
    /// Rows planned, of all rules.
    pub rows_planned: i64,
    /// Rows per second over the last seconds.
    pub rows_per_second: i64,
    /// When it will be done at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_end_at: Option<Timestamp>,
    /// The reason why it waits, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub waiting_for: Option<String>,
}

impl ProgressStatus {
    /// What a person is shown of a progress at the instant `now`.
    pub fn of(progress: &Progress, now: Timestamp) -> Self {
        let Progress {
            phase,
            rule,
            done,
            planned,
            rate,
            waiting,
        } = progress;
        let left = planned.saturating_sub(*done).max(0);
        let estimated_end_at = (*rate > 0 && *planned > 0)
            .then(|| {
                now.checked_add(SignedDuration::from_secs(left.div_euclid(*rate)))
                    .ok()
            })
            .flatten();
        Self {
            phase: phase.as_str().to_owned(),
            rule: rule.clone(),
            rows_done: *done,
            rows_planned: *planned,
            rows_per_second: *rate,
            estimated_end_at,
            waiting_for: waiting.map(|reason| reason.as_str().to_owned()),
        }
    }
}

/// The schedule in force. Ticks from before `since` are not made up for: who switches to Enforce or
/// writes another schedule at noon did not ask for the run of last night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledStatus {
    /// The cron expression.
    #[schemars(length(max = 128))]
    pub schedule: String,
    /// Its time zone.
    #[schemars(length(max = 64))]
    pub time_zone: String,
    /// DryRun or Enforce.
    #[schemars(length(max = 32))]
    pub mode: String,
    /// Since when these hold.
    pub since: Timestamp,
}

/// A run that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenRun {
    /// The run's id in the ledger.
    #[schemars(length(max = 256))]
    pub run: String,
    /// When it was asked for.
    pub since: Timestamp,
    /// Digest of the spec for which it was asked: with another one it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub spec: Option<String>,
}

/// One run of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// The run's id in the ledger.
    #[schemars(length(max = 256))]
    pub run: String,
    /// When the first worker began.
    pub started_at: Timestamp,
    /// When the last step was finished.
    pub finished_at: Timestamp,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: RunOutcome,
    /// Rows changed, related ones among them.
    pub rows_changed: i64,
    /// Those of the rules' own tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_rows_changed: Option<i64>,
    /// Rows still eligible after it.
    pub rows_left: i64,
}

impl PastRun {
    /// Rows of the rules' own tables that it changed, as far as that is known.
    pub fn own_changed(&self) -> i64 {
        self.own_rows_changed.unwrap_or(self.rows_changed)
    }
}

impl From<&RunReport> for PastRun {
    fn from(report: &RunReport) -> Self {
        let residuals = report.rules.iter().map(|rule| rule.residual.rows());
        Self {
            run: report.run.clone(),
            started_at: report.started_at,
            finished_at: report.finished_at,
            outcome: report.outcome,
            rows_changed: report
                .rules
                .iter()
                .flat_map(|rule| &rule.changed)
                .map(|count| count.rows)
                .sum(),
            own_rows_changed: Some(report.own_changed()),
            rows_left: residuals.sum(),
        }
    }
}

/// Runs kept in `history`.
pub const HISTORY: usize = 10;
/// Tables kept in `plan`.
pub const PLAN_TABLES: usize = 100;

impl RetentionPolicyStatus {
    /// Enters a run that has ended: it becomes `lastRun` and the first of `history`.
    pub fn enter_run(&mut self, report: RunReport) {
        self.history.retain(|past| past.run != report.run);
        self.history.insert(0, PastRun::from(&report));
        self.history.truncate(HISTORY);
        self.last_run = Some(report);
    }

    /// Enters a plan, with at most [`PLAN_TABLES`] tables: related ones are left out first.
    pub fn enter_plan(&mut self, mut plan: PlanReport) {
        self.overdue_rows = Some(plan.rules.iter().map(|rule| rule.eligible).sum());
        self.planned_rows = Some(plan.rows());
        let overdue = plan.rules.iter().filter(|rule| rule.eligible > 0);
        self.overdue = overdue
            .map(|rule| OverdueStatus {
                rule: rule.rule.clone(),
                rows: rule.eligible,
                oldest_at: rule.overdue_since,
            })
            .collect();
        self.oldest_overdue_at = plan
            .rules
            .iter()
            .filter_map(|rule| rule.overdue_since)
            .min();
        let mut room = PLAN_TABLES.saturating_sub(plan.rules.len());
        let mut left_out = 0_i64;
        for rule in &mut plan.rules {
            while rule.related.len() > room {
                rule.related.pop();
                left_out += 1;
            }
            room -= rule.related.len();
        }
        self.plan_tables_left_out = (left_out > 0).then_some(left_out);
        self.plan = Some(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;

    fn past(outcome: RunOutcome) -> PastRun {
        PastRun {
            run: "uid/token".into(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            outcome,
            rows_changed: 3,
            own_rows_changed: None,
            rows_left: 0,
        }
    }

    #[test]
    fn an_outcome_is_read_beside_its_reason_and_comes_back_as_written() {
        let stopped = past(RunOutcome::Stopped(Reason::Suspended));
        let value = serde_json::to_value(&stopped).unwrap();
        assert_eq!(value["outcome"], "Stopped");
        assert_eq!(value["reason"], "Suspended");
        assert_eq!(serde_json::from_value::<PastRun>(value).unwrap(), stopped);
        let completed = past(RunOutcome::Completed);
        let value = serde_json::to_value(&completed).unwrap();
        assert_eq!(
            (&value["outcome"], value.get("reason")),
            (&"Completed".into(), None)
        );
        assert_eq!(serde_json::from_value::<PastRun>(value).unwrap(), completed);
    }

    #[test]
    fn what_a_newer_version_wrote_does_not_make_the_status_unreadable() {
        let mut run = serde_json::to_value(past(RunOutcome::Completed)).unwrap();
        run["outcome"] = "Postponed".into();
        let status: RetentionPolicyStatus = serde_json::from_value(serde_json::json!({
            "ledgerHead": "sha256:00",
            "history": [run],
            "plan": {"sort": "new"},
        }))
        .unwrap();
        assert_eq!(status.ledger_head.as_deref(), Some("sha256:00"));
        assert_eq!((status.history, status.plan), (vec![], None));
    }

    #[test]
    fn a_progress_says_when_it_ends_at_its_rate() {
        let progress = Progress {
            phase: crate::report::Phase::Running,
            rule: Some("r".into()),
            done: 400,
            planned: 1000,
            rate: 10,
            waiting: None,
        };
        let shown = ProgressStatus::of(&progress, Timestamp::UNIX_EPOCH);
        assert_eq!(
            shown.estimated_end_at,
            Some(Timestamp::from_second(60).unwrap())
        );
        let waiting = Progress {
            rate: 0,
            ..progress
        };
        assert_eq!(
            ProgressStatus::of(&waiting, Timestamp::UNIX_EPOCH).estimated_end_at,
            None
        );
    }
}
