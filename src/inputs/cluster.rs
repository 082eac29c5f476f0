//! What a job is made from beside its manifests: Secrets and ConfigMaps by name, namespaces, the
//! API server's clock and the cluster's identity; and the connections that come of them.
//!
//! Reads with `get` by name only, since `list` and `watch` would return every Secret's data. What it
//! reads is held as long as a connection needs it and zeroised. It must not repeat an answer of the
//! API server that it could not read: it may be a Secret.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::client::Body;
use kube::{Api, Client, Resource, ResourceExt};
use oubliette_core::api::reason::Reason;
use oubliette_core::target::{Ca, EngineName, KeyOf, PacingMode, Target, TlsMode};
use secrecy::{SecretSlice, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use zeroize::{Zeroize, Zeroizing};

use crate::database::{ConnectSettings, Database, DeclaredEngine, Fault, Timeouts, Tls};

/// How long one call to the API server may take, kube's own retries among it.
const CALL: Duration = Duration::from_secs(10);

/// How long connecting to a database may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Limits of reading transactions: a count comes in windows, none of which takes this long.
const READING: Timeouts = Timeouts {
    lock: Duration::from_secs(5),
    statement: Duration::from_mins(2),
};

/// Type of the Secrets that hold keys of pseudonyms. No other Secret is taken for one: a key reaches
/// the database as HMAC pads, and whoever writes policies must not send it what else the operator
/// may read, a password for instance.
pub const PSEUDONYM_KEY_TYPE: &str = "oubliette.dev/pseudonym-key";

/// Shortest key of pseudonyms, in bytes.
const LEAST_KEY: usize = 32;

/// Why something could not be gathered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GatherFault {
    /// A Secret or ConfigMap that is not there.
    #[error("the {kind} {namespace}/{name} does not exist")]
    Missing {
        /// Secret or ConfigMap.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A key that it lacks, or whose content cannot be used.
    #[error("the {kind} {namespace}/{name}: key {key:?} {problem}")]
    Key {
        /// Secret or ConfigMap.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A Secret that may not serve as, or does not hold, a key of pseudonyms.
    #[error(
        "the Secret {namespace}/{name} {problem}; a key of pseudonyms is in a Secret such as this, \
         with random content, for instance of `openssl rand -base64 32` (a Secret's type cannot be \
         changed: delete the old one, or give this one another name):\n{}",
        secret_of_pseudonyms(namespace, name, key)
    )]
    NoPseudonymKey {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The operator's ServiceAccount may not read it.
    #[error("the operator may not get the {kind} {namespace}/{name}")]
    Forbidden {
        /// What is to be read.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server did not answer as it should.
    #[error("failed to get the {kind} {namespace}/{name} from the API server ({problem})")]
    Api {
        /// What was to be read.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What sort of failure.
        problem: &'static str,
    },
    /// The database refused what a Secret holds.
    #[error("{fault}; user and password are those of the Secret {namespace}/{name}")]
    Refused {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What the database answered.
        #[source]
        fault: Fault,
    },
    /// The database could not be connected to.
    #[error("{0}")]
    Database(#[from] Fault),
}

impl GatherFault {
    /// The reason that a condition shows for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. } | Self::Key { .. } => Reason::SecretMissing,
            Self::NoPseudonymKey { .. } => Reason::SecretUnfit,
            Self::Forbidden { .. } => Reason::SecretForbidden,
            // Nothing of the manifest's making, and over when the API server is back.
            Self::Api { .. } => Reason::DatabaseNotReady,
            Self::Refused { fault, .. } | Self::Database(fault) => fault.reason(),
        }
    }
}

/// A TargetDatabase as it is to be connected to.
#[derive(Clone, Debug)]
pub struct DatabaseInput {
    /// Its namespace: where its Secrets are.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// The generation of `target`.
    pub generation: i64,
    /// What it asks for.
    pub target: Target,
}

impl DatabaseInput {
    /// Which object at which generation: a database made anew under its name is another one.
    pub fn version(&self) -> (String, i64) {
        (self.uid.clone(), self.generation)
    }
}

/// What makes one pool differ from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    generation: i64,
    /// UIDs and resourceVersions of what was read.
    versions: Vec<String>,
}

