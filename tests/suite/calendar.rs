//! Boundaries of time zones and calendars, at fixed dates: the library is told what now is, because
//! a flag of the operator that sets its clock would be a hazard. The databases are real.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::case::{Case, Server};
use crate::rig::Rig;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| Case::on_each(&format!("calendar::{name}"), &Server::ALL, body);
    [
        on(
            "a_day_over_the_start_of_summer_time_has_23_hours",
            start_of_summer_time,
        ),
        on(
            "a_date_has_passed_when_it_has_where_the_policy_lives",
            date_in_the_policys_zone,
        ),
        on(
            "a_month_before_the_31st_ends_with_february",
            end_of_february,
        ),
        on(
            "a_reading_without_zone_is_one_of_the_stated_zone",
            reading_without_zone,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs a rule at an instant, and compares the ids that stay.
fn stay(rig: Rig<'_>, zone: &str, now: &str, ids: &[&str]) -> Result<()> {
    let mut rig = rig;
    rig.spec = json!({"timeZone": zone});
    rig.now = now.parse().context("not an instant")?;
    rig.completed("run")?;
    let left: Vec<String> = rig
        .rows("SELECT id FROM t ORDER BY id")?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    ensure!(left == ids, "{left:?} stayed, not {ids:?}");
    Ok(())
}

fn start_of_summer_time(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "start_of_summer_time",
        "CREATE TABLE t (id integer PRIMARY KEY, ended ${instant} NULL);
         INSERT INTO t VALUES (1, '2026-03-28 11:59:59'), (2, '2026-03-28 12:59:59'), (3, '2026-03-28 13:00:00');",
        "[{table: '${schema}.t', expireAfter: P1D}]",
    )?;
    // 13:00 in London; a day before it was 13:00 too, which was 13:00 UTC.
    stay(rig, "Europe/London", "2026-03-29T12:00:00Z", &["3"])
}

fn date_in_the_policys_zone(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "date_in_the_policys_zone",
        "CREATE TABLE t (id integer PRIMARY KEY, ended date NULL);
         INSERT INTO t VALUES (1, '2026-05-30'), (2, '2026-05-31'), (3, '2026-06-01');",
        "[{table: '${schema}.t', expireAfter: P1M}]",
    )?;
    // 00:30 on the first of July in Auckland, while London has the thirtieth of June.
    stay(rig, "Pacific/Auckland", "2026-06-30T12:30:00Z", &["3"])
}

fn end_of_february(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "end_of_february",
        "CREATE TABLE t (id integer PRIMARY KEY, ended ${instant} NULL);
         INSERT INTO t VALUES (1, '2026-02-28 11:59:59'), (2, '2026-02-28 12:00:00'), (3, '2026-03-01 00:00:00');",
        "[{table: '${schema}.t', expireAfter: P1M}]",
    )?;
    stay(rig, "Etc/UTC", "2026-03-31T12:00:00Z", &["2", "3"])
}

fn reading_without_zone(world: &World, server: Server) -> Result<()> {
    let rig = Rig::new(
        world,
        server,
        "reading_without_zone",
        "CREATE TABLE t (id integer PRIMARY KEY, ended ${civil} NULL);
         INSERT INTO t VALUES (1, '2026-06-30 23:59:59'), (2, '2026-07-01 00:00:00'), (3, '2026-06-30 12:30:00');",
        "[{table: '${schema}.t', expireAfter: P1D, since: {column: ended, timeZone: Pacific/Auckland}}]",
    )?;
    // Noon of the first of July in UTC is midnight of the second in Auckland; a day before, it
    // was midnight of the first there, twelve hours ahead of UTC.
    stay(rig, "Etc/UTC", "2026-07-01T12:00:00Z", &["2"])
}
