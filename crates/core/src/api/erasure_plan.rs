//! ErasurePlan (`oep`): what is planned for one ErasureRequest, table by table. An object of its own,
//! with rights of its own, because in which tables a person is already says something about them. The
//! operator writes it; nobody else does.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_map::{GroundName, MAX_TABLES};
use super::erasure_request::MAX_MAPS;
use super::people::MAX_ROLES;
use super::rule::RelatedActionType;
use super::words::{Choice, words};
use crate::digest::Digest;

/// Duties, holds and related tables of one entry at the most.
pub const MAX_KEPT: usize = 64;
/// Tables and columns without a decision that are named at the most.
pub const MAX_UNCLASSIFIED: usize = 256;

/// What is planned for one person. Counts and names only; never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasurePlanSpec {
    /// The request.
    pub request_ref: RequestRef,
    /// What is approved: `status.plan.digest` of the request.
    #[schemars(with = "String", length(max = 128))]
    pub digest: Digest,
    /// When it was made.
    pub as_of: Timestamp,
    /// Each database in which the person was looked for.
    #[serde(default)]
    #[schemars(length(max = MAX_MAPS), extend("x-kubernetes-list-type" = "atomic"))]
    pub databases: Vec<PlannedDatabase>,
}

/// An ErasureRequest in the plan's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its `metadata.uid`: the plan is not that of a later request of the same name.
    #[schemars(length(max = 63))]
    pub uid: String,
}

/// What is planned in one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedDatabase {
    /// Namespace and name of the DataMap.
    #[schemars(length(max = 320))]
    pub map: String,
    /// Namespace and name of the TargetDatabase.
    #[schemars(length(max = 320))]
    pub database: String,
    /// In which roles the person was found.
    #[serde(default)]
    #[schemars(length(max = MAX_ROLES), extend("x-kubernetes-list-type" = "atomic"))]
    pub found: Vec<FoundRole>,
    /// What becomes of the rows, an element for each entry of the map that has any.
    #[serde(default)]
    #[schemars(length(max = MAX_TABLES), extend("x-kubernetes-list-type" = "atomic"))]
    pub tables: Vec<PlannedTable>,
    /// Tables that hang on the person's rows and columns of rows that stay, of which the map says
    /// nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_UNCLASSIFIED), inner(length(max = 256)), extend("x-kubernetes-list-type" = "atomic"))]
    pub unclassified: Vec<String>,
}

/// A role in which the person was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundRole {
    /// Its name in the map.
    #[schemars(length(max = 63))]
    pub role: String,
    /// Rows that are the person.
    #[schemars(range(min = 0))]
    pub rows: i64,
}

/// What becomes of the rows of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedTable {
    /// The entry in the map.
    #[schemars(length(max = 63))]
    pub entry: String,
    /// Its table.
    #[schemars(length(max = 140))]
    pub table: String,
    /// Delete: rows go. Transform: columns of rows that stay are changed.
    pub effect: Choice<PlannedEffect>,
    /// Rows that this befalls, those that are kept in part among them.
    #[schemars(range(min = 0))]
    pub rows: i64,
    /// What duties keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_KEPT), extend("x-kubernetes-list-type" = "atomic"))]
    pub kept: Vec<PlannedKeep>,
    /// What legal holds keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_KEPT), extend("x-kubernetes-list-type" = "atomic"))]
    pub held: Vec<PlannedHold>,
    /// Rows of other tables that go or change with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_KEPT), extend("x-kubernetes-list-type" = "atomic"))]
    pub related: Vec<PlannedRelated>,
}

words! {
    /// What becomes of a person's rows.
    pub enum PlannedEffect {
        /// They go.
        Delete,
        /// Columns are changed.
        Transform,
    }
}

/// What a duty keeps of an entry's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKeep {
    /// Which duty: the map, its entry and the duty's number there.
    #[schemars(length(max = 400))]
    pub duty: String,
    /// The statute or contract that asks for it.
    #[schemars(length(max = 512))]
    pub law: String,
    /// The ground in Art. 17(3) GDPR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Choice<GroundName>>,
    /// Rows that it keeps, in part or whole.
    #[schemars(range(min = 0))]
    pub rows: i64,
    /// When it ends for the last of them whose end is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Rows of which no end is known, because a date is missing.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub open_ended: i64,
    /// Whether the person is told of it.
    pub tell_subject: bool,
}

/// What a legal hold keeps of an entry's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedHold {
    /// Namespace and name of the LegalHold.
    #[schemars(length(max = 320))]
    pub hold: String,
    /// Rows that it keeps.
    #[schemars(range(min = 0))]
    pub rows: i64,
}

/// Rows of another table that go or change with those of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRelated {
    /// The table.
    #[schemars(length(max = 140))]
    pub table: String,
    /// Delete, Anonymise, Detach or Seal.
    pub effect: Choice<RelatedActionType>,
    /// Its rows.
    #[schemars(range(min = 0))]
    pub rows: i64,
}
