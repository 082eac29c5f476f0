//! Where sealed rows go: the table must be there, take the rows as they are, and be closed to others.

use super::Refusal;
use super::draft::View;
use super::guard;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, Engine, Reader, Readers, Table, TableKind};
use crate::grants;
use crate::name::{Ident, TableName};
use crate::policy::{Rule, Seal};
use crate::sql::{SEALED_AT, SEALED_BY, SealSql, WindowSql, Writer, counted, dialect};

/// How rows of a table are sealed; `None`: they are not, or there is a refusal.
pub(super) fn sealed(
    view: View<'_>,
    rule: &Rule,
    source: &Table,
    refusals: &mut Vec<Refusal>,
) -> Option<SealSql> {
    let seal = rule.seal.as_ref()?;
    let catalog = view.catalog;
    let place = seal.of(&source.name);
    let (Ok(at), Ok(by)) = (Ident::new(SEALED_AT), Ident::new(SEALED_BY)) else {
        return None;
    };
    let stamps = [at, by];
    let refuse = |reason, message: String| Refusal::of(&rule.name, reason, message);
    let Some(target) = catalog.tables.get(&place) else {
        let message = format!(
            "rows of {} are to be sealed in {place}, which does not exist, or {} may not see it",
            source.name, catalog.user
        );
        let refusal = refuse(Reason::SealTargetUnfit, message);
        refusals.push(refusal.remedy(create(catalog, seal, source, &stamps)));
        return None;
    };
    let mut unfit = unfit(catalog.engine, source, target, &stamps);
    unfit.extend(exposed(catalog, seal, target));
    if !unfit.is_empty() {
        let message = format!(
            "{} cannot take the rows of {} as they are: {}",
            target.name,
            source.name,
            unfit.join("; ")
        );
        let refusal = refuse(Reason::SealTargetUnfit, message);
        let missing = |column: &&Column| target.column(&column.name).is_none();
        let missing: Vec<&Column> = source.columns.iter().filter(missing).collect();
        // The table is there: what makes one would fail.
        let only_missing = !missing.is_empty() && missing.len() == unfit.len();
        let spelt = |column: &&Column| column.charset.is_some() || column.collation.is_none();
        let remedy = if !only_missing || !missing.iter().all(spelt) {
            let made = create(catalog, seal, source, &stamps);
            format!("change it, or drop it where it has no rows; one that fits is made by:\n{made}")
        } else {
            add(catalog.engine, &target.name, &missing)
        };
        refusals.push(refusal.remedy(remedy));
        return None;
    }
    refusals.extend(locked_down(catalog, rule, seal, &target.name));
    let (key, index) = guard::usable_key(rule, target)
        .map_err(|refusal| refusals.push(refusal))
        .ok()?;
    Some(SealSql {
        window: WindowSql {
            engine: catalog.engine,
            table: target.name.clone(),
            with_leaves: target.has_leaves(),
            key,
            index,
            among: None,
        },
        stamps,
        columns: copied(source, target).cloned().collect(),
        overriding: target.columns.iter().any(|column| column.identity_always),
        counted: counted(catalog.engine, target),
    })
}

/// The columns that are copied: what the sealed table computes itself is not.
fn copied<'t>(source: &'t Table, target: &'t Table) -> impl Iterator<Item = &'t Column> {
    let computed = |column: &&Column| target.column(&column.name).is_some_and(|to| to.generated);
    source
        .columns
        .iter()
        .filter(move |column| !computed(column))
}

/// What of the sealed table does not fit.
fn unfit(engine: Engine, source: &Table, target: &Table, stamps: &[Ident; 2]) -> Vec<String> {
    let mut unfit = Vec::new();
    for column in &source.columns {
        let name = &column.name;
        if stamps.contains(name) {
            unfit.push(format!("the rows have a column {name} of their own"));
            continue;
        }
        let Some(to) = target.column(name) else {
            unfit.push(format!("it has no column {name} ({})", described(column)));
            continue;
        };
        if described(column) != described(to) {
            unfit.push(format!(
                "{name} is {}, and must be {}",
                described(to),
                described(column)
            ));
        }
        if column.nullable && !to.nullable {
            unfit.push(format!("{name} is NOT NULL, and rows may have none"));
        }
        if to.generated && !column.generated {
            unfit.push(format!(
                "{name} is generated, and the rows have values of it"
            ));
        }
    }
    for (name, type_name) in stamps.iter().zip(stamp_types(engine)) {
        match target.column(name) {
            None => unfit.push(format!("it has no column {name} ({type_name})")),
            Some(to) if to.type_name != type_name || to.generated => {
                unfit.push(format!(
                    "{name} is {}, and must be {type_name}",
                    to.type_name
                ));
            }
            Some(_) => {}
        }
    }
    for column in &target.columns {
        let known = source.column(&column.name).is_some() || stamps.contains(&column.name);
        if !known && !column.nullable && !column.generated {
            unfit.push(format!(
                "{} is NOT NULL, and the rows have none",
                column.name
            ));
        }
    }
    unfit
}

