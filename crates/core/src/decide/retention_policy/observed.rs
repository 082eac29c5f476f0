//! What a decision about a policy is made from.

use jiff::Timestamp;

use crate::api::parse::FieldError;
use crate::api::retention_policy::RetentionPolicyStatus;
use crate::approval::Asks;
use crate::catalog::Engine;
use crate::decide::Meta;
use crate::decide::approval::Filed;
use crate::decide::job::{JobKind, JobOutcome};
use crate::decide::retry::Failures;
use crate::plan::Assent;
use crate::report::{Loosened, Progress};
use crate::schedule::{Schedule, WorkWindows};

/// What the controller found.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The object's metadata.
    pub meta: Meta<'a>,
    /// What the spec asks for, or what is wrong with it.
    pub spec: Result<Wanted<'a>, &'a [FieldError]>,
    /// The status as stored.
    pub status: &'a RetentionPolicyStatus,
    /// The referenced database.
    pub database: Database,
    /// What to say of overlaps with other policies.
    pub conflicts: &'a [String],
    /// What to say of DataMaps of its database that cannot be read.
    pub unreadable: &'a [String],
    /// Digest of the DataMaps that bind it.
    pub duties: Option<&'a str>,
    /// The Approvals of a policy of this name.
    pub approvals: &'a [Filed],
    /// The holds on the policy's tables whose objects tell that they were released.
    pub released: &'a [Loosened],
    /// This policy's job.
    pub job: Job<'a>,
    /// What is remembered of failures.
    pub failures: Failures,
    /// When progress was last written to the status.
    pub told_at: Option<Timestamp>,
    /// Between 0 and 1, new each time.
    pub jitter: f64,
    /// The clock.
    pub now: Timestamp,
}

/// What the spec asks for, as far as it concerns when to run.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// When.
    pub schedule: &'a Schedule,
    /// When the database may be worked on.
    pub windows: &'a WorkWindows,
    /// Whether rows are changed.
    pub enforce: bool,
    /// Whether nothing is to run.
    pub suspended: bool,
    /// What is asked for before rows are changed.
    pub asks: Asks,
    /// Digest of what is promised: the spec without mode, schedule and suspend.
    pub digest: &'a str,
}

/// The state of the referenced TargetDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// There is none of that name.
    NotFound(String),
    /// Its owner does not allow its use from this namespace.
    NotUsable(String),
    /// It is suspended.
    Suspended(String),
    /// It was not looked at yet as it is now.
    Pending(String),
    /// Its manifest has faults, which could be a misspelt guard.
    Invalid(String),
    /// Its ledger is behind what is remembered of it.
    Rewound(String),
    /// It was looked at and is not fit.
    NotReady(String),
    /// It can be used.
    Ready(Engine),
}

impl Database {
    /// The engine, where it is known.
    pub(in crate::decide) fn engine(&self) -> Option<Engine> {
        match self {
            Self::Ready(engine) => Some(*engine),
            Self::NotFound(_)
            | Self::NotUsable(_)
            | Self::Suspended(_)
            | Self::Pending(_)
            | Self::Invalid(_)
            | Self::Rewound(_)
            | Self::NotReady(_) => None,
        }
    }
}

/// This policy's job.
#[derive(Clone, Debug)]
pub enum Job<'a> {
    /// None.
    None,
    /// Under way.
    Running {
        /// What it does.
        kind: &'a JobKind,
        /// Whether it carries out what the spec says now.
        current: bool,
        /// What it was allowed by.
        under: Option<&'a Assent>,
        /// How far it is.
        progress: &'a Progress,
    },
    /// At its end, which the status does not tell yet.
    Finished(Finished<'a>),
}

/// A job at its end.
#[derive(Clone, Debug)]
pub struct Finished<'a> {
    /// What it was to do.
    pub kind: &'a JobKind,
    /// The generation it was started for.
    pub generation: i64,
    /// Whether that was in mode DryRun.
    pub dry: bool,
    /// Digest of the DataMaps that bound it then.
    pub duties: Option<&'a str>,
    /// How it ended.
    pub outcome: &'a JobOutcome,
}
