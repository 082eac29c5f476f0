//! Whether the person was found, and which other requests are about the same one: who approves is told.

use super::{Deciding, meaning};
use crate::api::condition::{FOUND, State};
use crate::api::reason::Reason;
use crate::decide::Verdict;
use crate::erasure::duplicates::sentence;

impl Deciding<'_, '_> {
    /// Tells in how many databases the person was found, and for whom else that is asked.
    pub(super) fn tell_found(&mut self, databases: i64) {
        self.status.duplicates = self.o.duplicates.to_vec();
        let mut found = match databases {
            0 => meaning(Reason::NothingFound),
            1 => Verdict::new(Reason::SubjectFound, "the person is in one database"),
            many => {
                let message = format!("the person is in {many} databases");
                Verdict::new(Reason::SubjectFound, message)
            }
        };
        if let Some(sentence) = sentence(&self.status.duplicates) {
            found.message = format!("{}; {sentence}", found.message.trim_end_matches('.'));
        }
        self.tell(FOUND, State::from(databases > 0), &found);
    }
}
