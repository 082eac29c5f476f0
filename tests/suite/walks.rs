//! How a run goes over a table: what it reads on its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::holds::{hold, placed};
use crate::rig::{Rig, own, series};
use crate::world::World;

const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| Case::on_each(&format!("walks::{name}"), &POSTGRES, body);
    let all = |name: &str, body| Case::on_each(&format!("walks::{name}"), &Server::ALL, body);
    [
        on("a_window_is_found_by_the_keys_index", found_by_index),
        on(
            "rows_that_move_behind_a_walk_of_pages_are_swept",
            moved_behind,
        ),
        on(
            "a_walk_of_pages_beside_a_writing_application_counts_right",
            writing_application,
        ),
        on("a_killed_walk_of_pages_resumes_at_its_page", killed),
        on("a_locked_row_stays_alone_in_a_walk_of_pages", locked),
        on(
            "partitions_are_walked_by_pages_where_they_may_be",
            partitions,
        ),
        all("a_walk_by_numbers_comes_to_every_row", by_numbers),
        all(
            "a_killed_walk_by_numbers_counts_each_row_once",
            killed_by_numbers,
        ),
        all(
            "a_locked_row_stays_alone_in_a_walk_by_numbers",
            locked_by_numbers,
        ),
        all("several_sessions_count_what_one_does", counted_at_once),
        all(
            "a_plan_by_another_unique_index_is_another_plan",
            other_index,
        ),
        on("steady_rests_for_what_it_wrote_to_the_log", by_log),
        on("a_killed_steady_walk_counts_each_row_once", killed_steady),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Behind a checkpoint each row takes eight kilobytes of the log, because its page goes into it whole. They are fewer rows
/// than are changed before there is a rate, so that only the log makes batches rest; no slowness makes that shorter.
fn by_log(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, note text) \
                  WITH (autovacuum_enabled = off); \
                  ALTER TABLE t ALTER note SET STORAGE PLAIN";
    let mut rig = Rig::new(world, server, "by_log", schema, RULE)?;
    rig.pacing.backlog = false;
    let rows = 4_800;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, date '2020-01-01', repeat('x', 7500) FROM {}",
        series(server, 4_800)
    ))?;
    let bed = world.bed_server(server)?;
    // With checksums the first reading would write the pages.
    for statement in ["VACUUM ANALYZE t", "CHECKPOINT"] {
        bed.sql(&rig.database.name, statement)?;
    }
    let began = Instant::now();
    ensure!(rig.completed("one")? == [[rows]]);
    // 36 MB at 25 a second, but for the rest behind the last batch, of 17 MB at the most.
    let took = began.elapsed();
    ensure!(took >= Duration::from_millis(750), "{took:?}");
    Ok(())
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
        // Steady: in Backlog the pages would be walked.
        let rig = Rig::new(world, server, name, &schema, rule)?.steady(10_000_000);
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

const RULE: &str = "- {table: '${schema}.t', since: {column: ended}}\n";
const BY_PAGES: &str = "pages (ctid), then id";
/// Rows of the tables whose pages are walked; a third has expired.
const ROWS: u32 = 60_000;
const EXPIRED: i64 = 20_000;

/// A table of more than a thousand pages.
fn pages<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, note varchar(200)) \
                  WITH (autovacuum_enabled = off)";
    let rig = Rig::new(world, server, name, schema, RULE)?;
    fill(&rig)?;
    ensure!(rig.plan()?.rules[0].walk == BY_PAGES);
    Ok(rig)
}

fn fill(rig: &Rig<'_>) -> Result<()> {
    rig.sql(&format!(
        "INSERT INTO t SELECT n, CASE WHEN n % 3 = 0 THEN date '2020-01-01' ELSE current_date END, \
         repeat('x', 130) FROM {}; ANALYZE t",
        series(rig.server, ROWS)
    ))
    .map(drop)
}

fn left(rig: &Rig<'_>) -> Result<i64> {
    rig.number("SELECT count(*) FROM t WHERE ended < '2021-01-01'")
}

