//! TargetDatabase: from the manifest to `crate::target::Target`.

use std::time::Duration;

use super::approval::parse_database_guards;
use super::seal::parse_seal_place;
use super::window::parse_windows;
use super::{At, Faults, FieldError, Names};
use crate::api::refs::SecretRef;
use crate::api::retention_policy::LimitsSpec;
use crate::api::target_database::{
    CaSpec, ConnectionSpec, CredentialsSpec, DEFAULT_BATCH_DURATION, DEFAULT_LEDGER,
    DEFAULT_LOCK_TIMEOUT, EngineName, ExpressionSpec, LabelOperator, LedgerSpec, PacingMode,
    PacingSpec, SelectorSpec, TargetDatabaseSpec, TlsMode, TlsSpec, UsableFromSpec, UsableFromWord,
};
use crate::name::Ident;
use crate::period::MachineDuration;
use crate::policy::{Guarded, Limits};
use crate::target::{Ca, Connection, LabelTest, Pacing, Target, Tls, UsableFrom};

impl Target {
    /// Parses a TargetDatabase's spec, or names every fault of it.
    pub fn parse(spec: &TargetDatabaseSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let target = parse_target(&faults.root(), spec);
        faults.conclude(target)
    }
}

fn parse_target(at: &At<'_>, spec: &TargetDatabaseSpec) -> Option<Target> {
    let TargetDatabaseSpec {
        engine,
        connection,
        ledger,
        guards,
        usable_from,
        suspend,
        pacing,
        seal,
        unknown,
    } = spec;
    at.known::<TargetDatabaseSpec>(unknown);
    let engine = at.field("engine").word(engine.as_ref());
    let connection_at = at.field("connection");
    let connection = connection_at
        .required(
            connection.as_ref(),
            "`{host: …, database: …, credentials: …}`",
        )
        .and_then(|connection| parse_connection(&connection_at, connection, engine));
    let ledger = parse_ledger(&at.field("ledger"), ledger.as_ref());
    let guards = parse_database_guards(&at.field("guards"), guards.as_ref());
    let usable_from = parse_usable_from(&at.field("usableFrom"), usable_from.as_ref());
    let windows = parse_windows(&at.field("pacing"), pacing.as_ref());
    let pacing = parse_pacing(&at.field("pacing"), pacing.as_ref());
    let seal = match seal {
        None => Some(None),
        Some(seal) => {
            let database = connection.as_ref().map(|to| to.database.as_str());
            parse_seal_place(&at.field("seal"), seal, engine, database).map(Some)
        }
    };
    let (guards, asks) = guards?;
    Some(Target {
        engine: engine?,
        connection: connection?,
        ledger: ledger?,
        guards,
        asks,
        usable_from: usable_from?,
        suspend: suspend.unwrap_or(false),
        pacing: pacing?,
        windows: windows?,
        seal: seal?,
    })
}

fn parse_connection(
    at: &At<'_>,
    spec: &ConnectionSpec,
    engine: Option<EngineName>,
) -> Option<Connection> {
    let ConnectionSpec {
        host,
        port,
        database,
        credentials,
        tls,
        unknown,
    } = spec;
    at.known::<ConnectionSpec>(unknown);
    let host_at = at.field("host");
    let host = host_at
        .text(host.as_ref(), "`crm-rw.crm.svc`")
        .and_then(|host| {
            let plain = host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".:_-".contains(c));
            if !plain || host.len() > 253 {
                host_at.invalid("write a host name or an address, without a scheme, port or path");
                return None;
            }
            Some(host.to_owned())
        });
    let port = match port {
        Some(port) => at.field("port").within(i64::from(*port), 1, 65_535),
        None => Some(match engine {
            Some(EngineName::PostgreSQL) | None => 5432,
            Some(EngineName::MySQL) => 3306,
        }),
    };
    let database = at
        .field("database")
        .column(
            database.as_ref(),
            &Names {
                engine,
                database: None,
                seal: None,
            },
            "`crm`",
        )
        .map(String::from);
    let credentials_at = at.field("credentials");
    let credentials = credentials_at
        .required(credentials.as_ref(), "`{secretRef: {name: crm-oubliette}}`")
        .and_then(
            |CredentialsSpec {
                 secret_ref,
                 unknown,
             }| {
                credentials_at.known::<CredentialsSpec>(unknown);
                let secret_at = credentials_at.field("secretRef");
                let SecretRef { name, unknown } =
                    secret_at.required(secret_ref.as_ref(), "`{name: crm-oubliette}`")?;
                secret_at.known::<SecretRef>(unknown);
                secret_at
                    .field("name")
                    .object_name(name.as_ref(), "`crm-oubliette`")
                    .map(str::to_owned)
            },
        );
    let tls = parse_tls(&at.field("tls"), tls.as_ref());
    Some(Connection {
        host: host?,
        port: port?,
        database: database?,
        credentials: credentials?,
        tls: tls?,
    })
}

