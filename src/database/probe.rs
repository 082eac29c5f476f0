//! What a server is and how it is set up, as far as it matters before anything is planned.
//!
//! Reads only. Whether a warning is shown and where is the caller's business.

use jiff::Timestamp;
use oubliette_core::catalog::Engine;
use oubliette_core::hmac::Pads;
use oubliette_core::sql::{Bound, pads};
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
    /// Why it refuses changes, if it does, and what to do about it.
    pub read_only: Option<&'static str>,
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
    /// With it the key of pseudonyms would be written into a log: the pads, from which it follows,
    /// are values of a statement, too.
    pub shows_key: bool,
}

impl Warning {
    /// What an administrator does about it for this user alone where the engine can, else for all.
    pub fn cure(&self, engine: Engine, user: &str) -> String {
        let of_role = |setting, value| format!("ALTER ROLE {user} SET {setting} = {value};");
        match (engine, self.setting) {
            (Engine::Postgres, "auto_explain.log_min_duration") => of_role(self.setting, "-1"),
            (Engine::Postgres, "pgaudit.log_parameter") => of_role(self.setting, "off"),
            (Engine::Postgres, "log_parameter_max_length_on_error") => of_role(self.setting, "0"),
            (Engine::Postgres, _) => of_role("log_parameter_max_length", "0"),
            (_, "binlog_format") => "SET GLOBAL binlog_format = 'ROW';".to_owned(),
            (_, setting) => format!("SET GLOBAL {setting} = OFF;"),
        }
    }
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
            shows_key: _,
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
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN 1 \
        WHEN pg_catalog.current_setting('default_transaction_read_only') = 'on' THEN 2 ELSE 0 END, \
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

/// Gives a transaction the pads of the keyed HMAC, unless this very session's statements are logged
/// with their values: settings change, and one made for our user reaches new sessions only.
pub async fn give_pads(tx: &mut Tx, found: &Pads) -> Result<(), Fault> {
    let warnings = match tx.engine() {
        Engine::Postgres => postgres(tx).await?.warnings,
        Engine::MySql | Engine::MariaDb => mysql(tx).await?.warnings,
    };
    if warnings.iter().any(|warning| warning.shows_key) {
        return Err(Fault::own(
            FaultClass::UnsafeSetting,
            "it would write the key into a log; the next plan or look names the setting",
        ));
    }
    for statement in pads(tx.engine(), found) {
        tx.rows(&statement).await?;
    }
    Ok(())
}

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
    read_only: Option<&'static str>,
    warnings: Vec<Warning>,
}

const REPLICA: &str =
    "the server is read-only (a replica?): point the TargetDatabase at the primary";
const READ_ONLY_BY_DEFAULT: &str = "default_transaction_read_only is on for the user, the database or the server: if \
     somebody did not mean this user by it, ALTER ROLE … SET default_transaction_read_only = off";

