//! `guards`: what must be the case before a run may change rows. A database's owner sets floors,
//! whoever writes policies can only tighten them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{Choice, words};

/// Floors for every policy of a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseGuardsSpec {
    /// Most rows that one run may change, related rows among them. Left out: no ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_rows: Option<i64>,
    /// Most of a rule's table that one run may change, in per cent. Left out: no ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<i32>,
    /// None: nobody is asked. Required: a run needs an Approval of its plan. FourEyes: it needs the
    /// Approvals of two different people. Default: None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Choice<ApprovalGuard>>,
    /// Required: a policy in mode Enforce runs when a dry run of the same plan was recorded before, or
    /// where approval is asked for, when the plan is approved. None: it runs without. Default: Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Choice<DryRunGuard>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What one policy asks for beyond its database's guards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyGuardsSpec {
    /// None: what the database's guards say. Required: a run needs an Approval of its plan. FourEyes:
    /// it needs the Approvals of two different people. The stricter of this and the database's counts.
    /// Default: None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Choice<ApprovalGuard>>,
    /// None: what the database's guards say. Required: a run in mode Enforce needs a recorded dry run
    /// of the same plan. The stricter of this and the database's counts. Default: None.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Choice<DryRunGuard>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// Who must agree before a run; in the order of strictness.
    pub enum ApprovalGuard {
        /// Nobody.
        None,
        /// Somebody.
        Required,
        /// Two different people.
        FourEyes,
    }
}

words! {
    /// Whether a dry run comes first; in the order of strictness.
    pub enum DryRunGuard {
        /// It need not.
        None,
        /// It must.
        Required,
    }
}
