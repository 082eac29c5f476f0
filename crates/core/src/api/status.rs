//! What the statuses of all kinds share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::condition::MAX_MESSAGE;

/// Reads a part of a status, or nothing where it was written by a version whose words this one does
/// not know: status is shown and written again, never decided from.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// The schema of `conditions`: a map by type, bounded, so that several writers could share it.
pub(crate) fn conditions_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut condition = Condition::json_schema(generator).to_value();
    condition["properties"]["message"]["maxLength"] = json!(MAX_MESSAGE * 4);
    condition["properties"]["reason"]["maxLength"] = json!(1024);
    condition["properties"]["reason"]["minLength"] = json!(1);
    condition["properties"]["type"]["maxLength"] = json!(316);
    condition["properties"]["status"]["enum"] = json!(["True", "False", "Unknown"]);
    schemars::json_schema!({
        "type": "array",
        "items": condition,
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// What `status` is before the controller has looked: kstatus reads a resource without conditions
/// as healthy, so the schema defaults one.
pub fn pending() -> serde_json::Value {
    json!({
        "conditions": [{
            "type": super::condition::READY,
            "status": "Unknown",
            "reason": super::reason::Reason::Pending.as_str(),
            "message": "waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]
    })
}
