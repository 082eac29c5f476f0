//! The engine's own count of the rows that a session has changed: the witness of a batch (SQL.md
//! section 4). What a statement reports are the rows it reached; a foreign key or a trigger that came
//! after the plan changes others beside them, and only the engine counts those.

use super::{Bound, dialect};
use crate::catalog::{Engine, Table, TableKind};
use crate::name::TableName;
use crate::value::Value;

/// How often the engine counts one changed row of a table: MariaDB where the table is partitioned both
/// as its row and as the partition's.
pub fn counted(engine: Engine, table: &Table) -> i64 {
    let partitioned = matches!(table.kind, TableKind::Partitioned { .. });
    if engine == Engine::MariaDb && partitioned {
        2
    } else {
        1
    }
}

/// Rows changed in one transaction, in whatever table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// Rows that are gone.
    pub deleted: i64,
    /// Rows that have other values.
    pub updated: i64,
    /// Rows that are new.
    pub inserted: i64,
}

impl Witness {
    /// Asks the engine for its counts so far. They go on from one transaction to the next: only
    /// differences count.
    pub fn ask(engine: Engine) -> Bound {
        dialect(engine).changes_so_far(None)
    }

    /// The same of these tables and of all others that the transaction has begun to change. Of those
    /// it may tell what an earlier transaction of the connection did: where the answer is not what was
    /// expected, `ask` decides.
    pub fn ask_of(engine: Engine, tables: &[TableName]) -> Bound {
        dialect(engine).changes_so_far(Some(tables))
    }

    /// Reads the answer; `None`: the server does not count.
    pub fn read(rows: &[Vec<Value>]) -> Option<Self> {
        let count = |name: &str| {
            let row = rows
                .iter()
                .find(|row| row.first().and_then(Value::as_text) == Some(name))?;
            match row.get(1)? {
                Value::Int(n) => Some(*n),
                Value::Text(text) => text.parse().ok(),
                Value::Null | Value::Bytes(_) => None,
            }
        };
        Some(Self {
            deleted: count("Handler_delete")?,
            updated: count("Handler_update")?,
            // Where the engine cannot tell ours from its own, none are told.
            inserted: count("Handler_write").unwrap_or(0),
        })
    }

    /// What came since an earlier answer.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            deleted: self.deleted - earlier.deleted,
            updated: self.updated - earlier.updated,
            inserted: self.inserted - earlier.inserted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, count: Value) -> Vec<Value> {
        vec![Value::Text(name.to_owned()), count]
    }

    #[test]
    fn numbers_are_read_as_either_engine_writes_them() {
        let text = |n: &str| Value::Text(n.to_owned());
        let innodb = [
            row("Handler_delete", text("7")),
            row("Handler_update", text("2")),
            row("Handler_write", text("0")),
        ];
        let postgres = [
            row("Handler_delete", Value::Int(7)),
            row("Handler_update", Value::Int(2)),
            row("Handler_write", Value::Int(0)),
        ];
        let both = Some(Witness {
            deleted: 7,
            updated: 2,
            inserted: 0,
        });
        assert_eq!(Witness::read(&innodb), both);
        assert_eq!(Witness::read(&postgres), both);
    }

    #[test]
    fn a_server_that_does_not_count_is_no_witness() {
        assert_eq!(Witness::read(&[]), None);
        assert_eq!(Witness::read(&[row("Handler_delete", Value::Null)]), None);
    }
}
