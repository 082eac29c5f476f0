//! A column's transformation in SQL: what is assigned, and when it has already been done. An
//! expression reads its own column only, because MySQL evaluates SET from left to right.

use super::{Bound, Writer, dialect};
use crate::catalog::{Column, ColumnKind, Engine};
use crate::hmac::Pads;
use crate::strategy::Strategy;
use crate::value::Value;

/// One column and what becomes of it.
#[derive(Clone, Debug)]
pub struct Transform {
    /// The column.
    pub column: Column,
    /// The transformation.
    pub strategy: Strategy,
}

impl Transform {
    /// The new value's expression.
    pub fn value(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        match &self.strategy {
            Strategy::Nullify => {
                w.sql("NULL");
            }
            Strategy::Constant { value } => d.bound(w, &self.column, Value::Text(value.clone())),
            Strategy::Pseudonym => d.pseudonym(w, &self.column),
            Strategy::GeneraliseDate { to } => d.first_day(w, &self.column, *to),
            Strategy::GeneraliseNumber { width } => d.multiple(w, &self.column, *width),
        }
    }

    /// The column has still to be transformed. Never NULL.
    pub fn undone(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        match &self.strategy {
            Strategy::Nullify => {
                w.column(&self.column).sql(" IS NOT NULL");
            }
            Strategy::Constant { .. } => d.differs(w, &self.column, &mut |w| self.value(w)),
            Strategy::Pseudonym => {
                w.sql("(")
                    .column(&self.column)
                    .sql(" IS NOT NULL AND NOT (");
                d.is_pseudonym(w, &self.column);
                w.sql("))");
            }
            Strategy::GeneraliseDate { .. } => {
                w.sql("(").column(&self.column).sql(" IS NOT NULL AND ");
                if d.engine().is_innodb() {
                    // The zero date has no first day.
                    w.sql("YEAR(").column(&self.column).sql(") > 0 AND ");
                }
                d.differs(w, &self.column, &mut |w| self.value(w));
                w.sql(")");
            }
            Strategy::GeneraliseNumber { .. } => {
                w.sql("(").column(&self.column).sql(" IS NOT NULL AND ");
                d.differs(w, &self.column, &mut |w| self.value(w));
                w.sql(")");
            }
        }
    }

    /// `column = value`, for SET. `alone`: every row that is reached has this column still undone.
    fn assign(&self, w: &mut Writer<'_>, alone: bool) {
        w.ident(&self.column.name).sql(" = ");
        if alone || self.may_repeat() {
            self.value(w);
            return;
        }
        w.sql("CASE WHEN ");
        self.undone(w);
        w.sql(" THEN ");
        self.value(w);
        w.sql(" ELSE ");
        if self.strategy == Strategy::Pseudonym {
            // Of the same type as the new value: it is ASCII by then, or NULL.
            w.dialect().read(w, &self.column);
        } else {
            w.column(&self.column);
        }
        w.sql(" END");
    }

    /// Whether a column to which it was done can bear it once more.
    fn may_repeat(&self) -> bool {
        match self.strategy {
            Strategy::Nullify | Strategy::Constant { .. } | Strategy::GeneraliseNumber { .. } => {
                true
            }
            // Hashed twice; and what has no first day is left as it is.
            Strategy::Pseudonym | Strategy::GeneraliseDate { .. } => false,
        }
    }
}

/// `SET` list of an update: the transforms, each where it is still undone, and the columns that MySQL
/// would otherwise touch by itself (`ON UPDATE CURRENT_TIMESTAMP`) kept as they are. A row is reached
/// for any of its columns: the application may have written one of them again.
pub(super) fn assignments(w: &mut Writer<'_>, transforms: &[Transform], untouched: &[Column]) {
    let alone = transforms.len() == 1;
    w.joined(transforms, ", ", |w, t| t.assign(w, alone));
    for column in untouched {
        w.sql(", ")
            .ident(&column.name)
            .sql(" = ")
            .ident(&column.name);
    }
}

/// Statements that give a transaction the pads of the keyed HMAC.
pub fn pads(engine: Engine, pads: &Pads) -> Vec<Bound> {
    dialect(engine).set_pads(&pads.inner_hex(), &pads.outer_hex())
}

/// Whether a strategy can transform a column of this kind.
pub(crate) fn fits(strategy: &Strategy, kind: ColumnKind) -> bool {
    match strategy {
        Strategy::Nullify => true,
        Strategy::Constant { .. } => !matches!(kind, ColumnKind::Other | ColumnKind::Bytes),
        Strategy::Pseudonym => kind == ColumnKind::Text,
        Strategy::GeneraliseDate { .. } => {
            matches!(
                kind,
                ColumnKind::Date | ColumnKind::Instant | ColumnKind::Civil
            )
        }
        Strategy::GeneraliseNumber { .. } => {
            matches!(kind, ColumnKind::Int | ColumnKind::Decimal)
        }
    }
}
