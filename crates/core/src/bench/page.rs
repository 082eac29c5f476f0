//! `docs/benchmarks.md`: how it was measured, on what, how the goals stand, and every run.
//!
//! It says what the sheet says and what people wrote about missed goals, and rounds only when it prints.

mod cells;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use super::goals::{self, Bound, Finding, Goal, Judged, Measure, Verdict};
use super::{Condition, Machine, Sheet, gate};

/// What people write about goals, by the goal's id.
pub type Notes = BTreeMap<String, String>;

/// A note about no goal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no goal {0}: a note is written by the id of its goal")]
pub struct UnknownGoal(String);

const HEAD: &str = "\
<!-- `make bench` writes this page from what it measured; what it says about missed goals is in tests/bench/notes.yaml -->
# Benchmarks

How fast rows go, against one statement and against what people use, on one machine, each piece of work on a server in one go. Ratios say
something about other machines, seconds do not. `make bench` measures all of it anew and writes this page;
[`oubliette bench`](how-to/bench.md) measures on a server of yours.

## How it is measured

- Oubliette is measured as it is used: the whole of `oubliette apply`, from manifests, with guards, ledger, checkpoints and verification, in the
  benchmark's own process. *Setup* (connecting, reading the catalog, claiming the ledger), *plan* (counting, and the run's rows in the
  ledger), *run* (changing rows, batch by batch) and *verify* (looking at what is left, sweeping it up, evidence) are told apart. Ratios to one
  statement, to statements typed by hand and to the bare walk are of *run*; the one with all four stands beside it. Against what people call instead of this program (loops, row
  by row, pt-archiver) the whole call is judged, with all four. Backlog has `batchDuration: 250ms`, which is what is advised where nobody waits; Steady is as it
  comes. Of pt-archiver, *run* is the whole call, with the start of Perl. Its flags are those that are recommended for speed, by the primary key also where the clock has an index; others were not tried.
- Loops take 1,000 rows a turn, as most of what is published does. Without an index on the clock every turn reads the table from its start, over the rows that are gone, so that ten times as
  many a turn would be up to ten times as quick, and hold up whoever waits for a row that much longer. Oubliette takes as many a batch as go in its `batchDuration`, 20,000 at the most; pt-archiver 10,000.
- *Checkpoint* is the row of the ledger that says how far a run is; each batch writes it in its own transaction. *Fence* is the condition it is written under: a run that another
  instance has taken over can commit no batch any more. *Sweep* takes the rows that were locked when the walk came by, or that moved behind it. *Bare walk* is the same walk by hand, without any of these, guards and holds.
- Peers have the server's own isolation level, on InnoDB REPEATABLE READ, as somebody has who types a statement; Oubliette and the bare walk have READ COMMITTED.
- Most tables are smaller than the two million rows that were meant, each says how many it has, because everything is to be over within three hours: what a run does once weighs more on them.
- Every run begins with a fresh copy of the same rows, on PostgreSQL after VACUUM and CHECKPOINT. Autovacuum is off for these tables: it would
  come at another time in each run. Loops that read over dead rows again and again would gain by it. Who does it takes turns: each does it once before anybody does it again. Not so subjects,
  half of whom are erased one by one before others are together, and half afterwards; nor memory and the operator, which are one run each.
- Medians are judged. Every run is printed, in the order in which they were made.
- After each run the rows are looked at: exactly the expired ones have gone, the others are as they were, and pseudonyms are computed again. Before
  the first one there is a race on a small table: a row that somebody renews meanwhile must stay. Whoever fails at it is marked, and meets no goal.
- A run that takes longer than 30 s (of Oubliette with setup and plan) is ended, marked with *cut* and not repeated. It is compared by the rows
  that it had changed until then, and of the rows only those that must stay are looked at. A single statement that is cut has changed none, and
  nothing is compared with it.
