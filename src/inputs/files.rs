//! Manifests from files, folders and standard input, for the commands that work without a cluster.
//!
//! Owns how a manifest is found and read: as strictly as `kubectl apply` and the reconcile together,
//! since nothing here may mean something else to the operator. All faults of all files are told at
//! once, each with file, document and field. Of the core group it keeps what the manifests may name,
//! such as a Secret beside its TargetDatabase; objects of other groups are passed over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oubliette_core::api::approval::ApprovalSpec;
use oubliette_core::api::data_map::DataMapSpec;
use oubliette_core::api::erasure_request::ErasureRequestSpec;
use oubliette_core::api::legal_hold::LegalHoldSpec;
use oubliette_core::api::parse::one_line;
use oubliette_core::api::refs::{is_label, is_object_name};
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::api::target_database::TargetDatabaseSpec;
use oubliette_core::approval::Ruling;
use oubliette_core::duty::DataMap;
use oubliette_core::erasure::Request;
use oubliette_core::hold::WantedHold;
use oubliette_core::policy::Mandate;
use oubliette_core::target::Target;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fault::{Fault, Faults, Origin};
use super::supplies::Supplies;
use super::words;

/// The file name that stands for standard input.
const STANDARD_INPUT: &str = "-";

const GROUP: &str = "oubliette.dev";
pub(super) const API_VERSION: &str = "oubliette.dev/v1alpha1";
pub(super) const DATABASE: &str = "TargetDatabase";
pub(super) const POLICY: &str = "RetentionPolicy";
const HOLD: &str = "LegalHold";
const APPROVAL: &str = "Approval";
pub(super) const MAP: &str = "DataMap";
pub(super) const REQUEST: &str = "ErasureRequest";

/// Kinds of the core group that others name.
const SUPPLIES: [&str; 3] = ["Secret", "ConfigMap", "Namespace"];

/// What `metadata` may hold, so that a misspelt `namespace` does not become the default one.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// No file of manifests is larger: an object of a cluster has no more than a few megabytes.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// Of a name that the API server does not take.
pub(crate) const NO_NAME: &str =
    "is no name that Kubernetes takes: write lower-case letters and digits, with '-' between them";

/// One resource as it was written, and where.
#[derive(Clone, Debug)]
pub struct Written<S> {
    /// Where.
    pub origin: Origin,
    /// Its namespace: its own word, or the default one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is asked for.
    pub spec: S,
}

/// Every resource of ours that was found, in the order in which it was found.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The databases.
    pub databases: Vec<Written<TargetDatabaseSpec>>,
    /// The policies.
    pub policies: Vec<Written<RetentionPolicySpec>>,
    /// The holds: the operator places them.
    pub holds: Vec<Written<LegalHoldSpec>>,
    /// What must be kept, and how columns are treated.
    pub maps: Vec<Written<DataMapSpec>>,
    /// The requests of persons.
    pub requests: Vec<Written<ErasureRequestSpec>>,
    /// Decisions about plans. They count where the API server knows whose they are, and nowhere else.
    pub approvals: Vec<Written<ApprovalSpec>>,
    /// What they name.
    pub supplies: Supplies,
}

/// Reads files, the manifests of folders (not of folders within) and `-` for standard input.
/// A resource without a namespace gets `namespace`.
pub fn read(paths: &[PathBuf], namespace: &str) -> Result<Manifests, Faults> {
    let mut reader = Reader::new(namespace);
    for path in paths {
        reader.path(path);
    }
    reader.conclude()
}

/// Reads one text, as though it were a file of that name.
pub fn read_text(file: &str, text: &str, namespace: &str) -> Result<Manifests, Faults> {
    let mut reader = Reader::new(namespace);
    reader.text(file, text.as_bytes());
    reader.conclude()
}

struct Reader<'n> {
    namespace: &'n str,
    found: Manifests,
    faults: Vec<Fault>,
    /// Where each was written first.
    seen: BTreeMap<(&'static str, String, String), Origin>,
}

