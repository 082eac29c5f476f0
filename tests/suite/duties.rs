//! Duties of DataMaps against runs and policies: what must be kept stays, whatever the moment at which
//! a duty begins, whoever wrote the map, and wherever it is.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use kube::core::DynamicObject;
use oubliette_core::report::RunOutcome;
use serde_json::{Value, json};

use crate::approved::{bind, decide, guarded, nothing_runs, wait_approved};
use crate::case::{Case, Server};
use crate::cluster::{API_VERSION, ready, resource};
use crate::controller::{ROWS, hurry, left, stage};
use crate::misspelt::exempt;
use crate::races::{patient, rig};
use crate::rig::own;
use crate::scenario::{Stage, TARGET};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("duties::{name}"), &Server::ALL, body);
    let on = |name: &str, body| {
        let name = format!("duties::{name}");
        Case::on_each_with_operator(&name, &[Server::Postgres15], body)
    };
    [
        all(
            "a_duty_that_begins_while_the_batch_waits_keeps_its_row",
            begins_during_the_wait,
        ),
        all(
            "a_duty_that_begins_while_a_part_of_the_row_goes_keeps_its_columns",
            begins_while_a_part_goes,
        ),
        all("the_longest_duty_wins_column_by_column", by_columns),
        on("a_loosened_duty_voids_an_approval", loosened),
        on(
            "a_map_that_cannot_be_read_stops_everything_and_binds_nobody_from_where_it_may_not",
            unreadable,
        ),
        on("a_map_in_another_namespace_binds_too", elsewhere),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const UNTIL_NOTED: &str = "
- name: t
  table: ${schema}.t
  mustKeep:
  - until: {latestOf: [{column: ended, timeZone: UTC, plus: P20Y}]}
    against: [Expiry]
    law: a contract
";

/// Rows of 2000 are past a duty of twenty years; one is moved to 2010 while the batch waits for it.
fn begins_during_the_wait(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "duty_begins", 100)?.mapped(UNTIL_NOTED));
    rig.sql("UPDATE t SET ended = timestamp '2000-01-01 00:00:00'")?;
    let mut application =
        rig.holding("UPDATE t SET ended = timestamp '2010-01-01 00:00:00' WHERE id = 50")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 99,
        "{run:?}"
    );
    ensure!(run.rules[0].residual.kept == 1, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t WHERE id = 50")? == 1);
    Ok(())
}

const NOTE_UNTIL: &str = "
- name: t
  table: ${schema}.t
  columns: [{column: name, strategy: Nullify}]
  mustKeep:
  - columns: [note]
    until: {latestOf: [{column: paid, plus: P20Y}]}
    against: [Expiry]
    law: a contract
  - columns: [name, note]
    until: {latestOf: [{column: born, plus: P20Y}]}
    against: [Expiry]
    law: a statute
";

const PEOPLE: &str = "ALTER TABLE t ADD COLUMN paid date; ALTER TABLE t ADD COLUMN born date; \
    ALTER TABLE t ADD COLUMN name varchar(20); \
    UPDATE t SET paid = DATE '2000-01-01', born = DATE '2000-01-01', name = 'somebody'";

/// A part of the row is about to go when the duty begins that keeps just that part.
fn begins_while_a_part_goes(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "part_begins", 20)?.mapped(NOTE_UNTIL));
    rig.sql(PEOPLE)?;
    rig.sql("UPDATE t SET paid = DATE '2020-01-01'")?;
    let mut application = rig.holding("UPDATE t SET born = DATE '2020-01-01' WHERE id = 5")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 20);
    let named = rig.rows("SELECT id FROM t WHERE name IS NOT NULL AND note = 'old'")?;
    ensure!(named == [vec![Some("5".to_owned())]], "{named:?}");
    Ok(())
}

