//! Drives one lane: asks it what to do, does it, tells it how it went.

use std::time::Duration;

use oubliette_core::api::reason::Reason;
use oubliette_core::run::{Directive, Halt, Lane, Outcome};

use super::batch::{Handle, Step, attempt};
use super::job::{StopSignal, StopWhy};
use crate::ledger::{LedgerFault, Place};

/// How long a batch under way may take to end by itself after a stop before it is cancelled in the
/// server.
const GRACE: Duration = Duration::from_secs(2);

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// At the end of its range.
    Done,
    /// Told to stop.
    Stopped(StopWhy),
    /// The lane stopped.
    Halted(Halt),
}

/// Is told after every transaction how many rows it changed, and why the lane waits, if it does.
pub(super) type Seen<'a> = dyn Fn(i64, Option<Reason>) + Sync + 'a;

/// Walks a lane to its end.
pub(super) async fn walk(
    step: Step<'_>,
    place: &Place,
    lane: &mut Lane,
    stop: &mut StopSignal,
    changed: &Seen<'_>,
) -> Walked {
    loop {
        if let Some(why) = *stop.borrow() {
            return Walked::Stopped(why);
        }
        match lane.next() {
            Directive::Done => return Walked::Done,
            Directive::Halt(halt) => return Walked::Halted(halt),
            Directive::Batch(delay, order) => {
                rest(delay, stop).await;
                if stop.borrow().is_some() {
                    continue;
                }
                let rule = match Box::pin(step.kept.at(order.hold_gen)).await {
                    Ok(rule) => rule,
                    Err(fault) => {
                        lane.take(passing(&fault));
                        changed(0, lane.waits());
                        continue;
                    }
                };
                let step = Step {
                    rule: &rule,
                    ..step
                };
                let handle = Handle::default();
                let outcome = {
                    let mut batch = Box::pin(attempt(step, place, &order, &handle));
                    tokio::select! {
                        outcome = &mut batch => outcome,
                        () = stopped(stop) => {
                            if let Ok(outcome) = tokio::time::timeout(GRACE, &mut batch).await {
                                outcome
                            } else {
                                cancel(&handle).await;
                                batch.await
                            }
                        }
                    }
                };
                let rows = match &outcome {
                    Outcome::Committed { changed, .. } => changed.all,
                    _ => 0,
                };
                lane.take(outcome);
                changed(rows, lane.waits());
            }
            Directive::Settle(delay) => {
                rest(delay, stop).await;
                let before = lane.changed();
                // Changes nothing, and may wait long for a batch that is still under way somewhere.
                let settled = tokio::select! {
                    settled = Box::pin(step.store.settle(place)) => settled,
                    () = stopped(stop) => continue,
                };
                lane.take(match settled {
                    Ok(found) => Outcome::Settled(found),
                    Err(fault) => passing(&fault),
                });
                changed(lane.changed() - before, lane.waits());
            }
            Directive::RollOver { .. } => {
                let targets = i32::try_from(step.rule.nodes.len()).unwrap_or(i32::MAX);
                let epoch = lane.saved().epoch;
                let rolled = Box::pin(step.store.roll_over(place, epoch, targets)).await;
                lane.take(match rolled {
                    Ok(part) => Outcome::RolledOver(part),
                    // Whether it happened is unknown: the row tells.
                    Err(LedgerFault::Database(_)) => Outcome::Lost,
                    Err(LedgerFault::TakenOver) => Outcome::Settled(None),
                    Err(fault) => passing(&fault),
                });
            }
        }
    }
}

fn passing(fault: &LedgerFault) -> Outcome {
    if fault.is_passing() {
        Outcome::Again(fault.reason())
    } else {
        Outcome::Failed(fault.reason())
    }
}

async fn cancel(handle: &Handle) {
    let canceller = handle.lock().ok().and_then(|mut held| held.take());
    if let Some(canceller) = canceller
        && let Err(fault) = canceller.cancel().await
    {
        tracing::warn!(fault = %fault, "failed to cancel the batch in the server; its time limit ends it");
    }
}

/// Waits, unless told to stop.
pub(super) async fn rest(delay: Duration, stop: &mut StopSignal) {
    if delay > Duration::ZERO {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stopped(stop) => {}
        }
    }
}

/// Ends when told to stop; never, when nobody can tell any more.
pub(super) async fn stopped(stop: &mut StopSignal) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}