/// Why rows would not stay where they are sealed, or be read by way of another table.
fn exposed(catalog: &Catalog, seal: &Seal, target: &Table) -> Vec<String> {
    let mut exposed = Vec::new();
    if let TableKind::Partition { of } = &target.kind {
        exposed.push(format!("whoever may read {of} reads it as a partition"));
    }
    let parents = catalog.tables.values().filter(|table| {
        matches!(&table.kind, TableKind::InheritanceParent { children } if children.contains(&target.name))
    });
    exposed.extend(parents.map(|parent| {
        let parent = &parent.name;
        format!("it inherits from {parent}, and whoever may read {parent} reads it, too")
    }));
    let leaves: &[TableName] = match &target.kind {
        TableKind::Partitioned { leaves } => leaves,
        _ => &[],
    };
    let outside = leaves
        .iter()
        .filter(|leaf| leaf.schema.as_ref() != Some(&seal.schema));
    exposed.extend(outside.map(|leaf| format!("its partition {leaf} is not in {}", seal.schema)));
    let parts = leaves.iter().filter_map(|leaf| catalog.tables.get(leaf));
    let unlogged = std::iter::once(target)
        .chain(parts)
        .filter(|table| table.unlogged);
    exposed.extend(unlogged.map(|table| {
        format!(
            "{} is UNLOGGED, and a crash would empty it: ALTER TABLE … SET LOGGED",
            table.name
        )
    }));
    exposed
}

fn described(column: &Column) -> String {
    match (&column.charset, &column.collation) {
        (Some(charset), Some(collation)) => {
            format!("{} {charset} {collation}", column.type_name)
        }
        (_, Some(collation)) => format!("{} {collation}", column.type_name),
        (_, None) => column.type_name.clone(),
    }
}

/// The types of `sealed_at` and `sealed_by`, as the catalogs spell them.
fn stamp_types(engine: Engine) -> [&'static str; 2] {
    if engine == Engine::Postgres {
        ["timestamp with time zone", "text"]
    } else {
        ["datetime(6)", "varchar(400)"]
    }
}

/// The statement that adds columns to a sealed table. Rows that are there have none of their values.
fn add(engine: Engine, table: &TableName, columns: &[&Column]) -> String {
    let written = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut w = Writer::new(dialect(engine));
        write(&mut w);
        w.finish().sql.text().to_owned()
    };
    let columns = columns.iter().map(|column| {
        let name = written(&|w| {
            w.ident(&column.name);
        });
        let text = match (&column.charset, &column.collation) {
            (Some(charset), Some(collation)) => {
                format!(" CHARACTER SET {charset} COLLATE {collation}")
            }
            _ => String::new(),
        };
        format!("ADD COLUMN {name} {}{text}", column.type_name)
    });
    let table = written(&|w| {
        w.table(table);
    });
    let columns: Vec<String> = columns.collect();
    format!("ALTER TABLE {table} {};", columns.join(", "))
}

