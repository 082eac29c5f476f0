//! What hangs on expired rows, in every shape of reference: the plan says beforehand what the run
//! does, each row is counted once, and nothing is left that refers to what is gone.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::patient;
use crate::rig::{Rig, counts, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("graphs::{name}"), &Server::ALL, body);
    [
        all("composite_references_are_followed", composite),
        all(
            "composite_references_with_dates_are_followed",
            composite_dates,
        ),
        all("virtual_references_are_followed", virtual_reference),
        all(
            "virtual_references_that_may_be_read_otherwise_are_refused",
            virtual_refused,
        ),
        all("a_whole_subtree_goes_with_its_root", subtree),
        all("children_let_go_of_a_parent_that_goes", detached_subtree),
        all("rows_that_refer_to_themselves_go_alone", own_parents),
        all("rings_of_rows_are_untied", rings),
        all(
            "a_ring_that_nothing_unties_changes_nothing",
            rings_without_null,
        ),
        all("a_chain_too_long_for_a_batch_is_left", long_chain),
        all("a_row_reached_twice_is_counted_once", diamond),
        all("a_circle_of_tables_is_followed", circle),
        all("a_circle_is_broken_where_rows_stay", broken_circle),
        all(
            "a_late_child_of_a_composite_parent_is_never_orphaned",
            late_composite_child,
        ),
        all("a_child_that_moves_during_the_wait_stays", moving_child),
        all(
            "a_parent_that_is_renewed_meanwhile_keeps_its_children",
            renewed_parent,
        ),
        all("a_late_child_of_a_tree_is_never_orphaned", late_tree_child),
        all("a_late_grandchild_is_never_orphaned", late_grandchild),
        Case::on_each(
            "graphs::a_column_that_is_renamed_meanwhile_takes_no_children_along",
            &[Server::Postgres15, Server::Postgres18],
            renamed_column,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A run does what its plan says: the counts of both, the rule's own table first.
fn as_planned(rig: &Rig<'_>, id: &str) -> Result<Vec<i64>> {
    let plan = rig.plan()?;
    let rule = plan.rules.first().context("a plan without rules")?;
    let mut planned = vec![rule.eligible];
    planned.extend(rule.related.iter().map(|table| table.rows));
    let changed = rig.completed(id)?.concat();
    ensure!(
        planned == changed,
        "planned {planned:?}, changed {changed:?}"
    );
    Ok(changed)
}

fn expect(rig: &Rig<'_>, query: &str, expected: &[&str]) -> Result<()> {
    let rows: Vec<String> = rig
        .rows(query)?
        .into_iter()
        .map(|row| {
            let values = row.into_iter().map(|v| v.unwrap_or_else(|| "-".to_owned()));
            values.collect::<Vec<_>>().join(" ")
        })
        .collect();
    ensure!(
        rows == expected,
        "{query}: {rows:?} instead of {expected:?}"
    );
    Ok(())
}

const WEEKS: &str = "CREATE TABLE weeks (course integer NOT NULL, week integer NOT NULL, ended date, \
        PRIMARY KEY (course, week)); \
    CREATE TABLE attendances (id integer NOT NULL PRIMARY KEY, course integer, week integer, \
        FOREIGN KEY (course, week) REFERENCES weeks (course, week)); \
    CREATE INDEX attendances_week ON attendances (course, week); \
    CREATE TABLE remarks (id integer NOT NULL PRIMARY KEY, course integer NOT NULL, week integer, \
        FOREIGN KEY (course, week) REFERENCES weeks (course, week)); \
    CREATE INDEX remarks_week ON remarks (course, week); \
    INSERT INTO weeks VALUES (1, 1, date '2015-01-01'), (1, 2, NULL), (2, 1, date '2015-01-01'); \
    INSERT INTO attendances VALUES (10, 1, 1), (11, 1, 2), (12, 2, 1), (13, 2, NULL), (14, NULL, 1); \
    INSERT INTO remarks VALUES (20, 1, 1), (21, 1, 2), (22, 2, NULL)";
const WEEKS_RULE: &str = "
- table: ${schema}.weeks
  since: {column: ended}
  related:
  - table: ${schema}.attendances
    of: ${schema}.weeks
    match: [{column: week, equals: week}, {column: course, equals: course}]
    action: {type: Delete}
  - table: ${schema}.remarks
    of: ${schema}.weeks
    match: [{column: course, equals: course}, {column: week, equals: week}]
    action: {type: Detach}
";

/// A NULL in any of the columns refers to nobody, and letting go sets the column that may be NULL.
fn composite(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "composite", WEEKS, WEEKS_RULE)?;
    ensure!(as_planned(&rig, "one")? == [2, 2, 1]);
    expect(&rig, "SELECT course, week FROM weeks", &["1 2"])?;
    expect(
        &rig,
        "SELECT id FROM attendances ORDER BY id",
        &["11", "13", "14"],
    )?;
    let remarks = "SELECT id, course, week FROM remarks ORDER BY id";
    expect(&rig, remarks, &["20 1 -", "21 1 2", "22 2 -"])
}

/// MySQL 9.7 reads a list of rows with dates in it wrongly.
fn composite_dates(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "composite_dates",
        "CREATE TABLE days (day date NOT NULL, room varchar(20) NOT NULL, at ${civil} NOT NULL, \
            ended date, PRIMARY KEY (day, room, at)); \
        CREATE TABLE uses (id integer NOT NULL PRIMARY KEY, day date, room varchar(20), at ${civil} NULL, \
            FOREIGN KEY (day, room, at) REFERENCES days (day, room, at)); \
        CREATE INDEX uses_day ON uses (day, room, at)",
        "
- table: ${schema}.days
  since: {column: ended}
  related:
  - table: ${schema}.uses
    of: ${schema}.days
    match: [{column: day, equals: day}, {column: room, equals: room}, {column: at, equals: at}]
    action: {type: Delete}
",
    )?;
    let day = if server.is_postgres() {
        "date '2010-01-01' + n"
    } else {
        "date '2010-01-01' + INTERVAL n DAY"
    };
    let at = "timestamp '2010-01-01 10:00:00'";
    let ended = "CASE WHEN n % 3 = 0 THEN NULL ELSE date '2015-01-01' END";
    let numbers = series(server, 90);
    rig.sql(&format!(
        "INSERT INTO days SELECT {day}, 'green', {at}, {ended} FROM {numbers}"
    ))?;
    rig.sql(&format!(
        "INSERT INTO uses SELECT n, {day}, 'green', {at} FROM {numbers}"
    ))?;
    ensure!(as_planned(&rig, "one")? == [60, 60]);
    ensure!(rig.number("SELECT count(*) FROM uses WHERE id % 3 <> 0")? == 0);
    ensure!(rig.number("SELECT count(*) FROM uses")? == 30);
    Ok(())
}

