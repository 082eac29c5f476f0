//! PostgreSQL's catalog.

use std::collections::{BTreeMap, BTreeSet};

use oubliette_core::catalog::{
    Bounds, Catalog, Check, Code, Column, ColumnKind, Engine, Index, OnDelete, Privileges,
    Reference, Table, TableKind, Trigger,
};
use oubliette_core::digest::Digest;
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::answer::{Answer, harmless};
use super::postgres_text as text;
use super::{ident, is_copy, made_from, table_name};
use crate::database::fault::Fault;
use crate::database::session::Tx;

pub(super) async fn inspect(tx: &mut Tx, wanted: &[TableName]) -> Result<Catalog, Fault> {
    let (database, user) = whoami(tx).await?;
    let mut found = tables(tx, wanted).await?;
    let oids = Oids::of(&found);
    columns(tx, &oids, &mut found).await?;
    indexes(tx, &oids, &mut found).await?;
    triggers(tx, &oids, &mut found).await?;
    rules(tx, &oids, &mut found).await?;
    checks(tx, &oids, &mut found).await?;
    generated(tx, &oids, &mut found).await?;
    code(tx, &oids, &mut found).await?;
    publications(tx, &oids, &mut found).await?;
    materialised_views(tx, &oids, &mut found).await?;
    copies(tx, &oids, &mut found).await?;
    let references = references(tx, &oids).await?;
    estimate_partitioned(&mut found);

    let mut tables = BTreeMap::new();
    let mut privileges = BTreeMap::new();
    for (_, found) in found {
        privileges.insert(found.table.name.clone(), found.privileges);
        tables.insert(found.table.name.clone(), found.table);
    }
    let missing = wanted
        .iter()
        .filter(|name| !tables.contains_key(*name))
        .cloned()
        .collect();
    Ok(Catalog {
        engine: Engine::Postgres,
        version: tx.version().text.clone(),
        tables,
        references,
        missing,
        privileges,
        readers: BTreeMap::new(),
        sees_references: true,
        sees_triggers: true,
        database,
        user,
    })
}

/// A table on its way into the catalog, with what only the assembly needs.
struct Found {
    table: Table,
    privileges: Privileges,
    usage: bool,
    /// Of one that is no partition there may be several.
    parents: Vec<i64>,
}

/// The tables under inspection, as an array literal.
struct Oids(String);

impl Oids {
    fn of(found: &BTreeMap<i64, Found>) -> Self {
        let list: Vec<String> = found.keys().map(ToString::to_string).collect();
        Self(format!("{{{}}}", list.join(",")))
    }

    async fn ask(&self, tx: &mut Tx, text: &'static str) -> Result<Vec<Answer>, Fault> {
        let bound = Bound::fixed(text, vec![Value::Text(self.0.clone())]);
        let rows = tx.rows(&bound).await?;
        Ok(rows.into_iter().map(Answer::new).collect())
    }
}

async fn whoami(tx: &mut Tx) -> Result<(String, String), Fault> {
    let rows = tx.rows(&Bound::fixed(text::SELF, Vec::new())).await?;
    let mut answer = Answer::new(rows.into_iter().next().unwrap_or_default());
    Ok((answer.shown()?, answer.shown()?))
}

