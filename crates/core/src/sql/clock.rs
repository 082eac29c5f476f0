//! When a row's period has run out, what is still open, and what nobody can mean.

use super::Writer;
use super::lookup::LookupSql;
use super::reach::{ReachSql, WaySql};
use super::window::Among;
use crate::catalog::{Column, ColumnKind, Table};
use crate::name::TableName;
use crate::value::Value;

/// A column that is read as a clock, and what its readings are compared with.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The column.
    pub column: Column,
    /// Readings below this are implausible.
    pub floor: Value,
    /// Readings below this (and not below the floor) have expired.
    pub cutoff: Value,
    /// Readings from this on are implausible.
    pub ceiling: Value,
}

impl Reading {
    /// There is a plausible reading before the cutoff. NULL is none.
    fn expired(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        w.column(&self.column).sql(" >= ");
        d.limit(w, &self.column, self.floor.clone());
        w.sql(" AND ").column(&self.column).sql(" < ");
        d.limit(w, &self.column, self.cutoff.clone());
        if dated(&self.column) {
            w.sql(" AND ");
            d.real_date(w, &self.column);
        }
    }

    /// There is a reading that nobody can mean.
    pub(super) fn implausible(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        w.sql("(").column(&self.column).sql(" < ");
        d.limit(w, &self.column, self.floor.clone());
        w.sql(" OR ").column(&self.column).sql(" >= ");
        d.limit(w, &self.column, self.ceiling.clone());
        if dated(&self.column) {
            w.sql(" OR NOT (");
            d.real_date(w, &self.column);
            w.sql(")");
        }
        w.sql(")");
    }

    /// There is no reading.
    pub(super) fn open(&self, w: &mut Writer<'_>) {
        w.column(&self.column).sql(" IS NULL");
    }
}

/// What starts a row's period.
#[derive(Clone, Debug)]
pub enum ClockSql {
    /// A column of the row.
    Own(Box<Reading>),
    /// The newest of the rows that belong to it.
    Other(Box<EventSql>),
    /// None: the row is a person's who has asked for erasure.
    Reached(TableName, ReachSql),
}

/// An event in rows of another table.
#[derive(Clone, Debug)]
pub struct EventSql {
    /// The rows.
    pub rows: LookupSql,
    /// Their clock.
    pub reading: Reading,
    /// The row's own clock, where there are none.
    pub otherwise: Option<Reading>,
}

impl ClockSql {
    /// The same at no time: its statements have the same text whenever they are written.
    #[must_use]
    pub fn at_no_time(&self) -> Self {
        let mut clock = self.clone();
        let readings = match &mut clock {
            Self::Own(reading) => [Some(&mut **reading), None],
            Self::Other(event) => [Some(&mut event.reading), event.otherwise.as_mut()],
            Self::Reached(..) => [None, None],
        };
        for reading in readings.into_iter().flatten() {
            for limit in [
                &mut reading.floor,
                &mut reading.cutoff,
                &mut reading.ceiling,
            ] {
                *limit = Value::Null;
            }
        }
        clock
    }

    /// The clock in the row itself, where it has one.
    pub fn own(&self) -> Option<&Reading> {
        match self {
            Self::Own(reading) => Some(reading.as_ref()),
            Self::Other(event) => event.otherwise.as_ref(),
            Self::Reached(..) => None,
        }
    }

    /// The rows that are walked where they are a person's, and the index that leads to them.
    pub fn among(&self, of: &Table) -> Option<Among> {
        let (_, reach) = self.reach()?;
        let index = match reach.ways.as_slice() {
            [WaySql::Keys(columns, _)] => columns.first().and_then(|c| of.index_of(&c.name)),
            // Of several ways each may have an index of its own.
            _ => None,
        };
        Some(Among {
            reach: reach.clone(),
            index,
        })
    }

    /// Whose rows are meant, where it is a person's.
    pub(super) fn reach(&self) -> Option<(&TableName, &ReachSql)> {
        match self {
            Self::Own(_) | Self::Other(_) => None,
            Self::Reached(table, reach) => Some((table, reach)),
        }
    }

