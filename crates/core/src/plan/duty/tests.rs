//! Rules under duties: which steps they become, what those transform, and what is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::catalog::{Bounds, Column, ColumnKind, Engine, Index};
use crate::duty::DataMap;
use crate::erasure::Scope;
use crate::erasure::find::Known;
use crate::erasure::lower::{self, Person};
use crate::hold::{Hold, HoldOperator, HoldTest};
use crate::plan::parts::statements;
use crate::plan::{Draft, InForce, Intent, Setting};
use crate::policy::Policy;
use crate::propose::tests::{catalog as of_tables, column, reference, table};
use crate::sql::SealSql;
use crate::target::Target;

const AS_OF: &str = "2026-03-10T12:00:00Z";

fn text(name: &str) -> Column {
    Column {
        nullable: true,
        bounds: Bounds::None,
        ..column(name, ColumnKind::Text)
    }
}

/// `people` with two dates and four texts.
fn catalog() -> Catalog {
    let mut people = table("people", &["left_at", "paid_at"], 10);
    people
        .columns
        .extend(["name", "mail", "note", "state"].map(text));
    of_tables(vec![people], Vec::new())
}

fn as_of() -> Timestamp {
    AS_OF.parse().unwrap()
}

/// A policy of one rule about `people`, with what `rule` says of it.
pub(crate) fn policy(rule: &Value, duties: &Value, columns: &Value) -> Policy {
    let target = json!({
        "engine": "PostgreSQL",
        "connection": {"host": "h", "database": "crm", "credentials": {"secretRef": {"name": "s"}}},
    });
    let target = Target::parse(&serde_json::from_value(target).unwrap()).unwrap();
    let mut full = json!({
        "name": "people", "basis": "a promise", "table": "public.people",
        "expireAfter": "P1Y", "since": {"column": "left_at"}, "action": {"type": "Delete"},
    });
    for (field, value) in rule.as_object().unwrap() {
        full[field] = value.clone();
    }
    let spec = json!({
        "databaseRef": {"name": "crm"}, "schedule": "0 3 * * *", "timeZone": "Europe/London",
        "rules": [full],
    });
    let mut policy = Policy::parse(&serde_json::from_value(spec).unwrap(), &target).unwrap();
    let map = json!({"databaseRef": {"name": "crm"}, "tables": [{
        "name": "people", "table": "public.people", "columns": columns, "mustKeep": duties,
    }]});
    let map = DataMap::parse(&serde_json::from_value(map).unwrap(), &target).unwrap();
    if duties.as_array().is_some_and(|duties| !duties.is_empty()) {
        policy.maps = vec![NamedMap {
            name: "crm/map".to_owned(),
            map,
        }];
    }
    policy
}

fn duty(columns: &[&str], column: &str, plus: &str) -> Value {
    let mut duty = json!({
        "until": {"latestOf": [{"column": column, "plus": plus}]},
        "against": ["Expiry"], "law": "a law",
    });
    if !columns.is_empty() {
        duty["columns"] = json!(columns);
    }
    duty
}

fn treated(names: &[&str]) -> Value {
    let each = names.iter();
    let each = each.map(|name| json!({"column": name, "strategy": "Nullify"}));
    each.collect()
}

fn ledger() -> Ident {
    "oubliette".parse().unwrap()
}

fn draft(rule: &Value, duties: &Value, columns: &Value) -> Result<Draft, Vec<Refusal>> {
    let setting = Setting {
        spec: &Value::Null,
        ledger: &ledger(),
        intent: Intent::DryRun,
        as_of: as_of(),
    };
    Draft::of(&policy(rule, duties, columns), &catalog(), &setting)
}

/// Each step's name, and the columns that it transforms.
fn steps(draft: &Draft) -> Vec<(String, Vec<String>)> {
    let each = draft.rules.iter().map(|rule| {
        let transforms = match &rule.change.effect {
            Effect::Delete => Vec::new(),
            Effect::Update(transforms, _) => transforms
                .iter()
                .map(|t| t.column.name.to_string())
                .collect(),
        };
        (rule.name.clone(), transforms)
    });
    each.collect()
}

