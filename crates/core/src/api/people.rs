//! The half of a DataMap that is about persons: who is found by what, which rows are theirs, and what
//! becomes of these when the person asks for erasure. What it means is `crate::people`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lookup::NormaliseName;
use super::refs::KeyRef;
use super::words::{Choice, words};

/// Roles of one map at the most.
pub const MAX_ROLES: usize = 16;
/// Identifiers of one role at the most.
pub const MAX_IDENTIFIERS: usize = 8;
/// Ways that lead to one table at the most.
pub const MAX_WAYS: usize = 8;
/// Places outside the database at the most.
pub const MAX_ELSEWHERE: usize = 32;
/// How roles, identifiers, purposes and places are called.
pub const WORD_PATTERN: &str = "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$";

/// A role in which persons are in the database: learner, referee, emergency contact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectRoleSpec {
    /// Its name; tables say from which role they are reached. Example: `learner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub role: Option<String>,
    /// The table in which a person in this role has a row. Example: `public.learners`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// By which columns a person is found. Of those that a request gives, each must fit the row, or be
    /// NULL or empty there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_IDENTIFIERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub identifiers: Option<Vec<IdentifierSpec>>,
    /// Columns of the row that are identifiers elsewhere: in another map, or in tables of this one.
    /// What is found in them is held in memory, and in the ledgers until the request has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_IDENTIFIERS), extend("x-kubernetes-list-type" = "atomic"))]
    pub leads_to: Option<Vec<LeadSpec>>,
    /// The role's rows are another person's, who named this one in them: a referee, an emergency
    /// contact. There may be several, and they are never deleted: every entry that is reached from
    /// the role needs `decision: {type: Shared}`. Default: false, then one row is one person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub in_rows_of_others: Option<bool>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A column by which a person is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentifierSpec {
    /// The identifier's name: a key in the Secret of a request. Example: `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub name: Option<String>,
    /// The column. Example: `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// How both sides are made comparable before they are compared byte by byte: LowercaseTrim (A to Z
    /// become small, spaces at both ends go) or DigitsOnly. Left out: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Choice<NormaliseName>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A column of a person's row that is an identifier elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadSpec {
    /// The identifier that it is there. Example: `learnerNumber`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub identifier: Option<String>,
    /// The column. Example: `learner_no`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One way to a person's rows in a table. Several are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.from) != has(self.identifier)",
    "message": "a way begins at a role or entry (from), or is an identifier of the table's own: write one of them"
}]))]
pub struct ReachSpec {
    /// A role of the map, or the name of another entry whose rows these hang on. Example: `learner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub from: Option<String>,
    /// The columns by which they belong together; left out: the role's own rows.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Option<Vec<ReachMatchSpec>>,
    /// The table has the identifier in a column of its own, without a row of a role: what the request
    /// gives, or what `leadsTo` found. Example: `{name: email, column: address, normalise: LowercaseTrim}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<IdentifierSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One pair of columns by which rows belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReachMatchSpec {
    /// The column of the entry's table. Example: `learner_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// The column that it equals, of the table that `from` means. Example: `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub equals: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What becomes of a person's rows in a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionSpec {
    /// Delete: they go. Anonymise: they stay, and the columns that have a strategy in `columns` are
    /// transformed. Shared: the same for rows that are another person's, too; never deleted.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    #[schemars(required)]
    pub kind: Option<Choice<DecisionName>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What becomes of a person's rows.
    pub enum DecisionName {
        /// They go.
        Delete,
        /// Columns are transformed.
        Anonymise,
        /// Columns are transformed; the row is another person's, too.
        Shared,
    }
}

words! {
    /// Who looks at a column before a request can end.
    pub enum ReviewName {
        /// A person, whose confirmation is recorded in the request.
        Human,
    }
}

words! {
    /// What is done about tables and columns without a decision.
    pub enum UnclassifiedName {
        /// No request is carried out.
        Refuse,
        /// They are named in the plan.
        Report,
    }
}

words! {
    /// What is done about a person who was erased and is in the database again.
    pub enum ReappearedName {
        /// The request tells it.
        Report,
        /// The request is carried out once more.
        EraseAgain,
    }
}

/// A place outside the database where the person's data is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.via) || (self.via == 'Manual') == has(self.owner)",
    "message": "via: Manual needs an owner, and only it takes one"
}]))]
pub struct ElsewhereSpec {
    /// Its name. Of a Webhook: that of a target in the operator's settings. Example: `mailing-list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub name: Option<String>,
    /// How it is told. Webhook: by the operator. Manual: a person does it and confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub via: Option<Choice<ViaName>>,
    /// For Manual: who does it. Example: `reception`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = WORD_PATTERN))]
    pub owner: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How a place elsewhere is told.
    pub enum ViaName {
        /// By the operator, over HTTP.
        Webhook,
        /// By a person.
        Manual,
    }
}

/// Where a key is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MapKeySpec {
    /// A key of a Secret in the map's own namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<KeyRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}
