//! After the walk: sweeps for rows that were passed over, then an independent look that classes
//! every row that is still eligible at the frozen cutoff (P6).

use std::collections::BTreeSet;
use std::future::Future;

use jiff::Timestamp;
use oubliette_core::plan::RuleDraft;
use oubliette_core::report::{HeldCount, KeptRows, Residual};
use oubliette_core::run::{self, Lane, Pace, Saved};
use oubliette_core::sql::{KeyRow, Window};
use oubliette_core::value::Key;

use super::batch::{Step, Swept};
use super::job::{StopSignal, StopWhy};
use super::measure;
use super::walk::{Seen, Walked, stopped, walk};
use super::windows::Reading;
use crate::database::{Access, Fault};
use crate::ledger::{LedgerFault, Place};

/// Sweeps after the walk at the most.
const PASSES: usize = 3;
/// The same where a row may become eligible when another row of its table goes: each sweep then takes
/// the leaves of what is left.
const LEVELS: usize = 100;
/// Rows that are classed by one look.
const CLASSED: u32 = 5_000;
/// Keys that are remembered from one look to the next; beyond them rows are only counted.
const REMEMBERED: usize = 20_000;
/// So few rows are waited for, where more would each cost a lock's time limit.
const WAITED_FOR: i64 = 50;
/// Tables up to this size are counted once more by one plain statement.
pub(super) const ONE_STATEMENT: i64 = 1_000_000;

/// How verification ended.
pub(super) enum Verified {
    /// Every remaining row is classed.
    Classed(Residual, Vec<HeldCount>, KeptRows, Option<Timestamp>),
    /// The sweep did not come to its end.
    Ended(Walked),
}

/// Why verification did not come to its end.
enum Broken {
    Ended(Walked),
    Fault(LedgerFault),
}

impl From<LedgerFault> for Broken {
    fn from(fault: LedgerFault) -> Self {
        Self::Fault(fault)
    }
}

/// The rows left.
#[derive(Default)]
struct Left {
    locked: i64,
    /// Rows whose group would be too small.
    small: i64,
    /// Keys: held in memory only, and only while this lasts (P4).
    free: BTreeSet<Key>,
    /// Free rows beyond those remembered.
    more: i64,
}

/// What a verification works with.
pub(super) struct Verification<'a> {
    pub(super) step: Step<'a>,
    pub(super) place: &'a Place,
    /// What the walk has learnt.
    pub(super) pace: Pace,
    pub(super) reading: Reading,
    /// Rows of the table when it was planned.
    pub(super) total: i64,
    /// Is told of rows changed.
    pub(super) changed: &'a Seen<'a>,
}

/// Sweeps until nothing is left, or the passes are used up; then classes the rest.
pub(super) async fn verify(
    of: &Verification<'_>,
    saved: &mut Saved,
    stop: &mut StopSignal,
) -> Result<Verified, LedgerFault> {
    match of.classed(saved, stop).await {
        Ok((residual, held, kept, oldest)) => Ok(Verified::Classed(residual, held, kept, oldest)),
        Err(Broken::Ended(walked)) => Ok(Verified::Ended(walked)),
        Err(Broken::Fault(fault)) => Err(fault),
    }
}