/// Each column stays as long as one of the duties that name it, and the row as long as any.
fn by_columns(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "by_columns", 4)?.mapped(NOTE_UNTIL);
    rig.sql(PEOPLE)?;
    rig.sql("UPDATE t SET paid = DATE '2020-01-01' WHERE id IN (2, 4)")?;
    rig.sql("UPDATE t SET born = NULL WHERE id IN (3, 4)")?;
    let rows = |id: u32, name: Option<&str>| vec![Some(id.to_string()), name.map(str::to_owned)];
    for attempt in ["one", "two"] {
        let run = rig.run(attempt)?;
        ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
        let kept = &run.rules[0].kept;
        ensure!(kept.rows == 3 && run.rules[0].residual.kept == 3, "{run:?}");
        let duties: Vec<_> = kept
            .duties
            .iter()
            .map(|duty| (duty.duty.as_str(), duty.rows, duty.open_ended))
            .collect();
        ensure!(
            duties == [("suite/map t[0]", 2, 0), ("suite/map t[1]", 2, 2)],
            "{duties:?}"
        );
        let left = rig.rows("SELECT id, name FROM t WHERE note = 'old' ORDER BY id")?;
        let expected = [
            rows(2, None),
            rows(3, Some("somebody")),
            rows(4, Some("somebody")),
        ];
        ensure!(left == expected, "{left:?}");
    }
    let plan = rig.plan()?;
    ensure!(plan.rules.iter().all(|rule| rule.eligible == 0), "{plan:?}");
    let ends = plan.rules[0]
        .kept
        .duties
        .iter()
        .map(|duty| duty.next_ends_at);
    let ends: Vec<_> = ends.map(|at| at.map(|at| at.to_string())).collect();
    ensure!(
        ends == [Some("2040-01-02T00:00:00Z".to_owned()), None],
        "{ends:?}"
    );
    // Nothing about the map: the same rules have the digest that they always had.
    let (mapped, plain) = (plan.digest, rig.mapped("").plan()?.digest);
    ensure!(mapped != plain, "a duty is no part of the digest");
    Ok(())
}

/// A DataMap by which rows of the stage's table are kept so long.
fn map(stage: &Stage<'_>, name: &str, plus: &str) -> Value {
    let table = stage.database.fill("${schema}.events");
    json!({
        "apiVersion": API_VERSION, "kind": "DataMap", "metadata": {"name": name},
        "spec": {
            "databaseRef": {"name": TARGET, "namespace": stage.namespace.name},
            "tables": [{"name": "events", "table": table, "mustKeep": [{
                "until": {"latestOf": [{"column": "happened_at", "plus": plus}]},
                "against": ["Expiry"], "law": "a contract",
            }]}],
        },
    })
}

fn loosened(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "loosened_duty", &guards)?;
    bind(&stage, &["dpo"])?;
    stage.namespace.apply_value(&map(&stage, "map", "P3Y"))?;
    let seen = stage.namespace.wait_reason("DataMap", "map", "Mapped")?;
    ensure!(seen["status"]["duties"] == 1 && seen["status"]["tables"] == 1);
    let bound = format!("{}/{}", stage.namespace.name, stage.policy);
    ensure!(seen["status"]["boundPolicies"] == json!([bound]), "{seen}");
    let kept = |rows: i64| {
        let what = format!("keeps {rows} rows");
        stage.namespace.wait_until(
            "RetentionPolicy",
            &stage.policy,
            &what,
            PATIENCE,
            |object| {
                let found = object
                    .pointer("/status/plan/rules/0/kept/rows")
                    .and_then(Value::as_i64);
                if found.unwrap_or(0) == rows {
                    Ok(())
                } else {
                    Err(format!("{found:?}"))
                }
            },
        )
    };
    kept(20)?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    let approval = decide(&stage, "dpo", "Approve", Some(100))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.namespace.apply_value(&map(&stage, "map", "P1Y"))?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    ensure!(
        message.contains(&approval) && message.contains("changed since: the duties on its tables;"),
        "{message}"
    );
    kept(0)?;
    nothing_runs(&stage, 20)?;
    // As it was when it was approved.
    stage.namespace.apply_value(&map(&stage, "map", "P3Y"))?;
    wait_approved(&stage, "True", "Approved")?;
    // Deleting it loosens, too.
    stage.namespace.delete(API_VERSION, "DataMap", "map")?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    ensure!(message.contains("the duties on its tables"), "{message}");
    nothing_runs(&stage, 20)?;
    decide(&stage, "dpo", "Approve", Some(20))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