impl<'n> Reader<'n> {
    fn new(namespace: &'n str) -> Self {
        Self {
            namespace,
            found: Manifests::default(),
            faults: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn conclude(self) -> Result<Manifests, Faults> {
        if self.faults.is_empty() {
            Ok(self.found)
        } else {
            Err(Faults(self.faults))
        }
    }

    fn path(&mut self, path: &Path) {
        let file = path.display().to_string();
        let text = if file == STANDARD_INPUT {
            bounded(io::stdin())
        } else if path.is_dir() {
            return self.folder(path);
        } else {
            fs::File::open(path).and_then(bounded)
        };
        match text {
            Ok(text) if text.len() as u64 > MOST_BYTES => {
                self.faults.push(Fault::TooLarge { file });
            }
            Ok(text) if std::str::from_utf8(&text).is_err() => {
                self.faults.push(Fault::NotText { file });
            }
            Ok(text) => self.text(&file, &text),
            Err(source) => self.faults.push(Fault::Unreadable { file, source }),
        }
    }

    fn folder(&mut self, folder: &Path) {
        let name = folder.display().to_string();
        match manifests_in(folder) {
            Ok(files) if files.is_empty() => self.faults.push(Fault::EmptyFolder { folder: name }),
            Ok(files) => files.iter().for_each(|file| self.path(file)),
            Err(source) => self.faults.push(Fault::Unreadable { file: name, source }),
        }
    }

    fn text(&mut self, file: &str, mut text: &[u8]) {
        let documents =
            serde_saphyr::read_with_options::<_, Value>(&mut text, yaml_as_kubectl_reads_it());
        for (index, document) in documents.enumerate() {
            let origin = Origin {
                file: file.to_owned(),
                document: index + 1,
                item: None,
            };
            match document {
                Ok(document) => self.document(origin, document),
                Err(error) => {
                    let message = words::of_yaml(&error);
                    self.faults.push(Fault::Malformed { origin, message });
                }
            }
        }
    }

    fn document(&mut self, origin: Origin, document: Value) {
        let Value::Object(mut object) = document else {
            let message = "is not an object with apiVersion and kind".to_owned();
            return self.faults.push(Fault::Malformed { origin, message });
        };
        let (version, kind) = (text_of(&object, "apiVersion"), text_of(&object, "kind"));
        if (version.as_str(), kind.as_str()) == ("v1", "List") {
            let Some(Value::Array(items)) = object.remove("items") else {
                let message = "is a List without items".to_owned();
                return self.faults.push(Fault::Malformed { origin, message });
            };
            for (index, item) in items.into_iter().enumerate() {
                self.document(
                    Origin {
                        item: Some(index + 1),
                        ..origin.clone()
                    },
                    item,
                );
            }
            return;
        }
        if version.is_empty() || kind.is_empty() {
            let message = "has no apiVersion and kind".to_owned();
            return self.faults.push(Fault::Malformed { origin, message });
        }
        if version == "v1" {
            return self.supply(&origin, &kind, object);
        }
        if version.split('/').next() != Some(GROUP) {
            return;
        }
        match (version.as_str(), kind.as_str()) {
            (API_VERSION, DATABASE) => {
                let read = self.resource(origin, DATABASE, object, faults_of_database);
                self.found.databases.extend(read);
            }
            (API_VERSION, POLICY) => {
                let read = self.resource(origin, POLICY, object, faults_of_policy);
                self.found.policies.extend(read);
            }
            (API_VERSION, HOLD) => {
                let read = self.resource(origin, HOLD, object, faults_of_hold);
                self.found.holds.extend(read);
            }
            (API_VERSION, MAP) => {
                let read = self.resource(origin, MAP, object, faults_of_map);
                self.found.maps.extend(read);
            }
            (API_VERSION, REQUEST) => {
                let read = self.resource(origin, REQUEST, object, faults_of_request);
                self.found.requests.extend(read);
            }
            (API_VERSION, APPROVAL) => {
                let read = self.resource(origin, APPROVAL, object, faults_of_approval);
                self.found.approvals.extend(read);
            }
            _ => self.faults.push(Fault::UnknownKind {
                origin,
                kind,
                version,
            }),
        }
    }

    /// Keeps a Secret, ConfigMap or Namespace.
    fn supply(&mut self, origin: &Origin, kind: &str, object: Map<String, Value>) {
        let Some(kind) = SUPPLIES.into_iter().find(|known| *known == kind) else {
            return;
        };
        let metadata = object.get("metadata").and_then(Value::as_object);
        let text = |key| metadata.map_or_else(String::new, |metadata| text_of(metadata, key));
        let (name, namespace) = match (text("name"), text("namespace")) {
            (name, _) if kind == "Namespace" => (name, String::new()),
            (name, own) if own.is_empty() => (name, self.namespace.to_owned()),
            (name, own) => (name, own),
        };
        let (name, namespace) = (escaped(&name), escaped(&namespace));
        if let Some(fault) = self.twice(origin, kind, &namespace, &name) {
            self.faults.push(fault);
        } else {
            let supplies = &mut self.found.supplies;
            supplies.keep(kind, (namespace, name), Value::Object(object));
        }
    }

    /// What is wrong where a resource was written before.
    fn twice(
        &mut self,
        origin: &Origin,
        kind: &'static str,
        namespace: &str,
        name: &str,
    ) -> Option<Fault> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        if let Some(first) = self.seen.get(&key) {
            return Some(Fault::Twice {
                origin: origin.clone(),
                kind,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                first: first.clone(),
            });
        }
        self.seen.insert(key, origin.clone());
        None
    }

    fn resource<S: DeserializeOwned>(
        &mut self,
        origin: Origin,
        kind: &'static str,
        mut object: Map<String, Value>,
        check: fn(&S) -> Vec<String>,
    ) -> Option<Written<S>> {
        let spec = object.remove("spec").unwrap_or(Value::Object(Map::new()));
        let metadata = match object.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        let name = text_of(&metadata, "name");
        let namespace = match text_of(&metadata, "namespace") {
            own if own.is_empty() => self.namespace.to_owned(),
            own => own,
        };
        let mut messages = Vec::new();
        if name.is_empty() {
            messages.push("metadata.name: is required".to_owned());
        } else if !is_object_name(&name) {
            messages.push(format!("metadata.name: {NO_NAME}"));
        }
        if !is_label(&namespace) {
            messages.push(format!("metadata.namespace: {namespace:?} {NO_NAME}"));
        }
        // For messages; what would change with it is refused above.
        let (name, namespace) = (escaped(&name), escaped(&namespace));
        let unknown =
            |path: &str, name: &str| format!("{path}{name}: this version does not know the field");
        for known in ["apiVersion", "kind", "status"] {
            object.remove(known);
        }
        messages.extend(object.keys().map(|name| unknown("", name)));
        let strange = metadata
            .keys()
            .filter(|name| !METADATA.contains(&name.as_str()));
        messages.extend(strange.map(|name| unknown("metadata.", name)));
        let spec = match serde_path_to_error::deserialize::<_, S>(spec) {
            Ok(spec) => {
                messages.extend(check(&spec));
                Some(spec)
            }
            Err(error) => {
                let words = words::of_type(&error.inner().to_string());
                messages.push(format!("spec.{}: {words}", error.path()));
                None
            }
        };
        let faultless = messages.is_empty();
        for message in messages {
            let origin = origin.clone();
            let nameless = name.is_empty();
            self.faults.push(Fault::Field {
                origin,
                kind,
                name: if nameless {
                    "without a name".to_owned()
                } else {
                    name.clone()
                },
                message: one_line(&message),
            });
        }
        if !name.is_empty()
            && let Some(fault) = self.twice(&origin, kind, &namespace, &name)
        {
            self.faults.push(fault);
            return None;
        }
        spec.filter(|_| faultless).map(|spec| Written {
            origin,
            namespace,
            name,
            spec,
        })
    }
}

fn faults_of_database(spec: &TargetDatabaseSpec) -> Vec<String> {
    let faults = Target::parse(spec).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn faults_of_approval(spec: &ApprovalSpec) -> Vec<String> {
    let faults = Ruling::parse(spec).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn faults_of_policy(spec: &RetentionPolicySpec) -> Vec<String> {
    Mandate::faults(spec)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn faults_of_hold(spec: &LegalHoldSpec) -> Vec<String> {
    let faults = WantedHold::parse(spec).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn faults_of_map(spec: &DataMapSpec) -> Vec<String> {
    let faults = DataMap::alone(spec).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn faults_of_request(spec: &ErasureRequestSpec) -> Vec<String> {
    let faults = Request::parse(spec).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

/// YAML 1.1, since that is what `kubectl` makes of the same file: `no` is false, `010` is eight. A
/// key written twice is an error.
pub(crate) fn yaml_as_kubectl_reads_it() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        strict_booleans: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// All of it, or more than is taken.
pub(crate) fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

fn text_of(object: &Map<String, Value>, key: &str) -> String {
    object
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A name without what a terminal would act on.
fn escaped(name: &str) -> String {
    name.escape_debug().to_string()
}

fn manifests_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
