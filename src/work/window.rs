//! Work stops when its window closes: the job is told as if by whoever started it, and ends within one
//! batch. The same for controller and CLI.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use oubliette_core::schedule::WorkWindows;
use tokio::sync::watch;

use super::job::{JobOutcome, StopSignal, StopWhy};

/// How often the clock is looked at: it may be set, and a machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Does work while a window is open. `told`: what else tells it to stop.
pub(super) async fn within<F>(
    windows: &WorkWindows,
    told: &StopSignal,
    work: impl FnOnce(StopSignal) -> F,
) -> JobOutcome
where
    F: Future<Output = JobOutcome>,
{
    if !windows.is_open(Timestamp::now()) {
        return JobOutcome::Stopped(StopWhy::WindowClosed);
    }
    let (stop, signal) = watch::channel(*told.borrow());
    let mut told = told.clone();
    let telling = async {
        loop {
            tokio::select! {
                changed = told.changed() => match changed {
                    Ok(()) => {
                        stop.send_replace(*told.borrow_and_update());
                    }
                    // Nobody is left to tell it: the window still does.
                    Err(_) => break,
                },
                () = closing(windows) => break,
            }
        }
        closing(windows).await;
        stop.send_if_modified(|why| {
            let first = why.is_none();
            if first {
                *why = Some(StopWhy::WindowClosed);
            }
            first
        });
        // A word for good counts after that, too.
        while told.changed().await.is_ok() {
            stop.send_replace(*told.borrow_and_update());
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        biased;
        outcome = Box::pin(work(signal)) => outcome,
        never = telling => match never {},
    }
}

/// Ends when no window is open any more.
async fn closing(windows: &WorkWindows) {
    loop {
        let now = Timestamp::now();
        if !windows.is_open(now) {
            return;
        }
        let left = windows.open_until(now).duration_since(now).unsigned_abs();
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}