fn parse_tls(at: &At<'_>, spec: Option<&TlsSpec>) -> Option<Tls> {
    let Some(TlsSpec { mode, ca, unknown }) = spec else {
        return Some(Tls {
            mode: TlsMode::VerifyFull,
            ca: None,
        });
    };
    at.known::<TlsSpec>(unknown);
    let mode = at.field("mode").word_or(mode.as_ref(), TlsMode::VerifyFull);
    let ca_at = at.field("ca");
    let ca = match ca {
        None => Some(None),
        Some(ca) => parse_ca(&ca_at, ca).map(Some),
    };
    if mode == Some(TlsMode::Disable) && ca.as_ref().is_some_and(Option::is_some) {
        ca_at.invalid("a CA has no effect where TLS is disabled: remove it, or verify with it");
        return None;
    }
    Some(Tls {
        mode: mode?,
        ca: ca?,
    })
}

fn parse_ca(at: &At<'_>, spec: &CaSpec) -> Option<Ca> {
    let CaSpec {
        secret_ref,
        config_map_ref,
        unknown,
    } = spec;
    at.known::<CaSpec>(unknown);
    match (secret_ref, config_map_ref) {
        (Some(secret), None) => at
            .field("secretRef")
            .key_ref(secret, "`ca.crt`")
            .map(Ca::Secret),
        (None, Some(map)) => at
            .field("configMapRef")
            .key_ref(map, "`ca.crt`")
            .map(Ca::ConfigMap),
        (Some(_), Some(_)) | (None, None) => {
            at.invalid("write exactly one of secretRef and configMapRef");
            None
        }
    }
}

fn parse_ledger(at: &At<'_>, spec: Option<&LedgerSpec>) -> Option<Ident> {
    let schema_at = at.field("schema");
    let name = match spec {
        None => DEFAULT_LEDGER,
        Some(LedgerSpec { schema, unknown }) => {
            at.known::<LedgerSpec>(unknown);
            schema.as_deref().unwrap_or(DEFAULT_LEDGER)
        }
    };
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || name.len() > 32 {
        schema_at.invalid(
            "write at most 32 lower-case letters, digits and underscores, a letter first, such as `oubliette`",
        );
        return None;
    }
    schema_at.parsed(name)
}

pub(super) fn parse_limits(at: &At<'_>, spec: Option<&LimitsSpec>) -> Option<Limits> {
    let Some(LimitsSpec {
        max_rows,
        max_percent,
        unknown,
    }) = spec
    else {
        return Some(Limits::default());
    };
    at.known::<LimitsSpec>(unknown);
    let max_rows = match max_rows {
        None => Some(None),
        Some(rows) => at.field("maxRows").within(*rows, 1, i64::MAX).map(Some),
    };
    let max_percent = match max_percent {
        None => Some(None),
        Some(percent) => at
            .field("maxPercent")
            .within(i64::from(*percent), 1, 100)
            .map(Some),
    };
    Some(Limits {
        max_rows: max_rows?,
        max_percent: max_percent?,
        guarded: Guarded::default(),
    })
}

impl UsableFrom {
    /// Reads who may use an object, and nothing else of it; `None`: it has faults, which the object tells.
    pub fn read(spec: Option<&UsableFromSpec>) -> Option<Self> {
        parse_usable_from(&Faults::default().root(), spec)
    }
}

pub(super) fn parse_usable_from(at: &At<'_>, spec: Option<&UsableFromSpec>) -> Option<UsableFrom> {
    let Some(UsableFromSpec {
        from,
        selector,
        unknown,
    }) = spec
    else {
        return Some(UsableFrom::Same);
    };
    at.known::<UsableFromSpec>(unknown);
    let from = at
        .field("from")
        .word_or(from.as_ref(), UsableFromWord::Same);
    let selector_at = at.field("selector");
    match (from?, selector) {
        (UsableFromWord::Same, None) => Some(UsableFrom::Same),
        (UsableFromWord::All, None) => Some(UsableFrom::All),
        (UsableFromWord::Selector, Some(selector)) => {
            parse_selector(&selector_at, selector).map(UsableFrom::Selector)
        }
        (UsableFromWord::Selector, None) => {
            selector_at.invalid("is required, such as `{matchLabels: {team: crm}}`");
            None
        }
        (UsableFromWord::Same | UsableFromWord::All, Some(_)) => {
            selector_at.invalid("has no effect unless `from: Selector`: remove it, or write that");
            None
        }
    }
}

