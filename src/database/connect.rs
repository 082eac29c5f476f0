//! Connections: settings in, a pool out.
//!
//! Every option is set explicitly, because the driver's defaults accept unverified certificates and
//! plain text and read `PG*` variables. It must not print options: they hold the password.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use oubliette_core::catalog::Engine;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, MySqlPool, PgPool};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::at_hand::{AtHand, Lent, TRUSTED};
use super::authorities::{Authorities, authorities};
use super::fault::{Fault, FaultClass};
use super::session::{Link, Timeouts};
use super::{mysql, postgres};

/// The engine a manifest declares; MariaDB is detected under MySQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclaredEngine {
    /// PostgreSQL.
    PostgreSql,
    /// MySQL or MariaDB.
    MySql,
}

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Certificate and host name are verified.
    VerifyFull,
    /// The certificate is verified, the host name is not. The driver trusts the image's own
    /// authorities beside the one given, so a public certificate passes too: VerifyFull is better.
    VerifyCa,
    /// Plain text.
    Disable,
}

/// Everything a connection needs.
#[derive(Clone)]
pub struct ConnectSettings {
    /// The declared engine.
    pub engine: DeclaredEngine,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database (MySQL: schema).
    pub database: String,
    /// User.
    pub username: String,
    /// Password; zeroised when dropped here (the driver keeps a copy of its own).
    pub password: SecretString,
    /// How the connection is secured.
    pub tls: Tls,
    /// PEM certificates to trust beside the image's own.
    pub ca: Option<Vec<u8>>,
    /// Limits of reading transactions.
    pub reading: Timeouts,
    /// How long establishing a connection may take.
    pub connect_timeout: Duration,
    /// The most connections at one time.
    pub max_connections: u32,
}

impl fmt::Debug for ConnectSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectSettings")
            .field("engine", &self.engine)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("database", &self.database)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// A database that answered, with a pool of connections to it. Cheap to clone.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    pools: Pools,
    at_hand: AtHand,
    /// One cancellation is sent at a time: each takes a connection beside the pool.
    cancelling: Mutex<()>,
    /// One for each connection of the pool. Whoever works on the database waits here for a free one,
    /// because the pool gives up after the time that connecting may take.
    slots: Arc<Semaphore>,
    engine: Engine,
    version: Version,
    reading: Timeouts,
    connect_timeout: Duration,
}

/// The driver's pools.
pub(super) enum Pools {
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A server's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As the server states it.
    pub text: String,
    /// Major, minor, patch; a PostgreSQL patch is 0.
    pub numbers: (u32, u32, u32),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("engine", &self.0.engine)
            .field("version", &self.0.version.text)
            .finish_non_exhaustive()
    }
}

/// As many statements as a run has distinct texts, with room: a text that falls out of the cache
/// costs 44 ms (transact-rs/sqlx#4335).
const MYSQL_STATEMENTS: usize = 512;

