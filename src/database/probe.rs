//! What a server is and how it is set up, as far as it matters before anything is planned.
//!
//! Reads only. Whether a warning is shown and where is the caller's business.

use jiff::Timestamp;
use oubliette_core::catalog::Engine;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use super::connect::Database;
use super::fault::{Fault, FaultClass};
use super::session::{Access, Tx};

/// Facts about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// The engine that was found.
    pub engine: Engine,
    /// Its version, as the server states it.
    pub version: String,
    /// The server's clock while it answered.
    pub clock: Timestamp,
    /// Whether the server refuses changes: a replica, or set to read-only.
    pub read_only: bool,
    /// Settings that weaken a promise.
    pub warnings: Vec<Warning>,
}

/// A setting of the server that weakens a promise. None of them can be changed by our user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What is weakened.
    pub concern: Concern,
    /// The setting, as the server calls it.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
}

/// Which promise a setting weakens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// A commit can be lost when the server's machine fails: counts and rows stay equal, but a run
    /// may find itself rewound.
    Durability,
    /// Values bound to statements (keys of rows, identifiers of a subject) can appear in a log.
    Logging,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            concern,
            setting,
            value,
        } = self;
        match concern {
            Concern::Durability => write!(
                f,
                "{setting} is {value}: a failure of the server's machine can undo committed batches"
            ),
            Concern::Logging => write!(
                f,
                "{setting} is {value}: the server may log the values of statements, keys of rows among them"
            ),
        }
    }
}

/// Clock in microseconds, then whether changes are refused, then the settings in the order of
/// [`postgres_warnings`].
const POSTGRES: &str = "SELECT \
    (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8, \
    pg_catalog.pg_is_in_recovery() \
        OR pg_catalog.current_setting('default_transaction_read_only') = 'on', \
    pg_catalog.current_setting('fsync'), \
    pg_catalog.current_setting('full_page_writes'), \
    pg_catalog.current_setting('log_parameter_max_length'), \
    pg_catalog.current_setting('log_parameter_max_length_on_error'), \
    pg_catalog.current_setting('log_statement'), \
    pg_catalog.current_setting('log_min_duration_statement'), \
    pg_catalog.current_setting('log_min_duration_sample'), \
    pg_catalog.current_setting('log_transaction_sample_rate'), \
    pg_catalog.current_setting('auto_explain.log_min_duration', true), \
    pg_catalog.current_setting('pgaudit.log_parameter', true)";

/// Clock, read-only, then the settings in the order of [`mysql_warnings`]. Last comes what writes a
/// statement's text beside the rows it changed.
macro_rules! settings {
    ($rows_query:literal) => {
        concat!(
            "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED), \
             CAST(@@global.read_only AS SIGNED), \
             CAST(@@global.innodb_flush_log_at_trx_commit AS CHAR), \
             CAST(@@global.log_bin AS CHAR), CAST(@@global.sync_binlog AS CHAR), \
             CAST(@@global.general_log AS CHAR), CAST(@@global.slow_query_log AS CHAR), \
             CAST(@@session.binlog_format AS CHAR), CAST(",
            $rows_query,
            " AS CHAR)"
        )
    };
}

const MYSQL: &str = settings!("@@session.binlog_rows_query_log_events");
const MARIADB: &str = settings!("@@session.binlog_annotate_row_events");

impl Database {
    /// Asks the server for its clock and settings.
    pub async fn probe(&self) -> Result<ServerFacts, Fault> {
        let mut tx = self.begin(Access::ReadOnly).await?;
        let found = match self.engine() {
            Engine::Postgres => postgres(&mut tx).await,
            Engine::MySql | Engine::MariaDb => mysql(&mut tx).await,
        };
        tx.rollback().await;
        let Found {
            microseconds,
            read_only,
            warnings,
        } = found?;
        let clock = Timestamp::from_microsecond(microseconds).map_err(|_| {
            Fault::own(
                FaultClass::UnsafeSetting,
                "the server's clock is out of range",
            )
        })?;
        Ok(ServerFacts {
            engine: self.engine(),
            version: self.version().text.clone(),
            clock,
            read_only,
            warnings,
        })
    }
}

struct Found {
    microseconds: i64,
    read_only: bool,
    warnings: Vec<Warning>,
}

