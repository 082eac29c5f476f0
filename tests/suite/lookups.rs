//! Rows that another table keeps, while somebody adds one there: what is asked of other tables is true
//! at an instant after the row was locked (SQL.md section 2).

use anyhow::{Result, ensure};
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{OLD, patient};
use crate::rig::{Rig, Under, counts, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("lookups::{name}"), &Server::ALL, body);
    [
        Case::on_each(
            "lookups::a_row_kept_between_lock_and_delete_stays",
            &[Server::Postgres15, Server::Postgres18],
            kept_behind_the_lock,
        ),
        Case::on_each(
            "lookups::rows_of_partitions_go_where_nothing_keeps_them",
            &[Server::Postgres15, Server::Postgres18],
            partitioned,
        ),
        all(
            "a_row_kept_during_the_wait_is_not_deleted",
            kept_during_the_wait,
        ),
        all(
            "a_row_kept_during_the_wait_is_not_anonymised",
            kept_during_the_wait_of_an_update,
        ),
        all(
            "who_enrols_again_during_the_wait_stays",
            enrolled_during_the_wait,
        ),
        all(
            "who_enrols_after_the_lock_meets_the_foreign_key",
            enrolled_after_the_lock,
        ),
        all(
            "who_enrols_over_another_unique_key_meets_the_foreign_key_too",
            enrolled_over_another_key,
        ),
        all("a_tree_goes_with_rows_that_others_do_not_keep", tree),
        all("what_is_looked_for_must_be_there", missing),
        all("who_differs_in_an_accent_is_somebody_else", somebody_else),
        all(
            "rows_that_others_keep_stay_beside_a_writing_application",
            writing_application,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Without a foreign key, so that nothing but the predicate can see the other table.
const APART: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80)); \
    CREATE TABLE k (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL); \
    CREATE INDEX k_t ON k (t_id)";

fn apart<'w>(world: &'w World, server: Server, name: &str, rule: &str) -> Result<Rig<'w>> {
    let rules = format!(
        "- table: ${{schema}}.t\n  since: {{column: ended, timeZone: UTC}}\n  \
         unless: [{{table: '${{schema}}.k', match: [{{column: t_id, equals: id}}]}}]\n{rule}"
    );
    let rig = Rig::new(world, server, name, APART, &rules)?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, {OLD}, 'old' FROM {}",
        series(server, 100)
    ))?;
    Ok(rig)
}

/// One statement with the whole predicate took the row: it waited for the lock with an old view of
/// the other table.
fn kept_during_the_wait(world: &World, server: Server) -> Result<()> {
    let rig = patient(apart(world, server, "kept", "")?);
    let mut application =
        rig.holding("UPDATE t SET note = 'mine' WHERE id = 50; INSERT INTO k VALUES (1, 50)")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    all_but_one(&rig, run)?;
    rig.sql("DELETE FROM k")?;
    ensure!(rig.completed("two")? == [[1]]);
    Ok(())
}

fn kept_during_the_wait_of_an_update(world: &World, server: Server) -> Result<()> {
    let action = "  action: {type: Anonymise, columns: [{column: note, strategy: Nullify}]}\n";
    let rig = patient(apart(world, server, "kept_update", action)?);
    // Locked without a change: nothing makes the engine look at the row again.
    let mut application =
        rig.holding("SELECT id FROM t WHERE id = 50 FOR UPDATE; INSERT INTO k VALUES (1, 50)")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    all_but_one(&rig, run)
}

/// The rows are locked, and before they are deleted one of them gets what keeps it.
fn kept_behind_the_lock(world: &World, server: Server) -> Result<()> {
    let rig = patient(apart(world, server, "kept_behind", "")?);
    // Row locks are compatible with it, a DELETE is not.
    let mut application = rig.holding("LOCK TABLE t IN SHARE MODE")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "INSERT INTO k VALUES (1, 50); COMMIT")?;
    all_but_one(&rig, run)
}

/// Every row was deleted, or its note, but for the one that is kept.
fn all_but_one(rig: &Rig<'_>, run: Under) -> Result<()> {
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 99,
        "{run:?}"
    );
    ensure!(rig.number("SELECT id FROM t WHERE note IS NOT NULL")? == 50);
    Ok(())
}

/// Who has locked a row is written in the partition that it lies in.
fn partitioned(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL) PARTITION BY HASH (id); \
        CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
        CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
        CREATE TABLE k (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL); \
        CREATE INDEX k_t ON k (t_id)";
    let rules = "- table: ${schema}.t\n  since: {column: ended, timeZone: UTC}\n  \
        unless: [{table: '${schema}.k', match: [{column: t_id, equals: id}]}]\n";
    let rig = Rig::new(world, server, "partitioned_lookup", schema, rules)?;
    rig.sql(&format!(
        "INSERT INTO t SELECT n, {OLD} FROM {}",
        series(server, 1_000)
    ))?;
    rig.sql("INSERT INTO k SELECT id, id FROM t WHERE id % 3 = 0")?;
    ensure!(rig.completed("one")? == [[667]]);
    ensure!(rig.number("SELECT count(*) FROM t WHERE id % 3 = 0")? == 333);
    Ok(())
}

