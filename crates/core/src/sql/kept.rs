//! The rows that duties keep: a term of the predicate on the row's own dates, and on those of what
//! hangs on it.
//!
//! A duty has ended once every one of its dates, with its period, has passed. A date that is not there,
//! or that nobody can mean, has not passed: such a row is kept.

use super::clock::Reading;
use super::held::Held;
use super::{Bound, CountSql, Window, Writer, dialect};
use crate::value::Value;

/// One duty, as far as it concerns one rule.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose it is, and where it keeps rows: one place for each of its dates.
    pub held: Held,
    /// Its dates in the rule's own rows; empty where it is about rows below.
    pub clocks: Vec<Reading>,
}

/// What a duty keeps of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptRows {
    /// Rows.
    pub rows: i64,
    /// Those of them that have no end, because a date is not there or nobody can mean it.
    pub open: i64,
    /// The oldest reading of each of its dates, in the column's terms; NULL where there is none.
    pub oldest: Vec<Value>,
}

impl KeptRows {
    /// Adds those of other rows.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.open += other.open;
        self.oldest.resize(other.oldest.len(), Value::Null);
        for (known, found) in self.oldest.iter_mut().zip(other.oldest) {
            if *known == Value::Null || (found != Value::Null && found < *known) {
                *known = found;
            }
        }
    }
}

impl Kept {
    /// That one of its dates in the row has no reading, or one that nobody can mean.
    fn write_open(&self, w: &mut Writer<'_>) {
        w.sql("(").joined(&self.clocks, " OR ", |w, clock| {
            clock.open(w);
            w.sql(" OR ");
            clock.implausible(w);
        });
        w.sql(")");
    }
}

impl CountSql {
    /// Counts the rows of a window that would be changed if it were not for duties, and that no hold
    /// keeps: all of them; and of each duty, those that it keeps, those without an end, and the oldest
    /// reading of each of its dates. Rows that two of them keep count for both.
    pub fn kept_by_duties(&self, window: &Window) -> Bound {
        let kept = &self.eligible.kept;
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        let sum = |w: &mut Writer<'_>, test: &mut dyn FnMut(&mut Writer<'_>)| {
            w.sql(", ");
            d.whole(w, &mut |w| super::count::count_where(w, test));
        };
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        for duty in kept {
            sum(&mut w, &mut |w| duty.held.write_kept(w));
            sum(&mut w, &mut |w| {
                if duty.clocks.is_empty() {
                    w.sql("1 = 0");
                } else {
                    duty.held.write_kept(w);
                    w.sql(" AND ");
                    duty.write_open(w);
                }
            });
            for clock in &duty.clocks {
                w.sql(", ");
                d.oldest(&mut w, &clock.column, &mut |w| {
                    w.sql("CASE WHEN ");
                    duty.held.write_kept(w);
                    w.sql(" AND NOT ");
                    clock.implausible(w);
                    w.sql(" THEN ").column(&clock.column).sql(" END");
                });
            }
        }
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write_but_for_duties(&mut w);
        w.sql(" AND (")
            .joined(kept, " OR ", |w, duty| duty.held.write_kept(w))
            .sql(")");
        w.finish()
    }

    /// Reads the row that `kept_by_duties` brought back: all rows, and those of each duty.
    pub fn kept_rows(&self, row: &[Value]) -> (i64, Vec<KeptRows>) {
        let number = |at: usize| row.get(at).and_then(Value::as_int).unwrap_or_default();
        let mut each = Vec::with_capacity(self.eligible.kept.len());
        let mut at = 1;
        for duty in &self.eligible.kept {
            let oldest = at + 2..at + 2 + duty.clocks.len();
            each.push(KeptRows {
                rows: number(at),
                open: number(at + 1),
                oldest: row.get(oldest.clone()).unwrap_or_default().to_vec(),
            });
            at = oldest.end;
        }
        (number(0), each)
    }
}
