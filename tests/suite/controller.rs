//! The operator's loop on a real API server and database: what stops a run in its middle, what ends
//! it, what goes on with it, and what never starts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::chart;
use crate::cluster::{API_VERSION, is_current, resource};
use crate::expect::Grants;
use crate::given_up;
use crate::operator::{Operator, Settings};
use crate::scenario::{Stage, TARGET};
use crate::servers;
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// Expired rows of the table.
pub(crate) const ROWS: i64 = 10_000;

/// The cases that share the suite's operator.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "suspension_stops_a_run_and_its_end_resumes_it",
            suspension as fn(&World, Server) -> Result<()>,
        ),
        ("a_deleted_policy_abandons_its_run", deleted_policy),
    ] {
        let name = format!("controller::{name}");
        cases.extend(Case::on_each_with_operator(&name, &Server::ENGINES, body));
    }
    for (name, body) in [
        (
            "a_suspended_database_stops_its_runs",
            suspended_database as fn(&World, Server) -> Result<()>,
        ),
        ("a_deleted_namespace_abandons_its_run", deleted_namespace),
        ("another_spec_abandons_a_run", another_spec),
        ("a_deleted_database_leaves_no_connection", deleted_database),
        (
            "policies_of_two_namespaces_conflict",
            conflict_across_namespaces,
        ),
        (
            "two_databases_of_one_address_conflict_and_share_no_ledger",
            two_of_one_address,
        ),
    ] {
        let name = format!("controller::{name}");
        cases.extend(Case::on_each_with_operator(
            &name,
            &[Server::Postgres15],
            body,
        ));
    }
    cases
}

/// The cases that run an operator of their own.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    let needs = || Needs::cluster().with(Server::Postgres15);
    vec![Case::new(
        "controller::sigterm_ends_the_operator_in_seconds_and_the_next_one_goes_on",
        needs(),
        sigterm,
    )]
}

pub(crate) const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: events}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: events
    basis: "Events are kept for one year"
    table: ${schema}.events
    expireAfter: P1Y
    since: {column: happened_at}
    action: {type: Delete}
"#;

pub(crate) const SCHEMA: &str = "
CREATE TABLE digit (d integer PRIMARY KEY);
INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
CREATE TABLE events (id integer PRIMARY KEY, happened_at ${instant} NULL);
";

pub(crate) const EXPIRED: &str = "
INSERT INTO events
  SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d, current_timestamp - INTERVAL '2' YEAR
  FROM digit a, digit b, digit c, digit e";

/// The seconds within which an operator ends that was asked to; a Pod has 30.
pub(crate) const ENDED: Duration = Duration::from_secs(20);

/// So slow that the middle of a run cannot be missed.
const SLOWLY: u32 = 400;

/// A policy whose runs take their time, planned once.
pub(crate) fn stage<'w>(world: &'w World, server: Server, case: &str) -> Result<Stage<'w>> {
    let database = world.database(server, case)?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    world.block_on(database.admin.execute(EXPIRED))?;
    let stage = Stage::prepare(world, case, database, POLICY, Grants::Printed)?;
    let mut objects = stage.objects(POLICY)?;
    for object in &mut objects {
        if object["kind"] == "TargetDatabase" {
            object["spec"]["pacing"] = json!({"maxRowsPerSecond": SLOWLY});
        }
    }
    stage.apply(&objects)?;
    Ok(stage)
}

/// The same rows once more, as from a backup.
pub(crate) fn fill(world: &World, stage: &Stage<'_>) -> Result<()> {
    world
        .block_on(stage.database.admin.execute(EXPIRED))
        .map(drop)
}

pub(crate) fn left(world: &World, stage: &Stage<'_>) -> Result<i64> {
    world.block_on(stage.database.admin.number("SELECT count(*) FROM events"))
}

