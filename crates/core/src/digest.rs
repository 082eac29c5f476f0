//! Digests. (Being replaced by the full module on branch `leaves`: take that one.)
use serde::{Deserialize, Serialize};
/// A SHA-256 digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Digest(String);
