//! Puts a hold on a person in force: they are looked for in every database that the maps are about, and
//! every ledger is told what they are known by. A hold only grows until its release: what a database
//! adds later, or a map that comes later, is entered, too.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::decide::legal_hold::Kept;
use oubliette_core::duty::NamedMap;
use oubliette_core::hold::{HeldPerson, PERSON, Release};
use oubliette_core::ledger::HoldRow;
use oubliette_core::people::Known;
use oubliette_core::plan::{PersonHold, fitting_person, held_person, maps_of, unfit_person};

use super::{COUNTING, HoldFault};
use crate::database::{Access, Database};
use crate::ledger::{LedgerFault, Store};
use crate::work::batch::count;
use crate::work::maps::tables_of;
use crate::work::persons::{ROUNDS, seek, without_end};

/// One database in which a held person may be.
#[derive(Debug)]
pub struct Place {
    /// Namespace and name of the TargetDatabase.
    pub name: String,
    /// The database.
    pub database: Database,
    /// Its ledger.
    pub store: Store,
    /// Every map of it.
    pub maps: Vec<NamedMap>,
    /// Those of them through which the person is held.
    pub through: BTreeSet<String>,
}

/// The hold, but for the person.
#[derive(Clone, Debug)]
pub struct Matter {
    /// The resource's UID.
    pub id: String,
    /// Its namespace and name.
    pub name: String,
    /// The reference of the matter.
    pub reason: String,
    /// Who places it.
    pub placed_by: String,
}

/// What the ledgers of some databases know of a hold.
#[derive(Debug, Default)]
pub struct Remembered {
    /// One for each of them: the row, and the person as long as it is in force.
    places: Vec<(Option<HoldRow>, Option<HeldPerson>)>,
}

impl Remembered {
    /// What the person is known by; nothing: no ledger knows the hold.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        for (_, person) in &self.places {
            if let Some(person) = person {
                known.add_all(&person.known);
            }
        }
        known
    }

    /// The hold as it is told of: in force where any ledger has it so, since the last of them.
    fn told<'p>(&self, places: impl Iterator<Item = &'p str>) -> Kept {
        let with = self.places.iter().zip(places);
        let with = with.filter(|((row, _), _)| row.is_some());
        let databases = with.map(|(_, name)| name.to_owned()).collect();
        let rows = self.places.iter().filter_map(|(row, _)| row.as_ref());
        // RFC 3339 in UTC sorts as time does.
        let row = rows.max_by(|a, b| {
            let of = |row: &HoldRow| (row.released.is_none(), row.accepted_at.clone());
            of(a).cmp(&of(b))
        });
        Kept {
            row: row.cloned(),
            rows: None,
            databases,
        }
    }
}

/// Asks the ledgers.
pub async fn remembered(id: &str, places: &[Place]) -> Result<Remembered, LedgerFault> {
    let mut all = Vec::new();
    for place in places {
        let row = place.store.hold(id).await?;
        let persons = place.store.active_holds().await?.persons;
        all.push((row, persons.into_iter().find(|person| person.id == id)));
    }
    Ok(Remembered { places: all })
}

/// A person in one database.
struct Here {
    catalog: Catalog,
    hold: PersonHold,
    person: HeldPerson,
}

/// Brings every ledger to the hold. `known`: what the person is known by. When this returns, no batch of
/// any of the databases commits any more that was planned without it. `search`: whether to look for what
/// the databases add, also where every ledger has the hold.
pub async fn keep(
    matter: &Matter,
    places: &[Place],
    mut remembered: Remembered,
    mut known: Known,
    search: bool,
) -> Result<Kept, HoldFault> {
    // In force first, as far as it can be: a search may take long.
    let mut unsought = Vec::new();
    for (place, (row, before)) in places.iter().zip(&remembered.places) {
        let wanted = person(matter, place, &known);
        let entered = match (before, &wanted) {
            (Some(before), Some(wanted)) => before.with(&wanted.maps, &wanted.known).is_none(),
            (before, _) => before.is_some() || row.is_some(),
        };
        unsought.push(if entered {
            None
        } else {
            here(matter, place, &known).await?
        });
    }
    let placed = enter(matter, places, &unsought, &mut remembered).await?;
    if !placed && !search {
        return Ok(remembered.told(places.iter().map(|place| place.name.as_str())));
    }
    let found = find(matter, places, &mut known).await?;
    let more = enter(matter, places, &found, &mut remembered).await?;
    let mut kept = remembered.told(places.iter().map(|place| place.name.as_str()));
    if placed || more {
        // In force already: a count that fails or takes too long takes nothing away from that.
        let counted = tokio::time::timeout(COUNTING, Box::pin(rows(places, &found))).await;
        kept.rows = counted.ok().flatten();
    }
    Ok(kept)
}

