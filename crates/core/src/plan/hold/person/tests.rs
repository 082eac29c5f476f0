//! Which rows are a held person's, and how a rule looks under the hold.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::plan::hold::InForce;
use crate::plan::{Draft, Intent, RuleDraft, Setting};
use crate::propose::tests::{catalog as of_tables, column, reference, table};
use crate::sql::Window;
use crate::target::Target;
use crate::value::Personal;

/// A table with a key, a date, and these texts.
fn with(name: &str, texts: &[&str]) -> Table {
    let mut made = table(name, &["left_at"], 10);
    let texts = texts.iter().map(|name| column(name, ColumnKind::Text));
    made.columns.extend(texts);
    made
}

/// Posts are people's, and comments hang on them. Likes hang on each other, too; what hangs on the audit
/// of people is nobody's.
fn catalog() -> Catalog {
    of_tables(
        vec![
            with("people", &["mail", "nick"]),
            with("posts", &[]),
            with("comments", &[]),
            with("likes", &[]),
            with("audit", &[]),
            with("lines", &[]),
            with("weather", &[]),
        ],
        vec![
            reference("posts", "people", 0),
            reference("comments", "posts", 0),
            reference("likes", "posts", 0),
            reference("likes", "likes", 0),
            reference("audit", "people", 0),
            reference("lines", "audit", 0),
        ],
    )
}

fn target() -> Target {
    let target = json!({
        "engine": "PostgreSQL",
        "connection": {"host": "h", "database": "crm", "credentials": {"secretRef": {"name": "s"}}},
    });
    Target::parse(&serde_json::from_value(target).unwrap()).unwrap()
}

fn maps() -> Vec<NamedMap> {
    let map = json!({
        "databaseRef": {"name": "crm"},
        "subjects": [{
            "role": "person", "table": "public.people",
            "identifiers": [{"name": "email", "column": "mail"}, {"name": "nick", "column": "nick"}],
        }],
        "tables": [
            {"name": "posts", "table": "public.posts", "decision": {"type": "Delete"},
             "reachedBy": [{"from": "person", "match": [{"column": "people_0", "equals": "id"}]}]},
            {"name": "audit", "table": "public.audit"},
        ],
    });
    vec![NamedMap {
        name: "crm/map".to_owned(),
        map: DataMap::parse(&serde_json::from_value(map).unwrap(), &target()).unwrap(),
    }]
}

fn person(known: &[(&str, &str)]) -> HeldPerson {
    let mut all = Known::default();
    for (name, text) in known {
        all.add(name, Personal::new(*text));
    }
    HeldPerson {
        id: "uid".to_owned(),
        name: "crm/matter".to_owned(),
        maps: BTreeSet::from(["crm/map".to_owned()]),
        known: all,
    }
}

fn held(known: &[(&str, &str)], vague: &[&str]) -> PersonHold {
    let person = person(known);
    let maps = maps_of(&person, &maps(), &catalog()).unwrap();
    let vague = vague
        .iter()
        .map(|role| ("crm/map".to_owned(), (*role).to_owned()));
    PersonHold::of(&person, &maps, &person.known, &vague.collect(), &catalog())
}

#[test]
fn a_ledger_keeps_all_that_a_person_is_known_by_whatever_its_own_maps_make_use_of() {
    let given = person(&[("email", "ada@x"), ("uln", "71")]).known;
    let of = |known: &Known| held_person("uid", "crm/matter", maps().iter(), known);
    let here = of(&given).unwrap();
    assert_eq!(here.maps, BTreeSet::from(["crm/map".to_owned()]));
    // Another database, which could not be told in time, knows them by the number alone, and the Secret
    // may be gone when it can.
    let kept = HeldPerson::stored("uid", "crm/matter", &here.predicate(), &here.keys()).unwrap();
    assert_eq!(kept.known, given);
    assert_eq!(of(&person(&[("uln", "71")]).known), None);
}

