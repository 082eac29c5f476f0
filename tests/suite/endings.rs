//! How runs end that do not come to their end: given up, cut short, taken by another owner. What they
//! did is counted and evidenced once, and no key of theirs is kept.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use oubliette::ledger::{LedgerFault, Store};
use oubliette::work::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::api::reason::Reason;
use oubliette_core::ledger::Ledger;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{OLD, RULE, TABLE, fill, patient, rig};
use crate::rig::{Rig, counts, own, series};
use crate::traps::granted;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("endings::{name}"), &Server::ALL, body);
    [
        all(
            "an_abandoned_run_keeps_no_key_and_says_what_it_did",
            abandoned_run,
        ),
        all(
            "a_run_cut_short_has_its_evidence_and_its_end_or_neither",
            cut_in_the_middle,
        ),
        all(
            "a_failover_that_lost_a_finished_step_ends_no_run_as_completed",
            behind,
        ),
        all(
            "an_adopted_ledger_leaves_its_former_workers_nothing",
            adopted,
        ),
        all(
            "a_resumed_run_that_a_guard_refuses_is_given_up_as_drifted",
            refused_on_resume,
        ),
        all(
            "a_privilege_that_is_taken_away_and_given_back_ends_no_run",
            revoked_meanwhile,
        ),
        all("a_rule_that_fails_stops_no_other_rule", failing_rule),
        Case::on_each(
            "endings::a_row_with_too_much_hanging_on_it_is_told_from_a_locked_one",
            &[Server::Postgres18, Server::MariaDb],
            too_large,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn abandoned_run(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id varchar(40) NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80))";
    let mut rig = patient(Rig::new(world, server, "abandoned_run", schema, RULE)?);
    rig.pacing.workers = 2;
    let text = if server.is_postgres() {
        "lpad(n::text, 8, '0')"
    } else {
        "LPAD(n, 8, '0')"
    };
    rig.sql(&format!(
        "INSERT INTO t SELECT {text}, {OLD}, 'old' FROM {}",
        series(server, 1000)
    ))?;
    let application = rig.holding("UPDATE t SET note = 'mine' WHERE id = '00000900'")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    ensure!(
        rig.expect_no_keys_kept().is_err(),
        "the case means to see a cursor"
    );
    run.stop(StopWhy::Shutdown);
    rig.block_on(run.outcome())?;
    // Resumed only to be abandoned: what it did is told from the ledger.
    let run = rig.begin_run("one")?;
    run.stop(StopWhy::Deleted);
    let outcome = rig.block_on(run.outcome())?;
    rig.expect_no_keys_kept()?;
    drop(application);
    let gone = 1000 - rig.number("SELECT count(*) FROM t")?;
    match rig.outcome("one")? {
        JobOutcome::Ran { run, .. } => {
            ensure!(
                run.outcome == RunOutcome::Stopped(Reason::Abandoned),
                "{run:?} {outcome:?}"
            );
            ensure!(
                own(&run) == gone && gone > 0,
                "{gone} rows are gone: {run:?}"
            );
        }
        other => bail!("{other:?}"),
    }
    rig.expect_a_whole_chain()
}

