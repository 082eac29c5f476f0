//! What a database did wrong, without its words.
//!
//! Owns the one conversion from the driver's errors. It keeps class, SQLSTATE, error number and, for
//! constraint violations, the names of constraint and table. It must not keep a server's message,
//! detail, hint or context: they repeat row values (P4).

use std::fmt;
use std::io;

use oubliette_core::api::reason::Reason;
use rustls::CertificateError;
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::catalog::harmless;

/// What sort of failure it was: all that callers decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultClass {
    /// No connection could be made.
    Unreachable,
    /// A connection was there and broke: what was in flight has an unknown end.
    Lost,
    /// User or password refused.
    Authentication,
    /// TLS could not be established or the certificate could not be verified.
    Certificate,
    /// Another sort of server than declared, or one this program does not know.
    WrongEngine,
    /// A version below the supported minimum.
    TooOld,
    /// The server gives no further connection.
    TooManyConnections,
    /// The server is out of disk space, memory or another resource.
    Exhausted,
    /// The database to connect to does not exist.
    NoDatabase,
    /// A lock was not granted in time.
    Lock,
    /// The transaction was the victim of a deadlock and is gone.
    Deadlock,
    /// The transaction collided with another one.
    Serialization,
    /// The statement was cancelled, by us or by a time limit.
    Cancelled,
    /// A constraint refused the change.
    Constraint,
    /// A value does not fit: too long, out of range, wrong form.
    Data,
    /// A privilege is missing.
    Privilege,
    /// A change in a read-only transaction or on a read-only server.
    ReadOnly,
    /// A table, column, schema or function does not exist.
    Missing,
    /// A server or session setting makes the work unsafe.
    UnsafeSetting,
    /// A result column of a type that statements must cast away.
    Undecodable,
    /// A statement on a transaction that has failed already.
    Ended,
    /// Anything else.
    Other,
}

impl FaultClass {
    fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "the database cannot be reached",
            Self::Lost => "the connection to the database was lost",
            Self::Authentication => "the database refused user or password",
            Self::Certificate => "the connection could not be secured",
            Self::WrongEngine => "the server is not of the declared engine",
            Self::TooOld => "the server's version is too old",
            Self::TooManyConnections => "the server gives no further connection",
            Self::Exhausted => "the server is out of disk space, memory or another resource",
            Self::NoDatabase => "the server has no database of that name",
            Self::Lock => "a lock was not granted in time",
            Self::Deadlock => "the transaction lost a deadlock",
            Self::Serialization => "the transaction collided with another one",
            Self::Cancelled => "the statement was cancelled or ran into its time limit",
            Self::Constraint => "a constraint refused the change",
            Self::Data => "a value does not fit its column",
            Self::Privilege => "a privilege is missing",
            Self::ReadOnly => "the transaction or the server is read-only",
            Self::Missing => "a table, column, schema or function does not exist",
            Self::UnsafeSetting => "a setting of the server or session is unsafe",
            Self::Undecodable => "a result column has a type that is not read",
            Self::Ended => "the transaction has failed already and can only be rolled back",
            Self::Other => "the database refused the statement",
        }
    }
}

/// A change that statement-based binary logging does not take.
const STATEMENT_BINLOG: u16 = 1665;

/// Where in a connection's life an error came up: a broken socket means something else while connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Session,
}

/// A failure, safe to show anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What sort of failure.
    pub class: FaultClass,
    /// The server's SQLSTATE.
    pub sqlstate: Option<String>,
    /// The server's error number (MySQL and MariaDB).
    pub number: Option<u16>,
    /// The violated constraint's name, where the server says it.
    pub constraint: Option<String>,
    /// The table of that constraint.
    pub table: Option<String>,
    /// More on it in this program's own words.
    pub hint: Option<&'static str>,
    /// Whether the server ended the session with this error (its answer is then not the last word).
    fatal: bool,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class.text())?;
        if let Some(hint) = self.hint {
            write!(f, ": {hint}")?;
        }
        let mut facts = Vec::new();
        if let Some(state) = &self.sqlstate {
            facts.push(format!("SQLSTATE {state}"));
        }
        if let Some(number) = self.number {
            facts.push(format!("error {number}"));
        }
        if let Some(constraint) = &self.constraint {
            facts.push(format!("constraint {}", harmless(constraint)));
        }
        if let Some(table) = &self.table {
            facts.push(format!("table {}", harmless(table)));
        }
        if !facts.is_empty() {
            write!(f, " ({})", facts.join(", "))?;
        }
        Ok(())
    }
}

