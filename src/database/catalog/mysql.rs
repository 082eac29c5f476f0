//! The catalog of MySQL and MariaDB: `information_schema`, table by table (a query without constant
//! names opens every table of the server), foreign keys from InnoDB itself.

use std::collections::{BTreeMap, BTreeSet};

use oubliette_core::catalog::{
    Bounds, Catalog, Check, Column, ColumnKind, Engine, Index, Table, TableKind, Trigger,
};
use oubliette_core::digest::Digest;
use oubliette_core::grants::account;
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::{Bound, Writer, dialect};
use oubliette_core::strategy::PSEUDONYM_LENGTH;
use oubliette_core::value::Value;

use super::answer::{Answer, harmless};
use super::mysql_grants::Grants;
use super::mysql_references::About;
use super::{ident, is_copy, made_from, mysql_references, table_name};
use crate::database::fault::{Fault, FaultClass};
use crate::database::session::Tx;

const SELF: &str = "SELECT CONVERT(DATABASE() USING utf8mb4), \
    CONVERT(CURRENT_USER() USING utf8mb4), CAST(@@lower_case_table_names AS SIGNED)";

pub(super) const ALL_TABLES: &str = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
    ORDER BY TABLE_NAME";

const TABLE: &str = "SELECT TABLE_TYPE, ENGINE, CAST(TABLE_ROWS AS SIGNED), \
    CAST(EXISTS (SELECT * FROM information_schema.PARTITIONS p WHERE p.TABLE_SCHEMA = ? \
        AND p.TABLE_NAME = ? AND p.PARTITION_NAME IS NOT NULL) AS SIGNED) \
    FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    AND BINARY TABLE_NAME = ?";

const COLUMNS: &str = "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, \
    CAST(CHARACTER_MAXIMUM_LENGTH AS SIGNED), CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, \
    CONVERT(GENERATION_EXPRESSION USING utf8mb4) \
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
    ORDER BY ORDINAL_POSITION";

macro_rules! indexes {
    ($usable:literal, $expression:literal) => {
        concat!(
            "SELECT INDEX_NAME, NON_UNIQUE = 0, COLUMN_NAME, CAST(SUB_PART AS SIGNED), \
             INDEX_TYPE = 'BTREE' AND ",
            $usable,
            ", CONVERT(",
            $expression,
            " USING utf8mb4) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? \
             ORDER BY INDEX_NAME, SEQ_IN_INDEX"
        )
    };
}

const INDEXES_MYSQL: &str = indexes!("IS_VISIBLE = 'YES'", "EXPRESSION");
const INDEXES_MARIADB: &str = indexes!("IGNORED = 'NO'", "NULL");

const TRIGGERS: &str = "SELECT TRIGGER_NAME, EVENT_MANIPULATION, \
    CONCAT_WS('\n', ACTION_TIMING, DEFINER, SQL_MODE, ACTION_STATEMENT) \
    FROM information_schema.TRIGGERS \
    WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? ORDER BY TRIGGER_NAME";

const CHECKS_MYSQL: &str = "SELECT t.CONSTRAINT_NAME, c.CHECK_CLAUSE \
    FROM information_schema.TABLE_CONSTRAINTS t \
    JOIN information_schema.CHECK_CONSTRAINTS c \
        ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
    WHERE t.TABLE_SCHEMA = ? AND t.TABLE_NAME = ? AND t.CONSTRAINT_TYPE = 'CHECK' \
        AND t.ENFORCED = 'YES' ORDER BY t.CONSTRAINT_NAME";

const COPIES: &str = "SELECT TABLE_NAME FROM information_schema.TABLES \
    WHERE TABLE_SCHEMA = ? AND TABLE_NAME REGEXP '_(old|new|gho|ghc|del)$' ORDER BY TABLE_NAME";

