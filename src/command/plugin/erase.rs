//! `erase`: files a person's request, with the person's identifiers in a Secret and nowhere else.
//!
//! Owns the order. The request comes first and names a Secret that does not exist yet; then the Secret,
//! which belongs to it. Whoever is interrupted in between leaves a request that waits for its Secret and
//! says so, never identifiers that nobody deletes: a Secret goes with its request.

mod identifiers;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt};
use oubliette_core::api::erasure_request::{
    ErasureRequestSpec, IdentitySpec, MapRef, RequestGround, SUBJECT_SECRET, ScopeSpec, SubjectSpec,
};
use oubliette_core::api::refs::SecretRef;
use oubliette_core::api::words::Choice;

use self::identifiers::Identifiers;
use super::access::{Access, Cluster};
use super::close::word;
use super::names;
use crate::resource::{DataMap, ErasureRequest, ErasureRequestBody};

/// Which request a Secret belongs to, for whoever lists them.
const LABEL: &str = "oubliette.dev/erasure-request";

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The case's number elsewhere. Example: SR-0042.
    #[arg(long, value_name = "REFERENCE")]
    pub case: String,
    /// When the request reached the organisation; the time to answer runs from then. Default: now.
    /// Example: 2026-11-02T09:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    pub received_at: Option<Timestamp>,
    /// What the request is called. Default: the case in small letters.
    #[arg(long)]
    pub name: Option<String>,
    /// Only this role of the maps. Default: every one.
    #[arg(long)]
    pub role: Option<String>,
    /// Only this DataMap, as NAME or NAMESPACE/NAME; may be repeated. Default: every one of the
    /// namespace, and of those that the operator's settings name as `mapNamespaces`.
    #[arg(long = "map", value_name = "MAP", add = ArgValueCandidates::new(names::maps))]
    pub maps: Vec<String>,
    /// Only what is held for this purpose; may be repeated. Default: all.
    #[arg(long = "purpose", value_name = "PURPOSE")]
    pub purposes: Vec<String>,
    /// On this ground, for the record, such as Art17_1_b; may be repeated.
    #[arg(long = "ground", value_name = "GROUND", value_parser = word::<RequestGround>)]
    pub grounds: Vec<RequestGround>,
    /// The person has to prove who they are first.
    #[arg(long)]
    pub identity_required: bool,
    /// An identifier that is asked for; may be repeated. Default: those of the maps and the role.
    #[arg(
        long = "identifier",
        value_name = "NAME",
        conflicts_with = "identifiers_from"
    )]
    pub identifiers: Vec<String>,
    /// Reads the identifiers from the input instead of asking, a line `name=value` for each.
    #[arg(long, value_name = "-", value_parser = ["-"])]
    pub identifiers_from: Option<String>,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// Files it.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    let cluster = request.access.open().await?;
    let name = request
        .name
        .clone()
        .unwrap_or_else(|| request.case.to_ascii_lowercase());
    let given = if request.identifiers_from.is_some() {
        identifiers::read(&mut std::io::stdin().lock())?
    } else {
        let wanted = wanted(&cluster, request).await?;
        identifiers::ask(&wanted).await?
    };
    let secret = format!("oer-{name}-{:08x}", rand::random::<u32>());
    let object = filed(request, &name, &secret, cluster.who().await?)?;
    // Without its owner and the values: what is to be known is whether it may be created.
    cluster
        .could_create(&of_person(&secret, &name, None, None))
        .await?;
    let made = cluster.create(&object).await?;
    let full = format!("ErasureRequest {}/{name}", cluster.namespace);
    let owner = owner(&made)?;
    let created = cluster
        .create(&of_person(&secret, &name, Some(owner), Some(&given)))
        .await;
    created.with_context(|| {
        format!(
            "{full} is filed, and the Secret {secret} that it names is not there: delete the request \
             and file it anew"
        )
    })?;
    Ok(format!(
        "{full} is filed; `kubectl oubliette show {name}` says how it stands\n"
    ))
}

