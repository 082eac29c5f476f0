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
pub mod words;
pub mod work;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use join::{Apart, joined};

use crate::catalog::Engine;

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

/// Kinds of servers, as the result writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Server {
    /// PostgreSQL.
    Postgresql,
    /// MariaDB.
    Mariadb,
    /// MySQL.
    Mysql,
}

impl Server {
    /// The name people know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => Engine::Postgres.name(),
            Self::Mariadb => Engine::MariaDb.name(),
            Self::Mysql => Engine::MySql.name(),
        }
    }
}

impl From<Engine> for Server {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Postgres => Self::Postgresql,
            Engine::MariaDb => Self::Mariadb,
            Engine::MySql => Self::Mysql,
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Delete rows of some 100 bytes whose clock has no index and no order.
    DeleteNarrow,
    /// The same where the clock has an index.
    DeleteNarrowIndexed,
    /// The same where the clock has an index and goes with the key, as of rows that are only appended.
    DeleteNarrowCorrelated,
    /// Delete rows of some 300 bytes with four secondary indexes, the clock's among them.
    DeleteWide,
    /// The same where four rows of a hundred are expired.
    DeleteWideFew,
    /// Delete parents with their children in one transaction.
    DeleteGraph,
    /// Delete from a table whose partitions all hold some expired rows.
    DeletePartitioned,
    /// Delete from a table of which whole partitions are expired.
    DeletePartitions,
    /// Delete rows `unless` another table has one for them.
    DeleteUnless,
    /// Delete rows whose newest child is old.
    DeleteNewestChild,
    /// Anonymise columns without an index, where the clock has an index and no order.
    Anonymise,
    /// Delete orders with their lines in an order-entry schema with composite keys.
    OrderEntry,
    /// Erase subjects over several tables.
    Subjects,
    /// Delete from a table of ten million rows, while the program's memory is looked at.
    Memory,
    /// The operator beside many resources.
    Operator,
}

impl Work {
    /// Every one.
    pub const ALL: [Self; 15] = [
        Self::DeleteNarrow,
        Self::DeleteNarrowIndexed,
        Self::DeleteNarrowCorrelated,
        Self::DeleteWide,
        Self::DeleteWideFew,
        Self::DeleteGraph,
        Self::DeletePartitioned,
        Self::DeletePartitions,
        Self::DeleteUnless,
        Self::DeleteNewestChild,
        Self::Anonymise,
        Self::OrderEntry,
        Self::Subjects,
        Self::Memory,
        Self::Operator,
    ];

    /// As the result and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeleteNarrow => "delete-narrow",
            Self::DeleteNarrowIndexed => "delete-narrow-indexed",
            Self::DeleteNarrowCorrelated => "delete-narrow-correlated",
            Self::DeleteWide => "delete-wide",
            Self::DeleteWideFew => "delete-wide-few",
            Self::DeleteGraph => "delete-graph",
            Self::DeletePartitioned => "delete-partitioned",
            Self::DeletePartitions => "delete-partitions",
            Self::DeleteUnless => "delete-unless",
            Self::DeleteNewestChild => "delete-newest-child",
            Self::Anonymise => "anonymise",
            Self::OrderEntry => "order-entry",
            Self::Subjects => "subjects",
            Self::Memory => "memory",
            Self::Operator => "operator",
        }
    }
}

/// What else was the case while it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Nothing: the server has nothing else to do.
    Alone,
    /// An application works on the same table at a steady rate.
    Foreground,
    /// Each fsync takes a millisecond more, and a statement half a one to the server and back.
    Distant,
    /// A snapshot from before the run is held open.
    Snapshot,
    /// The data is larger than the server's cache.
    Larger,
}

impl Condition {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Alone,
        Self::Foreground,
        Self::Distant,
        Self::Snapshot,
        Self::Larger,
    ];

    /// As the result writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Foreground => "foreground",
            Self::Distant => "distant",
            Self::Snapshot => "snapshot",
            Self::Larger => "larger",
        }
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// One statement for each table, typed by hand, in one transaction: the limit.
    Single,
    /// `oubliette apply`, Backlog, one worker for each core.
    OublietteBacklog,
    /// `oubliette apply`, Backlog, one worker.
    #[serde(rename = "oubliette-backlog-1")]
    OublietteBacklogOne,
    /// `oubliette apply`, Steady: the default.
    OublietteSteady,
    /// Our walk by hand, one worker: without guards, fence, ledger, holds and verification.
    BareWalk,
    /// `DELETE … LIMIT n` until nothing is left, as cron jobs have it.
    LoopLimit,
    /// `DELETE … WHERE id IN (SELECT … LIMIT n)` until nothing is left, as procedures have it.
    InSelectLimit,
    /// Fetch, change one row, commit.
    RowByRow,
    /// pt-archiver with its best flags.
    PtArchiverBest,
    /// pt-archiver as it comes.
    PtArchiverDefaults,
    /// One request after the other.
    OneByOne,
    /// Many requests carried out together.
    Grouped,
    /// `oubliette operator`.
    Operator,
}

impl Who {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Single,
        Self::OublietteBacklog,
        Self::OublietteBacklogOne,
        Self::OublietteSteady,
        Self::BareWalk,
        Self::LoopLimit,
        Self::InSelectLimit,
        Self::RowByRow,
        Self::PtArchiverBest,
        Self::PtArchiverDefaults,
        Self::OneByOne,
        Self::Grouped,
        Self::Operator,
    ];

    /// As the result writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::OublietteBacklog => "oubliette-backlog",
            Self::OublietteBacklogOne => "oubliette-backlog-1",
            Self::OublietteSteady => "oubliette-steady",
            Self::BareWalk => "bare-walk",
            Self::LoopLimit => "loop-limit",
            Self::InSelectLimit => "in-select-limit",
            Self::RowByRow => "row-by-row",
            Self::PtArchiverBest => "pt-archiver-best",
            Self::PtArchiverDefaults => "pt-archiver-defaults",
            Self::OneByOne => "one-by-one",
            Self::Grouped => "grouped",
            Self::Operator => "operator",
        }
    }

    /// Whether it is this program as users run it.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::OublietteBacklog | Self::OublietteBacklogOne | Self::OublietteSteady
        )
    }
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

    fn written(name: impl Serialize) -> serde_json::Value {
        serde_json::to_value(name).unwrap()
    }

    #[test]
    fn names_are_those_that_the_result_writes() {
        for work in Work::ALL {
            assert_eq!(written(work), work.name());
        }
        for condition in Condition::ALL {
            assert_eq!(written(condition), condition.name());
        }
        for who in Who::ALL {
            assert_eq!(written(who), who.name());
        }
    }

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
            cells: vec![Cell {
                engine: Some(Server::Mariadb),
                version: "11.8.3-MariaDB".to_owned(),
                settings: BTreeMap::from([("sync_binlog".to_owned(), "1".to_owned())]),
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
