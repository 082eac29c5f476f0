//! A case's own database: created empty, spoken to in plain text, so that a scenario's expected
//! rows read the same on every engine. This is the tests' way in; the program's is `src/database`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Column, Decode, Executor, MySqlPool, PgPool, Row, ValueRef};

use crate::case::Server;
use crate::servers::Endpoint;

/// One row, every value as the server writes it; `None` is NULL.
pub(crate) type TextRow = Vec<Option<String>>;

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// The next number: names of databases, users and namespaces are unique by it.
pub(crate) fn next_number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A short, portable name out of a case's name.
pub(crate) fn slug(name: &str) -> String {
    let mut text: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    text.truncate(30);
    text.trim_matches('-').to_owned()
}

#[derive(Clone)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A connection pool with a server's administrator or another user.
#[derive(Clone)]
pub(crate) struct Link {
    pool: Pool,
}

/// Statements of tests are their own; the program's come from `oubliette_core::sql`.
fn raw(sql: &str) -> sqlx::RawSql {
    let safe = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(safe)
}

impl Link {
    /// A lazily connected pool.
    pub(crate) fn open(
        endpoint: &Endpoint,
        server: Server,
        database: &str,
        user: &str,
        password: &str,
    ) -> Self {
        let wait = Duration::from_secs(30);
        let pool = if server.is_postgres() {
            let options = PgConnectOptions::new_without_pgpass()
                .host(&endpoint.host)
                .port(endpoint.port)
                .username(user)
                .password(password)
                .database(database)
                .ssl_mode(PgSslMode::Require);
            Pool::Postgres(
                PgPoolOptions::new()
                    .max_connections(4)
                    .min_connections(0)
                    .acquire_timeout(wait)
                    .idle_timeout(Duration::from_secs(5))
                    .connect_lazy_with(options),
            )
        } else {
            let mut options = MySqlConnectOptions::new()
                .host(&endpoint.host)
                .port(endpoint.port)
                .username(user)
                .password(password)
                .timezone(Some("+00:00".to_owned()))
                .ssl_mode(MySqlSslMode::Required);
            if !database.is_empty() {
                options = options.database(database);
            }
            Pool::MySql(
                MySqlPoolOptions::new()
                    .max_connections(4)
                    .min_connections(0)
                    .acquire_timeout(wait)
                    .idle_timeout(Duration::from_secs(5))
                    .connect_lazy_with(options),
            )
        };
        Self { pool }
    }

    /// Runs statements, separated by semicolons.
    pub(crate) async fn execute(&self, sql: &str) -> Result<u64> {
        let done = match &self.pool {
            Pool::Postgres(pool) => pool.execute(raw(sql)).await.map(|d| d.rows_affected()),
            Pool::MySql(pool) => pool.execute(raw(sql)).await.map(|d| d.rows_affected()),
        };
        done.with_context(|| format!("failed to execute {}", abridged(sql)))
    }

    /// The rows of one query, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<TextRow>> {
        let context = || format!("failed to query {}", abridged(sql));
        match &self.pool {
            Pool::Postgres(pool) => {
                let rows = pool.fetch_all(raw(sql)).await.with_context(context)?;
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| postgres_text(row, i)).collect())
                    .collect()
            }
            Pool::MySql(pool) => {
                let rows = pool.fetch_all(raw(sql)).await.with_context(context)?;
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| mysql_text(row, i)).collect())
                    .collect()
            }
        }
    }

    /// The only value of a query that gives one.
    pub(crate) async fn value(&self, sql: &str) -> Result<Option<String>> {
        let mut rows = self.rows(sql).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(mut row), true) if row.len() == 1 => Ok(row.remove(0)),
            _ => bail!("expected one value from {}", abridged(sql)),
        }
    }

    /// The only number of a query that gives one.
    pub(crate) async fn number(&self, sql: &str) -> Result<i64> {
        let text = self.value(sql).await?;
        text.as_deref()
            .and_then(|t| t.parse().ok())
            .ok_or_else(|| anyhow!("expected a number from {}, got {text:?}", abridged(sql)))
    }

    /// One connection of its own, for a transaction that is held open.
    pub(crate) async fn session(&self) -> Result<Session> {
        Ok(match &self.pool {
            Pool::Postgres(pool) => Session::Postgres(pool.acquire().await?.detach()),
            Pool::MySql(pool) => Session::MySql(pool.acquire().await?.detach()),
        })
    }

    /// Closes its connections.
    pub(crate) async fn close(&self) {
        match &self.pool {
            Pool::Postgres(pool) => pool.close().await,
            Pool::MySql(pool) => pool.close().await,
        }
    }
}

/// One connection.
pub(crate) enum Session {
    Postgres(sqlx::PgConnection),
    MySql(sqlx::MySqlConnection),
}

