//! One look at a legal hold: find its database, bring the ledger to what the spec asks for, write the
//! status. A policy's run is not told of it: the next fence of its batches misses.

mod person;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::not_ready;
use oubliette_core::api::legal_hold::{LegalHoldSpec, LegalHoldStatus};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::legal_hold::{Decision, Kept, Observed, decide, unusable};
use oubliette_core::hold::{Hold, HoldTest, WantedHold, WantedOn, WantedRows};

use super::conflicts::usable;
use super::record::{self, RecordFault, Told};
use super::target_database::{self, connect};
use super::{Context, Error, Name, read};
use crate::inputs::cluster::DatabaseInput;
use crate::metrics::Kind;
use crate::work::hold;

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// It takes no longer than this, whatever hangs. A hold that was placed all the same is found next
/// time.
const LOOK: Duration = Duration::from_mins(1);
/// The same where a person is looked for in every database.
const SEARCH: Duration = Duration::from_mins(10);

pub(super) async fn reconcile(
    object: Arc<DynamicObject>,
    context: &Arc<Context>,
) -> Result<Requeue, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    // A database that was not seen yet is not one that does not exist.
    tokio::select! {
        () = context.scopes.wait_until_known() => {}
        () = context.stop.cancelled() => return Ok(Requeue::await_change()),
    }
    let name = Name::of(&object);
    let uid = object.uid().unwrap_or_default();
    let kind = &*context.kinds.hold;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    let mut object = object;
    let mut kept = None;
    let mut asked = 0;
    for _ in 0..ATTEMPTS {
        context.memory.saw_generation(&object);
        let spec = parse(&object);
        let status = read_status(&object);
        let decision = decide_with(&object, &spec, &status, kept.as_ref(), context);
        if decision.keep
            && let Ok(wanted) = &spec
        {
            asked = context.memory.asked(&uid);
            let done = tokio::select! {
                done = keep(&object, wanted, context) => done,
                () = context.stop.cancelled() => return Ok(Requeue::await_change()),
            };
            kept = Some(done);
            // As the watch knows it: a write by what is older than the stored one is refused.
            object = match context.scopes.hold(&name) {
                Some(current) => current,
                None => return Ok(Requeue::await_change()),
            };
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
        if kept.is_some() {
            let generation = object.metadata.generation.unwrap_or_default();
            context
                .memory
                .looked(&uid, asked, (Timestamp::now(), generation));
        }
        context.memory.set_failures(&uid, decision.failures);
        if let Some(reason) = decision.failed {
            context.metrics.failed(Kind::LegalHold, reason);
        }
        let why = not_ready(&decision.status.conditions);
        context
            .metrics
            .stands(Kind::LegalHold, &name.namespace, &name.name, why);
        record::events(context, kind, &object, decision.events).await;
        return Ok(Requeue::requeue(decision.requeue_after));
    }
    Err(RecordFault::Stale.into())
}

fn decide_with(
    object: &DynamicObject,
    spec: &Result<WantedHold, Vec<FieldError>>,
    status: &LegalHoldStatus,
    kept: Option<&Result<Kept, Verdict>>,
    context: &Context,
) -> Decision {
    let uid = object.uid().unwrap_or_default();
    decide(&Observed {
        generation: object.metadata.generation.unwrap_or_default(),
        spec: spec.as_ref().map_err(Vec::as_slice),
        status,
        kept,
        checked: context.memory.checked(&uid),
        failures: context.memory.failures(&uid),
        jitter: rand::random(),
        now: Timestamp::now(),
    })
}

/// The spec as the rest of the program reads it, or every fault of it.
fn parse(object: &DynamicObject) -> Result<WantedHold, Vec<FieldError>> {
    let spec: LegalHoldSpec = read::spec(object)?;
    WantedHold::parse(&spec)
}

fn read_status(object: &DynamicObject) -> LegalHoldStatus {
    read::status(object)
}

