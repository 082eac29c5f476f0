//! The engine's plain ways on real servers: what is counted, deleted, transformed, taken along, and
//! how a run ends. What two sessions can do to each other is in `concurrency.rs`.

use anyhow::{Result, bail, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::rig::{Rig, counts, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("work::{name}"), &Server::ALL, body);
    [
        all("expired_rows_go_and_all_others_stay", expired_rows_go),
        all("every_strategy_transforms_its_column_once", strategies),
        all(
            "children_go_with_their_parents_three_levels_deep",
            three_levels,
        ),
        all(
            "detached_and_anonymised_children_stay",
            detach_and_anonymise,
        ),
        all("keys_of_every_sort_are_walked", keys_of_every_sort),
        all("four_workers_share_a_table", four_workers),
        all(
            "a_checkpoint_row_is_replaced_before_it_grows_old",
            roll_over,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `n` expired and `n` fresh rows, a NULL clock and an implausible one.
const LEARNERS: &str =
    "CREATE TABLE learners (id bigint NOT NULL PRIMARY KEY, ended ${civil} NULL, note varchar(60))";

const RULE: &str = "- table: ${schema}.learners\n  since: {column: ended, timeZone: UTC}\n";

fn fill(rig: &Rig<'_>, expired: u32, fresh: u32) -> Result<()> {
    rig.sql(&format!(
        "INSERT INTO learners SELECT n, '2020-01-01 00:00:00', 'old' FROM {}",
        series(rig.server, expired)
    ))?;
    if fresh > 0 {
        rig.sql(&format!(
            "INSERT INTO learners SELECT n + 10000000, current_timestamp, 'new' FROM {}",
            series(rig.server, fresh)
        ))?;
    }
    Ok(())
}

fn expired_rows_go(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "expired_rows_go", LEARNERS, RULE)?;
    fill(&rig, 700, 300)?;
    rig.sql("INSERT INTO learners VALUES (-1, NULL, 'no clock'), (-2, '1969-05-05 00:00:00', 'implausible')")?;
    let plan = rig.plan()?;
    let [rule] = plan.rules.as_slice() else {
        bail!("expected one rule, got {plan:?}")
    };
    ensure!(
        (rule.eligible, rule.total, rule.clock_null, rule.implausible) == (700, 1002, 1, 1),
        "{rule:?}"
    );
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == 700,
        "{run:?}"
    );
    ensure!(run.evidence.is_some(), "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM learners")? == 302);
    ensure!(rig.number("SELECT count(*) FROM learners WHERE note = 'old'")? == 0);
    // The same id again: what the ledger has of it.
    match rig.outcome("one")? {
        JobOutcome::Ran {
            plan: None,
            run: again,
        } => {
            ensure!(again == run, "{again:?} is not {run:?}");
        }
        other => bail!("{other:?}"),
    }
    ensure!(rig.completed("two")? == [[0]]);
    rig.expect_no_keys_kept()
}

