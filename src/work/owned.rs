//! Whose a ledger is for whoever works without a cluster: their name stands in the ledger itself, and
//! nowhere else.

use std::collections::BTreeSet;

use oubliette_core::api::reason::Reason;
use oubliette_core::grants::{Grantee, for_ledger};
use oubliette_core::ledger::{Break, Chain, Ledger, Owner, RunRow};
use oubliette_core::name::Ident;
use oubliette_core::report::{RunOutcome, RunReport};

use super::give_up::end_runs;
use crate::database::{Database, FaultClass};
use crate::ledger::{LedgerFault, Store};

/// What a ledger has of a policy's run that has not ended.
#[derive(Clone, Debug)]
pub struct OpenRun {
    /// The run.
    pub row: RunRow,
    /// Rows that it has changed so far.
    pub changed: i64,
}

/// The owner without a cluster that the ledger names. `None`: it is nobody's, or there is none, or
/// the user may not see it (which a plan says better). Somebody else's is refused.
pub async fn owner(database: &Database, place: &Ident) -> Result<Option<Owner>, LedgerFault> {
    let store = unchecked(database, place);
    let meta = if store.is_present().await? {
        store.meta().await
    } else {
        Ok(None)
    };
    match meta {
        Ok(None) => Ok(None),
        Err(LedgerFault::Database(fault)) if fault.class == FaultClass::Privilege => Ok(None),
        Err(fault) => Err(fault),
        Ok(Some((_, found))) if found.is_without_cluster() => {
            // Whether this program may use it.
            Store::open(database, store.sql().clone(), &found).await?;
            Ok(Some(found))
        }
        Ok(Some((_, found))) => Err(LedgerFault::Refused {
            reason: Reason::LedgerOwned,
            message: format!("the ledger belongs to {found}, whose operator carries policies out"),
        }),
    }
}

/// What lets the user create a ledger that is missing. `None`: it is there.
pub async fn missing(
    database: &Database,
    place: &Ident,
    name: &Ident,
) -> Result<Option<Vec<String>>, LedgerFault> {
    let store = unchecked(database, place);
    if store.is_present().await? {
        return Ok(None);
    }
    let to = Grantee {
        engine: database.engine(),
        database: name,
        ledger: place,
        user: &store.user().await?,
    };
    Ok(Some(for_ledger(&to)))
}

/// The owner for whoever is about to change something: creates a ledger that is missing, and makes the
/// newcomer the owner of one that is nobody's.
pub async fn claim(
    database: &Database,
    place: &Ident,
    newcomer: Owner,
) -> Result<Owner, LedgerFault> {
    if let Some(found) = owner(database, place).await? {
        return Ok(found);
    }
    let ledger = unchecked(database, place).sql().clone();
    match Store::open(database, ledger, &newcomer).await {
        Ok(_) => Ok(newcomer),
        // Another one came at the same moment.
        Err(fault) if fault.reason() == Reason::LedgerOwned => {
            owner(database, place).await?.ok_or(fault)
        }
        Err(fault) => Err(fault),
    }
}

/// A policy's oldest run that has not ended.
pub async fn open_run(
    database: &Database,
    place: &Ident,
    policy_uid: &str,
) -> Result<Option<OpenRun>, LedgerFault> {
    let store = unchecked(database, place);
    let Some(row) = store.open_run(policy_uid).await? else {
        return Ok(None);
    };
    let totals = store.totals(&row.id).await?;
    let changed = totals.iter().map(|tally| tally.n).sum();
    Ok(Some(OpenRun { row, changed }))
}

/// The DataMaps whose duties kept rows of a policy at its last completed run, or at one since then.
pub async fn bound_by(
    database: &Database,
    place: &Ident,
    policy: &str,
) -> Result<BTreeSet<String>, LedgerFault> {
    let store = unchecked(database, place);
    let mut maps = BTreeSet::new();
    if !store.is_present().await? {
        return Ok(maps);
    }
    for row in store.runs_of(policy).await? {
        let Some(text) = &row.report else {
            continue;
        };
        let run: RunReport =
            serde_json::from_str(text).map_err(|_| LedgerFault::Malformed("run"))?;
        let duties = run.rules.iter().flat_map(|rule| &rule.kept.duties);
        // A duty is named by its map, the entry and its place in that.
        let named = duties.filter_map(|count| count.duty.split_once(' '));
        maps.extend(named.map(|(map, _)| map.to_owned()));
        if run.outcome == RunOutcome::Completed {
            break;
        }
    }
    Ok(maps)
}

/// How a ledger came to its present owner.
#[derive(Debug)]
pub enum HandedOver {
    /// It was theirs.
    Already,
    /// From this one. Runs that nobody goes on with were ended, where the new owner does not do that
    /// by itself.
    From(Owner, Vec<RunReport>),
}

/// Hands the ledger that stands in a database to another owner.
pub async fn hand_over(
    database: &Database,
    place: &Ident,
    owner: &Owner,
) -> Result<HandedOver, LedgerFault> {
    let refused = |message: &str| LedgerFault::Refused {
        reason: Reason::LedgerMissing,
        message: message.to_owned(),
    };
    let store = unchecked(database, place);
    if !store.is_present().await? {
        return Err(refused(
            "there is no ledger in this database: its first owner creates it",
        ));
    }
    let Some((_, before)) = store.meta().await? else {
        return Err(refused(
            "the ledger is nobody's: its first owner claims it by itself",
        ));
    };
    if before == *owner || (before.is_without_cluster() && owner.is_without_cluster()) {
        return Ok(HandedOver::Already);
    }
    store.adopt(owner).await?;
    let mut ended = Vec::new();
    // An operator looks for runs of policies that are gone; without a cluster nobody knows them all.
    if owner.is_without_cluster() {
        let open = store.open_runs().await?;
        end_runs(database, place, owner, &open, |_, run| {
            ended.push(run.clone());
        })
        .await?;
    }
    Ok(HandedOver::From(before, ended))
}

fn unchecked(database: &Database, place: &Ident) -> Store {
    let ledger = Ledger {
        engine: database.engine(),
        place: place.clone(),
    };
    Store::unchecked(database, ledger)
}

/// A ledger's evidence chain, derived anew.
#[derive(Debug)]
pub struct Derived {
    /// As far as it was read.
    pub chain: Chain,
    /// The first entry that does not fit.
    pub fault: Option<Break>,
    /// Whose the ledger is.
    pub owner: Option<Owner>,
}

/// Derives the evidence chain of the ledger that stands in a database. `None`: there is no ledger.
pub async fn derive(
    database: &Database,
    place: &Ident,
    chain: Chain,
) -> Result<Option<Derived>, LedgerFault> {
    let store = unchecked(database, place);
    if !store.is_present().await? {
        return Ok(None);
    }
    let owner = store.meta().await?.map(|(_, owner)| owner);
    let (chain, ended) = store.derive(chain).await?;
    Ok(Some(Derived {
        chain,
        fault: ended.err(),
        owner,
    }))
}
