use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::data_map::DataMapSpec;
use crate::catalog::{Bounds, ColumnKind, Engine, Index, OnDelete, Reference};
use crate::duty::{DataMap, NamedMap};
use crate::people::{Decision, Way};
use crate::plan::{misfits, untreatable};
use crate::policy::Action;
use crate::propose::policy_of;
use crate::propose::tests::{catalog, column, table};
use crate::target::Target;

mod any;

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap()
}

/// A table with the key `id` and columns as they are written: `email text!` is NOT NULL, `email text*`
/// unique, too.
fn with(name: &str, columns: &[&str]) -> Table {
    let mut table = table(name, &[], 1);
    table.columns[0].nullable = false;
    for written in columns {
        let (name, kind) = written.rsplit_once(' ').unwrap();
        let of = |kind: &str| match kind {
            "int" => ColumnKind::Int,
            "date" => ColumnKind::Date,
            "at" => ColumnKind::Instant,
            "json" => ColumnKind::Json,
            "bool" => ColumnKind::Bool,
            _ => ColumnKind::Text,
        };
        let bare = kind.trim_end_matches(['!', '*']);
        let mut found = column(name, of(bare));
        found.nullable = bare == kind;
        bare.clone_into(&mut found.type_name);
        found.max_length = bare
            .strip_prefix("char")
            .map(|length| length.parse().unwrap());
        if kind.ends_with('*') {
            table.indexes.push(unique_index(name));
        }
        table.columns.push(found);
    }
    "int".clone_into(&mut table.columns[0].type_name);
    table
}

fn unique_index(column: &str) -> Index {
    Index {
        name: format!("{column}_key"),
        columns: vec![ident(column)],
        unique: true,
        partial_or_invalid: false,
        compares: vec![ident(column)],
        reads: Vec::new(),
        nulls_alike: false,
    }
}

/// `messages.sender_id -> learners`, whose key it refers to.
fn reference(written: &str) -> Reference {
    let (from, to) = written.split_once(" -> ").unwrap();
    let (from, columns) = from.split_once('.').unwrap();
    Reference {
        name: format!("{from}_{columns}_fkey"),
        from: crate::propose::tests::name(from),
        from_columns: vec![ident(columns)],
        to: crate::propose::tests::name(to),
        to_columns: vec![ident("id")],
        on_delete: OnDelete::Refuse,
        on_update_acts: false,
        enforced: true,
        deferrable: false,
        nullable: true,
        indexed: true,
    }
}

fn school() -> Catalog {
    let tables = vec![
        with(
            "learners",
            &[
                "full_name char40!",
                "email text*",
                "learner_no char12*",
                "phone text",
                "born_on date",
                "mentor_id int",
                "notes text",
            ],
        ),
        with(
            "enrolments",
            &["learner_id int!", "course text", "ended_on date"],
        ),
        with("marks", &["enrolment_id int!", "mark int"]),
        with(
            "messages",
            &[
                "sender_id int",
                "recipient_id int",
                "body text!",
                "learner_email text",
            ],
        ),
        with("attachments", &["message_id int!", "file_name text!"]),
        with("visits", &["learner_id int", "at at"]),
        with("newsletter", &["email text!", "chosen json"]),
        with("certificates", &["learner_no char12", "name text"]),
        with("rooms", &["label text"]),
        with(
            "tutors",
            &["first_name text", "last_name text", "phone text"],
        ),
    ];
    let mut catalog = catalog(tables, Vec::new());
    catalog.references = [
        "enrolments.learner_id -> learners",
        "learners.mentor_id -> learners",
        "marks.enrolment_id -> enrolments",
        "messages.sender_id -> learners",
        "messages.recipient_id -> learners",
        "attachments.message_id -> messages",
    ]
    .map(reference)
    .to_vec();
    catalog
}

fn names(tables: &[&str]) -> Vec<TableName> {
    tables.iter().map(|name| name.parse().unwrap()).collect()
}

fn text_of(catalog: &Catalog, subjects: &[&str]) -> String {
    let ground = Ground::of(catalog);
    let found = Discovery::of(&ground, &names(subjects)).unwrap();
    found.text(None, "crm")
}

