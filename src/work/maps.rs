//! The tables that DataMaps are about, and whether they fit. A short look; nothing changes.

use jiff::Timestamp;
use oubliette_core::catalog::Catalog;
use oubliette_core::duty::{DataMap, NamedMap};
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

/// The tables that maps of a database are about, those in which persons have a role among them, and what
/// refers to them.
pub(super) async fn tables_of<'a>(
    database: &Database,
    maps: impl IntoIterator<Item = &'a DataMap>,
) -> Result<Catalog, Fault> {
    let names = maps.into_iter().flat_map(DataMap::places);
    let mut names: Vec<TableName> = names.cloned().collect();
    names.sort();
    names.dedup();
    let mut tx = database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, &names).await;
    tx.rollback().await;
    catalog
}
