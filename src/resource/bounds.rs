//! Keeps a status within the bounds of its schema.
//!
//! The API server refuses a status of which one message is too long, and then nothing at all would be
//! told. What decides cuts at sensible places; this is the net below it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::crds;

/// What bounds a value: its own length, and what is in it.
#[derive(Default)]
struct Bounds {
    length: Option<usize>,
    items: Option<usize>,
    each: Option<Box<Bounds>>,
    fields: BTreeMap<String, Bounds>,
}

impl Bounds {
    /// Those of a schema; `None`: it has none.
    fn of(schema: &Value) -> Option<Self> {
        schema.as_object()?;
        let most = |keyword: &str| {
            let most = schema[keyword].as_u64()?;
            usize::try_from(most).ok()
        };
        let fields = schema["properties"].as_object().into_iter().flatten();
        let bounds = Self {
            length: most("maxLength"),
            items: most("maxItems"),
            each: Self::of(&schema["items"]).map(Box::new),
            fields: fields
                .filter_map(|(name, field)| Some((name.clone(), Self::of(field)?)))
                .collect(),
        };
        let is_bounded = bounds.length.or(bounds.items).is_some()
            || bounds.each.is_some()
            || !bounds.fields.is_empty();
        is_bounded.then_some(bounds)
    }
}

/// By kind.
static STATUS: LazyLock<BTreeMap<String, Bounds>> = LazyLock::new(|| {
    let statuses = crds().into_iter().filter_map(|crd| {
        let versions = crd.spec.versions.into_iter();
        let schema = versions.take(1).find_map(|version| version.schema);
        let schema = serde_json::to_value(schema).unwrap_or_default();
        let status = &schema["openAPIV3Schema"]["properties"]["status"];
        Some((crd.spec.names.kind, Bounds::of(status)?))
    });
    statuses.collect()
});

/// Reads the schemas. They are several megabytes for a moment, which are better taken before the objects come than
/// between them.
pub fn prepare() {
    LazyLock::force(&STATUS);
}

/// Cuts what is longer than the schema of a kind's status allows, and names the fields.
pub fn fit(kind: &str, status: &mut Value) -> Vec<String> {
    let mut cut = vec![];
    if let Some(bounds) = STATUS.get(kind) {
        fit_to(bounds, status, "status", &mut cut);
    }
    cut
}

fn fit_to(bounds: &Bounds, value: &mut Value, path: &str, cut: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if let Some(most) = bounds.length
                && let Some((end, _)) = text.char_indices().nth(most)
            {
                text.truncate(end);
                cut.push(path.to_owned());
            }
        }
        Value::Array(items) => {
            if let Some(most) = bounds.items
                && items.len() > most
            {
                items.truncate(most);
                cut.push(path.to_owned());
            }
            for (i, item) in items.iter_mut().enumerate() {
                if let Some(each) = &bounds.each {
                    fit_to(each, item, &format!("{path}[{i}]"), cut);
                }
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(bounds) = bounds.fields.get(name) {
                    fit_to(bounds, field, &format!("{path}.{name}"), cut);
                }
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