const ENQUIRIES: &str = "CREATE TABLE enquiries (id integer NOT NULL PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, \
        other varchar(20), n bigint, ended date); \
    CREATE TABLE notes (id integer NOT NULL PRIMARY KEY, enquiry_id integer, code varchar(20)); \
    CREATE INDEX notes_enquiry ON notes (enquiry_id); \
    CREATE INDEX notes_code ON notes (code); \
    INSERT INTO enquiries VALUES (1, 'a', 'x', 1, date '2015-01-01'), (2, 'b', 'x', 1, NULL); \
    INSERT INTO notes VALUES (10, 1, 'b'), (11, 2, 'a'), (12, NULL, NULL), (13, 9, 'c')";

fn of_enquiries(pairs: &str) -> String {
    format!(
        "
- table: ${{schema}}.enquiries
  since: {{column: ended}}
  related:
  - {{table: '${{schema}}.notes', of: '${{schema}}.enquiries', match: [{pairs}], action: {{type: Delete}}}}
"
    )
}

fn virtual_reference(world: &World, server: Server) -> Result<()> {
    let rule = of_enquiries("{column: enquiry_id, equals: id}");
    let rig = Rig::new(world, server, "virtual", ENQUIRIES, &rule)?;
    ensure!(as_planned(&rig, "one")? == [1, 1]);
    expect(&rig, "SELECT id FROM enquiries", &["2"])?;
    expect(
        &rig,
        "SELECT id FROM notes ORDER BY id",
        &["11", "12", "13"],
    )?;
    rig.sql("UPDATE enquiries SET ended = date '2015-01-01'")?;
    let rig = rig.rules(&of_enquiries("{column: code, equals: code}"));
    rig.sql("INSERT INTO notes VALUES (14, 2, 'b')")?;
    ensure!(as_planned(&rig, "two")? == [1, 1]);
    expect(
        &rig,
        "SELECT id FROM notes ORDER BY id",
        &["11", "12", "13"],
    )
}

