//! The evidence chain: one link per finished step, each carrying the hash of the one before, so
//! that none can be changed, taken out or put in between unnoticed.

use jiff::Timestamp;
use serde::Serialize;

use crate::digest::{Digest, DigestError, canonical_json};
use crate::report::RuleRun;

/// What is recorded of a finished step. Counts, cutoff and times; never a key or a value (P4).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence<'a> {
    /// The run. It is stored beside the body, too, and `verify` compares the two: every body but an
    /// acceptance's names its run.
    pub run: &'a str,
    /// The policy's namespace and name.
    pub policy: &'a str,
    /// The plan's digest.
    pub plan: Digest,
    /// The rule and its counts.
    pub step: &'a RuleRun,
    /// When the step was finished.
    pub finished_at: Timestamp,
}

/// A link of the chain, ready to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Canonical JSON.
    pub body: String,
    /// Hash of the link before; empty for the first.
    pub previous: String,
    /// SHA-256 over the previous hash, a line feed, and the body.
    pub hash: String,
}

impl Evidence<'_> {
    /// The link that follows `previous`.
    pub fn follows(&self, previous: &str) -> Result<Link, DigestError> {
        Link::of(self, previous)
    }
}

impl Link {
    /// The link with this body that follows `previous`.
    pub(super) fn of(body: &impl Serialize, previous: &str) -> Result<Self, DigestError> {
        let body = canonical_json(body)?;
        let hash = Digest::of_bytes(format!("{previous}\n{body}")).to_string();
        Ok(Self {
            body,
            previous: previous.to_owned(),
            hash,
        })
    }
}
