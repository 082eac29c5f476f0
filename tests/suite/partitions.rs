//! Partitions that go as a whole: only where every row of them may go, with counts that equal the rows,
//! and whatever ends in the middle of it, nothing stays out of sight.

use anyhow::{Result, ensure};
use oubliette_core::report::{RunOutcome, RunReport};

use crate::case::{Case, Server};
use crate::rig::{Rig, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("partitions::{name}"), &Server::ALL, body);
    [all("one_behind_the_cutoff_goes_as_a_whole", whole)]
        .into_iter()
        .flatten()
        .collect()
}

const RULE: &str = "- {table: '${schema}.t', since: {column: ended}, partitions: Whole}\n";

/// Rows of 2015 and 2016 in a partition each, and one for what is to come.
fn schema(server: Server) -> String {
    let table = "CREATE TABLE t (id integer NOT NULL, ended date NOT NULL, note varchar(60), \
         PRIMARY KEY (id, ended))";
    if server.is_postgres() {
        return format!(
            "{table} PARTITION BY RANGE (ended); \
             CREATE TABLE p2015 PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2016-01-01'); \
             CREATE TABLE p2016 PARTITION OF t FOR VALUES FROM ('2016-01-01') TO ('2017-01-01'); \
             CREATE TABLE p2090 PARTITION OF t FOR VALUES FROM ('2017-01-01') TO (MAXVALUE)"
        );
    }
    format!(
        "{table} PARTITION BY RANGE COLUMNS (ended) (PARTITION p2015 VALUES LESS THAN ('2016-01-01'), \
         PARTITION p2016 VALUES LESS THAN ('2017-01-01'), PARTITION p2090 VALUES LESS THAN (MAXVALUE))"
    )
}

/// So many rows of a day.
fn fill(rig: &Rig<'_>, from: u32, rows: u32, day: &str) -> Result<()> {
    rig.sql(&format!(
        "INSERT INTO t SELECT n + {from}, DATE '{day}', 'x' FROM {}",
        series(rig.server, rows)
    ))?;
    Ok(())
}

/// 300 rows of 2015, 200 of 2016 and 50 that stay.
fn rig<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, &schema(server), RULE)?;
    fill(&rig, 0, 300, "2015-06-01")?;
    fill(&rig, 1_000, 200, "2016-06-01")?;
    fill(&rig, 2_000, 50, "2080-06-01")?;
    Ok(rig)
}

fn completed(rig: &Rig<'_>, id: &str) -> Result<RunReport> {
    let run = rig.run(id)?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    Ok(run)
}

/// Nothing is left of what was begun: no table aside, no intent that somebody has to end.
fn expect_nothing_left(rig: &Rig<'_>) -> Result<()> {
    let open = rig.rows(&format!(
        "SELECT part, state FROM {} WHERE state NOT IN ('done', 'returned')",
        rig.ledger("intent")
    ))?;
    ensure!(open.is_empty(), "{open:?}");
    let aside = if rig.server.is_postgres() {
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 't'::regclass"
    } else {
        "SELECT 3 + count(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_NAME LIKE 'oubliette_aside%'"
    };
    ensure!(rig.number(aside)? == 3, "a table was left behind");
    rig.expect_no_keys_kept()?;
    rig.expect_a_whole_chain()
}

fn whole(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "whole")?;
    let plan = rig.plan()?;
    ensure!(
        (plan.rules[0].eligible, plan.rules[0].partitions) == (500, 2),
        "{plan:?}"
    );
    let run = completed(&rig, "one")?;
    ensure!((own(&run), run.rules[0].partitions) == (500, 2), "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 50);
    // The partitions are still there, and take rows.
    fill(&rig, 0, 10, "2016-06-01")?;
    let run = completed(&rig, "two")?;
    ensure!((own(&run), run.rules[0].partitions) == (10, 1), "{run:?}");
    expect_nothing_left(&rig)
}