fn strategies(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE learners (id integer NOT NULL PRIMARY KEY, ended date, \
        email varchar(80), name varchar(40), city char(12) NOT NULL, phone text, born date, \
        seen ${instant} NULL, marks integer, fee numeric(9,2), flag smallint, income integer)";
    let rules = r#"
- table: ${schema}.learners
  since: {column: ended}
  action:
    type: Anonymise
    columns:
    - {column: email, strategy: Pseudonym}
    - {column: name, strategy: Nullify}
    - {column: city, strategy: Constant, constant: {value: erased}}
    - {column: phone, strategy: Constant, constant: {value: "Érased"}}
    - {column: born, strategy: GeneraliseDate, generaliseDate: {to: Year}}
    - {column: seen, strategy: GeneraliseDate, generaliseDate: {to: Month}}
    - {column: marks, strategy: GeneraliseNumber, generaliseNumber: {width: 10}}
    - {column: fee, strategy: GeneraliseNumber, generaliseNumber: {width: 100}}
    - {column: income, strategy: GeneraliseNumber, generaliseNumber: {width: 300000}}
    - {column: flag, strategy: Constant, constant: {value: "0"}}
"#;
    let rig = Rig::new(world, server, "strategies", schema, rules)?;
    rig.sql("INSERT INTO learners VALUES \
        (1, '2020-02-03', 'jo@example.org', 'Jo', 'Leeds', '123', '1980-07-09', '2021-05-17 10:00:00', 57, 1234.56, 1, 299999), \
        (2, '2020-02-03', NULL, NULL, 'York', 'erased', NULL, NULL, -3, -5.00, 0, -1), \
        (3, current_date, 'new@example.org', 'New', 'Hull', '9', '1990-01-02', '2026-05-17 10:00:00', 58, 1.00, 1, 299999)")?;
    let plan = rig.plan()?;
    ensure!(plan.rules[0].eligible == 2, "{plan:?}");
    ensure!(rig.completed("one")? == [[2]]);
    let rows = rig.rows("SELECT name, city, phone, born, CAST(seen AS char(10)), marks, fee, flag, income FROM learners ORDER BY id")?;
    let text: Vec<String> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|v| v.as_deref().unwrap_or("-").trim_end().to_owned())
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect();
    ensure!(
        text == [
            "-|erased|Érased|1980-01-01|2021-05-01|50|1200.00|0|0",
            "-|erased|Érased|-|-|-10|-100.00|0|-300000",
            "New|Hull|9|1990-01-02|2026-05-17|58|1.00|1|299999",
        ],
        "{text:#?}"
    );
    // HMAC-SHA256 of the value, the same on every engine.
    let expected = pseudonym("jo@example.org");
    let email = rig.rows("SELECT email FROM learners ORDER BY id")?;
    ensure!(
        email[0] == [Some(expected)] && email[1] == [None],
        "{email:?}"
    );
    ensure!(rig.completed("two")? == [[0]], "a second run finds nothing");
    Ok(())
}

/// `p_` and the first 32 digits of the HMAC, computed here.
pub(crate) fn pseudonym(value: &str) -> String {
    let pads = oubliette_core::hmac::Pads::of_key(crate::rig::KEY);
    let sha = |bytes: Vec<u8>| {
        let text = oubliette_core::digest::Digest::of_bytes(bytes).to_string();
        let hex = text.rsplit(':').next().unwrap_or_default().to_owned();
        hex::decode(hex).unwrap_or_default()
    };
    let mut inner = hex::decode(pads.inner_hex()).unwrap_or_default();
    inner.extend_from_slice(value.as_bytes());
    let mut outer = hex::decode(pads.outer_hex()).unwrap_or_default();
    outer.extend(sha(inner));
    format!("p_{}", &hex::encode(sha(outer))[..32])
}

fn three_levels(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL); \
        CREATE TABLE b (id varchar(20) NOT NULL PRIMARY KEY, a_id integer NULL, FOREIGN KEY (a_id) REFERENCES a (id)); \
        CREATE TABLE c (id integer NOT NULL PRIMARY KEY, b_id varchar(20) NOT NULL, FOREIGN KEY (b_id) REFERENCES b (id)); \
        CREATE TABLE d (id integer NOT NULL PRIMARY KEY, c_id integer NULL, FOREIGN KEY (c_id) REFERENCES c (id)); \
        CREATE INDEX b_a ON b (a_id); CREATE INDEX c_b ON c (b_id); CREATE INDEX d_c ON d (c_id)";
    let rules = "