/// Brings the ledger to what the spec asks for.
async fn keep(
    object: &DynamicObject,
    wanted: &WantedHold,
    context: &Context,
) -> Result<Kept, Verdict> {
    let keeping = async {
        match &wanted.on {
            WantedOn::Rows(rows) => Box::pin(keep_in(object, wanted, rows, context)).await,
            WantedOn::Subject(subject) => {
                Box::pin(person::keep(object, wanted, subject, context)).await
            }
        }
    };
    let limit = match &wanted.on {
        WantedOn::Rows(_) => LOOK,
        WantedOn::Subject(_) => SEARCH,
    };
    tokio::time::timeout(limit, Box::pin(keeping))
        .await
        .unwrap_or_else(|_| {
            let message = "no answer in time: check host, port and network policy";
            Err(Verdict::new(Reason::Unreachable, message))
        })
}

async fn keep_in(
    object: &DynamicObject,
    wanted: &WantedHold,
    rows: &WantedRows,
    context: &Context,
) -> Result<Kept, Verdict> {
    let name = Name::of(object);
    let id = object.uid().unwrap_or_default();
    let namespace = rows.database_namespace.as_ref();
    let database = Name::new(namespace.unwrap_or(&name.namespace), &rows.database);
    let input = find_database(&name, &database, context).await?;
    let (database, owner) = connect(&input, context)
        .await
        .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    let of_ledger =
        |fault: crate::ledger::LedgerFault| Verdict::new(fault.reason(), fault.to_string());
    let store = hold::open(&database, &input.target.ledger, &owner)
        .await
        .map_err(of_ledger)?;
    if let Some(release) = &wanted.release {
        let row = hold::release(&store, &id, release)
            .await
            .map_err(of_ledger)?;
        return Ok(Kept {
            row,
            rows: None,
            databases: Vec::new(),
        });
    }
    if let Some(row) = store.hold(&id).await.map_err(of_ledger)? {
        return Ok(Kept {
            row: Some(row),
            rows: None,
            databases: Vec::new(),
        });
    }
    let hold = gather(&id, &name, rows, context).await?;
    hold::place(&database, &store, &hold, &wanted.reason, &wanted.placed_by)
        .await
        .map_err(|fault| {
            let reason = fault.reason();
            Verdict::new(reason, format!("{fault}. {}", reason.remedy()))
        })
}

/// The hold with its values.
async fn gather(
    id: &str,
    name: &Name,
    wanted: &WantedRows,
    context: &Context,
) -> Result<Hold, Verdict> {
    let mut tests = Vec::with_capacity(wanted.tests.len());
    for test in &wanted.tests {
        let values = match &test.values {
            None => Vec::new(),
            Some(at) => context
                .cluster
                .hold_values(&name.namespace, at)
                .await
                .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?,
        };
        tests.push(HoldTest {
            column: test.column.clone(),
            operator: test.operator,
            values,
        });
    }
    Ok(Hold {
        id: id.to_owned(),
        name: name.to_string(),
        table: wanted.table.clone(),
        tests,
    })
}

/// The database of a hold or map of that name. Whether it is Ready makes no difference: a hold must not
/// wait for what stops runs.
pub(super) async fn find_database(
    name: &Name,
    database: &Name,
    context: &Context,
) -> Result<DatabaseInput, Verdict> {
    let Some(object) = context.scopes.database(database) else {
        let message = format!(
            "the TargetDatabase {database} does not exist, or this operator does not watch its \
             namespace. {}",
            Reason::DatabaseNotFound.remedy()
        );
        return Err(Verdict::new(Reason::DatabaseNotFound, message));
    };
    let Ok(target) = target_database::parse(&object) else {
        let message =
            format!("the TargetDatabase {database} has faults; its own condition names them");
        return Err(Verdict::new(Reason::DatabaseNotReady, message));
    };
    if let Err(why) = usable(&target, database, &name.namespace, context).await {
        let other = || Verdict::new(Reason::DatabaseNotReady, "its labels cannot be read");
        return Err(unusable(&why).unwrap_or_else(other));
    }
    Ok(target_database::input(&object, &target))
}
