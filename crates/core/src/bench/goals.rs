//! The goals: what is compared with what, and how a sheet of results stands to it.
//!
//! Judged are medians of the runs that count, each with all its checks. Nothing here looks at how a
//! figure came about; why a goal is missed, people write.

mod measure;
mod table;
#[cfg(test)]
mod tests;

pub use measure::{Measure, Percentile};
pub use table::{CALLS, MEMORY, MEMORY_FIRST, MEMORY_MOST, goals};

use super::{Cell, Condition, Run, Server, Sheet, Work};

/// One goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What notes and links name it by. Never renamed.
    pub id: &'static str,
    /// What is promised, without the bound.
    pub sentence: &'static str,
    /// On which servers; none where no database is what is measured.
    pub servers: &'static [Server],
    /// At which work; where none is listed, at any.
    pub works: &'static [Work],
    /// Under which condition.
    pub condition: Condition,
    /// On machines of which size.
    pub cores: Cores,
    /// What is looked at.
    pub measure: Measure,
    /// What it must be.
    pub bound: Bound,
}

/// For which machines a goal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Any.
    Any,
    /// Two or three cores.
    Two,
    /// Four cores or more.
    Four,
}

impl Cores {
    fn has(self, cores: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Two => (2..4).contains(&cores),
            Self::Four => cores >= 4,
        }
    }
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure is within it.
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

/// How a goal stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The goal.
    pub goal: Goal,
    /// What was found in each cell that it is about.
    pub findings: Vec<Finding>,
    /// That the machine is not one that it is for.
    pub other_machine: bool,
    /// That it was measured and every run of it was discarded.
    pub discarded: bool,
}

/// How a goal stands in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The server's kind.
    pub server: Option<Server>,
    /// Its version.
    pub version: String,
    /// The work.
    pub work: Work,
    /// The figure that is judged.
    pub figure: f64,
    /// The same with setup, plan and verification in it, where that is something else.
    pub whole: Option<f64>,
    /// That one of the two was ended before it was done: what it had done until then is compared.
    pub cut: bool,
    /// Runs that are judged, and runs that were made.
    pub runs: (usize, usize),
    /// Checks of ours that failed in some run; whoever does the wrong thing is not quick.
    pub wrong: Vec<String>,
    /// Whether the figure is within the bound and nothing is wrong.
    pub met: bool,
}

/// How a goal stands, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In every cell.
    Met,
    /// Not in every cell.
    Missed,
    /// No cell says anything about it.
    NotMeasured,
}

impl Judged {
    /// In a word.
    pub fn verdict(&self) -> Verdict {
        if self.findings.is_empty() {
            Verdict::NotMeasured
        } else if self.findings.iter().all(|finding| finding.met) {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }
}

/// How every goal stands, in the order of the table.
pub fn judge(sheet: &Sheet) -> Vec<Judged> {
    let all = goals().into_iter();
    all.map(|goal| {
        let other_machine = !goal.cores.has(sheet.machine.cores);
        let about = |cell: &&Cell| !other_machine && goal.is_about(cell);
        let cells: Vec<&Cell> = sheet.cells.iter().filter(about).collect();
        let findings = cells.iter().filter_map(|cell| goal.found_in(cell));
        let findings: Vec<Finding> = findings.collect();
        let of_whom = cells
            .iter()
            .filter_map(|cell| cell.mode(goal.measure.of_whom()));
        let runs: Vec<&Run> = of_whom.flat_map(|mode| &mode.runs).collect();
        let discarded = !runs.is_empty() && runs.iter().all(|run| !run.counts());
        Judged {
            goal,
            findings,
            other_machine,
            discarded,
        }
    })
    .collect()
}

impl Goal {
    fn is_about(&self, cell: &Cell) -> bool {
        let here = match cell.engine {
            Some(server) => self.servers.contains(&server),
            None => self.servers.is_empty(),
        };
        let at = self.works.is_empty() || self.works.contains(&cell.work);
        here && at && cell.condition == self.condition
    }

    fn found_in(&self, cell: &Cell) -> Option<Finding> {
        let found = self.measure.of(cell)?;
        let wrong = self.measure.wrong(cell);
        let mode = cell.mode(self.measure.of_whom())?;
        Some(Finding {
            server: cell.engine,
            version: cell.version.clone(),
            work: cell.work,
            figure: found.figure,
            whole: found.whole,
            cut: found.cut,
            runs: (mode.counting().count(), mode.runs.len()),
            met: self.bound.holds(found.figure) && wrong.is_empty(),
            wrong,
        })
    }
}
