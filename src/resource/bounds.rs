//! Keeps a status within the bounds of its schema.
//!
//! The API server refuses a status of which one message is too long, and then nothing at all would be
//! told. What decides cuts at sensible places; this is the net below it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::crds;

static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let schemas = crds().into_iter().map(|crd| {
        let schema = crd
            .spec
            .versions
            .into_iter()
            .next()
            .and_then(|version| version.schema);
        let schema = serde_json::to_value(schema).unwrap_or_default();
        let status = schema["openAPIV3Schema"]["properties"]["status"].clone();
        (crd.spec.names.kind, status)
    });
    schemas.collect()
});

/// Cuts what is longer than the schema of a kind's status allows, and names the fields.
pub fn fit(kind: &str, status: &mut Value) -> Vec<String> {
    let mut cut = vec![];
    if let Some(schema) = SCHEMAS.get(kind) {
        fit_to(schema, status, "status", &mut cut);
    }
    cut
}

fn fit_to(schema: &Value, value: &mut Value, path: &str, cut: &mut Vec<String>) {
    let bound = |keyword: &str| {
        schema[keyword]
            .as_u64()
            .and_then(|most| usize::try_from(most).ok())
    };
    match value {
        Value::String(text) => {
            if let Some(most) = bound("maxLength")
                && let Some((end, _)) = text.char_indices().nth(most)
            {
                text.truncate(end);
                cut.push(path.to_owned());
            }
        }
        Value::Array(items) => {
            if let Some(most) = bound("maxItems")
                && items.len() > most
            {
                items.truncate(most);
                cut.push(path.to_owned());
            }
            for (i, item) in items.iter_mut().enumerate() {
                fit_to(&schema["items"], item, &format!("{path}[{i}]"), cut);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                fit_to(
                    &schema["properties"][name.as_str()],
                    field,
                    &format!("{path}.{name}"),
                    cut,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_named() {
        let mut status = json!({
            "handledRunNow": "é".repeat(300),
            "leftElsewhere": vec!["backups"; 40],
            "plan": {"warnings": ["w".repeat(2000)]},
            "overdueRows": 5,
        });
        let cut = fit("RetentionPolicy", &mut status);
        assert_eq!(
            cut,
            [
                "status.handledRunNow",
                "status.leftElsewhere",
                "status.plan.warnings[0]"
            ]
        );
        assert_eq!(status["handledRunNow"], "é".repeat(256));
        assert_eq!(status["leftElsewhere"].as_array().map(Vec::len), Some(32));
        assert_eq!(fit("RetentionPolicy", &mut status), Vec::<String>::new());
    }
}