/// The statements that make a sealed table, and give its use to the connected user.
fn create(catalog: &Catalog, seal: &Seal, source: &Table, stamps: &[Ident; 2]) -> String {
    let engine = catalog.engine;
    let place = seal.of(&source.name);
    let written = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut w = Writer::new(dialect(engine));
        write(&mut w);
        w.finish().sql.text().to_owned()
    };
    let quoted = |name: &Ident| {
        written(&|w| {
            w.ident(name);
        })
    };
    let mut parts: Vec<String> = if engine == Engine::Postgres {
        vec![written(&|w| {
            w.sql("LIKE ").table(&source.name);
        })]
    } else {
        let column = |column: &Column| {
            let text = match (&column.charset, &column.collation) {
                (Some(charset), Some(collation)) => {
                    format!(" CHARACTER SET {charset} COLLATE {collation}")
                }
                _ => String::new(),
            };
            let null = if column.nullable { "NULL" } else { "NOT NULL" };
            format!("{} {}{text} {null}", quoted(&column.name), column.type_name)
        };
        source.columns.iter().map(column).collect()
    };
    let stamp = |(name, type_name): (&Ident, &str)| format!("{name} {type_name} NOT NULL");
    parts.extend(stamps.iter().zip(stamp_types(engine)).map(stamp));
    let mut unique = source.indexes.iter().filter(|index| index.unique);
    let key = match source.primary_key.as_slice() {
        [] => unique.find(|index| !index.partial_or_invalid),
        _ => None,
    };
    let key = key.map_or(&source.primary_key, |index| &index.columns);
    let key: Vec<String> = key.iter().map(quoted).collect();
    parts.push(format!("PRIMARY KEY ({}, {})", key.join(", "), stamps[0]));
    let schema = quoted(&seal.schema);
    let table = written(&|w| {
        w.table(&place);
    });
    let storage = if engine.is_innodb() {
        " ENGINE=InnoDB"
    } else {
        ""
    };
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};\nCREATE TABLE {table} ({}){storage};\n{}",
        parts.join(", "),
        grants::for_sealed(engine, &place, &catalog.user).join("\n")
    )
}

/// Refuses a sealed table that others may read.
fn locked_down(catalog: &Catalog, rule: &Rule, seal: &Seal, table: &TableName) -> Option<Refusal> {
    let (found, acting) = match catalog.readers.get(table) {
        Some(Readers::Known { others, acting }) => (others, acting),
        Some(Readers::Hidden) | None => {
            let message = format!(
                "user {} cannot see who may read {table}, where rows are sealed",
                catalog.user
            );
            let remedy = grants::seeing_readers(&catalog.user).join("\n");
            return Some(Refusal::of(&rule.name, Reason::MissingGrants, message).remedy(remedy));
        }
    };
    if !acting.is_empty() {
        let message = format!(
            "{table}, where rows are sealed, has what acts on rows that are added, with the privileges \
             of {}, and could change them or carry them elsewhere: {}; drop it",
            catalog.user,
            acting.join(", ")
        );
        return Some(Refusal::of(&rule.name, Reason::SealTargetUnfit, message));
    }
    let engine = catalog.engine;
    let named = |reader: &&Reader| {
        let mut readers = seal.readers.iter();
        readers.any(|name| match engine {
            Engine::Postgres => *name == reader.name,
            _ => grants::account(engine, name) == reader.name || format!("`{name}`") == reader.name,
        })
    };
    let others: Vec<&Reader> = found.iter().filter(|reader| !named(reader)).collect();
    let first = others.first()?;
    let mut names: Vec<&str> = others.iter().map(|reader| reader.name.as_str()).collect();
    names.dedup();
    let message = format!(
        "{table}, where rows are sealed, can be read or changed by {}",
        names.join(", ")
    );
    let remedy = if engine == Engine::Postgres {
        revoke_postgres(seal, &names)
    } else {
        let revoke = |reader: &&Reader| {
            // What is granted for columns goes with all of the table's privileges only.
            let what = if reader.on == "*.*" {
                "SELECT, UPDATE, DELETE"
            } else {
                "ALL PRIVILEGES"
            };
            format!("REVOKE {what} ON {} FROM {};", reader.on, reader.name)
        };
        others.iter().map(revoke).collect::<Vec<_>>().join("\n")
    };
    let remedy = format!(
        "{remedy}\n-- or, where somebody is meant to read it, in the spec of the TargetDatabase: \
         seal: {{schema: {}, readers: [{}]}}",
        seal.schema, first.name
    );
    Some(Refusal::of(&rule.name, Reason::SealedReadable, message).remedy(remedy))
}

/// A role may also read by way of another one that it is a member of: then that one is named, too.
fn revoke_postgres(seal: &Seal, names: &[&str]) -> String {
    let d = dialect(Engine::Postgres);
    let quoted = names.iter().map(|name| {
        let mut text = String::new();
        match *name {
            "PUBLIC" => text.push_str(name),
            name => d.quote(&mut text, name),
        }
        text
    });
    let from = quoted.collect::<Vec<_>>().join(", ");
    let mut schema = String::new();
    d.quote(&mut schema, seal.schema.as_str());
    format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {from};\n\
         REVOKE ALL ON SCHEMA {schema} FROM {from};"
    )
}
