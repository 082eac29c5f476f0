//! What it means that the ledger of a database is behind.
//!
//! Rows and evidence commit in one transaction (P2). So a database that lacks the evidence of an erasure
//! lacks the erasure, whether an old backup was restored or a failover lost the last commits, and it has
//! to be applied again; nothing else tells the two apart, and nothing else needs to. What lacks no
//! erasure has lost commits of retention only: those rows are found by their rules again, and it is for a
//! person to accept (`Rewound`).
//!
//! Owns that decision. Where the ledger has all that is remembered, erased identifiers came by themselves
//! or by an import, and the map decides.

use std::collections::BTreeSet;

use crate::ledger::{ErasedAt, Rewound};
use crate::name::TableName;

/// Rows that hold an identifier which a request has erased.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reappeared {
    /// The request's UID.
    pub request: String,
    /// Where the identifier stands.
    pub at: ErasedAt,
    /// The table.
    pub table: TableName,
    /// How many rows.
    pub rows: i64,
}

/// What is remembered elsewhere of an erasure that was completed in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The request.
    pub request: String,
    /// The heads of the evidence chain after its runs there.
    pub heads: Vec<String>,
    /// Whether anything still leads to the person: digests that have not ended, or a Secret.
    pub findable: bool,
}

/// What is the case with a database whose ledger is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It has lost commits, and no erasure among them: a person accepts the ledger as it is.
    Rewound,
    /// It has lost erasures: they are applied again before retention goes on.
    Restored {
        /// Requests that are applied again.
        again: BTreeSet<String>,
        /// Requests of which nothing leads to the person any more: only a new one finds them.
        forgotten: BTreeSet<String>,
    },
}

impl Restored {
    /// What follows from what is remembered, and from what the ledger lacks of it.
    pub fn of(completed: &[Completed], rewound: &Rewound) -> Self {
        let (mut again, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
        let lost = |erasure: &&Completed| erasure.heads.iter().any(|h| rewound.lost.contains(h));
        for erasure in completed.iter().filter(lost) {
            let to = if erasure.findable {
                &mut again
            } else {
                &mut forgotten
            };
            to.insert(erasure.request.clone());
        }
        if again.is_empty() && forgotten.is_empty() {
            return Self::Rewound;
        }
        Self::Restored { again, forgotten }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(request: &str, head: &str, findable: bool) -> Completed {
        Completed {
            request: request.to_owned(),
            heads: vec!["earlier".to_owned(), head.to_owned()],
            findable,
        }
    }

    fn behind(lost: &[&str]) -> Rewound {
        Rewound {
            head: "found".to_owned(),
            lost: lost.iter().map(|head| (*head).to_owned()).collect(),
        }
    }

    #[test]
    fn lost_commits_without_an_erasure_are_for_a_person_to_accept() {
        let done = [erasure("a", "h1", true)];
        assert_eq!(Restored::of(&done, &behind(&["h2"])), Restored::Rewound);
        assert_eq!(Restored::of(&[], &behind(&["h2"])), Restored::Rewound);
    }

    #[test]
    fn lost_erasures_are_applied_again_and_forgotten_ones_are_named() {
        let done = [
            erasure("a", "h1", true),
            erasure("b", "h2", true),
            erasure("c", "h3", false),
        ];
        assert_eq!(
            Restored::of(&done, &behind(&["h2", "h3"])),
            Restored::Restored {
                again: BTreeSet::from(["b".to_owned()]),
                forgotten: BTreeSet::from(["c".to_owned()]),
            }
        );
    }
}
