//! Tiers: several rules of one policy on one table, of which the later takes what the earlier has
//! changed, and none does its work twice.

use anyhow::{Result, ensure};

use crate::case::{Case, Server};
use crate::rig::Rig;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, body| Case::on_each(&format!("tiers::{name}"), &Server::ALL, body);
    [
        all(
            "a_second_tier_takes_what_the_first_has_changed_and_nothing_is_done_twice",
            delete_first,
        ),
        all(
            "a_row_due_for_both_tiers_is_counted_for_each_where_the_deletion_stands_behind",
            delete_last,
        ),
        all(
            "columns_with_a_shorter_period_go_before_the_row_and_once",
            columns_first,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first tier changes the second column of the key, the clock itself and what the clock's index
/// covers.
const TABLE: &str = "CREATE TABLE t (area varchar(10) NOT NULL, id integer NOT NULL, name varchar(40), \
                     born date, ethnicity varchar(40), ended ${civil} NULL, PRIMARY KEY (area, id)); \
                     CREATE INDEX t_ended ON t (ended, born)";

const MASK: &str = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  expireAfter: P60D
  action:
    type: Anonymise
    columns:
    - {column: name, strategy: Nullify}
    - {column: born, strategy: GeneraliseDate, generaliseDate: {to: Year}}
    - {column: ended, strategy: GeneraliseDate, generaliseDate: {to: Month}}
";
const DELETE: &str = "
- {table: '${schema}.t', since: {column: ended, timeZone: UTC}, expireAfter: P365D}
";

fn rig<'w>(world: &'w World, server: Server, name: &str, rules: &str) -> Result<Rig<'w>> {
    let mut rig = Rig::new(world, server, name, TABLE, rules)?;
    // Due for both tiers, for the first only, and for none, on each side of the boundaries.
    rig.sql(
        "INSERT INTO t VALUES ('n', 1, 'a', '1980-05-05', 'x', '2022-12-31 10:00:00'), \
         ('n', 2, 'b', '1980-05-05', 'x', '2023-06-01 00:00:00'), \
         ('s', 1, 'c', '1981-05-05', 'x', '2023-06-02 00:00:00'), \
         ('s', 2, 'd', '1981-05-05', 'x', '2024-04-01 23:59:59'), \
         ('w', 1, 'e', '1982-05-05', 'x', '2024-04-02 00:00:00'), \
         ('w', 2, 'f', '1982-05-05', 'x', NULL)",
    )?;
    rig.now = "2024-06-01T00:00:00Z".parse()?;
    Ok(rig)
}

fn delete_first(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "tiers", &format!("{DELETE}{MASK}"))?;
    let plan = rig.plan()?;
    let planned: Vec<i64> = plan.rules.iter().map(|rule| rule.eligible).collect();
    // The two that go are due for both.
    ensure!(planned == [2, 4], "{plan:?}");
    ensure!(
        plan.warnings
            .iter()
            .any(|w| w.contains("is counted for each")),
        "{plan:?}"
    );
    ensure!(rig.completed("one")? == [[2], [2]]);
    // What the first tier has changed goes by the month that is left of its day: that of 2 June does.
    ensure!(rig.completed("two")? == [[1], [0]]);
    ensure!(rig.completed("again")? == [[0], [0]]);
    rig.now = "2024-06-01T12:00:00Z".parse()?;
    ensure!(rig.completed("three")? == [[0], [1]]);
    rig.now = "2025-04-01T00:00:00Z".parse()?;
    ensure!(rig.completed("four")? == [[0], [0]]);
    rig.now = "2025-04-02T00:00:00Z".parse()?;
    ensure!(rig.completed("five")? == [[2], [0]]);
    // An open matter stays as it is.
    ensure!(rig.number("SELECT count(*) FROM t WHERE name = 'f'")? == 1);
    ensure!(rig.number("SELECT count(*) FROM t")? == 1);
    rig.expect_a_whole_chain()
}

fn delete_last(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "tiers_last", &format!("{MASK}{DELETE}"))?;
    let plan = rig.plan()?;
    let planned: Vec<i64> = plan.rules.iter().map(|rule| rule.eligible).collect();
    ensure!(planned == [4, 2], "{plan:?}");
    // Those that go are changed first, and said to be; the row of 2 June becomes one of the 1st and goes
    // a day before its time.
    ensure!(rig.completed("one")? == [[4], [3]]);
    ensure!(rig.completed("two")? == [[0], [0]]);
    rig.now = "2024-06-01T12:00:00Z".parse()?;
    ensure!(rig.completed("three")? == [[1], [0]]);
    ensure!(rig.number("SELECT count(*) FROM t")? == 3);
    rig.expect_a_whole_chain()
}

fn columns_first(world: &World, server: Server) -> Result<()> {
    let special = "
- table: ${schema}.t
  since: {column: ended, timeZone: UTC}
  expireAfter: P30D
  action: {type: Anonymise, columns: [{column: ethnicity, strategy: Nullify}]}
";
    let mut rig = rig(
        world,
        server,
        "tiers_columns",
        &format!("{DELETE}{special}{MASK}"),
    )?;
    ensure!(rig.completed("one")? == [[2], [3], [2]]);
    ensure!(rig.completed("two")? == [[1], [0], [0]]);
    ensure!(rig.completed("again")? == [[0], [0], [0]]);
    ensure!(rig.number("SELECT count(*) FROM t WHERE ethnicity IS NOT NULL")? == 1);
    // The application writes one of the columns again: that column goes again, and no other.
    rig.sql("UPDATE t SET ethnicity = 'y' WHERE area = 's' AND id = 2")?;
    ensure!(rig.completed("three")? == [[0], [1], [0]]);
    rig.now = "2025-05-01T00:00:00Z".parse()?;
    ensure!(rig.completed("four")? == [[2], [0], [0]]);
    rig.expect_a_whole_chain()
}
