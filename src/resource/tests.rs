//! What every schema must have, and what a new one may not take away.

use std::fs;
use std::path::{Path, PathBuf};

use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::TargetDatabaseSpec;
use oubliette_core::policy::Mandate;
use oubliette_core::target::Target;
use serde_json::{Value, json};

use super::released::breaks;
use super::{crds, yaml};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// Calls `look` with every schema below this one and its path.
fn walk(schema: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), look);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), look);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{path}.*"), look);
    }
}

fn each_schema(part: &str, mut look: impl FnMut(&str, &Value)) {
    for crd in crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let path = format!("{}.{part}", crd.spec.names.kind);
        // Approvals and ErasurePlans have no status.
        if let Some(schema) = schema["openAPIV3Schema"]["properties"].get(part) {
            walk(schema, &path, &mut look);
        }
    }
}

#[test]
fn no_enum_offers_null_which_is_refused() {
    for (name, text) in yaml().unwrap() {
        let offered = text.lines().any(|line| line.trim() == "- null");
        assert!(!offered, "{name}");
    }
}

#[test]
fn every_field_is_explained() {
    let mut bare = vec![];
    for part in ["spec", "status"] {
        each_schema(part, |path, schema| {
            let item = path.ends_with("[]") || path.ends_with(".*");
            let text = schema["description"].as_str().unwrap_or_default();
            if !item && (text.len() < 4 || text.replace("\n\n", "").contains('\n')) {
                bare.push(format!("{path}: {text:?}"));
            }
        });
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn everything_is_bounded() {
    let mut boundless = vec![];
    for part in ["spec", "status"] {
        each_schema(part, |path, schema| {
            let has = |keyword: &str| !schema[keyword].is_null();
            let bounded = match schema["type"].as_str() {
                Some("array") => has("maxItems"),
                Some("string") => {
                    has("maxLength") || has("enum") || schema["format"] == "date-time"
                }
                Some("integer") => part == "status" || has("minimum"),
                Some("object") => !has("additionalProperties") || has("maxProperties"),
                Some("boolean") => true,
                Some(_) | None => false,
            };
            if !bounded {
                boundless.push(path.to_owned());
            }
        });
    }
    assert_eq!(boundless, Vec::<String>::new());
}

#[test]
fn every_list_is_replaced_whole_except_conditions() {
    for part in ["spec", "status"] {
        each_schema(part, |path, schema| {
            if schema["type"] == "array" {
                let expected = if path.ends_with(".conditions") {
                    "map"
                } else {
                    "atomic"
                };
                assert_eq!(schema["x-kubernetes-list-type"], expected, "{path}");
            }
        });
    }
}

#[test]
fn every_struct_of_a_spec_keeps_what_it_does_not_know() {
    each_schema("spec", |path, schema| {
        // The operator writes ErasurePlans, and nobody forgets a guard in them.
        if schema["properties"].is_object() && !path.starts_with("ErasurePlan.") {
            assert_eq!(
                schema["x-kubernetes-preserve-unknown-fields"], true,
                "{path}"
            );
        }
    });
}

#[test]
fn nothing_may_be_null_and_counts_are_int64() {
    for part in ["spec", "status"] {
        each_schema(part, |path, schema| {
            assert!(schema["nullable"].is_null(), "{path}");
            if schema["type"] == "integer" {
                let format = schema["format"].as_str();
                assert!(
                    matches!(format, Some("int64" | "int32")),
                    "{path}: {format:?}"
                );
            }
        });
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_parser() {
    let database = json!({
        "engine": "PostgreSQL",
        "connection": {"host": "h", "database": "d", "credentials": {"secretRef": {"name": "s"}}},
    });
    let policy = json!({
        "databaseRef": {"name": "crm"},
        "schedule": "30 2 * * *",
        "rules": [{
            "name": "r", "basis": "b", "table": "p.t", "expireAfter": "P1D",
            "since": {"column": "c"}, "action": {"type": "Delete"},
        }],
    });
    let defaulted = |kind: &str, written: &Value| {
        let crd = crds()
            .into_iter()
            .find(|crd| crd.spec.names.kind == kind)
            .unwrap();
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let mut document = written.clone();
        fill(
            &mut document,
            &schema["openAPIV3Schema"]["properties"]["spec"],
        );
        assert_ne!(&document, written, "{kind} has no defaults");
        document
    };
    let parse = |document: &Value| {
        Target::parse(&serde_json::from_value::<TargetDatabaseSpec>(document.clone()).unwrap())
            .unwrap()
    };
    let target = parse(&database);
    assert_eq!(parse(&defaulted("TargetDatabase", &database)), target);

    let read =
        |document: &Value| serde_json::from_value::<RetentionPolicySpec>(document.clone()).unwrap();
    let written = read(&policy);
    let full = read(&defaulted("RetentionPolicy", &policy));
    assert_eq!(written.digest_input(), full.digest_input());
    let (written, full) = (
        Mandate::parse(&written, &target).unwrap(),
        Mandate::parse(&full, &target).unwrap(),
    );
    assert_eq!((written.mode, written.suspend), (full.mode, full.suspend));
    assert_eq!(written.policy.zone, full.policy.zone);
}

/// What the API server does with defaults.
fn fill(value: &mut Value, schema: &Value) {
    if let (Some(object), Some(properties)) =
        (value.as_object_mut(), schema["properties"].as_object())
    {
        for (name, property) in properties {
            if !object.contains_key(name) && !property["default"].is_null() {
                object.insert(name.clone(), property["default"].clone());
            }
            if let Some(inner) = object.get_mut(name) {
                fill(inner, property);
            }
        }
    }
}

#[test]
fn the_examples_are_understood() {
    let folder = root().join("examples/quickstart");
    let read = |file: &str| documents(&fs::read_to_string(folder.join(file)).unwrap());
    let databases = read("databases.yaml");
    let targets: Vec<_> = databases
        .iter()
        .map(|document| {
            let spec: TargetDatabaseSpec =
                serde_json::from_value(document["spec"].clone()).unwrap();
            (
                document["metadata"]["name"].clone(),
                Target::parse(&spec).unwrap(),
            )
        })
        .collect();
    for document in read("policies.yaml") {
        let spec: RetentionPolicySpec = serde_json::from_value(document["spec"].clone()).unwrap();
        let (_, target) = targets
            .iter()
            .find(|(name, _)| *name == document["spec"]["databaseRef"]["name"])
            .unwrap();
        Mandate::parse(&spec, target).unwrap();
    }
}

#[test]
fn what_was_released_is_still_served() {
    let folder = root().join("crds/released");
    // Before the first release there is nothing to keep.
    let versions: Vec<PathBuf> = fs::read_dir(&folder)
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir())
                .collect()
        })
        .unwrap_or_default();
    let ours: Vec<Value> = yaml()
        .unwrap()
        .iter()
        .flat_map(|(_, text)| documents(text))
        .collect();
    for version in versions {
        for file in fs::read_dir(&version).unwrap() {
            let file = file.unwrap().path();
            for old in documents(&fs::read_to_string(&file).unwrap()) {
                let new = ours
                    .iter()
                    .find(|crd| crd["metadata"]["name"] == old["metadata"]["name"]);
                let found = breaks(&old, new.unwrap_or(&Value::Null));
                assert!(
                    found.is_empty(),
                    "{}:\n{}",
                    file.display(),
                    found.join("\n")
                );
            }
        }
    }
}

/// The CRD of policies, changed at a JSON pointer below the schema of its spec.
fn changed(change: impl FnOnce(&mut Value)) -> (Value, Value) {
    let (_, text) = yaml()
        .unwrap()
        .into_iter()
        .find(|(plural, _)| plural == "retentionpolicies")
        .unwrap();
    let old = documents(&text).remove(0);
    let mut new = old.clone();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    change(new.pointer_mut(spec).unwrap());
    (old, new)
}

#[test]
fn taking_away_what_was_served_is_noticed() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 10] = [
        ("v1alpha1.spec.limits was removed or renamed", |spec| {
            let limits = spec["properties"]
                .as_object_mut()
                .unwrap()
                .remove("limits")
                .unwrap();
            spec["properties"]["ceilings"] = limits;
        }),
        ("v1alpha1.spec.suspend has another type", |spec| {
            spec["properties"]["suspend"]["type"] = json!("string");
        }),
        ("v1alpha1.spec.mode has another default", |spec| {
            spec["properties"]["mode"]["default"] = json!("Enforce");
        }),
        ("v1alpha1.spec.timeZone has another default", |spec| {
            spec["properties"]["timeZone"]
                .as_object_mut()
                .unwrap()
                .remove("default");
        }),
        ("v1alpha1.spec.mode no longer takes DryRun", |spec| {
            spec["properties"]["mode"]["enum"] = json!(["Enforce"]);
        }),
        ("v1alpha1.spec.rules is merged in another way", |spec| {
            spec["properties"]["rules"]["x-kubernetes-list-type"] = json!("map");
        }),
        ("v1alpha1.spec.rules[].walk is now required", |spec| {
            spec["properties"]["rules"]["items"]["required"]
                .as_array_mut()
                .unwrap()
                .push(json!("walk"));
        }),
        (
            "v1alpha1.spec.rules[].table has a narrower maxLength",
            |spec| {
                spec["properties"]["rules"]["items"]["properties"]["table"]["maxLength"] =
                    json!(10);
            },
        ),
        (
            "v1alpha1.spec.limits.maxRows has a narrower maximum",
            |spec| {
                spec["properties"]["limits"]["properties"]["maxRows"]["maximum"] = json!(10);
            },
        ),
        (
            "v1alpha1.spec.rules[].since.column has a narrower minLength",
            |spec| {
                spec["properties"]["rules"]["items"]["properties"]["since"]["properties"]["column"]
                    ["minLength"] = json!(2);
            },
        ),
    ];
    for (expected, change) in changes {
        let (old, new) = changed(change);
        let found = breaks(&old, &new);
        assert_eq!(found.len(), 1, "{expected}: {found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn adding_to_what_was_served_is_allowed() {
    let (old, new) = changed(|spec| {
        spec["properties"]["grace"] = json!({"type": "string", "default": "P0D"});
        spec["properties"]["mode"]["enum"]
            .as_array_mut()
            .unwrap()
            .push(json!("Rehearse"));
        spec["properties"]["rules"]["maxItems"] = json!(128);
        spec["properties"]["suspend"]["description"] = json!("other words");
    });
    assert_eq!(breaks(&old, &new), Vec::<String>::new());
    assert_eq!(breaks(&old, &old), Vec::<String>::new());
}
