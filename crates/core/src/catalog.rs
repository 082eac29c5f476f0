//! What a database says of its tables: the facts a plan is drafted from. Filled by
//! `src/database/catalog/*`; nothing here reads a database.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::digest::Digest;
use crate::name::{Ident, TableName};

/// The server's family. MariaDB is detected under `engine: MySQL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Oracle's MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Engine {
    /// The name people know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB",
        }
    }

    /// Whether the storage below is InnoDB.
    pub fn is_innodb(self) -> bool {
        !matches!(self, Self::Postgres)
    }
}

/// Everything a plan may look at.
#[derive(Clone, Debug, Serialize)]
pub struct Catalog {
    /// The server's family.
    pub engine: Engine,
    /// Version as the server states it, for people (`15.18`, `10.11.19-MariaDB`).
    pub version: String,
    /// The tables the policy names, those that reference them (at any depth) and those they
    /// reference, by qualified name.
    pub tables: BTreeMap<TableName, Table>,
    /// Foreign keys into or out of those tables.
    pub references: Vec<Reference>,
    /// Names the policy asked for that do not exist or are not visible to this user.
    pub missing: Vec<TableName>,
    /// What the user may do and could not be seen, per table (missing grants are named from it).
    pub privileges: BTreeMap<TableName, Privileges>,
    /// Who else may read tables that must be locked down, as far as they were asked about.
    pub readers: BTreeMap<TableName, Readers>,
    /// Whether the user can see every foreign key: always on PostgreSQL; on InnoDB it needs PROCESS.
    pub sees_references: bool,
    /// Whether the user can see every trigger: always on PostgreSQL; on InnoDB it needs TRIGGER.
    pub sees_triggers: bool,
    /// The connected database (MySQL: the schema in which unqualified names are looked up).
    pub database: String,
    /// The connected user as grants name it (`oubliette`, or on MySQL with its host, both in backticks).
    pub user: String,
}

impl Catalog {
    /// The table a policy names, whether or not it wrote the schema.
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(name).or_else(|| {
            self.tables
                .values()
                .find(|table| self.is(name, &table.name))
        })
    }

    /// Whether a table inherits from another, at any depth (PostgreSQL).
    pub fn inherits(&self, table: &TableName, from: &TableName) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            if let Some(TableKind::InheritanceParent { children }) =
                self.tables.get(next).map(|table| &table.kind)
                && seen.insert(next)
            {
                open.extend(children);
                if children.contains(table) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether `written` (in a policy) names `table` (as the server spells it).
    pub fn is(&self, written: &TableName, table: &TableName) -> bool {
        written.table == table.table
            && match (&written.schema, &table.schema) {
                (None, Some(schema)) => schema.as_str() == self.database,
                (written, schema) => written == schema,
            }
    }
}

/// One table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// Qualified name, as the server spells it.
    pub name: TableName,
    /// What sort of relation it is.
    pub kind: TableKind,
    /// InnoDB, MyISAM, Aria …; `None` on PostgreSQL.
    pub storage_engine: Option<String>,
    /// A crash empties it (PostgreSQL `UNLOGGED`).
    pub unlogged: bool,
    /// Columns in table order.
    pub columns: Vec<Column>,
    /// The primary key's columns in key order; empty where there is none.
    pub primary_key: Vec<Ident>,
    /// Indexes, the primary key's among them.
    pub indexes: Vec<Index>,
    /// Triggers that fire on DELETE or UPDATE for each row or statement (enabled ones).
    pub triggers: Vec<Trigger>,
    /// PostgreSQL rules on DELETE or UPDATE, by name.
    pub rules: Vec<String>,
    /// CHECK constraints, by name, with the columns they read.
    pub checks: Vec<Check>,
    /// What calls functions that anybody but an administrator can change (PostgreSQL).
    pub code: Vec<Code>,
    /// Row-level security that would apply to our user (enabled and not bypassed).
    pub row_security: bool,
    /// Publications that carry this table while it has no usable replica identity, by name.
    pub publications_without_identity: Vec<String>,
    /// Materialised views that read this table, by name.
    pub materialised_views: Vec<TableName>,
    /// Tables that look like leftover copies (`_old`, `_new`, `_gho`, `_ghc`, `_del`), by name.
    pub copies: Vec<TableName>,
    /// The server's estimate of the number of rows (never relied on where safety depends on it).
    pub estimated_rows: u64,
}