async fn tables(tx: &mut Tx, wanted: &[TableName]) -> Result<BTreeMap<i64, Found>, Fault> {
    // A name without a schema is not looked up: no search path decides what is destroyed.
    let list: Vec<_> = wanted
        .iter()
        .filter_map(|name| {
            let schema = name.schema.as_ref()?.as_str();
            Some(serde_json::json!({"s": schema, "t": name.table.as_str()}))
        })
        .collect();
    let list = Value::Text(serde_json::Value::Array(list).to_string());
    let rows = tx.rows(&Bound::fixed(text::TABLES, vec![list])).await?;
    let mut found = BTreeMap::new();
    let mut shapes = BTreeMap::new();
    for row in rows {
        let mut a = Answer::new(row);
        let oid = a.int()?;
        let name = table_name(&a.text()?, &a.text()?)?;
        let shape = Shape {
            relkind: a.text()?,
            persistence: a.text()?,
            is_partition: a.yes()?,
        };
        let parents = a.json()?;
        let row_security = a.yes()?;
        let estimated_rows = a.count()?;
        let privileges = Privileges {
            select: a.yes()?,
            delete: a.yes()?,
            insert: a.yes()?,
            update: BTreeSet::new(),
        };
        let usage = a.yes()?;
        let unlogged = shape.persistence == "u";
        shapes.insert(oid, shape);
        found.insert(
            oid,
            Found {
                table: Table {
                    name,
                    kind: TableKind::Ordinary,
                    storage_engine: None,
                    columns: Vec::new(),
                    primary_key: Vec::new(),
                    indexes: Vec::new(),
                    triggers: Vec::new(),
                    rules: Vec::new(),
                    checks: Vec::new(),
                    code: Vec::new(),
                    row_security,
                    publications_without_identity: Vec::new(),
                    materialised_views: Vec::new(),
                    unlogged,
                    copies: Vec::new(),
                    estimated_rows,
                },
                privileges,
                usage,
                parents,
            },
        );
    }
    let kinds: Vec<_> = shapes
        .iter()
        .map(|(oid, shape)| (*oid, kind_of(*oid, shape, &found, &shapes)))
        .collect();
    for (oid, kind) in kinds {
        if let Some(found) = found.get_mut(&oid) {
            found.table.kind = kind;
        }
    }
    Ok(found)
}

struct Shape {
    relkind: String,
    persistence: String,
    is_partition: bool,
}

fn kind_of(
    oid: i64,
    shape: &Shape,
    found: &BTreeMap<i64, Found>,
    shapes: &BTreeMap<i64, Shape>,
) -> TableKind {
    let children = |oid: i64| -> Vec<i64> {
        let of = |(child, f): (&i64, &Found)| f.parents.contains(&oid).then_some(*child);
        found.iter().filter_map(of).collect()
    };
    let name = |oid: &i64| found.get(oid).map(|f| f.table.name.clone());
    match shape.relkind.as_str() {
        _ if shape.persistence == "t" => TableKind::Other {
            what: "a temporary table".to_owned(),
        },
        "r" if shape.is_partition => match found.get(&oid).and_then(|f| f.parents.first()) {
            Some(parent) => TableKind::Partition {
                of: name(parent).unwrap_or_else(|| found[&oid].table.name.clone()),
            },
            None => TableKind::Ordinary,
        },
        "r" => {
            let children: Vec<_> = children(oid).iter().filter_map(name).collect();
            if children.is_empty() {
                TableKind::Ordinary
            } else {
                TableKind::InheritanceParent { children }
            }
        }
        "p" => {
            let mut leaves = Vec::new();
            let mut open = children(oid);
            while let Some(child) = open.pop() {
                if shapes.get(&child).is_some_and(|s| s.relkind == "p") {
                    open.extend(children(child));
                } else {
                    leaves.extend(name(&child));
                }
            }
            leaves.sort();
            TableKind::Partitioned { leaves }
        }
        "f" => TableKind::Foreign,
        "v" => TableKind::View,
        "m" => TableKind::MaterialisedView,
        _ => TableKind::Other {
            what: "not a table".to_owned(),
        },
    }
}

/// A partitioned table has no pages of its own.
fn estimate_partitioned(found: &mut BTreeMap<i64, Found>) {
    let own: BTreeMap<TableName, u64> = found
        .values()
        .map(|f| (f.table.name.clone(), f.table.estimated_rows))
        .collect();
    for f in found.values_mut() {
        if let TableKind::Partitioned { leaves } = &f.table.kind {
            f.table.estimated_rows = leaves.iter().filter_map(|leaf| own.get(leaf)).sum();
        }
    }
}

