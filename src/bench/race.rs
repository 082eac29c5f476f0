//! Somebody changes their mind about a row while another one deletes: an open transaction renews a row
//! that is due, is waited for, and commits. The row has to stay.

use std::future::Future;
use std::time::{Duration, Instant};

use oubliette_core::bench::work::{Layout, RaceSql, TableSql};
use oubliette_core::catalog::Engine;
use oubliette_core::sql::{Bound, Sql};

use super::ground::Ground;
use super::meter;
use crate::database::{Apart, Fault};

/// The name under which it stands among the checks.
pub const NAME: &str = "a row that is renewed meanwhile stays";

/// For so long the transaction is open, where nobody is seen to wait for it.
const OPEN: Duration = Duration::from_secs(5);

/// A statement of ours takes no longer.
const LIMIT: Duration = Duration::from_secs(30);

/// How often it is asked who waits.
const ASKED: Duration = Duration::from_millis(5);

/// Has somebody work on a few fresh rows beside the open transaction, and tells whether the row stays.
/// `None`: there is no such race about this work.
pub async fn race(
    ground: &Ground,
    layout: &Layout,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Option<bool>> {
    let table = layout.tables(ground.database.engine()).next();
    let Some((table, race)) = table.and_then(|table| Some((table, table.race()?))) else {
        return Ok(None);
    };
    ground.fresh(layout, false).await?;
    let row = ground.number(&race.pick).await?;
    let mut open = renew(ground, &table, &race, row).await?;
    let mut looking = ground.database.apart().await?;
    let engine = ground.database.engine();
    let before = waits(&mut looking, engine).await;
    let mut working = Box::pin(work);
    let worked = tokio::select! {
        worked = &mut working => Some(worked),
        () = waited_for(&mut looking, engine, before) => None,
    };
    open.run(&Sql::fixed("COMMIT"), LIMIT).await?;
    let worked = match worked {
        Some(worked) => worked,
        None => working.await,
    };
    // Whoever gives up because of it has left the row.
    let spared = ground.number(&table.about(race.spared, row)).await? == 1;
    if let Err(error) = worked {
        eprintln!("beside somebody who renews a row it ends with: {error:#}");
    }
    Ok(Some(spared))
}

/// Opens a transaction that renews a row.
async fn renew(
    ground: &Ground,
    table: &TableSql<'_>,
    race: &RaceSql,
    row: i64,
) -> Result<Apart, Fault> {
    let mut session = ground.database.apart().await?;
    session.run(&Sql::fixed("BEGIN"), LIMIT).await?;
    for text in race.renew {
        session.change(&table.about(text, row)).await?;
    }
    Ok(session)
}

/// Returns when somebody waits for a lock, or nobody has for long. `before`: what the count was before anybody could.
async fn waited_for(session: &mut Apart, engine: Engine, before: i64) {
    let began = Instant::now();
    while began.elapsed() < OPEN && waits(session, engine).await <= before {
        tokio::time::sleep(ASKED).await;
    }
}

/// How many wait for a lock; on InnoDB, how many have waited for a row since it was started, since its table of those who
/// do (`information_schema.innodb_trx`) tells nothing new to whoever asks more often than ten times a second. 0 for whoever
/// may not ask.
async fn waits(session: &mut Apart, engine: Engine) -> i64 {
    if engine.is_innodb() {
        let told = meter::innodb(session, meter::WAITS_FOR_ROWS).await;
        return told.ok().flatten().unwrap_or(0);
    }
    let query = Bound::fixed(
        "SELECT count(*) FROM pg_catalog.pg_stat_activity \
         WHERE wait_event_type = 'Lock' AND datname = current_database()",
        Vec::new(),
    );
    let rows = session.rows(&query).await.ok();
    rows.and_then(|rows| rows.first()?.first()?.as_int())
        .unwrap_or(0)
}
