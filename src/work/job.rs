//! One piece of work on one database: a plan, or a run. The same for controller and CLI.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use oubliette_core::api::retention_policy::RetentionPolicySpec;
use oubliette_core::approval::ApprovalGuard;
pub use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::ledger::Owner;
use oubliette_core::name::Ident;
use oubliette_core::plan::{Assent, Consent, Intent, Plan};
use oubliette_core::policy::{Mandate, Mode, Policy};
use oubliette_core::report::Progress;
use oubliette_core::run::BATCHES_PER_PART;
use oubliette_core::schedule::WorkWindows;
use oubliette_core::target::{PacingMode, Target};
use secrecy::SecretSlice;
use tokio::sync::watch;

use super::windows::Reading;
use crate::database::Database;
use crate::metrics::Metrics;

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

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A statement of a batch that runs this long has met something unforeseen.
pub const STATEMENT_LIMIT: std::time::Duration = std::time::Duration::from_mins(1);

/// How hard the work may push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// As fast as the engine allows, with several workers; otherwise rate-limited.
    pub backlog: bool,
    /// How long one transaction should take.
    pub batch_duration: std::time::Duration,
    /// Workers over disjoint key ranges (used in Backlog).
    pub workers: u32,
    /// Most rows a second; `None`: a share of the measured rate (see `Pace::took`).
    pub max_rows_per_second: Option<u32>,
    /// How long to wait for a lock (InnoDB: whole seconds, rounded up).
    pub lock_timeout: std::time::Duration,
    /// A statement of a batch that runs this long is cancelled.
    pub statement_limit: std::time::Duration,
    /// Batches under one checkpoint row before it is replaced by a fresh one.
    pub part: u32,
}

impl Pacing {
    /// Sessions that change rows at once.
    pub(super) fn lanes(&self) -> u32 {
        if self.backlog {
            self.workers.clamp(1, 16)
        } else {
            1
        }
    }

    /// How tables are read: where a rate is stated, by one session.
    pub(super) fn reading(&self) -> Reading {
        let sessions = self.max_rows_per_second.map_or(self.lanes(), |_| 1);
        Reading::of(!self.backlog, sessions)
    }
}

/// A hold that was accepted, as its object remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedHold {
    /// The object's UID.
    pub uid: String,
    /// Its namespace and name.
    pub name: String,
}

/// The holds that are in force by the word of their objects. Asked each time: one that is accepted while a
/// job runs binds it, too, whatever becomes of the database.
#[derive(Clone, Default)]
pub struct RememberedHolds(Option<Arc<dyn Fn() -> Vec<RememberedHold> + Send + Sync>>);

impl RememberedHolds {
    /// Those that this tells.
    pub fn by(ask: impl Fn() -> Vec<RememberedHold> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Those of this moment.
    pub fn now(&self) -> Vec<RememberedHold> {
        self.0.as_ref().map(|ask| ask()).unwrap_or_default()
    }
}

impl fmt::Debug for RememberedHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RememberedHolds").finish_non_exhaustive()
    }
}

/// What is to be done, before anything of it was read from Secrets or connected to.
#[derive(Clone, Debug)]
pub struct Order {
    /// The policy.
    pub policy: PolicyRef,
    /// What goes into the digest.
    pub spec: serde_json::Value,
    /// The parsed policy.
    pub mandate: Mandate,
    /// The database.
    pub target: Target,
    /// What is to be done.
    pub kind: JobKind,
    /// Heads of the ledger's evidence chain that are remembered outside of it.
    pub remembered: Vec<String>,
    /// Holds that are remembered outside of the ledger.
    pub holds: RememberedHolds,
    /// Where its batches are counted.
    pub metrics: Metrics,
    /// What somebody agreed to, where a plan was shown to anybody.
    pub consent: Option<Consent>,
    /// What its run is allowed by, where something was asked for.
    pub assent: Option<Assent>,
}

impl Order {
    /// What the digest of a plan covers of the manifests. A run goes on only against the database,
    /// and under the guards, that it was planned for.
    pub fn digested(spec: &RetentionPolicySpec, target: &Target) -> serde_json::Value {
        serde_json::json!({
            "policy": spec.digest_input(),
            "database": target.digest_input(),
        })
    }

    /// The job.
    pub fn job(
        self,
        database: Database,
        owner: Owner,
        pseudonym_key: Option<SecretSlice<u8>>,
        now: Timestamp,
    ) -> Job {
        let Self {
            policy,
            spec,
            mandate,
            target,
            kind,
            remembered,
            holds,
            metrics,
            consent,
            assent,
        } = self;
        let pacing = target.pacing;
        Job {
            policy,
            spec,
            rules: mandate.policy,
            database,
            owner,
            ledger: target.ledger,
            pacing: Pacing {
                backlog: pacing.mode == PacingMode::Backlog,
                batch_duration: pacing.batch_duration,
                workers: u32::from(pacing.workers),
                max_rows_per_second: pacing
                    .max_rows_per_second
                    .map(|rows| u32::try_from(rows).unwrap_or(u32::MAX)),
                lock_timeout: pacing.lock_timeout,
                statement_limit: STATEMENT_LIMIT,
                part: BATCHES_PER_PART,
            },
            pseudonym_key,
            windows: mandate.windows,
            approval: mandate.asks.approval != ApprovalGuard::None,
            intent: match mandate.mode {
                Mode::DryRun => Intent::DryRun,
                Mode::Enforce => Intent::Enforce,
            },
            kind,
            remembered,
            holds,
            metrics,
            consent,
            assent,
            planned: None,
            now,
        }
    }
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
    /// Whether Approvals are asked for: then releases of holds matter.
    pub approval: bool,
    /// When it may be worked on; otherwise it is stopped.
    pub windows: WorkWindows,
    /// The key of the pseudonyms, where a strategy is keyed.
    pub pseudonym_key: Option<SecretSlice<u8>>,
    /// Which privileges are asked for: a plan of a policy in mode Enforce is refused where a run
    /// would be.
    pub intent: Intent,
    /// What is to be done.
    pub kind: JobKind,
    /// Heads of the ledger's evidence chain that are remembered outside of it: a ledger without one
    /// of them is behind, and nothing runs.
    pub remembered: Vec<String>,
    /// Holds that are in force by the word of their objects: a ledger without one of them has lost it,
    /// and nothing runs.
    pub holds: RememberedHolds,
    /// Where its batches are counted.
    pub metrics: Metrics,
    /// What somebody agreed to: then nothing else runs, and no other run is gone on with than the one
    /// that was asked about.
    pub consent: Option<Consent>,
    /// What its run is allowed by, where something was asked for: nothing else runs.
    pub assent: Option<Assent>,
    /// A plan of a moment ago: what is counted by the same statements is not counted again.
    pub planned: Option<Plan>,
    /// The operator's clock when the job was made.
    pub now: Timestamp,
}

/// Tells a job to stop: `None` until it should.
pub type StopSignal = watch::Receiver<Option<StopWhy>>;

/// Where a job shows how far it is.
pub type ProgressSender = watch::Sender<Progress>;
