//! Sealing: chosen and locked rows are copied to where they are sealed before anything of them is
//! changed, and counted there once the rule has ended (P6).

use std::collections::BTreeMap;
use std::slice::Chunks;

use futures::stream::TryStreamExt;
use oubliette_core::api::reason::Reason;
use oubliette_core::plan::RuleDraft;
use oubliette_core::report::RuleRun;
use oubliette_core::sql::{Bound, Effect, Numbers, SealSql, Witness};
use oubliette_core::value::Key;

use super::batch::{Stop, count, signed, unsigned};
use super::windows::{Look, Reading, Windows};
use crate::database::{Database, Fault, FaultClass, Tx};

/// What stands beside a sealed row: which run and rule sealed it.
pub(super) fn stamp(run: &str, rule: &RuleDraft) -> String {
    format!("{run}/{}", rule.name)
}

/// Copies rows by their keys. As many must come there as were locked: what is missing would be lost.
pub(super) async fn copy(
    tx: &mut Tx,
    chunks: Chunks<'_, Key>,
    statement: impl Fn(&[Key]) -> Option<Bound>,
) -> Result<(), Stop> {
    for chunk in chunks {
        let Some(statement) = statement(chunk) else {
            return Ok(());
        };
        let copied = tx.change(&statement).await.map_err(|fault| {
            if fault.class == FaultClass::Constraint {
                Stop::Unsealed(fault)
            } else {
                Stop::Fault(fault)
            }
        })?;
        if copied != unsigned(chunk.len()) {
            return Err(Stop::NotFound);
        }
    }
    Ok(())
}

/// Adds what a batch has copied to what the engine must have counted.
pub(super) fn add_copies(
    counted: &mut Witness,
    effect: &Effect,
    seal: Option<&SealSql>,
    rows: u64,
) {
    if let (Effect::Delete, Some(seal)) = (effect, seal) {
        counted.inserted += seal.counted * signed(rows);
    }
}

/// Whether other rows lie sealed than a run's rule has counted.
pub(super) async fn miscounted(
    database: &Database,
    rule: &RuleDraft,
    run: &str,
    done: &RuleRun,
    reading: Reading,
) -> Result<bool, Fault> {
    let own = rule.change.seal.iter().map(|seal| (0, seal));
    let nodes = rule.nodes.iter().enumerate();
    let nodes = nodes.filter_map(|(i, node)| Some((i + 1, node.depth.seal.as_ref()?)));
    let mut expected: BTreeMap<_, (&SealSql, i64)> = BTreeMap::new();
    for (target, seal) in own.chain(nodes) {
        let rows = done.changed.get(target).map_or(0, |table| table.rows);
        let of = expected.entry(&seal.window.table).or_insert((seal, 0));
        of.1 += rows;
    }
    let by = stamp(run, rule);
    for (table, (seal, rows)) in expected {
        let lying = lying(database, seal, &by, reading).await?;
        if lying != rows {
            tracing::error!(
                rule = rule.name,
                %table,
                counted = rows,
                lying,
                reason = %Reason::SealedMiscounted,
                "other rows lie sealed than were counted"
            );
            return Ok(true);
        }
    }
    Ok(false)
}

async fn lying(
    database: &Database,
    seal: &SealSql,
    by: &str,
    reading: Reading,
) -> Result<i64, Fault> {
    let windows = Windows::new(database, &seal.window, Numbers::default(), reading);
    let look = async |look: Look| {
        let Look { window, mut tx, .. } = look;
        let rows = count(&mut tx, &seal.lying(&window, by)).await?;
        tx.rollback().await;
        Ok(rows)
    };
    let seen = windows.seen(look);
    seen.try_fold(0, async |lying, rows| Ok(lying + rows)).await
}
