//! `oubliette plan`: what policies would do to a database, without a cluster and without a change.
//!
//! The controller's own path up to the plan: what stands in `status.plan` of the applied object.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::decide::job::{JobKind, JobOutcome};
use oubliette_core::decide::whole_second;
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::name::Ident;
use oubliette_core::plan::{Plan, Refusal};
use oubliette_core::policy::Mode;
use secrecy::SecretSlice;
use tokio_util::sync::CancellationToken;

use super::person;
use super::progress::{self, Shown};
use super::refused::not_gathered;
use super::source::{Source, instant};
use super::told::{self, Output, Report, StatementsTold, Told};
use crate::database::Database;
use crate::inputs::offline::{Offline, Promise};
use crate::inputs::secrets::GatherFault;
use crate::ledger::LedgerFault;
use crate::metrics::Metrics;
use crate::work;
use crate::work::job::{Job, Order, PolicyRef, RememberedHolds};
use crate::work::owned;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Manifests and database.
    #[command(flatten)]
    pub source: Source,
    /// The instant from which periods are counted, such as 2026-12-31T00:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub as_of: Option<Timestamp>,
    /// How the plan is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// The SQL as well, with placeholders where values are bound.
    #[arg(long)]
    pub statements: bool,
}

/// Plans every policy and writes what was found. Exit code 0: nothing to do; 2: rows would change;
/// 1: something is refused, or an error.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let opened = request.source.open();
    if let Err(error) = &opened {
        let text = told::failed("plan", error, request.output);
        out.write_all(text.as_bytes())
            .context("failed to write what is wrong")?;
    }
    let (mut offline, promises) = opened?;
    let as_of = request
        .as_of
        .unwrap_or_else(|| whole_second(Timestamp::now()));
    let mut report = Report::default();
    for promise in &promises {
        let mut told = Told::of(promise);
        let planned = planned(&mut offline, promise, as_of, &mut told).await;
        if let (Some(plan), true) = (planned, request.statements) {
            told.statements = plan
                .statements()
                .into_iter()
                .map(|(rule, sql)| StatementsTold { rule, sql })
                .collect();
        }
        report.policies.push(told);
    }
    for petition in offline.petitions() {
        let told = Box::pin(person::plan(&mut offline, &petition, as_of)).await;
        report.requests.push(told);
    }
    offline.close().await;
    out.write_all(report.text(request.output)?.as_bytes())
        .context("failed to write the plan")?;
    Ok(report.exit_code())
}

/// Plans one policy and enters what was found. `None`: it was refused before there were figures.
async fn planned(
    offline: &mut Offline,
    promise: &Promise,
    as_of: Timestamp,
    told: &mut Told,
) -> Option<Plan> {
    let (database, key) = gather(offline, promise, false, told).await?;
    let engine = database.engine();
    // A plan needs no ledger: nobody's name stands in it.
    let owner = Owner::without_cluster(uuid(0));
    let job = order(promise, &owner, JobKind::Plan).job(database.clone(), owner, key, as_of);
    let planned = watched(&job, as_of).await;
    let plan = entered(planned, promise, engine, told);
    if promise.mandate.mode == Mode::Enforce {
        tell_ledger(&database, promise, told).await;
    }
    plan
}

/// Notes what a run would find of the ledger. What is wrong with the database itself is told already.
async fn tell_ledger(database: &Database, promise: &Promise, told: &mut Told) {
    match owned::owner(database, &promise.target.ledger).await {
        Err(LedgerFault::Refused { reason, message }) => {
            told.notes
                .push(format!("`oubliette apply` would be refused ({reason}): {message}"));
        }
        Ok(None) if add_ledgers_grants(database, promise, told).await => told.notes.push(
            "there is no ledger yet, or the user may not see it: the first run makes it, where the \
             user has what `oubliette grants` prints"
                .to_owned(),
        ),
        Ok(_) | Err(_) => {}
    }
}

