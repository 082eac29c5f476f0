//! One look at a policy: gather what concerns it, ask core, write the status, start or stop its job.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::{FALLING_BEHIND, not_ready};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::{RetentionPolicySpec, RetentionPolicyStatus};
use oubliette_core::api::target_database::TargetDatabaseStatus;
use oubliette_core::catalog::Engine;
use oubliette_core::decide::Meta;
use oubliette_core::decide::approval::Filed;
use oubliette_core::decide::due::RUN_NOW;
use oubliette_core::decide::retention_policy::{
    Action, Database, Decision, Finished, Job as JobState, Observed, Wanted, decide,
};
use oubliette_core::digest::Digest;
use oubliette_core::duty;
use oubliette_core::policy::{Mandate, Mode};
use oubliette_core::report::{Loosened, RunOutcome};

use super::conflicts::{conflicts, usable};
use super::data_map::Bound;
use super::jobs::{after_the_end, start};
use super::memory::Parsed;
use super::record::{self, RecordFault};
use super::runs::{Stage, Ticket};
use super::scope::database_of;
use super::{Context, Error, Name, approvals, read};
use crate::inputs::cluster::DatabaseInput;
use crate::metrics::Kind;

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// The referenced database as far as it concerns a policy.
pub(super) struct Found {
    state: Database,
    /// What is needed to connect, where the database exists and reads.
    pub(super) input: Option<DatabaseInput>,
    pub(super) uid: String,
}

/// Everything that a decision is made from.
pub(super) struct Seen {
    pub(super) name: Name,
    pub(super) uid: String,
    pub(super) generation: i64,
    created_at: Timestamp,
    deleting: bool,
    run_now: Option<String>,
    pub(super) spec: Option<RetentionPolicySpec>,
    pub(super) mandate: Parsed,
    pub(super) status: RetentionPolicyStatus,
    pub(super) database: Found,
    conflicts: Vec<String>,
    /// The DataMaps of its database.
    pub(super) bound: Bound,
    approvals: Vec<Filed>,
    released: Vec<Loosened>,
    pub(super) job: Option<(Ticket, Stage)>,
}

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
    let kind = &*context.kinds.policy;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    let mut object = object;
    for _ in 0..ATTEMPTS {
        let seen = Seen::gather(&object, context).await;
        let decision = seen.decide(context);
        let starts = matches!(decision.action, Action::Start(_));
        // What starts something is always written: the write proves that the object is current.
        if starts || decision.status != seen.status {
            match record::status(&api, kind, &object, &decision.status).await {
                Ok(()) => {}
                Err(RecordFault::Stale) => {
                    match record::read_again(&api, &name.name).await {
                        Ok(current) => object = Arc::new(current),
                        Err(RecordFault::Gone) => return Ok(Requeue::await_change()),
                        Err(fault) => return Err(fault.into()),
                    }
                    continue;
                }
                Err(RecordFault::Gone) => return Ok(Requeue::await_change()),
                Err(fault) => {
                    // A job that must stop must stop also when nobody can be told of it.
                    if let Action::Stop(why) = decision.action {
                        context.runs.stop(&seen.uid, why);
                    }
                    return Err(fault.into());
                }
            }
        }
        return Ok(act(seen, decision, &object, context).await);
    }
    // Somebody writes all the time; a watch event is on its way for each.
    Err(RecordFault::Stale.into())
}

/// Does what was decided, now that the status tells it.
async fn act(
    seen: Seen,
    decision: Decision,
    object: &DynamicObject,
    context: &Arc<Context>,
) -> Requeue {
    let Decision {
        action,
        assent,
        status,
        events,
        failures,
        failed,
        requeue_after,
    } = decision;
    context.memory.set_failures(&seen.uid, failures);
    for reason in failed {
        context.metrics.failed(Kind::RetentionPolicy, reason);
    }
    if status.progress.is_some() && status.progress != seen.status.progress {
        context.runs.told(&seen.uid, Timestamp::now());
    }
    measure(&seen, &status, context);
    match action {
        Action::Nothing => {}
        Action::Stop(why) => context.runs.stop(&seen.uid, why),
        Action::Forget => {
            if let Some(outcome) = context.runs.take(&seen.uid) {
                after_the_end(&seen, &outcome, context);
            }
        }
        Action::Start(kind) => start(&seen, kind, assent, context),
    }
    if !context.scopes.has_policy(&seen.name, &seen.uid) {
        // It went meanwhile: nobody drops the series after us.
        let Name { namespace, name } = &seen.name;
        context.metrics.forget_policy(namespace, name);
    }
    record::events(context, &context.kinds.policy, object, events).await;
    Requeue::requeue(requeue_after)
}