fn virtual_refused(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "virtual_refused", ENQUIRIES, "")?;
    for (pairs, reason, words) in [
        (
            "{column: code, equals: other}",
            Reason::ReferenceUnsupported,
            "several parents",
        ),
        (
            "{column: enquiry_id, equals: code}",
            Reason::ReferenceUnsupported,
            "only columns of one type",
        ),
        (
            "{column: nothing, equals: id}",
            Reason::ColumnMissing,
            "no column nothing",
        ),
    ] {
        rig = rig.rules(&of_enquiries(pairs));
        let refusals = rig.refused()?;
        ensure!(
            refusals
                .iter()
                .any(|r| r.reason == reason && r.message.contains(words)),
            "{pairs}: {refusals:?}"
        );
    }
    let collated = if server.is_postgres() {
        "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false); \
         ALTER TABLE notes ALTER COLUMN code TYPE varchar(20) COLLATE blind"
    } else {
        "ALTER TABLE notes MODIFY code varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    };
    rig.sql(collated)?;
    let rig = rig.rules(&of_enquiries("{column: code, equals: code}"));
    let refusals = rig.refused()?;
    ensure!(
        refusals
            .iter()
            .any(|r| r.message.contains("texts of one collation")),
        "{refusals:?}"
    );
    Ok(())
}

const TREE: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, up integer NULL, ended date, \
        FOREIGN KEY (up) REFERENCES t (id)); \
    CREATE INDEX t_up ON t (up); \
    CREATE TABLE leaf (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL, \
        FOREIGN KEY (t_id) REFERENCES t (id)); \
    CREATE INDEX leaf_t ON leaf (t_id)";

fn tree_rule(action: &str) -> String {
    format!(
        "
- table: ${{schema}}.t
  since: {{column: ended}}
  related:
  - {{table: '${{schema}}.t', of: '${{schema}}.t', match: [{{column: up, equals: id}}], action: {{type: {action}}}}}
  - {{table: '${{schema}}.leaf', of: '${{schema}}.t', match: [{{column: t_id, equals: id}}], action: {{type: Delete}}}}
"
    )
}

/// 1 -> 2 -> 3 -> 4 and 5 -> 6; 2, 4 and 9 have expired. Keys go against the tree's direction, too.
const TREE_ROWS: &str = "INSERT INTO t VALUES (1, NULL, NULL); \
    INSERT INTO t VALUES (2, 1, date '2015-01-01'); \
    INSERT INTO t VALUES (3, 2, NULL); \
    INSERT INTO t VALUES (4, 3, date '2015-01-01'); \
    INSERT INTO t VALUES (9, NULL, date '2015-01-01'); \
    INSERT INTO t VALUES (5, 9, NULL); \
    INSERT INTO t VALUES (6, 5, NULL); \
    INSERT INTO leaf SELECT id + 100, id FROM t";

