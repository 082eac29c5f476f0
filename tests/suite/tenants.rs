//! What one user of a cluster can do to another: with manifests alone, or with a login that may do
//! nothing.

use anyhow::{Result, ensure};
use http::Request;
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::cluster::{API_VERSION, Namespace, expect_refused, ready};
use crate::controller::{POLICY, fill, hurry, left, own_operator, stage};
use crate::expect::Grants;
use crate::misspelt::exempt;
use crate::operator::Operator;
use crate::scenario::{Stage, TARGET, target_database};
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// Deeper than JSON is read here, and not deeper than the API server takes.
const DEPTH: usize = 200;
/// A value of a spec's field that is just not nested too deep: with the spec, 127 levels.
const EDGE: usize = 126;

const DEEP_POLICY: &str = "retentionpolicies/deep";
const DEEP_DATABASE: &str = "targetdatabases/deep";

/// The cases that share the suite's operator.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| {
        let name = format!("tenants::{name}");
        Case::on_each_with_operator(&name, &[Server::Postgres15], body)
    };
    [
        on("many_conflicts_are_told_in_few_words", many_conflicts),
        on("an_address_alone_stops_nobody", address_alone),
        on("a_token_used_again_is_no_new_run", token_again),
    ]
    .into_iter()
    .flatten()
    .chain([Case::new(
        "tenants::what_is_being_deleted_takes_no_unknown_field",
        Needs::cluster(),
        deleted_first,
    )])
    .collect()
}

/// The cases that run an operator of their own.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    vec![Case::new(
        "tenants::an_object_nested_too_deep_stops_nobody_else",
        Needs::cluster().with(Server::Postgres15),
        nested_too_deep,
    )]
}

fn message(object: &Value) -> &str {
    ready(object)
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}

/// Whoever deletes a policy first, with a finalizer in its way, writes no spec past the admission
/// policy; the finalizer can be taken away.
fn deleted_first(world: &World) -> Result<()> {
    let namespace = world.namespace("deleted_first")?;
    let policy = json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
        "spec": {
            "databaseRef": {"name": TARGET},
            "schedule": "0 3 1 1 *",
            "rules": [{
                "name": "a", "basis": "none", "table": "public.a", "expireAfter": "P1Y",
                "since": {"column": "c"}, "action": {"type": "Delete"},
            }],
        },
    });
    namespace.apply_value(&policy)?;
    let patched = || {
        // Each time another one: what is there already is let be.
        let unknown = json!({"spec": {"zzz": {"a": next_number()}}});
        let patched = namespace.patch("RetentionPolicy", "held", &unknown);
        patched.map(|()| Value::Null)
    };
    wait_for("the admission policy is in force", PATIENCE, || {
        Ok(expect_refused(patched(), "zzz").map_err(|error| error.to_string()))
    })?;
    namespace.delete(API_VERSION, "RetentionPolicy", "held")?;
    expect_refused(patched(), "zzz")?;
    let free = json!({"metadata": {"finalizers": null}});
    namespace.patch("RetentionPolicy", "held", &free)?;
    namespace.finish()
}

/// The API's own text of an object, which is nested too deep to be read here.
fn raw(
    world: &World,
    namespace: &Namespace<'_>,
    method: &str,
    object: &str,
    body: String,
) -> Result<String> {
    let all = format!("/apis/{API_VERSION}/namespaces/{}", namespace.name);
    let request = Request::builder()
        .method(method)
        .uri(format!("{all}/{object}"))
        .header("Content-Type", "application/merge-patch+json")
        .body(body.into_bytes())?;
    let client = world.client()?;
    Ok(world.block_on(client.request_text(request))?)
}

