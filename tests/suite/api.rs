//! The kinds on a real API server: what its schemas accept, refuse, fill in and show. With kubectl,
//! as people use it, and by raw requests, as other programs do.

use anyhow::{Context, Result, bail, ensure};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::TargetDatabaseSpec;
use oubliette_core::policy::Mandate;
use oubliette_core::target::Target;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::cluster::{API_VERSION, Namespace};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, body: fn(&World) -> Result<()>| {
        cases.push(Case::new(format!("api::{name}"), Needs::cluster(), body));
    };
    case("misspelt_guard_is_refused_at_once", misspelt_guard);
    case(
        "unknown_fields_survive_and_are_refused_by_the_parser",
        unknown_survives,
    );
    case("what_the_schemas_refuse", what_is_refused);
    case("immutable_fields_stay", immutable);
    case("dropped_rules_leave_no_ghosts", no_ghosts);
    case("defaults_mean_the_same_as_leaving_out", defaults);
    case("pending_until_the_controller_has_looked", pending);
    case("columns_show_what_a_person_wants", columns);
    case("explain_is_the_manual", explain);
    case("a_stale_status_writer_gets_a_conflict", stale_writer);
    case("status_is_the_operators_word", status_writer);
    case("a_long_policy_is_checked_in_time", long_policy);
    cases
}

/// A group with the same schemas that no admission policy watches: as in a cluster without the chart.
const TWIN: &str = "twin.oubliette.dev";

fn database() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase", "metadata": {"name": "crm"},
        "spec": {
            "engine": "PostgreSQL",
            "connection": {
                "host": "crm-rw.crm.svc", "database": "crm",
                "credentials": {"secretRef": {"name": "crm-oubliette"}},
            },
        },
    })
}

fn policy() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy", "metadata": {"name": "enquiries"},
        "spec": {
            "databaseRef": {"name": "crm"},
            "schedule": "0 3 1 1 *",
            "rules": [{
                "name": "enquiries", "basis": "Privacy notice", "table": "public.enquiries",
                "expireAfter": "P6M", "since": {"column": "enquired_at"}, "action": {"type": "Delete"},
            }],
        },
    })
}

/// Puts a value at a JSON pointer below the spec; a missing last part is added.
fn with(mut object: Value, pointer: &str, value: Value) -> Result<Value> {
    let (parent, last) = pointer.rsplit_once('/').context("a pointer has a slash")?;
    let parent = object
        .pointer_mut(&format!("/spec{parent}"))
        .with_context(|| format!("nothing at {parent}"))?;
    parent[last] = value;
    Ok(object)
}

fn kubectl(
    world: &World,
    namespace: &Namespace<'_>,
    arguments: &[&str],
    object: &Value,
) -> Result<String> {
    let mut all = vec!["-n", namespace.name.as_str()];
    all.extend(arguments);
    world
        .control_plane()?
        .cluster
        .kubectl(&all, &object.to_string())
}

fn kubectl_json(world: &World, namespace: &Namespace<'_>, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.extend(["-o", "json"]);
    let text = kubectl(world, namespace, &all, &Value::Null)?;
    serde_json::from_str(&text).context("kubectl did not print JSON")
}

/// A POST without kubectl's own checks.
fn post(
    world: &World,
    namespace: &Namespace<'_>,
    group: &str,
    plural: &str,
    object: &Value,
) -> Result<Value> {
    let path = format!(
        "/apis/{group}/v1alpha1/namespaces/{}/{plural}",
        namespace.name
    );
    let text = kubectl(
        world,
        namespace,
        &["create", "--raw", &path, "-f", "-"],
        object,
    )?;
    serde_json::from_str(&text).context("the API server did not answer with JSON")
}

/// Fails unless the refusal says all of these words.
fn refused<T>(outcome: Result<T>, words: &[&str]) -> Result<()> {
    let Err(error) = outcome else {
        bail!("was accepted, and should have been refused with {words:?}");
    };
    let text = format!("{error:#}");
    for word in words {
        ensure!(
            text.contains(word),
            "the refusal does not say {word:?}: {text}"
        );
    }
    Ok(())
}

fn spec_of<S: DeserializeOwned>(object: &Value) -> Result<S> {
    serde_json::from_value(object["spec"].clone()).context("not a spec")
}

