//! What requests together cost, beside one by one; one person of many rows, beside statements by hand.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use oubliette::work::erase::{Ask, Member, Turns, forget, perform};
use oubliette_core::bench::{Who, Work};
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::target::PacingMode;
use tokio::sync::watch;

use super::{ROWS, Shop, member, rows, unwatched};
use crate::bench::result;
use crate::case::Server;
use crate::rig::series;
use crate::world::World;

/// So many customers, and so many of them that ask, once one by one and once together.
const PEOPLE: u32 = 10_000;
const ASKING: u32 = 1_000;
const ASKING_QUICK: u32 = 50;
/// So many are planned at once, which is not measured.
const PLANNED_AT_ONCE: usize = 4;

/// Requests one by one, and others together.
pub(crate) fn many_requests(world: &World, server: Server) -> Result<String> {
    let begun = Timestamp::now();
    let asking = result::size("OUBLIETTE_BENCH_ASKING", ASKING, ASKING_QUICK)?;
    let shop = Shop::new(world, server, PEOPLE)?;
    shop.rig.block_on(async {
        let places = shop.places().await?;
        let began = Instant::now();
        let asks = (101..=100 + 2 * asking).map(|number| shop.approved(number, &places));
        let asks = stream::iter(asks).buffered(PLANNED_AT_ONCE);
        let mut asks: Vec<Ask> = asks.try_collect().await?;
        let planned = began.elapsed() / (2 * asking);
        let others = asks.split_off(asks.len() / 2);
        let one_by_one = async |asks: &[Ask]| {
            let began = Instant::now();
            for ask in asks {
                let (_stop, stopped) = watch::channel(None);
                let outcome = Box::pin(perform(ask, &places, &unwatched(), stopped)).await;
                is_whole(&outcome)?;
            }
            anyhow::Ok(began.elapsed())
        };
        // Half before the others and half behind them: what has become of the tables meanwhile tells on both.
        let (before, behind) = asks.split_at(asks.len() / 2);
        let mut alone = Box::pin(one_by_one(before)).await?;
        let began = Instant::now();
        let turns = Turns::new(1);
        let all = join_all(others.into_iter().map(|ask| {
            let (Member { ask, progress, stop }, never) = member(ask);
            let (turns, places) = (turns.clone(), places.clone());
            async move {
                let _never = never;
                Box::pin(turns.perform(ask, places, progress, stop)).await
            }
        }));
        for outcome in all.await {
            is_whole(&outcome)?;
        }
        let together = began.elapsed();
        alone += Box::pin(one_by_one(behind)).await?;
        let began = Instant::now();
        for ask in &asks {
            forget(&ask.uid, &places, &[]).await?;
        }
        let forgotten = began.elapsed() / asking;
        let of = (i64::from(PEOPLE), i64::from(asking));
        let mut cell = result::cell(&places[0].database, Work::Subjects, of).await?;
        for (who, took) in [(Who::OneByOne, alone), (Who::Grouped, together)] {
            let a_second = f64::from(asking) / took.as_secs_f64();
            let mode = result::once(who, i64::from(asking), took);
            cell.modes
                .push(result::counted(mode, "subjects", a_second, "subjects/s"));
        }
        result::write(&format!("subjects-{}", server.slug()), begun, cell)?;
        let (one_by_one, at_once) = (alone / asking, together / asking);
        Ok(format!(
            "{asking} requests of {ROWS} rows among {PEOPLE} persons, one by one {one_by_one:.2?} each, \
             at once {at_once:.2?} each: ratio {:.2}; a plan before that {planned:.2?}, {PLANNED_AT_ONCE} at \
             once, and to forget one {forgotten:.2?}",
            one_by_one.as_secs_f64() / at_once.as_secs_f64(),
        ))
    })
}

fn is_whole(outcome: &RequestOutcome) -> Result<()> {
    match outcome {
        RequestOutcome::Erased(runs) => ensure!(rows(runs) == ROWS, "{runs:?}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

/// Visits of one person.
const VISITS: u32 = 1_000_000;
const VISITS_QUICK: u32 = 50_000;

/// One person of very many rows, beside the statements that somebody would write by hand.
pub(crate) fn one_person(world: &World, server: Server) -> Result<String> {
    let visits = result::size("OUBLIETTE_BENCH_VISITS", VISITS, VISITS_QUICK)?;
    let shop = Shop::new(world, server, 4)?;
    let many = series(server, visits);
    for person in [1, 2] {
        shop.rig.sql(&format!(
            "INSERT INTO visits SELECT n + {}, {person}, 'a page', NULL FROM {many}",
            person * 10_000_000_i64
        ))?;
    }
    shop.rig.sql(if server.is_postgres() {
        "VACUUM ANALYZE visits"
    } else {
        "ANALYZE TABLE visits"
    })?;
    let began = Instant::now();
    shop.rig.sql(
        "DELETE FROM parcels WHERE order_id IN (SELECT id FROM orders WHERE person = 2);
         DELETE FROM orders WHERE person = 2;
         UPDATE visits SET person = NULL, page = NULL WHERE person = 2;
         DELETE FROM newsletter WHERE lower(trim(address)) = 'p2@example.org';
         DELETE FROM people WHERE id = 2",
    )?;
    let by_hand = began.elapsed();
    let ask = shop.rig.block_on(async {
        let places = shop.places().await?;
        shop.approved(1, &places).await
    })?;
    let began = Instant::now();
    shop.rig.block_on(async {
        let mut places = shop.places().await?;
        for place in &mut places {
            place.target.pacing.mode = PacingMode::Backlog;
        }
        let (_stop, stopped) = watch::channel(None);
        match Box::pin(perform(&ask, &places, &unwatched(), stopped)).await {
            RequestOutcome::Erased(runs) => {
                ensure!(rows(&runs) == ROWS + i64::from(visits), "{runs:?}");
            }
            other => bail!("{other:?}"),
        }
        Ok(())
    })?;
    let took = began.elapsed();
    let rate = |took: Duration| f64::from(visits) / took.as_secs_f64();
    Ok(format!(
        "a person of {visits} rows, by hand {by_hand:.2?} ({:.0} rows/s), a request in Backlog {took:.2?} \
         ({:.0} rows/s, its plan and all looks among it): ratio {:.2}",
        rate(by_hand),
        rate(took),
        by_hand.as_secs_f64() / took.as_secs_f64(),
    ))
}
