//! One look at a database: gather its Secrets, connect, find out what answers, write the status.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::not_ready;
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::target_database::{TargetDatabaseSpec, TargetDatabaseStatus};
use oubliette_core::decide::target_database::{
    Check, Decision, Found, Ledger, Observed, Wanted, accepted, applied_again, decide,
    is_applied_again, orphaned, orphaned_holds,
};
use oubliette_core::decide::{Meta, Verdict};
use oubliette_core::erasure::Restored;
use oubliette_core::ledger::{ACCEPT, Owner, RunRow};
use oubliette_core::report::RunReport;
use oubliette_core::target::Target;

use super::coverage::decided;
use super::jobs::ended_without_policy;
use super::persons;
use super::record::{self, RecordFault, Told};
use super::{Context, Error, Name, read};
use crate::database::Database;
use crate::inputs::cluster::DatabaseInput;
use crate::inputs::secrets::GatherFault;
use crate::metrics::Kind;
use crate::work::accept::accept;
use crate::work::erase::Ask;
use crate::work::give_up::end_runs;
use crate::work::look::{coverage, look};

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// A look takes no longer than this, whatever hangs.
const LOOK: Duration = Duration::from_secs(40);

pub(super) async fn reconcile(
    object: Arc<DynamicObject>,
    context: &Arc<Context>,
) -> Result<Requeue, Error> {
    let name = Name::of(&object);
    let uid = object.uid().unwrap_or_default();
    let kind = &*context.kinds.database;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    if object.metadata.deletion_timestamp.is_some() {
        context.cluster.forget(&uid);
        return Ok(Requeue::await_change());
    }
    // A policy that was not seen yet is not one that is gone.
    tokio::select! {
        () = context.scopes.wait_until_known() => {}
        () = context.stop.cancelled() => return Ok(Requeue::await_change()),
    }
    let done = look_and_tell(object, &api, context).await;
    context.forget_database_if_gone(&name, &uid);
    done
}

async fn look_and_tell(
    object: Arc<DynamicObject>,
    api: &Api<DynamicObject>,
    context: &Context,
) -> Result<Requeue, Error> {
    let name = Name::of(&object);
    let uid = object.uid().unwrap_or_default();
    let kind = &*context.kinds.database;
    let mut object = object;
    let mut check = None;
    let mut looked = None;
    for _ in 0..ATTEMPTS {
        context.memory.saw_generation(&object);
        let target = parse(&object);
        let status = read_status(&object);
        let decision = decide_with(&object, &target, &status, check.as_ref(), context);
        if decision.check
            && let Ok(target) = &target
        {
            // Who waits for the first look should read that it is under way.
            let told = decision.status != status;
            if told {
                match record::status(api, kind, &object, &decision.status).await {
                    Ok(()) | Err(RecordFault::Stale) => {}
                    Err(RecordFault::Gone) => return Ok(Requeue::await_change()),
                    Err(fault) => return Err(fault.into()),
                }
            }
            let asked = context.memory.asked(&uid);
            let look = async {
                let found = look_and_act(&object, target, context).await;
                context.cluster.rest(&uid).await;
                found
            };
            let found = tokio::select! {
                found = look => found,
                () = context.stop.cancelled() => return Ok(Requeue::await_change()),
            };
            let generation = object.metadata.generation.unwrap_or_default();
            looked = Some((asked, (Timestamp::now(), generation)));
            check = Some(Check { generation, found });
            object = match seen_again(api, &name, told, context).await {
                Ok(current) => current,
                Err(RecordFault::Gone) => return Ok(Requeue::await_change()),
                Err(fault) => return Err(fault.into()),
            };
            continue;
        }
        match record::tell(api, kind, &object, &status, &decision.status).await? {
            Told::Written => {}
            Told::Stale(current) => {
                object = current;
                continue;
            }
            Told::Gone => return Ok(Requeue::await_change()),
        }
        // Not before: what a look found and nobody could be told must be found again.
        if let Some((asked, checked)) = looked {
            context.memory.looked(&uid, asked, checked);
        }
        context.memory.set_failures(&uid, decision.failures);
        if let Some(reason) = decision.failed {
            context.metrics.failed(Kind::TargetDatabase, reason);
        }
        let why = not_ready(&decision.status.conditions);
        let Name { namespace, name } = &name;
        context
            .metrics
            .stands(Kind::TargetDatabase, namespace, name, why);
        let coverage = decision.status.coverage.as_ref();
        context
            .metrics
            .uncovered(namespace, name, coverage.map(|coverage| coverage.gaps));
        let mut events = decision.events;
        events.append(&mut context.memory.take_told(&uid));
        record::events(context, kind, &object, events).await;
        return Ok(Requeue::requeue(decision.requeue_after));
    }
    Err(RecordFault::Stale.into())
}

