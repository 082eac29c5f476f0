//! Partitions that go as a whole, before the walk of their rule: those of the plan, each looked at
//! again where nobody can write to it. What does not go so is left to the walk.

use std::sync::Arc;
use std::time::Duration;

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::ledger::{CheckpointRow, IntentRow, IntentState};
use oubliette_core::plan::partition::{Part, Parted};
use oubliette_core::plan::{RuleDraft, RuleFacts};
use oubliette_core::rows::Rows;
use oubliette_core::run::Saved;
use oubliette_core::sql::partition::{Rowed, counts, lock, read_counts, truncate};

use super::aside;
use super::batch::Step;
use super::job::StopSignal;
use super::walk::Seen;
use crate::database::{
    Access, CommitFault, Database, Fault, FaultClass, Timeouts, Tx, may_exchange,
};
use crate::ledger::{LedgerFault, Place};

/// How often a partition that was locked is tried.
const PASSES: usize = 3;

/// So long a count may keep writers from a partition, beside the wait for its lock.
const COUNTED_IN: Duration = Duration::from_secs(10);

/// How a try ended.
pub(super) enum Tried {
    /// Its rows are gone, and counted.
    Gone,
    /// Its rows go one by one.
    Stays,
    /// It was locked, or the fence has missed: another try may do.
    Later,
}

/// One step's partitions.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) step: Step<'a>,
    pub(super) place: &'a Place,
    pub(super) epoch: i64,
    pub(super) parted: &'a Parted,
}

/// Whether every row is eligible, and how many there are.
pub(super) fn all_eligible(all: i64, eligible: i64) -> Option<i64> {
    (all > 0 && all == eligible).then_some(all)
}

/// Partitions behind the cutoff with their rows, as a plan tells them: why those do not go as a whole
/// that have a row which stays.
pub(super) async fn look(database: &Database, rule: &RuleDraft) -> Result<Vec<(Part, i64)>, Fault> {
    let Some(Ok(parted)) = &rule.parted else {
        return Ok(Vec::new());
    };
    let mut parts = Vec::new();
    for mut part in due(database, parted).await? {
        let mut rows = 0;
        if part.obstacle.is_none() {
            let mut tx = database.begin(Access::ReadOnly).await?;
            let counted = tx
                .rows(&counts(
                    parted.engine,
                    parted.rows_of(&part),
                    &rule.count.eligible,
                ))
                .await;
            tx.rollback().await;
            match counted {
                Ok(counted) => {
                    let (all, eligible) = read_counts(&counted).unwrap_or_default();
                    rows = all;
                    if all == 0 {
                        continue;
                    }
                    if all_eligible(all, eligible).is_none() {
                        part.obstacle = Some(format!("{} of its rows stay", all - eligible));
                    }
                }
                Err(fault) if fault.class == FaultClass::Cancelled => {
                    part.obstacle = Some("counting it takes too long".to_owned());
                }
                Err(fault) => return Err(fault),
            }
        }
        parts.push((part, rows));
    }
    Ok(parts)
}

async fn due(database: &Database, parted: &Parted) -> Result<Vec<Part>, Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let due = due_in(&mut tx, parted).await;
    tx.rollback().await;
    due
}

async fn due_in(tx: &mut Tx, parted: &Parted) -> Result<Vec<Part>, Fault> {
    let may = !parted.engine.is_innodb() || may_exchange(tx, &parted.table, &parted.aside).await?;
    Ok(parted.due(&tx.rows(&parted.look()).await?, may))
}

/// Lets the plan's partitions go. Ends early when told to stop.
pub(super) async fn go(
    step: Step<'_>,
    (run, epoch): (&str, i64),
    facts: &RuleFacts,
    rows: &mut [CheckpointRow],
    stop: &StopSignal,
    changed: &Seen<'_>,
) -> Result<(), LedgerFault> {
    let Some(Ok(parted)) = &step.rule.parted else {
        return Ok(());
    };
    let mut open: Vec<&Part> = facts.whole().collect();
    let shared = rows.len() > 1;
    let Some(first) = rows.first_mut().filter(|_| !open.is_empty()) else {
        return Ok(());
    };
    let place = (run.to_owned(), first.step, first.worker);
    if shared {
        // A partition has rows of everybody's range.
        first.saved = step.store.pool(&place, epoch).await?;
    }
    let whole = Whole {
        step,
        place: &place,
        epoch,
        parted,
    };
    for _ in 0..PASSES {
        let mut later = Vec::new();
        for part in open {
            if stop.borrow().is_some() {
                return Ok(());
            }
            let tried = if parted.engine == Engine::Postgres {
                whole.truncate(part, &first.saved).await
            } else {
                aside::exchange(whole, part, &first.saved).await
            };
            let saved = step.store.settle(&place).await?;
            let saved = saved.filter(|saved| saved.epoch == epoch);
            let before = first.saved.done.all;
            first.saved = saved.ok_or(LedgerFault::TakenOver)?;
            changed(first.saved.done.all - before, None);
            match tried? {
                Tried::Gone => {}
                Tried::Stays => tracing::info!(
                    rule = step.rule.name,
                    partition = %part.name,
                    "rows of a partition go one by one"
                ),
                Tried::Later => later.push(part),
            }
        }
        open = later;
        if open.is_empty() {
            break;
        }
        changed(0, Some(Reason::RowsLocked));
    }
    changed(0, None);
    Ok(())
}

