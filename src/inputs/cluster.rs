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
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, Preconditions};
use kube::client::Body;
use kube::{Api, Client, Resource, ResourceExt};
use oubliette_core::api::erasure_request::SUBJECT_SECRET;
use oubliette_core::decide::api_clock::Measured;
use oubliette_core::erasure::find::Known;
use oubliette_core::target::{Ca, KeyOf, Target};
use secrecy::SecretSlice;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};
use zeroize::Zeroizing;

use super::secrets::{self, GatherFault, Login};
use super::subject;
use crate::database::Database;

/// How long one call to the API server may take, kube's own retries among it.
const CALL: Duration = Duration::from_secs(10);

/// The API server's clock was asked for.
struct Asked {
    at: Instant,
    answer: Option<Measured>,
}

/// How long nobody asks for the API server's clock again after it has not answered.
const SILENT: Duration = Duration::from_mins(1);

/// How long the CA of a ConfigMap is believed while the same connections are used. A server that its
/// authority does not vouch for any more is refused, and then it is read at once.
const CA_EVERY: Duration = Duration::from_hours(1);

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
    /// UIDs and resourceVersions of the Secrets that were read.
    secrets: Vec<String>,
    /// The same of the ConfigMap with the CA.
    ca: Option<String>,
}

/// The connections to a database, and what they were made from.
struct Held {
    made: Made,
    /// When the ConfigMap was last read, and what it had.
    ca_read: Instant,
    ca: Option<Vec<u8>>,
    /// `None`: nobody uses it at the moment, and a pool of no connections would be 10 kB.
    database: Option<Database>,
}

impl Held {
    /// Whether a database of that generation and those Secrets is connected to like this without another
    /// look at the ConfigMap.
    fn is_fresh(&self, generation: i64, secrets: &[String]) -> bool {
        self.made.generation == generation
            && self.made.secrets == secrets
            && self.ca_read.elapsed() < CA_EVERY
    }
}

type Slot = Arc<AsyncMutex<Option<Held>>>;

/// The cluster as inputs see it. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    uid: Arc<OnceCell<String>>,
    pools: Arc<Mutex<BTreeMap<String, Slot>>>,
    clock: Arc<AsyncMutex<Option<Asked>>>,
}

impl Cluster {
    /// Reads through this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            uid: Arc::default(),
            pools: Arc::default(),
            clock: Arc::default(),
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