/// The object after a look. The watch knows it, unless something was `told` meanwhile, which it may not have
/// seen: then it is read. A write by what is older than the stored one is refused.
async fn seen_again(
    api: &Api<DynamicObject>,
    name: &Name,
    told: bool,
    context: &Context,
) -> Result<Arc<DynamicObject>, RecordFault> {
    if told {
        return record::read_again(api, &name.name).await.map(Arc::new);
    }
    context.scopes.database(name).ok_or(RecordFault::Gone)
}

/// Looks at a database, and does what a look has shown to be needed. What was done is told with the
/// next status that is written.
async fn look_and_act(
    object: &DynamicObject,
    target: &Target,
    context: &Context,
) -> Result<Found, Verdict> {
    let mut found = look_at(object, target, context).await;
    if let Ok(seen) = &mut found {
        see_restored(object, seen, context);
    }
    if let Ok(seen) = &found
        && accept_rewound(object, target, seen, context).await
    {
        found = look_at(object, target, context).await;
    }
    if let Ok(found) = &mut found {
        see_restored(object, found, context);
        end_orphans(object, target, found, context).await;
        found.holds = orphaned_holds(
            &found.holds,
            |namespace| context.scopes.covers(namespace),
            |uid| context.scopes.has_hold(uid),
        );
    }
    found
}

/// Notes which erasures a ledger that is behind has lost, and brings the controller to the requests.
fn see_restored(object: &DynamicObject, found: &mut Found, context: &Context) {
    let name = Name::of(object);
    let lost = match &found.ledger {
        Ledger::Rewound(rewound) => {
            let restored = persons::restored(&name, rewound, context);
            let lost = match &restored {
                Restored::Restored { again, .. } => again.clone(),
                Restored::Rewound => BTreeSet::new(),
            };
            let since = read_status(object).restored.map(|restored| restored.since);
            found.applied_again = persons::applied_again(&name, since, &restored, context);
            found.restored = Some(restored);
            lost
        }
        Ledger::Ours { .. } => BTreeSet::new(),
        Ledger::Missing | Ledger::Unfit(_) => return,
    };
    for request in context.persons.saw_lost(&name, lost) {
        if let Some((namespace, name)) = request.split_once('/') {
            context.scopes.nudge_request(&Name::new(namespace, name));
        }
    }
}

fn decide_with(
    object: &DynamicObject,
    target: &Result<Target, Vec<FieldError>>,
    status: &TargetDatabaseStatus,
    check: Option<&Check>,
    context: &Context,
) -> Decision {
    let meta = &object.metadata;
    let uid = object.uid().unwrap_or_default();
    let address = target.as_ref().map(Target::address).unwrap_or_default();
    let spec = match target {
        Ok(target) => Ok(Wanted {
            suspended: target.suspend,
            address: &address,
        }),
        Err(faults) => Err(faults.as_slice()),
    };
    decide(&Observed {
        meta: Meta {
            uid: &uid,
            generation: meta.generation.unwrap_or_default(),
            created_at: meta
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deleting: false,
            run_now: None,
        },
        spec,
        status,
        check,
        checked: context.memory.checked(&uid),
        persons: context.persons.of_database(&Name::of(object)).as_ref(),
        failures: context.memory.failures(&uid),
        jitter: rand::random(),
        now: Timestamp::now(),
    })
}

/// The spec as the rest of the program reads it, or every fault of it.
pub(super) fn parse(object: &DynamicObject) -> Result<Target, Vec<FieldError>> {
    let spec: TargetDatabaseSpec = read::spec(object)?;
    Target::parse(&spec)
}

fn read_status(object: &DynamicObject) -> TargetDatabaseStatus {
    read::status(object)
}

/// What is needed to connect.
pub(super) fn input(object: &DynamicObject, target: &Target) -> DatabaseInput {
    DatabaseInput {
        namespace: object.namespace().unwrap_or_default(),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        target: target.clone(),
    }
}

pub(super) async fn connect(
    input: &DatabaseInput,
    context: &Context,
) -> Result<(Database, Owner), GatherFault> {
    let owner = Owner {
        cluster: context.cluster.uid().await?,
        database: input.uid.clone(),
    };
    Ok((context.cluster.connect(input).await?, owner))
}

