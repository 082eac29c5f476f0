//! Rows that are anonymised in the order of their clock (PostgreSQL in Backlog): each of them once, whatever
//! the application and kills do meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::engine::pseudonym;
use crate::holds::{hold, placed};
use crate::rig::{Rig, own, series};
use crate::world::World;

const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| Case::on_each(&format!("clocked::{name}"), &POSTGRES, body);
    [
        on(
            "rows_whose_readings_move_meanwhile_are_changed_once",
            writing_application,
        ),
        on("a_killed_walk_goes_on_at_its_reading", killed),
        on("without_its_index_the_rest_goes_by_key", without_index),
        on("a_locked_row_is_left_and_told", locked),
        on("a_row_that_is_held_meanwhile_stays", held),
        on("where_it_does_not_pay_the_key_is_walked", does_not_pay),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SCHEMA: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended timestamptz, email varchar(80), \
    note varchar(80)) WITH (autovacuum_enabled = off); CREATE INDEX t_ended ON t (ended)";
const RULE: &str = "- table: ${schema}.t\n  since: {column: ended}\n  action: {type: Anonymise, columns: \
    [{column: email, strategy: Pseudonym}, {column: note, strategy: Nullify}]}\n";
const BY_CLOCK: &str = "ended (clock), then id";
/// Of four rows three have expired, of which each shares its reading with some others, and one is open.
const ROWS: u32 = 40_000;
const EXPIRED: i64 = 30_000;

fn filled<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, SCHEMA, RULE)?;
    fill(&rig)?;
    Ok(rig)
}

fn fill(rig: &Rig<'_>) -> Result<()> {
    rig.sql(&format!(
        "INSERT INTO t SELECT n, CASE WHEN n % 4 > 0 THEN timestamptz '2020-01-01 00:00:00.000001+00' \
         + (n * 7919 % 10007) * interval '1 minute' END, 'p' || n || '@example.org', 'a note' FROM {}; ANALYZE t",
        series(rig.server, ROWS)
    ))
    .map(drop)
}

fn walk(rig: &Rig<'_>) -> Result<String> {
    Ok(rig.plan()?.rules[0].walk.clone())
}

const DONE: &str = "SELECT count(*) FROM t WHERE note IS NULL";

/// Every expired row has the pseudonym of what it had, and every other what it had.
fn expect_each_once(rig: &Rig<'_>) -> Result<()> {
    ensure!(rig.number(DONE)? == EXPIRED);
    for row in rig.rows("SELECT id::text, email FROM t")? {
        let [Some(id), Some(email)] = row.as_slice() else {
            anyhow::bail!("{row:?}");
        };
        let plain = format!("p{id}@example.org");
        let kept = id.parse::<u32>()? % 4 == 0;
        ensure!(*email == if kept { plain } else { pseudonym(&plain) });
    }
    Ok(())
}

/// Readings that move to both sides of the walk.
fn writing_application(world: &World, server: Server) -> Result<()> {
    let rig = filled(world, server, "clocked_writing")?.workers(4);
    ensure!(walk(&rig)? == BY_CLOCK);
    let busy = Arc::new(AtomicBool::new(true));
    let link = rig.block_on(async { rig.link() });
    let writer = world.handle().spawn({
        let busy = Arc::clone(&busy);
        async move {
            let mut n = 0_u32;
            while busy.load(Ordering::Relaxed) {
                n += 1;
                // Before and behind the walk, and still long expired.
                let sql = format!(
                    "UPDATE t SET ended = timestamptz '2020-01-01 00:00+00' \
                     + ({n} * 31 + id) % 10007 * interval '1 minute' WHERE id % 97 = {} AND ended IS NOT NULL",
                    n % 97
                );
                link.execute(&sql).await?;
            }
            anyhow::Ok(n)
        }
    });
    let run = rig.run("one");
    busy.store(false, Ordering::Relaxed);
    let written = rig.block_on(writer)??;
    let run = run?;
    ensure!(written > 0, "nothing was written meanwhile");
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED,
        "{run:?}"
    );
    expect_each_once(&rig)?;
    rig.expect_a_whole_chain()?;
    rig.expect_no_keys_kept()
}