async fn only_row(tx: &mut Tx, text: &'static str) -> Result<(i64, bool, Vec<String>), Fault> {
    let rows = tx.rows(&Bound::fixed(text, Vec::new())).await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut number = || row.next().as_ref().and_then(Value::as_int);
    let (clock, read_only) = match (number(), number()) {
        (Some(clock), Some(read_only)) => (clock, read_only != 0),
        _ => return Err(Fault::undecodable()),
    };
    let texts = row.map(|v| v.as_text().unwrap_or_default().to_owned());
    Ok((clock, read_only, texts.collect()))
}

async fn postgres(tx: &mut Tx) -> Result<Found, Fault> {
    let (microseconds, read_only, settings) = only_row(tx, POSTGRES).await?;
    Ok(Found {
        microseconds,
        read_only,
        warnings: postgres_warnings(&settings),
    })
}

fn postgres_warnings(settings: &[String]) -> Vec<Warning> {
    let [
        fsync,
        full_page_writes,
        parameter_length,
        parameter_length_on_error,
        log_statement,
        min_duration,
        min_duration_sample,
        sample_rate,
        explain_duration,
        audit_parameter,
    ] = settings
    else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, concern, setting, value: &str| {
        if holds {
            warnings.push(Warning {
                concern,
                setting,
                value: value.to_owned(),
            });
        }
    };
    let durability = Concern::Durability;
    warn(fsync == "off", durability, "fsync", fsync);
    warn(
        full_page_writes == "off",
        durability,
        "full_page_writes",
        full_page_writes,
    );
    // 0 means that no parameter is ever written.
    let logged = parameter_length != "0";
    let logging = Concern::Logging;
    warn(
        logged && matches!(log_statement.as_str(), "mod" | "all"),
        logging,
        "log_statement",
        log_statement,
    );
    warn(
        logged && min_duration != "-1",
        logging,
        "log_min_duration_statement",
        min_duration,
    );
    warn(
        logged && min_duration_sample != "-1",
        logging,
        "log_min_duration_sample",
        min_duration_sample,
    );
    warn(
        logged && sample_rate != "0",
        logging,
        "log_transaction_sample_rate",
        sample_rate,
    );
    warn(
        parameter_length_on_error != "0",
        logging,
        "log_parameter_max_length_on_error",
        parameter_length_on_error,
    );
    warn(
        !matches!(explain_duration.as_str(), "" | "-1"),
        logging,
        "auto_explain.log_min_duration",
        explain_duration,
    );
    warn(
        audit_parameter == "on",
        logging,
        "pgaudit.log_parameter",
        audit_parameter,
    );
    warnings
}

async fn mysql(tx: &mut Tx) -> Result<Found, Fault> {
    let mariadb = tx.engine() == Engine::MariaDb;
    let text = if mariadb { MARIADB } else { MYSQL };
    let (microseconds, read_only, settings) = only_row(tx, text).await?;
    Ok(Found {
        microseconds,
        read_only,
        warnings: mysql_warnings(mariadb, &settings),
    })
}

fn mysql_warnings(mariadb: bool, settings: &[String]) -> Vec<Warning> {
    let [
        flush,
        log_bin,
        sync_binlog,
        general_log,
        slow_log,
        binlog_format,
        rows_query,
    ] = settings
    else {
        return Vec::new();
    };
    let on = |value: &str| value == "1" || value.eq_ignore_ascii_case("on");
    let mut warnings = Vec::new();
    let mut warn = |holds: bool, concern, setting, value: &str| {
        if holds {
            warnings.push(Warning {
                concern,
                setting,
                value: value.to_owned(),
            });
        }
    };
    let durability = Concern::Durability;
    warn(
        flush != "1",
        durability,
        "innodb_flush_log_at_trx_commit",
        flush,
    );
    let log_bin = on(log_bin);
    warn(
        log_bin && sync_binlog != "1",
        durability,
        "sync_binlog",
        sync_binlog,
    );
    let logging = Concern::Logging;
    warn(on(general_log), logging, "general_log", general_log);
    warn(on(slow_log), logging, "slow_query_log", slow_log);
    warn(
        log_bin && binlog_format != "ROW",
        logging,
        "binlog_format",
        binlog_format,
    );
    let name = if mariadb {
        "binlog_annotate_row_events"
    } else {
        "binlog_rows_query_log_events"
    };
    warn(log_bin && on(rows_query), logging, name, rows_query);
    warnings
}
