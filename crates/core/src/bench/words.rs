//! What the page calls works, conditions and those who do the work.

use super::{Condition, Who, Work};

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
            Self::PtArchiverBest => "pt-archiver, best flags",
            Self::PtArchiverDefaults => "pt-archiver, defaults",
            Self::OneByOne => "one request after the other",
            Self::Grouped => "requests together",
            Self::Operator => "oubliette operator",
        }
    }
}
