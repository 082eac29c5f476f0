//! The statements over whole partitions: what the database says of them, what is counted in one, and how
//! it is emptied at once. PostgreSQL truncates one in the ledger's own transaction. InnoDB cannot: there
//! a partition is exchanged for an empty table *aside*, and each statement commits by itself.

use super::count::count_where;
use super::eligible::Eligible;
use super::{Bound, Writer, dialect};
use crate::catalog::Engine;
use crate::digest::Digest;
use crate::name::{Ident, NameError, TableName};
use crate::value::Value;

/// Where the rows are that one partition holds or held.
#[derive(Clone, Copy, Debug)]
pub enum Rowed<'a> {
    /// A table of its own: a leaf of PostgreSQL, or what was exchanged.
    Table(&'a TableName),
    /// A partition of a table (InnoDB).
    Partition(&'a TableName, &'a Ident),
}

impl Rowed<'_> {
    fn write(self, w: &mut Writer<'_>) {
        match self {
            Self::Table(table) => {
                w.rows_of(table, false);
            }
            Self::Partition(table, partition) => {
                w.table(table).sql(" PARTITION (").ident(partition).sql(")");
            }
        }
    }
}

/// Counts all rows, and those that a predicate reaches: one row, read by [`read_counts`].
pub fn counts(engine: Engine, rows: Rowed<'_>, eligible: &Eligible) -> Bound {
    let d = dialect(engine);
    let mut w = Writer::new(d);
    w.sql("SELECT ");
    d.whole(&mut w, &mut |w| {
        w.sql("count(*)");
    });
    w.sql(", ");
    d.whole(&mut w, &mut |w| count_where(w, &mut |w| eligible.write(w)));
    w.sql(" FROM ");
    rows.write(&mut w);
    w.finish()
}

/// All rows, and the eligible ones among them; `None`: the row has another shape.
pub fn read_counts(rows: &[Vec<Value>]) -> Option<(i64, i64)> {
    match rows.first()?.as_slice() {
        [all, eligible] => Some((all.as_int()?, eligible.as_int()?)),
        _ => None,
    }
}

/// Whether there is any row: one, or none.
pub fn any(engine: Engine, rows: Rowed<'_>) -> Bound {
    let mut w = Writer::new(dialect(engine));
    w.sql("SELECT 1 FROM ");
    rows.write(&mut w);
    w.sql(" LIMIT 1");
    w.finish()
}

/// What the database says of the partitions of a table: name (on PostgreSQL with its schema before it,
/// otherwise NULL), what it is partitioned by, where the partition ends, and what stands in the way of
/// emptying it at once.
pub fn partitions(engine: Engine, table: &TableName) -> Bound {
    let value = |name: &Ident| Value::Text(name.as_str().to_owned());
    let schema = table.schema.as_ref().map_or(Value::Null, value);
    let name = value(&table.table);
    if engine.is_innodb() {
        let values = vec![schema.clone(), name.clone(), schema, name];
        return Bound::fixed(INNODB, values);
    }
    Bound::fixed(POSTGRES, vec![schema, name])
}

/// Triggers of a partition fire also where the table above has them; those of a foreign key are the
/// server's own. One that refers to the table from elsewhere forbids TRUNCATE. With
/// `publish_via_partition_root` a TRUNCATE of a partition is not published.
const POSTGRES: &str = "\
SELECT n.nspname::text, c.relname::text, \
    CASE WHEN p.partstrat = 'r' THEN (SELECT a.attname::text FROM pg_catalog.pg_attribute a \
        WHERE a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]) END, \
    pg_catalog.substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid), ' TO \\((.*)\\)$'), \
    CASE WHEN c.relkind <> 'r' OR c.relpersistence = 't' THEN 'parted' \
        WHEN pg_catalog.to_jsonb(i) ->> 'inhdetachpending' = 'true' THEN 'detaching' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' \
            AND f.confrelid = ANY (above.oids)) THEN 'referenced' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t \
            WHERE t.tgrelid = ANY (above.oids) AND t.tgtype & 40 <> 0 \
            AND t.tgenabled <> 'D' AND (NOT t.tgisinternal OR t.tgparentid <> 0 \
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k \
                WHERE k.oid = t.tgconstraint AND k.contype <> 't'))) THEN 'triggers' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_publication_tables v \
            JOIN pg_catalog.pg_publication u ON u.pubname = v.pubname \
            JOIN pg_catalog.pg_namespace vn ON vn.nspname = v.schemaname \
            JOIN pg_catalog.pg_class vc ON vc.relnamespace = vn.oid AND vc.relname = v.tablename \
            WHERE vc.oid = ANY (above.oids) \
            AND (u.pubviaroot OR NOT u.pubtruncate)) THEN 'published' \
        WHEN pg_catalog.row_security_active(c.oid) THEN 'hidden' \
        WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') \
            OR NOT pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') THEN 'grants' END \
FROM pg_catalog.pg_partitioned_table p \
JOIN pg_catalog.pg_class r ON r.oid = p.partrelid \
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace \
JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid \
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(a.relid::pg_catalog.oid) AS oids \
    FROM pg_catalog.pg_partition_ancestors(c.oid) AS a (relid)) above \
WHERE rn.nspname = $1::text AND r.relname = $2::text \
ORDER BY n.nspname, c.relname";