/// What the ledger says of the policy's only run.
pub(crate) fn ledger_state(world: &World, stage: &Stage<'_>) -> Result<Option<String>> {
    let table = if stage.database.server.is_postgres() {
        "oubliette.run"
    } else {
        "oubliette_run"
    };
    world.block_on(
        stage
            .database
            .admin
            .value(&format!("SELECT state FROM {table}")),
    )
}

pub(crate) fn wait_for_ledger_state(world: &World, stage: &Stage<'_>, wanted: &str) -> Result<()> {
    wait_for(
        &format!("the ledger calls the run {wanted}"),
        PATIENCE,
        || {
            let state = ledger_state(world, stage)?.unwrap_or_default();
            Ok(if state == wanted { Ok(()) } else { Err(state) })
        },
    )
}

/// Starts a run and waits until it is in its middle.
pub(crate) fn begin(world: &World, stage: &Stage<'_>) -> Result<String> {
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let token = stage.run_now()?;
    wait_until_it_changes_rows(world, stage, PATIENCE)?;
    ensure!(
        left(world, stage)? > 0,
        "the run was over too soon to be interrupted"
    );
    Ok(token)
}

/// Waits until the run has changed rows.
pub(crate) fn wait_until_it_changes_rows(
    world: &World,
    stage: &Stage<'_>,
    deadline: Duration,
) -> Result<()> {
    wait_for("the run has changed rows", deadline, || {
        let left = left(world, stage)?;
        Ok(if left < ROWS {
            Ok(())
        } else {
            Err(stage.status_text())
        })
    })
}

/// Waits until a policy has this reason and no job any more.
pub(crate) fn at_rest(stage: &Stage<'_>, reason: &str) -> Result<Value> {
    let what = format!("is at rest with the reason {reason}");
    stage.namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        &what,
        PATIENCE,
        |object| {
            let ready = crate::cluster::ready(object).ok_or("no Ready condition")?;
            if ready["reason"] != reason || !is_current(object) {
                return Err(format!("Ready is {ready}"));
            }
            match object.pointer("/status/progress") {
                None => Ok(()),
                Some(progress) => Err(format!("there is progress: {progress}")),
            }
        },
    )
}

/// Lets the rest of the run go as fast as it can.
pub(crate) fn hurry(stage: &Stage<'_>) -> Result<()> {
    let patch = json!({"spec": {"pacing": {"maxRowsPerSecond": 1_000_000}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)
}

/// The run that was interrupted is one run in status and ledger, and counts every row once.
pub(crate) fn ends_as_one_run(world: &World, stage: &Stage<'_>, token: &str) -> Result<()> {
    let object = stage.wait_run_ended(token, PATIENCE)?;
    let counted = object.pointer("/status/lastRun/rules/0/changed/0/rows");
    ensure!(
        counted == Some(&json!(ROWS)),
        "the status counts {counted:?} of {ROWS} rows"
    );
    let runs = object.pointer("/status/history").and_then(Value::as_array);
    ensure!(
        runs.is_some_and(|runs| runs.len() == 1),
        "the history is {runs:?}"
    );
    let left = left(world, stage)?;
    ensure!(left == 0, "{left} rows are left");
    wait_for_ledger_state(world, stage, "done")?;
    stage.namespace.finish()
}

fn suspension(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "suspension")?;
    let token = begin(world, &stage)?;
    let suspend = |yes: bool| {
        let patch = json!({"spec": {"suspend": yes}});
        stage
            .namespace
            .patch("RetentionPolicy", &stage.policy, &patch)
    };
    suspend(true)?;
    let object = at_rest(&stage, "Suspended")?;
    let open = object
        .pointer("/status/openRun/run")
        .and_then(Value::as_str);
    ensure!(
        open.is_some_and(|run| run.ends_with(&token)),
        "the open run is {open:?}"
    );
    ensure!(
        object.pointer("/status/nextRunAt").is_none(),
        "a suspended policy has no next run"
    );
    ensure!(
        ledger_state(world, &stage)?.as_deref() == Some("open"),
        "the ledger ended the run"
    );
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before it was suspended"
    );
    hurry(&stage)?;
    suspend(false)?;
    ends_as_one_run(world, &stage, &token)
}