type Slot = Arc<AsyncMutex<Option<(Made, Database)>>>;

/// The cluster as inputs see it. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    uid: Arc<OnceCell<String>>,
    pools: Arc<Mutex<BTreeMap<String, Slot>>>,
}

impl Cluster {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            uid: Arc::default(),
            pools: Arc::default(),
        }
    }

    /// The identity of the cluster: the UID of its `kube-system` namespace.
    pub async fn uid(&self) -> Result<String, GatherFault> {
        self.uid
            .get_or_try_init(async || {
                let namespace = self.namespace("kube-system").await?;
                namespace.uid().ok_or_else(|| GatherFault::Api {
                    kind: "Namespace".to_owned(),
                    namespace: String::new(),
                    name: "kube-system".to_owned(),
                    problem: "it has no UID",
                })
            })
            .await
            .cloned()
    }

    /// The labels of a namespace.
    pub async fn labels(&self, namespace: &str) -> Result<BTreeMap<String, String>, GatherFault> {
        Ok(self.namespace(namespace).await?.labels().clone())
    }

    async fn namespace(&self, name: &str) -> Result<Namespace, GatherFault> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        called("Namespace", "", name, api.get(name)).await
    }

    /// The API server's clock minus ours, to about a second. Any answer carries it.
    pub async fn api_clock(&self) -> Option<SignedDuration> {
        let request = http::Request::get("/version").body(Body::empty()).ok()?;
        let sent = Timestamp::now();
        let answer = tokio::time::timeout(CALL, self.client.send(request)).await;
        let answer = answer.ok()?.ok()?;
        let got = Timestamp::now();
        let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
        let server = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        // The header has whole seconds, cut off; the answer was made between the two readings.
        let server = server + SignedDuration::from_millis(500);
        let ours = sent + got.duration_since(sent) / 2;
        Some(server.duration_since(ours))
    }

    /// A database that answers. Its Secrets are read each time; while they and the resource stay as
    /// they were, the same connections are used.
    pub async fn connect(&self, input: &DatabaseInput) -> Result<Database, GatherFault> {
        let connection = &input.target.connection;
        let namespace = &input.namespace;
        let mut secret: Secret = self.get(namespace, &connection.credentials).await?;
        let mut versions = vec![version(&secret)];
        let username = text(&mut secret, "username")?;
        let password = text(&mut secret, "password")?;
        wipe(secret);
        let ca = match &connection.tls.ca {
            None => None,
            Some(Ca::Secret(at)) => {
                let mut secret: Secret = self.get(namespace, &at.name).await?;
                versions.push(version(&secret));
                let pem = bytes(&mut secret, &at.key)?;
                wipe(secret);
                Some(pem.to_vec())
            }
            Some(Ca::ConfigMap(at)) => {
                let map: ConfigMap = self.get(namespace, &at.name).await?;
                versions.push(version(&map));
                let found = map.data.as_ref().and_then(|data| data.get(&at.key));
                let pem = found.ok_or_else(|| fault_of_key(&map, &at.key, "is missing"))?;
                Some(pem.as_bytes().to_vec())
            }
        };
        let made = Made {
            generation: input.generation,
            versions,
        };
        let slot = self.slot(&input.uid);
        // Held while connecting: who comes second uses what the first has made.
        let mut slot = slot.lock().await;
        if let Some((before, database)) = &*slot
            && *before == made
        {
            return Ok(database.clone());
        }
        let settings = ConnectSettings {
            engine: match input.target.engine {
                EngineName::PostgreSQL => DeclaredEngine::PostgreSql,
                EngineName::MySQL => DeclaredEngine::MySql,
            },
            host: connection.host.clone(),
            port: connection.port,
            database: connection.database.clone(),
            username: username.to_string(),
            password: SecretString::from(password.to_string()),
            tls: match connection.tls.mode {
                TlsMode::VerifyFull => Tls::VerifyFull,
                TlsMode::VerifyCa => Tls::VerifyCa,
                TlsMode::Disable => Tls::Disable,
            },
            ca,
            reading: READING,
            connect_timeout: CONNECT,
            max_connections: connections(&input.target),
        };
        let database = Database::connect(&settings).await.map_err(|fault| {
            if fault.reason() == Reason::AuthenticationFailed {
                return GatherFault::Refused {
                    namespace: namespace.clone(),
                    name: connection.credentials.clone(),
                    fault,
                };
            }
            fault.into()
        })?;
        // Work under way keeps its own pool: it closes when the last user lets go of it.
        *slot = Some((made, database.clone()));
        Ok(database)
    }

    /// A key of pseudonyms.
    pub async fn pseudonym_key(
        &self,
        namespace: &str,
        at: &KeyOf,
    ) -> Result<SecretSlice<u8>, GatherFault> {
        let mut secret: Secret = self.get(namespace, &at.name).await?;
        let key = key_of_pseudonyms(&mut secret, &at.key);
        wipe(secret);
        key
    }

    /// Lets go of a database's connections: it was refused, changed or deleted. Work under way keeps
    /// its own until it ends.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn slot(&self, uid: &str) -> Slot {
        self.lock().entry(uid.to_owned()).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Slot>> {
        // Each change is one insert or removal: a panicked holder left nothing half done.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn get<K>(&self, namespace: &str, name: &str) -> Result<K, GatherFault>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        called(&K::kind(&()), namespace, name, api.get(name)).await
    }
}