/// Evidence and end in two transactions: evidence of half a step stood in an open run, and a resume
/// took the step for whole.
fn cut_in_the_middle(world: &World, server: Server) -> Result<()> {
    let rules =
        format!("{RULE}- {{table: '${{schema}}.u', since: {{column: ended, timeZone: UTC}}}}\n");
    let schema =
        format!("{TABLE}; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, ended ${{civil}} NULL)");
    let mut rig = patient(Rig::new(
        world,
        server,
        "cut_in_the_middle",
        &schema,
        &rules,
    )?);
    fill(&rig, 1000)?;
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD})"))?;
    let application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 900")?;
    rig.pacing.batch_duration = Duration::from_millis(5);
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    // The end of the run clears the keys of the other step, too: it waits there, its evidence written.
    let checkpoint = rig.ledger("checkpoint");
    let reader = rig.holding(&format!(
        "UPDATE {checkpoint} SET n = n WHERE run = 'one' AND step = 1"
    ))?;
    run.stop(StopWhy::Deleted);
    wait_for_the_end_to_wait(&rig)?;
    kill_who_waits_for_the_ledger(&rig)?;
    let outcome = rig.block_on(run.outcome())?;
    ensure!(matches!(outcome, JobOutcome::Failed { .. }), "{outcome:?}");
    drop(reader);
    drop(application);

    let gone = 1000 - rig.number("SELECT count(*) FROM t")?;
    ensure!(0 < gone && gone < 1000, "{gone} rows are gone");
    let evidence = rig.ledger("evidence");
    let evidenced = || rig.number(&format!("SELECT count(*) FROM {evidence}"));
    ensure!(evidenced()? == 0, "half a step is evidenced in an open run");
    let open = format!(
        "SELECT count(*) FROM {} WHERE state = 'open'",
        rig.ledger("run")
    );
    ensure!(
        rig.number(&open)? == 1,
        "the run has ended without evidence"
    );

    let ended = rig.begin(JobKind::GiveUp {
        id: "one".to_owned(),
    })?;
    let run = rig.block_on(ended.ran())?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::Abandoned) && own(&run) == gone,
        "{gone} rows are gone: {run:?}"
    );
    ensure!(evidenced()? == 1, "its step has no evidence");
    rig.expect_no_keys_kept()?;
    rig.expect_a_whole_chain()
}

/// Until the transaction that ends the run waits for a row of the ledger.
fn wait_for_the_end_to_wait(rig: &Rig<'_>) -> Result<()> {
    rig.wait_until(&waiting_for_the_ledger(rig, "count(*)"), |n| n == 1)
}

fn kill_who_waits_for_the_ledger(rig: &Rig<'_>) -> Result<()> {
    if rig.server.is_postgres() {
        let kill = waiting_for_the_ledger(rig, "count(pg_terminate_backend(pid))");
        return rig.number(&kill).map(drop);
    }
    let id = rig.number(&waiting_for_the_ledger(rig, "t.trx_mysql_thread_id"))?;
    rig.sql(&format!("KILL {id}")).map(drop)
}

fn waiting_for_the_ledger(rig: &Rig<'_>, what: &str) -> String {
    if rig.server.is_postgres() {
        format!(
            "SELECT {what} FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock' AND query LIKE 'UPDATE%checkpoint%low = NULL%'"
        )
    } else {
        format!(
            "SELECT {what} FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT' \
             AND t.trx_query LIKE 'UPDATE%checkpoint%low = NULL%'"
        )
    }
}

/// The evidence of the first step is gone while the second is under way, as on a replica that takes over.
fn behind(world: &World, server: Server) -> Result<()> {
    let rules =
        format!("- {{table: '${{schema}}.u', since: {{column: ended, timeZone: UTC}}}}\n{RULE}");
    let schema =
        format!("{TABLE}; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, ended ${{civil}} NULL)");
    let mut rig = patient(Rig::new(world, server, "behind", &schema, &rules)?);
    fill(&rig, 1000)?;
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD})"))?;
    rig.pacing.batch_duration = Duration::from_millis(5);
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 900")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    let (evidence, head) = (rig.ledger("evidence"), rig.ledger("chain_head"));
    ensure!(rig.number(&format!("SELECT count(*) FROM {evidence}"))? == 1);
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD})"))?;
    rig.sql(&format!("DELETE FROM {evidence}"))?;
    rig.sql(&format!("UPDATE {head} SET hash = '', length = 0"))?;
    rig.in_session(&mut application, "COMMIT")?;
    let outcome = rig.block_on(run.outcome())?;
    ensure!(
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::LedgerRewound,
                ..
            }
        ),
        "{outcome:?}"
    );
    // It goes on from what the ledger has.
    let open = format!(
        "SELECT count(*) FROM {} WHERE state = 'open'",
        rig.ledger("run")
    );
    ensure!(rig.number(&open)? == 1, "the run has ended");
    let evidenced = rig.number(&format!("SELECT count(*) FROM {evidence}"))?;
    ensure!(evidenced == 0, "what follows the gap is evidenced");
    rig.expect_a_whole_chain()
}

