//! How far a request is, by what the ledgers know of it: for whoever keeps no status of it elsewhere.

use jiff::Timestamp;
use oubliette_core::erasure::certify::Done;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::rounds::{self, Recorded};

use super::look_back::{done, known};
use super::{Ask, Place};
use crate::ledger::{LedgerFault, Store, Subject};

/// How far a request is.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Not every ledger knows of it: nothing was changed.
    New,
    /// It has begun.
    Begun {
        /// What the person is known by.
        known: Known,
        /// The round that it goes on with.
        round: String,
        /// When its first run was begun.
        begun_at: Option<Timestamp>,
    },
    /// It has ended, and the person is forgotten.
    Ended,
}

/// How far a request is. `name`: its namespace and name.
pub async fn standing(
    name: &str,
    request: &str,
    places: &[Place],
    now: Timestamp,
) -> Result<Standing, LedgerFault> {
    let (mut open, mut ended) = (0, 0);
    for place in places {
        let store = Store::unchecked(&place.database, place.ledger());
        match store.subject(request, &place.map_uid).await? {
            Subject::Unknown => {}
            Subject::Open(_) => open += 1,
            Subject::Ended => ended += 1,
        }
    }
    if open == 0 && ended > 0 {
        return Ok(Standing::Ended);
    }
    if open == 0 || open + ended < places.len() {
        return Ok(Standing::New);
    }
    let known = known(request, places).await?;
    let done: Vec<Done> = done(name, request, places).await?;
    let mut begun: Vec<Timestamp> = done
        .iter()
        .flat_map(|done| &done.runs)
        .map(|run| run.started_at)
        .collect();
    let (mut owners, mut runs) = (Vec::new(), Vec::new());
    for place in places {
        let store = Store::unchecked(&place.database, place.ledger());
        let owner = Ask::owner(request, place);
        let run = store.open_run(&owner).await?;
        let started = run.as_ref().and_then(|run| run.started_at.parse().ok());
        begun.extend::<Option<Timestamp>>(started);
        runs.push(run.map(|run| run.id));
        owners.push(owner);
    }
    let recorded: Vec<Recorded<'_>> = owners
        .iter()
        .zip(&runs)
        .zip(&done)
        .map(|((owner, open), done)| Recorded {
            owner,
            runs: &done.runs,
            open: open.as_deref(),
        })
        .collect();
    Ok(Standing::Begun {
        known,
        round: rounds::round(&recorded, now),
        begun_at: begun.into_iter().min(),
    })
}
