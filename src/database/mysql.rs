//! The MySQL and MariaDB side of a session.
//!
//! These engines have no transaction-local settings: each transaction looks at the session's and
//! sets them where they are not as wanted (a new connection, or other limits).

use std::time::Duration;

use oubliette_core::catalog::Engine;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow, MySqlValueRef};
use sqlx::{
    ConnectOptions, Connection, Decode, Executor, MySql, MySqlConnection, Row, Type, TypeInfo,
    ValueRef,
};

use super::connect::Version;
use super::fault::{Fault, FaultClass};
use super::session::{Timeouts, statement};

/// What every session has. Strict, and nothing of the driver's own choice; a key of 0 is copied as it
/// is; `sql_select_limit` and `sql_safe_updates` because a server may set them for everybody and reads would end early.
const SET: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', \
    SESSION time_zone = '+00:00', SESSION foreign_key_checks = 1, SESSION unique_checks = 1, \
    SESSION autocommit = 1, SESSION completion_type = 'NO_CHAIN', SESSION wait_timeout = 30, SESSION sql_safe_updates = 0, \
    SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1, \
    SESSION group_concat_max_len = 1048576, NAMES utf8mb4";

const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// MariaDB remembers what a subquery said by the outer row's columns, compared by their collation: under
/// the usual ones the row of `É@x` was given the answer for `é@x`, whatever the subquery compares.
const NO_SUBQUERY_CACHE: &str = "SET SESSION optimizer_switch = 'subquery_cache=off'";

/// What [`SET`] leads to, in the order of [`LOOK_MYSQL`].
const FIXED: [&str; 15] = [
    "NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION",
    "+00:00",
    "1",
    "1",
    "1",
    "NO_CHAIN",
    "30",
    "1",
    "18446744073709551615",
    "1",
    "1048576",
    "utf8mb4",
    "utf8mb4",
    "READ-COMMITTED",
    "1",
];

/// One text of all settings (switches compared, because MariaDB writes ON and MySQL 1), then the
/// limits, then the connection's id.
macro_rules! look {
    ($isolation:literal, $no_cache:literal, $statement_limit:literal) => {
        concat!(
            "SELECT CONCAT_WS('|', @@session.sql_mode, @@session.time_zone, \
             @@session.foreign_key_checks = 1, @@session.unique_checks = 1, \
             @@session.autocommit = 1, @@session.completion_type, @@session.wait_timeout, @@session.sql_safe_updates = 0, \
             @@session.sql_select_limit, @@session.sql_big_selects = 1, \
             @@session.group_concat_max_len, \
             @@session.character_set_client, @@session.character_set_results, ",
            $isolation,
            ", ",
            $no_cache,
            "), CAST(@@session.innodb_lock_wait_timeout AS SIGNED), \
             CAST(@@session.lock_wait_timeout AS SIGNED), CAST(",
            $statement_limit,
            " AS SIGNED), CAST(CONNECTION_ID() AS SIGNED)"
        )
    };
}

const LOOK_MYSQL: &str = look!(
    "@@session.transaction_isolation",
    "1",
    "@@session.max_execution_time"
);
/// MariaDB counts in seconds and called the isolation level `tx_isolation` until 11.1.
const LOOK_MARIADB: &str = look!(
    "@@session.tx_isolation",
    "@@session.optimizer_switch LIKE '%subquery_cache=off%'",
    "@@session.max_statement_time * 1000"
);

/// The limits a session has or shall have: seconds, seconds, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Limits {
    lock: i64,
    metadata: i64,
    statement: i64,
}

