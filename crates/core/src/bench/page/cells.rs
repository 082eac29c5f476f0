//! What was measured, cell by cell: who did it how fast, every run, and what was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::bench::goals::Percentile;
use crate::bench::{Cell, Figure, Mode, Run, Server, Sheet, Who, Work, stats};
use crate::rows::number;

/// Settings of a server.
type Settings = BTreeMap<String, String>;

/// The settings of each server, as its first cell has them.
pub(super) fn usual(sheet: &Sheet) -> BTreeMap<(Server, &String), &Settings> {
    let mut usual = BTreeMap::new();
    for cell in &sheet.cells {
        if let Some(server) = cell.engine {
            usual
                .entry((server, &cell.version))
                .or_insert(&cell.settings);
        }
    }
    usual
}

/// The commits that were measured with, each once; none where a build was not told its commit.
pub(super) fn commits(sheet: &Sheet) -> Vec<Option<&str>> {
    let all: BTreeSet<_> = sheet.cells.iter().map(|c| c.commit.as_deref()).collect();
    all.into_iter().collect()
}

pub(super) fn write(text: &mut String, sheet: &Sheet) {
    let usual = usual(sheet);
    let several = commits(sheet).len() > 1;
    let mut work = None;
    for cell in &sheet.cells {
        if work != Some(cell.work) {
            work = Some(cell.work);
            let name = cell.work.title();
            let mut letters = name.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            let first = first.map(String::from).unwrap_or_default();
            let _ = write!(text, "\n## {first}{}\n", letters.as_str());
        }
        let of_server = cell
            .engine
            .and_then(|server| usual.get(&(server, &cell.version)));
        let commit = cell.commit.as_deref().unwrap_or("that was not told");
        let commit = several.then_some(commit);
        one(text, cell, of_server.copied(), commit);
    }
}

/// `commit`: where it has to be told.
fn one(text: &mut String, cell: &Cell, usual: Option<&Settings>, commit: Option<&str>) {
    let server = cell.engine.map(|server| {
        let name = server.name();
        format!("{name} {}", plain(&cell.version))
    });
    let parts = [server.as_deref(), cell.condition.title()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        let _ = write!(text, "\n### {}\n", parts.join(", "));
    }
    if cell.rows > 0 {
        let told = if cell.work == Work::Subjects {
            "persons; so many ask each way:"
        } else {
            "rows; expired are"
        };
        let _ = write!(
            text,
            "\n{} {told} {}.",
            number(cell.rows),
            number(cell.expired)
        );
        if usual.is_none_or(|usual| *usual != cell.settings) {
            let _ = write!(text, " {}", settings(&cell.settings));
        }
        text.push('\n');
    }
    if let Some(commit) = commit {
        let _ = write!(text, "\nMeasured with commit {commit}.\n");
    }
    speeds(text, cell);
    foreground(text, cell);
    discarded(text, cell);
    figures(text, cell);
    wrong(text, cell);
    statements(text, cell);
}