impl Database {
    /// Connects once, finds out which server answers, refuses what is unknown or too old, and keeps
    /// a pool.
    pub async fn connect(settings: &ConnectSettings) -> Result<Self, Fault> {
        let limit = settings.connect_timeout;
        let pools = match settings.engine {
            DeclaredEngine::PostgreSql => {
                let options = postgres_options(settings)?;
                Pools::Postgres(pool_of_postgres(settings).connect_lazy_with(options))
            }
            DeclaredEngine::MySql => {
                let options = mysql_options(settings)?;
                Pools::MySql(pool_of_mysql(settings).connect_lazy_with(options))
            }
        };
        let at_hand = AtHand::default();
        let (engine, version) = within(limit, async {
            let mut link = pools.first().await?;
            let found = match &mut link {
                Link::Postgres(first) => (Engine::Postgres, postgres::version(first).await?),
                Link::MySql(first) => mysql::version(first).await?,
            };
            at_hand.put(Lent::now(link));
            Ok(found)
        })
        .await?;
        refuse_too_old(engine, &version)?;
        let slots = usize::try_from(settings.max_connections).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self(Arc::new(Inner {
            pools,
            at_hand,
            cancelling: Mutex::new(()),
            slots: Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))),
            engine,
            version,
            reading: settings.reading,
            connect_timeout: limit,
        })))
    }

    /// The engine that was found.
    pub fn engine(&self) -> Engine {
        self.0.engine
    }

    /// The version that was found when connecting first.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// Closes all connections and waits for it. Transactions under way keep theirs until they end.
    pub async fn close(&self) {
        self.0.at_hand.close();
        match &self.0.pools {
            Pools::Postgres(pool) => pool.close().await,
            Pools::MySql(pool) => pool.close().await,
        }
    }

    /// Whether nobody else holds it.
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Closes the connections, where all lie idle or will in a moment; one that was in use when it was asked follows within
    /// seconds. Each holds all authorities of the system anew,
    /// 130 kB where these are 150.
    pub async fn rest(&self) {
        self.0.at_hand.clear();
        let limit = self.0.connect_timeout;
        match &self.0.pools {
            Pools::Postgres(pool) => rest(pool, limit).await,
            Pools::MySql(pool) => rest(pool, limit).await,
        }
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.0.pools
    }

    pub(super) fn at_hand(&self) -> &AtHand {
        &self.0.at_hand
    }

    /// Waits until no other cancellation is being sent.
    pub(super) async fn cancelling(&self) -> MutexGuard<'_, ()> {
        self.0.cancelling.lock().await
    }

    /// A connection of the pool.
    pub(super) async fn acquire(&self) -> Result<Link, Fault> {
        Ok(match self.pools() {
            Pools::Postgres(pool) => Link::Postgres(self.acquired(pool.acquire().await).await?),
            Pools::MySql(pool) => Link::MySql(self.acquired(pool.acquire().await).await?),
        })
    }

    /// Waits for a connection of the pool to be free.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let slot = self.0.slots.clone().acquire_owned().await;
        slot.map_err(|_| Fault::own(FaultClass::Lost, "the connections were closed"))
    }

    pub(super) fn reading(&self) -> Timeouts {
        self.0.reading
    }

    /// Bounds work that goes over a fresh connection.
    pub(super) async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        within(self.0.connect_timeout, work).await
    }

    /// Explains a pool that gave no connection: the pool retries a refused connection until its
    /// time is up and then says only that.
    #[expect(
        clippy::disallowed_types,
        reason = "hands the driver's error to the one conversion"
    )]
    async fn acquired<C>(&self, acquired: Result<C, sqlx::Error>) -> Result<C, Fault> {
        let error = match acquired {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if matches!(error, sqlx::Error::PoolTimedOut) {
            self.limited(self.pools().try_apart()).await?;
        }
        Err(Fault::while_connecting(error))
    }
}

impl Pools {
    /// The first connection. Where there is none at once, one beside the pool says why: the pool would go on trying.
    async fn first(&self) -> Result<Link, Fault> {
        let first = async {
            Ok(match self {
                Self::Postgres(pool) => {
                    Link::Postgres(pool.acquire().await.map_err(Fault::while_connecting)?)
                }
                Self::MySql(pool) => {
                    Link::MySql(pool.acquire().await.map_err(Fault::while_connecting)?)
                }
            })
        };
        let mut first = std::pin::pin!(first);
        let why = async {
            tokio::time::sleep(PROMPT).await;
            self.try_apart().await
        };
        tokio::select! {
            first = &mut first => return first,
            why = why => why?,
        }
        first.await
    }

    /// Connects once beside the pool.
    async fn try_apart(&self) -> Result<(), Fault> {
        match self {
            Self::Postgres(pool) => {
                let apart = pool.connect_options().connect().await;
                let apart = apart.map_err(Fault::while_connecting)?;
                let _closed_anyway = apart.close().await;
            }
            Self::MySql(pool) => {
                let apart = pool.connect_options().connect().await;
                let apart = apart.map_err(Fault::while_connecting)?;
                let _closed_anyway = apart.close().await;
            }
        }
        Ok(())
    }
}

async fn rest<D: sqlx::Database>(pool: &sqlx::Pool<D>, limit: Duration) {
    let returned = async {
        // The pool takes back in a task of its own what nobody uses any more.
        while usize::try_from(pool.size()).is_ok_and(|size| pool.num_idle() < size) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(RETURN, returned).await.is_err() {
        // Of a run, which would only connect again.
        return;
    }
    for _ in 0..pool.size() {
        let Some(connection) = pool.try_acquire() else {
            return;
        };
        // What its end says does not matter: nothing is under way on it.
        let _ended = tokio::time::timeout(limit, connection.close()).await;
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::own(
            FaultClass::Unreachable,
            "no answer in time: check host, port and network policy",
        )),
    }
}

