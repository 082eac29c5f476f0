//! The statements about rows that hang on others: found by what they refer to, or by their own key.

use std::slice::Chunks;

use super::any_of::{chunks, write_any_of};
use super::change::{ChangeSql, Effect, write_effect};
use super::count::begin_count;
use super::grip::Grip;
use super::transform::Transform;
use super::window::{KeyColumn, Window, write_hint};
use super::{Bound, SealSql, Writer, dialect};
use crate::catalog::{Column, ColumnKind, Engine};
use crate::name::{Ident, TableName};
use crate::value::{Key, Value};

/// How rows of one table refer to those of another: a row whose columns equal the other's hangs on
/// it, and one with a NULL in any of them hangs on nobody.
#[derive(Clone, Debug)]
pub struct Way {
    /// Each referencing column with the one it refers to, in the table above.
    pub pairs: Vec<(Column, Column)>,
    /// Whether both are of one table. A row that refers to itself hangs on nobody else; only InnoDB
    /// does not let it go before it has let go of itself.
    pub same_table: bool,
    /// The index that leads to the rows, which InnoDB is told to use: it read a small table whole, and
    /// waited for rows of other parents.
    pub index: Option<Ident>,
}

impl Way {
    /// The rows that hang on these parents.
    fn write(&self, w: &mut Writer<'_>, parents: &[Key]) {
        write_any_of(w, &self.columns(), parents);
        if self.same_table && !w.dialect().engine().is_innodb() {
            w.sql(" AND NOT (");
            w.joined(&self.pairs, " AND ", |w, (column, to)| {
                w.ident(&column.name).sql(" = ").ident(&to.name);
                w.sql(" AND ").ident(&to.name).sql(" IS NOT NULL");
            });
            w.sql(")");
        }
    }

    /// The rows that hang on those of the table above that the rest chooses: from its `FROM` on. What is read
    /// there has its table's name: without it, a column that is there no more would be the child's own, and
    /// every row would hang on any.
    pub(super) fn write_in(
        &self,
        w: &mut Writer<'_>,
        parent: &TableName,
        above: impl FnOnce(&mut Writer<'_>),
    ) {
        let several = self.pairs.len() > 1;
        w.sql(if several { "(" } else { "" })
            .joined(&self.pairs, ", ", |w, (column, _)| {
                w.ident(&column.name);
            })
            .sql(if several { ")" } else { "" })
            .sql(" IN (SELECT ")
            .joined(&self.pairs, ", ", |w, (_, to)| {
                w.table(parent).sql(".").ident(&to.name);
            });
        above(w);
        w.sql(")");
    }

    /// Whether the rows may be found by a join with the table above: by an index, and by values that are the
    /// same there as where they are bound, which of texts the collation of either side decides.
    pub(crate) fn is_joined(&self) -> bool {
        let is_text = |(column, _): &(Column, Column)| column.kind == ColumnKind::Text;
        self.index.is_some() && !self.pairs.iter().any(is_text)
    }

    fn columns(&self) -> Vec<&Column> {
        self.pairs.iter().map(|(column, _)| column).collect()
    }
}

/// What happens to related rows of one table.
#[derive(Clone, Debug)]
pub struct Depth {
    /// The engine.
    pub engine: Engine,
    /// The table.
    pub table: TableName,
    /// Whether the rows are those of its leaves.
    pub with_leaves: bool,
    /// The key by which rows are told apart, where they can be reached more than once.
    pub key: Vec<KeyColumn>,
    /// What happens to its rows.
    pub effect: Effect,
    /// Columns that rows further down refer to.
    pub referenced: Vec<Column>,
    /// What locks chosen rows against new children, beside their own lock.
    pub grips: Vec<Grip>,
    /// Where the rows are copied to before they go. Only with a key.
    pub seal: Option<SealSql>,
}

impl Depth {
    /// `FROM` the table.
    pub(super) fn write_from(&self, w: &mut Writer<'_>) {
        w.sql(" FROM ").rows_of(&self.table, self.with_leaves);
    }

    /// What has still to be done, where rows are transformed rather than deleted.
    fn undone(&self) -> Option<&[Transform]> {
        match &self.effect {
            Effect::Delete => None,
            Effect::Update(transforms, _) => Some(transforms),
        }
    }

    /// The same with a leading ` AND `.
    pub(super) fn write_undone(&self, w: &mut Writer<'_>) {
        if let Some(undone) = self.undone() {
            w.sql(" AND (")
                .joined(undone, " OR ", |w, t| t.undone(w))
                .sql(")");
        }
    }

