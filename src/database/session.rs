//! One transaction: its beginning, its statements, its end.
//!
//! Owns the rule that after any error only a rollback is possible, and that a connection is used
//! again only when both sides agree that nothing is open on it.

use std::future::Future;
use std::time::{Duration, Instant};

use oubliette_core::catalog::Engine;
use oubliette_core::sql::{Bound, Sql};
use oubliette_core::value::Value;
#[expect(
    clippy::disallowed_types,
    reason = "the one place that asserts SQL safe; it takes Sql only"
)]
use sqlx::AssertSqlSafe;
use sqlx::pool::PoolConnection;
use sqlx::{MySql, Postgres, SqlSafeStr, SqlStr};
use tokio::sync::OwnedSemaphorePermit;

use super::at_hand::Lent;
use super::cancel::Canceller;
use super::connect::{Database, Version};
use super::fault::{Fault, FaultClass};
use super::{mysql, postgres};

/// How long the server has for its own time limit to act before the statement is cancelled from a
/// second connection, and again before the connection is given up.
const GRACE: Duration = Duration::from_secs(5);

/// How long a transaction may lie idle before the server ends it: a dead client must not keep locks.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// What a transaction may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing but reading; the server refuses a change.
    ReadOnly,
    /// Changes, within these limits.
    Change(Timeouts),
}

/// Limits of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long to wait for a lock (InnoDB: whole seconds, rounded up, and per lock).
    pub lock: Duration,
    /// How long a statement may run (MySQL bounds reading statements only).
    pub statement: Duration,
}

/// Makes the program's own SQL text acceptable to the driver. The only such place; [`Sql`] is made
/// by the statement writer and from literals, and by nothing else.
pub(super) fn statement(sql: &Sql) -> SqlStr {
    AssertSqlSafe(sql.text().to_owned()).into_sql_str()
}

pub(super) enum Link {
    Postgres(PoolConnection<Postgres>),
    MySql(PoolConnection<MySql>),
}

