//! Connections, transactions and faults of `src/database` on real servers: what is refused, what an
//! error leaves behind, what a lost answer means, and that no value gets into a fault.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::Timestamp;
use oubliette::database::{
    Access, CommitFault, ConnectSettings, Database, DeclaredEngine, Fault, FaultClass, Timeouts,
    Tls, Tx,
};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;
use secrecy::SecretString;

use crate::case::{Case, Server};
use crate::proxy::Proxy;
use crate::sql;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases of this file.
pub(crate) fn cases() -> Vec<Case> {
    let everywhere: [(&str, fn(&World, Server) -> Result<()>); 14] = [
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
            "a_reading_transaction_cannot_change",
            a_reading_transaction_cannot_change,
        ),
        (
            "after_an_error_nothing_but_rollback",
            after_an_error_nothing_but_rollback,
        ),
        (
            "a_lock_that_is_not_granted_ends_the_transaction",
            a_lock_that_is_not_granted_ends_the_transaction,
        ),
        ("a_deadlock_is_recognised", a_deadlock_is_recognised),
        (
            "a_statement_is_cancelled_in_the_server",
            a_statement_is_cancelled_in_the_server,
        ),
        (
            "a_dropped_statement_ends_in_the_server_too",
            a_dropped_statement_ends_in_the_server_too,
        ),
        (
            "a_commit_whose_answer_is_lost_is_unknown",
            a_commit_whose_answer_is_lost_is_unknown,
        ),
        (
            "values_never_get_into_a_fault",
            values_never_get_into_a_fault,
        ),
        ("a_full_pool_says_so", a_full_pool_says_so),
        (
            "settings_hold_whatever_the_server_says",
            settings_hold_whatever_the_server_says,
        ),
        (
            "every_shape_of_value_goes_there_and_back",
            every_shape_of_value_goes_there_and_back,
        ),
    ];
    let postgres: [(&str, fn(&World, Server) -> Result<()>); 3] = [
        (
            "a_deferred_constraint_fails_the_commit",
            a_deferred_constraint_fails_the_commit,
        ),
        (
            "row_security_is_an_error_and_hides_nothing",
            row_security_is_an_error_and_hides_nothing,
        ),
        ("a_replica_role_is_refused", a_replica_role_is_refused),
    ];
    let named = |(name, body): (&str, fn(&World, Server) -> Result<()>), servers: &[Server]| {
        Case::on_each(&format!("session::{name}"), servers, body)
    };
    let everywhere = everywhere
        .into_iter()
        .flat_map(|case| named(case, &Server::ALL));
    let both = [Server::Postgres15, Server::Postgres18];
    let postgres = postgres.into_iter().flat_map(|case| named(case, &both));
    everywhere.chain(postgres).collect()
}

/// Limits that no test runs into unless it means to.
pub(crate) const PATIENT: Timeouts = Timeouts {
    lock: Duration::from_secs(60),
    statement: Duration::from_secs(60),
};

/// A change with a short wait for locks.
const HURRIED: Access = Access::Change(Timeouts {
    lock: Duration::from_millis(200),
    statement: Duration::from_secs(60),
});

/// The administrator's way into a case's database.
pub(crate) fn settings(database: &sql::Database) -> Result<ConnectSettings> {
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
pub(crate) fn text(server: Server, postgres: &'static str, mysql: &'static str) -> &'static str {
    if server.is_postgres() {
        postgres
    } else {
        mysql
    }
}

