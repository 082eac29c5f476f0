//! A case's own namespace: manifests in (as `kubectl apply --server-side --validate=strict` sends
//! them), objects out as JSON.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, ValidationDirective,
};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The documents of a YAML text.
pub(crate) fn documents(yaml: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|e| anyhow!("not YAML: {e}"))?;
    Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
}

/// What the API server calls a kind.
pub(crate) fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = match kind {
        "RetentionPolicy" => "retentionpolicies".to_owned(),
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies".to_owned(),
        "MutatingAdmissionPolicy" => "mutatingadmissionpolicies".to_owned(),
        "NetworkPolicy" => "networkpolicies".to_owned(),
        other => format!("{}s", other.to_ascii_lowercase()),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), &plural)
}

/// `oubliette.dev/v1alpha1`.
pub(crate) const API_VERSION: &str = "oubliette.dev/v1alpha1";

/// A namespace of one case.
pub(crate) struct Namespace<'w> {
    world: &'w World,
    client: Client,
    /// Its name.
    pub(crate) name: String,
}

impl<'w> Namespace<'w> {
    /// Creates one.
    pub(crate) fn create(world: &'w World, name: &str) -> Result<Self> {
        let client = world.client()?;
        let namespace = Self {
            world,
            client,
            name: name.to_owned(),
        };
        namespace.apply_value(&json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
        }))?;
        Ok(namespace)
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        if matches!(
            resource.kind.as_str(),
            "Namespace"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "CustomResourceDefinition"
                | "MutatingAdmissionPolicy"
                | "MutatingAdmissionPolicyBinding"
                | "ValidatingAdmissionPolicy"
                | "ValidatingAdmissionPolicyBinding"
        ) {
            Api::all_with(self.client.clone(), resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.name, resource)
        }
    }

    /// The name by which the API server knows the suite.
    pub(crate) fn whoami(&self) -> Result<String> {
        let arguments = [
            "auth",
            "whoami",
            "-o",
            "jsonpath={.status.userInfo.username}",
        ];
        self.world.control_plane()?.cluster.kubectl(&arguments, "")
    }

    /// Applies every document of a YAML text.
    pub(crate) fn apply(&self, yaml: &str) -> Result<()> {
        for document in documents(yaml)? {
            self.apply_value(&document)?;
        }
        Ok(())
    }

    /// Applies one object. A refusal of the API server is the error, in its words.
    pub(crate) fn apply_value(&self, object: &Value) -> Result<Value> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .ok_or_else(|| anyhow!("a manifest lacks {pointer}"))
        };
        let kind = text("/kind")?;
        let name = text("/metadata/name")?;
        let resource = resource(text("/apiVersion")?, kind);
        let parameters = PatchParams {
            field_manager: Some("suite".to_owned()),
            force: true,
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let api = self.api(&resource);
        let applied = self
            .world
            .block_on(api.patch(name, &parameters, &Patch::Apply(object)))
            .with_context(|| format!("the API server refused {kind} {name}"))?;
        Ok(serde_json::to_value(applied)?)
    }

    /// Merges a patch into an object of our kinds.
    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let api = self.api(&resource(API_VERSION, kind));
        self.world
            .block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)))
            .with_context(|| format!("the API server refused a patch of {kind} {name}"))?;
        Ok(())
    }

    /// An object of our kinds.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.get_any(&resource(API_VERSION, kind), name)
    }

    /// An object of any kind.
    pub(crate) fn get_any(&self, resource: &ApiResource, name: &str) -> Result<Value> {
        self.find_any(resource, name)?
            .ok_or_else(|| anyhow!("there is no {} {name}", resource.kind))
    }

    /// An object of any kind, if it is there.
    pub(crate) fn find_any(&self, resource: &ApiResource, name: &str) -> Result<Option<Value>> {
        let object = self
            .world
            .block_on(self.api(resource).get_opt(name))
            .with_context(|| format!("failed to get {} {name}", resource.kind))?;
        Ok(object.map(serde_json::to_value).transpose()?)
    }

    /// Every object of a kind, as the API server has it.
    pub(crate) fn list(&self, api_version: &str, kind: &str) -> Result<Vec<Value>> {
        let api = self.api(&resource(api_version, kind));
        let list = self
            .world
            .block_on(api.list(&kube::api::ListParams::default()))
            .with_context(|| format!("failed to list {kind}"))?;
        list.items
            .iter()
            .map(|item| Ok(serde_json::to_value(item)?))
            .collect()
    }

    /// Deletes an object and does not wait until it is gone.
    pub(crate) fn delete(&self, api_version: &str, kind: &str, name: &str) -> Result<()> {
        let api = self.api(&resource(api_version, kind));
        match self
            .world
            .block_on(api.delete(name, &DeleteParams::default()))
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error).with_context(|| format!("failed to delete {kind} {name}")),
        }
    }

    /// Waits until `right` is satisfied with an object; `Err` is what it misses.
    pub(crate) fn wait_until(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        deadline: Duration,
        mut right: impl FnMut(&Value) -> std::result::Result<(), String>,
    ) -> Result<Value> {
        let what = format!("{kind} {}/{name} {what}", self.name);
        wait_for(&what, deadline, || {
            let object = self.get(kind, name)?;
            Ok(match right(&object) {
                Ok(()) => Ok(object),
                Err(missing) => Err(format!("{missing}; status: {}", brief_status(&object))),
            })
        })
    }

    /// Waits until the Ready condition, for the present generation, carries a reason.
    pub(crate) fn wait_reason(&self, kind: &str, name: &str, reason: &str) -> Result<Value> {
        self.wait_until(
            kind,
            name,
            &format!("has the reason {reason}"),
            PATIENCE,
            |object| {
                let ready = ready(object).ok_or("no Ready condition")?;
                if !is_current(object) {
                    return Err("the status is of an older generation".to_owned());
                }
                match ready["reason"].as_str() {
                    Some(seen) if seen == reason => Ok(()),
                    seen => Err(format!("the reason is {seen:?}")),
                }
            },
        )
    }

    /// Waits until an event tells this of an object of our kinds.
    pub(crate) fn wait_event(
        &self,
        (kind, name): (&str, &str),
        reason: &str,
        words: &[&str],
    ) -> Result<()> {
        let what = format!("an event of {kind} {}/{name} tells {reason}", self.name);
        wait_for(&what, PATIENCE, || {
            let events = self.list("events.k8s.io/v1", "Event")?;
            let mut told = events.iter().filter(|event| {
                event.pointer("/regarding/kind") == Some(&json!(kind))
                    && event.pointer("/regarding/name") == Some(&json!(name))
                    && event["reason"] == reason
            });
            let right = told.clone().any(|event| {
                let note = event["note"].as_str().unwrap_or_default();
                words.iter().all(|word| note.contains(word))
            });
            Ok(if right {
                Ok(())
            } else {
                Err(format!("{words:?} not in {:?}", told.next()))
            })
        })
    }

    /// Sets the annotation that runs a policy out of schedule.
    pub(crate) fn run_now(&self, policy: &str, token: &str) -> Result<()> {
        self.patch(
            "RetentionPolicy",
            policy,
            &json!({"metadata": {"annotations": {"oubliette.dev/run-now": token}}}),
        )
    }

    /// Keeps what the API holds for the privacy case, then removes what would go on working.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut kept = String::new();
        for (version, kind) in [
            (API_VERSION, "RetentionPolicy"),
            (API_VERSION, "TargetDatabase"),
            (API_VERSION, "LegalHold"),
            (API_VERSION, "DataMap"),
            (API_VERSION, "ErasureRequest"),
            (API_VERSION, "ErasurePlan"),
            ("v1", "Event"),
            ("events.k8s.io/v1", "Event"),
        ] {
            for object in self.list(version, kind)? {
                kept.push_str(&serde_json::to_string_pretty(&object)?);
                kept.push('\n');
            }
        }
        self.world
            .keep(&format!("objects-{}.json", self.name), &kept)?;
        for kind in [
            "ErasureRequest",
            "RetentionPolicy",
            "LegalHold",
            "DataMap",
            "TargetDatabase",
        ] {
            for object in self.list(API_VERSION, kind)? {
                if let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) {
                    self.delete(API_VERSION, kind, name)?;
                }
            }
        }
        Ok(())
    }
}