async fn only_row(
    tx: &mut Tx,
    text: &'static str,
) -> Result<(i64, Option<&'static str>, Vec<String>), Fault> {
    let rows = tx.rows(&Bound::fixed(text, Vec::new())).await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut number = || row.next().as_ref().and_then(Value::as_int);
    let (clock, read_only) = match (number(), number()) {
        (Some(clock), Some(0)) => (clock, None),
        (Some(clock), Some(2)) => (clock, Some(READ_ONLY_BY_DEFAULT)),
        (Some(clock), Some(_)) => (clock, Some(REPLICA)),
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
    let mut warn = |holds: bool, (concern, shows_key), setting, value: &str| {
        if holds {
            warnings.push(Warning {
                concern,
                setting,
                value: value.to_owned(),
                shows_key,
            });
        }
    };
    let durability = (Concern::Durability, false);
    warn(fsync == "off", durability, "fsync", fsync);
    warn(
        full_page_writes == "off",
        durability,
        "full_page_writes",
        full_page_writes,
    );
    // 0 means that no parameter is ever written.
    let logged = parameter_length != "0";
    let logging = (Concern::Logging, true);
    warn(
        logged && matches!(log_statement.as_str(), "mod" | "all"),
        // The pads are given by a SELECT.
        (Concern::Logging, log_statement == "all"),
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
    let mut warn = |holds: bool, (concern, shows_key), setting, value: &str| {
        if holds {
            warnings.push(Warning {
                concern,
                setting,
                value: value.to_owned(),
                shows_key,
            });
        }
    };
    let durability = (Concern::Durability, false);
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
    let logging = (Concern::Logging, true);
    let of_rows = (Concern::Logging, false);
    warn(on(general_log), logging, "general_log", general_log);
    // While the pads are given nothing is slow.
    warn(on(slow_log), of_rows, "slow_query_log", slow_log);
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
    warn(log_bin && on(rows_query), of_rows, name, rows_query);
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows_key(warnings: &[Warning]) -> Vec<&'static str> {
        let shown = warnings.iter().filter(|warning| warning.shows_key);
        shown.map(|warning| warning.setting).collect()
    }

    fn of_postgres(change: usize, value: &str) -> Vec<&'static str> {
        let quiet = ["on", "on", "-1", "0", "none", "-1", "-1", "0", "", ""];
        let mut settings = quiet.map(str::to_owned);
        value.clone_into(&mut settings[change]);
        shows_key(&postgres_warnings(&settings))
    }

    #[test]
    fn what_logs_the_values_of_a_select_shows_the_key_on_postgresql() {
        assert_eq!(of_postgres(0, "off"), [""; 0]);
        assert_eq!(of_postgres(3, "-1"), ["log_parameter_max_length_on_error"]);
        assert_eq!(of_postgres(4, "mod"), [""; 0]);
        assert_eq!(of_postgres(4, "all"), ["log_statement"]);
        assert_eq!(of_postgres(5, "10000"), ["log_min_duration_statement"]);
        assert_eq!(of_postgres(6, "0"), ["log_min_duration_sample"]);
        assert_eq!(of_postgres(7, "0.1"), ["log_transaction_sample_rate"]);
        assert_eq!(of_postgres(8, "0"), ["auto_explain.log_min_duration"]);
        assert_eq!(of_postgres(9, "on"), ["pgaudit.log_parameter"]);
        // Without values a log has no pads.
        let mut settings = ["on", "on", "0", "0", "all", "0", "0", "1", "", ""].map(str::to_owned);
        assert_eq!(shows_key(&postgres_warnings(&settings)), [""; 0]);
        settings[2] = "7".to_owned();
        assert_eq!(shows_key(&postgres_warnings(&settings)).len(), 4);
    }

    #[test]
    fn the_general_log_and_statements_in_the_binary_log_show_the_key_on_innodb() {
        let of = |change: usize, value: &str| {
            let quiet = ["1", "1", "1", "0", "0", "ROW", "0"];
            let mut settings = quiet.map(str::to_owned);
            value.clone_into(&mut settings[change]);
            shows_key(&mysql_warnings(true, &settings))
        };
        assert_eq!(of(3, "1"), ["general_log"]);
        assert_eq!(of(4, "1"), [""; 0]);
        assert_eq!(of(5, "MIXED"), ["binlog_format"]);
        assert_eq!(of(6, "1"), [""; 0]);
    }

    #[test]
    fn a_cure_is_for_our_user_where_the_engine_can() {
        let warning = |setting| Warning {
            concern: Concern::Logging,
            setting,
            value: String::new(),
            shows_key: true,
        };
        assert_eq!(
            warning("log_statement").cure(Engine::Postgres, "\"o\""),
            "ALTER ROLE \"o\" SET log_parameter_max_length = 0;"
        );
        assert_eq!(
            warning("general_log").cure(Engine::MySql, "`o`@`%`"),
            "SET GLOBAL general_log = OFF;"
        );
    }
}
