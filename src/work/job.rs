//! One piece of work on one database: a plan, or a run. The same for controller and CLI.

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::ledger::Owner;
use oubliette_core::name::Ident;
use oubliette_core::plan::{Intent, Refusal};
use oubliette_core::policy::Policy;
use oubliette_core::report::{PlanReport, Progress, RunReport};
use secrecy::SecretSlice;
use tokio::sync::watch;

use crate::database::Database;

/// Which policy the work is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRef {
    /// The resource's UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The generation whose spec is worked on.
    pub generation: i64,
}

/// How hard the work may push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// As fast as the engine allows, with several workers; otherwise rate-limited.
    pub backlog: bool,
    /// How long one transaction should take.
    pub batch_duration: std::time::Duration,
    /// Workers over disjoint key ranges (used in Backlog).
    pub workers: u32,
    /// Most rows a second; `None`: a fifth of the rate measured in the first batches.
    pub max_rows_per_second: Option<u32>,
    /// How long to wait for a lock (InnoDB: whole seconds, rounded up).
    pub lock_timeout: std::time::Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Count and report; changes nothing and needs no ledger.
    Plan,
    /// Carry the policy out. An open run of this policy in the ledger is resumed first, whatever id
    /// is asked for.
    Run {
        /// Primary key of the run in the ledger.
        id: String,
    },
}

/// One piece of work.
#[derive(Debug)]
pub struct Job {
    /// The policy.
    pub policy: PolicyRef,
    /// The defaulted spec without mode, schedule and suspend: it goes into the digest.
    pub spec: serde_json::Value,
    /// The parsed policy.
    pub rules: Policy,
    /// The database.
    pub database: Database,
    /// Whose ledger it must be.
    pub owner: Owner,
    /// The ledger's schema, or on MySQL its table prefix.
    pub ledger: Ident,
    /// How hard to push.
    pub pacing: Pacing,
    /// The key of the pseudonyms, where a strategy is keyed.
    pub pseudonym_key: Option<SecretSlice<u8>>,
    /// Which privileges are asked for: a plan of a policy in mode Enforce is refused where a run
    /// would be.
    pub intent: Intent,
    /// What is to be done.
    pub kind: JobKind,
    /// The operator's clock when the job was made.
    pub now: Timestamp,
}

/// Why a job is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// The program ends; the run stays open and is resumed.
    Shutdown,
    /// Another replica leads now; the run stays open and is resumed there.
    LeaseLost,
    /// `suspend: true`; the run stays open and is resumed.
    Suspended,
    /// The spec changed; the run is ended as abandoned.
    SpecChanged,
    /// The resource is gone or its namespace ends; the run is ended as abandoned.
    Deleted,
}

impl StopWhy {
    /// Whether the run is ended in the ledger rather than left open.
    pub fn abandons(self) -> bool {
        match self {
            Self::SpecChanged | Self::Deleted => true,
            Self::Shutdown | Self::LeaseLost | Self::Suspended => false,
        }
    }
}

/// Tells a job to stop: `None` until it should.
pub type StopSignal = watch::Receiver<Option<StopWhy>>;

/// How a job ended.
#[derive(Clone, Debug)]
pub enum JobOutcome {
    /// The plan stands and nothing was changed.
    Planned(PlanReport),
    /// Something stands in the way; nothing was changed.
    Refused {
        /// The figures, where it came to counting.
        plan: Option<PlanReport>,
        /// Everything that stands in the way.
        refusals: Vec<Refusal>,
    },
    /// A run ended; its report says how.
    Ran {
        /// The plan it carried out; `None` where the ledger says that the run had ended before.
        plan: Option<PlanReport>,
        /// What it did.
        run: RunReport,
    },
    /// Told to stop.
    Stopped(StopWhy),
    /// It could not be done.
    Failed {
        /// The class.
        reason: Reason,
        /// What happened and what to do; no value of a row.
        message: String,
        /// Whether trying again may help without anybody acting.
        passing: bool,
    },
}

/// Where a job shows how far it is.
pub type ProgressSender = watch::Sender<Progress>;