- Beside an application: it sends 200 operations a second for each core over eight connections, whatever comes back (an update by key, a read by an indexed column, and at one of ten
  an insert; three of a hundred updates are of expired rows), and a latency counts from when its operation was due. It has the table for itself
  before and after the run; *during* is from the beginning of the call to its end, counting and verification too. A run is discarded if its p99 of these two idle windows differs by more than a factor of {MOST} between them or
  from the median of its session. This was decided before anything was measured; it also discards runs that leave the server slow for a while. Whose runs were discarded does it again after all turns, {AGAIN} times at the most. Idle is the quicker of the two. The longest lock wait is the application's longest write
  from when it was sent, or on InnoDB all waits for rows together where that is less: no wait for a row was longer. It and *max* are the longest of all runs that count, the other latencies medians; how long somebody waited in
  a discarded run stands with the reason.
- What is shown as sent by Oubliette is the plan's text. Its windows are of the key; on PostgreSQL a plain delete of a large share goes by pages, with the same conditions and
  `ctid` for the key. Time limits, fence and checkpoint, which every batch has, too, are not shown.
- Rows a second, and bytes that are written to the log (WAL, binlog), are for each changed row of the rule's own table, what hangs on it apart, and *settled* is when VACUUM, or InnoDB's purge, was done, too.
";

/// What a condition is, where it was measured.
const CONDITIONS: [(Condition, &str); 3] = [
    (
        Condition::Distant,
        "- Far away: a library in front of the server's fsync makes each a millisecond longer, and a proxy holds every packet back for a quarter of one\n  \
         each way.\n",
    ),
    (
        Condition::Larger,
        "- More data than cache: the server's own cache has 16 MB; the system's is not limited.\n",
    ),
    (
        Condition::Snapshot,
        "- An old snapshot: a transaction from before the run is open until its end.\n",
    ),
];

/// The page.
pub fn page(sheet: &Sheet, notes: &Notes) -> Result<String, UnknownGoal> {
    let judged = goals::judge(sheet);
    let known: BTreeSet<&str> = judged.iter().map(|judged| judged.goal.id).collect();
    if let Some(unknown) = notes.keys().find(|id| !known.contains(id.as_str())) {
        return Err(UnknownGoal(unknown.clone()));
    }
    let mut text = HEAD
        .replace("{MOST}", &gate::MOST.to_string())
        .replace("{AGAIN}", &gate::AGAIN.to_string());
    for (condition, what) in CONDITIONS {
        if sheet.cells.iter().any(|cell| cell.condition == condition) {
            text.push_str(what);
        }
    }
    machine(&mut text, sheet);
    servers(&mut text, sheet);
    standing(&mut text, &judged, notes);
    cells::write(&mut text, sheet);
    Ok(text)
}

fn machine(text: &mut String, sheet: &Sheet) {
    let Machine {
        processor,
        cores,
        memory,
        system,
        program,
    } = &sheet.machine;
    let gigabytes = memory >> 30;
    let memory = if gigabytes > 0 {
        format!("{gigabytes} GB of memory, ")
    } else {
        String::new()
    };
    let runs: Vec<_> = sheet
        .cells
        .iter()
        .flat_map(|cell| &cell.modes)
        .flat_map(|mode| &mode.runs)
        .collect();
    let discarded = runs.iter().filter(|run| !run.counts()).count();
    let commits = match cells::commits(sheet).as_slice() {
        [] | [None] => String::new(),
        [Some(one)] => format!(", commit {one}"),
        _ => ", of several commits, as each part says".to_owned(),
    };
    let _ = write!(
        text,
        "\n## On what\n\n{processor}, {cores} cores, {memory}{system}; servers and program on the same machine. Oubliette {program}{commits}. \
         Begun {}{}. {} runs, of which {discarded} were discarded.\n",
        moment(sheet.begun),
        sheet
            .last_begun
            .map(|last| format!(", the last part of it {}", moment(last)))
            .unwrap_or_default(),
        runs.len(),
    );
    if sheet.quick {
        text.push_str(
            "\n**Measured with `QUICK=1`: small tables, few repetitions. Good to see that it works, not to be quoted.**\n",
        );
    }
}

