//! Digests of erased identifiers, in the ledger.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oubliette_core::ledger::{ErasedRow, ErasedUnder, Ledger};
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::{LedgerFault, Store, finish};
use crate::database::Tx;

/// Digests in one statement: its text and values stay within what a TLS record holds, or nearly.
const AT_ONCE: usize = 100;

impl Store {
    /// Records digests in a transaction of the caller's, so that they commit with what they are about.
    /// Doing it again is harmless.
    pub async fn record_erased(&self, tx: &mut Tx, rows: &[ErasedRow]) -> Result<(), LedgerFault> {
        for rows in rows.chunks(AT_ONCE) {
            tx.change(&self.ledger.insert_erased(rows)).await?;
        }
        Ok(())
    }

    /// Records digests that are remembered elsewhere: a ledger that was restored lacks the youngest.
    pub async fn remember_erased(&self, rows: &[ErasedRow]) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        self.record_erased(&mut tx, rows).await?;
        finish(tx).await
    }

    /// The digests of a request, or all. None where the ledger is of an earlier version.
    pub async fn erased(&self, request: Option<&str>) -> Result<Vec<ErasedRow>, LedgerFault> {
        if !self.ledger.has_erased(&self.found().await?) {
            return Ok(Vec::new());
        }
        self.read(&self.ledger.erased(request))
            .await?
            .iter()
            .map(|row| Ledger::read_erased(row).ok_or(LedgerFault::Malformed("erased")))
            .collect()
    }

    /// Which places and keys have digests that have not ended, how many, and until when: a key that is
    /// not among them is not needed any more.
    pub async fn erased_under(&self, now: Timestamp) -> Result<Vec<ErasedUnder>, LedgerFault> {
        if !self.ledger.has_erased(&self.found().await?) {
            return Ok(Vec::new());
        }
        self.under(now).await
    }

    /// The same for whoever may read nothing else of the ledger.
    pub async fn under(&self, now: Timestamp) -> Result<Vec<ErasedUnder>, LedgerFault> {
        self.read(&self.ledger.erased_under(now))
            .await?
            .iter()
            .map(|row| Ledger::read_erased_under(row).ok_or(LedgerFault::Malformed("erased")))
            .collect()
    }

    /// Those of some digests that the ledger has for an identifier of this name.
    pub async fn suppressed(
        &self,
        name: &str,
        digests: &[String],
        now: Timestamp,
    ) -> Result<BTreeSet<String>, LedgerFault> {
        let ask = |digests: &[String]| self.ledger.suppressed(name, digests, now);
        self.texts(digests, ask).await
    }

    /// UIDs of the requests that have left some digests. None where the ledger is of an earlier version.
    pub async fn erased_by(
        &self,
        digests: &[String],
        now: Timestamp,
    ) -> Result<BTreeSet<String>, LedgerFault> {
        if !self.ledger.has_erased(&self.found().await?) {
            return Ok(BTreeSet::new());
        }
        let ask = |digests: &[String]| self.ledger.erased_by(digests, now);
        self.texts(digests, ask).await
    }

    /// What statements about some digests bring back, as many in each as it has room for.
    async fn texts(
        &self,
        digests: &[String],
        ask: impl Fn(&[String]) -> Bound,
    ) -> Result<BTreeSet<String>, LedgerFault> {
        let mut found = BTreeSet::new();
        for digests in digests.chunks(AT_ONCE) {
            let rows = self.read(&ask(digests)).await?;
            found.extend(rows.into_iter().flatten().filter_map(|value| match value {
                Value::Text(text) => Some(text),
                Value::Null | Value::Int(_) | Value::Bytes(_) => None,
            }));
        }
        Ok(found)
    }

    /// Removes the digests that have ended; returns how many.
    pub async fn prune_erased(&self, now: Timestamp) -> Result<u64, LedgerFault> {
        if !self.ledger.has_erased(&self.found().await?) {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let gone = tx.change(&self.ledger.prune_erased(now)).await?;
        finish(tx).await?;
        Ok(gone)
    }
}
