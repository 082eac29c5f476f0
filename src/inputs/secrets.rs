//! What a connection needs of Secrets and ConfigMaps, and the connection that comes of it: the same
//! whether they were read from the cluster or from files.
//!
//! Owns the words for what is missing in them. What it takes out is held as long as a connection
//! needs it; the rest of a Secret is zeroised.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Resource, ResourceExt};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::grants::admission;
use oubliette_core::hold;
use oubliette_core::target::{EngineName, KeyOf, PacingMode, Target, TlsMode};
use secrecy::{SecretSlice, SecretString};
use zeroize::{Zeroize, Zeroizing};

use crate::database::{
    ConnectSettings, Database, DeclaredEngine, Fault, FaultClass, Timeouts, Tls,
};

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

/// Annotation of such a Secret that names the TargetDatabases it is for, each as `namespace/name` or by
/// the name alone in the Secret's own namespace, with commas between them. Without it any database is
/// sent the key for which a policy of the Secret's namespace asks so.
pub const KEY_FOR: &str = "oubliette.dev/database";

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
    /// A Secret of a request that was made after the request was begun.
    #[error(
        "the Secret {namespace}/{name} was made after the request was begun: it may be about somebody \
         else, and is not read"
    )]
    SubjectAnew {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Secret or ConfigMap that was not given.
    #[error("the {kind} {namespace}/{name} is not among the manifests: give its file with -f")]
    NotAmong {
        /// Secret or ConfigMap.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Secret or ConfigMap whose manifest does not read as one.
    #[error(
        "the manifest of the {kind} {namespace}/{name} cannot be read: `stringData` holds texts, \
         `data` of a Secret base64"
    )]
    Unreadable {
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
    /// A Secret that does not hold a person's identifiers. What it holds is not told.
    #[error("the Secret {namespace}/{name} {problem}. {}", Reason::SubjectUnfit.remedy())]
    NoSubject {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A Secret that does not hold the values of a legal hold. What it holds is not told.
    #[error("the Secret {namespace}/{name}: key {key:?} {problem}")]
    NoHoldValues {
        /// The Secret's namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key of pseudonyms that is for other databases. Which ones they are is not told: who writes
    /// policies need not be able to read the Secret.
    #[error(
        "the Secret {namespace}/{name} is not for the TargetDatabase {database}: its annotation \
         {KEY_FOR} names others; whoever may write the Secret can add it there"
    )]
    KeyForOthers {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The policy's database.
        database: String,
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
    /// The user may not connect to the database.
    #[error("{fault}; {remedy}")]
    NotAdmitted {
        /// What the database answered.
        #[source]
        fault: Fault,
        /// The statement that admits it, or what to do.
        remedy: String,
    },
    /// The database could not be connected to.
    #[error("{0}")]
    Database(#[from] Fault),
}

impl GatherFault {
    /// The reason that a condition shows for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing { .. }
            | Self::SubjectAnew { .. }
            | Self::NotAmong { .. }
            | Self::Unreadable { .. }
            | Self::Key { .. } => Reason::SecretMissing,
            Self::NoPseudonymKey { .. } | Self::KeyForOthers { .. } => Reason::SecretUnfit,
            Self::NoHoldValues { .. } => Reason::HoldUnfit,
            Self::NoSubject { .. } => Reason::SubjectUnfit,
            Self::Forbidden { .. } => Reason::SecretForbidden,
            // Nothing of the manifest's making, and over when the API server is back.
            Self::Api { .. } => Reason::DatabaseNotReady,
            Self::Refused { fault, .. }
            | Self::NotAdmitted { fault, .. }
            | Self::Database(fault) => fault.reason(),
        }
    }
}

/// As whom to connect, and whom to believe.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub username: String,
    /// Their password.
    pub password: SecretString,
    /// PEM certificates to trust beside the system's own.
    pub ca: Option<Vec<u8>>,
}

impl Login {
    /// The keys `username` and `password` of a Secret, without a CA.
    pub fn of(mut secret: Secret) -> Result<Self, GatherFault> {
        let username = text(&mut secret, "username")?;
        let password = text(&mut secret, "password")?;
        wipe(secret);
        Ok(Self {
            username: username.to_string(),
            password: SecretString::from(password.to_string()),
            ca: None,
        })
    }
}