/// The request as it is created.
fn filed(
    request: &Request,
    name: &str,
    secret: &str,
    by: String,
) -> anyhow::Result<ErasureRequest> {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let maps: Vec<MapRef> = request.maps.iter().map(|map| map_ref(map)).collect();
    let scope = ScopeSpec {
        role: request.role.clone(),
        data_map_refs: (!maps.is_empty()).then_some(maps),
        purposes: some(&request.purposes),
        ..ScopeSpec::default()
    };
    let grounds = request.grounds.iter().map(|ground| Choice::Known(*ground));
    let grounds: Vec<_> = grounds.collect();
    let now = Timestamp::now();
    if request.received_at.is_some_and(|at| at > now) {
        bail!("--received-at is in the future");
    }
    let received = request.received_at.unwrap_or(now);
    let spec = ErasureRequestSpec {
        subject: Some(SubjectSpec {
            secret_ref: Some(SecretRef {
                name: Some(secret.to_owned()),
                ..SecretRef::default()
            }),
            ..SubjectSpec::default()
        }),
        case_ref: Some(request.case.clone()),
        requested_by: Some(by),
        // To the second, as Kubernetes writes times.
        received_at: Some(Timestamp::from_second(received.as_second())?),
        identity: request.identity_required.then(|| IdentitySpec {
            required: Some(true),
            ..IdentitySpec::default()
        }),
        grounds: (!grounds.is_empty()).then_some(grounds),
        scope: (scope != ScopeSpec::default()).then_some(scope),
        ..ErasureRequestSpec::default()
    };
    Ok(ErasureRequest::new(name, ErasureRequestBody(spec)))
}

fn map_ref(text: &str) -> MapRef {
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, text),
    };
    MapRef {
        namespace,
        name: Some(name.to_owned()),
        ..MapRef::default()
    }
}

fn owner(request: &ErasureRequest) -> anyhow::Result<OwnerReference> {
    let uid = request
        .uid()
        .context("the API server gave the request no uid")?;
    Ok(OwnerReference {
        api_version: ErasureRequest::api_version(&()).into_owned(),
        kind: ErasureRequest::kind(&()).into_owned(),
        name: request.name_any(),
        uid,
        ..OwnerReference::default()
    })
}

/// The Secret of a person. Names only in its metadata.
fn of_person(
    secret: &str,
    request: &str,
    owner: Option<OwnerReference>,
    given: Option<&Identifiers>,
) -> Secret {
    let data = given.into_iter().flat_map(Identifiers::iter);
    let data = data.map(|(name, value)| (name.to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta {
            name: Some(secret.to_owned()),
            labels: Some(BTreeMap::from([(LABEL.to_owned(), request.to_owned())])),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(SUBJECT_SECRET.to_owned()),
        immutable: Some(true),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

/// The names of the identifiers to ask for: those by which the maps find somebody.
async fn wanted(cluster: &Cluster, request: &Request) -> anyhow::Result<Vec<String>> {
    if !request.identifiers.is_empty() {
        return Ok(request.identifiers.clone());
    }
    let maps: Vec<DataMap> = cluster.list(false).await?;
    let found = of_maps(&maps, &request.maps, request.role.as_deref());
    if found.is_empty() {
        bail!(
            "no DataMap in {} says by which identifiers a person is found: name those to be asked for \
             by --identifier NAME",
            cluster.namespace
        );
    }
    Ok(found)
}

/// The identifiers of these maps, where some are named of those, in the order in which they stand.
fn of_maps(maps: &[DataMap], named: &[String], role: Option<&str>) -> Vec<String> {
    let is_meant = |map: &&DataMap| {
        let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
        let full = format!("{namespace}/{name}");
        named.is_empty() || named.contains(&name) || named.contains(&full)
    };
    let mut found = Vec::new();
    for map in maps.iter().filter(is_meant) {
        let roles = map.spec.0.subjects.iter().flatten();
        let roles = roles.filter(|one| role.is_none() || one.role.as_deref() == role);
        let identifiers = roles.flat_map(|role| role.identifiers.iter().flatten());
        for name in identifiers.filter_map(|identifier| identifier.name.clone()) {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_are_the_identifiers_of_the_maps_that_are_meant() {
        let map = |name: &str, role: &str, identifiers: &[&str]| -> DataMap {
            let identifiers: Vec<_> = identifiers
                .iter()
                .map(|name| json!({"name": name, "column": "c"}))
                .collect();
            serde_json::from_value(json!({
                "apiVersion": "oubliette.dev/v1alpha1", "kind": "DataMap",
                "metadata": {"name": name, "namespace": "crm"},
                "spec": {"subjects": [{"role": role, "table": "t", "identifiers": identifiers}]},
            }))
            .unwrap()
        };
        let maps = [
            map("a", "learner", &["email", "phone"]),
            map("b", "referee", &["email", "number"]),
        ];
        let named = |name: &str| vec![name.to_owned()];
        assert_eq!(of_maps(&maps, &[], None), ["email", "phone", "number"]);
        assert_eq!(of_maps(&maps, &named("b"), None), ["email", "number"]);
        assert_eq!(of_maps(&maps, &named("crm/a"), None), ["email", "phone"]);
        assert_eq!(of_maps(&maps, &[], Some("referee")), ["email", "number"]);
        assert!(of_maps(&maps, &named("other/a"), None).is_empty());
    }
}
