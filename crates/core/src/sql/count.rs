//! What is counted of one window in one pass: all rows, the eligible ones, those the clock cannot
//! judge, the oldest reading, and the related rows.

use super::any_of::write_any_of;
use super::clock::ClockSql;
use super::eligible::Eligible;
use super::related::{Depth, Way};
use super::window::{Window, WindowSql};
use super::{Bound, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::value::{Key, Value};

/// Writes the counting statements of one rule.
#[derive(Clone, Debug)]
pub struct CountSql {
    /// The walked table.
    pub window: WindowSql,
    /// The rule's predicate.
    pub eligible: Eligible,
}

/// What one window held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All rows.
    pub total: i64,
    /// Rows the rule reaches.
    pub eligible: i64,
    /// Rows within `where` whose clock is NULL.
    pub clock_null: i64,
    /// Rows within `where` whose clock nobody can mean.
    pub implausible: i64,
    /// The oldest eligible reading of each of the clock's columns, in the column's terms; NULL where
    /// there is none.
    pub oldest: Vec<Value>,
}

impl CountSql {
    /// Counts a window.
    pub fn counts(&self, window: &Window) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        let e = &self.eligible;
        if self.window.engine == Engine::Postgres
            && e.looks_elsewhere()
            && e.clock.reach().is_none()
        {
            self.write_counts_apart(&mut w, window);
            return w.finish();
        }
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        w.sql(", ");
        d.whole(&mut w, &mut |w| count_where(w, &mut |w| e.write(w)));
        w.sql(", ");
        d.whole(&mut w, &mut |w| count_where(w, &mut |w| self.write_open(w)));
        w.sql(", ");
        d.whole(&mut w, &mut |w| {
            count_where(w, &mut |w| self.write_implausible(w));
        });
        if e.clock.reach().is_none() {
            w.sql(", ");
            e.clock.oldest(&mut w, &mut |w| e.write(w));
        }
        self.write_rows(&mut w, window);
        w.finish()
    }

    /// The same, each of the counts over rows that it is about. Where a sum asks for each row whether
    /// there is one in another table, PostgreSQL looks it up each time; in a WHERE it joins them.
    fn write_counts_apart(&self, w: &mut Writer<'_>, window: &Window) {
        let e = &self.eligible;
        let oldest =
            1 + usize::from(matches!(e.clock, ClockSql::Other(_)) && e.clock.own().is_some());
        let names = ["o1", "o2"];
        let names = &names[..oldest];
        w.sql("SELECT a.n, b.n, c.n, d.n, b.")
            .joined(names, ", b.", |w, name| {
                w.sql(name);
            });
        w.sql(" FROM (");
        self.write_count(w, window, false, &mut |w| {
            w.sql("true");
        });
        w.sql(") AS a (n), (");
        self.write_count(w, window, true, &mut |w| e.write(w));
        w.sql(") AS b (n, ").joined(names, ", ", |w, name| {
            w.sql(name);
        });
        w.sql("), (");
        self.write_count(w, window, false, &mut |w| self.write_open(w));
        w.sql(") AS c (n), (");
        self.write_count(w, window, false, &mut |w| self.write_implausible(w));
        w.sql(") AS d (n)");
    }

    /// `SELECT` the number of a window's rows for which `which` holds, and their oldest readings.
    fn write_count(
        &self,
        w: &mut Writer<'_>,
        window: &Window,
        oldest: bool,
        which: &mut dyn FnMut(&mut Writer<'_>),
    ) {
        w.sql("SELECT ");
        w.dialect().whole(w, &mut |w| {
            w.sql("count(*)");
        });
        if oldest {
            w.sql(", ");
            self.eligible.clock.oldest(w, &mut |w| {
                w.sql("true");
            });
        }
        self.write_rows(w, window);
        w.sql(" AND ");
        which(w);
    }

    /// Within what the rule is about, the period has not begun.
    fn write_open(&self, w: &mut Writer<'_>) {
        self.eligible.clock.open(w);
        self.eligible.write_scope(w);
    }

    /// Within what the rule is about, the clock is one that nobody can mean.
    fn write_implausible(&self, w: &mut Writer<'_>) {
        self.eligible.clock.implausible(w);
        self.eligible.write_scope(w);
    }

    /// `FROM` the table `WHERE` a row lies in the window.
    fn write_rows(&self, w: &mut Writer<'_>, window: &Window) {
        self.window.write_from(w);
        w.sql(" WHERE ");
        self.window.write_bounds(w, window);
        self.window.write_among(w);
    }

    /// Reads the row that `counts` brought back; `None` where it has another shape.
    pub fn counted(row: &[Value]) -> Option<Counted> {
        let [total, eligible, clock_null, implausible, oldest @ ..] = row else {
            return None;
        };
        Some(Counted {
            total: total.as_int()?,
            eligible: eligible.as_int()?,
            clock_null: clock_null.as_int()?,
            implausible: implausible.as_int()?,
            oldest: oldest.to_vec(),
        })
    }

    /// Counts the eligible rows of a window.
    pub fn residual(&self, window: &Window) -> Bound {
        let mut w = begin_count(self.window.engine);
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Counts the eligible ones of some rows. `keys` is not empty.
    pub fn of_keys(&self, keys: &[Key]) -> Bound {
        let mut w = begin_count(self.window.engine);
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        let key: Vec<&Column> = self.window.key.iter().map(|column| &column.0).collect();
        write_any_of(&mut w, &key, keys);
        w.sql(" AND ");
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Counts the eligible rows of the whole table without the walk's windows or index hint: the
    /// independent look that a fault of the walk itself cannot hide from (P6).
    pub fn independent(&self) -> Bound {
        let mut w = begin_count(self.window.engine);
        w.sql(" FROM ")
            .rows_of(&self.window.table, self.window.with_leaves)
            .sql(" WHERE ");
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Counts the rows at the end of `path` (from the rule's table down) that hang on eligible rows
    /// of a window, without those that have nothing left to be changed.
    pub fn related(&self, window: &Window, path: &[(&Depth, &Way)]) -> Option<Bound> {
        let ((last, way), above) = path.split_last()?;
        let mut w = begin_count(self.window.engine);
        last.write_from(&mut w);
        w.sql(" WHERE ");
        self.write_parent_in(&mut w, window, way, above);
        last.write_undone(&mut w);
        Some(w.finish())
    }

    fn write_parent_in(
        &self,
        w: &mut Writer<'_>,
        window: &Window,
        way: &Way,
        above: &[(&Depth, &Way)],
    ) {
        let parent = above
            .last()
            .map_or(&self.window.table, |(depth, _)| &depth.table);
        way.write_in(w, parent, |w| match above.split_last() {
            None => {
                self.window.write_from(w);
                w.sql(" WHERE ");
                self.window.write_bounds(w, window);
                self.eligible.write(w);
            }
            Some(((parent, way), above)) => {
                parent.write_from(w);
                w.sql(" WHERE ");
                self.write_parent_in(w, window, way, above);
            }
        });
    }
}

/// `SELECT` the number of rows.
pub(super) fn begin_count(engine: Engine) -> Writer<'static> {
    let d = dialect(engine);
    let mut w = Writer::new(d);
    w.sql("SELECT ");
    d.whole(&mut w, &mut |w| {
        w.sql("count(*)");
    });
    w
}

pub(super) fn count_where(w: &mut Writer<'_>, test: &mut dyn FnMut(&mut Writer<'_>)) {
    // InnoDB's engines add numbers up as decimals.
    w.sql("count(CASE WHEN ");
    test(w);
    w.sql(" THEN 1 END)");
}
