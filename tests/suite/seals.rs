//! Rows that are sealed: moved with what hangs on them to where others cannot read, never lost, never
//! there twice, and gone when their time there is over (SQL.md section 3).

use anyhow::{Context, Result, bail, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::plan::Refusal;
use oubliette_core::report::{Effect, RunOutcome};

use crate::case::{Case, Server};
use crate::holds::{held_by, hold, place, placed};
use crate::races::{OLD, patient};
use crate::rig::{Rig, counts, own, series};
use crate::traps::granted;
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("seals::{name}"), &Server::ALL, body);
    [
        all("rows_move_with_what_hangs_on_them", moved),
        all("sealed_rows_have_an_end_of_their_own", ended),
        all("grace_seals_first_and_deletes_later", grace),
        all("a_row_renewed_while_it_is_sealed_stays", renewed),
        all(
            "a_row_that_comes_between_copy_and_delete_is_not_lost",
            between,
        ),
        all("a_killed_batch_leaves_no_copy", killed),
        all("a_child_of_a_row_that_is_sealed_comes_too_late", late_child),
        all(
            "a_hold_placed_in_the_middle_keeps_its_row_where_it_was",
            held_meanwhile,
        ),
        all("a_hold_keeps_what_is_sealed_already", held_sealed),
        all("a_duty_keeps_what_is_sealed_already", kept_sealed),
        all("whoever_may_read_sealed_rows_must_be_named", readable),
        all("a_table_that_cannot_take_the_rows_is_refused", unfit),
        all("a_key_that_was_sealed_before_loses_nobody", sealed_before),
        all("a_row_is_sealed_as_it_was_before_it_let_go", ring),
        all(
            "what_the_database_computes_and_numbers_is_copied",
            generated,
        ),
        all("rows_missing_among_the_sealed_fail_the_run", miscounted),
    ]
    .into_iter()
    .flatten()
    .chain(Case::on_each(
        "seals::the_page_brings_rows_back",
        &[Server::Postgres15, Server::Postgres18],
        page,
    ))
    .collect()
}

const FAMILY: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(80)); \
    CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL, note varchar(80), \
        FOREIGN KEY (t_id) REFERENCES t (id)); \
    CREATE INDEX c_t ON c (t_id); \
    CREATE TABLE d (id integer NOT NULL PRIMARY KEY, c_id integer NOT NULL, \
        FOREIGN KEY (c_id) REFERENCES c (id)); \
    CREATE INDEX d_c ON d (c_id)";
const RULE: &str = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Seal, seal: {expireAfter: P2Y}}
  related:
  - {table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}], action: {type: Seal}}
  - {table: '${schema}.d', of: '${schema}.c', match: [{column: c_id, equals: id}], action: {type: Delete}}
";

/// Does what the plan asks for before it seals.
pub(crate) fn prepare(rig: &Rig<'_>) -> Result<()> {
    for refusal in rig.refused()? {
        ensure!(refusal.reason == Reason::SealTargetUnfit, "{refusal:?}");
        rig.sql(refusal.remedy.as_deref().context("no statements")?)?;
    }
    Ok(())
}

fn family<'w>(world: &'w World, server: Server, name: &str, rows: u32) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, FAMILY, RULE)?;
    let series = series(server, rows);
    rig.sql(&format!(
        "INSERT INTO t SELECT n, {OLD}, 'old' FROM {series}; \
         INSERT INTO c SELECT n, n, 'child' FROM {series} WHERE n > 20; \
         INSERT INTO d SELECT n, n FROM {series} WHERE n > 40"
    ))?;
    prepare(&rig)?;
    Ok(rig)
}

/// Rows of a table and of where its rows are sealed.
pub(crate) fn here_and_there(rig: &Rig<'_>, table: &str) -> Result<(i64, i64)> {
    Ok((
        rig.number(&format!("SELECT count(*) FROM {table}"))?,
        rig.number(&format!("SELECT count(*) FROM ${{sealed}}.{table}"))?,
    ))
}

/// So long ago that what was sealed then has no end in sight, or has one.
fn age(rig: &Rig<'_>, tables: &[&str], sealed_at: &str) -> Result<()> {
    for table in tables {
        rig.sql(&format!(
            "UPDATE ${{sealed}}.{table} SET sealed_at = {sealed_at}"
        ))?;
    }
    Ok(())
}

