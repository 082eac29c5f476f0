//! Names from kubeconfig and cluster for the completion of a command line that is still being typed.
//!
//! Whoever presses Tab waits: no answer within two seconds is no names, and so is every failure.

use std::ffi::OsString;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use oubliette_core::api::reason::Reason;

use super::access::{Access, Cluster, Kind};
use crate::resource::{DataMap, ErasureRequest, RetentionPolicy, TargetDatabase};

/// How long names are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Contexts of the kubeconfig.
pub fn contexts() -> Vec<CompletionCandidate> {
    let kubeconfig = typed(std::env::args_os()).kubeconfig();
    let contexts = kubeconfig.into_iter().flat_map(|found| found.contexts);
    candidates(contexts.map(|context| context.name))
}

/// Namespaces of the cluster.
pub fn namespaces() -> Vec<CompletionCandidate> {
    asked(async |cluster| {
        let api: Api<Namespace> = Api::all(cluster.client);
        let list = api.list(&ListParams::default()).await?;
        Ok(list.items.iter().map(ResourceExt::name_any).collect())
    })
}

/// Policies of the namespace.
pub fn policies() -> Vec<CompletionCandidate> {
    asked(all::<RetentionPolicy>)
}

/// DataMaps of the namespace.
pub fn maps() -> Vec<CompletionCandidate> {
    asked(all::<DataMap>)
}

/// Policies of the namespace, and its requests as `oer/NAME`.
pub fn decidable() -> Vec<CompletionCandidate> {
    asked(async |cluster| {
        let policies: Vec<RetentionPolicy> = cluster.list(false).await?;
        let requests: Vec<ErasureRequest> = cluster.list(false).await.unwrap_or_default();
        let requests = requests.iter().map(|r| format!("oer/{}", r.name_any()));
        let policies = policies.iter().map(ResourceExt::name_any);
        Ok(policies.chain(requests).collect())
    })
}

/// Policies and requests of the namespace, or databases where `--database` was typed.
pub fn suspendable() -> Vec<CompletionCandidate> {
    if std::env::args_os().any(|argument| argument == "--database") {
        asked(all::<TargetDatabase>)
    } else {
        decidable()
    }
}

/// Requests of persons in the namespace.
pub fn requests() -> Vec<CompletionCandidate> {
    asked(all::<ErasureRequest>)
}

/// Reasons, which no cluster has to be asked for.
pub fn reasons() -> Vec<CompletionCandidate> {
    let candidate = |reason: &Reason| {
        CompletionCandidate::new(reason.as_str()).help(Some(reason.meaning().into()))
    };
    Reason::ALL.iter().map(candidate).collect()
}

async fn all<K: Kind>(cluster: Cluster) -> anyhow::Result<Vec<String>> {
    let objects: Vec<K> = cluster.list(false).await?;
    Ok(objects.iter().map(ResourceExt::name_any).collect())
}

fn asked(
    names: impl AsyncFnOnce(Cluster) -> anyhow::Result<Vec<String>>,
) -> Vec<CompletionCandidate> {
    let access = typed(std::env::args_os());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Vec::new();
    };
    let answer = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async { names(access.open().await?).await }).await
    });
    candidates(answer.ok().and_then(Result::ok).into_iter().flatten())
}

fn candidates(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    names.map(CompletionCandidate::new).collect()
}

/// Which cluster is meant by a command line that need not be whole yet.
fn typed(arguments: impl Iterator<Item = OsString>) -> Access {
    let mut access = Access::default();
    let mut flag = None;
    for argument in arguments {
        let Some(argument) = argument.to_str() else {
            continue;
        };
        let (name, value) = match (flag.take(), argument.split_once('=')) {
            (Some(name), _) => (name, argument),
            (None, Some((name, value))) => (name.to_owned(), value),
            (None, None) => {
                flag = Some(argument.to_owned());
                continue;
            }
        };
        let value = value.to_owned();
        match name.as_str() {
            "-n" | "--namespace" => access.namespace = Some(value),
            "--context" => access.context = Some(value),
            "--kubeconfig" => access.kubeconfig = Some(value.into()),
            // Not a flag of ours: what follows may be one.
            _ => flag = Some(value),
        }
    }
    access
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_read_from_a_line_that_is_still_typed() {
        for line in [
            "oubliette kubectl run -n crm --context=blue x",
            "oubliette kubectl run x --context blue --namespace=crm ",
            "oubliette kubectl --flag run --namespace crm --context blue --wait",
        ] {
            let access = typed(line.split(' ').map(OsString::from));
            assert_eq!(access.namespace.as_deref(), Some("crm"), "{line}");
            assert_eq!(access.context.as_deref(), Some("blue"), "{line}");
            assert_eq!(access.kubeconfig, None);
        }
        // The value is what is being typed.
        assert_eq!(
            typed(["x", "-n", ""].map(OsString::from).into_iter()).namespace,
            Some(String::new())
        );
    }
}