const INNODB: &str = "\
SELECT NULL, p.PARTITION_NAME, \
    CASE WHEN p.PARTITION_METHOD IN ('RANGE', 'RANGE COLUMNS') \
        THEN CONVERT(p.PARTITION_EXPRESSION USING utf8mb4) END, \
    CONVERT(p.PARTITION_DESCRIPTION USING utf8mb4), \
    CASE WHEN p.SUBPARTITION_NAME IS NOT NULL THEN 'parted' \
        WHEN EXISTS (SELECT * FROM information_schema.TRIGGERS t \
            WHERE t.EVENT_OBJECT_SCHEMA = ? AND t.EVENT_OBJECT_TABLE = ?) THEN 'triggers' END \
FROM information_schema.PARTITIONS p \
WHERE p.TABLE_SCHEMA = ? AND p.TABLE_NAME = ? AND p.PARTITION_NAME IS NOT NULL \
ORDER BY p.PARTITION_ORDINAL_POSITION";

/// Keeps everybody from writing to a leaf, and nobody from reading it (PostgreSQL).
pub fn lock(leaf: &TableName) -> Bound {
    let mut w = Writer::new(dialect(Engine::Postgres));
    w.sql("LOCK TABLE ONLY ").table(leaf).sql(" IN SHARE MODE");
    w.finish()
}

/// Empties a leaf (PostgreSQL).
pub fn truncate(leaf: &TableName) -> Bound {
    let mut w = Writer::new(dialect(Engine::Postgres));
    w.sql("TRUNCATE ONLY ").table(leaf);
    w.finish()
}

/// The table for which partitions of a table are exchanged: one of a fixed name, so that it can be
/// granted, beside the table. `ledger`: the prefix of the ledger's tables.
pub fn aside(ledger: &Ident, table: &TableName) -> Result<TableName, NameError> {
    let of = Digest::of_bytes(table.to_string());
    let of = hex::encode(&of.as_bytes()[..6]);
    Ok(TableName {
        schema: table.schema.clone(),
        table: Ident::new(format!("{ledger}_aside_{of}"))?,
    })
}

/// The statements about one partition of InnoDB and the table that it is exchanged for. Each of those
/// that alter a table commits by itself.
#[derive(Clone, Debug)]
pub struct AsideSql {
    /// MySQL or MariaDB.
    pub engine: Engine,
    /// The partitioned table.
    pub table: TableName,
    /// The partition.
    pub partition: Ident,
    /// What it is exchanged for.
    pub aside: TableName,
}

