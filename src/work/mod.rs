//! The work on a database: inspect, measure, plan, run, verify. Thin effects around
//! `oubliette_core`'s decisions; knows no Kubernetes, so that the CLI does the same.

pub mod accept;
mod aside;
mod batch;
mod close;
pub mod erase;
pub mod give_up;
mod graph;
mod groups;
pub mod hold;
mod holds;
mod inspect;
pub mod job;
mod log;
pub mod look;
mod maps;
mod measure;
mod meter;
pub mod owned;
mod pages;
mod persons;
mod run;
mod seal;
mod steps;
pub mod suppression;
mod verify;
mod walk;
mod whole;
mod window;
mod windows;
mod witness;

pub use inspect::plan;
use job::{Job, JobKind, JobOutcome, ProgressSender, StopSignal, StopWhy};
pub use maps::misfits;

/// Does a job. Told to stop, or when its window closes, it returns within one batch.
pub async fn perform(job: Job, progress: &ProgressSender, stop: StopSignal) -> JobOutcome {
    let windows = job.windows.clone();
    // What ends a run without a change waits for nothing.
    if !windows.are_any() || matches!(job.kind, JobKind::GiveUp { .. }) {
        return carry_out(job, progress, stop).await;
    }
    let work = |stop| carry_out(job, progress, stop);
    window::within(&windows, &stop, work).await
}

async fn carry_out(mut job: Job, progress: &ProgressSender, mut stop: StopSignal) -> JobOutcome {
    match job.kind.clone() {
        JobKind::Plan => {
            let mut signal = stop.clone();
            tokio::select! {
                planned = plan(&job, job.now, progress) => match planned {
                    Err(outcome) => outcome,
                    Ok(plan) if plan.refusals().is_empty() => {
                        JobOutcome::Planned(plan.report().clone())
                    }
                    Ok(plan) => JobOutcome::Refused {
                        plan: Some(plan.report().clone()),
                        refusals: plan.refusals().to_vec(),
                    },
                },
                () = walk::stopped(&mut signal) => {
                    JobOutcome::Stopped(stop.borrow_and_update().unwrap_or(StopWhy::Shutdown))
                }
            }
        }
        JobKind::Run { id } => {
            let planned = job.planned.take();
            run::run(&job, &id, planned, progress, &mut stop).await
        }
        JobKind::GiveUp { id } => give_up::perform(&job, &id, &stop).await,
    }
}