/// Begins a run and kills it when a part of the rows is done. The cursor is a reading and a key.
fn begin_and_kill(rig: &mut Rig<'_>, mark: i64) -> Result<()> {
    rig.pacing.max_rows_per_second = Some(6_000);
    let run = rig.begin_run("one")?;
    rig.wait_until(DONE, |n| n > mark)?;
    ensure!(!run.has_ended());
    run.kill();
    rig.pacing.max_rows_per_second = None;
    let clocked = format!(
        "SELECT count(*) FROM {} WHERE cursor_key LIKE '[null,%clock%'",
        rig.ledger("checkpoint")
    );
    ensure!(rig.number(&clocked)? == 1, "the cursor is no reading");
    Ok(())
}

fn killed(world: &World, server: Server) -> Result<()> {
    let mut rig = filled(world, server, "clocked_killed")?;
    for mark in [8_000, 16_000] {
        begin_and_kill(&mut rig, mark)?;
    }
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED,
        "{run:?}"
    );
    expect_each_once(&rig)?;
    rig.expect_no_keys_kept()
}

fn without_index(world: &World, server: Server) -> Result<()> {
    let mut rig = filled(world, server, "clocked_dropped")?;
    begin_and_kill(&mut rig, 8_000)?;
    rig.sql("DROP INDEX t_ended")?;
    ensure!(walk(&rig)? == "id");
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED,
        "{run:?}"
    );
    expect_each_once(&rig)?;
    rig.expect_no_keys_kept()
}

fn locked(world: &World, server: Server) -> Result<()> {
    let mut rig = filled(world, server, "clocked_locked")?;
    rig.pacing.lock_timeout = std::time::Duration::from_millis(100);
    let mut application = rig.holding("UPDATE t SET note = note WHERE id = 30001")?;
    let run = rig.run("one")?;
    ensure!(
        own(&run) == EXPIRED - 1 && run.rules[0].residual.locked == 1,
        "{run:?}"
    );
    rig.in_session(&mut application, "COMMIT")?;
    ensure!(rig.completed("two")? == [[1]]);
    expect_each_once(&rig)
}

/// A hold that comes when the walk is under way binds the rows that it has not reached.
fn held(world: &World, server: Server) -> Result<()> {
    let mut rig = filled(world, server, "clocked_held")?;
    rig.pacing.max_rows_per_second = Some(6_000);
    let run = rig.begin_run("one")?;
    rig.wait_until(DONE, |n| n > 4_000)?;
    let last = "SELECT id FROM t WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT 1";
    let last = rig.number(last)?.to_string();
    placed(&rig, &hold(&rig, "h", "t", "id", &[&last])?)?;
    ensure!(!run.has_ended());
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED - 1,
        "{run:?}"
    );
    ensure!(run.rules[0].residual.held == 1, "{run:?}");
    ensure!(
        rig.number(&format!(
            "SELECT count(*) FROM t WHERE id = {last} AND note = 'a note'"
        ))? == 1
    );
    Ok(())
}

/// Where all rows have one reading they would be sorted for each window; where one of the columns has an
/// index, nothing is gained; and an application at work is not hurried.
fn does_not_pay(world: &World, server: Server) -> Result<()> {
    let rig = filled(world, server, "clocked_unpaid")?;
    ensure!(walk(&rig)? == BY_CLOCK);
    rig.sql("CREATE INDEX t_note ON t (note)")?;
    ensure!(walk(&rig)? == "id");
    rig.sql(
        "DROP INDEX t_note; UPDATE t SET ended = '2020-01-01' WHERE ended IS NOT NULL; ANALYZE t",
    )?;
    ensure!(walk(&rig)? == "id");
    // In the order of the file.
    rig.sql("TRUNCATE t")?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, timestamptz '2020-01-01' + n * interval '1 minute' FROM {}; ANALYZE t",
        series(server, ROWS)
    ))?;
    ensure!(walk(&rig)? == "id");
    // Beside an application that works, the key's order is kept.
    rig.sql("TRUNCATE t")?;
    fill(&rig)?;
    ensure!(walk(&rig)? == BY_CLOCK);
    ensure!(walk(&rig.steady(1_000_000))? == "id");
    Ok(())
}
