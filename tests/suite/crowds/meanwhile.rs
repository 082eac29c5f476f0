//! What others do in the middle of requests that are carried out together.

use anyhow::{Context, Result, ensure};
use oubliette::work::erase::{Ask, Member, Place, perform, together};
use oubliette::work::job::StopWhy;
use oubliette_core::erasure::outcome::{PlaceRun, RequestOutcome};
use tokio::sync::watch;

use super::{ROWS, Shop, member, rows, told, unwatched};
use crate::case::Server;
use crate::holds;
use crate::rig::series;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

async fn alone(ask: &Ask, places: &[Place]) -> Result<Vec<PlaceRun>> {
    let (_stop, stopped) = watch::channel(None);
    match Box::pin(perform(ask, places, &unwatched(), stopped)).await {
        RequestOutcome::Erased(runs) => Ok(runs),
        other => anyhow::bail!("{}: {}", ask.name, told(&other)),
    }
}

/// Of which customers, from this one on, the request was carried out together with others.
fn grouped(first: u32, outcomes: &[Option<RequestOutcome>]) -> Vec<u32> {
    (first..)
        .zip(outcomes)
        .filter_map(|(number, outcome)| outcome.as_ref().map(|_| number))
        .collect()
}

impl Shop<'_> {
    fn all_approved(&self, numbers: std::ops::RangeInclusive<u32>) -> Result<Prepared> {
        let places = self.rig.block_on(self.places())?;
        self.approved_in(places, numbers)
    }

    fn approved_in(
        &self,
        places: Vec<Place>,
        numbers: std::ops::RangeInclusive<u32>,
    ) -> Result<Prepared> {
        let (places, asks) = self.rig.block_on(async {
            let mut asks = Vec::new();
            for number in numbers {
                let ask = self.approved(number, &places).await;
                asks.push(ask.with_context(|| format!("customer {number}"))?);
            }
            anyhow::Ok((places, asks))
        })?;
        let (members, stops) = asks.iter().cloned().map(member).unzip();
        Ok(Prepared {
            places,
            asks,
            members,
            stops,
        })
    }

    fn has(&self, query: &str, expected: i64) -> Result<()> {
        let found = self.rig.number(query)?;
        ensure!(found == expected, "{query}: {found}");
        Ok(())
    }
}

/// Requests that are ready to be carried out.
struct Prepared {
    places: Vec<Place>,
    asks: Vec<Ask>,
    members: Vec<Member>,
    stops: Vec<watch::Sender<Option<StopWhy>>>,
}

impl Prepared {
    /// Carries them out together. When their runs have begun and the first row is not changed yet, something
    /// else happens.
    fn together_and<T>(
        &self,
        shop: &Shop<'_>,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<(Vec<Option<RequestOutcome>>, T)> {
        // Each rule is told to one after the other: nobody writes what is being read.
        let gate = self.members[1].progress.borrow();
        std::thread::scope(|scope| {
            let work = || {
                shop.rig
                    .block_on(Box::pin(together(&self.members, &self.places)))
            };
            let work = scope.spawn(work);
            let begun = wait_for("the first rule", PATIENCE, || {
                let rule = self.members[0].progress.borrow().rule.clone();
                Ok(rule.map(drop).ok_or_else(|| "none".to_owned()))
            });
            let done = begun.and_then(|()| meanwhile());
            drop(gate);
            let outcomes = work.join().map_err(|_| anyhow::anyhow!("it panicked"))?;
            Ok((outcomes, done?))
        })
    }
}

/// One is told to stop (11), of one a row is locked (12), one has many rows (13): the others go on.
pub(super) fn few_are_out(world: &World, server: Server) -> Result<()> {
    let shop = Shop::new(world, server, 16)?;
    let many = series(server, 600);
    shop.rig.sql(&format!(
        "INSERT INTO visits SELECT n + 1000, 13, 'a page', NULL FROM {many}"
    ))?;
    let prepared = shop.all_approved(11..=15)?;
    let (outcomes, session) = prepared.together_and(&shop, || {
        prepared.stops[0].send_replace(Some(StopWhy::Unapproved));
        let locks = "UPDATE newsletter SET address = 'locked' WHERE id = 12";
        shop.rig.holding(locks)
    })?;
    let Prepared {
        places,
        asks,
        members,
        ..
    } = &prepared;
    let grouped = grouped(11, &outcomes);
    ensure!(grouped == [14, 15], "{grouped:?}");
    for outcome in outcomes.iter().flatten() {
        let RequestOutcome::Erased(runs) = outcome else {
            anyhow::bail!("{}", told(outcome))
        };
        ensure!(rows(runs) == ROWS, "{runs:?}");
    }
    shop.has(
        "SELECT count(*) FROM newsletter WHERE id IN (11, 12, 13)",
        3,
    )?;
    shop.has("SELECT count(*) FROM newsletter WHERE id IN (14, 15)", 0)?;
    shop.has("SELECT count(*) FROM visits WHERE person = 13", 602)?;
    let Member { ask, stop, .. } = &members[0];
    let stopped = shop
        .rig
        .block_on(Box::pin(perform(ask, places, &unwatched(), stop.clone())));
    ensure!(
        matches!(stopped, RequestOutcome::Stopped(StopWhy::Unapproved)),
        "{stopped:?}"
    );
    shop.has("SELECT count(*) FROM newsletter WHERE id = 11", 1)?;
    drop(session);
    for (ask, expected) in asks.iter().zip([ROWS, ROWS, ROWS + 600]) {
        let runs = shop.rig.block_on(alone(ask, places))?;
        ensure!(rows(&runs) == expected, "{}: {runs:?}", ask.name);
    }
    shop.has(
        "SELECT count(*) FROM newsletter WHERE id > 10 AND id <= 15",
        0,
    )?;
    shop.has(
        "SELECT count(*) FROM visits WHERE person > 10 AND person <= 15",
        0,
    )?;
    shop.rig.expect_a_whole_chain()?;
    shop.rig.expect_no_keys_kept()
}

