//! Specs and statuses of objects, as the types that they should be.

use kube::core::DynamicObject;
use oubliette_core::api::parse::{FieldError, one_line};
use oubliette_core::api::reason::Reason;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The spec, or the fault of it, with its field.
pub(super) fn spec<S: DeserializeOwned>(object: &DynamicObject) -> Result<S, Vec<FieldError>> {
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    serde_path_to_error::deserialize(spec).map_err(|error| vec![type_fault(&error)])
}

/// The status as stored. One that does not read is begun anew.
pub(super) fn status<S: DeserializeOwned + Default>(object: &DynamicObject) -> S {
    let status = object.data.get("status");
    let status = status.and_then(|status| S::deserialize(status).ok());
    status.unwrap_or_default()
}

/// A value of the wrong type, as a fault of its field.
fn type_fault(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let path = error.path().to_string();
    FieldError {
        path: if path == "." {
            "spec".to_owned()
        } else {
            one_line(&format!("spec.{path}"))
        },
        reason: Reason::InvalidSpec,
        message: one_line(&error.inner().to_string()),
    }
}