pub(crate) fn plain(text: &'static str) -> Bound {
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
    let mut settings = settings(&own)?;
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

fn the_server_behind_a_verified_connection_is_recognised(
    world: &World,
    server: Server,
) -> Result<()> {
    let own = world.database(server, "probe")?;
    world.block_on(async {
        let database = Database::connect(&settings(&own)?).await?;
        let before = Timestamp::now();
        let facts = database.probe().await?;
        let after = Timestamp::now();
        let engine = match server {
            Server::Postgres15 | Server::Postgres18 => Engine::Postgres,
            Server::MySql => Engine::MySql,
            Server::MariaDb => Engine::MariaDb,
        };
        ensure!(facts.engine == engine && database.engine() == engine);
        ensure!(!facts.version.is_empty() && !facts.read_only);
        // One machine, one clock.
        let second = jiff::SignedDuration::from_secs(1);
        ensure!(facts.clock > before - second && facts.clock < after + second);

        let mut other = settings(&own)?;
        other.engine = match other.engine {
            DeclaredEngine::PostgreSql => DeclaredEngine::MySql,
            DeclaredEngine::MySql => DeclaredEngine::PostgreSql,
        };
        other.connect_timeout = Duration::from_secs(2);
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
    let good = settings(&own)?;
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
    let good = settings(&own)?;
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
        ensure!(fault_class(Database::connect(&absent).await)? == FaultClass::Missing);
        Ok(())
    })
}

fn fault_class<T>(answer: Result<T, Fault>) -> Result<FaultClass> {
    Ok(fault(answer)?.class)
}

fn a_reading_transaction_cannot_change(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let fault = fault(tx.change(&delete(server)).await)?;
        ensure!(fault.class == FaultClass::ReadOnly, "{fault:?}");
        ensure!(fault.sqlstate.as_deref() == Some("25006"), "{fault:?}");
        tx.rollback().await;
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 2);
        Ok(())
    })
}

/// InnoDB undoes the statement only on many errors: what follows would commit with half the work.
fn after_an_error_nothing_but_rollback(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        let broken = plain(text(
            server,
            "UPDATE public.t SET v = repeat('x', 41)",
            "UPDATE t SET v = repeat('x', 41)",
        ));
        ensure!(fault_class(tx.change(&broken).await)? == FaultClass::Data);
        ensure!(fault_class(tx.change(&delete(server)).await)? == FaultClass::Ended);
        match tx.commit().await {
            Err(CommitFault::RolledBack(fault)) if fault.class == FaultClass::Data => {}
            other => bail!("{other:?}"),
        }
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 2);

        // The one connection is fit for use again.
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        drop(tx);
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(
            tx.change(&delete(server)).await? == 1,
            "the drop rolled back"
        );
        tx.commit().await?;
        ensure!(own.admin.number("SELECT count(*) FROM t").await? == 1);
        Ok(())
    })
}

fn a_lock_that_is_not_granted_ends_the_transaction(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let mut holder = database.begin(Access::Change(PATIENT)).await?;
        ensure!(holder.change(&delete(server)).await? == 1);
        let mut tx = database.begin(HURRIED).await?;
        let other = plain(text(
            server,
            "UPDATE public.t SET v = 'drei' WHERE id = 2",
            "UPDATE t SET v = 'drei' WHERE id = 2",
        ));
        ensure!(tx.change(&other).await? == 1);
        let fault = fault(tx.change(&delete(server)).await)?;
        ensure!(fault.class == FaultClass::Lock, "{fault:?}");
        ensure!(fault.is_retryable() && fault.reason() == Reason::RowsLocked);
        ensure!(fault_class(tx.change(&delete(server)).await)? == FaultClass::Ended);
        tx.rollback().await;
        holder.rollback().await;
        let left = own
            .admin
            .number("SELECT count(*) FROM t WHERE v = 'drei'")
            .await?;
        ensure!(left == 0, "a statement before the failed one was committed");
        Ok(())
    })
}

fn a_deadlock_is_recognised(world: &World, server: Server) -> Result<()> {
    let (_own, database) = with_rows(world, server, |_| {})?;
    let one = text(
        server,
        "UPDATE public.t SET v = v WHERE id = 1",
        "UPDATE t SET v = v WHERE id = 1",
    );
    let two = text(
        server,
        "UPDATE public.t SET v = v WHERE id = 2",
        "UPDATE t SET v = v WHERE id = 2",
    );
    world.block_on(async {
        let mut first = database.begin(Access::Change(PATIENT)).await?;
        let mut second = database.begin(Access::Change(PATIENT)).await?;
        first.change(&plain(one)).await?;
        second.change(&plain(two)).await?;
        // Each waits for the other until the server ends one of them.
        let crossed = async |tx: &mut Tx, text| {
            let answer = tx.change(&plain(text)).await;
            answer.map(|_| ())
        };
        let lost = {
            let a = crossed(&mut first, two);
            let b = crossed(&mut second, one);
            tokio::pin!(a, b);
            tokio::select! {
                answer = &mut a => match answer {
                    Err(fault) => fault,
                    // The other one was the victim.
                    Ok(()) => fault(b.await)?,
                },
                answer = &mut b => match answer {
                    Err(fault) => fault,
                    Ok(()) => fault(a.await)?,
                },
            }
        };
        ensure!(
            lost.class == FaultClass::Deadlock && lost.is_retryable(),
            "{lost:?}"
        );
        Ok(())
    })
}

