//! `oubliette rbac`: the Roles by which the operator may read exactly the Secrets and ConfigMaps that
//! manifests name, each by its name (P8).
//!
//! One Role and RoleBinding per resource, not per namespace, so that a second file adds to what the
//! first one granted instead of replacing it, and a deleted resource's Role can be deleted with it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use oubliette_core::api::data_map::DataMapSpec;
use oubliette_core::api::legal_hold::LegalHoldSpec;
use oubliette_core::api::refs::KeyRef;
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::TargetDatabaseSpec;

use super::source::{namespace_name, object_name};
use crate::inputs::files::{self, Manifests, Written};
use crate::inputs::secrets::PSEUDONYM_KEY_TYPE;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Manifests: files, folders, or `-` for the input.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
    /// The operator's ServiceAccount.
    #[arg(long, default_value = "oubliette", value_parser = object_name)]
    pub service_account: String,
    /// The operator's namespace.
    #[arg(long, default_value = "oubliette-system", value_parser = namespace_name)]
    pub operator_namespace: String,
}

/// Prints the Roles, or says in a comment that none is needed.
pub fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<()> {
    let manifests = files::read(&request.files, &request.namespace)?;
    let text = print(&manifests, request)?;
    out.write_all(text.as_bytes())
        .context("failed to write the Roles")
}

fn print(manifests: &Manifests, request: &Request) -> anyhow::Result<String> {
    let databases = manifests
        .databases
        .iter()
        .map(|written| needs("targetdatabase", written, of_database));
    let policies = manifests
        .policies
        .iter()
        .map(|written| needs("retentionpolicy", written, of_policy));
    let holds = manifests
        .holds
        .iter()
        .map(|written| needs("legalhold", written, of_hold));
    let maps = manifests
        .maps
        .iter()
        .map(|written| needs("datamap", written, of_map));
    let mut text = String::new();
    let all = databases.chain(policies).chain(holds).chain(maps);
    for needs in all.filter(|needs| !needs.is_empty()) {
        if let Some(note) = &needs.names.note {
            text.push_str(note);
        }
        for object in [yaml(&needs.role())?, yaml(&needs.binding(request))?] {
            text.push_str("---\n");
            text.push_str(&object);
        }
    }
    if text.is_empty() {
        text.push_str("# The manifests name no Secret and no ConfigMap: no Role is needed.\n");
    }
    Ok(text)
}

fn yaml(object: &impl serde::Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(object).context("failed to write a Role as YAML")
}

/// What one resource refers to in its own namespace.
#[derive(Debug, Default)]
struct Names {
    secrets: BTreeSet<String>,
    config_maps: BTreeSet<String>,
    /// A comment about what a Role cannot say.
    note: Option<String>,
}

/// What one resource makes the operator read.
#[derive(Debug)]
struct Needs<'m> {
    kind: &'static str,
    namespace: &'m str,
    resource: &'m str,
    names: Names,
}

fn needs<'m, S>(kind: &'static str, written: &'m Written<S>, of: fn(&S) -> Names) -> Needs<'m> {
    let Written {
        origin: _,
        namespace,
        name,
        spec,
    } = written;
    Needs {
        kind,
        namespace,
        resource: name,
        names: of(spec),
    }
}

fn of_database(spec: &TargetDatabaseSpec) -> Names {
    let connection = spec.connection.as_ref();
    let credentials = connection.and_then(|connection| connection.credentials.as_ref());
    let secret = credentials.and_then(|credentials| credentials.secret_ref.as_ref());
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let ca = tls.and_then(|tls| tls.ca.as_ref());
    let ca_secret = ca.and_then(|ca| ca.secret_ref.as_ref());
    let ca_config_map = ca.and_then(|ca| ca.config_map_ref.as_ref());
    let user = secret.and_then(|secret| secret.name.clone());
    Names {
        secrets: user
            .into_iter()
            .chain(ca_secret.and_then(|ca| ca.name.clone()))
            .collect(),
        config_maps: ca_config_map
            .and_then(|ca| ca.name.clone())
            .into_iter()
            .collect(),
        note: None,
    }
}

fn of_policy(spec: &RetentionPolicySpec) -> Names {
    let key = spec.pseudonym_key.as_ref();
    of_key(key.and_then(|key| key.secret_ref.as_ref()))
}

fn of_map(spec: &DataMapSpec) -> Names {
    let key = spec.pseudonym_key.as_ref();
    of_key(key.and_then(|key| key.secret_ref.as_ref()))
}

/// A key of pseudonyms.
fn of_key(secret: Option<&KeyRef>) -> Names {
    let name = secret.and_then(|secret| secret.name.clone());
    let note = name.as_ref().map(|name| {
        let name = serde_json::Value::from(name.as_str());
        format!("# The Secret {name} must be of the type {PSEUDONYM_KEY_TYPE}.\n")
    });
    Names {
        secrets: name.into_iter().collect(),
        config_maps: BTreeSet::new(),
        note,
    }
}

fn of_hold(spec: &LegalHoldSpec) -> Names {
    let tests = spec.rows.as_ref().and_then(|rows| rows.conditions.as_ref());
    let secrets = tests.into_iter().flatten().filter_map(|test| {
        let secret = test.values_from.as_ref()?.secret_ref.as_ref()?;
        secret.name.clone()
    });
    let subject = spec.subject.as_ref().and_then(|subject| {
        let secret = subject.secret_ref.as_ref()?;
        secret.name.clone()
    });
    Names {
        secrets: secrets.chain(subject).collect(),
        ..Names::default()
    }
}

