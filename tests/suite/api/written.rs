//! What people write: accepted, refused, filled in.

use anyhow::{Result, bail, ensure};
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::TargetDatabaseSpec;
use oubliette_core::policy::Mandate;
use oubliette_core::target::Target;
use serde_json::{Value, json};

use super::{
    database, install_twins, kubectl, kubectl_json, policy, post, post_twin, refused, sentences,
    spec_of, with,
};
use crate::world::World;

pub(super) fn misspelt_guard(world: &World) -> Result<()> {
    let namespace = world.namespace("misspelt_guard")?;
    let bad = with(policy(), "/limit", json!({"maxRows": 5}))?;
    let words = &["unknown: limit", "known here", "limits"];
    refused(
        post(
            world,
            &namespace,
            "oubliette.dev",
            "retentionpolicies",
            &bad,
        ),
        words,
    )?;
    for way in [
        &["apply", "-f", "-"][..],
        &["apply", "--validate=ignore", "-f", "-"],
        &["create", "-f", "-"],
    ] {
        refused(kubectl(world, &namespace, way, &bad), words)?;
    }
    let deep = with(policy(), "/rules/0/unles", json!([]))?;
    refused(
        post(
            world,
            &namespace,
            "oubliette.dev",
            "retentionpolicies",
            &deep,
        ),
        &["spec.rules[]", "unles"],
    )?;
    let bad = with(database(), "/connection/tls", json!({"moed": "Disable"}))?;
    refused(
        post(world, &namespace, "oubliette.dev", "targetdatabases", &bad),
        &["spec.connection.tls", "moed"],
    )?;
    namespace.finish()
}

pub(super) fn unknown_survives(world: &World) -> Result<()> {
    let namespace = world.namespace("unknown_survives")?;
    install_twins(world, &namespace)?;
    let bad = with(policy(), "/limit", json!({"maxRows": 5}))?;
    let bad = with(
        bad,
        "/rules/0/unles",
        json!([{"table": "public.enrolments"}]),
    )?;
    let stored = post_twin(world, &namespace, "retentionpolicies", &bad)?;
    let target = Target::parse(&spec_of::<TargetDatabaseSpec>(&database())?)
        .map_err(|faults| sentences(&faults))?;
    let Err(faults) = Mandate::parse(&spec_of::<RetentionPolicySpec>(&stored)?, &target) else {
        bail!("the parser accepted a policy whose guard is misspelt");
    };
    let seen: Vec<_> = faults
        .iter()
        .map(|fault| (fault.path.as_str(), fault.reason))
        .collect();
    ensure!(
        seen == [
            ("spec.limit", Reason::UnknownField),
            ("spec.rules[0].unles", Reason::UnknownField)
        ],
        "{seen:?}"
    );
    namespace.finish()
}