fn speeds(text: &mut String, cell: &Cell) {
    let is_fast = |mode: &Mode| mode.rate().is_some_and(|rate| rate > 0.0);
    // Where what was counted is something else, nothing of this is said.
    if cell.work == Work::Subjects || !cell.modes.iter().any(is_fast) {
        return;
    }
    let single = cell.mode(Who::Single);
    let (limit, whole) = (
        single.and_then(Mode::rate),
        single.and_then(Mode::whole_rate),
    );
    text.push_str(
        "\n| who | rows/s | of one statement | with all | setup | plan | run | verify | log/row | settled | every run, in s |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for mode in &cell.modes {
        let phase = |of: fn(&Run) -> f64| seconds(mode.median(|run| Some(of(run))));
        let log = mode.median(|run| {
            let bytes = run.log_bytes?;
            stats::ratio(Some(float(bytes)), Some(float(run.changed.unsigned_abs())))
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            mode.name.title(),
            whole_number(mode.rate()),
            times(stats::ratio(mode.rate(), limit)),
            times(stats::ratio(mode.whole_rate(), whole)),
            phase(|run| run.phases.setup),
            phase(|run| run.phases.plan),
            phase(|run| run.phases.run),
            phase(|run| run.phases.verify),
            log.map(|log| format!("{} B", whole_number(Some(log))))
                .unwrap_or_default(),
            seconds(mode.median(|run| run.settled)),
            every_run(mode),
        );
    }
}

/// Each run by itself: discarded ones struck out, those that were ended marked.
fn every_run(mode: &Mode) -> String {
    let runs = mode.runs.iter().map(|run| {
        let took = seconds(Some(run.phases.run));
        let cut = if run.cut { " cut" } else { "" };
        let wrong = if run.passed() { "" } else { " wrong" };
        if run.counts() {
            format!("{took}{cut}{wrong}")
        } else {
            format!("~~{took}{cut}{wrong}~~")
        }
    });
    runs.collect::<Vec<_>>().join(", ")
}

fn foreground(text: &mut String, cell: &Cell) {
    let seen = |mode: &Mode| mode.runs.iter().any(|run| run.foreground.is_some());
    if !cell.modes.iter().any(seen) {
        return;
    }
    text.push_str(
        "\n| beside | operations | p50, ms | p95 | p99 | p99 of idle | p95 x | p99 x | max | longest lock wait | p99 x of every run | discarded |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for mode in cell.modes.iter().filter(|mode| seen(mode)) {
        let median = |of: fn(&Run) -> Option<f64>| {
            let figure = mode.median(of);
            figure.map(rounded).unwrap_or_default()
        };
        let longest = |of: fn(&Run) -> Option<f64>| {
            let figure = mode.longest(of);
            figure.map(rounded).unwrap_or_default()
        };
        let ratio = |percentile: Percentile| {
            times(mode.median(|run| percentile.times_idle(run.foreground.as_ref()?)))
        };
        let each = mode.runs.iter().filter_map(|run| {
            let ratio = rounded(Percentile::P99.times_idle(run.foreground.as_ref()?)?);
            Some(if run.counts() {
                ratio
            } else {
                format!("~~{ratio}~~")
            })
        });
        let each: Vec<String> = each.collect();
        let discarded = mode.runs.iter().filter(|run| !run.counts()).count();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {discarded} of {} |",
            mode.name.title(),
            whole_number(
                mode.median(|run| Some(float(run.foreground.as_ref()?.during.operations)))
            ),
            median(|run| Some(run.foreground.as_ref()?.during.p50)),
            median(|run| Some(run.foreground.as_ref()?.during.p95)),
            median(|run| Some(run.foreground.as_ref()?.during.p99)),
            median(|run| Some(Percentile::P99.idle(run.foreground.as_ref()?))),
            ratio(Percentile::P95),
            ratio(Percentile::P99),
            longest(|run| Some(run.foreground.as_ref()?.during.max)),
            longest(|run| run.longest_lock_wait),
            each.join(", "),
            mode.runs.len(),
        );
    }
}

/// Why runs were discarded.
fn discarded(text: &mut String, cell: &Cell) {
    let mut lines = String::new();
    for mode in &cell.modes {
        for (at, run) in mode.runs.iter().enumerate() {
            if let Some(why) = &run.discarded {
                let waited = run.longest_lock_wait.map(rounded);
                let waited = waited.map(|it| format!("; longest wait {it} ms"));
                let _ = writeln!(
                    lines,
                    "- {}, run {}, discarded: {}{}",
                    mode.name.title(),
                    at + 1,
                    plain(why),
                    waited.unwrap_or_default()
                );
            }
        }
    }
    if !lines.is_empty() {
        let _ = write!(text, "\n{lines}");
    }
}