/// The certificates in a key of a Secret.
pub fn pem_of(mut secret: Secret, at: &KeyOf) -> Result<Vec<u8>, GatherFault> {
    let pem = bytes(&mut secret, &at.key)?;
    wipe(secret);
    Ok(pem.to_vec())
}

/// The certificates in a key of a ConfigMap.
pub fn pem_of_map(map: &ConfigMap, at: &KeyOf) -> Result<Vec<u8>, GatherFault> {
    let found = map.data.as_ref().and_then(|data| data.get(&at.key));
    let pem = found.ok_or_else(|| fault_of_key(map, &at.key, "is missing"))?;
    Ok(pem.as_bytes().to_vec())
}

/// A key of pseudonyms for a database, by the namespace and name of its TargetDatabase.
pub fn pseudonym_key(
    mut secret: Secret,
    at: &KeyOf,
    database: (&str, &str),
) -> Result<SecretSlice<u8>, GatherFault> {
    let key = key_of_pseudonyms(&mut secret, &at.key, database);
    wipe(secret);
    key
}

/// The values of a legal hold. They reach the database and stay in its ledger: so nothing but a Secret
/// of type Opaque is taken for one, and none that looks like credentials, or whoever may write holds
/// could have a password written into a database of their own.
pub fn hold_values(mut secret: Secret, at: &KeyOf) -> Result<Vec<Zeroizing<String>>, GatherFault> {
    let values = values_of_hold(&mut secret, &at.key);
    wipe(secret);
    values
}

fn values_of_hold(secret: &mut Secret, key: &str) -> Result<Vec<Zeroizing<String>>, GatherFault> {
    let unfit = |secret: &Secret, problem: String| GatherFault::NoHoldValues {
        namespace: secret.namespace().unwrap_or_default(),
        name: secret.name_any(),
        key: key.to_owned(),
        problem,
    };
    if secret.type_.as_deref() != Some("Opaque") {
        let problem = "is not read: values of a hold are in a Secret of type Opaque";
        return Err(unfit(secret, problem.to_owned()));
    }
    let has = |key: &str| secret.data.as_ref().is_some_and(|d| d.contains_key(key));
    if has("username") && has("password") {
        let problem = "is not read: a Secret with username and password is taken for credentials";
        return Err(unfit(secret, problem.to_owned()));
    }
    let content = bytes(secret, key)?;
    hold::values(&content).map_err(|error| unfit(secret, error.to_string()))
}

/// A database that answers. `from`: namespace and name of the Secret with user and password, where
/// they are from one.
pub async fn connect(
    target: &Target,
    login: Login,
    from: Option<(&str, &str)>,
) -> Result<Database, GatherFault> {
    let settings = settings(target, login);
    let connected = Database::connect(&settings).await;
    connected.map_err(|fault| match from {
        _ if fault.class == FaultClass::Privilege => {
            let engine = match target.engine {
                EngineName::PostgreSQL => Engine::Postgres,
                EngineName::MySQL => Engine::MySql,
            };
            let remedy = admission(engine, &settings.database, &settings.username);
            GatherFault::NotAdmitted { fault, remedy }
        }
        Some((namespace, name)) if fault.reason() == Reason::AuthenticationFailed => {
            GatherFault::Refused {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                fault,
            }
        }
        Some(_) | None => fault.into(),
    })
}

/// How a target is connected to.
pub fn settings(target: &Target, login: Login) -> ConnectSettings {
    let connection = &target.connection;
    ConnectSettings {
        engine: match target.engine {
            EngineName::PostgreSQL => DeclaredEngine::PostgreSql,
            EngineName::MySQL => DeclaredEngine::MySql,
        },
        host: connection.host.clone(),
        port: connection.port,
        database: connection.database.clone(),
        username: login.username,
        password: login.password,
        tls: match connection.tls.mode {
            TlsMode::VerifyFull => Tls::VerifyFull,
            TlsMode::VerifyCa => Tls::VerifyCa,
            TlsMode::Disable => Tls::Disable,
        },
        ca: login.ca,
        reading: READING,
        connect_timeout: CONNECT,
        max_connections: connections(target),
    }
}