fn subtree(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "subtree", TREE, "")?;
    rig.sql(TREE_ROWS)?;
    let refusals = rig.rules("- {table: '${schema}.t', since: {column: ended}}");
    let refused = refusals.refused()?;
    ensure!(
        refused
            .iter()
            .all(|r| r.reason == Reason::ReferenceUndecided)
            && refused.iter().any(|r| r
                .remedy
                .as_ref()
                .is_some_and(|r| r.contains("{type: Detach}   # the rows stay"))),
        "{refused:?}"
    );
    let rig = refusals.rules(&tree_rule("Delete"));
    // Those that have expired themselves are counted as the rule's own.
    ensure!(as_planned(&rig, "one")? == [3, 3, 6]);
    expect(&rig, "SELECT id FROM t", &["1"])?;
    expect(&rig, "SELECT id FROM leaf", &["101"])?;
    // Wide and deep, over several windows of the key.
    let numbers = series(server, 3000);
    rig.sql(&format!(
        "INSERT INTO t SELECT n + 10, CASE WHEN n <= 60 THEN 1 ELSE n - 50 END, \
         CASE WHEN n % 7 = 0 THEN date '2015-01-01' END FROM {numbers} ORDER BY n"
    ))?;
    rig.sql("INSERT INTO leaf SELECT id + 100, id FROM t WHERE id > 10")?;
    let goes = "WITH RECURSIVE g AS (SELECT id FROM t WHERE ended IS NOT NULL UNION \
                SELECT t.id FROM t JOIN g ON t.up = g.id) SELECT count(*) FROM g";
    let gone = rig.number(goes)?;
    let own = rig.number("SELECT count(*) FROM t WHERE ended IS NOT NULL")?;
    let before = rig.number("SELECT count(*) FROM t")?;
    ensure!(gone > own && gone < before, "{gone} of {before}");
    ensure!(as_planned(&rig, "two")? == [own, gone - own, gone]);
    ensure!(rig.number("SELECT count(*) FROM t")? == before - gone);
    ensure!(rig.number("SELECT count(*) FROM leaf")? == before - gone);
    Ok(())
}

fn detached_subtree(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "detached", TREE, &tree_rule("Detach"))?;
    rig.sql(TREE_ROWS)?;
    let plan = rig.plan()?;
    ensure!(plan.rules[0].eligible == 3, "{plan:?}");
    ensure!(
        plan.warnings.iter().any(|w| w.contains("at the most")),
        "{plan:?}"
    );
    let changed = rig.completed("one")?;
    ensure!(changed == [[3, 3, 2]], "{changed:?}");
    expect(
        &rig,
        "SELECT id, up FROM t ORDER BY id",
        &["1 -", "3 -", "5 -", "6 5"],
    )?;
    // Parent and child go in one batch: the child lets go, and is counted once.
    rig.sql("UPDATE t SET ended = date '2015-01-01' WHERE id IN (5, 6)")?;
    let changed = rig.completed("two")?;
    ensure!(changed == [[2, 2, 0]], "{changed:?}");
    expect(&rig, "SELECT id FROM t ORDER BY id", &["1", "3"])
}

fn own_parents(world: &World, server: Server) -> Result<()> {
    let tree = TREE.replace("up integer NULL", "up integer NOT NULL");
    let rig = Rig::new(world, server, "own_parents", &tree, &tree_rule("Delete"))?;
    rig.sql("INSERT INTO t VALUES (1, 1, date '2015-01-01')")?;
    rig.sql("INSERT INTO t VALUES (2, 1, NULL), (3, 3, NULL)")?;
    if server.is_postgres() {
        ensure!(as_planned(&rig, "one")? == [1, 1, 0]);
        return expect(&rig, "SELECT id FROM t", &["3"]);
    }
    // InnoDB does not let such a row go, whoever asks.
    ensure!(rig.sql("DELETE FROM t WHERE id = 3").is_err());
    in_a_ring(&rig, "one")?;
    rig.sql("ALTER TABLE t MODIFY up integer NULL")?;
    ensure!(as_planned(&rig, "two")? == [1, 1, 0]);
    expect(&rig, "SELECT id FROM t", &["3"])
}