impl Table {
    /// Whether its rows are those of its leaves.
    pub fn has_leaves(&self) -> bool {
        matches!(self.kind, TableKind::Partitioned { .. })
    }

    /// An index that begins with the column, as InnoDB names it.
    pub fn index_of(&self, column: &Ident) -> Option<Ident> {
        if self.primary_key.first() == Some(column) {
            return Ident::new("PRIMARY").ok();
        }
        let leads =
            |index: &&Index| !index.partial_or_invalid && index.columns.first() == Some(column);
        self.indexes.iter().find(leads)?.name.parse().ok()
    }

    /// The column of that name.
    pub fn column(&self, name: &Ident) -> Option<&Column> {
        self.columns.iter().find(|c| &c.name == name)
    }
}

/// What sort of relation a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum TableKind {
    /// An ordinary table without children.
    Ordinary,
    /// A partitioned table with its leaf partitions.
    Partitioned {
        /// The leaves.
        leaves: Vec<TableName>,
    },
    /// A partition of another table.
    Partition {
        /// The partitioned table.
        of: TableName,
    },
    /// A table with inheritance children (PostgreSQL `INHERITS`).
    InheritanceParent {
        /// The children.
        children: Vec<TableName>,
    },
    /// A foreign table.
    Foreign,
    /// A view.
    View,
    /// A materialised view.
    MaterialisedView,
    /// A system-versioned table, whose history keeps what was deleted (MariaDB).
    SystemVersioned,
    /// A table whose pages are temporary or otherwise not the database's own.
    Other {
        /// What the server calls it.
        what: String,
    },
}

/// One column.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its name.
    pub name: Ident,
    /// What the program can do with its values.
    pub kind: ColumnKind,
    /// The type as the server spells it, for messages (`character varying(40)`, `int unsigned`).
    pub type_name: String,
    /// The type that values are cast to: the same, or on PostgreSQL what a domain is made of, because
    /// a cast to a domain runs functions of the domain's owner.
    pub cast: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Greatest number of characters, where the type has one.
    pub max_length: Option<u64>,
    /// What its values are limited to beside their kind.
    pub bounds: Bounds,
    /// Computed by the database (GENERATED ALWAYS AS): cannot be assigned.
    pub generated: bool,
    /// PostgreSQL identity column `GENERATED ALWAYS`: cannot be assigned either.
    pub identity_always: bool,
    /// MySQL: `ON UPDATE CURRENT_TIMESTAMP`, which an anonymisation would touch.
    pub on_update_now: bool,
    /// MySQL: character set of a text column (`utf8mb4`, `latin1`).
    pub charset: Option<String>,
    /// Collation of a text column; on PostgreSQL only where it is not deterministic.
    pub collation: Option<String>,
    /// PostgreSQL: the collation is non-deterministic or the type is citext, so equal does not mean
    /// identical.
    pub nondeterministic: bool,
    /// PostgreSQL: citext, which the application compares in lower case.
    pub folded: bool,
}

/// What a column's values are limited to beside their kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Bounds {
    /// Nothing that is known.
    None,
    /// An integer's width.
    Integer {
        /// The least.
        least: i64,
        /// The greatest.
        greatest: i64,
    },
    /// Digits of a number that is rounded to them.
    Digits {
        /// How many there are.
        precision: u32,
        /// How many of them stand behind the point; where negative, so many before it are zeros.
        scale: i32,
    },
    /// The labels of an ENUM.
    OneOf(Vec<String>),
    /// The labels of a SET, any number of which make a value.
    SomeOf(Vec<String>),
}

impl Bounds {
    /// A signed integer of so many bytes.
    pub fn signed(bytes: u32) -> Self {
        let greatest = i64::MAX >> (64 - 8 * bytes.clamp(1, 8));
        Self::Integer {
            least: -greatest - 1,
            greatest,
        }
    }
}

/// What a column's values can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ColumnKind {
    /// A signed integer that fits 64 bits.
    Int,
    /// MySQL BIGINT UNSIGNED: read and bound as text.
    UnsignedBigInt,
    /// numeric, decimal.
    Decimal,
    /// float, double, real.
    Float,
    /// text, varchar, char and the like.
    Text,
    /// PostgreSQL or MariaDB native uuid.
    Uuid,
    /// bytea, binary, varbinary, blob.
    Bytes,
    /// boolean; MySQL tinyint(1) is an Int.
    Bool,
    /// A calendar date.
    Date,
    /// A point in time with a zone: PostgreSQL timestamptz, MySQL timestamp.
    Instant,
    /// A wall-clock reading without zone: PostgreSQL timestamp, MySQL datetime.
    Civil,
    /// ENUM or SET: compares as text and orders by ordinal.
    Enum,
    /// json, jsonb.
    Json,
    /// Anything else.
    Other,
}