fn a_statement_is_cancelled_in_the_server(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        // The administrator holds a row; the statement waits for it, as a batch would.
        let holder = Database::connect(&settings(&own)?).await?;
        let mut holding = holder.begin(Access::Change(PATIENT)).await?;
        ensure!(holding.change(&delete(server)).await? == 1);

        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let canceller = tx.canceller();
        let waiting = tokio::spawn(async move {
            let answer = tx.change(&delete(server)).await;
            tx.rollback().await;
            answer
        });
        wait_until_blocked(&own).await?;
        ensure!(canceller.cancel().await?);
        let fault = fault(waiting.await?)?;
        ensure!(fault.class == FaultClass::Cancelled, "{fault:?}");
        ensure!(!canceller.cancel().await?, "it has ended already");

        // A late cancellation cannot hit whoever comes next.
        let mut next = database.begin(Access::Change(PATIENT)).await?;
        ensure!(!canceller.cancel().await?);
        next.rows(&plain(text(
            server,
            "SELECT pg_catalog.now()::text",
            "SELECT 1",
        )))
        .await?;
        next.commit().await?;
        holding.rollback().await;
        Ok(())
    })
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

fn a_dropped_statement_ends_in_the_server_too(world: &World, server: Server) -> Result<()> {
    let (own, database) = with_rows(world, server, |settings| settings.max_connections = 1)?;
    world.block_on(async {
        let holder = Database::connect(&settings(&own)?).await?;
        let mut holding = holder.begin(Access::Change(PATIENT)).await?;
        ensure!(holding.change(&delete(server)).await? == 1);

        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let waiting = tokio::spawn(async move { tx.change(&delete(server)).await });
        wait_until_blocked(&own).await?;
        waiting.abort();
        ensure!(waiting.await.is_err_and(|end| end.is_cancelled()));

        let text = match server {
            Server::Postgres15 | Server::Postgres18 => format!(
                "SELECT count(*)::text FROM pg_stat_activity \
                 WHERE datname = '{}' AND wait_event_type = 'Lock'",
                own.name
            ),
            Server::MySql | Server::MariaDb => format!(
                "SELECT CAST(count(*) AS CHAR) FROM information_schema.processlist \
                 WHERE db = '{}' AND info LIKE 'DELETE%'",
                own.name
            ),
        };
        until(&own, "the server has given up the statement", &text, |n| {
            n == 0
        })
        .await?;
        holding.rollback().await;
        // The pool has a fresh connection, not one in the middle of an answer.
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        tx.commit().await?;
        Ok(())
    })
}

fn a_commit_whose_answer_is_lost_is_unknown(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "lost")?;
    world.block_on(async {
        own.admin
            .execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
            .await?;
        let direct = settings(&own)?;
        let proxy = Proxy::start(direct.port).await?;
        let through = ConnectSettings {
            host: "127.0.0.1".to_owned(),
            port: proxy.port(),
            ..direct
        };
        let database = Database::connect(&through).await?;
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&delete(server)).await? == 1);
        proxy.lose_answers();
        match tx.commit().await {
            Err(CommitFault::Unknown(fault)) => {
                ensure!(
                    fault.class == FaultClass::Lost && fault.is_retryable(),
                    "{fault:?}"
                );
            }
            other => bail!("{other:?}"),
        }
        let count = "SELECT count(*) FROM t WHERE id = 1";
        until(&own, "the commit took place all the same", count, |n| {
            n == 0
        })
        .await?;

        // Lost before the commit is sent: unknown to us too, and nothing happened.
        proxy.restore();
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        let second = text(
            server,
            "DELETE FROM public.t WHERE id = 2",
            "DELETE FROM t WHERE id = 2",
        );
        ensure!(tx.change(&plain(second)).await? == 1);
        proxy.cut();
        match tx.commit().await {
            Err(CommitFault::Unknown(fault)) => ensure!(fault.class == FaultClass::Lost),
            other => bail!("{other:?}"),
        }
        ensure!(
            own.admin
                .number("SELECT count(*) FROM t WHERE id = 2")
                .await?
                == 1
        );
        // And the next transaction is well again.
        proxy.restore();
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&plain(second)).await? == 1);
        tx.commit().await?;
        Ok(())
    })
}