#[test]
fn a_rule_is_split_by_what_duties_keep() {
    let none = json!({});
    let where_state = json!({"where": [{"column": "state", "operator": "In", "values": ["x"]}]});
    let anonymise = json!({"action": {"type": "Anonymise", "columns": treated(&["name", "mail"])}});
    let all = ["name", "mail", "note", "state"];
    for (what, rule, duties, expected) in [
        ("no duty", &none, json!([]), vec![("people", vec![])]),
        (
            "the whole row",
            &none,
            json!([duty(&[], "paid_at", "P6Y")]),
            vec![("people", vec![])],
        ),
        (
            "one column; the dates of rule and duty stay with it",
            &none,
            json!([duty(&["name"], "paid_at", "P6Y")]),
            vec![
                ("people", vec![]),
                ("people (kept)", vec!["mail", "note", "state"]),
            ],
        ),
        (
            "what the rule is judged by stays",
            &where_state,
            json!([duty(&["name"], "paid_at", "P6Y")]),
            vec![("people", vec![]), ("people (kept)", vec!["mail", "note"])],
        ),
        (
            "two duties: each column as long as one of them names it",
            &none,
            json!([
                duty(&["name", "note"], "paid_at", "P6Y"),
                duty(&["mail", "note"], "left_at", "P9Y"),
            ]),
            vec![
                ("people", vec![]),
                ("people (kept)", vec!["state"]),
                ("people (kept 2)", vec!["name"]),
                ("people (kept 3)", vec!["mail"]),
            ],
        ),
        (
            "a transformation leaves out what is kept",
            &anonymise,
            json!([duty(&["mail"], "paid_at", "P6Y")]),
            vec![
                ("people", vec!["name", "mail"]),
                ("people (kept)", vec!["name"]),
            ],
        ),
        (
            "a transformation of other columns is not concerned",
            &anonymise,
            json!([duty(&["note"], "paid_at", "P6Y")]),
            vec![("people", vec!["name", "mail"])],
        ),
    ] {
        let draft = draft(rule, &duties, &treated(&all)).unwrap();
        let expected: Vec<(String, Vec<String>)> = expected
            .into_iter()
            .map(|(name, columns)| {
                let columns = columns.into_iter().map(str::to_owned);
                (name.to_owned(), columns.collect())
            })
            .collect();
        assert_eq!(steps(&draft), expected, "{what}");
        let concerned = !draft.rules[0].count.eligible.kept.is_empty();
        let shown = draft.rules[0].shown().join("\n");
        assert_eq!(shown.contains("COALESCE"), concerned, "{what}: {shown}");
        assert!(
            draft.rules.iter().skip(1).all(|rule| rule.remainder),
            "{what}"
        );
    }
}

#[test]
fn what_nobody_has_decided_or_what_does_not_fit_is_refused() {
    let none = json!({});
    for (what, duties, columns, reason, words) in [
        (
            "a column without a strategy",
            json!([duty(&["name"], "paid_at", "P6Y")]),
            treated(&["mail", "state"]),
            Reason::StrategyMissing,
            "nothing says what happens to note",
        ),
        (
            "an unknown column that is to be kept",
            json!([duty(&["nam"], "paid_at", "P6Y")]),
            treated(&[]),
            Reason::DutiesUnfit,
            "has no column nam",
        ),
        (
            "an unknown column that is treated",
            json!([duty(&[], "paid_at", "P6Y")]),
            treated(&["gone"]),
            Reason::DutiesUnfit,
            "has no column gone",
        ),
        (
            "a date that is none",
            json!([duty(&[], "note", "P6Y")]),
            treated(&[]),
            Reason::DutiesUnfit,
            "until.latestOf",
        ),
    ] {
        let refusals = draft(&none, &duties, &columns).unwrap_err();
        let found = refusals.iter().find(|refusal| refusal.reason == reason);
        let found = found.unwrap_or_else(|| panic!("{what}: {refusals:?}"));
        assert!(found.message.contains(words), "{what}: {}", found.message);
    }
    let refusals = draft(
        &none,
        &json!([duty(&["name"], "paid_at", "P6Y")]),
        &treated(&["mail", "state"]),
    );
    assert_eq!(
        refusals.unwrap_err()[0].remedy.as_deref(),
        Some(
            "in the DataMap crm/map, entry people of tables, write what happens to each, or add it \
             to mustKeep[0].columns:\ncolumns:\n- {column: note, strategy: Nullify}"
        )
    );
}

#[test]
fn a_duty_is_part_of_the_digest_and_a_policy_without_one_has_the_digest_that_it_had() {
    let none = json!({});
    let of = |duties: Value, columns: Value| draft(&none, &duties, &columns).unwrap();
    let plain = of(json!([]), json!([]));
    assert_eq!(plain.parts.duties, None);
    let (whole, longer) = (
        of(json!([duty(&[], "paid_at", "P6Y")]), json!([])),
        of(json!([duty(&[], "paid_at", "P7Y")]), json!([])),
    );
    assert_eq!(whole.parts.statements, longer.parts.statements);
    assert_ne!(whole.parts.duties, longer.parts.duties);
    assert_ne!(whole.digest, longer.digest);
    assert_ne!(whole.digest, plain.digest);
    let mut erasure = duty(&[], "paid_at", "P6Y");
    erasure["against"] = json!(["Erasure"]);
    erasure["ground"] = json!("Art17_3_b");
    let erasure = of(json!([erasure]), json!([]));
    assert_eq!(erasure.digest, plain.digest, "it binds no policy");
}

