//! Legal holds against runs, on real servers: whatever the instant at which a hold is accepted, no
//! row of it changes afterwards (P5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use oubliette::ledger::Store;
use oubliette::work::job::{JobOutcome, RememberedHold, RememberedHolds};
use oubliette_core::api::reason::Reason;
use oubliette_core::hold::{Hold, HoldOperator, HoldTest};
use oubliette_core::ledger::{HoldRow, Ledger, Released};
use oubliette_core::report::{RunOutcome, RunReport};
use zeroize::Zeroizing;

use crate::case::{Case, Server};
use crate::races::{OLD, RULE, TABLE, engine, fill, patient, rig};
use crate::rig::{Rig, counts, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("holds::{name}"), &Server::ALL, body);
    [
        all(
            "no_held_row_is_deleted_after_any_of_200_holds_was_accepted",
            |world, server| many(world, server, RULE, "many_deleted"),
        ),
        all(
            "no_held_row_is_anonymised_after_any_of_200_holds_was_accepted",
            |world, server| many(world, server, ANONYMISE, "many_anonymised"),
        ),
        all(
            "a_hold_accepted_between_lock_and_fence_keeps_its_row",
            between_lock_and_fence,
        ),
        all(
            "a_hold_accepted_between_plan_and_record_keeps_its_row",
            between_runs,
        ),
        all("what_cannot_be_compared_is_held", nulls),
        all(
            "a_hold_that_objects_remember_and_the_ledger_lacks_stops_a_run_under_way",
            lost_meanwhile,
        ),
        all("a_held_grandchild_keeps_its_parent", grandchild),
        all(
            "a_held_child_that_comes_while_its_parent_is_locked_keeps_it",
            late_held_child,
        ),
        all(
            "a_hold_keeps_what_leads_to_its_row_over_several_columns_and_ways",
            several_ways,
        ),
        all("a_hold_below_a_circle_lets_the_rule_rest", circle),
        all("a_released_hold_lets_the_next_run_take_the_rows", release),
        all("a_hold_on_a_table_holds_its_partitions", partitions),
        all("holds_that_cannot_be_read_stop_everything", unreadable),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const ANONYMISE: &str = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Anonymise, columns: [{column: note, strategy: Constant, constant: {value: gone}}]}
";

/// A hold on rows with one of these values in a column.
pub(crate) fn hold(
    rig: &Rig<'_>,
    id: &str,
    table: &str,
    column: &str,
    values: &[&str],
) -> Result<Hold> {
    let (table, values) = (rig.database.fill(&format!("${{schema}}.{table}")), values);
    Ok(Hold {
        id: id.to_owned(),
        name: format!("suite/{id}"),
        table: table.parse()?,
        tests: vec![HoldTest {
            column: column.parse()?,
            operator: HoldOperator::In,
            values: values
                .iter()
                .map(|value| Zeroizing::new((*value).to_owned()))
                .collect(),
        }],
    })
}

pub(crate) fn store(rig: &Rig<'_>) -> Result<Store> {
    rig.block_on(async {
        let ledger = Ledger {
            engine: engine(rig.server),
            place: "oubliette".parse()?,
        };
        Ok(Store::open(&rig.connect().await?, ledger, &rig.owner).await?)
    })
}

/// Places a hold; when this returns, it is accepted.
pub(crate) async fn place(store: &Store, hold: &Hold) -> Result<()> {
    let row = HoldRow {
        id: hold.id.clone(),
        name: hold.name.clone(),
        table: hold.table.to_string(),
        reason: "CASE-1".to_owned(),
        placed_by: "dpo".to_owned(),
        accepted_at: Timestamp::now().to_string(),
        released: None,
    };
    let placed = store.place_hold(hold, &row).await?;
    ensure!(placed == row, "{placed:?}");
    Ok(())
}

