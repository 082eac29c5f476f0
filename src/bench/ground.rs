//! The benchmark's own schema: made, filled, and removed whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use oubliette_core::bench::place::{Found, PlaceSql};
use oubliette_core::bench::work::{Layout, Numbers};
use oubliette_core::catalog::Engine;
use oubliette_core::sql::{Bound, Sql};
use oubliette_core::value::Value;

use crate::database::{Apart, Database, Fault};

/// Nothing that is made or removed takes longer.
const LIMIT: Duration = Duration::from_hours(1);

/// The server, and what was made on it.
#[derive(Debug)]
pub struct Ground {
    /// The database in which tables are made.
    pub database: Database,
    /// Numbers that there are.
    numbers: i64,
}

/// What is found under the name of the benchmark's schema.
pub async fn found(database: &Database) -> Result<Found, Fault> {
    let rows = database.apart().await?.rows(&sql(database).look()).await?;
    let number = |at: usize| {
        let row = rows.first();
        row.and_then(|row| row.get(at)?.as_int()).unwrap_or(0)
    };
    Ok(PlaceSql::found(number(0), number(1)))
}

/// A session in which no other benchmark begins there; `None`: one is at work.
pub async fn alone(database: &Database) -> Result<Option<Apart>, Fault> {
    let mut session = database.apart().await?;
    if database.engine().is_innodb() {
        // Nothing more is said there until the end.
        let stay = Sql::fixed("SET SESSION wait_timeout = 31536000");
        session.run(&stay, LIMIT).await?;
    } else {
        for stay in [
            "BEGIN ISOLATION LEVEL READ COMMITTED",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
        ] {
            session.run(&Sql::fixed(stay), LIMIT).await?;
        }
    }
    let rows = session.rows(&sql(database).take()).await?;
    let taken = rows.first().and_then(|row| row.first()?.as_int());
    Ok((taken == Some(1)).then_some(session))
}

/// Makes the schema. One that somebody else makes at the same moment stays theirs.
pub async fn make(database: &Database) -> Result<(), Fault> {
    let mut session = database.apart().await?;
    for (before, statement) in sql(database).make().iter().enumerate() {
        let made = one(&mut session, statement).await;
        if made.is_err() && before > 0 {
            // Nobody could tell whose it is.
            remove(database).await?;
        }
        made?;
    }
    Ok(())
}

/// Whether what is made there would go to subscribers.
pub async fn is_published(database: &Database) -> Result<bool, Fault> {
    let Some(query) = sql(database).published() else {
        return Ok(false);
    };
    let rows = database.apart().await?.rows(&query).await?;
    Ok(rows.first().and_then(|row| row.first()?.as_int()) != Some(0))
}

/// Removes the schema with everything in it.
pub async fn remove(database: &Database) -> Result<(), Fault> {
    all(&mut database.apart().await?, &sql(database).remove()).await
}

fn sql(database: &Database) -> PlaceSql {
    PlaceSql(database.engine())
}

async fn all(session: &mut Apart, statements: &[Bound]) -> Result<(), Fault> {
    for bound in statements {
        one(session, bound).await?;
    }
    Ok(())
}

/// Statements with values go another way, which not every statement can.
async fn one(session: &mut Apart, bound: &Bound) -> Result<u64, Fault> {
    if bound.values.is_empty() {
        session.run(&bound.sql, LIMIT).await
    } else {
        session.change(bound).await
    }
}

impl Ground {
    /// On a schema that was made.
    pub fn of(database: Database) -> Self {
        Self {
            database,
            numbers: 0,
        }
    }

    /// Makes the rows of a piece of work, of which every run gets a copy; how many of them are due.
    pub async fn originals(&mut self, layout: &Layout, rows: i64) -> Result<i64, Fault> {
        let engine = self.database.engine();
        let mut session = self.database.apart().await?;
        let numbers = Numbers(engine);
        if self.numbers == 0 {
            all(&mut session, &numbers.make()).await?;
            self.numbers = 1;
        }
        let most = layout.tables.iter().map(|table| table.times).max();
        let most = rows.saturating_mul(most.unwrap_or(1));
        while self.numbers < most {
            one(&mut session, &numbers.double(self.numbers, most)).await?;
            self.numbers = (self.numbers * 2).min(most);
        }
        for table in layout.tables(engine) {
            one(&mut session, &table.originals()).await?;
            one(&mut session, &table.fill(rows)).await?;
        }
        match layout.tables(engine).next() {
            Some(first) => self.number(&first.due()).await,
            None => Ok(0),
        }
    }

    /// Removes what a piece of work was done with.
    pub async fn forget(&self, layout: &Layout) -> Result<(), Fault> {
        let mut session = self.database.apart().await?;
        for table in layout.tables(self.database.engine()).rev() {
            all(&mut session, &[table.unmake(), table.forget()]).await?;
        }
        Ok(())
    }

    /// How many rows the rule's own table has.
    pub async fn rows(&self, layout: &Layout) -> Result<i64, Fault> {
        let table = layout.tables(self.database.engine()).next();
        let table = table.expect("every layout has a table");
        let [there, _] = table.left();
        self.number(&there).await
    }

    /// The only number that a query answers.
    pub async fn number(&self, query: &Bound) -> Result<i64, Fault> {
        let rows = self.database.apart().await?.rows(query).await?;
        let number = rows.first().and_then(|row| row.first()?.as_int());
        Ok(number.unwrap_or(0))
    }

    /// Makes the tables anew with a copy of the rows, or of a few of them.
    pub async fn fresh(&self, layout: &Layout, whole: bool) -> Result<(), Fault> {
        let engine = self.database.engine();
        let mut session = self.database.apart().await?;
        for table in layout.tables(engine).rev() {
            one(&mut session, &table.unmake()).await?;
        }
        for table in layout.tables(engine) {
            all(&mut session, &table.make()).await?;
            one(&mut session, &table.copy(whole)).await?;
            all(&mut session, &table.indexes()).await?;
        }
        for table in layout.tables(engine) {
            one(&mut session, &table.settle()).await?;
        }
        // What was written is on the disk before the clock runs. Not everybody may ask for it.
        let checkpoint = Sql::fixed("CHECKPOINT");
        if engine == Engine::Postgres {
            let _not_allowed = session.run(&checkpoint, LIMIT).await;
        }
        Ok(())
    }

    /// What of the server's settings matters for what is measured.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, Fault> {
        let query = match self.database.engine() {
            Engine::Postgres => Bound::fixed(
                "SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings \
                 WHERE name IN ('shared_buffers', 'max_wal_size', 'checkpoint_timeout', 'fsync', \
                 'synchronous_commit', 'full_page_writes', 'wal_level', 'autovacuum')",
                Vec::new(),
            ),
            Engine::MySql | Engine::MariaDb => Bound::fixed(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_buffer_pool_size', \
                 'innodb_flush_log_at_trx_commit', 'innodb_flush_method', 'innodb_log_file_size', \
                 'innodb_redo_log_capacity', 'innodb_doublewrite', 'log_bin', 'binlog_format', \
                 'sync_binlog', 'innodb_io_capacity')",
                Vec::new(),
            ),
        };
        let rows = self.database.apart().await?.rows(&query).await?;
        let text = |value: Option<&Value>| value?.as_text().map(ToOwned::to_owned);
        let pair = |row: Vec<Value>| Some((text(row.first())?, text(row.get(1))?));
        Ok(rows.into_iter().filter_map(pair).collect())
    }
}
