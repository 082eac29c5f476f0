//! `kAnonymity` and `assessment`.

use serde_json::{Value, json};

use super::{digest_of, fault, mandate_of, policy, with};
use crate::api::reason::Reason;
use crate::groups::Below;

fn action(groups: &Value) -> Value {
    json!({
        "type": "Anonymise",
        "columns": [
            {"column": "born_on", "strategy": "GeneraliseDate", "generaliseDate": {"to": "Year"}},
            {"column": "name", "strategy": "Nullify"},
        ],
        "kAnonymity": groups,
    })
}

fn groups() -> Value {
    json!({"quasiIdentifiers": ["born_on", "postcode"], "k": 5})
}

fn assessment() -> Value {
    json!({"ref": "DPIA-2026/7", "by": "dpo", "date": "2026-03-01"})
}

fn of(action: Value) -> Value {
    with(policy(), "/rules/0/action", action)
}

#[test]
fn small_groups_are_refused_unless_they_are_to_be_left() {
    let promise = |groups: &Value| {
        let mandate = mandate_of(of(action(groups))).unwrap();
        mandate.policy.rules[0].groups.clone().unwrap()
    };
    let plain = promise(&groups());
    assert_eq!((plain.k, plain.below), (5, Below::Refuse));
    let columns: Vec<String> = plain.columns.iter().map(ToString::to_string).collect();
    assert_eq!(columns, ["born_on", "postcode"]);
    assert_eq!(
        promise(&with(groups(), "/below", json!("Leave"))).below,
        Below::Leave
    );
    assert!(
        mandate_of(policy()).unwrap().policy.rules[0]
            .groups
            .is_none()
    );
}

#[test]
fn faults_of_the_promise_name_their_field() {
    for (pointer, value, path) in [
        ("/k", json!(1), "k"),
        ("/k", json!(10_001), "k"),
        ("/k", Value::Null, "k"),
        ("/quasiIdentifiers", json!([]), "quasiIdentifiers"),
        ("/quasiIdentifiers", Value::Null, "quasiIdentifiers"),
        (
            "/quasiIdentifiers",
            json!(["a", "b", "a"]),
            "quasiIdentifiers[2]",
        ),
        (
            "/quasiIdentifiers",
            json!(["a", " "]),
            "quasiIdentifiers[1]",
        ),
        ("/below", json!("Warn"), "below"),
    ] {
        let (found, reason, _) = fault(of(action(&with(groups(), pointer, value))));
        let expected = format!("spec.rules[0].action.kAnonymity.{path}");
        assert_eq!((found, reason), (expected, Reason::InvalidSpec));
    }
}

#[test]
fn faults_of_the_assessment_name_their_field() {
    for (pointer, value, path) in [
        ("/ref", json!("two words"), "ref"),
        ("/ref", json!("-7"), "ref"),
        ("/ref", Value::Null, "ref"),
        ("/by", json!(""), "by"),
        ("/by", json!("dpo\u{1b}[2J"), "by"),
        ("/date", json!("2026-02-30"), "date"),
        ("/date", json!("2026-03-01T00:00:00"), "date"),
        ("/date", json!("yesterday"), "date"),
    ] {
        let assessed = with(
            action(&groups()),
            "/assessment",
            with(assessment(), pointer, value),
        );
        let (found, _, _) = fault(of(assessed));
        assert_eq!(found, format!("spec.rules[0].action.assessment.{path}"));
    }
}

#[test]
fn nothing_is_called_anonymised_without_the_check_or_with_a_pseudonym() {
    let mut lonely = with(action(&groups()), "/assessment", assessment());
    lonely.as_object_mut().unwrap().remove("kAnonymity");
    let (path, _, message) = fault(of(lonely));
    assert_eq!(path, "spec.rules[0].action.assessment");
    assert!(message.contains("needs kAnonymity"), "{message}");
    let keyed = with(
        policy(),
        "/pseudonymKey",
        json!({"secretRef": {"name": "s", "key": "k"}}),
    );
    let pseudonym = |column: &str, groups: &Value| {
        let entry = json!({"column": column, "strategy": "Pseudonym"});
        let action = with(action(groups), "/columns/-", entry);
        with(keyed.clone(), "/rules/0/action", action)
    };
    let (path, _, _) = fault(pseudonym("postcode", &groups()));
    assert_eq!(path, "spec.rules[0].action.kAnonymity.quasiIdentifiers");
    let other = pseudonym("email", &groups());
    mandate_of(other.clone()).unwrap();
    let (path, _, _) = fault(with(other, "/rules/0/action/assessment", assessment()));
    assert_eq!(path, "spec.rules[0].action.assessment");
}

#[test]
fn only_anonymise_has_groups() {
    let delete = json!({"type": "Delete", "kAnonymity": groups()});
    let (path, _, _) = fault(of(delete));
    assert_eq!(path, "spec.rules[0].action.kAnonymity");
    let related = json!([{
        "table": "a.d", "of": "public.enquiries", "match": [{"column": "b", "equals": "id"}],
        "action": {"type": "Anonymise", "columns": [{"column": "c", "strategy": "Nullify"}], "kAnonymity": groups()},
    }]);
    let (path, reason, _) = fault(with(policy(), "/rules/0/related", related));
    assert_eq!(
        (path.as_str(), reason),
        (
            "spec.rules[0].related[0].action.kAnonymity",
            Reason::UnknownField
        )
    );
}

#[test]
fn the_digest_covers_the_promise_and_the_assessment() {
    let plain = digest_of(of(action(&groups())));
    let spelt = with(groups(), "/below", json!("Refuse"));
    assert_eq!(digest_of(of(action(&spelt))), plain);
    let assessed = with(action(&groups()), "/assessment", assessment());
    for other in [
        action(&with(groups(), "/k", json!(6))),
        action(&with(groups(), "/below", json!("Leave"))),
        action(&with(groups(), "/quasiIdentifiers", json!(["born_on"]))),
        assessed,
    ] {
        assert_ne!(digest_of(of(other)), plain);
    }
}
