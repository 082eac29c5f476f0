//! The PostgreSQL side of a session.
//!
//! Settings are transaction-local only (PgBouncer leaks anything else) and statements unnamed.

use std::time::Duration;

use oubliette_core::sql::Bound;
use oubliette_core::value::Value;
use sqlx::postgres::{PgConnectOptions, PgRow, PgValueRef};
use sqlx::{
    ConnectOptions, Connection, Decode, Executor, PgConnection, Postgres, Row, TypeInfo, ValueRef,
};

use super::connect::Version;
use super::fault::{Fault, FaultClass};
use super::session::{IDLE_LIMIT, Timeouts, statement};

/// One round trip of `set_config(…, is_local => true)`; the last columns are what must hold.
///
/// `search_path` keeps names qualified and functions unshadowed, `pg_temp` last so that a temporary
/// table hides nothing. From PostgreSQL 17 on a role may bound the whole transaction, whatever it waits
/// for; ours has bounds for each statement and between them. Notices are off because triggers may put row values into them.
const SETTINGS: &str = "SELECT \
    pg_catalog.set_config('lock_timeout', $1, true), \
    pg_catalog.set_config('statement_timeout', $2, true), \
    pg_catalog.set_config('idle_in_transaction_session_timeout', $3, true), \
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
    pg_catalog.set_config('row_security', 'off', true), \
    pg_catalog.set_config('synchronous_commit', \
        CASE pg_catalog.current_setting('synchronous_commit') \
        WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true), \
    pg_catalog.set_config('client_min_messages', 'error', true), \
    pg_catalog.set_config('TimeZone', 'UTC', true), \
    pg_catalog.set_config('DateStyle', 'ISO, YMD', true), \
    pg_catalog.set_config('IntervalStyle', 'iso_8601', true), \
    pg_catalog.set_config('bytea_output', 'hex', true), \
    pg_catalog.set_config('extra_float_digits', '1', true), \
    pg_catalog.pg_backend_pid(), \
    pg_catalog.current_setting('session_replication_role'), \
    pg_catalog.current_setting('transaction_read_only'), \
    pg_catalog.current_setting('transaction_isolation'), \
    CASE WHEN pg_catalog.current_setting('transaction_timeout', true) <> '0' \
        THEN pg_catalog.set_config('transaction_timeout', '0', true) END";

/// Where [`SETTINGS`] answers.
const PID: usize = 12;
const ROLE: usize = 13;
const READ_ONLY: usize = 14;
const ISOLATION: usize = 15;

pub(super) async fn begin(
    conn: &mut PgConnection,
    read_only: bool,
    timeouts: Timeouts,
) -> Result<i64, Fault> {
    let word = if read_only {
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
    } else {
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    };
    command(conn, word).await?;
    let answer = sqlx::query(SETTINGS)
        .bind(milliseconds(timeouts.lock))
        .bind(milliseconds(timeouts.statement))
        .bind(milliseconds(IDLE_LIMIT))
        .persistent(false)
        .fetch_one(conn)
        .await
        .map_err(Fault::in_session)?;
    let text = |at: usize| answer.try_get::<String, _>(at).map_err(Fault::in_session);
    if text(ROLE)? != "origin" {
        return Err(Fault::own(
            FaultClass::UnsafeSetting,
            "session_replication_role is not origin: foreign keys and triggers would not act",
        ));
    }
    let wanted = if read_only { "on" } else { "off" };
    if text(READ_ONLY)? != wanted || text(ISOLATION)? != "read committed" {
        return Err(Fault::own(
            FaultClass::UnsafeSetting,
            "the transaction has not the access mode that was asked for: is a pooler rewriting BEGIN?",
        ));
    }
    answer
        .try_get::<i32, _>(PID)
        .map(i64::from)
        .map_err(Fault::in_session)
}

/// Milliseconds as a setting; 0 would mean no limit.
fn milliseconds(duration: Duration) -> String {
    duration
        .as_millis()
        .clamp(1, i32::MAX.unsigned_abs().into())
        .to_string()
}

