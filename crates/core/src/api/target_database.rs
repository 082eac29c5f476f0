//! TargetDatabase (`odb`): one existing database. Fields, their manual, and the status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::guards::DatabaseGuardsSpec;
use super::refs::{KeyRef, SecretRef};
use super::retention_policy::DEFAULT_TIME_ZONE;
use super::status::conditions_schema;
use super::words::{Choice, words};
use crate::ledger::HoldRow;
use crate::period::MachineDuration;

/// The ledger's schema (PostgreSQL) or table prefix (MySQL) where none is named.
pub const DEFAULT_LEDGER: &str = "oubliette";
/// The longest time one transaction should take, where nothing is said.
pub const DEFAULT_BATCH_DURATION: &str = "50ms";
/// How long a batch waits for a lock, where nothing is said.
pub const DEFAULT_LOCK_TIMEOUT: &str = "100ms";

/// One existing database and how it may be treated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(oldSelf.seal) || (has(self.seal) && self.seal.schema == oldSelf.seal.schema)",
    "message": "seal.schema is immutable: rows that were sealed are there"
}]))]
pub struct TargetDatabaseSpec {
    /// PostgreSQL or MySQL; MariaDB is declared as MySQL and detected. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "engine is immutable: create another TargetDatabase"
    }]))]
    pub engine: Option<Choice<EngineName>>,
    /// Where the database is and as whom to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub connection: Option<ConnectionSpec>,
    /// Where Oubliette keeps its records in this database. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "default" = {"schema": DEFAULT_LEDGER},
        "x-kubernetes-validations" = [{
            "rule": "self == oldSelf",
            "message": "ledger is immutable: the records of past runs are there"
        }]
    ))]
    pub ledger: Option<LedgerSpec>,
    /// Floors for every policy of this database: whoever writes policies can only tighten them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guards: Option<DatabaseGuardsSpec>,
    /// From which namespaces policies may use this database. Default: its own only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = {"from": "Same"}))]
    pub usable_from: Option<UsableFromSpec>,
    /// Stops every run in this database within one batch and starts none until it is false again.
    /// Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub suspend: Option<bool>,
    /// How fast rows are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = {
        "mode": "Steady",
        "batchDuration": DEFAULT_BATCH_DURATION,
        "workers": 1,
        "lockTimeout": DEFAULT_LOCK_TIMEOUT
    }))]
    pub pacing: Option<PacingSpec>,
    /// Where rows are kept that rules seal (`action.type: Seal`, `grace`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// The declared family of the server.
    pub enum EngineName {
        /// PostgreSQL.
        PostgreSQL,
        /// MySQL or MariaDB.
        MySQL,
    }
}

/// Where the database is and as whom to connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionSpec {
    /// Host name or address. The server's certificate must carry it. Use the primary, and a session
    /// pooler at most. Example: `crm-rw.crm.svc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        required,
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9.:_-]+$")
    )]
    pub host: Option<String>,
    /// TCP port. Default: 5432 for PostgreSQL, 3306 for MySQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The database's name. Example: `crm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub database: Option<String>,
    /// User and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub credentials: Option<CredentialsSpec>,
    /// How the connection is protected. Default: TLS, the certificate verified in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = {"mode": "VerifyFull"}))]
    pub tls: Option<TlsSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSpec {
    /// A Secret in the same namespace with the keys `username` and `password`. The privileges that
    /// the user needs are printed by `oubliette grants -f FILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub secret_ref: Option<SecretRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How the connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.ca) || !has(self.mode) || self.mode != 'Disable'",
    "message": "a ca has no effect where tls is disabled: remove one of them"
}]))]
pub struct TlsSpec {
    /// VerifyFull: the certificate must come from the CA and carry the host's name. VerifyCa: it must
    /// come from the CA. Disable: no TLS; credentials and rows cross the network readable.
    /// Default: VerifyFull.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "VerifyFull"))]
    pub mode: Option<Choice<TlsMode>>,
    /// The certificates of the CA in PEM. Default: the CAs of the operator's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How the connection is protected.
    pub enum TlsMode {
        /// CA and host name are verified.
        VerifyFull,
        /// The CA is verified.
        VerifyCa,
        /// No TLS.
        Disable,
    }
}

