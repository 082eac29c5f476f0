//! Erased persons who are in a database again. Looks through every mapped database now and then, one
//! after the other, and keeps what was found until requests and databases have told it; knows which
//! databases were restored to an instant before which erasures. What follows is decided in core.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::erasure_request::{
    AgainReason, DatabaseErasure, ErasureRequestStatus, RequestOutcome,
};
use oubliette_core::api::reason::Reason;
use oubliette_core::api::words::Choice;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::erasure_request::{Back, Looked};
use oubliette_core::decide::target_database::{Persons as Found, Unlooked};
use oubliette_core::erasure::{Completed, Restored, SuppressionKeys};
use oubliette_core::ledger::{Ledger, Rewound};

use super::data_map::Bound;
use super::erasure_request::read_status;
use super::target_database::{connect, input, parse};
use super::{Context, Name};
use crate::ledger::Store;
use crate::telemetry::contained;
use crate::work::suppression::reappeared;

/// Databases that are due are looked for this often at the least.
const TURN: Duration = Duration::from_mins(1);

/// What is known of one database.
#[derive(Default)]
struct Seen {
    /// When the last look began.
    looked_at: Option<Timestamp>,
    /// What it found, by UID of the request; `None`: it found nothing out.
    back: Option<BTreeMap<String, Vec<Back>>>,
    /// The same for the database's status.
    found: Option<Found>,
    /// Requests whose erasure there is lost.
    lost: BTreeSet<String>,
}

/// By TargetDatabase.
#[derive(Default)]
pub(super) struct Persons(Mutex<BTreeMap<Name, Seen>>);

impl Persons {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Seen>> {
        // Each change is one insert or assignment: a panicked holder left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What looks have found of the person of a request.
    pub(super) fn of_request(&self, uid: &str) -> Vec<Looked> {
        let all = self.lock();
        let looks = all.iter().filter_map(|(database, seen)| {
            Some(Looked {
                database: database.to_string(),
                at: seen.looked_at?,
                back: seen.back.as_ref()?.get(uid).cloned().unwrap_or_default(),
            })
        });
        looks.collect()
    }

    /// Databases that were restored to an instant before the erasure of a request.
    pub(super) fn lost(&self, request: &Name) -> Vec<String> {
        let request = request.to_string();
        let all = self.lock();
        let lost = all.iter().filter(|(_, seen)| seen.lost.contains(&request));
        lost.map(|(database, _)| database.to_string()).collect()
    }

    /// What the last look through a database has found.
    pub(super) fn of_database(&self, database: &Name) -> Option<Found> {
        self.lock().get(database)?.found.clone()
    }

    /// Notes which requests are to be applied again on a database; those for which that is news.
    pub(super) fn saw_lost(&self, database: &Name, lost: BTreeSet<String>) -> BTreeSet<String> {
        let mut all = self.lock();
        let seen = all.entry(database.clone()).or_default();
        let before = std::mem::replace(&mut seen.lost, lost);
        before.symmetric_difference(&seen.lost).cloned().collect()
    }

    fn is_due(&self, database: &Name, every: Duration) -> bool {
        let all = self.lock();
        let looked_at = all.get(database).and_then(|seen| seen.looked_at);
        looked_at.is_none_or(|at| Timestamp::now().duration_since(at).unsigned_abs() >= every)
    }

