//! Looks for several persons at once: in each role one look for all of them.

use oubliette_core::catalog::Catalog;
use oubliette_core::erasure::find::{FoundRole, Known, Search};
use oubliette_core::erasure::several::Several;
use oubliette_core::people::Role;
use oubliette_core::value::Value;

use super::super::Place;
use super::super::find::{ROUNDS, roles, tables};
use super::{Alone, Among};
use crate::database::Access;
use crate::ledger::Store;

/// Rows of one role that a person has at the most: the statements about all of them have the values of
/// each, and no server takes more than 65,535. Whoever has more goes alone.
const ROWS: usize = 64;

/// Those of whom no ledger knows anything yet: whoever was begun is gone on with alone.
pub(super) async fn new_ones(among: &mut Among<'_>, places: &[Place]) -> Result<(), Alone> {
    for place in places {
        among.may_go_on(places)?;
        let store = Store::unchecked(&place.database, place.ledger());
        let uids: Vec<&str> = among.iter().map(|(_, m)| m.ask.uid.as_str()).collect();
        let known = store.remembered(&place.map_uid, &uids).await?;
        let members = among.members;
        among.retain(|at| !known.contains(&members[at].ask.uid));
    }
    among.may_go_on(places)
}

/// One search in one role for each of several persons, with the rows that it brought back.
pub(super) struct Crowd {
    pub(super) searches: Vec<Option<Search>>,
    pub(super) rows: Vec<Vec<Vec<Value>>>,
}

/// Looks in one role.
pub(super) async fn in_role(
    place: &Place,
    role: &Role,
    catalog: &Catalog,
    known: &[Known],
) -> Result<Crowd, Alone> {
    let searches = known
        .iter()
        .map(|known| Search::of(place.map(), role, catalog, known))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Alone::because("the map does not fit the database"))?;
    let rows = match Several::of(&searches) {
        None => vec![Vec::new(); known.len()],
        Some(several) => {
            let mut tx = place.database.begin(Access::ReadOnly).await?;
            let rows = tx.rows(&several.look()).await;
            tx.rollback().await;
            several
                .share(&rows?)
                .ok_or_else(|| Alone::because("rows that were found cannot be shared out"))?
        }
    };
    Ok(Crowd { searches, rows })
}

/// What was found.
pub(super) struct FoundAll {
    /// The tables of each place.
    pub(super) catalogs: Vec<Catalog>,
    /// Of each request, by its place in the list: what it was found by at last, and its rows in each
    /// place.
    pub(super) persons: Vec<(usize, Known, Vec<Vec<FoundRole>>)>,
}

/// Looks for all of them in all places, until nothing new leads on. Whoever is in doubt, or has too many
/// rows, is out.
pub(super) async fn all(among: &mut Among<'_>, places: &[Place]) -> Result<FoundAll, Alone> {
    let mut catalogs = Vec::new();
    for place in places {
        catalogs.push(tables(place).await?);
    }
    let ask = &among.members[among.left[0]].ask;
    let mut persons: Vec<(usize, Known, Vec<Vec<FoundRole>>)> = among
        .iter()
        .map(|(at, m)| (at, m.ask.known.clone(), vec![Vec::new(); places.len()]))
        .collect();
    for _ in 0..ROUNDS {
        among.may_go_on(places)?;
        let known: Vec<Known> = persons.iter().map(|(_, known, _)| known.clone()).collect();
        let mut doubtful = vec![false; persons.len()];
        let mut new = false;
        for (index, (place, catalog)) in places.iter().zip(&catalogs).enumerate() {
            for (_, _, found) in &mut persons {
                found[index].clear();
            }
            for role in roles(ask, place.map()) {
                let crowd = Box::pin(in_role(place, role, catalog, &known)).await?;
                let theirs = crowd.searches.iter().zip(&crowd.rows);
                for (i, (search, rows)) in theirs.enumerate() {
                    let Some(search) = search else { continue };
                    let theirs = search.settle(rows).ok();
                    let Some(theirs) = theirs.filter(|found| found.rows.len() <= ROWS) else {
                        doubtful[i] = true;
                        continue;
                    };
                    if theirs.rows.is_empty() {
                        continue;
                    }
                    for (name, text) in search.leads(&theirs) {
                        new |= persons[i].1.add(&name, text);
                    }
                    persons[i].2[index].push(theirs);
                }
            }
        }
        if doubtful.contains(&true) {
            let mut doubtful = doubtful.into_iter();
            persons.retain(|_| !doubtful.next().unwrap_or(true));
            among.retain(|at| persons.iter().any(|(one, ..)| *one == at));
        }
        if !new {
            return Ok(FoundAll { catalogs, persons });
        }
    }
    Err(Alone::because("what persons are known by leads on and on"))
}
