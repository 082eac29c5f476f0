//! What a search of all texts has found of a person after the erasure: where, and in how many rows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Columns, or tables, that are named of one database at the most.
pub const MAX_RESIDUE: usize = 64;

/// Where a person's identifiers are still found in one database. Names and counts; never a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResidueStatus {
    /// The columns in which they are, those with the most rows first. What a duty or a hold keeps, and
    /// what is another person's who has the same, is among it.
    #[serde(default)]
    #[schemars(length(max = MAX_RESIDUE), extend("x-kubernetes-list-type" = "atomic"))]
    pub found: Vec<ResidueCount>,
    /// Tables that could not be searched: the user may not read them, or it would have taken longer than
    /// a statement may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_RESIDUE), inner(length(max = 140)), extend("x-kubernetes-list-type" = "atomic"))]
    pub not_searched: Vec<String>,
    /// How many of both are left out here.
    #[serde(default)]
    pub left_out: i64,
}

/// A column in which identifiers are still found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResidueCount {
    /// The table.
    #[schemars(length(max = 140))]
    pub table: String,
    /// The column.
    #[schemars(length(max = 64))]
    pub column: String,
    /// Rows.
    #[schemars(range(min = 1))]
    pub rows: i64,
}

impl ResidueStatus {
    /// What was found, the most first, as much of it as is told.
    pub fn of(mut found: Vec<ResidueCount>, mut not_searched: Vec<String>) -> Self {
        let count = |found: usize| i64::try_from(found).unwrap_or(i64::MAX);
        found.sort_by(|a, b| {
            b.rows
                .cmp(&a.rows)
                .then_with(|| (&a.table, &a.column).cmp(&(&b.table, &b.column)))
        });
        not_searched.sort();
        let all = count(found.len()) + count(not_searched.len());
        found.truncate(MAX_RESIDUE);
        not_searched.truncate(MAX_RESIDUE);
        let told = count(found.len()) + count(not_searched.len());
        Self {
            found,
            not_searched,
            left_out: all - told,
        }
    }
}
