//! One look at a policy: gather what concerns it, ask core, write the status, start or stop its job.

mod counted;

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::{Api, ResourceExt};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::{RetentionPolicySpec, RetentionPolicyStatus};
use oubliette_core::api::target_database::TargetDatabaseStatus;
use oubliette_core::catalog::Engine;
use oubliette_core::decide::due::RUN_NOW;
use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::decide::retention_policy::{
    Action, Database, Decision, Finished, Job as JobState, Observed, Wanted, decide,
};
use oubliette_core::decide::{Meta, whole_second};
use oubliette_core::digest::Digest;
use oubliette_core::ledger::Owner;
use oubliette_core::policy::{Mandate, Mode};
use oubliette_core::report::Progress;
use tokio::sync::watch;

use super::conflicts::{conflicts, usable};
use super::memory::Parsed;
use super::record::{self, RecordFault};
use super::runs::{Stage, Ticket};
use super::scope::database_of;
use super::{Context, Error, Name};
use crate::inputs::cluster::{Cluster, DatabaseInput};
use crate::inputs::secrets::GatherFault;
use crate::metrics::Kind;
use crate::work;
use crate::work::job::{Job, Order, PolicyRef};

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// The referenced database as far as it concerns a policy.
struct Found {
    state: Database,
    /// What is needed to connect, where the database exists and reads.
    input: Option<DatabaseInput>,
    uid: String,
}

