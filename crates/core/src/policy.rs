//! A retention policy as the planner sees it: parsed, complete, without optional unions.
//! `api::retention_policy` is what people write; its parser makes these.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::approval::Asks;
use crate::duty::{Against, NamedMap};
use crate::groups::Promise;
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::schedule::{Schedule, WorkWindows};
use crate::strategy::Strategy;
use crate::target::KeyOf;
use crate::value::{Key, Personal};

pub use crate::api::retention_policy::Mode;
pub use crate::api::rule::Partitions;

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
    /// When the database may be worked on.
    pub windows: WorkWindows,
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
    /// The DataMaps of the database, whose duties bind the rules. They are written elsewhere. The one by
    /// which a request is carried out stands first.
    pub maps: Vec<NamedMap>,
    /// Which of their duties do.
    pub against: Against,
}

impl Policy {
    /// The tables whose rows it changes.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.rules.iter().flat_map(|rule| {
            let related = rule.related.iter().map(|related| &related.table);
            std::iter::once(&rule.table).chain(related)
        })
    }
}

/// Ceilings of one run, over all of its rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most rows one run may change, related rows among them.
    pub max_rows: Option<u64>,
    /// Most of a rule's table that one run may change, in per cent (1 to 100).
    pub max_percent: Option<u8>,
    /// Which of the two are the database's guards, so that a refusal names what to change.
    pub guarded: Guarded,
}

/// Which ceilings are the database's, because the policy has none or a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// The number of rows.
    pub rows: bool,
    /// The share of a table.
    pub percent: bool,
}

/// One promise about one table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique within the policy.
    pub name: String,
    /// The table whose rows expire.
    pub table: TableName,
    /// When a row has expired.
    pub expiry: Expiry,
    /// Which rows the promise is about; all must hold.
    pub conditions: Vec<Clause>,
    /// Rows of other tables of which there must be one; each entry.
    pub only_if: Vec<Lookup>,
    /// Rows of other tables that keep a row; each entry.
    pub unless: Vec<Lookup>,
    /// What happens to an expired row.
    pub action: Action,
    /// What is promised of rows that look alike afterwards.
    pub groups: Option<Promise>,
    /// What happens to the rows that reference an expired row.
    pub related: Vec<Related>,
    /// Whether a large table may be walked without an index.
    pub allow_unindexed: bool,
    /// Triggers that may fire.
    pub triggers: Vec<DeclaredTrigger>,
    /// How partitions go that lie whole behind the cutoff.
    pub partitions: Partitions,
    /// Where rows that leave the table are moved to, those of related entries with `Seal` among them;
    /// `None`: they are gone.
    pub seal: Option<Seal>,
    /// Of a rule that ends what another one has sealed: the table that its rows came from.
    pub sealed_from: Option<TableName>,
}

/// How rows are sealed: moved into a schema that others cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The schema; on InnoDB another database of the server.
    pub schema: Ident,
    /// Roles or accounts that may read it.
    pub readers: Vec<String>,
    /// How long rows are kept there, from the instant at which they were sealed.
    pub keep: Period,
}

impl Seal {
    /// The name of the rule that ends what a rule has sealed of a table.
    pub fn ending(rule: &Rule, table: &TableName) -> String {
        if *table == rule.table {
            format!("{}.sealed", rule.name)
        } else {
            format!("{}.sealed.{}", rule.name, table.table)
        }
    }

    /// Whether a rule of this name ends what was sealed: what people write has no dot in it.
    pub fn is_ending(rule: &str) -> bool {
        rule.contains(".sealed")
    }

    /// Where the rows of a table are moved to.
    pub fn of(&self, table: &TableName) -> TableName {
        TableName::qualified(self.schema.clone(), table.table.clone())
    }
}

/// A trigger that somebody has looked at and found harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredTrigger {
    /// The table that it fires on.
    pub table: TableName,
    /// Its name.
    pub name: Ident,
}

/// When a row has expired.
#[derive(Clone, Debug)]
pub enum Expiry {
    /// So long after an event.
    After {
        /// How long it is kept.
        period: Period,
        /// The event.
        since: Since,
    },
    /// On a fixed day.
    On {
        /// From then on; a date begins in the policy's zone.
        from: Moment,
        /// Where it was last changed before it.
        changed: Clock,
    },
    /// At once: it is a person's who has asked for erasure.
    Reached(Reach),
}

/// The ways to a person's rows in a table; any of them.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The ways. None: no row is theirs.
    pub ways: Vec<ReachWay>,
}

/// One way to a person's rows.
#[derive(Clone, Debug)]
pub enum ReachWay {
    /// Columns that have the values of one of the keys.
    Keys(Vec<Ident>, Vec<Key>),
    /// A column that is one of these identifiers.
    Identifier {
        /// The column.
        column: Ident,
        /// How both sides are made comparable.
        normalise: Option<Normalise>,
        /// The identifiers.
        values: Vec<Personal>,
    },
    /// Columns of which one is an identifier of the person, and none is another's: each with how both
    /// sides are made comparable, and the identifiers.
    Fits(Vec<(Ident, Option<Normalise>, Vec<Personal>)>),
    /// A row of another table that is the person's belongs to it.
    Through(Hop, Reach),
}

