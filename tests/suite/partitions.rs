//! Partitions that go as a whole: only where every row of them may go, with counts that equal the rows,
//! and whatever ends in the middle of it, nothing stays out of sight.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use oubliette::work::job::{JobKind, JobOutcome};
use oubliette_core::api::reason::Reason;
use oubliette_core::report::{PlanReport, RunOutcome, RunReport};
use serde_json::json;

use crate::case::{Case, Server};
use crate::holds::{hold, place, placed};
use crate::races::patient;
use crate::rig::{Rig, own, series};
use crate::scissors::{Cut, Marks, Scissors};
use crate::traps::granted;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("partitions::{name}"), &Server::ALL, body);
    let postgres = |name: &str, body| {
        let servers = [Server::Postgres15, Server::Postgres18];
        Case::on_each(&format!("partitions::{name}"), &servers, body)
    };
    let innodb = |name: &str, body| {
        let servers = [Server::MariaDb, Server::MySql];
        Case::on_each(&format!("partitions::{name}"), &servers, body)
    };
    [
        all("one_behind_the_cutoff_goes_as_a_whole", whole),
        all("one_with_a_row_that_stays_goes_row_by_row", row_that_stays),
        all("what_stands_in_the_way_is_said", obstacles),
        all(
            "rows_that_came_after_the_plan_are_counted_or_stay",
            came_later,
        ),
        all("one_that_a_reader_locks_goes_row_by_row", locked),
        all(
            "a_hold_accepted_while_one_is_waited_for_keeps_its_row",
            held_meanwhile,
        ),
        all("several_workers_and_a_ceiling_bind_partitions", ceiling),
        all("least_privileges_let_partitions_go", privileges),
        all(
            "no_cut_of_the_connection_loses_or_hides_a_row",
            cut_anywhere,
        ),
        postgres(
            "a_default_partition_and_one_added_meanwhile_go_row_by_row",
            added,
        ),
        innodb("a_run_that_is_given_up_brings_rows_back", given_up),
        innodb(
            "the_numbers_of_rows_that_are_gone_are_not_given_again",
            numbers,
        ),
    ]
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

/// What is told of a partition whose rows go one by one.
fn told(plan: &PlanReport, part: &str) -> Option<String> {
    let one_by_one = |w: &&String| w.contains("go one by one") && w.contains(part);
    plan.warnings.iter().find(one_by_one).cloned()
}

fn row_that_stays(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "stays")?;
    // Nobody can mean 1969, and somebody holds 1001.
    rig.sql("INSERT INTO t VALUES (9, '1969-06-01', 'x')")?;
    ensure!(rig.plan()?.rules[0].partitions == 1);
    completed_with(&rig, "first", (500, 1))?;
    rig.sql("DELETE FROM t WHERE id < 2000")?;
    fill(&rig, 1_000, 200, "2016-06-01")?;
    placed(&rig, &hold(&rig, "h", "t", "id", &["1001"])?)?;
    let plan = rig.plan()?;
    let why = told(&plan, "p2016").context("not told")?;
    ensure!(
        plan.rules[0].partitions == 0 && why.contains("1 of its rows stay"),
        "{plan:?}"
    );
    completed_with(&rig, "second", (199, 0))?;
    ensure!(rig.number("SELECT count(*) FROM t WHERE id = 1001")? == 1);
    expect_nothing_left(&rig)
}

/// A completed run's rows and partitions.
fn completed_with(rig: &Rig<'_>, id: &str, wanted: (i64, i64)) -> Result<()> {
    let run = completed(rig, id)?;
    let found = (own(&run), run.rules[0].partitions);
    ensure!(found == wanted, "{found:?}, not {wanted:?}: {run:?}");
    Ok(())
}

