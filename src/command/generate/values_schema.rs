//! The part of the chart's `values.schema.json` that says what `settings` may hold, from the settings'
//! own schema. The rest of that file is written by hand.

use anyhow::Context;
use serde_json::Value;

/// Where the part begins, and where it ends: it is a member of `properties`, written as serde writes it.
const BEGIN: &str = "    \"settings\": {\n";
const END: &str = "\n    },\n";

/// The file with the part as it should be.
pub(super) fn with_settings(file: &str, settings: &Value) -> anyhow::Result<String> {
    let (before, rest) = file
        .split_once(BEGIN)
        .context("failed to find where the settings begin")?;
    let (_, after) = rest
        .split_once(END)
        .context("failed to find where the settings end")?;
    let part = serde_json::to_string_pretty(settings).context("failed to write the settings")?;
    let part = part.strip_prefix("{\n").context("the settings are empty")?;
    let part = part.strip_suffix("\n}").context("the settings are empty")?;
    let lines: Vec<String> = part.lines().map(|line| format!("    {line}")).collect();
    Ok([before, BEGIN, &lines.join("\n"), END, after].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_settings_are_written_anew() {
        let file = "{\n  \"properties\": {\n    \"a\": {},\n    \"settings\": {\n      old\n    },\n    \"z\": 1\n  }\n}\n";
        let settings = json!({"properties": {"b": {"type": "string"}}});
        let new = with_settings(file, &settings).unwrap();
        let parsed: Value = serde_json::from_str(&new).unwrap();
        let wanted = json!({"properties": {"a": {}, "settings": settings, "z": 1}});
        assert_eq!(parsed, wanted);
        assert_eq!(with_settings(&new, &settings).unwrap(), new);
    }
}