    /// The period has run out. `max()` would ignore a NULL and take a row with an open matter: so no
    /// row may be there whose clock has not run out.
    pub(super) fn expired(&self, w: &mut Writer<'_>) {
        let EventSql {
            rows,
            reading,
            otherwise,
        } = match self {
            Self::Own(reading) => return reading.expired(w),
            Self::Other(event) => event.as_ref(),
            Self::Reached(table, reach) => return reach.write(w, table),
        };
        w.sql("NOT ");
        rows.exists(
            w,
            Some(&mut |w| {
                w.sql("(");
                reading.expired(w);
                w.sql(") IS NOT TRUE");
            }),
        );
        if let Some(via) = rows.may_be_open() {
            w.sql(" AND NOT ");
            rows.dead_end(w, via);
        }
        w.sql(" AND (");
        rows.exists(w, None);
        if let Some(otherwise) = otherwise {
            w.sql(" OR (");
            otherwise.expired(w);
            w.sql(")");
        }
        w.sql(")");
    }

    /// What can be said of that from the row's own columns: true where nothing can.
    pub(super) fn expired_own(&self, w: &mut Writer<'_>) {
        match self {
            Self::Own(reading) => reading.expired(w),
            Self::Reached(table, reach) if !reach.looks_elsewhere() => reach.write(w, table),
            Self::Other(_) | Self::Reached(..) => {
                w.sql("1 = 1");
            }
        }
    }

    /// The period has not begun.
    pub(super) fn open(&self, w: &mut Writer<'_>) {
        match self {
            Self::Own(reading) => reading.open(w),
            Self::Reached(..) => {
                w.sql("1 = 0");
            }
            Self::Other(event) => {
                let EventSql {
                    rows,
                    reading,
                    otherwise,
                } = event.as_ref();
                w.sql("(");
                rows.exists(w, Some(&mut |w| reading.open(w)));
                if let Some(via) = rows.may_be_open() {
                    w.sql(" OR ");
                    rows.dead_end(w, via);
                }
                w.sql(" OR (NOT ");
                rows.exists(w, None);
                if let Some(otherwise) = otherwise {
                    w.sql(" AND ");
                    otherwise.open(w);
                }
                w.sql("))");
            }
        }
    }

    /// It begins with a reading that nobody can mean.
    pub(super) fn implausible(&self, w: &mut Writer<'_>) {
        match self {
            Self::Own(reading) => reading.implausible(w),
            Self::Reached(..) => {
                w.sql("1 = 0");
            }
            Self::Other(event) => {
                let EventSql {
                    rows,
                    reading,
                    otherwise,
                } = event.as_ref();
                w.sql("(");
                rows.exists(w, Some(&mut |w| reading.implausible(w)));
                if let Some(otherwise) = otherwise {
                    w.sql(" OR (NOT ");
                    rows.exists(w, None);
                    w.sql(" AND ");
                    otherwise.implausible(w);
                    w.sql(")");
                }
                w.sql(")");
            }
        }
    }

    /// The oldest reading of each column that is read as a clock (of the other rows, then of the row itself), among the rows for which `only` holds.
    pub(super) fn oldest(&self, w: &mut Writer<'_>, only: &mut dyn FnMut(&mut Writer<'_>)) {
        let d = w.dialect();
        let mut one = |w: &mut Writer<'_>, reading: &Reading, value: &dyn Fn(&mut Writer<'_>)| {
            d.oldest(w, &reading.column, &mut |w| {
                w.sql("CASE WHEN ");
                only(w);
                w.sql(" THEN ");
                value(w);
                w.sql(" END");
            });
        };
        if let Self::Other(event) = self {
            let column = &event.reading.column;
            one(w, &event.reading, &|w| event.rows.newest(w, column));
            if self.own().is_some() {
                w.sql(", ");
            }
        }
        if let Some(own) = self.own() {
            one(w, own, &|w| match self {
                Self::Other(event) => {
                    w.sql("CASE WHEN NOT ");
                    event.rows.exists(w, None);
                    w.sql(" THEN ").column(&own.column).sql(" END");
                }
                Self::Own(_) | Self::Reached(..) => {
                    w.column(&own.column);
                }
            });
        }
    }
}

pub(super) fn dated(column: &Column) -> bool {
    matches!(
        column.kind,
        ColumnKind::Date | ColumnKind::Instant | ColumnKind::Civil
    )
}
