//! The operator's memory does not grow with the rows of a run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::case::{Case, Needs, Server};
use crate::chart;
use crate::expect::Grants;
use crate::operator::{Operator, Settings};
use crate::scenario::Stage;
use crate::servers;
use crate::sql::next_number;
use crate::world::World;

/// The small run.
const FEW: i64 = 10_000;

/// What a run of many rows may take more than one of few: buffers and fragments, not rows.
const ROOM_KIB: u64 = 16 * 1024;

const POLICY: &str = r#"
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
    since: {column: at}
    action: {type: Delete}
"#;

/// The cases; they run an operator of their own.
pub(crate) fn cases() -> Vec<Case> {
    [Server::Postgres18, Server::MariaDb]
        .map(|server| {
            Case::new(
                format!("memory::does_not_grow_with_rows::{}", server.slug()),
                Needs::cluster().with(server),
                move |world| memory(world, server),
            )
        })
        .into()
}

/// The large run: `OUBLIETTE_MEMORY_ROWS`, or twenty times the small one.
fn many() -> Result<i64> {
    match std::env::var("OUBLIETTE_MEMORY_ROWS") {
        Ok(text) => text.parse().context("OUBLIETTE_MEMORY_ROWS is no number"),
        Err(_) => Ok(20 * FEW),
    }
}

fn memory(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "memory")?;
    let at = if server.is_postgres() {
        "timestamptz"
    } else {
        "timestamp"
    };
    world.block_on(database.admin.execute(&format!(
        "CREATE TABLE events (id integer PRIMARY KEY, at {at} NOT NULL, pad varchar(60))"
    )))?;
    let stage = Stage::set(world, "memory", database, POLICY, Grants::Printed)?;
    stage.namespace.patch(
        "TargetDatabase",
        crate::scenario::TARGET,
        &json!({"spec": {"pacing": {"mode": "Backlog", "maxRowsPerSecond": null}}}),
    )?;
    let identity = format!("memory-{}", next_number());
    chart::allow_lease(world, &identity)?;
    let operator = Operator::start(&Settings {
        lease: identity.clone(),
        log: world.evidence.join(format!("operator-{identity}.log")),
        identity,
        watch_namespaces: vec![stage.namespace.name.clone()],
        kubeconfig: chart::operator_kubeconfig(world)?,
        health: servers::free_address()?,
    })?;
    let run = |rows: i64| -> Result<u64> {
        let old = "current_timestamp - INTERVAL '2' YEAR";
        let sql = if server.is_postgres() {
            format!(
                "INSERT INTO events SELECT n, {old}, 'x' FROM generate_series(1, {rows}) n; ANALYZE events"
            )
        } else {
            format!(
                "INSERT INTO events SELECT seq, {old}, 'x' FROM seq_1_to_{rows}; ANALYZE TABLE events"
            )
        };
        world.block_on(stage.database.admin.execute(&sql))?;
        let token = stage.run_now()?;
        stage.wait_run_ended(&token, Duration::from_mins(8))?;
        let left = world.block_on(stage.database.admin.number("SELECT count(*) FROM events"))?;
        ensure!(left == 0, "{left} rows are left");
        operator.resident_kib()
    };
    let few = run(FEW)?;
    let rows = many()?;
    let many = run(rows)?;
    eprintln!(
        "memory on {}: {few} KiB after {FEW} rows, {many} KiB after {rows}",
        server.slug()
    );
    ensure!(
        many <= few + ROOM_KIB,
        "the operator holds {many} KiB after {rows} rows, {few} after {FEW}"
    );
    stage.namespace.finish()
}