fn reasons(refusals: &[Refusal]) -> Vec<Reason> {
    refusals.iter().map(|refusal| refusal.reason).collect()
}

fn moved(world: &World, server: Server) -> Result<()> {
    let mut rig = family(world, server, "moved", 60)?;
    rig.sql("UPDATE t SET ended = current_timestamp WHERE id = 30")?;
    // What is printed is enough.
    granted(&mut rig)?;
    let plan = rig.plan()?;
    let names: Vec<&str> = plan.rules.iter().map(|rule| rule.rule.as_str()).collect();
    ensure!(names == ["r0", "r0.sealed", "r0.sealed.c"], "{names:?}");
    let planned = &plan.rules[0];
    ensure!(
        planned.effect == Effect::Sealed && planned.eligible == 59,
        "{planned:?}"
    );
    let related: Vec<_> = planned.related.iter().map(|t| (t.effect, t.rows)).collect();
    ensure!(
        related == [(Effect::Sealed, 39), (Effect::Deleted, 20)],
        "{related:?}"
    );
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed
            && counts(&run) == [vec![59, 39, 20], vec![0], vec![0]],
        "{run:?}"
    );
    let effects: Vec<_> = run.rules[0].changed.iter().map(|t| t.effect).collect();
    ensure!(
        effects == [Effect::Sealed, Effect::Sealed, Effect::Deleted],
        "{effects:?}"
    );
    ensure!(here_and_there(&rig, "t")? == (1, 59) && here_and_there(&rig, "c")? == (1, 39));
    ensure!(rig.number("SELECT count(*) FROM d")? == 0);
    // They are as they were, and it is known since when and from which run.
    let whole = "SELECT count(*) FROM ${sealed}.t s JOIN ${sealed}.c c ON c.t_id = s.id \
        WHERE s.note = 'old' AND s.ended IS NOT NULL AND c.note = 'child' \
        AND s.sealed_by = 'one/r0' AND c.sealed_by = 'one/r0' AND s.sealed_at IS NOT NULL";
    ensure!(rig.number(whole)? == 39);
    ensure!(rig.number("SELECT count(*) FROM ${sealed}.t s JOIN t ON t.id = s.id")? == 0);
    ensure!(rig.completed("two")? == [vec![0, 0, 0], vec![0], vec![0]]);
    rig.expect_no_keys_kept()?;
    rig.expect_a_whole_chain()
}

fn ended(world: &World, server: Server) -> Result<()> {
    let mut rig = family(world, server, "ended", 60)?;
    // What was sealed at once ends at once: no share of the table.
    rig.spec = serde_json::json!({"limits": {"maxPercent": 100}});
    ensure!(rig.completed("one")?[0] == [60, 40, 20]);
    age(&rig, &["t", "c"], "current_timestamp - INTERVAL '23' MONTH")?;
    rig.sql(&format!(
        "INSERT INTO t VALUES (1000, {OLD}, 'new'), (1001, NULL, 'open')"
    ))?;
    rig.spec = serde_json::json!({"limits": {"maxPercent": 60}});
    ensure!(rig.completed("two")? == [vec![1, 0, 0], vec![0], vec![0]]);
    age(&rig, &["t", "c"], "current_timestamp - INTERVAL '25' MONTH")?;
    let plan = rig.plan()?;
    ensure!(
        plan.rules[1].effect == Effect::Deleted && plan.rules[1].eligible == 61,
        "{plan:?}"
    );
    let run = rig.run("three")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run) == [vec![0, 0, 0], vec![61], vec![40]],
        "{run:?}"
    );
    ensure!(here_and_there(&rig, "t")? == (1, 0) && here_and_there(&rig, "c")? == (0, 0));
    rig.expect_a_whole_chain()
}

fn grace(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "grace", 60)?.rules(
        "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Delete}
  grace: P14D
  related:
  - {table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.d', of: '${schema}.c', match: [{column: c_id, equals: id}], action: {type: Delete}}
",
    );
    prepare(&rig)?;
    ensure!(rig.completed("one")?[0] == [60, 40, 20]);
    for (table, rows) in [("t", 60), ("c", 40), ("d", 20)] {
        ensure!(here_and_there(&rig, table)? == (0, rows));
    }
    // The way back, as docs/how-to/seal.md prints it.
    rig.sql(&restore(&rig, &["t", "c", "d"], "one/r0", 55)?)?;
    ensure!(here_and_there(&rig, "t")? == (1, 59) && here_and_there(&rig, "d")? == (1, 19));
    rig.sql("UPDATE t SET ended = NULL")?;
    age(
        &rig,
        &["t", "c", "d"],
        "current_timestamp - INTERVAL '15' DAY",
    )?;
    ensure!(rig.completed("two")? == [vec![0, 0, 0], vec![59], vec![39], vec![19]]);
    ensure!(here_and_there(&rig, "t")? == (1, 0) && here_and_there(&rig, "c")? == (1, 0));
    ensure!(rig.number("SELECT t_id FROM c")? == 55);
    Ok(())
}

