//! Who has erased a person before, as the ledgers remember it. Nothing of the person goes to a database
//! but digests.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oubliette_core::erasure::SuppressionKeys;
use oubliette_core::erasure::duplicates::digests;
use oubliette_core::erasure::find::Known;

use super::Place;
use crate::ledger::{LedgerFault, Store};

/// UIDs of the other requests that have erased one of these identifiers.
pub async fn erased_before(
    request: &str,
    places: &[Place],
    keys: &SuppressionKeys,
    known: &Known,
    now: Timestamp,
) -> Result<BTreeSet<String>, LedgerFault> {
    let mut found = BTreeSet::new();
    for place in places {
        let of_key = |key| {
            place
                .maps
                .iter()
                .flat_map(move |map| digests(key, map, known))
        };
        let digests: Vec<String> = keys.all().flat_map(of_key).collect();
        let store = Store::unchecked(&place.database, place.ledger());
        found.extend(store.erased_by(&digests, now).await?);
    }
    found.remove(request);
    Ok(found)
}
