//! The predicate of a rule: which rows its promise reaches. What reads the row's own columns only is
//! re-evaluated by the engine after a lock wait; what looks at other tables is not, and is asked anew
//! once the row is locked (SQL.md section 2).

use super::Writer;
use super::clock::{ClockSql, dated};
use super::held::Held;
use super::kept::Kept;
use super::lookup::LookupSql;
use super::reach::ReachSql;
use super::transform::Transform;
use crate::catalog::{Column, ColumnKind};
use crate::name::TableName;
use crate::value::Value;

/// A rule's predicate, typed against the catalog.
#[derive(Clone, Debug)]
pub struct Eligible {
    /// What starts the period.
    pub clock: ClockSql,
    /// The rule's `where`; all must hold.
    pub conditions: Vec<TypedCondition>,
    /// Rows of other tables of which there must be one; each.
    pub only_if: Vec<LookupSql>,
    /// Rows of other tables of which there must be none; each.
    pub unless: Vec<LookupSql>,
    /// For Anonymise: at least one of these has still to be done. Empty for Delete.
    pub undone: Vec<Transform>,
    /// The holds that keep rows of the table, or what hangs on them.
    pub held: Vec<Held>,
    /// The duties that keep rows of the table, or what hangs on them.
    pub kept: Vec<Kept>,
    /// Where only rows are meant of which a part must be kept: the duties of which one does.
    pub within: Vec<Kept>,
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
    /// No real date or time (or number that counts it) from the floor to before the moment. NULL where
    /// there is none.
    NotPast {
        /// Readings below this are implausible.
        floor: Value,
        /// The moment.
        moment: Value,
    },
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

impl TypedTest {
    /// How many values it binds, where they may be many.
    pub(super) fn bound(&self) -> usize {
        match self {
            Self::In(values) => values.len(),
            _ => 0,
        }
    }
}

impl Eligible {
    /// The same predicate for rows of one leaf of the table.
    pub(super) fn of_leaf(&mut self, leaf: &TableName) {
        for hold in &mut self.held {
            hold.of_leaf(leaf);
        }
    }

    /// The whole predicate.
    pub fn write(&self, w: &mut Writer<'_>) {
        self.write_but_for_holds(w);
        self.write_unkept(w);
    }

    /// That neither a hold nor a duty keeps the row, with a leading ` AND `.
    pub(super) fn write_unkept(&self, w: &mut Writer<'_>) {
        for keeper in self.keepers() {
            keeper.write_free(w);
        }
    }

    /// The predicate as it would be if no duty kept anything: holds come first.
    pub(super) fn write_but_for_duties(&self, w: &mut Writer<'_>) {
        self.write_but_for_holds(w);
        self.write_free(w);
    }

    /// That no hold keeps the row, with a leading ` AND `.
    pub(super) fn write_free(&self, w: &mut Writer<'_>) {
        for hold in &self.held {
            hold.write_free(w);
        }
    }

    /// The predicate as it would be if nothing were held or kept.
    pub(super) fn write_but_for_holds(&self, w: &mut Writer<'_>) {
        self.clock.expired(w);
        self.write_scope(w);
        self.write_within(w);
        self.write_undone(w);
    }

    /// That one of the duties keeps a part of the row, where only such rows are meant.
    fn write_within(&self, w: &mut Writer<'_>) {
        if !self.within.is_empty() {
            w.sql(" AND (")
                .joined(&self.within, " OR ", |w, duty| duty.held.write_kept(w))
                .sql(")");
        }
    }

    /// The ways to a person's rows, where the rule is about a person.
    pub fn reach(&self) -> Option<&ReachSql> {
        self.clock.reach().map(|(_, reach)| reach)
    }

    /// What keeps rows: holds, and duties.
    pub fn keepers(&self) -> impl Iterator<Item = &Held> {
        self.held
            .iter()
            .chain(self.kept.iter().map(|duty| &duty.held))
    }