/// Everything that a decision is made from.
struct Seen {
    name: Name,
    uid: String,
    generation: i64,
    created_at: Timestamp,
    deleting: bool,
    run_now: Option<String>,
    spec: Option<RetentionPolicySpec>,
    mandate: Parsed,
    status: RetentionPolicyStatus,
    database: Found,
    conflicts: Vec<String>,
    job: Option<(Ticket, Stage)>,
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
    let kind = &context.kinds.policy;
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
        status,
        events,
        failures,
        requeue_after,
    } = decision;
    context.memory.set_failures(&seen.uid, failures);
    if status.progress.is_some() && status.progress != seen.status.progress {
        context.runs.told(&seen.uid, Timestamp::now());
    }
    counted::looked(&seen, &status, context);
    match action {
        Action::Nothing => {}
        Action::Stop(why) => context.runs.stop(&seen.uid, why),
        Action::Forget => {
            after_the_end(&seen, context);
            context.runs.forget(&seen.uid);
        }
        Action::Start(kind) => start(&seen, kind, context),
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
            job: context.runs.stage(&uid),
            name,
            uid,
        }
    }

    fn decide(&self, context: &Context) -> Decision {
        let digested = self.spec.as_ref().map(RetentionPolicySpec::digest_input);
        let digest = digested
            .as_ref()
            .and_then(|spec| Digest::of_json(spec).ok())
            .map(|digest| digest.to_string())
            .unwrap_or_default();
        let spec = match self.mandate.as_ref() {
            Ok(mandate) => Ok(Wanted {
                schedule: &mandate.schedule,
                enforce: mandate.mode == Mode::Enforce,
                suspended: mandate.suspend,
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
                    && (self.database.uid.is_empty() || self.database.uid == ticket.database),
                progress,
            },
            Some((ticket, Stage::Finished(outcome))) => JobState::Finished(Finished {
                kind: &ticket.kind,
                generation: ticket.generation,
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
    let spec = object.data.get("spec").unwrap_or(&serde_json::Value::Null);
    serde_path_to_error::deserialize(spec).map_err(|error| vec![super::type_fault(&error)])
}

/// The status as stored. One that does not read is begun anew.
fn read_status(object: &DynamicObject) -> RetentionPolicyStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
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
    let status = database.data.get("status").cloned().unwrap_or_default();
    let status: TargetDatabaseStatus = serde_json::from_value(status).unwrap_or_default();
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    let current = status.observed_generation == database.metadata.generation;
    let engine = [Engine::Postgres, Engine::MySql, Engine::MariaDb]
        .into_iter()
        .find(|engine| status.engine.as_deref() == Some(engine.name()));
    match (ready, engine) {
        (Some(ready), Some(engine)) if current && ready.status == "True" => Database::Ready(engine),
        (Some(ready), _)
            if current
                && ready.status == "False"
                && ready.reason == Reason::LedgerRewound.as_str() =>
        {
            Database::Rewound(format!("TargetDatabase {name}: {}", ready.message))
        }
        (Some(ready), _) if current && ready.status == "False" => Database::NotReady(format!(
            "the TargetDatabase {name} is not ready: {} ({})",
            ready.message, ready.reason
        )),
        _ => Database::Pending(format!("the TargetDatabase {name} is being looked at")),
    }
}

/// Starts a job. What it needs from cluster and database is gathered in its own task: a host that
/// does not answer holds up nobody else.
fn start(seen: &Seen, kind: JobKind, context: &Arc<Context>) {
    let (Some(spec), Ok(mandate), Some(input)) =
        (&seen.spec, seen.mandate.as_ref(), &seen.database.input)
    else {
        // Nothing is started for what does not parse.
        return;
    };
    let order = Order {
        policy: PolicyRef {
            uid: seen.uid.clone(),
            namespace: seen.name.namespace.clone(),
            name: seen.name.name.clone(),
            generation: seen.generation,
        },
        spec: Order::digested(spec, &input.target),
        mandate: mandate.clone(),
        target: input.target.clone(),
        kind: kind.clone(),
        remembered: context.scopes.remembered(&Name::new(
            input.namespace.clone(),
            mandate.database.clone(),
        )),
        metrics: context.metrics.clone(),
    };
    let input = input.clone();
    let ticket = Ticket {
        policy: seen.name.clone(),
        uid: seen.uid.clone(),
        generation: seen.generation,
        spec: order.spec.clone(),
        database: seen.database.uid.clone(),
        kind,
    };
    let cluster = context.cluster.clone();
    context
        .runs
        .start(ticket, move |progress, stop| async move {
            Box::pin(carry_out(order, &input, &cluster, &progress, stop)).await
        });
}

async fn carry_out(
    order: Order,
    input: &DatabaseInput,
    cluster: &Cluster,
    progress: &watch::Sender<Progress>,
    stop: watch::Receiver<Option<StopWhy>>,
) -> JobOutcome {
    let mut told = stop.clone();
    let gathered = tokio::select! {
        // Nothing has begun: what is being gathered may be dropped.
        why = told.wait_for(Option::is_some) => {
            let why = why.ok().and_then(|why| *why);
            return JobOutcome::Stopped(why.unwrap_or(StopWhy::Shutdown));
        }
        gathered = gather(order, input, cluster) => gathered,
    };
    let outcome = match gathered {
        Ok(job) => Box::pin(work::perform(job, progress, stop)).await,
        Err(outcome) => outcome,
    };
    if let JobOutcome::Failed {
        reason: Reason::AuthenticationFailed | Reason::CertificateInvalid,
        ..
    } = &outcome
    {
        // The next attempt connects anew, with the Secret as it is then.
        cluster.forget(&input.uid);
    }
    outcome
}

async fn gather(order: Order, input: &DatabaseInput, cluster: &Cluster) -> Result<Job, JobOutcome> {
    let failed = |fault: GatherFault| JobOutcome::Failed {
        reason: fault.reason(),
        message: fault.to_string(),
        passing: true,
    };
    let owner = Owner {
        cluster: cluster.uid().await.map_err(failed)?,
        database: input.uid.clone(),
    };
    let keyed = !matches!(order.kind, JobKind::GiveUp { .. });
    let pseudonym_key = match order.mandate.pseudonym_key.as_ref().filter(|_| keyed) {
        Some(at) => Some(
            cluster
                .pseudonym_key(&order.policy.namespace, at)
                .await
                .map_err(failed)?,
        ),
        None => None,
    };
    let database = cluster.connect(input).await.map_err(failed)?;
    let now = whole_second(Timestamp::now());
    Ok(order.job(database, owner, pseudonym_key, now))
}

/// What follows from the end of a job beside the status.
fn after_the_end(seen: &Seen, context: &Context) {
    let Some((_, Stage::Finished(outcome))) = &seen.job else {
        return;
    };
    match &**outcome {
        JobOutcome::Ran { run, .. } => counted::ended(&seen.name, run, context),
        JobOutcome::Refused { refusals, .. } => {
            for refusal in refusals {
                context
                    .metrics
                    .failed(Kind::RetentionPolicy, refusal.reason);
            }
        }
        JobOutcome::Failed { reason, .. } => {
            context.metrics.failed(Kind::RetentionPolicy, *reason);
            // The database's own condition should say it too, and soon.
            let database = &seen.database;
            if matches!(
                reason,
                Reason::Unreachable
                    | Reason::AuthenticationFailed
                    | Reason::CertificateInvalid
                    | Reason::SecretMissing
                    | Reason::SecretForbidden
                    | Reason::ClockSkew
                    | Reason::LedgerOwned
                    | Reason::LedgerNewer
                    | Reason::LedgerRewound
            ) && let Some(input) = &database.input
            {
                context.memory.set_checked(&database.uid, None);
                if let Ok(mandate) = seen.mandate.as_ref() {
                    let name = Name::new(input.namespace.clone(), mandate.database.clone());
                    context.scopes.nudge_database(&name);
                }
            }
        }
        JobOutcome::Planned(_) | JobOutcome::Stopped(_) => {}
    }
}
