//! Keys by which a row is hard to find again, and rows that are not.

use anyhow::{Result, ensure};
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{OLD, RULE, TABLE, fill};
use crate::rig::{Rig, counts, series};
use crate::world::World;

const INNODB: [Server; 2] = [Server::MySql, Server::MariaDb];
const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body| {
        Case::on_each(&format!("keys::{name}"), servers, body)
    };
    [
        on("texts_beside_other_columns_are_found", &INNODB, composite),
        on("texts_that_do_not_come_back_are_refused", &INNODB, lossy),
        on("numbers_and_dates_out_of_the_way_are_found", &INNODB, odd),
        on(
            "numbers_and_dates_without_end_are_found",
            &POSTGRES,
            endless,
        ),
        on(
            "pairs_of_many_pieces_are_found_as_pairs",
            &Server::ENGINES,
            pairs,
        ),
        on(
            "locked_rows_that_are_not_found_again_are_no_locked_rows",
            &INNODB,
            unassigned_byte,
        ),
        on(
            "locked_rows_that_a_trigger_keeps_are_no_locked_rows",
            &POSTGRES,
            kept_by_a_trigger,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const DELETE: &str = "- {table: '${schema}.t', since: {column: ended}}\n";

/// MariaDB found one of two rows by `(k, n) IN (('ä', 1), …)`.
fn composite(world: &World, server: Server) -> Result<()> {
    for (i, charset) in [
        "latin1",
        "latin1 COLLATE latin1_german2_ci",
        "utf16",
        "utf8mb3",
    ]
    .into_iter()
    .enumerate()
    {
        let schema = format!(
            "CREATE TABLE t (k varchar(10) CHARACTER SET {charset} NOT NULL, n integer NOT NULL, \
             ended date, PRIMARY KEY (k, n))"
        );
        let rig = Rig::new(world, server, &format!("composite_{i}"), &schema, DELETE)?;
        rig.sql("INSERT INTO t VALUES ('ä', 1, '2020-01-01'), ('cd', 2, '2020-01-01')")?;
        ensure!(rig.steady(1_000).completed("one")? == [[2]], "{charset}");
    }
    Ok(())
}

/// Of two texts of sjis one comes back as the other.
fn lossy(world: &World, server: Server) -> Result<()> {
    for charset in ["sjis", "cp932", "gbk"] {
        let schema = format!(
            "CREATE TABLE t (k varchar(10) CHARACTER SET {charset} NOT NULL PRIMARY KEY, ended date)"
        );
        let rig = Rig::new(world, server, &format!("lossy_{charset}"), &schema, DELETE)?;
        let refusals = rig.refused()?;
        ensure!(
            refusals.len() == 1
                && refusals[0].reason == Reason::NoUsableKey
                && refusals[0].message.contains(charset),
            "{refusals:?}"
        );
        rig.sql("ALTER TABLE t ADD COLUMN n integer NOT NULL UNIQUE")?;
        rig.plan()?;
    }
    Ok(())
}

fn odd(world: &World, server: Server) -> Result<()> {
    let schema = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'; \
        CREATE TABLE t (d date NOT NULL, c datetime(6) NOT NULL, ended date, PRIMARY KEY (d, c)); \
        INSERT INTO t VALUES ('0000-00-00', '0000-00-00', '2020-01-01'), \
        ('2020-02-31', '2020-02-31 01:02:03.5', '2020-01-01'), \
        ('2020-00-10', '2020-00-10', '2020-01-01'), ('2021-01-01', '0000-05-05', '2020-01-01'), \
        ('2020-02-31', '2020-04-31', NULL); \
        CREATE TABLE u (d decimal(65,0) NOT NULL PRIMARY KEY, ended date); \
        INSERT INTO u SELECT CAST(CONCAT(s, REPEAT('9', 65)) AS DECIMAL(65,0)), '2020-01-01' \
        FROM (SELECT '-' AS s UNION ALL SELECT '') x; INSERT INTO u VALUES (1, '2020-01-01'); \
        CREATE TABLE v (d decimal(65,29) NOT NULL PRIMARY KEY, ended date); \
        INSERT INTO v VALUES (CONCAT(REPEAT('9', 36), '.', REPEAT('9', 29)), '2020-01-01')";
    let rules = format!(
        "{DELETE}{}{}",
        DELETE.replace(".t", ".u"),
        DELETE.replace(".t", ".v")
    );
    let rig = Rig::new(world, server, "odd_keys", schema, &rules)?.steady(1_000);
    ensure!(rig.completed("one")? == [[4], [3], [1]]);
    Ok(())
}

fn endless(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (k numeric, b timestamptz, c date, ended date, number serial UNIQUE, PRIMARY KEY (k, b, c)); \
        INSERT INTO t SELECT k, b, c, '2020-01-01' \
        FROM unnest(ARRAY['NaN', '1.00', '1.5', '1e100']::numeric[]) k, \
        unnest(ARRAY['infinity', '-infinity', '0044-03-15 BC', '2020-10-25 01:30:00.000001+01']::timestamptz[]) b, \
        unnest(ARRAY['infinity', '-infinity', '0044-03-15 BC', '5874897-12-31']::date[]) c; \
        CREATE TABLE child (id integer PRIMARY KEY, number integer REFERENCES t (number))";
    // With related rows to which no index leads they are changed by their keys.
    let rules = "
- table: ${schema}.t
  since: {column: ended}
  related: [{table: '${schema}.child', of: '${schema}.t', match: [{column: number, equals: number}], action: {type: Delete}}]
";
    let rig = Rig::new(world, server, "endless_keys", schema, rules)?;
    ensure!(rig.completed("one")? == [[64, 0]]);
    Ok(())
}

/// More keys of two columns than one statement takes. Of rows with the same number and another tenant every second
/// one stays: whoever looked for the columns apart would take those, too.
fn pairs(world: &World, server: Server) -> Result<()> {
    let (kind, tenant, number) = if server.is_postgres() {
        ("uuid", "md5((n % 3)::text)::uuid", "n / 3")
    } else {
        ("integer", "n % 3", "n DIV 3")
    };
    let columns = format!("tenant {kind} NOT NULL, number integer NOT NULL");
    let schema = format!(
        "CREATE TABLE t ({columns}, ended date, PRIMARY KEY (tenant, number)); \
         CREATE TABLE child (id integer PRIMARY KEY, {columns}, \
         FOREIGN KEY (tenant, number) REFERENCES t (tenant, number))"
    );
    let rules = "
- table: ${schema}.t
  since: {column: ended}
  related:
  - table: ${schema}.child
    of: ${schema}.t
    match: [{column: tenant, equals: tenant}, {column: number, equals: number}]
    action: {type: Delete}
";
    let rig = Rig::new(world, server, "pairs", &schema, rules)?;
    let numbers = series(server, 3_000);
    rig.sql(&format!(
        "INSERT INTO t SELECT {tenant}, {number}, \
         CASE WHEN n % 2 = 0 THEN date '2020-01-01' END FROM {numbers}; \
         INSERT INTO child SELECT n, {tenant}, {number} FROM {numbers}"
    ))?;
    ensure!(rig.completed("one")? == [[1_500, 1_500]]);
    let left = rig.rows(
        "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM t WHERE ended IS NULL), \
         (SELECT count(*) FROM child), (SELECT count(*) FROM child WHERE id % 2 = 1)",
    )?;
    let all = vec![Some("1500".to_owned()); 4];
    ensure!(left == [all], "{left:?}");
    Ok(())
}

fn expect_not_found(rig: &Rig<'_>, id: &str) -> Result<()> {
    let run = rig.run(id)?;
    let failed: Vec<_> = run.rules.iter().map(|rule| rule.failed).collect();
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::RowsNotFound)
            && failed == [Some(Reason::RowsNotFound), None]
            && counts(&run) == [[0], [1]],
        "{run:?}"
    );
    Ok(())
}

