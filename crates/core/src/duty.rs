//! Parsed DataMaps, and what must be kept of a database, as the planner sees it. A duty binds every
//! policy on the database; `api::data_map` is what people write. Where persons are is in `people`.

use serde_json::{Value, json};

use crate::digest::{Digest, DigestError};
use crate::name::{Ident, TableName};
use crate::people::{Decision, Identifier, People, Reached, Way};
use crate::period::Period;
use crate::policy::{Clock, Treatment};
use crate::strategy::Strategy;
use crate::target::UsableFrom;

/// A map under its name.
#[derive(Clone, Debug)]
pub struct NamedMap {
    /// Its namespace and name, for people.
    pub name: String,
    /// What it says.
    pub map: DataMap,
}

/// A parsed DataMap.
#[derive(Clone, Debug)]
pub struct DataMap {
    /// Name of the TargetDatabase.
    pub database: String,
    /// Its namespace, where it is not the map's own.
    pub database_namespace: Option<String>,
    /// From which namespaces requests may use it.
    pub usable_from: UsableFrom,
    /// Where persons are.
    pub people: People,
    /// The tables; names are unique. Of several entries about one table one at the most has duties.
    pub tables: Vec<MappedTable>,
}

/// One table of a map.
#[derive(Clone, Debug)]
pub struct MappedTable {
    /// By which messages name the entry.
    pub name: String,
    /// The table.
    pub table: TableName,
    /// How a person's rows are reached in it; `None`: they are not.
    pub reached: Option<Reached>,
    /// Its columns, as far as the map names them; unique.
    pub columns: Vec<MappedColumn>,
    /// What must be kept.
    pub duties: Vec<Duty>,
}

/// One column of a map.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// The column.
    pub column: Ident,
    /// What it is used for.
    pub purposes: Vec<String>,
    /// On which ground it is held.
    pub basis: Option<String>,
    /// Whether somebody has to look at it before a request can end.
    pub review: bool,
    /// What happens to it where only others are kept, or where a request leaves the row.
    pub strategy: Option<Strategy>,
}

/// What asks for the end of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// A policy.
    #[default]
    Expiry,
    /// A person.
    Erasure,
}

/// What must be kept of a row, and until when.
#[derive(Clone, Debug)]
pub struct Duty {
    /// The columns; empty: the whole row.
    pub columns: Vec<Ident>,
    /// It ends when all of these have passed. Never empty.
    pub until: Vec<Ends>,
    /// Whether policies keep it.
    pub against_expiry: bool,
    /// Whether it is kept when the person asks for erasure.
    pub against_erasure: bool,
    /// Its ground in Art. 17(3), such as `Art17_3_b`.
    pub ground: Option<String>,
    /// The statute or contract.
    pub law: String,
    /// Whether the person is told.
    pub tell_subject: bool,
}

/// A period after a date in the row.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The column that holds the date.
    pub clock: Clock,
    /// How long after it.
    pub plus: Period,
}

impl Duty {
    /// Whether it stands against what asks.
    pub fn stands(&self, against: Against) -> bool {
        match against {
            Against::Expiry => self.against_expiry,
            Against::Erasure => self.against_erasure,
        }
    }
}

impl DataMap {
    /// The tables that it names.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|entry| &entry.table)
    }

    /// The same, and those in which persons have a role.
    pub fn places(&self) -> impl Iterator<Item = &TableName> {
        let roles = self.people.roles.iter().map(|role| &role.table);
        self.tables().chain(roles)
    }

    /// By what persons are found in it, in roles or in columns of tables' own.
    pub fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        let roles = self.people.roles.iter().flat_map(|role| &role.identifiers);
        let reached = self.tables.iter().flat_map(|entry| &entry.reached);
        let own = reached
            .flat_map(|reached| &reached.ways)
            .filter_map(|way| match way {
                Way::Own(identifier) => Some(identifier),
                Way::Role(_) | Way::OfRole(..) | Way::OfEntry(..) => None,
            });
        roles.chain(own)
    }

    /// How many duties are in it.
    pub fn duties(&self) -> usize {
        self.tables.iter().map(|entry| entry.duties.len()).sum()
    }
}

impl NamedMap {
    /// The columns of rows that stay, which somebody has to look at: entry and column.
    pub fn reviews(&self) -> Vec<String> {
        let stays = |entry: &&MappedTable| {
            let reached = entry.reached.as_ref();
            reached.is_some_and(|reached| reached.decision != Decision::Delete)
        };
        let entries = self.map.tables.iter().filter(stays);
        let columns = entries.flat_map(|entry| {
            let columns = entry.columns.iter().filter(|mapped| mapped.review);
            columns.map(|mapped| format!("{}.{}", entry.name, mapped.column))
        });
        columns.collect()
    }