/// Where the CA's certificates are: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.secretRef) != has(self.configMapRef)",
    "message": "write exactly one of secretRef and configMapRef"
}]))]
pub struct CaSpec {
    /// A key of a Secret in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyRef>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Where the records are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerSpec {
    /// PostgreSQL: the name of a schema of its own. MySQL and MariaDB: a prefix of the ledger's
    /// tables in the connection's database, so that dumps carry them. Default: oubliette.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[a-z][a-z0-9_]*$"),
        extend("default" = DEFAULT_LEDGER)
    )]
    pub schema: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Where sealed rows are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealSpec {
    /// PostgreSQL: a schema of the same database. MySQL and MariaDB: another database of the same
    /// server. Rows of `public.people` are moved to `SCHEMA.people`, which must exist with the same
    /// columns and two more; a plan without it prints the statements that create it. Immutable: sealed rows are there.
    /// Example: `sealed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 64))]
    pub schema: Option<String>,
    /// Roles (PostgreSQL) or accounts (`name@host`) that may read sealed rows, beside the owner,
    /// administrators and the operator's own user. Anybody else who may refuses the plan
    /// (`SealedReadable`). Default: nobody. Example: `[dpo]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub readers: Option<Vec<String>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// From which namespaces a database may be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.from) && self.from == 'Selector') == has(self.selector)",
    "message": "from: Selector needs a selector, and only it takes one"
}]))]
pub struct UsableFromSpec {
    /// Same: its own namespace. Selector: its own and those whose labels match `selector`. All: every
    /// namespace. Default: Same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Same"))]
    pub from: Option<Choice<UsableFromWord>>,
    /// For Selector: the labels of the namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<SelectorSpec>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// From which namespaces a database may be used.
    pub enum UsableFromWord {
        /// Its own.
        Same,
        /// Those whose labels match.
        Selector,
        /// Every one.
        All,
    }
}

/// A selector of labels; all of it must hold. An empty one is refused, because it would select
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
    "message": "an empty selector selects everything: write matchLabels or matchExpressions, or from: All"
}]))]
pub struct SelectorSpec {
    /// Labels with exactly these values. Example: `team: crm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "maxProperties" = 16,
        "additionalProperties" = {"type": "string", "maxLength": 63}
    ))]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Expressions over labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Option<Vec<ExpressionSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// An expression over one label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) : has(self.values)",
    "message": "In and NotIn need values, Exists and DoesNotExist take none"
}]))]
pub struct ExpressionSpec {
    /// The label's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 317))]
    pub key: Option<String>,
    /// In, NotIn, Exists or DoesNotExist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub operator: Option<Choice<LabelOperator>>,
    /// For In and NotIn: the label's values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Option<Vec<String>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How a label is tested.
    pub enum LabelOperator {
        /// One of the values.
        In,
        /// None of the values, or no such label.
        NotIn,
        /// There is such a label.
        Exists,
        /// There is none.
        DoesNotExist,
    }
}

/// How fast rows are changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PacingSpec {
    /// Steady: rate-limited, so that the application hardly notices. Backlog: as fast as the server
    /// allows, with as many `workers` as are set; for a first clean-up at a quiet time. Default: Steady.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Steady"))]
    pub mode: Option<Choice<PacingMode>>,
    /// How long one transaction should take; batches grow and shrink to it. It bounds how long the
    /// application can wait for a row. Where a transaction is slow whatever it changes (a slow commit,
    /// a long way to the server), its rows may add half as much again. Between 5ms and 10s.
    /// Default: 50ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = MachineDuration::PATTERN))]
    #[schemars(extend(
        "default" = DEFAULT_BATCH_DURATION,
        "x-kubernetes-validations" = [{
            "rule": "duration(self) >= duration('5ms') && duration(self) <= duration('10s')",
            "message": "batchDuration must be between 5ms and 10s"
        }]
    ))]
    pub batch_duration: Option<String>,
    /// For Backlog: how many workers change rows at once, each over a range of keys of its own, and how
    /// many sessions count larger tables at once. Default: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16), extend("default" = 1))]
    pub workers: Option<i32>,
    /// Most rows changed per second, in either mode. Left out: in Backlog no bound, in Steady a share of what the
    /// database does while a batch runs. The first 5000 rows of a rule, or its first second of work, are changed without a
    /// pause and measured; then the rate is a fifth of that, 0.2 % more after each batch that is not
    /// slower than expected, up to two fifths; half of it after a lock that was waited for in vain,
    /// down to a twentieth; never below 100. What the database does is measured with every batch. On
    /// PostgreSQL each batch and the rest behind it also take as long as what was written to the log (WAL)
    /// while it ran takes at 25 MB a second, for this a second at the most; a stated rate lifts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_rows_per_second: Option<i64>,
    /// How long a batch waits for a row that the application has locked; such rows are left for the
    /// end of the run. Between 10ms and 1m; MySQL and MariaDB round up to whole seconds. On PostgreSQL
    /// keep it well below `deadlock_timeout` (1s): where a batch and the application wait for each other,
    /// the batch should give up before the server ends either of them. Default: 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = MachineDuration::PATTERN))]
    #[schemars(extend(
        "default" = DEFAULT_LOCK_TIMEOUT,
        "x-kubernetes-validations" = [{
            "rule": "duration(self) >= duration('10ms') && duration(self) <= duration('1m')",
            "message": "lockTimeout must be between 10ms and 1m"
        }]
    ))]
    pub lock_timeout: Option<String>,
    /// When rows may be counted and changed. Left out: at any time. A run stops within one batch when
    /// its window closes, and goes on in the next one from where it was, with the same cutoff; a run
    /// that falls due between two windows begins with the next, and so does one that
    /// `oubliette.dev/run-now` asks for, and the counting for a plan or a dry run. Windows that overlap
    /// are one. A window must be long enough for a count, which begins anew in each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub windows: Option<Vec<WindowSpec>>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A window of time that opens again and again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowSpec {
    /// When it opens: five fields as in CronJob, read in `timeZone`. Example: `0 22 * * *`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 6, max = 128))]
    pub schedule: Option<String>,
    /// For how long it is open, between 1s and 168h; time that passes, whatever clocks show. Longer than
    /// from one opening to the next means always open. Example: `8h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(max = 32), regex(pattern = MachineDuration::PATTERN))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('168h')",
        "message": "duration must be between 1s and 168h"
    }]))]
    pub duration: Option<String>,
    /// The time zone of the schedule, by its IANA name. Default: Etc/UTC. Example: `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("default" = DEFAULT_TIME_ZONE))]
    pub time_zone: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

