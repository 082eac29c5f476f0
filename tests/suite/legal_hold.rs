//! LegalHold objects under the operator: when they are in force, what outlives them, and what ends
//! them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::cluster::{API_VERSION, Namespace, documents, expect_refused};
use crate::expect::Grants;
use crate::printed;
use crate::rig::series;
use crate::scenario::{Stage, TARGET};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "a_hold_outlives_its_object_and_ends_by_release_only",
            outlives as fn(&World, Server) -> Result<()>,
        ),
        ("a_hold_outlives_its_namespace", outlives_its_namespace),
    ] {
        let name = format!("legal_hold::{name}");
        cases.extend(Case::on_each_with_operator(&name, &Server::ENGINES, body));
    }
    for (name, body) in [
        (
            "a_hold_that_does_not_fit_is_not_in_force_and_says_why",
            unfit as fn(&World, Server) -> Result<()>,
        ),
        ("a_hold_that_a_restore_has_lost_is_placed_again", restored),
    ] {
        let name = format!("legal_hold::{name}");
        cases.extend(Case::on_each_with_operator(
            &name,
            &[Server::Postgres18],
            body,
        ));
    }
    cases.push(Case::new(
        "legal_hold::what_is_written_once_stays",
        Needs::cluster(),
        written_once,
    ));
    cases
}

const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: people}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: people
    basis: "The promise that is tried"
    table: ${schema}.people
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
"#;

/// A hold on people by their names.
pub(crate) fn hold(namespace: &Namespace<'_>, name: &str, table: &str) -> Result<Value> {
    Ok(json!({
        "apiVersion": API_VERSION, "kind": "LegalHold", "metadata": {"name": name},
        "spec": {
            "type": "Rows",
            "rows": {
                "databaseRef": {"name": TARGET},
                "table": table,
                "where": [{
                    "column": "full_name", "operator": "In",
                    "valuesFrom": {"secretRef": {"name": format!("{name}-names"), "key": "names"}},
                }],
            },
            "reason": "LIT-2026-014",
            "placedBy": namespace.whoami()?,
            "reviewAt": "2020-01-01T00:00:00Z",
        },
    }))
}

fn names(hold: &str, names: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{hold}-names")},
        "stringData": {"names": names},
    })
}

/// Applies a hold with its Secret, and the Role by which the operator may read that.
pub(crate) fn place(namespace: &Namespace<'_>, hold: &Value, values: &Value) -> Result<()> {
    namespace.apply_value(values)?;
    namespace.apply(&printed::roles(
        std::slice::from_ref(hold),
        &namespace.name,
    )?)?;
    namespace.apply_value(hold).map(drop)
}

/// A table of people, all expired, and the policy about them.
pub(crate) fn stage<'w>(world: &'w World, server: Server, case: &str) -> Result<Stage<'w>> {
    let database = world.database(server, case)?;
    world.block_on(database.admin.execute(&database.fill(&format!(
        "CREATE TABLE people (id integer PRIMARY KEY, left_at ${{instant}} NULL, full_name varchar(80));
         INSERT INTO people SELECT n, current_timestamp - INTERVAL '2' YEAR, concat('Person ', n) FROM {}",
        series(server, 20)
    ))))?;
    let stage = Stage::set(world, case, database, POLICY, Grants::Printed)?;
    let scheduled = stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled");
    scheduled.map(|_| stage)
}

pub(crate) fn left(stage: &Stage<'_>) -> Result<i64> {
    let admin = &stage.database.admin;
    stage
        .world
        .block_on(admin.number("SELECT count(*) FROM people"))
}

fn fill(stage: &Stage<'_>) -> Result<()> {
    let sql =
        "INSERT INTO people VALUES (100, current_timestamp - INTERVAL '2' YEAR, 'Person 100')";
    stage
        .world
        .block_on(stage.database.admin.execute(sql))
        .map(drop)
}