impl Fault {
    /// A failure this program found itself.
    pub(super) fn own(class: FaultClass, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..Self::bare(class)
        }
    }

    fn bare(class: FaultClass) -> Self {
        Self {
            class,
            sqlstate: None,
            number: None,
            constraint: None,
            table: None,
            hint: None,
            fatal: false,
        }
    }

    /// The reason a condition shows for it.
    pub fn reason(&self) -> Reason {
        match self.class {
            FaultClass::Unreachable | FaultClass::Lost => Reason::Unreachable,
            FaultClass::TooManyConnections => Reason::TooManyConnections,
            FaultClass::Exhausted => Reason::ServerExhausted,
            FaultClass::NoDatabase => Reason::NoSuchDatabase,
            FaultClass::Authentication => Reason::AuthenticationFailed,
            FaultClass::Certificate => Reason::CertificateInvalid,
            FaultClass::WrongEngine | FaultClass::TooOld => Reason::EngineMismatch,
            FaultClass::Lock => Reason::RowsLocked,
            FaultClass::Constraint => Reason::ConstraintConflict,
            FaultClass::Data => Reason::ColumnUnfit,
            FaultClass::Privilege => Reason::MissingGrants,
            FaultClass::ReadOnly | FaultClass::UnsafeSetting => Reason::UnsafeSetting,
            FaultClass::Missing => Reason::Drifted,
            FaultClass::Deadlock
            | FaultClass::Serialization
            | FaultClass::Cancelled
            | FaultClass::Other => Reason::RunFailed,
            FaultClass::Undecodable | FaultClass::Ended => Reason::InternalError,
        }
    }

    /// Whether the same work may succeed when it is begun anew without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.class,
            FaultClass::Unreachable
                | FaultClass::Lost
                | FaultClass::TooManyConnections
                | FaultClass::Exhausted
                | FaultClass::Lock
                | FaultClass::Deadlock
                | FaultClass::Serialization
                | FaultClass::Cancelled
        )
    }

    /// Whether this answer to a COMMIT proves that nothing was committed. Where it does not, only a
    /// locking read of the own checkpoint tells (SQL.md section 1).
    pub(super) fn proves_rollback(&self) -> bool {
        match (&self.sqlstate, self.number) {
            // PostgreSQL: an ERROR ends COMMIT by aborting. A FATAL may come after the commit record
            // was written (waiting for a synchronous standby); 08 and 40003 say so themselves.
            (Some(state), None) => {
                !self.fatal
                    && !state.starts_with("08")
                    && state != "40003"
                    && !state.starts_with("57P")
            }
            // InnoDB: only a deadlock or certification failure (Galera, Group Replication) is one.
            (_, Some(number)) => matches!(number, 1213 | 3101),
            (None, None) => false,
        }
    }

    /// Whether the server itself answered with an error, so that both sides agree on where the
    /// conversation stands and the connection is still good for a ROLLBACK.
    pub(super) fn is_orderly(&self) -> bool {
        (self.sqlstate.is_some() || self.number.is_some())
            && !self.fatal
            && self.class != FaultClass::Lost
    }

    /// Converts an error of a session. The only way from the driver's errors to ours.
    #[expect(clippy::disallowed_types, reason = "this is the one conversion")]
    pub(super) fn in_session(error: sqlx::Error) -> Self {
        Self::convert(error, Phase::Session)
    }

    /// Converts an error met while connecting.
    #[expect(clippy::disallowed_types, reason = "this is the one conversion")]
    pub(super) fn while_connecting(error: sqlx::Error) -> Self {
        Self::convert(error, Phase::Connecting)
    }

    #[expect(clippy::disallowed_types, reason = "this is the one conversion")]
    fn convert(error: sqlx::Error, phase: Phase) -> Self {
        let broken = match phase {
            Phase::Connecting => FaultClass::Unreachable,
            Phase::Session => FaultClass::Lost,
        };
        match error {
            sqlx::Error::Database(error) => Self::from_server(&*error, phase),
            sqlx::Error::Io(error) => Self::from_io(&error, broken),
            sqlx::Error::Tls(error) => Self::from_tls(&error.to_string()),
            sqlx::Error::Protocol(text) => Self::from_protocol(&text, phase),
            // Not for want of a free one, see `Database::begin`.
            sqlx::Error::PoolTimedOut => {
                Self::own(FaultClass::Unreachable, "no connection was made in time")
            }
            sqlx::Error::PoolClosed => Self::own(FaultClass::Lost, "the connections were closed"),
            sqlx::Error::BeginFailed => Self::own(FaultClass::Lost, "BEGIN was not obeyed"),
            // The driver has no other setting to be wrong about: the rest is set by us.
            sqlx::Error::Configuration(_) => Self::own(
                FaultClass::Authentication,
                "the server would take this user's password over TLS only: use tls.mode VerifyFull",
            ),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::TypeNotFound { .. } => Self::undecodable(),
            sqlx::Error::Encode(_) => Self::own(FaultClass::Data, "a value cannot be sent"),
            _ => Self::bare(FaultClass::Other),
        }
    }

    /// A result column that statements should have cast.
    pub(super) fn undecodable() -> Self {
        Self::own(
            FaultClass::Undecodable,
            "statements cast every result column to bigint, text, bytes or boolean",
        )
    }

    fn from_io(error: &io::Error, broken: FaultClass) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::own(FaultClass::Certificate, tls_hint(tls));
        }
        let hint = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused: check host and port",
            io::ErrorKind::TimedOut => "no answer in time",
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the other side closed the connection"
            }
            _ if broken == FaultClass::Unreachable => {
                "check that the host name resolves and the network lets the connection through"
            }
            _ => return Self::bare(broken),
        };
        Self::own(broken, hint)
    }

    fn from_protocol(text: &str, phase: Phase) -> Self {
        match phase {
            // The driver's own words again: nothing has been read from a table while connecting.
            Phase::Connecting if text.to_ascii_lowercase().contains("auth") => Self::own(
                FaultClass::Authentication,
                "the server asks for a method that is not supported: give the user scram-sha-256 \
                 (PostgreSQL), caching_sha2_password or mysql_native_password",
            ),
            Phase::Connecting => Self::own(
                FaultClass::WrongEngine,
                "what answers there does not speak the declared engine's protocol",
            ),
            Phase::Session => Self::own(FaultClass::Lost, "the protocol broke down"),
        }
    }

    fn from_tls(text: &str) -> Self {
        // The driver wraps its own sentence; nothing in it comes from a row.
        let hint = if text == "server does not support TLS" {
            "the server does not offer TLS: enable it there, or say tls.mode Disable"
        } else {
            "check the CA certificates given and the host name"
        };
        Self::own(FaultClass::Certificate, hint)
    }

    fn from_server(error: &dyn DatabaseError, phase: Phase) -> Self {
        if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
            return Self::from_postgres(error, phase);
        }
        if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
            return Self::from_mysql(error.number(), error.code(), error.message(), phase);
        }
        Self::bare(FaultClass::Other)
    }

    fn from_postgres(error: &PgDatabaseError, phase: Phase) -> Self {
        let state = error.code();
        let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
        let class = match error.schema() {
            // Two that create an object of one name at once meet in a unique index of the catalog.
            Some("pg_catalog") if state == "23505" => FaultClass::Serialization,
            _ => class_of_sqlstate(state, fatal && phase == Phase::Session),
        };
        // Only the server's own integrity checks fill these with names; RAISE could put anything there, with
        // whatever state. What a function has raised has that function first in its context.
        let raised = error
            .r#where()
            .is_some_and(|of| !of.starts_with("SQL statement"));
        let names = class == FaultClass::Constraint && !raised;
        Self {
            class,
            sqlstate: Some(state.to_owned()),
            constraint: error.constraint().filter(|_| names).map(str::to_owned),
            table: error.table().filter(|_| names).map(str::to_owned),
            fatal,
            ..Self::bare(class)
        }
    }

    fn from_mysql(number: u16, state: Option<&str>, message: &str, phase: Phase) -> Self {
        let class = class_of_number(number, state, phase);
        let (constraint, table) = if class == FaultClass::Constraint {
            names_in_message(number, message)
        } else {
            (None, None)
        };
        // SIGNAL of a trigger could have written the message.
        let plain = |name: &String| {
            name.chars()
                .all(|c| c.is_alphanumeric() || "_$-.".contains(c))
        };
        let are_plain = constraint.iter().chain(&table).all(plain);
        let (constraint, table) = if are_plain {
            (constraint, table)
        } else {
            (None, None)
        };
        Self {
            class,
            sqlstate: state.map(str::to_owned),
            number: Some(number),
            hint: (number == STATEMENT_BINLOG).then_some(
                "binlog_format is STATEMENT, which takes no change of InnoDB at READ COMMITTED: \
                 SET GLOBAL binlog_format = 'ROW'",
            ),
            constraint,
            table,
            ..Self::bare(class)
        }
    }
}