pub(super) async fn inspect(tx: &mut Tx, wanted: &[TableName]) -> Result<Catalog, Fault> {
    let Own {
        database,
        user,
        names_differ,
    } = whoami(tx).await?;
    let grants = grants(tx).await?;
    let own = ident(&database)?;
    let qualified = |name: &TableName| TableName {
        schema: Some(name.schema.clone().unwrap_or_else(|| own.clone())),
        table: name.table.clone(),
    };
    let seen = mysql_references::read(tx, grants.everywhere("PROCESS")).await?;
    let roots: BTreeSet<TableName> = wanted.iter().map(qualified).collect();
    let About {
        reached: mut names,
        parents,
        mut references,
    } = seen.about(&roots)?;
    names.extend(parents);

    let sees_references = seen.complete && !names_differ;
    let mut sees_triggers = true;
    let mut tables = BTreeMap::new();
    let mut privileges = BTreeMap::new();
    for name in &names {
        let (schema, table) = parts(name);
        // A table that no rule names is refused for its reference, whatever its triggers.
        if roots.contains(name) && !grants.on("TRIGGER", schema, table) {
            sees_triggers = false;
        }
        let selects = grants.on("SELECT", schema, table);
        let found = one_table(tx, name, selects).await?;
        let columns = found.iter().flat_map(|t| &t.columns);
        let columns: Vec<Ident> = columns.map(|c| c.name.clone()).collect();
        privileges.insert(name.clone(), grants.privileges(schema, table, &columns));
        if let Some(found) = found {
            tables.insert(name.clone(), found);
        }
    }
    copies(tx, &mut tables).await?;
    for reference in &mut references {
        let child = tables.get(&reference.from);
        reference.nullable = child.is_some_and(|child| {
            let nullable = |name| child.column(name).is_some_and(|c| c.nullable);
            reference.from_columns.iter().all(nullable)
        });
    }
    let missing = wanted
        .iter()
        .filter(|name| !tables.contains_key(&qualified(name)))
        .cloned()
        .collect();
    Ok(Catalog {
        engine: tx.engine(),
        version: tx.version().text.clone(),
        tables,
        references,
        missing,
        privileges,
        readers: BTreeMap::new(),
        sees_references,
        sees_triggers,
        database,
        user,
    })
}

fn parts(name: &TableName) -> (&str, &str) {
    let schema = name.schema.as_ref().map_or("", Ident::as_str);
    (schema, name.table.as_str())
}

/// What the connection is.
struct Own {
    database: String,
    user: String,
    /// `lower_case_table_names=2`: InnoDB knows tables under other names than the catalog.
    names_differ: bool,
}

async fn whoami(tx: &mut Tx) -> Result<Own, Fault> {
    let rows = tx.rows(&Bound::fixed(SELF, Vec::new())).await?;
    let mut a = Answer::new(rows.into_iter().next().unwrap_or_default());
    let database = a
        .maybe_text()?
        .ok_or_else(|| Fault::own(FaultClass::Missing, "the connection names no database"))?;
    Ok(Own {
        database,
        user: account(tx.engine(), &a.shown()?),
        names_differ: a.int()? == 2,
    })
}

/// The connected database, and whether the user has PROCESS.
pub(super) async fn standing(tx: &mut Tx) -> Result<(Ident, bool), Fault> {
    let database = ident(&whoami(tx).await?.database)?;
    Ok((database, grants(tx).await?.everywhere("PROCESS")))
}

async fn grants(tx: &mut Tx) -> Result<Grants, Fault> {
    let rows = tx.rows(&Bound::fixed("SHOW GRANTS", Vec::new())).await?;
    let lines = rows.iter().filter_map(|row| row.first()?.as_text());
    Ok(Grants::read(lines))
}

/// Whether the user may exchange partitions of a table for a table aside, and put their rows back.
pub async fn may_exchange(
    tx: &mut Tx,
    table: &TableName,
    aside: &TableName,
) -> Result<bool, Fault> {
    let grants = grants(tx).await?;
    let has = |of: &TableName, privileges: &[&str]| {
        let (schema, name) = parts(of);
        let mut all = privileges.iter();
        all.all(|privilege| grants.on(privilege, schema, name))
    };
    let on_both = ["ALTER", "CREATE", "DROP", "INSERT", "SELECT"];
    Ok(has(table, &on_both) && has(aside, &on_both) && has(aside, &["DELETE"]))
}

async fn ask(tx: &mut Tx, text: &'static str, of: &TableName) -> Result<Vec<Answer>, Fault> {
    let (schema, table) = parts(of);
    let values = vec![
        Value::Text(schema.to_owned()),
        Value::Text(table.to_owned()),
    ];
    let rows = tx.rows(&Bound::fixed(text, values)).await?;
    Ok(rows.into_iter().map(Answer::new).collect())
}