/// Whatever the API server took: a map with a field that nobody knows could be a duty.
fn unreadable(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "unreadable_map")?;
    let namespace = &stage.namespace;
    hurry(&stage)?;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let mut misspelt = map(&stage, "map", "P3Y");
    misspelt["spec"]["tables"][0]["mustKep"] = json!([]);
    let api = |name: &str| -> Result<Api<DynamicObject>> {
        let kind = resource(API_VERSION, "DataMap");
        Ok(Api::namespaced_with(world.client()?, name, &kind))
    };
    let object: DynamicObject = serde_json::from_value(misspelt)?;
    let refused = world.block_on(api(&namespace.name)?.create(&PostParams::default(), &object));
    let refused = refused.map(drop).map_err(|error| error.to_string());
    ensure!(
        refused
            .as_ref()
            .is_err_and(|error| error.contains("mustKep")),
        "the admission policy let it pass: {refused:?}"
    );
    // From a namespace that may not use the database it stops nobody.
    let other = world.namespace("unreadable_map_elsewhere")?;
    for name in [&other.name, &namespace.name] {
        exempt(world, name)?;
        wait_for("the API server takes the misspelt map", PATIENCE, || {
            let posted = world.block_on(api(name)?.create(&PostParams::default(), &object));
            Ok(posted.map(drop).map_err(|error| error.to_string()))
        })?;
        if *name == other.name {
            other.wait_reason("DataMap", "map", "UnknownField")?;
            namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
        }
    }
    namespace.wait_reason("DataMap", "map", "UnknownField")?;
    let seen = namespace.wait_reason("RetentionPolicy", &stage.policy, "DutiesUnreadable")?;
    let message = ready(&seen).and_then(|ready| ready["message"].as_str());
    let named = format!("the DataMap {}/map has faults", namespace.name);
    ensure!(
        message.is_some_and(|message| message.contains(&named)),
        "{message:?}"
    );
    stage.run_now()?;
    // Nothing comes of the token while the map stands.
    namespace.wait_reason("RetentionPolicy", &stage.policy, "DutiesUnreadable")?;
    ensure!(left(world, &stage)? == ROWS, "rows went past the map");
    namespace.delete(API_VERSION, "DataMap", "map")?;
    hurry(&stage)?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    other.finish()?;
    namespace.finish()
}

fn elsewhere(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "map_elsewhere")?;
    let namespace = &stage.namespace;
    let other = world.namespace("map_elsewhere_other")?;
    hurry(&stage)?;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    other.apply_value(&map(&stage, "map", "P30Y"))?;
    other.wait_reason("DataMap", "map", "DatabaseNotUsable")?;
    let all = json!({"spec": {"usableFrom": {"from": "All"}}});
    namespace.patch("TargetDatabase", TARGET, &all)?;
    other.wait_reason("DataMap", "map", "Mapped")?;
    stage.run_to_end()?;
    let policy = namespace.get("RetentionPolicy", &stage.policy)?;
    let run = policy
        .pointer("/status/lastRun/rules/0")
        .context("no run")?;
    let duty = format!("{}/map events[0]", other.name);
    ensure!(
        run["kept"]["duties"][0]["duty"] == json!(duty) && run["kept"]["rows"] == ROWS,
        "{run}"
    );
    ensure!(left(world, &stage)? == ROWS, "rows went past the duty");
    other.delete(API_VERSION, "DataMap", "map")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0, "rows are left");
    other.finish()?;
    namespace.finish()
}
