//! What the limits of a policy allow, where rows become due while a run is under way.

use anyhow::{Result, bail, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;
use serde_json::json;

use crate::case::{Case, Server};
use crate::holds::{hold, place, store};
use crate::races::{OLD, RULE, TABLE, fill, patient};
use crate::rig::{Rig, counts, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("limits::{name}"), &Server::ALL, body);
    [
        all("rules_share_what_max_rows_leaves", rules_share_the_rest),
        all(
            "related_rows_that_stay_away_make_no_room_for_own_ones",
            own_rows_are_bounded,
        ),
        all(
            "rules_of_one_table_share_its_percentage",
            rules_share_the_percentage,
        ),
        all(
            "a_run_by_a_count_of_before_changes_no_more_than_that",
            by_a_count_of_before,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const NEW: &str = "current_timestamp";

/// Each rule could use up the whole rest: 180 rows went under a limit of 100.
fn rules_share_the_rest(world: &World, server: Server) -> Result<()> {
    let rules = "- {table: '${schema}.t', since: {column: ended, timeZone: UTC}}\n\
                 - {table: '${schema}.u', since: {column: ended, timeZone: UTC}}\n";
    let schema = format!("{TABLE}; {}", TABLE.replacen(" t ", " u ", 1));
    let mut rig = patient(Rig::new(world, server, "share_the_rest", &schema, rules)?);
    rig.spec = json!({"limits": {"maxRows": 100}});
    fill(&rig, 10)?;
    for table in ["t", "u"] {
        rig.sql(&format!(
            "INSERT INTO {table} SELECT n + 1000, {NEW}, 'new' FROM {}",
            series(server, 80)
        ))?;
    }
    rig.sql("INSERT INTO u SELECT id, ended, note FROM t WHERE id <= 10")?;
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 1")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.sql(&format!(
        "UPDATE t SET ended = {OLD} WHERE id > 1000; UPDATE u SET ended = {OLD} WHERE id > 1000"
    ))?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    let gone = 180 - rig.number("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u)")?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::CeilingReached),
        "{run:?}"
    );
    let counted: i64 = counts(&run).iter().flatten().sum();
    ensure!(
        counted == gone && gone <= 100,
        "{gone} rows are gone: {run:?}"
    );
    ensure!(gone > 20, "the case means to use the rest up: {run:?}");
    rig.expect_a_whole_chain()
}

/// The fence counted own and related rows together: where 500 related rows were planned, 500 more of
/// the table's own could go, whatever share of it they were.
fn own_rows_are_bounded(world: &World, server: Server) -> Result<()> {
    let rules = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  related: [{table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}], action: {type: Delete}}]
";
    let schema = format!(
        "{TABLE}; CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer, \
         FOREIGN KEY (t_id) REFERENCES t (id)); CREATE INDEX c_t ON c (t_id)"
    );
    let mut rig = patient(Rig::new(world, server, "own_rows", &schema, rules)?);
    rig.spec = json!({"limits": {"maxPercent": 10}});
    fill(&rig, 50)?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n + 1000, {NEW}, 'new' FROM {}",
        series(server, 950)
    ))?;
    rig.sql(&format!(
        "INSERT INTO c SELECT n, 1 + n / 10 FROM {}",
        series(server, 490)
    ))?;
    let mut application = rig.holding("UPDATE c SET id = id WHERE id = 5")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.sql(&format!("UPDATE t SET ended = {OLD} WHERE id > 1000"))?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    let gone = 1000 - rig.number("SELECT count(*) FROM t")?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::CeilingReached),
        "{run:?}"
    );
    ensure!(
        counts(&run)[0][0] == gone && gone <= 100,
        "{gone} of 1000 rows are gone: {run:?}"
    );
    rig.expect_a_whole_chain()
}

/// Five rules of a fifth each took the whole table under a limit of 20 per cent.
fn rules_share_the_percentage(world: &World, server: Server) -> Result<()> {
    let rule = |note: &str| {
        format!(
            "- {{name: {note}, table: '${{schema}}.t', since: {{column: ended, timeZone: UTC}}, \
             where: [{{column: note, operator: In, values: [{note}]}}]}}\n"
        )
    };
    let rules: String = ["a", "b", "c", "d", "e"].map(rule).concat();
    let mut rig = Rig::new(world, server, "share_percentage", TABLE, &rules)?;
    rig.spec = json!({"limits": {"maxPercent": 20}});
    for (number, note) in [(0, "a"), (100, "b"), (200, "c"), (300, "d"), (400, "e")] {
        rig.sql(&format!(
            "INSERT INTO t SELECT n + {number}, {OLD}, '{note}' FROM {}",
            series(server, 10)
        ))?;
    }
    let JobOutcome::Refused { refusals, .. } = rig.outcome("one")? else {
        bail!("a plan over all of the table was not refused")
    };
    ensure!(
        refusals.len() == 1
            && refusals[0].reason == Reason::LimitExceeded
            && refusals[0].message.contains("50 of 50 rows"),
        "{refusals:?}"
    );
    rig.spec = json!({"limits": {"maxPercent": 100}});
    ensure!(rig.completed("two")? == vec![vec![10]; 5]);
    Ok(())
}

/// What is counted again shows the rows that came since, and is refused; what is not stops at what the count
/// of before allows. A hold that came since has it counted again.
fn by_a_count_of_before(world: &World, server: Server) -> Result<()> {
    for (name, held) in [("counted_before", false), ("counted_again", true)] {
        let mut rig = patient(Rig::new(world, server, name, TABLE, RULE)?);
        rig.spec = json!({"limits": {"maxRows": 20}});
        fill(&rig, 10)?;
        let store = store(&rig)?;
        let planned = rig.plan_of_run()?;
        rig.sql(&format!(
            "INSERT INTO t SELECT n + 1000, {OLD}, 'new' FROM {}",
            series(server, 80)
        ))?;
        if held {
            rig.block_on(place(&store, &hold(&rig, "h", "t", "id", &["7"])?))?;
        }
        let run = rig.begin_run_by(planned, "one")?;
        let outcome = rig.block_on(run.outcome())?;
        let gone = 90 - rig.number("SELECT count(*) FROM t")?;
        match outcome {
            JobOutcome::Refused { refusals, .. } if held => ensure!(
                gone == 0 && refusals.iter().all(|r| r.reason == Reason::LimitExceeded),
                "{gone} rows are gone: {refusals:?}"
            ),
            JobOutcome::Ran { run, .. } if !held => {
                ensure!(
                    run.outcome == RunOutcome::Stopped(Reason::CeilingReached),
                    "{run:?}"
                );
                ensure!(
                    counts(&run).iter().flatten().sum::<i64>() == gone && gone <= 20,
                    "{gone} rows are gone: {run:?}"
                );
            }
            other => bail!("{other:?}"),
        }
        rig.expect_a_whole_chain()?;
    }
    Ok(())
}