/// A release of today.
pub(crate) fn released() -> Released {
    Released {
        at: Timestamp::now().to_string(),
        reason: "CASE-1/closed".to_owned(),
        by: "dpo".to_owned(),
    }
}

pub(crate) fn placed(rig: &Rig<'_>, hold: &Hold) -> Result<Store> {
    let store = store(rig)?;
    rig.block_on(place(&store, hold))?;
    Ok(store)
}

/// How many rows each hold is said to have kept.
pub(crate) fn held_by(run: &RunReport) -> Vec<(&str, i64)> {
    let holds = run.rules.iter().flat_map(|rule| &rule.held_by);
    holds.map(|held| (held.hold.as_str(), held.rows)).collect()
}

const ROWS: u32 = 20_000;
const HOLDS: u32 = 200;

fn many(world: &World, server: Server, rule: &str, name: &str) -> Result<()> {
    let mut rig = rig(world, server, name, ROWS)?.rules(rule).workers(2);
    // Short batches, so that holds come before, in and after many of them.
    rig.pacing.batch_duration = std::time::Duration::from_millis(5);
    let store = store(&rig)?;
    let run = rig.begin_run("one")?;
    // What was there once its hold had been accepted must be there at the end. Beside the walk, which
    // goes upwards: rows are taken from all over the table, in an order that looks like none.
    let mut kept = BTreeSet::new();
    let mut lost = 0;
    for n in 1..=HOLDS {
        let id = n * 7_919 % ROWS + 1;
        rig.block_on(place(
            &store,
            &hold(&rig, &format!("h{n}"), "t", "id", &[&id.to_string()])?,
        ))?;
        let there = format!("SELECT count(*) FROM t WHERE id = {id} AND note = 'old'");
        if rig.number(&there)? == 1 {
            kept.insert(id);
        } else {
            lost += 1;
        }
    }
    let during = !run.has_ended();
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    let left = rig.rows("SELECT id FROM t WHERE note = 'old' ORDER BY id")?;
    let left: BTreeSet<u32> = left
        .into_iter()
        .filter_map(|row| row.first().cloned().flatten()?.parse().ok())
        .collect();
    ensure!(left == kept, "{during}: {left:?}, not {kept:?}");
    ensure!(
        u32::try_from(own(&run))? + u32::try_from(left.len())? == ROWS,
        "{lost}: {run:?}"
    );
    let residual = run.rules[0].residual;
    ensure!(
        usize::try_from(residual.held)? <= kept.len(),
        "{residual:?}"
    );
    // None was missed: the next run finds nothing, and says who keeps what.
    let next = rig.run("two")?;
    ensure!(
        own(&next) == 0 && next.outcome == RunOutcome::Completed,
        "{next:?}"
    );
    ensure!(
        usize::try_from(next.rules[0].residual.held)? == kept.len(),
        "{next:?}"
    );
    ensure!(
        held_by(&next).iter().all(|(_, rows)| *rows == 1),
        "{next:?}"
    );
    rig.expect_a_whole_chain()
}

/// Only the generation in the fence keeps the row here: the batch has chosen it already.
fn between_lock_and_fence(world: &World, server: Server) -> Result<()> {
    for (name, rule) in [("deleted", RULE), ("anonymised", ANONYMISE)] {
        let rig = patient(rig(world, server, &format!("fence_{name}"), 100)?.rules(rule));
        let store = store(&rig)?;
        // The batch has changed rows 1 to 59, in one statement, and waits for the 60th.
        let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 60")?;
        let run = rig.begin_run("one")?;
        rig.wait_for_a_waiter()?;
        rig.block_on(place(&store, &hold(&rig, "h", "t", "id", &["7"])?))?;
        rig.in_session(&mut application, "COMMIT")?;
        let run = rig.block_on(run.ran())?;
        ensure!(
            run.outcome == RunOutcome::Completed && own(&run) == 99,
            "{run:?}"
        );
        ensure!(run.rules[0].residual.held == 1, "{run:?}");
        ensure!(held_by(&run) == [("suite/h", 1)], "{run:?}");
        ensure!(rig.number("SELECT count(*) FROM t WHERE id = 7 AND note = 'old'")? == 1);
    }
    Ok(())
}