#[test]
fn on_every_engine_the_digest_is_the_same_whenever_it_is_made() {
    let kept = json!([duty(&[], "paid_at", "P6Y")]);
    let grouped = json!({"action": {
        "type": "Anonymise", "columns": [{"column": "name", "strategy": "Nullify"}],
        "kAnonymity": {"quasiIdentifiers": ["state"], "k": 5, "below": "Leave"},
    }});
    for (rule, duties) in [(json!({}), kept), (grouped, json!([]))] {
        let policy = policy(&rule, &duties, &json!([]));
        let catalog = catalog();
        let [one, other] = [AS_OF, "2027-05-06T07:08:09Z"].map(|as_of| {
            let setting = Setting {
                spec: &Value::Null,
                ledger: &ledger(),
                intent: Intent::DryRun,
                as_of: as_of.parse().unwrap(),
            };
            Draft::of(&policy, &catalog, &setting).unwrap()
        });
        assert_eq!(one.digest, other.digest, "{rule}");
        for engine in [Engine::Postgres, Engine::MySql, Engine::MariaDb] {
            let texts = |draft: &Draft| {
                let rules = draft.rules.iter().cloned().map(|mut rule| {
                    rule.change.window.engine = engine;
                    rule.count.window.engine = engine;
                    // Where it seals, what the copy says of a row's own columns is among them.
                    rule.change.seal = Some(SealSql {
                        window: rule.change.window.clone(),
                        stamps: ["sealed_at", "sealed_by"].map(|name| name.parse().unwrap()),
                        columns: vec![text("name")],
                        overriding: false,
                        counted: 1,
                    });
                    statements(&rule)
                });
                rules.collect::<Vec<_>>()
            };
            assert_eq!(texts(&one), texts(&other), "{engine:?} {rule}");
        }
    }
}

#[test]
fn the_next_end_is_that_of_the_oldest_date_in_the_policys_zone() {
    let none = json!({});
    let duties = json!([duty(&[], "paid_at", "P6M")]);
    let draft = draft(&none, &duties, &json!([])).unwrap();
    let rule = &draft.rules[0];
    let row = |rows: i64, open: i64, oldest: Option<&str>| {
        let oldest = oldest.map_or(crate::value::Value::Null, |at| {
            crate::value::Value::Text(at.to_owned())
        });
        let numbers = [rows, rows, open].map(crate::value::Value::Int);
        [numbers.as_slice(), &[oldest]].concat()
    };
    let mut facts = RuleFacts::default();
    for found in [
        row(2, 1, Some("2025-11-01T00:00:00")),
        row(1, 1, None),
        row(3, 0, Some("2025-10-15T00:00:00")),
    ] {
        facts.add_kept(rule.count.kept_rows(&found));
    }
    let kept = rule.kept(&facts);
    assert_eq!(kept.rows, 6);
    let [duty] = kept.duties.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!((duty.rows, duty.open_ended), (6, 2));
    assert_eq!(duty.duty, "crm/map people[0]");
    // Midnight in UTC was one o'clock in London then, and is on the day it ends.
    let ends = duty.next_ends_at.map(|at| at.to_string());
    assert_eq!(ends.as_deref(), Some("2026-04-15T00:00:00Z"));
}

/// A request about somebody with orders, which a duty keeps. `to`: the column of people that orders
/// refer to.
fn asked(to: &str, columns: &Value, against: Against) -> (Policy, Catalog) {
    let mut people = table("people", &["left_at"], 10);
    people.columns.extend(["name", "mail", "note"].map(text));
    let mut orders = table("orders", &["paid_at"], 10);
    let to_column: Ident = to.parse().unwrap();
    let kind = people.column(&to_column).unwrap().kind;
    people.indexes.push(Index {
        name: "people_to".to_owned(),
        columns: vec![to_column.clone()],
        compares: vec![to_column.clone()],
        ..people.indexes[0].clone()
    });
    orders.columns.push(Column {
        nullable: true,
        ..column("people_0", kind)
    });
    let mut of_people = reference("orders", "people", 0);
    of_people.to_columns = vec![to_column];
    let catalog = of_tables(vec![people, orders], vec![of_people]);
    let target = json!({
        "engine": "PostgreSQL",
        "connection": {"host": "h", "database": "crm", "credentials": {"secretRef": {"name": "s"}}},
    });
    let target = Target::parse(&serde_json::from_value(target).unwrap()).unwrap();
    let mut kept = duty(&[], "paid_at", "P6Y");
    kept["against"] = json!(["Expiry", "Erasure"]);
    kept["ground"] = json!("Art17_3_b");
    let map = json!({
        "databaseRef": {"name": "crm"},
        "subjects": [{"role": "person", "table": "public.people",
            "identifiers": [{"name": "mail", "column": "mail"}]}],
        "tables": [
            {"name": "people", "table": "public.people", "reachedBy": [{"from": "person"}],
                "decision": {"type": "Delete"}, "columns": columns},
            {"name": "orders", "table": "public.orders", "decision": {"type": "Delete"},
                "reachedBy": [{"from": "person", "match": [{"column": "people_0", "equals": to}]}],
                "mustKeep": [kept]},
        ],
    });
    let map = NamedMap {
        name: "crm/map".to_owned(),
        map: DataMap::parse(&serde_json::from_value(map).unwrap(), &target).unwrap(),
    };
    let person = Person {
        roles: &[],
        known: &Known::default(),
        kept: &BTreeMap::new(),
    };
    let maps = std::slice::from_ref(&map);
    let mut policy = lower::policy(&map, maps, person, &Scope::default(), &catalog);
    policy.against = against;
    (policy, catalog)
}