impl Seen {
    async fn gather(object: &DynamicObject, context: &Context) -> Self {
        let meta = &object.metadata;
        let name = Name::of(object);
        let uid = object.uid().unwrap_or_default();
        context.memory.saw_generation(object);
        let spec = read_spec(object);
        let database = find_database(object, &name, context).await;
        let mandate = parse(object, &spec, &database, context);
        let conflicts = match mandate.as_ref() {
            Ok(mandate) => conflicts(object, mandate, database.input.as_ref(), context).await,
            Err(_) => Vec::new(),
        };
        let released = released(object, &mandate, context);
        let bound = match (&database.input, database_of(object)) {
            (Some(input), Some(wanted)) => Bound::on(&wanted, input, context).await,
            _ => Bound::default(),
        };
        Self {
            generation: meta.generation.unwrap_or_default(),
            created_at: meta
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deleting: meta.deletion_timestamp.is_some(),
            run_now: object.annotations().get(RUN_NOW).cloned(),
            spec: spec.ok(),
            mandate,
            status: read_status(object),
            database,
            conflicts,
            bound,
            approvals: approvals::filed(&name, context),
            released,
            job: context.runs.stage(&uid),
            name,
            uid,
        }
    }

    /// Digest of the DataMaps that bind it.
    pub(super) fn duties(&self) -> Option<String> {
        duty::digest(&self.bound.maps).map(|digest| digest.to_string())
    }

    fn decide(&self, context: &Context) -> Decision {
        let duties = self.duties();
        let digested = self.spec.as_ref().map(RetentionPolicySpec::digest_input);
        let digest = digested
            .as_ref()
            .and_then(|spec| Digest::of_json(spec).ok())
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        let spec = match self.mandate.as_ref() {
            Ok(mandate) => Ok(Wanted {
                schedule: &mandate.schedule,
                windows: &mandate.windows,
                enforce: mandate.mode == Mode::Enforce,
                suspended: mandate.suspend,
                asks: mandate.asks,
                digest: &digest,
            }),
            Err(faults) => Err(faults.as_slice()),
        };
        let job = match &self.job {
            None => JobState::None,
            Some((ticket, Stage::Running(progress))) => JobState::Running {
                kind: &ticket.kind,
                current: digested.as_ref() == ticket.spec.get("policy")
                    && self.database.input.as_ref().is_none_or(|input| {
                        ticket.spec.get("database") == Some(&input.target.digest_input())
                    })
                    && duties == ticket.duties
                    && (self.database.uid.is_empty()
                        || ticket.databases.contains(&self.database.uid)),
                under: ticket.under.as_ref(),
                progress,
            },
            Some((ticket, Stage::Finished(outcome))) => JobState::Finished(Finished {
                kind: &ticket.kind,
                generation: ticket.generation,
                dry: ticket.dry,
                duties: ticket.duties.as_deref(),
                outcome,
            }),
        };
        decide(&Observed {
            meta: Meta {
                uid: &self.uid,
                generation: self.generation,
                created_at: self.created_at,
                deleting: self.deleting,
                run_now: self.run_now.as_deref(),
            },
            spec,
            status: &self.status,
            database: self.database.state.clone(),
            conflicts: &self.conflicts,
            unreadable: &self.bound.unreadable,
            duties: duties.as_deref(),
            approvals: &self.approvals,
            released: &self.released,
            job,
            failures: context.memory.failures(&self.uid),
            told_at: context.runs.told_at(&self.uid),
            jitter: rand::random(),
            now: Timestamp::now(),
        })
    }
}

/// The spec as data. What does not even have the right types names its field.
pub(super) fn read_spec(object: &DynamicObject) -> Result<RetentionPolicySpec, Vec<FieldError>> {
    read::spec(object)
}

pub(super) fn read_status(object: &DynamicObject) -> RetentionPolicyStatus {
    read::status(object)
}

/// The holds on the policy's tables that were released, as their objects tell.
fn released(object: &DynamicObject, mandate: &Parsed, context: &Context) -> Vec<Loosened> {
    let (Some(database), Ok(mandate)) = (database_of(object), mandate.as_ref()) else {
        return Vec::new();
    };
    let tables: BTreeSet<String> = mandate.policy.tables().map(ToString::to_string).collect();
    let released = context.scopes.released_holds(&database).into_iter();
    released
        .filter(|(table, _)| table.as_ref().is_none_or(|table| tables.contains(table)))
        .map(|(_, loosened)| loosened)
        .collect()
}

