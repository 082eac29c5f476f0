//! Partitions that go as a whole, in the ledger.

use std::collections::BTreeMap;

use oubliette_core::ledger::{IntentRow, Ledger};

use super::{LedgerFault, Store};
use crate::database::Database;

impl Store {
    /// What a run has begun or done with whole partitions.
    pub async fn intents(&self, run: &str) -> Result<Vec<IntentRow>, LedgerFault> {
        self.read(&self.ledger.intents(run))
            .await?
            .iter()
            .map(|row| Ledger::read_intent(row).ok_or(LedgerFault::Malformed("intent")))
            .collect()
    }

    /// How many partitions each step of a run has done away with.
    pub async fn partitions(&self, run: &str) -> Result<BTreeMap<i32, i64>, LedgerFault> {
        let mut gone = BTreeMap::new();
        for intent in self.intents(run).await? {
            if intent.state.has_gone() {
                *gone.entry(intent.step).or_default() += 1;
            }
        }
        Ok(gone)
    }

    /// The database that the ledger is in.
    pub fn database(&self) -> &Database {
        &self.database
    }
}
