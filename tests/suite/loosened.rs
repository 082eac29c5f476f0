//! A hold that is released while an approved run is on its way: what it kept does not go with what was
//! approved before.

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use oubliette::work::job::{JobOutcome, StopWhy};
use oubliette_core::ledger::Released;
use oubliette_core::plan::Assent;

use crate::case::{Case, Server};
use crate::holds::{hold, placed};
use crate::races::rig;
use crate::rig::own;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each(
        "loosened::an_approved_run_stops_before_it_takes_what_was_released_on_its_way",
        &Server::ALL,
        on_the_way,
    )
}

const ROWS: u32 = 6_000;

fn on_the_way(world: &World, server: Server) -> Result<()> {
    let mut rig = rig(world, server, "loosened_on_the_way", ROWS)?.steady(1_000);
    let held = hold(&rig, "matter", "t", "id", &["7", "8"])?;
    let store = placed(&rig, &held)?;
    let left = |rig: &crate::rig::Rig<'_>| rig.number("SELECT count(*) FROM t");
    let assent = Assent {
        plan: rig.plan()?.digest,
        parts: None,
        max_rows: Some(ROWS.into()),
        approved_at: Some(Timestamp::now()),
    };
    rig.assent = Some(assent.clone());
    let run = rig.begin_run("one")?;
    wait_for("the run has changed rows", PATIENCE, || {
        let left = left(&rig)?;
        Ok(if left < ROWS.into() {
            Ok(())
        } else {
            Err(left.to_string())
        })
    })?;
    let released = Released {
        at: Timestamp::now().to_string(),
        by: "judge".to_owned(),
        reason: "CASE-1/closed".to_owned(),
    };
    rig.block_on(store.release_hold("matter", &released))?
        .context("the hold was not in the ledger")?;
    let outcome = rig.block_on(run.outcome())?;
    ensure!(
        matches!(outcome, JobOutcome::Stopped(StopWhy::Unapproved)),
        "{outcome:?}"
    );
    let kept = "SELECT count(*) FROM t WHERE id IN (7, 8)";
    ensure!(rig.number(kept)? == 2, "a released row is gone");
    let rest = left(&rig)?;

    // It does not go on under the same approval, and tells by what that has become void.
    let JobOutcome::Planned(plan) = rig.outcome("one")? else {
        bail!("an approval that is older than the release counted")
    };
    ensure!(
        plan.loosened
            .first()
            .is_some_and(|first| first.hold == held.name),
        "{plan:?}"
    );
    ensure!(left(&rig)? == rest);

    let younger = Timestamp::now() + SignedDuration::from_secs(10);
    rig.assent = Some(Assent {
        approved_at: Some(younger),
        ..assent
    });
    let run = rig.block_on(rig.begin_run("one")?.ran())?;
    ensure!(own(&run) == i64::from(ROWS), "{run:?}");
    ensure!(left(&rig)? == 0);
    rig.expect_a_whole_chain()
}