/// The Ready condition.
pub(crate) fn ready(object: &Value) -> Option<&Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|c| c["type"] == "Ready")
}

/// Whether the status speaks of the present generation.
pub(crate) fn is_current(object: &Value) -> bool {
    let generation = object.pointer("/metadata/generation");
    generation.is_some() && generation == object.pointer("/status/observedGeneration")
}

/// A status short enough for a failure message.
pub(crate) fn brief_status(object: &Value) -> String {
    let text = object["status"].to_string();
    match text.char_indices().nth(3000) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Fails unless everything named in `expected` has that value in `seen`: objects by their named
/// fields, lists element by element and in whole.
pub(crate) fn matches(
    expected: &Value,
    seen: &Value,
    path: &str,
) -> std::result::Result<(), String> {
    match (expected, seen) {
        (Value::Object(fields), _) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                matches(value, seen.get(name).unwrap_or(&Value::Null), &path)?;
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(found)) if items.len() == found.len() => {
            for (i, (item, found)) in items.iter().zip(found).enumerate() {
                matches(item, found, &format!("{path}[{i}]"))?;
            }
            Ok(())
        }
        // An absent field is null; `present` only asks that it is there.
        (Value::String(word), found) if word == "<present>" && !found.is_null() => Ok(()),
        (Value::String(text), Value::String(found)) if text.starts_with("<contains> ") => {
            let part = text.trim_start_matches("<contains> ");
            if found.contains(part) {
                Ok(())
            } else {
                Err(format!("{path} is {found:?}, without {part:?}"))
            }
        }
        _ if expected == seen => Ok(()),
        _ => Err(format!("{path} is {seen}, not {expected}")),
    }
}

/// Fails the case with what the API server said, unless it refused with these words.
pub(crate) fn expect_refused(outcome: Result<Value>, words: &str) -> Result<()> {
    match outcome {
        Ok(_) => bail!("the API server accepted what it should have refused ({words})"),
        Err(error) => {
            let text = format!("{error:#}");
            if text.contains(words) {
                Ok(())
            } else {
                bail!("the refusal does not say {words:?}: {text}")
            }
        }
    }
}
