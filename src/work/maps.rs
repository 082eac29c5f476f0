//! Whether a DataMap fits the tables of its database. A short look; nothing changes.

use jiff::Timestamp;
use oubliette_core::duty::NamedMap;
use oubliette_core::name::TableName;
use oubliette_core::plan::{self, Refusal};

use crate::database::{Access, Database, Fault, inspect};

/// What of the map does not fit; empty: all of it does.
pub async fn misfits(database: &Database, map: NamedMap) -> Result<Vec<Refusal>, Fault> {
    let names: Vec<TableName> = map.map.tables().cloned().collect();
    let mut tx = database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, &names).await;
    tx.rollback().await;
    Ok(plan::misfits(&[map], &catalog?, Timestamp::now()))
}
