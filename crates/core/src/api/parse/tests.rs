//! What manifests become, and what is said of those that become nothing.

mod small_groups;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{FieldError, message_of, nearest, reason_of};
use crate::api::reason::Reason;
use crate::api::retention_policy::RetentionPolicySpec;
use crate::period::Period;
use crate::policy::{
    Action, Clause, Clock, EpochUnit, Expiry, Mandate, Mode, RelatedAction, Rule, Since, Test,
};
use crate::strategy::Strategy;
use crate::target::{Ca, PacingMode, Target, TlsMode, UsableFrom};

fn database() -> Value {
    json!({
        "engine": "PostgreSQL",
        "connection": {
            "host": "crm-rw.crm.svc",
            "database": "crm",
            "credentials": {"secretRef": {"name": "crm-oubliette"}},
        },
    })
}

fn policy() -> Value {
    json!({
        "databaseRef": {"name": "crm"},
        "schedule": "30 2 * * *",
        "rules": [{
            "name": "course-enquiries",
            "basis": "Privacy notice",
            "table": "public.enquiries",
            "expireAfter": "P6M",
            "since": {"column": "enquired_at"},
            "action": {"type": "Delete"},
        }],
    })
}

/// Puts a value at a JSON pointer; a missing last part is added.
fn with(mut document: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        _ => parent[last] = value,
    }
    document
}

fn read<T: DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).unwrap()
}

fn target_of(document: Value) -> Result<Target, Vec<FieldError>> {
    Target::parse(&read(document))
}

fn crm() -> Target {
    target_of(database()).unwrap()
}

fn mandate_on(target: &Target, document: Value) -> Result<Mandate, Vec<FieldError>> {
    Mandate::parse(&read(document), target)
}

fn mandate_of(document: Value) -> Result<Mandate, Vec<FieldError>> {
    mandate_on(&crm(), document)
}

/// What a plan's digest covers of a policy.
fn digest_of(document: Value) -> Value {
    read::<RetentionPolicySpec>(document).digest_input()
}

/// The only fault of a policy, as `(path, reason, message)`.
fn fault(document: Value) -> (String, Reason, String) {
    let faults = mandate_of(document).unwrap_err();
    assert_eq!(faults.len(), 1, "{}", message_of(&faults));
    let fault = faults.into_iter().next().unwrap();
    (fault.path, fault.reason, fault.message)
}

