//! The kinds on a real API server: what its schemas accept, refuse, fill in and show. With kubectl,
//! as people use it, and by raw requests, as other programs do.

mod shown;
mod written;

use anyhow::{Context, Result, bail, ensure};
use oubliette_core::api::parse::FieldError;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::cluster::{API_VERSION, Namespace};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, body: fn(&World) -> Result<()>| {
        cases.push(Case::new(format!("api::{name}"), Needs::cluster(), body));
    };
    case("misspelt_guard_is_refused_at_once", written::misspelt_guard);
    case(
        "unknown_fields_survive_and_are_refused_by_the_parser",
        written::unknown_survives,
    );
    case("what_the_schemas_refuse", written::what_is_refused);
    case("immutable_fields_stay", written::immutable);
    case("dropped_rules_leave_no_ghosts", written::no_ghosts);
    case("defaults_mean_the_same_as_leaving_out", written::defaults);
    case("pending_until_the_controller_has_looked", shown::pending);
    case("columns_show_what_a_person_wants", shown::columns);
    case("explain_is_the_manual", shown::explain);
    case("a_stale_status_writer_gets_a_conflict", shown::stale_writer);
    case("status_is_the_operators_word", shown::status_writer);
    case("a_long_policy_is_checked_in_time", written::long_policy);
    cases
}

/// A group with the same schemas that no admission policy watches: as in a cluster without the chart.
const TWIN: &str = "twin.oubliette.dev";

fn database() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase", "metadata": {"name": "crm"},
        "spec": {
            "engine": "PostgreSQL",
            "connection": {
                "host": "crm-rw.crm.svc", "database": "crm",
                "credentials": {"secretRef": {"name": "crm-oubliette"}},
            },
        },
    })
}

fn policy() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy", "metadata": {"name": "enquiries"},
        "spec": {
            "databaseRef": {"name": "crm"},
            "schedule": "0 3 1 1 *",
            "rules": [{
                "name": "enquiries", "basis": "Privacy notice", "table": "public.enquiries",
                "expireAfter": "P6M", "since": {"column": "enquired_at"}, "action": {"type": "Delete"},
            }],
        },
    })
}

/// Puts a value at a JSON pointer below the spec; a missing last part is added.
fn with(mut object: Value, pointer: &str, value: Value) -> Result<Value> {
    let (parent, last) = pointer.rsplit_once('/').context("a pointer has a slash")?;
    let parent = object
        .pointer_mut(&format!("/spec{parent}"))
        .with_context(|| format!("nothing at {parent}"))?;
    parent[last] = value;
    Ok(object)
}

fn kubectl(
    world: &World,
    namespace: &Namespace<'_>,
    arguments: &[&str],
    object: &Value,
) -> Result<String> {
    let mut all = vec!["-n", namespace.name.as_str()];
    all.extend(arguments);
    world
        .control_plane()?
        .cluster
        .kubectl(&all, &object.to_string())
}

fn kubectl_json(world: &World, namespace: &Namespace<'_>, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.extend(["-o", "json"]);
    let text = kubectl(world, namespace, &all, &Value::Null)?;
    serde_json::from_str(&text).context("kubectl did not print JSON")
}

/// A POST without kubectl's own checks.
fn post(
    world: &World,
    namespace: &Namespace<'_>,
    group: &str,
    plural: &str,
    object: &Value,
) -> Result<Value> {
    let path = format!(
        "/apis/{group}/v1alpha1/namespaces/{}/{plural}",
        namespace.name
    );
    let text = kubectl(
        world,
        namespace,
        &["create", "--raw", &path, "-f", "-"],
        object,
    )?;
    serde_json::from_str(&text).context("the API server did not answer with JSON")
}

/// Fails unless the refusal says all of these words.
fn refused<T>(outcome: Result<T>, words: &[&str]) -> Result<()> {
    let Err(error) = outcome else {
        bail!("was accepted, and should have been refused with {words:?}");
    };
    let text = format!("{error:#}");
    for word in words {
        ensure!(
            text.contains(word),
            "the refusal does not say {word:?}: {text}"
        );
    }
    Ok(())
}

fn spec_of<S: DeserializeOwned>(object: &Value) -> Result<S> {
    serde_json::from_value(object["spec"].clone()).context("not a spec")
}

/// Installs the same kinds in another group.
fn install_twins(world: &World, namespace: &Namespace<'_>) -> Result<()> {
    for crd in oubliette::resource::crds() {
        let mut crd = serde_json::to_value(crd)?;
        let name = format!(
            "{}.{TWIN}",
            crd["spec"]["names"]["plural"].as_str().unwrap_or_default()
        );
        crd["metadata"]["name"] = json!(name);
        crd["spec"]["group"] = json!(TWIN);
        crd["spec"]["names"]["shortNames"] = json!([]);
        crd["spec"]["names"]["categories"] = json!([]);
        kubectl(
            world,
            namespace,
            &["apply", "--server-side", "-f", "-"],
            &crd,
        )?;
        let arguments = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            &name,
        ];
        kubectl(world, namespace, &arguments, &Value::Null)?;
    }
    Ok(())
}

/// Creates an object of a twin kind, as soon as the server serves it.
fn post_twin(
    world: &World,
    namespace: &Namespace<'_>,
    plural: &str,
    object: &Value,
) -> Result<Value> {
    let mut object = object.clone();
    object["apiVersion"] = json!(format!("{TWIN}/v1alpha1"));
    wait_for("the twin kinds are served", PATIENCE, || {
        Ok(match post(world, namespace, TWIN, plural, &object) {
            Err(error)
                if format!("{error:#}").contains("could not find the requested resource") =>
            {
                Err(format!("{error:#}"))
            }
            other => Ok(other),
        })
    })?
}

fn sentences(faults: &[FieldError]) -> anyhow::Error {
    anyhow::anyhow!("{}", oubliette_core::api::parse::message_of(faults))
}
