//! A policy's job: from what was seen to the work, and what follows from its end beside the status.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::decide::target_database::ended;
use oubliette_core::decide::{Event, ran_before, whole_second};
use oubliette_core::ledger::Owner;
use oubliette_core::plan::Assent;
use oubliette_core::policy::Mode;
use oubliette_core::report::{Progress, RunReport};
use tokio::sync::watch;

use super::retention_policy::Seen;
use super::runs::Ticket;
use super::{Context, Name, approvals, record, scope};
use crate::inputs::cluster::{Cluster, DatabaseInput};
use crate::inputs::secrets::GatherFault;
use crate::work;
use crate::work::job::{Job, Order, PolicyRef};

/// Starts a job. What it needs from cluster and database is gathered in its own task: a host that
/// does not answer holds up nobody else.
pub(super) fn start(seen: &Seen, kind: JobKind, assent: Option<Assent>, context: &Arc<Context>) {
    let (Some(spec), Ok(mandate), Some(input)) =
        (&seen.spec, seen.mandate.as_ref(), &seen.database.input)
    else {
        // Nothing is started for what does not parse.
        return;
    };
    let mut mandate = mandate.clone();
    mandate.policy.maps.clone_from(&seen.bound.maps);
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
        holds: scope::remembered_holds(
            &context.scopes,
            Name::new(input.namespace.clone(), mandate.database.clone()),
        ),
        metrics: context.metrics.clone(),
        consent: None,
        assent: assent.clone(),
    };
    let input = input.clone();
    let ticket = Ticket {
        policy: seen.name.clone(),
        uid: seen.uid.clone(),
        generation: seen.generation,
        spec: order.spec.clone(),
        duties: seen.duties(),
        databases: vec![seen.database.uid.clone()],
        kind,
        dry: mandate.mode == Mode::DryRun,
        asks: mandate.asks,
        under: assent,
    };
    let policy = seen.name.clone();
    let database = Name::new(input.namespace.clone(), mandate.database.clone());
    let work = {
        let (context, database) = (context.clone(), database.clone());
        move |progress, stop| async move {
            let cluster = &context.cluster;
            let outcome = Box::pin(carry_out(order, &input, cluster, &progress, stop)).await;
            context.forget_database_if_gone(&database, &input.uid);
            outcome
        }
    };
    let heir = {
        let (context, uid) = (context.clone(), seen.database.uid.clone());
        async move |outcome| after_its_policy(&policy, &database, &uid, outcome, &context).await
    };
    context.runs.start(ticket, work, heir);
    // It may have gone since it was looked at, and nobody would take the outcome.
    if !context.scopes.has_policy(&seen.name, &seen.uid) {
        context.runs.orphan(&seen.uid);
    }
    // So may its approval.
    approvals::tell_job(&seen.name, context);
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
    let of = (input.namespace.as_str(), order.mandate.database.as_str());
    let pseudonym_key = match order.mandate.pseudonym_key.as_ref().filter(|_| keyed) {
        Some(at) => Some(
            cluster
                .pseudonym_key(&order.policy.namespace, at, of)
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
pub(super) fn after_the_end(seen: &Seen, outcome: &JobOutcome, context: &Context) {
    match outcome {
        // What the ledger still knew of an earlier one was counted when it ended.
        JobOutcome::Ran { .. } if ran_before(&seen.status, outcome) => {}
        JobOutcome::Ran { run, .. } => count_run(&seen.name, run, context),
        JobOutcome::Failed { reason, .. } => {
            // The database's own condition should say it too, and soon.
            let database = &seen.database;
            if matches!(
                reason,
                Reason::Unreachable
                    | Reason::NoSuchDatabase
                    | Reason::TooManyConnections
                    | Reason::AuthenticationFailed
                    | Reason::CertificateInvalid
                    | Reason::SecretMissing
                    | Reason::SecretForbidden
                    | Reason::ClockSkew
                    | Reason::LedgerOwned
                    | Reason::LedgerNewer
                    | Reason::LedgerRewound
                    | Reason::HoldsUnreadable
            ) && let (Some(input), Ok(mandate)) = (&database.input, seen.mandate.as_ref())
            {
                let name = Name::new(input.namespace.clone(), mandate.database.clone());
                context.look_again_at(&database.uid, &name);
                if *reason == Reason::HoldsUnreadable {
                    // One may have to be placed again.
                    context.scopes.look_again_at_holds(&name, &context.memory);
                }
            }
        }
        JobOutcome::Planned(_)
        | JobOutcome::Refused { .. }
        | JobOutcome::NeverBegun
        | JobOutcome::Stopped(_) => {}
    }
}

/// What follows from the end of a job whose policy is gone. Its database tells it, if that is still
/// there.
async fn after_its_policy(
    policy: &Name,
    database: &Name,
    uid: &str,
    outcome: JobOutcome,
    context: &Context,
) {
    let object = context.scopes.database(database);
    let object = object.filter(|object| object.uid().as_deref() == Some(uid));
    match (outcome, object) {
        (JobOutcome::Ran { run, .. }, object) => {
            let event = ended_without_policy(policy, &run, context);
            if let Some(object) = object {
                record::events(context, &context.kinds.database, &object, vec![event]).await;
            }
        }
        // A run of it may be open: whoever looked meanwhile has left it to this job.
        (_, Some(_)) => context.look_again_at(uid, database),
        (_, None) => {}
    }
}

/// Counts and logs the end of a run whose policy is gone. Returns what its database is to tell.
pub(super) fn ended_without_policy(policy: &Name, run: &RunReport, context: &Context) -> Event {
    count_run(policy, run, context);
    let event = ended(&policy.to_string(), run);
    tracing::info!(%policy, reason = %event.reason, note = event.note, "a run of a deleted policy has ended");
    event
}

fn count_run(name: &Name, run: &RunReport, context: &Context) {
    let Name { namespace, name } = name;
    let took = run
        .finished_at
        .duration_since(run.started_at)
        .unsigned_abs();
    let metrics = &context.metrics;
    metrics.run_ended(namespace, name, run.outcome, took);
    for count in run.rules.iter().flat_map(|rule| &rule.changed) {
        let rows = u64::try_from(count.rows).unwrap_or_default();
        metrics.rows_changed(namespace, name, count.effect, rows);
    }
}