/// MariaDB gave a row the answer that it had found for another one, where the column's collation takes
/// both for the same: `é@x`, which is known, went with `É@x`, which is not, or `É@x` stayed with it.
fn somebody_else(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, email varchar(80)); \
        CREATE TABLE k (id integer NOT NULL PRIMARY KEY, email varchar(80) NOT NULL)";
    let rules = "- table: ${schema}.t\n  since: {column: ended, timeZone: UTC}\n  \
        unless: [{table: '${schema}.k', match: [{column: email, equals: email, normalise: LowercaseTrim}]}]\n";
    let rig = Rig::new(world, server, "somebody_else", schema, rules)?;
    rig.sql("INSERT INTO k VALUES (1, 'é@x')")?;
    for (run, emails) in [["É@x", "é@x"], ["é@x", "É@x"]].into_iter().enumerate() {
        rig.sql("DELETE FROM t")?;
        for (id, email) in (1..).zip(emails) {
            rig.sql(&format!("INSERT INTO t VALUES ({id}, {OLD}, '{email}')"))?;
        }
        ensure!(rig.completed(&format!("run-{run}"))? == [[1]]);
        let known = rig.rows("SELECT email FROM t")?;
        ensure!(known == [[Some("é@x".to_owned())]], "{known:?}");
    }
    Ok(())
}

const ENROLMENTS: &str = "CREATE TABLE l (id integer NOT NULL PRIMARY KEY, joined ${civil} NOT NULL, note varchar(80)); \
    CREATE TABLE e (id integer NOT NULL PRIMARY KEY, l_id integer NOT NULL, ended ${civil} NULL, \
        FOREIGN KEY (l_id) REFERENCES l (id)); \
    CREATE INDEX e_l ON e (l_id)";
const ENROLMENTS_RULE: &str = "
- table: ${schema}.l
  since:
    latest: {table: '${schema}.e', match: [{column: l_id, equals: id}], column: ended, timeZone: UTC}
    otherwise: {column: joined, timeZone: UTC}
  related:
  - {table: '${schema}.e', of: '${schema}.l', match: [{column: l_id, equals: id}], action: {type: Delete}}
";

fn enrolments<'w>(world: &'w World, server: Server, name: &str, learners: u32) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, ENROLMENTS, ENROLMENTS_RULE)?;
    let learners = series(server, learners);
    rig.sql(&format!(
        "INSERT INTO l SELECT n, {OLD}, 'old' FROM {learners}"
    ))?;
    // Of the newest of several the reading counts; every third learner has none.
    for (first, sign) in [(0, "n % 3 <> 0"), (100_000, "n % 3 = 1")] {
        rig.sql(&format!(
            "INSERT INTO e SELECT n + {first}, n, {OLD} FROM {learners} WHERE {sign}"
        ))?;
    }
    Ok(rig)
}

/// `max()` ignores the open enrolment, and the first look was older than the lock.
fn enrolled_during_the_wait(world: &World, server: Server) -> Result<()> {
    let rig = patient(enrolments(world, server, "enrolled_during", 60)?);
    let mut application =
        rig.holding("INSERT INTO e VALUES (900, 30, NULL); INSERT INTO e VALUES (901, 31, NULL)")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 58,
        "{run:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM l WHERE id IN (30, 31)")? == 2);
    // 31 = 1 (mod 3) keeps its two and the new one, 30 the new one.
    ensure!(rig.number("SELECT count(*) FROM e")? == 4);
    Ok(())
}

fn enrolled_after_the_lock(world: &World, server: Server) -> Result<()> {
    let rig = patient(enrolments(world, server, "enrolled_after", 60)?);
    // The batch has its learners, and waits for an enrolment of one of them.
    let mut holder = rig.holding("UPDATE e SET id = 950 WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    let mut session = rig.holding("SELECT 1")?;
    let late = rig.world.handle().spawn(async move {
        session
            .execute("INSERT INTO e VALUES (901, 40, NULL)")
            .await
    });
    rig.wait_for_waiters(2)?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 60,
        "{run:?}"
    );
    let late = rig.block_on(late)?;
    ensure!(late.is_err(), "an enrolment without its learner");
    ensure!(rig.number("SELECT count(*) FROM e")? == 0);
    Ok(())
}

