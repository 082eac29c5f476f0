//! What a plan, a run under way and a finished run tell: the data that status, events, metrics,
//! evidence and the CLI are made from. Counts, names of tables and instants only, never a value (P4).

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::approval::PlanParts;
use crate::digest::Digest;
use crate::groups::SmallGroups;
use crate::rows::Rows;
use crate::sql::Held;

/// Steps of one plan at the most: rules, and what duties split off them.
pub const MOST_STEPS: usize = 128;

/// What an action did or would do to the rows of one table (DESIGN section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The rows are gone.
    Deleted,
    /// A keyed value or a retained link remains: still personal data.
    Pseudonymised,
    /// Values were blanked or coarsened; no assessment says that nobody can be identified, or small groups
    /// of rows are left.
    Masked,
    /// The same, with a recorded assessment and no small group.
    Anonymised,
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
            Self::Anonymised => "anonymise",
            Self::Detached => "detach",
            Self::Sealed => "seal",
        }
    }

    /// What it may be called in the light of the check for small groups.
    #[must_use]
    pub fn assessed(self, groups: Option<&SmallGroups>) -> Self {
        match self {
            Self::Masked if groups.is_some_and(SmallGroups::is_anonymous) => Self::Anonymised,
            other => other,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &i64) -> bool {
    *count == 0
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
    /// One per rule, in order; behind it what is left of rows of which a duty keeps a part.
    #[schemars(length(max = MOST_STEPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<RulePlan>,
    /// What a person should know, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub warnings: Vec<String>,
    /// Holds on the plan's tables that were released, the newest first, where `guards.approval` asks for
    /// Approvals: an Approval that is older than such a release is void.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub loosened: Vec<Loosened>,
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
    /// How many rows would look alike, where the rule promises something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_groups: Option<SmallGroups>,
    /// Rows that would change if no duty of a DataMap kept them, and that no hold keeps.
    #[serde(default, skip_serializing_if = "KeptRows::is_none")]
    pub kept: KeptRows,
    /// When the oldest eligible row fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Timestamp>,
    /// The related tables, in the order of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub related: Vec<TableCount>,
    /// Partitions that would go as a whole; their rows are among the eligible ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partitions: i64,
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

/// A legal hold that was released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Loosened {
    /// Namespace and name of the LegalHold.
    #[schemars(length(max = 320))]
    pub hold: String,
    /// When, by the operator's clock.
    pub at: Timestamp,
}

/// Rows that duties keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptRows {
    /// How many; those of which a duty keeps only some columns are among them.
    #[serde(default)]
    pub rows: i64,
    /// By which duties, those with the most rows first. A row that two of them keep counts for both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub duties: Vec<DutyCount>,
}

/// Rows that one duty keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DutyCount {
    /// Namespace and name of the DataMap, the entry of its `tables`, and the place in `mustKeep`.
    #[schemars(length(max = 400))]
    pub duty: String,
    /// How many.
    pub rows: i64,
    /// Those of them that it keeps without end, because a date is NULL or nobody can mean it.
    #[serde(default)]
    pub open_ended: i64,
    /// When it ends for the first of the others. Where a duty has several dates: not before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ends_at: Option<Timestamp>,
}

impl KeptRows {
    /// Duties that are named of one rule.
    const NAMED: usize = 16;

    /// Whether there is nothing to tell.
    pub fn is_none(&self) -> bool {
        self.rows == 0 && self.duties.is_empty()
    }

    /// Those duties that keep any, the most first.
    pub fn of(rows: i64, all: impl Iterator<Item = DutyCount>) -> Self {
        let mut duties: Vec<DutyCount> = all.filter(|duty| duty.rows > 0).collect();
        duties.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.duty.cmp(&b.duty)));
        duties.truncate(Self::NAMED);
        Self { rows, duties }
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
    /// One per rule, in order, as in the plan.
    #[schemars(length(max = MOST_STEPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<RuleRun>,
    /// Hash of the evidence entry: the ledger chain's head after this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 128))]
    pub evidence: Option<Digest>,
}

impl RunReport {
    /// Rows of the rules' own tables that it changed.
    pub fn own_changed(&self) -> i64 {
        let own = self.rules.iter().filter_map(|rule| rule.changed.first());
        own.map(|own| own.rows).sum()
    }
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
                Reason::RowsLocked
                    | Reason::RowsTooLarge
                    | Reason::VerificationFailed
                    | Reason::GroupsShrank
                    | Reason::SealedMiscounted
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
    /// When the oldest row fell due of those that are left and no hold keeps; left out where there is
    /// none, and where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_left: Option<Timestamp>,
    /// Which holds kept rows, those with the most first. A row that two of them kept counts for both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub held_by: Vec<HeldCount>,
    /// How many rows look alike, counted after it, where the rule promises something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_groups: Option<SmallGroups>,
    /// Partitions that went as a whole; their rows are among those changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partitions: i64,
    /// What duties kept.
    #[serde(default, skip_serializing_if = "KeptRows::is_none")]
    pub kept: KeptRows,
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
    /// Kept by a duty of a DataMap, or with kept rows hanging on them; no hold keeps them.
    #[serde(default)]
    pub kept: i64,
    /// Locked by the application while the run looked.
    pub locked: i64,
    /// Left because the rows that hang on one of them do not go in one transaction.
    #[serde(default)]
    pub too_large: i64,
    /// Left as the rule says, because too few rows would look like one of them.
    #[serde(default)]
    pub small_groups: i64,
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
            kept: self.kept + other.kept,
            locked: self.locked + other.locked,
            too_large: self.too_large + other.too_large,
            small_groups: self.small_groups + other.small_groups,
            newly_eligible: self.newly_eligible + other.newly_eligible,
            unexplained: self.unexplained + other.unexplained,
        }
    }

    /// All rows that are left to be changed: not those that a legal hold or a duty keeps, nor those of
    /// small groups.
    pub fn rows(self) -> i64 {
        let all: i64 = self.classes().iter().map(|(rows, _)| rows).sum();
        all - self.held - self.kept - self.small_groups
    }

    /// How many rows are in each class, and what is said of them.
    pub fn classes(self) -> [(i64, &'static str); 7] {
        let Self {
            held,
            kept,
            locked,
            too_large,
            small_groups,
            newly_eligible,
            unexplained,
        } = self;
        [
            (held, "under a legal hold"),
            (kept, "kept by a duty"),
            (locked, "stayed locked by the application"),
            (too_large, "with too much hanging on them"),
            (small_groups, "in small groups"),
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

impl Progress {
    /// Of what has told nothing yet.
    pub const BEGUN: Self = Self {
        phase: Phase::Connecting,
        rule: None,
        done: 0,
        planned: 0,
        rate: 0,
        waiting: None,
    };
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
