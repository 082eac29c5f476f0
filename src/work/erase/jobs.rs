//! What a request does in one database as a job of the machine that carries policies out: its policy, its
//! plan, and what the end of a job means to the request.

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::digest::Digest;
use oubliette_core::erasure::again::is_again;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::lower::{self, Person};
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::plan::{Assent, Intent, Refusal};
use oubliette_core::policy::Policy;
use oubliette_core::report::{PlanReport, RunOutcome};
use oubliette_core::run::BATCHES_PER_PART;
use oubliette_core::target::PacingMode;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Ask, Place};
use crate::work::job::{
    Job, JobKind, JobOutcome, Pacing, PolicyRef, ProgressSender, STATEMENT_LIMIT, StopSignal,
};

pub(super) fn lowered(ask: &Ask, place: &Place, recorded: &Recorded, catalog: &Catalog) -> Policy {
    // Years later an address may be somebody else's: what a duty kept is found by its keys.
    let nobody = Known::default();
    let person = Person {
        roles: &recorded.roles,
        known: if ask.round.is_empty() || is_again(&ask.round) {
            &recorded.known
        } else {
            &nobody
        },
        kept: &recorded.kept,
    };
    lower::policy(&place.map, &place.maps, person, &ask.scope, catalog)
}

/// The plan of one database, or why it is refused.
pub(super) async fn planned(
    ask: &Ask,
    place: &Place,
    policy: Policy,
    progress: &ProgressSender,
) -> Result<Result<PlanReport, Vec<Refusal>>, RequestOutcome> {
    let job = job(ask, place, policy, JobKind::Plan, None);
    let (_stop, never) = watch::channel(None);
    match by_itself(job, progress, never).await {
        JobOutcome::Planned(plan) => Ok(Ok(plan)),
        JobOutcome::Refused { refusals, .. } => Ok(Err(refusals)),
        outcome => Err(ended(place, outcome)),
    }
}

/// A job in a task of its own, which ends with whoever waits for it: the stack of a batch is deep.
pub(super) async fn by_itself(job: Job, progress: &ProgressSender, stop: StopSignal) -> JobOutcome {
    let progress = progress.clone();
    let work = async move { crate::work::perform(job, &progress, stop).await };
    let task = AbortOnDropHandle::new(tokio::spawn(Box::pin(work)));
    task.await.unwrap_or_else(|_| JobOutcome::Failed {
        reason: Reason::InternalError,
        message: "the job broke off; it is tried again".to_owned(),
        passing: true,
    })
}

/// The end of one database's job as the request's.
pub(super) fn ended(place: &Place, outcome: JobOutcome) -> RequestOutcome {
    let internal = |message: &str| RequestOutcome::Failed {
        reason: Reason::InternalError,
        message: format!("{}: {message}", place.name),
        passing: true,
    };
    match outcome {
        JobOutcome::Stopped(why) => RequestOutcome::Stopped(why),
        JobOutcome::Failed {
            reason,
            message,
            passing,
        } => RequestOutcome::Failed {
            reason,
            message: format!("{}: {message}", place.name),
            passing,
        },
        JobOutcome::Refused { refusals, .. } => RequestOutcome::Refused {
            report: None,
            refusals: refusals
                .into_iter()
                .map(|refusal| (place.map.name.clone(), refusal))
                .collect(),
        },
        JobOutcome::Planned(_) => RequestOutcome::Failed {
            reason: Reason::ApprovalVoid,
            message: format!(
                "{}: a legal hold was released since it was approved",
                place.name
            ),
            passing: false,
        },
        JobOutcome::Ran { run, .. } => match run.outcome {
            RunOutcome::Completed => internal("it has ended"),
            RunOutcome::Stopped(reason) | RunOutcome::Failed(reason) => RequestOutcome::Failed {
                reason,
                message: format!("{}: {}. {}", place.name, reason.meaning(), reason.remedy()),
                passing: matches!(reason, Reason::RowsLocked | Reason::VerificationFailed),
            },
        },
        JobOutcome::NeverBegun => internal("nothing was begun"),
    }
}

pub(super) fn job(
    ask: &Ask,
    place: &Place,
    policy: Policy,
    kind: JobKind,
    assent: Option<Assent>,
) -> Job {
    let pacing = place.target.pacing;
    Job {
        policy: PolicyRef {
            uid: ask.run_owner(place),
            namespace: ask.namespace.clone(),
            name: ask.name.clone(),
            generation: ask.generation,
        },
        spec: place.spec.clone(),
        rules: policy,
        database: place.database.clone(),
        owner: place.owner.clone(),
        ledger: place.target.ledger.clone(),
        pacing: Pacing {
            backlog: pacing.mode == PacingMode::Backlog,
            batch_duration: pacing.batch_duration,
            // A person's rows are few; several workers would each look for all of them.
            workers: 1,
            max_rows_per_second: pacing
                .max_rows_per_second
                .map(|rows| u32::try_from(rows).unwrap_or(u32::MAX)),
            lock_timeout: pacing.lock_timeout,
            statement_limit: STATEMENT_LIMIT,
            part: BATCHES_PER_PART,
        },
        approval: assent.is_some(),
        windows: place.target.windows.clone(),
        pseudonym_key: place.pseudonym_key.clone(),
        intent: match kind {
            JobKind::Plan | JobKind::GiveUp { .. } => Intent::DryRun,
            JobKind::Run { .. } => Intent::Enforce,
        },
        kind,
        remembered: place.remembered.clone(),
        holds: place.holds.clone(),
        metrics: ask.metrics.clone(),
        consent: None,
        assent,
        planned: None,
        now: ask.now,
    }
}

/// What a request's run in one database is allowed by.
pub(super) fn assent(ask: &Ask, plan: Option<Digest>) -> Option<Assent> {
    plan.map(|plan| Assent {
        plan,
        parts: None,
        // How many they are was asked before the first of them was changed.
        max_rows: Some(i64::MAX),
        approved_at: ask.allowed.and_then(|allowed| allowed.approved_at),
    })
}
