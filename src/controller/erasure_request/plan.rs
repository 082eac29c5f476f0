//! The ErasurePlan: what is planned for each table, in an object with rights of its own.

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use oubliette_core::api::erasure_plan::RequestRef;
use oubliette_core::decide::Verdict;
use oubliette_core::erasure::outcome::RequestReport;
use serde_json::json;
use tokio::time::timeout;

use super::super::record::{self, RecordFault};
use super::super::{Context, MANAGER, Name};
use super::places::Chosen;

/// Writes the plan under the request's name; it goes with the request.
pub(super) async fn show(
    name: &Name,
    uid: &str,
    report: &RequestReport,
    chosen: &Result<Chosen, Verdict>,
    context: &Context,
) -> Result<(), RecordFault> {
    let request_ref = RequestRef {
        name: name.name.clone(),
        uid: uid.to_owned(),
    };
    let maps = chosen.as_ref().map(Chosen::maps).unwrap_or_default();
    let spec = report.planned(request_ref, &maps);
    let (kind, request) = (&*context.kinds.plan, &context.kinds.request);
    let body = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name.name,
            "namespace": name.namespace,
            "ownerReferences": [{
                "apiVersion": request.api_version, "kind": request.kind,
                "name": name.name, "uid": uid, "controller": true,
            }],
        },
        "spec": spec,
    });
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    let how = PatchParams::apply(MANAGER).force();
    match timeout(
        record::CALL,
        api.patch(&name.name, &how, &Patch::Apply(&body)),
    )
    .await
    {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(record::fault(&error)),
        Err(_) => Err(RecordFault::Silent),
    }
}
