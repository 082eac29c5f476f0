//! Cancelling a running statement in the server, from a second connection.
//!
//! Dropping a future does not stop a statement (ECOSYSTEM.md section 2). Owns the rule that a
//! cancellation never reaches a later user of the same connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Mutex;

use super::connect::{Database, Pools};
use super::fault::Fault;
use super::{mysql, postgres};

/// Cancels the statement that one transaction is running. Cheap to clone; harmless once the
/// transaction has ended.
#[derive(Clone)]
pub struct Canceller {
    database: Database,
    life: Arc<Life>,
}

struct Life {
    /// The server's id of the connection; 0 while unknown.
    backend: AtomicI64,
    /// Whether the transaction has ended.
    ended: AtomicBool,
    /// Held while a cancellation is being sent.
    sending: Mutex<()>,
    /// Whether a cancellation was sent: it may arrive late, so the connection is not reused.
    used: AtomicBool,
}

impl Canceller {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            life: Arc::new(Life {
                backend: AtomicI64::new(0),
                ended: AtomicBool::new(false),
                sending: Mutex::new(()),
                used: AtomicBool::new(false),
            }),
        }
    }

    pub(super) fn knows(&self, backend: i64) {
        self.life.backend.store(backend, Ordering::SeqCst);
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Marks the transaction as ended; `true` if its connection may be used again.
    pub(super) fn retire(&self) -> bool {
        // In this order: whoever takes `sending` afterwards sees that the transaction has ended.
        self.life.ended.store(true, Ordering::SeqCst);
        self.life.sending.try_lock().is_ok() && !self.life.used.load(Ordering::SeqCst)
    }

    /// Asks the server to cancel the running statement; `false` where the transaction has ended
    /// already. The statement's own future then returns a fault of class `Cancelled`: await it.
    pub async fn cancel(&self) -> Result<bool, Fault> {
        let _sending = self.life.sending.lock().await;
        let backend = self.life.backend.load(Ordering::SeqCst);
        if self.life.ended.load(Ordering::SeqCst) || backend == 0 {
            return Ok(false);
        }
        self.life.used.store(true, Ordering::SeqCst);
        let _one = self.database.cancelling().await;
        self.database
            .limited(async {
                match self.database.pools() {
                    Pools::Postgres(pool) => {
                        postgres::cancel(&pool.connect_options(), backend).await
                    }
                    Pools::MySql(pool) => mysql::cancel(&pool.connect_options(), backend).await,
                }
            })
            .await?;
        Ok(true)
    }
}
