//! One look at a DataMap: hold it against the tables of its database and write the status; and which
//! maps bind a policy. A map binds from the moment it is seen, whatever its status says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::not_ready;
use oubliette_core::api::data_map::{DataMapSpec, DataMapStatus};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::data_map::{Decision, Observed, decide};
use oubliette_core::decide::retention_policy::Database;
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::target::Target;

use super::conflicts::usable;
use super::legal_hold::find_database;
use super::record::{self, RecordFault, Told};
use super::scope::database_of;
use super::target_database::connect;
use super::{Context, Error, Name, read};
use crate::inputs::cluster::DatabaseInput;
use crate::metrics::Kind;
use crate::work;

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// It takes no longer than this, whatever hangs.
const LOOK: Duration = Duration::from_secs(30);

pub(super) async fn reconcile(
    object: Arc<DynamicObject>,
    context: &Arc<Context>,
) -> Result<Requeue, Error> {
    // A database that was not seen yet is not one that does not exist.
    tokio::select! {
        () = context.scopes.wait_until_known() => {}
        () = context.stop.cancelled() => return Ok(Requeue::await_change()),
    }
    let name = Name::of(&object);
    let uid = object.uid().unwrap_or_default();
    let kind = &*context.kinds.map;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    let mut object = object;
    let mut looked = None;
    for _ in 0..ATTEMPTS {
        context.memory.saw_generation(&object);
        let generation = object.metadata.generation.unwrap_or_default();
        let input = database_of_map(&object, context).await;
        let spec = parse(&object, input.as_ref().ok().map(|input| &input.target));
        let status: DataMapStatus = read::status(&object);
        // What was found of another generation says nothing of this one.
        let fits = looked.as_ref().filter(|(_, (_, of), _)| *of == generation);
        let fits = fits.map(|(_, _, fits)| fits);
        let decision = decide_with(&object, &spec, &status, fits, context);
        if decision.look
            && let Ok(map) = &spec
        {
            let asked = context.memory.asked(&uid);
            let found = tokio::select! {
                found = look(&name, map, input, context) => found,
                () = context.stop.cancelled() => return Ok(Requeue::await_change()),
            };
            looked = Some((asked, (Timestamp::now(), generation), found));
            continue;
        }
        match record::tell(&api, kind, &object, &status, &decision.status).await? {
            Told::Written => {}
            Told::Stale(current) => {
                object = current;
                continue;
            }
            Told::Gone => return Ok(Requeue::await_change()),
        }
        // Not before: what a look found and nobody could be told must be found again.
        if let Some((asked, checked, _)) = looked {
            context.memory.looked(&uid, asked, checked);
        }
        context.memory.set_failures(&uid, decision.failures);
        if let Some(reason) = decision.failed {
            context.metrics.failed(Kind::DataMap, reason);
        }
        let why = not_ready(&decision.status.conditions);
        context
            .metrics
            .stands(Kind::DataMap, &name.namespace, &name.name, why);
        record::events(context, kind, &object, decision.events).await;
        return Ok(Requeue::requeue(decision.requeue_after));
    }
    Err(RecordFault::Stale.into())
}

fn decide_with(
    object: &DynamicObject,
    spec: &Result<DataMap, Vec<FieldError>>,
    status: &DataMapStatus,
    fits: Option<&Result<(), Verdict>>,
    context: &Context,
) -> Decision {
    let uid = object.uid().unwrap_or_default();
    let database = database_of(object);
    let policies = context.scopes.policies();
    let mut policies: Vec<String> = policies
        .filter(|policy| database.is_some() && database_of(policy) == database)
        .map(|policy| Name::of(&policy).to_string())
        .collect();
    policies.sort();
    decide(&Observed {
        generation: object.metadata.generation.unwrap_or_default(),
        spec: spec.as_ref().map_err(Vec::as_slice),
        status,
        fits,
        policies: &policies,
        checked: context.memory.checked(&uid),
        failures: context.memory.failures(&uid),
        jitter: rand::random(),
        now: Timestamp::now(),
    })
}

/// The spec as the rest of the program reads it, or every fault of it.
pub(super) fn parse(
    object: &DynamicObject,
    target: Option<&Target>,
) -> Result<DataMap, Vec<FieldError>> {
    let spec: DataMapSpec = read::spec(object)?;
    match target {
        Some(target) => DataMap::parse(&spec, target),
        None => DataMap::alone(&spec),
    }
}

async fn database_of_map(
    object: &DynamicObject,
    context: &Context,
) -> Result<DatabaseInput, Verdict> {
    let Some(database) = database_of(object) else {
        // The parser says it better.
        return Err(Verdict::new(
            Reason::DatabaseNotFound,
            "spec.databaseRef.name is missing",
        ));
    };
    find_database(&Name::of(object), &database, context).await
}

/// Whether a map fits the tables of its database.
async fn look(
    name: &Name,
    map: &DataMap,
    input: Result<DatabaseInput, Verdict>,
    context: &Context,
) -> Result<(), Verdict> {
    let input = input?;
    let looking = async {
        let (database, _) = connect(&input, context)
            .await
            .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
        let named = NamedMap {
            name: name.to_string(),
            map: map.clone(),
        };
        let refusals = work::misfits(&database, named)
            .await
            .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
        if refusals.is_empty() {
            return Ok(());
        }
        let messages: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        let remedy = Reason::DutiesUnfit.remedy();
        let message = format!("{}. {remedy}", messages.join("\n"));
        Err(Verdict::new(Reason::DutiesUnfit, message))
    };
    tokio::time::timeout(LOOK, Box::pin(looking))
        .await
        .unwrap_or_else(|_| {
            let message = "no answer in time: check host, port and network policy";
            Err(Verdict::new(Reason::Unreachable, message))
        })
}

/// The maps that bind the policies of a database.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Those that can be read, in the order of their names.
    pub(super) maps: Vec<NamedMap>,
    /// What is to be said of the others: nothing runs.
    pub(super) unreadable: Vec<String>,
}

impl Bound {
    /// The maps of a database, wherever they are.
    pub(super) async fn on(database: &Name, input: &DatabaseInput, context: &Context) -> Self {
        let mut bound = Self::default();
        let all: BTreeMap<Name, _> = context
            .scopes
            .maps()
            .map(|map| (Name::of(&map), map))
            .collect();
        for (name, map) in all {
            match database_of(&map) {
                Some(theirs) if theirs == *database => {}
                // Which database it is about cannot be read: it may be this one.
                None if name.namespace == database.namespace => {}
                _ => continue,
            }
            // A map that may not use the database binds nobody there, or anybody could stop everything.
            match usable(&input.target, database, &name.namespace, context).await {
                Ok(()) => {}
                Err(Database::NotUsable(_)) => continue,
                Err(_) => {
                    bound.unreadable.push(format!(
                        "whether the DataMap {name} may use the TargetDatabase {database} cannot be \
                         told: the labels of its namespace cannot be read"
                    ));
                    continue;
                }
            }
            match parse(&map, Some(&input.target)) {
                Ok(map) => bound.maps.push(NamedMap {
                    name: name.to_string(),
                    map,
                }),
                Err(_) => bound.unreadable.push(format!(
                    "the DataMap {name} has faults; its own condition names them"
                )),
            }
        }
        bound
    }
}
