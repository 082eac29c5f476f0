//! The statements that change rows. The whole predicate stands in the outermost DELETE or UPDATE:
//! `… IN (SELECT … LIMIT n)` alone takes rows that were renewed meanwhile (PERFORMANCE.md 12.1).

use super::eligible::Eligible;
use super::grip::Grip;
use super::transform::{Transform, assignments};
use super::window::{Window, WindowSql, write_hint};
use super::{Bound, SealSql, Writer, dialect};
use crate::catalog::Column;
use crate::name::{Ident, TableName};
use crate::value::{Key, Value};

/// What a statement does to the rows it reaches.
#[derive(Clone, Debug)]
pub enum Effect {
    /// They go.
    Delete,
    /// They are transformed; the second list is assigned to itself.
    Update(Vec<Transform>, Vec<Column>),
}

/// Writes the changes of one rule's own table.
#[derive(Clone, Debug)]
pub struct ChangeSql {
    /// The walked table.
    pub window: WindowSql,
    /// The rule's predicate.
    pub eligible: Eligible,
    /// What happens.
    pub effect: Effect,
    /// Columns that related rows refer to, read with the key.
    pub referenced: Vec<Column>,
    /// What locks the chosen rows against new children, beside their own lock.
    pub grips: Vec<Grip>,
    /// Where the rows are copied to before they go.
    pub seal: Option<SealSql>,
}

/// A chosen and locked row: its key, and what its related rows refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The key.
    pub key: Key,
    /// One value per referenced column.
    pub referenced: Vec<Value>,
}

impl ChangeSql {
    /// Changes the eligible rows of a window in one statement.
    pub fn by_window(&self, window: &Window) -> Bound {
        let mut w = self.begin();
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Chooses and locks the first eligible rows of a window.
    pub fn choose(&self, window: &Window, skip_locked: bool, limit: u32) -> Bound {
        let mut w = self.begin_choice(window, limit);
        w.sql(if skip_locked {
            " FOR UPDATE SKIP LOCKED"
        } else {
            " FOR UPDATE"
        });
        w.finish()
    }

    /// Reads what `choose` reads without locking.
    pub fn peek(&self, window: &Window, limit: u32) -> Bound {
        self.begin_choice(window, limit).finish()
    }

    fn begin_choice(&self, window: &Window, limit: u32) -> Writer<'static> {
        let mut w = Writer::new(dialect(self.window.engine));
        w.sql("SELECT ");
        self.window.write_key(&mut w);
        for column in &self.referenced {
            w.sql(", ");
            w.dialect().read(&mut w, column);
        }
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        self.window.write_order(&mut w);
        w.sql(" LIMIT ").number(limit);
        w
    }

    /// Chooses the eligible rows of a window without locking them.
    pub fn look(&self, window: &Window, limit: u32) -> Bound {
        let mut w = Writer::new(dialect(self.window.engine));
        w.sql("SELECT ");
        self.window.write_key(&mut w);
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        self.window.write_order(&mut w);
        w.sql(" LIMIT ").number(limit);
        w.finish()
    }

    /// Reads a row that `choose` brought back.
    pub fn key_row(&self, row: &[Value]) -> KeyRow {
        KeyRow {
            key: self.window.key_of(row),
            referenced: row.iter().skip(self.window.key.len()).cloned().collect(),
        }
    }

    /// Counts which of these rows, locked before, are still eligible. `keys` is not empty.
    pub fn still(&self, window: &Window, keys: &[Key]) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.write_keys(&mut w, window, keys);
        w.sql(" AND ");
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Changes rows of a window by their keys and the predicate: the whole of it, or what the rows' own
    /// columns say, where `still` has answered for the rest. `keys` is not empty.
    pub fn by_keys(&self, window: &Window, keys: &[Key]) -> Bound {
        let mut w = self.begin_hinted();
        self.write_keys(&mut w, window, keys);
        w.sql(" AND ");
        self.eligible.write_own(&mut w);
        w.finish()
    }

