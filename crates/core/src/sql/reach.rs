//! The rows of one person: found by their keys, by an identifier of their own, or by rows of another
//! table that are the person's.

use super::any_of::write_any_of;
use super::lookup::HopSql;
use super::{Scope, Writer};
use crate::catalog::{Column, ColumnKind};
use crate::name::TableName;
use crate::policy::Normalise;
use crate::value::{Key, Value};

/// What the tables on the way are called in a statement, from the row's own up.
const ALIASES: [&str; MOST_STEPS] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8"];
/// Tables on one way at the most.
pub const MOST_STEPS: usize = 8;

/// The ways to a person's rows in a table; any of them. None: no row is theirs.
#[derive(Clone, Debug, Default)]
pub struct ReachSql {
    /// The ways.
    pub ways: Vec<WaySql>,
}

/// One way to a person's rows.
#[derive(Clone, Debug)]
pub enum WaySql {
    /// Columns that have the values of one of the keys.
    Keys(Vec<Column>, Vec<Key>),
    /// A column that is one of these identifiers.
    Identifier(Box<IdentifierSql>),
    /// One of the columns is such an identifier, and none is another's.
    Fits(Vec<IdentifierSql>),
    /// A row of another table that is the person's belongs to it.
    Through(Box<HopSql>, ReachSql),
}

/// A column that is compared with identifiers, byte by byte.
#[derive(Clone, Debug)]
pub struct IdentifierSql {
    /// The column.
    pub column: Column,
    /// How both sides are made comparable.
    pub normalise: Option<Normalise>,
    /// The identifiers, in the column's shape where they are not normalised.
    pub values: Vec<Value>,
}

impl IdentifierSql {
    /// The row has one of them.
    pub fn write(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        if self.values.is_empty() {
            w.sql("1 = 0");
            return;
        }
        if let (Some(how), true) = (self.normalise, self.values.len() > 1) {
            // One list is looked up, where each of many comparisons would normalise the column anew.
            d.normalised(w, &self.column, how);
            w.sql(" IN (");
            w.joined(&self.values, ", ", |w, value| {
                d.normal(w, value.clone(), how);
            });
            w.sql(")");
            return;
        }
        w.sql("(");
        w.joined(&self.values, " OR ", |w, value| match self.normalise {
            Some(how) => {
                d.normalised(w, &self.column, how);
                w.sql(" = ");
                d.normal(w, value.clone(), how);
            }
            None if matches!(self.column.kind, ColumnKind::Text | ColumnKind::Enum) => {
                d.equals_exactly(w, &self.column, value.clone());
            }
            None => {
                w.column(&self.column).sql(" = ");
                d.bound(w, &self.column, value.clone());
            }
        });
        w.sql(")");
    }

    /// Reads the column as [`Self::has`] takes it.
    pub(super) fn write_read(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        // An enum's cast to text may be one that its owner has declared.
        if self.normalise.is_some() || self.column.kind == ColumnKind::Text {
            d.comparable(w, &self.column, self.normalise);
        } else {
            d.read(w, &self.column);
        }
    }

    /// Whether what was read of a row is one of them, byte by byte.
    pub fn has(&self, read: &Value) -> bool {
        self.values.iter().any(|value| match (value, read) {
            (Value::Text(text), Value::Bytes(bytes)) => match self.normalise {
                Some(how) => how.of(text).expose().as_bytes() == bytes,
                None => text.as_bytes() == bytes,
            },
            (value, read) => value == read && *read != Value::Null,
        })
    }

    /// The row has none at all: NULL, or nothing is left of it.
    pub fn write_blank(&self, w: &mut Writer<'_>) {
        w.sql("(").column(&self.column).sql(" IS NULL");
        if let Some(how) = self.normalise {
            w.sql(" OR ");
            w.dialect().normalised(w, &self.column, how);
            w.sql(" = ''");
        } else if self.column.kind == ColumnKind::Text {
            w.sql(" OR ").column(&self.column).sql(" = ''");
        }
        w.sql(")");
    }
}

/// What [`IdentifierSql::write_blank`] asks, of what was read.
fn is_blank(read: &Value) -> bool {
    match read {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Int(_) => false,
    }
}