/// Brings back a row and what hung on it, parents first.
fn restore(rig: &Rig<'_>, tables: &[&str], by: &str, id: u32) -> Result<String> {
    let mut all = vec!["BEGIN".to_owned()];
    for table in tables {
        let columns = match *table {
            "t" => "id, ended, note",
            "c" => "id, t_id, note",
            "d" => "id, c_id",
            other => bail!("{other}?"),
        };
        let rows = format!("FROM ${{sealed}}.{table} WHERE sealed_by = '{by}' AND id = {id}");
        all.push(format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} {rows}"
        ));
        all.push(format!("DELETE {rows}"));
    }
    all.push("COMMIT".to_owned());
    Ok(rig.database.fill(&all.join("; ")))
}

fn renewed(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "renewed", 60)?);
    let mut application = rig.holding("UPDATE t SET ended = current_timestamp WHERE id = 50")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[0] == [59, 39, 19],
        "{run:?}"
    );
    ensure!(here_and_there(&rig, "t")? == (1, 59) && here_and_there(&rig, "c")? == (1, 39));
    ensure!(rig.number("SELECT count(*) FROM d")? == 1);
    Ok(())
}

/// A copy and a delete by one predicate lose what becomes eligible between them.
fn between(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "between", 60)?);
    if !server.is_postgres() {
        // The trap is there: this is the obvious form.
        let obvious = format!("FROM t WHERE ended = {OLD}");
        rig.sql("CREATE TABLE copy AS SELECT * FROM t WHERE 1 = 0; DELETE FROM d; DELETE FROM c")?;
        let mut sealing = rig.holding(&format!("INSERT INTO copy SELECT * {obvious}"))?;
        rig.in_session(
            &mut sealing,
            "COMMIT; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; DELETE FROM copy",
        )?;
        rig.in_session(
            &mut sealing,
            &format!("INSERT INTO copy SELECT * {obvious}"),
        )?;
        rig.sql(&format!("INSERT INTO t VALUES (1000, {OLD}, 'late')"))?;
        rig.in_session(&mut sealing, &format!("DELETE {obvious}; COMMIT"))?;
        ensure!(rig.number("SELECT count(*) FROM copy")? == 60);
        ensure!(
            rig.number("SELECT count(*) FROM t")? == 0,
            "the obvious form lost nothing"
        );
        let series = series(server, 60);
        rig.sql(&format!(
            "INSERT INTO t SELECT n, {OLD}, 'old' FROM {series}; \
             INSERT INTO c SELECT n, n, 'child' FROM {series} WHERE n > 20; \
             INSERT INTO d SELECT n, n FROM {series} WHERE n > 40"
        ))?;
    }
    // The batch has copied its own rows, and waits for a child.
    let mut holder = rig.holding("UPDATE c SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.sql(&format!(
        "INSERT INTO t VALUES (1000, {OLD}, 'late'); INSERT INTO t VALUES (0, {OLD}, 'late')"
    ))?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    let (here, there) = here_and_there(&rig, "t")?;
    ensure!(
        here + there == 62 && there == own(&run),
        "{here} and {there}: {run:?}"
    );
    ensure!(rig.completed("two")?[0][0] == here);
    ensure!(here_and_there(&rig, "t")? == (0, 62) && here_and_there(&rig, "c")? == (0, 40));
    ensure!(rig.number("SELECT count(*) FROM ${sealed}.c WHERE note = 'mine'")? == 1);
    ensure!(rig.number("SELECT count(*) FROM ${sealed}.t WHERE note = 'late'")? == 2);
    Ok(())
}

