//! Holds on a plan's tables that were released: an approval that is older than a release did not reckon
//! with the rows that may go since. Holds are no part of the digest, so this is said beside it.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use super::draft::{Draft, RuleDraft};
use super::hold::concerns;
use crate::catalog::Catalog;
use crate::ledger::HoldRow;
use crate::name::TableName;
use crate::report::Loosened;

/// Releases that a plan names, the newest first: whoever is older than one of them is older than it.
const NAMED: usize = 16;

impl Draft {
    /// The releases of holds on its tables. `ahead`: the database's clock, by which they are entered,
    /// minus ours.
    pub fn loosened(&self, holds: &[HoldRow], ahead: SignedDuration) -> Vec<Loosened> {
        loosened(&self.rules, &self.catalog, holds, ahead)
    }
}

fn loosened(
    rules: &[RuleDraft],
    catalog: &Catalog,
    holds: &[HoldRow],
    ahead: SignedDuration,
) -> Vec<Loosened> {
    let touches = |held: &TableName| {
        rules.iter().any(|rule| {
            let below = rule.nodes.iter().map(|node| &node.depth.table);
            std::iter::once(&rule.change.window.table)
                .chain(below)
                .any(|table| concerns(catalog, held, table))
        })
    };
    let mut all: Vec<Loosened> = holds
        .iter()
        // What cannot be read is taken for one of ours.
        .filter(|hold| hold.table.parse().map_or(true, |held| touches(&held)))
        .filter_map(|hold| {
            let at: Option<Timestamp> = hold.released.as_ref()?.at.parse().ok();
            let at = at.and_then(|at| at.checked_sub(ahead).ok());
            Some(Loosened {
                hold: hold.name.clone(),
                at: at.unwrap_or(Timestamp::MAX),
            })
        })
        .collect();
    all.sort_by(|a, b| (Reverse(a.at), &a.hold).cmp(&(Reverse(b.at), &b.hold)));
    all.truncate(NAMED);
    all
}