impl Limits {
    fn of(timeouts: Timeouts) -> Self {
        let seconds = whole_seconds(timeouts.lock);
        Self {
            lock: seconds,
            metadata: seconds,
            statement: milliseconds(timeouts.statement),
        }
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    let rounded_up = duration.as_millis().div_ceil(1000).clamp(1, 86_400);
    i64::try_from(rounded_up).unwrap_or(86_400)
}

fn milliseconds(duration: Duration) -> i64 {
    const MOST: i64 = 31_536_000_000;
    i64::try_from(duration.as_millis().max(1)).map_or(MOST, |ms| ms.min(MOST))
}

pub(super) async fn begin(
    conn: &mut MySqlConnection,
    engine: Engine,
    read_only: bool,
    timeouts: Timeouts,
) -> Result<i64, Fault> {
    let word = if read_only {
        "START TRANSACTION READ ONLY"
    } else {
        "START TRANSACTION READ WRITE"
    };
    let wanted = Limits::of(timeouts);
    command(conn, word).await?;
    let (fit, backend) = look(conn, engine, wanted).await?;
    if fit {
        return Ok(backend);
    }
    command(conn, "ROLLBACK").await?;
    set(conn, engine, wanted).await?;
    command(conn, word).await?;
    let (fit, backend) = look(conn, engine, wanted).await?;
    if fit {
        return Ok(backend);
    }
    Err(Fault::own(
        FaultClass::UnsafeSetting,
        "the session does not keep the settings it was given: is a proxy sharing connections?",
    ))
}

async fn look(
    conn: &mut MySqlConnection,
    engine: Engine,
    wanted: Limits,
) -> Result<(bool, i64), Fault> {
    let text = if engine == Engine::MariaDb {
        LOOK_MARIADB
    } else {
        LOOK_MYSQL
    };
    let answer = conn.fetch_one(text).await.map_err(Fault::in_session)?;
    let settings: String = answer.try_get(0).map_err(Fault::in_session)?;
    let number = |at: usize| answer.try_get::<i64, _>(at).map_err(Fault::in_session);
    let found = Limits {
        lock: number(1)?,
        metadata: number(2)?,
        statement: number(3)?,
    };
    let fixed = settings.split('|').eq(FIXED);
    Ok((fixed && found == wanted, number(4)?))
}

async fn set(conn: &mut MySqlConnection, engine: Engine, wanted: Limits) -> Result<(), Fault> {
    command(conn, SET).await?;
    command(conn, ISOLATION).await?;
    let statement_limit = if engine == Engine::MariaDb {
        command(conn, NO_SUBQUERY_CACHE).await?;
        "SET SESSION max_statement_time = ? / 1000"
    } else {
        "SET SESSION max_execution_time = ?"
    };
    for (text, value) in [
        ("SET SESSION innodb_lock_wait_timeout = ?", wanted.lock),
        ("SET SESSION lock_wait_timeout = ?", wanted.metadata),
        (statement_limit, wanted.statement),
    ] {
        sqlx::query(text)
            .bind(value)
            .execute(&mut *conn)
            .await
            .map_err(Fault::in_session)?;
    }
    Ok(())
}

/// A command without values, in one round trip.
pub(super) async fn command(conn: &mut MySqlConnection, word: &'static str) -> Result<(), Fault> {
    conn.execute(word)
        .await
        .map(drop)
        .map_err(Fault::in_session)
}

pub(super) async fn rows(
    conn: &mut MySqlConnection,
    bound: &Bound,
) -> Result<Vec<Vec<Value>>, Fault> {
    let rows = query(bound)
        .fetch_all(conn)
        .await
        .map_err(Fault::in_session)?;
    rows.iter().map(row).collect()
}

/// The rows of an EXPLAIN, whose estimates are floating-point numbers on MySQL.
pub(super) async fn explained(
    conn: &mut MySqlConnection,
    bound: &Bound,
) -> Result<Vec<Vec<Value>>, Fault> {
    let rows = query(bound)
        .fetch_all(conn)
        .await
        .map_err(Fault::in_session)?;
    rows.iter()
        .map(|row| {
            (0..row.len())
                .map(|at| {
                    let raw = row.try_get_raw(at).map_err(Fault::in_session)?;
                    Ok(value(raw).unwrap_or(Value::Null))
                })
                .collect()
        })
        .collect()
}

pub(super) async fn change(conn: &mut MySqlConnection, bound: &Bound) -> Result<u64, Fault> {
    let done = query(bound)
        .execute(conn)
        .await
        .map_err(Fault::in_session)?;
    Ok(done.rows_affected())
}

fn query(bound: &Bound) -> sqlx::query::Query<'_, MySql, sqlx::mysql::MySqlArguments> {
    let query = sqlx::query(statement(&bound.sql)).persistent(true);
    bound.values.iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<&str>),
        Value::Int(n) => query.bind(*n),
        Value::Text(text) => query.bind(text.as_str()),
        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
    })
}

