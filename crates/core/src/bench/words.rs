//! What works, conditions and those who do the work are called, in the result and on the page.

use serde::{Deserialize, Serialize};

use crate::catalog::Engine;

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
    /// pt-archiver with the flags that are recommended for speed.
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

impl Work {
    /// In few words, for a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::DeleteNarrow => "delete, narrow rows",
            Self::DeleteNarrowIndexed => "delete, narrow rows, clock with an index",
            Self::DeleteNarrowCorrelated => "delete, narrow rows, clock in the order of the key",
            Self::DeleteWide => "delete, wide rows with four indexes",
            Self::DeleteWideFew => "delete, wide rows, 4 of 100 expired",
            Self::DeleteGraph => "delete, parents with their children",
            Self::DeletePartitioned => "delete, partitioned table",
            Self::DeletePartitions => "delete, whole partitions",
            Self::DeleteUnless => "delete, unless another table has a row",
            Self::DeleteNewestChild => "delete, by the newest child",
            Self::Anonymise => "anonymise",
            Self::OrderEntry => "order entry, orders with their lines",
            Self::Subjects => "erase subjects",
            Self::Memory => "ten million rows",
            Self::Operator => "the operator beside many resources",
        }
    }
}

impl Condition {
    /// In few words, for a heading; nothing of a server that has nothing else to do.
    pub fn title(self) -> Option<&'static str> {
        match self {
            Self::Alone => None,
            Self::Foreground => Some("beside an application"),
            Self::Distant => Some("each fsync 1 ms longer, 0.5 ms away"),
            Self::Snapshot => Some("an old snapshot held open"),
            Self::Larger => Some("more data than cache"),
        }
    }
}

impl Who {
    /// In few words, for a row of a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Single => "one statement",
            Self::OublietteBacklog => "oubliette, Backlog, a worker per core",
            Self::OublietteBacklogOne => "oubliette, Backlog, one worker",
            Self::OublietteSteady => "oubliette, Steady",
            Self::BareWalk => "its walk by hand",
            Self::LoopLimit => "loop of `DELETE … LIMIT`",
            Self::InSelectLimit => "loop of `IN (SELECT … LIMIT)`",
            Self::RowByRow => "row by row",
            Self::PtArchiverBest => "pt-archiver, recommended flags",
            Self::PtArchiverDefaults => "pt-archiver, defaults",
            Self::OneByOne => "one request after the other",
            Self::Grouped => "requests together",
            Self::Operator => "oubliette operator",
        }
    }
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
}