impl AsideSql {
    fn writer(&self) -> Writer<'static> {
        Writer::new(dialect(self.engine))
    }

    /// A lock of the server's by name, which a connection keeps until it ends: whoever has it is the
    /// only one who alters the two tables. One row: 1, or not granted.
    pub fn reserve(&self, seconds: u32) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT GET_LOCK(").bind(self.lock_name()).sql(", ");
        w.number(seconds).sql(")");
        w.finish()
    }

    /// Ends it.
    pub fn release(&self) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT RELEASE_LOCK(")
            .bind(self.lock_name())
            .sql(")");
        w.finish()
    }

    /// Of the server, not of a database: so the digest is of both.
    fn lock_name(&self) -> Value {
        let of = Digest::of_bytes(self.aside.to_string());
        Value::Text(format!("oubliette {}", hex::encode(&of.as_bytes()[..16])))
    }

    /// Whether the table aside is there: one row, or none.
    pub fn is_there(&self) -> Bound {
        let value = |name: &Ident| Value::Text(name.as_str().to_owned());
        let schema = self.aside.schema.as_ref().map_or(Value::Null, value);
        let values = vec![schema, value(&self.aside.table)];
        Bound::fixed(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            values,
        )
    }

    /// Makes the table aside, empty: first alike, then without partitions.
    pub fn make(&self) -> [Bound; 2] {
        let mut like = self.writer();
        like.sql("CREATE TABLE ").table(&self.aside);
        like.sql(" LIKE ").table(&self.table);
        let mut plain = self.writer();
        plain.sql("ALTER TABLE ").table(&self.aside);
        plain.sql(" REMOVE PARTITIONING");
        [like.finish(), plain.finish()]
    }

    /// Makes the server look up counters instead of remembering them (MySQL).
    pub fn fresh_counters(&self) -> Option<Bound> {
        let text = "SET SESSION information_schema_stats_expiry = 0";
        (self.engine == Engine::MySql).then(|| Bound::fixed(text, Vec::new()))
    }

    /// The number that the next row gets, as text; NULL: rows are not numbered.
    pub fn next_number(&self) -> Bound {
        let value = |name: &Ident| Value::Text(name.as_str().to_owned());
        let schema = self.table.schema.as_ref().map_or(Value::Null, value);
        Bound::fixed(
            "SELECT CONVERT(AUTO_INCREMENT, CHAR) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            vec![schema, value(&self.table.table)],
        )
    }

    /// Makes the table aside go on with that number: each partition has a counter of its own, and those of
    /// rows that are gone would be given once more.
    pub fn go_on(&self, next: u64) -> Bound {
        let mut w = self.writer();
        w.sql("ALTER TABLE ").table(&self.aside);
        w.sql(" AUTO_INCREMENT = ").counter(next);
        w.finish()
    }

    /// Exchanges the rows of the partition for those of the table aside.
    pub fn exchange(&self) -> Bound {
        let mut w = self.writer();
        w.sql("ALTER TABLE ").table(&self.table);
        w.sql(" EXCHANGE PARTITION ").ident(&self.partition);
        w.sql(" WITH TABLE ").table(&self.aside);
        w.finish()
    }

    /// The table's columns that can be assigned.
    pub fn columns(&self) -> Bound {
        let value = |name: &Ident| Value::Text(name.as_str().to_owned());
        let schema = self.table.schema.as_ref().map_or(Value::Null, value);
        Bound::fixed(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? \
             AND TABLE_NAME = ? AND COALESCE(GENERATION_EXPRESSION, '') = '' \
             ORDER BY ORDINAL_POSITION",
            vec![schema, value(&self.table.table)],
        )
    }

    /// Moves the rows of the table aside into the table, in one transaction with what follows.
    pub fn move_back(&self, columns: &[Ident]) -> [Bound; 2] {
        let names = |w: &mut Writer<'_>| {
            w.joined(columns, ", ", |w, name| {
                w.ident(name);
            });
        };
        let mut copy = self.writer();
        copy.sql("INSERT INTO ").table(&self.table).sql(" (");
        names(&mut copy);
        copy.sql(") SELECT ");
        names(&mut copy);
        copy.sql(" FROM ").table(&self.aside);
        let mut clear = self.writer();
        clear.sql("DELETE FROM ").table(&self.aside);
        [copy.finish(), clear.finish()]
    }

    /// Drops the table aside with what is in it.
    pub fn drop(&self) -> Bound {
        let mut w = self.writer();
        w.sql("DROP TABLE ").table(&self.aside);
        w.finish()
    }

    /// Where the rows are that were exchanged.
    pub fn exchanged(&self) -> Rowed<'_> {
        Rowed::Table(&self.aside)
    }

    /// Where those are that came since, or have not been exchanged.
    pub fn live(&self) -> Rowed<'_> {
        Rowed::Partition(&self.table, &self.partition)
    }
}