/// One call, with its failure in words that repeat nothing of the answer.
async fn called<T>(
    kind: &str,
    namespace: &str,
    name: &str,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, GatherFault> {
    let (kind, namespace, name) = (kind.to_owned(), namespace.to_owned(), name.to_owned());
    let problem = match tokio::time::timeout(CALL, call).await {
        Ok(Ok(object)) => return Ok(object),
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => {
            return Err(GatherFault::Missing {
                kind,
                namespace,
                name,
            });
        }
        Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => {
            return Err(GatherFault::Forbidden {
                kind,
                namespace,
                name,
            });
        }
        Ok(Err(kube::Error::Api(_))) => "it answered with an error",
        Ok(Err(kube::Error::SerdeError(_))) => "its answer cannot be read",
        Ok(Err(_)) => "it could not be reached",
        Err(_) => "it did not answer in time",
    };
    Err(GatherFault::Api {
        kind,
        namespace,
        name,
        problem,
    })
}

/// As many as a run uses at once, one to look, one to cancel from and one to spare.
fn connections(target: &Target) -> u32 {
    let workers = match target.pacing.mode {
        PacingMode::Steady => 1,
        PacingMode::Backlog => u32::from(target.pacing.workers.max(1)),
    };
    workers + 3
}

fn version<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let meta = object.meta();
    format!(
        "{} {}",
        meta.uid.as_deref().unwrap_or_default(),
        meta.resource_version.as_deref().unwrap_or_default()
    )
}

/// Takes a key's content out of a Secret.
fn bytes(secret: &mut Secret, key: &str) -> Result<Zeroizing<Vec<u8>>, GatherFault> {
    let found = secret.data.as_mut().and_then(|data| data.remove(key));
    match found {
        Some(content) if !content.0.is_empty() => Ok(Zeroizing::new(content.0)),
        Some(_) => Err(fault_of_key(secret, key, "is empty")),
        None => Err(fault_of_key(secret, key, "is missing")),
    }
}

/// Takes a key of pseudonyms out of a Secret. The type is looked at first, so that nothing is told of
/// what another Secret holds.
fn key_of_pseudonyms(secret: &mut Secret, key: &str) -> Result<SecretSlice<u8>, GatherFault> {
    let unfit = |secret: &Secret, problem| GatherFault::NoPseudonymKey {
        namespace: secret.namespace().unwrap_or_default(),
        name: secret.name_any(),
        key: key.to_owned(),
        problem,
    };
    if secret.type_.as_deref() != Some(PSEUDONYM_KEY_TYPE) {
        return Err(unfit(
            secret,
            "is not of the type oubliette.dev/pseudonym-key",
        ));
    }
    let content = bytes(secret, key)?;
    if content.len() < LEAST_KEY {
        return Err(unfit(secret, "has less than 32 bytes under the key"));
    }
    Ok(SecretSlice::from(content.to_vec()))
}