fn values_never_get_into_a_fault(world: &World, server: Server) -> Result<()> {
    const PLANTED: &str = "ada.planted@example.org";
    let own = world.database(server, "values")?;
    let check = "CHECK (age > 0)";
    let schema = format!(
        "CREATE TABLE parent (id int PRIMARY KEY); \
         CREATE TABLE people (id int PRIMARY KEY, email varchar(40) NOT NULL, age int, parent int, \
             CONSTRAINT people_email UNIQUE (email), CONSTRAINT people_age {check}, \
             CONSTRAINT people_parent FOREIGN KEY (parent) REFERENCES parent (id)); \
         INSERT INTO people VALUES (1, '{PLANTED}', 1, NULL)"
    );
    let insert = text(
        server,
        "INSERT INTO public.people VALUES ($1::int4, $2, $3::int4, $4::int4)",
        "INSERT INTO people VALUES (?, ?, ?, ?)",
    );
    let number = text(
        server,
        "SELECT $1::text::int8 FROM public.people",
        "INSERT INTO people SELECT ?, email, age, parent FROM people",
    );
    let email = || Value::Text(PLANTED.to_owned());
    let other = || Value::Text(format!("x{PLANTED}"));
    let statements = [
        (
            insert,
            vec![Value::Int(2), email(), Value::Int(1), Value::Null],
            "people_email",
        ),
        (
            insert,
            vec![Value::Int(2), other(), Value::Int(0), Value::Null],
            "people_age",
        ),
        (
            insert,
            vec![Value::Int(2), other(), Value::Int(1), Value::Int(77_777)],
            "people_parent",
        ),
        (
            insert,
            vec![
                Value::Int(2),
                Value::Text(PLANTED.repeat(9)),
                Value::Int(1),
                Value::Null,
            ],
            "",
        ),
        (number, vec![email()], ""),
    ];
    world.block_on(async {
        own.admin.execute(&schema).await?;
        let database = Database::connect(&settings(&own)?).await?;
        for (text, values, constraint) in statements {
            let mut tx = database.begin(Access::Change(PATIENT)).await?;
            let bound = Bound::fixed(text, values);
            ensure!(!format!("{bound:?}").contains(PLANTED));
            let fault = fault(tx.rows(&bound).await)?;
            let shown = format!("{fault} {fault:?} {tx:?}");
            ensure!(
                !shown.contains("planted") && !shown.contains("77777"),
                "{shown}"
            );
            if constraint.is_empty() {
                ensure!(fault.class == FaultClass::Data, "{fault:?}");
            } else {
                ensure!(fault.class == FaultClass::Constraint, "{fault:?}");
                ensure!(fault.constraint.as_deref() == Some(constraint), "{fault:?}");
                ensure!(fault.reason() == Reason::ConstraintConflict);
            }
            let commit = tx.commit().await;
            ensure!(!format!("{commit:?}").contains("planted"));
        }
        Ok(())
    })
}

fn a_full_pool_says_so(world: &World, server: Server) -> Result<()> {
    let (_own, database) = with_rows(world, server, |settings| {
        settings.max_connections = 1;
        settings.connect_timeout = Duration::from_secs(2);
    })?;
    world.block_on(async {
        let only = database.begin(Access::ReadOnly).await?;
        let fault = fault(database.begin(Access::ReadOnly).await)?;
        ensure!(fault.class == FaultClass::TooManyConnections, "{fault:?}");
        only.rollback().await;
        database.begin(Access::ReadOnly).await?.rollback().await;
        Ok(())
    })
}

/// The rows of a statement as text, joined.
async fn shown(tx: &mut Tx, text: &'static str) -> Result<String> {
    let rows = tx.rows(&plain(text)).await?;
    let values = rows.iter().flatten().map(|v| v.as_text().unwrap_or("-"));
    Ok(values.collect::<Vec<_>>().join(" | "))
}