fn parse(
    object: &DynamicObject,
    spec: &Result<RetentionPolicySpec, Vec<FieldError>>,
    database: &Found,
    context: &Context,
) -> Parsed {
    let version = database.input.as_ref().map(DatabaseInput::version);
    context.memory.parsed(object, version, || {
        let spec = spec.as_ref().map_err(Clone::clone)?;
        match &database.input {
            Some(input) => Mandate::parse(spec, &input.target),
            None => Mandate::alone(spec),
        }
    })
}

/// The referenced database, whether it may be used from here, and whether it is well.
async fn find_database(policy: &DynamicObject, name: &Name, context: &Context) -> Found {
    let nothing = |state| Found {
        state,
        input: None,
        uid: String::new(),
    };
    let Some(wanted) = database_of(policy) else {
        // The parser says it better.
        return nothing(Database::NotFound(
            "spec.databaseRef.name is missing".to_owned(),
        ));
    };
    let Some(database) = context.scopes.database(&wanted) else {
        let why = if context.scopes.covers(&wanted.namespace) {
            format!("the TargetDatabase {wanted} does not exist")
        } else {
            format!("this operator does not watch the namespace of the TargetDatabase {wanted}")
        };
        let remedy = Reason::DatabaseNotFound.remedy();
        return nothing(Database::NotFound(format!("{why}. {remedy}")));
    };
    let uid = database.uid().unwrap_or_default();
    let Ok(target) = super::target_database::parse(&database) else {
        return Found {
            state: Database::Invalid(format!(
                "the TargetDatabase {wanted} has faults; its own condition names them"
            )),
            input: None,
            uid,
        };
    };
    let state = if database.metadata.deletion_timestamp.is_some() {
        Database::NotFound(format!("the TargetDatabase {wanted} is being deleted"))
    } else if let Err(why) = usable(&target, &wanted, &name.namespace, context).await {
        why
    } else if target.suspend {
        Database::Suspended(format!(
            "suspend: true is set on the TargetDatabase {wanted}"
        ))
    } else {
        standing(&database, &wanted)
    };
    let input = super::target_database::input(&database, &target);
    Found {
        state,
        input: Some(input),
        uid,
    }
}

/// How a database stands, by its own status.
pub(super) fn standing(database: &DynamicObject, name: &Name) -> Database {
    let status: TargetDatabaseStatus = read::status(database);
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let current = status.observed_generation == database.metadata.generation;
    let engine = [Engine::Postgres, Engine::MySql, Engine::MariaDb]
        .into_iter()
        .find(|engine| status.engine.as_deref() == Some(engine.name()));
    match (ready, engine) {
        (Some(ready), Some(engine)) if current && ready.status == "True" => Database::Ready(engine),
        (Some(ready), _) if current && is_behind(&ready.reason) => {
            Database::Rewound(format!("TargetDatabase {name}: {}", ready.message))
        }
        (Some(ready), _) if current && ready.status == "False" => Database::NotReady(format!(
            "the TargetDatabase {name} is not ready: {} ({})",
            ready.message, ready.reason
        )),
        _ => Database::Pending(format!("the TargetDatabase {name} is being looked at")),
    }
}

/// Whether a database stands for this reason because its ledger is behind.
fn is_behind(reason: &str) -> bool {
    [
        Reason::LedgerRewound,
        Reason::Restored,
        Reason::ErasureForgotten,
    ]
    .iter()
    .any(|behind| behind.as_str() == reason)
}

fn measure(seen: &Seen, status: &RetentionPolicyStatus, context: &Context) {
    let Name { namespace, name } = &seen.name;
    let why = not_ready(&status.conditions);
    context
        .metrics
        .stands(Kind::RetentionPolicy, namespace, name, why);
    if let Some(rows) = status.overdue_rows {
        context.metrics.overdue(namespace, name, rows);
    }
    let behind = status.conditions.iter().find(|c| c.type_ == FALLING_BEHIND);
    let behind = behind.map(|condition| condition.status == "True");
    let caught_up_at = status.keep_up.as_ref().and_then(|keep| keep.caught_up_at);
    context
        .metrics
        .falling_behind(namespace, name, behind, caught_up_at);
    // From the status, so that a restart does not forget it, not even when runs failed since.
    let completed = status
        .history
        .iter()
        .find(|run| run.outcome == RunOutcome::Completed);
    if let Some(run) = completed {
        context
            .metrics
            .last_success(namespace, name, run.finished_at);
    }
    context
        .metrics
        .next_run(namespace, name, status.next_run_at);
}