/// A ring of three with a tail, one of two, and a tree; of each a row has expired.
const RINGS: &str = "INSERT INTO t VALUES (1, 1, NULL), (4, 4, NULL), (7, 7, NULL); \
    INSERT INTO t VALUES (2, 1, date '2015-01-01'), (5, 4, date '2015-01-01'), (8, 7, NULL); \
    INSERT INTO t VALUES (3, 2, NULL), (6, 5, NULL); \
    INSERT INTO t VALUES (10, 3, NULL); \
    INSERT INTO t VALUES (11, 10, NULL); \
    UPDATE t SET up = 3 WHERE id = 1; \
    UPDATE t SET up = 5 WHERE id = 4; \
    UPDATE t SET ended = date '2015-01-01' WHERE id = 7; \
    INSERT INTO leaf SELECT id + 100, id FROM t";

fn rings(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "rings", TREE, &tree_rule("Delete"))?;
    rig.sql(RINGS)?;
    rig.sql("INSERT INTO t VALUES (20, NULL, NULL)")?;
    ensure!(as_planned(&rig, "one")? == [3, 7, 10]);
    expect(&rig, "SELECT id FROM t", &["20"])
}

fn rings_without_null(world: &World, server: Server) -> Result<()> {
    let tree = TREE.replace("up integer NULL", "up integer NOT NULL");
    let rig = Rig::new(world, server, "no_null", &tree, &tree_rule("Delete"))?;
    rig.sql(RINGS)?;
    let before = rig.number("SELECT count(*) FROM t")?;
    in_a_ring(&rig, "one")?;
    ensure!(rig.number("SELECT count(*) FROM t")? == before);
    // Outside of rings rows go.
    rig.sql("UPDATE t SET ended = NULL; UPDATE t SET ended = date '2015-01-01' WHERE id = 8")?;
    ensure!(as_planned(&rig, "two")? == [1, 0, 1]);
    Ok(())
}

/// A run ends because of a ring.
fn in_a_ring(rig: &Rig<'_>, id: &str) -> Result<()> {
    let run = rig.run(id)?;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::ReferenceRing),
        "{run:?}"
    );
    Ok(())
}

fn long_chain(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "chain", TREE, &tree_rule("Delete"))?;
    let chain = |from: u32, rows: u32| {
        let numbers = series(server, rows);
        let up = format!("CASE WHEN n = 1 THEN NULL ELSE n + {from} - 1 END");
        let ended = "CASE WHEN n = 1 THEN date '2015-01-01' END";
        rig.sql(&format!(
            "INSERT INTO t SELECT n + {from}, {up}, {ended} FROM {numbers} ORDER BY n"
        ))
    };
    chain(1000, 65)?;
    ensure!(as_planned(&rig, "one")? == [1, 64, 0]);
    chain(2000, 100)?;
    chain(3000, 10)?;
    let plan = rig.plan()?;
    ensure!(plan.rules[0].related[0].rows == 99 + 9, "{plan:?}");
    let run = rig.run("two")?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::RowsTooLarge),
        "{run:?}"
    );
    ensure!(counts(&run) == [[1, 9, 0]], "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 100);
    Ok(())
}