async fn columns(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::COLUMNS).await? {
        let Some(found) = found.get_mut(&a.int()?) else {
            continue;
        };
        let _attnum = a.int()?;
        let name = ident(&a.text()?)?;
        let type_name = a.shown()?;
        let (base, namespace, typtype) = (a.text()?, a.text()?, a.text()?);
        let not_null = a.yes()?;
        let max_length = a.maybe_int()?.and_then(|n| u64::try_from(n).ok());
        let bounds = bounds(&base, a.maybe_int()?, a.json()?);
        let generated = a.yes()?;
        let identity_always = a.yes()?;
        let collation = a.maybe_text()?;
        let may_update = a.yes()?;
        let cast = a.text()?;
        let citext = is_citext(&base, &typtype);
        if may_update && found.usage {
            found.privileges.update.insert(name.clone());
        }
        found.table.columns.push(Column {
            name,
            // What is not the type's own name goes into no cast.
            kind: if harmless(&cast) == cast {
                column_kind(&base, &namespace, &typtype)
            } else {
                ColumnKind::Other
            },
            type_name,
            cast: harmless(&cast),
            nullable: !not_null,
            max_length,
            bounds,
            generated,
            identity_always,
            on_update_now: false,
            charset: None,
            nondeterministic: collation.is_some() || citext,
            folded: citext,
            collation,
        });
    }
    Ok(())
}

/// `digits`: the modifier of a numeric, without its offset.
fn bounds(base: &str, digits: Option<i64>, labels: Vec<String>) -> Bounds {
    match (base, digits) {
        _ if !labels.is_empty() => Bounds::OneOf(labels),
        ("int2", _) => Bounds::signed(2),
        ("int4", _) => Bounds::signed(4),
        ("int8", _) => Bounds::signed(8),
        // Sixteen bits of precision, then eleven of scale, signed.
        ("numeric", Some(digits)) => Bounds::Digits {
            precision: u32::try_from(digits >> 16).unwrap_or(u32::MAX),
            scale: i32::try_from(((digits & 0x7ff) ^ 0x400) - 0x400).unwrap_or(0),
        },
        _ => Bounds::None,
    }
}

/// Whether it is the extension's: anybody can call a type so, but a base type takes an administrator.
fn is_citext(base: &str, typtype: &str) -> bool {
    (base, typtype) == ("citext", "b")
}

fn column_kind(base: &str, namespace: &str, typtype: &str) -> ColumnKind {
    match (typtype, namespace, base) {
        ("e", _, _) => ColumnKind::Enum,
        _ if is_citext(base, typtype) => ColumnKind::Text,
        (_, "pg_catalog", "int2" | "int4" | "int8") => ColumnKind::Int,
        (_, "pg_catalog", "numeric") => ColumnKind::Decimal,
        (_, "pg_catalog", "float4" | "float8") => ColumnKind::Float,
        (_, "pg_catalog", "text" | "varchar" | "bpchar") => ColumnKind::Text,
        (_, "pg_catalog", "uuid") => ColumnKind::Uuid,
        (_, "pg_catalog", "bytea") => ColumnKind::Bytes,
        (_, "pg_catalog", "bool") => ColumnKind::Bool,
        (_, "pg_catalog", "date") => ColumnKind::Date,
        (_, "pg_catalog", "timestamptz") => ColumnKind::Instant,
        (_, "pg_catalog", "timestamp") => ColumnKind::Civil,
        (_, "pg_catalog", "json" | "jsonb") => ColumnKind::Json,
        _ => ColumnKind::Other,
    }
}

fn idents(names: &[String]) -> Result<Vec<Ident>, Fault> {
    names.iter().map(|name| ident(name)).collect()
}

async fn indexes(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::INDEXES).await? {
        let Some(found) = found.get_mut(&a.int()?) else {
            continue;
        };
        let name = a.text()?;
        let primary = a.yes()?;
        let unique = a.yes()?;
        let usable = a.yes()?;
        let leading: Vec<Option<String>> = a.json()?;
        let parts = leading.len();
        let leading: Vec<String> = leading.into_iter().map_while(|column| column).collect();
        // What is left of a list cut short is neither unique nor an order to walk in.
        let whole = leading.len() == parts;
        let key: Vec<String> = a.json()?;
        if primary {
            found.table.primary_key = idents(&key)?;
        }
        let compares: Vec<String> = a.json()?;
        let mut reads: Vec<String> = a.json()?;
        reads.retain(|column| !compares.contains(column));
        found.table.indexes.push(Index {
            name,
            columns: idents(&leading)?,
            unique,
            partial_or_invalid: !(usable && whole),
            compares: idents(&compares)?,
            reads: idents(&reads)?,
            nulls_alike: a.yes()?,
        });
    }
    Ok(())
}

