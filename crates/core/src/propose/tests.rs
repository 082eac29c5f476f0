use std::collections::BTreeMap;

use super::*;
use crate::catalog::{Bounds, Engine, Index, OnDelete, Privileges, TableKind, Trigger};

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

pub(crate) fn name(table: &str) -> TableName {
    TableName::qualified(ident("public"), ident(table))
}

pub(crate) fn column(text: &str, kind: ColumnKind) -> Column {
    Column {
        name: ident(text),
        kind,
        type_name: "t".to_owned(),
        cast: "t".to_owned(),
        nullable: text.ends_with("_at"),
        max_length: None,
        bounds: Bounds::None,
        generated: false,
        identity_always: false,
        on_update_now: false,
        charset: None,
        collation: None,
        nondeterministic: false,
        folded: false,
    }
}

/// A table with the key `id`, these dates, and so many rows.
pub(crate) fn table(text: &str, dates: &[&str], estimated_rows: u64) -> Table {
    let mut columns = vec![column("id", ColumnKind::Int)];
    columns.extend(dates.iter().map(|date| column(date, ColumnKind::Instant)));
    Table {
        name: name(text),
        kind: TableKind::Ordinary,
        storage_engine: None,
        columns,
        primary_key: vec![ident("id")],
        indexes: vec![Index {
            name: format!("{text}_pkey"),
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
        estimated_rows,
    }
}

pub(crate) fn reference(from: &str, to: &str, number: usize) -> Reference {
    Reference {
        name: format!("{from}_{to}_{number}"),
        from: name(from),
        from_columns: vec![ident(&format!("{to}_{number}"))],
        to: name(to),
        to_columns: vec![ident("id")],
        on_delete: OnDelete::Refuse,
        on_update_acts: false,
        enforced: true,
        deferrable: false,
        nullable: true,
        indexed: true,
    }
}

pub(crate) fn catalog(tables: Vec<Table>, references: Vec<Reference>) -> Catalog {
    let mut tables: BTreeMap<TableName, Table> =
        tables.into_iter().map(|t| (t.name.clone(), t)).collect();
    for reference in &references {
        let own = tables.get_mut(&reference.from).unwrap();
        let columns = reference.from_columns.iter();
        own.columns.extend(columns.map(|name| Column {
            nullable: reference.nullable,
            ..column(name.as_str(), ColumnKind::Int)
        }));
    }
    let may = |table: &Table| Privileges {
        select: true,
        delete: false,
        insert: false,
        update: table
            .columns
            .iter()
            .take(0)
            .map(|c| c.name.clone())
            .collect(),
    };
    Catalog {
        engine: Engine::Postgres,
        version: "18.0".to_owned(),
        privileges: tables
            .iter()
            .map(|(name, t)| (name.clone(), may(t)))
            .collect(),
        tables,
        references,
        missing: Vec::new(),
        readers: BTreeMap::new(),
        sees_references: true,
        sees_triggers: true,
        database: "crm".to_owned(),
        user: "reader".to_owned(),
    }
}

fn proposed(catalog: &Catalog, most: usize) -> Proposal<'_> {
    let wanted: Vec<TableName> = catalog.tables.keys().cloned().collect();
    let ledger = ident("oubliette");
    Proposal::of(catalog, &wanted, &ledger, most, Timestamp::UNIX_EPOCH)
}

fn names(tables: &[&Table]) -> Vec<String> {
    tables.iter().map(|table| table.name.to_string()).collect()
}

#[test]
fn the_largest_tables_with_a_date_are_proposed_with_every_reference_to_them() {
    let catalog = catalog(
        vec![
            table(
                "enquiries",
                &["updated_at", "enquired_at", "birth_date", "closed_at"],
                10,
            ),
            table("notes", &["noted_at"], 500),
            table("attachments", &[], 9),
            table("countries", &[], 200),
            table("old", &["made_at"], 1),
        ],
        vec![
            reference("notes", "enquiries", 1),
            // The same columns once more.
            reference("notes", "enquiries", 1),
            reference("attachments", "notes", 1),
        ],
    );
    let proposal = proposed(&catalog, 2);
    let rules: Vec<_> = proposal
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(rules, ["notes", "enquiries"]);
    let enquiries = &proposal.rules[1];
    // What ended counts before what began, and what moves with each change comes last.
    assert_eq!(enquiries.clock.name.as_str(), "closed_at");
    let others: Vec<_> = enquiries.others.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(others, ["enquired_at", "updated_at"]);
    let related: Vec<_> = enquiries
        .related
        .iter()
        .map(|r| r.0.name.as_str())
        .collect();
    assert_eq!(related, ["notes_enquiries_1", "attachments_notes_1"]);
    assert_eq!(names(&proposal.beyond), ["public.old"]);
    assert_eq!(
        names(&proposal.undated),
        ["public.countries", "public.attachments"]
    );
}

#[test]
fn what_a_plan_would_refuse_is_not_proposed_and_says_why() {
    let mut triggered = table("triggered", &["made_at"], 3);
    triggered.triggers.push(Trigger {
        name: "audit".to_owned(),
        on_delete: true,
        on_update: false,
        definition: crate::digest::Digest::of_bytes(b"audit"),
        foreign: false,
        each_row: true,
    });
    let mut keyless = table("keyless", &["made_at"], 2);
    keyless.primary_key.clear();
    keyless.indexes.clear();
    let catalog = catalog(vec![triggered, keyless], Vec::new());
    let proposal = proposed(&catalog, 10);
    assert!(proposal.rules.is_empty());
    let reasons: Vec<_> = proposal.refused.iter().map(|(_, r)| r.reason).collect();
    assert_eq!(reasons, [Reason::TriggerPresent, Reason::NoUsableKey]);
}

#[test]
fn a_circle_of_references_is_let_go_of_where_it_may_be_null() {
    let mut parent = reference("tree", "tree", 1);
    parent.nullable = false;
    let catalog = catalog(
        vec![
            table("tree", &["made_at"], 3),
            table("stores", &["made_at"], 2),
            table("staff", &[], 1),
        ],
        vec![
            parent,
            reference("staff", "stores", 1),
            reference("stores", "staff", 1),
        ],
    );
    let proposal = proposed(&catalog, 10);
    let entries = |rule: &Proposed<'_>| -> Vec<_> {
        let related = rule.related.iter();
        related
            .map(|(reference, closes)| crate::plan::entry(reference, *closes))
            .collect()
    };
    let [tree, stores] = proposal.rules.as_slice() else {
        panic!("{proposal:?}");
    };
    assert!(entries(tree)[0].contains("{type: Delete}   # the rows go"));
    let stores = entries(stores);
    assert!(stores[0].contains("of: public.stores") && stores[0].contains("{type: Delete}"));
    assert!(stores[1].contains("of: public.staff"), "{stores:?}");
    assert!(stores[1].contains("action: {type: Detach}"), "{stores:?}");
}