/// Two references from one table, one of them over a table between: rows are reached over either,
/// over both, and over both in one batch and in two.
fn diamond(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "diamond",
        "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, ended date); \
        CREATE TABLE b (id integer NOT NULL PRIMARY KEY, a_id integer NOT NULL, \
            FOREIGN KEY (a_id) REFERENCES a (id)); \
        CREATE INDEX b_a ON b (a_id); \
        CREATE TABLE c (id integer NOT NULL PRIMARY KEY, a_id integer, b_id integer, \
            FOREIGN KEY (a_id) REFERENCES a (id), FOREIGN KEY (b_id) REFERENCES b (id)); \
        CREATE INDEX c_a ON c (a_id); CREATE INDEX c_b ON c (b_id); \
        CREATE TABLE d (id integer NOT NULL PRIMARY KEY, c_id integer NOT NULL, \
            FOREIGN KEY (c_id) REFERENCES c (id)); \
        CREATE INDEX d_c ON d (c_id)",
        "
- table: ${schema}.a
  since: {column: ended}
  related:
  - {table: '${schema}.b', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.b', match: [{column: b_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.d', of: '${schema}.c', match: [{column: c_id, equals: id}], action: {type: Delete}}
",
    )?;
    let fill = |rows: u32| {
        let numbers = series(server, rows);
        let ended = "CASE WHEN n % 2 = 0 THEN date '2015-01-01' END";
        rig.sql(&format!(
            "INSERT INTO a SELECT n, {ended} FROM {numbers}; \
             INSERT INTO b SELECT n, n FROM {numbers}; \
             INSERT INTO c SELECT n, n % {rows} + 1, n FROM {numbers}; \
             INSERT INTO c SELECT n + {rows}, n, n FROM {numbers}; \
             INSERT INTO c SELECT n + 2 * {rows}, CASE WHEN n % 3 = 0 THEN n END, NULL FROM {numbers}; \
             INSERT INTO d SELECT id, id FROM c"
        ))
    };
    let rows = 3000;
    fill(rows)?;
    let c = rig.number(
        "SELECT count(*) FROM c WHERE a_id IN (SELECT id FROM a WHERE ended IS NOT NULL) \
         OR b_id IN (SELECT id FROM a WHERE ended IS NOT NULL)",
    )?;
    let changed = as_planned(&rig, "one")?;
    ensure!(changed == [1500, 1500, c, c], "{changed:?}");
    ensure!(rig.number("SELECT count(*) FROM c")? == 3 * i64::from(rows) - c);
    // One row reached over a reference that deletes, and over another that lets go.
    rig.sql("DELETE FROM d; DELETE FROM c; DELETE FROM b; DELETE FROM a")?;
    fill(10)?;
    let rules = rig.rules.replacen(
        "{table: '${schema}.c', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}",
        "{table: '${schema}.c', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Detach}}",
        1,
    );
    let rig = rig.rules(&rules);
    ensure!(rig.plan()?.rules[0].related.len() == 4);
    let run = rig.run("two")?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    // Over b ten rows of c go; those that only a led to let go of it.
    ensure!(rig.number("SELECT count(*) FROM c")? == 20, "{run:?}");
    let left = "SELECT count(*) FROM c WHERE a_id IN (2, 4, 6, 8, 10)";
    ensure!(rig.number(left)? == 0);
    let lost: i64 = counts(&run)[0].iter().sum();
    ensure!(lost == 5 + 5 + 10 + 10 + 6, "{run:?}");
    Ok(())
}

fn stores(not_null: bool) -> String {
    let null = if not_null { "NOT NULL" } else { "NULL" };
    format!(
        "CREATE TABLE stores (id integer NOT NULL PRIMARY KEY, ended date, manager integer NULL); \
        CREATE TABLE staff (id integer NOT NULL PRIMARY KEY, store integer {null}, \
            FOREIGN KEY (store) REFERENCES stores (id)); \
        CREATE INDEX staff_store ON staff (store); \
        ALTER TABLE stores ADD FOREIGN KEY (manager) REFERENCES staff (id); \
        CREATE INDEX stores_manager ON stores (manager); \
        INSERT INTO stores VALUES (1, date '2015-01-01', NULL), (2, NULL, NULL), (3, NULL, NULL); \
        INSERT INTO staff VALUES (10, 1), (11, 1), (12, 2), (13, 3); \
        UPDATE stores SET manager = 10 WHERE id IN (1, 2); \
        UPDATE stores SET manager = 13 WHERE id = 3"
    )
}

fn stores_rule(managers: &str) -> String {
    format!(
        "
- table: ${{schema}}.stores
  since: {{column: ended}}
  related:
  - {{table: '${{schema}}.staff', of: '${{schema}}.stores', match: [{{column: store, equals: id}}], action: {{type: Delete}}}}
  - {{table: '${{schema}}.stores', of: '${{schema}}.staff', match: [{{column: manager, equals: id}}], action: {{type: {managers}}}}}
"
    )
}

fn circle(world: &World, server: Server) -> Result<()> {
    for not_null in [true, false] {
        let name = format!("circle_{not_null}");
        let rig = Rig::new(
            world,
            server,
            &name,
            &stores(not_null),
            &stores_rule("Delete"),
        )?;
        // Store 2 goes because the manager of it does, and its staff with it.
        ensure!(as_planned(&rig, "one")? == [1, 3, 1]);
        expect(&rig, "SELECT id FROM stores", &["3"])?;
        expect(&rig, "SELECT id FROM staff", &["13"])?;
    }
    Ok(())
}