impl Verification<'_> {
    async fn classed(
        &self,
        saved: &mut Saved,
        stop: &mut StopSignal,
    ) -> Result<(Residual, Vec<HeldCount>, KeptRows, Option<Timestamp>), Broken> {
        let mut stuck: Option<BTreeSet<Key>> = None;
        let mut left = Left::default();
        let (mut passed_by, mut too_large) = (0, 0);
        let (mut windows, plain) = Box::pin(unless_stopped(stop, self.first())).await?;
        let change = &self.step.rule.change;
        let in_levels = change.eligible.looks_at(&change.window.table);
        let mut moved = true;
        for pass in 1..=LEVELS {
            if windows.is_empty() || pass > PASSES && !(in_levels && moved) {
                break;
            }
            let waits = pass >= PASSES && known(&windows) <= WAITED_FOR;
            (passed_by, too_large) = (0, 0);
            let before = saved.done.all;
            let swept = Swept::default();
            for (window, _) in &windows {
                let lane = Box::pin(self.sweep(window, waits, &swept, saved, stop)).await?;
                passed_by += signed(lane.passed_by());
                too_large += signed(lane.too_large());
            }
            moved = saved.done.all > before;
            windows = Box::pin(unless_stopped(stop, self.residual())).await?;
            left = Box::pin(unless_stopped(stop, self.class(&windows))).await?;
            // A row that is free after each of the sweeps is one that they should have taken. Not one that
            // they took: the application has written it again.
            let swept = swept.into_inner().unwrap_or_default();
            stuck = Some(match stuck {
                None => left.free.difference(&swept).cloned().collect(),
                Some(before) => {
                    let free = before.intersection(&left.free);
                    free.filter(|key| !swept.contains(*key)).cloned().collect()
                }
            });
        }
        if windows.is_empty() {
            stuck = None;
            left = Left::default();
        }
        let overlooked = if plain == Some(0) {
            0
        } else {
            let overlooked = self.overlooked(known(&windows));
            Box::pin(unless_stopped(stop, overlooked)).await?
        };
        let small = left.small;
        let left = run::Left {
            locked: left.locked,
            free: count(left.free.len()) + left.more,
            stuck: count(stuck.unwrap_or_default().len()),
            passed_by,
            too_large,
            overlooked,
        };
        let (held, held_by, kept) = unless_stopped(stop, Box::pin(self.held())).await?;
        let residual = Residual {
            held,
            kept: kept.rows,
            small_groups: small,
            ..left.classed()
        };
        let oldest = unless_stopped(stop, Box::pin(self.oldest(&windows))).await?;
        Ok((residual, held_by, kept, oldest))
    }

    /// What is left after the walk, and the same as a plain count sees it where there are sessions for both at
    /// once and the table is of a size for one.
    async fn first(&self) -> Result<(Vec<(Window, i64)>, Option<i64>), LedgerFault> {
        if self.total > ONE_STATEMENT || self.reading.sessions() < 2 {
            return Ok((self.residual().await?, None));
        }
        let (windows, plain) = futures::try_join!(self.residual(), self.plain())?;
        // Of rows that are swept up it says nothing any more.
        let plain = windows.is_empty().then_some(plain);
        Ok((windows, plain))
    }

    /// A count by one statement.
    async fn plain(&self) -> Result<i64, LedgerFault> {
        let rule = Box::pin(self.step.kept.now()).await?;
        Ok(measure::independent(self.step.database, &rule).await?)
    }

    async fn residual(&self) -> Result<Vec<(Window, i64)>, LedgerFault> {
        let rule = Box::pin(self.step.kept.now()).await?;
        Ok(measure::residual(self.step.database, &rule, self.step.numbers, self.reading).await?)
    }

    /// What holds and duties keep, and which.
    async fn held(&self) -> Result<(i64, Vec<HeldCount>, KeptRows), LedgerFault> {
        let rule = Box::pin(self.step.kept.now()).await?;
        let facts = measure::held(self.step.database, &rule, self.reading).await?;
        let held = &rule.count.eligible.held;
        let held_by = HeldCount::of(held, &facts.held_by);
        Ok((facts.held, held_by, rule.kept(&facts)))
    }

    /// When the oldest of the rows in these windows fell due.
    async fn oldest(&self, windows: &[(Window, i64)]) -> Result<Option<Timestamp>, LedgerFault> {
        if windows.is_empty() {
            return Ok(None);
        }
        let rule = Box::pin(self.step.kept.now()).await?;
        let counted = measure::counted(self.step.database, &rule, windows).await?;
        Ok(rule.overdue_since(&counted))
    }

    /// Looks through a window once more. Returns the lane at its end.
    async fn sweep(
        &self,
        window: &Window,
        waits: bool,
        swept: &Swept,
        saved: &mut Saved,
        stop: &mut StopSignal,
    ) -> Result<Lane, Broken> {
        let mut lane = Lane::sweep(window.clone(), saved, waits, self.pace.clone());
        let step = Step {
            swept: Some(swept),
            ..self.step
        };
        let walk = walk(step, self.place, &mut lane, stop, self.changed);
        let walked = Box::pin(walk).await;
        *saved = Saved {
            walked: true,
            cursor: None,
            ..lane.saved().clone()
        };
        match walked {
            Walked::Done => Ok(lane),
            ended => Err(Broken::Ended(ended)),
        }
    }

    /// Rows that a plain count of the whole table sees and the walk's windows do not. The application
    /// adds and renews rows between the looks: only what every attempt misses is missed, and each
    /// plain count stands between two of the windows'.
    async fn overlooked(&self, mut known_left: i64) -> Result<i64, LedgerFault> {
        if self.total > ONE_STATEMENT {
            return Ok(0);
        }
        let mut least = i64::MAX;
        for _ in 0..PASSES {
            let plain = self.plain().await?;
            if plain <= known_left {
                return Ok(0);
            }
            let before = known_left;
            known_left = known(&self.residual().await?);
            least = least.min(plain - before.max(known_left));
            if least <= 0 {
                return Ok(0);
            }
        }
        Ok(least)
    }

    /// Who holds what is left: rows that a locking read passes over are locked, the others are free.
    /// Nothing is changed.
    async fn class(&self, windows: &[(Window, i64)]) -> Result<Left, LedgerFault> {
        let rule = Box::pin(self.step.kept.now()).await?;
        let mut left = Left::default();
        for (window, _) in windows {
            let mut next = Some(window.clone());
            while let Some(window) = next.take() {
                next = self.class_some(&rule, window, &mut left).await?;
            }
        }
        Ok(left)
    }

    /// Classes the first rows of a window. Returns the rest of it.
    async fn class_some(
        &self,
        rule: &RuleDraft,
        window: Window,
        left: &mut Left,
    ) -> Result<Option<Window>, Fault> {
        let step = self.step;
        let sql = &rule.change;
        let mut tx = step.database.begin(Access::Change(step.timeouts)).await?;
        let first = tx.rows(&sql.look(&window, CLASSED)).await?;
        let room = usize::try_from(CLASSED).unwrap_or(usize::MAX);
        let full = first.len() >= room;
        let end = first
            .last()
            .filter(|_| full)
            .map(|row| sql.window.key_of(row));
        let part = Window {
            after: window.after.clone(),
            upto: end.clone().or_else(|| window.upto.clone()),
        };
        let free = tx.rows(&sql.choose(&part, true, CLASSED)).await?;
        // Nobody is to wait for them through another look.
        tx.rollback().await;
        let mut tx = step.database.begin(Access::ReadOnly).await?;
        // Read again: what the application took away or renewed meanwhile is neither locked nor left.
        let all = tx.rows(&sql.look(&part, CLASSED)).await?;
        tx.rollback().await;
        let all: BTreeSet<Key> = all.iter().map(|row| sql.window.key_of(row)).collect();
        let mut free: Vec<KeyRow> = free.iter().map(|row| sql.key_row(row)).collect();
        let seen: BTreeSet<Key> = free.iter().map(|row| row.key.clone()).collect();
        // What fell due since the first look is for the next run.
        let due: BTreeSet<Key> = first.iter().map(|row| sql.window.key_of(row)).collect();
        let locked = all.difference(&seen).filter(|key| due.contains(*key));
        left.locked += count(locked.count());
        if all.len() < room {
            free.retain(|row| all.contains(&row.key));
        }
        if let Some(groups) = step.groups {
            let before = free.len();
            free.retain(|row| groups.covers(row));
            left.small += count(before - free.len());
        }
        for KeyRow { key, .. } in free {
            if left.free.len() < REMEMBERED {
                left.free.insert(key);
            } else {
                left.more += 1;
            }
        }
        Ok(end.map(|key| Window {
            after: Some(key),
            upto: window.upto,
        }))
    }
}

/// Reads on, unless told to stop; a read that is dropped is cancelled in the server.
async fn unless_stopped<T>(
    stop: &mut StopSignal,
    work: impl Future<Output = Result<T, LedgerFault>>,
) -> Result<T, Broken> {
    tokio::select! {
        done = work => Ok(done?),
        () = stopped(stop) => {
            let told = *stop.borrow();
            Err(Broken::Ended(Walked::Stopped(told.unwrap_or(StopWhy::Shutdown))))
        }
    }
}

fn known(windows: &[(Window, i64)]) -> i64 {
    windows.iter().map(|(_, rows)| rows).sum()
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