/// Behind the walk there is room again, and an UPDATE puts rows there that it has not come to.
fn moved_behind(world: &World, server: Server) -> Result<()> {
    let mut rig = pages(world, server, "moved_behind")?;
    rig.pacing.max_rows_per_second = Some(4_000);
    let run = rig.begin_run("one")?;
    rig.wait_until(
        "SELECT count(*) FROM t WHERE id < 3000 AND ended < '2021-01-01'",
        |n| n == 0,
    )?;
    rig.sql("VACUUM t")?;
    rig.sql("UPDATE t SET note = 'moved' WHERE id > 58000 AND ended < '2021-01-01'")?;
    let behind =
        rig.number("SELECT count(*) FROM t WHERE note = 'moved' AND ctid < '(50,0)'::tid")?;
    ensure!(behind > 100, "{behind} rows were moved behind the walk");
    ensure!(!run.has_ended(), "the walk had ended before the rows moved");
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED,
        "{run:?}"
    );
    ensure!(left(&rig)? == 0);
    Ok(())
}

/// Four workers, and an application that moves rows all the time.
fn writing_application(world: &World, server: Server) -> Result<()> {
    let rig = pages(world, server, "writing")?.workers(4);
    let busy = Arc::new(AtomicBool::new(true));
    let link = rig.block_on(async { rig.link() });
    let writer = world.handle().spawn({
        let busy = Arc::clone(&busy);
        async move {
            let mut n = 0_u32;
            while busy.load(Ordering::Relaxed) {
                n += 1;
                let sql = format!(
                    "UPDATE t SET note = 'n{n}' || repeat('y', 120) WHERE id % 97 = {}",
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
    ensure!(left(&rig)? == 0);
    ensure!(rig.number("SELECT count(*) FROM t")? == i64::from(ROWS) - EXPIRED);
    rig.expect_a_whole_chain()?;
    rig.expect_no_keys_kept()
}

fn killed(world: &World, server: Server) -> Result<()> {
    let mut rig = pages(world, server, "killed")?.workers(2);
    rig.pacing.max_rows_per_second = Some(6_000);
    for mark in [15_000, 10_000] {
        let run = rig.begin_run("one")?;
        rig.wait_until("SELECT count(*) FROM t WHERE ended < '2021-01-01'", |n| {
            n < mark
        })?;
        ensure!(!run.has_ended());
        run.kill();
        let paged = format!(
            "SELECT count(*) FROM {} WHERE low LIKE '[null,%' AND cursor_key LIKE '[null,%'",
            rig.ledger("checkpoint")
        );
        ensure!(rig.number(&paged)? == 2, "the cursors are no pages");
    }
    rig.pacing.max_rows_per_second = None;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == EXPIRED,
        "{run:?}"
    );
    ensure!(left(&rig)? == 0);
    rig.expect_no_keys_kept()
}

fn locked(world: &World, server: Server) -> Result<()> {
    let mut rig = pages(world, server, "locked")?;
    rig.pacing.lock_timeout = std::time::Duration::from_millis(100);
    let mut application = rig.holding("UPDATE t SET note = note WHERE id = 30000")?;
    let run = rig.run("one")?;
    ensure!(run.outcome != RunOutcome::Completed, "{run:?}");
    ensure!(
        own(&run) == EXPIRED - 1 && run.rules[0].residual.locked == 1,
        "{run:?}"
    );
    rig.in_session(&mut application, "COMMIT")?;
    ensure!(rig.completed("two")? == [[1]]);
    Ok(())
}

/// A user who may only name the parent walks by key, and so does everybody where a leaf has a
/// trigger for statements that name it.
fn partitions(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL, ended date, note varchar(200), \
        PRIMARY KEY (id)) PARTITION BY RANGE (id); \
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (25000); \
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (25000) TO (25001); \
        CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (25001) TO (1000000)";
    let mut rig = Rig::new(world, server, "partitions", schema, RULE)?.workers(3);
    let walk = |rig: &Rig<'_>| -> Result<String> {
        let plan = rig.plan()?;
        let rule = plan.rules.into_iter().next().context("there is no rule")?;
        Ok(rule.walk)
    };
    fill(&rig)?;
    rig.sql("DELETE FROM t WHERE id = 25000")?;
    rig.sql("VACUUM t2")?;
    ensure!(walk(&rig)? == BY_PAGES);
    rig.block_on(rig.database.create_user("walker", "a-pass-word"))?;
    rig.sql("GRANT SELECT, DELETE, UPDATE ON t TO walker")?;
    rig.login = Some(("walker".to_owned(), "a-pass-word".to_owned()));
    ensure!(walk(&rig)? == "id");
    rig.sql("GRANT SELECT, DELETE, UPDATE ON t1, t2, t3 TO walker")?;
    ensure!(walk(&rig)? == BY_PAGES);
    rig.login = None;
    rig.sql(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER named BEFORE DELETE ON t2 FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
    )?;
    ensure!(walk(&rig)? == "id");
    rig.sql("DROP TRIGGER named ON t2")?;
    ensure!(rig.completed("one")? == [[EXPIRED]]);
    ensure!(left(&rig)? == 0);
    Ok(())
}

/// Rows of the tables whose keys are numbers without many gaps; a third has expired.
const NUMBERED: u32 = 250_000;
const OF_NUMBERED: i64 = 83_333;

/// A table of which so much is counted that the ends of windows are numbers that nobody has looked up. There is a
/// gap within that, and a wide one among the first rows. On PostgreSQL Steady, or it would be walked by pages.
fn numbers<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date)";
    let mut rig = Rig::new(world, server, name, schema, RULE)?;
    if server.is_postgres() {
        rig = rig.steady(10_000_000);
    }
    rig.sql(&format!(
        "INSERT INTO t SELECT n + CASE WHEN n > 40000 THEN 1000005000 WHEN n > 6000 THEN 1000000000 ELSE 0 END, \
         CASE WHEN n % 3 = 0 THEN date '2020-01-01' ELSE current_date END FROM {}",
        series(server, NUMBERED)
    ))?;
    Ok(rig)
}