fn broken_circle(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "broken",
        &stores(true),
        &stores_rule("Detach"),
    )?;
    ensure!(rig.completed("one")? == [[1, 2, 1]]);
    expect(
        &rig,
        "SELECT id, manager FROM stores ORDER BY id",
        &["2 -", "3 13"],
    )?;
    expect(&rig, "SELECT id FROM staff ORDER BY id", &["12", "13"])
}

/// A child that comes for a parent about to go.
struct Late<'a> {
    /// Inserts a child: an id, and which of two parents it is for.
    child: fn(u32, u32) -> String,
    /// Lets the second parent expire.
    expire: &'a str,
    /// Locks a row that hangs on the second parent.
    hold: &'a str,
    /// How many rows are left.
    left: &'a str,
}

/// Before the lock: the batch waits, and the child goes, too. While the parent is locked: the child
/// waits, and finds it gone. Afterwards it is refused at once.
fn late(rig: &Rig<'_>, of: &Late<'_>, expected: &[i64]) -> Result<()> {
    let mut before = rig.holding(&(of.child)(1000, 1))?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut before, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(counts(&run).concat() == expected, "{run:?}");
    rig.sql(of.expire)?;
    let mut application = rig.holding(of.hold)?;
    let run = rig.begin_run("two")?;
    rig.wait_for_a_waiter()?;
    let link = rig.block_on(async { rig.link() });
    let insert = rig.database.fill(&(of.child)(1001, 2));
    let during = rig
        .world
        .handle()
        .spawn(async move { link.execute(&insert).await });
    rig.wait_for_waiters(2)?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    let during = rig.block_on(during)?;
    ensure!(during.is_err(), "the parent of the late child is gone");
    ensure!(rig.sql(&(of.child)(1002, 2)).is_err());
    let left = rig.number(of.left)?;
    ensure!(left == 0, "{left} rows are left");
    Ok(())
}

fn late_composite_child(world: &World, server: Server) -> Result<()> {
    let rig = patient(Rig::new(
        world,
        server,
        "late_composite",
        WEEKS,
        WEEKS_RULE,
    )?);
    rig.sql("DELETE FROM weeks WHERE course = 9; UPDATE weeks SET ended = NULL WHERE course = 2")?;
    let of = Late {
        child: |id, parent| format!("INSERT INTO attendances VALUES ({id}, {parent}, 1)"),
        expire: "UPDATE weeks SET ended = date '2015-01-01' WHERE course = 2",
        hold: "SELECT id FROM attendances WHERE id = 12 FOR UPDATE",
        left: "SELECT count(*) FROM attendances WHERE id IN (10, 12) OR id >= 1000",
    };
    late(&rig, &of, &[1, 2, 1])
}

/// It hangs on another parent by the time that the batch has its lock.
fn moving_child(world: &World, server: Server) -> Result<()> {
    let rig = patient(Rig::new(world, server, "moving_child", WEEKS, WEEKS_RULE)?);
    let mut application = rig.holding("UPDATE attendances SET week = 2 WHERE id = 10")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(counts(&run).concat() == [2, 1, 1], "{run:?}");
    expect(&rig, "SELECT course, week FROM weeks", &["1 2"])?;
    let left = "SELECT id FROM attendances WHERE course = 1 ORDER BY id";
    expect(&rig, left, &["10", "11"])
}

/// A batch passes it over while it is locked, and all that hangs on it.
fn renewed_parent(world: &World, server: Server) -> Result<()> {
    let rig = patient(Rig::new(
        world,
        server,
        "renewed_parent",
        WEEKS,
        WEEKS_RULE,
    )?);
    let renew = "UPDATE weeks SET ended = NULL WHERE course = 1 AND week = 1";
    let mut application = rig.holding(renew)?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    ensure!(counts(&run).concat() == [1, 1, 0], "{run:?}");
    let left = "SELECT id FROM attendances WHERE course = 1 ORDER BY id";
    expect(&rig, left, &["10", "11"])?;
    expect(&rig, "SELECT week FROM remarks WHERE id = 20", &["1"])
}

