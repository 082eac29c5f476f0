//! A retention policy as the planner sees it: parsed, complete, without optional unions.
//! `api::retention_policy` is what people write; its parser makes these.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::approval::Asks;
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::schedule::Schedule;
use crate::strategy::Strategy;
use crate::target::KeyOf;

pub use crate::api::retention_policy::Mode;

/// A parsed RetentionPolicy: what is promised, and where, when and how it is kept.
#[derive(Clone, Debug)]
pub struct Mandate {
    /// Name of the TargetDatabase.
    pub database: String,
    /// Its namespace, where it is not the policy's own.
    pub database_namespace: Option<String>,
    /// When it runs.
    pub schedule: Schedule,
    /// Whether rows are changed.
    pub mode: Mode,
    /// Whether runs are to stop.
    pub suspend: bool,
    /// What is asked for before rows are changed; the database's guards are already folded in.
    pub asks: Asks,
    /// Where the key of pseudonyms is; present wherever a rule needs it.
    pub pseudonym_key: Option<KeyOf>,
    /// What is promised.
    pub policy: Policy,
}

/// What is promised: all that the planner needs.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The zone in which periods are counted.
    pub zone: TimeZone,
    /// Ceilings of one run; the database's guards are already folded in (the tighter wins).
    pub limits: Limits,
    /// The rules, in the order in which they run; names are unique.
    pub rules: Vec<Rule>,
}

/// Ceilings of one run, over all of its rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most rows one run may change, related rows among them.
    pub max_rows: Option<u64>,
    /// Most of a rule's table that one run may change, in per cent (1 to 100).
    pub max_percent: Option<u8>,
}

/// One promise about one table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique within the policy.
    pub name: String,
    /// The table whose rows expire.
    pub table: TableName,
    /// How long a row is kept after `clock`.
    pub expire_after: Period,
    /// What starts the period.
    pub clock: Clock,
    /// Which rows the promise is about; all must hold.
    pub conditions: Vec<Clause>,
    /// What happens to an expired row.
    pub action: Action,
    /// What happens to the rows that reference an expired row.
    pub related: Vec<Related>,
    /// Whether a large table may be walked without an index.
    pub allow_unindexed: bool,
}

/// The column that starts the period.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The column, of the rule's own table.
    pub column: Ident,
    /// For integer columns: what one unit is. Required there, refused elsewhere.
    pub epoch: Option<EpochUnit>,
    /// For columns without a zone (timestamp, datetime): the zone their readings are in. Required there, refused elsewhere.
    pub zone: Option<TimeZone>,
    /// Readings before this are implausible: counted, never eligible.
    pub not_before: Timestamp,
}

impl Clock {
    /// Readings before this are implausible unless the rule says otherwise: 1970-01-02, so that a zero
    /// in an integer column is not a date.
    pub const PLAUSIBLE_FROM: Timestamp = Timestamp::constant(86_400, 0);
}

/// What one unit of an integer clock is, counted from 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Days.
    Days,
}

/// One entry of `where`.
#[derive(Clone, Debug)]
pub enum Clause {
    /// A single test.
    Test(Condition),
    /// At least one of the groups holds; all tests of a group hold.
    AnyOf(Vec<Vec<Condition>>),
}

/// One test of one column.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The column, of the same table.
    pub column: Ident,
    /// The test.
    pub test: Test,
}

/// What a column is tested for. Constants are text as written and are cast to the column's type.
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal to one of these (never empty). NULL does not match.
    In(Vec<String>),
    /// Equal to none of these (never empty). NULL does not match.
    NotIn(Vec<String>),
    /// Less than a number.
    Lt(String),
    /// Greater than a number.
    Gt(String),
    /// NULL.
    IsNull,
    /// Not NULL.
    IsNotNull,
    /// Earlier than a point in time; the column is a date or time.
    Before(Moment),
    /// Later than a point in time.
    After(Moment),
}

/// A fixed point in time of a condition.
#[derive(Clone, Debug)]
pub enum Moment {
    /// An instant.
    Instant(Timestamp),
    /// A date: its first instant in the policy's zone (or the date itself, for date columns).
    Date(Date),
}

/// What happens to an expired row.
#[derive(Clone, Debug)]
pub enum Action {
    /// The row goes.
    Delete,
    /// Some of its columns are transformed. Never empty; columns are unique.
    Anonymise(Vec<Treatment>),
}

/// How one column is transformed.
#[derive(Clone, Debug)]
pub struct Treatment {
    /// The column.
    pub column: Ident,
    /// The transformation.
    pub strategy: Strategy,
}

/// What happens to rows that reference an expired (or related) row.
#[derive(Clone, Debug)]
pub struct Related {
    /// The referencing table.
    pub table: TableName,
    /// The referenced table: the rule's, or another related one.
    pub of: TableName,
    /// The columns that make the reference: `(of this table, of the referenced one)`.
    pub matches: Vec<(Ident, Ident)>,
    /// What happens.
    pub action: RelatedAction,
}

/// What happens to a related row.
#[derive(Clone, Debug)]
pub enum RelatedAction {
    /// It goes too, in the same transaction.
    Delete,
    /// Some of its columns are transformed.
    Anonymise(Vec<Treatment>),
    /// Its reference becomes NULL.
    Detach,
}
