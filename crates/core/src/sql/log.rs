//! How much a transaction writes to the server's log.

use super::Bound;
use crate::catalog::Engine;

/// Asks how many bytes of its write-ahead log PostgreSQL has written so far, for all sessions together; `None`: no other
/// engine tells it so cheaply.
pub fn log_position(engine: Engine) -> Option<Bound> {
    match engine {
        Engine::Postgres => Some(Bound::fixed(
            "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint",
            Vec::new(),
        )),
        Engine::MySql | Engine::MariaDb => None,
    }
}
