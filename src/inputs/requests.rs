//! The requests of persons among manifests: which DataMaps each is about, and what people decided about
//! it. What a cluster would look up by names and labels, from files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::{ApprovalGuard, Ruling, TargetKind};
use oubliette_core::decide::approval::Filed;
use oubliette_core::duty::NamedMap;
use oubliette_core::erasure::Request;
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::people::Elsewhere;
use oubliette_core::plan::Refusal;
use oubliette_core::target::Target;
use serde_json::{Value, json};

use super::data_maps::database_of;
use super::files::{Manifests, Written};
use super::offline::{Name, refuses};
use super::supplies::Supplies;

/// A request with the maps that it is about.
#[derive(Clone, Debug)]
pub struct Petition {
    /// Its namespace and name.
    pub name: Name,
    /// What stands for its UID without a cluster: the same for the same name, case and receipt.
    pub uid: String,
    /// What it says.
    pub request: Request,
    /// The maps, in the order of their names.
    pub maps: Vec<ChosenMap>,
    /// Why nothing of it is done.
    pub hindrances: Vec<Refusal>,
    /// What people decided about it.
    pub approvals: Vec<Filed>,
}

/// A map that a request is about, with its database.
#[derive(Clone, Debug)]
pub struct ChosenMap {
    /// The map.
    pub map: NamedMap,
    /// Every map of its database: their duties bind the request.
    pub maps: Vec<NamedMap>,
    /// Its namespace.
    pub namespace: String,
    /// What stands for its UID.
    pub uid: String,
    /// What goes into the digest.
    pub spec: Value,
    /// The TargetDatabase.
    pub database: Name,
    /// What that one asks for.
    pub target: Target,
}