    pub(super) fn write_keys(&self, w: &mut Writer<'_>, window: &Window, keys: &[Key]) {
        let columns: Vec<&Column> = self.window.key.iter().map(|c| &c.0).collect();
        if columns.len() > 1 {
            // Not every optimiser turns a list of rows into ranges: the bounds keep the scan short.
            // A single column's list stands alone, because InnoDB would wait for every locked row
            // of the bounds.
            self.window.write_bounds(w, window);
        }
        write_any_of(w, &columns, keys);
    }

    fn begin_hinted(&self) -> Writer<'static> {
        self.begin_by(self.window.index.as_ref())
    }

    fn begin(&self) -> Writer<'static> {
        self.begin_by(None)
    }

    fn begin_by(&self, index: Option<&Ident>) -> Writer<'static> {
        let mut w = Writer::new(dialect(self.window.engine));
        let WindowSql {
            table, with_leaves, ..
        } = &self.window;
        write_effect(&mut w, table, *with_leaves, &self.effect, index);
        w
    }
}

/// Begins a change, up to its WHERE. On InnoDB with the index that leads to the rows: over a small
/// table the optimiser would read all of it, and wait for every locked row on its way. A DELETE
/// takes a hint in its form for several tables only.
pub(super) fn write_effect(
    w: &mut Writer<'_>,
    table: &TableName,
    with_leaves: bool,
    effect: &Effect,
    index: Option<&Ident>,
) {
    let index = index.filter(|_| w.dialect().engine().is_innodb());
    match effect {
        Effect::Delete => {
            w.sql("DELETE ");
            if index.is_some() {
                w.table(table).sql(" ");
            }
            w.sql("FROM ").rows_of(table, with_leaves);
            write_hint(w, index);
        }
        Effect::Update(transforms, untouched) => {
            w.sql("UPDATE ").rows_of(table, with_leaves);
            write_hint(w, index);
            w.sql(" SET ");
            assignments(w, transforms, untouched);
        }
    }
    w.sql(" WHERE ");
}

/// The columns have the values of one of the keys. A column that is NULL has those of none.
pub(super) fn write_any_of(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    let engine = w.dialect().engine();
    if let [only] = columns {
        w.ident(&only.name).sql(" IN (");
        let values = padded(keys).filter_map(|key| key.first());
        w.joined(values, ", ", |w, v| w.dialect().bound(w, only, v.clone()));
        w.sql(")");
    } else if engine.is_innodb() {
        // MySQL 9.7 reads a list of rows with dates in it from memory nobody had written. MariaDB
        // compares the texts of such a list in another character set than the column's.
        write_alternatives(w, columns, keys);
    } else {
        w.sql("(").joined(columns, ", ", |w, c| {
            w.ident(&c.name);
        });
        w.sql(") IN (VALUES ");
        w.joined(padded(keys), ", ", |w, key| {
            w.sql("(");
            w.joined(columns.iter().zip(key), ", ", |w, (c, v)| {
                w.dialect().bound(w, c, v.clone());
            });
            w.sql(")");
        });
        w.sql(")");
    }
}

/// `((a = … AND b = …) OR …)`: one of the keys.
fn write_alternatives(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    w.sql("(").joined(padded(keys), " OR ", |w, key| {
        w.sql("(");
        w.joined(columns.iter().zip(key), " AND ", |w, (c, v)| {
            w.ident(&c.name).sql(" = ");
            w.dialect().bound(w, c, v.clone());
        });
        w.sql(")");
    });
    w.sql(")");
}

/// The list padded to a power of two by repeating its last item: the drivers keep a statement per
/// text, and each number of placeholders is a text of its own.
fn padded<T>(items: &[T]) -> impl Iterator<Item = &T> {
    let missing = items.len().next_power_of_two() - items.len();
    items
        .iter()
        .chain(items.last().into_iter().cycle().take(missing))
}