/// InnoDB checks a child by the index that its foreign key refers to: a lock of the learner's primary
/// key let it in between the enrolments' end and the learner's, and the cascade took it uncounted.
fn enrolled_over_another_key(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE l (id integer NOT NULL PRIMARY KEY, num integer NOT NULL UNIQUE, joined ${civil} NOT NULL); \
        CREATE TABLE e (id integer NOT NULL PRIMARY KEY, l_num integer NOT NULL, note varchar(9), \
            FOREIGN KEY (l_num) REFERENCES l (num) ON DELETE CASCADE); \
        CREATE INDEX e_l ON e (l_num)";
    let rules = "
- table: ${schema}.l
  since: {column: joined, timeZone: UTC}
  related: [{table: '${schema}.e', of: '${schema}.l', match: [{column: l_num, equals: num}], action: {type: Delete}}]
";
    let rig = patient(Rig::new(world, server, "another_key", schema, rules)?);
    let learners = series(server, 60);
    rig.sql(&format!(
        "INSERT INTO l SELECT n, n + 1000, {OLD} FROM {learners}; \
         INSERT INTO e SELECT n, n + 1000, 'old' FROM {learners} WHERE n < 40"
    ))?;
    let mut holder = rig.holding("UPDATE e SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    let mut session = rig.holding("SELECT 1")?;
    let late = rig.world.handle().spawn(async move {
        session
            .execute("INSERT INTO e VALUES (901, 1050, 'late')")
            .await
    });
    rig.wait_for_waiters(2)?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run) == [[60, 39]],
        "{run:?}"
    );
    ensure!(
        rig.block_on(late)?.is_err(),
        "an enrolment without its learner"
    );
    Ok(())
}

/// What goes with an expired row is counted as related, where only the other table says which rows the
/// rule itself reaches.
fn tree(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, up integer NULL, ended ${civil} NULL, \
            FOREIGN KEY (up) REFERENCES n (id)); \
        CREATE TABLE k (id integer NOT NULL PRIMARY KEY, n_id integer NOT NULL); \
        CREATE INDEX n_up ON n (up); CREATE INDEX k_n ON k (n_id)";
    let rules = "
- table: ${schema}.n
  since: {column: ended, timeZone: UTC}
  unless: [{table: '${schema}.k', match: [{column: n_id, equals: id}]}]
  related: [{table: '${schema}.n', of: '${schema}.n', match: [{column: up, equals: id}], action: {type: Delete}}]
";
    let rig = Rig::new(world, server, "kept_tree", schema, rules)?;
    // 1 > 2 > 3, of which 2 has not expired; 10 > 11 are kept, and 12 below them has expired.
    rig.sql(&format!(
        "INSERT INTO n VALUES (1, NULL, {OLD}), (2, 1, NULL), (3, 2, {OLD}), (10, NULL, {OLD}), (11, 10, NULL), (12, 11, {OLD}); \
         INSERT INTO k VALUES (1, 10)"
    ))?;
    let plan = rig.plan()?;
    let planned = &plan.rules[0];
    let related: i64 = planned.related.iter().map(|table| table.rows).sum();
    ensure!((planned.eligible, related) == (3, 1), "{planned:?}");
    ensure!(rig.completed("one")? == [[3, 1]]);
    ensure!(rig.number("SELECT sum(id) FROM n")? == 21);
    rig.expect_a_whole_chain()
}

fn missing(world: &World, server: Server) -> Result<()> {
    let rig = apart(world, server, "missing", "")?;
    rig.sql("DROP TABLE k")?;
    let refused = rig.refused()?;
    ensure!(
        refused.len() == 1 && refused[0].reason == Reason::TableMissing,
        "{refused:?}"
    );
    rig.sql("CREATE TABLE k (id integer NOT NULL PRIMARY KEY, other integer NOT NULL)")?;
    let refused = rig.refused()?;
    ensure!(
        refused.len() == 1 && refused[0].reason == Reason::ColumnMissing,
        "{refused:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM t")? == 100);
    Ok(())
}

fn writing_application(world: &World, server: Server) -> Result<()> {
    let rig = enrolments(world, server, "enrolling", 20_000)?.workers(2);
    let run = rig.begin_run("one")?;
    let (mut turn, mut enrolled) = (0_u32, Vec::new());
    while !run.has_ended() {
        turn += 1;
        let learner = (turn * 7_919) % 20_000 + 1;
        let id = 500_000 + turn;
        // Refused by the foreign key where the learner is gone.
        let insert = format!("INSERT INTO e VALUES ({id}, {learner}, NULL)");
        if rig.sql(&insert).is_ok() {
            enrolled.push(learner);
        }
    }
    let run = rig.block_on(run.ran())?;
    ensure!(run.rules[0].residual.unexplained == 0, "{run:?}");
    enrolled.sort_unstable();
    enrolled.dedup();
    let kept = i64::try_from(enrolled.len())?;
    ensure!(own(&run) == 20_000 - kept, "{kept} are kept: {run:?}");
    ensure!(rig.number("SELECT count(*) FROM l")? == kept);
    rig.expect_a_whole_chain()
}
