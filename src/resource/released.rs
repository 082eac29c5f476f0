//! Whether a CRD would still serve what a released one served.
//!
//! A renamed or retyped field is dropped for good at the next write of an object, and a changed
//! default alters stored objects without a new generation. Released CRDs are kept in
//! `crds/released/VERSION/`; there are none before the first release.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the new definition breaks of the old one, a sentence each. Both are whole CRDs.
pub(crate) fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = vec![];
    for version in served(old) {
        let name = version["name"].as_str().unwrap_or_default();
        match served(new).find(|candidate| candidate["name"] == version["name"]) {
            None => found.push(format!("{name} is no longer served")),
            Some(candidate) => compare(
                &version["schema"]["openAPIV3Schema"],
                &candidate["schema"]["openAPIV3Schema"],
                name,
                &mut found,
            ),
        }
    }
    for field in ["group", "scope"] {
        if old["spec"][field] != new["spec"][field] {
            found.push(format!("spec.{field} is another"));
        }
    }
    if old["spec"]["names"]["plural"] != new["spec"]["names"]["plural"] {
        found.push("the plural name is another".to_owned());
    }
    found
}

fn served(crd: &Value) -> impl Iterator<Item = &Value> {
    let versions = crd["spec"]["versions"].as_array();
    versions
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == true)
}

fn compare(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    for (keyword, what) in [
        ("type", "has another type"),
        ("format", "has another format"),
        ("default", "has another default"),
        ("x-kubernetes-list-type", "is merged in another way"),
        ("x-kubernetes-preserve-unknown-fields", "keeps other fields"),
    ] {
        if old[keyword] != new[keyword] {
            found.push(format!(
                "{path} {what}: {} became {}",
                old[keyword], new[keyword]
            ));
        }
    }
    for word in strings(&old["enum"]).difference(&strings(&new["enum"])) {
        if !new["enum"].is_null() {
            found.push(format!("{path} no longer takes {word}"));
        }
    }
    if old["enum"].is_null() && !new["enum"].is_null() {
        found.push(format!("{path} now takes certain words only"));
    }
    // What was valid must stay valid.
    for (bound, narrower) in [
        ("maximum", std::cmp::Ordering::Less),
        ("maxLength", std::cmp::Ordering::Less),
        ("maxItems", std::cmp::Ordering::Less),
        ("minimum", std::cmp::Ordering::Greater),
        ("minLength", std::cmp::Ordering::Greater),
        ("minItems", std::cmp::Ordering::Greater),
    ] {
        let Some(after) = new[bound].as_f64() else {
            continue;
        };
        let narrowed = old[bound]
            .as_f64()
            .is_none_or(|before| after.partial_cmp(&before) == Some(narrower));
        if narrowed {
            found.push(format!(
                "{path} has a narrower {bound}: {} became {}",
                old[bound], new[bound]
            ));
        }
    }
    let required = strings(&new["required"]);
    for name in required.difference(&strings(&old["required"])) {
        let has_default = !new["properties"][name.as_str()]["default"].is_null();
        if !has_default {
            found.push(format!("{path}.{name} is now required"));
        }
    }
    if let Some(properties) = old["properties"].as_object() {
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            match new["properties"].get(name) {
                None => found.push(format!("{path} was removed or renamed")),
                Some(candidate) => compare(property, candidate, &path, found),
            }
        }
    }
    if !old["items"].is_null() {
        compare(&old["items"], &new["items"], &format!("{path}[]"), found);
    }
    if old["additionalProperties"].is_object() {
        compare(
            &old["additionalProperties"],
            &new["additionalProperties"],
            &format!("{path}.*"),
            found,
        );
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
