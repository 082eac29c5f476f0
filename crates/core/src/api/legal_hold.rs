//! LegalHold (`olh`): rows, or a person whose rows, nobody may change until somebody releases them.
//! Fields, their manual, and the status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::erasure_request::{MAX_MAPS, MapRef};
use super::refs::{DatabaseRef, KeyRef, SecretRef};
use super::status::conditions_schema;
use super::words::{Choice, words};

/// Conditions of one hold at the most.
pub const MAX_TESTS: usize = 8;
/// Longest reference of a matter.
pub const MAX_REASON: usize = 64;
/// What a reference of a matter may look like: no free text, because specs are read by many.
pub const REASON_PATTERN: &str = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$";
/// Longest name of a user.
pub const MAX_USER: usize = 256;

/// What is held, by whose word, and how it ends. Only `reviewAt` and, once, `release` can be changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(oldSelf.release) || (has(self.release) && self.release == oldSelf.release)",
        "message": "release is written once: create another LegalHold to hold the rows again"
    },
    {
        "rule": "has(self.rows) == (self.type == 'Rows') && has(self.subject) == (self.type == 'Subject')",
        "message": "type: Rows needs rows, type: Subject needs subject, and neither takes the other"
    },
    {
        "rule": "has(self.rows) == has(oldSelf.rows) && has(self.subject) == has(oldSelf.subject)",
        "message": "what is held is immutable: create another LegalHold"
    }
]))]
pub struct LegalHoldSpec {
    /// What is held. Rows: rows of one table. Subject: a person, with all that the DataMaps say is
    /// theirs. Immutable.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    #[schemars(required, extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "type is immutable: create another LegalHold"
    }]))]
    pub kind: Option<Choice<HoldType>>,
    /// For type Rows: which rows. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "rows is immutable: create another LegalHold, and release this one"
    }]))]
    pub rows: Option<HeldRowsSpec>,
    /// For type Subject: which person. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "subject is immutable: create another LegalHold, and release this one"
    }]))]
    pub subject: Option<HeldSubjectSpec>,
    /// The reference of the matter: letters, digits and `. _ / -`, nothing about a person.
    /// Example: `LIT-2026-014`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = MAX_REASON),
        regex(pattern = REASON_PATTERN),
        extend("x-kubernetes-validations" = [{
            "rule": "self == oldSelf",
            "message": "reason is immutable"
        }])
    )]
    pub reason: Option<String>,
    /// Who places the hold: the name under which they are known to the cluster, which the admission
    /// policy of the chart checks. Example: `jane`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = MAX_USER),
        extend("x-kubernetes-validations" = [{
            "rule": "self == oldSelf",
            "message": "placedBy is immutable"
        }])
    )]
    pub placed_by: Option<String>,
    /// When somebody is to ask whether the hold is still needed. From then on the condition ReviewDue
    /// is True; the hold itself stays in force. Example: `2027-06-30T00:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub review_at: Option<Timestamp>,
    /// Ends the hold: the only thing that does. Deleting the object does not. Written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What is held.
    pub enum HoldType {
        /// Rows of one table.
        Rows,
        /// A person.
        Subject,
    }
}

/// A person, and through which DataMaps they are found. Every run of a policy or of an ErasureRequest
/// looks for them anew; none changes a row that is theirs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldSubjectSpec {
    /// A Secret of type `oubliette.dev/subject`, immutable, in the hold's namespace. Its keys are names
    /// of identifiers in the DataMaps. What is in it is kept in the ledgers until the release; once the
    /// hold is Active, the Secret can be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<SecretRef>,
    /// Only these DataMaps. Left out: every one of the hold's namespace, and those of the namespaces that the
    /// operator's settings name (`mapNamespaces`), as far as their owners let it use them (`usableFrom`), also
    /// those that come later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_MAPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub data_map_refs: Option<Vec<MapRef>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Rows of one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRowsSpec {
    /// The TargetDatabase. In another namespace only where its `usableFrom` allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub database_ref: Option<DatabaseRef>,
    /// The table, qualified as in a policy. A row of another table on which a held row hangs by a
    /// policy's `related` is kept, too. Example: `public.learners`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// Which rows; all must hold. What cannot be compared because it is NULL counts as held.
    #[serde(skip_serializing_if = "Option::is_none", rename = "where")]
    #[schemars(required, length(min = 1, max = MAX_TESTS), extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Option<Vec<HoldConditionSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One test of one column. Values say whom a matter is about: they come from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.operator == 'In' ? has(self.valuesFrom) : !has(self.valuesFrom)",
    "message": "In needs valuesFrom; IsNull and IsNotNull take none"
}]))]
pub struct HoldConditionSpec {
    /// The column. Example: `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// In: equal to one of the values, byte by byte. IsNull, IsNotNull.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub operator: Option<Choice<HoldOperatorName>>,
    /// For In: the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values_from: Option<ValuesFromSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What a column is tested for.
    pub enum HoldOperatorName {
        /// Equal to one of the values.
        In,
        /// NULL.
        IsNull,
        /// Not NULL.
        IsNotNull,
    }
}

/// Where values come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFromSpec {
    /// A key of a Secret of type Opaque in the hold's namespace: one value for each line, or a JSON
    /// list where it begins with `[`; at most 1000. It is read once, when the hold is accepted; the
    /// values are then in the ledger until the release, and the Secret can be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<KeyRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The end of a hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// The reference of the decision, in the same form as the hold's. Example: `LIT-2026-014/closed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_REASON), regex(pattern = REASON_PATTERN))]
    pub reason: Option<String>,
    /// Who releases it: the name under which they are known to the cluster, which the admission
    /// policy of the chart checks. Example: `jane`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_USER))]
    pub by: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What is known of a hold. Counts and instants only; never a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LegalHoldStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready; Active, True from the commit that put the hold in force until the release; ReviewDue,
    /// once `reviewAt` has passed; and while they hold Reconciling and Stalled. docs/reasons.md
    /// explains every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Since when the hold is in force: nothing that it holds was changed after this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// Rows of the table that the hold fitted when it was accepted, or that were the person's in all
    /// tables then. Left out where they could not be counted within 20 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_rows: Option<i64>,
    /// For type Subject: the databases in whose ledgers the hold is, each as namespace/name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MAPS), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub databases: Vec<String>,
    /// How the hold ended; left out while it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<ReleasedStatus>,
}

/// The end of a hold, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedStatus {
    /// When: from then on runs may take the rows.
    pub at: Timestamp,
    /// Who released it.
    #[schemars(length(max = 512))]
    pub by: String,
    /// The reference of the decision.
    #[schemars(length(max = 128))]
    pub reason: String,
}