impl Link {
    /// Closes the socket, with no word to server or pool.
    pub(super) fn cut(self) {
        match self {
            Self::Postgres(conn) => drop(conn.detach()),
            Self::MySql(conn) => drop(conn.detach()),
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing in flight, the transaction stands.
    Open,
    /// A statement is in flight. Found here afterwards, its future was dropped.
    Busy,
    /// A statement failed.
    Failed(Fault),
}

/// An open transaction. Dropped without [`Tx::commit`] or [`Tx::rollback`], its connection is
/// closed, never reused.
pub struct Tx {
    /// Taken at the end.
    lent: Option<Lent>,
    state: State,
    limit: Duration,
    canceller: Canceller,
    /// When a connection was free for it.
    started: Instant,
    /// Given back after the connection.
    slot: Option<OwnedSemaphorePermit>,
}

/// How a COMMIT failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitFault {
    /// Nothing was committed.
    #[error("the transaction was rolled back: {0}")]
    RolledBack(#[source] Fault),
    /// The answer was lost: only a locking read of the own checkpoint tells how it ended.
    #[error("whether the transaction was committed is unknown: {0}")]
    Unknown(#[source] Fault),
}

impl CommitFault {
    /// The failure itself.
    pub fn fault(&self) -> &Fault {
        match self {
            Self::RolledBack(fault) | Self::Unknown(fault) => fault,
        }
    }
}

impl Database {
    /// Begins a transaction with the session settings that SQL.md section 1 asks for. Where all
    /// connections are in use it waits for one: whoever has one must not begin a second transaction.
    pub async fn begin(&self, access: Access) -> Result<Tx, Fault> {
        let (read_only, timeouts) = match access {
            Access::ReadOnly => (true, self.reading()),
            Access::Change(timeouts) => (false, timeouts),
        };
        let slot = self.slot().await?;
        let started = Instant::now();
        let lent = match self.at_hand().take() {
            Some(lent) => lent,
            None => Lent::now(self.acquire().await?),
        };
        let mut tx = Tx {
            lent: Some(lent),
            state: State::Busy,
            limit: timeouts.statement,
            canceller: Canceller::new(self.clone()),
            started,
            slot: Some(slot),
        };
        let engine = self.engine();
        let begun = {
            let begin = async {
                match tx.link() {
                    Some(Link::Postgres(conn)) => postgres::begin(conn, read_only, timeouts).await,
                    Some(Link::MySql(conn)) => {
                        mysql::begin(conn, engine, read_only, timeouts).await
                    }
                    None => Err(ended()),
                }
            };
            deadline(timeouts.statement + GRACE, begin).await
        };
        match begun {
            Ok(backend) => {
                tx.canceller.knows(backend);
                tx.state = State::Open;
                Ok(tx)
            }
            Err(fault) => {
                tx.state = State::Failed(fault.clone());
                tx.rollback().await;
                Err(fault)
            }
        }
    }
}

impl Tx {
    /// Runs a statement and returns its rows. Result columns are integers, text, bytes or booleans
    /// (as 0 and 1); statements cast everything else.
    pub async fn rows(&mut self, bound: &Bound) -> Result<Vec<Vec<Value>>, Fault> {
        self.run(async |link| match link {
            Link::Postgres(conn) => postgres::rows(conn, bound).await,
            Link::MySql(conn) => mysql::rows(conn, bound).await,
        })
        .await
    }

    /// Runs an EXPLAIN: columns of types that no statement of ours returns are NULL in its rows.
    pub async fn explained(&mut self, bound: &Bound) -> Result<Vec<Vec<Value>>, Fault> {
        self.run(async |link| match link {
            Link::Postgres(conn) => postgres::rows(conn, bound).await,
            Link::MySql(conn) => mysql::explained(conn, bound).await,
        })
        .await
    }

    /// Runs a statement and returns how many rows it touched. On MySQL and MariaDB an UPDATE counts
    /// the rows it matched, changed or not, as PostgreSQL does.
    pub async fn change(&mut self, bound: &Bound) -> Result<u64, Fault> {
        self.run(async |link| match link {
            Link::Postgres(conn) => postgres::change(conn, bound).await,
            Link::MySql(conn) => mysql::change(conn, bound).await,
        })
        .await
    }

    /// When it had a connection: the wait for a free one says nothing of its own work.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The server's engine.
    pub fn engine(&self) -> Engine {
        self.canceller.database().engine()
    }

    /// The server's version.
    pub(super) fn version(&self) -> &Version {
        self.canceller.database().version()
    }

    /// A handle that cancels this transaction's running statement from a second connection.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Commits. An error says whether nothing was committed or nobody knows.
    pub async fn commit(mut self) -> Result<(), CommitFault> {
        match self.state.clone() {
            State::Open => {}
            State::Busy => {
                self.rollback().await;
                return Err(CommitFault::RolledBack(ended()));
            }
            State::Failed(fault) => {
                self.rollback().await;
                return Err(CommitFault::RolledBack(fault));
            }
        }
        self.state = State::Busy;
        let limit = self.limit + GRACE;
        let Some(link) = self.link() else {
            return Err(CommitFault::RolledBack(ended()));
        };
        let done = deadline(limit, end(link, "COMMIT")).await;
        match done {
            Ok(()) => {
                self.release();
                Ok(())
            }
            // The connection is closed by the drop, whatever state it is in.
            Err(fault) if fault.proves_rollback() => Err(CommitFault::RolledBack(fault)),
            Err(fault) => Err(CommitFault::Unknown(fault)),
        }
    }

    /// Rolls back. Cannot fail: where the server does not answer, closing the connection does it.
    pub async fn rollback(mut self) {
        let orderly = match &self.state {
            State::Open => true,
            State::Busy => false,
            State::Failed(fault) => fault.is_orderly() || fault.class == FaultClass::Undecodable,
        };
        if !orderly {
            return;
        }
        self.state = State::Busy;
        let Some(link) = self.link() else {
            return;
        };
        if deadline(GRACE, end(link, "ROLLBACK")).await.is_ok() {
            self.release();
        }
    }

    /// Runs one statement, with a deadline of our own behind the server's: a host that vanished
    /// never answers. The statement is cancelled in the server and awaited before it is given up.
    async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut Link) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match &self.state {
            State::Open => {}
            State::Busy | State::Failed(_) => return Err(ended()),
        }
        self.state = State::Busy;
        let Some(link) = self.lent.as_mut().map(|lent| &mut lent.link) else {
            return Err(ended());
        };
        let answer = {
            // On the heap: the driver's part is large, and a batch is many calls deep.
            let mut running = Box::pin(statement(link));
            let answer = tokio::time::timeout(self.limit + GRACE, &mut running).await;
            if let Ok(answer) = answer {
                answer
            } else {
                // Its own failure changes nothing: the next deadline decides.
                let _unheard = self.canceller.cancel().await;
                deadline(GRACE, running).await
            }
        };
        self.state = match &answer {
            Ok(_) => State::Open,
            Err(fault) => State::Failed(fault.clone()),
        };
        answer
    }

    fn link(&mut self) -> Option<&mut Link> {
        self.lent.as_mut().map(|lent| &mut lent.link)
    }

    /// Lays the connection at hand, unless a cancellation may still arrive on it.
    fn release(&mut self) {
        self.state = State::Open;
        if self.canceller.retire()
            && let Some(lent) = self.lent.take()
        {
            self.canceller.database().at_hand().put(lent);
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(Lent { link, .. }) = self.lent.take() else {
            return;
        };
        let unheard = matches!(self.state, State::Busy);
        if unheard && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // The server does not notice a closed socket in the middle of a statement.
            // Until it has heard, the server counts this session, too.
            let (canceller, slot) = (self.canceller.clone(), self.slot.take());
            runtime.spawn(async move {
                let _unheard = canceller.cancel().await;
                drop(slot);
            });
        } else {
            self.canceller.retire();
        }
        // Closing the socket rolls back what is open. The pool replaces the connection.
        link.cut();
    }
}

async fn end(link: &mut Link, word: &'static str) -> Result<(), Fault> {
    match link {
        Link::Postgres(conn) => postgres::command(conn, word).await,
        Link::MySql(conn) => mysql::command(conn, word).await,
    }
}

async fn deadline<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::own(FaultClass::Lost, "no answer in time")),
    }
}

fn ended() -> Fault {
    Fault::own(FaultClass::Ended, "begin a new one")
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Clippy sees an import and a type, not a path in an expression.
    #[test]
    fn only_this_file_asserts_sql_safe_and_only_this_folder_knows_the_driver() {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let code = |word: &str| {
                    text.lines()
                        .any(|line| line.contains(word) && !line.trim_start().starts_with("//"))
                };
                let name = path.to_string_lossy().into_owned();
                if code(concat!("Assert", "SqlSafe")) && !name.ends_with("database/session.rs") {
                    found.push(name.clone());
                }
                if code(concat!("use sq", "lx")) && !name.contains("/src/database/") {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        assert!(found.is_empty(), "{found:?}");
    }
}
