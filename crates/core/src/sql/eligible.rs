//! The predicate of a rule: which rows its promise reaches. It reads the row's own columns only,
//! so that the engine re-evaluates the whole of it after a lock wait (SQL.md section 2).

use super::Writer;
use super::held::Held;
use super::transform::Transform;
use crate::catalog::{Column, ColumnKind};
use crate::value::Value;

/// A rule's predicate, typed against the catalog.
#[derive(Clone, Debug)]
pub struct Eligible {
    /// The column that starts the period.
    pub clock: Column,
    /// Readings below this are implausible.
    pub floor: Value,
    /// Readings below this (and not below the floor) have expired.
    pub cutoff: Value,
    /// Readings from this on are implausible.
    pub ceiling: Value,
    /// The rule's `where`; all must hold.
    pub conditions: Vec<TypedCondition>,
    /// For Anonymise: at least one of these has still to be done. Empty for Delete.
    pub undone: Vec<Transform>,
    /// The holds that keep rows of the table, or what hangs on them.
    pub held: Vec<Held>,
}

/// One entry of `where`, typed.
#[derive(Clone, Debug)]
pub enum TypedCondition {
    /// A test of one column.
    Test(Box<Column>, TypedTest),
    /// At least one group holds; all tests of a group hold.
    AnyOf(Vec<Vec<(Column, TypedTest)>>),
}

/// A test whose constants have the column's type.
#[derive(Clone, Debug)]
pub enum TypedTest {
    /// Equal to one of these, byte by byte.
    In(Vec<Value>),
    /// Equal to none of these, not even under the column's collation or in its type's eyes.
    NotIn(Vec<Value>),
    /// Less than.
    Lt(Value),
    /// Greater than.
    Gt(Value),
    /// NULL.
    IsNull,
    /// Not NULL.
    IsNotNull,
    /// A real date or time, not below the floor, before the moment.
    Before {
        /// Readings below this are implausible.
        floor: Value,
        /// The moment.
        moment: Value,
    },
    /// A real date or time after the moment, below the ceiling.
    After {
        /// The moment.
        moment: Value,
        /// Readings from this on are implausible.
        ceiling: Value,
    },
}

impl Eligible {
    /// The whole predicate.
    pub fn write(&self, w: &mut Writer<'_>) {
        self.write_but_for_holds(w);
        for hold in &self.held {
            hold.write_free(w);
        }
    }

    /// The predicate as it would be if nothing were held.
    pub(super) fn write_but_for_holds(&self, w: &mut Writer<'_>) {
        self.expired(w);
        self.write_conditions(w);
        if !self.undone.is_empty() {
            w.sql(" AND (")
                .joined(&self.undone, " OR ", |w, t| t.undone(w))
                .sql(")");
        }
    }

    /// The rule's `where`, each with a leading ` AND `.
    pub fn write_conditions(&self, w: &mut Writer<'_>) {
        for condition in &self.conditions {
            w.sql(" AND ");
            match condition {
                TypedCondition::Test(column, test) => write_test(w, column, test),
                TypedCondition::AnyOf(groups) => {
                    w.sql("(").joined(groups, " OR ", |w, group| {
                        w.sql("(")
                            .joined(group, " AND ", |w, (c, t)| write_test(w, c, t))
                            .sql(")");
                    });
                    w.sql(")");
                }
            }
        }
    }

    /// The clock has a plausible reading before the cutoff. NULL does not.
    fn expired(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        w.ident(&self.clock.name).sql(" >= ");
        d.bound(w, &self.clock, self.floor.clone());
        w.sql(" AND ").ident(&self.clock.name).sql(" < ");
        d.bound(w, &self.clock, self.cutoff.clone());
        if dated(&self.clock) {
            w.sql(" AND ");
            d.real_date(w, &self.clock);
        }
    }

    /// The clock has a reading that nobody can mean.
    pub fn implausible(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        w.sql("(").ident(&self.clock.name).sql(" < ");
        d.bound(w, &self.clock, self.floor.clone());
        w.sql(" OR ").ident(&self.clock.name).sql(" >= ");
        d.bound(w, &self.clock, self.ceiling.clone());
        if dated(&self.clock) {
            w.sql(" OR NOT (");
            d.real_date(w, &self.clock);
            w.sql(")");
        }
        w.sql(")");
    }
}

fn dated(column: &Column) -> bool {
    matches!(
        column.kind,
        ColumnKind::Date | ColumnKind::Instant | ColumnKind::Civil
    )
}

pub(super) fn write_test(w: &mut Writer<'_>, column: &Column, test: &TypedTest) {
    let d = w.dialect();
    let compare = |w: &mut Writer<'_>, operator: &'static str, value: &Value| {
        w.ident(&column.name).sql(operator);
        w.dialect().bound(w, column, value.clone());
    };
    match test {
        TypedTest::In(values) => {
            w.sql("(");
            w.joined(values, " OR ", |w, v| {
                if matches!(column.kind, ColumnKind::Text | ColumnKind::Enum) {
                    d.equals_exactly(w, column, v.clone());
                } else {
                    compare(w, " = ", v);
                }
            });
            w.sql(")");
        }
        TypedTest::NotIn(values) => {
            w.sql("(");
            w.joined(values, " AND ", |w, v| {
                if matches!(column.kind, ColumnKind::Text | ColumnKind::Enum) {
                    d.differs_for_all(w, column, v.clone());
                } else {
                    compare(w, " <> ", v);
                }
            });
            w.sql(")");
        }
        TypedTest::Lt(value) => compare(w, " < ", value),
        TypedTest::Gt(value) => compare(w, " > ", value),
        TypedTest::IsNull => {
            w.ident(&column.name).sql(" IS NULL");
        }
        TypedTest::IsNotNull => {
            w.ident(&column.name).sql(" IS NOT NULL");
        }
        TypedTest::Before { floor, moment } => {
            w.sql("(");
            compare(w, " >= ", floor);
            w.sql(" AND ");
            compare(w, " < ", moment);
            w.sql(" AND ");
            d.real_date(w, column);
            w.sql(")");
        }
        TypedTest::After { moment, ceiling } => {
            w.sql("(");
            compare(w, " > ", moment);
            w.sql(" AND ");
            compare(w, " < ", ceiling);
            w.sql(")");
        }
    }
}
