//! `kAnonymity` and `assessment` of an Anonymise action as people write them. What they mean is
//! `crate::groups::Promise`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words::{Choice, words};

/// Most quasi-identifiers of one rule.
pub const MAX_QUASI_IDENTIFIERS: usize = 16;
/// The least and the greatest size that can be asked of a group: of a single row everybody is told
/// apart, and nobody needs more than the other.
pub const SIZES: (i64, i64) = (2, 10_000);
/// What the name of an assessment looks like.
pub const REFERENCE: &str = r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$";

/// The check for small groups. Anonymised rows that have the same values in all of the
/// `quasiIdentifiers` are one group; values are compared byte by byte, and NULL is a value of its own.
///
/// Counted are the rows of the table that the rule's clock, `where`, `onlyIf` and `unless` mean as
/// they are now, and of these two sorts: rows that this run would change, with their values as the
/// strategies will make them; and rows whose columns all have that form already, because an earlier
/// run changed them. Not counted, because they still carry what they are recognised by or will not be
/// there: rows that have not expired, rows under a legal hold that still have to be changed, and rows
/// that a Delete rule of the same policy takes.
///
/// What is guaranteed: no row is changed whose group, counted when the rule's turn came, was smaller
/// than k. What is only detected: a group that becomes smaller while the run is under way, because
/// rows of it are renewed, deleted, held or stay locked before they are changed. After its last change
/// the rule counts anew what stands in the table, and a group smaller than k to which it has added a
/// row ends the run as failed with the reason GroupsShrank and the numbers. A run that does not come
/// to its end is not counted; the next plan counts again. Groups that shrink later, because the
/// application or another rule deletes rows, are shown by the next plan and are not refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KAnonymitySpec {
    /// Columns by which somebody could be recognised together: what is left of a birthday, a postcode,
    /// a course. Those that the rule transforms count with what they become, the others as they are. A
    /// column under Pseudonym, of the key, or computed by the database is refused. Example:
    /// `[born_on, postcode]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = MAX_QUASI_IDENTIFIERS), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub quasi_identifiers: Option<Vec<String>>,
    /// Fewest rows of a group. Example: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, range(min = SIZES.0, max = SIZES.1))]
    pub k: Option<i64>,
    /// What happens where a group would be smaller. Refuse: the plan is refused whole, with numbers and
    /// without values. Leave: the rows of such groups are left as they are, counted, and go with the run
    /// in which their group has grown. Default: Refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Choice<BelowWord>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What happens where a group would be smaller than k.
    pub enum BelowWord {
        /// The plan is refused.
        Refuse,
        /// Their rows are left.
        Leave,
    }
}

/// Who found, and where it is written down, that nobody can be identified any more by what the rule
/// leaves of a row. The program does not judge it: with it, and where the check for small groups finds
/// none, status and evidence say Anonymised instead of Masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssessmentSpec {
    /// Where it is written down: a number or path in your own records, without blanks. Example:
    /// `DPIA-2026-007`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 128), regex(pattern = REFERENCE))]
    pub reference: Option<String>,
    /// Whose it is: a user name or an office. Example: `dpo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 128))]
    pub by: Option<String>,
    /// The day on which it was made. Example: `"2026-03-01"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(max = 10),
        regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    )]
    pub date: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}