fn settings_hold_whatever_the_server_says(world: &World, server: Server) -> Result<()> {
    let (own, _) = with_rows(world, server, |_| {})?;
    if !server.is_postgres() {
        return innodb_settings_hold(world, &own);
    }
    let name = &own.name;
    let hostile: String = [
        "lock_timeout = '1h'",
        "statement_timeout = 0",
        "synchronous_commit = off",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = on",
        "search_path = shadow, pg_catalog",
        "\"TimeZone\" = 'Asia/Kolkata'",
        "client_min_messages = debug1",
    ]
    .iter()
    .fold(String::new(), |all, setting| {
        format!("{all}ALTER DATABASE {name} SET {setting};")
    });
    let database = |world: &World| {
        world.block_on(async {
            Database::connect(&settings(&own)?)
                .await
                .map_err(Into::into)
        })
    };
    world.block_on(own.admin.execute(
        "CREATE SCHEMA shadow; CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql \
         AS 'SELECT ''2000-01-01''::timestamptz'",
    ))?;
    world.block_on(own.admin.execute(&hostile))?;
    let database: Result<Database> = database(world);
    let database = database?;
    world.block_on(async {
        let mut tx = database.begin(HURRIED).await?;
        let found = shown(
            &mut tx,
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), \
             current_setting('synchronous_commit'), current_setting('transaction_isolation'), \
             current_setting('transaction_read_only'), current_setting('search_path'), \
             current_setting('TimeZone'), current_setting('client_min_messages'), \
             current_setting('row_security'), \
             current_setting('idle_in_transaction_session_timeout'), \
             (now() > '2020-01-01')::text",
        )
        .await?;
        let expected = "200ms | 1min | on | read committed | off | pg_catalog, pg_temp | UTC | \
                        error | off | 30s | true";
        ensure!(found == expected, "{found}");
        tx.commit().await?;
        // An unqualified name is not found by accident.
        let mut tx = database.begin(HURRIED).await?;
        let stray = fault(tx.rows(&plain("SELECT id FROM t")).await)?;
        ensure!(stray.class == FaultClass::Missing, "{stray:?}");
        Ok(())
    })
}

/// The server's own settings are everybody's in this suite, so the session's are looked at only.
fn innodb_settings_hold(world: &World, own: &sql::Database) -> Result<()> {
    world.block_on(async {
        let database = Database::connect(&settings(own)?).await?;
        let look = if database.engine() == Engine::MariaDb {
            "SELECT CAST(CONCAT_WS(' ', @@sql_mode, @@tx_isolation, @@time_zone, @@wait_timeout, \
             @@innodb_lock_wait_timeout, @@foreign_key_checks = 1, @@max_statement_time) AS CHAR)"
        } else {
            "SELECT CAST(CONCAT_WS(' ', @@sql_mode, @@transaction_isolation, @@time_zone, \
             @@wait_timeout, @@innodb_lock_wait_timeout, @@foreign_key_checks = 1, \
             @@max_execution_time) AS CHAR)"
        };
        let limit = |mariadb: &'static str, mysql: &'static str| {
            if database.engine() == Engine::MariaDb {
                mariadb
            } else {
                mysql
            }
        };
        let fixed = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION READ-COMMITTED +00:00 30";
        let long = Access::Change(Timeouts {
            lock: Duration::from_millis(1500),
            statement: Duration::from_millis(2500),
        });
        for (access, rest) in [
            (HURRIED, format!("1 1 {}", limit("60.000000", "60000"))),
            (long, format!("2 1 {}", limit("2.500000", "2500"))),
            (HURRIED, format!("1 1 {}", limit("60.000000", "60000"))),
        ] {
            let mut tx = database.begin(access).await?;
            let found = shown(&mut tx, look).await?;
            ensure!(found == format!("{fixed} {rest}"), "{found}");
            tx.commit().await?;
        }
        Ok(())
    })
}