    /// Keys of its rows in pieces, each for one statement.
    pub fn chunks<'k>(&self, keys: &'k [Key]) -> Chunks<'k, Key> {
        let key: Vec<&Column> = self.key.iter().map(|column| &column.0).collect();
        chunks(self.engine, &key, keys)
    }

    /// What its rows refer to by a way, in pieces, each for one statement.
    pub fn chunks_below<'k>(&self, way: &Way, parents: &'k [Key]) -> Chunks<'k, Key> {
        chunks(self.engine, &way.columns(), parents)
    }

    /// Reads the key and what rows further down refer to, and locks the rows. `parents` is not empty.
    pub fn choose(&self, way: &Way, parents: &[Key]) -> Bound {
        let mut w = self.begin_look(way, parents);
        w.sql(" FOR UPDATE");
        w.finish()
    }

    /// Reads the same without locking. `parents` is not empty.
    pub fn look(&self, way: &Way, parents: &[Key]) -> Bound {
        self.begin_look(way, parents).finish()
    }

    fn begin_look(&self, way: &Way, parents: &[Key]) -> Writer<'static> {
        let mut w = Writer::new(dialect(self.engine));
        let key = self.key.iter().map(|column| &column.0);
        w.sql("SELECT ")
            .joined(key.chain(&self.referenced), ", ", |w, c| {
                w.dialect().read(w, c);
            });
        self.write_below(&mut w, way, parents);
        w
    }

    /// Counts the rows that hang on these parents. `parents` is not empty.
    pub fn count(&self, way: &Way, parents: &[Key]) -> Bound {
        self.begin_count(way, parents).finish()
    }

    /// Counts those of them that have still to be changed. `parents` is not empty.
    pub fn pending(&self, way: &Way, parents: &[Key]) -> Bound {
        let mut w = self.begin_count(way, parents);
        self.write_undone(&mut w);
        w.finish()
    }

    fn begin_count(&self, way: &Way, parents: &[Key]) -> Writer<'static> {
        let mut w = begin_count(self.engine);
        self.write_below(&mut w, way, parents);
        w
    }

    /// `FROM` the rows that hang on these parents.
    pub(super) fn write_below(&self, w: &mut Writer<'_>, way: &Way, parents: &[Key]) {
        self.write_from(w);
        write_hint(w, way.index.as_ref());
        w.sql(" WHERE ");
        way.write(w, parents);
    }

    /// Changes the rows that hang on these parents. `parents` is not empty.
    pub fn change(&self, way: &Way, parents: &[Key]) -> Bound {
        self.change_where(way.index.as_ref(), |w| way.write(w, parents))
    }

    /// Counts the rows, `most` at the most, that hang on those that this transaction has locked in a window of
    /// the rule's table. PostgreSQL only, see [`ChangeSql::by_lock`].
    pub fn count_by_lock(&self, way: &Way, above: &ChangeSql, window: &Window, most: u32) -> Bound {
        let mut w = begin_count(self.engine);
        w.sql(" FROM (SELECT 1");
        self.write_from(&mut w);
        w.sql(" WHERE ");
        write_below_locked(&mut w, way, above, window);
        w.sql(" LIMIT ").number(most).sql(") AS hanging");
        w.finish()
    }

    /// Changes these rows.
    pub fn change_by_lock(&self, way: &Way, above: &ChangeSql, window: &Window) -> Bound {
        self.change_where(None, |w| write_below_locked(w, way, above, window))
    }

    /// Changes rows by their keys. `keys` is not empty.
    pub fn by_keys(&self, keys: &[Key]) -> Bound {
        let key: Vec<&Column> = self.key.iter().map(|column| &column.0).collect();
        self.change_where(None, |w| write_any_of(w, &key, keys))
    }

    fn change_where(&self, index: Option<&Ident>, write: impl FnOnce(&mut Writer<'_>)) -> Bound {
        let mut w = Writer::new(dialect(self.engine));
        write_effect(&mut w, &self.table, self.with_leaves, &self.effect, index);
        write(&mut w);
        self.write_undone(&mut w);
        w.finish()
    }

    /// A row that `choose` or `look` brought back: its key, and what rows further down refer to.
    pub fn key_row(&self, row: &[Value]) -> (Key, Vec<Value>) {
        let (key, referenced) = row.split_at(self.key.len().min(row.len()));
        (key.to_vec(), referenced.to_vec())
    }
}

fn write_below_locked(w: &mut Writer<'_>, way: &Way, above: &ChangeSql, window: &Window) {
    way.write_in(w, &above.window.table, |w| {
        above.window.write_from(w);
        w.sql(" WHERE ");
        above.write_locked(w, window);
    });
}
