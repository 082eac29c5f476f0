//! What must be kept of a database, as the planner sees it: parsed DataMaps. A duty binds every policy
//! on the database; `api::data_map` is what people write.

use serde_json::{Value, json};

use crate::digest::{Digest, DigestError};
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::policy::{Clock, Treatment};
use crate::strategy::Strategy;

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
    /// The tables; names are unique, and so are tables.
    pub tables: Vec<MappedTable>,
}

/// One table of a map.
#[derive(Clone, Debug)]
pub struct MappedTable {
    /// By which messages name the entry.
    pub name: String,
    /// The table.
    pub table: TableName,
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
    /// What happens to it where only others are kept.
    pub strategy: Option<Strategy>,
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

impl DataMap {
    /// The tables that it names.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|entry| &entry.table)
    }

    /// How many duties are in it.
    pub fn duties(&self) -> usize {
        self.tables.iter().map(|entry| entry.duties.len()).sum()
    }
}

impl MappedTable {
    /// Whether a duty against expiry keeps only some columns of its rows.
    pub fn keeps_parts(&self) -> bool {
        let in_part = |duty: &Duty| duty.against_expiry && !duty.columns.is_empty();
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
    pub fn digest_input(&self) -> Value {
        let Self {
            name: _,
            table,
            columns,
            duties,
        } = self;
        let mut columns: Vec<Value> = columns.iter().filter_map(of_column).collect();
        columns.sort_by_key(Value::to_string);
        let mut duties: Vec<Value> = duties.iter().filter_map(of_duty).collect();
        duties.sort_by_key(Value::to_string);
        json!({"table": table.to_string(), "columns": columns, "duties": duties})
    }
}

fn of_column(mapped: &MappedColumn) -> Option<Value> {
    let MappedColumn {
        column,
        purposes: _,
        basis: _,
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

fn of_duty(duty: &Duty) -> Option<Value> {
    let Duty {
        columns,
        until,
        against_expiry,
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
    against_expiry.then(|| json!({"columns": columns, "until": until}))
}

/// The digest of what maps ask of policies; `None`: there are none. Which of them a plan depends on,
/// the plan's own digest says.
pub fn digest(maps: &[NamedMap]) -> Option<Digest> {
    digest_of(maps.iter().flat_map(|map| &map.map.tables)).unwrap_or_default()
}

/// The digest of some entries, in whatever order they were written; `None`: there are none.
pub fn digest_of<'a>(
    entries: impl Iterator<Item = &'a MappedTable>,
) -> Result<Option<Digest>, DigestError> {
    let mut all: Vec<Value> = entries.map(MappedTable::digest_input).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.sort_by_key(Value::to_string);
    Digest::of_json(&all).map(Some)
}
