//! The benchmark's results: what was measured, on what, and how each run ended. Every run is kept,
//! those that were discarded too; what is judged of them is derived, never stored.
//!
//! The same JSON is written by `oubliette bench`, by the cases of the suite that need a cluster, and
//! read by whoever writes the page. Measuring and statements are effects and live elsewhere.

pub mod archiver;
#[cfg(test)]
mod example;
pub mod gate;
pub mod goals;
mod join;
pub mod layouts;
pub mod load;
pub mod page;
pub mod peer;
pub mod place;
pub mod stats;
pub mod text;
mod words;
pub mod work;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use join::{Apart, joined};
pub use words::{Condition, Server, Who, Work};

/// What one benchmark measured, on one machine in one go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sheet {
    /// On what.
    pub machine: Machine,
    /// Smaller tables, so that it takes minutes: good to see that it works, not to be quoted.
    pub quick: bool,
    /// When it began.
    pub begun: Timestamp,
    /// Where several results were put together: when the last of them was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_begun: Option<Timestamp>,
    /// What was measured.
    pub cells: Vec<Cell>,
}

/// Where the program ran. Where the server ran is the same machine, unless a cell's settings say
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Machine {
    /// As the system names its processor.
    pub processor: String,
    /// Cores that the program may use: so many workers has a mode with one worker for each core.
    pub cores: usize,
    /// Bytes of memory; 0 where the system does not tell.
    pub memory: u64,
    /// The system and its version.
    pub system: String,
    /// The program's version.
    pub program: String,
}

/// One piece of work on one server under one condition, and everybody who did it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cell {
    /// The server's kind; none where no database is what is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Server>,
    /// As the server names itself.
    pub version: String,
    /// What of the server's settings matters here, as it tells them.
    pub settings: BTreeMap<String, String>,
    /// The commit that the program was built from, where its build was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What was to be done.
    pub work: Work,
    /// Rows of the table that the rule is about.
    pub rows: i64,
    /// Those of them that are to be changed.
    pub expired: i64,
    /// What else was the case.
    pub condition: Condition,
    /// Who did it. Each began with a fresh copy of the same rows.
    pub modes: Vec<Mode>,
}

/// One way of doing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mode {
    /// Who.
    pub name: Who,
    /// What was sent or called, in order.
    pub statements: Vec<String>,
    /// Each run, in the order in which they were made.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// How long it took.
    pub phases: Phases,
    /// Rows that it changed, related ones apart.
    pub changed: i64,
    /// That it was ended because it had passed the cap. What it would have needed is not known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// What was looked for in the rows afterwards, and whether it was so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, bool>,
    /// Bytes of WAL or binlog that were written meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Milliseconds from the start until VACUUM or InnoDB's purge was done, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<f64>,
    /// What the application saw, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreground: Option<Foreground>,
    /// Milliseconds of the longest wait for a lock that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_lock_wait: Option<f64>,
    /// Whatever else was counted, by name: memory, calls, subjects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Figure>,
    /// Why it counts for nothing, as was decided beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<String>,
}

/// Something that was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Figure {
    /// How many.
    pub value: f64,
    /// Of what: `MB`, `calls/h`, `subjects/s`.
    pub unit: String,
}

/// Milliseconds of a run, told apart. A mode that has no such part has 0 there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phases {
    /// Connecting, reading the manifests and the catalog.
    pub setup: f64,
    /// Counting and asking for the plans of statements; what apply shows before it asks.
    pub plan: f64,
    /// From the first change to the last commit.
    pub run: f64,
    /// Looking whether anything is left.
    pub verify: f64,
}

impl Phases {
    /// From the call to its end.
    pub fn total(&self) -> f64 {
        self.setup + self.plan + self.run + self.verify
    }
}

/// What an application at a steady rate saw. Latencies count from when an operation was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Foreground {
    /// Operations that were due in a second.
    pub rate: f64,
    /// While the mode ran.
    pub during: Latency,
    /// Before, with nothing else.
    pub idle_before: Latency,
    /// Afterwards, with nothing else.
    pub idle_after: Latency,
}

/// How long operations took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// Operations.
    pub operations: u64,
    /// Half of them took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Run {
    /// Whether it is judged: not discarded.
    pub fn counts(&self) -> bool {
        self.discarded.is_none()
    }

    /// Whether everything was found as it should be.
    pub fn passed(&self) -> bool {
        self.checks.values().all(|passed| *passed)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_read_as_it_was_written() {
        let sheet = Sheet {
            machine: Machine {
                processor: "Made up".to_owned(),
                cores: 2,
                memory: 8 << 30,
                system: "Linux 6.1".to_owned(),
                program: "0.1.0".to_owned(),
            },
            quick: true,
            begun: "2026-11-26T06:00:00Z".parse().unwrap(),
            last_begun: None,
            cells: vec![Cell {
                engine: Some(Server::Mariadb),
                version: "11.8.3-MariaDB".to_owned(),
                settings: BTreeMap::from([("sync_binlog".to_owned(), "1".to_owned())]),
                commit: Some("d3f545c".to_owned()),
                work: Work::DeleteNarrow,
                rows: 100,
                expired: 40,
                condition: Condition::Alone,
                modes: vec![Mode {
                    name: Who::OublietteBacklogOne,
                    statements: vec!["oubliette apply".to_owned()],
                    runs: vec![Run {
                        phases: Phases {
                            setup: 1.0,
                            plan: 2.0,
                            run: 3.0,
                            verify: 4.0,
                        },
                        changed: 40,
                        cut: true,
                        checks: BTreeMap::from([("exactly the expired rows".to_owned(), true)]),
                        log_bytes: Some(4_000),
                        settled: Some(12.5),
                        foreground: Some(Foreground {
                            rate: 800.0,
                            during: Latency::default(),
                            idle_before: Latency::default(),
                            idle_after: Latency::default(),
                        }),
                        longest_lock_wait: Some(7.0),
                        figures: BTreeMap::from([(
                            "memory".to_owned(),
                            Figure {
                                value: 31.5,
                                unit: "MB".to_owned(),
                            },
                        )]),
                        discarded: Some("the idle application was not as quick".to_owned()),
                    }],
                }],
            }],
        };
        let written = serde_json::to_string(&sheet).unwrap();
        assert!(
            written.contains(r#""name":"oubliette-backlog-1""#),
            "{written}"
        );
        let read: Sheet = serde_json::from_str(&written).unwrap();
        assert_eq!(read, sheet);
        let run = &read.cells[0].modes[0].runs[0];
        assert!((run.phases.total() - 10.0).abs() < 1e-9);
        assert!(!run.counts() && run.passed());
    }
}