fn suspended_database(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "suspended_database")?;
    let token = begin(world, &stage)?;
    let suspend = |yes: bool| {
        let patch = json!({"spec": {"suspend": yes, "pacing": {"maxRowsPerSecond": 1_000_000}}});
        stage.namespace.patch("TargetDatabase", TARGET, &patch)
    };
    suspend(true)?;
    at_rest(&stage, "Suspended")?;
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before it was suspended"
    );
    suspend(false)?;
    ends_as_one_run(world, &stage, &token)
}

fn deleted_policy(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "deleted_policy")?;
    begin(world, &stage)?;
    stage
        .namespace
        .delete(API_VERSION, "RetentionPolicy", &stage.policy)?;
    wait_for_ledger_state(world, &stage, "abandoned")?;
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before the policy was deleted"
    );
    let gone = ROWS - left(world, &stage)?;
    given_up::told(&stage, ("TargetDatabase", TARGET), gone)?;
    stage.namespace.finish()
}

fn deleted_database(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "deleted_database")?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let connected = || {
        world.block_on(stage.database.admin.number(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'oubliette'",
        ))
    };
    stage
        .namespace
        .delete(API_VERSION, "TargetDatabase", TARGET)?;
    wait_for("no connection is left", PATIENCE, || {
        Ok(match connected()? {
            0 => Ok(()),
            left => Err(left.to_string()),
        })
    })?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "DatabaseNotFound")?;
    stage.namespace.finish()
}

pub(crate) fn promise_five_years(stage: &Stage<'_>) -> Result<()> {
    let mut policy = stage.namespace.get("RetentionPolicy", &stage.policy)?;
    let mut rules = policy["spec"]["rules"].take();
    rules[0]["expireAfter"] = json!("P5Y");
    let patch = json!({"spec": {"rules": rules}});
    stage
        .namespace
        .patch("RetentionPolicy", &stage.policy, &patch)
}

fn deleted_namespace(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "deleted_namespace")?;
    begin(world, &stage)?;
    let name = stage.namespace.name.clone();
    stage.namespace.delete("v1", "Namespace", &name)?;
    wait_for_ledger_state(world, &stage, "abandoned")?;
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before the namespace was deleted"
    );
    // Nothing of ours holds it up.
    wait_for("the namespace is gone", PATIENCE, || {
        let seen = stage
            .namespace
            .find_any(&resource("v1", "Namespace"), &name)?;
        Ok(match seen {
            None => Ok(()),
            Some(namespace) => Err(namespace["status"].to_string()),
        })
    })
}

fn another_spec(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "another_spec")?;
    begin(world, &stage)?;
    promise_five_years(&stage)?;
    let object = at_rest(&stage, "Scheduled")?;
    let left = left(world, &stage)?;
    ensure!(left > 0, "the run was over before the spec was changed");
    given_up::in_status(&object, ROWS - left)?;
    let overdue = object.pointer("/status/overdueRows");
    ensure!(
        overdue == Some(&json!(0)),
        "{overdue:?} rows are overdue after five years"
    );
    wait_for_ledger_state(world, &stage, "abandoned")?;
    stage.namespace.finish()
}