fn killed(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "killed", 60)?);
    let mut holder = rig.holding("UPDATE c SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    run.kill();
    // The server notices when it has its lock.
    rig.in_session(&mut holder, "COMMIT")?;
    rig.wait_until("SELECT count(*) FROM ${sealed}.t", |n| n == 0)?;
    ensure!(rig.number("SELECT count(*) FROM t")? == 60);
    ensure!(rig.completed("one")?[0] == [60, 40, 20]);
    ensure!(here_and_there(&rig, "t")? == (0, 60) && here_and_there(&rig, "c")? == (0, 40));
    let by = "SELECT count(*) FROM ${sealed}.t WHERE sealed_by = 'one/r0'";
    ensure!(rig.number(by)? == 60);
    rig.expect_a_whole_chain()
}

fn late_child(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "late_child", 60)?);
    let mut holder = rig.holding("UPDATE c SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    let mut session = rig.holding("SELECT 1")?;
    let late = rig.world.handle().spawn(async move {
        session
            .execute("INSERT INTO c VALUES (901, 40, 'late')")
            .await
    });
    rig.wait_for_waiters(2)?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[0] == [60, 40, 20],
        "{run:?}"
    );
    ensure!(rig.block_on(late)?.is_err(), "a child without its parent");
    ensure!(here_and_there(&rig, "c")? == (0, 40));
    Ok(())
}

fn held_meanwhile(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "held_meanwhile", 60)?);
    let store = placed(&rig, &hold(&rig, "early", "t", "id", &["3"])?)?;
    let mut holder = rig.holding("UPDATE c SET note = 'mine' WHERE id = 31")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    // It is copied already: of a child, and of a row of the rule's own.
    rig.block_on(place(&store, &hold(&rig, "own", "t", "id", &["7"])?))?;
    rig.block_on(place(&store, &hold(&rig, "child", "c", "id", &["45"])?))?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[0] == [57, 39, 19],
        "{run:?}"
    );
    ensure!(run.rules[0].residual.held == 3, "{run:?}");
    ensure!(here_and_there(&rig, "t")? == (3, 57) && here_and_there(&rig, "c")? == (1, 39));
    ensure!(rig.number("SELECT sum(id) FROM t")? == 55);
    Ok(())
}

/// A hold is about the table that the application knows, wherever the rows are now.
fn held_sealed(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "held_sealed", 60)?;
    ensure!(rig.completed("one")?[0] == [60, 40, 20]);
    let store = placed(&rig, &hold(&rig, "own", "t", "id", &["7"])?)?;
    rig.block_on(place(&store, &hold(&rig, "child", "c", "id", &["45"])?))?;
    age(&rig, &["t", "c"], "current_timestamp - INTERVAL '25' MONTH")?;
    let plan = rig.plan()?;
    let [_, of_t, of_c] = plan.rules.as_slice() else {
        bail!("{plan:?}")
    };
    // What leads to a held row is kept there as it would have been here.
    ensure!((of_t.eligible, of_t.held) == (58, 2), "{of_t:?}");
    ensure!((of_c.eligible, of_c.held) == (39, 1), "{of_c:?}");
    let run = rig.run("two")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[1..] == [[58], [39]],
        "{run:?}"
    );
    let held: i64 = held_by(&run).iter().map(|(_, rows)| rows).sum();
    ensure!(held == 3, "{run:?}");
    ensure!(rig.number("SELECT sum(id) FROM ${sealed}.t")? == 52);
    ensure!(rig.number("SELECT sum(id) FROM ${sealed}.c")? == 45);
    Ok(())
}

/// So is a duty, and it keeps the whole row there, whatever columns it names.
fn kept_sealed(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "kept_sealed", 60)?;
    ensure!(rig.completed("one")?[0] == [60, 40, 20]);
    age(&rig, &["t", "c"], "current_timestamp - INTERVAL '25' MONTH")?;
    rig.sql("UPDATE ${sealed}.t SET ended = current_timestamp - INTERVAL '1' YEAR WHERE id = 7")?;
    let rig = rig.mapped(
        "
- name: people
  table: ${schema}.t
  mustKeep:
  - columns: [note]
    until: {latestOf: [{column: ended, timeZone: UTC, plus: P3Y}]}
    against: [Expiry]
    law: an act
",
    );
    let plan = rig.plan()?;
    let [_, of_t, of_c] = plan.rules.as_slice() else {
        bail!("{plan:?}")
    };
    ensure!((of_t.eligible, of_t.kept.rows) == (59, 1), "{of_t:?}");
    ensure!((of_c.eligible, of_c.kept.rows) == (40, 0), "{of_c:?}");
    let run = rig.run("two")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run)[1..] == [[59], [40]],
        "{run:?}"
    );
    ensure!(run.rules[1].residual.kept == 1, "{run:?}");
    ensure!(rig.number("SELECT sum(id) FROM ${sealed}.t")? == 7);
    Ok(())
}