impl Session {
    /// Runs statements, separated by semicolons.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<u64> {
        let done = match self {
            Self::Postgres(session) => session.execute(raw(sql)).await.map(|d| d.rows_affected()),
            Self::MySql(session) => session.execute(raw(sql)).await.map(|d| d.rows_affected()),
        };
        done.with_context(|| format!("failed to execute {}", abridged(sql)))
    }
}

fn postgres_text(row: &sqlx::postgres::PgRow, i: usize) -> Result<Option<String>> {
    let value = row.try_get_raw(i)?;
    if value.is_null() {
        return Ok(None);
    }
    <String as Decode<sqlx::Postgres>>::decode(value)
        .map(Some)
        .map_err(|e| anyhow!("column {} is not text: {e}", row.column(i).name()))
}

fn mysql_text(row: &sqlx::mysql::MySqlRow, i: usize) -> Result<Option<String>> {
    let value = row.try_get_raw(i)?;
    if value.is_null() {
        return Ok(None);
    }
    <String as Decode<sqlx::MySql>>::decode(value)
        .map(Some)
        .map_err(|e| anyhow!("column {} is not text: {e}", row.column(i).name()))
}

fn abridged(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

/// A case's own database on one server.
pub(crate) struct Database {
    /// Where it is.
    pub(crate) server: Server,
    /// How to reach the server.
    pub(crate) endpoint: Endpoint,
    /// Its name.
    pub(crate) name: String,
    /// The administrator, connected to it.
    pub(crate) admin: Link,
}

impl Database {
    /// Creates an empty one.
    pub(crate) async fn create(endpoint: &Endpoint, server: Server, case: &str) -> Result<Self> {
        let name = format!("t{}_{}", next_number(), slug(case).replace('-', "_"));
        let default = if server.is_postgres() { "postgres" } else { "" };
        let root = Link::open(
            endpoint,
            server,
            default,
            &endpoint.user,
            &endpoint.password,
        );
        // Not left to the server: a configuration may say latin1.
        let charset = if server.is_postgres() {
            ""
        } else {
            " CHARACTER SET utf8mb4"
        };
        root.execute(&format!("CREATE DATABASE {name}{charset}"))
            .await?;
        root.close().await;
        let admin = Link::open(endpoint, server, &name, &endpoint.user, &endpoint.password);
        Ok(Self {
            server,
            endpoint: endpoint.clone(),
            name,
            admin,
        })
    }

    /// Where it is and who comes, as `--database-url` takes it; the certificate is verified.
    pub(crate) fn url(&self, user: &str) -> String {
        let Endpoint { host, port, ca, .. } = &self.endpoint;
        let (scheme, parameter) = if self.server.is_postgres() {
            ("postgres", "sslrootcert")
        } else {
            ("mysql", "ssl-ca")
        };
        let (name, ca) = (&self.name, ca.display());
        format!("{scheme}://{user}@{host}:{port}/{name}?{parameter}={ca}")
    }

    /// What qualifies a table's name in a policy: `public`, or the database's own name.
    pub(crate) fn schema(&self) -> &str {
        if self.server.is_postgres() {
            "public"
        } else {
            &self.name
        }
    }

    /// Where its rows are sealed.
    pub(crate) fn sealed(&self) -> String {
        if self.server.is_postgres() {
            "sealed".to_owned()
        } else {
            format!("{}_sealed", self.name)
        }
    }

    /// Fills in what differs between engines in a scenario's text: `${schema}`, `${sealed}`, `${instant}` (a type with a zone), `${civil}` (one without), `${uuid}`.
    pub(crate) fn fill(&self, text: &str) -> String {
        let (instant, civil, uuid) = match self.server {
            Server::Postgres15 | Server::Postgres18 => {
                ("timestamp with time zone", "timestamp", "uuid")
            }
            Server::MySql => ("timestamp", "datetime", "char(36)"),
            Server::MariaDb => ("timestamp", "datetime", "uuid"),
        };
        let (sealed_at, sealed_by) = if self.server.is_postgres() {
            ("timestamp with time zone", "text")
        } else {
            ("datetime(6)", "varchar(400)")
        };
        text.replace("${schema}", self.schema())
            .replace("${sealed}", &self.sealed())
            .replace("${sealed_at}", sealed_at)
            .replace("${sealed_by}", sealed_by)
            .replace("${database}", &self.name)
            .replace("${instant}", instant)
            .replace("${civil}", civil)
            .replace("${uuid}", uuid)
    }

    /// A user without any privilege but to connect, named after the database.
    pub(crate) async fn create_user(&self, user: &str, password: &str) -> Result<()> {
        let sql = if self.server.is_postgres() {
            format!(
                "CREATE ROLE {user} LOGIN PASSWORD '{password}' NOSUPERUSER NOBYPASSRLS; \
                 GRANT CONNECT ON DATABASE {} TO {user}",
                self.name
            )
        } else {
            format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'")
        };
        self.admin.execute(&sql).await.map(|_| ())
    }
}