fn every_shape_of_value_goes_there_and_back(world: &World, server: Server) -> Result<()> {
    let (_own, database) = with_rows(world, server, |_| {})?;
    let echo = text(
        server,
        "SELECT $1::int8, $2::text, $3::bytea, $4::text, true, false, 7::int2, 'n'::name",
        "SELECT CAST(? AS SIGNED), CAST(? AS CHAR), CAST(? AS BINARY), CAST(? AS CHAR), \
         true, false, CAST(7 AS UNSIGNED), CONVERT('n' USING utf8mb4)",
    );
    let values = vec![
        Value::Int(i64::MIN),
        Value::Text("'; \\ ö %".to_owned()),
        Value::Bytes(vec![0, 255, 39]),
        Value::Null,
    ];
    let mut expected = values.clone();
    expected.extend([
        Value::Int(1),
        Value::Int(0),
        Value::Int(7),
        Value::Text("n".to_owned()),
    ]);
    world.block_on(async {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let rows = tx.rows(&Bound::fixed(echo, values)).await?;
        ensure!(rows == vec![expected]);
        let uncast = text(
            server,
            "SELECT 1.5::numeric",
            "SELECT CAST(1.5 AS DECIMAL(3,1))",
        );
        let fault = fault(tx.rows(&plain(uncast)).await)?;
        ensure!(fault.class == FaultClass::Undecodable, "{fault:?}");
        ensure!(fault.reason() == Reason::InternalError);
        tx.rollback().await;
        Ok(())
    })
}

fn a_deferred_constraint_fails_the_commit(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "deferred")?;
    world.block_on(async {
        own.admin
            .execute(
                "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int \
                 CONSTRAINT c_p REFERENCES p DEFERRABLE INITIALLY DEFERRED); \
                 INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1)",
            )
            .await?;
        let database = Database::connect(&settings(&own)?).await?;
        let mut tx = database.begin(Access::Change(PATIENT)).await?;
        ensure!(tx.change(&plain("DELETE FROM public.p")).await? == 1);
        match tx.commit().await {
            Err(CommitFault::RolledBack(fault)) => {
                ensure!(fault.constraint.as_deref() == Some("c_p"), "{fault:?}");
                ensure!(fault.table.as_deref() == Some("c"), "{fault:?}");
            }
            other => bail!("{other:?}"),
        }
        ensure!(own.admin.number("SELECT count(*)::text FROM p").await? == 1);
        Ok(())
    })
}

/// A user of the case's own, in the case's own database.
pub(crate) async fn as_user(own: &sql::Database, rights: &[&str]) -> Result<Database> {
    let user = format!("u_{}", own.name.split('_').next().unwrap_or("t"));
    own.create_user(&user, "secret-of-the-user").await?;
    for right in rights {
        let right = right.replace(
            "${user}",
            &if own.server.is_postgres() {
                user.clone()
            } else {
                format!("'{user}'@'%'")
            },
        );
        own.admin.execute(&own.fill(&right)).await?;
    }
    let settings = ConnectSettings {
        username: user,
        password: SecretString::from("secret-of-the-user"),
        ..settings(own)?
    };
    Ok(Database::connect(&settings).await?)
}

fn row_security_is_an_error_and_hides_nothing(world: &World, server: Server) -> Result<()> {
    let (own, _) = with_rows(world, server, |_| {})?;
    world.block_on(async {
        let database = as_user(
            &own,
            &[
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                "GRANT SELECT, DELETE ON t TO ${user}",
            ],
        )
        .await?;
        let mut tx = database.begin(Access::ReadOnly).await?;
        let fault = fault(tx.rows(&plain("SELECT count(*) FROM public.t")).await)?;
        ensure!(fault.class == FaultClass::Privilege, "{fault:?}");
        Ok(())
    })
}

fn a_replica_role_is_refused(world: &World, server: Server) -> Result<()> {
    let own = world.database(server, "replica")?;
    world.block_on(async {
        let alter = format!(
            "ALTER DATABASE {} SET session_replication_role = replica",
            own.name
        );
        own.admin.execute(&alter).await?;
        let database = Database::connect(&settings(&own)?).await?;
        let fault = fault(database.begin(Access::Change(PATIENT)).await.map(|_| ()))?;
        ensure!(fault.class == FaultClass::UnsafeSetting, "{fault:?}");
        ensure!(fault.reason() == Reason::UnsafeSetting);
        Ok(())
    })
}

/// What a run spawns must be able to move between threads.
#[expect(dead_code, reason = "compiling it is the test")]
fn futures_can_be_spawned(database: &Database, tx: &'static mut Tx, bound: &'static Bound) {
    fn send<T: Future + Send>(_: T) {}
    send(database.begin(Access::ReadOnly));
    send(database.probe());
    send(tx.rows(bound));
}
