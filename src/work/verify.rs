//! After the walk: sweeps for rows that were passed over, then an independent look that classes
//! every row that is still eligible at the frozen cutoff (P6).

use std::collections::BTreeSet;

use oubliette_core::report::Residual;
use oubliette_core::run::{Lane, PaceSettings, Saved, Style};
use oubliette_core::sql::Window;
use oubliette_core::value::Key;

use super::batch::Step;
use super::job::StopSignal;
use super::measure;
use super::walk::{Walked, walk};
use crate::database::{Access, Fault};
use crate::ledger::Place;

/// Sweeps after the walk at the most.
const PASSES: usize = 3;
/// Keys of one window that are classed one by one.
const CLASSED: u32 = 5_000;
/// Tables up to this size are counted once more by one plain statement.
const ONE_STATEMENT: i64 = 1_000_000;

/// How verification ended.
pub(super) enum Verified {
    /// Every remaining row is classed.
    Classed(Residual),
    /// The sweep did not come to its end.
    Ended(Walked),
}

/// The rows left, one by one: keys held in memory only, and only while this lasts (P4).
#[derive(Default)]
struct Left {
    locked: i64,
    free: BTreeSet<Key>,
    /// Rows beyond what is classed one by one.
    uncounted: i64,
}

/// Sweeps until nothing is left, or nothing moves, or the passes are used up; then classes the rest.
pub(super) async fn verify(
    step: Step<'_>,
    place: &Place,
    saved: &mut Saved,
    pace: PaceSettings,
    total: i64,
    stop: &mut StopSignal,
    changed: &(dyn Fn(u64) + Sync),
) -> Result<Verified, Fault> {
    let gentle = pace.limited;
    let mut stuck: Option<BTreeSet<Key>> = None;
    let mut windows = measure::residual(step.database, step.rule, gentle).await?;
    for _ in 0..PASSES {
        if windows.is_empty() {
            break;
        }
        for (window, _) in &windows {
            match sweep(step, place, window, saved, pace, stop, changed).await {
                Walked::Done => {}
                ended => return Ok(Verified::Ended(ended)),
            }
        }
        windows = measure::residual(step.database, step.rule, gentle).await?;
        let left = class(step, &windows).await?;
        // A row that was free before a sweep and is free after it, three times over, is one that
        // the sweep should have taken.
        stuck = Some(match stuck {
            None => left.free,
            Some(before) => before.intersection(&left.free).cloned().collect(),
        });
    }
    let left = class(step, &windows).await?;
    let known: i64 = windows.iter().map(|(_, rows)| rows).sum();
    let mut unexplained = count(stuck.unwrap_or_default().intersection(&left.free).count());
    if total <= ONE_STATEMENT {
        let plain = measure::independent(step.database, step.rule)
            .await?
            .eligible;
        if plain > known {
            // Rows may have become eligible between the two looks; a second pair tells.
            let windows = measure::residual(step.database, step.rule, gentle).await?;
            let known: i64 = windows.iter().map(|(_, rows)| rows).sum();
            let plain = measure::independent(step.database, step.rule)
                .await?
                .eligible;
            unexplained = unexplained.max(plain - known);
        }
    }
    let free = count(left.free.len()) + left.uncounted;
    Ok(Verified::Classed(Residual {
        locked: left.locked,
        newly_eligible: (free - unexplained).max(0),
        unexplained,
    }))
}

async fn sweep(
    step: Step<'_>,
    place: &Place,
    window: &Window,
    saved: &mut Saved,
    pace: PaceSettings,
    stop: &mut StopSignal,
    changed: &(dyn Fn(u64) + Sync),
) -> Walked {
    let again = Saved {
        walked: false,
        cursor: None,
        ..saved.clone()
    };
    let mut lane = Lane::new(window.clone(), again, Style::SkipLocked, pace);
    let walked = walk(step, place, &mut lane, stop, changed).await;
    *saved = Saved {
        walked: true,
        cursor: None,
        ..lane.saved().clone()
    };
    walked
}

/// Who holds what is left: rows that a locking read passes over are locked, the others are free.
/// Nothing is changed.
async fn class(step: Step<'_>, windows: &[(Window, i64)]) -> Result<Left, Fault> {
    let sql = &step.rule.change;
    let mut left = Left::default();
    for (window, rows) in windows {
        if *rows > i64::from(CLASSED) {
            left.uncounted += rows;
            continue;
        }
        let mut tx = step.database.begin(Access::Change(step.timeouts)).await?;
        let free = tx.rows(&sql.choose(window, true)).await?;
        let all = tx.rows(&sql.look(window, CLASSED)).await?;
        tx.rollback().await;
        let free: BTreeSet<Key> = free.iter().map(|row| sql.window.key_of(row)).collect();
        left.locked += count(
            all.iter()
                .filter(|r| !free.contains(&sql.window.key_of(r)))
                .count(),
        );
        left.free.extend(free);
    }
    Ok(left)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
