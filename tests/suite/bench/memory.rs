//! The operator's memory during a run of very many rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use oubliette_core::bench::goals::{MEMORY_FIRST, MEMORY_MOST};
use oubliette_core::bench::{Who, Work};

use super::{result, tell};
use crate::case::{Case, Needs, Server};
use crate::memory::Watched;
use crate::rig::Rig;
use crate::world::World;

/// Rows that go.
const ROWS: u32 = 10_000_000;
const QUICK: u32 = 500_000;

/// A run takes no longer.
const DEADLINE: Duration = Duration::from_mins(30);

/// How often the memory is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    Server::ENGINES
        .map(|server| {
            Case::new(
                format!("bench::memory_during_a_run::{}", server.slug()),
                Needs::cluster().with(server),
                move |world| during(world, server),
            )
        })
        .into()
}

fn during(world: &World, server: Server) -> Result<()> {
    let begun = Timestamp::now();
    let rows = i64::from(result::size("OUBLIETTE_MEMORY_ROWS", ROWS, QUICK)?);
    let rig = Rig::new(world, server, "bench_settings", "", "")?;
    let settings = async { result::cell(&rig.connect().await?, Work::Memory, (rows, rows)).await };
    let mut cell = rig.block_on(settings)?;
    let watched = Watched::set(world, server, "bench_memory")?;
    watched.fill(rows)?;
    let ended = AtomicBool::new(false);
    let began = Instant::now();
    let token = watched.stage.run_now()?;
    let (run, seen) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| look(&watched, rows, &ended));
        let run = watched.stage.wait_run_ended(&token, DEADLINE);
        ended.store(true, Ordering::Relaxed);
        (run, looking.join())
    });
    run?;
    let took = began.elapsed();
    let (first, most) = seen.map_err(|_| anyhow!("whoever looked panicked"))??;
    let left = watched.left()?;
    ensure!(left == 0, "{left} rows are left");
    let mode = result::once(Who::Operator, rows, took);
    let (first, most) = (result::megabytes(first), result::megabytes(most));
    let mode = result::counted(mode, MEMORY_FIRST, first, "MB");
    cell.modes
        .push(result::counted(mode, MEMORY_MOST, most, "MB"));
    result::write(&format!("memory-{}", server.slug()), begun, cell)?;
    watched.stage.namespace.finish()?;
    let figures = format!(
        "{rows} rows: {first:.1} MB after a quarter, {most:.1} MB at the most from then on: {:.2} times",
        most / first
    );
    tell(world, server, "memory-during-a-run", &figures)
}

/// What the operator holds once a quarter of the rows has gone, and the most from then on.
fn look(watched: &Watched<'_>, rows: i64, ended: &AtomicBool) -> Result<(u64, u64)> {
    let (mut first, mut most) = (None, 0);
    while !ended.load(Ordering::Relaxed) {
        if first.is_none() && watched.left()? <= rows / 4 * 3 {
            first = Some(watched.operator.resident_kib()?);
        }
        if first.is_some() {
            most = most.max(watched.operator.resident_kib()?);
        }
        std::thread::sleep(EVERY);
    }
    let first = first.context("the run had ended before a quarter of it was seen")?;
    Ok((first, most))
}