fn tls_hint(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // A bad signature: another authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "the server's certificate is not issued by a trusted authority: give the authority's certificate with tls.ca, or in a URL with sslrootcert or ssl-ca"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is not valid for this host name: use a name it carries, or tls.mode VerifyCa (in a URL sslmode=verify-ca)"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: check the clocks"
            }
            // rustls passes this one on as it came.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
                "the server shows a certificate of an authority (CA:TRUE), such as `openssl req -x509` \
                 makes it: give the server one with basicConstraints=CA:FALSE and its host name in \
                 subjectAltName"
            }
            _ => "the server's certificate is not acceptable: look at it with `openssl s_client`",
        },
        _ => "the TLS handshake failed: check versions and ciphers of the server",
    }
}

/// PostgreSQL's codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn class_of_sqlstate(state: &str, session_is_gone: bool) -> FaultClass {
    match state {
        "28000" | "28P01" => FaultClass::Authentication,
        "53300" => FaultClass::TooManyConnections,
        "57P03" => FaultClass::Unreachable,
        _ if session_is_gone => FaultClass::Lost,
        "55P03" => FaultClass::Lock,
        "40P01" => FaultClass::Deadlock,
        "40001" => FaultClass::Serialization,
        "57014" => FaultClass::Cancelled,
        "42501" => FaultClass::Privilege,
        "25006" => FaultClass::ReadOnly,
        "3D000" => FaultClass::NoDatabase,
        "42P01" | "42703" | "42883" | "42704" | "3F000" => FaultClass::Missing,
        "25P02" => FaultClass::Ended,
        _ => match state.get(..2) {
            Some("08" | "57") => FaultClass::Lost,
            Some("23") => FaultClass::Constraint,
            Some("22") => FaultClass::Data,
            Some("53") => FaultClass::Exhausted,
            _ => FaultClass::Other,
        },
    }
}