impl Needs<'_> {
    fn is_empty(&self) -> bool {
        self.names.secrets.is_empty() && self.names.config_maps.is_empty()
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(format!("oubliette-{}-{}", self.kind, self.resource)),
            namespace: Some(self.namespace.to_owned()),
            labels: Some(
                [(
                    "app.kubernetes.io/part-of".to_owned(),
                    "oubliette".to_owned(),
                )]
                .into(),
            ),
            ..ObjectMeta::default()
        }
    }

    fn role(&self) -> Role {
        let Names {
            secrets,
            config_maps,
            note: _,
        } = &self.names;
        let rules = [("secrets", secrets), ("configmaps", config_maps)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(resource, names)| PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec![resource.to_owned()]),
                resource_names: Some(names.iter().cloned().collect()),
                verbs: vec!["get".to_owned()],
                non_resource_urls: None,
            });
        Role {
            metadata: self.metadata(),
            rules: Some(rules.collect()),
        }
    }

    fn binding(&self, request: &Request) -> RoleBinding {
        let metadata = self.metadata();
        RoleBinding {
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "Role".to_owned(),
                name: metadata.name.clone().unwrap_or_default(),
            },
            subjects: Some(vec![Subject {
                api_group: None,
                kind: "ServiceAccount".to_owned(),
                name: request.service_account.clone(),
                namespace: Some(request.operator_namespace.clone()),
            }]),
            metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        let manifests = files::read_text("x.yaml", text, "default").unwrap();
        let request = Request {
            files: Vec::new(),
            namespace: "default".to_owned(),
            service_account: "oubliette".to_owned(),
            operator_namespace: "oubliette-system".to_owned(),
        };
        print(&manifests, &request).unwrap()
    }

    const DATABASE: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: TargetDatabase
metadata: {name: crm, namespace: crm}
spec:
  engine: PostgreSQL
  connection:
    host: crm-rw.crm.svc
    database: crm
    credentials: {secretRef: {name: crm-oubliette}}
    tls: {ca: {configMapRef: {name: crm-ca, key: ca.crt}}}
";

    const POLICY: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: enquiries}
spec:
  databaseRef: {name: crm, namespace: crm}
  schedule: 30 2 * * *
  rules:
  - name: old
    basis: the notice
    table: public.enquiries
    expireAfter: P6M
    since: {column: created_at}
    action: {type: Delete}
";

    #[test]
    fn a_database_gives_one_role_with_each_name_and_get_only() {
        insta::assert_snapshot!(printed(DATABASE), @r#"
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata:
          labels:
            app.kubernetes.io/part-of: oubliette
          name: oubliette-targetdatabase-crm
          namespace: crm
        rules:
        - apiGroups:
          - ""
          resourceNames:
          - crm-oubliette
          resources:
          - secrets
          verbs:
          - get
        - apiGroups:
          - ""
          resourceNames:
          - crm-ca
          resources:
          - configmaps
          verbs:
          - get
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata:
          labels:
            app.kubernetes.io/part-of: oubliette
          name: oubliette-targetdatabase-crm
          namespace: crm
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: Role
          name: oubliette-targetdatabase-crm
        subjects:
        - kind: ServiceAccount
          name: oubliette
          namespace: oubliette-system
        "#);
    }

    #[test]
    fn a_name_that_yaml_could_take_for_something_else_is_quoted() {
        for name in [
            "no", "123", "1e3", "0x1f", "null", "010", "off", "1.5", "true",
        ] {
            let text = DATABASE.replace("crm-oubliette", &format!("'{name}'"));
            let printed = printed(&text);
            let quoted = [format!("- \"{name}\"\n"), format!("- '{name}'\n")];
            assert!(
                quoted.iter().any(|quoted| printed.contains(quoted)),
                "{printed}"
            );
        }
    }

    #[test]
    fn a_secret_named_twice_is_granted_once() {
        let text = DATABASE.replace(
            "configMapRef: {name: crm-ca",
            "secretRef: {name: crm-oubliette",
        );
        let printed = printed(&text);
        assert_eq!(printed.matches("- crm-oubliette\n").count(), 1, "{printed}");
        assert!(!printed.contains("configmaps"), "{printed}");
    }

    #[test]
    fn a_policys_key_is_granted_in_the_policys_namespace_not_the_databases() {
        let text =
            format!("{POLICY}  pseudonymKey: {{secretRef: {{name: pseudonyms, key: key}}}}\n");
        let printed = printed(&text);
        assert!(
            printed.contains("name: oubliette-retentionpolicy-enquiries\n"),
            "{printed}"
        );
        assert!(printed.contains("namespace: default\n"), "{printed}");
        assert!(!printed.contains("namespace: crm\n"), "{printed}");
        assert!(
            printed.starts_with(
                "# The Secret \"pseudonyms\" must be of the type oubliette.dev/pseudonym-key.\n"
            ),
            "{printed}"
        );
    }

    #[test]
    fn a_maps_key_is_granted_like_a_policys() {
        let text = format!(
            "{DATABASE}---
apiVersion: oubliette.dev/v1alpha1
kind: DataMap
metadata: {{name: crm, namespace: crm}}
spec:
  databaseRef: {{name: crm}}
  pseudonymKey: {{secretRef: {{name: pseudonyms, key: key}}}}
  tables: [{{name: learners, table: public.learners}}]
"
        );
        let printed = printed(&text);
        assert!(
            printed.contains("name: oubliette-datamap-crm\n"),
            "{printed}"
        );
        assert!(printed.contains("- pseudonyms\n"), "{printed}");
        assert!(printed.contains("of the type oubliette.dev/pseudonym-key"));
    }

    #[test]
    fn a_policy_without_a_key_needs_no_role() {
        assert!(printed(POLICY).starts_with("# The manifests name no Secret"));
    }
}
