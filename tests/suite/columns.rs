//! Rules that transform several columns, of which the application writes one again: what is done to
//! the others is not done twice.

use anyhow::{Result, ensure};
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::engine::pseudonym;
use crate::races::{OLD, TABLE, fill};
use crate::rig::{Rig, own, series};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("columns::{name}"), &Server::ALL, body);
    [
        all(
            "a_column_that_is_done_stays_when_another_is_written_again",
            written_again,
        ),
        all(
            "a_column_that_is_done_stays_beside_a_writing_application",
            writing_application,
        ),
        all(
            "what_is_written_again_and_again_is_newly_due",
            |world, server| again_and_again(world, server, "again_and_again", 20, ""),
        ),
        // So many that no sweep waits for them.
        all(
            "what_is_written_again_and_again_beside_keepers_is_newly_due",
            |world, server| {
                let unless = "  unless: [{table: '${schema}.keepers', match: [{column: t_id, equals: id}]}]\n";
                again_and_again(world, server, "again_beside", 100, unless)
            },
        ),
        all("dates_of_the_first_century_stay_in_it", first_century),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const RULES: &str = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  action: {type: Anonymise, columns: [
    {column: email, strategy: Pseudonym},
    {column: second, strategy: Pseudonym},
    {column: born, strategy: GeneraliseDate, generaliseDate: {to: Year}},
    {column: seen, strategy: GeneraliseDate, generaliseDate: {to: Month}},
    {column: name, strategy: Constant, constant: {value: erased}}]}
  related:
  - {table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}],
     action: {type: Anonymise, columns: [
       {column: email, strategy: Pseudonym},
       {column: note, strategy: Nullify}]}}
";

/// Tables `t` and `c`, whose pseudonyms are of types in which the new value is not at home.
fn schema(server: Server) -> &'static str {
    if server.is_postgres() {
        "CREATE DOMAIN address AS text; \
         CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, email address, \
         second char(40), born date, seen ${instant}, name varchar(40)); \
         CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer REFERENCES t (id), \
         email varchar(50), note varchar(40)); CREATE INDEX ON c (t_id)"
    } else {
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL, \
         email varchar(80) CHARACTER SET latin1, second char(40) CHARACTER SET utf16, \
         born date, seen ${instant} NULL, name varchar(40), \
         written timestamp NOT NULL DEFAULT '2021-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP); \
         CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer, \
         email varchar(50) CHARACTER SET sjis, note varchar(40), FOREIGN KEY (t_id) REFERENCES t (id))"
    }
}

fn rig<'w>(world: &'w World, server: Server, name: &str, rows: u32) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, schema(server), RULES)?;
    rig.sql(&format!(
        "INSERT INTO t (id, ended, email, second, born, seen, name) \
         SELECT n, {OLD}, 'ada@example.org', 'ada@example.org', date '1985-03-02', \
         timestamp '2019-05-17 12:34:56', 'Ada' FROM {}",
        series(server, rows)
    ))?;
    rig.sql("INSERT INTO c SELECT id, id, 'bob@example.org', 'Bob' FROM t")?;
    Ok(rig)
}

/// Rows of `t` in which a column is other than it should be.
fn expect_done(rig: &Rig<'_>) -> Result<()> {
    let email = pseudonym("ada@example.org");
    let wrong = rig.number(&format!(
        "SELECT count(*) FROM t WHERE email <> '{email}' OR second <> '{email}' \
         OR born <> date '1985-01-01' OR name <> 'erased'"
    ))?;
    ensure!(
        wrong == 0,
        "{wrong} rows: {:?}",
        rig.rows("SELECT email, second, born, name FROM t ORDER BY 1 LIMIT 5")?
    );
    let email = pseudonym("bob@example.org");
    let wrong = rig.number(&format!(
        "SELECT count(*) FROM c WHERE email <> '{email}' OR note IS NOT NULL"
    ))?;
    ensure!(wrong == 0, "{wrong} related rows");
    Ok(())
}

fn written_again(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "written_again", 3)?;
    ensure!(rig.completed("one")? == [[3, 3]]);
    expect_done(&rig)?;
    rig.sql("UPDATE t SET name = 'Ada' WHERE id = 1; UPDATE c SET note = 'Bob' WHERE id = 1")?;
    if !server.is_postgres() {
        // Year 0 has no first day.
        let set = "UPDATE t SET born = '0000-00-00', seen = 0, name = 'Ada' WHERE id = 2";
        rig.sql(&format!(
            "SET SESSION sql_mode = ''; {set}; UPDATE t SET written = '2021-01-01'"
        ))?;
    }
    let changed = if server.is_postgres() { 1 } else { 2 };
    ensure!(rig.completed("two")? == [[changed, 1]]);
    if !server.is_postgres() {
        let kept = "SELECT count(*) FROM t WHERE YEAR(born) = 0 AND YEAR(seen) = 0";
        ensure!(rig.number(kept)? == 1, "a date nobody can mean was changed");
        let kept = "SELECT count(*) FROM t WHERE YEAR(written) = 2021";
        ensure!(rig.number(kept)? == 3);
        rig.sql("UPDATE t SET born = '1985-01-01' WHERE id = 2")?;
    }
    expect_done(&rig)?;
    ensure!(rig.completed("three")? == [[0, 0]]);
    Ok(())
}

