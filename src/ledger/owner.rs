//! Whose a ledger is: read, handed over, and asked again before work begins.

use oubliette_core::api::reason::Reason;
use oubliette_core::ledger::Owner;
use oubliette_core::value::Value;

use super::{LedgerFault, Store, expect_one, finish, text};
use crate::database::Tx;

impl Store {
    /// Version and owner; `None`: nobody's yet.
    pub async fn meta(&self) -> Result<Option<(i64, Owner)>, LedgerFault> {
        read_meta(&self.read(&self.ledger.meta()).await?)
    }

    /// Fails where the ledger was handed over since it was opened: a plan may have been counted for hours. Asked
    /// behind the lock by which its new owner has raised the epochs or will.
    pub(super) async fn still_ours(&self, tx: &mut Tx) -> Result<(), LedgerFault> {
        let Some(owner) = &self.owner else {
            return Ok(());
        };
        match read_meta(&tx.rows(&self.ledger.meta()).await?)? {
            Some((_, found)) if found != *owner => Err(owned_by(&found)),
            Some(_) => Ok(()),
            None => Err(LedgerFault::Malformed("meta")),
        }
    }

    /// Hands the ledger to a new owner.
    pub async fn adopt(&self, owner: &Owner) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        // The former owner's operator may still be at work: from here on its fences miss. Runs are locked before
        // the head and checkpoints, as by whoever ends a step, and those that were recorded meanwhile behind it.
        let [runs, checkpoints] = self.ledger.raise_all_epochs();
        tx.change(&runs).await?;
        tx.rows(&self.ledger.lock_head()).await?;
        expect_one(tx.change(&self.ledger.adopt(owner)).await?, "meta")?;
        tx.change(&runs).await?;
        tx.change(&checkpoints).await?;
        finish(tx).await
    }
}

/// Version and owner; `None`: nobody's yet.
fn read_meta(rows: &[Vec<Value>]) -> Result<Option<(i64, Owner)>, LedgerFault> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    match row.as_slice() {
        [version, cluster, database] => Ok(Some((
            version.as_int().ok_or(LedgerFault::Malformed("meta"))?,
            Owner {
                cluster: text(cluster, "meta")?,
                database: text(database, "meta")?,
            },
        ))),
        _ => Err(LedgerFault::Malformed("meta")),
    }
}

pub(super) fn owned_by(owner: &Owner) -> LedgerFault {
    LedgerFault::Refused {
        reason: Reason::LedgerOwned,
        message: format!(
            "the ledger belongs to {owner}: if that one is retired, hand the ledger over with \
             `oubliette ledger adopt`"
        ),
    }
}
