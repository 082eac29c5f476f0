//! What a run leaves behind: bytes of the log, and work that the server has put off.

use std::time::{Duration, Instant};

use oubliette_core::bench::Run;
use oubliette_core::bench::work::Layout;
use oubliette_core::catalog::Engine;
use oubliette_core::sql::{Bound, log_position};
use oubliette_core::value::Value;

use super::ground::Ground;
use super::peer::since;
use crate::database::{Apart, Database, Fault, FaultClass};

/// After so long what the server has put off is left to itself.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is asked.
const ASKED: Duration = Duration::from_millis(20);

/// Where the server's log was before a run.
#[derive(Debug)]
pub struct Before(Option<i64>);

/// Waits until the server has done what it has put off, and looks where it is.
pub async fn before(ground: &Ground) -> Result<Before, Fault> {
    let mut session = ground.database.apart().await?;
    let engine = ground.database.engine();
    if engine.is_innodb() {
        purged(&mut session).await;
    }
    Ok(Before(log(&mut session, engine).await))
}

/// Enters what was written since then, and when the server has done what it had put off.
pub async fn after(
    ground: &Ground,
    layout: &Layout,
    before: &Before,
    run: &mut Run,
) -> Result<(), Fault> {
    let mut session = ground.database.apart().await?;
    let engine = ground.database.engine();
    let began = Instant::now();
    let written = log(&mut session, engine).await.zip(before.0);
    run.log_bytes = written.and_then(|(is, was)| u64::try_from(is - was).ok());
    if run.cut {
        return Ok(());
    }
    let done = match engine {
        Engine::Postgres => {
            let mut in_time = true;
            for table in layout.tables(engine) {
                match session.run(&table.settle().sql, PATIENCE).await {
                    Err(fault) if fault.class == FaultClass::Cancelled => in_time = false,
                    done => drop(done?),
                }
            }
            in_time
        }
        Engine::MySql | Engine::MariaDb => purged(&mut session).await,
    };
    run.settled = done.then(|| run.phases.total() + since(began));
    Ok(())
}

/// Waits until InnoDB has nothing to purge. Where it does not tell, or takes too long, no.
async fn purged(session: &mut Apart) -> bool {
    let query = Bound::fixed("SHOW ENGINE INNODB STATUS", Vec::new());
    let (began, mut idle) = (Instant::now(), 0);
    // It may not have begun when it is asked first.
    while idle < 2 {
        // Not everybody may ask.
        let Ok(rows) = session.rows(&query).await else {
            return false;
        };
        let text = rows.first().and_then(|row| row.get(2)?.as_text());
        let is_idle = text.is_some_and(|text| text.contains("state: running but idle"));
        idle = if is_idle { idle + 1 } else { 0 };
        if began.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(ASKED).await;
    }
    true
}

/// Milliseconds that all waits for rows took together since InnoDB was started; `None`: the server does not count
/// them.
pub async fn waited_for_rows(database: &Database) -> Result<Option<i64>, Fault> {
    if !database.engine().is_innodb() {
        return Ok(None);
    }
    innodb(
        &mut database.apart().await?,
        "SHOW GLOBAL STATUS WHERE Variable_name = 'Innodb_row_lock_time'",
    )
    .await
}

/// How often somebody has waited for a row since InnoDB was started.
pub(super) const WAITS_FOR_ROWS: &str =
    "SHOW GLOBAL STATUS WHERE Variable_name = 'Innodb_row_lock_waits'";

/// A number that InnoDB keeps.
pub(super) async fn innodb(session: &mut Apart, query: &'static str) -> Result<Option<i64>, Fault> {
    let rows = session.rows(&Bound::fixed(query, Vec::new())).await?;
    let told = rows.first().and_then(|row| row.get(1));
    Ok(told.and_then(|told| told.as_text()?.parse().ok()))
}

/// Bytes of WAL or binlog that there are.
async fn log(session: &mut Apart, engine: Engine) -> Option<i64> {
    if let Some(query) = log_position(engine) {
        return session.rows(&query).await.ok()?.first()?.first()?.as_int();
    }
    // Refused where there is no binlog.
    let files = Bound::fixed("SHOW BINARY LOGS", Vec::new());
    let files = session.rows(&files).await.ok()?;
    files
        .iter()
        .map(|file| file.get(1).and_then(Value::as_int))
        .sum()
}