/// A hold that is accepted while a run is under way, and lost at once by a server that takes over without it.
fn lost_meanwhile(world: &World, server: Server) -> Result<()> {
    let rules =
        format!("{RULE}- {{table: '${{schema}}.u', since: {{column: ended, timeZone: UTC}}}}\n");
    let schema =
        format!("{TABLE}; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, ended ${{civil}} NULL)");
    let mut rig = patient(Rig::new(world, server, "lost_meanwhile", &schema, &rules)?);
    fill(&rig, 100)?;
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD})"))?;
    let accepted = Arc::new(AtomicBool::new(false));
    let known = accepted.clone();
    rig.holds = RememberedHolds::by(move || {
        let known = known.load(Ordering::SeqCst);
        let one = known.then(|| RememberedHold {
            uid: "h".to_owned(),
            name: "suite/h".to_owned(),
        });
        one.into_iter().collect()
    });
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 60")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    accepted.store(true, Ordering::SeqCst);
    rig.in_session(&mut application, "COMMIT")?;
    let outcome = rig.block_on(run.outcome())?;
    ensure!(
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::HoldsUnreadable,
                ..
            }
        ),
        "{outcome:?}"
    );
    ensure!(
        rig.number("SELECT count(*) FROM u")? == 1,
        "the next rule went on"
    );
    // Placed again it binds, and the run goes on.
    let store = store(&rig)?;
    rig.block_on(place(&store, &hold(&rig, "h", "u", "id", &["1"])?))?;
    let run = rig.run("one")?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM u")? == 1, "{run:?}");
    rig.expect_a_whole_chain()
}

/// A run that stands in the ledger with holds that came before and after it was planned.
fn between_runs(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "between", 100)?.steady(10_000));
    let store = store(&rig)?;
    // The plan has read the holds and waits for the table, before anything is recorded.
    let (lock, unlock, waiters) = if server.is_postgres() {
        (
            "LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
            "COMMIT",
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    } else {
        (
            "LOCK TABLES t WRITE",
            "UNLOCK TABLES",
            "SELECT count(*) FROM information_schema.processlist \
             WHERE db = DATABASE() AND state LIKE 'Waiting for table%'",
        )
    };
    let mut application = rig.holding(lock)?;
    let run = rig.begin_run("one")?;
    rig.wait_until(waiters, |n| n >= 1)?;
    rig.block_on(place(&store, &hold(&rig, "h", "t", "id", &["7"])?))?;
    rig.in_session(&mut application, unlock)?;
    let run = rig.block_on(run.ran())?;
    ensure!(own(&run) == 99, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t WHERE id = 7")? == 1);
    // It is planned with what is held: nothing would change.
    let plan = rig.plan()?;
    let rule = plan.rules.first().context("no rule")?;
    ensure!(rule.eligible == 0 && rule.held == 1, "{plan:?}");
    ensure!(rule.held_by[0].hold == "suite/h", "{plan:?}");
    Ok(())
}

fn nulls(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "nulls", 5)?;
    rig.sql("UPDATE t SET note = NULL WHERE id IN (2, 4)")?;
    rig.sql("UPDATE t SET note = 'ada' WHERE id = 5")?;
    let mut both = hold(&rig, "h", "t", "note", &["ada", "o'Hara"])?;
    both.tests.push(HoldTest {
        column: "id".parse()?,
        operator: HoldOperator::In,
        values: ["2", "3", "5"]
            .map(|value| Zeroizing::new(value.to_owned()))
            .to_vec(),
    });
    placed(&rig, &both)?;
    // 1: neither; 2: the note is not known; 3: another note; 4: not known, but another id; 5: both.
    let run = rig.run("one")?;
    ensure!(own(&run) == 3 && run.rules[0].residual.held == 2, "{run:?}");
    ensure!(
        rig.rows("SELECT id FROM t ORDER BY id")?
            == [[Some("2".to_owned())], [Some("5".to_owned())]]
    );
    Ok(())
}