pub(super) fn target(engine: Engine) -> Target {
    let (engine, port) = match engine {
        Engine::Postgres => ("PostgreSQL", 5432),
        Engine::MySql | Engine::MariaDb => ("MySQL", 3306),
    };
    let spec = json!({
        "engine": engine,
        "connection": {
            "host": "crm.example.org",
            "port": port,
            "database": "crm",
            "credentials": {"secretRef": {"name": "crm"}},
        },
    });
    Target::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

/// The map that a proposal is, as everybody would read it.
pub(super) fn read(text: &str, engine: Engine) -> DataMap {
    let document: Value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let spec: DataMapSpec = serde_json::from_value(document["spec"].clone()).unwrap();
    DataMap::parse(&spec, &target(engine)).unwrap_or_else(|faults| panic!("{faults:?}\n{text}"))
}

/// Whether the map fits the catalog: nothing is named that is not there, and nothing would be refused
/// of how columns are treated.
pub(super) fn fits(map: &DataMap, catalog: &Catalog) {
    let named = [NamedMap {
        name: "crm/crm".to_owned(),
        map: map.clone(),
    }];
    let refusals = misfits(&named, catalog, Timestamp::UNIX_EPOCH);
    assert!(refusals.is_empty(), "{refusals:?}");
    let there = |table: &TableName, column: &Ident| {
        let table = catalog.table(table).unwrap();
        assert!(table.column(column).is_some(), "{}.{column}", table.name);
    };
    let tables: BTreeMap<&str, &TableName> = map
        .tables
        .iter()
        .map(|entry| (entry.name.as_str(), &entry.table))
        .collect();
    for role in &map.people.roles {
        role.columns().for_each(|column| there(&role.table, column));
    }
    for entry in &map.tables {
        for way in &entry.reached.as_ref().unwrap().ways {
            let (above, pairs) = match way {
                Way::Role(_) => continue,
                Way::Own(identifier) => {
                    there(&entry.table, &identifier.column);
                    continue;
                }
                Way::OfRole(role, pairs) => (&map.people.role(role).unwrap().table, pairs),
                Way::OfEntry(from, pairs) => (tables[from.as_str()], pairs),
            };
            for (own, other) in pairs {
                there(&entry.table, own);
                there(above, other);
            }
        }
        let treatments: Vec<_> = entry.treatments().collect();
        if !treatments.is_empty() {
            let table = catalog.table(&entry.table).unwrap();
            let policy = policy_of(
                &table.name,
                &table.columns[0],
                Action::Anonymise(treatments),
            );
            let refusals = untreatable(&policy, catalog);
            assert!(refusals.is_empty(), "{refusals:?}");
        }
    }
}

fn decision(map: &DataMap, entry: &str) -> Decision {
    let found = map.tables.iter().find(|found| found.name == entry);
    let found = found.unwrap_or_else(|| panic!("no entry {entry}"));
    found.reached.as_ref().unwrap().decision
}

#[test]
fn a_school_is_proposed() {
    let catalog = school();
    let text = text_of(&catalog, &["public.learners"]);
    fits(&read(&text, Engine::Postgres), &catalog);
    insta::assert_snapshot!(text);
}

#[test]
fn rows_of_other_persons_are_never_deleted() {
    let tables = vec![
        with(
            "customers",
            &["first_name text!", "email text!", "rep_id int"],
        ),
        with("invoices", &["customer_id int!", "total int"]),
        with(
            "employees",
            &["last_name text!", "email text!", "boss_id int"],
        ),
    ];
    let mut catalog = catalog(tables, Vec::new());
    catalog.references = [
        "customers.rep_id -> employees",
        "employees.boss_id -> employees",
        "invoices.customer_id -> customers",
    ]
    .map(reference)
    .to_vec();
    let text = text_of(&catalog, &["public.employees", "public.customers"]);
    let map = read(&text, Engine::Postgres);
    fits(&map, &catalog);
    // For the employee, and then for the customer.
    for (entry, wanted) in [
        ("employees", Decision::Anonymise),
        ("customers", Decision::Shared),
        ("invoices", Decision::Shared),
        ("customers-2", Decision::Delete),
        ("invoices-2", Decision::Delete),
    ] {
        assert_eq!(decision(&map, entry), wanted, "{entry}\n{text}");
    }
    // The row lets go of the employee, and keeps what is the customer's.
    assert!(
        text.contains("{column: rep_id, strategy: Nullify}"),
        "{text}"
    );
    let customers = &map.tables[1];
    let treated: Vec<String> = customers
        .treatments()
        .map(|t| t.column.to_string())
        .collect();
    assert_eq!(treated, ["rep_id"], "{text}");
}

#[test]
fn two_addresses_of_a_row_may_be_two_persons() {
    let tables = vec![
        with("people", &["email text*"]),
        with(
            "mails",
            &["from_email text!", "to_email text!", "body text"],
        ),
        with("staff", &["email text!", "surname text!"]),
    ];
    let catalog = catalog(tables, Vec::new());
    let text = text_of(&catalog, &["public.people"]);
    let map = read(&text, Engine::Postgres);
    fits(&map, &catalog);
    assert_eq!(decision(&map, "mails"), Decision::Shared, "{text}");
    assert_eq!(decision(&map, "staff"), Decision::Delete, "{text}");
    assert!(text.contains("make it a role of its own"), "{text}");
}

#[test]
fn a_ring_is_broken_where_it_closes() {
    let tables = vec![
        with("people", &["email text*", "last_order int"]),
        with("orders", &["person int", "parcel int"]),
        with("parcels", &["sent_with int"]),
    ];
    let mut catalog = catalog(tables, Vec::new());
    catalog.references = [
        "orders.person -> people",
        "parcels.sent_with -> orders",
        "orders.parcel -> parcels",
        "people.last_order -> orders",
    ]
    .map(reference)
    .to_vec();
    let text = text_of(&catalog, &["public.people"]);
    let map = read(&text, Engine::Postgres);
    fits(&map, &catalog);
    assert_eq!(map.tables.len(), 3, "{text}");
    // People may share what they refer to, as a department.
    assert_eq!(decision(&map, "orders"), Decision::Anonymise, "{text}");
    for closed in ["people (last_order)", "orders (parcel)"] {
        let note = format!("public.{closed} refers to this table and closes a ring");
        assert!(text.contains(&note), "{note}\n{text}");
    }
}

#[test]
fn what_no_guard_would_take_is_not_proposed() {
    let mut people = with(
        "people",
        &[
            "username char20*",
            "name char3!",
            "sex bool!",
            "email char40*",
        ],
    );
    people.columns[4].bounds = Bounds::None;
    let tables = vec![people, with("notes", &["person_id int!", "next_id int"])];
    let mut catalog = catalog(tables, Vec::new());
    catalog.references = vec![
        reference("people.id -> notes"),
        reference("notes.person_id -> people"),
    ];
    let text = text_of(&catalog, &["public.people"]);
    fits(&read(&text, Engine::Postgres), &catalog);
}

#[test]
fn who_names_no_table_of_persons_is_told_which_look_like_one() {
    let catalog = school();
    let ground = Ground::of(&catalog);
    let refused = |tables: &[&str]| Discovery::of(&ground, &names(tables)).unwrap_err();
    let told = refused(&[]).to_string();
    assert!(
        told.contains("--subject-table; these look personal: public.learners, "),
        "{told}"
    );
    assert!(!told.contains("rooms"), "{told}");
    let told = refused(&["public.nobody"]).to_string();
    assert!(
        told.contains("public.nobody: there is no such table in database crm"),
        "{told}"
    );
    let mut empty = with("empty", &[]);
    empty.columns[0].kind = ColumnKind::Date;
    let catalog = crate::propose::tests::catalog(vec![empty], Vec::new());
    let ground = Ground::of(&catalog);
    let told = Discovery::of(&ground, &names(&["public.empty"])).unwrap_err();
    assert!(matches!(told, Undiscovered::Nobody(..)), "{told}");
}

#[test]
fn what_is_too_much_for_a_map_is_said() {
    let mut tables = vec![with("people", &["email text*"])];
    let mut references = Vec::new();
    for number in 0..70 {
        tables.push(with(&format!("t{number}"), &["person int"]));
        references.push(reference(&format!("t{number}.person -> people")));
    }
    let many: Vec<String> = (0..10).map(|n| format!("person{n} int")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    tables.push(with("a_many", &many));
    references.extend((0..10).map(|n| reference(&format!("a_many.person{n} -> people"))));
    let wide: Vec<String> = (0..100).map(|n| format!("c{n} int")).collect();
    let mut wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    wide.extend(["notes text", "one int", "other int"]);
    tables.push(with("a_wide", &wide));
    references.extend(["a_wide.one -> people", "a_wide.other -> people"].map(reference));
    let mut catalog = catalog(tables, Vec::new());
    catalog.references = references;
    let text = text_of(&catalog, &["public.people"]);
    let map = read(&text, Engine::Postgres);
    fits(&map, &catalog);
    assert_eq!(map.tables.len(), MAX_TABLES);
    for words in [
        "a map has no room for more tables",
        "#   public.t9",
        "More ways than an entry takes: person8",
        "TO DO: 40 more columns",
        "column: notes, review: Human",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}