/// Whatever else was counted, with the figure of every run.
fn figures(text: &mut String, cell: &Cell) {
    let names: BTreeSet<&String> = cell
        .modes
        .iter()
        .flat_map(|mode| &mode.runs)
        .flat_map(|run| run.figures.keys())
        .collect();
    if names.is_empty() {
        return;
    }
    text.push_str("\n| who | what | median | every run |\n|---|---|---|---|\n");
    for mode in &cell.modes {
        for name in &names {
            let of = |run: &Run| run.figures.get(*name).map(|figure| figure.value);
            let Some(median) = mode.median(of) else {
                continue;
            };
            let told = mode.runs.iter().filter_map(|run| run.figures.get(*name));
            let unit = told
                .clone()
                .next()
                .map_or("", |figure: &Figure| &figure.unit);
            let each: Vec<String> = told.map(|figure| rounded(figure.value)).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} {} | {} |",
                mode.name.title(),
                plain(name),
                rounded(median),
                plain(unit),
                each.join(", ")
            );
        }
    }
}

/// Which checks failed, in how many runs.
fn wrong(text: &mut String, cell: &Cell) {
    let mut lines = String::new();
    for mode in &cell.modes {
        let mut failed: BTreeMap<&String, usize> = BTreeMap::new();
        for run in &mode.runs {
            for (check, _) in run.checks.iter().filter(|(_, passed)| !**passed) {
                *failed.entry(check).or_default() += 1;
            }
        }
        for (check, times) in failed {
            let looked = mode
                .runs
                .iter()
                .filter(|run| run.checks.contains_key(check));
            let _ = writeln!(
                lines,
                "- {}: **failed** in {times} of {}: {}",
                mode.name.title(),
                looked.count(),
                plain(check)
            );
        }
    }
    let checked = cell.modes.iter().flat_map(|mode| &mode.runs);
    let checked: usize = checked.map(|run| run.checks.len()).sum();
    if !lines.is_empty() {
        let _ = write!(text, "\n{lines}");
    } else if checked > 0 {
        let _ = write!(
            text,
            "\nAll {} checks of the rows passed.\n",
            number(i64::try_from(checked).unwrap_or(i64::MAX))
        );
    }
}

fn statements(text: &mut String, cell: &Cell) {
    if cell.modes.iter().all(|mode| mode.statements.is_empty()) {
        return;
    }
    text.push_str("\n<details><summary>What was sent, and what oubliette plan shows</summary>\n");
    for mode in cell.modes.iter().filter(|mode| !mode.statements.is_empty()) {
        // A fence that no statement can end.
        let _ = write!(
            text,
            "\n{}:\n\n~~~~text\n{}\n~~~~\n",
            mode.name.title(),
            mode.statements.join("\n")
        );
    }
    text.push_str("\n</details>\n");
}

/// Settings in one line.
pub(super) fn settings(settings: &Settings) -> String {
    let each = settings
        .iter()
        .map(|(name, value)| format!("`{}={}`", plain(name), plain(value)));
    each.collect::<Vec<_>>().join(" ")
}

/// A text that cannot end a cell of a table, nor code in it.
pub(super) fn plain(text: &str) -> String {
    text.replace(['|', '`', '\n', '\r'], " ")
}

/// Three digits that say something, or all before the point.
pub(super) fn rounded(figure: f64) -> String {
    let decimals = match figure.abs() {
        it if it < 10.0 => 2,
        it if it < 100.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}

fn times(ratio: Option<f64>) -> String {
    ratio
        .map(|ratio| format!("{}x", rounded(ratio)))
        .unwrap_or_default()
}

fn seconds(milliseconds: Option<f64>) -> String {
    milliseconds
        .map(|it| rounded(it / 1000.0))
        .unwrap_or_default()
}

fn whole_number(figure: Option<f64>) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a figure that is printed")]
    figure
        .map(|figure| number(figure.round() as i64))
        .unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of bytes or rows is far from it"
)]
fn float(count: u64) -> f64 {
    count as f64
}