fn readable(world: &World, server: Server) -> Result<()> {
    let mut rig = family(world, server, "readable", 30)?;
    let user = format!("v_{}", rig.database.name.split('_').next().unwrap_or("x"));
    rig.block_on(rig.database.create_user(&user, "a-pass-word"))?;
    let grants = if server.is_postgres() {
        format!("GRANT USAGE ON SCHEMA sealed TO {user}; GRANT SELECT (note) ON sealed.t TO {user}")
    } else {
        format!("GRANT SELECT (note) ON ${{sealed}}.t TO '{user}'@'%'")
    };
    rig.sql(&grants)?;
    let refused = rig.refused()?;
    ensure!(reasons(&refused) == [Reason::SealedReadable], "{refused:?}");
    ensure!(refused[0].message.contains(&user), "{refused:?}");
    match rig.outcome("one")? {
        JobOutcome::Refused { .. } => {}
        other => bail!("{other:?}"),
    }
    ensure!(here_and_there(&rig, "t")? == (30, 0));
    // Who is meant to is named; or what is printed takes it away.
    rig.readers = vec![user.clone()];
    rig.plan()?;
    rig.readers.clear();
    rig.sql(refused[0].remedy.as_deref().context("no statements")?)?;
    rig.plan()?;
    if server.is_postgres() {
        rig.sql("GRANT USAGE ON SCHEMA sealed TO PUBLIC; GRANT SELECT ON sealed.c TO PUBLIC")?;
    } else {
        let pattern = rig.database.sealed().replace('_', "\\_");
        rig.sql(&format!("GRANT SELECT ON `{pattern}`.* TO '{user}'@'%'"))?;
    }
    let refused = rig.refused()?;
    ensure!(
        reasons(&refused).contains(&Reason::SealedReadable),
        "{refused:?}"
    );
    for refusal in &refused {
        // On InnoDB the second takes away what the first has taken already.
        let _ = rig.sql(refusal.remedy.as_deref().context("no statements")?);
    }
    ensure!(rig.completed("one")?[0] == [30, 10, 0]);
    if server.is_postgres() {
        return Ok(());
    }
    // Who cannot see it cannot know it.
    granted(&mut rig)?;
    let (user, _) = rig.login.clone().context("no user")?;
    rig.plan()?;
    rig.sql(&format!("REVOKE SELECT ON mysql.db FROM '{user}'@'%'"))?;
    let refused = rig.refused()?;
    ensure!(
        reasons(&refused).contains(&Reason::MissingGrants),
        "{refused:?}"
    );
    let remedies: Vec<&str> = refused.iter().filter_map(|r| r.remedy.as_deref()).collect();
    ensure!(
        remedies.iter().any(|r| r.contains("ON mysql.db TO")),
        "{remedies:?}"
    );
    Ok(())
}

fn unfit(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "unfit", 30)?;
    for (change, told) in [
        ("ALTER TABLE ${sealed}.t DROP COLUMN note", "no column note"),
        (
            "ALTER TABLE ${sealed}.t ADD COLUMN note varchar(79)",
            "and must be",
        ),
        (
            "ALTER TABLE ${sealed}.t DROP COLUMN note; ALTER TABLE ${sealed}.t ADD COLUMN note varchar(80) NOT NULL",
            "NOT NULL",
        ),
        ("ALTER TABLE t ADD COLUMN more integer", "no column more"),
        ("DROP TABLE ${sealed}.t", "does not exist"),
    ] {
        rig.sql(change)?;
        let refused = rig.refused()?;
        let [only] = refused.as_slice() else {
            bail!("{change}: {refused:?}")
        };
        ensure!(only.reason == Reason::SealTargetUnfit, "{change}: {only:?}");
        ensure!(only.message.contains(told), "{change}: {only:?}");
        if told == "no column note" {
            // What it prints is run as it is, and is enough.
            let added = only.remedy.clone().context("no remedy")?;
            ensure!(added.starts_with("ALTER TABLE"), "{added}");
            rig.sql(&added)?;
            ensure!(rig.refused().is_err(), "still refused after {added}");
            rig.sql(change)?;
        }
    }
    prepare(&rig)?;
    ensure!(rig.completed("one")?[0] == [30, 10, 0]);
    Ok(())
}