/// What is done, what undoes it, and what is then said.
type Obstacle = (&'static str, &'static str, &'static str);

const IN_POSTGRES: [Obstacle; 3] = [
    (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER g AFTER TRUNCATE ON p2015 EXECUTE FUNCTION f()",
        "DROP TRIGGER g ON p2015",
        "triggers",
    ),
    (
        "CREATE PUBLICATION p_${database} FOR TABLE t WITH (publish = 'insert, update, delete')",
        "DROP PUBLICATION p_${database}",
        "publication",
    ),
    (
        "DROP TABLE p2016; CREATE TABLE p2016 PARTITION OF t FOR VALUES FROM ('2016-01-01') TO \
         ('2017-01-01') PARTITION BY LIST (id); CREATE TABLE q PARTITION OF p2016 DEFAULT",
        "DROP TABLE p2016; CREATE TABLE p2016 PARTITION OF t FOR VALUES FROM ('2016-01-01') TO \
         ('2017-01-01')",
        "partitioned itself",
    ),
];

const IN_INNODB: [Obstacle; 2] = [
    (
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW SET @a = 1",
        "DROP TRIGGER g",
        "triggers",
    ),
    (
        "ALTER TABLE t PARTITION BY RANGE (TO_DAYS(ended)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 \
         (PARTITION p2015 VALUES LESS THAN (TO_DAYS('2016-01-01')), \
         PARTITION p2090 VALUES LESS THAN MAXVALUE)",
        "ALTER TABLE t PARTITION BY RANGE (TO_DAYS(ended)) \
         (PARTITION p2015 VALUES LESS THAN (TO_DAYS('2016-01-01')), \
         PARTITION p2016 VALUES LESS THAN (TO_DAYS('2017-01-01')), \
         PARTITION p2090 VALUES LESS THAN MAXVALUE)",
        "partitioned itself",
    ),
];

fn obstacles(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "obstacles")?;
    let all: &[Obstacle] = if server.is_postgres() {
        &IN_POSTGRES
    } else {
        &IN_INNODB
    };
    for (obstacle, end, said) in all {
        rig.sql(obstacle)?;
        let plan = rig.plan()?;
        let why = told(&plan, "partition").with_context(|| format!("{obstacle}: {plan:?}"))?;
        ensure!(why.contains(said), "{obstacle}: {why}");
        rig.sql(end)?;
        ensure!(told(&rig.plan()?, "partition").is_none(), "{end}");
    }
    // A condition that every row meets is none.
    let some = "- {table: '${schema}.t', partitions: Whole, \
                where: [{column: note, operator: In, values: [x]}]}\n";
    let rig = rig.rules(some);
    rig.sql("DELETE FROM t WHERE id BETWEEN 1000 AND 1999")?;
    fill(&rig, 1_000, 200, "2016-06-01")?;
    rig.sql("UPDATE t SET note = 'y' WHERE id = 1001")?;
    completed_with(&rig, "some", (499, 1))?;
    // What can never go so says it at once.
    let rig = rig.rules(
        "- {table: '${schema}.t', partitions: Whole, action: {type: Anonymise, \
                 columns: [{column: note, strategy: Nullify}]}}\n",
    );
    let why = told(&rig.plan()?, "not with their partitions").context("not told")?;
    ensure!(why.contains("only rows that are deleted"), "{why}");
    if server.is_postgres() {
        rig.sql(
            "CREATE TABLE c (id integer PRIMARY KEY, t_id integer, t_ended date, \
             FOREIGN KEY (t_id, t_ended) REFERENCES t (id, ended))",
        )?;
        let rig = rig.rules(
            "- table: '${schema}.t'
  partitions: Whole
  related:
  - table: '${schema}.c'
    of: '${schema}.t'
    match: [{column: t_id, equals: id}, {column: t_ended, equals: ended}]
    action: {type: Delete}
",
        );
        let why = told(&rig.plan()?, "not with their partitions").context("not told")?;
        ensure!(why.contains("hang on them"), "{why}");
        return Ok(());
    }
    expect_nothing_left(&rig)
}

/// Waits until the run waits for the application's lock.
pub(crate) fn wait_for_the_run(rig: &Rig<'_>) -> Result<()> {
    if rig.server.is_postgres() {
        return rig.wait_for_a_waiter();
    }
    rig.wait_until(
        "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() \
         AND state LIKE 'Waiting for table metadata lock%'",
        |n| n > 0,
    )
}