    fn forget_unless(&self, exists: impl Fn(&Name) -> bool) {
        self.lock().retain(|database, _| exists(database));
    }
}

/// What it means that the ledger of a database is behind, by what requests remember of it. They are
/// named by namespace and name.
pub(super) fn restored(database: &Name, rewound: &Rewound, context: &Context) -> Restored {
    let now = Timestamp::now();
    let here = database.to_string();
    let completed: Vec<Completed> = context
        .scopes
        .requests()
        .filter_map(|request| {
            let status = read_status(&request);
            let outcome = status.outcome.as_ref().and_then(Choice::known);
            let erased = matches!(
                outcome,
                Some(RequestOutcome::Erased | RequestOutcome::ErasedInPart)
            );
            let heads: Vec<String> = heads(&status, &here).collect();
            (erased && !heads.is_empty()).then(|| Completed {
                request: Name::of(&request).to_string(),
                heads,
                // Until it has ended, the Secret and the other ledgers know who is meant.
                findable: status.finished_at.is_none()
                    || (context.suppression.is_some()
                        && status
                            .digests
                            .as_ref()
                            .is_some_and(|kept| kept.ends_at > now)),
            })
        })
        .collect();
    Restored::of(&completed, rewound)
}

/// How many requests were applied again in a database since it is known that it was restored. Not those that
/// are lost once more.
pub(super) fn applied_again(
    database: &Name,
    since: Option<Timestamp>,
    restored: &Restored,
    context: &Context,
) -> i64 {
    let here = database.to_string();
    let is_lost = |request: &Name| {
        let request = request.to_string();
        matches!(restored, Restored::Restored { again, forgotten }
            if again.contains(&request) || forgotten.contains(&request))
    };
    let requests = context.scopes.requests().filter(|request| {
        let status = read_status(request);
        let again = status.again.as_ref();
        let again = again.filter(|again| again.reason.known() == Some(AgainReason::Restored));
        // One that has not ended is lost elsewhere.
        let since = |at: Timestamp| since.is_some_and(|since| at >= since);
        let applied = again.is_some_and(|again| again.ended_at.is_none_or(since));
        applied && heads(&status, &here).next().is_some() && !is_lost(&Name::of(request))
    });
    i64::try_from(requests.count()).unwrap_or(i64::MAX)
}

/// The heads of a database's evidence chain that a request remembers.
pub(super) fn heads(
    status: &ErasureRequestStatus,
    database: &str,
) -> impl Iterator<Item = String> + use<> {
    let here = |one: &&DatabaseErasure| one.database == database;
    let heads = status.databases.iter().filter(here);
    let heads: Vec<String> = heads
        .filter_map(|one| one.evidence.map(|head| head.to_string()))
        .collect();
    heads.into_iter()
}

/// Looks through the databases for as long as it is polled. Without keys nobody is known again.
pub(super) async fn run(context: &Context) {
    let (Some(settings), Some(keys)) = (&context.platform.suppression, &context.suppression) else {
        return std::future::pending().await;
    };
    context.scopes.wait_until_known().await;
    let every = settings.look_every;
    loop {
        let databases: Vec<_> = context.scopes.databases().collect();
        for database in databases {
            let name = Name::of(&database);
            if !is_connected(&database) || !context.persons.is_due(&name, every) {
                continue;
            }
            let look = Box::pin(turn(&name, &database, keys, context));
            if contained(look).await.is_err() {
                tracing::warn!(%name, "a look for erased persons broke off; it is made again");
            }
        }
        context
            .persons
            .forget_unless(|name| context.scopes.database(name).is_some());
        tokio::time::sleep(every.min(TURN)).await;
    }
}

/// One look through one database, told to whom it concerns.
async fn turn(name: &Name, database: &DynamicObject, keys: &SuppressionKeys, context: &Context) {
    let at = Timestamp::now();
    let looked = look(name, database, keys, context).await;
    let uids: BTreeSet<String> = context
        .scopes
        .requests()
        .filter_map(|request| request.uid())
        .collect();
    let mut all = context.persons.lock();
    let seen = all.entry(name.clone()).or_default();
    seen.looked_at = Some(at);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    match looked {
        Ok(None) => {
            seen.back = None;
            seen.found = None;
        }
        Ok(Some((back, unlooked))) => {
            let rows = |of: &Vec<Back>| of.iter().map(|back| back.rows).sum::<i64>();
            let nobodys = back.iter().filter(|(uid, _)| !uids.contains(*uid));
            seen.found = Some(Found {
                at,
                requests: count(back.len()),
                rows: back.values().map(rows).sum(),
                of_nobody: nobodys.map(|(_, of)| rows(of)).sum(),
                unlooked,
            });
            seen.back = Some(back);
        }
        Err(verdict) => {
            let before = seen.found.take();
            seen.found = Some(Found {
                at,
                unlooked: vec![Unlooked {
                    reason: verdict.reason,
                    message: verdict.message,
                }],
                requests: before.as_ref().map_or(0, |found| found.requests),
                rows: before.as_ref().map_or(0, |found| found.rows),
                of_nobody: before.as_ref().map_or(0, |found| found.of_nobody),
            });
        }
    }
    let rows = seen.found.as_ref().map(|found| found.rows);
    let back = seen.back.clone().unwrap_or_default();
    drop(all);
    context
        .metrics
        .reappeared(&name.namespace, &name.name, rows);
    context.scopes.nudge_database(name);
    for request in context.scopes.requests() {
        let told = request.data.pointer("/status/reappeared").is_some();
        if told || request.uid().is_some_and(|uid| back.contains_key(&uid)) {
            context.scopes.nudge_request(&Name::of(&request));
        }
    }
}

/// What was found, by UID of the request, and what could not be looked at.
type LookedThrough = (BTreeMap<String, Vec<Back>>, Vec<Unlooked>);

/// Clears the digests that have ended, and looks for the others. `None`: nobody is looked for there.
async fn look(
    name: &Name,
    object: &DynamicObject,
    keys: &SuppressionKeys,
    context: &Context,
) -> Result<Option<LookedThrough>, Verdict> {
    let Ok(target) = parse(object) else {
        return Ok(None);
    };
    let input = input(object, &target);
    let bound = Bound::on(name, &input, context).await;
    if let Some(unreadable) = bound.unreadable.first() {
        return Err(Verdict::new(Reason::DutiesUnreadable, unreadable));
    }
    if bound.maps.iter().all(|map| map.map.people.roles.is_empty()) {
        return Ok(None);
    }
    let connected = connect(&input, context).await;
    let (database, _) =
        connected.map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    let ledger = Ledger {
        engine: database.engine(),
        place: target.ledger.clone(),
    };
    let store = Store::unchecked(&database, ledger);
    let now = Timestamp::now();
    let looking = async {
        let ended = store.prune_erased(now).await?;
        if ended > 0 {
            tracing::info!(%name, ended, "digests of erased identifiers have ended and are gone");
        }
        reappeared(&database, &store, &bound.maps, keys, now).await
    };
    let looked = Box::pin(looking).await;
    let looked = looked.map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    let mut back: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for found in looked.reappeared.into_iter().filter(|found| found.rows > 0) {
        let maps = back.entry(found.request).or_default();
        // A row with two identifiers is found by both.
        let rows = maps.entry(found.at.map).or_default();
        *rows = (*rows).max(found.rows);
    }
    let again = |map: &str| {
        let mut maps = bound.maps.iter();
        maps.any(|one| one.name == map && one.map.people.erases_again)
    };
    let of_maps = |maps: BTreeMap<String, i64>| {
        maps.into_iter().map(|(map, rows)| Back {
            again: again(&map),
            map,
            rows,
        })
    };
    let unlooked = looked.unlooked.into_iter().map(|refusal| Unlooked {
        reason: refusal.reason,
        message: refusal.message,
    });
    Ok(Some((
        back.into_iter()
            .map(|(request, maps)| (request, of_maps(maps).collect()))
            .collect(),
        unlooked.collect(),
    )))
}

/// Whether it answers, and nothing is to be done about its ledger first.
fn is_connected(database: &DynamicObject) -> bool {
    let conditions = database.data.pointer("/status/conditions");
    let mut conditions = conditions
        .and_then(|all| all.as_array())
        .into_iter()
        .flatten();
    conditions.any(|one| one["type"] == "Ready" && one["reason"] == Reason::Connected.as_str())
}
