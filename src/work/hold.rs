//! Brings the ledger to what a legal hold asks for: places it, or releases it. A short look, as the
//! one at a database is; no row of a user's changes.

mod person;

use std::time::Duration;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::legal_hold::Kept;
use oubliette_core::hold::{Hold, Release};
use oubliette_core::ledger::{HoldRow, Ledger, Owner, Released};
use oubliette_core::name::Ident;
use oubliette_core::plan::{fitting, unfit};

pub use self::person::{
    Matter, Place, Remembered, keep as keep_person, release as release_person, remembered,
};
use super::batch::count;
use crate::database::{Access, Database, Fault, inspect};
use crate::ledger::{LedgerFault, Store};

/// How long the rows of a hold are counted at the most.
const COUNTING: Duration = Duration::from_secs(20);

/// Why a hold is not in force.
#[derive(Debug, thiserror::Error)]
pub enum HoldFault {
    /// The ledger could not do it.
    #[error(transparent)]
    Ledger(#[from] LedgerFault),
    /// The hold does not fit its table.
    #[error("{0}")]
    Unfit(String),
}

impl HoldFault {
    /// The reason that a condition shows for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Ledger(fault) => fault.reason(),
            Self::Unfit(_) => Reason::HoldUnfit,
        }
    }
}

impl From<Fault> for HoldFault {
    fn from(fault: Fault) -> Self {
        Self::Ledger(fault.into())
    }
}

/// The ledger of a database, opened: it is created where there is none, because a hold needs it.
pub async fn open(database: &Database, place: &Ident, owner: &Owner) -> Result<Store, LedgerFault> {
    Store::open(database, ledger(database, place), owner).await
}

fn ledger(database: &Database, place: &Ident) -> Ledger {
    Ledger {
        engine: database.engine(),
        place: place.clone(),
    }
}

/// Puts a hold in force. When this returns, no batch commits any more that was planned without it.
pub async fn place(
    database: &Database,
    store: &Store,
    hold: &Hold,
    reason: &str,
    placed_by: &str,
) -> Result<Kept, HoldFault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, std::slice::from_ref(&hold.table)).await;
    tx.rollback().await;
    let catalog = catalog?;
    if let Some(refusal) = unfit(hold, &catalog) {
        return Err(HoldFault::Unfit(refusal.message));
    }
    let row = HoldRow {
        id: hold.id.clone(),
        name: hold.name.clone(),
        table: hold.table.to_string(),
        reason: reason.to_owned(),
        placed_by: placed_by.to_owned(),
        accepted_at: Timestamp::now().to_string(),
        released: None,
    };
    let row = store.place_hold(hold, &row).await?;
    // In force already: a count that fails or takes too long takes nothing away from that.
    let counting = async {
        let statement = fitting(hold, &catalog)?;
        let mut tx = database.begin(Access::ReadOnly).await.ok()?;
        let rows = count(&mut tx, &statement).await;
        tx.rollback().await;
        rows.ok()
    };
    let rows = tokio::time::timeout(COUNTING, counting).await;
    Ok(Kept {
        row: Some(row),
        rows: rows.ok().flatten(),
        databases: Vec::new(),
    })
}

/// Ends a hold. `None`: the ledger has none with this id.
pub async fn release(
    store: &Store,
    id: &str,
    release: &Release,
) -> Result<Option<HoldRow>, LedgerFault> {
    let released = Released {
        // By the clock that everybody who releases shares: the release may come from any machine.
        at: store.clock().await?.to_string(),
        by: release.by.clone(),
        reason: release.reason.clone(),
    };
    store.release_hold(id, &released).await
}

/// Every hold of a ledger, whoever owns it; `None`: there is no ledger.
pub async fn list(
    database: &Database,
    place: &Ident,
) -> Result<Option<(Store, Vec<HoldRow>)>, LedgerFault> {
    let store = Store::unchecked(database, ledger(database, place));
    if !store.is_present().await? {
        return Ok(None);
    }
    let holds = store.holds().await?;
    Ok(Some((store, holds)))
}
