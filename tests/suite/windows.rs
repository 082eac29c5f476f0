//! Windows: nothing is counted or changed outside of them, a run stops with its window and goes on in the
//! next, and a policy that does not keep up says so.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use oubliette::work::job::{JobOutcome, StopWhy};
use oubliette_core::schedule::{Schedule, WorkWindow, WorkWindows};
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::cluster::is_current;
use crate::controller::{
    ROWS, at_rest, ends_as_one_run, hurry, ledger_state, left, stage, wait_until_it_changes_rows,
};
use crate::desk::Desk;
use crate::races::{OLD, TABLE, rig};
use crate::rig::{own, series};
use crate::scenario::{Stage, TARGET};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let engines = &Server::ENGINES;
    let one = &[Server::Postgres18];
    let mut cases = Case::on_each(
        "windows::a_run_ends_within_a_batch_of_its_window_and_goes_on_under_the_same_cutoff",
        &Server::ALL,
        within_a_batch,
    );
    let mut with_operator =
        |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
            let name = format!("windows::{name}");
            cases.extend(Case::on_each_with_operator(&name, servers, body));
        };
    with_operator(
        "a_run_stops_with_its_window_and_goes_on_in_the_next",
        engines,
        from_window_to_window,
    );
    with_operator(
        "nothing_is_counted_or_run_outside_of_a_window_whoever_asks",
        one,
        outside,
    );
    with_operator(
        "a_policy_over_its_limit_falls_behind_until_the_limit_is_raised",
        engines,
        over_its_limit,
    );
    with_operator(
        "a_run_that_is_slower_than_its_schedule_falls_behind_until_it_ends",
        one,
        slower_than_its_schedule,
    );
    cases.extend(Case::on_each(
        "windows::apply_refuses_outside_of_a_window_and_stops_at_its_end",
        engines,
        applied,
    ));
    cases
}

/// The first twenty seconds of each minute.
const OFTEN: &str = "* * * * *";

/// From one window to the next, and a busy machine.
const NEXT_WINDOW: Duration = Duration::from_mins(3);

fn often() -> Value {
    json!([{"schedule": OFTEN, "duration": "20s"}])
}

/// An hour that begins in twelve hours: it is closed as long as the case lasts.
fn far_away() -> (String, Value) {
    let then = Timestamp::now() + SignedDuration::from_hours(12);
    let hour = then.strftime("%H").to_string();
    let opens = then.strftime("%Y-%m-%dT%H:00:00Z").to_string();
    let schedule = format!("0 {hour} * * *");
    (opens, json!([{"schedule": schedule, "duration": "1h"}]))
}

const POLICY: &str = "RetentionPolicy";

fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|condition| condition["type"] == kind)
}

fn set_windows(stage: &Stage<'_>, windows: &Value) -> Result<()> {
    let patch = json!({"spec": {"pacing": {"windows": windows}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)
}

/// Waits until the condition FallingBehind says this; the answer is the policy.
fn wait_behind(stage: &Stage<'_>, status: &str, reason: &str) -> Result<Value> {
    let what = format!("says FallingBehind={status}, {reason}");
    stage.namespace.wait_until(
        POLICY,
        &stage.policy,
        &what,
        NEXT_WINDOW,
        |object| match condition(object, "FallingBehind") {
            Some(c) if is_current(object) && c["status"] == status && c["reason"] == reason => {
                Ok(())
            }
            other => Err(format!("it is {other:?}")),
        },
    )
}

/// A window that opened some minutes ago and closes in so many seconds.
fn opened(closes: i64) -> Result<WorkWindows> {
    let now = Timestamp::now();
    let opens = now - SignedDuration::from_mins(5);
    let schedule = opens.strftime("%M %H * * *").to_string();
    let schedule = Schedule::parse(&schedule, jiff::tz::TimeZone::UTC)?;
    let whole = opens.as_second() - opens.as_second().rem_euclid(60);
    let lasts = u64::try_from(now.as_second() - whole + closes)?;
    let window = WorkWindow::new(schedule, Duration::from_secs(lasts));
    Ok(WorkWindows::new(vec![window]))
}

/// The library alone: the window is made around the moment, so that it closes in the run's middle.
fn within_a_batch(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "window_closes", 20_000)?.steady(500);
    // A loaded machine may not have begun when its window closes.
    let rest = wait_for("a run was stopped in its middle", NEXT_WINDOW, || {
        rig.windows = opened(10)?;
        let outcome = rig.outcome("one")?;
        let JobOutcome::Stopped(StopWhy::WindowClosed) = outcome else {
            bail!("a run of 40 seconds was not stopped: {outcome:?}")
        };
        let rest = rig.number("SELECT count(*) FROM t")?;
        Ok(if rest < 20_000 {
            Ok(rest)
        } else {
            Err("no row is gone".to_owned())
        })
    })?;
    ensure!(rest > 0, "the run was over before its window closed");
    // Nothing of it is done while it is closed.
    rig.windows = opened(-1)?;
    let closed = rig.outcome("one")?;
    ensure!(
        matches!(closed, JobOutcome::Stopped(StopWhy::WindowClosed)),
        "{closed:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM t")? == rest);
    // Rows that fell due after the run began are none of its.
    let frozen = rig.now;
    rig.now = frozen + SignedDuration::from_hours(24 * 3_650);
    rig.sql("INSERT INTO t VALUES (30000, current_timestamp, 'due in ten years')")?;
    rig.windows = opened(600)?;
    rig.pacing.max_rows_per_second = None;
    rig.pacing.backlog = true;
    let run = rig.block_on(rig.begin_run("one")?.ran())?;
    ensure!(own(&run) == 20_000, "{run:?}");
    ensure!(run.as_of.as_second() == frozen.as_second(), "{run:?}");
    ensure!(rig.number("SELECT count(*) FROM t")? == 1);
    rig.expect_a_whole_chain()
}

