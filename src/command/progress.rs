//! How far a plan or run is, on standard error: a bar on a terminal, lines elsewhere.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use oubliette_core::report::{Phase, Progress};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::work::job::{ProgressSender, StopSignal, StopWhy};

/// The bar is drawn anew this often, and a line is written that often.
const DRAWN: Duration = Duration::from_millis(200);
const SAID: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// As a bar that goes when the work has ended.
    Bar,
    /// As a line now and then.
    Lines,
    /// Not at all.
    Nothing,
}

/// Shows progress until it is dropped.
pub(super) async fn show(
    name: &str,
    mut progress: watch::Receiver<Progress>,
    how: Shown,
) -> Infallible {
    let mut bar = (how == Shown::Bar).then(Bar::new);
    let mut said: Option<(Instant, Phase, Option<String>)> = None;
    loop {
        let now = progress.borrow_and_update().clone();
        if let Some(bar) = &mut bar {
            bar.draw(name, &now);
        }
        let news = said.as_ref().is_none_or(|(at, phase, rule)| {
            *phase != now.phase || *rule != now.rule || at.elapsed() >= SAID
        });
        if how == Shown::Lines && news {
            eprintln!("{name}: {}", words(&now));
            said = Some((Instant::now(), now.phase, now.rule));
        }
        tokio::time::sleep(DRAWN).await;
    }
}

/// Does work, shows how far it is, and has it end within a batch when told to stop.
pub(super) async fn shown<O>(
    name: &str,
    how: Shown,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&ProgressSender, StopSignal) -> O,
) -> O {
    let (sender, progress) = watch::channel(Progress::BEGUN);
    let (stopper, signal) = watch::channel(None);
    let mut working = Box::pin(work(&sender, signal));
    tokio::select! {
        outcome = &mut working => return outcome,
        never = show(name, progress, how) => match never {},
        () = stop.cancelled() => {}
    }
    eprintln!("stopping after the batch under way; asked once more, it ends at once");
    stopper.send_replace(Some(StopWhy::Shutdown));
    working.await
}

/// How progress is shown where no terminal shows a bar.
pub(super) fn on_terminal_or(elsewhere: Shown) -> Shown {
    if std::io::stderr().is_terminal() {
        Shown::Bar
    } else {
        elsewhere
    }
}

struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(ProgressBar::no_length())
    }

    fn draw(&mut self, name: &str, now: &Progress) {
        let template = if now.planned > 0 {
            "{prefix} [{bar:24}] {wide_msg}"
        } else {
            "{prefix} {spinner} {wide_msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.set_length(u64::try_from(now.planned).unwrap_or(0));
        self.0.set_position(u64::try_from(now.done).unwrap_or(0));
        self.0.set_prefix(name.to_owned());
        self.0.set_message(words(now));
        self.0.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What is being done, and how long it will take.
fn words(now: &Progress) -> String {
    let Progress {
        phase,
        rule,
        done,
        planned,
        rate,
        waiting,
    } = now;
    let what = match phase {
        Phase::Connecting => "connecting",
        Phase::Planning => "counting",
        Phase::Running => "running",
        Phase::Verifying => "verifying",
    };
    let mut told = vec![match rule {
        Some(rule) => format!("{what} rule {rule}"),
        None => what.to_owned(),
    }];
    if *planned > 0 {
        told.push(format!("{done} of {planned} rows"));
    }
    if *rate > 0 && *phase == Phase::Running {
        let left = planned.saturating_sub(*done).max(0) / rate;
        told.push(format!("{rate} rows/s"));
        told.push(format!("{left} s left"));
    }
    told.extend(waiting.map(|reason| format!("waiting: {reason}")));
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use oubliette_core::api::reason::Reason;

    use super::*;

    #[test]
    fn a_run_tells_its_rows_its_rate_and_what_is_left() {
        let mut now = Progress {
            phase: Phase::Running,
            rule: Some("old".to_owned()),
            done: 400,
            planned: 1_000,
            rate: 20,
            waiting: Some(Reason::RowsLocked),
        };
        assert_eq!(
            words(&now),
            "running rule old, 400 of 1000 rows, 20 rows/s, 30 s left, waiting: RowsLocked"
        );
        // More became eligible than was planned.
        (now.done, now.waiting) = (1_100, None);
        assert_eq!(
            words(&now),
            "running rule old, 1100 of 1000 rows, 20 rows/s, 0 s left"
        );
        assert_eq!(words(&Progress::BEGUN), "connecting");
    }
}
