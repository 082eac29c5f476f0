//! Writes what was decided: status and events.
//!
//! Status goes by server-side apply with the resourceVersion that was decided from, so that a stale
//! writer gets 409 and decides anew; forced, because the fields are ours whoever wrote them before.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::events::{Event as Published, EventType, Recorder};
use kube::{Api, Resource, ResourceExt};
use oubliette_core::decide::Event;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{Context, MANAGER};
use crate::resource::bounds;

/// How long one call may take, kube's own retries among it.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordFault {
    /// The object is not the one that was decided from.
    #[error("the object has changed meanwhile")]
    Stale,
    /// The object is gone.
    #[error("the object is gone")]
    Gone,
    /// The API server does not take it.
    #[error("the API server refuses the status: {0}")]
    Refused(String),
    /// No answer.
    #[error("the API server does not answer")]
    Silent,
}

/// The object as it is stored now.
pub(super) async fn read_again(
    api: &Api<DynamicObject>,
    name: &str,
) -> Result<DynamicObject, RecordFault> {
    match timeout(CALL, api.get(name)).await {
        Ok(Ok(object)) => Ok(object),
        Ok(Err(error)) => Err(fault(&error)),
        Err(_) => Err(RecordFault::Silent),
    }
}

/// Writes the whole status.
pub(super) async fn status<S: Serialize>(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    object: &DynamicObject,
    status: &S,
) -> Result<(), RecordFault> {
    let name = object.name_any();
    let mut body = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": object.namespace(),
            "resourceVersion": object.resource_version(),
        },
        "status": status,
    });
    for path in bounds::fit(&kind.kind, &mut body["status"]) {
        tracing::warn!(kind = %kind.kind, name, path, "a part of the status was too long and is cut");
    }
    let how = PatchParams::apply(MANAGER).force();
    match timeout(CALL, api.patch_status(&name, &how, &Patch::Apply(&body))).await {
        // Taken, and answered with an object that is nested deeper than can be read.
        Ok(Ok(_) | Err(kube::Error::SerdeError(_))) => Ok(()),
        Ok(Err(error)) => Err(fault(&error)),
        Err(_) => Err(RecordFault::Silent),
    }
}

/// What came of a status.
pub(super) enum Told {
    /// It stands there.
    Written,
    /// It was decided from an older object than this one.
    Stale(Arc<DynamicObject>),
    /// The object is gone.
    Gone,
}

/// Writes a status where it is another one than before.
pub(super) async fn tell<S: Serialize + PartialEq>(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    object: &DynamicObject,
    before: &S,
    now: &S,
) -> Result<Told, RecordFault> {
    if now == before {
        return Ok(Told::Written);
    }
    let written = match status(api, kind, object, now).await {
        Ok(()) => Ok(Told::Written),
        Err(RecordFault::Stale) => read_again(api, &object.name_any())
            .await
            .map(|current| Told::Stale(Arc::new(current))),
        Err(fault) => Err(fault),
    };
    match written {
        Err(RecordFault::Gone) => Ok(Told::Gone),
        other => other,
    }
}

pub(super) fn fault(error: &kube::Error) -> RecordFault {
    match error {
        kube::Error::Api(status) if status.is_conflict() => RecordFault::Stale,
        kube::Error::Api(status) if status.is_not_found() => RecordFault::Gone,
        // The API server's own words on our own document.
        kube::Error::Api(status) => {
            RecordFault::Refused(format!("{} ({})", status.message, status.code))
        }
        _ => RecordFault::Silent,
    }
}

/// Publishes events. One that gets lost is not missed: the status tells the same.
pub(super) async fn events(
    context: &Context,
    kind: &ApiResource,
    object: &DynamicObject,
    events: Vec<Event>,
) {
    let regarding = object.object_ref(kind);
    for event in events {
        let Event {
            warning,
            reason,
            action,
            note,
        } = event;
        let published = Published {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.as_str().to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        // A recorder remembers events without their notes and would repeat the first note for six
        // minutes. Decisions tell each piece of news once, so there is nothing to remember.
        let recorder = Recorder::new(context.client.clone(), context.reporter.clone());
        match timeout(CALL, recorder.publish(&published, &regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(reason = %reason, "an event could not be published");
            }
        }
    }
}
