//! What a batch writes to the server's log, by which Steady is paced (docs/how-to/pace.md).

use oubliette_core::sql::log_position;

use crate::database::{Access, Database, Fault, Tx};

/// Whether the server tells. Asked apart: what is like PostgreSQL may refuse, which would end a batch.
pub(super) async fn is_told(database: &Database) -> Result<bool, Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let told = written(&mut tx).await;
    tx.rollback().await;
    match told {
        Ok(told) => Ok(told.is_some()),
        Err(fault) if fault.is_retryable() => Err(fault),
        Err(fault) => {
            tracing::warn!(fault = %fault, "the server does not tell how much is written to its log: Steady keeps to rows alone");
            Ok(false)
        }
    }
}

/// Bytes that all sessions have written so far; `None`: the engine does not tell.
pub(super) async fn written(tx: &mut Tx) -> Result<Option<u64>, Fault> {
    let Some(ask) = log_position(tx.engine()) else {
        return Ok(None);
    };
    let rows = tx.rows(&ask).await?;
    let bytes = rows.first().and_then(|row| row.first()?.as_int());
    Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
}