/// The plan has counted, the application writes, the run acts.
fn came_later(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "later")?);
    for (id, row, stays, wanted) in [
        ("due", "(9, '2014-01-01', 'x')", 0, (501, 2)),
        ("stays", "(9, '1969-01-01', 'x')", 1, (500, 1)),
    ] {
        let mut application =
            rig.holding("UPDATE t SET note = 'mine' WHERE id = 10 AND ended < '2016-01-01'")?;
        let run = rig.begin_run(id)?;
        wait_for_the_run(&rig)?;
        rig.in_session(&mut application, &format!("INSERT INTO t VALUES {row}"))?;
        rig.in_session(&mut application, "COMMIT")?;
        let run = rig.block_on(run.ran())?;
        let found = (own(&run), run.rules[0].partitions);
        ensure!(found == wanted, "{id}: {found:?}, not {wanted:?}: {run:?}");
        ensure!(rig.number("SELECT count(*) FROM t")? == 50 + stays, "{id}");
        expect_nothing_left(&rig)?;
        fill(&rig, 0, 300, "2015-06-01")?;
        fill(&rig, 1_000, 200, "2016-06-01")?;
    }
    Ok(())
}

fn locked(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "locked")?;
    rig.pacing.lock_timeout = Duration::from_millis(200);
    let mut reader = rig.holding("SELECT count(*) FROM t")?;
    completed_with(&rig, "one", (500, 0))?;
    rig.in_session(&mut reader, "COMMIT")?;
    fill(&rig, 0, 300, "2015-06-01")?;
    completed_with(&rig, "two", (300, 1))?;
    expect_nothing_left(&rig)
}

fn held_meanwhile(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "held")?);
    completed_with(&rig, "ledger", (500, 2))?;
    fill(&rig, 0, 300, "2015-06-01")?;
    let store = placed(&rig, &hold(&rig, "before", "t", "id", &["77777"])?)?;
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 10")?;
    let run = rig.begin_run("one")?;
    wait_for_the_run(&rig)?;
    rig.block_on(place(&store, &hold(&rig, "h", "t", "id", &["7"])?))?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!((own(&run), run.rules[0].partitions) == (299, 0), "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t WHERE id = 7")? == 1);
    expect_nothing_left(&rig)
}

fn ceiling(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "ceiling")?.workers(3);
    fill(&rig, 3_000, 100, "2020-06-01")?;
    completed_with(&rig, "one", (600, 2))?;
    // More came after the plan than the limit allows: the partition stays, and the walk stops there.
    fill(&rig, 0, 300, "2015-06-01")?;
    rig.spec = json!({"limits": {"maxRows": 300}});
    let rig = patient(rig);
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 10")?;
    let run = rig.begin_run("two")?;
    wait_for_the_run(&rig)?;
    rig.in_session(
        &mut application,
        "INSERT INTO t VALUES (999, '2015-01-01', 'x')",
    )?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::CeilingReached) && run.rules[0].partitions == 0,
        "{run:?}"
    );
    ensure!(
        own(&run) + rig.number("SELECT count(*) FROM t WHERE id < 1000")? == 301,
        "{run:?}"
    );
    expect_nothing_left(&rig)
}

/// A connection that is cut at any question on it, once in each run: before it is heard, or before its
/// answer is. A statement is two questions.
fn cut_anywhere(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "cut")?;
    completed_with(&rig, "ledger", (500, 2))?;
    let marks: Marks = if server.is_postgres() {
        (b"LOCK TABLE ONLY", b"COMMIT\0")
    } else {
        (b"GET_LOCK(", b"RELEASE_LOCK(")
    };
    let target = rig.database.endpoint.port;
    for at in 0.. {
        fill(&rig, 0, 30, "2015-06-01")?;
        let cut = if at % 2 == 0 { Cut::Before } else { Cut::After };
        let scissors = rig.block_on(Scissors::start(target, marks, at, cut))?;
        rig.through = Some(scissors.port());
        let id = format!("run-{at}");
        let first = rig.outcome(&id);
        rig.through = None;
        let uncut = !scissors.has_cut();
        let run = match first {
            Ok(JobOutcome::Ran { run, .. }) => run,
            _ => rig.run(&id)?,
        };
        ensure!(
            run.outcome == RunOutcome::Completed && own(&run) == 30,
            "cut {at}: {run:?}"
        );
        ensure!(rig.number("SELECT count(*) FROM t")? == 50, "cut {at}");
        expect_nothing_left(&rig).with_context(|| format!("cut {at}"))?;
        if uncut {
            // There was nothing left to cut.
            ensure!(at > 8, "only {at} cuts");
            return Ok(());
        }
    }
    bail!("unreachable")
}

