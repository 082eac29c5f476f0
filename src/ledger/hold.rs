//! Legal holds in the ledger: placed, read and released. Reading fails closed: whoever cannot read
//! them must not go on as if there were none (P5).

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::hold::{HeldPerson, Hold, Holds};
use oubliette_core::ledger::{HoldRow, KeptHold, Ledger, Released};

use super::{LedgerFault, Store, finish};

impl Store {
    /// The holds in force. None where there is no ledger: whoever places one creates it.
    pub async fn active_holds(&self) -> Result<Holds, LedgerFault> {
        // One that was never whole has none: nothing can have been placed in it.
        if !self.is_present().await.map_err(unreadable)? {
            return Ok(Holds::default());
        }
        let rows = self.read(&self.ledger.active_holds()).await;
        let mut holds = Holds::default();
        for row in rows.map_err(unreadable)? {
            Ledger::read_active_hold(&row, &mut holds).ok_or_else(not_ours)?;
        }
        Ok(holds)
    }

    /// All holds, released ones among them.
    pub async fn holds(&self) -> Result<Vec<HoldRow>, LedgerFault> {
        self.read(&self.ledger.holds())
            .await?
            .iter()
            .map(|row| Ledger::read_hold(row).ok_or(LedgerFault::Malformed("hold")))
            .collect()
    }

    /// One hold.
    pub async fn hold(&self, id: &str) -> Result<Option<HoldRow>, LedgerFault> {
        let rows = self.read(&self.ledger.hold(id)).await?;
        rows.first()
            .map(|row| Ledger::read_hold(row).ok_or(LedgerFault::Malformed("hold")))
            .transpose()
    }

    /// Places a hold: when this returns, no batch that commits later was planned without it. One that
    /// is there already stays as it is. Returns what the ledger has.
    pub async fn place_hold(&self, hold: &Hold, row: &HoldRow) -> Result<HoldRow, LedgerFault> {
        self.place(KeptHold::Rows(hold), row).await
    }

    /// The same for a hold on a person.
    pub async fn place_person(
        &self,
        hold: &HeldPerson,
        row: &HoldRow,
    ) -> Result<HoldRow, LedgerFault> {
        self.place(KeptHold::Person(hold), row).await
    }

    /// Widens a hold on a person while it is in force: when this returns, no batch that commits later was
    /// planned with less. What others have added since `hold` was read stays.
    pub async fn widen_hold(&self, hold: &HeldPerson) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        tx.rows(&self.ledger.lock_head()).await?;
        let mut holds = Holds::default();
        for row in tx.rows(&self.ledger.active_holds()).await? {
            Ledger::read_active_hold(&row, &mut holds).ok_or_else(not_ours)?;
        }
        let mut persons = holds.persons.iter();
        let now = persons.find(|person| person.id == hold.id);
        let wider = now.and_then(|now| now.with(&hold.maps, &hold.known));
        let Some(wider) = wider else {
            tx.rollback().await;
            return Ok(());
        };
        tx.change(&self.ledger.raise_hold_generation()).await?;
        tx.change(&self.ledger.widen_hold(&wider)).await?;
        finish(tx).await
    }

    async fn place(&self, hold: KeptHold<'_>, row: &HoldRow) -> Result<HoldRow, LedgerFault> {
        let mut tx = self.begin().await?;
        // Under the head's lock, as a run is recorded: its checkpoints are there or come after, and
        // whoever works on them reads the holds once they are there.
        tx.rows(&self.ledger.lock_head()).await?;
        let before = tx.rows(&self.ledger.hold(&row.id)).await?;
        if let Some(before) = before.first() {
            let before = Ledger::read_hold(before).ok_or(LedgerFault::Malformed("hold"))?;
            tx.rollback().await;
            return Ok(before);
        }
        tx.change(&self.ledger.raise_hold_generation()).await?;
        tx.change(&self.ledger.insert_hold(hold, row)).await?;
        finish(tx).await?;
        Ok(row.clone())
    }

    /// The database's clock.
    pub async fn clock(&self) -> Result<Timestamp, LedgerFault> {
        Ok(self.database.probe().await?.clock)
    }

    /// Ends a hold; its values are cleared. One that has ended already stays as it is. Returns what the
    /// ledger has; `None`: it has no such hold.
    pub async fn release_hold(
        &self,
        id: &str,
        released: &Released,
    ) -> Result<Option<HoldRow>, LedgerFault> {
        let mut tx = self.begin().await?;
        tx.change(&self.ledger.release_hold(id, released)).await?;
        finish(tx).await?;
        self.hold(id).await
    }
}

/// A hold that was placed and is not there any more: making the table anew would forget it.
pub(super) fn lost_holds(table: &str) -> LedgerFault {
    LedgerFault::Refused {
        reason: Reason::HoldsUnreadable,
        message: format!(
            "the ledger's table of legal holds, {table}, is gone or may not be seen by this user: \
             nothing runs, because what was held is not known. Give SELECT, INSERT and UPDATE on it, \
             or restore it from a backup; where nothing was held, create it with the SQL that \
             `oubliette ledger print` prints"
        ),
    }
}

fn not_ours() -> LedgerFault {
    LedgerFault::Refused {
        reason: Reason::HoldsUnreadable,
        message:
            "a row of the ledger's table hold is not one that this program wrote: nothing runs, \
                  because it could be a legal hold"
                .to_owned(),
    }
}

/// What stands in the way of reading holds; a fault that passes stays what it is.
fn unreadable(fault: LedgerFault) -> LedgerFault {
    match fault {
        LedgerFault::Database(fault) if !fault.is_retryable() => LedgerFault::Refused {
            reason: Reason::HoldsUnreadable,
            message: format!(
                "the legal holds cannot be read from the ledger, so nothing runs: {fault}"
            ),
        },
        other => other,
    }
}
