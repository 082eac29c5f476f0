//! Windows of a table's key: how a walk moves on, and the bounds every change carries.

use super::any_of::chunks;
use super::pages::write_pages;
use super::reach::ReachSql;
use super::{Bound, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::name::{Ident, TableName};
use crate::value::{Key, Value};

/// A column of the walked key.
#[derive(Clone, Debug)]
pub struct KeyColumn(pub Column);

/// Rows whose key lies above `after` and not above `upto`; an open end has no bound, because no
/// sentinel lies below every integer, uuid or text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Exclusive lower bound.
    pub after: Option<Key>,
    /// Inclusive upper bound.
    pub upto: Option<Key>,
}

/// Writes the statements that move over one table.
#[derive(Clone, Debug)]
pub struct WindowSql {
    /// The engine.
    pub engine: Engine,
    /// The table.
    pub table: TableName,
    /// Whether the rows are those of its leaves.
    pub with_leaves: bool,
    /// The key's columns in order.
    pub key: Vec<KeyColumn>,
    /// The key's index, by which InnoDB is told to walk.
    pub index: Option<Ident>,
    /// Whose rows are walked, where they are a person's: then nobody else's are looked at.
    pub among: Option<Among>,
}

/// Rows that are found by themselves, and not on the way over their table.
#[derive(Clone, Debug)]
pub struct Among {
    /// Which.
    pub reach: ReachSql,
    /// The index that leads to them, where one does, which InnoDB is told to use.
    pub index: Option<Ident>,
}

impl WindowSql {
    /// Keys of rows in pieces, each for one statement.
    pub fn chunks<'k>(&self, keys: &'k [Key]) -> std::slice::Chunks<'k, Key> {
        let key: Vec<&Column> = self.key.iter().map(|column| &column.0).collect();
        chunks(self.engine, &key, keys)
    }

    /// The bounds, each with a trailing ` AND `.
    pub(super) fn write_bounds(&self, w: &mut Writer<'_>, window: &Window) {
        if let Some((from, to)) = window.pages() {
            write_pages(w, from, to);
            return;
        }
        if let Some(key) = &window.after {
            w.dialect().key_above(w, &self.key, key);
            w.sql(" AND ");
        }
        if let Some(key) = &window.upto {
            w.dialect().key_upto(w, &self.key, key);
            w.sql(" AND ");
        }
    }

    /// The key's columns, in the shape in which they are bound again.
    pub(super) fn write_key(&self, w: &mut Writer<'_>) {
        w.joined(&self.key, ", ", |w, c| w.dialect().read(w, &c.0));
    }

    /// `ORDER BY` the key. Qualified: a bare name means the column of the result first, which on
    /// PostgreSQL is the key cast to the shape it is read in. That has no index (each probe sorted
    /// the rest of the table) and another order where numbers or times are read as text.
    pub(super) fn write_order(&self, w: &mut Writer<'_>) {
        w.sql(" ORDER BY ").joined(&self.key, ", ", |w, c| {
            w.table(&self.table).sql(".").ident(&c.0.name);
        });
    }

    /// `FROM` the table, with the index hint that keeps InnoDB on the key.
    pub(super) fn write_from(&self, w: &mut Writer<'_>) {
        w.sql(" FROM ").rows_of(&self.table, self.with_leaves);
        self.write_hint(w);
    }

    /// The index hint, where there is one.
    fn write_hint(&self, w: &mut Writer<'_>) {
        let index = match &self.among {
            Some(among) => among.index.as_ref(),
            None => self.index.as_ref(),
        };
        write_hint(w, index);
    }

    /// That the row is one of those that are walked.
    pub(super) fn write_among(&self, w: &mut Writer<'_>) {
        match &self.among {
            Some(among) => among.reach.write(w, &self.table),
            None => {
                w.sql("1 = 1");
            }
        }
    }

    /// The key at the end of a window of `width` rows; no row: the window reaches `upto`.
    pub fn probe(&self, window: &Window, width: u32) -> Bound {
        let mut w = Writer::new(dialect(self.engine));
        self.write_probe(&mut w, window, width);
        w.finish()
    }

    /// How the database would find the end of a window.
    pub fn explain_probe(&self, window: &Window, width: u32) -> Bound {
        let d = dialect(self.engine);
        let mut w = Writer::new(d);
        w.sql(d.explain());
        self.write_probe(&mut w, window, width);
        w.finish()
    }

    fn write_probe(&self, w: &mut Writer<'_>, window: &Window, width: u32) {
        w.sql("SELECT ");
        self.write_key(w);
        self.write_from(w);
        w.sql(" WHERE ");
        self.write_bounds(w, window);
        self.write_among(w);
        self.write_order(w);
        w.sql(" LIMIT 1 OFFSET ").number(width.max(1) - 1);
    }

    /// The key of a row that `read` brought back.
    pub fn key_of(&self, row: &[Value]) -> Key {
        row.iter().take(self.key.len()).cloned().collect()
    }
}

/// Tells InnoDB which index to use.
pub(super) fn write_hint(w: &mut Writer<'_>, index: Option<&Ident>) {
    if let Some(index) = index
        && w.dialect().engine().is_innodb()
    {
        w.sql(" FORCE INDEX (").ident(index).sql(")");
    }
}