fn given_up(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "given_up")?;
    completed_with(&rig, "ledger", (500, 2))?;
    fill(&rig, 0, 30, "2015-06-01")?;
    let target = rig.database.endpoint.port;
    let marks: Marks = (b"EXCHANGE PARTITION", b"RELEASE_LOCK(");
    let scissors = rig.block_on(Scissors::start(target, marks, 1, Cut::Dead))?;
    rig.through = Some(scissors.port());
    // Nothing of the run goes on: its process dies with its connection.
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM t", |n| n == 50)?;
    run.kill();
    rig.through = None;
    // The application writes where it sees nothing.
    rig.sql("INSERT INTO t VALUES (500, '2015-07-01', 'new')")?;
    let under = rig.begin(JobKind::GiveUp {
        id: "one".to_owned(),
    })?;
    let JobOutcome::Ran { run, .. } = rig.block_on(under.outcome())? else {
        bail!("not given up")
    };
    ensure!(own(&run) == 0, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 81);
    expect_nothing_left(&rig)
}

fn added(world: &World, server: Server) -> Result<()> {
    let table = "CREATE TABLE t (id integer NOT NULL, ended date NOT NULL, note varchar(60), \
         PRIMARY KEY (id, ended)) PARTITION BY RANGE (ended); \
         CREATE TABLE p2015 PARTITION OF t FOR VALUES FROM ('2015-01-01') TO ('2016-01-01'); \
         CREATE TABLE rest PARTITION OF t DEFAULT";
    let rig = patient(Rig::new(world, server, "added", table, RULE)?);
    fill(&rig, 0, 300, "2015-06-01")?;
    fill(&rig, 1_000, 20, "2014-06-01")?;
    let mut application = rig.holding("UPDATE p2015 SET note = 'mine' WHERE id = 10")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.sql(
        "CREATE TABLE p2012 (LIKE t INCLUDING ALL); \
         ALTER TABLE t ATTACH PARTITION p2012 FOR VALUES FROM ('2012-01-01') TO ('2013-01-01'); \
         INSERT INTO t VALUES (5000, '2012-05-05', 'x')",
    )?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!((own(&run), run.rules[0].partitions) == (321, 1), "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 0);
    Ok(())
}

/// A user with what the program prints, and no more.
fn privileges(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "privileges")?;
    let account = granted(&mut rig)?;
    if server.is_postgres() {
        let plan = rig.plan()?;
        for part in ["p2015", "p2016"] {
            let why = told(&plan, part).context("not told")?;
            let (_, grant) = why.split_once("privileges: ").context("no statement")?;
            rig.sql(grant)?;
        }
    } else {
        rig.sql(&format!("REVOKE DROP ON t FROM {account}"))?;
        let why = told(&rig.plan()?, "p2015").context("not told")?;
        let (_, grants) = why.split_once("privileges: ").context("no statement")?;
        rig.sql(grants)?;
    }
    completed_with(&rig, "one", (500, 2))?;
    rig.login = None;
    expect_nothing_left(&rig)
}

fn numbers(world: &World, server: Server) -> Result<()> {
    let table = "CREATE TABLE t (id integer NOT NULL AUTO_INCREMENT, ended date NOT NULL, \
         PRIMARY KEY (id, ended)) PARTITION BY RANGE (YEAR(ended)) \
         (PARTITION p2015 VALUES LESS THAN (2016), PARTITION p2090 VALUES LESS THAN MAXVALUE)";
    let rig = Rig::new(world, server, "numbers", table, RULE)?;
    rig.sql("INSERT INTO t (ended) VALUES ('2015-01-01'), ('2015-01-01'), ('2015-01-01')")?;
    rig.sql("DELETE FROM t WHERE id = 3")?;
    completed_with(&rig, "one", (2, 1))?;
    rig.sql("INSERT INTO t (ended) VALUES ('2015-01-01')")?;
    ensure!(rig.number("SELECT id FROM t")? == 4);
    expect_nothing_left(&rig)
}