/// Adds what a missing ledger needs to what refuses a plan for missing grants, so that an
/// administrator is asked once. Whether it is missing.
pub(super) async fn add_ledgers_grants(
    database: &Database,
    promise: &Promise,
    told: &mut Told,
) -> bool {
    let Ok(name) = Ident::new(promise.target.connection.database.clone()) else {
        return false;
    };
    let missing = owned::missing(database, &promise.target.ledger, &name).await;
    let Ok(Some(statements)) = missing else {
        return false;
    };
    let refusals = told.refusals.iter_mut();
    for refusal in refusals.filter(|refusal| refusal.reason == Reason::MissingGrants) {
        for statement in &statements {
            refusal.remedy.push('\n');
            refusal.remedy.push_str(statement);
        }
    }
    true
}

/// The database that a policy is about, and its key of pseudonyms. `None`: something is in the way,
/// which is entered. `keyed`: without the key nothing is to go on.
pub(super) async fn gather(
    offline: &mut Offline,
    promise: &Promise,
    keyed: bool,
    told: &mut Told,
) -> Option<(Database, Option<SecretSlice<u8>>)> {
    if told.suspended {
        told.notes
            .push("suspend: true is set; nothing runs until it is false".to_owned());
    }
    if !promise.hindrances.is_empty() {
        told.refuse(&promise.hindrances);
        return None;
    }
    let database = match offline.connect(promise).await {
        Ok(database) => database,
        Err(fault) => {
            told.refuse(&[not_gathered(&fault, offline)]);
            return None;
        }
    };
    told.enter_server(&database);
    match offline.pseudonym_key(promise) {
        Ok(key) => Some((database, key)),
        // The key is in the digest and in no figure: who reviews a manifest need not have it.
        Err(GatherFault::NotAmong { .. }) if !keyed => {
            told.notes.push(
                "the Secret of pseudonymKey is not among the manifests: the plan's digest is \
                 another one than with it"
                    .to_owned(),
            );
            Some((database, None))
        }
        Err(fault) => {
            told.refuse(&[not_gathered(&fault, offline)]);
            None
        }
    }
}

/// Enters what planning came to. `None`: it was refused before there were figures.
pub(super) fn entered(
    planned: Result<Plan, JobOutcome>,
    promise: &Promise,
    engine: Engine,
    told: &mut Told,
) -> Option<Plan> {
    match planned {
        Ok(plan) => {
            told.enter_plan(plan.report().clone(), promise, engine);
            told.refuse(plan.refusals());
            Some(plan)
        }
        Err(JobOutcome::Refused { plan, refusals }) => {
            if let Some(plan) = plan {
                told.enter_plan(plan, promise, engine);
            }
            told.refuse(&refusals);
            None
        }
        Err(JobOutcome::Failed {
            reason, message, ..
        }) => {
            told.refuse(&[Refusal::whole(reason, message)]);
            None
        }
        // A plan has no other end.
        Err(
            JobOutcome::Planned(_)
            | JobOutcome::Ran { .. }
            | JobOutcome::NeverBegun
            | JobOutcome::Stopped(_),
        ) => None,
    }
}

/// What a job for a policy is made from. Its UID is the owner's name for it, and a manifest has no
/// generation.
pub(super) fn order(promise: &Promise, owner: &Owner, kind: JobKind) -> Order {
    let name = &promise.name;
    Order {
        policy: PolicyRef {
            uid: owner.uid_of("RetentionPolicy", &name.namespace, &name.name),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            generation: 0,
        },
        spec: Order::digested(&promise.spec, &promise.target),
        mandate: promise.mandate.clone(),
        target: promise.target.clone(),
        kind,
        // Nothing outside of the ledger remembers it without a cluster.
        remembered: Vec::new(),
        holds: RememberedHolds::default(),
        metrics: Metrics::new(),
        consent: None,
        assent: None,
    }
}

/// Plans, with a sign of life on a terminal.
pub(super) async fn watched(job: &Job, as_of: Timestamp) -> Result<Plan, JobOutcome> {
    let name = job.policy.to_string();
    let how = progress::on_terminal_or(Shown::Nothing);
    let never = CancellationToken::new();
    progress::shown(&name, how, &never, async |sender, _| {
        work::plan(job, as_of, sender).await
    })
    .await
}
