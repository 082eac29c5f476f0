//! How a run goes over a table: what it reads on its way.

use anyhow::{Result, ensure};

use crate::case::{Case, Server};
use crate::rig::{Rig, series};
use crate::world::World;

const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    [Case::on_each(
        "walks::a_window_is_found_by_the_keys_index",
        &POSTGRES,
        found_by_index,
    )]
    .into_iter()
    .flatten()
    .collect()
}

/// `ORDER BY "id"` beside `SELECT "id"::bigint` sorted the rest of the table for every window: 600
/// rows a second on two million. The table is counted a few times, whatever the number of windows.
fn found_by_index(world: &World, server: Server) -> Result<()> {
    for (name, kind) in [("integer", "integer"), ("decimal", "numeric(12,0)")] {
        let schema = format!(
            "CREATE TABLE t (id {kind} NOT NULL PRIMARY KEY, ended date) \
             WITH (autovacuum_enabled = off)"
        );
        let rule = "- {table: '${schema}.t', since: {column: ended}}\n";
        let rig = Rig::new(world, server, name, &schema, rule)?;
        let rows = 100_000;
        rig.sql(&format!(
            "INSERT INTO t SELECT n, date '2020-01-01' FROM {}; ANALYZE t",
            series(server, 100_000)
        ))?;
        ensure!(rig.completed("one")? == [[rows]]);
        // Sessions add what they did when they end.
        let stat =
            |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE relname = 't'");
        rig.wait_until(&stat("n_tup_del"), |gone| gone == rows)?;
        let read = rig.number(&stat("seq_tup_read"))?;
        ensure!(read <= 10 * rows, "{read} rows were read from end to end");
    }
    Ok(())
}
