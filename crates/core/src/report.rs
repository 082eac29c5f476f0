//! What a plan, a run under way and a finished run tell: the data that status, events, metrics,
//! evidence and the CLI are made from. Counts, names of tables and instants only, never a value (P4).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::digest::Digest;

/// What an action did or would do to the rows of one table (DESIGN section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The rows are gone.
    Deleted,
    /// A keyed value or a retained link remains: still personal data.
    Pseudonymised,
    /// Values were blanked or coarsened; no assessment says that nobody can be identified.
    Masked,
    /// The reference was set to NULL.
    Detached,
}

/// A plan's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanReport {
    /// What is approved and compared on resume.
    pub digest: Digest,
    /// The instant from which cutoffs are counted.
    pub as_of: Timestamp,
    /// One per rule, in order.
    pub rules: Vec<RulePlan>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

/// One rule's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RulePlan {
    /// The rule's name.
    pub rule: String,
    /// The rule's table.
    pub table: String,
    /// What happens to its rows.
    pub effect: Effect,
    /// Rows whose clock is before this instant are expired.
    pub cutoff: Timestamp,
    /// Rows that would change.
    pub eligible: i64,
    /// Rows of the table.
    pub total: i64,
    /// Rows whose clock is NULL: never eligible.
    pub clock_null: i64,
    /// Rows whose clock is implausible: never eligible.
    pub implausible: i64,
    /// When the oldest eligible row fell due.
    pub overdue_since: Option<Timestamp>,
    /// The related tables, in the order of the policy.
    pub related: Vec<TableCount>,
    /// The index by which the table is walked.
    pub walk: String,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    /// The table.
    pub table: String,
    /// What happens or happened to them.
    pub effect: Effect,
    /// How many.
    pub rows: i64,
}

/// A finished (or stopped) run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// Primary key of the run in the ledger.
    pub run: String,
    /// The plan it carried out.
    pub plan: Digest,
    /// The instant from which cutoffs were counted.
    pub as_of: Timestamp,
    /// When the first worker began.
    pub started_at: Timestamp,
    /// When the last step was finished.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: RunOutcome,
    /// One per rule, in order.
    pub rules: Vec<RuleRun>,
    /// Hash of the evidence entry: the ledger chain's head after this run.
    pub evidence: Option<Digest>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// Everything that was eligible has gone, or is classed.
    Completed,
    /// It stopped on purpose and can say why; what it did is counted.
    Stopped(Reason),
    /// It ended and the residual could not be explained, or an error ended it.
    Failed(Reason),
}

/// What one rule did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleRun {
    /// The rule's name.
    pub rule: String,
    /// The cutoff that was in force.
    pub cutoff: Timestamp,
    /// Rows changed, the rule's own table first.
    pub changed: Vec<TableCount>,
    /// What is still eligible, classed.
    pub residual: Residual,
}

/// Rows still eligible at the frozen cutoff after a run, classed (P6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residual {
    /// Locked by the application while the run looked.
    pub locked: i64,
    /// Became eligible after the run had passed them.
    pub newly_eligible: i64,
    /// Neither: the run is not what it claims to be.
    pub unexplained: i64,
}

/// A run or plan under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// The rule at work.
    pub rule: Option<String>,
    /// Rows done so far, of all rules.
    pub done: i64,
    /// Rows planned, of all rules.
    pub planned: i64,
    /// Rows per second over the last seconds.
    pub rate: i64,
    /// Why it waits, where it does.
    pub waiting: Option<Reason>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Opening connections.
    Connecting,
    /// Reading the catalog and counting.
    Planning,
    /// Changing rows.
    Running,
    /// Looking at what is left.
    Verifying,
}
