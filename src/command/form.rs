//! The forms for programs: one JSON or YAML document.

use anyhow::Context;
use serde::Serialize;

/// A JSON document.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("failed to write JSON")?;
    text.push('\n');
    Ok(text)
}

/// A YAML document.
pub(super) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let value = serde_json::to_value(value).context("failed to write YAML")?;
    serde_saphyr::to_string(&value).context("failed to write YAML")
}