fn row(row: &MySqlRow) -> Result<Vec<Value>, Fault> {
    (0..row.len())
        .map(|at| value(row.try_get_raw(at).map_err(Fault::in_session)?))
        .collect()
}

fn value(raw: MySqlValueRef<'_>) -> Result<Value, Fault> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let info = raw.type_info().into_owned();
    match info.name() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            decoded(raw).map(Value::Int)
        }
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" | "YEAR" => i64::try_from(decoded::<u64>(raw)?)
            .map(Value::Int)
            .map_err(|_| Fault::undecodable()),
        _ if <str as Type<MySql>>::compatible(&info) => decoded(raw).map(Value::Text),
        _ if <[u8] as Type<MySql>>::compatible(&info) => decoded(raw).map(Value::Bytes),
        _ => Err(Fault::undecodable()),
    }
}

fn decoded<'r, T: Decode<'r, MySql>>(raw: MySqlValueRef<'r>) -> Result<T, Fault> {
    T::decode(raw).map_err(|_| Fault::undecodable())
}

pub(super) async fn version(conn: &mut MySqlConnection) -> Result<(Engine, Version), Fault> {
    let answer = conn
        .fetch_one(
            "SELECT CONVERT(VERSION() USING utf8mb4), CONVERT(@@version_comment USING utf8mb4)",
        )
        .await
        .map_err(Fault::in_session)?;
    let text: String = answer.try_get(0).map_err(Fault::in_session)?;
    let comment: String = answer.try_get(1).map_err(Fault::in_session)?;
    let says = |name: &str| {
        text.to_ascii_lowercase().contains(name) || comment.to_ascii_lowercase().contains(name)
    };
    // They speak the protocol; locks and foreign keys follow other rules.
    if says("tidb") || says("vitess") {
        return Err(Fault::own(
            FaultClass::WrongEngine,
            "the server speaks MySQL's protocol but is neither MySQL nor MariaDB",
        ));
    }
    let engine = if says("mariadb") {
        Engine::MariaDb
    } else {
        Engine::MySql
    };
    let numbers = version_numbers(&text);
    Ok((engine, Version { text, numbers }))
}

/// `8.0.36-28`, `9.7.4`, `10.11.19-MariaDB-…`, `5.5.5-10.6.12-MariaDB` (a prefix for old replicas).
fn version_numbers(text: &str) -> (u32, u32, u32) {
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// KILL takes no placeholder, but a user variable.
pub(super) async fn cancel(options: &MySqlConnectOptions, backend: i64) -> Result<(), Fault> {
    const NO_SUCH_THREAD: u16 = 1094;
    let mut second = options.connect().await.map_err(Fault::while_connecting)?;
    let sent = async {
        sqlx::query("SELECT CAST(? AS UNSIGNED) INTO @oubliette_backend")
            .bind(backend)
            .execute(&mut second)
            .await
            .map_err(Fault::in_session)?;
        match command(&mut second, "KILL QUERY @oubliette_backend").await {
            Err(fault) if fault.number != Some(NO_SUCH_THREAD) => Err(fault),
            Ok(()) | Err(_) => Ok(()),
        }
    }
    .await;
    let _closed_anyway = second.close().await;
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_spelling_are_read() {
        assert_eq!(version_numbers("9.7.4"), (9, 7, 4));
        assert_eq!(version_numbers("8.0.36-28.1"), (8, 0, 36));
        assert_eq!(version_numbers("10.11.19-MariaDB-0+deb12u1"), (10, 11, 19));
        assert_eq!(version_numbers("5.5.5-10.6.12-MariaDB"), (10, 6, 12));
    }

    #[test]
    fn lock_limits_are_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(100)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(1)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
    }
}