#[test]
fn a_web_of_references_is_refused_at_once_instead_of_walked() {
    // Four ways from each table to the next: more ways than anybody could follow.
    let tables = (0..20)
        .map(|i| table(&format!("t{i}"), &["made_at"], 1))
        .collect();
    let links = (1..20)
        .flat_map(|i| (0..4).map(move |n| reference(&format!("t{i}"), &format!("t{}", i - 1), n)));
    let catalog = catalog(tables, links.collect());
    let proposal = proposed(&catalog, 64);
    let rules: Vec<_> = proposal
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    // Those at the end, on which little hangs.
    assert_eq!(rules, ["t17", "t18", "t19"]);
    assert_eq!(proposal.refused.len(), 17);
    assert!(
        proposal
            .refused
            .iter()
            .all(|(_, r)| r.reason == Reason::ReferenceUndecided)
    );
}

#[test]
fn a_ledger_is_nobodys_promise() {
    let mut run = table("run", &[], 5);
    run.name = TableName::qualified(ident("oubliette"), ident("run"));
    for text in [
        "policy_uid",
        "policy",
        "plan",
        "as_of",
        "epoch",
        "state",
        "started_at",
        "steps",
        "report",
    ] {
        run.columns.push(column(text, ColumnKind::Text));
    }
    let catalog = catalog(vec![run], Vec::new());
    let proposal = proposed(&catalog, 10);
    assert!(
        proposal.rules.is_empty() && proposal.undated.is_empty(),
        "{proposal:?}"
    );
}

#[test]
fn names_of_rules_are_valid_and_each_its_own() {
    let mut taken = BTreeSet::new();
    let long = "x".repeat(64);
    for (table, rule) in [
        ("Order Lines", "order-lines"),
        ("order_lines", "order-lines-2"),
        ("__", "table"),
        ("größe", "gr-e"),
        (long.as_str(), &"x".repeat(59)),
    ] {
        assert_eq!(unique(table, &mut taken), rule);
    }
}
