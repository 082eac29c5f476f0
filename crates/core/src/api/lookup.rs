//! Rows of other tables that a rule looks at: which belong to a row, and which of them count. What
//! it means is `crate::policy::Lookup`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rule::TestSpec;
use super::words::{Choice, words};

/// Most entries of `unless` and of `onlyIf`.
pub const MAX_LOOKUPS: usize = 8;
/// Most tests of the rows that are looked at.
pub const MAX_TESTS: usize = 8;

/// Rows of another table that belong to a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupSpec {
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
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A table between the rule's and the one that is looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ViaSpec {
    /// The table between. Example: `public.applications`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 140))]
    pub table: Option<String>,
    /// The columns by which its rows belong to the rule's row.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub matches: Option<Vec<LookupMatchSpec>>,
    /// For clocks: what a row of this table means from which no row is reached. Open: the matter is
    /// still open, and the rule's row is not eligible. Ignored: it counts for nothing. Default: Open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_rows: Option<Choice<WithoutRows>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// What a row between means from which no row is reached.
    pub enum WithoutRows {
        /// The matter is open.
        Open,
        /// Nothing.
        Ignored,
    }
}

/// One pair of columns by which rows belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LookupMatchSpec {
    /// The column of the table that is looked at. Example: `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub column: Option<String>,
    /// The column that it equals: of the rule's table, or of `via` where `match` leads on from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub equals: Option<String>,
    /// For identifiers that are not written alike everywhere. LowercaseTrim: A to Z become small and
    /// spaces at both ends go. DigitsOnly: all but 0 to 9 goes. What is then empty matches nothing;
    /// the rest is compared byte by byte. Left out: the columns are compared as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Choice<NormaliseName>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How identifiers are made comparable.
    pub enum NormaliseName {
        /// Small letters, no spaces at the ends.
        LowercaseTrim,
        /// Digits and nothing else.
        DigitsOnly,
    }
}