fn misspelt_guard(world: &World) -> Result<()> {
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

/// Installs the same kinds in another group.
fn install_twins(world: &World, namespace: &Namespace<'_>) -> Result<()> {
    for crd in oubliette::resource::crds() {
        let mut crd = serde_json::to_value(crd)?;
        let name = format!(
            "{}.{TWIN}",
            crd["spec"]["names"]["plural"].as_str().unwrap_or_default()
        );
        crd["metadata"]["name"] = json!(name);
        crd["spec"]["group"] = json!(TWIN);
        crd["spec"]["names"]["shortNames"] = json!([]);
        crd["spec"]["names"]["categories"] = json!([]);
        kubectl(
            world,
            namespace,
            &["apply", "--server-side", "-f", "-"],
            &crd,
        )?;
        let arguments = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            &name,
        ];
        kubectl(world, namespace, &arguments, &Value::Null)?;
    }
    Ok(())
}

/// Creates an object of a twin kind, as soon as the server serves it.
fn post_twin(
    world: &World,
    namespace: &Namespace<'_>,
    plural: &str,
    object: &Value,
) -> Result<Value> {
    let mut object = object.clone();
    object["apiVersion"] = json!(format!("{TWIN}/v1alpha1"));
    wait_for("the twin kinds are served", PATIENCE, || {
        Ok(match post(world, namespace, TWIN, plural, &object) {
            Err(error)
                if format!("{error:#}").contains("could not find the requested resource") =>
            {
                Err(format!("{error:#}"))
            }
            other => Ok(other),
        })
    })?
}

