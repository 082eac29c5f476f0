//! A schema that changes while a run is under way, between two of its batches.

use anyhow::{Result, bail, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{OLD, rig};
use crate::rig::{Rig, Under, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("moves::{name}"), &Server::ALL, body);
    [
        all(
            "a_column_added_on_the_way_changes_no_count",
            column_is_added,
        ),
        all(
            "an_index_dropped_on_the_way_takes_no_row_that_stays",
            index_is_dropped,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Changes the schema when some of the rows are gone and most are not.
fn in_the_middle(rig: &Rig<'_>, rows: i64, change: &str) -> Result<Under> {
    let under = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM t", |left| left < rows)?;
    rig.sql(change)?;
    ensure!(!under.has_ended(), "the run was over before the change");
    Ok(under)
}

fn column_is_added(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "column_added", 2_000)?.steady(200);
    let under = in_the_middle(
        &rig,
        2_000,
        "ALTER TABLE t ADD COLUMN more integer NOT NULL DEFAULT 0",
    )?;
    let run = rig.block_on(under.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 2_000,
        "{run:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM t")? == 0);
    rig.expect_a_whole_chain()
}

/// The index by which the rule looks into another table. On InnoDB its statements name it.
fn index_is_dropped(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL); \
        CREATE TABLE k (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL); \
        CREATE INDEX k_t ON k (t_id)";
    let rules = "- table: ${schema}.t\n  since: {column: ended, timeZone: UTC}\n  \
                 unless: [{table: '${schema}.k', match: [{column: t_id, equals: id}]}]\n";
    let rig = Rig::new(world, server, "index_dropped", schema, rules)?.steady(200);
    let numbers = series(server, 2_000);
    rig.sql(&format!(
        "INSERT INTO t SELECT n, {OLD} FROM {numbers}; \
         INSERT INTO k SELECT n, n FROM {numbers} WHERE n % 10 = 0"
    ))?;
    let change = if server.is_postgres() {
        "DROP INDEX k_t"
    } else {
        "DROP INDEX k_t ON k"
    };
    let under = in_the_middle(&rig, 2_000, change)?;
    match rig.block_on(under.outcome())? {
        JobOutcome::Ran { run, .. } => {
            ensure!(server.is_postgres() && run.outcome == RunOutcome::Completed);
            ensure!(own(&run) == 1_800, "{run:?}");
        }
        // Planned anew, its statements name no index: another plan, and so another run.
        JobOutcome::Failed { passing: true, .. } => {
            let (begun, next) = (rig.run("one")?, rig.run("two")?);
            ensure!(!server.is_postgres() && begun.outcome == RunOutcome::Stopped(Reason::Drifted));
            ensure!(next.outcome == RunOutcome::Completed, "{next:?}");
            let gone = own(&begun) + own(&next);
            ensure!(
                gone == 1_800,
                "{gone} are said to be gone: {begun:?}, {next:?}"
            );
        }
        other => bail!("{other:?}"),
    }
    let kept = rig.number("SELECT count(*) FROM t JOIN k ON k.t_id = t.id")?;
    ensure!(kept == 200 && rig.number("SELECT count(*) FROM t")? == 200);
    rig.expect_a_whole_chain()
}