fn asked_draft((policy, catalog): &(Policy, Catalog)) -> Result<Draft, Vec<Refusal>> {
    let setting = Setting {
        spec: &Value::Null,
        ledger: &ledger(),
        intent: Intent::DryRun,
        as_of: as_of(),
    };
    Draft::of(policy, catalog, &setting)
}

#[test]
fn what_a_row_stays_for_keeps_of_it_what_it_refers_to_when_a_person_asks() {
    let mut columns = treated(&["name", "mail", "note"]);
    columns
        .as_array_mut()
        .unwrap()
        .push(json!({"column": "left_at"}));
    for (to, against, transformed) in [
        ("id", Against::Erasure, vec!["name", "mail", "note"]),
        ("note", Against::Erasure, vec!["name", "mail"]),
        ("id", Against::Expiry, vec![]),
    ] {
        let draft = asked_draft(&asked(to, &columns, against)).unwrap();
        let steps = steps(&draft);
        let of_people = steps.iter().find(|(name, _)| name == "people (kept)");
        let found = of_people.map_or(&[][..], |(_, columns)| columns);
        assert_eq!(found, transformed, "{to} {against:?}: {steps:?}");
        let part = draft.rules.iter().find(|rule| rule.name == "people (kept)");
        let Some(part) = part else { continue };
        let told = "rule people: left_at of public.people stay in rows of which a duty keeps a part: \
                    the DataMap names them without a strategy";
        assert!(
            draft.warnings.iter().any(|line| line == told),
            "{:?}",
            draft.warnings
        );
        // What it looks at is in another table: its rows are locked first, and the change looks again.
        assert!(part.remainder && part.change.eligible.looks_elsewhere());
        let shown = part.shown();
        let [.., choice, change] = shown.as_slice() else {
            panic!("{shown:?}");
        };
        assert!(choice.contains(" FOR UPDATE"), "{choice}");
        assert!(change.starts_with("UPDATE "), "{change}");
        assert!(change.contains("EXISTS"), "{change}");
        assert!(part.change.eligible.kept.is_empty());
        // Nor does a hold on what hangs on a row let anything of the row go.
        let hold = Hold {
            id: "h-1".to_owned(),
            name: "legal/claim".to_owned(),
            table: "public.orders".parse().unwrap(),
            tests: vec![HoldTest {
                column: "id".parse().unwrap(),
                operator: HoldOperator::In,
                values: vec!["30".to_owned().into()],
            }],
        };
        let holds = InForce {
            rows: vec![hold],
            persons: vec![],
        };
        let rules = draft.rules_under(&holds, None).unwrap();
        let part = rules.iter().find(|rule| rule.name == "people (kept)");
        let eligible = &part.unwrap().change.eligible;
        let below = |held: &Held| held.places.iter().any(|place| !place.path.is_empty());
        assert!(eligible.held.iter().any(below), "{eligible:?}");
    }
    let refusals =
        asked_draft(&asked("id", &treated(&["mail", "name"]), Against::Erasure)).unwrap_err();
    let [refusal] = refusals.as_slice() else {
        panic!("{refusals:?}");
    };
    assert_eq!(refusal.reason, Reason::StrategyMissing);
    assert!(
        refusal
            .message
            .contains("nothing says what happens to left_at, note"),
        "{}",
        refusal.message
    );
    assert_eq!(
        refusal.remedy.as_deref(),
        Some(
            "in the DataMap crm/map, entry people of tables, write what happens to each:\ncolumns:\n\
             - {column: left_at, strategy: Nullify}\n- {column: note, strategy: Nullify}"
        )
    );
    // A policy leaves such rows whole, and needs to know nothing of their columns.
    let whole = asked_draft(&asked("id", &treated(&["mail"]), Against::Expiry));
    assert!(whole.is_ok(), "{whole:?}");
}
