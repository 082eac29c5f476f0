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

/// The policy on its table, and an operator of its own that carries it out.
pub(crate) struct Watched<'w> {
    pub(crate) stage: Stage<'w>,
    pub(crate) operator: Operator,
}

impl<'w> Watched<'w> {
    /// With an empty table.
    pub(crate) fn set(world: &'w World, server: Server, case: &str) -> Result<Self> {
        let database = world.database(server, case)?;
        let at = if server.is_postgres() {
            "timestamptz"
        } else {
            "timestamp"
        };
        world.block_on(database.admin.execute(&format!(
            "CREATE TABLE events (id integer PRIMARY KEY, at {at} NOT NULL, pad varchar(60))"
        )))?;
        let stage = Stage::set(world, case, database, POLICY, Grants::Printed)?;
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
        Ok(Self { stage, operator })
    }

    /// So many rows that are due.
    pub(crate) fn fill(&self, rows: i64) -> Result<()> {
        let database = &self.stage.database;
        let execute = |sql: &str| self.stage.world.block_on(database.admin.execute(sql));
        execute("INSERT INTO events VALUES (1, current_timestamp - INTERVAL '2' YEAR, 'x')")?;
        let mut filled = 1;
        while filled < rows {
            let more = filled.min(rows - filled);
            execute(&format!(
                "INSERT INTO events SELECT id + {filled}, at, pad FROM events WHERE id <= {more}"
            ))?;
            filled += more;
        }
        execute(if database.server.is_postgres() {
            "ANALYZE events"
        } else {
            "ANALYZE TABLE events"
        })?;
        Ok(())
    }

    /// Rows that are there.
    pub(crate) fn left(&self) -> Result<i64> {
        let count = self
            .stage
            .database
            .admin
            .number("SELECT count(*) FROM events");
        self.stage.world.block_on(count)
    }
}

fn memory(world: &World, server: Server) -> Result<()> {
    let watched = Watched::set(world, server, "memory")?;
    let run = |rows: i64| -> Result<u64> {
        watched.fill(rows)?;
        let token = watched.stage.run_now()?;
        watched
            .stage
            .wait_run_ended(&token, Duration::from_mins(8))?;
        let left = watched.left()?;
        ensure!(left == 0, "{left} rows are left");
        watched.operator.resident_kib()
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
    watched.stage.namespace.finish()
}