/// PostgreSQL 13 is the oldest with `gen_random_uuid()` and `pg_stat_get_xact` counts as the
/// statements use them; MariaDB 10.6 and MySQL 8.0.1 brought SKIP LOCKED, MySQL 8.0.16 enforced
/// CHECK constraints and roles that can be listed.
fn refuse_too_old(engine: Engine, version: &Version) -> Result<(), Fault> {
    let (least, hint) = match engine {
        Engine::Postgres => ((13, 0, 0), "PostgreSQL 13 is the oldest supported version"),
        Engine::MariaDb => ((10, 6, 0), "MariaDB 10.6 is the oldest supported version"),
        Engine::MySql => ((8, 0, 16), "MySQL 8.0.16 is the oldest supported version"),
    };
    if version.numbers < least {
        return Err(Fault::own(FaultClass::TooOld, hint));
    }
    Ok(())
}

fn postgres_options(settings: &ConnectSettings) -> Result<PgConnectOptions, Fault> {
    let options = PgConnectOptions::new_without_pgpass();
    // The driver has read these from the environment and offers no way to unset them.
    if options.get_options().is_some_and(|set| !set.is_empty()) {
        return Err(Fault::own(
            FaultClass::UnsafeSetting,
            "the environment variable PGOPTIONS would change the session: remove it from the operator",
        ));
    }
    let secured = settings.tls != Tls::Disable;
    if secured
        && ["PGSSLCERT", "PGSSLKEY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some())
    {
        return Err(Fault::own(
            FaultClass::UnsafeSetting,
            "the environment variables PGSSLCERT and PGSSLKEY would change the connection: remove them from the operator",
        ));
    }
    let mode = match settings.tls {
        Tls::VerifyFull => PgSslMode::VerifyFull,
        Tls::VerifyCa => PgSslMode::VerifyCa,
        Tls::Disable => PgSslMode::Disable,
    };
    // Always set: otherwise the driver would read PGSSLROOTCERT.
    let options = match authorities(settings.tls, settings.ca.as_deref())? {
        Authorities::Pem(pem) => options.ssl_root_cert_from_pem(pem),
        Authorities::File(path) => options.ssl_root_cert(path),
    };
    Ok(options
        .host(&settings.host)
        .port(settings.port)
        .database(&settings.database)
        .username(&settings.username)
        .password(settings.password.expose_secret())
        .ssl_mode(mode)
        .application_name("oubliette")
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging())
}

fn mysql_options(settings: &ConnectSettings) -> Result<MySqlConnectOptions, Fault> {
    let mode = match settings.tls {
        Tls::VerifyFull => MySqlSslMode::VerifyIdentity,
        Tls::VerifyCa => MySqlSslMode::VerifyCa,
        Tls::Disable => MySqlSslMode::Disabled,
    };
    let options = MySqlConnectOptions::new();
    let options = match authorities(settings.tls, settings.ca.as_deref())? {
        Authorities::Pem(pem) => options.ssl_ca_from_pem(pem),
        Authorities::File(path) => options.ssl_ca(path),
    };
    Ok(options
        .host(&settings.host)
        .port(settings.port)
        .database(&settings.database)
        .username(&settings.username)
        .password(settings.password.expose_secret())
        .ssl_mode(mode)
        .statement_cache_capacity(MYSQL_STATEMENTS)
        .enable_cleartext_plugin(false)
        // The session's settings are ours alone, see `mysql::begin`.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false)
        .disable_statement_logging())
}

/// After so long without a first connection it is asked why.
const PROMPT: Duration = Duration::from_secs(1);

/// How long is waited for connections on their way back to the pool, which asks the server whether each still
/// answers.
const RETURN: Duration = Duration::from_millis(100);

/// One that lies idle for so long is closed. Shorter than `IDLE_LIMIT`, after which MySQL and MariaDB end it.
const IDLE: Duration = Duration::from_secs(5);

fn pool_of_postgres(settings: &ConnectSettings) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .min_connections(0)
        .acquire_timeout(settings.connect_timeout)
        .acquire_slow_level(log::LevelFilter::Off)
        .idle_timeout(Some(IDLE))
        .max_lifetime(Some(Duration::from_mins(30)))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED || connection.ping().await.is_ok()) })
        })
}

