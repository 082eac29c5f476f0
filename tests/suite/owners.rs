//! What the owner of a table can hang on it to have code run with the operator's privileges, and what
//! is added to a table that a run goes over.

use anyhow::{Context, Result, bail, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::hmac::Pads;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{RULE, TABLE, fill};
use crate::rig::{KEY, Rig, own};
use crate::servers;
use crate::sql::Database;
use crate::traps::granted;
use crate::world::World;

const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body| {
        Case::on_each(&format!("owners::{name}"), servers, body)
    };
    [
        on("a_cast_of_theirs_never_runs", &POSTGRES, casts),
        on(
            "a_table_that_calls_their_functions_is_refused",
            &POSTGRES,
            functions,
        ),
        on(
            "a_table_with_two_parents_is_neithers_rows",
            &POSTGRES,
            two_parents,
        ),
        on(
            "rows_of_a_child_younger_than_the_plan_stay",
            &POSTGRES,
            younger_child,
        ),
        on(
            "nothing_keyed_runs_while_the_server_logs_values",
            &[Server::Postgres15, Server::MySql, Server::MariaDb],
            logged,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A role that is nobody's administrator, to own things.
fn owner(rig: &Rig<'_>) -> Result<String> {
    let role = format!("own_{}", rig.database.name.split('_').next().unwrap_or("x"));
    rig.sql(&format!(
        "CREATE ROLE {role} NOLOGIN; GRANT CREATE ON SCHEMA public TO {role}"
    ))?;
    Ok(role)
}

/// The function would be run by reading, choosing, changing and assigning.
fn casts(world: &World, server: Server) -> Result<()> {
    const SCHEMA: &str = "CREATE TYPE mood AS ENUM ('a', 'b', 'gone'); CREATE DOMAIN state AS mood; \
        CREATE TABLE parent (id integer PRIMARY KEY, m mood UNIQUE, ended date); \
        CREATE TABLE t (id integer PRIMARY KEY, ended date, m mood, s state); \
        CREATE TABLE child (id integer PRIMARY KEY, m mood REFERENCES parent (m)); \
        CREATE INDEX ON child (m); \
        INSERT INTO parent VALUES (1, 'a', '2020-01-01'), (2, 'b', NULL); \
        INSERT INTO child VALUES (1, 'a'), (2, 'b'), (3, NULL); \
        INSERT INTO t VALUES (1, '2020-01-01', 'a', 'a'), (2, '2020-01-01', 'b', 'b'), \
        (3, '2020-01-01', NULL, NULL), (4, '2020-01-01', 'a', 'b'), (5, now(), 'a', 'a'); \
        CREATE FUNCTION evil(text) RETURNS mood LANGUAGE plpgsql AS \
        $$ BEGIN RAISE 'as %', CURRENT_USER; END $$; \
        CREATE FUNCTION evil(mood) RETURNS text LANGUAGE plpgsql AS \
        $$ BEGIN RAISE 'as %', CURRENT_USER; END $$; \
        CREATE FUNCTION judge(state) RETURNS boolean LANGUAGE plpgsql AS \
        $$ BEGIN RAISE 'as %', CURRENT_USER; END $$; \
        CREATE CAST (text AS mood) WITH FUNCTION evil(text) AS IMPLICIT; \
        CREATE CAST (mood AS text) WITH FUNCTION evil(mood) AS ASSIGNMENT; \
        ALTER DOMAIN state ADD CHECK (judge(VALUE)) NOT VALID";
    const RULES: &str = "
- table: ${schema}.t
  since: {column: ended}
  where: [{column: m, operator: NotIn, values: [b]}]
  action: {type: Anonymise, columns: [{column: m, strategy: Constant, constant: {value: gone}}]}
- table: ${schema}.parent
  since: {column: ended}
  related: [{table: '${schema}.child', of: '${schema}.parent', match: [{column: m, equals: m}], action: {type: Delete}}]
- {table: '${schema}.t', since: {column: ended}, where: [{column: m, operator: In, values: [b]}]}
";
    let mut rig = Rig::new(world, server, "casts", SCHEMA, RULES)?;
    rig.spec = serde_json::json!({"limits": {"maxPercent": 100}});
    granted(&mut rig)?;
    rig.completed("one")?;
    // As the owner sees it: the labels' own text.
    let left =
        rig.rows("SELECT id::text || ' ' || array_to_string(ARRAY[m], '') FROM t ORDER BY id")?;
    let left: Vec<_> = left.into_iter().flatten().flatten().collect();
    ensure!(left == ["1 gone", "3 ", "4 gone", "5 a"], "{left:?}");
    ensure!(rig.number("SELECT count(*) FROM child")? == 2);
    ensure!(rig.number("SELECT count(*) FROM parent")? == 1);
    Ok(())
}

fn functions(world: &World, server: Server) -> Result<()> {
    const SCHEMA: &str = "CREATE TABLE t (id integer NOT NULL, ended date, note text, r integer, \
        PRIMARY KEY (id)); \
        CREATE TABLE p (id integer NOT NULL, ended date, note text) PARTITION BY RANGE (id); \
        CREATE FUNCTION evil(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS \
        $$ BEGIN RETURN $1; END $$; \
        CREATE FUNCTION evil(a integer, b integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS \
        $$ BEGIN RETURN a <> b; END $$; \
        CREATE FUNCTION distance(a integer, b integer) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS \
        $$ BEGIN RETURN a - b; END $$; \
        CREATE OPERATOR <<<>>> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = evil); \
        CREATE DOMAIN odd AS integer CHECK (evil(VALUE) > 0); \
        CREATE TYPE span AS RANGE (subtype = integer, subtype_diff = distance); \
        INSERT INTO t VALUES (1, '2020-01-01', 'x', 1)";
    const DELETE: &str = "- {table: '${schema}.t', since: {column: ended}}\n";
    const ANONYMISE: &str = "- table: ${schema}.t
  since: {column: ended}
  action: {type: Anonymise, columns: [{column: note, strategy: Nullify}]}
";
    // What is hung on the table, what takes it off, and whether a delete is refused, too.
    const HUNG: [(&str, &str, bool); 8] = [
        (
            "ADD CONSTRAINT c CHECK (evil(id) > 0)",
            "DROP CONSTRAINT c",
            false,
        ),
        (
            "ADD CONSTRAINT c CHECK (r <<<>>> 7)",
            "DROP CONSTRAINT c",
            false,
        ),
        (
            "ADD CONSTRAINT c CHECK (r::odd > 0)",
            "DROP CONSTRAINT c",
            false,
        ),
        (
            "ADD g integer GENERATED ALWAYS AS (evil(r)) STORED",
            "DROP g",
            false,
        ),
        ("CREATE INDEX i ON t (evil(r))", "DROP INDEX i", true),
        (
            "CREATE INDEX i ON t (r) WHERE evil(7) = 7",
            "DROP INDEX i",
            true,
        ),
        (
            "CREATE STATISTICS st ON evil(r), id FROM t",
            "DROP STATISTICS st",
            true,
        ),
        (
            "ALTER TABLE t ADD sp span; CREATE INDEX i ON t USING gist (sp)",
            "ALTER TABLE t DROP sp",
            true,
        ),
    ];
    let rig = Rig::new(world, server, "functions", SCHEMA, DELETE)?;
    let role = owner(&rig)?;
    rig.sql(&format!(
        "ALTER FUNCTION evil(integer) OWNER TO {role}; ALTER FUNCTION evil(integer, integer) \
         OWNER TO {role}; ALTER DOMAIN odd OWNER TO {role}; ALTER TYPE span OWNER TO {role}"
    ))?;
    let of_t = |text: &str| {
        if text.starts_with("ADD ") || text.starts_with("DROP CONSTRAINT") || text == "DROP g" {
            format!("ALTER TABLE t {text}")
        } else {
            text.to_owned()
        }
    };
    let expect = |rig: &Rig<'_>, what: &str| -> Result<()> {
        let refusals = rig.refused()?;
        let as_expected = refusals.len() == 1 && refusals[0].reason == Reason::TriggerPresent;
        ensure!(as_expected, "{what}: {refusals:?}");
        Ok(())
    };
    let rig = rig.rules(ANONYMISE);
    rig.plan()?;
    for (hung, off, _) in HUNG {
        rig.sql(&of_t(hung))?;
        expect(&rig, hung)?;
        rig.sql(&of_t(off))?;
        rig.plan()?;
    }
    let rig = rig.rules(DELETE);
    for (hung, off, refused) in HUNG {
        rig.sql(&of_t(hung))?;
        if refused {
            expect(&rig, hung)?;
        } else {
            rig.plan()?;
        }
        rig.sql(&of_t(off))?;
    }
    // An administrator's own functions are his business.
    rig.sql("ALTER FUNCTION evil(integer) OWNER TO CURRENT_USER; CREATE INDEX i ON t (evil(r))")?;
    rig.plan()?;
    Ok(())
}

fn two_parents(world: &World, server: Server) -> Result<()> {
    const SCHEMA: &str = "CREATE TABLE pa (id integer PRIMARY KEY, ended date); \
        CREATE TABLE pb (id integer PRIMARY KEY, ended date); \
        CREATE TABLE child (PRIMARY KEY (id)) INHERITS (pa, pb); \
        INSERT INTO child VALUES (1, '2020-01-01')";
    let mut rig = Rig::new(world, server, "two_parents", SCHEMA, "")?;
    for parent in ["pa", "pb"] {
        rig = rig.rules(&format!(
            "- {{table: '${{schema}}.{parent}', since: {{column: ended}}}}\n"
        ));
        let refusals = rig.refused()?;
        ensure!(
            refusals
                .iter()
                .any(|r| r.reason == Reason::TableUnfit && r.message.contains("child")),
            "{parent}: {refusals:?}"
        );
    }
    let rig = rig.rules("- {table: '${schema}.child', since: {column: ended}}\n");
    rig.completed("one")?;
    ensure!(rig.number("SELECT count(*) FROM child")? == 0);
    Ok(())
}

fn younger_child(world: &World, server: Server) -> Result<()> {
    const ROWS: i64 = 2_000;
    let rig = Rig::new(world, server, "younger_child", TABLE, RULE)?.steady(200);
    fill(&rig, 2_000)?;
    rig.sql("CREATE TABLE young (LIKE t INCLUDING ALL); INSERT INTO young SELECT * FROM t WHERE id > 1500")?;
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM ONLY t", |n| n < ROWS)?;
    rig.sql("ALTER TABLE young INHERIT t")?;
    ensure!(
        rig.number("SELECT count(*) FROM ONLY t")? > 500,
        "the child came after the walk"
    );
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == ROWS,
        "{run:?}"
    );
    ensure!(
        rig.number("SELECT count(*) FROM young")? == 500,
        "rows of another table went"
    );
    Ok(())
}

/// From the pads that a statement carries the key follows.
fn logged(world: &World, server: Server) -> Result<()> {
    const SCHEMA: &str =
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, note varchar(60))";
    const RULES: &str = "- table: ${schema}.t
  since: {column: ended}
  action: {type: Anonymise, columns: [{column: note, strategy: Pseudonym}]}
";
    let options = bed::Options {
        log_statements: true,
        ..bed::Options::default()
    };
    let own = servers::start_one(server, &options)?;
    let mut rig = Rig::new(world, server, "logged", "", RULES)?;
    let endpoint = servers::endpoint(&own)?;
    rig.database = rig.block_on(Database::create(&endpoint, server, "logged"))?;
    rig.sql(SCHEMA)?;
    rig.sql("INSERT INTO t VALUES (1, '2020-01-01', 'one'), (2, '2020-01-01', 'two')")?;
    let plan = rig.plan()?;
    ensure!(
        plan.warnings
            .iter()
            .any(|w| w.starts_with("before mode Enforce")),
        "{:?}",
        plan.warnings
    );
    let JobOutcome::Failed {
        reason: Reason::UnsafeSetting,
        message,
        ..
    } = rig.outcome("one")?
    else {
        bail!("it ran");
    };
    let (_, cure) = message.split_once('\n').context("a remedy")?;
    rig.sql(cure)?;
    log_slow_ones(&rig)?;
    rig.completed("two")?;
    let pseudonyms = rig.number("SELECT count(*) FROM t WHERE note LIKE 'p!_%' ESCAPE '!'")?;
    ensure!(pseudonyms == 2, "{pseudonyms}");
    expect_no_pads(&rig, &own, &Pads::of_key(KEY))
}

/// Has MySQL and MariaDB log every statement as a slow one.
pub(crate) fn log_slow_ones(rig: &Rig<'_>) -> Result<()> {
    if !rig.server.is_postgres() {
        rig.sql(
            "SET GLOBAL log_output = 'TABLE'; SET GLOBAL slow_query_log = ON; \
             SET GLOBAL long_query_time = 0",
        )?;
    }
    Ok(())
}

/// The server has logged statements, and none with these pads.
pub(crate) fn expect_no_pads(rig: &Rig<'_>, own: &bed::Server, pads: &Pads) -> Result<()> {
    let log = if rig.server.is_postgres() {
        std::fs::read_to_string(own.log_path()?)?
    } else {
        let texts = rig.rows("SELECT CONVERT(sql_text USING utf8mb4) FROM mysql.slow_log")?;
        texts.into_iter().flatten().flatten().collect()
    };
    ensure!(
        log.contains("oubliette_erased")
            || log.contains("oubliette_run")
            || log.contains("oubliette.i"),
        "nothing was logged"
    );
    for pad in [pads.inner_hex(), pads.outer_hex()] {
        ensure!(
            !log.to_lowercase().contains(&pad.to_lowercase()),
            "the key is in the log"
        );
    }
    Ok(())
}