/// Runs the policy, and says how many rows its holds kept.
pub(crate) fn kept(stage: &Stage<'_>) -> Result<Value> {
    fill(stage)?;
    stage.run_to_end()?;
    let policy = stage.namespace.get("RetentionPolicy", &stage.policy)?;
    let rule = policy.pointer("/status/lastRun/rules/0");
    let rule = rule.context("no run in the status")?;
    Ok(json!([rule.pointer("/residual/held"), rule["heldBy"]]))
}

/// Waits until the database tells so many holds whose objects are gone.
pub(crate) fn wait_orphaned(stage: &Stage<'_>, wanted: &Value) -> Result<()> {
    stage
        .namespace
        .wait_until(
            "TargetDatabase",
            TARGET,
            &format!("tells of orphaned holds: {wanted}"),
            PATIENCE,
            |object| {
                let seen = object.pointer("/status/orphanedHolds");
                if seen.unwrap_or(&Value::Null) == wanted {
                    Ok(())
                } else {
                    Err(format!("{seen:?}"))
                }
            },
        )
        .map(drop)
}

pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c["type"] == kind)
}

/// Runs `oubliette hold …` against the cluster.
pub(crate) fn command(stage: &Stage<'_>, arguments: &[&str]) -> Result<std::process::Output> {
    let kubeconfig = &stage.world.control_plane()?.cluster.kubeconfig;
    std::process::Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .arg("hold")
        .args(arguments)
        .args([TARGET, "-n", &stage.namespace.name])
        .env("KUBECONFIG", kubeconfig)
        .stdin(std::process::Stdio::null())
        .output()
        .context("failed to run oubliette")
}

fn outlives(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "hold_outlives")?;
    let namespace = &stage.namespace;
    let table = stage.database.fill("${schema}.people");
    let object = hold(namespace, "matter", &table)?;
    place(namespace, &object, &names("matter", "Person 7\nPerson 8\n"))?;
    let held = namespace.wait_reason("LegalHold", "matter", "Held")?;
    let status = &held["status"];
    ensure!(status["heldRows"] == 2, "{status}");
    ensure!(status["acceptedAt"].is_string(), "{status}");
    for (kind, wanted) in [("Active", "Held"), ("ReviewDue", "ReviewDue")] {
        let told = condition(&held, kind);
        ensure!(
            told.is_some_and(|c| c["status"] == "True" && c["reason"] == wanted),
            "{status}"
        );
    }
    let full = format!("{}/matter", namespace.name);
    let one = json!([2, [{"hold": full, "rows": 2}]]);
    let seen = kept(&stage)?;
    ensure!(seen == one && left(&stage)? == 2, "{seen}");

    // Neither its end nor that of its Secret releases it, nor does another one of its name.
    let first = held.pointer("/metadata/uid").and_then(Value::as_str);
    let first = first.context("no UID")?.to_owned();
    namespace.delete(API_VERSION, "LegalHold", "matter")?;
    namespace.delete("v1", "Secret", "matter-names")?;
    let orphaned = json!({"count": 1, "names": [full]});
    wait_orphaned(&stage, &orphaned)?;
    place(namespace, &object, &names("matter", "Person 9"))?;
    namespace.wait_reason("LegalHold", "matter", "Held")?;
    let mut release = object.clone();
    release["spec"]["release"] =
        json!({"reason": "LIT-2026-014/closed", "by": namespace.whoami()?});
    namespace.apply_value(&release)?;
    let released = namespace.wait_reason("LegalHold", "matter", "HoldReleased")?;
    ensure!(
        released.pointer("/status/released/by").is_some(),
        "{released}"
    );
    let seen = kept(&stage)?;
    ensure!(seen == one && left(&stage)? == 2, "{seen}");
    wait_orphaned(&stage, &orphaned)?;

    // It is listed, and ends by its id.
    let list = command(&stage, &["list"])?;
    let list = String::from_utf8(list.stdout)?;
    ensure!(list.lines().count() == 2 && list.contains(&first), "{list}");
    ensure!(!list.contains("Person"), "{list}");
    let release = |more: &[&str]| {
        let arguments = [
            "release", "--id", &first, "--reason", "LIT-9", "--by", "judge",
        ];
        command(&stage, &[&arguments, more].concat())
    };
    ensure!(!release(&[])?.status.success(), "nobody was asked");
    let output = release(&["--yes"])?;
    ensure!(output.status.success(), "{output:?}");
    let seen = kept(&stage)?;
    ensure!(seen == json!([0, null]) && left(&stage)? == 0, "{seen}");
    // The operator is not told of what others do in the ledger: it sees it at its next look.
    let patch = json!({"spec": {"pacing": {"workers": 2}}});
    namespace.patch("TargetDatabase", TARGET, &patch)?;
    wait_orphaned(&stage, &Value::Null)?;
    stage.keep_ledger()?;
    stage.namespace.finish()
}

