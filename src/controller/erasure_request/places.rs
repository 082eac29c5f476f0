//! Which maps a request is about, as far as they may be used from its namespace, with their databases.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::ApprovalGuard;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::erasure_request::passed_by as passed_by_in_words;
use oubliette_core::digest::Digest;
use oubliette_core::duty::{self, Against, NamedMap};
use oubliette_core::erasure::Scope;
use oubliette_core::people::Elsewhere;
use oubliette_core::target::{Target, UsableFrom};
use serde_json::{Value, json};

use super::super::data_map::{Bound, parse};
use super::super::legal_hold::find_database;
use super::super::scope::{database_of, remembered_holds};
use super::super::target_database::connect;
use super::super::{Context, Name};
use crate::inputs::cluster::DatabaseInput;
use crate::work::erase::Place;

/// One map, before its database is connected to.
#[derive(Clone, Debug)]
struct Wanted {
    map: NamedMap,
    namespace: String,
    uid: String,
    spec: Value,
    maps: Vec<NamedMap>,
    database: Name,
    input: DatabaseInput,
}

/// The maps of a request.
#[derive(Clone, Debug)]
pub(in super::super) struct Chosen {
    wanted: Vec<Wanted>,
    /// Whether one of the databases asks for four eyes.
    pub(super) four_eyes: bool,
    /// The identifiers that they know.
    pub(in super::super) identifiers: Vec<String>,
    /// Maps of other namespaces that may be used, and that nobody has named.
    pub(super) passed_by: Vec<String>,
}

impl Chosen {
    /// The maps of all databases, those among them that only bind the request.
    pub(super) fn maps(&self) -> Vec<&NamedMap> {
        self.wanted.iter().flat_map(|wanted| &wanted.maps).collect()
    }

    /// Each map with its database, what that is connected to by, and every map of it.
    pub(in super::super) fn each(
        &self,
    ) -> impl Iterator<Item = (&NamedMap, &Name, &DatabaseInput, &[NamedMap])> {
        let wanted = self.wanted.iter();
        wanted.map(|w| (&w.map, &w.database, &w.input, w.maps.as_slice()))
    }

    /// The same; not where one of the databases is suspended. A hold does not ask.
    pub(super) fn awake(self) -> Result<Self, Verdict> {
        let mut wanted = self.wanted.iter();
        let Some(suspended) = wanted.find(|wanted| wanted.input.target.suspend) else {
            return Ok(self);
        };
        let message = format!(
            "suspend: true is set on the TargetDatabase {}",
            suspended.database
        );
        Err(Verdict::new(Reason::Suspended, message))
    }

    /// A digest of what the maps say is done to a person's rows: a plan by others is another one.
    pub(super) fn digest(&self) -> Result<Digest, Verdict> {
        let specs = self.wanted.iter().map(|wanted| {
            let mut spec = wanted.spec.clone();
            // It says when it is done once more, and nothing of what is done.
            if let Some(map) = spec["map"].as_object_mut() {
                map.remove("reappeared");
            }
            json!({"uid": wanted.uid, "spec": spec})
        });
        let specs: Vec<_> = specs.collect();
        let digest = Digest::of_json(&specs);
        digest.map_err(|error| Verdict::new(Reason::InternalError, error.to_string()))
    }

    /// UIDs of the maps.
    pub(super) fn uids(&self) -> Vec<String> {
        self.wanted
            .iter()
            .map(|wanted| wanted.uid.clone())
            .collect()
    }

    /// What binds a job: what its maps say, and the duties of every map of their databases. Of one that
    /// waits its turn it may be another one by then.
    pub(super) fn binds(&self) -> String {
        let of = |wanted: &Wanted| {
            let tables = wanted.maps.iter().flat_map(|named| &named.map.tables);
            duty::digest_of(tables, Against::Erasure).ok().flatten()
        };
        let duties: Vec<Option<Digest>> = self.wanted.iter().map(of).collect();
        format!("{:?} {duties:?}", self.digest().ok())
    }

    /// UIDs of the databases.
    pub(super) fn databases(&self) -> Vec<String> {
        let databases = self.wanted.iter();
        databases.map(|wanted| wanted.input.uid.clone()).collect()
    }

    /// Places outside the databases.
    pub(super) fn elsewhere(&self) -> Vec<Elsewhere> {
        let of_maps = self.wanted.iter();
        of_maps
            .flat_map(|wanted| wanted.map.map.people.elsewhere.clone())
            .collect()
    }

    /// Columns of rows that stay, which somebody has to look at: entry and column.
    pub(super) fn reviews(&self) -> Vec<String> {
        self.wanted.iter().flat_map(|w| w.map.reviews()).collect()
    }

    /// The databases, connected.
    pub(super) async fn places(&self, context: &Context) -> Result<Vec<Place>, Verdict> {
        let mut places = Vec::new();
        for wanted in &self.wanted {
            let fault = |fault: crate::inputs::secrets::GatherFault| {
                Verdict::new(fault.reason(), format!("{}: {fault}", wanted.database))
            };
            let (database, owner) = connect(&wanted.input, context).await.map_err(fault)?;
            let key = match &wanted.map.map.people.pseudonym_key {
                None => None,
                Some(at) => {
                    let of = (
                        wanted.database.namespace.as_str(),
                        wanted.database.name.as_str(),
                    );
                    let key = context.cluster.pseudonym_key(&wanted.namespace, at, of);
                    Some(key.await.map_err(fault)?)
                }
            };
            places.push(Place {
                map: wanted.map.clone(),
                map_uid: wanted.uid.clone(),
                maps: wanted.maps.clone(),
                spec: wanted.spec.clone(),
                name: wanted.database.to_string(),
                database,
                owner,
                target: wanted.input.target.clone(),
                remembered: context.scopes.remembered(&wanted.database),
                holds: remembered_holds(&context.scopes, wanted.database.clone()),
                pseudonym_key: key,
            });
        }
        Ok(places)
    }
}

