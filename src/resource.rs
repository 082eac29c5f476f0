//! The kinds as the API server knows them: group, names, columns, and the CRDs.
//!
//! Fields and their manual are in `oubliette_core::api`; here is one transparent newtype per kind for
//! the derive, and what the derive cannot say of a schema.

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResource, CustomResourceExt};
use oubliette_core::api;
use oubliette_core::api::approval::ApprovalSpec;
use oubliette_core::api::data_map::{DataMapSpec, DataMapStatus};
use oubliette_core::api::erasure_plan::ErasurePlanSpec;
use oubliette_core::api::erasure_request::{ErasureRequestSpec, ErasureRequestStatus};
use oubliette_core::api::legal_hold::{LegalHoldSpec, LegalHoldStatus};
use oubliette_core::api::retention_policy::{RetentionPolicySpec, RetentionPolicyStatus};
use oubliette_core::api::target_database::{TargetDatabaseSpec, TargetDatabaseStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub mod bounds;
pub mod known_fields;
#[cfg(test)]
mod released;
#[cfg(test)]
mod tests;

/// The API group.
pub const GROUP: &str = "oubliette.dev";
/// The served version.
pub const VERSION: &str = "v1alpha1";

/// The spec of a TargetDatabase.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "TargetDatabase",
    plural = "targetdatabases",
    shortname = "odb",
    category = "oubliette",
    namespaced,
    status = "TargetDatabaseStatus",
    derive = "PartialEq",
    doc = "An existing PostgreSQL, MySQL or MariaDB database in which retention promises are kept.",
    printcolumn = r#"{"name":"Engine","type":"string","jsonPath":".status.engine"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.connection.host","priority":1}"#,
    printcolumn = r#"{"name":"Database","type":"string","jsonPath":".spec.connection.database","priority":1}"#,
    printcolumn = r#"{"name":"Suspended","type":"boolean","jsonPath":".spec.suspend","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct TargetDatabaseBody(pub TargetDatabaseSpec);

/// The spec of a RetentionPolicy.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "RetentionPolicy",
    plural = "retentionpolicies",
    shortname = "orp",
    category = "oubliette",
    namespaced,
    status = "RetentionPolicyStatus",
    derive = "PartialEq",
    doc = "Promises about how long rows of a TargetDatabase are kept, and what happens to them then.",
    printcolumn = r#"{"name":"Database","type":"string","jsonPath":".spec.databaseRef.name"}"#,
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Overdue","type":"integer","jsonPath":".status.overdueRows","description":"Expired rows that are not yet changed"}"#,
    printcolumn = r#"{"name":"Next Run","type":"string","jsonPath":".status.nextRunAt"}"#,
    printcolumn = r#"{"name":"Last Run","type":"date","jsonPath":".status.lastRun.finishedAt"}"#,
    printcolumn = r#"{"name":"Outcome","type":"string","jsonPath":".status.lastRun.outcome","priority":1}"#,
    printcolumn = r#"{"name":"Oldest Overdue","type":"date","jsonPath":".status.oldestOverdueAt","priority":1}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.progress.phase","priority":1}"#,
    printcolumn = r#"{"name":"Done","type":"integer","jsonPath":".status.progress.rowsDone","priority":1}"#,
    printcolumn = r#"{"name":"Planned","type":"integer","jsonPath":".status.progress.rowsPlanned","priority":1}"#,
    printcolumn = r#"{"name":"Schedule","type":"string","jsonPath":".spec.schedule","priority":1}"#,
    printcolumn = r#"{"name":"Zone","type":"string","jsonPath":".spec.timeZone","priority":1}"#,
    printcolumn = r#"{"name":"Suspended","type":"boolean","jsonPath":".spec.suspend","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct RetentionPolicyBody(pub RetentionPolicySpec);

/// The spec of a LegalHold.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "LegalHold",
    plural = "legalholds",
    shortname = "olh",
    category = "oubliette",
    namespaced,
    status = "LegalHoldStatus",
    derive = "PartialEq",
    doc = "Rows that no policy may change until somebody releases them. Deleting it does not release it.",
    printcolumn = r#"{"name":"Database","type":"string","jsonPath":".spec.rows.databaseRef.name"}"#,
    printcolumn = r#"{"name":"Table","type":"string","jsonPath":".spec.rows.table"}"#,
    printcolumn = r#"{"name":"Matter","type":"string","jsonPath":".spec.reason"}"#,
    printcolumn = r#"{"name":"Active","type":"string","jsonPath":".status.conditions[?(@.type==\"Active\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Review","type":"string","jsonPath":".spec.reviewAt"}"#,
    printcolumn = r#"{"name":"Rows","type":"integer","jsonPath":".status.heldRows","description":"Rows that it fitted when it was accepted"}"#,
    printcolumn = r#"{"name":"Placed By","type":"string","jsonPath":".spec.placedBy","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct LegalHoldBody(pub LegalHoldSpec);

/// The spec of an Approval.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    shortname = "oap",
    category = "oubliette",
    namespaced,
    derive = "PartialEq",
    doc = "One person's decision about one plan: it may be carried out, or not.",
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.targetRef.kind"}"#,
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.targetRef.name"}"#,
    printcolumn = r#"{"name":"Decision","type":"string","jsonPath":".spec.decision"}"#,
    printcolumn = r#"{"name":"Max Rows","type":"integer","jsonPath":".spec.maxRows"}"#,
    printcolumn = r#"{"name":"By","type":"string","jsonPath":".spec.by"}"#,
    printcolumn = r#"{"name":"Ground","type":"string","jsonPath":".spec.ground"}"#,
    printcolumn = r#"{"name":"Plan","type":"string","jsonPath":".spec.planDigest","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct ApprovalBody(pub ApprovalSpec);

/// The spec of a DataMap.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "DataMap",
    plural = "datamaps",
    shortname = "odm",
    category = "oubliette",
    namespaced,
    status = "DataMapStatus",
    derive = "PartialEq",
    doc = "What must be kept of the tables of a TargetDatabase, and until when. It binds every policy there.",
    printcolumn = r#"{"name":"Database","type":"string","jsonPath":".spec.databaseRef.name"}"#,
    printcolumn = r#"{"name":"Tables","type":"integer","jsonPath":".status.tables"}"#,
    printcolumn = r#"{"name":"Duties","type":"integer","jsonPath":".status.duties"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct DataMapBody(pub DataMapSpec);

/// The spec of an ErasureRequest.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "ErasureRequest",
    plural = "erasurerequests",
    shortname = "oer",
    category = "oubliette",
    namespaced,
    status = "ErasureRequestStatus",
    derive = "PartialEq",
    selectable = ".status.state",
    doc = "One person asks for erasure, objects or withdraws consent. Who it is stands in a Secret only.",
    printcolumn = r#"{"name":"Case","type":"string","jsonPath":".spec.caseRef"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Outcome","type":"string","jsonPath":".status.outcome"}"#,
    printcolumn = r#"{"name":"Due","type":"string","jsonPath":".status.dueOn","description":"The last day on which the person may be answered"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Requested By","type":"string","jsonPath":".spec.requestedBy","priority":1}"#,
    printcolumn = r#"{"name":"Deletes","type":"integer","jsonPath":".status.plan.deletes","priority":1}"#,
    printcolumn = r#"{"name":"Transforms","type":"integer","jsonPath":".status.plan.transforms","priority":1}"#,
    printcolumn = r#"{"name":"Keeps","type":"integer","jsonPath":".status.plan.keeps","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct ErasureRequestBody(pub ErasureRequestSpec);

/// The spec of an ErasurePlan.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oubliette.dev",
    version = "v1alpha1",
    kind = "ErasurePlan",
    plural = "erasureplans",
    shortname = "oep",
    category = "oubliette",
    namespaced,
    derive = "PartialEq",
    doc = "What is planned for the ErasureRequest of the same name, table by table. The operator writes it.",
    printcolumn = r#"{"name":"Request","type":"string","jsonPath":".spec.requestRef.name"}"#,
    printcolumn = r#"{"name":"Plan","type":"string","jsonPath":".spec.digest"}"#,
    printcolumn = r#"{"name":"As Of","type":"date","jsonPath":".spec.asOf"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(transparent)]
pub struct ErasurePlanBody(pub ErasurePlanSpec);

/// The CRDs of all kinds, as they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        TargetDatabase::crd(),
        RetentionPolicy::crd(),
        LegalHold::crd(),
        DataMap::crd(),
        Approval::crd(),
        ErasureRequest::crd(),
        ErasurePlan::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// Puts into a derived CRD what the derive cannot say.
fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut document = serde_json::to_value(crd).expect("a CRD is plain data");
    for version in document["spec"]["versions"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        tidy(schema);
        // Without conditions kstatus calls a resource healthy before anybody has looked at it.
        if let Some(status) = schema["properties"].get_mut("status") {
            status["default"] = api::pending();
        }
    }
    serde_json::from_value(document).expect("it was a CRD before")
}

/// In every schema: null is the default where there is one and refused elsewhere (`limits:` with nothing
/// below it is a guard that was forgotten), and descriptions are paragraphs, not lines.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("nullable");
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = paragraphs(text);
            }
            for (_, value) in object.iter_mut() {
                tidy(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Joins the lines of each paragraph.
fn paragraphs(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// The CRDs as YAML documents, each with its plural name.
pub fn yaml() -> anyhow::Result<Vec<(String, String)>> {
    let mut documents = vec![];
    for crd in crds() {
        let plural = crd.spec.names.plural.clone();
        let mut document = serde_json::to_value(&crd).context("failed to read a definition")?;
        whole(&mut document);
        let text = serde_saphyr::to_string(&document).context("failed to write a definition")?;
        documents.push((plural, text));
    }
    Ok(documents)
}

/// Writes bounds without a fraction as whole numbers: `1`, not `1.0`.
fn whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            if let Some(Ok(int)) = text.strip_suffix(".0").map(str::parse::<i64>) {
                *value = json!(int);
            }
        }
        Value::Object(object) => object.values_mut().for_each(whole),
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
