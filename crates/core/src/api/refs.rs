//! References to Secrets, ConfigMaps and databases, as several kinds write them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the API server takes for the name of an object (a DNS-1123 subdomain). Nothing else can exist
/// there; what is read from a file may be printed into SQL and YAML that somebody runs.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// What the API server takes for the name of a namespace (a DNS-1123 label).
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// What the API server takes for a key in the data of a Secret or ConfigMap.
pub fn is_data_key(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=253).contains(&text.len()) && text.chars().all(plain)
}

fn is_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

/// A Secret in the resource's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name. It is read by this name only, so a Role with `resourceNames` suffices;
    /// `oubliette rbac -f FILE` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub name: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// One key of a Secret or ConfigMap in the resource's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// The name of the Secret or ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The key in its data. Example: `ca.crt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub key: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A TargetDatabase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseRef {
    /// The TargetDatabase's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 253))]
    pub name: Option<String>,
    /// The TargetDatabase's namespace. Default: this resource's own. Another namespace works only
    /// where the TargetDatabase's `usableFrom` allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_api_server_takes_is_a_name() {
        for name in ["crm", "0", "crm-rw.crm.svc", "a--b"] {
            assert!(is_object_name(name), "{name}");
        }
        let line = "crm\nALTER ROLE mallory SUPERUSER; --";
        for name in [
            "", ".", "a.", "a..b", "-a", "a-", "Crm", "a_b", "a b", "ü", line,
        ] {
            assert!(!is_object_name(name), "{name:?}");
            assert!(!is_label(name), "{name:?}");
        }
        assert!(is_object_name(&"a".repeat(253)) && !is_object_name(&"a".repeat(254)));
        assert!(is_label(&"a".repeat(63)) && !is_label(&"a".repeat(64)));
        assert!(is_label("crm") && !is_label("crm.svc"));
        assert!(is_data_key("ca.crt") && is_data_key("..KEY_2-x"));
        assert!(!is_data_key("") && !is_data_key("a/b") && !is_data_key("a\nb"));
    }
}