fn parse_selector(at: &At<'_>, spec: &SelectorSpec) -> Option<Vec<LabelTest>> {
    let SelectorSpec {
        match_labels,
        match_expressions,
        unknown,
    } = spec;
    at.known::<SelectorSpec>(unknown);
    let mut tests: Vec<_> = match_labels
        .iter()
        .flatten()
        .map(|(key, value)| LabelTest::In(key.clone(), vec![value.clone()]))
        .collect();
    let expressions_at = at.field("matchExpressions");
    let mut complete = true;
    for (i, expression) in match_expressions.iter().flatten().enumerate() {
        match parse_expression(&expressions_at.index(i), expression) {
            Some(test) => tests.push(test),
            None => complete = false,
        }
    }
    if complete && tests.is_empty() {
        at.invalid("an empty selector selects everything: write matchLabels or matchExpressions, or `from: All`");
        return None;
    }
    complete.then_some(tests)
}

fn parse_expression(at: &At<'_>, spec: &ExpressionSpec) -> Option<LabelTest> {
    let ExpressionSpec {
        key,
        operator,
        values,
        unknown,
    } = spec;
    at.known::<ExpressionSpec>(unknown);
    let key = at
        .field("key")
        .text(key.as_ref(), "`team`")
        .map(str::to_owned);
    let operator = at.field("operator").word(operator.as_ref())?;
    let key = key?;
    let values_at = at.field("values");
    let values = values.clone().unwrap_or_default();
    let wants_values = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
    if wants_values == values.is_empty() {
        values_at.invalid("In and NotIn need values, Exists and DoesNotExist take none");
        return None;
    }
    Some(match operator {
        LabelOperator::In => LabelTest::In(key, values),
        LabelOperator::NotIn => LabelTest::NotIn(key, values),
        LabelOperator::Exists => LabelTest::Exists(key),
        LabelOperator::DoesNotExist => LabelTest::DoesNotExist(key),
    })
}

fn parse_pacing(at: &At<'_>, spec: Option<&PacingSpec>) -> Option<Pacing> {
    let absent = PacingSpec::default();
    let PacingSpec {
        mode,
        batch_duration,
        workers,
        max_rows_per_second,
        lock_timeout,
        windows: _,
        unknown,
    } = spec.unwrap_or(&absent);
    at.known::<PacingSpec>(unknown);
    let mode = at.field("mode").word_or(mode.as_ref(), PacingMode::Steady);
    let batch_duration = parse_duration(
        &at.field("batchDuration"),
        batch_duration.as_deref().unwrap_or(DEFAULT_BATCH_DURATION),
        Duration::from_millis(5)..=Duration::from_secs(10),
        "5ms to 10s",
    );
    let lock_timeout = parse_duration(
        &at.field("lockTimeout"),
        lock_timeout.as_deref().unwrap_or(DEFAULT_LOCK_TIMEOUT),
        Duration::from_millis(10)..=Duration::from_mins(1),
        "10ms to 1m",
    );
    let workers = at
        .field("workers")
        .within(i64::from(workers.unwrap_or(1)), 1, 16);
    let max_rows_per_second = match max_rows_per_second {
        None => Some(None),
        Some(rows) => at
            .field("maxRowsPerSecond")
            .within(*rows, 1, 10_000_000)
            .map(Some),
    };
    Some(Pacing {
        mode: mode?,
        batch_duration: batch_duration?,
        workers: match mode? {
            PacingMode::Steady => 1,
            PacingMode::Backlog => workers?,
        },
        max_rows_per_second: max_rows_per_second?,
        lock_timeout: lock_timeout?,
    })
}

pub(crate) fn parse_duration(
    at: &At<'_>,
    text: &str,
    range: std::ops::RangeInclusive<Duration>,
    words: &str,
) -> Option<Duration> {
    let duration = at.parsed::<MachineDuration>(text)?.as_duration();
    if !range.contains(&duration) {
        at.invalid(format!("{text} is out of range: write {words}"));
        return None;
    }
    Some(duration)
}