fn is_text(column: &Column) -> bool {
    matches!(column.kind, ColumnKind::Text | ColumnKind::Enum)
}

/// The columns have the values of one of the keys, byte by byte: a collation takes `josé` for `jose`.
fn write_exactly(w: &mut Writer<'_>, columns: &[Column], keys: &[Key]) {
    let d = w.dialect();
    w.sql("(").joined(keys, " OR ", |w, key| {
        w.sql("(");
        w.joined(columns.iter().zip(key), " AND ", |w, (column, value)| {
            if is_text(column) {
                d.equals_exactly(w, column, value.clone());
            } else {
                w.column(column).sql(" = ");
                d.bound(w, column, value.clone());
            }
        });
        w.sql(")");
    });
    w.sql(")");
}

/// One of the columns is an identifier of the person, and none is another's.
fn write_fits(w: &mut Writer<'_>, identifiers: &[IdentifierSql]) {
    w.sql("((");
    w.joined(identifiers, " OR ", |w, one| one.write(w));
    w.sql(")");
    for one in identifiers {
        w.sql(" AND (");
        one.write(w);
        w.sql(" OR ");
        one.write_blank(w);
        w.sql(")");
    }
    w.sql(")");
}

impl ReachSql {
    /// The row is the person's.
    pub(super) fn write(&self, w: &mut Writer<'_>, table: &TableName) {
        let from = Scope::Table(table.clone());
        self.write_from(w, &from, &from, 0);
    }

    /// The same where the row is one of the innermost table in sight, which is called so: its own columns
    /// stand alone, since rows that were set aside are asked for by them under another table's name.
    pub(super) fn write_inmost(&self, w: &mut Writer<'_>, from: &Scope) {
        self.write_from(w, from, &Scope::Only, 0);
    }

    fn write_from(&self, w: &mut Writer<'_>, from: &Scope, own: &Scope, depth: usize) {
        if self.is_empty() {
            w.sql("1 = 0");
            return;
        }
        w.sql("(");
        w.joined(&self.ways, " OR ", |w, way| match way {
            WaySql::Keys(_, keys) if keys.is_empty() => {
                w.sql("1 = 0");
            }
            WaySql::Keys(columns, keys) if columns.iter().any(is_text) => {
                w.scoped(own.clone(), |w| write_exactly(w, columns, keys));
            }
            WaySql::Keys(columns, keys) => {
                let columns: Vec<&Column> = columns.iter().collect();
                w.scoped(own.clone(), |w| write_any_of(w, &columns, keys));
            }
            WaySql::Identifier(identifier) => {
                w.scoped(own.clone(), |w| identifier.write(w));
            }
            WaySql::Fits(identifiers) => {
                w.scoped(own.clone(), |w| write_fits(w, identifiers));
            }
            WaySql::Through(hop, reach) => match ALIASES.get(depth) {
                Some(alias) => {
                    w.sql("EXISTS (SELECT 1 FROM ");
                    hop.write_table(w, alias);
                    w.sql(" WHERE ");
                    hop.write_pairs(w, alias, from);
                    w.sql(" AND ");
                    let from = Scope::Alias(alias);
                    reach.write_from(w, &from, &from, depth + 1);
                    w.sql(")");
                }
                // Deeper ways were refused when the map was read.
                None => {
                    w.sql("1 = 0");
                }
            },
        });
        w.sql(")");
    }

    /// Whether no row can be the person's.
    pub fn is_empty(&self) -> bool {
        self.ways.iter().all(|way| match way {
            WaySql::Keys(_, keys) => keys.is_empty(),
            WaySql::Identifier(identifier) => identifier.values.is_empty(),
            WaySql::Fits(identifiers) => identifiers.iter().all(|one| one.values.is_empty()),
            WaySql::Through(_, reach) => reach.is_empty(),
        })
    }