    /// Whether it looks at other tables.
    pub fn looks_elsewhere(&self) -> bool {
        matches!(self.clock, ClockSql::Other(_))
            || self
                .clock
                .reach()
                .is_some_and(|(_, reach)| reach.looks_elsewhere())
            || !self.only_if.is_empty()
            || !self.unless.is_empty()
            || self.keepers().any(Held::is_below)
            || self.is_within_below()
    }

    /// Whether other tables are looked at, each by an index that leads to a row's.
    pub(crate) fn is_led_elsewhere(&self) -> bool {
        let clock = match &self.clock {
            ClockSql::Own(_) => None,
            ClockSql::Other(event) => Some(&event.rows),
            ClockSql::Reached(..) => return false,
        };
        let below = self.keepers().any(Held::is_below) || self.is_within_below();
        let all = clock.into_iter().chain(&self.only_if).chain(&self.unless);
        let mut hops = all.flat_map(|rows| rows.via.iter().chain([&rows.hop]));
        self.looks_elsewhere() && !below && hops.all(|hop| hop.index.is_some())
    }

    /// Whether only rows are meant that stay because of what hangs on them.
    fn is_within_below(&self) -> bool {
        self.within.iter().any(|duty| duty.held.is_below())
    }

    /// Whether it looks at rows of the table itself, so that a row may become eligible when another one
    /// goes.
    pub fn looks_at(&self, table: &TableName) -> bool {
        let clock = match &self.clock {
            ClockSql::Own(_) => None,
            ClockSql::Other(event) => Some(&event.rows),
            ClockSql::Reached(_, reach) => return reach.tables().contains(&table),
        };
        let mut all = clock.into_iter().chain(&self.only_if).chain(&self.unless);
        all.any(|rows| {
            rows.hop.table == *table || rows.via.as_ref().is_some_and(|via| via.table == *table)
        })
    }

    /// What of it the row's own columns say.
    pub(super) fn write_own(&self, w: &mut Writer<'_>) {
        self.clock.expired_own(w);
        self.write_conditions(w);
        for keeper in self.keepers() {
            keeper.write_own_free(w);
        }
        if !self.is_within_below() {
            self.write_within(w);
        }
        self.write_undone(w);
    }

    fn write_undone(&self, w: &mut Writer<'_>) {
        if !self.undone.is_empty() {
            w.sql(" AND ");
            self.write_any_undone(w);
        }
    }

    /// That one of the columns has still to be transformed. Never NULL; `undone` is not empty.
    pub(super) fn write_any_undone(&self, w: &mut Writer<'_>) {
        w.sql("(")
            .joined(&self.undone, " OR ", |w, t| t.undone(w))
            .sql(")");
    }

    /// Which rows the promise is about, each with a leading ` AND `.
    pub(super) fn write_scope(&self, w: &mut Writer<'_>) {
        self.write_conditions(w);
        for rows in &self.only_if {
            w.sql(" AND ");
            rows.exists(w, None);
        }
        for rows in &self.unless {
            w.sql(" AND NOT ");
            rows.exists(w, None);
        }
    }

    /// The rule's `where`, each with a leading ` AND `.
    fn write_conditions(&self, w: &mut Writer<'_>) {
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
}

pub(super) fn write_test(w: &mut Writer<'_>, column: &Column, test: &TypedTest) {
    let d = w.dialect();
    let compare = |w: &mut Writer<'_>, operator: &'static str, value: &Value| {
        w.column(column).sql(operator);
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
        TypedTest::NotPast { floor, moment } => {
            w.sql("NOT (");
            compare(w, " >= ", floor);
            w.sql(" AND ");
            compare(w, " < ", moment);
            if dated(column) {
                w.sql(" AND ");
                d.real_date(w, column);
            }
            w.sql(")");
        }
        TypedTest::Lt(value) => compare(w, " < ", value),
        TypedTest::Gt(value) => compare(w, " > ", value),
        TypedTest::IsNull => {
            w.column(column).sql(" IS NULL");
        }
        TypedTest::IsNotNull => {
            w.column(column).sql(" IS NOT NULL");
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
