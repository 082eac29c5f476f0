//! Which rules change what hangs on their rows by the lock of these, and which by their keys.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalog::{Catalog, ColumnKind, Index, Reference};
use crate::plan::duty::tests::policy;
use crate::plan::{Draft, Intent, RuleDraft, Setting};
use crate::propose::tests::{catalog, name, reference, table};
use crate::run::Form;

fn ident(text: &str) -> crate::name::Ident {
    text.parse().unwrap()
}

/// Parents with children by the first column, and grandchildren of these.
fn family() -> (Catalog, Vec<Reference>) {
    let references = vec![
        reference("children", "people", 0),
        reference("children", "people", 1),
        reference("toys", "children", 0),
    ];
    let tables = ["people", "children", "toys"].map(|text| table(text, &["left_at"], 10));
    let mut all = catalog(tables.into(), references.clone());
    for table in all.tables.values_mut() {
        for reference in references.iter().filter(|r| r.from == table.name) {
            let columns = reference.from_columns.clone();
            table.indexes.push(Index {
                name: format!("{}_index", reference.name),
                compares: columns.clone(),
                columns,
                unique: false,
                ..table.indexes[0].clone()
            });
        }
    }
    (all, references)
}

fn entry(from: &str, to: &str, column: &str, action: &str) -> Value {
    json!({
        "table": format!("public.{from}"), "of": format!("public.{to}"),
        "match": [{"column": column, "equals": "id"}], "action": {"type": action},
    })
}

fn rule(catalog: &Catalog, related: &[Value]) -> RuleDraft {
    let none = json!([]);
    let policy = policy(&json!({"related": related}), &none, &none);
    let setting = Setting {
        spec: &Value::Null,
        ledger: &ident("oubliette"),
        intent: Intent::DryRun,
        as_of: Timestamp::UNIX_EPOCH,
    };
    let mut draft = Draft::of(&policy, catalog, &setting).unwrap();
    draft.rules.remove(0)
}

fn statements(catalog: &Catalog, related: &[Value]) -> Vec<String> {
    rule(catalog, related).shown()
}

#[test]
fn what_hangs_on_locked_rows_goes_by_their_lock_where_that_is_safe() {
    let first = || entry("children", "people", "people_0", "Delete");
    let detach = |column: &str| entry("children", "people", column, "Detach");
    let one = |change: &dyn Fn(&mut Catalog)| {
        let (mut catalog, _) = family();
        catalog.references.truncate(1);
        change(&mut catalog);
        catalog
    };
    let two = |names: [&str; 2]| {
        let (mut catalog, references) = family();
        let wanted = |r: &Reference| names.contains(&r.from_columns[0].as_str());
        catalog.references = references.into_iter().filter(wanted).collect();
        catalog
    };
    let children = name("children");
    for (what, catalog, related, expected) in [
        ("a reference", one(&|_| ()), vec![first()], true),
        ("what stays", one(&|_| ()), vec![detach("people_0")], true),
        (
            "one that the database does not check: a row may come late",
            one(&|catalog| catalog.references[0].enforced = false),
            vec![first()],
            false,
        ),
        (
            "no index: each join would read the table",
            one(&|catalog| {
                let table = catalog.tables.get_mut(&children).unwrap();
                table.indexes.truncate(1);
            }),
            vec![first()],
            false,
        ),
        (
            "two that stay: the second change of a row checks all of its references",
            two(["people_0", "people_1"]),
            vec![detach("people_0"), detach("people_1")],
            false,
        ),
        (
            "two ways to a row: it is told apart by its key",
            two(["people_0", "people_1"]),
            vec![first(), entry("children", "people", "people_1", "Delete")],
            false,
        ),
        (
            "rows further down",
            two(["people_0", "children_0"]),
            vec![first(), entry("toys", "children", "children_0", "Delete")],
            false,
        ),
    ] {
        let shown = statements(&catalog, &related);
        let by_lock = shown.iter().any(|text| text.contains("xmax"));
        assert_eq!(by_lock, expected, "{what}: {shown:#?}");
    }
}

#[test]
fn a_batch_that_names_its_rows_goes_by_them() {
    let (mut catalog, references) = family();
    catalog.references = references.into_iter().take(1).collect();
    let related = entry("children", "people", "people_0", "Delete");
    let rule = rule(&catalog, &[related]);
    let forms = [Form::Window, Form::SkipLocked, Form::Keys];
    assert_eq!(forms.map(|form| rule.locks_in(form)), [true, true, false]);
}

#[test]
fn a_trigger_might_write_to_a_locked_row_and_hide_its_lock() {
    let (mut catalog, references) = family();
    catalog.references = references.into_iter().take(1).collect();
    let related = entry("children", "people", "people_0", "Delete");
    let mut rule = rule(&catalog, &[related]);
    assert!(rule.goes_by_lock());
    rule.triggered = true;
    assert!(!rule.goes_by_lock());
}

#[test]
fn texts_are_compared_by_their_values_alone() {
    let (mut catalog, references) = family();
    catalog.references = references.into_iter().take(1).collect();
    for (table, text) in [("people", "id"), ("children", "people_0")] {
        let mut columns = catalog
            .tables
            .get_mut(&name(table))
            .unwrap()
            .columns
            .iter_mut();
        let key = columns.find(|column| column.name == ident(text)).unwrap();
        key.kind = ColumnKind::Text;
    }
    let related = entry("children", "people", "people_0", "Delete");
    let shown = statements(&catalog, &[related]);
    assert!(
        !shown.iter().any(|text| text.contains("xmax")),
        "{shown:#?}"
    );
}

#[test]
fn by_lock_a_statement_counts_and_one_changes_what_hangs_on_the_rows() {
    let (mut catalog, references) = family();
    catalog.references = references.into_iter().take(1).collect();
    let related = entry("children", "people", "people_0", "Delete");
    insta::assert_yaml_snapshot!(statements(&catalog, &[related]));
}