    /// Reads the columns that tell whose a row is, each after a comma.
    pub(super) fn write_read(&self, w: &mut Writer<'_>) {
        for way in &self.ways {
            match way {
                WaySql::Keys(columns, _) => {
                    for column in columns {
                        w.sql(", ");
                        w.dialect().read(w, column);
                    }
                }
                WaySql::Identifier(identifier) => {
                    w.sql(", ");
                    identifier.write_read(w);
                }
                WaySql::Fits(identifiers) => {
                    for identifier in identifiers {
                        w.sql(", ");
                        identifier.write_read(w);
                    }
                }
                WaySql::Through(..) => {}
            }
        }
    }

    /// Whether a row is the person's of which these columns were read. Never where it is not.
    pub fn has(&self, read: &[Value]) -> bool {
        let mut read = read;
        self.ways.iter().any(|way| match way {
            WaySql::Keys(columns, keys) => {
                let Some((key, rest)) = read.split_at_checked(columns.len()) else {
                    return false;
                };
                read = rest;
                !key.contains(&Value::Null) && keys.iter().any(|one| one == key)
            }
            WaySql::Identifier(identifier) => {
                let Some((one, rest)) = read.split_first() else {
                    return false;
                };
                read = rest;
                identifier.has(one)
            }
            WaySql::Fits(identifiers) => {
                let Some((all, rest)) = read.split_at_checked(identifiers.len()) else {
                    return false;
                };
                read = rest;
                let each = || identifiers.iter().zip(all);
                each().any(|(identifier, one)| identifier.has(one))
                    && each().all(|(identifier, one)| identifier.has(one) || is_blank(one))
            }
            WaySql::Through(..) => false,
        })
    }

    /// Whether it looks at other tables.
    pub fn looks_elsewhere(&self) -> bool {
        let through = |way: &WaySql| matches!(way, WaySql::Through(..));
        self.ways.iter().any(through)
    }

    /// The columns of the row itself that it looks at.
    pub fn columns(&self) -> Vec<&Column> {
        fn of_way(way: &WaySql) -> Vec<&Column> {
            match way {
                WaySql::Keys(columns, _) => columns.iter().collect(),
                WaySql::Identifier(identifier) => vec![&identifier.column],
                WaySql::Fits(all) => all.iter().map(|one| &one.column).collect(),
                WaySql::Through(hop, _) => hop.pairs.iter().map(|pair| &pair.equals).collect(),
            }
        }
        self.ways.iter().flat_map(of_way).collect()
    }

    /// How many values its statements bind.
    pub fn bound(&self) -> usize {
        let of_way = |way: &WaySql| match way {
            WaySql::Keys(columns, keys) => columns.len() * keys.len(),
            WaySql::Identifier(identifier) => identifier.values.len(),
            // Once to be like one of them, and once for each not to be another's.
            WaySql::Fits(all) => all.iter().map(|one| 2 * one.values.len()).sum(),
            WaySql::Through(_, reach) => reach.bound(),
        };
        self.ways.iter().map(of_way).sum()
    }

    /// The tables that it looks at.
    pub fn tables(&self) -> Vec<&TableName> {
        let mut tables = Vec::new();
        for way in &self.ways {
            if let WaySql::Through(hop, reach) = way {
                tables.push(&hop.table);
                tables.extend(reach.tables());
            }
        }
        tables
    }

    /// The same ways for nobody in particular: a plan's digest covers how a person's rows are found, and
    /// not whose they are.
    #[must_use]
    pub fn of_nobody(&self) -> Self {
        let ways = self.ways.iter().map(|way| match way {
            WaySql::Keys(columns, _) => {
                WaySql::Keys(columns.clone(), vec![vec![Value::Null; columns.len()]])
            }
            WaySql::Identifier(identifier) => WaySql::Identifier(Box::new(IdentifierSql {
                values: vec![Value::Null],
                ..identifier.as_ref().clone()
            })),
            WaySql::Fits(identifiers) => {
                let identifiers = identifiers.iter().map(|identifier| IdentifierSql {
                    values: vec![Value::Null],
                    ..identifier.clone()
                });
                WaySql::Fits(identifiers.collect())
            }
            WaySql::Through(hop, reach) => WaySql::Through(hop.clone(), reach.of_nobody()),
        });
        Self {
            ways: ways.collect(),
        }
    }
}
