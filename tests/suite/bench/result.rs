//! What cases measure, as `oubliette bench` writes it and `oubliette bench-page` reads it: a file of
//! `target/bench` for each case and server.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use oubliette::bench::ground::Ground;
use oubliette::bench::machine::{commit, machine};
use oubliette::database::Database;
use oubliette_core::bench::{Cell, Condition, Figure, Mode, Phases, Run, Sheet, Who, Work};
use oubliette_core::decide::whole_second;

use crate::world::repository;

/// Whether smaller tables are asked for.
pub(crate) fn is_quick() -> bool {
    std::env::var_os("OUBLIETTE_BENCH_QUICK").is_some_and(|quick| !quick.is_empty())
}

/// How many: what the environment says, else the usual number, or the quick one where smaller tables are asked for.
pub(crate) fn size(variable: &str, usual: u32, quick: u32) -> Result<u32> {
    let Some(text) = std::env::var_os(variable) else {
        return Ok(if is_quick() { quick } else { usual });
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.with_context(|| format!("{variable} is no number"))
}

/// A cell of a server, of so many rows of which so many are due, that nobody has done yet.
pub(crate) async fn cell(
    database: &Database,
    work: Work,
    (rows, expired): (i64, i64),
) -> Result<Cell> {
    Ok(Cell {
        engine: Some(database.engine().into()),
        version: database.version().text.clone(),
        settings: Ground::of(database.clone()).settings().await?,
        rows,
        expired,
        ..bare(work)
    })
}

/// A cell where no database is what is measured.
pub(crate) fn bare(work: Work) -> Cell {
    Cell {
        engine: None,
        version: String::new(),
        settings: BTreeMap::new(),
        commit: commit(),
        work,
        rows: 0,
        expired: 0,
        condition: Condition::Alone,
        modes: Vec::new(),
    }
}

/// Somebody who did it once: so many, in this time.
pub(crate) fn once(name: Who, changed: i64, took: Duration) -> Mode {
    let run = Run {
        phases: Phases {
            run: took.as_secs_f64() * 1000.0,
            ..Phases::default()
        },
        changed,
        ..Run::default()
    };
    Mode {
        name,
        statements: Vec::new(),
        runs: vec![run],
    }
}

/// With a figure in each run.
pub(crate) fn counted(mut mode: Mode, name: &str, value: f64, unit: &str) -> Mode {
    for run in &mut mode.runs {
        let unit = unit.to_owned();
        run.figures.insert(name.to_owned(), Figure { value, unit });
    }
    mode
}

/// Megabytes of so many kibibytes.
pub(crate) fn megabytes(kib: u64) -> f64 {
    u32::try_from(kib).map_or(f64::INFINITY, f64::from) * 1024.0 / 1e6
}

/// Writes a result, whole or not at all.
pub(crate) fn write(name: &str, begun: Timestamp, cell: Cell) -> Result<()> {
    let sheet = Sheet {
        machine: machine(),
        quick: is_quick(),
        begun: whole_second(begun),
        last_begun: None,
        cells: vec![cell],
    };
    let folder = repository().join(if is_quick() {
        "target/bench-quick"
    } else {
        "target/bench"
    });
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make {}", folder.display()))?;
    let (partial, whole) = (
        folder.join(format!("{name}.partial")),
        folder.join(format!("{name}.json")),
    );
    let text = serde_json::to_string_pretty(&sheet)?;
    std::fs::write(&partial, text)
        .with_context(|| format!("failed to write {}", partial.display()))?;
    std::fs::rename(&partial, &whole)
        .with_context(|| format!("failed to write {}", whole.display()))
}
