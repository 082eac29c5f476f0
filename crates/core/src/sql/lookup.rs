//! Rows of other tables that belong to a row: whether there is one. The engine does not evaluate this
//! again after a lock wait, or not always (SQL.md section 2): a row is locked first, and only then
//! looked at for good.

use super::eligible::{TypedTest, write_test};
use super::window::write_hint;
use super::{Scope, Writer};
use crate::catalog::Column;
use crate::name::{Ident, TableName};
use crate::policy::Normalise;

/// What the tables looked at are called in a statement: one may be the rule's own.
const BETWEEN: &str = "r1";
const END: &str = "r2";

/// Rows of another table that belong to a row of the rule's.
#[derive(Clone, Debug)]
pub struct LookupSql {
    /// The rule's table.
    pub from: TableName,
    /// The step between, where there is one.
    pub via: Option<HopSql>,
    /// Whether a row between, from which none is reached, is a matter that is still open.
    pub open_ended: bool,
    /// The step to the rows.
    pub hop: HopSql,
    /// Which of them count; all hold.
    pub tests: Vec<(Column, TypedTest)>,
}

/// A step between two tables.
#[derive(Clone, Debug)]
pub struct HopSql {
    /// The table that it leads to.
    pub table: TableName,
    /// By which its rows are found; all are equal.
    pub pairs: Vec<PairSql>,
    /// The index that leads to them, which InnoDB is told to use: with statistics from before the rows
    /// were added it read all of them for every single row (76 s for 20,000 on MySQL 9.7).
    pub index: Option<Ident>,
}

/// Two columns that must be equal.
#[derive(Clone, Debug)]
pub struct PairSql {
    /// Of the table that the step leads to.
    pub column: Column,
    /// Of the table that it comes from.
    pub equals: Column,
    /// How they are made comparable.
    pub normalise: Option<Normalise>,
}

/// Writes something about the rows at the end, with their columns.
pub(super) type Also<'a> = &'a mut dyn FnMut(&mut Writer<'_>);

impl LookupSql {
    /// There is such a row.
    pub(super) fn exists(&self, w: &mut Writer<'_>, also: Option<Also<'_>>) {
        w.sql("EXISTS (SELECT 1");
        self.write_rows(w, also);
        w.sql(")");
    }

    /// The step between, where a row from which none is reached means that the matter is open.
    pub(super) fn may_be_open(&self) -> Option<&HopSql> {
        self.via.as_ref().filter(|_| self.open_ended)
    }

    /// There is a row between, from which none is reached.
    pub(super) fn dead_end(&self, w: &mut Writer<'_>, via: &HopSql) {
        w.sql("EXISTS (SELECT 1 FROM ");
        via.write_table(w, BETWEEN);
        w.sql(" WHERE ");
        via.write_pairs(w, BETWEEN, &Scope::Table(self.from.clone()));
        w.sql(" AND NOT EXISTS (SELECT 1 FROM ");
        self.hop.write_table(w, END);
        w.sql(" WHERE ");
        self.hop.write_pairs(w, END, &Scope::Alias(BETWEEN));
        self.write_tests(w);
        w.sql("))");
    }

    /// The greatest value of a column of such rows.
    pub(super) fn newest(&self, w: &mut Writer<'_>, column: &Column) {
        w.sql("(SELECT MAX(");
        w.scoped(Scope::Alias(END), |w| {
            w.column(column);
        });
        w.sql(")");
        self.write_rows(w, None);
        w.sql(")");
    }

    fn write_rows(&self, w: &mut Writer<'_>, also: Option<Also<'_>>) {
        let from = Scope::Table(self.from.clone());
        w.sql(" FROM ");
        match &self.via {
            None => {
                self.hop.write_table(w, END);
                w.sql(" WHERE ");
                self.hop.write_pairs(w, END, &from);
            }
            Some(via) => {
                via.write_table(w, BETWEEN);
                w.sql(" JOIN ");
                self.hop.write_table(w, END);
                w.sql(" ON ");
                self.hop.write_pairs(w, END, &Scope::Alias(BETWEEN));
                w.sql(" WHERE ");
                via.write_pairs(w, BETWEEN, &from);
            }
        }
        self.write_tests(w);
        if let Some(also) = also {
            w.sql(" AND ");
            w.scoped(Scope::Alias(END), |w| also(w));
        }
    }

    fn write_tests(&self, w: &mut Writer<'_>) {
        for (column, test) in &self.tests {
            w.sql(" AND ");
            w.scoped(Scope::Alias(END), |w| write_test(w, column, test));
        }
    }
}

impl HopSql {
    pub(super) fn write_table(&self, w: &mut Writer<'_>, alias: &'static str) {
        w.table(&self.table).sql(" AS ").sql(alias);
        write_hint(w, self.index.as_ref());
    }

    pub(super) fn write_pairs(&self, w: &mut Writer<'_>, alias: &'static str, from: &Scope) {
        w.joined(&self.pairs, " AND ", |w, pair| {
            let PairSql {
                column,
                equals,
                normalise,
            } = pair;
            let side = |w: &mut Writer<'_>, scope: Scope, column: &Column| {
                w.scoped(scope, |w| match normalise {
                    None => {
                        w.column(column);
                    }
                    Some(how) => w.dialect().normalised(w, column, *how),
                });
            };
            side(w, Scope::Alias(alias), column);
            w.sql(" = ");
            side(w, from.clone(), equals);
            if normalise.is_some() {
                // What is empty is nobody's.
                w.sql(" AND ");
                side(w, Scope::Alias(alias), column);
                w.sql(" <> ''");
            }
        });
    }
}
