//! An old snapshot, as a dump, a report or a forgotten session holds it: what was deleted since cannot be
//! cleaned up while it is open.

use std::time::Duration;

use oubliette_core::catalog::Engine;
use oubliette_core::sql::{Bound, Sql};

use crate::database::{Apart, Database, Fault};

/// Nothing that it sends takes longer.
const LIMIT: Duration = Duration::from_mins(1);

/// A snapshot that is open as long as this is there.
#[derive(Debug)]
pub struct Snapshot {
    session: Apart,
}

impl Snapshot {
    /// Takes one of the database as it is now.
    pub async fn take(database: &Database) -> Result<Self, Fault> {
        let mut session = database.apart().await?;
        match database.engine() {
            Engine::Postgres => {
                let begin = Sql::fixed("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                session.run(&begin, LIMIT).await?;
                // Its first statement takes it.
                session.rows(&Bound::fixed("SELECT 1", Vec::new())).await?;
            }
            Engine::MySql | Engine::MariaDb => {
                let level = Sql::fixed("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
                session.run(&level, LIMIT).await?;
                let begin = Sql::fixed("START TRANSACTION WITH CONSISTENT SNAPSHOT");
                session.run(&begin, LIMIT).await?;
            }
        }
        Ok(Self { session })
    }

    /// Lets go of it. An error says that the server had ended it, and whatever was measured meanwhile was
    /// measured without it.
    pub async fn release(mut self) -> Result<(), Fault> {
        self.session
            .run(&Sql::fixed("COMMIT"), LIMIT)
            .await
            .map(drop)
    }
}