/// Accepts a ledger that is behind what is remembered of it, where a person has said so with the
/// token for just this loss, or the erasures that it had lost have been applied again. False: nobody has, or it could not be recorded.
async fn accept_rewound(
    object: &DynamicObject,
    target: &Target,
    found: &Found,
    context: &Context,
) -> bool {
    let Ledger::Rewound(rewound) = &found.ledger else {
        return false;
    };
    let by_person = object.annotations().get(ACCEPT) == Some(&rewound.token());
    // What it had lost of erasures was applied again.
    let again = is_applied_again(&read_status(object), found, Timestamp::now());
    if !by_person && !again {
        return false;
    }
    let name = Name::of(object);
    let accepting = async {
        let (database, owner) = connect(&input(object, target), context)
            .await
            .map_err(|fault| fault.to_string())?;
        accept(
            &database,
            &target.ledger,
            &owner,
            rewound,
            &name.to_string(),
        )
        .await
        .map_err(|fault| fault.to_string())
    };
    let outcome = tokio::time::timeout(LOOK, accepting)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
    match outcome {
        Ok(()) => {
            let uid = object.uid().unwrap_or_default();
            let event = if by_person {
                accepted(rewound)
            } else {
                applied_again(rewound)
            };
            context.memory.tell(&uid, event);
            true
        }
        Err(error) => {
            tracing::warn!(%name, error, "the ledger could not be accepted; it is tried again");
            false
        }
    }
}

/// Ends the open runs in the ledger whose policies were deleted while no job of theirs could do it:
/// the operator was down, the database away, or the policy suspended. What fails is tried again at
/// the next look; it holds nothing up.
async fn end_orphans(object: &DynamicObject, target: &Target, found: &Found, context: &Context) {
    let Ledger::Ours { open, .. } = &found.ledger else {
        return;
    };
    let lives = |uid: &str| {
        let known = context
            .scopes
            .policies()
            .any(|p| p.uid().as_deref() == Some(uid));
        let request = Ask::request_of(uid);
        let asked = || context.scopes.has_request(request);
        // A job of a policy that has just gone ends its run itself.
        known || asked() || context.runs.stage(uid).is_some()
    };
    let orphans = orphaned(open, |namespace| context.scopes.covers(namespace), lives);
    if orphans.is_empty() || target.suspend {
        return;
    }
    let uid = object.uid().unwrap_or_default();
    let ending = async {
        let (database, owner) = connect(&input(object, target), context)
            .await
            .map_err(|fault| fault.to_string())?;
        let tell = |row: &RunRow, run: &RunReport| {
            let (namespace, name) = row.policy.split_once('/').unwrap_or_default();
            let policy = Name::new(namespace, name);
            let event = ended_without_policy(&policy, run, context);
            context.memory.tell(&uid, event);
        };
        end_runs(&database, &target.ledger, &owner, &orphans, tell)
            .await
            .map_err(|fault| fault.to_string())
    };
    let outcome = tokio::time::timeout(LOOK, ending)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
    if let Err(error) = outcome {
        let name = Name::of(object);
        tracing::warn!(%name, error, runs = orphans.len(),
            "open runs whose policies are gone could not be ended; it is tried again");
    }
}

/// Connects and finds out what answers.
async fn look_at(
    object: &DynamicObject,
    target: &Target,
    context: &Context,
) -> Result<Found, Verdict> {
    let input = input(object, target);
    let remembered = context.scopes.remembered(&Name::of(object));
    let looking = async {
        let (database, owner) = connect(&input, context)
            .await
            .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
        let mut found = look(&database, &target.ledger, &owner, &remembered)
            .await
            .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
        found.api_clock = context.cluster.api_clock().await;
        context.memory.saw_api_clock(found.api_clock);
        let decided = decided(object, &input, found.engine, context).await;
        found.coverage = coverage(&database, &decided).await;
        Ok(found)
    };
    let found = tokio::time::timeout(LOOK, looking)
        .await
        .unwrap_or_else(|_| {
            let message = "no answer in time: check host, port and network policy";
            Err(Verdict::new(Reason::Unreachable, message))
        });
    if let Err(verdict) = &found
        && matches!(
            verdict.reason,
            Reason::AuthenticationFailed | Reason::CertificateInvalid
        )
    {
        context.cluster.forget(&input.uid);
    }
    found
}
