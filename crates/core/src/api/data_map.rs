//! DataMap (`odm`): where persons are in one database, what must be kept of its tables, and how their
//! columns are treated. Fields, their manual, and the status; what is about persons is in `people`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::people::{
    DecisionSpec, ElsewhereSpec, MAX_ELSEWHERE, MAX_ROLES, MAX_WAYS, MapKeySpec, ReachSpec,
    ReappearedName, ReviewName, SubjectRoleSpec, UnclassifiedName,
};
use super::refs::DatabaseRef;
use super::rule::{ConstantSpec, GeneraliseDateSpec, GeneraliseNumberSpec, StrategyName};
use super::since::EpochUnit;
use super::status::conditions_schema;
use super::target_database::UsableFromSpec;
use super::words::{Choice, words};
use crate::period::Period;

/// Tables of one map at the most.
pub const MAX_TABLES: usize = 64;
/// Columns of one table at the most.
pub const MAX_COLUMNS: usize = 64;
/// Duties of one table at the most.
pub const MAX_DUTIES: usize = 8;
/// Clocks of one duty at the most.
pub const MAX_CLOCKS: usize = 4;
/// Policies that the status names at the most.
pub const MAX_BOUND: usize = 32;

/// What must be kept, and how columns are treated. A duty binds every policy on the database, whoever
/// writes it and wherever it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataMapSpec {
    /// The TargetDatabase. In another namespace only where its `usableFrom` allows it. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "databaseRef is immutable: create another DataMap"
    }]))]
    pub database_ref: Option<DatabaseRef>,
    /// From which namespaces ErasureRequests may use the map. Default: its own only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_from: Option<UsableFromSpec>,
    /// The roles in which persons are in the database. Left out: the map says what must be kept, and
    /// nobody is looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ROLES), extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Option<Vec<SubjectRoleSpec>>,
    /// The tables. Names are unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = MAX_TABLES),
        extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = [{
                "rule": "self.all(x, self.exists_one(y, y.name == x.name))",
                "message": "names of tables must be unique"
            }]
        )
    )]
    pub tables: Option<Vec<MappedTableSpec>>,
    /// Places outside the database where the persons' data is, too: each is told, or somebody confirms
    /// that it is done, before a request is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ELSEWHERE), extend("x-kubernetes-list-type" = "atomic"))]
    pub elsewhere: Option<Vec<ElsewhereSpec>>,
    /// What is done about tables that hang on a person's rows, and columns of rows that stay, of which
    /// the map says nothing. Refuse: no request is carried out. Report: the plan names them.
    /// Default: Refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Refuse"))]
    pub unclassified: Option<Choice<UnclassifiedName>>,
    /// Whether, after an erasure, all texts and JSON documents of the database are searched for what the
    /// person is known by, tables that no map names among them. Each table is read once as a whole, for a
    /// minute at the most; columns and numbers of rows are told, and nothing is changed. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub residue_scan: Option<bool>,
    /// What is done when a row holds an identifier again that a request has erased: the person was
    /// imported once more, or has come back by themselves. Report: the request tells it (`Reappeared`).
    /// EraseAgain: the request is carried out once more, on the approval that it had. What a restored
    /// backup brings back is erased again whatever stands here. Default: Report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Report"))]
    pub reappeared: Option<Choice<ReappearedName>>,
    /// The key of the strategy Pseudonym, where requests need it. Policies bring their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pseudonym_key: Option<MapKeySpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MappedTableSpec {
    /// By which messages name the entry. Example: `enrolments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: Option<String>,
    /// The table, qualified as in a policy. Several entries may be about one table, each with ways of
    /// its own; only one of them may say what must be kept. Example: `public.enrolments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// The ways that lead to a person's rows. Left out: none do, and requests pass the table by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_WAYS), extend("x-kubernetes-list-type" = "atomic"))]
    pub reached_by: Option<Vec<ReachSpec>>,
    /// What becomes of these rows when the person asks for erasure. Required with `reachedBy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionSpec>,
    /// What the rows are used for. A request that is only about some purposes takes the row where these
    /// are all among them; otherwise columns whose purposes are. Example: `[marketing]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub purposes: Option<Vec<String>>,
    /// What its columns are for, and how they are treated in a row that stays, or of which only a part
    /// must be kept. A column that is named without a strategy stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_COLUMNS), extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Option<Vec<MappedColumnSpec>>,
    /// What must be kept, and until when. Where several duties are about a row, each keeps what it
    /// names until it ends: the longest wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_DUTIES), extend("x-kubernetes-list-type" = "atomic"))]
    pub must_keep: Option<Vec<DutySpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MappedColumnSpec {
    /// The column. Example: `full_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// What it is used for. A request that is only about some purposes transforms the column where all
    /// of these are among them. Example: `[support]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub purposes: Option<Vec<String>>,
    /// On which ground it is held, for whoever reads the map. Example: `Consent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub basis: Option<String>,
    /// Human: it may say something of the person that no program recognises. Where a request leaves
    /// such rows, somebody confirms that they were looked at before it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Choice<ReviewName>>,
    /// What happens to it when its row has expired and a duty keeps only other columns, or when a
    /// request leaves the row: the same strategies as in a policy's Anonymise; Pseudonym takes the key
    /// of the policy, or of the map. Left out: a policy that would need it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Choice<StrategyName>>,
    /// For Constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantSpec>,
    /// For GeneraliseDate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generalise_date: Option<GeneraliseDateSpec>,
    /// For GeneraliseNumber.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generalise_number: Option<GeneraliseNumberSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What must be kept of a table's rows, and until when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.against) || !self.against.exists(x, x == 'Erasure') || has(self.ground)",
    "message": "a duty against Erasure needs its ground in Art. 17(3), such as ground: Art17_3_b"
}]))]
pub struct DutySpec {
    /// The columns that must be kept. The others go when the row has expired, by the strategies in
    /// `columns` of the table; key columns, the dates of duties and the columns by which the policy
    /// finds the row stay, too. Left out: the whole row. Example: `[uln, course, ended_on]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_COLUMNS), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub columns: Option<Vec<String>>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub until: Option<UntilSpec>,
    /// What it stands against. Expiry: policies keep what it names. Erasure: so do requests of persons.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 2), extend("x-kubernetes-list-type" = "atomic"))]
    pub against: Option<Vec<Choice<AgainstName>>>,
    /// The ground in Art. 17(3) GDPR. Required against Erasure; a duty by contract or own decision has
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground: Option<Choice<GroundName>>,
    /// The statute or contract that asks for it, never the notice. Example:
    /// `Education Act 1996, s. 537A`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 512))]
    pub law: Option<String>,
    /// Whether a person who asks for erasure is told of it. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell_subject: Option<bool>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// When a duty ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UntilSpec {
    /// It ends when all of these have passed. A row in which one of them is NULL, or no date that
    /// anybody can mean, is kept; such rows are counted and shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_CLOCKS), extend("x-kubernetes-list-type" = "atomic"))]
    pub latest_of: Option<Vec<DutyClockSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

fn clock_rules() -> Value {
    json!([
        {
            "rule": "!(has(self.unit) && has(self.timeZone))",
            "message": "unit is for integer columns and timeZone for columns without a zone: write one of them"
        },
        {
            "rule": "!has(self.plus) || self.plus.matches('[1-9]')",
            "message": "plus is a period greater than zero, such as P6Y"
        }
    ])
}

/// A period after a date in the row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = clock_rules()))]
pub struct DutyClockSpec {
    /// The column of the table that holds the date or time. Example: `ended_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// How long after it, as a calendar period. It is counted in the time zone of the policy that it
    /// binds. Example: `P6Y`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(max = 40), regex(pattern = Period::PATTERN))]
    pub plus: Option<String>,
    /// For integer columns, and required there: what one unit since 1970-01-01 00:00 UTC is.
    /// Seconds, Milliseconds, Microseconds or Days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Choice<EpochUnit>>,
    /// For columns that hold a date with time but no zone, and required there: the zone in which the
    /// application writes them. Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Readings before this are implausible: the duty has not ended. A date or an RFC 3339 instant.
    /// Default: 1970-01-02. Example: `1900-01-01`, for dates of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 40))]
    pub not_before: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What a duty stands against.
    pub enum AgainstName {
        /// What policies do to expired rows.
        Expiry,
        /// A person's request.
        Erasure,
    }
}

/// The grounds of Art. 17(3) GDPR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroundName {
    /// Freedom of expression and information.
    A,
    /// A legal obligation, or a task in the public interest.
    B,
    /// Public health.
    C,
    /// Archiving, research, statistics.
    D,
    /// Legal claims.
    E,
}

impl super::words::Word for GroundName {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::A, "Art17_3_a"),
        (Self::B, "Art17_3_b"),
        (Self::C, "Art17_3_c"),
        (Self::D, "Art17_3_d"),
        (Self::E, "Art17_3_e"),
    ];
}

/// What is known of a map. Counts and names only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DataMapStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, and while they hold Reconciling and Stalled. docs/reasons.md explains every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that was last found to fit the tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_generation: Option<i64>,
    /// Tables that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<i64>,
    /// Duties in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duties: Option<i64>,
    /// Policies on the database, as `namespace/name`: all of them are bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_BOUND), inner(length(max = 320)), extend("x-kubernetes-list-type" = "atomic"))]
    pub bound_policies: Vec<String>,
    /// How many of them are not named here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_policies_left_out: Option<i64>,
}