/// An object that no JSON reader with bounds reads, in the first list of an operator and in its
/// watch: the others are looked at all the same, and it is refused.
fn nested_too_deep(world: &World) -> Result<()> {
    let stage = stage(world, Server::Postgres15, "nested_too_deep")?;
    let namespace = &stage.namespace;
    exempt(world, &namespace.name)?;
    let mut deep = namespace.get("RetentionPolicy", &stage.policy)?;
    deep = json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy",
        "metadata": {"name": "deep"}, "spec": deep["spec"],
    });
    namespace.apply_value(&deep)?;
    let mut database = target_database(&stage.database);
    database["metadata"]["name"] = json!("deep");
    namespace.apply_value(&database)?;
    let spec = |field: &str, depth: usize| {
        let nested = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        format!(r#"{{"spec":{{"{field}":{nested}}}}}"#)
    };
    let write_database = || raw(world, namespace, "PATCH", DEEP_DATABASE, spec("zzz", EDGE));
    let write = |field: &str| {
        let body = spec(field, DEPTH);
        raw(world, namespace, "PATCH", DEEP_POLICY, body)
    };
    wait_for("the API server takes what is nested", PATIENCE, || {
        let written = write("zzz").and_then(|_| write_database());
        Ok(written.map_err(|error| error.to_string()))
    })?;
    let lease = format!("nested-{}", next_number());
    let mut operator = own_operator(world, &stage, &lease)?;
    operator.wait_ready()?;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let told = |object: &str, reason: &str, generation: &str| {
        wait_for("what is nested is refused", PATIENCE, || {
            let text = raw(world, namespace, "GET", object, String::new())?;
            let told = [reason, generation].iter().all(|part| text.contains(part));
            Ok(if told { Ok(()) } else { Err(text) })
        })
    };
    let refused = r#""reason":"InvalidSpec""#;
    told(DEEP_POLICY, refused, r#""observedGeneration":2"#)?;
    let unknown = r#""reason":"UnknownField""#;
    told(DEEP_DATABASE, unknown, r#""observedGeneration":2"#)?;
    // And now while it is watched.
    write("yyy")?;
    told(DEEP_POLICY, refused, r#""observedGeneration":3"#)?;
    hurry(&stage)?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    for deep in [DEEP_POLICY, DEEP_DATABASE] {
        raw(world, namespace, "DELETE", deep, String::new())?;
    }
    drop(operator);
    namespace.finish()
}

/// As many conflicts as there are pairs of rules would fill the memory of whoever tells them.
fn many_conflicts(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "many_conflicts")?;
    let namespace = &stage.namespace;
    let policy = namespace.get("RetentionPolicy", &stage.policy)?;
    let mut spec = policy["spec"].clone();
    let rules = (0..64).map(|i| {
        let mut rule = spec["rules"][0].clone();
        rule["name"] = json!(format!("rule-{i}"));
        rule
    });
    spec["rules"] = Value::Array(rules.collect());
    spec["suspend"] = json!(true);
    for i in 0..10 {
        namespace.apply_value(&json!({
            "apiVersion": API_VERSION, "kind": "RetentionPolicy",
            "metadata": {"name": format!("many-{i}")}, "spec": spec,
        }))?;
    }
    let object = namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        "counts the conflicts that it does not name",
        PATIENCE,
        |object| {
            let message = message(object);
            if message.contains("not named here: 2.") {
                Ok(())
            } else {
                Err(message.to_owned())
            }
        },
    )?;
    let named = message(&object).matches("may reach the same rows").count();
    ensure!(named == 8, "{named} conflicts are named");
    namespace.finish()
}

/// Another tenant's TargetDatabase of the same address, by a login that may only connect, and a
/// policy for what does not exist there.
fn address_alone(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "address")?;
    hurry(&stage)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;

    let theirs = world.database(server, "address_alone")?;
    let other = Stage::prepare(world, "address_alone", theirs, POLICY, Grants::None)?;
    let mut target = other.target_database();
    target["spec"]["connection"]["database"] = json!(stage.database.name);
    target["spec"]["ledger"] = json!({"schema": "second"});
    let mut policy = stage.namespace.get("RetentionPolicy", &stage.policy)?;
    policy = json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy",
        "metadata": {"name": other.policy}, "spec": policy["spec"],
    });
    policy["spec"]["mode"] = json!("DryRun");
    policy["spec"]["suspend"] = json!(true);
    policy["spec"]["rules"][0]["name"] = json!("whatever");
    policy["spec"]["rules"][0]["since"]["column"] = json!("nothing");
    other.apply(&[target, policy])?;
    other
        .namespace
        .wait_reason("TargetDatabase", TARGET, "Connected")?;
    // Who has shown nothing is told of who has, and not what his rules are called.
    let object = other
        .namespace
        .wait_reason("RetentionPolicy", &other.policy, "Conflict")?;
    let expected = format!(
        "rule whatever and the policy {}/{} may reach the same rows",
        stage.namespace.name, stage.policy
    );
    ensure!(
        message(&object).starts_with(&expected),
        "the message is {}",
        message(&object)
    );
    stage.run_to_end()?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Completed")?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    other.namespace.finish()?;
    stage.namespace.finish()
}

/// The ledger knows the run of a token that was used before; telling it once more would count it
/// twice, and show a state of the past.
fn token_again(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "token_again")?;
    hurry(&stage)?;
    let namespace = &stage.namespace;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let first = stage.run_now()?;
    stage.wait_run_ended(&first, PATIENCE)?;
    fill(world, &stage)?;
    let second = stage.run_now()?;
    let before = stage.wait_run_ended(&second, PATIENCE)?;
    fill(world, &stage)?;
    let counted = || -> Result<Vec<String>> {
        let metrics = world.operator(Operator::metrics)?;
        let ours = |line: &&str| {
            line.starts_with("oubliette_rows_changed_total") && line.contains(&namespace.name)
        };
        Ok(metrics.lines().filter(ours).map(str::to_owned).collect())
    };
    let rows = counted()?;
    ensure!(!rows.is_empty(), "no rows are counted");

    namespace.run_now(&stage.policy, &first)?;
    let words = ["nothing runs", first.as_str()];
    namespace.wait_event(("RetentionPolicy", &stage.policy), "InvalidSpec", &words)?;
    let after = namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        "has let go of the old token",
        PATIENCE,
        |object| {
            let handled = object.pointer("/status/handledRunNow") == Some(&json!(first));
            let open = object.pointer("/status/openRun");
            match (handled, open) {
                (true, None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        },
    )?;
    for field in ["lastRun", "history", "ledgerHead"] {
        ensure!(
            after["status"][field] == before["status"][field],
            "{field} was {}, is {}",
            before["status"][field],
            after["status"][field]
        );
    }
    ensure!(counted()? == rows, "rows are counted again");
    ensure!(left(world, &stage)? > 0, "something ran");
    // A new one runs.
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    namespace.finish()
}