/// One table, or `None` where it does not exist, is not visible or is spelt otherwise. `selects`:
/// whether the user may SELECT all of it, without which the plan is refused anyway.
async fn one_table(tx: &mut Tx, name: &TableName, selects: bool) -> Result<Option<Table>, Fault> {
    let (schema, table) = parts(name);
    let value = |text: &str| Value::Text(text.to_owned());
    let (schema, table) = (value(schema), value(table));
    let values = vec![schema.clone(), table.clone(), schema, table.clone(), table];
    let rows = tx.rows(&Bound::fixed(TABLE, values)).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let mut a = Answer::new(row);
    let table_type = a.text()?;
    let storage_engine = a.maybe_text()?;
    let estimated_rows = a.count()?;
    let partitioned = a.yes()?;
    let kind = match table_type.as_str() {
        "BASE TABLE" if partitioned => TableKind::Partitioned { leaves: Vec::new() },
        "BASE TABLE" => TableKind::Ordinary,
        "SYSTEM VERSIONED" => TableKind::SystemVersioned,
        "VIEW" | "SYSTEM VIEW" => TableKind::View,
        other => TableKind::Other {
            what: other.to_ascii_lowercase(),
        },
    };
    let (columns, generated) = columns(tx, name).await?;
    let (primary_key, indexes) = indexes(tx, name, &columns).await?;
    let triggers = triggers(tx, name).await?;
    let checks = if selects && kind != TableKind::View {
        checks(tx, name, &columns).await?
    } else {
        Vec::new()
    };
    let mut table = Table {
        name: name.clone(),
        kind,
        storage_engine,
        columns,
        primary_key,
        indexes,
        triggers,
        rules: Vec::new(),
        checks,
        // What a table calls here runs as whoever defined it, or is the server's own.
        code: Vec::new(),
        row_security: false,
        publications_without_identity: Vec::new(),
        materialised_views: Vec::new(),
        unlogged: false,
        copies: Vec::new(),
        estimated_rows,
    };
    // One may be made from another that stands before it.
    for (column, expression) in generated.iter().rev() {
        let sources = named_in(expression, &table.columns);
        made_from(&mut table, column, &sources);
    }
    Ok(Some(table))
}

/// The columns that a clause names. Both engines store it with every column in backticks.
fn named_in(clause: &str, columns: &[Column]) -> Vec<Ident> {
    let named = |column: &&Column| {
        let quoted = column.name.as_str().replace('`', "``");
        clause.contains(&format!("`{quoted}`"))
    };
    let named = columns.iter().filter(named);
    named.map(|column| column.name.clone()).collect()
}

/// The columns, and of those that are generated the expressions.
async fn columns(
    tx: &mut Tx,
    of: &TableName,
) -> Result<(Vec<Column>, Vec<(Ident, String)>), Fault> {
    let mut columns = Vec::new();
    let mut expressions = Vec::new();
    for mut a in ask(tx, COLUMNS, of).await? {
        let name = ident(&a.text()?)?;
        let data_type = a.text()?.to_ascii_lowercase();
        let type_name = a.shown()?;
        let nullable = a.text()? == "YES";
        let max_length = a.maybe_int()?.and_then(|n| u64::try_from(n).ok());
        let charset = a.maybe_text()?;
        let collation = a.maybe_text()?;
        let extra = a.text()?.to_ascii_uppercase();
        if let Some(expression) = a.maybe_text()?.filter(|text| !text.is_empty()) {
            expressions.push((name.clone(), expression));
        }
        let kind = column_kind(&data_type, &type_name);
        let text = kind == ColumnKind::Text;
        let bounds = bounds(&data_type, &type_name);
        columns.push(Column {
            name,
            kind,
            cast: type_name.clone(),
            type_name,
            nullable,
            max_length: max_length.filter(|_| text || kind == ColumnKind::Bytes),
            bounds,
            generated: [
                "VIRTUAL GENERATED",
                "STORED GENERATED",
                "PERSISTENT GENERATED",
            ]
            .iter()
            .any(|word| extra.contains(word)),
            identity_always: false,
            on_update_now: extra.contains("ON UPDATE"),
            charset,
            collation,
            nondeterministic: false,
            folded: false,
        });
    }
    Ok((columns, expressions))
}

