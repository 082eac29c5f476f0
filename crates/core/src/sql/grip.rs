//! A second lock on a row. InnoDB checks a new child against the index that its foreign key refers
//! to, and locks there only: a row that is locked by its primary key lets a child come in over
//! another unique key, which a cascade then takes uncounted (tried on MariaDB 10.11 and MySQL 9.7).

use super::any_of::{chunks, write_any_of};
use super::window::write_hint;
use super::{Bound, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::name::{Ident, TableName};
use crate::value::Key;

/// A unique key beside the primary one that foreign keys refer to.
#[derive(Clone, Debug)]
pub struct Grip {
    /// The engine.
    pub engine: Engine,
    /// The table.
    pub table: TableName,
    /// The key's columns.
    pub columns: Vec<Column>,
    /// Its index.
    pub index: Ident,
}

impl Grip {
    /// Values of rows in pieces, each for one statement.
    pub fn chunks<'k>(&self, keys: &'k [Key]) -> std::slice::Chunks<'k, Key> {
        let columns: Vec<&Column> = self.columns.iter().collect();
        chunks(self.engine, &columns, keys)
    }

    /// Locks the entries of rows with these values. Nothing but the index is read, so that the
    /// optimiser has no reason to go by another one. `keys` is not empty.
    pub fn lock(&self, keys: &[Key]) -> Bound {
        let mut w = Writer::new(dialect(self.engine));
        let columns: Vec<&Column> = self.columns.iter().collect();
        w.sql("SELECT ").joined(&self.columns, ", ", |w, column| {
            w.ident(&column.name);
        });
        w.sql(" FROM ").table(&self.table);
        write_hint(&mut w, Some(&self.index));
        w.sql(" WHERE ");
        write_any_of(&mut w, &columns, keys);
        w.sql(" FOR UPDATE");
        w.finish()
    }
}
