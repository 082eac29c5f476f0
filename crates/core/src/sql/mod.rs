//! SQL text and what is bound to it. Statements are built here and nowhere else.
//!
//! Identifiers are parsed types quoted by the dialect, values are always bound: the writer has no
//! way to put a value into a statement's text, but for numbers and dates of the program's own, as such.

mod any_of;
mod change;
mod clock;
mod clocked;
mod count;
mod dialect;
mod eligible;
mod erased;
mod find;
mod grip;
mod group;
mod held;
mod kept;
mod log;
mod lookup;
mod mysql;
mod numbers;
mod pages;
pub mod partition;
mod postgres;
mod reach;
mod related;
pub mod residue;
mod seal;
mod transform;
mod window;
mod witness;

pub use change::{ChangeSql, Effect, KeyRow};
pub use clock::{ClockSql, EventSql, Reading};
pub use clocked::{clock_pays, follows_index, look_at_clock, marked};
pub use count::{CountSql, Counted};
pub use dialect::{Dialect, dialect};
pub use eligible::{Eligible, TypedCondition, TypedTest};
pub use erased::{ByDigest, Digested, ErasedSql, count_erased};
pub use find::FindSql;
pub use grip::Grip;
pub use group::{GroupSql, Quasi};
pub use held::{Down, Held, HeldAt, HeldTest};
pub use kept::{Kept, KeptRows};
pub use log::log_position;
pub use lookup::{HopSql, LookupSql, PairSql};
pub use numbers::{End, Numbers};
pub use pages::{Page, PageStep, Pages, leaf_of, leaf_pages, look_at_leaf, reads_pages_only};
pub use reach::{IdentifierSql, MOST_STEPS, ReachSql, WaySql};
pub use related::{Depth, Way};
pub use seal::{SEALED_AT, SEALED_BY, SealSql};
pub(crate) use transform::fits;
pub use transform::{Transform, pads};
pub use window::{Among, KeyColumn, Window, WindowSql};
pub use witness::{Witness, counted};

use jiff::civil::{Date, DateTime};

use crate::catalog::{Column, Engine};
use crate::name::{Ident, TableName};
use crate::value::Value;

/// A statement's text, made by this module's writer only, so that the one place that asserts SQL
/// safe for the driver can take nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sql(String);

impl Sql {
    /// A statement that is a literal of the program.
    pub fn fixed(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The text, with the engine's placeholders in it (`$1` or `?`).
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A statement ready to run: its text and the values of its placeholders, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The text.
    pub sql: Sql,
    /// One value per placeholder.
    pub values: Vec<Value>,
}

impl Bound {
    /// A literal statement with its values.
    pub fn fixed(text: &'static str, values: Vec<Value>) -> Self {
        Self {
            sql: Sql::fixed(text),
            values,
        }
    }
}

/// Writes one statement: literal pieces of the program, quoted identifiers, bound values.
pub struct Writer<'d> {
    dialect: &'d dyn Dialect,
    text: String,
    values: Vec<Value>,
    scope: Scope,
}

/// Whose columns are meant. Where rows of several tables are in sight, every column is qualified: one
/// that is dropped must not mean another table's of the same name.
#[derive(Clone, Debug)]
enum Scope {
    /// Those of the only table.
    Only,
    /// Those of a table under a name of the program's own.
    Alias(&'static str),
    /// Those of a table under its own name.
    Table(TableName),
    /// Those of a table so many steps below the rule's.
    Held(u32),
}

impl<'d> Writer<'d> {
    /// An empty statement.
    pub fn new(dialect: &'d dyn Dialect) -> Self {
        Self {
            dialect,
            text: String::new(),
            values: Vec::new(),
            scope: Scope::Only,
        }
    }

    /// The dialect the statement is written in.
    pub fn dialect(&self) -> &'d dyn Dialect {
        self.dialect
    }

    /// A literal piece of the program.
    pub fn sql(&mut self, piece: &'static str) -> &mut Self {
        self.text.push_str(piece);
        self
    }

    /// A non-negative number of the program's own (a limit, a width), never one read from a table.
    pub fn number(&mut self, n: u32) -> &mut Self {
        self.text.push_str(&n.to_string());
        self
    }

    /// A counter of the server's own, which takes no placeholder where it is set.
    fn counter(&mut self, n: u64) -> &mut Self {
        self.text.push_str(&n.to_string());
        self
    }

    /// A date of the calendar, as a literal.
    fn date(&mut self, date: Date) -> &mut Self {
        self.text
            .push_str(&date.strftime("DATE'%Y-%m-%d'").to_string());
        self
    }

    /// A date and time without a zone, as a literal.
    fn date_time(&mut self, at: DateTime) -> &mut Self {
        let literal = at.strftime("TIMESTAMP'%Y-%m-%d %H:%M:%S%.6f'");
        self.text.push_str(&literal.to_string());
        self
    }

    /// A quoted identifier.
    pub fn ident(&mut self, name: &Ident) -> &mut Self {
        self.dialect.quote(&mut self.text, name.as_str());
        self
    }

    /// A column of the table whose rows are meant where it is written.
    pub(crate) fn column(&mut self, column: &Column) -> &mut Self {
        match self.scope.clone() {
            Scope::Only => {}
            Scope::Alias(alias) => {
                self.sql(alias).sql(".");
            }
            Scope::Table(table) => {
                self.table(&table).sql(".");
            }
            Scope::Held(level) => {
                self.sql("held_").number(level).sql(".");
            }
        }
        self.ident(&column.name)
    }

    /// Writes with the columns of another table.
    fn scoped(&mut self, scope: Scope, write: impl FnOnce(&mut Self)) -> &mut Self {
        let before = std::mem::replace(&mut self.scope, scope);
        write(self);
        self.scope = before;
        self
    }

    /// One quoted identifier made of a prefix and a name of the program's own: `oubliette_run`.
    pub(crate) fn prefixed(&mut self, prefix: &Ident, name: &'static str) -> &mut Self {
        self.dialect
            .quote(&mut self.text, &format!("{}_{name}", prefix.as_str()));
        self
    }

    /// A quoted, qualified table name.
    pub fn table(&mut self, name: &TableName) -> &mut Self {
        if let Some(schema) = &name.schema {
            self.ident(schema);
            self.text.push('.');
        }
        self.ident(&name.table)
    }

    /// The table whose rows are meant. PostgreSQL adds those of every table that inherits from it,
    /// also from one day to the next, unless it is told not to.
    fn rows_of(&mut self, name: &TableName, with_leaves: bool) -> &mut Self {
        if self.dialect.engine() == Engine::Postgres && !with_leaves {
            self.sql("ONLY ");
        }
        self.table(name)
    }

    /// A bare placeholder for a value, without a cast.
    pub fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        let index = self.values.len();
        self.dialect.placeholder(&mut self.text, index);
        self
    }

    /// A type name as the catalog spells it (the server quotes it itself).
    fn type_name(&mut self, name: &str) -> &mut Self {
        self.text.push_str(name);
        self
    }

    /// Writes `items` with `separator` between them.
    pub fn joined<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        separator: &'static str,
        mut each: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                self.sql(separator);
            }
            each(self, item);
        }
        self
    }

    /// The finished statement.
    pub fn finish(self) -> Bound {
        Bound {
            sql: Sql(self.text),
            values: self.values,
        }
    }
}