- table: ${schema}.a
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.b', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.c', of: '${schema}.b', match: [{column: b_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.d', of: '${schema}.c', match: [{column: c_id, equals: id}], action: {type: Detach}}
";
    let rig = Rig::new(world, server, "three_levels", schema, rules)?;
    let s = |n| series(server, n);
    let (key, b_of_c) = if server.is_postgres() {
        ("'b' || n", "'b' || ((n - 1) / 2 + 1)")
    } else {
        ("CONCAT('b', n)", "CONCAT('b', (n - 1) DIV 2 + 1)")
    };
    rig.sql(&format!("INSERT INTO a SELECT n, CASE WHEN n <= 300 THEN timestamp '2020-01-01 00:00:00' ELSE current_timestamp END FROM {}", s(400)))?;
    rig.sql(&format!("INSERT INTO b SELECT {key}, n FROM {}", s(400)))?;
    rig.sql(&format!("INSERT INTO c SELECT n, {b_of_c} FROM {}", s(800)))?;
    rig.sql(&format!("INSERT INTO d SELECT n, n FROM {}", s(800)))?;
    let plan = rig.plan()?;
    let related: Vec<i64> = plan.rules[0].related.iter().map(|t| t.rows).collect();
    ensure!(
        plan.rules[0].eligible == 300 && related == [300, 600, 600],
        "{plan:?}"
    );
    ensure!(rig.completed("one")? == [[300, 300, 600, 600]]);
    for (table, left) in [("a", 100), ("b", 100), ("c", 200), ("d", 800)] {
        ensure!(
            rig.number(&format!("SELECT count(*) FROM {table}"))? == left,
            "{table}"
        );
    }
    ensure!(rig.number("SELECT count(*) FROM d WHERE c_id IS NULL")? == 600);
    rig.expect_no_keys_kept()
}

fn detach_and_anonymise(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE a (id integer NOT NULL PRIMARY KEY, ended ${instant} NULL, email varchar(60)); \
        CREATE TABLE b (id integer NOT NULL PRIMARY KEY, a_id integer NULL, text varchar(60), FOREIGN KEY (a_id) REFERENCES a (id)); \
        CREATE TABLE c (id integer NOT NULL PRIMARY KEY, a_id integer NULL, FOREIGN KEY (a_id) REFERENCES a (id)); \
        CREATE INDEX b_a ON b (a_id); CREATE INDEX c_a ON c (a_id)";
    let rules = "
- table: ${schema}.a
  since: {column: ended}
  action: {type: Anonymise, columns: [{column: email, strategy: Pseudonym}]}
  related:
  - table: '${schema}.b'
    of: '${schema}.a'
    match: [{column: a_id, equals: id}]
    action: {type: Anonymise, columns: [{column: text, strategy: Pseudonym}]}
  - {table: '${schema}.c', of: '${schema}.a', match: [{column: a_id, equals: id}], action: {type: Detach}}
";
    let rig = Rig::new(world, server, "detach", schema, rules)?;
    rig.sql(&format!(
        "INSERT INTO a SELECT n, timestamp '2020-01-01 00:00:00', 'mail' FROM {}",
        series(server, 50)
    ))?;
    rig.sql(&format!(
        "INSERT INTO b SELECT n, n, 'text' FROM {}",
        series(server, 50)
    ))?;
    rig.sql(&format!(
        "INSERT INTO c SELECT n, n FROM {}",
        series(server, 50)
    ))?;
    ensure!(rig.completed("one")? == [[50, 50, 50]]);
    let (mail, text) = (pseudonym("mail"), pseudonym("text"));
    ensure!(rig.number(&format!("SELECT count(*) FROM a JOIN b ON b.a_id = a.id WHERE a.email = '{mail}' AND b.text = '{text}'"))? == 50);
    ensure!(rig.number("SELECT count(*) FROM c WHERE a_id IS NULL")? == 50);
    Ok(())
}

fn keys_of_every_sort(world: &World, server: Server) -> Result<()> {
    let binary = if server.is_postgres() {
        "bytea"
    } else {
        "varbinary(40)"
    };
    let schema = format!(
        "CREATE TABLE composite (a integer NOT NULL, b varchar(20) NOT NULL, c ${{civil}} NOT NULL, ended date, PRIMARY KEY (a, b, c)); \
         CREATE TABLE texts (id varchar(60) NOT NULL PRIMARY KEY, ended date); \
         CREATE TABLE uuids (id ${{uuid}} NOT NULL PRIMARY KEY, ended date); \
         CREATE TABLE binaries (id {binary} NOT NULL PRIMARY KEY, ended date); \
         CREATE TABLE days (id date NOT NULL, n numeric(20,4) NOT NULL, ended date, UNIQUE (id, n))"
    );
    let tables = ["composite", "texts", "uuids", "binaries", "days"];
    let rules: Vec<String> = tables
        .iter()
        .map(|t| format!("- {{table: '${{schema}}.{t}', since: {{column: ended}}}}"))
        .collect();
    let mut rig = Rig::new(world, server, "keys", &schema, &rules.join("\n"))?;
    rig.pacing.workers = 2;
    let pg = server.is_postgres();
    // MySQL 9 has no md5 any more.
    let hex = if pg {
        "md5(n::text)"
    } else {
        "LEFT(SHA2(n, 256), 32)"
    };
    let uuid = "CONCAT(LEFT(h, 8), '-', SUBSTRING(h, 9, 4), '-4', SUBSTRING(h, 14, 3), '-8', \
                SUBSTRING(h, 18, 3), '-', RIGHT(h, 12))";
    let uuid = if pg {
        format!("({uuid})::uuid")
    } else {
        uuid.to_owned()
    };
    let bytes = if pg { "decode(h, 'hex')" } else { "UNHEX(h)" };
    let date = "CASE WHEN mod(n, 3) = 0 THEN current_date ELSE date '2020-01-01' END";
    let third = "CASE WHEN mod(n, 2) = 0 THEN timestamp '2020-01-01 00:00:00' ELSE timestamp '2021-06-01 12:34:56' END";
    let from = format!("(SELECT n, {hex} AS h FROM {}) t", series(server, 1500));
    let day = if pg {
        "date '2020-01-01' + mod(n, 7)::int"
    } else {
        "date '2020-01-01' + INTERVAL mod(n, 7) DAY"
    };
    for statement in [
        format!("INSERT INTO composite SELECT mod(n, 13), LEFT(h, 4), {third}, {date} FROM {from}"),
        format!("INSERT INTO texts SELECT h, {date} FROM {from}"),
        format!("INSERT INTO uuids SELECT {uuid}, {date} FROM {from}"),
        format!("INSERT INTO binaries SELECT {bytes}, {date} FROM {from}"),
        format!("INSERT INTO days SELECT {day}, n / 7.0, {date} FROM {from}"),
    ] {
        rig.sql(&statement)?;
    }
    let plan = rig.plan()?;
    for rule in &plan.rules {
        ensure!(rule.eligible == 1000 && rule.total == 1500, "{rule:?}");
    }
    ensure!(rig.completed("one")? == vec![vec![1000]; 5]);
    for table in tables {
        ensure!(
            rig.number(&format!("SELECT count(*) FROM {table}"))? == 500,
            "{table}"
        );
    }
    rig.expect_no_keys_kept()
}

fn four_workers(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(world, server, "four_workers", LEARNERS, RULE)?.workers(4);
    fill(&rig, 90_000, 1_000)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run) == [[90_000]],
        "{run:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM learners")? == 1_000);
    let lanes = rig.number(&format!(
        "SELECT count(DISTINCT worker) FROM {} WHERE n > 0",
        rig.ledger("checkpoint")
    ))?;
    ensure!(lanes > 1, "only {lanes} workers changed rows");
    rig.expect_no_keys_kept()
}

fn roll_over(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "roll_over", LEARNERS, RULE)?;
    rig.pacing.part = 3;
    rig.pacing.batch_duration = std::time::Duration::from_millis(5);
    fill(&rig, 35_000, 0)?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Completed && counts(&run) == [[35_000]],
        "{run:?}"
    );
    let parts = rig.number(&format!(
        "SELECT max(part) FROM {}",
        rig.ledger("checkpoint")
    ))?;
    let batches = rig.number(&format!(
        "SELECT max(seq) FROM {}",
        rig.ledger("checkpoint")
    ))?;
    ensure!(
        parts > 0 && parts >= (batches - 1) / 3,
        "{parts} replaced checkpoint rows in {batches} batches"
    );
    rig.expect_no_keys_kept()
}
