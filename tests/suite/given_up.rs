//! Runs that are no longer promised while none of their jobs is at work: they are ended in the ledger
//! all the same, and status tells what they did.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::cluster::API_VERSION;
use crate::controller::{
    ROWS, at_rest, begin, ledger_state, left, own_operator, promise_five_years, stage,
    wait_for_ledger_state,
};
use crate::scenario::{Stage, TARGET};
use crate::sql::next_number;
use crate::wait::PATIENCE;
use crate::world::World;

/// The cases that share the suite's operator.
pub(crate) fn cases() -> Vec<Case> {
    let edited = "given_up::an_open_run_is_given_up_when_its_suspended_policy_is_edited";
    let deleted = "given_up::an_open_run_is_given_up_when_its_suspended_policy_is_deleted";
    let held = "given_up::a_deleted_policy_that_a_finalizer_holds_tells_what_its_run_did";
    let on = |name, body| Case::on_each_with_operator(name, &Server::ENGINES, body);
    let mut cases = on(edited, edited_while_suspended);
    cases.extend(on(deleted, deleted_while_suspended));
    cases.extend(on(held, held_by_a_finalizer));
    cases
}

/// The cases that run an operator of their own.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    vec![Case::new(
        "given_up::what_was_revoked_while_no_operator_ran_is_given_up_by_the_next_one",
        Needs::cluster().with(Server::Postgres15),
        revoked_while_away,
    )]
}

/// The policy's only run was given up in the ledger: every row that it changed is in its report and
/// in the evidence, and no checkpoint holds a key.
fn in_ledger(world: &World, stage: &Stage<'_>) -> Result<i64> {
    wait_for_ledger_state(world, stage, "abandoned")?;
    let table = |name: &str| {
        let dot = if stage.database.server.is_postgres() {
            '.'
        } else {
            '_'
        };
        format!("oubliette{dot}{name}")
    };
    let admin = &stage.database.admin;
    let gone = ROWS - left(world, stage)?;
    ensure!(0 < gone && gone < ROWS, "{gone} rows of {ROWS} are gone");
    for query in [
        format!("SELECT report FROM {}", table("run")),
        format!("SELECT body FROM {}", table("evidence")),
    ] {
        let text = world.block_on(admin.value(&query))?.unwrap_or_default();
        ensure!(
            text.contains(&format!("\"rows\":{gone}")),
            "{gone} rows are gone: {query}: {text}"
        );
    }
    let keys = world.block_on(admin.number(&format!(
        "SELECT count(*) FROM {} WHERE low IS NOT NULL OR high IS NOT NULL \
         OR cursor_key IS NOT NULL",
        table("checkpoint")
    )))?;
    ensure!(keys == 0, "{keys} checkpoints hold keys");
    Ok(gone)
}

/// The status tells the run as the ledger has it.
pub(crate) fn in_status(object: &Value, gone: i64) -> Result<()> {
    let past = object.pointer("/status/history/0").context("no history")?;
    ensure!(
        past["outcome"] == "Stopped"
            && past["reason"] == "Abandoned"
            && past["rowsChanged"] == json!(gone),
        "{gone} rows are gone, the history says {past}"
    );
    let open = object.pointer("/status/openRun");
    ensure!(open.is_none(), "a run is open: {open:?}");
    Ok(())
}

/// An event tells the run as the ledger has it.
pub(crate) fn told(stage: &Stage<'_>, of: (&str, &str), gone: i64) -> Result<()> {
    let rows = format!("deleted {gone} rows of ");
    stage.namespace.wait_event(of, "Abandoned", &[&rows])
}

/// A policy whose run was stopped in its middle by suspending it.
fn suspended_in_the_middle<'w>(world: &'w World, server: Server, case: &str) -> Result<Stage<'w>> {
    let stage = stage(world, server, case)?;
    begin(world, &stage)?;
    let patch = json!({"spec": {"suspend": true}});
    stage
        .namespace
        .patch("RetentionPolicy", &stage.policy, &patch)?;
    at_rest(&stage, "Suspended")?;
    ensure!(
        ledger_state(world, &stage)?.as_deref() == Some("open"),
        "the ledger ended the run"
    );
    Ok(stage)
}

fn edited_while_suspended(world: &World, server: Server) -> Result<()> {
    let stage = suspended_in_the_middle(world, server, "edited_suspended")?;
    promise_five_years(&stage)?;
    let gone = in_ledger(world, &stage)?;
    wait_for_no_open_run(&stage)?;
    in_status(&at_rest(&stage, "Suspended")?, gone)?;
    told(&stage, ("RetentionPolicy", &stage.policy), gone)?;
    stage.namespace.finish()
}

fn deleted_while_suspended(world: &World, server: Server) -> Result<()> {
    let stage = suspended_in_the_middle(world, server, "deleted_suspended")?;
    stage
        .namespace
        .delete(API_VERSION, "RetentionPolicy", &stage.policy)?;
    let gone = in_ledger(world, &stage)?;
    told(&stage, ("TargetDatabase", TARGET), gone)?;
    stage.namespace.finish()
}

/// The status that tells of the job's start is itself an event of a policy that is being deleted.
fn held_by_a_finalizer(world: &World, server: Server) -> Result<()> {
    let stage = suspended_in_the_middle(world, server, "held")?;
    let hold = |finalizers: Value| {
        let patch = json!({"metadata": {"finalizers": finalizers}});
        stage
            .namespace
            .patch("RetentionPolicy", &stage.policy, &patch)
    };
    hold(json!(["suite.oubliette.dev/hold"]))?;
    stage
        .namespace
        .delete(API_VERSION, "RetentionPolicy", &stage.policy)?;
    let ended = in_ledger(world, &stage).and_then(|gone| {
        let object = wait_for_no_open_run(&stage)?;
        in_status(&object, gone)?;
        told(&stage, ("RetentionPolicy", &stage.policy), gone)
    });
    hold(json!([]))?;
    ended?;
    stage.namespace.finish()
}

fn wait_for_no_open_run(stage: &Stage<'_>) -> Result<Value> {
    stage.namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        "has no open run",
        PATIENCE,
        |object| match object.pointer("/status/openRun") {
            None => Ok(()),
            Some(open) => Err(open.to_string()),
        },
    )
}

fn revoked_while_away(world: &World) -> Result<()> {
    let stage = stage(world, Server::Postgres15, "revoked")?;
    let lease = format!("revoked-{}", next_number());
    let mut first = own_operator(world, &stage, &lease)?;
    first.wait_ready()?;
    begin(world, &stage)?;
    first.kill()?;
    let patch = json!({"spec": {"mode": "DryRun"}});
    stage
        .namespace
        .patch("RetentionPolicy", &stage.policy, &patch)?;
    let second = own_operator(world, &stage, &lease)?;
    let gone = in_ledger(world, &stage)?;
    wait_for_no_open_run(&stage)?;
    in_status(&at_rest(&stage, "DryRun")?, gone)?;
    drop(second);
    stage.namespace.finish()
}
