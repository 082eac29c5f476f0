//! A hold on a person: which databases the maps lead to, and what their ledgers have of it. The Secret is
//! asked only as long as no ledger knows the hold: one that was made anew may be about somebody else.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::legal_hold::LegalHoldStatus;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::legal_hold::Kept;
use oubliette_core::erasure::Scope;
use oubliette_core::hold::{WantedHold, WantedSubject};

use super::super::erasure_request::{Chosen, choose};
use super::super::target_database::connect;
use super::super::{Context, Name};
use super::find_database;
use crate::inputs::cluster::DatabaseInput;
use crate::ledger::{LedgerFault, Store};
use crate::work::hold::{self, HoldFault, Matter, Place};

/// How often the databases are asked for what they add to what a held person is known by.
const SEARCH_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// Brings the ledgers to what the spec asks for.
pub(super) async fn keep(
    object: &DynamicObject,
    wanted: &WantedHold,
    subject: &WantedSubject,
    context: &Context,
) -> Result<Kept, Verdict> {
    let name = Name::of(object);
    let id = object.uid().unwrap_or_default();
    let scope = Scope {
        maps: subject.maps.clone(),
        ..Scope::default()
    };
    let chosen = choose(&name, &scope, &[], context).await;
    if let Some(release) = &wanted.release {
        let (stores, missing) = stores(object, &name, &chosen, context).await?;
        let kept = hold::release_person(&id, release, &stores).await;
        let kept = kept.map_err(|fault| of_ledger(&fault))?;
        // Those that can be reached first.
        return missing.map_or(Ok(kept), Err);
    }
    let chosen = chosen?;
    let places = places(&chosen, context).await?;
    let remembered = hold::remembered(&id, &places)
        .await
        .map_err(|fault| of_ledger(&fault))?;
    let mut known = remembered.known();
    if known.names().next().is_none() {
        let read = context
            .cluster
            .subject(&name.namespace, &subject.secret, &chosen.identifiers, None)
            .await;
        (known, _) = read.map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    }
    let asked = context.memory.asked(&id);
    let search = context
        .memory
        .search_is_due(&id, SEARCH_EVERY, Timestamp::now());
    let matter = Matter {
        id,
        name: name.to_string(),
        reason: wanted.reason.clone(),
        placed_by: wanted.placed_by.clone(),
    };
    let keeping = hold::keep_person(&matter, &places, remembered, known, search);
    let kept = Box::pin(keeping).await.map_err(|fault: HoldFault| {
        let reason = fault.reason();
        Verdict::new(reason, format!("{fault}. {}", reason.remedy()))
    })?;
    if search {
        let now = Timestamp::now();
        context.memory.searched(&matter.id, asked, now);
    }
    Ok(kept)
}

fn of_ledger(fault: &LedgerFault) -> Verdict {
    Verdict::new(fault.reason(), fault.to_string())
}

/// The databases of the maps, connected, each once.
async fn places(chosen: &Chosen, context: &Context) -> Result<Vec<Place>, Verdict> {
    let mut through: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (map, database, ..) in chosen.each() {
        let maps = through.entry(database.to_string()).or_default();
        maps.insert(map.name.clone());
    }
    let mut places: Vec<Place> = Vec::new();
    for (_, database, input, maps) in chosen.each() {
        let name = database.to_string();
        if places.iter().any(|place| place.name == name) {
            continue;
        }
        let (connected, store) = open(database, input, context).await?;
        places.push(Place {
            database: connected,
            store,
            maps: maps.to_vec(),
            through: through.remove(&name).unwrap_or_default(),
            name,
        });
    }
    Ok(places)
}

/// The ledgers in which the hold may be, of the databases that its status names and of those of the maps;
/// and why one of them cannot be asked.
async fn stores(
    object: &DynamicObject,
    name: &Name,
    chosen: &Result<Chosen, Verdict>,
    context: &Context,
) -> Result<(Vec<(String, Store)>, Option<Verdict>), Verdict> {
    let mut missing = None;
    let LegalHoldStatus { databases, .. } = super::read_status(object);
    let mut inputs: BTreeMap<Name, DatabaseInput> = BTreeMap::new();
    for text in &databases {
        let database = text
            .split_once('/')
            .map(|(space, name)| Name::new(space, name));
        if let Some(database) = database {
            match find_database(name, &database, context).await {
                Ok(input) => {
                    inputs.insert(database, input);
                }
                Err(why) => missing = Some(why),
            }
        }
    }
    match chosen {
        Ok(chosen) => {
            for (_, database, input, _) in chosen.each() {
                inputs.insert(database.clone(), input.clone());
            }
        }
        // Where it is nobody remembers, and the maps do not say.
        Err(why) if databases.is_empty() => return Err(why.clone()),
        Err(_) => {}
    }
    let mut stores = Vec::new();
    for (database, input) in &inputs {
        match open(database, input, context).await {
            Ok((_, store)) => stores.push((database.to_string(), store)),
            Err(why) => missing = Some(why),
        }
    }
    Ok((stores, missing))
}

async fn open(
    name: &Name,
    input: &DatabaseInput,
    context: &Context,
) -> Result<(crate::database::Database, Store), Verdict> {
    let (database, owner) = connect(input, context)
        .await
        .map_err(|fault| Verdict::new(fault.reason(), format!("{name}: {fault}")))?;
    let store = hold::open(&database, &input.target.ledger, &owner)
        .await
        .map_err(|fault| Verdict::new(fault.reason(), format!("{name}: {fault}")))?;
    Ok((database, store))
}