/// The sweep takes rows again that the application has written behind the walk.
fn writing_application(world: &World, server: Server) -> Result<()> {
    const ROWS: i64 = 600;
    let rig = rig(world, server, "columns_written", 600)?.steady(200);
    let run = rig.begin_run("one")?;
    let done = "SELECT count(*) FROM t WHERE name = 'erased'";
    rig.wait_until(done, |n| n > 0)?;
    // Behind the walk and before it.
    rig.sql("UPDATE t SET name = 'Ada' WHERE id IN (1, 600)")?;
    let run = rig.block_on(run.ran())?;
    ensure!(
        run.outcome == RunOutcome::Completed && own(&run) == ROWS + 1,
        "{run:?}"
    );
    expect_done(&rig)
}

/// MAKEDATE of the years 1 to 99 is one of 1970 to 2069.
fn first_century(world: &World, server: Server) -> Result<()> {
    let columns = ["month", "quarter", "year", "decade"];
    let defined: Vec<_> = columns
        .map(|unit| format!("{unit}_d date, {unit}_t ${{civil}}"))
        .into();
    let schema = format!(
        "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, {})",
        defined.join(", ")
    );
    let strategies: Vec<_> = [("month", "Month"), ("quarter", "Quarter"), ("year", "Year"), ("decade", "Decade")]
        .into_iter()
        .flat_map(|(column, to)| {
            ["d", "t"].map(|kind| {
                format!("{{column: {column}_{kind}, strategy: GeneraliseDate, generaliseDate: {{to: {to}}}}}")
            })
        })
        .collect();
    let rules = format!(
        "- {{table: '${{schema}}.t', since: {{column: ended}}, action: {{type: Anonymise, columns: [{}]}}}}",
        strategies.join(", ")
    );
    let rig = Rig::new(world, server, "first_century", &schema, &rules)?;
    let dates = [
        "0020-05-17",
        "0099-12-31",
        "0100-02-03",
        "1985-08-02",
        "9999-12-31",
    ];
    for (id, date) in dates.iter().enumerate() {
        let pair = format!("date '{date}', timestamp '{date} 12:34:56'");
        let values = [pair.as_str(); 4].join(", ");
        rig.sql(&format!(
            "INSERT INTO t VALUES ({id}, date '2020-01-01', {values})"
        ))?;
    }
    ensure!(rig.completed("one")? == [[5]]);
    let first = [
        ["0020-05-01", "0020-04-01", "0020-01-01", "0020-01-01"],
        ["0099-12-01", "0099-10-01", "0099-01-01", "0090-01-01"],
        ["0100-02-01", "0100-01-01", "0100-01-01", "0100-01-01"],
        ["1985-08-01", "1985-07-01", "1985-01-01", "1980-01-01"],
        ["9999-12-01", "9999-10-01", "9999-01-01", "9990-01-01"],
    ];
    for (id, expected) in first.iter().enumerate() {
        let found: Vec<_> = columns
            .iter()
            .zip(expected)
            .map(|(column, day)| {
                format!("{column}_d = date '{day}' AND {column}_t = timestamp '{day} 00:00:00'")
            })
            .collect();
        let found = rig.number(&format!(
            "SELECT count(*) FROM t WHERE id = {id} AND {}",
            found.join(" AND ")
        ))?;
        ensure!(
            found == 1,
            "{:?}",
            rig.rows(&format!("SELECT * FROM t WHERE id = {id}"))?
        );
    }
    ensure!(rig.completed("two")? == [[0]]);
    Ok(())
}

/// Free and undone after each sweep, though each of them took the rows.
fn again_and_again(
    world: &World,
    server: Server,
    name: &str,
    written: u32,
    unless: &str,
) -> Result<()> {
    let rules = format!(
        "
- table: ${{schema}}.t
  since: {{column: ended, timeZone: UTC}}
{unless}  action: {{type: Anonymise, columns: [{{column: note, strategy: Nullify}}]}}
"
    );
    let schema = format!(
        "{TABLE}; CREATE TABLE keepers (id integer NOT NULL PRIMARY KEY, t_id integer); \
         CREATE INDEX keepers_of ON keepers (t_id)"
    );
    let mut rig = Rig::new(world, server, name, &schema, &rules)?;
    // Or it is over before anything is written again.
    rig.pacing.max_rows_per_second = Some(3_000);
    fill(&rig, 3_000)?;
    let run = rig.begin_run("one")?;
    // A row at a time: who holds one and waits for another could meet a batch in a deadlock.
    for id in (1..=written).cycle() {
        if run.has_ended() {
            break;
        }
        rig.sql(&format!("UPDATE t SET note = 'mine' WHERE id = {id}"))?;
    }
    let run = rig.block_on(run.ran())?;
    let residual = run.rules[0].residual;
    ensure!(residual.unexplained == 0, "{run:?}");
    ensure!(own(&run) > 3_000, "no row was written again: {run:?}");
    Ok(())
}