/// As many as a run uses at once, and three to spare: one counts beside those that verify, and a policy may be looked at
/// meanwhile. Cancellations go beside them, one at a time.
fn connections(target: &Target) -> u32 {
    let workers = match target.pacing.mode {
        PacingMode::Steady => 1,
        PacingMode::Backlog => u32::from(target.pacing.workers.max(1)),
    };
    workers + 3
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
fn key_of_pseudonyms(
    secret: &mut Secret,
    key: &str,
    database: (&str, &str),
) -> Result<SecretSlice<u8>, GatherFault> {
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
    if !is_for(secret, database) {
        let (namespace, name) = database;
        return Err(GatherFault::KeyForOthers {
            namespace: secret.namespace().unwrap_or_default(),
            name: secret.name_any(),
            database: format!("{namespace}/{name}"),
        });
    }
    let content = bytes(secret, key)?;
    if content.len() < LEAST_KEY {
        return Err(unfit(secret, "has less than 32 bytes under the key"));
    }
    Ok(SecretSlice::from(content.to_vec()))
}

/// Whether a Secret may be used for a database. An annotation that names none is for none.
fn is_for(secret: &Secret, (namespace, name): (&str, &str)) -> bool {
    let own = secret.namespace().unwrap_or_default();
    let Some(listed) = secret.annotations().get(KEY_FOR) else {
        return true;
    };
    listed.split(',').map(str::trim).any(|entry| {
        let named = entry.split_once('/').unwrap_or((own.as_str(), entry));
        named == (namespace, name)
    })
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
pub(super) fn wipe(mut secret: Secret) {
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
            key_of_pseudonyms(&mut secret, "no", ("web", "crm"))
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
    fn nothing_but_a_secret_made_for_it_is_taken_for_the_values_of_a_hold() {
        let told = |kind: &str, data: &[(&str, &[u8])]| {
            let mut secret = secret(data);
            secret.type_ = Some(kind.to_owned());
            values_of_hold(&mut secret, "emails")
                .map(|values| values.len())
                .map_err(|fault| (fault.reason(), fault.to_string()))
        };
        let emails: (&str, &[u8]) = ("emails", b"ada@example.org\nbob@example.org\n");
        assert_eq!(told("Opaque", &[emails]), Ok(2));
        let credentials: [(&str, &[u8]); 3] = [emails, ("username", b"u"), ("password", b"p")];
        for (kind, data, words) in [
            (PSEUDONYM_KEY_TYPE, &[emails][..], "of type Opaque"),
            ("kubernetes.io/tls", &[emails][..], "of type Opaque"),
            ("Opaque", &credentials[..], "taken for credentials"),
            ("Opaque", &[("emails", &b"\n"[..])][..], "holds no value"),
        ] {
            let (reason, message) = told(kind, data).unwrap_err();
            assert_eq!(reason, Reason::HoldUnfit);
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_key_goes_only_to_the_databases_that_its_secret_names() {
        let told = |listed: Option<&str>, database| {
            let mut secret = secret(&[("key", &[7; LEAST_KEY])]);
            secret.type_ = Some(PSEUDONYM_KEY_TYPE.to_owned());
            let listed = listed.map(|listed| (KEY_FOR.to_owned(), listed.to_owned()));
            secret.metadata.annotations = Some(listed.into_iter().collect());
            key_of_pseudonyms(&mut secret, "key", database).map(|_| ())
        };
        let database = ("crm", "main");
        for listed in [None, Some("crm/main"), Some("other, crm/main ,x/y")] {
            assert!(told(listed, database).is_ok(), "{listed:?}");
        }
        assert!(
            told(Some("main"), ("web", "main")).is_ok(),
            "its own namespace"
        );
        for listed in ["", "main", "crm", "crm/other", "web/main", "crm/main/x"] {
            let fault = told(Some(listed), database).unwrap_err();
            assert_eq!(fault.reason(), Reason::SecretUnfit);
            assert_eq!(
                fault.to_string(),
                "the Secret web/crm is not for the TargetDatabase crm/main: its annotation \
                 oubliette.dev/database names others; whoever may write the Secret can add it there"
            );
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
        let (reason, message) = match key_of_pseudonyms(&mut secret, "no", ("web", "crm")) {
            Ok(_) => panic!("the placeholder was taken for a key"),
            Err(fault) => (fault.reason(), fault.to_string()),
        };
        assert_eq!(reason, Reason::SecretUnfit);
        assert!(message.contains("less than 32 bytes"), "{message}");
    }
}
