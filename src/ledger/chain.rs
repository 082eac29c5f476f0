//! The evidence chain, read by pages and derived anew.

use oubliette_core::ledger::{Break, Chain, Ledger};

use super::{LedgerFault, Store, read_head};

/// Entries that are read at once.
const PAGE: i64 = 500;

impl Store {
    /// Reads the whole chain in short transactions that only read, whoever adds to it meanwhile. What
    /// was read of it, and the first entry that does not fit.
    pub async fn derive(
        &self,
        mut chain: Chain,
    ) -> Result<(Chain, Result<(), Break>), LedgerFault> {
        let mut after = None;
        let mut before = self.read(&self.ledger.head()).await?;
        loop {
            let page = self.read(&self.ledger.entries(after, PAGE)).await?;
            for row in &page {
                let entry = Ledger::read_entry(row).ok_or(LedgerFault::Malformed("evidence"))?;
                after = Some(entry.seq);
                if let Err(fault) = chain.take(entry) {
                    return Ok((chain, Err(fault)));
                }
            }
            if !page.is_empty() {
                continue;
            }
            // An entry and the head that counts it are committed together: a head that was the same
            // before and after the end was read is the one of that end.
            let head = self.read(&self.ledger.head()).await?;
            if head == before {
                let head = if head.is_empty() {
                    None
                } else {
                    Some(read_head(&head)?)
                };
                let ended = chain.end(head);
                return Ok((chain, ended));
            }
            before = head;
        }
    }
}