/// The maps that a request is about. `begun`: UIDs of those by which it was begun, and about no others, whatever
/// came since and the settings say. What cannot be read fails: a person must not be left in a database because its
/// map was misspelt.
pub(in super::super) async fn choose(
    name: &Name,
    scope: &Scope,
    begun: &[String],
    context: &Context,
) -> Result<Chosen, Verdict> {
    let all: BTreeMap<Name, _> = context
        .scopes
        .maps()
        .map(|map| (Name::of(&map), map))
        .collect();
    let named: Vec<Name> = scope
        .maps
        .iter()
        .map(|map| {
            let namespace = map.namespace.as_ref().unwrap_or(&name.namespace);
            Name::new(namespace, &map.name)
        })
        .collect();
    let missing = named.iter().find(|wanted| !all.contains_key(wanted));
    if let Some(missing) = missing {
        let message = format!(
            "the DataMap {missing} does not exist. {}",
            Reason::NoMap.remedy()
        );
        return Err(Verdict::new(Reason::NoMap, message));
    }
    let mut chosen = Vec::new();
    let mut passed_by = Vec::new();
    let trusted = &context.platform.map_namespaces;
    for (map_name, object) in &all {
        let meant = if begun.is_empty() {
            let map = (map_name.namespace.as_str(), map_name.name.as_str());
            scope.means(&name.namespace, map, trusted)
        } else {
            object.uid().is_some_and(|uid| begun.contains(&uid))
        };
        if !(meant || named.is_empty() && begun.is_empty()) {
            continue;
        }
        let usable = is_of_persons(object)
            && match usable_from(object, map_name, name, context).await {
                // Nothing of one that nobody means stops the request.
                Err(_) if !meant => false,
                usable => usable?,
            };
        match (usable, meant) {
            // What is wrong with one that nobody means is nothing to the request.
            (true, false) => passed_by.push(map_name.to_string()),
            (true, true) => chosen.push(wanted(map_name, object, scope, context).await?),
            (false, _) if named.contains(map_name) => {
                let message = format!(
                    "the DataMap {map_name} has no `subjects`, or may not be used from the namespace {}. {}",
                    name.namespace,
                    Reason::NoMap.remedy()
                );
                return Err(Verdict::new(Reason::NoMap, message));
            }
            (false, _) => {}
        }
    }
    // Of one that was begun it is told which map is gone.
    if chosen.is_empty() && begun.is_empty() {
        let sentence = passed_by_in_words(&passed_by);
        let meaning = Reason::NoMap.meaning();
        let message = match sentence {
            Some(sentence) => format!("{}; {sentence}", meaning.trim_end_matches('.')),
            None => format!("{meaning} {}", Reason::NoMap.remedy()),
        };
        return Err(Verdict::new(Reason::NoMap, message));
    }
    let mut identifiers: Vec<String> = chosen.iter().flat_map(|w| w.map.identifiers()).collect();
    identifiers.sort();
    identifiers.dedup();
    let four_eyes = chosen
        .iter()
        .any(|w| w.input.target.asks.approval == ApprovalGuard::FourEyes);
    Ok(Chosen {
        four_eyes,
        identifiers,
        passed_by,
        wanted: chosen,
    })
}

/// Whether a map says where persons are.
fn is_of_persons(object: &DynamicObject) -> bool {
    let roles = object.data.pointer("/spec/subjects");
    roles.is_some_and(|roles| *roles != json!([]))
}

/// A map with its database.
async fn wanted(
    name: &Name,
    object: &DynamicObject,
    scope: &Scope,
    context: &Context,
) -> Result<Wanted, Verdict> {
    let faulty = || {
        let message = format!("the DataMap {name} has faults; its own condition names them");
        Verdict::new(Reason::DutiesUnreadable, message)
    };
    let database = database_of(object).ok_or_else(faulty)?;
    let input = find_database(name, &database, context).await?;
    let map = parse(object, Some(&input.target)).map_err(|_| faulty())?;
    let bound = Bound::on(&database, &input, context).await;
    if let Some(unreadable) = bound.unreadable.first() {
        return Err(Verdict::new(Reason::DutiesUnreadable, unreadable));
    }
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    Ok(Wanted {
        spec: json!({
            "map": spec,
            "role": scope.role,
            "purposes": scope.purposes,
            "database": digested(&input.target),
        }),
        map: NamedMap {
            name: name.to_string(),
            map,
        },
        namespace: name.namespace.clone(),
        uid: object.uid().unwrap_or_default(),
        maps: bound.maps,
        database,
        input,
    })
}

fn digested(target: &Target) -> Value {
    target.digest_input()
}

/// Whether a map's owner allows its use from a request's namespace. Asked before anything else of it: what is
/// wrong with one that is not for others stops nobody else.
async fn usable_from(
    object: &DynamicObject,
    map: &Name,
    request: &Name,
    context: &Context,
) -> Result<bool, Verdict> {
    if map.namespace == request.namespace {
        return Ok(true);
    }
    let spec = object.data.pointer("/spec/usableFrom").cloned();
    let Ok(from) = spec.map(serde_json::from_value).transpose() else {
        return Ok(false);
    };
    let Some(from) = UsableFrom::read(from.as_ref()) else {
        return Ok(false);
    };
    let labels = match from {
        UsableFrom::Same | UsableFrom::All => BTreeMap::new(),
        UsableFrom::Selector(_) => context
            .cluster
            .labels(&request.namespace)
            .await
            .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?,
    };
    Ok(from.allows(&map.namespace, &request.namespace, &labels))
}
