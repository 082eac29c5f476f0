//! What was measured, for people at a terminal.

use oubliette_core::bench::{Cell, Run, Sheet, Who, Work};

use crate::command::columns::{Cell as Field, grid};

/// Which columns are numbers.
const RIGHT: [bool; 8] = [false, true, true, true, true, true, true, false];

/// A run that has ended.
pub(super) fn line(work: Work, who: Who, turn: u32, run: &Run) -> String {
    let cut = if run.cut { ", cut" } else { "" };
    let failed = run.checks.iter().filter(|(_, passed)| !**passed);
    let failed: Vec<String> = failed
        .map(|(check, _)| format!(", not so: {check}"))
        .collect();
    format!(
        "{}: {}, {turn}: {:.0} ms, {} rows{cut}{}",
        work.name(),
        who.name(),
        run.phases.total(),
        run.changed,
        failed.concat()
    )
}

/// Every cell.
pub(super) fn text(sheet: &Sheet) -> String {
    sheet.cells.iter().map(cell).collect::<Vec<_>>().join("\n")
}

fn cell(cell: &Cell) -> String {
    let engine = cell.engine.map_or("", |engine| engine.name());
    let all = || cell.modes.iter().flat_map(|mode| &mode.runs);
    let discarded = match all().filter(|run| !run.counts()).count() {
        0 => String::new(),
        some => format!(", {some} of {} runs discarded", all().count()),
    };
    let mut lines = vec![format!(
        "{} ({}) on {engine} {}: {} of {} rows are due{discarded}",
        cell.work.name(),
        cell.condition.name(),
        cell.version,
        cell.expired,
        cell.rows
    )];
    let mut rows = vec![
        [
            "", "ms", "rows/s", "setup", "plan", "run", "verify", "checks",
        ]
        .map(Field::from),
    ];
    for mode in &cell.modes {
        for run in mode.runs.iter().filter(|run| run.counts()) {
            let total = run.phases.total();
            let per_second = f64::from(i32::try_from(run.changed).unwrap_or(i32::MAX)) * 1_000.0
                / run.phases.run.max(f64::MIN_POSITIVE);
            let ms = |ms: f64| Field::from(format!("{ms:.0}"));
            let checks = match (run.cut, run.passed()) {
                (_, false) => "FAILED",
                (true, true) => "cut",
                (false, true) => "passed",
            };
            rows.push([
                Field::from(mode.name.name()),
                ms(total),
                ms(per_second),
                ms(run.phases.setup),
                ms(run.phases.plan),
                ms(run.phases.run),
                ms(run.phases.verify),
                Field::from(checks),
            ]);
        }
    }
    lines.extend(grid(&rows, RIGHT, &[], false));
    lines.join("\n") + "\n"
}