impl Whole<'_> {
    /// The record of a partition's going.
    pub(super) fn intent(&self, part: &Part, n: i64, state: IntentState) -> IntentRow {
        IntentRow {
            step: self.place.1,
            part: part.name.to_string(),
            of_table: self.parted.table.to_string(),
            aside: if self.parted.engine.is_innodb() {
                self.parted.aside.to_string()
            } else {
                String::new()
            },
            n,
            state,
        }
    }

    /// The rule under the holds of the generation that the fence compares. Not asked within a transaction: persons
    /// who are held may have to be looked for, and nobody is to wait for a partition as long as that takes.
    pub(super) async fn rule(&self, saved: &Saved) -> Result<Arc<RuleDraft>, LedgerFault> {
        Box::pin(self.step.kept.at(saved.hold_gen)).await
    }

    /// The count of a partition where it is, without a lock on it.
    pub(super) async fn count(
        &self,
        tx: &mut Tx,
        rows: Rowed<'_>,
        rule: &RuleDraft,
    ) -> Result<Option<i64>, LedgerFault> {
        if rule.count.eligible.looks_elsewhere() {
            // A hold on a person that was placed since: the walk asks it row by row.
            return Ok(None);
        }
        let counted = tx
            .rows(&counts(self.parted.engine, rows, &rule.count.eligible))
            .await?;
        let counted = read_counts(&counted).ok_or(LedgerFault::Malformed("intent"))?;
        Ok(all_eligible(counted.0, counted.1))
    }

    /// PostgreSQL: everything in one transaction with the ledger. While rows are counted the application
    /// reads the partition; nobody writes to it from before the count to the commit.
    async fn truncate(&self, part: &Part, saved: &Saved) -> Result<Tried, LedgerFault> {
        let rule = match self.rule(saved).await {
            Ok(rule) => rule,
            Err(fault) => return after(fault),
        };
        let timeouts = self.step.timeouts;
        let access = Access::Change(Timeouts {
            statement: timeouts.statement.min(timeouts.lock + COUNTED_IN),
            ..timeouts
        });
        let mut tx = self.step.database.begin(access).await?;
        match Box::pin(self.truncate_in(&mut tx, part, saved, &rule)).await {
            Ok(Tried::Gone) => match tx.commit().await {
                // Where the answer was lost, the caller reads under lock how it ended.
                Ok(()) | Err(CommitFault::Unknown(_)) => Ok(Tried::Gone),
                Err(CommitFault::RolledBack(fault)) => after(fault.into()),
            },
            Ok(other) => {
                tx.rollback().await;
                Ok(other)
            }
            Err(fault) => {
                tx.rollback().await;
                after(fault)
            }
        }
    }

    async fn truncate_in(
        &self,
        tx: &mut Tx,
        part: &Part,
        saved: &Saved,
        rule: &RuleDraft,
    ) -> Result<Tried, LedgerFault> {
        tx.change(&lock(&part.name)).await?;
        // What was said of it may have changed until it was locked: it may be no part of the table any
        // more, or have got a trigger.
        if !due_in(tx, self.parted).await?.contains(part) {
            return Ok(Tried::Stays);
        }
        let Some(n) = self.count(tx, Rowed::Table(&part.name), rule).await? else {
            return Ok(Tried::Stays);
        };
        if !(saved.done + Rows::own(n)).fit(saved.ceiling) {
            return Ok(Tried::Stays);
        }
        tx.change(&truncate(&part.name)).await?;
        let ledger = self.step.store.sql();
        let intent = self.intent(part, n, IntentState::Done);
        tx.change(&ledger.insert_intent(&self.place.0, &intent))
            .await?;
        let fence = ledger.fence_beside(self.place, saved, Rows::own(n));
        if tx.change(&fence).await? != 1 {
            return Ok(Tried::Later);
        }
        Ok(Tried::Gone)
    }
}

/// What a fault means for the partition: what is passing for others is met again by the walk.
pub(super) fn after(fault: LedgerFault) -> Result<Tried, LedgerFault> {
    match fault {
        LedgerFault::Database(fault) => match fault.class {
            FaultClass::Lock | FaultClass::Deadlock => Ok(Tried::Later),
            FaultClass::Cancelled => Ok(Tried::Stays),
            _ if fault.is_retryable() => Err(fault.into()),
            _ => {
                tracing::warn!(fault = %fault, "a partition does not go as a whole");
                Ok(Tried::Stays)
            }
        },
        other => Err(other),
    }
}
