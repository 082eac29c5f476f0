//! A session apart from all transactions of the program: with the server's own settings, as somebody
//! has it who types statements, each of which commits by itself.
//!
//! For the benchmark only. The connection is closed in the end, never reused.

use std::time::Duration;

use oubliette_core::sql::{Bound, Sql};
use oubliette_core::value::Value;
use sqlx::{Executor, raw_sql};
use tokio::sync::OwnedSemaphorePermit;

use super::cancel::Canceller;
use super::connect::Database;
use super::fault::Fault;
use super::session::{Link, statement};
use super::{mysql, postgres};

/// A session.
pub struct Apart {
    /// Taken at the end.
    link: Option<Link>,
    canceller: Canceller,
    /// A statement is in flight. Found so afterwards, its future was dropped.
    busy: bool,
    /// Given back after the connection.
    _slot: OwnedSemaphorePermit,
}

impl Database {
    /// Opens a session of its own.
    pub async fn apart(&self) -> Result<Apart, Fault> {
        let slot = self.slot().await?;
        // The pool may have no other than one that lies there.
        self.at_hand().clear();
        let link = self.acquire().await?;
        let own = match link {
            Link::Postgres(_) => "SELECT pg_catalog.pg_backend_pid()",
            Link::MySql(_) => "SELECT CAST(CONNECTION_ID() AS SIGNED)",
        };
        let mut apart = Apart {
            link: Some(link),
            canceller: Canceller::new(self.clone()),
            busy: false,
            _slot: slot,
        };
        let own = apart.rows(&Bound::fixed(own, Vec::new())).await?;
        let own = own.first().and_then(|row| row.first()?.as_int());
        apart.canceller.knows(own.unwrap_or(0));
        Ok(apart)
    }
}

impl Apart {
    /// Runs a statement without placeholders, in one round trip; how many rows it touched. After so long
    /// it is cancelled in the server and awaited.
    pub async fn run(&mut self, sql: &Sql, limit: Duration) -> Result<u64, Fault> {
        let Some(link) = self.link.as_mut() else {
            return Ok(0);
        };
        self.busy = true;
        let answer = {
            let mut running = Box::pin(plain(link, sql));
            if let Ok(answer) = tokio::time::timeout(limit, &mut running).await {
                answer
            } else {
                // Its own failure changes nothing: the statement is awaited.
                let _unheard = self.canceller.cancel().await;
                running.await
            }
        };
        self.busy = false;
        answer
    }

    /// The rows of a query.
    pub async fn rows(&mut self, bound: &Bound) -> Result<Vec<Vec<Value>>, Fault> {
        let Some(link) = self.link.as_mut() else {
            return Ok(Vec::new());
        };
        self.busy = true;
        let answer = match link {
            Link::Postgres(conn) => postgres::rows(conn, bound).await,
            Link::MySql(conn) => mysql::rows(conn, bound).await,
        };
        self.busy = false;
        answer
    }

    /// Runs a statement with values.
    pub async fn change(&mut self, bound: &Bound) -> Result<u64, Fault> {
        let Some(link) = self.link.as_mut() else {
            return Ok(0);
        };
        self.busy = true;
        let answer = match link {
            Link::Postgres(conn) => postgres::change(conn, bound).await,
            Link::MySql(conn) => mysql::change(conn, bound).await,
        };
        self.busy = false;
        answer
    }
}

async fn plain(link: &mut Link, sql: &Sql) -> Result<u64, Fault> {
    let sql = raw_sql(statement(sql));
    match link {
        Link::Postgres(conn) => {
            let done = (&mut **conn).execute(sql).await;
            done.map(|done| done.rows_affected())
        }
        Link::MySql(conn) => {
            let done = (&mut **conn).execute(sql).await;
            done.map(|done| done.rows_affected())
        }
    }
    .map_err(Fault::in_session)
}

impl Drop for Apart {
    fn drop(&mut self) {
        if self.busy
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // The server does not notice a closed socket in the middle of a statement.
            let canceller = self.canceller.clone();
            runtime.spawn(async move { canceller.cancel().await });
        } else {
            self.canceller.retire();
        }
        match self.link.take() {
            Some(Link::Postgres(conn)) => drop(conn.detach()),
            Some(Link::MySql(conn)) => drop(conn.detach()),
            None => {}
        }
    }
}

impl std::fmt::Debug for Apart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").finish_non_exhaustive()
    }
}