/// Between two batches: each child has a column of the old name, too.
fn renamed_column(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE orders (id integer PRIMARY KEY, number integer UNIQUE, ended date); \
        CREATE TABLE tickets (id integer PRIMARY KEY, number integer REFERENCES orders (number)); \
        CREATE INDEX tickets_number ON tickets (number)";
    let rule = "
- table: ${schema}.orders
  since: {column: ended}
  related:
  - table: ${schema}.tickets
    of: ${schema}.orders
    match: [{column: number, equals: number}]
    action: {type: Delete}
";
    let rig = Rig::new(world, server, "renamed_column", schema, rule)?;
    rig.sql("INSERT INTO orders VALUES (1, 100, date '2015-01-01'), (2, 200, NULL)")?;
    rig.sql("INSERT INTO tickets VALUES (10, 100), (20, 200)")?;
    let mut application = rig.holding("SELECT id FROM tickets WHERE id = 10 FOR UPDATE")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    // It comes between two attempts.
    rig.sql("ALTER TABLE orders RENAME COLUMN number TO nr")?;
    rig.in_session(&mut application, "COMMIT")?;
    let run = rig.block_on(run.outcome())?;
    let drifted = matches!(
        run,
        JobOutcome::Failed {
            reason: Reason::Drifted,
            ..
        }
    );
    ensure!(drifted, "{run:?}");
    expect(&rig, "SELECT id FROM tickets ORDER BY id", &["10", "20"])
}

fn late_tree_child(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "late_tree", TREE, &tree_rule("Delete"))?;
    rig.sql("INSERT INTO t VALUES (100, NULL, date '2015-01-01'), (200, NULL, NULL)")?;
    rig.sql("INSERT INTO t VALUES (1, 100, NULL), (2, 200, NULL)")?;
    rig.sql("INSERT INTO t VALUES (11, 1, NULL), (12, 2, NULL)")?;
    let of = Late {
        // Two steps below the one that expires.
        child: |id, parent| format!("INSERT INTO t VALUES ({id}, {parent}, NULL)"),
        expire: "UPDATE t SET ended = date '2015-01-01' WHERE id = 200",
        hold: "SELECT id FROM t WHERE id = 12 FOR UPDATE",
        left: "SELECT count(*) FROM t",
    };
    late(&patient(rig), &of, &[1, 3, 0])
}

fn late_grandchild(world: &World, server: Server) -> Result<()> {
    let mut schema = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, ended date)".to_owned();
    let mut rule = "- table: ${schema}.a\n  since: {column: ended}\n  related:\n".to_owned();
    for (table, of) in [("b", "a"), ("c", "b"), ("d", "c")] {
        write!(
            schema,
            "; CREATE TABLE {table} (id integer NOT NULL PRIMARY KEY, up integer NOT NULL, \
             FOREIGN KEY (up) REFERENCES {of} (id)); CREATE INDEX {table}_up ON {table} (up)"
        )?;
        writeln!(
            rule,
            "  - {{table: '${{schema}}.{table}', of: '${{schema}}.{of}', \
             match: [{{column: up, equals: id}}], action: {{type: Delete}}}}"
        )?;
    }
    let rig = patient(Rig::new(world, server, "late_grandchild", &schema, &rule)?);
    rig.sql("INSERT INTO a VALUES (1, date '2015-01-01'), (2, NULL)")?;
    for table in ["b", "c", "d"] {
        rig.sql(&format!("INSERT INTO {table} VALUES (1, 1), (2, 2)"))?;
    }
    let of = Late {
        child: |id, parent| format!("INSERT INTO d VALUES ({id}, {parent})"),
        expire: "UPDATE a SET ended = date '2015-01-01'",
        hold: "SELECT id FROM d WHERE id = 2 FOR UPDATE",
        left: "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM d)",
    };
    late(&rig, &of, &[1, 1, 1, 2])
}