/// What a type's own spelling says: `tinyint unsigned`, `decimal(5,2)`, `enum('a','it''s')`.
fn bounds(data_type: &str, type_name: &str) -> Bounds {
    let inner = type_name
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .map_or("", |(inner, _)| inner);
    let integer = |bytes: u32| match Bounds::signed(bytes) {
        Bounds::Integer { greatest, .. } if type_name.contains("unsigned") => Bounds::Integer {
            least: 0,
            greatest: 2 * greatest + 1,
        },
        signed => signed,
    };
    match data_type {
        "tinyint" => integer(1),
        "smallint" => integer(2),
        "mediumint" => integer(3),
        "int" => integer(4),
        // An unsigned one is a kind of its own.
        "bigint" if !type_name.contains("unsigned") => Bounds::signed(8),
        "decimal" | "float" | "double" => match inner.split_once(',') {
            Some((precision, scale)) => match (precision.trim().parse(), scale.trim().parse()) {
                (Ok(precision), Ok(scale)) => Bounds::Digits { precision, scale },
                _ => Bounds::None,
            },
            None => Bounds::None,
        },
        "enum" => labels(inner).map_or(Bounds::None, Bounds::OneOf),
        "set" => labels(inner).map_or(Bounds::None, Bounds::SomeOf),
        _ => Bounds::None,
    }
}

/// `'a','it''s'`. `None` where it is spelt in another way: then nothing is known of them.
fn labels(mut list: &str) -> Option<Vec<String>> {
    let mut labels = Vec::new();
    loop {
        list = list.strip_prefix('\'')?;
        let mut label = String::new();
        loop {
            let end = list.find(['\'', '\\'])?;
            label.push_str(&list[..end]);
            let (mark, after) = list[end..].split_at(1);
            let doubled = after.strip_prefix(mark);
            match (mark, doubled) {
                (_, Some(rest)) => {
                    label.push_str(mark);
                    list = rest;
                }
                ("'", None) => {
                    list = after;
                    break;
                }
                // A control character: nobody writes one into a policy.
                _ => return None,
            }
        }
        labels.push(label);
        if list.is_empty() {
            return Some(labels);
        }
        list = list.strip_prefix(',')?;
    }
}

fn column_kind(data_type: &str, type_name: &str) -> ColumnKind {
    match data_type {
        "bigint" if type_name.to_ascii_lowercase().contains("unsigned") => {
            ColumnKind::UnsignedBigInt
        }
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => ColumnKind::Int,
        "decimal" => ColumnKind::Decimal,
        "float" | "double" => ColumnKind::Float,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => ColumnKind::Text,
        "uuid" => ColumnKind::Uuid,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            ColumnKind::Bytes
        }
        "date" => ColumnKind::Date,
        "timestamp" => ColumnKind::Instant,
        "datetime" => ColumnKind::Civil,
        "enum" | "set" => ColumnKind::Enum,
        "json" => ColumnKind::Json,
        _ => ColumnKind::Other,
    }
}

/// The primary key's columns, and all indexes. A prefix or an expression ends an index's list; a
/// primary key with a prefix is no key to walk by.
async fn indexes(
    tx: &mut Tx,
    of: &TableName,
    columns: &[Column],
) -> Result<(Vec<Ident>, Vec<Index>), Fault> {
    let text = if tx.engine() == Engine::MariaDb {
        INDEXES_MARIADB
    } else {
        INDEXES_MYSQL
    };
    let mut indexes: Vec<Index> = Vec::new();
    let mut ended = BTreeSet::new();
    for mut a in ask(tx, text, of).await? {
        let name = a.text()?;
        let unique = a.yes()?;
        let column = a.maybe_text()?;
        let prefix = a.maybe_int()?;
        let usable = a.yes()?;
        let expression = a.maybe_text()?;
        if indexes.last().is_none_or(|index| index.name != name) {
            indexes.push(Index {
                name: name.clone(),
                columns: Vec::new(),
                unique,
                partial_or_invalid: !usable,
                compares: Vec::new(),
                reads: Vec::new(),
                nulls_alike: false,
            });
        }
        if let Some(index) = indexes.last_mut() {
            // A prefix that has room for a pseudonym is as good as the whole.
            let whole =
                prefix.is_none_or(|n| u64::try_from(n).is_ok_and(|n| n >= PSEUDONYM_LENGTH));
            match &column {
                Some(column) if whole => index.compares.push(ident(column)?),
                Some(column) => index.reads.push(ident(column)?),
                None => index
                    .reads
                    .extend(named_in(&expression.unwrap_or_default(), columns)),
            }
        }
        match (column, indexes.last_mut()) {
            (Some(column), Some(index)) if prefix.is_none() && !ended.contains(&name) => {
                index.columns.push(ident(&column)?);
            }
            (_, last) => {
                // What is left of the list is neither unique nor an order to walk in.
                if let Some(index) = last {
                    index.partial_or_invalid = true;
                }
                ended.insert(name);
            }
        }
    }
    let primary_key = indexes
        .iter()
        .find(|index| index.name == "PRIMARY" && !ended.contains("PRIMARY"))
        .map(|index| index.columns.clone())
        .unwrap_or_default();
    Ok((primary_key, indexes))
}