    /// The names of the identifiers by which persons are found.
    pub fn identifiers(&self) -> Vec<String> {
        let identifiers = self.map.identifiers();
        identifiers
            .map(|identifier| identifier.name.clone())
            .collect()
    }
}

/// The duty of that name, as plans call it: the map, its entry and the duty's number there.
pub fn duty_named<'m>(maps: &[&'m NamedMap], name: &str) -> Option<&'m Duty> {
    maps.iter().find_map(|map| {
        map.map.tables.iter().find_map(|entry| {
            let called = |at: usize| format!("{} {}[{at}]", map.name, entry.name);
            let mut duties = entry.duties.iter().enumerate();
            duties
                .find(|(at, _)| called(*at) == name)
                .map(|(_, duty)| duty)
        })
    })
}

impl MappedTable {
    /// Whether a duty against this keeps only some columns of its rows.
    pub fn keeps_parts(&self, against: Against) -> bool {
        let in_part = |duty: &Duty| duty.stands(against) && !duty.columns.is_empty();
        self.duties.iter().any(in_part)
    }

    /// How its columns are treated where only others are kept.
    pub fn treatments(&self) -> impl Iterator<Item = Treatment> {
        self.columns.iter().filter_map(|mapped| {
            let strategy = mapped.strategy.clone()?;
            let column = mapped.column.clone();
            Some(Treatment { column, strategy })
        })
    }

    /// What of the entry changes what happens to rows: it goes into the digest of every plan that it
    /// binds. Purposes, bases and laws are for people.
    pub fn digest_input(&self, against: Against) -> Value {
        let Self {
            name: _,
            table,
            reached: _,
            columns,
            duties,
        } = self;
        let mut columns: Vec<Value> = columns.iter().filter_map(of_column).collect();
        columns.sort_by_key(Value::to_string);
        let standing = duties.iter().filter(|duty| duty.stands(against));
        let mut duties: Vec<Value> = standing.map(of_duty).collect();
        duties.sort_by_key(Value::to_string);
        json!({"table": table.to_string(), "columns": columns, "duties": duties})
    }
}

fn of_column(mapped: &MappedColumn) -> Option<Value> {
    let MappedColumn {
        column,
        purposes: _,
        basis: _,
        review: _,
        strategy,
    } = mapped;
    let strategy = strategy.as_ref()?;
    let with = match strategy {
        Strategy::Nullify | Strategy::Pseudonym => Value::Null,
        Strategy::Constant { value } => json!(value),
        Strategy::GeneraliseDate { to } => json!(format!("{to:?}")),
        Strategy::GeneraliseNumber { width } => json!(width),
    };
    Some(json!({"column": column.to_string(), "strategy": strategy.name(), "with": with}))
}

fn of_duty(duty: &Duty) -> Value {
    let Duty {
        columns,
        until,
        against_expiry: _,
        against_erasure: _,
        ground: _,
        law: _,
        tell_subject: _,
    } = duty;
    let until = until.iter().map(|ends| {
        let Ends { clock, plus } = ends;
        let Clock {
            column,
            epoch,
            zone,
            not_before,
        } = clock;
        json!({
            "column": column.to_string(),
            "unit": epoch.map(|unit| format!("{unit:?}")),
            "timeZone": zone.as_ref().map(|zone| zone.iana_name().unwrap_or_default()),
            "notBefore": not_before.to_string(),
            "plus": plus.to_string(),
        })
    });
    let until: Vec<Value> = until.collect();
    let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
    json!({"columns": columns, "until": until})
}

/// The digest of what maps ask of policies; `None`: there are none. Which of them a plan depends on,
/// the plan's own digest says.
pub fn digest(maps: &[NamedMap]) -> Option<Digest> {
    let tables = maps.iter().flat_map(|map| &map.map.tables);
    digest_of(tables, Against::Expiry).unwrap_or_default()
}

/// The digest of some entries, in whatever order they were written; `None`: there are none.
pub fn digest_of<'a>(
    entries: impl Iterator<Item = &'a MappedTable>,
    against: Against,
) -> Result<Option<Digest>, DigestError> {
    let mut all: Vec<Value> = entries.map(|entry| entry.digest_input(against)).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.sort_by_key(Value::to_string);
    Digest::of_json(&all).map(Some)
}