/// The period of a rule and its clock in a column of its own.
fn own(rule: &Rule) -> (Period, &Clock) {
    match &rule.expiry {
        Expiry::After {
            period,
            since: Since::Own(clock),
        } => (*period, clock),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_policy_gets_the_documented_defaults() {
    let mandate = mandate_of(policy()).unwrap();
    assert_eq!(mandate.mode, Mode::DryRun);
    assert!(!mandate.suspend);
    assert_eq!(mandate.policy.zone.iana_name(), Some("Etc/UTC"));
    let rule = &mandate.policy.rules[0];
    assert_eq!(rule.table.to_string(), "public.enquiries");
    let (period, clock) = own(rule);
    assert_eq!(period.to_string(), "P6M");
    assert_eq!(clock.not_before.to_string(), "1970-01-02T00:00:00Z");
    assert!(rule.conditions.is_empty() && rule.related.is_empty() && !rule.allow_unindexed);
    assert!(matches!(rule.action, Action::Delete));
}

#[test]
fn a_small_database_gets_the_documented_defaults() {
    let target = target_of(database()).unwrap();
    assert_eq!(target.connection.port, 5432);
    assert_eq!(target.connection.tls.mode, TlsMode::VerifyFull);
    assert_eq!(target.ledger.as_str(), "oubliette");
    assert_eq!(target.usable_from, UsableFrom::Same);
    assert_eq!(target.pacing.mode, PacingMode::Steady);
    assert_eq!(target.pacing.batch_duration.as_millis(), 50);
    assert_eq!(target.pacing.lock_timeout.as_millis(), 100);
    let mysql = target_of(with(database(), "/engine", json!("MySQL"))).unwrap();
    assert_eq!(mysql.connection.port, 3306);
}

#[test]
fn everything_that_can_be_written_is_understood() {
    let document = with(
        policy(),
        "/rules/0",
        json!({
            "name": "enquiries",
            "basis": "Privacy notice",
            "table": "public.enquiries",
            "expireAfter": "P1Y6M",
            "since": {"column": "enquired", "unit": "Milliseconds", "notBefore": "2001-01-01"},
            "where": [
                {"column": "status", "operator": "In", "values": ["closed", "withdrawn"]},
                {"anyOf": [
                    {"allOf": [{"column": "owner", "operator": "IsNull"}]},
                    {"allOf": [
                        {"column": "score", "operator": "Lt", "values": ["-2.5"]},
                        {"column": "seen", "operator": "Before", "values": ["2018-05-25T00:00:00Z"]},
                    ]},
                ]},
            ],
            "action": {"type": "Anonymise", "columns": [
                {"column": "email", "strategy": "Pseudonym"},
                {"column": "full_name", "strategy": "Constant", "constant": {"value": ""}},
                {"column": "phone", "strategy": "Nullify"},
                {"column": "born_on", "strategy": "GeneraliseDate", "generaliseDate": {"to": "Decade"}},
                {"column": "income", "strategy": "GeneraliseNumber", "generaliseNumber": {"width": 1000}},
            ]},
            "walk": {"allowUnindexed": true},
            "related": [
                {"table": "public.notes", "of": "public.enquiries", "match": [{"column": "enquiry_id", "equals": "id"}], "action": {"type": "Delete"}},
                {"table": "public.files", "of": "public.notes", "match": [{"column": "note_id", "equals": "id"}], "action": {"type": "Detach"}},
            ],
        }),
    );
    let document = with(
        document,
        "/pseudonymKey",
        json!({"secretRef": {"name": "crm-pseudonyms", "key": "key"}}),
    );
    let mandate = mandate_of(document).unwrap();
    assert_eq!(mandate.pseudonym_key.unwrap().key, "key");
    let rule = &mandate.policy.rules[0];
    let (_, clock) = own(rule);
    assert_eq!(clock.epoch, Some(EpochUnit::Milliseconds));
    assert_eq!(clock.not_before.to_string(), "2001-01-01T00:00:00Z");
    assert!(rule.allow_unindexed);
    let Clause::Test(test) = &rule.conditions[0] else {
        panic!("a test")
    };
    assert!(matches!(&test.test, Test::In(values) if values.len() == 2));
    let Clause::AnyOf(groups) = &rule.conditions[1] else {
        panic!("groups")
    };
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    let Action::Anonymise(treatments) = &rule.action else {
        panic!("treatments")
    };
    assert_eq!(treatments[0].strategy, Strategy::Pseudonym);
    assert_eq!(
        treatments[4].strategy,
        Strategy::GeneraliseNumber { width: 1000 }
    );
    assert!(matches!(rule.related[1].action, RelatedAction::Detach));
}

#[test]
fn the_tighter_of_limits_and_guards_counts() {
    let guarded = with(
        database(),
        "/guards",
        json!({"maxRows": 100, "maxPercent": 20}),
    );
    let limited = with(
        policy(),
        "/limits",
        json!({"maxRows": 5000, "maxPercent": 10}),
    );
    let limits = mandate_on(&target_of(guarded).unwrap(), limited)
        .unwrap()
        .policy
        .limits;
    assert_eq!((limits.max_rows, limits.max_percent), (Some(100), Some(10)));
    assert_eq!((limits.guarded.rows, limits.guarded.percent), (true, false));
}

#[test]
fn a_misspelt_guard_is_named_with_what_was_meant() {
    let (path, reason, message) = fault(with(policy(), "/limit", json!({"maxRows": 1})));
    assert_eq!(
        (path.as_str(), reason),
        ("spec.limit", Reason::UnknownField)
    );
    assert!(message.contains("did you mean `limits`?"), "{message}");
}

#[test]
fn a_field_that_is_not_known_is_found_at_every_depth() {
    let parents = [
        "",
        "/databaseRef",
        "/limits",
        "/pseudonymKey",
        "/pseudonymKey/secretRef",
        "/rules/0",
        "/rules/0/since",
        "/rules/0/since/latest",
        "/rules/0/since/latest/via",
        "/rules/0/since/latest/match/0",
        "/rules/0/since/otherwise",
        "/rules/0/unless/0",
        "/rules/0/unless/0/where/0",
        "/rules/0/onlyIf/0/match/0",
        "/rules/1/expireOn",
        "/rules/1/expireOn/changedBefore",
        "/rules/0/where/0",
        "/rules/0/where/1/anyOf/0",
        "/rules/0/where/1/anyOf/0/allOf/0",
        "/rules/0/walk",
        "/rules/0/action",
        "/rules/0/action/columns/0",
        "/rules/0/action/columns/0/constant",
        "/rules/0/action/columns/1/generaliseDate",
        "/rules/0/action/columns/2/generaliseNumber",
        "/rules/0/action/kAnonymity",
        "/rules/0/action/assessment",
        "/rules/0/related/0",
        "/rules/0/related/0/match/0",
        "/rules/0/related/0/action",
        "/rules/0/related/0/action/columns/0",
    ];
    let full = with(policy(), "/limits", json!({}));
    let full = with(
        full,
        "/pseudonymKey",
        json!({"secretRef": {"name": "s", "key": "k"}}),
    );
    let full = with(
        full,
        "/rules/0",
        json!({
            "name": "r", "basis": "b", "table": "a.b", "expireAfter": "P1D",
            "since": {
                "latest": {
                    "via": {"table": "a.v", "match": [{"column": "b", "equals": "id"}]},
                    "table": "a.e", "match": [{"column": "v", "equals": "id"}], "column": "c",
                },
                "otherwise": {"column": "c"},
            },
            "onlyIf": [{"table": "a.o", "match": [{"column": "b", "equals": "id", "normalise": "DigitsOnly"}]}],
            "unless": [{
                "table": "a.u", "match": [{"column": "b", "equals": "id"}],
                "where": [{"column": "c", "operator": "IsNull"}],
            }],
            "where": [
                {"column": "c", "operator": "IsNull"},
                {"anyOf": [{"allOf": [{"column": "c", "operator": "IsNull"}]}]},
            ],
            "walk": {},
            "action": {"type": "Anonymise", "columns": [
                {"column": "c1", "strategy": "Constant", "constant": {"value": "x"}},
                {"column": "c2", "strategy": "GeneraliseDate", "generaliseDate": {"to": "Year"}},
                {"column": "c3", "strategy": "GeneraliseNumber", "generaliseNumber": {"width": 10}},
            ],
            "kAnonymity": {"quasiIdentifiers": ["c2"], "k": 5},
            "assessment": {"ref": "a", "by": "b", "date": "2026-01-01"}},
            "related": [{
                "table": "a.d", "of": "a.b", "match": [{"column": "b", "equals": "id"}],
                "action": {"type": "Anonymise", "columns": [{"column": "c", "strategy": "Nullify"}]},
            }],
        }),
    );
    let mut full = full;
    full["rules"].as_array_mut().unwrap().push(json!({
        "name": "on", "basis": "b", "table": "a.b",
        "expireOn": {"instant": "2018-07-01", "changedBefore": {"column": "c"}},
        "action": {"type": "Delete"},
    }));
    mandate_of(full.clone()).unwrap();
    for parent in parents {
        let (path, reason, _) = fault(with(full.clone(), &format!("{parent}/unles"), json!([])));
        let expected = format!("spec{parent}/unles").replace('/', ".");
        let plain = path
            .replace(['[', '.'], "/")
            .replace(']', "")
            .replace('/', ".");
        assert_eq!((plain, reason), (expected, Reason::UnknownField));
    }
}

#[test]
fn a_field_of_a_database_that_is_not_known_is_found_at_every_depth() {
    let full = with(database(), "/guards", json!({"maxRows": 1}));
    let full = with(full, "/ledger", json!({"schema": "o"}));
    let full = with(full, "/pacing", json!({"workers": 2}));
    let full = with(
        full,
        "/usableFrom",
        json!({"from": "Selector", "selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}),
    );
    let full = with(
        full,
        "/connection/tls",
        json!({"ca": {"configMapRef": {"name": "ca", "key": "ca.crt"}}}),
    );
    assert!(matches!(
        target_of(full.clone()).unwrap().connection.tls.ca,
        Some(Ca::ConfigMap(_))
    ));
    for parent in [
        "",
        "/connection",
        "/connection/credentials",
        "/connection/credentials/secretRef",
        "/connection/tls",
        "/connection/tls/ca",
        "/connection/tls/ca/configMapRef",
        "/guards",
        "/ledger",
        "/pacing",
        "/usableFrom",
        "/usableFrom/selector",
        "/usableFrom/selector/matchExpressions/0",
    ] {
        let faults =
            target_of(with(full.clone(), &format!("{parent}/surprise"), json!(1))).unwrap_err();
        assert_eq!(faults.len(), 1, "{parent}: {}", message_of(&faults));
        assert_eq!(faults[0].reason, Reason::UnknownField, "{parent}");
        assert!(faults[0].path.ends_with(".surprise"));
    }
}

#[test]
fn all_faults_are_named_at_once() {
    let document = json!({
        "schedule": "61 2 * * *",
        "timeZone": "Europe/Londom",
        "mode": "Enforced",
        "limits": {"maxRows": 0, "maxPercent": 101},
        "rules": [{
            "name": "Bad Name",
            "table": "enquiries",
            "expireAfter": "P0D",
            "since": {"unit": "Fortnights"},
            "action": {"type": "Delete", "columns": []},
        }],
    });
    let faults = mandate_of(document).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.databaseRef",
            "spec.timeZone",
            "spec.mode",
            "spec.limits.maxRows",
            "spec.limits.maxPercent",
            "spec.rules[0].name",
            "spec.rules[0].basis",
            "spec.rules[0].table",
            "spec.rules[0].expireAfter",
            "spec.rules[0].since.column",
            "spec.rules[0].since.unit",
            "spec.rules[0].action.columns",
        ],
        "{}",
        message_of(&faults)
    );
}

#[test]
fn zero_negative_and_fractional_periods_are_refused() {
    for period in [
        "P", "P0D", "P0Y0M", "-P6M", "P-6M", "P0.5Y", "P6M ", "6 months", "PT5M", "",
    ] {
        let (path, reason, message) = fault(with(policy(), "/rules/0/expireAfter", json!(period)));
        assert_eq!(
            (path.as_str(), reason),
            ("spec.rules[0].expireAfter", Reason::InvalidSpec)
        );
        assert!(message.contains("`P"), "{period:?}: {message}");
    }
}

#[test]
fn an_impossible_schedule_says_so() {
    for schedule in ["0 3 31 2 *", "* * *", "every day"] {
        let (path, _, _) = fault(with(policy(), "/schedule", json!(schedule)));
        assert_eq!(path, "spec.schedule");
    }
}

#[test]
fn tables_need_their_schema_in_postgresql_only() {
    let (path, _, message) = fault(with(policy(), "/rules/0/table", json!("enquiries")));
    assert_eq!(path, "spec.rules[0].table");
    assert!(message.contains("public.enquiries"), "{message}");
    let mysql = target_of(with(database(), "/engine", json!("MySQL"))).unwrap();
    for table in ["enquiries", "crm.enquiries"] {
        let document = with(policy(), "/rules/0/table", json!(table));
        let rule = &mandate_on(&mysql, document).unwrap().policy.rules[0];
        // Two spellings of one table must not pass for two tables.
        assert_eq!(rule.table.to_string(), "crm.enquiries");
    }
}

#[test]
fn two_rules_of_one_name_are_refused() {
    let second = policy()["rules"][0].clone();
    let (path, _, message) = fault(with(policy(), "/rules/-", second));
    assert_eq!(path, "spec.rules[1].name");
    assert!(message.contains("rules[0]"), "{message}");
}

#[test]
fn a_pseudonym_needs_its_key() {
    let columns =
        json!({"type": "Anonymise", "columns": [{"column": "email", "strategy": "Pseudonym"}]});
    let (path, _, _) = fault(with(policy(), "/rules/0/action", columns));
    assert_eq!(path, "spec.pseudonymKey");
}

#[test]
fn a_constant_without_a_value_is_refused_and_an_empty_one_is_not() {
    let action = |constant: Value| {
        let columns = json!({"type": "Anonymise", "columns": [
            {"column": "c", "strategy": "Constant", "constant": constant},
        ]});
        with(policy(), "/rules/0/action", columns)
    };
    let (path, _, _) = fault(action(json!({})));
    assert_eq!(path, "spec.rules[0].action.columns[0].constant.value");
    mandate_of(action(json!({"value": ""}))).unwrap();
}

#[test]
fn one_column_is_treated_once() {
    let columns = json!({"type": "Anonymise", "columns": [
        {"column": "c", "strategy": "Nullify"},
        {"column": "c", "strategy": "Constant", "constant": {"value": "x"}},
    ]});
    let (path, _, _) = fault(with(policy(), "/rules/0/action", columns));
    assert_eq!(path, "spec.rules[0].action.columns[1].column");
}

#[test]
fn members_of_another_strategy_are_refused() {
    let columns = json!({"type": "Anonymise", "columns": [
        {"column": "c", "strategy": "Nullify", "constant": {"value": "x"}},
    ]});
    let (path, _, _) = fault(with(policy(), "/rules/0/action", columns));
    assert_eq!(path, "spec.rules[0].action.columns[0].constant");
}

#[test]
fn tests_take_the_values_their_operator_needs() {
    for (test, path) in [
        (
            json!({"column": "c", "operator": "IsNull", "values": ["x"]}),
            "values",
        ),
        (json!({"column": "c", "operator": "In"}), "values"),
        (
            json!({"column": "c", "operator": "In", "values": []}),
            "values",
        ),
        (
            json!({"column": "c", "operator": "Lt", "values": ["1", "2"]}),
            "values",
        ),
        (
            json!({"column": "c", "operator": "Lt", "values": ["1; DROP TABLE x"]}),
            "values[0]",
        ),
        (
            json!({"column": "c", "operator": "Gt", "values": ["NaN"]}),
            "values[0]",
        ),
        (
            json!({"column": "c", "operator": "Before", "values": ["2018-05-25 10:00"]}),
            "values[0]",
        ),
        (
            json!({"column": "c", "operator": "After", "values": ["yesterday"]}),
            "values[0]",
        ),
        (
            json!({"column": "c", "operator": "Like", "values": ["x"]}),
            "operator",
        ),
    ] {
        let (found, _, _) = fault(with(policy(), "/rules/0/where", json!([test])));
        assert_eq!(found, format!("spec.rules[0].where[0].{path}"));
    }
}

#[test]
fn an_empty_group_is_refused_because_every_row_would_pass() {
    let (path, _, _) = fault(with(
        policy(),
        "/rules/0/where",
        json!([{"anyOf": [{"allOf": []}]}]),
    ));
    assert_eq!(path, "spec.rules[0].where[0].anyOf[0].allOf");
    let (path, _, _) = fault(with(policy(), "/rules/0/where", json!([{"anyOf": []}])));
    assert_eq!(path, "spec.rules[0].where[0].anyOf");
}

#[test]
fn a_related_entry_must_hang_on_a_declared_table() {
    let entry = |table: &str, of: &str| json!([{"table": table, "of": of, "match": [{"column": "p", "equals": "id"}], "action": {"type": "Delete"}}]);
    let (path, reason, _) = fault(with(
        policy(),
        "/rules/0/related",
        entry("public.notes", "public.enquirys"),
    ));
    assert_eq!(
        (path.as_str(), reason),
        ("spec.rules[0].related[0].of", Reason::InvalidSpec)
    );
}

#[test]
fn nulls_mean_the_same_as_leaving_out() {
    let document = with(policy(), "/limits", Value::Null);
    let document = with(document, "/rules/0/where", Value::Null);
    let spec: RetentionPolicySpec = serde_json::from_value(document).unwrap();
    let plain: RetentionPolicySpec = serde_json::from_value(policy()).unwrap();
    assert_eq!(spec, plain);
    assert_eq!(spec.digest_input(), plain.digest_input());
}

#[test]
fn the_digest_does_not_change_with_what_changes_no_row_or_a_spelt_out_default() {
    let digest = digest_of;
    let plain = digest(policy());
    for (field, value) in [
        ("/mode", json!("Enforce")),
        ("/schedule", json!("0 0 * * *")),
        ("/suspend", json!(true)),
        ("/timeZone", json!("Etc/UTC")),
        ("/rules/0/basis", json!("A sentence without the typo")),
        ("/rules/0/walk", json!({})),
        ("/rules/0/walk", json!({"allowUnindexed": false})),
        ("/rules/0/where", json!([])),
        ("/rules/0/related", json!([])),
    ] {
        assert_eq!(digest(with(policy(), field, value)), plain, "{field}");
    }
    for (field, value) in [
        ("/timeZone", json!("Europe/London")),
        ("/limits", json!({"maxRows": 1})),
        ("/rules/0/expireAfter", json!("P5M")),
        ("/databaseRef/name", json!("other")),
        ("/rules/0/walk", json!({"allowUnindexed": true})),
        ("/rules/0/since/notBefore", json!("2005-01-01")),
    ] {
        assert_ne!(digest(with(policy(), field, value)), plain, "{field}");
    }
}

#[test]
fn faults_are_seen_before_the_database_is_known() {
    let spec: RetentionPolicySpec =
        serde_json::from_value(with(policy(), "/rules/0/expireAfter", json!("P0D"))).unwrap();
    assert_eq!(Mandate::faults(&spec).len(), 1);
    let spec: RetentionPolicySpec = serde_json::from_value(policy()).unwrap();
    assert_eq!(Mandate::faults(&spec), []);
}

#[test]
fn an_empty_selector_is_refused_because_it_selects_everything() {
    let document = with(
        database(),
        "/usableFrom",
        json!({"from": "Selector", "selector": {"matchLabels": {}}}),
    );
    assert_eq!(
        target_of(document).unwrap_err()[0].path,
        "spec.usableFrom.selector"
    );
}

#[test]
fn faults_of_a_database_name_their_fields() {
    for (pointer, value, path) in [
        ("/engine", json!("Oracle"), "spec.engine"),
        (
            "/connection/host",
            json!("postgres://crm"),
            "spec.connection.host",
        ),
        ("/connection/port", json!(0), "spec.connection.port"),
        (
            "/connection/database",
            json!(""),
            "spec.connection.database",
        ),
        (
            "/connection/tls",
            json!({"mode": "Prefer"}),
            "spec.connection.tls.mode",
        ),
        (
            "/connection/tls",
            json!({"ca": {}}),
            "spec.connection.tls.ca",
        ),
        (
            "/connection/tls",
            json!({"mode": "Disable", "ca": {"secretRef": {"name": "a", "key": "b"}}}),
            "spec.connection.tls.ca",
        ),
        ("/ledger", json!({"schema": "Public"}), "spec.ledger.schema"),
        (
            "/guards",
            json!({"maxPercent": 0}),
            "spec.guards.maxPercent",
        ),
        (
            "/usableFrom",
            json!({"from": "Selector"}),
            "spec.usableFrom.selector",
        ),
        (
            "/pacing",
            json!({"batchDuration": "PT1S"}),
            "spec.pacing.batchDuration",
        ),
        (
            "/pacing",
            json!({"batchDuration": "1h"}),
            "spec.pacing.batchDuration",
        ),
        ("/pacing", json!({"workers": 17}), "spec.pacing.workers"),
    ] {
        let faults = target_of(with(database(), pointer, value)).unwrap_err();
        assert_eq!(faults.len(), 1, "{path}: {}", message_of(&faults));
        assert_eq!(faults[0].path, path);
    }
}

#[test]
fn a_reference_that_kubernetes_cannot_have_is_refused() {
    const LINE: &str = "x\nALTER ROLE mallory SUPERUSER; --";
    for pointer in ["/databaseRef/name", "/databaseRef/namespace"] {
        let (path, reason, message) = fault(with(policy(), pointer, json!(LINE)));
        assert_eq!(path, format!("spec{}", pointer.replace('/', ".")));
        assert_eq!(reason, Reason::InvalidSpec);
        assert!(!message.contains('\n'), "{message}");
    }
    let key = |name: &str, key: &str| json!({"secretRef": {"name": name, "key": key}});
    for (name, entry) in [(LINE, "key"), ("crm", LINE)] {
        let (path, ..) = fault(with(policy(), "/pseudonymKey", key(name, entry)));
        assert!(path.starts_with("spec.pseudonymKey.secretRef."), "{path}");
    }
    for pointer in [
        "/connection/credentials/secretRef/name",
        "/connection/database",
        "/connection/host",
    ] {
        let faults = target_of(with(database(), pointer, json!(LINE))).unwrap_err();
        assert!(!message_of(&faults).contains('\n'), "{faults:?}");
    }
    let ca = json!({"ca": {"configMapRef": {"name": "CA", "key": "ca.crt"}}});
    assert!(target_of(with(database(), "/connection/tls", ca)).is_err());
}

#[test]
fn a_misspelt_name_finds_the_one_that_was_meant() {
    let known = ["limits", "mode", "rules", "suspend"].map(str::to_owned);
    assert_eq!(nearest("limit", &known), Some(&known[0]));
    assert_eq!(nearest("supsend", &known), Some(&known[3]));
    assert_eq!(nearest("unless", &known), None);
}

#[test]
fn an_unknown_field_outweighs_an_unusable_value() {
    let faults = mandate_of(with(
        with(policy(), "/mode", json!("On")),
        "/limit",
        json!(1),
    ));
    assert_eq!(reason_of(&faults.unwrap_err()), Reason::UnknownField);
}

#[test]
fn a_clock_is_in_one_place_and_says_what_counts_without_it() {
    let event =
        || json!({"table": "a.e", "match": [{"column": "b", "equals": "id"}], "column": "c"});
    let since = |since: Value| with(policy(), "/rules/0/since", since);
    let unless = |entry: Value| with(policy(), "/rules/0/unless", json!([entry]));
    let expire_on = json!({"instant": "2018-07-01", "changedBefore": {"column": "c"}});
    let alone = |mut rule: Value| {
        for field in ["since", "expireAfter"] {
            rule["rules"][0].as_object_mut().unwrap().remove(field);
        }
        with(rule, "/rules/0/expireOn", expire_on.clone())
    };
    mandate_of(alone(policy())).unwrap();
    mandate_of(since(json!({"parent": event()}))).unwrap();
    let mut dead_end = event();
    dead_end["via"] = json!({"table": "a.v", "match": [{"column": "b", "equals": "id"}], "withoutRows": "Ignored"});
    mandate_of(since(
        json!({"latest": dead_end, "otherwise": {"column": "c"}}),
    ))
    .unwrap();
    dead_end.as_object_mut().unwrap().remove("column");
    for (document, path, words) in [
        (since(json!({})), "since.column", "created_at"),
        (
            since(json!({"latest": event()})),
            "since.otherwise",
            "for which there is none",
        ),
        (
            since(json!({"latest": event(), "parent": event(), "otherwise": {"column": "c"}})),
            "since",
            "two clocks",
        ),
        (
            since(json!({"column": "c", "parent": event()})),
            "since",
            "leave these out",
        ),
        (
            since(json!({"column": "c", "otherwise": {"column": "d"}})),
            "since.otherwise",
            "remove it",
        ),
        (
            with(policy(), "/rules/0/expireOn", expire_on.clone()),
            "expireOn",
            "either it, or expireAfter",
        ),
        (
            with(alone(policy()), "/rules/0/expireOn/instant", json!("July")),
            "expireOn.instant",
            "neither a date",
        ),
        (
            unless(json!({"table": "a.e", "match": []})),
            "unless[0].match",
            "every row would match",
        ),
        (
            unless(dead_end.clone()),
            "unless[0].via.withoutRows",
            "for clocks",
        ),
        (
            unless(
                json!({"table": "a.e", "match": [{"column": "b", "equals": "id", "normalise": "Trim"}]}),
            ),
            "unless[0].match[0].normalise",
            "LowercaseTrim",
        ),
    ] {
        let (found, reason, message) = fault(document);
        assert_eq!(found, format!("spec.rules[0].{path}"), "{message}");
        assert_eq!(reason, Reason::InvalidSpec);
        assert!(message.contains(words), "{message}");
    }
}

/// A database that has a place for sealed rows.
fn sealing(engine: &str) -> Target {
    let database = with(database(), "/engine", json!(engine));
    target_of(with(
        database,
        "/seal",
        json!({"schema": "sealed", "readers": ["dpo"]}),
    ))
    .unwrap()
}

/// The policy with an action and one related entry.
fn sealed_policy(action: Value, related: &str) -> Value {
    let related = json!([{
        "table": "public.notes", "of": "public.enquiries",
        "match": [{"column": "enquiry_id", "equals": "id"}], "action": {"type": related},
    }]);
    let document = with(policy(), "/rules/0/action", action);
    with(document, "/rules/0/related", related)
}

#[test]
fn what_is_sealed_gets_an_end_of_its_own() {
    let seal = json!({"type": "Seal", "seal": {"expireAfter": "P2Y"}});
    for (engine, zone) in [("PostgreSQL", None), ("MySQL", Some("UTC"))] {
        let document = sealed_policy(seal.clone(), "Seal");
        let document = if engine == "MySQL" {
            let document = with(document, "/rules/0/table", json!("enquiries"));
            let document = with(document, "/rules/0/related/0/table", json!("notes"));
            with(document, "/rules/0/related/0/of", json!("enquiries"))
        } else {
            document
        };
        let rules = mandate_on(&sealing(engine), document).unwrap().policy.rules;
        let told: Vec<(&str, String)> = rules
            .iter()
            .skip(1)
            .map(|rule| (rule.name.as_str(), rule.table.to_string()))
            .collect();
        let expected = [
            ("course-enquiries.sealed", "sealed.enquiries".to_owned()),
            ("course-enquiries.sealed.notes", "sealed.notes".to_owned()),
        ];
        assert_eq!(told, expected);
        let (period, clock) = own(&rules[1]);
        assert_eq!(
            (period.to_string(), clock.column.as_str()),
            ("P2Y".to_owned(), "sealed_at")
        );
        assert_eq!(clock.zone.as_ref().and_then(|zone| zone.iana_name()), zone);
        assert!(rules[1].sealed_from.as_ref() == Some(&rules[0].table));
        assert!(rules[0].seal.as_ref().unwrap().readers == ["dpo"]);
    }
}

#[test]
fn grace_seals_what_would_be_deleted() {
    let document = sealed_policy(json!({"type": "Delete"}), "Delete");
    let document = with(document, "/rules/0/grace", json!("P14D"));
    let rules = mandate_on(&sealing("PostgreSQL"), document)
        .unwrap()
        .policy
        .rules;
    assert!(matches!(rules[0].related[0].action, RelatedAction::Seal));
    assert_eq!(rules.len(), 3);
    assert_eq!(own(&rules[2]).0.to_string(), "P14D");
}

#[test]
fn sealing_needs_a_place_and_a_time_that_nobody_else_has() {
    let seal = |after: &str| json!({"type": "Seal", "seal": {"expireAfter": after}});
    let faulty = |document: Value| {
        let faults = mandate_on(&sealing("PostgreSQL"), document).unwrap_err();
        message_of(&faults)
    };
    let told = fault(sealed_policy(seal("P2Y"), "Seal")).2;
    assert!(told.contains("seal: {schema: sealed}"), "{told}");
    let told = faulty(sealed_policy(json!({"type": "Seal"}), "Seal"));
    assert!(
        told.starts_with("spec.rules[0].action.seal: is required"),
        "{told}"
    );
    let told = faulty(sealed_policy(json!({"type": "Delete"}), "Seal"));
    assert!(
        told.contains("related[0].action: rows are sealed with"),
        "{told}"
    );
    let columns = json!([{"column": "email", "strategy": "Nullify"}]);
    let anonymise = json!({"type": "Anonymise", "columns": columns});
    let told = faulty(with(
        sealed_policy(anonymise, "Detach"),
        "/rules/0/grace",
        json!("P1D"),
    ));
    assert!(
        told.contains("spec.rules[0].grace: is for the action Delete"),
        "{told}"
    );
    let mut other = policy()["rules"][0].clone();
    other["name"] = json!("others");
    other["action"] = seal("P3Y");
    let told = faulty(with(
        sealed_policy(seal("P2Y"), "Seal"),
        "/rules/-",
        other.clone(),
    ));
    assert!(
        told.contains("rules[1]: seals rows of public.enquiries into"),
        "{told}"
    );
    other["action"] = seal("P2Y");
    let document = with(sealed_policy(seal("P2Y"), "Seal"), "/rules/-", other);
    assert_eq!(
        mandate_on(&sealing("PostgreSQL"), document)
            .unwrap()
            .policy
            .rules
            .len(),
        4
    );
    // No other rule ends what was sealed: holds on where it came from would not keep it.
    let delete = json!({"type": "Delete"});
    let elsewhere = |path: &str| {
        let document = sealed_policy(delete.clone(), "Delete");
        faulty(with(document, path, json!("sealed.enquiries")))
    };
    let told = elsewhere("/rules/0/table");
    assert!(
        told.contains("rules[0].table: is where rows are sealed"),
        "{told}"
    );
    let told = elsewhere("/rules/0/related/0/table");
    assert!(
        told.contains("related[0].table: is where rows are sealed"),
        "{told}"
    );
    // A database of MySQL is no place for its own sealed rows.
    let own = with(
        with(database(), "/engine", json!("MySQL")),
        "/seal",
        json!({"schema": "crm"}),
    );
    assert!(message_of(&target_of(own).unwrap_err()).contains("own database"));
    let everybody = with(
        with(database(), "/engine", json!("PostgreSQL")),
        "/seal",
        json!({"schema": "sealed", "readers": ["Public"]}),
    );
    assert!(message_of(&target_of(everybody).unwrap_err()).contains("which is everybody"));
}