/// Tells the ledgers. Whether one of them was told for the first time.
async fn enter(
    matter: &Matter,
    places: &[Place],
    found: &[Option<Here>],
    remembered: &mut Remembered,
) -> Result<bool, HoldFault> {
    // All of them before any: what cannot be kept in one place is told before it is promised elsewhere.
    for here in found.iter().flatten() {
        let misfits = unfit_person(&here.hold, &here.catalog);
        if let Some(refusal) = misfits.into_iter().next() {
            return Err(HoldFault::Unfit(refusal.message));
        }
    }
    let mut new = false;
    let known_before = remembered.places.iter_mut();
    for ((place, here), (row, before)) in places.iter().zip(found).zip(known_before) {
        let Some(here) = here else { continue };
        match before {
            Some(before) => {
                if let Some(wider) = before.with(&here.person.maps, &here.person.known) {
                    place.store.widen_hold(&wider).await?;
                    *before = wider;
                }
            }
            // One that was released there by hand stays so.
            None if row.is_some() => {}
            None => {
                let wanted = HoldRow {
                    id: matter.id.clone(),
                    name: matter.name.clone(),
                    table: PERSON.to_owned(),
                    reason: matter.reason.clone(),
                    placed_by: matter.placed_by.clone(),
                    accepted_at: Timestamp::now().to_string(),
                    released: None,
                };
                let placed = place.store.place_person(&here.person, &wanted).await?;
                *row = Some(placed);
                *before = Some(here.person.clone());
                new = true;
            }
        }
    }
    Ok(new)
}

/// A person in one database, before anybody has looked for them. `None`: its maps know nothing by which
/// they could be found there.
async fn here(matter: &Matter, place: &Place, known: &Known) -> Result<Option<Here>, HoldFault> {
    let Some(person) = person(matter, place, known) else {
        return Ok(None);
    };
    let maps = place.maps.iter().map(|named| &named.map);
    let catalog = tables_of(&place.database, maps).await?;
    let maps = maps_of(&person, &place.maps, &catalog);
    let maps = maps.map_err(|refusal| HoldFault::Unfit(refusal.message))?;
    let hold = PersonHold::of(&person, &maps, &person.known, &BTreeSet::new(), &catalog);
    Ok(Some(Here {
        catalog,
        hold,
        person,
    }))
}

/// Looks for the person in all databases, until none of them adds anything. `None`: the maps of a
/// database know nothing by which they could be found there.
async fn find(
    matter: &Matter,
    places: &[Place],
    known: &mut Known,
) -> Result<Vec<Option<Here>>, HoldFault> {
    for _ in 0..ROUNDS {
        let mut found = Vec::new();
        let mut new = false;
        for place in places {
            let Some(mut here) = here(matter, place, known).await? else {
                found.push(None);
                continue;
            };
            let sought = seek(&place.database, &here.catalog, &place.maps, &here.person);
            let sought = Box::pin(sought).await?;
            new |= known.add_all(&sought.known);
            here.hold = sought.hold;
            found.push(Some(here));
        }
        if !new {
            return Ok(found);
        }
    }
    Err(HoldFault::Ledger(LedgerFault::Refused {
        reason: Reason::Ambiguous,
        message: without_end(),
    }))
}

/// The hold as a place's ledger keeps it; `None`: its maps know nothing by which the person could be found.
fn person(matter: &Matter, place: &Place, known: &Known) -> Option<HeldPerson> {
    let maps = place.maps.iter();
    let through = maps.filter(|named| place.through.contains(&named.name));
    held_person(&matter.id, &matter.name, through, known)
}

/// How many rows are theirs.
async fn rows(places: &[Place], found: &[Option<Here>]) -> Option<i64> {
    let mut all = 0;
    for (place, here) in places.iter().zip(found) {
        let Some(here) = here else { continue };
        let mut tx = place.database.begin(Access::ReadOnly).await.ok()?;
        for statement in fitting_person(&here.hold, &here.catalog)? {
            let Ok(rows) = count(&mut tx, &statement).await else {
                tx.rollback().await;
                return None;
            };
            all += rows;
        }
        tx.rollback().await;
    }
    Some(all)
}

/// Ends a hold in every ledger that has it.
pub async fn release(
    id: &str,
    release: &Release,
    stores: &[(String, Store)],
) -> Result<Kept, LedgerFault> {
    let mut remembered = Remembered::default();
    for (_, store) in stores {
        let row = super::release(store, id, release).await?;
        remembered.places.push((row, None));
    }
    Ok(remembered.told(stores.iter().map(|(name, _)| name.as_str())))
}