const THREE: &str = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL); \
    CREATE TABLE b (id integer NOT NULL PRIMARY KEY, a_id integer NOT NULL, \
        FOREIGN KEY (a_id) REFERENCES a (id)); CREATE INDEX b_a ON b (a_id); \
    CREATE TABLE c (id integer NOT NULL PRIMARY KEY, b_id integer NOT NULL, note varchar(80), \
        FOREIGN KEY (b_id) REFERENCES b (id)); CREATE INDEX c_b ON c (b_id)";
const THREE_RULE: &str = "
- table: ${schema}.a
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.b', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.b', match: [{column: b_id, equals: id}], action: {type: Delete}}
";

fn three<'w>(world: &'w World, server: Server, name: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, THREE, THREE_RULE)?;
    for table in ["a", "b", "c"] {
        let row = match table {
            "a" => format!("n, {OLD}"),
            "b" => "n, n".to_owned(),
            _ => "n, n, 'old'".to_owned(),
        };
        rig.sql(&format!(
            "INSERT INTO {table} SELECT {row} FROM {}",
            series(server, 30)
        ))?;
    }
    Ok(rig)
}

fn left(rig: &Rig<'_>) -> Result<Vec<i64>> {
    ["a", "b", "c"]
        .iter()
        .map(|table| rig.number(&format!("SELECT count(*) FROM {table}")))
        .collect()
}

fn grandchild(world: &World, server: Server) -> Result<()> {
    let rig = three(world, server, "grandchild")?;
    let store = placed(&rig, &hold(&rig, "c", "c", "id", &["7"])?)?;
    rig.block_on(place(&store, &hold(&rig, "b", "b", "id", &["9"])?))?;
    rig.block_on(place(&store, &hold(&rig, "a", "a", "id", &["9", "11"])?))?;
    let plan = rig.plan()?;
    ensure!(
        plan.rules[0].eligible == 27 && plan.rules[0].held == 3,
        "{plan:?}"
    );
    ensure!(
        plan.rules[0].related.iter().all(|t| t.rows == 27),
        "{plan:?}"
    );
    let run = rig.run("one")?;
    ensure!(counts(&run) == [[27, 27, 27]], "{run:?}");
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(run.rules[0].residual.held == 3, "{run:?}");
    let mut by = held_by(&run);
    by.sort_unstable();
    ensure!(
        by == [("suite/a", 2), ("suite/b", 1), ("suite/c", 1)],
        "{run:?}"
    );
    ensure!(left(&rig)? == [3, 3, 3]);
    Ok(())
}

/// The predicate of the choosing statement was answered before the child came.
fn late_held_child(world: &World, server: Server) -> Result<()> {
    let rig = patient(three(world, server, "late_held_child")?);
    placed(&rig, &hold(&rig, "c", "c", "note", &["ada"])?)?;
    let mut application =
        rig.holding("INSERT INTO b VALUES (1000, 15); INSERT INTO c VALUES (1000, 1000, 'ada')")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(counts(&run) == [[29, 29, 29]], "{run:?}");
    ensure!(held_by(&run) == [("suite/c", 1)], "{run:?}");
    ensure!(left(&rig)? == [1, 2, 2]);
    Ok(())
}

