//! Whom requests are about that have not ended, as keyed digests in memory, so that another one about the
//! same person is noticed. A restart forgets them; they come back when the requests are looked at.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::erasure_request::{DuplicateStatus, ErasureRequestStatus};
use oubliette_core::decide::Verdict;
use oubliette_core::erasure::duplicates::{Marks, Other, digests, duplicates};
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::{Request, SuppressionKey};

use super::super::{Context, Name};
use super::places::Chosen;
use crate::ledger::LedgerFault;
use crate::work::erase::{self, Place};

/// Their digests, under a key that nobody else has and that goes with the process.
pub(in super::super) struct Duplicates {
    key: SuppressionKey,
    marks: Mutex<Marks>,
}

impl Default for Duplicates {
    fn default() -> Self {
        let key = SuppressionKey::of(&rand::random::<[u8; 64]>());
        Self {
            key: key.expect("64 bytes are enough, whatever the last two are"),
            marks: Mutex::default(),
        }
    }
}

impl Duplicates {
    fn lock(&self) -> MutexGuard<'_, Marks> {
        // A panicked holder left at worst one request that is not noticed until it is noted again.
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whom a request is about; those about the same person are looked at again.
    fn note(&self, uid: &str, chosen: &Chosen, known: &Known, context: &Context) {
        let each = chosen.each().flat_map(|(_, _, input, maps)| {
            let of_map = maps.iter().flat_map(|map| digests(&self.key, map, known));
            of_map.map(|digest| (input.uid.clone(), digest))
        });
        let marks = each.collect();
        if self.lock().note(uid, marks) {
            self.nudge_others(uid, context);
        }
    }

    fn nudge_others(&self, uid: &str, context: &Context) {
        let sharing = self.lock().sharing(uid);
        if sharing.is_empty() {
            return;
        }
        context
            .scopes
            .nudge_requests_if(|request| sharing.contains(request.uid));
    }
}

/// Notes whom a request is about that was planned before the operator began, where its Secret still says
/// so.
pub(super) async fn recall(
    name: &Name,
    uid: &str,
    request: &Request,
    status: &ErasureRequestStatus,
    chosen: &Chosen,
    context: &Context,
) {
    let noted = context.duplicates.lock().has(uid);
    if noted || status.plan.is_none() || status.finished_at.is_some() {
        return;
    }
    let secret = &request.secret;
    let begun = status.begun_at;
    let known = context
        .cluster
        .subject(&name.namespace, secret, &chosen.identifiers, begun);
    // Nothing waits for it: whatever needs the Secret tells what is wrong with it.
    if let Ok((known, _)) = known.await {
        context.duplicates.note(uid, chosen, &known, context);
    }
}

/// Notes whom a request is about that is being `planned`, and who has erased the same person before. Of
/// one that goes on the ledgers remember it.
pub(super) async fn gathered(
    uid: &str,
    chosen: &Chosen,
    places: &[Place],
    known: &Known,
    planned: bool,
    context: &Context,
) -> Result<(), Verdict> {
    let told = |fault: LedgerFault| Verdict::new(fault.reason(), fault.to_string());
    if planned {
        context.duplicates.note(uid, chosen, known, context);
        if let Some(keys) = &context.suppression {
            let erased = erase::erased_before(uid, places, keys, known, Timestamp::now());
            let erased = erased.await.map_err(told)?;
            context.duplicates.lock().note_erased(uid, erased);
        }
    } else if !context.duplicates.lock().has(uid) {
        let mut known = known.clone();
        known.add_all(&erase::known(uid, places).await.map_err(told)?);
        context.duplicates.note(uid, chosen, &known, context);
    }
    Ok(())
}

/// A request was changed. One that is complete is told so on the others; one that has ended is forgotten.
pub(super) fn saw(request: &DynamicObject, context: &Context) {
    let Some(uid) = request.uid() else { return };
    let at = |field| request.data.pointer(field).is_some();
    if at("/status/completedAt") && context.duplicates.lock().complete(&uid) {
        context.duplicates.nudge_others(&uid, context);
    }
    if at("/status/finishedAt") {
        context.duplicates.lock().forget(&uid);
    }
}

/// A request is gone.
pub(super) fn gone(uid: &str, context: &Context) {
    context.duplicates.nudge_others(uid, context);
    context.duplicates.lock().forget(uid);
}

/// The other requests about the same person, as a request tells of them.
pub(super) fn others(
    name: &Name,
    uid: &str,
    status: &ErasureRequestStatus,
    context: &Context,
) -> Vec<DuplicateStatus> {
    let (sharing, erased) = {
        let marks = context.duplicates.lock();
        (marks.sharing(uid), marks.erased(uid))
    };
    let before = &status.duplicates;
    if before.is_empty() && sharing.is_empty() && erased.is_empty() {
        return Vec::new();
    }
    let is_meant = |uid: &str| {
        sharing.contains(uid) || erased.contains(uid) || before.iter().any(|one| one.uid == *uid)
    };
    let mut requests = BTreeMap::new();
    context.scopes.each_request(|request| {
        if is_meant(request.uid) {
            let Name { namespace, name } = request.name();
            let other = Other {
                namespace,
                name,
                state: request.of.as_duplicate(),
            };
            requests.insert(request.uid.to_owned(), other);
        }
    });
    duplicates(&name.namespace, before, &sharing, &erased, &requests)
}
