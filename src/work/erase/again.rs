//! Who is meant when a request is carried out once more: whoever is found by its digests.

use jiff::Timestamp;
use oubliette_core::erasure::SuppressionKeys;
use oubliette_core::erasure::find::Known;
use oubliette_core::ledger::{ErasedRow, second};

use super::Place;
use crate::ledger::LedgerFault;
use crate::work::suppression::known_again;

/// What leads to the person in any of the databases. `kept`: digests that are kept beside the ledgers, which
/// get back what a restore took from them. `with_kept`: also by identifiers that stayed when it was erased,
/// which a restore brings back with what did not.
pub async fn known_by_digests(
    (request, with_kept): (&str, bool),
    places: &[Place],
    keys: &SuppressionKeys,
    kept: &[ErasedRow],
    now: Timestamp,
) -> Result<Known, LedgerFault> {
    let mut known = Known::default();
    let since = second(now);
    for place in places {
        let store = place.store().await?;
        let own = kept.iter().filter(|row| {
            row.at.map == place.map.name && row.request == request && row.ends_at > since
        });
        let own: Vec<ErasedRow> = own.cloned().collect();
        store.remember_erased(&own).await?;
        let maps = std::slice::from_ref(&place.map);
        let here = known_again(
            &place.database,
            &store,
            maps,
            keys,
            (request, with_kept),
            now,
        );
        known.add_all(&Box::pin(here).await?);
    }
    Ok(known)
}