async fn generated(
    tx: &mut Tx,
    oids: &Oids,
    found: &mut BTreeMap<i64, Found>,
) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::GENERATED).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            let column = ident(&a.text()?)?;
            let sources: Vec<String> = a.json()?;
            made_from(&mut found.table, &column, &idents(&sources)?);
        }
    }
    Ok(())
}

async fn triggers(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::TRIGGERS).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            found.table.triggers.push(Trigger {
                name: a.shown()?,
                on_delete: a.yes()?,
                on_update: a.yes()?,
                each_row: a.yes()?,
                foreign: a.yes()?,
                definition: Digest::of_bytes(a.text()?),
            });
        }
    }
    Ok(())
}

async fn rules(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::RULES).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            found.table.rules.push(a.shown()?);
        }
    }
    Ok(())
}

async fn checks(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::CHECKS).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            let name = a.shown()?;
            let columns: Vec<String> = a.json()?;
            found.table.checks.push(Check {
                name,
                columns: idents(&columns)?,
            });
        }
    }
    Ok(())
}

async fn code(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::CODE).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            found.table.code.push(Code {
                what: a.shown()?,
                on_read: a.yes()?,
            });
        }
    }
    Ok(())
}

async fn publications(
    tx: &mut Tx,
    oids: &Oids,
    found: &mut BTreeMap<i64, Found>,
) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::PUBLICATIONS).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            found.table.publications_without_identity.push(a.shown()?);
        }
    }
    Ok(())
}

async fn materialised_views(
    tx: &mut Tx,
    oids: &Oids,
    found: &mut BTreeMap<i64, Found>,
) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::MATERIALISED).await? {
        if let Some(found) = found.get_mut(&a.int()?) {
            let view = table_name(&a.shown()?, &a.shown()?)?;
            found.table.materialised_views.push(view);
        }
    }
    Ok(())
}

async fn copies(tx: &mut Tx, oids: &Oids, found: &mut BTreeMap<i64, Found>) -> Result<(), Fault> {
    for mut a in oids.ask(tx, text::COPIES).await? {
        let (schema, candidate) = (a.text()?, a.text()?);
        for found in found.values_mut() {
            let name = &found.table.name;
            let beside = name.schema.as_ref().is_some_and(|s| s.as_str() == schema);
            // Only then is it looked at as a name: other people's tables are called anything.
            if beside && is_copy(name.table.as_str(), &candidate) {
                found.table.copies.push(table_name(&schema, &candidate)?);
            }
        }
    }
    Ok(())
}

async fn references(tx: &mut Tx, oids: &Oids) -> Result<Vec<Reference>, Fault> {
    let mut references = Vec::new();
    for mut a in oids.ask(tx, text::REFERENCES).await? {
        let name = a.shown()?;
        let from = table_name(&a.text()?, &a.text()?)?;
        let to = table_name(&a.text()?, &a.text()?)?;
        let from_columns: Vec<String> = a.json()?;
        let to_columns: Vec<String> = a.json()?;
        let on_delete = match a.text()?.as_str() {
            "c" => OnDelete::Cascade,
            "n" => OnDelete::SetNull,
            "d" => OnDelete::SetDefault,
            _ => OnDelete::Refuse,
        };
        let on_update_acts = !matches!(a.text()?.as_str(), "a" | "r");
        references.push(Reference {
            name,
            from,
            from_columns: idents(&from_columns)?,
            to,
            to_columns: idents(&to_columns)?,
            on_delete,
            on_update_acts,
            enforced: a.yes()?,
            deferrable: a.yes()?,
            nullable: a.yes()?,
            indexed: a.yes()?,
        });
    }
    Ok(references)
}