#[test]
fn what_hangs_on_a_held_persons_rows_is_theirs_whether_a_map_says_so_or_not() {
    let catalog = catalog();
    let typed = held(&[("email", "ada@x")], &[]).typed(&catalog).unwrap();
    let how = |name: &str| {
        let mut typed = typed.iter();
        let (_, test) = typed.find(|(table, _)| table.name.table.as_str() == name)?;
        Some(match test {
            HeldTest::Person(_, reach) => reach.tables().len(),
            HeldTest::Every | HeldTest::All(_) => usize::MAX,
        })
    };
    assert_eq!(how("people"), Some(0));
    assert_eq!(how("posts"), Some(1));
    assert_eq!(how("comments"), Some(2));
    assert_eq!(how("likes"), Some(usize::MAX), "how deep is not known");
    assert_eq!(how("audit"), None);
    assert_eq!(how("lines"), None);
    assert_eq!(how("weather"), None);
}

#[test]
fn a_hold_whose_map_is_gone_or_knows_nobody_is_refused() {
    let ada = person(&[("email", "ada@x")]);
    let found = maps_of(&ada, &maps(), &catalog()).unwrap();
    let widened = |one: &Identifier| one.normalise == Some(Normalise::LowercaseTrim);
    assert!(found[0].map.identifiers().all(widened));
    for (person, maps, words) in [
        (ada.clone(), Vec::new(), "crm/map, which is not there"),
        (
            person(&[("number", "7")]),
            maps(),
            "none of the identifiers",
        ),
    ] {
        let refusal = maps_of(&person, &maps, &catalog()).unwrap_err();
        assert_eq!(refusal.reason, Reason::HoldsUnreadable);
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }
}

fn rule(table: &str, hold: PersonHold) -> RuleDraft {
    let spec = json!({
        "databaseRef": {"name": "crm"}, "schedule": "0 3 * * *", "timeZone": "Europe/London",
        "rules": [{
            "name": "r", "basis": "a promise", "table": format!("public.{table}"),
            "expireAfter": "P1Y", "since": {"column": "left_at"}, "action": {"type": "Delete"},
        }],
    });
    let policy = Policy::parse(&serde_json::from_value(spec).unwrap(), &target()).unwrap();
    let setting = Setting {
        spec: &Value::Null,
        ledger: &"oubliette".parse().unwrap(),
        intent: Intent::DryRun,
        as_of: "2026-03-10T12:00:00Z".parse::<Timestamp>().unwrap(),
    };
    let draft = Draft::of(&policy, &catalog(), &setting).unwrap();
    let before = draft.digest;
    let holds = InForce {
        rows: Vec::new(),
        persons: vec![hold],
    };
    let rules = draft.rules_under(&holds, None).unwrap();
    assert_eq!(draft.digest, before);
    rules.into_iter().next().unwrap()
}

#[test]
fn a_rule_asks_other_tables_only_once_the_row_is_locked() {
    let window = Window {
        after: None,
        upto: None,
    };
    let keys = [vec![crate::value::Value::Int(1)]];
    let ada = [("email", "ada@x"), ("nick", "a")];
    let comments = rule("comments", held(&ada, &[])).change;
    assert!(comments.eligible.looks_elsewhere());
    assert!(comments.still(&window, &keys).sql.text().contains("EXISTS"));
    assert!(
        !comments
            .by_keys(&window, &keys)
            .sql
            .text()
            .contains("EXISTS")
    );
    // Where pages of a leaf are walked, its rows are called by its name.
    let leaf = comments.of_leaf(&"public.comments_1".parse().unwrap());
    let leaf = leaf.still(&window, &keys);
    assert!(
        leaf.sql.text().contains("\"comments_1\".\"posts_0\""),
        "{leaf:?}"
    );
    assert!(!leaf.sql.text().contains("\"comments\""), "{leaf:?}");
    // Nobody can be told from others by rows that hang in a circle.
    let likes = rule("weather", held(&ada, &[])).change;
    assert!(likes.eligible.held.is_empty());
}

#[test]
fn where_nobody_has_all_that_is_known_whoever_has_one_of_it_is_held() {
    let catalog = catalog();
    let ada = [("email", "ada@x"), ("nick", "a")];
    let count = |hold: &PersonHold| {
        let typed = hold.typed(&catalog).unwrap();
        let (_, test) = &typed[typed.len() - 2];
        let HeldTest::Person(table, reach) = test else {
            panic!("{test:?}");
        };
        (table.table.to_string(), reach.ways.len())
    };
    assert_eq!(count(&held(&ada, &[])), ("people".to_owned(), 1));
    assert_eq!(count(&held(&ada, &["person"])), ("people".to_owned(), 2));
    assert_eq!(count(&held(&ada, &["other"])), ("people".to_owned(), 1));
}
