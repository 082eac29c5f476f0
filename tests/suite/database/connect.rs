//! Making a connection: what is recognised, what is refused and how that is told apart.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use oubliette::database::{Access, ConnectSettings, Database, DeclaredEngine, FaultClass, Tls};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::sql::Bound;
use secrecy::SecretString;

use super::{USERS_PASSWORD, expect, fault, login, named, user_login, with_rows};
use crate::case::{Case, Server};
use crate::proxy::Proxy;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = named(
        "connect",
        &[
            (
                "the_server_behind_a_verified_connection_is_recognised",
                the_server_behind_a_verified_connection_is_recognised,
            ),
            (
                "an_unverifiable_server_is_refused",
                an_unverifiable_server_is_refused,
            ),
            (
                "wrong_logins_and_addresses_are_told_apart",
                wrong_logins_and_addresses_are_told_apart,
            ),
            (
                "whoever_finds_no_free_connection_waits",
                whoever_finds_no_free_connection_waits,
            ),
            (
                "connections_at_rest_are_closed",
                connections_at_rest_are_closed,
            ),
        ],
        &Server::ALL,
    );
    cases.extend(named(
        "connect",
        &[("stripped_tls_is_refused", stripped_tls_is_refused)],
        &Server::ALL,
    ));
    cases.extend(named(
        "connect",
        &[(
            "a_password_that_needs_tls_says_so",
            a_password_that_needs_tls_says_so,
        )],
        &[Server::MySql],
    ));
    cases
}

fn the_server_behind_a_verified_connection_is_recognised(
    world: &World,
    server: Server,
) -> Result<()> {
    let own = world.database(server, "probe")?;
    world.block_on(async {
        let database = Database::connect(&login(&own)?).await?;
        let before = Timestamp::now();
        let facts = database.probe().await?;
        let after = Timestamp::now();
        let engine = match server {
            Server::Postgres15 | Server::Postgres18 => Engine::Postgres,
            Server::MySql => Engine::MySql,
            Server::MariaDb => Engine::MariaDb,
        };
        ensure!(facts.engine == engine && database.engine() == engine);
        ensure!(!facts.version.is_empty() && facts.read_only.is_none());
        // One machine, one clock.
        let second = jiff::SignedDuration::from_secs(1);
        ensure!(facts.clock > before - second && facts.clock < after + second);

        let mut other = login(&own)?;
        other.engine = match other.engine {
            DeclaredEngine::PostgreSql => DeclaredEngine::MySql,
            DeclaredEngine::MySql => DeclaredEngine::PostgreSql,
        };
        other.connect_timeout = Duration::from_secs(8);
        // A MySQL client waits for the server to speak first, and so does PostgreSQL.
        let fault = fault(Database::connect(&other).await)?;
        let expected = if server.is_postgres() {
            FaultClass::Unreachable
        } else {
            FaultClass::WrongEngine
        };
        ensure!(fault.class == expected, "{fault:?}");
        Ok(())
    })
}

fn an_unverifiable_server_is_refused(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "tls")?;
    let good = login(&own)?;
    let stranger = bed::Authority::new()?.pem().into_bytes();
    let refused = |settings: ConnectSettings| async move {
        expect(
            Database::connect(&settings).await,
            FaultClass::Certificate,
            Reason::CertificateInvalid,
        )
    };
    world.block_on(async {
        for tls in [Tls::VerifyFull, Tls::VerifyCa] {
            let fault = refused(ConnectSettings {
                ca: Some(stranger.clone()),
                tls,
                ..good.clone()
            })
            .await?;
            ensure!(fault.to_string().contains("tls.ca"), "{fault}");
            // A file without a certificate must not mean "no further authorities".
            refused(ConnectSettings {
                ca: Some(b"no certificate".to_vec()),
                tls,
                ..good.clone()
            })
            .await?;
        }
        refused(ConnectSettings {
            ca: None,
            ..good.clone()
        })
        .await?;
        // Without an authority of its own every public certificate would do.
        refused(ConnectSettings {
            ca: None,
            tls: Tls::VerifyCa,
            ..good.clone()
        })
        .await?;
        // Another name of the same machine, which the certificate does not carry.
        let misnamed = ConnectSettings {
            host: "0.0.0.0".to_owned(),
            ..good.clone()
        };
        let fault = refused(misnamed.clone()).await?;
        ensure!(fault.to_string().contains("host name"), "{fault}");
        Database::connect(&ConnectSettings {
            tls: Tls::VerifyCa,
            ..misnamed
        })
        .await?;
        Ok(())
    })
}