    /// Whether a namespace is being deleted, as far as this account may know.
    pub async fn is_ending(&self, namespace: &str) -> bool {
        let found = self.namespace(namespace).await;
        found.is_ok_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// The API server's clock minus ours, to about a second. It is asked for once, by whoever comes first,
    /// until that does not hold any more.
    pub async fn api_clock(&self) -> Option<SignedDuration> {
        let mut clock = self.clock.lock().await;
        if let Some(Asked { at, answer }) = &*clock {
            let passed = at.elapsed();
            match answer {
                Some(measured) if measured.holds(Timestamp::now(), passed) => {
                    return Some(measured.ahead);
                }
                // Everybody would wait for the same silence, one after the other.
                None if passed < SILENT => return None,
                _ => {}
            }
        }
        let answer = self.measure_clock().await;
        *clock = Some(Asked {
            at: Instant::now(),
            answer,
        });
        answer.map(|measured| measured.ahead)
    }

    /// Any answer carries the clock.
    async fn measure_clock(&self) -> Option<Measured> {
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
        Some(Measured {
            ahead: server.duration_since(ours),
            at: got,
        })
    }

    /// A database that answers. Its Secrets are read each time, the ConfigMap with its CA now and then;
    /// while they and the resource stay as they were, the same connections are used.
    pub async fn connect(&self, input: &DatabaseInput) -> Result<Database, GatherFault> {
        let connection = &input.target.connection;
        let namespace = &input.namespace;
        let secret: Secret = self.get(namespace, &connection.credentials).await?;
        let mut versions = vec![version(&secret)];
        let mut login = Login::of(secret)?;
        if let Some(Ca::Secret(at)) = &connection.tls.ca {
            let secret: Secret = self.get(namespace, &at.name).await?;
            versions.push(version(&secret));
            login.ca = Some(secrets::pem_of(secret, at)?);
        }
        let slot = self.slot(&input.uid);
        // Held while connecting: who comes second uses what the first has made.
        let mut slot = slot.lock().await;
        let fresh = slot
            .as_ref()
            .filter(|held| held.is_fresh(input.generation, &versions));
        if let Some(database) = fresh.and_then(|held| held.database.as_ref()) {
            return Ok(database.clone());
        }
        let mut ca_read = Instant::now();
        let (mut version_of_ca, mut ca) = (None, None);
        if let Some(held) = fresh {
            (ca_read, version_of_ca, ca) = (held.ca_read, held.made.ca.clone(), held.ca.clone());
        } else if let Some(Ca::ConfigMap(at)) = &connection.tls.ca {
            let map: ConfigMap = self.get(namespace, &at.name).await?;
            version_of_ca = Some(version(&map));
            ca = Some(secrets::pem_of_map(&map, at)?);
        }
        let made = Made {
            generation: input.generation,
            secrets: versions,
            ca: version_of_ca,
        };
        if let Some(held) = slot.as_mut()
            && held.made == made
        {
            held.ca_read = ca_read;
            if let Some(database) = &held.database {
                return Ok(database.clone());
            }
        }
        if ca.is_some() {
            login.ca.clone_from(&ca);
        }
        let from = (namespace.as_str(), connection.credentials.as_str());
        let database = secrets::connect(&input.target, login, Some(from)).await?;
        // Work under way keeps its own pool: it closes when the last user lets go of it.
        *slot = Some(Held {
            made,
            ca_read,
            ca,
            database: Some(database.clone()),
        });
        Ok(database)
    }

    /// A key of pseudonyms for a database, by the namespace and name of its TargetDatabase.
    pub async fn pseudonym_key(
        &self,
        namespace: &str,
        at: &KeyOf,
        database: (&str, &str),
    ) -> Result<SecretSlice<u8>, GatherFault> {
        secrets::pseudonym_key(self.get(namespace, &at.name).await?, at, database)
    }

    /// The values of a hold, in a key of a Secret.
    pub async fn hold_values(
        &self,
        namespace: &str,
        at: &KeyOf,
    ) -> Result<Vec<Zeroizing<String>>, GatherFault> {
        secrets::hold_values(self.get(namespace, &at.name).await?, at)
    }

    /// What a person is known by, in the Secret of a request, and which Secret that is. `begun`: since when the
    /// request changes rows. One that was made under the name in that second or later may be about somebody
    /// else, whom nobody has approved, and is not read: ledgers know the person by then.
    pub async fn subject(
        &self,
        namespace: &str,
        name: &str,
        identifiers: &[String],
        begun: Option<Timestamp>,
    ) -> Result<(Known, String), GatherFault> {
        let secret: Secret = self.get(namespace, name).await?;
        let made = secret.metadata.creation_timestamp.as_ref();
        let anew = made
            .zip(begun)
            .is_some_and(|(made, begun)| made.0.as_second() >= begun.as_second());
        if anew {
            secrets::wipe(secret);
            return Err(GatherFault::SubjectAnew {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
        }
        let uid = secret.uid().unwrap_or_default();
        Ok((subject::known(secret, identifiers)?, uid))
    }

    /// What a ConfigMap holds under a key; `None`: it, or the key, is not there.
    pub async fn config_map(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<String>, GatherFault> {
        let found: Result<ConfigMap, GatherFault> = self.get(namespace, name).await;
        match found {
            Ok(found) => Ok(found.data.and_then(|mut data| data.remove(key))),
            Err(GatherFault::Missing { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Deletes the Secret of a request. One of another type, or that is gone, is left alone; so is one that
    /// was made anew under the name after the request last `read` its own, whose content cannot change.
    pub async fn delete_subject(
        &self,
        namespace: &str,
        name: &str,
        read: Option<Timestamp>,
    ) -> Result<(), GatherFault> {
        let secret: Result<Secret, GatherFault> = self.get(namespace, name).await;
        let secret = match secret {
            Ok(secret) => secret,
            Err(GatherFault::Missing { .. }) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let uid = secret.uid();
        let made = secret.metadata.creation_timestamp.as_ref();
        let later = made.zip(read).is_some_and(|(made, read)| made.0 > read);
        let ours = secret.type_.as_deref() == Some(SUBJECT_SECRET) && !later;
        secrets::wipe(secret);
        if !ours {
            return Ok(());
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        // Only the one that was looked at.
        let only = DeleteParams {
            preconditions: Some(Preconditions {
                uid,
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match called("Secret", namespace, name, api.delete(name, &only)).await {
            Ok(_) | Err(GatherFault::Missing { .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Lets go of a database's connections: it was refused, changed or deleted. Work under way keeps
    /// its own until it ends.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Closes the connections to a database that nobody uses at the moment. The next look at it comes long
    /// after this one, and there may be hundreds of databases.
    pub async fn rest(&self, uid: &str) {
        let slot = self.lock().get(uid).cloned();
        let Some(slot) = slot else { return };
        // Whoever holds it connects.
        let Ok(mut held) = slot.try_lock() else {
            return;
        };
        let Some(held_database) = held.as_mut().map(|held| &mut held.database) else {
            return;
        };
        let database = if held_database.as_ref().is_some_and(Database::is_alone) {
            held_database.take()
        } else {
            held_database.clone()
        };
        drop(held);
        if let Some(database) = database {
            database.rest().await;
        }
    }

    /// Lets go of the connections to all databases that do not exist any more.
    pub fn forget_unless(&self, exists: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| exists(uid));
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

fn version<K: Resource<DynamicType = ()>>(object: &K) -> String {
    let meta = object.meta();
    format!(
        "{} {}",
        meta.uid.as_deref().unwrap_or_default(),
        meta.resource_version.as_deref().unwrap_or_default()
    )
}
