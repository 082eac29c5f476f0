//! Erased persons who are in a database again. Looks through every mapped database now and then, one
//! after the other, and keeps what was found until requests and databases have told it; knows which
//! databases were restored to an instant before which erasures. What follows is decided in core.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::core::DynamicObject;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::Verdict;
use oubliette_core::decide::erasure_request::{Back, Looked};
use oubliette_core::decide::target_database::{Persons as Found, Unlooked};
use oubliette_core::erasure::{Completed, Restored, SuppressionKeys};
use oubliette_core::ledger::{Ledger, Rewound};

use super::data_map::Bound;
use super::erasure_request::Known;
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
    let mut completed = Vec::new();
    context.scopes.each_request(|request| {
        let heads: Vec<String> = request.of.heads(&here).collect();
        if request.of.has_erased() && !heads.is_empty() {
            completed.push(Completed {
                request: request.name().to_string(),
                heads,
                // Until it has ended, the Secret and the other ledgers know who is meant.
                findable: !request.of.is_finished
                    || (context.suppression.is_some()
                        && request.of.digests_end_at.is_some_and(|at| at > now)),
            });
        }
    });
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
    let is_lost = |request: &Known<'_>| {
        let request = request.name().to_string();
        matches!(restored, Restored::Restored { again, forgotten }
            if again.contains(&request) || forgotten.contains(&request))
    };
    let mut count = 0;
    context.scopes.each_request(|request| {
        // One that has not ended is lost elsewhere.
        let since = |at: Timestamp| since.is_some_and(|since| at >= since);
        let restored = request.of.restored();
        let applied = restored.is_some_and(|ended_at| ended_at.is_none_or(since));
        if applied && request.of.heads(&here).next().is_some() && !is_lost(request) {
            count += 1;
        }
    });
    count
}

/// Looks through the databases for as long as it is polled. Without keys nobody is known again.
pub(super) async fn run(context: &Context) {
    let (Some(settings), Some(keys)) = (&context.platform.suppression, &context.suppression) else {
        return std::future::pending().await;
    };
    context.scopes.wait_until_known().await;
    let every = settings.look_every;
    loop {
        let names: Vec<_> = context
            .scopes
            .databases()
            .map(|stored| stored.name())
            .collect();
        for name in names {
            if !context.persons.is_due(&name, every) {
                continue;
            }
            // As it is by now: those before it may have taken long.
            let database = context.scopes.database(&name);
            let Some(database) = database.filter(|database| is_connected(database)) else {
                continue;
            };
            let look = Box::pin(turn(&name, &database, keys, context));
            if contained(look).await.is_err() {
                tracing::warn!(%name, "a look for erased persons broke off; it is made again");
            }
        }
        context
            .persons
            .forget_unless(|name| context.scopes.database_uid(name).is_some());
        tokio::time::sleep(every.min(TURN)).await;
    }
}

/// One look through one database, told to whom it concerns.
async fn turn(name: &Name, database: &DynamicObject, keys: &SuppressionKeys, context: &Context) {
    let at = Timestamp::now();
    let looked = look(name, database, keys, context).await;
    let mut nobodys = BTreeSet::new();
    if let Ok(Some((back, _))) = &looked {
        nobodys.extend(back.keys().cloned());
        context.scopes.each_request(|request| {
            nobodys.remove(request.uid);
        });
    }
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
            let nobodys = back.iter().filter(|(uid, _)| nobodys.contains(*uid));
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
    context
        .scopes
        .nudge_requests_if(|request| request.of.is_back || back.contains_key(request.uid));
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