/// Ranges of several workers end between the gaps, and rows come before, between and behind what was counted.
fn by_numbers(world: &World, server: Server) -> Result<()> {
    for workers in [1, 2] {
        let rig = numbers(world, server, &format!("numbers_{workers}"))?.workers(workers);
        let planned = rig.plan_of_run()?;
        rig.sql(
            "INSERT INTO t VALUES (-7, '2020-01-01'), (43000, '2020-01-01'), (1000043000, '2020-01-01'), \
             (2000000000, '2020-01-01')",
        )?;
        let run = rig.begin_run_by(planned, "one")?;
        let run = rig.block_on(run.ran())?;
        ensure!(
            run.outcome == RunOutcome::Completed && own(&run) == OF_NUMBERED + 4,
            "{run:?}"
        );
        // A gap is not gone over number by number.
        let seq = format!("SELECT max(seq) FROM {}", rig.ledger("checkpoint"));
        let batches = rig.number(&seq)?;
        ensure!(batches < 200, "{batches} batches");
        let kept = i64::from(NUMBERED) - OF_NUMBERED;
        ensure!(left(&rig)? == 0 && rig.number("SELECT count(*) FROM t")? == kept);
    }
    Ok(())
}

/// Killed while a batch waits for a row in the middle of its numbers: what the server has of it is undone, and
/// the rest is counted once.
fn killed_by_numbers(world: &World, server: Server) -> Result<()> {
    killed_holding(numbers(world, server, "numbers_killed")?)
}

/// The same where a batch looks before and after how far the log is.
fn killed_steady(world: &World, server: Server) -> Result<()> {
    let mut rig = numbers(world, server, "steady_killed")?;
    rig.pacing.backlog = false;
    killed_holding(rig)
}

/// Killed twice within a batch that waits for a row.
fn killed_holding(mut rig: Rig<'_>) -> Result<()> {
    rig.pacing.lock_timeout = std::time::Duration::from_secs(50);
    for row in [1_000_065_000, 1_000_110_000] {
        let lock = format!("SELECT id FROM t WHERE id = {row} FOR UPDATE");
        let mut application = rig.holding(&lock)?;
        let run = rig.begin_run("one")?;
        rig.wait_for_a_waiter()?;
        run.kill();
        rig.in_session(&mut application, "COMMIT")?;
    }
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == OF_NUMBERED,
        "{run:?}"
    );
    ensure!(left(&rig)? == 0);
    rig.expect_a_whole_chain()?;
    rig.expect_no_keys_kept()
}

