//! What a session is set to, whatever the server says, and the shapes of values.

use std::time::Duration;

use anyhow::{Result, ensure};
use oubliette::database::{Access, Database, FaultClass, Timeouts, Tx};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::{HURRIED, PATIENT, POSTGRES, as_user, fault, login, named, plain, text, with_rows};
use crate::case::{Case, Server};
use crate::sql;
use crate::world::World;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = named(
        "settings",
        &[
            (
                "settings_hold_whatever_the_server_says",
                settings_hold_whatever_the_server_says,
            ),
            (
                "every_shape_of_value_goes_there_and_back",
                every_shape_of_value_goes_there_and_back,
            ),
        ],
        &Server::ALL,
    );
    cases.extend(named(
        "settings",
        &[
            (
                "row_security_is_an_error_and_hides_nothing",
                row_security_is_an_error_and_hides_nothing,
            ),
            ("a_replica_role_is_refused", a_replica_role_is_refused),
        ],
        &POSTGRES,
    ));
    cases
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
    let limited = server == Server::Postgres18;
    let mut settings = vec![
        "lock_timeout = '1h'",
        "statement_timeout = 0",
        "synchronous_commit = off",
        "default_transaction_isolation = serializable",
        "default_transaction_read_only = on",
        "search_path = shadow, pg_catalog",
        "\"TimeZone\" = 'Asia/Kolkata'",
        "client_min_messages = debug1",
    ];
    if limited {
        // Wide enough for a machine that stands still to say BEGIN and its settings in.
        settings.push("transaction_timeout = '30s'");
    }
    // In one message: each connection that begins behind it can only read.
    let hostile = settings.iter().fold(String::new(), |all, setting| {
        format!("{all}ALTER DATABASE {name} SET {setting};")
    });
    world.block_on(own.admin.execute(
        "CREATE SCHEMA shadow; CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql \
         AS 'SELECT ''2000-01-01''::timestamptz'",
    ))?;
    world.block_on(own.admin.execute(&hostile))?;
    world.block_on(async {
        let database = Database::connect(&login(&own)?).await?;
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
        if limited {
            // A bound of the whole transaction is none of ours.
            tx.rows(&plain("SELECT pg_sleep(31)")).await?;
        }
        tx.commit().await?;
        // Nobody means a replica by it.
        let why = database.probe().await?.read_only;
        ensure!(
            why.is_some_and(|why| why.contains("default_transaction_read_only")),
            "{why:?}"
        );
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
        let database = Database::connect(&login(own)?).await?;
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
        let fixed =
            "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION READ-COMMITTED +00:00 30";
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
        // As a server may have it for everybody: each COMMIT would begin another transaction.
        let mut tx = database.begin(HURRIED).await?;
        tx.rows(&plain("SET SESSION completion_type = 'CHAIN'"))
            .await?;
        tx.rollback().await;
        let mut tx = database.begin(HURRIED).await?;
        let found = shown(&mut tx, "SELECT @@completion_type").await?;
        ensure!(found == "NO_CHAIN", "{found}");
        tx.commit().await?;
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
        let database = Database::connect(&login(&own)?).await?;
        let fault = fault(database.begin(Access::Change(PATIENT)).await.map(|_| ()))?;
        ensure!(fault.class == FaultClass::UnsafeSetting, "{fault:?}");
        ensure!(fault.reason() == Reason::UnsafeSetting);
        Ok(())
    })
}
