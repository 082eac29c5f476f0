//! The privileges of a scenario's operator user: what `oubliette grants` prints, run as printed.

use std::process::Command;

use anyhow::{Context, Result, bail};

use serde_json::Value;

use crate::expect::Grants;
use crate::sql::{Database, next_number};

/// The statements for one user, or `None` where the scenario gives none.
pub(crate) fn printed(
    database: &Database,
    user: &str,
    objects: &[Value],
    given: Grants,
) -> Result<Option<String>> {
    let mode = match given {
        Grants::None => return Ok(None),
        Grants::Printed => &[][..],
        Grants::DryRun => &["--dry-run"][..],
    };
    let file = std::env::temp_dir().join(format!(
        "oubliette-suite-{}-{}.yaml",
        std::process::id(),
        next_number()
    ));
    // JSON documents are YAML documents.
    let manifests: Vec<String> = objects.iter().map(Value::to_string).collect();
    std::fs::write(&file, manifests.join("\n---\n"))
        .context("failed to write the manifests to a file")?;
    let output = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(["grants", "--engine", database.server.engine()])
        .args(["--database", &database.name, "--user", user])
        .args(mode)
        .arg("-f")
        .arg(&file)
        .output();
    let removed = std::fs::remove_file(&file);
    let output = output.context("failed to run oubliette grants")?;
    removed.context("failed to remove a temporary file")?;
    if !output.status.success() {
        bail!(
            "oubliette grants failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(Some(String::from_utf8(output.stdout)?))
}
