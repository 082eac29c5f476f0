//! What a decision can ask of the executor, and what comes back: a plan or a run of one policy.

use crate::api::reason::Reason;
use crate::plan::Refusal;
use crate::report::{PlanReport, RunReport};

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Count what would change. Changes nothing.
    Plan,
    /// Plan, then change rows. An open run of this policy in the ledger is resumed first, whatever
    /// id is asked for.
    Run {
        /// Primary key of the run in the ledger.
        id: String,
    },
    /// End the policy's open run in the ledger, oldest first: what it was begun for is no longer
    /// promised. Plans nothing and changes no row.
    GiveUp {
        /// The run as the status knows it.
        id: String,
    },
}

impl JobKind {
    /// Whether such a job stops for that reason. What gives a run up is over soon, and right whatever
    /// becomes of policy and database: only the end of the process stops it.
    pub fn heeds(&self, why: StopWhy) -> bool {
        match self {
            Self::Plan | Self::Run { .. } => true,
            Self::GiveUp { .. } => why.ends_the_process(),
        }
    }
}

/// Why a job is told to stop before its end. It takes effect before the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// The process ends; the run stays open and is resumed.
    Shutdown,
    /// Another replica may hold the lease; the run stays open and is resumed there.
    LeaseLost,
    /// The policy or its database is suspended; the run stays open and is resumed.
    Suspended,
    /// The window closed in which the database may be worked on; the run stays open and goes on in the
    /// next one.
    WindowClosed,
    /// The approval of the run's plan was taken back, or somebody rejected it: the run stays open, and
    /// goes on when it is approved again.
    Unapproved,
    /// The manifest of the policy or its database cannot be read any more, say for a misspelt guard:
    /// the run stays open, and is resumed when the manifest is what it was.
    SpecInvalid,
    /// The promise is another one now: the run is abandoned in the ledger.
    SpecChanged,
    /// The resource is gone or its namespace ends: the run is abandoned in the ledger.
    Deleted,
}

impl StopWhy {
    /// Whether nothing may go on in this process.
    pub fn ends_the_process(self) -> bool {
        match self {
            Self::Shutdown | Self::LeaseLost => true,
            Self::Suspended
            | Self::WindowClosed
            | Self::Unapproved
            | Self::SpecInvalid
            | Self::SpecChanged
            | Self::Deleted => false,
        }
    }

    /// Whether the run is ended in the ledger rather than left open.
    pub fn abandons(self) -> bool {
        match self {
            Self::SpecChanged | Self::Deleted => true,
            Self::Shutdown
            | Self::LeaseLost
            | Self::Suspended
            | Self::WindowClosed
            | Self::Unapproved
            | Self::SpecInvalid => false,
        }
    }
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum JobOutcome {
    /// The plan stands and nothing changed.
    Planned(PlanReport),
    /// Guards refused the plan; nothing was begun.
    Refused {
        /// The figures, as far as they were found.
        plan: Option<PlanReport>,
        /// Every refusal; never empty.
        refusals: Vec<Refusal>,
    },
    /// The run ended and says how.
    Ran {
        /// The plan it carried out; `None` where the ledger says that the run had ended before.
        plan: Option<PlanReport>,
        /// What it did.
        run: RunReport,
    },
    /// The run that was to be given up is not in the ledger: it changed nothing.
    NeverBegun,
    /// It was told to stop. What it had done before, the ledger knows.
    Stopped(StopWhy),
    /// An error ended it. Whether the run is open is the ledger's to say.
    Failed {
        /// Why.
        reason: Reason,
        /// What happened and what to do; never a value of the database.
        message: String,
        /// Whether trying again may help without anybody acting.
        passing: bool,
    },
}
