//! The chart as the tests install it: rendered by helm, everything but the Deployment applied. The
//! operators of the tests run as processes with the token of the chart's ServiceAccount.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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

/// The chart's folder.
pub(crate) const FOLDER: &str = "charts/oubliette";

/// Values that turn on whatever is off by default.
pub(crate) const EVERYTHING: &str = "charts/oubliette/ci/everything-values.yaml";

/// What the chart renders to with these arguments, or what helm says against it.
pub(crate) fn template(arguments: &[&str]) -> Result<Vec<Value>> {
    documents(&template_text(arguments)?)
}

/// The same, as helm prints it.
pub(crate) fn template_text(arguments: &[&str]) -> Result<String> {
    // The least Kubernetes that the chart accepts.
    let command: &[&str] = &["template", RELEASE, FOLDER, "--kube-version", "1.30.0"];
    let command = [command, &["--namespace", SYSTEM_NAMESPACE], arguments].concat();
    tool("helm", &command, "")
}

/// Runs a program that `make setup` built, in the repository, and returns what it printed. Where it
/// fails, both of its outputs are the error: some of these programs complain on the one, some on
/// the other.
pub(crate) fn tool(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(bed::tool(program)?)
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to run {program}"))?;
    let mut pipe = child.stdin.take().context("the program has no input")?;
    let input = input.to_owned();
    let writing = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    // A program that did not read to the end has said why.
    let _ = writing.join();
    let printed = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program} {} failed: {complaint}{printed}",
            arguments.join(" ")
        );
    }
    Ok(printed)
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
    wait_until_served(&system, &objects)
}

/// Waits until what the definitions among these objects define can be used.
pub(crate) fn wait_until_served(system: &Namespace<'_>, objects: &[Value]) -> Result<()> {
    for definition in objects
        .iter()
        .filter(|o| o["kind"] == "CustomResourceDefinition")
    {
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
            if !established {
                return Ok(Err("it is not established".to_owned()));
            }
            // Its storage comes a moment later.
            let text = |path| {
                seen.pointer(path)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let version = format!("{}/{}", text("/spec/group"), text("/spec/versions/0/name"));
            let listed = system.list(&version, text("/spec/names/kind"));
            Ok(listed.map(drop).map_err(|error| format!("{error:#}")))
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
