//! A look at a database: which clock it has, and whose ledger. Reads only.

use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::target_database::{Found, Ledger as Seen};
use oubliette_core::ledger::{Ledger, Owner, VERSION};
use oubliette_core::name::Ident;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use crate::database::{Access, Database, Fault, FaultClass};
use crate::ledger::{LedgerFault, Store};

/// Looks at a database that answers. `remembered`: heads of its ledger's evidence chain that are
/// remembered elsewhere. The API server's clock is not its business.
pub async fn look(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    remembered: &[String],
) -> Result<Found, Fault> {
    Ok(Found {
        engine: database.engine(),
        version: database.version().text.clone(),
        database_clock: clock(database).await?,
        api_clock: None,
        ledger: ledger(database, place, owner, remembered).await?,
    })
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
) -> Result<Seen, Fault> {
    let ledger = Ledger {
        engine: database.engine(),
        place: place.clone(),
    };
    match read(&Store::unchecked(database, ledger), owner, remembered).await {
        Ok(seen) => Ok(seen),
        // A user for dry runs need not see the ledger.
        Err(LedgerFault::Database(fault)) if fault.class == FaultClass::Privilege => {
            Ok(Seen::Missing)
        }
        Err(LedgerFault::Database(fault)) => Err(fault),
        Err(other) => Ok(Seen::Unfit(Verdict::new(other.reason(), other.to_string()))),
    }
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