/// Where all texts are searched at the end, each is erased together with the others, and searched for alone.
pub(super) fn texts_are_searched_alone(world: &World, server: Server) -> Result<()> {
    let mut shop = Shop::new(world, server, 12)?;
    shop.map = format!("{}residueScan: true\n", shop.map.trim_start());
    shop.rig
        .sql("UPDATE visits SET page = 'as P11@example.org' WHERE id = 1")?;
    let Prepared {
        places,
        asks,
        members,
        stops: _stops,
    } = shop.all_approved(11..=12)?;
    let outcomes = shop.rig.block_on(Box::pin(together(&members, &places)));
    ensure!(grouped(11, &outcomes).is_empty(), "{outcomes:?}");
    shop.has("SELECT count(*) FROM people WHERE id > 10", 0)?;
    for (ask, left) in asks.iter().zip([1, 0]) {
        let runs = shop.rig.block_on(alone(ask, &places))?;
        ensure!(rows(&runs) == ROWS, "{}: {runs:?}", ask.name);
        let found = runs[0].residue.as_ref().map(|residue| &residue.found);
        let found = found.context("nothing was searched")?;
        let found: i64 = found.iter().map(|count| count.rows).sum();
        ensure!(found == left, "{}: {runs:?}", ask.name);
    }
    Ok(())
}

/// A hold is placed (11 to 13), and another process takes one of them over (14 to 16): none of them goes on
/// together, what is held stays, and each row is counted once.
pub(super) fn all_are_out(world: &World, server: Server) -> Result<()> {
    let shop = Shop::new(world, server, 16)?;
    let held = shop.all_approved(11..=13)?;
    let hold = holds::hold(&shop.rig, "hold", "newsletter", "id", &["12"])?;
    let (outcomes, _) = held.together_and(&shop, || holds::placed(&shop.rig, &hold))?;
    ensure!(grouped(11, &outcomes).is_empty(), "{outcomes:?}");
    shop.has("SELECT count(*) FROM newsletter WHERE id = 12", 1)?;
    for (ask, kept) in held.asks.iter().zip([0, 1, 0]) {
        let runs = shop.rig.block_on(alone(ask, &held.places))?;
        ensure!(rows(&runs) == ROWS - kept, "{}: {runs:?}", ask.name);
        let by: i64 = runs
            .iter()
            .flat_map(|place| holds::held_by(&place.run))
            .map(|(_, rows)| rows)
            .sum();
        ensure!(by == kept, "{}: {runs:?}", ask.name);
    }
    shop.has(
        "SELECT count(*) FROM newsletter WHERE id > 10 AND id <= 13",
        1,
    )?;

    let taken = shop.all_approved(14..=16)?;
    let (outcomes, other) = taken.together_and(&shop, || {
        shop.rig.block_on(alone(&taken.asks[0], &taken.places))
    })?;
    ensure!(rows(&other) == ROWS, "{other:?}");
    ensure!(grouped(14, &outcomes).is_empty(), "{outcomes:?}");
    for ask in &taken.asks {
        let runs = shop.rig.block_on(alone(ask, &taken.places))?;
        ensure!(rows(&runs) == ROWS, "{}: {runs:?}", ask.name);
    }
    shop.has("SELECT count(*) FROM people WHERE id > 10", 0)?;
    shop.has("SELECT count(*) FROM newsletter WHERE id > 10", 1)?;
    shop.rig.expect_a_whole_chain()?;
    shop.rig.expect_no_keys_kept()
}

/// A hold is placed in the second database while the first one is worked on: whose rows it keeps is gone on
/// with alone, and these are found when it is released.
pub(super) fn held_between_databases(world: &World, server: Server) -> Result<()> {
    let shop = Shop::new(world, server, 13)?.with_club(world, 13)?;
    let mut places = shop.rig.block_on(shop.places())?;
    places.reverse();
    let prepared = shop.approved_in(places, 11..=13)?;
    let hold = holds::hold(&shop.rig, "hold", "newsletter", "id", &["12"])?;
    let (outcomes, store) = prepared.together_and(&shop, || holds::placed(&shop.rig, &hold))?;
    let grouped = grouped(11, &outcomes);
    ensure!(grouped == [11, 13], "{grouped:?}");
    shop.has("SELECT count(*) FROM newsletter WHERE id > 10", 1)?;
    let ask = &prepared.asks[1];
    let runs = shop.rig.block_on(alone(ask, &prepared.places))?;
    // With the member of the club, and without the address.
    ensure!(rows(&runs) == ROWS, "{runs:?}");
    shop.rig
        .block_on(store.release_hold("hold", &holds::released()))?;
    let later = Ask {
        round: "@later".to_owned(),
        ..ask.clone()
    };
    let runs = shop.rig.block_on(alone(&later, &prepared.places))?;
    ensure!(rows(&runs) == 1, "{runs:?}");
    shop.has("SELECT count(*) FROM newsletter WHERE id > 10", 0)?;
    shop.rig.expect_a_whole_chain()
}