/// A command without values, in one round trip.
pub(super) async fn command(conn: &mut PgConnection, word: &'static str) -> Result<(), Fault> {
    conn.execute(word)
        .await
        .map(drop)
        .map_err(Fault::in_session)
}

pub(super) async fn rows(conn: &mut PgConnection, bound: &Bound) -> Result<Vec<Vec<Value>>, Fault> {
    let rows = query(bound)
        .fetch_all(conn)
        .await
        .map_err(Fault::in_session)?;
    rows.iter().map(row).collect()
}

pub(super) async fn change(conn: &mut PgConnection, bound: &Bound) -> Result<u64, Fault> {
    let done = if bound.values.is_empty() {
        // In one round trip instead of two.
        sqlx::raw_sql(statement(&bound.sql)).execute(conn).await
    } else {
        query(bound).execute(conn).await
    };
    let done = done.map_err(Fault::in_session)?;
    Ok(done.rows_affected())
}

fn query(bound: &Bound) -> sqlx::query::Query<'_, Postgres, sqlx::postgres::PgArguments> {
    let query = sqlx::query(statement(&bound.sql)).persistent(false);
    bound.values.iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<&str>),
        Value::Int(n) => query.bind(*n),
        Value::Text(text) => query.bind(text.as_str()),
        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
    })
}

fn row(row: &PgRow) -> Result<Vec<Value>, Fault> {
    (0..row.len())
        .map(|at| value(row.try_get_raw(at).map_err(Fault::in_session)?))
        .collect()
}

fn value(raw: PgValueRef<'_>) -> Result<Value, Fault> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    match raw.type_info().name() {
        "BOOL" => decoded::<bool>(raw).map(|yes| Value::Int(yes.into())),
        "INT2" | "INT4" | "INT8" => decoded(raw).map(Value::Int),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => decoded(raw).map(Value::Text),
        "BYTEA" => decoded(raw).map(Value::Bytes),
        "VOID" => Ok(Value::Null),
        _ => Err(Fault::undecodable()),
    }
}

fn decoded<'r, T: Decode<'r, Postgres>>(raw: PgValueRef<'r>) -> Result<T, Fault> {
    T::decode(raw).map_err(|_| Fault::undecodable())
}

pub(super) async fn version(conn: &mut PgConnection) -> Result<Version, Fault> {
    let answer = sqlx::query(
        "SELECT pg_catalog.version(), pg_catalog.current_setting('server_version'), \
         pg_catalog.current_setting('server_version_num')::pg_catalog.int4",
    )
    .persistent(false)
    .fetch_one(conn)
    .await
    .map_err(Fault::in_session)?;
    let banner: String = answer.try_get(0).map_err(Fault::in_session)?;
    // CockroachDB and YugabyteDB speak the protocol and lock rows by other rules.
    if !banner.starts_with("PostgreSQL") || banner.contains("-YB-") {
        return Err(Fault::own(
            FaultClass::WrongEngine,
            "the server speaks PostgreSQL's protocol but is not PostgreSQL",
        ));
    }
    let number: i32 = answer.try_get(2).map_err(Fault::in_session)?;
    let number = number.unsigned_abs();
    Ok(Version {
        text: answer.try_get(1).map_err(Fault::in_session)?,
        numbers: (number / 10_000, number % 10_000, 0),
    })
}

pub(super) async fn cancel(options: &PgConnectOptions, backend: i64) -> Result<(), Fault> {
    let mut second = options.connect().await.map_err(Fault::while_connecting)?;
    let sent = sqlx::query("SELECT pg_catalog.pg_cancel_backend($1::pg_catalog.int4)")
        .bind(backend)
        .persistent(false)
        .execute(&mut second)
        .await
        .map(drop)
        .map_err(Fault::in_session);
    let _closed_anyway = second.close().await;
    sent
}