/// Two ways lead to the held table, one over two columns; the held row hangs on each of two parents.
fn several_ways(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, part integer NOT NULL, ended ${civil} NULL, UNIQUE (id, part)); \
        CREATE TABLE b (id integer NOT NULL PRIMARY KEY, a_id integer NOT NULL, FOREIGN KEY (a_id) REFERENCES a (id)); \
        CREATE TABLE c (id integer NOT NULL PRIMARY KEY, a_id integer NULL, a_part integer NULL, b_id integer NULL, mark varchar(10) NOT NULL, \
            FOREIGN KEY (a_id, a_part) REFERENCES a (id, part), FOREIGN KEY (b_id) REFERENCES b (id)); \
        CREATE INDEX b_a ON b (a_id); CREATE INDEX c_a ON c (a_id, a_part); CREATE INDEX c_b ON c (b_id)";
    let rules = "
- table: ${schema}.a
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.b', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.a', match: [{column: a_id, equals: id}, {column: a_part, equals: part}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.b', match: [{column: b_id, equals: id}], action: {type: Delete}}
";
    let rig = Rig::new(world, server, "held_ways", schema, rules)?;
    rig.sql(&format!(
        "INSERT INTO a SELECT n, n, {OLD} FROM {}; INSERT INTO b SELECT n, n FROM {}",
        series(server, 20),
        series(server, 20)
    ))?;
    // 5 is reached over two columns from 5, over b from 7; 6 from 6 only; 8 from nobody.
    rig.sql(
        "INSERT INTO c VALUES (5, 5, 5, 7, 'held'), (6, 6, 6, NULL, 'free'), (8, 8, NULL, NULL, 'held')",
    )?;
    let hold = hold(&rig, "ways", "c", "mark", &["held"])?;
    placed(&rig, &hold)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 18,
        "{run:?}"
    );
    ensure!(held_by(&run) == [("suite/ways", 2)], "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM a WHERE id IN (5, 7)")? == 2);
    ensure!(rig.number("SELECT count(*) FROM a")? == 2);
    ensure!(rig.number("SELECT count(*) FROM c")? == 2);
    Ok(())
}

fn circle(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, up integer NULL, ended ${civil} NULL, \
        FOREIGN KEY (up) REFERENCES n (id)); CREATE INDEX n_up ON n (up)";
    let rules = "
- table: ${schema}.n
  since: {column: ended, timeZone: UTC}
  related: [{table: '${schema}.n', of: '${schema}.n', match: [{column: up, equals: id}], action: {type: Delete}}]
";
    let rig = Rig::new(world, server, "held_circle", schema, rules)?;
    rig.sql(&format!(
        "INSERT INTO n VALUES (1, NULL, {OLD}), (2, 1, NULL), (3, 2, NULL), (4, NULL, {OLD})"
    ))?;
    let hold = hold(&rig, "deep", "n", "id", &["3"])?;
    let store = placed(&rig, &hold)?;
    let refused = rig.refused()?;
    ensure!(
        refused
            .iter()
            .any(|refusal| refusal.reason == Reason::HoldsUnreadable),
        "{refused:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM n")? == 4);
    rig.block_on(store.release_hold("deep", &released()))?;
    ensure!(counts(&rig.run("one")?) == [[2, 2]]);
    Ok(())
}

fn release(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "release", 10)?;
    let held = hold(&rig, "h", "t", "id", &["7", "8"])?;
    let store = placed(&rig, &held)?;
    // Placed again it is the same.
    let again = rig.block_on(place(&store, &held));
    ensure!(again.is_err(), "the second acceptance has another instant");
    ensure!(own(&rig.run("one")?) == 8);
    let released = Released {
        at: Timestamp::now().to_string(),
        by: "judge".to_owned(),
        reason: "CASE-2".to_owned(),
    };
    let row = rig.block_on(store.release_hold("h", &released))?;
    ensure!(row.and_then(|row| row.released) == Some(released.clone()));
    let hold = rig.ledger("hold");
    // The row stays as evidence, without whom it was about.
    ensure!(rig.number(&format!("SELECT count(*) FROM {hold}"))? == 1);
    ensure!(
        rig.number(&format!(
            "SELECT count(*) FROM {hold} WHERE hold_keys IS NOT NULL"
        ))? == 0
    );
    // Who releases it again changes nothing.
    let later = Released {
        by: "another".to_owned(),
        ..released.clone()
    };
    let row = rig.block_on(store.release_hold("h", &later))?;
    ensure!(row.and_then(|row| row.released) == Some(released));
    let run = rig.run("two")?;
    ensure!(own(&run) == 2 && run.rules[0].residual.held == 0, "{run:?}");
    Ok(())
}

