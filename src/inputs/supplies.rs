//! Secrets, ConfigMaps and Namespaces among manifests: what a cluster would be asked for.
//!
//! One that cannot be read (an encrypted Secret, say) is a fault only for whoever needs it. Debug
//! shows names only.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use serde_json::Value;

use super::secrets::GatherFault;

/// Namespace and name.
type Name = (String, String);

/// What was found, by namespace and name. `None`: it does not read as what it is.
#[derive(Clone, Default)]
pub struct Supplies {
    secrets: BTreeMap<Name, Option<Secret>>,
    config_maps: BTreeMap<Name, Option<ConfigMap>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

impl fmt::Debug for Supplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            secrets,
            config_maps,
            namespaces,
        } = self;
        f.debug_struct("Supplies")
            .field("secrets", &secrets.keys())
            .field("config_maps", &config_maps.keys())
            .field("namespaces", &namespaces.keys())
            .finish()
    }
}

impl Supplies {
    /// Keeps an object of the core group; passes over what nobody here asks for.
    pub(super) fn keep(&mut self, kind: &str, name: Name, object: Value) {
        match kind {
            "Secret" => {
                let mut secret: Option<Secret> = serde_json::from_value(object).ok().map(merged);
                // Messages name it as it is looked up, also where the manifest leaves that out.
                if let Some(secret) = &mut secret {
                    secret.metadata.namespace = Some(name.0.clone());
                }
                self.secrets.insert(name, secret);
            }
            "ConfigMap" => {
                self.config_maps
                    .insert(name, serde_json::from_value(object).ok());
            }
            "Namespace" => {
                let read: Option<Namespace> = serde_json::from_value(object).ok();
                let labels = read.map(|namespace| namespace.labels().clone());
                self.namespaces.insert(name.1, labels.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// A Secret.
    pub fn secret(&self, namespace: &str, name: &str) -> Result<Secret, GatherFault> {
        found("Secret", &self.secrets, namespace, name)
    }

    /// A ConfigMap.
    pub fn config_map(&self, namespace: &str, name: &str) -> Result<ConfigMap, GatherFault> {
        found("ConfigMap", &self.config_maps, namespace, name)
    }

    /// The labels of a namespace, where its manifest is there.
    pub fn labels(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace)
    }
}

fn found<T: Clone>(
    kind: &str,
    among: &BTreeMap<Name, Option<T>>,
    namespace: &str,
    name: &str,
) -> Result<T, GatherFault> {
    let (kind, namespace, name) = (kind.to_owned(), namespace.to_owned(), name.to_owned());
    match among.get(&(namespace.clone(), name.clone())) {
        Some(Some(object)) => Ok(object.clone()),
        Some(None) => Err(GatherFault::Unreadable {
            kind,
            namespace,
            name,
        }),
        None => Err(GatherFault::NotAmong {
            kind,
            namespace,
            name,
        }),
    }
}

/// `stringData` is what people write and `data` what is read: the API server merges them so.
fn merged(mut secret: Secret) -> Secret {
    for (key, content) in secret.string_data.take().unwrap_or_default() {
        let data = secret.data.get_or_insert_default();
        data.insert(key, ByteString(content.into_bytes()));
    }
    secret
}