fn moment(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%-d %B %Y at %H:%M UTC")
}

/// Settings of each server, as its first cell has them; where they differ, they stand with the cell.
fn servers(text: &mut String, sheet: &Sheet) {
    let all = cells::usual(sheet);
    if all.is_empty() {
        return;
    }
    text.push_str("\n| server | settings |\n|---|---|\n");
    for ((server, version), settings) in all {
        let _ = writeln!(
            text,
            "| {} {} | {} |",
            server.name(),
            cells::plain(version),
            cells::settings(settings)
        );
    }
}

fn standing(text: &mut String, all: &[Judged], notes: &Notes) {
    text.push_str(
        "\n## Goals\n\nThe bounds were set before anything was measured. Judged is what was measured with nothing else at work, and Steady beside an application; the other conditions are told further down.\n\n\
         | goal | must be | where | figure | with plan and verification | |\n|---|---|---|---|---|---|\n",
    );
    for judged in all {
        let goal = &judged.goal;
        let lead = format!("| {} | {} |", goal.sentence, bound(goal));
        if judged.findings.is_empty() {
            let why = if judged.other_machine {
                "not for this machine"
            } else if judged.discarded {
                "every run was discarded"
            } else {
                "not measured"
            };
            let _ = writeln!(text, "{lead} | | | {why} |");
        }
        for (n, finding) in judged.findings.iter().enumerate() {
            let lead = if n == 0 { &lead } else { "| | |" };
            let _ = writeln!(text, "{lead} {} |", found(goal, finding));
        }
    }
    let missed: Vec<&Judged> = all
        .iter()
        .filter(|judged| judged.verdict() == Verdict::Missed)
        .collect();
    if missed.is_empty() {
        return;
    }
    text.push_str("\n### Missed, and why\n\n");
    for judged in missed {
        let goal = &judged.goal;
        let missed = judged
            .findings
            .iter()
            .filter(|finding| !finding.met)
            .count();
        let note = notes
            .get(goal.id)
            .map_or("nobody has written yet why.", |note| note.trim());
        let _ = writeln!(
            text,
            "- **{}** ({}, missed in {missed} of {}): {note}",
            goal.sentence,
            bound(goal),
            judged.findings.len(),
        );
    }
}

fn found(goal: &Goal, finding: &Finding) -> String {
    let server = finding.server.map_or("", super::Server::name);
    let separator = if server.is_empty() { "" } else { ", " };
    let cut = if finding.cut { " (cut)" } else { "" };
    let runs = match finding.runs {
        (judged, made) if judged < made => format!(" ({judged} of {made} runs)"),
        _ => String::new(),
    };
    let whole = finding.whole.map(|whole| figure(goal, whole));
    let verdict = match (finding.met, finding.wrong.as_slice()) {
        (true, _) => "met".to_owned(),
        (false, []) => "**missed**".to_owned(),
        (false, wrong) => format!("**wrong**: {}", wrong.join(", ")),
    };
    format!(
        "{server}{separator}{} | {}{cut}{runs} | {} | {verdict}",
        finding.work.title(),
        figure(goal, finding.figure),
        whole.unwrap_or_default(),
    )
}

fn bound(goal: &Goal) -> String {
    match goal.bound {
        Bound::AtLeast(least) => format!("≥ {}", told(goal, &least.to_string())),
        Bound::AtMost(most) => format!("≤ {}", told(goal, &most.to_string())),
    }
}

fn figure(goal: &Goal, figure: f64) -> String {
    told(goal, &cells::rounded(figure))
}

fn told(goal: &Goal, figure: &str) -> String {
    match goal.measure {
        Measure::Counted { unit, .. } => format!("{figure} {unit}"),
        Measure::LockWait { .. }
        | Measure::Speed { .. }
        | Measure::Cost { .. }
        | Measure::Whole { .. }
        | Measure::Tail { .. }
        | Measure::Growth { .. } => format!("{figure}x"),
    }
}