fn pool_of_mysql(settings: &ConnectSettings) -> MySqlPoolOptions {
    MySqlPoolOptions::new()
        .max_connections(settings.max_connections)
        .min_connections(0)
        .acquire_timeout(settings.connect_timeout)
        .acquire_slow_level(log::LevelFilter::Off)
        .idle_timeout(Some(IDLE))
        .max_lifetime(Some(Duration::from_mins(30)))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED || connection.ping().await.is_ok()) })
        })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn settings(tls: Tls) -> ConnectSettings {
        ConnectSettings {
            engine: DeclaredEngine::PostgreSql,
            host: "db.example".to_owned(),
            port: 5433,
            database: "crm".to_owned(),
            username: "oubliette".to_owned(),
            password: SecretString::from("planted"),
            tls,
            ca: None,
            reading: Timeouts {
                lock: Duration::from_secs(1),
                statement: Duration::from_secs(1),
            },
            connect_timeout: Duration::from_secs(1),
            max_connections: 1,
        }
    }

    /// Runs one of the tests below in a process with these variables.
    fn child(test: &str, variables: &[(&str, &str)]) {
        let name = format!("database::connect::tests::{test}");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", &name])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }

    #[test]
    fn pg_variables_change_nothing() {
        child(
            "options_are_ours",
            &[
                ("PGHOST", "/tmp"),
                ("PGHOSTADDR", "192.0.2.1"),
                ("PGPORT", "1"),
                ("PGUSER", "intruder"),
                ("PGPASSWORD", "intruder"),
                ("PGDATABASE", "elsewhere"),
                ("PGSSLMODE", "disable"),
                ("PGSSLROOTCERT", "/nowhere"),
                ("PGAPPNAME", "intruder"),
                ("PGPASSFILE", "/nowhere"),
            ],
        );
    }

    #[test]
    fn pg_variables_that_cannot_be_unset_are_refused() {
        child(
            "options_are_refused",
            &[("PGOPTIONS", "-c row_security=on")],
        );
        child("options_are_refused", &[("PGSSLCERT", "/nowhere")]);
        child("options_are_refused", &[("PGSSLKEY", "/nowhere")]);
    }

    #[test]
    #[ignore = "run by pg_variables_change_nothing"]
    fn options_are_ours() {
        let options = postgres_options(&settings(Tls::VerifyFull)).unwrap();
        assert_eq!(options.get_host(), "db.example");
        assert_eq!(options.get_port(), 5433);
        assert_eq!(options.get_username(), "oubliette");
        assert_eq!(options.get_database(), Some("crm"));
        assert_eq!(options.get_application_name(), Some("oubliette"));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        assert!(options.get_socket().is_none());
        assert!(options.get_options().is_none());
        // Only its Debug shows the rest; the program never prints it.
        let all = format!("{options:?}");
        for intruder in ["intruder", "nowhere", "elsewhere", "192.0.2.1"] {
            assert!(!all.contains(intruder), "{intruder}");
        }
    }

    #[test]
    #[ignore = "run by pg_variables_that_cannot_be_unset_are_refused"]
    fn options_are_refused() {
        let Err(fault) = postgres_options(&settings(Tls::VerifyFull)) else {
            panic!("the variables were accepted");
        };
        assert_eq!(fault.class, FaultClass::UnsafeSetting);
    }

    #[test]
    fn settings_show_no_password() {
        assert!(!format!("{:?}", settings(Tls::Disable)).contains("planted"));
    }

    #[test]
    fn versions_below_the_minimum_are_refused() {
        let version = |numbers| Version {
            text: String::new(),
            numbers,
        };
        for (engine, numbers, fit) in [
            (Engine::Postgres, (12, 22, 0), false),
            (Engine::Postgres, (13, 0, 0), true),
            (Engine::MySql, (8, 0, 15), false),
            (Engine::MySql, (8, 0, 16), true),
            (Engine::MariaDb, (10, 5, 29), false),
            (Engine::MariaDb, (10, 6, 0), true),
        ] {
            let fault = refuse_too_old(engine, &version(numbers));
            assert_eq!(fault.is_ok(), fit, "{engine:?} {numbers:?}");
        }
    }
}