fn sealed_before(world: &World, server: Server) -> Result<()> {
    let rig = family(world, server, "sealed_before", 30)?;
    ensure!(rig.completed("one")?[0] == [30, 10, 0]);
    // A key comes again, and its row is sealed beside the other one.
    rig.sql(&format!("INSERT INTO t VALUES (7, {OLD}, 'again')"))?;
    ensure!(rig.completed("two")?[0] == [1, 0, 0]);
    ensure!(rig.number("SELECT count(*) FROM ${sealed}.t WHERE id = 7")? == 2);
    // Whoever made the table without `sealed_at` in its key is told, and no row is lost.
    rig.sql("DELETE FROM ${sealed}.t WHERE note = 'again'")?;
    rig.sql(if server.is_postgres() {
        "ALTER TABLE sealed.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id)"
    } else {
        "ALTER TABLE ${sealed}.t DROP PRIMARY KEY, ADD PRIMARY KEY (id)"
    })?;
    rig.sql(&format!(
        "INSERT INTO t VALUES (7, {OLD}, 'again'), (8000, {OLD}, 'other')"
    ))?;
    let run = rig.run("three")?;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::SealedAlready)
            && run.rules[0].failed == Some(Reason::SealedAlready),
        "{run:?}"
    );
    ensure!(
        own(&run) == 0 && here_and_there(&rig, "t")? == (2, 30),
        "{run:?}"
    );
    rig.expect_a_whole_chain()
}

/// Rows that refer to each other let go before they go: what is sealed has what they referred to.
fn ring(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, up integer NULL, ended ${civil} NULL, \
            FOREIGN KEY (up) REFERENCES n (id)); \
        CREATE INDEX n_up ON n (up)";
    let rules = "
- table: ${schema}.n
  since: {column: ended, timeZone: UTC}
  action: {type: Seal, seal: {expireAfter: P2Y}}
  related: [{table: '${schema}.n', of: '${schema}.n', match: [{column: up, equals: id}], action: {type: Seal}}]
";
    let rig = Rig::new(world, server, "ring", schema, rules)?;
    prepare(&rig)?;
    // 1 and 2 refer to each other, 3 hangs on 2 and has not expired, 4 refers to itself.
    rig.sql(&format!(
        "INSERT INTO n VALUES (1, NULL, {OLD}), (2, 1, {OLD}), (3, 2, NULL), (4, 4, {OLD}), (9, NULL, NULL); \
         UPDATE n SET up = 2 WHERE id = 1"
    ))?;
    ensure!(rig.completed("one")?[0] == [3, 1]);
    ensure!(rig.number("SELECT id FROM n")? == 9);
    let left = rig.rows("SELECT id, up FROM ${sealed}.n ORDER BY id")?;
    let left: Vec<String> = left.into_iter().flatten().flatten().collect();
    ensure!(left == ["1", "2", "2", "1", "3", "2", "4", "4"], "{left:?}");
    Ok(())
}

fn generated(world: &World, server: Server) -> Result<()> {
    let schema = if server.is_postgres() {
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ended timestamp, \
            year integer GENERATED ALWAYS AS (extract(year FROM ended)) STORED, \"od\"\"d .name\" varchar(9))"
    } else {
        "CREATE TABLE t (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, ended datetime, \
            year integer GENERATED ALWAYS AS (extract(year FROM ended)) STORED, `od``d .name` varchar(9), \
            kind ENUM('a','it''s') NOT NULL DEFAULT 'a')"
    };
    let rules = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Seal, seal: {expireAfter: P2Y}}
