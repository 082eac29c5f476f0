//! A run from its record in the ledger: begun, or gone on with. What it must survive: it may end at any instant and
//! be resumed by another process, or be overtaken by one.

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::digest::Digest;
use oubliette_core::ledger::{CheckpointRow, Ledger, NewRun, RunRow};
use oubliette_core::plan::{ApprovedPlan, Plan, Refusal, RuleDraft};
use oubliette_core::report::{RunOutcome, RunReport};
use oubliette_core::rows::Rows;
use oubliette_core::run::{Saved, shares};
use oubliette_core::sql::Window;

use super::aside;
use super::close::untouched;
use super::give_up::give_up;
use super::inspect::{failed, plan_after};
use super::job::{Job, JobOutcome, ProgressSender, StopSignal, StopWhy};
use super::steps::Run;
use super::walk::stopped;
use crate::ledger::{Beginning, LedgerFault, Store, Taken};

/// Carries a policy out. `planned`: a plan of a moment ago.
pub(super) async fn run(
    job: &Job,
    id: &str,
    planned: Option<Plan>,
    progress: &ProgressSender,
    stop: &mut StopSignal,
) -> JobOutcome {
    match Box::pin(attempt(job, id, planned, progress, stop)).await {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

async fn attempt(
    job: &Job,
    id: &str,
    planned: Option<Plan>,
    progress: &ProgressSender,
    stop: &mut StopSignal,
) -> Result<JobOutcome, JobOutcome> {
    let ledger = Ledger {
        engine: job.database.engine(),
        place: job.ledger.clone(),
    };
    not_rewound(job, &ledger).await.map_err(|f| refused(&f))?;
    let store = Store::open(&job.database, ledger, &job.owner)
        .await
        .map_err(|f| refused(&f))?;
    let open = store
        .open_run(&job.policy.uid)
        .await
        .map_err(|f| refused(&f))?;
    if let Some(row) = &open {
        // Rows that nobody can see come back before anything else, whatever becomes of the run.
        let settled = Box::pin(aside::settle(&store, &row.id)).await;
        settled.map_err(|f| refused(&f))?;
    }
    if open.is_none()
        && let Some(ended) = store.run(id).await.map_err(|f| refused(&f))?
    {
        return recorded(&ended);
    }
    if let (Some(_), Some(row)) = (&job.consent, &open)
        && row.id != id
    {
        return Err(begun_meanwhile(row));
    }
    let told = *stop.borrow();
    if let Some(why) = told {
        return abandon(&store, open.as_ref(), why).await;
    }
    let as_of = match &open {
        Some(run) => run.as_of.parse().map_err(|_| malformed("as_of"))?,
        None => job.now,
    };
    let planned = tokio::select! {
        planned = plan_after(planned, job, as_of, progress) => planned,
        () = stopped(stop) => {
            let told = *stop.borrow();
            let why = told.unwrap_or(StopWhy::Shutdown);
            return abandon(&store, open.as_ref(), why).await;
        }
    };
    let (approved, row, taken) = match open {
        Some(row) => match resume(job, &store, planned, &row).await? {
            Ok((approved, taken)) => (approved, row, taken),
            Err(drifted) => return Ok(drifted),
        },
        None => begin(job, id, &store, planned?).await?,
    };
    let run = Run {
        job,
        store: &store,
        row: &row,
        plan: &approved,
        epoch: taken.epoch,
    };
    let outcome = Box::pin(run.carry_out(&taken, progress, stop)).await;
    outcome.map_err(|fault| refused(&fault))
}

/// Refuses a ledger that is behind what is remembered of it, before it is opened: opening creates one
/// that is missing.
pub(super) async fn not_rewound(job: &Job, ledger: &Ledger) -> Result<(), LedgerFault> {
    let store = Store::unchecked(&job.database, ledger.clone());
    match store.rewound(&job.remembered).await? {
        None => Ok(()),
        Some(rewound) => Err(LedgerFault::Refused {
            reason: Reason::LedgerRewound,
            message: rewound.explain(),
        }),
    }
}

/// What the ledger has of a run that ended before.
pub(super) fn recorded(row: &RunRow) -> Result<JobOutcome, JobOutcome> {
    let run: RunReport = row
        .report
        .as_deref()
        .and_then(|r| serde_json::from_str(r).ok())
        .ok_or_else(|| malformed("report"))?;
    Ok(JobOutcome::Ran { plan: None, run })
}

/// Whoever agreed to one run has not agreed to go on with another one.
fn begun_meanwhile(row: &RunRow) -> JobOutcome {
    let message = format!(
        "the run {} of this policy was begun elsewhere after the plan was shown",
        row.id
    );
    JobOutcome::Refused {
        plan: None,
        refusals: vec![
            Refusal::whole(Reason::TakenOver, message)
                .remedy("ask again: that run is finished first"),
        ],
    }
}

/// A stop before the run's work began or was taken over.
async fn abandon(
    store: &Store,
    open: Option<&RunRow>,
    why: StopWhy,
) -> Result<JobOutcome, JobOutcome> {
    if why.abandons()
        && let Some(row) = open
    {
        let outcome = RunOutcome::Stopped(Reason::Abandoned);
        let run = give_up(store, row, "abandoned", outcome)
            .await
            .map_err(|f| refused(&f))?;
        return Ok(JobOutcome::Ran { plan: None, run });
    }
    Ok(JobOutcome::Stopped(why))
}

type Resumed = Result<(ApprovedPlan, Taken), JobOutcome>;

/// Goes on with a run whose plan was made again with the recorded instant. A plan with another
/// digest is not the one that was approved, nor is one that is refused now: the run is given up.
/// Limits are not asked again: what is left is less than what they allowed. What people allowed meanwhile
/// may be less than what the run was begun for: then it is not theirs.
async fn resume(
    job: &Job,
    store: &Store,
    planned: Result<Plan, JobOutcome>,
    row: &RunRow,
) -> Result<Resumed, JobOutcome> {
    let (plan, same) = match planned {
        Ok(planned) => {
            let digest = planned.report().digest;
            let same = digest.to_string() == row.plan;
            let same = same && is_allowed(job, store, &digest, row).await?;
            (Some(planned), same)
        }
        // What somebody has to mend elsewhere, a grant say, makes it no other plan.
        Err(JobOutcome::Refused { refusals, .. })
            if refusals.iter().all(|refusal| !refusal.reason.is_stalled()) =>
        {
            let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            return Err(JobOutcome::Failed {
                reason: refusals.first().map_or(Reason::RunFailed, |r| r.reason),
                message: told.join("\n"),
                passing: true,
            });
        }
        Err(JobOutcome::Refused { .. }) => (None, false),
        Err(other) => return Err(other),
    };
    match plan {
        // It goes on when it is approved again, as it is now.
        Some(planned)
            if same
                && job.assent.as_ref().is_some_and(|assent| {
                    assent.voided_by(&planned.report().loosened).is_some()
                }) =>
        {
            Err(JobOutcome::Planned(planned.report().clone()))
        }
        Some(planned) if same => {
            let taken = store.take_over(&row.id).await.map_err(|f| refused(&f))?;
            Ok(Ok((planned.resume(), taken)))
        }
        other => {
            let outcome = RunOutcome::Stopped(Reason::Drifted);
            let run = give_up(store, row, "drifted", outcome)
                .await
                .map_err(|f| refused(&f))?;
            Ok(Err(JobOutcome::Ran {
                plan: other.map(|planned| planned.report().clone()),
                run,
            }))
        }
    }
}

/// Whether the rest of a run is what people allow now.
async fn is_allowed(
    job: &Job,
    store: &Store,
    digest: &Digest,
    row: &RunRow,
) -> Result<bool, JobOutcome> {
    let Some(assent) = &job.assent else {
        return Ok(true);
    };
    let Some(most) = assent.max_rows else {
        return Ok(assent.plan == *digest);
    };
    let ceiling = store.ceiling(&row.id).await.map_err(|f| refused(&f))?;
    Ok(assent.plan == *digest && ceiling <= most)
}

async fn begin(
    job: &Job,
    id: &str,
    store: &Store,
    planned: Plan,
) -> Result<(ApprovedPlan, RunRow, Taken), JobOutcome> {
    let approved = planned
        .under(job.assent.as_ref())
        .approve(job.consent.clone())
        .map_err(|(plan, refusals)| JobOutcome::Refused {
            plan: Some(plan),
            refusals,
        })?;
    let new = beginning(job, id, &approved)?;
    store
        .record_all(std::slice::from_ref(&new))
        .await
        .map_err(|f| refused(&f))?;
    let taken = store.take_over(id).await.map_err(|f| refused(&f))?;
    let row = store
        .run(id)
        .await
        .map_err(|f| refused(&f))?
        .ok_or_else(|| malformed("id"))?;
    Ok((approved, row, taken))
}

/// What is recorded of a run before its first batch.
pub(super) fn beginning(
    job: &Job,
    id: &str,
    approved: &ApprovedPlan,
) -> Result<Beginning, JobOutcome> {
    let related = |rule: &RuleDraft| i32::try_from(rule.nodes.len()).unwrap_or(i32::MAX);
    Ok(Beginning {
        run: NewRun {
            id: id.to_owned(),
            policy_uid: job.policy.uid.clone(),
            policy: job.policy.to_string(),
            plan: approved.digest().to_string(),
            as_of: approved.as_of().to_string(),
            started_at: Timestamp::now().to_string(),
            steps: serde_json::to_string(&untouched(approved)).map_err(|_| malformed("steps"))?,
        },
        checkpoints: checkpoints(job, approved),
        targets: approved.rules().iter().map(related).collect(),
    })
}

/// One checkpoint per step and worker, with its range and its share of the ceiling.
fn checkpoints(job: &Job, plan: &ApprovedPlan) -> Vec<CheckpointRow> {
    let lanes = job.pacing.lanes();
    let mut rows = Vec::new();
    for (step, (facts, ceiling)) in (0_i32..).zip(plan.facts().iter().zip(plan.ceilings())) {
        let shares = (0_i32..).zip(shares(facts, ceiling, lanes));
        rows.extend(shares.map(|(worker, (range, share))| checkpoint(step, worker, range, share)));
    }
    rows
}

/// A worker that has not begun.
fn checkpoint(step: i32, worker: i32, range: Window, ceiling: Rows) -> CheckpointRow {
    CheckpointRow {
        step,
        worker,
        state: "open".to_owned(),
        range,
        saved: Saved {
            epoch: 0,
            seq: 0,
            hold_gen: 0,
            part: 0,
            done: Rows::ZERO,
            ceiling,
            cursor: None,
            walked: false,
        },
    }
}

pub(super) fn refused(fault: &LedgerFault) -> JobOutcome {
    match fault {
        LedgerFault::Database(fault) => failed(fault),
        // A hold was released on the way: the run stays open and is planned anew.
        LedgerFault::Refused {
            reason: Reason::ApprovalVoid,
            ..
        } => JobOutcome::Stopped(StopWhy::Unapproved),
        other => JobOutcome::Failed {
            reason: other.reason(),
            message: other.to_string(),
            passing: other.is_passing(),
        },
    }
}

fn malformed(column: &str) -> JobOutcome {
    JobOutcome::Failed {
        reason: Reason::RunFailed,
        message: format!(
            "column {column} of the ledger's table run is not what this program wrote"
        ),
        passing: false,
    }
}