/// A byte that its character set does not know is read as a question mark.
fn unassigned_byte(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (k varchar(10) CHARACTER SET cp1250 NOT NULL PRIMARY KEY, ended date); \
        INSERT INTO t VALUES (x'81', '2020-01-01'); \
        CREATE TABLE u (k integer NOT NULL PRIMARY KEY, ended date); INSERT INTO u VALUES (1, '2020-01-01')";
    let rules = format!("{DELETE}{}", DELETE.replace(".t", ".u"));
    let rig = Rig::new(world, server, "unassigned_byte", schema, &rules)?.steady(1_000);
    expect_not_found(&rig, "one")?;
    ensure!(rig.number("SELECT count(*) FROM t")? == 1);
    Ok(())
}

fn kept_by_a_trigger(world: &World, server: Server) -> Result<()> {
    let schema = format!(
        "{TABLE}; {}; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RETURN NULL; END $$",
        TABLE.replace("TABLE t", "TABLE u")
    );
    let rules = format!("{RULE}{}", RULE.replace(".t", ".u"));
    let rig = Rig::new(world, server, "kept_by_a_trigger", &schema, &rules)?.steady(200);
    fill(&rig, 600)?;
    rig.sql(&format!("INSERT INTO u VALUES (1, {OLD}, '')"))?;
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM t", |n| n < 600)?;
    rig.sql("CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep()")?;
    let run = rig.block_on(run.ran())?;
    let left = rig.number("SELECT count(*) FROM t")?;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::RowsNotFound)
            && counts(&run) == [[600 - left], [1]]
            && left > 0,
        "{left} rows are left: {run:?}"
    );
    Ok(())
}