";
    let rig = Rig::new(world, server, "generated", schema, rules)?;
    prepare(&rig)?;
    rig.sql(&format!(
        "INSERT INTO t (ended) VALUES ({OLD}), ({OLD}), (NULL)"
    ))?;
    if !server.is_postgres() {
        // A key that an automatic number would replace.
        rig.sql("UPDATE t SET id = 0 WHERE id = 2")?;
    }
    ensure!(rig.completed("one")? == [[2], [0]]);
    let copies = "SELECT count(*) FROM ${sealed}.t WHERE year = 2020";
    ensure!(rig.number(copies)? == 2);
    let sum = if server.is_postgres() { 3 } else { 1 };
    ensure!(rig.number("SELECT sum(id) FROM ${sealed}.t")? == sum);
    // A sealed table that numbers and computes by itself takes the numbers as they are.
    rig.sql(if server.is_postgres() {
        "DROP TABLE sealed.t; CREATE TABLE sealed.t (LIKE public.t INCLUDING ALL); \
         ALTER TABLE sealed.t ADD sealed_at timestamptz NOT NULL, ADD sealed_by text NOT NULL"
    } else {
        "DROP TABLE ${sealed}.t; CREATE TABLE ${sealed}.t LIKE t; \
         ALTER TABLE ${sealed}.t ADD sealed_at datetime(6) NOT NULL, ADD sealed_by varchar(400) NOT NULL"
    })?;
    rig.sql(&format!("INSERT INTO t (ended) VALUES ({OLD})"))?;
    let id = rig.number("SELECT id FROM t WHERE ended IS NOT NULL")?;
    ensure!(rig.completed("two")? == [[1], [0]]);
    ensure!(rig.number("SELECT id FROM ${sealed}.t WHERE year = 2020")? == id);
    Ok(())
}

fn miscounted(world: &World, server: Server) -> Result<()> {
    let rig = patient(family(world, server, "miscounted", 6_000)?);
    rig.sql("DELETE FROM d; DELETE FROM c")?;
    // One batch has committed; the next one waits.
    let mut holder = rig.holding("UPDATE t SET note = 'mine' WHERE id = 5990")?;
    let mut rig = rig;
    rig.pacing.batch_duration = std::time::Duration::from_millis(5);
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM ${sealed}.t", |n| n > 0)?;
    rig.wait_for_a_waiter()?;
    rig.sql("DELETE FROM ${sealed}.t WHERE id = 1")?;
    rig.in_session(&mut holder, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::SealedMiscounted) && own(&run) == 6_000,
        "{run:?}"
    );
    rig.expect_a_whole_chain()
}

/// The statements of docs/how-to/seal.md, as they stand there.
fn page(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE learners (id integer PRIMARY KEY, name text, left_on date); \
        CREATE TABLE enrolments (id integer PRIMARY KEY, learner_id integer NOT NULL REFERENCES learners (id), course text); \
        CREATE INDEX ON enrolments (learner_id)";
    let rules = "
- name: learners
  table: public.learners
  since: {column: left_on}
  action: {type: Seal, seal: {expireAfter: P2Y}}
  related: [{table: public.enrolments, of: public.learners, match: [{column: learner_id, equals: id}], action: {type: Seal}}]
";
    let rig = Rig::new(world, server, "page", schema, rules)?;
    let page = std::fs::read_to_string(repository().join("docs/how-to/seal.md"))?;
    let mut blocks = page.split("```sql\n").skip(1);
    let mut block = || {
        let block = blocks.next().and_then(|block| block.split("```").next());
        block.context("a block is missing")
    };
    // What the page shows of a table is what the plan prints, but for who is given it.
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let refused = rig.refused()?;
    let printed = refused[0].remedy.as_deref().context("no statements")?;
    let made = |text: &str| {
        let text = squeezed(text);
        text.split("GRANT").next().map(str::to_owned)
    };
    ensure!(made(block()?) == made(printed), "{printed}");
    prepare(&rig)?;
    rig.sql(
        "INSERT INTO learners VALUES (1, 'Planted', '2001-01-01'), (2, 'Planted', NULL); \
             INSERT INTO enrolments VALUES (10, 1, 'Welsh'), (20, 2, 'Welsh')",
    )?;
    ensure!(rig.completed("one")?[0] == [1, 1]);
    ensure!(here_and_there(&rig, "learners")? == (1, 1));
    let which = block()?.trim().trim_end_matches(';');
    let run = rig.rows(&format!("SELECT sealed_by FROM ({which}) AS run"))?;
    ensure!(run == [[Some("one/learners".to_owned())]], "{run:?}");
    rig.sql(&block()?.replace("RUN", "one"))?;
    ensure!(here_and_there(&rig, "learners")? == (2, 0));
    ensure!(here_and_there(&rig, "enrolments")? == (2, 0));
    ensure!(rig.number("SELECT count(*) FROM enrolments WHERE course = 'Welsh'")? == 2);
    Ok(())
}