fn partitions(world: &World, server: Server) -> Result<()> {
    let schema = if server.is_postgres() {
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80)) \
         PARTITION BY RANGE (id); \
         CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (50); \
         CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (50) TO (1000)"
    } else {
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80)) \
         PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (50), \
         PARTITION high VALUES LESS THAN (1000))"
    };
    let rig = Rig::new(world, server, "partitions", schema, RULE)?;
    fill(&rig, 99)?;
    let store = placed(&rig, &hold(&rig, "whole", "t", "id", &["7"])?)?;
    if server.is_postgres() {
        rig.block_on(place(&store, &hold(&rig, "part", "t_high", "id", &["77"])?))?;
    }
    let kept = if server.is_postgres() { 2 } else { 1 };
    let run = rig.run("one")?;
    ensure!(own(&run) == 99 - kept, "{run:?}");
    ensure!(run.rules[0].residual.held == kept, "{run:?}");
    Ok(())
}

fn unreadable(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "unreadable", 10)?;
    placed(&rig, &hold(&rig, "h", "t", "id", &["7"])?)?;
    let refused = |id: &str, words: &str| -> Result<()> {
        let told = match rig.outcome(id)? {
            JobOutcome::Failed {
                reason, message, ..
            } => (reason, message),
            JobOutcome::Refused { refusals, .. } => {
                let first = refusals.first().context("no refusal")?;
                (first.reason, first.message.clone())
            }
            other => bail!("it ran: {other:?}"),
        };
        ensure!(
            told.0 == Reason::HoldsUnreadable && told.1.contains(words),
            "{told:?}"
        );
        // Nor does a dry run tell figures that would not be true.
        let plan = rig.begin(oubliette::work::job::JobKind::Plan)?;
        let plan = rig.block_on(plan.outcome())?;
        ensure!(!matches!(plan, JobOutcome::Planned(_)), "{plan:?}");
        ensure!(rig.number("SELECT count(*) FROM t")? == 10);
        Ok(())
    };
    let table = rig.ledger("hold");
    // A row that somebody has written to by hand.
    rig.sql(&format!("UPDATE {table} SET hold_keys = 'x'"))?;
    refused("one", "not one that this program wrote")?;
    rig.sql(&format!("UPDATE {table} SET hold_keys = '[[\"7\"]]'"))?;
    // The column that it holds rows by.
    let (away, back) = (
        "ALTER TABLE t RENAME COLUMN note TO remark",
        "ALTER TABLE t RENAME COLUMN remark TO note",
    );
    rig.sql(&format!(
        "UPDATE {table} SET predicate = '[{{\"column\":\"note\",\"operator\":\"In\"}}]'"
    ))?;
    rig.sql(away)?;
    refused("two", "has no column note")?;
    rig.sql(back)?;
    // The whole table of holds.
    let (away, back) = if server.is_postgres() {
        (
            "ALTER TABLE oubliette.hold RENAME TO elsewhere",
            "ALTER TABLE oubliette.elsewhere RENAME TO hold",
        )
    } else {
        (
            "RENAME TABLE oubliette_hold TO elsewhere",
            "RENAME TABLE elsewhere TO oubliette_hold",
        )
    };
    rig.sql(away)?;
    refused("three", "table of legal holds")?;
    rig.sql(back)?;
    ensure!(own(&rig.run("four")?) == 10, "the note is no 7");
    Ok(())
}
