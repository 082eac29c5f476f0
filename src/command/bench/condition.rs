//! What else is the case while something is measured.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use oubliette_core::bench::load::Application;
use oubliette_core::bench::{Condition, Figure, Run, Who, Work};
use oubliette_core::catalog::Engine;

use super::Request;
use crate::bench::foreground::{self, Load};
use crate::bench::meter;
use crate::bench::snapshot::Snapshot;
use crate::database::{ConnectSettings, Database};

/// Operations of the application in a second, for each core: about a third of what a core does.
const RATE: u32 = 200;
/// The same where it should only be seen that it works: any machine keeps up with it.
const LOW_RATE: u32 = 50;
/// How long the application has the table for itself, before and again afterwards.
const IDLE: Duration = Duration::from_secs(10);
/// The same where it should be over soon.
const SHORT_IDLE: Duration = Duration::from_secs(3);

/// What is the case, made ready for one piece of work.
#[derive(Debug)]
pub(super) struct Around {
    condition: Condition,
    load: Option<Load>,
}

/// A condition by its name.
pub(super) fn named(name: &str) -> Result<Condition, String> {
    let found = Condition::ALL.into_iter().find(|it| it.name() == name);
    found.ok_or_else(|| {
        let known = Condition::ALL.map(Condition::name);
        format!("is none of {}", known.join(", "))
    })
}

/// Whether a piece of work is measured under a condition where nobody asks for others.
pub(super) fn is_measured(condition: Condition, work: Work) -> bool {
    match condition {
        Condition::Alone => true,
        Condition::Foreground => work == Work::DeleteWide,
        Condition::Distant | Condition::Snapshot | Condition::Larger => work == Work::DeleteNarrow,
    }
}

/// Whether a piece of work can be measured under a condition at all.
pub(super) fn is_possible(condition: Condition, work: Work, engine: Engine) -> bool {
    condition != Condition::Foreground || Application::at(work, engine, 1).is_some()
}

/// Whether somebody is measured under a condition where nobody asks for others.
pub(super) fn takes_part(condition: Condition, who: Who) -> bool {
    match condition {
        // Backlog is for where nobody waits.
        Condition::Foreground => matches!(who, Who::Single | Who::OublietteSteady),
        // Steady holds back for the sake of others, of whom there are none.
        Condition::Alone => who != Who::OublietteSteady,
        // Whether it changes who is first.
        Condition::Distant | Condition::Snapshot | Condition::Larger => matches!(
            who,
            Who::Single
                | Who::OublietteBacklog
                | Who::OublietteBacklogOne
                | Who::LoopLimit
                | Who::InSelectLimit
                | Who::PtArchiverBest
        ),
    }
}

impl Around {
    /// Makes it ready.
    pub(super) fn at(
        request: &Request,
        work: Work,
        database: &Database,
        settings: &ConnectSettings,
        rows: i64,
    ) -> anyhow::Result<Self> {
        let condition = request.condition;
        let mut load = None;
        if condition == Condition::Foreground {
            let rate = if request.quick { LOW_RATE } else { RATE };
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let application = Application::at(work, database.engine(), rows);
            load = Some(Load {
                settings: ConnectSettings {
                    max_connections: 1,
                    ..settings.clone()
                },
                application: application.context("no application works on its table")?,
                rate: rate.saturating_mul(u32::try_from(cores).unwrap_or(1)),
                idle: if request.quick { SHORT_IDLE } else { IDLE },
            });
        }
        Ok(Self { condition, load })
    }

    /// Whether somebody else writes meanwhile, so that what is written says nothing of whom is measured.
    pub(super) fn writes(&self) -> bool {
        self.load.is_some()
    }

    /// Does something under the condition, and enters what was seen.
    pub(super) async fn run(
        &self,
        database: &Database,
        doing: impl Future<Output = anyhow::Result<(Vec<String>, Run)>>,
    ) -> anyhow::Result<(Vec<String>, Run)> {
        if let Some(load) = &self.load {
            let before = meter::waited_for_rows(database).await?;
            let (done, seen) = Box::pin(foreground::beside(load, doing))
                .await
                .context("the application failed")?;
            let (statements, mut run) = done?;
            let undo = load.application.undo();
            database.apart().await?.change(&undo).await?;
            run.foreground = Some(seen.foreground);
            let waited = meter::waited_for_rows(database).await?;
            run.longest_lock_wait = Some(longest_wait(seen.longest_write, before.zip(waited)));
            if seen.refused > 0 {
                let refused = Figure {
                    value: f64::from(u32::try_from(seen.refused).unwrap_or(u32::MAX)),
                    unit: "operations".to_owned(),
                };
                run.figures
                    .insert("refused by the server".to_owned(), refused);
            }
            return Ok((statements, run));
        }
        if self.condition == Condition::Snapshot {
            let snapshot = Snapshot::take(database).await?;
            let done = doing.await;
            let held = snapshot.release().await;
            let done = done?;
            held.context("the server ended the old snapshot")?;
            return Ok(done);
        }
        doing.await
    }
}

/// Milliseconds that no wait for a row was longer than: the longest write was not shorter than its wait, nor were
/// all waits together, where the server has counted them, in whole milliseconds.
fn longest_wait(longest_write: f64, waited: Option<(i64, i64)>) -> f64 {
    let all = waited.and_then(|(before, after)| u32::try_from(after - before).ok());
    all.map_or(longest_write, |all| longest_write.min(f64::from(all) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_longer_than_its_write_or_than_all_waits() {
        for (waited, longest) in [
            (None, 103.5),
            (Some((900, 911)), 12.0),
            (Some((900, 2_000)), 103.5),
            // Begun anew meanwhile.
            (Some((900, 0)), 103.5),
        ] {
            assert!((longest_wait(103.5, waited) - longest).abs() < f64::EPSILON);
        }
    }
}