pub(super) fn what_is_refused(world: &World) -> Result<()> {
    let namespace = world.namespace("what_is_refused")?;
    let columns = |column: Value| json!({"type": "Anonymise", "columns": [column]});
    let test = |test: Value| json!([test]);
    let event =
        || json!({"table": "a.e", "match": [{"column": "b", "equals": "id"}], "column": "c"});
    let policies = [
        ("/rules/0/expireAfter", json!("P"), "expireAfter"),
        (
            "/rules/0/expireAfter",
            json!("P0Y0M"),
            "longer than nothing",
        ),
        ("/rules/0/expireAfter", json!("-P6M"), "expireAfter"),
        ("/rules", json!([]), "rules"),
        ("/mode", json!("Enforced"), "Enforced"),
        ("/limits", json!({"maxRows": 0}), "maxRows"),
        ("/limits", json!({"maxPercent": 101}), "maxPercent"),
        ("/rules/0/name", json!("Enquiries!"), "name"),
        (
            "/rules/0/since",
            json!({"column": "c", "unit": "Days", "timeZone": "Etc/UTC"}),
            "one of them",
        ),
        (
            "/rules/0/since",
            json!({"parent": event(), "latest": event(), "otherwise": {"column": "c"}}),
            "one of column, latest and parent",
        ),
        (
            "/rules/0/since",
            json!({"latest": event()}),
            "latest needs otherwise",
        ),
        (
            "/rules/0/since",
            json!({"parent": event(), "timeZone": "Etc/UTC"}),
            "write them beside it",
        ),
        (
            "/rules/0/expireOn",
            json!({"instant": "2018-07-01", "changedBefore": {"column": "c"}}),
            "expireOn instead of both",
        ),
        ("/rules/0/action", json!({}), "action.type"),
        (
            "/rules/0/action",
            json!({"type": "Delete", "columns": []}),
            "columns",
        ),
        (
            "/rules/0/action",
            json!({"type": "Anonymise"}),
            "Anonymise needs columns",
        ),
        (
            "/rules/0/action",
            json!({"type": "Seal"}),
            "Seal needs seal",
        ),
        (
            "/rules/0/action",
            json!({"type": "Delete", "seal": {"expireAfter": "P1Y"}}),
            "only Seal takes it",
        ),
        (
            "/rules/0/action",
            json!({"type": "Seal", "seal": {"expireAfter": "P0Y"}}),
            "longer than nothing",
        ),
        ("/rules/0/grace", json!("two weeks"), "grace"),
        (
            "/rules/0/action",
            columns(json!({"column": "c", "strategy": "Constant"})),
            "Constant needs constant",
        ),
        (
            "/rules/0/action",
            columns(json!({"column": "c", "strategy": "Nullify", "constant": {"value": "x"}})),
            "only Constant takes it",
        ),
        (
            "/rules/0/action",
            columns(
                json!({"column": "c", "strategy": "GeneraliseNumber", "generaliseNumber": {"width": 1}}),
            ),
            "width",
        ),
        (
            "/rules/0/where",
            test(json!({"column": "c", "operator": "IsNull", "values": ["x"]})),
            "take no values",
        ),
        (
            "/rules/0/where",
            test(json!({"column": "c", "operator": "Before", "values": ["a", "b"]})),
            "exactly one value",
        ),
        (
            "/rules/0/where",
            test(json!({"column": "c"})),
            "either column and operator, or anyOf",
        ),
        (
            "/rules/0/where",
            test(json!({"anyOf": [{"allOf": []}]})),
            "allOf",
        ),
        (
            "/rules/0/where",
            test(json!({"anyOf": [{"allOf": [{"column": "c", "operator": "In"}]}]})),
            "needs values",
        ),
        // In lists an unquoted `n` is a type error; as a map's key it would become "false".
        (
            "/rules/0/where",
            test(json!({"column": "c", "operator": "In", "values": [false]})),
            "must be of type string",
        ),
    ];
    for (pointer, value, word) in policies {
        let object = with(policy(), pointer, value)?;
        refused(
            post(
                world,
                &namespace,
                "oubliette.dev",
                "retentionpolicies",
                &object,
            ),
            &[word],
        )?;
    }
    let databases = [
        ("/engine", json!("Oracle"), "Oracle"),
        ("/connection/host", json!("postgres://crm"), "host"),
        ("/connection/port", json!(70000), "port"),
        (
            "/connection/tls",
            json!({"mode": "Disable", "ca": {"secretRef": {"name": "a", "key": "b"}}}),
            "no effect",
        ),
        ("/connection/tls", json!({"ca": {}}), "exactly one of"),
        ("/ledger", json!({"schema": "Public"}), "schema"),
        (
            "/usableFrom",
            json!({"from": "Selector"}),
            "needs a selector",
        ),
        (
            "/usableFrom",
            json!({"from": "Selector", "selector": {}}),
            "selects everything",
        ),
        (
            "/pacing",
            json!({"batchDuration": "0s"}),
            "between 5ms and 10s",
        ),
        ("/pacing", json!({"batchDuration": "PT8H"}), "batchDuration"),
        ("/pacing", json!({"lockTimeout": "1d"}), "lockTimeout"),
        ("/pacing", json!({"workers": 17}), "workers"),
        ("/seal", json!({"readers": ["dpo"]}), "schema"),
    ];
    for (pointer, value, word) in databases {
        let object = with(database(), pointer, value)?;
        refused(
            post(
                world,
                &namespace,
                "oubliette.dev",
                "targetdatabases",
                &object,
            ),
            &[word],
        )?;
    }
    namespace.finish()
}

pub(super) fn immutable(world: &World) -> Result<()> {
    let namespace = world.namespace("immutable")?;
    namespace.apply_value(&with(database(), "/seal", json!({"schema": "sealed"}))?)?;
    namespace.apply_value(&policy())?;
    let patches = [
        (
            "TargetDatabase",
            "crm",
            json!({"seal": {"schema": "elsewhere"}}),
        ),
        ("TargetDatabase", "crm", json!({"seal": null})),
        ("TargetDatabase", "crm", json!({"engine": "MySQL"})),
        (
            "TargetDatabase",
            "crm",
            json!({"ledger": {"schema": "elsewhere"}}),
        ),
        (
            "TargetDatabase",
            "crm",
            json!({"ledger": {"schema": null}, "engine": "MySQL"}),
        ),
        (
            "RetentionPolicy",
            "enquiries",
            json!({"databaseRef": {"name": "other"}}),
        ),
        (
            "RetentionPolicy",
            "enquiries",
            json!({"databaseRef": {"namespace": "other"}}),
        ),
    ];
    for (kind, name, spec) in patches {
        refused(
            namespace.patch(kind, name, &json!({"spec": spec})),
            &["immutable"],
        )?;
    }
    // What may change, may.
    namespace.patch(
        "TargetDatabase",
        "crm",
        &json!({"spec": {"connection": {"host": "other"}, "seal": {"readers": ["dpo"]}}}),
    )?;
    namespace.patch(
        "RetentionPolicy",
        "enquiries",
        &json!({"spec": {"mode": "Enforce"}}),
    )?;
    namespace.finish()
}