/// Without raising the epochs, the former owner's worker went on to the end of its run.
fn adopted(world: &World, server: Server) -> Result<()> {
    let mut rig = patient(rig(world, server, "adopted", 1000)?);
    rig.pacing.batch_duration = Duration::from_millis(5);
    let mut application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 900")?;
    let stale = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    let left = rig.number("SELECT count(*) FROM t")?;
    let former = rig.owner.clone();
    "another TargetDatabase".clone_into(&mut rig.owner.database);
    rig.block_on(async {
        let database = rig.connect().await?;
        let ledger = Ledger {
            engine: database.engine(),
            place: "oubliette".parse()?,
        };
        // It counts its plan for as long as it takes, and then takes the run over.
        let early = Store::open(&database, ledger.clone(), &former).await?;
        let store = Store::unchecked(&database, ledger);
        store.adopt(&rig.owner).await?;
        let late = early.take_over("one").await;
        ensure!(
            matches!(
                late,
                Err(LedgerFault::Refused {
                    reason: Reason::LedgerOwned,
                    ..
                })
            ),
            "{late:?}"
        );
        anyhow::Ok(())
    })?;
    rig.in_session(&mut application, "COMMIT")?;
    let outcome = rig.block_on(stale.outcome())?;
    ensure!(
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::TakenOver,
                ..
            }
        ),
        "{outcome:?}"
    );
    ensure!(
        rig.number("SELECT count(*) FROM t")? == left && left > 0,
        "the former owner's worker changed rows"
    );
    let new = std::mem::replace(&mut rig.owner, former);
    let outcome = rig.outcome("one")?;
    ensure!(
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::LedgerOwned,
                ..
            }
        ),
        "{outcome:?}"
    );
    rig.owner = new;
    let run = rig.run("two")?;
    ensure!(
        run.run == "one" && run.outcome == RunOutcome::Completed && own(&run) == 1000,
        "{run:?}"
    );
    rig.expect_a_whole_chain()
}

/// The plan of the rest is refused, not another one: the run stayed open with its cursor for ever.
fn refused_on_resume(world: &World, server: Server) -> Result<()> {
    let rig = patient(rig(world, server, "refused_on_resume", 1000)?);
    let application = rig.holding("UPDATE t SET note = 'mine' WHERE id = 900")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    run.stop(StopWhy::Shutdown);
    rig.block_on(run.outcome())?;
    drop(application);
    let gone = 1000 - rig.number("SELECT count(*) FROM t")?;
    rig.sql(
        "CREATE TABLE child (t_id integer NOT NULL, FOREIGN KEY (t_id) REFERENCES t (id)); \
         CREATE INDEX child_t ON child (t_id)",
    )?;
    let run = rig.run("two")?;
    ensure!(
        run.run == "one" && run.outcome == RunOutcome::Stopped(Reason::Drifted),
        "{run:?}"
    );
    ensure!(own(&run) == gone && gone > 0, "{gone} are gone: {run:?}");
    rig.expect_no_keys_kept()?;
    rig.expect_a_whole_chain()?;
    let refused = rig.outcome("two")?;
    ensure!(
        matches!(&refused, JobOutcome::Refused { refusals, .. }
            if refusals[0].reason == Reason::ReferenceUndecided),
        "{refused:?}"
    );
    Ok(())
}