impl Petition {
    /// The identifiers that the maps know, each once.
    pub fn identifiers(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .maps
            .iter()
            .flat_map(|chosen| chosen.map.identifiers())
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// The places outside the databases, of all maps.
    pub fn elsewhere(&self) -> impl Iterator<Item = &Elsewhere> {
        let maps = self.maps.iter();
        maps.flat_map(|chosen| &chosen.map.map.people.elsewhere)
    }

    /// Whether it or one of its databases is suspended.
    pub fn is_suspended(&self) -> bool {
        self.request.suspend || self.maps.iter().any(|chosen| chosen.target.suspend)
    }
}

/// The requests, in the order of the manifests.
pub fn gather(
    manifests: &Manifests,
    targets: &BTreeMap<Name, Target>,
    maps: &BTreeMap<Name, Vec<NamedMap>>,
) -> Vec<Petition> {
    let mut all = Vec::new();
    for written in &manifests.requests {
        // One that does not parse was refused when it was read.
        let Ok(request) = Request::parse(&written.spec) else {
            continue;
        };
        let name = Name {
            namespace: written.namespace.clone(),
            name: written.name.clone(),
        };
        let mut hindrances: Vec<Refusal> = early(&request).into_iter().collect();
        let chosen = choose(&name, &request, manifests, targets, maps).unwrap_or_else(|refusal| {
            hindrances.push(refusal);
            Vec::new()
        });
        hindrances.extend(guarded(&chosen));
        all.push(Petition {
            uid: stand_in("ErasureRequest", &name, &request),
            approvals: approvals_of(&name, manifests),
            name,
            request,
            maps: chosen,
            hindrances,
        });
    }
    all
}

/// Nobody's own: a request is over several databases, whose ledgers have owners of their own. The case
/// and the receipt are in it, so that a name that is used again for another case is another request.
fn stand_in(kind: &str, name: &Name, request: &Request) -> String {
    let called = format!("{}\n{}\n{}", name.name, request.case, request.received_at);
    nobody().uid_of(kind, &name.namespace, &called)
}

fn nobody() -> Owner {
    Owner::without_cluster(uuid(0))
}

/// What is waited for before anybody is looked for.
fn early(request: &Request) -> Option<Refusal> {
    if request.close.is_some() {
        return Some(Refusal::whole(
            Reason::Closed,
            "spec.close says that nothing more is erased",
        ));
    }
    (!request.is_identified()).then(|| {
        Refusal::whole(
            Reason::AwaitingIdentity,
            "the person, or whoever speaks for them, has still to prove who they are",
        )
        .remedy("write identity.satisfiedAt or requester.authorityVerifiedAt once they have")
    })
}

/// Where a database's owner asks for approval, nobody here can tell whose it would be.
fn guarded(chosen: &[ChosenMap]) -> Option<Refusal> {
    let asks = |chosen: &&ChosenMap| chosen.target.asks.approval != ApprovalGuard::None;
    chosen.iter().find(asks).map(|chosen| {
        Refusal::whole(
            Reason::ApprovalMissing,
            format!(
                "guards.approval of the TargetDatabase {} asks for Approvals, which count in a \
                 cluster only",
                chosen.database
            ),
        )
        .remedy("let the operator carry it out, or have whoever owns the guards set approval: None")
    })
}

/// The maps that a request names, or all about persons that may be used from its namespace. What is
/// missing refuses it: a person must not be left in a database because its map was misspelt.
fn choose(
    name: &Name,
    request: &Request,
    manifests: &Manifests,
    targets: &BTreeMap<Name, Target>,
    maps: &BTreeMap<Name, Vec<NamedMap>>,
) -> Result<Vec<ChosenMap>, Refusal> {
    let named: Vec<String> = request
        .scope
        .maps
        .iter()
        .map(|map| {
            let namespace = map.namespace.as_ref().unwrap_or(&name.namespace);
            format!("{namespace}/{}", map.name)
        })
        .collect();
    let mut chosen = Vec::new();
    let mut passed_over = Vec::new();
    for written in &manifests.maps {
        let called = format!("{}/{}", written.namespace, written.name);
        if !named.is_empty() && !named.contains(&called) {
            continue;
        }
        let found = database_of(written).and_then(|database| {
            let target = targets.get(&database)?;
            let maps = maps.get(&database)?;
            let map = maps.iter().find(|map| map.name == called)?;
            Some((database, target, map, maps))
        });
        let Some((database, target, map, maps)) = found else {
            continue;
        };
        if map.map.people.roles.is_empty() || !is_usable(map, written, name, &manifests.supplies) {
            passed_over.push(called);
            continue;
        }
        if let Some(refusal) = refuses(target, &database, &written.namespace, &manifests.supplies) {
            return Err(refusal);
        }
        let of = nobody();
        chosen.push(ChosenMap {
            uid: of.uid_of("DataMap", &written.namespace, &written.name),
            spec: json!({
                "map": written.spec,
                "role": request.scope.role,
                "purposes": request.scope.purposes,
                "database": target.digest_input(),
            }),
            map: map.clone(),
            maps: maps.clone(),
            namespace: written.namespace.clone(),
            target: target.clone(),
            database,
        });
    }
    chosen.sort_by(|a, b| a.map.name.cmp(&b.map.name));
    let is_chosen = |name: &&String| chosen.iter().any(|chosen| chosen.map.name == **name);
    if let Some(missing) = named.iter().find(|name| !is_chosen(name)) {
        let why = if passed_over.contains(missing) {
            format!(
                "has no `subjects`, or may not be used from the namespace {}",
                name.namespace
            )
        } else {
            "is not among the manifests".to_owned()
        };
        let message = format!("the DataMap {missing} {why}");
        return Err(Refusal::whole(Reason::NoMap, message));
    }
    if chosen.is_empty() {
        let message =
            "none of the manifests is a DataMap with `subjects` that may be used from here";
        return Err(Refusal::whole(Reason::NoMap, message));
    }
    Ok(chosen)
}

/// Whether a map's owner allows its use from a request's namespace. Labels that are not known allow
/// nothing.
fn is_usable<S>(map: &NamedMap, written: &Written<S>, from: &Name, supplies: &Supplies) -> bool {
    let none = BTreeMap::new();
    let labels = supplies.labels(&from.namespace).unwrap_or(&none);
    let usable = &map.map.usable_from;
    written.namespace == from.namespace
        || usable.allows(&written.namespace, &from.namespace, labels)
}

/// The Approvals of a request. When they were made is not known: they are as old as this call.
fn approvals_of(request: &Name, manifests: &Manifests) -> Vec<Filed> {
    let mut all = Vec::new();
    for written in &manifests.approvals {
        // One that does not parse was refused when it was read.
        let Ok(ruling) = Ruling::parse(&written.spec) else {
            continue;
        };
        let of_it = ruling.kind == TargetKind::ErasureRequest
            && written.namespace == request.namespace
            && ruling.target == request.name;
        if of_it {
            all.push(Filed {
                name: written.name.clone(),
                at: Timestamp::now(),
                ruling: Ok(ruling),
            });
        }
    }
    all
}