/// The numbers of MySQL and MariaDB, which agree up to 1999.
fn class_of_number(number: u16, state: Option<&str>, phase: Phase) -> FaultClass {
    match number {
        // access denied, host not allowed, account locked or its password expired
        1045 | 1130 | 1698 | 1820 | 1862 | 3118 | 4151 => FaultClass::Authentication,
        // require_secure_transport
        3159 => FaultClass::Certificate,
        1040 | 1203 | 1226 => FaultClass::TooManyConnections,
        // disk full, table full (which means the disk), memory, threads
        1021 | 1114 | 1037 | 1038 | 1041 | 1135 => FaultClass::Exhausted,
        1049 => FaultClass::NoDatabase,
        1205 | 3572 => FaultClass::Lock,
        1213 => FaultClass::Deadlock,
        // Galera and Group Replication
        1180 | 3101 => FaultClass::Serialization,
        1317 | 1969 | 3024 | 1028 => FaultClass::Cancelled,
        1044 | 1142 | 1143 | 1227 | 1370 | 1419 => FaultClass::Privilege,
        STATEMENT_BINLOG => FaultClass::UnsafeSetting,
        1792 | 1290 | 1836 => FaultClass::ReadOnly,
        1046 | 1051 | 1054 | 1109 | 1146 | 1305 => FaultClass::Missing,
        1022 | 1048 | 1062 | 1169 | 1216 | 1217 | 1451 | 1452 | 1557 | 1586 | 1761 | 1762
        | 3819 => FaultClass::Constraint,
        // MariaDB's CHECK; MySQL has another error under this number
        4025 if state == Some("23000") => FaultClass::Constraint,
        1264 | 1265 | 1292 | 1366 | 1406 | 1411 | 1690 | 3140 => FaultClass::Data,
        // shutdown, killed, timed out while idle
        1053 | 1077 | 1152 | 1158..=1161 | 1184 | 1927 | 4031 => match phase {
            Phase::Connecting => FaultClass::Unreachable,
            Phase::Session => FaultClass::Lost,
        },
        _ => FaultClass::Other,
    }
}