async fn triggers(tx: &mut Tx, of: &TableName) -> Result<Vec<Trigger>, Fault> {
    let mut triggers = Vec::new();
    for mut a in ask(tx, TRIGGERS, of).await? {
        let name = a.shown()?;
        let event = a.text()?.to_ascii_uppercase();
        let trigger = Trigger {
            name,
            on_delete: event.contains("DELETE"),
            on_update: event.contains("UPDATE"),
            definition: Digest::of_bytes(a.text()?),
            // It runs with the privileges of whom it names.
            foreign: false,
            each_row: true,
        };
        if trigger.on_delete || trigger.on_update {
            triggers.push(trigger);
        }
    }
    Ok(triggers)
}

/// CHECK constraints.
async fn checks(tx: &mut Tx, of: &TableName, columns: &[Column]) -> Result<Vec<Check>, Fault> {
    let clauses = if tx.engine() == Engine::MariaDb {
        checks_of_mariadb(tx, of).await?
    } else {
        let mut clauses = Vec::new();
        for mut a in ask(tx, CHECKS_MYSQL, of).await? {
            clauses.push((a.shown()?, a.text()?));
        }
        clauses
    };
    Ok(clauses
        .into_iter()
        .map(|(name, clause)| Check {
            name,
            columns: named_in(&clause, columns),
        })
        .collect())
}

/// MariaDB hides information_schema.CHECK_CONSTRAINTS from users who may not alter the table; the
/// table's own definition it shows to whoever may SELECT. One line of it is one column or constraint.
async fn checks_of_mariadb(tx: &mut Tx, of: &TableName) -> Result<Vec<(String, String)>, Fault> {
    let mut statement = Writer::new(dialect(Engine::MariaDb));
    statement.sql("SHOW CREATE TABLE ").table(of);
    let rows = tx.rows(&statement.finish()).await?;
    let mut clauses = Vec::new();
    for row in rows {
        let mut a = Answer::new(row);
        a.text()?;
        for line in a.text()?.lines() {
            let Some((before, clause)) = line.split_once(" CHECK (") else {
                continue;
            };
            let name = before.split('`').nth(1).unwrap_or_default();
            clauses.push((harmless(name), clause.to_owned()));
        }
    }
    Ok(clauses)
}

async fn copies(tx: &mut Tx, tables: &mut BTreeMap<TableName, Table>) -> Result<(), Fault> {
    let schemas: BTreeSet<Ident> = tables.keys().filter_map(|t| t.schema.clone()).collect();
    for schema in schemas {
        let value = Value::Text(schema.as_str().to_owned());
        for row in tx.rows(&Bound::fixed(COPIES, vec![value])).await? {
            let candidate = Answer::new(row).text()?;
            for table in tables.values_mut() {
                if table.name.schema.as_ref() == Some(&schema)
                    && is_copy(table.name.table.as_str(), &candidate)
                {
                    table.copies.push(table_name(schema.as_str(), &candidate)?);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_types_spelling_says_what_it_holds() {
        let integer = |least, greatest| Bounds::Integer { least, greatest };
        let digits = |precision, scale| Bounds::Digits { precision, scale };
        for (data_type, type_name, bounds) in [
            ("tinyint", "tinyint(1)", integer(-128, 127)),
            ("tinyint", "tinyint unsigned", integer(0, 255)),
            ("mediumint", "mediumint(9)", integer(-8_388_608, 8_388_607)),
            ("int", "int(10) unsigned", integer(0, 4_294_967_295)),
            ("bigint", "bigint", integer(i64::MIN, i64::MAX)),
            ("bigint", "bigint unsigned", Bounds::None),
            ("decimal", "decimal(5,2) unsigned", digits(5, 2)),
            ("double", "double", Bounds::None),
        ] {
            assert_eq!(super::bounds(data_type, type_name), bounds, "{type_name}");
        }
        let spelt = r"enum('open','it''s, (closed)','a\\b','')";
        let labels = ["open", "it's, (closed)", r"a\b", ""].map(str::to_owned);
        assert_eq!(bounds("enum", spelt), Bounds::OneOf(labels.to_vec()));
        assert_eq!(bounds("enum", r"enum('a\n')"), Bounds::None);
    }
}