fn conflict_across_namespaces(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "conflict_across")?;
    let open = json!({"spec": {"usableFrom": {"from": "All"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &open)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let other = world.namespace("conflict_across")?;
    let mut twin = stage
        .objects(POLICY)?
        .into_iter()
        .find(|object| object["kind"] == "RetentionPolicy")
        .context("no policy")?;
    twin["metadata"]["name"] = json!("twin");
    twin["spec"]["databaseRef"]["namespace"] = json!(stage.namespace.name);
    other.apply_value(&twin)?;
    for (namespace, policy, rival) in [
        (
            &stage.namespace,
            stage.policy.as_str(),
            format!("{}/twin", other.name),
        ),
        (
            &other,
            "twin",
            format!("{}/{}", stage.namespace.name, stage.policy),
        ),
    ] {
        let object = namespace.wait_reason("RetentionPolicy", policy, "Conflict")?;
        let message = crate::cluster::ready(&object).map(|c| c["message"].to_string());
        ensure!(
            message.as_ref().is_some_and(|m| m.contains(&rival)),
            "the message does not name {rival}: {message:?}"
        );
    }
    stage.run_now()?;
    // A rival that may not use the database stands in nobody's way: then the run that was asked for
    // takes place.
    let closed = json!({"spec": {"usableFrom": {"from": "Same"}, "pacing": {"maxRowsPerSecond": 1_000_000}}});
    stage.namespace.patch("TargetDatabase", TARGET, &closed)?;
    other.wait_reason("RetentionPolicy", "twin", "DatabaseNotUsable")?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Completed")?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    other.finish()?;
    stage.namespace.finish()
}

/// A second TargetDatabase of the same address: with the same ledger it is refused as its second
/// owner, with a ledger of its own its policies conflict with those that were planned by the first.
fn two_of_one_address(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "one_address")?;
    hurry(&stage)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    stage.run_to_end()?;
    fill(world, &stage)?;

    let mut second = stage.target_database();
    second["metadata"]["name"] = json!("second");
    stage.namespace.apply_value(&second)?;
    stage
        .namespace
        .wait_reason("TargetDatabase", "second", "LedgerOwned")?;
    let mut twin = stage.namespace.get("RetentionPolicy", &stage.policy)?;
    twin = json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy", "metadata": {"name": "twin"},
        "spec": twin["spec"],
    });
    twin["spec"]["databaseRef"]["name"] = json!("second");
    stage.namespace.apply_value(&twin)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", "twin", "Conflict")?;
    // By a database that cannot be used a policy stands in nobody else's way.
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    fill(world, &stage)?;
    stage
        .namespace
        .delete(API_VERSION, "TargetDatabase", "second")?;

    second["spec"]["ledger"] = json!({"schema": "second"});
    stage.namespace.apply_value(&second)?;
    stage
        .namespace
        .wait_reason("TargetDatabase", "second", "Connected")?;
    let object = stage
        .namespace
        .wait_reason("RetentionPolicy", "twin", "Conflict")?;
    let message = crate::cluster::ready(&object).map(|c| c["message"].to_string());
    ensure!(
        message.as_ref().is_some_and(|m| m.contains(&stage.policy)),
        "the message does not name {}: {message:?}",
        stage.policy
    );
    // Who was planned first goes on.
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    stage.namespace.finish()
}

/// An operator for one stage's namespace.
pub(crate) fn own_operator(world: &World, stage: &Stage<'_>, lease: &str) -> Result<Operator> {
    chart::allow_lease(world, lease)?;
    let identity = format!("{lease}-{}", next_number());
    Operator::start(&Settings {
        lease: lease.to_owned(),
        log: world.evidence.join(format!("operator-{identity}.log")),
        identity,
        watch_namespaces: vec![stage.namespace.name.clone()],
        kubeconfig: chart::operator_kubeconfig(world)?,
        health: servers::free_address()?,
    })
}

fn sigterm(world: &World) -> Result<()> {
    let stage = stage(world, Server::Postgres15, "sigterm")?;
    let lease = format!("sigterm-{}", next_number());
    let mut first = own_operator(world, &stage, &lease)?;
    first.wait_ready()?;
    let token = begin(world, &stage)?;
    first.terminate(ENDED)?;
    let holder = chart::lease_holder(world, &lease)?;
    ensure!(
        holder.is_empty(),
        "the lease was not handed back: {holder} holds it"
    );
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before the operator was ended"
    );
    ensure!(
        ledger_state(world, &stage)?.as_deref() == Some("open"),
        "the ledger ended the run"
    );
    hurry(&stage)?;
    let second = own_operator(world, &stage, &lease)?;
    ends_as_one_run(world, &stage, &token)?;
    drop(second);
    Ok(())
}