/// Constraint and table as MySQL and MariaDB put them into their sentences. Only what stands after
/// the last marker is taken, because a duplicate's value stands before it.
fn names_in_message(number: u16, message: &str) -> (Option<String>, Option<String>) {
    match number {
        1022 | 1062 | 1169 | 1586 => {
            // Duplicate entry 'VALUE' for key 'table.index'
            let key = message
                .rfind("' for key '")
                .map(|at| &message[at + "' for key '".len()..])
                .and_then(|rest| rest.strip_suffix('\''));
            match key.map(|key| {
                key.split_once('.')
                    .map_or((key, None), |(t, k)| (k, Some(t)))
            }) {
                Some((key, table)) => (Some(key.to_owned()), table.map(str::to_owned)),
                None => (None, None),
            }
        }
        // … a foreign key constraint fails (`db`.`table`, CONSTRAINT `name` FOREIGN KEY …)
        1451 | 1452 => (
            quoted_after(message, "CONSTRAINT `"),
            quoted_after(message, "fails (`").and_then(|_| quoted_after(message, "`.`")),
        ),
        // Check constraint 'name' is violated.
        3819 => (
            message
                .strip_prefix("Check constraint '")
                .and_then(|rest| rest.strip_suffix("' is violated."))
                .map(str::to_owned),
            None,
        ),
        // CONSTRAINT `name` failed for `db`.`table`
        4025 => (
            quoted_after(message, "CONSTRAINT `"),
            quoted_after(message, "`.`"),
        ),
        _ => (None, None),
    }
}