fn outlives_its_namespace(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "hold_namespace")?;
    let patch = json!({"spec": {"usableFrom": {"from": "All"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)?;
    let other = world.namespace("hold_elsewhere")?;
    let mut object = hold(&other, "matter", &stage.database.fill("${schema}.people"))?;
    object["spec"]["rows"]["databaseRef"]["namespace"] = json!(stage.namespace.name);
    place(&other, &object, &names("matter", "[\"Person 7\"]"))?;
    other.wait_reason("LegalHold", "matter", "Held")?;
    other.delete("v1", "Namespace", &other.name)?;
    let full = format!("{}/matter", other.name);
    wait_orphaned(&stage, &json!({"count": 1, "names": [full]}))?;
    let seen = kept(&stage)?;
    ensure!(seen == json!([1, [{"hold": full, "rows": 1}]]), "{seen}");
    ensure!(left(&stage)? == 1);
    stage.namespace.finish()
}

fn unfit(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "hold_unfit")?;
    let namespace = &stage.namespace;
    let table = stage.database.fill("${schema}.people");
    for (name, path, value, words) in [
        (
            "table",
            "/spec/rows/table",
            json!("public.nobody"),
            "does not exist",
        ),
        (
            "column",
            "/spec/rows/where/0/column",
            json!("surname"),
            "has no column surname",
        ),
        (
            "value",
            "/spec/rows/where/0/column",
            json!("id"),
            "does not fit integer",
        ),
        (
            "time",
            "/spec/rows/where/0/column",
            json!("left_at"),
            "In compares text",
        ),
    ] {
        let mut object = hold(namespace, name, &table)?;
        *object.pointer_mut(path).context(path)? = value;
        place(namespace, &object, &names(name, "Person 7"))?;
        let told = namespace.wait_reason("LegalHold", name, "HoldUnfit")?;
        let active = condition(&told, "Active").context("no Active")?;
        ensure!(active["status"] == "False", "{told}");
        let ready = condition(&told, "Ready").context("no Ready")?;
        let message = ready["message"].as_str().unwrap_or_default();
        ensure!(message.contains(words), "{message}");
        ensure!(!message.contains("Person"), "{message}");
    }
    // Credentials are not taken for values.
    let mut object = hold(namespace, "leak", &table)?;
    object["spec"]["rows"]["where"][0]["valuesFrom"]["secretRef"] =
        json!({"name": "target-credentials", "key": "password"});
    place(namespace, &object, &names("leak", "Person 7"))?;
    namespace.wait_reason("LegalHold", "leak", "HoldUnfit")?;
    // A Secret that comes later puts the hold in force.
    let object = hold(namespace, "late", &table)?;
    namespace.apply(&printed::roles(
        std::slice::from_ref(&object),
        &namespace.name,
    )?)?;
    namespace.apply_value(&object)?;
    namespace.wait_reason("LegalHold", "late", "SecretMissing")?;
    namespace.apply_value(&names("late", "Person 7"))?;
    namespace.wait_reason("LegalHold", "late", "Held")?;
    let seen = kept(&stage)?;
    ensure!(seen[0] == 1 && left(&stage)? == 1, "{seen}");
    stage.namespace.finish()
}

fn restored(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "hold_restored")?;
    let namespace = &stage.namespace;
    let table = stage.database.fill("${schema}.people");
    let object = hold(namespace, "matter", &table)?;
    place(namespace, &object, &names("matter", "Person 7"))?;
    namespace.wait_reason("LegalHold", "matter", "Held")?;
    world.block_on(stage.database.admin.execute("DELETE FROM oubliette.hold"))?;
    // The object remembers what the ledger does not: nothing runs meanwhile.
    let token = stage.run_now()?;
    stage.wait_run_ended(&token, PATIENCE)?;
    ensure!(left(&stage)? == 1, "the held row went");
    wait_for("the hold is in the ledger again", PATIENCE, || {
        let holds = world.block_on(
            stage
                .database
                .admin
                .number("SELECT count(*) FROM oubliette.hold"),
        )?;
        Ok(if holds == 1 {
            Ok(())
        } else {
            Err(holds.to_string())
        })
    })?;
    stage.namespace.finish()
}