fn wrong_logins_and_addresses_are_told_apart(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "login")?;
    let good = login(&own)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    world.block_on(async {
        let planted = "planted-password-in-fault";
        let wrong = ConnectSettings {
            password: SecretString::from(planted),
            ..good.clone()
        };
        ensure!(!format!("{wrong:?}").contains(planted));
        let fault = expect(
            Database::connect(&wrong).await,
            FaultClass::Authentication,
            Reason::AuthenticationFailed,
        )?;
        ensure!(!format!("{fault} {fault:?}").contains(planted));
        expect(
            Database::connect(&ConnectSettings {
                port,
                ..good.clone()
            })
            .await,
            FaultClass::Unreachable,
            Reason::Unreachable,
        )?;
        expect(
            Database::connect(&ConnectSettings {
                host: "nowhere.invalid".to_owned(),
                ..good.clone()
            })
            .await,
            FaultClass::Unreachable,
            Reason::Unreachable,
        )?;
        let absent = ConnectSettings {
            database: "no_such_database".to_owned(),
            ..good.clone()
        };
        expect(
            Database::connect(&absent).await,
            FaultClass::NoDatabase,
            Reason::NoSuchDatabase,
        )?;
        Ok(())
    })
}

/// Policies of one database share its connections: it is no fault that all are in use.
fn whoever_finds_no_free_connection_waits(world: &World, server: Server) -> Result<()> {
    let limit = Duration::from_secs(8);
    let (_own, database) = with_rows(world, server, |settings| {
        settings.max_connections = 1;
        settings.connect_timeout = limit;
    })?;
    world.block_on(async {
        let only = database.begin(Access::ReadOnly).await?;
        let mut next = Box::pin(database.begin(Access::ReadOnly));
        // Longer than the pool itself would wait.
        let early = tokio::time::timeout(limit + Duration::from_secs(2), &mut next).await;
        ensure!(early.is_err(), "{:?}", early.map(|begun| begun.map(drop)));
        only.rollback().await;
        next.await?.rollback().await;
        Ok(())
    })
}

/// One that lay in the pool for a moment would be used again; one of a run, which reads on, stays.
fn connections_at_rest_are_closed(world: &World, server: Server) -> Result<()> {
    let (_own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    let asked = if server.is_postgres() {
        "SELECT pg_backend_pid()::bigint"
    } else {
        "SELECT CAST(connection_id() AS SIGNED)"
    };
    let asked = || Bound::fixed(asked, Vec::new());
    let first = world.block_on(async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let first = tx.rows(&asked()).await?;
        database.rest().await;
        let next = tx.rows(&asked()).await?;
        tx.rollback().await;
        ensure!(first == next, "of a run: {first:?}, then {next:?}");
        Ok::<_, anyhow::Error>(first)
    })?;
    wait_for("another connection", PATIENCE, || {
        world.block_on(async {
            database.rest().await;
            let mut tx = database.begin(Access::ReadOnly).await?;
            let next = tx.rows(&asked()).await?;
            tx.rollback().await;
            Ok(if next == first {
                Err(format!("{next:?}"))
            } else {
                Ok(())
            })
        })
    })
}

/// Somebody between us and the server says that it has no TLS.
fn stripped_tls_is_refused(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "stripped")?;
    world.block_on(async {
        let direct = login(&own)?;
        let proxy = Proxy::stripping_tls(direct.port, server.is_postgres()).await?;
        let through = ConnectSettings {
            host: "127.0.0.1".to_owned(),
            port: proxy.port(),
            ..direct
        };
        for tls in [Tls::VerifyFull, Tls::VerifyCa] {
            let settings = ConnectSettings {
                tls,
                ..through.clone()
            };
            let fault = expect(
                Database::connect(&settings).await,
                FaultClass::Certificate,
                Reason::CertificateInvalid,
            )?;
            ensure!(fault.to_string().contains("does not offer TLS"), "{fault}");
        }
        Ok(())
    })
}

fn a_password_that_needs_tls_says_so(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "plain")?;
    world.block_on(async {
        // Nobody has logged in with it yet: the server has no fast way to check it.
        let login = user_login(&own)?;
        own.create_user(&login.username, USERS_PASSWORD).await?;
        let fault = expect(
            Database::connect(&ConnectSettings {
                tls: Tls::Disable,
                ..login.clone()
            })
            .await,
            FaultClass::Authentication,
            Reason::AuthenticationFailed,
        )?;
        ensure!(fault.to_string().contains("VerifyFull"), "{fault}");
        Ok(())
    })
}