fn quoted_after(message: &str, marker: &str) -> Option<String> {
    let start = message.find(marker)? + marker.len();
    let rest = &message[start..];
    Some(rest[..rest.find('`')?].to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn mysql(number: u16, message: &str) -> Fault {
        Fault::from_mysql(number, Some("23000"), message, Phase::Session)
    }

    #[test]
    fn a_duplicate_entry_keeps_the_key_and_loses_the_value() {
        let fault = mysql(
            1062,
            "Duplicate entry 'ada@example.org' for key 'people.email'",
        );
        assert_eq!(fault.class, FaultClass::Constraint);
        assert_eq!(fault.constraint.as_deref(), Some("email"));
        assert_eq!(fault.table.as_deref(), Some("people"));
        assert!(!format!("{fault} {fault:?}").contains("ada@"));
    }

    #[test]
    fn what_a_trigger_writes_like_a_name_is_told_only_where_it_can_be_one() {
        let fault = mysql(1062, "x' for key 'ada@example.org'");
        assert_eq!(fault.class, FaultClass::Constraint);
        assert_eq!((&fault.constraint, &fault.table), (&None, &None));
    }

    /// What a client is told of a self-signed certificate that it was given as its authority.
    fn of_self_signed(authority: bool) -> Option<&'static str> {
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier;
        use rustls::pki_types::{ServerName, UnixTime};

        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.is_ca = if authority {
            rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)
        } else {
            rcgen::IsCa::ExplicitNoCa
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), ring);
        let name = ServerName::try_from("localhost").unwrap();
        let found = verifier.build().unwrap().verify_server_cert(
            certificate.der(),
            &[],
            &name,
            &[],
            UnixTime::now(),
        );
        found.err().map(|error| tls_hint(&error))
    }

    #[test]
    fn a_self_signed_certificate_that_is_an_authoritys_is_told_with_what_helps() {
        let told = of_self_signed(true).unwrap();
        assert!(told.contains("basicConstraints=CA:FALSE"), "{told}");
        assert_eq!(of_self_signed(false), None, "what is advised does not help");
    }

    #[test]
    fn a_value_that_imitates_the_sentence_is_not_taken_for_the_key() {
        let fault = mysql(
            1062,
            "Duplicate entry 'x' for key 'ada@example.org' for key 'PRIMARY'",
        );
        assert_eq!(fault.constraint.as_deref(), Some("PRIMARY"));
        assert!(!format!("{fault} {fault:?}").contains("ada@"));
    }

    #[test]
    fn a_refused_delete_names_the_foreign_key_and_the_child() {
        let fault = mysql(
            1451,
            "Cannot delete or update a parent row: a foreign key constraint fails \
             (`crm`.`enrolments`, CONSTRAINT `enrolment_learner` FOREIGN KEY (`learner_id`) \
             REFERENCES `learners` (`id`))",
        );
        assert_eq!(fault.constraint.as_deref(), Some("enrolment_learner"));
        assert_eq!(fault.table.as_deref(), Some("enrolments"));
    }

    #[test]
    fn other_messages_leave_no_trace() {
        let fault = mysql(
            1366,
            "Incorrect integer value: 'ada@example.org' for column",
        );
        assert_eq!(fault.class, FaultClass::Data);
        assert!(!format!("{fault} {fault:?}").contains("ada@"));
    }

    #[test]
    fn a_lost_connection_never_proves_a_rollback() {
        assert!(!Fault::bare(FaultClass::Lost).proves_rollback());
        let interrupted = mysql(1317, "Query execution was interrupted");
        assert!(!interrupted.proves_rollback());
        assert!(mysql(1213, "Deadlock found").proves_rollback());
    }

    #[test]
    fn what_the_server_lacks_is_not_taken_for_an_unreachable_one_or_a_changed_schema() {
        for (number, reason, passes) in [
            (1049, Reason::NoSuchDatabase, false),
            (1040, Reason::TooManyConnections, true),
            (1021, Reason::ServerExhausted, true),
            (1114, Reason::ServerExhausted, true),
            (1146, Reason::Drifted, false),
            (1665, Reason::UnsafeSetting, false),
            (1264, Reason::ColumnUnfit, false),
        ] {
            let fault = mysql(number, "");
            let found = (fault.reason(), fault.is_retryable());
            assert_eq!(found, (reason, passes), "{number}");
        }
    }

    #[test]
    fn postgres_codes_find_their_class() {
        for (state, class) in [
            ("55P03", FaultClass::Lock),
            ("40P01", FaultClass::Deadlock),
            ("57014", FaultClass::Cancelled),
            ("23503", FaultClass::Constraint),
            ("22001", FaultClass::Data),
            ("25006", FaultClass::ReadOnly),
            ("57P01", FaultClass::Lost),
            ("28P01", FaultClass::Authentication),
            ("53100", FaultClass::Exhausted),
            ("53300", FaultClass::TooManyConnections),
            ("3D000", FaultClass::NoDatabase),
        ] {
            assert_eq!(class_of_sqlstate(state, false), class, "{state}");
        }
        assert_eq!(class_of_sqlstate("25P03", true), FaultClass::Lost);
    }
}