fn from_window_to_window(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "from_window_to_window")?;
    set_windows(&stage, &often())?;
    let token = stage.run_now()?;
    wait_until_it_changes_rows(world, &stage, NEXT_WINDOW)?;
    // It takes longer than any window.
    let object = at_rest(&stage, "WindowClosed")?;
    let status = &object["status"];
    let open = status.pointer("/openRun/run").and_then(Value::as_str);
    ensure!(open.is_some_and(|run| run.ends_with(&token)), "{status}");
    let ready = condition(&object, "Ready").context("no Ready condition")?;
    ensure!(ready["status"] == "True", "{ready}");
    let opens = status["windowOpensAt"].as_str().context("no opening")?;
    let message = ready["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains(opens) && message.contains(open.unwrap_or_default()),
        "{message}"
    );
    ensure!(status["nextRunAt"] == opens, "{status}");
    let rest = left(world, &stage)?;
    ensure!(rest > 0 && rest < ROWS, "{rest} rows are left");
    ensure!(ledger_state(world, &stage)?.as_deref() == Some("open"));
    hurry(&stage)?;
    // The rest goes in a later window, and all of it is one run.
    stage.wait_run_ended(&token, NEXT_WINDOW)?;
    ends_as_one_run(world, &stage, &token)
}

fn outside(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "outside_windows")?;
    at_rest(&stage, "Scheduled")?;
    let (opens, windows) = far_away();
    set_windows(&stage, &windows)?;
    let token = stage.run_now()?;
    let object = at_rest(&stage, "WindowClosed")?;
    let status = &object["status"];
    ensure!(status["windowOpensAt"] == opens.as_str(), "{status}");
    ensure!(status.get("openRun").is_none(), "{status}");
    ensure!(status["handledRunNow"] != token.as_str(), "{status}");
    // A spec that was never counted is not counted now.
    let limits = json!({"spec": {"limits": {"maxRows": 50_000}}});
    stage.namespace.patch(POLICY, &stage.policy, &limits)?;
    let object = at_rest(&stage, "WindowClosed")?;
    ensure!(
        object.pointer("/status/planGeneration") != object.pointer("/metadata/generation"),
        "it was counted: {object}"
    );
    ensure!(left(world, &stage)? == ROWS);
    // The owner's word alone opens it.
    hurry(&stage)?;
    set_windows(&stage, &Value::Null)?;
    ends_as_one_run(world, &stage, &token)
}

