//! What people are shown: columns, the manual, status and who may write it.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{TWIN, database, install_twins, kubectl, kubectl_json, policy, post_twin, refused};
use crate::cluster::Namespace;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

pub(super) fn pending(world: &World) -> Result<()> {
    let namespace = world.namespace("pending")?;
    install_twins(world, &namespace)?;
    for (plural, object) in [
        ("retentionpolicies", policy()),
        ("targetdatabases", database()),
    ] {
        let stored = post_twin(world, &namespace, plural, &object)?;
        let condition = &stored["status"]["conditions"][0];
        let seen = [
            &condition["type"],
            &condition["status"],
            &condition["reason"],
        ];
        ensure!(
            seen == ["Ready", "Unknown", "Pending"],
            "{plural}: {stored}"
        );
    }
    namespace.finish()
}

/// Writes a status of a twin policy, at a resource version if one is given.
fn write_status(
    world: &World,
    namespace: &Namespace<'_>,
    status: &Value,
    version: Option<&str>,
) -> Result<String> {
    let mut object = json!({
        "apiVersion": format!("{TWIN}/v1alpha1"), "kind": "RetentionPolicy",
        "metadata": {"name": "enquiries"}, "status": status,
    });
    if let Some(version) = version {
        object["metadata"]["resourceVersion"] = json!(version);
    }
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--subresource=status",
        "--field-manager=operator",
        "--validate=ignore",
        "-f",
        "-",
    ];
    kubectl(world, namespace, &arguments, &object)
}

pub(super) fn columns(world: &World) -> Result<()> {
    let namespace = world.namespace("columns")?;
    let table = |arguments: &[&str]| -> Result<String> {
        let mut all = vec!["get"];
        all.extend(arguments);
        kubectl(world, &namespace, &all, &Value::Null)
    };
    let head = |text: &str| {
        let words = text
            .lines()
            .next()
            .unwrap_or_default()
            .split("  ")
            .map(str::trim);
        words
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(",")
    };
    namespace.apply_value(&database())?;
    namespace.apply_value(&policy())?;
    let policies = head(&table(&["orp"])?);
    let expected = "NAME,DATABASE,MODE,READY,REASON,OVERDUE,NEXT RUN,LAST RUN,AGE";
    ensure!(policies == expected, "{policies}");
    let databases = head(&table(&["odb"])?);
    ensure!(
        databases == "NAME,ENGINE,VERSION,READY,REASON,AGE",
        "{databases}"
    );
    for (kind, more) in [
        ("orp", "OUTCOME"),
        ("orp", "MESSAGE"),
        ("odb", "HOST"),
        ("odb", "DATABASE"),
    ] {
        let wide = table(&[kind, "-o", "wide"])?;
        ensure!(head(&wide).contains(more), "{wide}");
    }
    // All kinds by their category.
    ensure!(table(&["oubliette"])?.contains("targetdatabase.oubliette.dev/crm"));

    // A time in the future is shown as it is; `<invalid>` is what a date column would say.
    install_twins(world, &namespace)?;
    post_twin(world, &namespace, "retentionpolicies", &policy())?;
    let status = json!({"overdueRows": 1234, "nextRunAt": "2999-01-01T03:00:00Z"});
    write_status(world, &namespace, &status, None)?;
    let shown = table(&["retentionpolicies.twin.oubliette.dev"])?;
    ensure!(
        shown.contains("1234") && shown.contains("2999-01-01T03:00:00Z"),
        "{shown}"
    );
    namespace.finish()
}

pub(super) fn explain(world: &World) -> Result<()> {
    let namespace = world.namespace("explain")?;
    let text = |path: &str| kubectl(world, &namespace, &["explain", path], &Value::Null);
    for (path, words) in [
        ("retentionpolicy.spec.rules.expireAfter", "ISO 8601"),
        (
            "retentionpolicy.spec.rules.where.anyOf.allOf.operator",
            "IsNotNull",
        ),
        ("retentionpolicy.spec.mode", "DryRun"),
        ("targetdatabase.spec.connection.tls.mode", "Disable"),
        ("targetdatabase.spec.pacing.maxRowsPerSecond", "a fifth"),
        ("retentionpolicy.status.leftElsewhere", "backups"),
    ] {
        let shown = wait_for("kubectl explains the kinds", PATIENCE, || {
            Ok(text(path).map_err(|error| format!("{error:#}")))
        })?;
        ensure!(
            shown.contains(words),
            "{path} does not say {words:?}: {shown}"
        );
    }
    namespace.finish()
}

pub(super) fn stale_writer(world: &World) -> Result<()> {
    let namespace = world.namespace("stale_writer")?;
    install_twins(world, &namespace)?;
    let stored = post_twin(world, &namespace, "retentionpolicies", &policy())?;
    let version = stored["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    write_status(
        world,
        &namespace,
        &json!({"overdueRows": 10}),
        Some(version),
    )?;
    // Another writer that still has the old version is refused, although it forces.
    refused(
        write_status(world, &namespace, &json!({"overdueRows": 5}), Some(version)),
        &["the object has been modified"],
    )?;
    let seen = kubectl_json(
        world,
        &namespace,
        &["get", "retentionpolicies.twin.oubliette.dev", "enquiries"],
    )?;
    ensure!(seen["status"]["overdueRows"] == 10, "{seen}");
    namespace.finish()
}

pub(super) fn status_writer(world: &World) -> Result<()> {
    let namespace = world.namespace("status_writer")?;
    namespace.apply_value(&database())?;
    namespace.apply_value(&policy())?;
    for (kind, name, patch) in [
        ("orp", "enquiries", json!({"status": {"overdueRows": 0}})),
        ("odb", "crm", json!({"status": {"version": "99"}})),
    ] {
        let patch = patch.to_string();
        let arguments = [
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        refused(
            kubectl(world, &namespace, &arguments, &Value::Null),
            &["only the operator's ServiceAccount"],
        )?;
    }
    namespace.finish()
}
