//! Approval (`oap`): one person's decision about one plan. Fields and their manual; it has no status:
//! what approvals came to stands in the status of what they are about.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{Choice, words};

/// How a reference to where the reasons are kept is written: no free text, which could hold anything.
const GROUND: &str = "^[A-Za-z0-9][A-Za-z0-9._:/#-]*$";

/// One person's decision about one plan. Immutable: another decision is another Approval, and who
/// takes one back deletes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self == oldSelf",
        "message": "an Approval is immutable: delete it, or create another one"
    },
    {
        "rule": "self.decision != 'Approve' || has(self.maxRows)",
        "message": "who approves says how many rows may be changed at the most: write maxRows"
    }
]))]
pub struct ApprovalSpec {
    /// What is decided about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub target_ref: Option<ApprovalTargetSpec>,
    /// Approve: the plan may be carried out. Reject: it may not. RequestChanges: not as it is. Of
    /// several by one person about one plan the newest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub decision: Option<Choice<Decision>>,
    /// Where the reasons are kept: the number of a ticket or record. Example: `CHG-1042`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = GROUND))]
    pub ground: Option<String>,
    /// The plan: `status.plan.digest` of the target. Another plan needs another Approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub plan_digest: Option<String>,
    /// For Approve: most rows that each run of this plan may change, related rows among them. A run
    /// that would change more is refused whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_rows: Option<i64>,
    /// Who decides: the name of the user as the API server knows it. The chart's admission policies
    /// see to it that it is the user who creates the Approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 512))]
    pub by: Option<String>,
    /// What this version does not know. An approval with such a field does not count.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What an Approval is about, in its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTargetSpec {
    /// RetentionPolicy or ErasureRequest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub kind: Option<Choice<TargetKind>>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Its `metadata.uid`: an Approval does not hold for a later resource of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 63))]
    pub uid: Option<String>,
    /// What this version does not know. An approval with such a field does not count.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What somebody decided.
    pub enum Decision {
        /// It may be carried out.
        Approve,
        /// It may not.
        Reject,
        /// Not as it is.
        RequestChanges,
    }
}

words! {
    /// What can be approved.
    pub enum TargetKind {
        /// The plan of a policy.
        RetentionPolicy,
        /// The plan of a person's request.
        ErasureRequest,
    }
}
