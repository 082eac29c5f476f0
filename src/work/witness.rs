//! The engine's own count beside ours: what a transaction has changed is compared before it commits.

use std::sync::atomic::{AtomicBool, Ordering};

use oubliette_core::catalog::Engine;
use oubliette_core::plan::RuleDraft;
use oubliette_core::sql::{Bound, Witness};

use super::batch::Stop;
use crate::database::{Fault, Tx};

/// Where the engine's own count stood before a transaction changed anything.
#[derive(Clone, Copy)]
pub(super) struct Stood {
    count: Option<Witness>,
    thorough: bool,
}

impl Stood {
    /// Where it stands now. `thorough`: whether every table of the database is asked.
    pub(super) async fn now(
        rule: &RuleDraft,
        thorough: &AtomicBool,
        tx: &mut Tx,
    ) -> Result<Self, Fault> {
        let thorough = thorough.load(Ordering::Relaxed);
        let count = witness(rule, thorough, tx).await?;
        Ok(Self { count, thorough })
    }

    /// Compares what the engine has changed since with what was counted, before the commit. `Doubtful`:
    /// every table is asked from now on.
    pub(super) async fn compare(
        self,
        rule: &RuleDraft,
        counted: Witness,
        thorough: &AtomicBool,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        if tx.engine() == Engine::Postgres {
            // A deferred constraint would fail at COMMIT, behind the fence, and a deferred trigger act
            // there, behind the witness.
            let now = Bound::fixed("SET CONSTRAINTS ALL IMMEDIATE", Vec::new());
            tx.change(&now).await?;
        }
        let after = witness(rule, self.thorough, tx).await?;
        let (Some(before), Some(after)) = (self.count, after) else {
            return Ok(());
        };
        let mut witnessed = after.since(before);
        let looks_elsewhere = rule.change.eligible.looks_elsewhere();
        let untold = witnessed.inserted == 0;
        if rule.triggered || tx.engine().is_innodb() && (looks_elsewhere || untold) {
            // A declared trigger may add rows, and nothing else. Where subqueries are looked at, MySQL
            // counts the rows of its own temporary tables, too; where it logs into tables, none are told.
            witnessed.inserted = counted.inserted;
        }
        if counted == witnessed {
            Ok(())
        } else if self.thorough {
            Err(Stop::Unaccounted { counted, witnessed })
        } else {
            thorough.store(true, Ordering::Relaxed);
            Err(Stop::Doubtful)
        }
    }
}

/// What the engine says it has changed so far; `None`: it does not count.
async fn witness(rule: &RuleDraft, thorough: bool, tx: &mut Tx) -> Result<Option<Witness>, Fault> {
    let statement = if thorough {
        Witness::ask(tx.engine())
    } else {
        let nodes = rule.nodes.iter().map(|node| &node.depth.table);
        let tables = std::iter::once(&rule.change.window.table).chain(nodes);
        Witness::ask_of(tx.engine(), &tables.cloned().collect::<Vec<_>>())
    };
    Ok(Witness::read(&tx.rows(&statement).await?))
}
