//! The rounds in which a request is carried out once more. Each is a run of its own in the ledgers, whose
//! id tells that it looks for the person anew, by what leads to them now.

use jiff::Timestamp;

/// With what the mark of such a round begins; that of what a duty kept begins otherwise.
const MARK: char = '+';

/// The mark of a round that is begun now.
pub fn round(now: Timestamp) -> String {
    format!("{MARK}{now}")
}

/// Whether a round looks for the person anew.
pub fn is_again(round: &str) -> bool {
    round.starts_with(MARK)
}
