//! What the API server records of its requests, so that tests can search everything that was ever
//! written, not only what is left at the end.

/// Writes with their bodies, refusals and reads of people and operators without, Secrets never, Leases not
/// at all.
pub(super) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager"]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
  resources:
  - {group: "", resources: ["secrets", "serviceaccounts/token"]}
  - {group: authentication.k8s.io}
- level: None
  resources: [{group: coordination.k8s.io}]
- level: Request
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
  resources: [{group: ""}, {group: oubliette.dev}, {group: events.k8s.io}]
- level: Metadata
  userGroups: ["system:serviceaccounts"]
  nonResourceURLs: ["*"]
"#;