fn written_once(world: &World) -> Result<()> {
    let namespace = world.namespace("hold_written_once")?;
    let object = hold(&namespace, "matter", "public.people")?;
    namespace.apply_value(&object)?;
    for (path, value, words) in [
        (
            "/spec/rows/table",
            json!("public.others"),
            "rows is immutable",
        ),
        ("/spec/reason", json!("LIT-2"), "reason is immutable"),
        ("/spec/placedBy", json!("somebody"), "placedBy is immutable"),
        ("/spec/reason", json!("Jane v. us"), "spec.reason"),
        (
            "/spec/rows/where/0/operator",
            json!("IsNull"),
            "In needs valuesFrom",
        ),
    ] {
        let mut other = object.clone();
        *other.pointer_mut(path).context(path)? = value;
        expect_refused(namespace.apply_value(&other), words)?;
    }
    let mut misspelt = object.clone();
    misspelt["spec"]["rows"]["wehre"] = json!([]);
    let misspelt = namespace.apply_value(&misspelt);
    ensure!(misspelt.is_err(), "an unknown field was taken");
    let mut later = object.clone();
    later["spec"]["reviewAt"] = json!("2030-01-01T00:00:00Z");
    namespace.apply_value(&later)?;
    let who = namespace.whoami()?;
    later["spec"]["release"] = json!({"reason": "LIT-1/closed", "by": who});
    namespace.apply_value(&later)?;
    let mut again = later.clone();
    again["spec"]["release"]["reason"] = json!("LIT-3");
    expect_refused(namespace.apply_value(&again), "release is written once")?;
    again["spec"]["release"] = Value::Null;
    let patch = json!({"spec": {"release": null}});
    let outcome = namespace.patch("LegalHold", "matter", &patch);
    expect_refused(outcome.map(|()| again), "release is written once")?;
    namespace.finish()
}

/// Documents that a scenario places, with the name of whoever places holds filled in; returns the
/// names of the holds.
pub(crate) fn place_all(namespace: &Namespace<'_>, yaml: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut objects = documents(yaml)?;
    for object in &mut objects {
        if object["kind"] == "LegalHold" {
            object["spec"]["placedBy"] = json!(namespace.whoami()?);
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            names.push(name.context("a hold without a name")?.to_owned());
        }
    }
    namespace.apply(&printed::roles(&objects, &namespace.name)?)?;
    for object in &objects {
        namespace.apply_value(object)?;
    }
    Ok(names)
}

/// Places the holds of this YAML, and waits until they are in force.
pub(crate) fn hold_all(namespace: &Namespace<'_>, yaml: &str) -> Result<()> {
    for name in place_all(namespace, yaml)? {
        namespace.wait_reason("LegalHold", &name, "Held")?;
    }
    Ok(())
}

/// Releases a hold, and waits until that is done.
pub(crate) fn let_go(namespace: &Namespace<'_>, name: &str) -> Result<()> {
    namespace.patch("LegalHold", name, &release(namespace)?)?;
    let seen = namespace.wait_reason("LegalHold", name, "HoldReleased");
    seen.map(drop)
}

/// The patch that releases a hold.
pub(crate) fn release(namespace: &Namespace<'_>) -> Result<Value> {
    let who = namespace.whoami()?;
    Ok(json!({"spec": {"release": {"reason": "CASE-1/closed", "by": who}}}))
}