/// The row that somebody holds stays, and it alone.
fn locked_by_numbers(world: &World, server: Server) -> Result<()> {
    let mut rig = numbers(world, server, "numbers_locked")?;
    rig.pacing.lock_timeout = std::time::Duration::from_secs(1);
    let lock = "SELECT id FROM t WHERE id = 1000065000 FOR UPDATE";
    let mut application = rig.holding(lock)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome != RunOutcome::Completed
            && own(&run) == OF_NUMBERED - 1
            && run.rules[0].residual.locked == 1,
        "{run:?}"
    );
    rig.in_session(&mut application, "COMMIT")?;
    ensure!(rig.completed("two")? == [[1]]);
    Ok(())
}

/// Windows that are counted at once share the groups that their rows are in; what hangs on rows of several windows is
/// counted once. What was seen is put together in the order of the key, by which the workers' ranges are made.
fn counted_at_once(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, ended date, place integer);
        CREATE TABLE c (id bigint NOT NULL PRIMARY KEY, a bigint NOT NULL REFERENCES t (id), b bigint REFERENCES t (id));
        CREATE TABLE p (id bigint NOT NULL PRIMARY KEY, ended date, place integer);
        CREATE INDEX c_a ON c (a); CREATE INDEX c_b ON c (b)";
    // A row of `c` hangs on two of `t`, as a rule in windows far from each other: counted once.
    let rules = "
- table: ${schema}.t
  since: {column: ended}
  related:
  - {table: '${schema}.c', of: '${schema}.t', match: [{column: a, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.t', match: [{column: b, equals: id}], action: {type: Delete}}
- table: ${schema}.p
  since: {column: ended}
  action:
    type: Anonymise
    columns: [{column: place, strategy: GeneraliseNumber, generaliseNumber: {width: 10}}]
    kAnonymity: {quasiIdentifiers: [place], k: 1000, below: Leave}
";
    let rig = Rig::new(world, server, "counted_at_once", schema, rules)?;
    let many = 300_000;
    let rows = series(server, many);
    for table in ["t", "p"] {
        rig.sql(&format!(
            "INSERT INTO {table} SELECT n, CASE WHEN n % 3 = 0 THEN date '2020-01-01' ELSE current_date END, n % 1000 FROM {rows}"
        ))?;
    }
    rig.sql(&format!(
        "INSERT INTO c SELECT n, n, {many} + 1 - n FROM {rows} WHERE n % 5 = 0"
    ))?;
    placed(&rig, &hold(&rig, "h", "t", "place", &["42", "43", "44"])?)?;
    let one = serde_json::to_value(rig.plan()?)?;
    let rig = rig.workers(4);
    let several = rig.plan()?;
    ensure!(several.rules[0].held > 0, "{several:?}");
    ensure!(
        serde_json::to_value(&several)? == one,
        "{several:?} is not {one}"
    );
    let Ok(plan) = rig.plan_of_run()?.approve(None) else {
        bail!("the plan is refused");
    };
    let ends = &plan.facts()[0].ends;
    ensure!(ends.len() > 2, "{} windows", ends.len());
    // Keys are not shown.
    ensure!(
        ends.is_sorted_by(|a, b| a.0 < b.0 && a.1.all <= b.1.all),
        "not in the order of the key"
    );
    Ok(())
}

/// Where a run has come to is told in the columns that it walks by. By other ones it would begin somewhere else.
fn other_index(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (a bigint NOT NULL, b bigint NOT NULL, ended date); CREATE UNIQUE INDEX t_a ON t (a)";
    let rig = Rig::new(world, server, "other_index", schema, RULE)?;
    let digest = || anyhow::Ok(rig.plan()?.digest);
    let by_a = digest()?;
    rig.sql("CREATE INDEX t_ended ON t (ended)")?;
    ensure!(digest()? == by_a, "an index that nobody walks by");
    let drop = if server.is_postgres() {
        "DROP INDEX t_a"
    } else {
        "DROP INDEX t_a ON t"
    };
    rig.sql(&format!("CREATE UNIQUE INDEX t_b ON t (b); {drop}"))?;
    ensure!(digest()? != by_a);
    Ok(())
}