/// The manifest of a Secret for a key of pseudonyms. What stands for the content is too short to be
/// taken for one.
fn secret_of_pseudonyms(namespace: &str, name: &str, key: &str) -> String {
    let quoted = serde_json::Value::from;
    format!(
        "apiVersion: v1\n\
         kind: Secret\n\
         metadata: {{name: {}, namespace: {}}}\n\
         type: {PSEUDONYM_KEY_TYPE}\n\
         stringData: {{{}: \"32 random bytes or more\"}}",
        quoted(name),
        quoted(namespace),
        quoted(key),
    )
}

fn text(secret: &mut Secret, key: &str) -> Result<Zeroizing<String>, GatherFault> {
    let bytes = bytes(secret, key)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(fault_of_key(secret, key, "is not UTF-8 text")),
    }
}

fn fault_of_key<K: Resource<DynamicType = ()>>(
    object: &K,
    key: &str,
    problem: &'static str,
) -> GatherFault {
    GatherFault::Key {
        kind: K::kind(&()).into_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        key: key.to_owned(),
        problem,
    }
}

/// Zeroises what else was in a Secret.
fn wipe(mut secret: Secret) {
    for content in secret.data.iter_mut().flat_map(BTreeMap::values_mut) {
        content.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kube::api::ObjectMeta;

    use super::*;

    fn secret(entries: &[(&str, &[u8])]) -> Secret {
        let data = entries
            .iter()
            .map(|(key, content)| ((*key).to_owned(), ByteString(content.to_vec())));
        Secret {
            metadata: ObjectMeta {
                name: Some("crm".to_owned()),
                namespace: Some("web".to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named_without_its_content() {
        let mut secret = secret(&[("username", b""), ("password", b"\xffhunter2")]);
        let told = |fault: GatherFault| {
            assert_eq!(fault.reason(), Reason::SecretMissing);
            fault.to_string()
        };
        assert_eq!(
            told(text(&mut secret, "username").unwrap_err()),
            "the Secret web/crm: key \"username\" is empty"
        );
        assert_eq!(
            told(text(&mut secret, "password").unwrap_err()),
            "the Secret web/crm: key \"password\" is not UTF-8 text"
        );
        assert_eq!(
            told(text(&mut secret, "user").unwrap_err()),
            "the Secret web/crm: key \"user\" is missing"
        );
    }
    #[test]
    fn only_a_secret_made_for_keys_of_pseudonyms_is_taken_for_one() {
        let long = [7; LEAST_KEY];
        let told = |kind: Option<&str>, content: &[u8]| {
            let mut secret = secret(&[("no", content)]);
            secret.type_ = kind.map(str::to_owned);
            key_of_pseudonyms(&mut secret, "no")
                .map_err(|fault| (fault.reason(), fault.to_string()))
        };
        assert!(told(Some(PSEUDONYM_KEY_TYPE), &long).is_ok());
        for (kind, content, word) in [
            (None, &long[..], "is not of the type"),
            (Some("Opaque"), &long[..], "is not of the type"),
            (Some("kubernetes.io/basic-auth"), b"", "is not of the type"),
            (Some(PSEUDONYM_KEY_TYPE), &long[1..], "less than 32 bytes"),
        ] {
            let (reason, message) = told(kind, content).map(|_| ()).unwrap_err();
            assert_eq!(reason, Reason::SecretUnfit);
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn the_manifest_in_the_message_is_of_a_secret_that_asks_for_content() {
        let text = secret_of_pseudonyms("123", "crm", "no");
        let mut secret: Secret = serde_saphyr::from_str(&text).unwrap();
        let content = secret.string_data.take().unwrap();
        secret.data = Some(
            content
                .into_iter()
                .map(|(key, content)| (key, ByteString(content.into_bytes())))
                .collect(),
        );
        assert_eq!(secret.namespace().as_deref(), Some("123"));
        let (reason, message) = match key_of_pseudonyms(&mut secret, "no") {
            Ok(_) => panic!("the placeholder was taken for a key"),
            Err(fault) => (fault.reason(), fault.to_string()),
        };
        assert_eq!(reason, Reason::SecretUnfit);
        assert!(message.contains("less than 32 bytes"), "{message}");
    }
}