words! {
    /// How fast rows are changed.
    pub enum PacingMode {
        /// Rate-limited.
        Steady,
        /// As fast as the server allows.
        Backlog,
    }
}

/// What is known of a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetDatabaseStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, and while they hold Reconciling and Stalled. docs/reasons.md explains every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The engine that answered: PostgreSQL, MySQL or MariaDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub engine: Option<String>,
    /// Its version as the server states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// The ledger that was found; left out while there is none (a dry run needs none).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerStatus>,
    /// Legal holds that are in force and whose LegalHold objects are gone. `oubliette hold release`
    /// ends one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned_holds: Option<OrphanedHolds>,
    /// Tables with dates or personal-looking columns about which no policy decides; `oubliette coverage`
    /// lists them all. Left out while the user may not see every table (on MySQL and MariaDB that takes
    /// PROCESS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageStatus>,
    /// That the database was restored to an instant before erasures, until they have been applied again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredStatus>,
    /// The last look through the database for erased persons who are back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_persons: Option<ErasedPersonsStatus>,
    /// How far the server's clock was from the operator's at `checkedAt`, such as `120ms` or `-3s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub clock_skew: Option<String>,
    /// When what stands here was found, or found again. The database is looked at every five minutes; where
    /// nothing has changed, that is written once an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Timestamp>,
}

/// Tables about which no policy decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CoverageStatus {
    /// How many tables the database has, the ledger's own left out.
    pub tables: i64,
    /// How many of them have dates or personal-looking columns and no decision.
    pub gaps: i64,
    /// The names of the first of those.
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
}

/// A database that was restored to an instant before erasures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredStatus {
    /// Since when that is known.
    pub since: Timestamp,
    /// Requests that are still to be applied again.
    pub again: i64,
    /// Requests of which nothing is kept by which their persons could be found, and those that went before they
    /// were applied again.
    pub forgotten: i64,
    /// Requests that were applied again.
    #[serde(default)]
    pub applied: i64,
}

/// A look for erased persons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasedPersonsStatus {
    /// When.
    pub looked_at: Timestamp,
    /// Requests whose persons are back.
    pub requests: i64,
    /// Rows that hold an identifier of theirs.
    pub rows: i64,
    /// How many of those rows are of requests that do not exist any more: nobody else tells of them.
    pub of_nobody: i64,
}

/// Holds whose objects are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OrphanedHolds {
    /// How many.
    pub count: i64,
    /// Namespaces and names of the first of them.
    #[schemars(length(max = 16), inner(length(max = 512)), extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
}

impl OrphanedHolds {
    /// Holds that are named.
    const NAMED: usize = 16;

    /// `None`: there are none.
    pub(crate) fn of(holds: &[HoldRow]) -> Option<Self> {
        (!holds.is_empty()).then(|| Self {
            count: i64::try_from(holds.len()).unwrap_or(i64::MAX),
            names: holds
                .iter()
                .take(Self::NAMED)
                .map(|hold| hold.name.clone())
                .collect(),
        })
    }
}

/// The ledger as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LedgerStatus {
    /// The version of its tables.
    pub version: i64,
    /// Head of its evidence chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub head: Option<String>,
}