/// One index.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Leading columns in order; an expression or a prefix ends the list.
    pub columns: Vec<Ident>,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether it is partial, invalid, ignored by the planner, or has parts that are not in
    /// `columns`: of no use to a walk.
    pub partial_or_invalid: bool,
    /// Columns whose whole values decide which rows are alike to it, in any place; their case may not
    /// matter.
    pub compares: Vec<Ident>,
    /// Columns of which a prefix, or what an expression, a condition or a generated column makes of
    /// them, decides.
    pub reads: Vec<Ident>,
    /// Rows without a value are alike to it.
    pub nulls_alike: bool,
}

/// One trigger.
#[derive(Clone, Debug, Serialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Fires on DELETE.
    pub on_delete: bool,
    /// Fires on UPDATE.
    pub on_update: bool,
    /// A digest of its definition and, on PostgreSQL, its function's.
    pub definition: Digest,
    /// It runs with our privileges, and neither an administrator nor our own user owns its function.
    pub foreign: bool,
    /// Fires for each row, on whatever table the statement names; otherwise for statements that name
    /// this one.
    pub each_row: bool,
}

/// One CHECK constraint.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// The columns it reads, as far as the catalog tells (PostgreSQL); empty: unknown.
    pub columns: Vec<Ident>,
}

/// Part of a table that calls functions which run with the privileges of whoever uses the table, and
/// which neither an administrator nor our own user owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// What it is: `index i`.
    pub what: String,
    /// The server may call them for whoever reads or deletes; otherwise only for who writes rows.
    pub on_read: bool,
}

/// A foreign key: `from.columns` points at `to.columns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The constraint's name.
    pub name: String,
    /// The referencing (child) table.
    pub from: TableName,
    /// Its columns, in order.
    pub from_columns: Vec<Ident>,
    /// The referenced (parent) table.
    pub to: TableName,
    /// Its columns, in the same order.
    pub to_columns: Vec<Ident>,
    /// What the database does with the child when the parent goes.
    pub on_delete: OnDelete,
    /// What it does on a change of the referenced columns: `true` unless NO ACTION or RESTRICT.
    pub on_update_acts: bool,
    /// Whether the database guarantees it: false for NOT VALID and NOT ENFORCED, which are treated as virtual.
    pub enforced: bool,
    /// Whether it is checked at COMMIT only (DEFERRABLE INITIALLY DEFERRED or deferrable at all).
    pub deferrable: bool,
    /// Whether every referencing column is nullable, so that Detach is possible.
    pub nullable: bool,
    /// Whether an index of the child leads with these columns.
    pub indexed: bool,
}

/// `ON DELETE` of a foreign key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OnDelete {
    /// NO ACTION or RESTRICT: the delete is refused while children exist.
    Refuse,
    /// CASCADE: children go too.
    Cascade,
    /// SET NULL: children lose the reference.
    SetNull,
    /// SET DEFAULT.
    SetDefault,
}

/// Who may read or change a table, beside its owner, administrators and the connected user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Readers {
    /// These.
    Known {
        /// Who may.
        others: Vec<Reader>,
        /// What acts on each row that is added, with the privileges of whoever adds it: triggers, rewrite
        /// rules, defaults that call somebody's function (PostgreSQL).
        acting: Vec<String>,
    },
    /// The connected user cannot see it.
    Hidden,
}

/// Somebody who may read a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reader {
    /// The role, or the account as grants name it.
    pub name: String,
    /// InnoDB: on what it is granted, as grants name it; PostgreSQL: empty, the schema or a table of it.
    pub on: String,
}

/// What the connected user may do with one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Privileges {
    /// SELECT on the whole table.
    pub select: bool,
    /// DELETE.
    pub delete: bool,
    /// INSERT into every column.
    pub insert: bool,
    /// The columns the user may UPDATE: every column where the privilege is the table's.
    pub update: BTreeSet<Ident>,
}
