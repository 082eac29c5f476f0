//! What the ledgers know of a request: what its runs did, for the certificate; and what leads to the
//! person, for whoever is told outside the databases.

use oubliette_core::erasure::certify::Done;
use oubliette_core::erasure::find::Known;

use super::{Ask, Place};
use crate::ledger::{LedgerFault, Store, Subject};

/// What the runs of a request did in each database. `name`: its namespace and name.
pub async fn done(name: &str, request: &str, places: &[Place]) -> Result<Vec<Done>, LedgerFault> {
    let mut all = Vec::new();
    for place in places {
        let store = Store::unchecked(&place.database, place.ledger());
        let owner = Ask::owner(request, place);
        let mut rows = store.runs_of(name).await?;
        rows.retain(|row| row.policy_uid == owner);
        rows.reverse();
        let read = |row: &oubliette_core::ledger::RunRow| {
            let report = row.report.as_deref()?;
            serde_json::from_str(report).ok()
        };
        let server = place.database.probe().await?;
        all.push(Done {
            engine: server.engine.name(),
            version: server.version,
            owner: place.owner.database.clone(),
            runs: rows.iter().filter_map(read).collect(),
        });
    }
    Ok(all)
}

/// What the ledgers remember that the person is known by.
pub async fn known(request: &str, places: &[Place]) -> Result<Known, LedgerFault> {
    let mut known = Known::default();
    for place in places {
        let store = Store::unchecked(&place.database, place.ledger());
        if let Subject::Open(recorded) = store.subject(request, &place.map_uid).await? {
            for name in recorded.known.names() {
                for text in recorded.known.texts(name) {
                    known.add(name, text.clone());
                }
            }
        }
    }
    Ok(known)
}
