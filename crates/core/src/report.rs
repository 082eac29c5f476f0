//! What a plan, a run under way and a finished run tell: the data that status, events, metrics,
//! evidence and the CLI are made from. Counts, names of tables and instants only, never a value (P4).

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::approval::PlanParts;
use crate::digest::Digest;
use crate::rows::Rows;
use crate::sql::Held;

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
    /// The rows were moved into a schema that others cannot read: still personal data.
    Sealed,
}

impl Effect {
    /// What would be done, for people.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Deleted => "delete",
            Self::Pseudonymised => "pseudonymise",
            Self::Masked => "mask",
            Self::Detached => "detach",
            Self::Sealed => "seal",
        }
    }
}

/// A plan's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// What is approved and compared on resume.
    #[schemars(with = "String", length(max = 128))]
    pub digest: Digest,
    /// What the digest is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PlanParts>,
    /// The instant from which cutoffs are counted.
    pub as_of: Timestamp,
    /// One per rule, in order.
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<RulePlan>,
    /// What a person should know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub warnings: Vec<String>,
    /// Those of the warnings that name where rows live on; status has them in a list of its own.
    #[serde(skip)]
    pub survivors: Vec<String>,
}

/// One rule's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RulePlan {
    /// The rule's name.
    #[schemars(length(max = 140))]
    pub rule: String,
    /// The rule's table.
    #[schemars(length(max = 140))]
    pub table: String,
    /// What happens to its rows.
    #[schemars(with = "String", length(max = 32))]
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
    /// Rows that would change if they, or what hangs on them, were not under a legal hold.
    #[serde(default)]
    pub held: i64,
    /// Which holds keep them, those with the most rows first. A row that two of them keep counts for
    /// both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub held_by: Vec<HeldCount>,
    /// When the oldest eligible row fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Timestamp>,
    /// The related tables, in the order of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub related: Vec<TableCount>,
    /// How the table is walked: the columns of its key; or its pages in the order of the file, and
    /// then the key once more for rows that were moved meanwhile.
    #[schemars(length(max = 256))]
    pub walk: String,
}

impl RulePlan {
    /// Rows that would change, of all of its tables.
    pub fn rows(&self) -> i64 {
        self.eligible + self.related.iter().map(|table| table.rows).sum::<i64>()
    }

    /// The same, and those of its own table.
    pub fn planned(&self) -> Rows {
        Rows {
            own: self.eligible,
            all: self.rows(),
        }
    }
}

impl PlanReport {
    /// Rows that would change, of all rules.
    pub fn rows(&self) -> i64 {
        self.rules.iter().map(RulePlan::rows).sum()
    }
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableCount {
    /// The table.
    #[schemars(length(max = 140))]
    pub table: String,
    /// What happens or happened to them.
    #[schemars(with = "String", length(max = 32))]
    pub effect: Effect,
    /// How many.
    pub rows: i64,
}

/// Rows that one hold keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldCount {
    /// Namespace and name of the LegalHold.
    #[schemars(length(max = 320))]
    pub hold: String,
    /// How many.
    pub rows: i64,
}

impl HeldCount {
    /// Holds that are named of one rule.
    const NAMED: usize = 16;

    /// Those that keep any, the most first.
    pub fn of(held: &[Held], rows: &[i64]) -> Vec<Self> {
        let mut all: Vec<Self> = held
            .iter()
            .zip(rows)
            .filter(|(_, rows)| **rows > 0)
            .map(|(held, rows)| Self {
                hold: held.hold.clone(),
                rows: *rows,
            })
            .collect();
        all.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.hold.cmp(&b.hold)));
        all.truncate(Self::NAMED);
        all
    }
}

/// A finished (or stopped) run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Primary key of the run in the ledger.
    #[schemars(length(max = 256))]
    pub run: String,
    /// The plan it carried out.
    #[schemars(with = "String", length(max = 128))]
    pub plan: Digest,
    /// The instant from which cutoffs were counted.
    pub as_of: Timestamp,
    /// When the first worker began.
    pub started_at: Timestamp,
    /// When the last step was finished.
    pub finished_at: Timestamp,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: RunOutcome,
    /// One per rule, in order.
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<RuleRun>,
    /// Hash of the evidence entry: the ledger chain's head after this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub evidence: Option<Digest>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason")]
pub enum RunOutcome {
    /// Everything that was eligible has gone, or is classed.
    Completed,
    /// It stopped on purpose and can say why; what it did is counted.
    Stopped(Reason),
    /// It ended and the residual could not be explained, or an error ended it.
    Failed(Reason),
}

impl RunOutcome {
    /// Whether the run came to look at what is left of every rule. Otherwise nothing is known of it.
    pub fn counts_the_rest(self) -> bool {
        match self {
            Self::Completed => true,
            Self::Stopped(reason) | Self::Failed(reason) => matches!(
                reason,
                Reason::RowsLocked | Reason::RowsTooLarge | Reason::VerificationFailed
            ),
        }
    }
}

impl JsonSchema for RunOutcome {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunOutcome".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["outcome"],
            "properties": {
                "outcome": {
                    "type": "string",
                    "maxLength": 32,
                    "description": "Completed, Stopped (on purpose; it says why) or Failed.",
                },
                "reason": {
                    "type": "string",
                    "maxLength": 64,
                    "description": "Why, where it was stopped or failed; see docs/reasons.md.",
                },
            },
        })
    }
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleRun {
    /// The rule's name.
    #[schemars(length(max = 140))]
    pub rule: String,
    /// The cutoff that was in force.
    pub cutoff: Timestamp,
    /// Rows changed, the rule's own table first.
    #[schemars(length(max = 33), extend("x-kubernetes-list-type" = "atomic"))]
    pub changed: Vec<TableCount>,
    /// What is still eligible, classed.
    pub residual: Residual,
    /// Which holds kept rows, those with the most first. A row that two of them kept counts for both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub held_by: Vec<HeldCount>,
    /// Why it did not come to its end, where that is a matter of its own: the rules after it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Reason>,
}

/// Rows still eligible at the frozen cutoff after a run, classed (P6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Residual {
    /// Under a legal hold, or with held rows hanging on them.
    #[serde(default)]
    pub held: i64,
    /// Locked by the application while the run looked.
    pub locked: i64,
    /// Left because the rows that hang on one of them do not go in one transaction.
    #[serde(default)]
    pub too_large: i64,
    /// Became eligible after the run had passed them.
    pub newly_eligible: i64,
    /// Neither: the run is not what it claims to be.
    pub unexplained: i64,
}

impl Residual {
    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            locked: self.locked + other.locked,
            too_large: self.too_large + other.too_large,
            newly_eligible: self.newly_eligible + other.newly_eligible,
            unexplained: self.unexplained + other.unexplained,
        }
    }

    /// All rows that are left to be changed: not those that a legal hold keeps.
    pub fn rows(self) -> i64 {
        let all: i64 = self.classes().iter().map(|(rows, _)| rows).sum();
        all - self.held
    }

    /// How many rows are in each class, and what is said of them.
    pub fn classes(self) -> [(i64, &'static str); 5] {
        let Self {
            held,
            locked,
            too_large,
            newly_eligible,
            unexplained,
        } = self;
        [
            (held, "under a legal hold"),
            (locked, "stayed locked by the application"),
            (too_large, "with too much hanging on them"),
            (newly_eligible, "became due while it ran"),
            (unexplained, "nothing explains"),
        ]
    }
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

impl Phase {
    /// As status spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::Planning => "Planning",
            Self::Running => "Running",
            Self::Verifying => "Verifying",
        }
    }
}