impl Reach {
    /// A column of the row's own table that leads to it.
    pub fn column(&self) -> Option<&Ident> {
        self.ways.iter().find_map(|way| match way {
            ReachWay::Keys(columns, _) => columns.first(),
            ReachWay::Identifier { column, .. } => Some(column),
            ReachWay::Fits(columns) => columns.first().map(|(column, ..)| column),
            ReachWay::Through(hop, _) => hop.matches.first().map(|pair| &pair.equals),
        })
    }

    /// The tables that it looks at.
    fn tables(&self) -> Vec<&TableName> {
        let mut tables = Vec::new();
        for way in &self.ways {
            if let ReachWay::Through(hop, reach) = way {
                tables.push(&hop.table);
                tables.extend(reach.tables());
            }
        }
        tables
    }
}

/// The event that starts a row's period.
#[derive(Clone, Debug)]
pub enum Since {
    /// A column of the row.
    Own(Clock),
    /// A column of rows of another table: the newest of them counts, and one without a reading is a
    /// matter that is still open.
    Other(Box<Event>),
}

/// An event in rows of another table.
#[derive(Clone, Debug)]
pub struct Event {
    /// The rows.
    pub rows: Lookup,
    /// Their column.
    pub clock: Clock,
    /// The row's own column where there is no such row. `None`: it is never eligible then.
    pub otherwise: Option<Clock>,
}

impl Rule {
    /// A column of the rule's own table by which it is judged: its clock, or what leads to it.
    pub fn own_column(&self) -> Option<&Ident> {
        let event = match &self.expiry {
            Expiry::After {
                since: Since::Own(clock),
                ..
            }
            | Expiry::On { changed: clock, .. } => return Some(&clock.column),
            Expiry::After {
                since: Since::Other(event),
                ..
            } => event,
            Expiry::Reached(_) => return None,
        };
        let via = event.rows.via.as_ref();
        let hop = via.map_or(&event.rows.hop, |via| &via.hop);
        let leads = hop.matches.first().map(|pair| &pair.equals);
        let own = event.otherwise.as_ref().map(|clock| &clock.column);
        own.or(leads)
    }

    /// The tables whose rows are sealed: its own, and those of related entries.
    pub fn sealed(&self) -> impl Iterator<Item = (&TableName, &Seal)> {
        let seals = |entry: &&Related| matches!(entry.action, RelatedAction::Seal);
        let related = self.related.iter().filter(seals).map(|entry| &entry.table);
        let tables = std::iter::once(&self.table).chain(related);
        self.seal
            .iter()
            .flat_map(move |seal| tables.clone().map(move |table| (table, seal)))
    }

    /// Everything that is looked up in other tables.
    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        let since = match &self.expiry {
            Expiry::After {
                since: Since::Other(event),
                ..
            } => Some(&event.rows),
            _ => None,
        };
        since.into_iter().chain(&self.only_if).chain(&self.unless)
    }

    /// The tables whose rows are only looked at.
    pub fn looked_at(&self) -> impl Iterator<Item = &TableName> {
        let lookups = self.lookups().flat_map(|lookup| {
            let via = lookup.via.as_ref().map(|via| &via.hop.table);
            via.into_iter().chain([&lookup.hop.table])
        });
        let reach = match &self.expiry {
            Expiry::Reached(reach) => reach.tables(),
            Expiry::After { .. } | Expiry::On { .. } => Vec::new(),
        };
        lookups.chain(reach)
    }
}

/// Rows of another table that belong to a row.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The step between, from the row to rows of a third table.
    pub via: Option<Via>,
    /// The step to the rows that are meant.
    pub hop: Hop,
    /// Which of them count; all must hold.
    pub conditions: Vec<Condition>,
}

/// The step between two tables.
#[derive(Clone, Debug)]
pub struct Via {
    /// The step.
    pub hop: Hop,
    /// Of a clock: whether a row of the table between from which no row is reached is a matter that is
    /// still open, or counts for nothing.
    pub open_ended: bool,
}

/// The rows of a table that match a row.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Their table.
    pub table: TableName,
    /// All must match. Never empty.
    pub matches: Vec<Match>,
}

/// A pair of columns that must have one value. NULL matches nothing.
#[derive(Clone, Debug)]
pub struct Match {
    /// The column of the other table.
    pub column: Ident,
    /// The column of the table from which one looks.
    pub equals: Ident,
    /// How both are made comparable.
    pub normalise: Option<Normalise>,
}

/// How identifiers are made comparable; the rest is compared byte by byte, and nothing matches where
/// nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// A to Z become small letters, and spaces at both ends go.
    LowercaseTrim,
    /// Only the digits 0 to 9 are left.
    DigitsOnly,
}

impl Normalise {
    /// An identifier in the form in which it is compared; of other letters than A to Z nothing changes.
    pub fn of(self, text: &str) -> Personal {
        Personal::new(match self {
            Self::LowercaseTrim => text.trim_matches(' ').to_ascii_lowercase(),
            Self::DigitsOnly => text.chars().filter(char::is_ascii_digit).collect(),
        })
    }

    /// Whether nothing is left of an identifier: it is nobody's.
    pub fn leaves_nothing(self, text: &str) -> bool {
        self.of(text).expose().is_empty()
    }
}

/// A column that is read as a date or time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The column.
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
    /// It is moved with the row that it hangs on.
    Seal,
}
