//! Ends runs in the ledger that nobody will go on with: what they did is counted and evidenced, and
//! the keys that their checkpoints hold are cleared. Plans nothing and changes no row of a user's.

use oubliette_core::api::reason::Reason;
use oubliette_core::ledger::{Ledger, Owner, RunRow};
use oubliette_core::name::Ident;
use oubliette_core::report::{RunOutcome, RunReport};

use super::aside;
use super::close::Ending;
use super::job::{Job, JobOutcome, StopSignal};
use super::run::{not_rewound, recorded, refused};
use crate::database::Database;
use crate::ledger::{LedgerFault, Store};

/// Takes a run over to end it.
pub(super) async fn give_up(
    store: &Store,
    row: &RunRow,
    state: &str,
    outcome: RunOutcome,
) -> Result<RunReport, LedgerFault> {
    let epoch = store.take_over(&row.id).await?.epoch;
    aside::settle(store, &row.id).await?;
    let steps = store.finished_steps(&row.id).await?;
    let ending = Ending { store, row, epoch };
    ending.cut_short(steps, state, outcome).await
}

/// Ends a policy's oldest open run.
pub(super) async fn perform(job: &Job, id: &str, stop: &StopSignal) -> JobOutcome {
    let told = *stop.borrow();
    if let Some(why) = told.filter(|why| job.kind.heeds(*why)) {
        return JobOutcome::Stopped(why);
    }
    Box::pin(attempt(job, id))
        .await
        .unwrap_or_else(|outcome| outcome)
}

async fn attempt(job: &Job, id: &str) -> Result<JobOutcome, JobOutcome> {
    let ledger = Ledger {
        engine: job.database.engine(),
        place: job.ledger.clone(),
    };
    not_rewound(job, &ledger).await.map_err(|f| refused(&f))?;
    let Some(store) = opened(&job.database, ledger, &job.owner)
        .await
        .map_err(|f| refused(&f))?
    else {
        return Ok(JobOutcome::NeverBegun);
    };
    let open = store
        .open_run(&job.policy.uid)
        .await
        .map_err(|f| refused(&f))?;
    if let Some(row) = open {
        let run = give_up(&store, &row, "abandoned", ABANDONED)
            .await
            .map_err(|f| refused(&f))?;
        return Ok(JobOutcome::Ran { plan: None, run });
    }
    match store.run(id).await.map_err(|f| refused(&f))? {
        Some(ended) => recorded(&ended),
        None => Ok(JobOutcome::NeverBegun),
    }
}

const ABANDONED: RunOutcome = RunOutcome::Stopped(Reason::Abandoned);

/// Ends these runs, whose policies are gone, and tells each as it is ended: what stops this in its
/// middle does not undo it. One that another worker has ended meanwhile is left out.
pub async fn end_runs(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    runs: &[RunRow],
    mut told: impl FnMut(&RunRow, &RunReport),
) -> Result<(), LedgerFault> {
    let ledger = Ledger {
        engine: database.engine(),
        place: place.clone(),
    };
    if let Some(store) = opened(database, ledger, owner).await? {
        for row in runs {
            match give_up(&store, row, "abandoned", ABANDONED).await {
                Ok(run) => told(row, &run),
                Err(LedgerFault::TakenOver) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}

/// The ledger, unless there is none: who gives up must not create one.
async fn opened(
    database: &Database,
    ledger: Ledger,
    owner: &Owner,
) -> Result<Option<Store>, LedgerFault> {
    if !Store::unchecked(database, ledger.clone())
        .is_present()
        .await?
    {
        return Ok(None);
    }
    Store::open(database, ledger, owner).await.map(Some)
}
