//! The certificate of a request: made from what the ledgers have of its runs, signed where the platform
//! has a key, and kept in a ConfigMap beside the request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use oubliette_core::api::erasure_request::{
    CertificateStatus, ErasureRequestStatus, RequestOutcome,
};
use oubliette_core::api::reason::Reason;
use oubliette_core::api::words::Choice;
use oubliette_core::decide::{Verdict, whole_second};
use oubliette_core::erasure::Request;
use oubliette_core::erasure::certify::Facts;
use serde_json::json;
use tokio::time::timeout;

use super::super::{Context, MANAGER, Name, record};
use super::places::Chosen;
use crate::signing;
use crate::work::erase;

/// The key of the ConfigMap under which the certificate stands.
const FILE: &str = "certificate.json";

/// Issues the certificate and keeps it.
pub(super) async fn issue(
    name: &Name,
    uid: &str,
    request: &Request,
    status: &ErasureRequestStatus,
    chosen: &Chosen,
    context: &Context,
) -> Result<CertificateStatus, Verdict> {
    let places = chosen.places(context).await?;
    let done = erase::done(&name.to_string(), uid, &places)
        .await
        .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    let now = whole_second(Timestamp::now());
    // Only what was begun is in the status; the ledgers are asked for all maps.
    let done = places.iter().zip(done);
    let (databases, done): (Vec<_>, Vec<_>) = done
        .filter_map(|(place, done)| {
            let mut told = status.databases.iter();
            Some((told.find(|told| told.map == place.map.name)?.clone(), done))
        })
        .unzip();
    let outcome = status.outcome.as_ref().and_then(Choice::known);
    let platform = &context.platform;
    let certificate = Facts {
        uid,
        request,
        plan: status.plan.as_ref().map(|plan| (plan.digest, plan.as_of)),
        begun_at: status.begun_at,
        outcome: outcome.unwrap_or(RequestOutcome::Erased),
        databases: &databases,
        done: &done,
        elsewhere: &status.elsewhere,
        maps: &chosen.maps(),
        backups_end: platform.backups_end(now),
        now,
    }
    .certificate(env!("CARGO_PKG_VERSION"));
    let document = signing::issue(&certificate, context.signing.as_deref());
    let map = format!("{}-certificate", name.name);
    let text = document.to_canonical();
    keep(
        name,
        uid,
        &map,
        &BTreeMap::from([(FILE, text.as_str())]),
        context,
    )
    .await?;
    Ok(CertificateStatus {
        digest: document.digest,
        config_map: map,
        key: document.key.map(|key| key.to_string()),
    })
}

/// Writes a ConfigMap with these keys; it goes with the request. One that was not made for the request is left
/// as it is: whoever files requests may name them as they like, and may not write ConfigMaps.
pub(super) async fn keep(
    name: &Name,
    uid: &str,
    map: &str,
    data: &BTreeMap<&str, &str>,
    context: &Context,
) -> Result<(), Verdict> {
    let request = &context.kinds.request;
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": map,
            "namespace": name.namespace,
            "ownerReferences": [{
                "apiVersion": request.api_version, "kind": request.kind,
                "name": name.name, "uid": uid,
            }],
        },
        "data": data,
    });
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &name.namespace);
    let failed = |why: String| {
        let message = format!("the ConfigMap {map} cannot be written: {why}");
        Err(Verdict::new(Reason::CertificateNotKept, message))
    };
    let write = async {
        let Some(found) = api.get_opt(map).await? else {
            let new = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
            let how = PostParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PostParams::default()
            };
            return api.create(&how, &new).await.map(|_| true);
        };
        if !found
            .owner_references()
            .iter()
            .any(|owner| owner.uid == uid)
        {
            return Ok(false);
        }
        let data = Some(data).filter(|data| !data.is_empty());
        let as_found = json!({
            "metadata": {"resourceVersion": found.metadata.resource_version}, "data": data,
        });
        let how = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&as_found);
        api.patch(map, &how, &patch).await.map(|_| true)
    };
    match timeout(record::CALL, write).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => failed(format!(
            "there is one of that name that was not made for the request {name}: move it out of the way"
        )),
        Ok(Err(kube::Error::Api(status))) => failed(format!(
            "{} ({}); is {} among the chart's rbac.requestNamespaces?",
            status.message, status.code, name.namespace
        )),
        Ok(Err(_)) | Err(_) => failed("the API server does not answer".to_owned()),
    }
}
