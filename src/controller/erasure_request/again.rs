//! What a request needs beside its maps when it is carried out once more: who is meant, by the digests
//! of the identifiers that it has erased, and ledgers that may be behind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::{DeleteParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use oubliette_core::api::erasure_request::{AgainReason, DigestsStatus, ErasureRequestStatus};
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::Verdict;
use oubliette_core::digest::Digest;
use oubliette_core::erasure::find::Known;
use oubliette_core::ledger::ErasedRow;
use tokio::time::timeout;

use super::super::record::{self, RecordFault};
use super::super::{Context, Name};
use super::certify::keep;
use crate::ledger::LedgerFault;
use crate::work::erase::{self, Place};

/// The key of the ConfigMap under which the digests stand.
const FILE: &str = "digests.json";

/// Adds what leads to the person now to what the Secret says, and lets the runs begin in databases that
/// were restored: in these only, where that is why.
pub(super) async fn gather(
    uid: &str,
    name: &Name,
    status: &ErasureRequestStatus,
    places: &mut Vec<Place>,
    known: &mut Known,
    context: &Context,
) -> Result<(), Verdict> {
    let lost = context.persons.lost(name);
    let is_restored =
        |place: &Place| lost.contains(&place.name) || context.scopes.is_restored(&place.name);
    for place in places.iter_mut() {
        if is_restored(place) {
            // It is behind, and this is what is done about it.
            place.remembered.clear();
        }
    }
    known.add_all(
        &erase::known(uid, places)
            .await
            .map_err(|fault| told(&fault))?,
    );
    let again = status.again.as_ref();
    let restored = again.and_then(|again| again.reason.known()) == Some(AgainReason::Restored);
    if let Some(keys) = &context.suppression {
        let kept = match &status.digests {
            Some(kept) => read(name, kept, context).await?,
            None => Vec::new(),
        };
        let of = (uid, restored);
        let found = erase::known_by_digests(of, places, keys, &kept, Timestamp::now());
        known.add_all(&Box::pin(found).await.map_err(|fault| told(&fault))?);
    }
    if !restored {
        return Ok(());
    }
    // Elsewhere nothing was lost: whoever is there again is there anew, and the map decides about that.
    places.retain(is_restored);
    let mut undone = status
        .databases
        .iter()
        .filter(|one| lost.contains(&one.database));
    let gone = undone.find(|one| !places.iter().any(|place| place.map.name == one.map));
    if let Some(gone) = gone {
        let message = format!(
            "the DataMap {}, by which the request was planned, is gone or another one of that name: the \
             person is not found again in {}. File another ErasureRequest, and delete this one",
            gone.map, gone.database
        );
        return Err(Verdict::new(Reason::NoMap, message));
    }
    Ok(())
}

/// Keeps digests beside the ledgers, in a ConfigMap that goes with the request.
pub(super) async fn keep_digests(
    name: &Name,
    uid: &str,
    rows: &[ErasedRow],
    context: &Context,
) -> Result<Option<DigestsStatus>, Verdict> {
    let ends = rows.iter().filter_map(|row| row.ends_at.parse().ok());
    let Some(ends_at) = ends.max() else {
        return Ok(None);
    };
    let text = serde_json::to_string(rows);
    let text = text.map_err(|error| Verdict::new(Reason::InternalError, error.to_string()))?;
    let map = format!("{}-erased", name.name);
    keep(
        name,
        uid,
        &map,
        &BTreeMap::from([(FILE, text.as_str())]),
        context,
    )
    .await?;
    Ok(Some(DigestsStatus {
        config_map: map,
        digest: Some(Digest::of_bytes(&text)),
        ends_at,
    }))
}

/// Takes digests that have ended out of their ConfigMap, which stays empty until the request goes.
pub(super) async fn end_digests(
    name: &Name,
    uid: &str,
    map: &str,
    context: &Context,
) -> Result<(), RecordFault> {
    let emptied = keep(name, uid, map, &BTreeMap::new(), context).await;
    emptied.map_err(|verdict| RecordFault::Refused(verdict.message))
}

/// Deletes a request whose records have ended; what was made for it goes with it.
pub(super) async fn end(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<(), RecordFault> {
    let only = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            resource_version: object.resource_version(),
        }),
        ..DeleteParams::background()
    };
    let name = object.name_any();
    match timeout(record::CALL, api.delete(&name, &only)).await {
        Ok(Ok(_)) => {
            tracing::info!(name, "a request was deleted: its records have ended");
            Ok(())
        }
        Ok(Err(error)) => match record::fault(&error) {
            RecordFault::Gone => Ok(()),
            fault => Err(fault),
        },
        Err(_) => Err(RecordFault::Silent),
    }
}

async fn read(
    name: &Name,
    kept: &DigestsStatus,
    context: &Context,
) -> Result<Vec<ErasedRow>, Verdict> {
    let map = kept.config_map.as_str();
    let unreadable = |why: &str| {
        let message = format!("the ConfigMap {map} with the digests of the request: {why}");
        Verdict::new(Reason::ErasureForgotten, message)
    };
    let text = context.cluster.config_map(&name.namespace, map, FILE).await;
    let text = text.map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    let text = text.ok_or_else(|| unreadable("it is gone, or holds none"))?;
    let others = || unreadable("it is not what the operator wrote");
    if !kept.is_of(&text) {
        return Err(others());
    }
    serde_json::from_str(&text).map_err(|_| others())
}

fn told(fault: &LedgerFault) -> Verdict {
    Verdict::new(fault.reason(), fault.to_string())
}
