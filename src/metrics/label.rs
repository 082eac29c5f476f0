//! Label values and label sets: words of the program, and the namespace and name of a policy.

use std::fmt;

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::report::{Effect, RunOutcome};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// A kind that is reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `TargetDatabase`.
    TargetDatabase,
    /// `RetentionPolicy`.
    RetentionPolicy,
    /// `LegalHold`.
    LegalHold,
    /// `DataMap`.
    DataMap,
    /// `ErasureRequest`.
    ErasureRequest,
}

/// How a batch transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchResult {
    /// Committed: its rows are counted.
    Committed,
    /// Rolled back because it met a lock; it is tried again.
    Locked,
    /// Rolled back for any other reason.
    Failed,
}

/// A label value that is a text of the program, not of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Word(pub(super) &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

impl From<Kind> for Word {
    fn from(kind: Kind) -> Self {
        Self(match kind {
            Kind::TargetDatabase => "TargetDatabase",
            Kind::RetentionPolicy => "RetentionPolicy",
            Kind::LegalHold => "LegalHold",
            Kind::DataMap => "DataMap",
            Kind::ErasureRequest => "ErasureRequest",
        })
    }
}

impl From<BatchResult> for Word {
    fn from(result: BatchResult) -> Self {
        Self(match result {
            BatchResult::Committed => "committed",
            BatchResult::Locked => "locked",
            BatchResult::Failed => "failed",
        })
    }
}

impl From<RunOutcome> for Word {
    fn from(outcome: RunOutcome) -> Self {
        Self(match outcome {
            RunOutcome::Completed => "completed",
            RunOutcome::Stopped(_) => "stopped",
            RunOutcome::Failed(_) => "failed",
        })
    }
}

impl From<Effect> for Word {
    fn from(effect: Effect) -> Self {
        Self(match effect {
            Effect::Deleted => "deleted",
            Effect::Pseudonymised => "pseudonymised",
            Effect::Masked => "masked",
            Effect::Anonymised => "anonymised",
            Effect::Detached => "detached",
            Effect::Sealed => "sealed",
        })
    }
}

impl From<Reason> for Word {
    fn from(reason: Reason) -> Self {
        Self(reason.as_str())
    }
}

impl From<Engine> for Word {
    fn from(engine: Engine) -> Self {
        Self(engine.name())
    }
}

/// Every effect, so that a policy's series can be dropped with it.
pub(super) const EFFECTS: [Effect; 6] = [
    Effect::Deleted,
    Effect::Pseudonymised,
    Effect::Masked,
    Effect::Anonymised,
    Effect::Detached,
    Effect::Sealed,
];
/// Every outcome's word, for the same.
pub(super) const OUTCOMES: [&str; 3] = ["completed", "stopped", "failed"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfKind {
    pub(super) kind: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfReason {
    pub(super) kind: Word,
    pub(super) reason: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct OfObject {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl OfObject {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfResource {
    pub(super) kind: Word,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) reason: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPolicy {
    pub(super) namespace: String,
    pub(super) policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPolicyOutcome {
    pub(super) namespace: String,
    pub(super) policy: String,
    pub(super) outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPolicyEffect {
    pub(super) namespace: String,
    pub(super) policy: String,
    pub(super) effect: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfOutcome {
    pub(super) outcome: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfEngine {
    pub(super) engine: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfBatch {
    pub(super) engine: Word,
    pub(super) result: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfBuild {
    pub(super) version: Word,
}

impl OfPolicy {
    pub(super) fn new(namespace: &str, policy: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
        }
    }
}
