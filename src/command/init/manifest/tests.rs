use oubliette_core::catalog::{Bounds, Engine, OnDelete, Privileges, Reference, TableKind};
use oubliette_core::name::TableName;
use serde_json::json;

use super::*;
use crate::command::columns::WIDTH;
use crate::inputs::files;

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

fn table(name: &str, columns: &[(&str, ColumnKind)]) -> Table {
    let column = |(name, kind): &(&str, ColumnKind)| Column {
        name: ident(name),
        kind: *kind,
        type_name: "t".to_owned(),
        cast: "t".to_owned(),
        nullable: *name == "enquiry",
        max_length: None,
        bounds: Bounds::None,
        generated: false,
        identity_always: false,
        on_update_now: false,
        charset: None,
        collation: None,
        nondeterministic: false,
        folded: false,
    };
    Table {
        name: TableName::qualified(ident("public"), ident(name)),
        kind: TableKind::Ordinary,
        storage_engine: None,
        columns: columns.iter().map(column).collect(),
        primary_key: vec![ident("id")],
        indexes: vec![Index {
            name: format!("{name}_pkey"),
            columns: vec![ident("id")],
            unique: true,
            partial_or_invalid: false,
            compares: vec![ident("id")],
            reads: Vec::new(),
            nulls_alike: false,
        }],
        triggers: Vec::new(),
        rules: Vec::new(),
        checks: Vec::new(),
        code: Vec::new(),
        row_security: false,
        publications_without_identity: Vec::new(),
        materialised_views: Vec::new(),
        unlogged: false,
        copies: Vec::new(),
        estimated_rows: 1,
    }
}

fn catalog() -> Catalog {
    let mut keyless = table(
        "keyless",
        &[("id", ColumnKind::Int), ("at", ColumnKind::Date)],
    );
    keyless.primary_key.clear();
    keyless.indexes.clear();
    let tables = [
        table(
            "enquiries",
            &[
                ("id", ColumnKind::Int),
                ("enquired_at", ColumnKind::Instant),
                ("updated_at", ColumnKind::Instant),
            ],
        ),
        table(
            "odd\" # name: no",
            &[
                ("id", ColumnKind::Int),
                ("no", ColumnKind::Civil),
                ("enquiry", ColumnKind::Int),
            ],
        ),
        table("countries", &[("id", ColumnKind::Int)]),
        keyless,
    ];
    let select = Privileges {
        select: true,
        ..Privileges::default()
    };
    let tables = tables.map(|table| (table.name.clone(), table));
    Catalog {
        engine: Engine::Postgres,
        version: "18.0".to_owned(),
        privileges: tables
            .iter()
            .map(|(name, _)| (name.clone(), select.clone()))
            .collect(),
        references: vec![Reference {
            name: "of".to_owned(),
            from: tables[1].0.clone(),
            from_columns: vec![ident("enquiry")],
            to: tables[0].0.clone(),
            to_columns: vec![ident("id")],
            on_delete: OnDelete::Cascade,
            on_update_acts: false,
            enforced: true,
            deferrable: false,
            nullable: true,
            indexed: true,
        }],
        tables: tables.into_iter().collect(),
        missing: Vec::new(),
        readers: std::collections::BTreeMap::new(),
        sees_references: true,
        sees_triggers: true,
        database: "CRM 2".to_owned(),
        user: "reader".to_owned(),
    }
}

fn target() -> Target {
    let spec = json!({
        "engine": "PostgreSQL",
        "connection": {
            "host": "crm-rw.crm.svc", "port": 5432, "database": "CRM 2",
            "credentials": {"secretRef": {"name": "x"}},
        },
    });
    Target::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

#[test]
fn a_proposal_is_read_as_it_is_printed_whatever_names_there_are() {
    let (catalog, target) = (catalog(), target());
    let wanted: Vec<TableName> = catalog.tables.keys().cloned().collect();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let proposal = Proposal::of(&catalog, &wanted, &target.ledger, 5, now);
    let counted = Extent::Counted {
        rows: 12_345,
        undated: 2,
        since: Some("2019-03".to_owned()),
    };
    let extents = [counted, Extent::About(2_000_000)];
    let page = Page {
        catalog: &catalog,
        target: &target,
        name: None,
        namespace: "no",
        proposal: &proposal,
        extents: &extents,
    };
    let text = page.text();
    insta::assert_snapshot!(text);
    assert!(
        text.lines().all(|line| line.chars().count() <= WIDTH),
        "{text}"
    );
    let manifests = files::read_text("-", &text, "default").unwrap();
    let policy = &manifests.policies[0];
    assert_eq!(
        (policy.name.as_str(), policy.namespace.as_str()),
        ("crm-2", "no")
    );
    let rules = policy.spec.rules.clone().unwrap();
    let odd = wanted
        .iter()
        .find(|name| name.table.as_str().starts_with("odd"))
        .unwrap();
    assert_eq!(rules[1].table.as_deref(), Some(odd.to_string().as_str()));
    let since = rules[1].since.clone().unwrap();
    assert_eq!(since.column.as_deref(), Some("no"));
    let related = rules[0].related.clone().unwrap();
    assert_eq!(related[0].table.as_deref(), Some(odd.to_string().as_str()));
}

#[test]
fn of_the_oldest_date_the_month_is_told_and_no_more() {
    let counted = Counted {
        total: 3,
        eligible: 2,
        clock_null: 1,
        implausible: 0,
        oldest: vec![oubliette_core::value::Value::Text(
            "2019-03-14T15:09:26".to_owned(),
        )],
    };
    assert_eq!(
        Extent::counted(&counted).words(),
        "3 rows, the oldest of 2019-03; 1 row without a date that can be meant"
    );
}
