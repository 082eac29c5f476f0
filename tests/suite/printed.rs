//! What the program prints for people to run, run as printed: the GRANT statements of a scenario's
//! database user and the Roles that let the operator read its Secrets.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::chart::RELEASE;
use crate::expect::Grants;
use crate::operator::SYSTEM_NAMESPACE;
use crate::sql::next_number;

/// The GRANT statements for one user, or `None` where the scenario gives none.
pub(crate) fn grants(objects: &[Value], user: &str, given: Grants) -> Result<Option<String>> {
    let mut arguments = vec!["grants", "--user", user];
    match given {
        Grants::None => return Ok(None),
        Grants::Printed => {}
        Grants::DryRun => arguments.push("--dry-run"),
    }
    with_file(objects, &arguments).map(Some)
}

/// The Roles and bindings for the operator's ServiceAccount, as YAML.
pub(crate) fn roles(objects: &[Value], namespace: &str) -> Result<String> {
    let arguments = [
        "rbac",
        "--namespace",
        namespace,
        "--service-account",
        RELEASE,
        "--operator-namespace",
        SYSTEM_NAMESPACE,
    ];
    with_file(objects, &arguments)
}

/// Runs the program with `-f` and the objects in a file; it must succeed.
fn with_file(objects: &[Value], arguments: &[&str]) -> Result<String> {
    let output = program(objects, |command| {
        command.args(arguments);
    })?;
    if !output.status.success() {
        bail!(
            "oubliette {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the program with `-f` and the objects in a file, which is gone afterwards.
pub(crate) fn program(objects: &[Value], prepare: impl FnOnce(&mut Command)) -> Result<Output> {
    let file = std::env::temp_dir().join(format!(
        "oubliette-suite-{}-{}.yaml",
        std::process::id(),
        next_number()
    ));
    // JSON documents are YAML documents.
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n---\n")).context("failed to write the manifests")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_oubliette"));
    prepare(&mut command);
    let output = command.arg("-f").arg(&file).stdin(Stdio::null()).output();
    let removed = std::fs::remove_file(&file);
    let output = output.context("failed to run oubliette")?;
    removed.context("failed to remove a temporary file")?;
    Ok(output)
}