fn over_its_limit(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "over_its_limit")?;
    hurry(&stage)?;
    at_rest(&stage, "Scheduled")?;
    wait_behind(&stage, "False", "KeepingUp")?;
    // Due every minute, and refused whole.
    let patch = json!({"spec": {"schedule": OFTEN, "limits": {"maxRows": 100}}});
    stage.namespace.patch(POLICY, &stage.policy, &patch)?;
    let object = wait_behind(&stage, "True", "LimitExceeded")?;
    let status = &object["status"];
    ensure!(
        status.pointer("/keepUp/never") == Some(&json!(true)),
        "{status}"
    );
    ensure!(
        status.pointer("/overdue/0/rows") == Some(&json!(ROWS))
            && status.pointer("/overdue/0/oldestAt").is_some(),
        "{status}"
    );
    let message = condition(&object, "FallingBehind").and_then(|c| c["message"].as_str());
    let message = message.unwrap_or_default();
    ensure!(
        message.contains("never") && message.contains("10000 rows of rule events"),
        "{message}"
    );
    let patch = json!({"spec": {"limits": {"maxRows": 100_000}}});
    stage.namespace.patch(POLICY, &stage.policy, &patch)?;
    let object = wait_behind(&stage, "False", "KeepingUp")?;
    ensure!(object.pointer("/status/overdue").is_none(), "{object}");
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn slower_than_its_schedule(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "slower_than_its_schedule")?;
    at_rest(&stage, "Scheduled")?;
    let pace = json!({"spec": {"pacing": {"maxRowsPerSecond": 50}}});
    stage.namespace.patch("TargetDatabase", TARGET, &pace)?;
    let patch = json!({"spec": {"schedule": OFTEN}});
    stage.namespace.patch(POLICY, &stage.policy, &patch)?;
    let object = wait_behind(&stage, "True", "Throttled")?;
    let keep_up = object.pointer("/status/keepUp").context("no estimate")?;
    ensure!(
        keep_up["rowsLeft"].as_i64().is_some_and(|left| left < ROWS),
        "{keep_up}"
    );
    stage
        .namespace
        .wait_until(POLICY, &stage.policy, "says when", PATIENCE, |object| {
            let end = object.pointer("/status/keepUp/caughtUpAt");
            end.map(drop).ok_or_else(|| object["status"].to_string())
        })?;
    // Another pace is that of the next attempt, which a window that is closed makes.
    hurry(&stage)?;
    let (_, closed) = far_away();
    set_windows(&stage, &closed)?;
    wait_behind(&stage, "True", "WindowsTooShort")?;
    let object = at_rest(&stage, "WindowClosed")?;
    let end = object.pointer("/status/keepUp/caughtUpAt");
    ensure!(end.is_some(), "the estimate is forgotten: {object}");
    set_windows(&stage, &Value::Null)?;
    wait_behind(&stage, "False", "KeepingUp")?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn applied(world: &World, server: Server) -> Result<()> {
    let schema = format!(
        "{TABLE}; INSERT INTO t SELECT n, {OLD}, 'old' FROM {}",
        series(server, 10_000)
    );
    let policy = crate::controller::POLICY
        .replace("events", "t")
        .replace("happened_at", "ended, timeZone: UTC");
    let schema = |database: &crate::sql::Database| Ok(database.fill(&schema));
    let mut desk = Desk::set(world, server, "window_apply", schema, &policy)?;
    let (opens, windows) = far_away();
    desk.edit(0, "pacing", json!({"windows": windows}))?;
    let refused = desk.apply()?.expect_refused("WindowClosed")?;
    ensure!(refused.out.contains(&opens), "{refused:?}");
    ensure!(!desk.has_ledger()?, "it was begun");
    // A plan is a person's own look.
    desk.call(&["plan", "--output", "json"])?.expect(2)?;
    let pace = json!({"maxRowsPerSecond": 400, "windows": often()});
    desk.edit(0, "pacing", pace)?;
    let stopped = wait_for(
        "a run was begun in a window and stopped at its end",
        NEXT_WINDOW,
        || {
            let answer = desk.apply()?;
            let report = answer.report()?;
            let open = report.pointer("/policies/0/openRun").is_some();
            Ok(if open { Ok(report) } else { Err(answer.out) })
        },
    )?;
    let refusal = stopped
        .pointer("/policies/0/refusals/0")
        .context("no refusal")?;
    ensure!(refusal["reason"] == "WindowClosed", "{refusal}");
    let remedy = refusal["remedy"].as_str().unwrap_or_default();
    ensure!(
        remedy.contains("go on") && remedy.contains("opens, at"),
        "{remedy}"
    );
    let rest = desk.number("SELECT count(*) FROM t")?;
    ensure!(rest > 0 && rest < 10_000, "{rest} rows are left");
    desk.edit(0, "pacing", json!({}))?;
    let done = desk.apply()?.expect(0)?.report()?;
    let rows = done.pointer("/policies/0/run/rules/0/changed/0/rows");
    ensure!(rows == Some(&json!(10_000)), "{done}");
    ensure!(desk.number("SELECT count(*) FROM t")? == 0);
    Ok(())
}
