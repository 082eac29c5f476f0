//! The chart as the tests install it: rendered by helm, everything but the Deployment applied. The
//! operators of the tests run as processes with the token of the chart's ServiceAccount.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::cluster::{Namespace, documents, resource};
use crate::operator::SYSTEM_NAMESPACE;
use crate::wait::{PATIENCE, wait_for};
use crate::world::{World, repository};

/// The release's name, which is also its ServiceAccount's.
pub(crate) const RELEASE: &str = "oubliette";

/// What the chart renders to, as the tests install it.
pub(crate) fn rendered() -> Result<Vec<Value>> {
    template(&["--set", "image.repository=not.pulled/by-tests"])
}

/// What the chart renders to with these arguments, or what helm says against it.
pub(crate) fn template(arguments: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new(helm()?)
        .args(["template", RELEASE, "charts/oubliette"])
        .args(["--namespace", SYSTEM_NAMESPACE])
        // The least that the chart accepts.
        .args(["--kube-version", "1.30.0"])
        .args(arguments)
        .current_dir(repository())
        .output()
        .context("failed to run helm")?;
    if !output.status.success() {
        bail!(
            "helm template failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    documents(&String::from_utf8(output.stdout)?)
}

/// helm, as `make setup` built it.
fn helm() -> Result<PathBuf> {
    let cache = bed::cache_folder()?;
    let mut found: Vec<PathBuf> = std::fs::read_dir(&cache)
        .with_context(|| format!("failed to read {}: run `make setup`", cache.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join("helm")))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| anyhow!("helm is not in {}: run `make setup`", cache.display()))
}

/// Installs everything but the Deployment.
pub(crate) fn install(world: &World) -> Result<()> {
    let system = Namespace::create(world, SYSTEM_NAMESPACE)?;
    let objects = rendered()?;
    let is_definition = |o: &Value| o["kind"] == "CustomResourceDefinition";
    for object in objects.iter().filter(|o| is_definition(o)) {
        system.apply_value(object)?;
    }
    for object in &objects {
        let workload = matches!(object["kind"].as_str(), Some("Deployment" | "Service"));
        if !workload && !is_definition(object) {
            system.apply_value(object)?;
        }
    }
    for definition in objects.iter().filter(|o| is_definition(o)) {
        let name = definition
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .ok_or_else(|| anyhow!("a definition has no name"))?;
        wait_for(&format!("{name} is served"), PATIENCE, || {
            let seen = system.get_any(
                &resource("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
                name,
            )?;
            let established = seen
                .pointer("/status/conditions")
                .and_then(Value::as_array)
                .is_some_and(|all| {
                    all.iter()
                        .any(|c| c["type"] == "Established" && c["status"] == "True")
                });
            Ok(if established {
                Ok(())
            } else {
                Err("it is not established".to_owned())
            })
        })?;
    }
    Ok(())
}

/// A kubeconfig with the token of the chart's ServiceAccount.
pub(crate) fn operator_kubeconfig(world: &World) -> Result<PathBuf> {
    let cluster = &world.control_plane()?.cluster;
    let token = cluster.service_account_token(SYSTEM_NAMESPACE, RELEASE)?;
    cluster.kubeconfig_for_token(&token)
}

/// Lets the ServiceAccount use a Lease of another name than the chart's.
pub(crate) fn allow_lease(world: &World, lease: &str) -> Result<()> {
    let system = Namespace::create(world, SYSTEM_NAMESPACE)?;
    let rbac = "rbac.authorization.k8s.io/v1";
    system.apply_value(&json!({
        "apiVersion": rbac, "kind": "Role",
        "metadata": {"name": lease, "namespace": SYSTEM_NAMESPACE},
        "rules": [{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "resourceNames": [lease], "verbs": ["get", "update"],
        }],
    }))?;
    system.apply_value(&json!({
        "apiVersion": rbac, "kind": "RoleBinding",
        "metadata": {"name": lease, "namespace": SYSTEM_NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": lease},
        "subjects": [{"kind": "ServiceAccount", "name": RELEASE, "namespace": SYSTEM_NAMESPACE}],
    }))?;
    Ok(())
}

/// Who holds a Lease now, by the `--identity` it was given (the operator adds a number that no other
/// process has); empty when nobody does.
pub(crate) fn lease_holder(world: &World, lease: &str) -> Result<String> {
    let system = Namespace::create(world, SYSTEM_NAMESPACE)?;
    let seen = system.find_any(&resource("coordination.k8s.io/v1", "Lease"), lease)?;
    Ok(seen
        .and_then(|o| {
            o.pointer("/spec/holderIdentity")
                .and_then(Value::as_str)
                .map(|holder| holder.split('_').next().unwrap_or(holder).to_owned())
        })
        .unwrap_or_default())
}
