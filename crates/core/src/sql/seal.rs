//! Rows that are copied into a table that others cannot read, before they go from their own. Both
//! statements go by the keys of rows that are locked: the obvious form, a copy and a delete by one
//! predicate, loses rows that become eligible between the two (SQL.md section 3).

use super::any_of::write_any_of;
use super::window::write_hint;
use super::{Bound, ChangeSql, Depth, Window, WindowSql, Writer, dialect};
use crate::catalog::Column;
use crate::name::{Ident, TableName};
use crate::value::{Key, Value};

/// The column of a sealed table that says when a row was sealed; UTC on InnoDB.
pub const SEALED_AT: &str = "sealed_at";
/// The column of a sealed table that says which run and rule sealed a row.
pub const SEALED_BY: &str = "sealed_by";

/// Where rows of one table are sealed.
#[derive(Clone, Debug)]
pub struct SealSql {
    /// The sealed table, walked by its key.
    pub window: WindowSql,
    /// When and by whom: the columns of the sealed table that the source has not.
    pub stamps: [Ident; 2],
    /// The columns that are copied.
    pub columns: Vec<Column>,
    /// PostgreSQL: a column of the sealed table is `GENERATED ALWAYS AS IDENTITY`.
    pub overriding: bool,
    /// How often the engine counts a row that is added (see [`crate::sql::counted`]).
    pub counted: i64,
}

impl SealSql {
    /// Copies rows of a table; InnoDB reads them as they are at that moment, and locks them.
    fn copy(
        &self,
        from: &TableName,
        with_leaves: bool,
        index: Option<&Ident>,
        by: &str,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Bound {
        let engine = self.window.engine;
        let mut w = Writer::new(dialect(engine));
        let columns = || self.columns.iter().map(|column| &column.name);
        w.sql("INSERT INTO ").table(&self.window.table).sql(" (");
        w.joined(columns().chain(&self.stamps), ", ", |w, name| {
            w.ident(name);
        });
        w.sql(")");
        if self.overriding {
            w.sql(" OVERRIDING SYSTEM VALUE");
        }
        w.sql(" SELECT ").joined(columns(), ", ", |w, name| {
            w.ident(name);
        });
        w.sql(if engine.is_innodb() {
            ", UTC_TIMESTAMP(6), "
        } else {
            ", now(), "
        });
        w.bind(Value::Text(by.to_owned()));
        if !engine.is_innodb() {
            w.sql("::text");
        }
        w.sql(" FROM ").rows_of(from, with_leaves);
        write_hint(&mut w, index);
        w.sql(" WHERE ");
        write(&mut w);
        if engine.is_innodb() {
            w.sql(" FOR UPDATE");
        }
        w.finish()
    }

    /// Counts the rows of a window of the sealed table that a run's rule has sealed.
    pub fn lying(&self, window: &Window, by: &str) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        w.ident(&self.stamps[1]).sql(" = ");
        w.bind(Value::Text(by.to_owned()));
        w.finish()
    }
}

impl ChangeSql {
    /// Copies locked rows to where they are sealed, by their keys and what the predicate says of their
    /// own columns; `None`: they are not sealed. `keys` is not empty.
    pub fn copy(&self, window: &Window, keys: &[Key], by: &str) -> Option<Bound> {
        let WindowSql {
            table,
            with_leaves,
            index,
            ..
        } = &self.window;
        let seal = self.seal.as_ref()?;
        Some(seal.copy(table, *with_leaves, index.as_ref(), by, |w| {
            self.write_keys(w, window, keys);
            w.sql(" AND ");
            self.eligible.write_own(w);
        }))
    }
}

impl Depth {
    /// Copies locked rows to where they are sealed; `None`: they are not. `keys` is not empty.
    pub fn copy(&self, keys: &[Key], by: &str) -> Option<Bound> {
        let key: Vec<&Column> = self.key.iter().map(|column| &column.0).collect();
        let seal = self.seal.as_ref()?;
        Some(seal.copy(&self.table, self.with_leaves, None, by, |w| {
            write_any_of(w, &key, keys);
        }))
    }
}
