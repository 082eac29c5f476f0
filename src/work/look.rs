//! A look at a database: which clock it has, and whose ledger. Reads only.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::coverage::Coverage;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::target_database::{Found, Ledger as Seen};
use oubliette_core::ledger::{HoldRow, Ledger, Owner, VERSION};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use crate::database::{Access, Database, Fault, FaultClass, survey};
use crate::ledger::{LedgerFault, Store};

/// Nobody waits longer than this for a list of tables.
const SURVEY: Duration = Duration::from_secs(10);

/// Looks at a database that answers. `remembered`: heads of its ledger's evidence chain that are
/// remembered elsewhere. The API server's clock is not its business.
pub async fn look(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    remembered: &[String],
) -> Result<Found, Fault> {
    let (ledger, holds) = ledger(database, place, owner, remembered).await?;
    Ok(Found {
        engine: database.engine(),
        version: database.version().text.clone(),
        database_clock: clock(database).await?,
        api_clock: None,
        ledger,
        holds,
        coverage: None,
        restored: None,
        applied_again: 0,
    })
}

/// The tables about which nothing decides. `None`: the user may not see them, or it takes too long; a
/// look does not fail for it.
pub async fn coverage(database: &Database, decided: &BTreeSet<TableName>) -> Option<Coverage> {
    let surveying = async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let seen = survey(&mut tx).await;
        tx.rollback().await;
        seen
    };
    match tokio::time::timeout(SURVEY, surveying).await {
        Ok(Ok(seen)) => Some(Coverage::of(database.engine(), &seen, decided)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the database's tables could not be listed");
            None
        }
        Err(_) => {
            tracing::debug!("the database's tables were not listed in time");
            None
        }
    }
}

/// The database's clock minus ours.
async fn clock(database: &Database) -> Result<SignedDuration, Fault> {
    let statement = match database.engine() {
        Engine::Postgres => Bound::fixed(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            Vec::new(),
        ),
        Engine::MySql | Engine::MariaDb => Bound::fixed(
            "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Vec::new(),
        ),
    };
    let mut tx = database.begin(Access::ReadOnly).await?;
    let sent = Timestamp::now();
    let rows = tx.rows(&statement).await;
    let got = Timestamp::now();
    tx.rollback().await;
    let rows = rows?;
    let millis = rows
        .first()
        .and_then(|row| row.first())
        .and_then(Value::as_int);
    let server = millis.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    // A clock that cannot be told is as far off as can be.
    let Some(server) = server else {
        return Ok(SignedDuration::MAX);
    };
    // The server read its clock between the two readings of ours.
    let ours = sent + got.duration_since(sent) / 2;
    Ok(server.duration_since(ours))
}

async fn ledger(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    remembered: &[String],
) -> Result<(Seen, Vec<HoldRow>), Fault> {
    let ledger = Ledger {
        engine: database.engine(),
        place: place.clone(),
    };
    let store = Store::unchecked(database, ledger);
    let seen = match read(&store, owner, remembered).await {
        Ok(seen @ Seen::Ours { .. }) => match store.active_holds().await {
            // Read with their values, which are dropped here: what a run could not read must show.
            Ok(_) => match in_force(&store).await {
                Ok(holds) => return Ok((seen, holds)),
                Err(fault) => Err(fault),
            },
            Err(fault) => Err(fault),
        },
        other => other,
    };
    let seen = match seen {
        Ok(seen) => seen,
        // A user for dry runs need not see the ledger.
        Err(LedgerFault::Database(fault)) if fault.class == FaultClass::Privilege => Seen::Missing,
        Err(LedgerFault::Database(fault)) => return Err(fault),
        Err(other) => Seen::Unfit(Verdict::new(other.reason(), other.to_string())),
    };
    Ok((seen, Vec::new()))
}

/// The holds that are not released.
async fn in_force(store: &Store) -> Result<Vec<HoldRow>, LedgerFault> {
    let holds = store.holds().await?.into_iter();
    Ok(holds.filter(|hold| hold.released.is_none()).collect())
}

async fn read(store: &Store, owner: &Owner, remembered: &[String]) -> Result<Seen, LedgerFault> {
    let meta = if store.is_present().await? {
        store.meta().await?
    } else {
        None
    };
    let Some((version, found)) = meta else {
        let rewound = store.rewound(remembered).await?;
        return Ok(rewound.map_or(Seen::Missing, Seen::Rewound));
    };
    if version > VERSION {
        let message = format!("the ledger has version {version}, this program knows {VERSION}");
        return Ok(Seen::Unfit(Verdict::new(Reason::LedgerNewer, message)));
    }
    if found != *owner {
        let message = format!(
            "the ledger belongs to {found}; when nobody carries policies out there any more, \
             `oubliette ledger adopt NAME -n NAMESPACE` hands it to this TargetDatabase"
        );
        return Ok(Seen::Unfit(Verdict::new(Reason::LedgerOwned, message)));
    }
    if let Some(rewound) = store.rewound(remembered).await? {
        return Ok(Seen::Rewound(rewound));
    }
    let (head, _) = store.head().await?;
    Ok(Seen::Ours {
        version,
        head: (!head.is_empty()).then_some(head),
        open: store.open_runs().await?,
    })
}
