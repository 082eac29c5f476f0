//! Every reason a condition, event or refusal can carry: its meaning and what to do about it.
//! One place; the docs page of reasons is generated from it.

use serde::{Deserialize, Serialize};

/// Why a resource is in the state it is in. CamelCase, stable: people write alerts on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    // Progress: nothing is wrong.
    /// The controller has not looked yet.
    Pending,
    /// The database answers and is usable.
    Connected,
    /// A plan is being made.
    Planning,
    /// A dry run's plan stands; nothing changes.
    DryRun,
    /// The next run waits for its time.
    Scheduled,
    /// A run is under way.
    Running,
    /// The last run did all it planned.
    Completed,
    /// `suspend: true` on the policy or the database.
    Suspended,
    // The manifest.
    /// A field this program does not know: perhaps a misspelt guard.
    UnknownField,
    /// A field has a value that cannot be used.
    InvalidSpec,
    /// Two policies have rules on one table whose rows may overlap.
    Conflict,
    /// The referenced TargetDatabase does not exist.
    DatabaseNotFound,
    /// The TargetDatabase may not be used from this namespace.
    DatabaseNotUsable,
    /// The TargetDatabase is not Ready.
    DatabaseNotReady,
    /// A referenced Secret or ConfigMap does not exist or lacks the key.
    SecretMissing,
    /// The operator may not read a referenced Secret.
    SecretForbidden,
    // The connection.
    /// The host cannot be reached or does not resolve.
    Unreachable,
    /// The server refused user or password.
    AuthenticationFailed,
    /// The server's certificate could not be verified.
    CertificateInvalid,
    /// The server is not of the declared engine, or too old.
    EngineMismatch,
    /// The clocks of operator, database and API server differ by more than five minutes.
    ClockSkew,
    /// A server or session setting makes the run unsafe.
    UnsafeSetting,
    /// The user lacks privileges.
    MissingGrants,
    // The ledger.
    /// The ledger is missing and the user may not create it.
    LedgerMissing,
    /// The ledger belongs to another TargetDatabase or cluster.
    LedgerOwned,
    /// The ledger was written by a newer program.
    LedgerNewer,
    /// The ledger is behind what the resource remembers: the database was restored.
    LedgerRewound,
    // The plan.
    /// A table does not exist or is not visible.
    TableMissing,
    /// A column does not exist.
    ColumnMissing,
    /// A column's type does not fit what the rule asks of it.
    ColumnUnfit,
    /// The table cannot be handled: a view, foreign table, inheritance parent, the ledger's own …
    TableUnfit,
    /// The table's storage engine has no transactions.
    NotTransactional,
    /// The table keeps a history of deleted rows.
    HistoryKept,
    /// The table has no key that rows can be walked by.
    NoUsableKey,
    /// The user cannot see every reference or trigger, so a plan could miss one.
    ReferencesHidden,
    /// A reference to the rows has no decision in `related`.
    ReferenceUndecided,
    /// A reference of a sort that is not handled (self, cycle, composite, not enforced).
    ReferenceUnsupported,
    /// A referencing column without an index: every parent would scan the child table.
    ReferenceUnindexed,
    /// A trigger or rewrite rule would act on the changed rows.
    TriggerPresent,
    /// Row-level security would hide rows from the user.
    RowSecurity,
    /// A publication carries the table without a replica identity.
    ReplicaIdentityMissing,
    /// A transformation would break a constraint of the column.
    ConstraintConflict,
    /// The walk would scan a large table without an index.
    WalkUnindexed,
    /// The plan changes more than the limits allow.
    LimitExceeded,
    // The run.
    /// More rows became eligible during the run than the plan allows.
    CeilingReached,
    /// Schema or spec changed since the plan was made.
    Drifted,
    /// Another worker took the run over.
    TakenOver,
    /// A database error ended the run.
    RunFailed,
    /// Rows stayed locked by the application.
    RowsLocked,
    /// Rows remain that nothing explains.
    VerificationFailed,
    /// The run was ended before its end: the resource is gone or its namespace ends.
    Abandoned,
    /// The program made an error of its own.
    InternalError,
}