fn unknown_survives(world: &World) -> Result<()> {
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

fn sentences(faults: &[FieldError]) -> anyhow::Error {
    anyhow::anyhow!("{}", oubliette_core::api::parse::message_of(faults))
}

fn what_is_refused(world: &World) -> Result<()> {
    let namespace = world.namespace("what_is_refused")?;
    let columns = |column: Value| json!({"type": "Anonymise", "columns": [column]});
    let test = |test: Value| json!([test]);
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

fn immutable(world: &World) -> Result<()> {
    let namespace = world.namespace("immutable")?;
    namespace.apply_value(&database())?;
    namespace.apply_value(&policy())?;
    let patches = [
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
        &json!({"spec": {"connection": {"host": "other"}}}),
    )?;
    namespace.patch(
        "RetentionPolicy",
        "enquiries",
        &json!({"spec": {"mode": "Enforce"}}),
    )?;
    namespace.finish()
}

fn no_ghosts(world: &World) -> Result<()> {
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

fn defaults(world: &World) -> Result<()> {
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

fn pending(world: &World) -> Result<()> {
    let namespace = world.namespace("pending")?;
    install_twins(world, &namespace)?;
    for (plural, object) in [
        ("retentionpolicies", policy()),
        ("targetdatabases", database()),
    ] {
        let stored = post_twin(world, &namespace, plural, &object)?;
        let condition = &stored["status"]["conditions"][0];
        let seen = [
            &condition["type"],
            &condition["status"],
            &condition["reason"],
        ];
        ensure!(
            seen == ["Ready", "Unknown", "Pending"],
            "{plural}: {stored}"
        );
    }
    namespace.finish()
}

/// Writes a status of a twin policy, at a resource version if one is given.
fn write_status(
    world: &World,
    namespace: &Namespace<'_>,
    status: &Value,
    version: Option<&str>,
) -> Result<String> {
    let mut object = json!({
        "apiVersion": format!("{TWIN}/v1alpha1"), "kind": "RetentionPolicy",
        "metadata": {"name": "enquiries"}, "status": status,
    });
    if let Some(version) = version {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--subresource=status",
        "--field-manager=operator",
        "--validate=ignore",
        "-f",
        "-",
    ];
    kubectl(world, namespace, &arguments, &object)
}

fn columns(world: &World) -> Result<()> {
    let namespace = world.namespace("columns")?;
    let table = |arguments: &[&str]| -> Result<String> {
        let mut all = vec!["get"];
        all.extend(arguments);
        kubectl(world, &namespace, &all, &Value::Null)
    };
    let head = |text: &str| {
        let words = text
            .lines()
            .next()
            .unwrap_or_default()
            .split("  ")
            .map(str::trim);
        words
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(",")
    };
    namespace.apply_value(&database())?;
    namespace.apply_value(&policy())?;
    let policies = head(&table(&["orp"])?);
    let expected = "NAME,DATABASE,MODE,READY,REASON,OVERDUE,NEXT RUN,LAST RUN,AGE";
    ensure!(policies == expected, "{policies}");
    let databases = head(&table(&["odb"])?);
    ensure!(
        databases == "NAME,ENGINE,VERSION,READY,REASON,AGE",
        "{databases}"
    );
    for (kind, more) in [
        ("orp", "OUTCOME"),
        ("orp", "MESSAGE"),
        ("odb", "HOST"),
        ("odb", "DATABASE"),
    ] {
        let wide = table(&[kind, "-o", "wide"])?;
        ensure!(head(&wide).contains(more), "{wide}");
    }
    // All kinds by their category.
    ensure!(table(&["oubliette"])?.contains("targetdatabase.oubliette.dev/crm"));

    // A time in the future is shown as it is; `<invalid>` is what a date column would say.
    install_twins(world, &namespace)?;
    post_twin(world, &namespace, "retentionpolicies", &policy())?;
    let status = json!({"overdueRows": 1234, "nextRunAt": "2999-01-01T03:00:00Z"});
    write_status(world, &namespace, &status, None)?;
    let shown = table(&["retentionpolicies.twin.oubliette.dev"])?;
    ensure!(
        shown.contains("1234") && shown.contains("2999-01-01T03:00:00Z"),
        "{shown}"
    );
    namespace.finish()
}

fn explain(world: &World) -> Result<()> {
    let namespace = world.namespace("explain")?;
    let text = |path: &str| kubectl(world, &namespace, &["explain", path], &Value::Null);
    for (path, words) in [
        ("retentionpolicy.spec.rules.expireAfter", "ISO 8601"),
        (
            "retentionpolicy.spec.rules.where.anyOf.allOf.operator",
            "IsNotNull",
        ),
        ("retentionpolicy.spec.mode", "DryRun"),
        ("targetdatabase.spec.connection.tls.mode", "Disable"),
        ("targetdatabase.spec.pacing.maxRowsPerSecond", "a fifth"),
        ("retentionpolicy.status.leftElsewhere", "backups"),
    ] {
        let shown = wait_for("kubectl explains the kinds", PATIENCE, || {
            Ok(text(path).map_err(|error| format!("{error:#}")))
        })?;
        ensure!(
            shown.contains(words),
            "{path} does not say {words:?}: {shown}"
        );
    }
    namespace.finish()
}

fn stale_writer(world: &World) -> Result<()> {
    let namespace = world.namespace("stale_writer")?;
    install_twins(world, &namespace)?;
    let stored = post_twin(world, &namespace, "retentionpolicies", &policy())?;
    let version = stored["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    write_status(
        world,
        &namespace,
        &json!({"overdueRows": 10}),
        Some(version),
    )?;
    // Another writer that still has the old version is refused, although it forces.
    refused(
        write_status(world, &namespace, &json!({"overdueRows": 5}), Some(version)),
        &["the object has been modified"],
    )?;
    let seen = kubectl_json(
        world,
        &namespace,
        &["get", "retentionpolicies.twin.oubliette.dev", "enquiries"],
    )?;
    ensure!(seen["status"]["overdueRows"] == 10, "{seen}");
    namespace.finish()
}

fn status_writer(world: &World) -> Result<()> {
    let namespace = world.namespace("status_writer")?;
    namespace.apply_value(&database())?;
    namespace.apply_value(&policy())?;
    for (kind, name, patch) in [
        ("orp", "enquiries", json!({"status": {"overdueRows": 0}})),
        ("odb", "crm", json!({"status": {"version": "99"}})),
    ] {
        let patch = patch.to_string();
        let arguments = [
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        refused(
            kubectl(world, &namespace, &arguments, &Value::Null),
            &["only the operator's ServiceAccount"],
        )?;
    }
    namespace.finish()
}

fn long_policy(world: &World) -> Result<()> {
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
