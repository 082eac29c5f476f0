//! A target database as the rest of the program sees it: parsed, complete, defaults filled in.
//! `api::target_database` is what people write; `api::parse` makes these.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::approval::Asks;
use crate::catalog::Engine;
use crate::name::Ident;
use crate::policy::Limits;

pub use crate::api::target_database::{EngineName, PacingMode, TlsMode};

/// A parsed TargetDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The declared family of the server.
    pub engine: EngineName,
    /// Where the database is and as whom to connect.
    pub connection: Connection,
    /// PostgreSQL: the ledger's schema. MySQL: the prefix of its tables.
    pub ledger: Ident,
    /// Floors under every policy's limits.
    pub guards: Limits,
    /// What its owner asks for before rows are changed.
    pub asks: Asks,
    /// From which namespaces policies may use it.
    pub usable_from: UsableFrom,
    /// Whether all runs are to stop.
    pub suspend: bool,
    /// How fast rows are changed.
    pub pacing: Pacing,
    /// Where sealed rows are kept.
    pub seal: Option<SealPlace>,
}

/// Where sealed rows are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealPlace {
    /// PostgreSQL: the schema. MySQL: another database of the server.
    pub schema: Ident,
    /// Roles or accounts that may read it.
    pub readers: Vec<String>,
}

impl Target {
    /// What a plan depends on: where the rows are, and the owner's guards. Not how the connection is
    /// protected, how fast rows are changed, nor who must agree before.
    pub fn digest_input(&self) -> serde_json::Value {
        let Limits {
            max_rows,
            max_percent,
            guarded: _,
        } = self.guards;
        let mut input = serde_json::json!({
            "engine": format!("{:?}", self.engine),
            "host": self.connection.host,
            "port": self.connection.port,
            "database": self.connection.database,
            "ledger": self.ledger,
            "guards": {"maxRows": max_rows, "maxPercent": max_percent},
        });
        // Left out where there is none, so that digests of older versions stay.
        if let Some(SealPlace { schema, readers }) = &self.seal {
            input["seal"] = serde_json::json!({"schema": schema, "readers": readers});
        }
        input
    }
}

/// Where a database is, as far as its address tells: two of one place are one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    engine: EngineName,
    host: String,
    port: u16,
    database: String,
}

/// Where a database is and as whom to connect. Names of Secrets, never their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database's name.
    pub database: String,
    /// The Secret with `username` and `password`.
    pub credentials: String,
    /// How the connection is protected.
    pub tls: Tls,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// What is verified.
    pub mode: TlsMode,
    /// Where the CA's certificates are; `None`: those of the operator's image.
    pub ca: Option<Ca>,
}

/// Where the CA's certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ca {
    /// In a Secret.
    Secret(KeyOf),
    /// In a ConfigMap.
    ConfigMap(KeyOf),
}

/// One key of a Secret or ConfigMap, in the namespace of the resource that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyOf {
    /// The object's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// How fast rows are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Rate-limited, or as fast as the server allows.
    pub mode: PacingMode,
    /// How long one transaction should take.
    pub batch_duration: Duration,
    /// Workers over disjoint key ranges; 1 in Steady.
    pub workers: u8,
    /// Most rows per second in Steady; `None`: a share of the measured one.
    pub max_rows_per_second: Option<u64>,
    /// How long a batch waits for a lock.
    pub lock_timeout: Duration,
}

/// From which namespaces a database may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsableFrom {
    /// Its own.
    Same,
    /// Its own, and those whose labels pass every test (never empty).
    Selector(Vec<LabelTest>),
    /// Every one.
    All,
}

/// A test of a namespace's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelTest {
    /// There is such a label, and its value is one of these.
    In(String, Vec<String>),
    /// There is no such label, or its value is none of these.
    NotIn(String, Vec<String>),
    /// There is such a label.
    Exists(String),
    /// There is no such label.
    DoesNotExist(String),
}

impl LabelTest {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => {
                !labels.get(key).is_some_and(|value| values.contains(value))
            }
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }
}

impl UsableFrom {
    /// Whether a policy in namespace `user` may use a database in namespace `owner`. `labels` are
    /// those of the namespace `user`.
    pub fn allows(&self, owner: &str, user: &str, labels: &BTreeMap<String, String>) -> bool {
        owner == user
            || match self {
                Self::Same => false,
                Self::Selector(tests) => tests.iter().all(|test| test.holds(labels)),
                Self::All => true,
            }
    }
}

impl Target {
    /// Where it is. A name within the cluster is the same in each of its lengths; MySQL servers may
    /// fold the case of a database's name.
    pub fn place(&self) -> Place {
        let Connection {
            host,
            port,
            database,
            credentials: _,
            tls: _,
        } = &self.connection;
        let host = host.to_ascii_lowercase();
        let host = host
            .trim_end_matches('.')
            .trim_end_matches(".cluster.local");
        Place {
            engine: self.engine,
            host: host.trim_end_matches(".svc").to_owned(),
            port: *port,
            database: match self.engine {
                EngineName::PostgreSQL => database.clone(),
                EngineName::MySQL => database.to_lowercase(),
            },
        }
    }

    /// Whether a detected engine is of the declared family.
    pub fn accepts(&self, engine: Engine) -> bool {
        match self.engine {
            EngineName::PostgreSQL => engine == Engine::Postgres,
            EngineName::MySQL => engine.is_innodb(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn place(engine: &str, host: &str, port: u16, database: &str) -> Place {
        let spec = serde_json::json!({
            "engine": engine,
            "connection": {
                "host": host, "port": port, "database": database,
                "credentials": {"secretRef": {"name": "crm"}},
            },
        });
        let spec = serde_json::from_value(spec).unwrap();
        Target::parse(&spec).unwrap().place()
    }

    #[test]
    fn one_address_is_one_place_however_it_is_spelt() {
        let postgres = |host, port, database| place("PostgreSQL", host, port, database);
        let crm = postgres("crm-rw.crm.svc", 5432, "crm");
        for host in [
            "crm-rw.crm",
            "CRM-rw.crm.svc",
            "crm-rw.crm.svc.cluster.local",
            "crm-rw.crm.svc.cluster.local.",
        ] {
            assert_eq!(postgres(host, 5432, "crm"), crm, "{host}");
        }
        for other in [
            postgres("crm-ro.crm.svc", 5432, "crm"),
            postgres("crm-rw.crm.svc", 5433, "crm"),
            postgres("crm-rw.crm.svc", 5432, "CRM"),
            place("MySQL", "crm-rw.crm.svc", 5432, "crm"),
        ] {
            assert_ne!(other, crm);
        }
        let mysql = |database| place("MySQL", "db", 3306, database);
        assert_eq!(mysql("Crm"), mysql("crm"));
    }

    #[test]
    fn the_own_namespace_may_always_use_a_database() {
        assert!(UsableFrom::Same.allows("crm", "crm", &labels(&[])));
        assert!(!UsableFrom::Same.allows("crm", "web", &labels(&[("team", "crm")])));
    }

    #[test]
    fn a_selector_admits_only_namespaces_that_pass_every_test() {
        let selector = UsableFrom::Selector(vec![
            LabelTest::In("team".into(), vec!["crm".into()]),
            LabelTest::DoesNotExist("guest".into()),
        ]);
        assert!(selector.allows("crm", "web", &labels(&[("team", "crm")])));
        assert!(!selector.allows("crm", "web", &labels(&[("team", "crm"), ("guest", "")])));
        assert!(!selector.allows("crm", "web", &labels(&[("team", "hr")])));
        assert!(!selector.allows("crm", "web", &labels(&[])));
    }
}
