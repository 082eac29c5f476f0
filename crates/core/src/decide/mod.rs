//! What to do next and what to tell, decided from what was observed.
//!
//! Pure: the clock and the jitter are arguments. A decision is the action, the whole status, the
//! events and when to look again; the controller carries it out without a judgement of its own.

pub mod api_clock;
pub mod approval;
pub mod conflict;
pub mod data_map;
pub mod due;
pub mod elsewhere;
pub mod erasure_request;
pub mod job;
pub mod keep_up;
pub mod legal_hold;
mod outcome;
mod residue;
pub mod retention_policy;
pub mod retry;
mod say;
pub mod target_database;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::condition::READY;
use crate::api::parse::{FieldError, message_of, reason_of};
use crate::api::reason::Reason;

/// Longest note of an event; the API server refuses longer ones.
pub const MAX_NOTE: usize = 1_024;

/// What the metadata of any kind tells.
#[derive(Clone, Debug)]
pub struct Meta<'a> {
    /// UID.
    pub uid: &'a str,
    /// Generation of the spec.
    pub generation: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether its deletion was asked for.
    pub deleting: bool,
    /// The value of the annotation `oubliette.dev/run-now`.
    pub run_now: Option<&'a str>,
}

/// An event for `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether somebody should look.
    pub warning: bool,
    /// Why.
    pub reason: Reason,
    /// What was being done: Plan, Run, Check.
    pub action: &'static str,
    /// For people.
    pub note: String,
}

impl Event {
    fn new(warning: bool, reason: Reason, action: &'static str, note: &str) -> Self {
        let note = if note.len() > MAX_NOTE {
            format!("{} …", crate::api::condition::cut(note, MAX_NOTE - 4))
        } else {
            note.to_owned()
        };
        Self {
            warning,
            reason,
            action,
            note,
        }
    }
}

/// What the conditions say: a reason, which stands for a state (`Reason::standing`), and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// What is the case and, where something is wrong, what to do.
    pub message: String,
}

impl Verdict {
    /// A reason with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

pub use outcome::ran_before;
pub use retention_policy::whole_second;

/// All faults of a manifest as one verdict.
fn of_faults(faults: &[FieldError]) -> Verdict {
    Verdict::new(reason_of(faults), message_of(faults))
}

/// What the conditions said before, where they said it of the `same` spec; otherwise what is `pending`.
fn known(conditions: &[Condition], same: bool, pending: &str) -> Verdict {
    let ready = conditions.iter().find(|c| c.type_ == READY);
    let before = ready.filter(|_| same).and_then(|c| {
        let reason = Reason::named(&c.reason)?;
        Some(Verdict::new(reason, &c.message))
    });
    before.unwrap_or_else(|| Verdict::new(Reason::Pending, pending))
}
