//! The database layer (`src/database`) on real servers.

mod catalog;
mod connect;
mod session;
mod settings;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use oubliette::database::{
    Access, ConnectSettings, Database, DeclaredEngine, Fault, FaultClass, Timeouts, Tls,
};
use oubliette_core::api::reason::Reason;
use oubliette_core::sql::Bound;
use secrecy::SecretString;

use crate::case::{Case, Server};
use crate::sql;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// A case's name and what it does on a server.
type Named = (&'static str, fn(&World, Server) -> Result<()>);

/// The cases of this folder.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = connect::cases();
    cases.extend(session::cases());
    cases.extend(settings::cases());
    cases.extend(catalog::cases());
    cases
}

fn named(file: &str, cases: &[Named], servers: &[Server]) -> Vec<Case> {
    cases
        .iter()
        .flat_map(|(name, body)| Case::on_each(&format!("database/{file}::{name}"), servers, *body))
        .collect()
}

const POSTGRES: [Server; 2] = [Server::Postgres15, Server::Postgres18];
const INNODB: [Server; 2] = [Server::MySql, Server::MariaDb];

/// Limits that no test runs into unless it means to.
const PATIENT: Timeouts = Timeouts {
    lock: Duration::from_mins(1),
    statement: Duration::from_mins(1),
};

/// A change with a short wait for locks.
const HURRIED: Access = Access::Change(Timeouts {
    lock: Duration::from_millis(200),
    statement: Duration::from_mins(1),
});

/// The administrator's way into a case's database.
fn login(database: &sql::Database) -> Result<ConnectSettings> {
    let endpoint = &database.endpoint;
    Ok(ConnectSettings {
        engine: if database.server.is_postgres() {
            DeclaredEngine::PostgreSql
        } else {
            DeclaredEngine::MySql
        },
        host: endpoint.host.clone(),
        port: endpoint.port,
        database: database.name.clone(),
        username: endpoint.user.clone(),
        password: SecretString::from(endpoint.password.clone()),
        tls: Tls::VerifyFull,
        ca: Some(std::fs::read(&endpoint.ca).context("the bed's authority cannot be read")?),
        reading: PATIENT,
        connect_timeout: Duration::from_secs(30),
        max_connections: 4,
    })
}

/// What stands where, per engine: `$1` becomes `?`, `${s}` the schema.
fn text(server: Server, postgres: &'static str, mysql: &'static str) -> &'static str {
    if server.is_postgres() {
        postgres
    } else {
        mysql
    }
}

fn plain(text: &'static str) -> Bound {
    Bound::fixed(text, Vec::new())
}

/// A database with two rows in a table `t`, and a connection to it.
fn with_rows(
    world: &World,
    server: Server,
    change: impl FnOnce(&mut ConnectSettings),
) -> Result<(sql::Database, Database)> {
    let own = world.database(server, "database")?;
    world.block_on(own.admin.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(40) UNIQUE); \
         INSERT INTO t VALUES (1, 'one'), (2, 'two')",
    ))?;
    let mut settings = login(&own)?;
    change(&mut settings);
    let database = world.block_on(Database::connect(&settings))?;
    Ok((own, database))
}

fn delete(server: Server) -> Bound {
    plain(text(
        server,
        "DELETE FROM public.t WHERE id = 1",
        "DELETE FROM t WHERE id = 1",
    ))
}

fn fault<T>(answer: Result<T, Fault>) -> Result<Fault> {
    match answer {
        Ok(_) => Err(anyhow!("expected a fault")),
        Err(fault) => Ok(fault),
    }
}

fn expect(answer: Result<Database, Fault>, class: FaultClass, reason: Reason) -> Result<Fault> {
    let fault = fault(answer)?;
    ensure!(fault.class == class, "{fault:?} instead of {class:?}");
    ensure!(
        fault.reason() == reason,
        "{fault:?} gives {:?}",
        fault.reason()
    );
    Ok(fault)
}

fn fault_class<T>(answer: Result<T, Fault>) -> Result<FaultClass> {
    Ok(fault(answer)?.class)
}

/// Waits until a session of this database waits for a lock.
async fn wait_until_blocked(own: &sql::Database) -> Result<()> {
    let text = match own.server {
        Server::Postgres15 | Server::Postgres18 => format!(
            "SELECT count(*)::text FROM pg_stat_activity \
             WHERE datname = '{}' AND wait_event_type = 'Lock'",
            own.name
        ),
        Server::MySql | Server::MariaDb => format!(
            "SELECT CAST(count(*) AS CHAR) FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = '{}' AND t.trx_state = 'LOCK WAIT'",
            own.name
        ),
    };
    until(own, "a session waits for a lock", &text, |n| n > 0).await
}

/// Polls a number without blocking the runtime that the waiting session runs on.
async fn until(
    own: &sql::Database,
    what: &str,
    text: &str,
    enough: impl Fn(i64) -> bool,
) -> Result<()> {
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        wait_for(what, PATIENCE, || {
            let n = handle.block_on(own.admin.number(text))?;
            Ok(if enough(n) {
                Ok(())
            } else {
                Err(n.to_string())
            })
        })
    })
}

/// A user of the case's own, in the case's own database, with these rights (`${user}`, `${schema}`).
async fn as_user(own: &sql::Database, rights: &[&str]) -> Result<Database> {
    let login = user_login(own)?;
    let user = &login.username;
    own.create_user(user, USERS_PASSWORD).await?;
    let quoted = if own.server.is_postgres() {
        user.clone()
    } else {
        format!("'{user}'@'%'")
    };
    for right in rights {
        let right = own.fill(&right.replace("${user}", &quoted));
        own.admin.execute(&right).await?;
    }
    Ok(Database::connect(&login).await?)
}

const USERS_PASSWORD: &str = "secret-of-the-user";

/// How that user connects.
fn user_login(own: &sql::Database) -> Result<ConnectSettings> {
    Ok(ConnectSettings {
        username: format!("u_{}", own.name.split('_').next().unwrap_or("t")),
        password: SecretString::from(USERS_PASSWORD),
        ..login(own)?
    })
}
