//! Accepts a ledger that is behind what is remembered of it, in a person's name.

use oubliette_core::ledger::{Ledger, Owner, Rewound};
use oubliette_core::name::Ident;

use crate::database::Database;
use crate::ledger::{LedgerFault, Store};

/// Records in the ledger that it was accepted as it was found. Creates one that is not there: its
/// first evidence is then that the former one is gone. `name`: the TargetDatabase, for people.
pub async fn accept(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    found: &Rewound,
    name: &str,
) -> Result<(), LedgerFault> {
    let ledger = Ledger {
        engine: database.engine(),
        place: place.clone(),
    };
    Store::open(database, ledger, owner)
        .await?
        .accept(found, name)
        .await
}
