//! A person's request over several databases: look for them everywhere, plan, remember whom it is about,
//! carry it out in each database as a run of its own, and look again. Nothing is changed anywhere before
//! all have been searched; whoever begins anew goes on with what the ledgers remember.

mod again;
mod digests;
mod duplicates;
mod find;
mod jobs;
mod kept;
mod look_back;
mod residue;
mod run;
mod standing;
mod together;
mod turns;

pub use again::known_by_digests;
pub use digests::{Digests, digests};
pub use duplicates::erased_before;
pub use look_back::{done, known};
pub use standing::{Standing, standing};
pub use together::{MOST_TOGETHER, Member, together};
pub use turns::Turns;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::digest::Digest;
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::erasure::Scope;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::ledger::{ErasedRow, Ledger, Owner};
use oubliette_core::report::RunOutcome;
use oubliette_core::target::Target;
use secrecy::SecretSlice;

use super::give_up::give_up;
use super::job::{ProgressSender, RememberedHolds, StopSignal, StopWhy};
use super::walk::stopped;
use crate::database::Database;
use crate::ledger::{LedgerFault, Store};
use crate::metrics::Metrics;

/// One database in which a person is looked for, as one map has it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The map.
    pub map: NamedMap,
    /// Its UID.
    pub map_uid: String,
    /// Every map of the database: their duties bind the request.
    pub maps: Vec<NamedMap>,
    /// What goes into the digest: the map's spec, the scope and the database.
    pub spec: serde_json::Value,
    /// Namespace and name of the TargetDatabase.
    pub name: String,
    /// The database.
    pub database: Database,
    /// Whose ledger it must be.
    pub owner: Owner,
    /// What is said of it.
    pub target: Target,
    /// Heads of its evidence chain that are remembered outside of it.
    pub remembered: Vec<String>,
    /// Holds that are in force by the word of their objects.
    pub holds: RememberedHolds,
    /// The key of the map's pseudonyms.
    pub pseudonym_key: Option<SecretSlice<u8>>,
}

impl Place {
    /// Its ledger, without a look at whose it is.
    fn ledger(&self) -> Ledger {
        Ledger {
            engine: self.database.engine(),
            place: self.target.ledger.clone(),
        }
    }

    async fn store(&self) -> Result<Store, LedgerFault> {
        Store::open(&self.database, self.ledger(), &self.owner).await
    }

    fn map(&self) -> &DataMap {
        &self.map.map
    }
}

/// What people allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The plan.
    pub digest: Digest,
    /// Most rows of all databases together.
    pub max_rows: i64,
    /// When the oldest of the Approvals was made.
    pub approved_at: Option<Timestamp>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The request's UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The generation of its spec.
    pub generation: i64,
    /// What it is about.
    pub scope: Scope,
    /// What the person is known by.
    pub known: Known,
    /// UID of the Secret that says so.
    pub subject_uid: String,
    /// What people allowed; `None`: it is only planned.
    pub allowed: Option<Allowed>,
    /// Tells this round of what a duty kept from others; empty: the first.
    pub round: String,
    /// Where batches are counted.
    pub metrics: Metrics,
    /// The operator's clock.
    pub now: Timestamp,
}

impl Ask {
    /// As what its run in a database is known in the ledger: the request's UID, and which map it is. Not
    /// longer than a ledger's column.
    pub fn run_owner(&self, place: &Place) -> String {
        Self::owner(&self.uid, place)
    }

    fn owner(request: &str, place: &Place) -> String {
        let map = Digest::of_bytes(&place.map_uid).to_string();
        let short: String = map
            .chars()
            .skip_while(|c| *c != ':')
            .skip(1)
            .take(8)
            .collect();
        format!("{request}.{short}")
    }

    /// The request of a run's owner.
    pub fn request_of(owner: &str) -> &str {
        owner.split_once('.').map_or(owner, |(uid, _)| uid)
    }
}

/// Looks for a person and plans, or carries out what was allowed.
pub async fn perform(
    ask: &Ask,
    places: &[Place],
    progress: &ProgressSender,
    mut stop: StopSignal,
) -> RequestOutcome {
    if ask.allowed.is_some() {
        return Box::pin(run::carry_out(ask, places, progress, &mut stop)).await;
    }
    let mut signal = stop.clone();
    tokio::select! {
        planned = Box::pin(run::plan(ask, places, progress)) => {
            planned.map_or_else(|outcome| outcome, |planned| RequestOutcome::Planned(planned.report))
        }
        () = stopped(&mut signal) => {
            RequestOutcome::Stopped(stop.borrow_and_update().unwrap_or(StopWhy::Shutdown))
        }
    }
}

/// Ends what is open of a request in any ledger: it goes no further.
pub async fn end_runs(ask_uid: &str, places: &[Place]) -> Result<(), LedgerFault> {
    for place in places {
        let store = place.store().await?;
        if let Some(row) = store.open_run(&Ask::owner(ask_uid, place)).await? {
            let outcome = RunOutcome::Stopped(Reason::Abandoned);
            Box::pin(give_up(&store, &row, "abandoned", outcome)).await?;
        }
    }
    Ok(())
}

/// Forgets a person in every ledger: the request has ended. What is left are digests, where the platform
/// keeps any.
pub async fn forget(
    ask_uid: &str,
    places: &[Place],
    digests: &[ErasedRow],
) -> Result<(), LedgerFault> {
    for place in places {
        let store = place.store().await?;
        let rows: Vec<ErasedRow> = digests
            .iter()
            .filter(|row| row.at.map == place.map.name)
            .cloned()
            .collect();
        store.remember_erased(&rows).await?;
        store.forget(ask_uid, &place.map_uid).await?;
    }
    Ok(())
}
