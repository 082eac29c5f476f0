//! The statements that change rows. The whole predicate stands in the outermost DELETE or UPDATE:
//! `… IN (SELECT … LIMIT n)` alone takes rows that were renewed meanwhile (PERFORMANCE.md 12.1).

use super::any_of::write_any_of;
use super::eligible::Eligible;
use super::grip::Grip;
use super::group::{Quasi, write_group};
use super::reach::ReachSql;
use super::transform::{Transform, assignments};
use super::window::{Window, WindowSql, write_hint};
use super::{Bound, SealSql, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::groups::Group;
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
    /// What tells in which group a chosen row will be; empty: nobody asks.
    pub grouped: Vec<Quasi>,
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
    /// The group that it will be in, where the change asks for it.
    pub group: Option<Group>,
}

impl ChangeSql {
    /// Changes the eligible rows of a window in one statement.
    pub fn by_window(&self, window: &Window) -> Bound {
        let mut w = self.begin();
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        w.finish()
    }

    /// Locks the eligible rows of a window, but for those that others have locked, and counts them.
    /// It waits for none, so that their order does not matter. `most`: no more than these. PostgreSQL only,
    /// see [`Self::by_lock`].
    pub fn lock(&self, window: &Window, most: Option<u32>) -> Bound {
        let mut w = Writer::new(dialect(self.window.engine));
        w.sql("SELECT count(*) FROM (SELECT 1");
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        if let Some(most) = most {
            w.sql(" LIMIT ").number(most);
        }
        w.sql(" FOR UPDATE SKIP LOCKED) AS locked");
        w.finish()
    }

    /// Changes the rows that this transaction has locked in a window and that are eligible now that they
    /// are: the statement sees other tables as they are after the lock. PostgreSQL only, which writes who
    /// has locked a row into the row (`xmax`): the keys need not be fetched and sent back.
    pub fn by_lock(&self, window: &Window) -> Bound {
        let mut w = self.begin();
        self.write_locked(&mut w, window);
        w.finish()
    }

    /// The rows of a window that this transaction has locked and that are eligible.
    pub(super) fn write_locked(&self, w: &mut Writer<'_>, window: &Window) {
        self.window.write_bounds(w, window);
        self.eligible.write(w);
        w.sql(" AND xmax = pg_current_xact_id()::xid");
    }

    /// Chooses and locks the first eligible rows of a window.
    pub fn choose(&self, window: &Window, skip_locked: bool, limit: u32) -> Bound {
        let mut w = self.begin_choice(window, limit, None);
        w.sql(if skip_locked {
            " FOR UPDATE SKIP LOCKED"
        } else {
            " FOR UPDATE"
        });
        w.finish()
    }

    /// Chooses and locks the first eligible rows of a window, and reads behind what [`Self::key_row`]
    /// takes what tells whose they are. Rows that others have locked are passed over.
    pub fn choose_whose(&self, window: &Window, limit: u32) -> Bound {
        let mut w = self.begin_choice(window, limit, self.eligible.reach());
        w.sql(" FOR UPDATE SKIP LOCKED");
        w.finish()
    }

    /// Reads what `choose_whose` reads without locking.
    pub fn peek_whose(&self, window: &Window, limit: u32) -> Bound {
        self.begin_choice(window, limit, self.eligible.reach())
            .finish()
    }

    /// What `choose_whose` has read of a row that tells whose it is.
    pub fn whose<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        let grouped = usize::from(!self.grouped.is_empty());
        row.get(self.window.key.len() + self.referenced.len() + grouped..)
            .unwrap_or_default()
    }

    /// Reads what `choose` reads without locking.
    pub fn peek(&self, window: &Window, limit: u32) -> Bound {
        self.begin_choice(window, limit, None).finish()
    }

    fn begin_choice(
        &self,
        window: &Window,
        limit: u32,
        whose: Option<&ReachSql>,
    ) -> Writer<'static> {
        let mut w = Writer::new(dialect(self.window.engine));
        w.sql("SELECT ");
        self.window.write_key(&mut w);
        for column in &self.referenced {
            w.sql(", ");
            w.dialect().read(&mut w, column);
        }
        if !self.grouped.is_empty() {
            w.sql(", ");
            write_group(&mut w, &self.grouped);
        }
        if let Some(reach) = whose {
            reach.write_read(&mut w);
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
        self.looking(window, limit, |w| self.eligible.write(w))
    }

    /// Reads the keys of rows that would be changed if neither a hold nor a duty kept them. There is one
    /// of these.
    pub fn look_kept(&self, window: &Window, limit: u32) -> Bound {
        self.looking(window, limit, |w| {
            self.eligible.write_but_for_holds(w);
            w.sql(" AND (")
                .joined(self.eligible.keepers(), " OR ", |w, keeper| {
                    keeper.write_kept(w);
                })
                .sql(")");
        })
    }

    fn looking(&self, window: &Window, limit: u32, which: impl FnOnce(&mut Writer<'_>)) -> Bound {
        let mut w = Writer::new(dialect(self.window.engine));
        w.sql("SELECT ");
        self.window.write_key(&mut w);
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        which(&mut w);
        self.window.write_order(&mut w);
        w.sql(" LIMIT ").number(limit);
        w.finish()
    }

    /// Reads a row that `choose` brought back.
    pub fn key_row(&self, row: &[Value]) -> KeyRow {
        let mut rest = row.iter().skip(self.window.key.len());
        KeyRow {
            key: self.window.key_of(row),
            referenced: rest.by_ref().take(self.referenced.len()).cloned().collect(),
            group: rest.next().and_then(Group::read),
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

    /// Changes rows of a window by their keys and what their own columns say; `still` has answered for
    /// the rest. `keys` is not empty.
    pub fn by_keys(&self, window: &Window, keys: &[Key]) -> Bound {
        let mut w = self.begin_hinted();
        self.write_keys(&mut w, window, keys);
        w.sql(" AND ");
        self.eligible.write_own(&mut w);
        w.finish()
    }

    /// Whether the change itself may ask other tables once more instead of `still`. Not where rows of its
    /// own table keep each other: those that went with the keys before would be missed. Not on InnoDB: an
    /// UPDATE's subqueries do not see what a DELETE's do (SQL.md section 2), and a DELETE's wait for rows
    /// that others have locked there, which ends in deadlocks that the application loses.
    pub fn asks_again(&self) -> bool {
        let WindowSql { engine, table, .. } = &self.window;
        *engine == Engine::Postgres && self.seal.is_none() && !self.eligible.looks_at(table)
    }

    /// Changes rows of a window by their keys and the whole predicate, in one statement that sees other
    /// tables as they are after the rows were locked. `keys` is not empty.
    pub fn by_keys_again(&self, window: &Window, keys: &[Key]) -> Bound {
        let mut w = self.begin_hinted();
        self.write_keys(&mut w, window, keys);
        w.sql(" AND ");
        self.eligible.write(&mut w);
        w.finish()
    }

    pub(super) fn write_keys(&self, w: &mut Writer<'_>, window: &Window, keys: &[Key]) {
        let columns: Vec<&Column> = self.window.key.iter().map(|c| &c.0).collect();
        if columns.len() > 1 && self.window.engine.is_innodb() {
            // MariaDB does not turn every list of rows into ranges: the bounds keep the scan short.
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
