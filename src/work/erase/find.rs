//! Looks for a person in every role of every map. What one database knows them by leads to the next,
//! until nothing new is found. Changes nothing.

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::duty::DataMap;
use oubliette_core::erasure::find::{FoundRole, Known, Search};
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::people::Role;

use super::{Ask, Place};
use crate::database::{Access, Fault};
use crate::work::maps::tables_of;
pub(super) use crate::work::persons::ROUNDS;
use crate::work::persons::without_end;

/// What one database has of a person.
pub(super) struct Sought {
    /// Its tables.
    pub(super) catalog: Catalog,
    /// Their rows in each role in which they were found.
    pub(super) roles: Vec<FoundRole>,
}

/// What all databases have of a person, and what they are known by.
pub(super) struct Found {
    /// One for each place.
    pub(super) places: Vec<Sought>,
    /// What they are known by.
    pub(super) known: Known,
}

/// Searches all databases.
pub(super) async fn find(ask: &Ask, places: &[Place]) -> Result<Found, RequestOutcome> {
    let mut known = ask.known.clone();
    let mut sought = Vec::new();
    for place in places {
        let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
        sought.push(Sought {
            catalog,
            roles: Vec::new(),
        });
    }
    for _ in 0..ROUNDS {
        let mut leads = Vec::new();
        for (place, sought) in places.iter().zip(&mut sought) {
            sought.roles = in_place(ask, place, &sought.catalog, &known, &mut leads).await?;
        }
        let mut new = false;
        for (name, text) in leads {
            new |= known.add(&name, text);
        }
        if !new {
            return Ok(Found {
                places: sought,
                known,
            });
        }
    }
    Err(RequestOutcome::Failed {
        reason: Reason::Ambiguous,
        message: without_end(),
        passing: false,
    })
}

/// The tables that a map is about, and those that refer to them.
pub(super) async fn tables(place: &Place) -> Result<Catalog, Fault> {
    tables_of(&place.database, [place.map()]).await
}

/// The roles that a request is about.
pub(super) fn roles<'a>(ask: &'a Ask, map: &'a DataMap) -> impl Iterator<Item = &'a Role> {
    let only = ask.scope.role.as_ref();
    let roles = map.people.roles.iter();
    roles.filter(move |role| only.is_none_or(|only| *only == role.name))
}

async fn in_place(
    ask: &Ask,
    place: &Place,
    catalog: &Catalog,
    known: &Known,
    leads: &mut Vec<(String, oubliette_core::value::Personal)>,
) -> Result<Vec<FoundRole>, RequestOutcome> {
    let mut found = Vec::new();
    for role in roles(ask, place.map()) {
        let search = Search::of(place.map(), role, catalog, known).map_err(|refusal| {
            RequestOutcome::Refused {
                report: None,
                refusals: vec![(place.map.name.clone(), refusal)],
            }
        })?;
        let Some(search) = search else { continue };
        let mut tx = place
            .database
            .begin(Access::ReadOnly)
            .await
            .map_err(|fault| failed(place, &fault))?;
        let rows = tx.rows(&search.look()).await;
        tx.rollback().await;
        let rows = rows.map_err(|fault| failed(place, &fault))?;
        let theirs = search
            .settle(&rows)
            .map_err(|doubt| RequestOutcome::Doubtful {
                map: place.map.name.clone(),
                role: role.name.clone(),
                doubt,
            })?;
        if !theirs.rows.is_empty() {
            leads.extend(search.leads(&theirs));
            found.push(theirs);
        }
    }
    Ok(found)
}

/// What of all that a person is known by a map makes use of: a search of all texts uses everything.
pub(super) fn used(map: &DataMap, known: &Known) -> Known {
    if map.people.scans_residue {
        return known.clone();
    }
    let mut used = Known::default();
    for identifier in map.identifiers() {
        for text in known.texts(&identifier.name) {
            used.add(&identifier.name, text.clone());
        }
    }
    used
}

/// A fault of one database as the request's outcome.
pub(super) fn failed(place: &Place, fault: &Fault) -> RequestOutcome {
    RequestOutcome::Failed {
        reason: fault.reason(),
        message: format!("{}: {fault}", place.name),
        passing: fault.is_retryable(),
    }
}