/// The run was ended for good, and its rest had to wait for the next tick.
fn revoked_meanwhile(world: &World, server: Server) -> Result<()> {
    const ROWS: i64 = 2_000;
    let mut rig = rig(world, server, "revoked", 2_000)?.steady(400);
    let account = granted(&mut rig)?;
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM t", |n| n < ROWS)?;
    rig.sql(&format!("REVOKE DELETE ON ${{schema}}.t FROM {account}"))?;
    let lacking = |outcome: &JobOutcome| {
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::MissingGrants,
                ..
            }
        )
    };
    let outcome = rig.block_on(run.outcome())?;
    ensure!(lacking(&outcome), "{outcome:?}");
    let left = rig.number("SELECT count(*) FROM t")?;
    ensure!(left > 0, "the case came too late");
    let outcome = rig.outcome("one")?;
    ensure!(lacking(&outcome), "{outcome:?}");
    rig.sql(&format!("GRANT DELETE ON ${{schema}}.t TO {account}"))?;
    rig.pacing.max_rows_per_second = None;
    rig.pacing.backlog = true;
    let run = rig.run("two")?;
    ensure!(
        run.run == "one" && run.outcome == RunOutcome::Completed && own(&run) == ROWS,
        "{run:?}"
    );
    rig.expect_a_whole_chain()
}

/// It was taken for locked, and every next run was to take it.
fn too_large(world: &World, server: Server) -> Result<()> {
    let rules = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  related: [{table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}], action: {type: Delete}}]
";
    let schema = format!(
        "{TABLE}; CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer, \
         FOREIGN KEY (t_id) REFERENCES t (id)); CREATE INDEX c_t ON c (t_id)"
    );
    let mut rig = Rig::new(world, server, "too_large", &schema, rules)?;
    fill(&rig, 3)?;
    rig.sql(&format!(
        "INSERT INTO c SELECT n, CASE WHEN n <= 2 THEN 1 ELSE 2 END FROM {}",
        series(server, 500_000)
    ))?;
    rig.pacing.statement_limit = Duration::from_millis(50);
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::RowsTooLarge),
        "{run:?}"
    );
    let residual = run.rules[0].residual;
    ensure!(
        (residual.too_large, residual.rows()) == (1, 1),
        "{residual:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM c")? == 499_998);
    rig.pacing.statement_limit = Duration::from_mins(1);
    ensure!(rig.completed("two")? == [[1, 499_998]]);
    Ok(())
}

/// A constraint that is younger than the plan refuses what the first rule does.
fn failing_rule(world: &World, server: Server) -> Result<()> {
    let rules = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Anonymise, columns: [{column: note, strategy: Constant, constant: {value: x}}]}
- {table: '${schema}.u', since: {column: ended, timeZone: UTC}}
";
    let schema = format!("{TABLE}; {}", TABLE.replace("TABLE t", "TABLE u"));
    let rig = Rig::new(world, server, "failing_rule", &schema, rules)?.steady(200);
    fill(&rig, 600)?;
    rig.sql("INSERT INTO u SELECT * FROM t WHERE id <= 10")?;
    let run = rig.begin_run("one")?;
    let done = "SELECT count(*) FROM t WHERE note = 'x'";
    rig.wait_until(done, |n| n > 0)?;
    rig.sql("ALTER TABLE t ADD CONSTRAINT c CHECK (id < 600 OR note <> 'x')")?;
    let run = rig.block_on(run.ran())?;
    let failed: Vec<_> = run.rules.iter().map(|rule| rule.failed).collect();
    let conflict = Reason::ConstraintConflict;
    ensure!(
        run.outcome == RunOutcome::Failed(conflict) && failed == [Some(conflict), None],
        "{run:?}"
    );
    let done = rig.number(done)?;
    ensure!(counts(&run) == [[done], [10]] && done < 600, "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM u")? == 0);
    rig.expect_no_keys_kept()?;
    rig.expect_a_whole_chain()
}