pub(super) fn no_ghosts(world: &World) -> Result<()> {
    let namespace = world.namespace("no_ghosts")?;
    let first = policy();
    let mut second = policy();
    let mut rule = second["spec"]["rules"][0].clone();
    rule["name"] = json!("visits");
    second["spec"]["rules"] = json!([second["spec"]["rules"][0], rule]);
    let apply = |manager: &str, object: &Value| {
        let manager = format!("--field-manager={manager}");
        kubectl(
            world,
            &namespace,
            &["apply", "--server-side", &manager, "-f", "-"],
            object,
        )
    };
    apply("one", &second)?;
    // Another writer of the list is told so, instead of both lists being merged …
    refused(apply("two", &first), &["conflict", "rules"])?;
    // … and what its owner drops is gone.
    apply("one", &first)?;
    let rules =
        kubectl_json(world, &namespace, &["get", "orp", "enquiries"])?["spec"]["rules"].clone();
    ensure!(
        rules.as_array().map(Vec::len) == Some(1),
        "a ghost stayed: {rules}"
    );
    second["spec"]["rules"] = json!([first["spec"]["rules"][0], first["spec"]["rules"][0]]);
    refused(apply("one", &second), &["rule names must be unique"])?;
    namespace.finish()
}

pub(super) fn defaults(world: &World) -> Result<()> {
    let namespace = world.namespace("defaults")?;
    let stored = namespace.apply_value(&database())?;
    let ours = Target::parse(&spec_of(&database())?).map_err(|faults| sentences(&faults))?;
    let theirs = Target::parse(&spec_of(&stored)?).map_err(|faults| sentences(&faults))?;
    ensure!(ours == theirs, "{ours:?}\n{theirs:?}");
    for (pointer, value) in [
        ("/pacing/batchDuration", "50ms"),
        ("/connection/tls/mode", "VerifyFull"),
        ("/usableFrom/from", "Same"),
    ] {
        ensure!(
            stored["spec"].pointer(pointer) == Some(&json!(value)),
            "{pointer}: {stored}"
        );
    }

    // A part of a defaulted struct leaves the other parts their defaults.
    let part = with(database(), "/pacing", json!({"workers": 4}))?;
    let stored = namespace.apply_value(&part)?;
    ensure!(stored["spec"]["pacing"]["mode"] == "Steady", "{stored}");

    // Null where there is a default is the default …
    let nulls = with(policy(), "/mode", Value::Null)?;
    let nulls = with(nulls, "/suspend", Value::Null)?;
    let arguments = ["apply", "--server-side", "-o", "json", "-f", "-"];
    let stored: Value = serde_json::from_str(&kubectl(world, &namespace, &arguments, &nulls)?)?;
    ensure!(stored["spec"]["mode"] == "DryRun", "{stored}");
    // … and is refused elsewhere: `limits:` with nothing below it is a guard that was forgotten.
    for guard in ["/limits", "/rules/0/where"] {
        let nulls = with(policy(), guard, Value::Null)?;
        refused(kubectl(world, &namespace, &arguments, &nulls), &["null"])?;
    }
    let digest =
        |object: &Value| anyhow::Ok(spec_of::<RetentionPolicySpec>(object)?.digest_input());
    ensure!(
        digest(&stored)? == digest(&policy())?,
        "defaults change the digest"
    );
    namespace.finish()
}

pub(super) fn long_policy(world: &World) -> Result<()> {
    let namespace = world.namespace("long_policy")?;
    let group = json!({"allOf": [
        {"column": "a", "operator": "In", "values": ["x", "y"]},
        {"column": "b", "operator": "IsNull"},
    ]});
    let rules: Vec<_> = (0..64)
        .map(|i| {
            json!({
                "name": format!("rule-{i}"), "basis": "Privacy notice", "table": format!("public.t{i}"),
                "expireAfter": "P6M", "since": {"column": "c"},
                "where": [{"column": "d", "operator": "IsNotNull"}, {"anyOf": [group, group, group]}],
                "action": {"type": "Anonymise", "columns": [
                    {"column": "e", "strategy": "Constant", "constant": {"value": "erased"}},
                    {"column": "f", "strategy": "Nullify"},
                ]},
                "related": [{
                    "table": format!("public.u{i}"), "of": format!("public.t{i}"),
                    "match": [{"column": "t", "equals": "id"}], "action": {"type": "Delete"},
                }],
            })
        })
        .collect();
    let long = with(policy(), "/rules", json!(rules))?;
    post(
        world,
        &namespace,
        "oubliette.dev",
        "retentionpolicies",
        &long,
    )?;
    let longer = with(policy(), "/rules", json!(vec![rules[0].clone(); 65]))?;
    refused(
        post(
            world,
            &namespace,
            "oubliette.dev",
            "retentionpolicies",
            &longer,
        ),
        &["64"],
    )?;
    namespace.finish()
}
