//! What starts the period of a rule's rows, as people write it. What it means is
//! `crate::policy::Expiry`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lookup::{LookupMatchSpec, MAX_TESTS, ViaSpec};
use super::rule::TestSpec;
use super::words::{Choice, words};

fn since_rules() -> Value {
    json!([
        unit_or_zone(),
        {
            "rule": "(has(self.column) ? 1 : 0) + (has(self.latest) ? 1 : 0) + (has(self.parent) ? 1 : 0) == 1",
            "message": "write one of column, latest and parent"
        },
        {
            "rule": "has(self.column) || !(has(self.unit) || has(self.timeZone) || has(self.notBefore))",
            "message": "unit, timeZone and notBefore say how a column is read: write them beside it"
        },
        {
            "rule": "!has(self.latest) || has(self.otherwise)",
            "message": "latest needs otherwise: the column of the rule's table that counts where there is no such row"
        },
        {
            "rule": "!has(self.column) || !has(self.otherwise)",
            "message": "otherwise is for latest and parent"
        }
    ])
}

fn unit_or_zone() -> Value {
    json!({
        "rule": "!(has(self.unit) && has(self.timeZone))",
        "message": "unit is for integer columns and timeZone for columns without a zone: write one of them"
    })
}

/// What starts a row's period: a column of its own, the newest of the rows that belong to it, or an
/// event of a parent row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = since_rules()))]
pub struct SinceSpec {
    /// The column of the rule's table that holds the date or time from which the period runs. A row
    /// in which it is NULL is never eligible; such rows are counted and shown. Example: `enquired_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub column: Option<String>,
    /// For integer columns, and required there: what one unit since 1970-01-01 00:00 UTC is.
    /// Seconds, Milliseconds, Microseconds or Days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Choice<EpochUnit>>,
    /// For columns that hold a date with time but no zone (PostgreSQL `timestamp`, MySQL
    /// `datetime`), and required there: the zone in which the application writes them.
    /// Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Readings before this are implausible (placeholders such as 0000-00-00 or 1900-01-01): such
    /// rows are counted and shown, and never eligible. A date or an RFC 3339 instant.
    /// Default: 1970-01-02. Example: `2005-01-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 40))]
    pub not_before: Option<String>,
    /// Instead of `column`: the newest of the rows of another table that belong to the row. One of
    /// them without a date is a matter that is still open, and the row is not eligible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<EventSpec>,
    /// Instead of `column`: an event of the row's parent. Without a date there, or without a parent
    /// and `otherwise`, the row is not eligible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<EventSpec>,
    /// For `latest` (required) and `parent`: the column of the rule's table that counts where there is
    /// no such row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<ReadingSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// An event in rows of another table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [unit_or_zone()]))]
pub struct EventSpec {
    /// The table of the rows, named as in the rule's `table`. Example: `public.enrolments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// The columns by which they belong to the row; all must match. NULL matches nothing.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Option<Vec<LookupMatchSpec>>,
    /// A table between the two. `match` then leads from its rows to those of `table`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<ViaSpec>,
    /// Which of the rows count; all entries must hold. Left out: all rows.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TESTS), extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Option<Vec<TestSpec>>,
    /// Their column that holds the date or time. Example: `ended_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// For integer columns, and required there: what one unit since 1970-01-01 00:00 UTC is.
    /// Seconds, Milliseconds, Microseconds or Days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Choice<EpochUnit>>,
    /// For columns that hold a date with time but no zone (PostgreSQL `timestamp`, MySQL
    /// `datetime`), and required there: the zone in which the application writes them.
    /// Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Readings before this are implausible (placeholders such as 0000-00-00 or 1900-01-01): such
    /// rows are counted and shown, and never eligible. A date or an RFC 3339 instant.
    /// Default: 1970-01-02. Example: `2005-01-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 40))]
    pub not_before: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A column of the rule's table that holds a date or time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [unit_or_zone()]))]
pub struct ReadingSpec {
    /// The column. A row in which it is NULL is not eligible. Example: `created_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// For integer columns, and required there: what one unit since 1970-01-01 00:00 UTC is.
    /// Seconds, Milliseconds, Microseconds or Days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Choice<EpochUnit>>,
    /// For columns that hold a date with time but no zone (PostgreSQL `timestamp`, MySQL
    /// `datetime`), and required there: the zone in which the application writes them.
    /// Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Readings before this are implausible (placeholders such as 0000-00-00 or 1900-01-01): such
    /// rows are counted and shown, and never eligible. A date or an RFC 3339 instant.
    /// Default: 1970-01-02. Example: `2005-01-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 40))]
    pub not_before: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A fixed day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpireOnSpec {
    /// From when on. A date, which begins in the policy's time zone, or an RFC 3339 instant.
    /// Example: `2018-07-01`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 10, max = 40))]
    pub instant: Option<String>,
    /// When a row was last changed: only rows that were changed before the day are meant, so that
    /// what somebody says from that day on stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub changed_before: Option<ReadingSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What one unit of an integer clock is.
    pub enum EpochUnit {
        /// Seconds.
        Seconds,
        /// Milliseconds.
        Milliseconds,
        /// Microseconds.
        Microseconds,
        /// Days.
        Days,
    }
}
