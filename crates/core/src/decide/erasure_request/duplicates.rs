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
        for sentence in [
            sentence(&self.status.duplicates),
            passed_by(self.o.passed_by),
        ]
        .into_iter()
        .flatten()
        {
            found.message = format!("{}; {sentence}", found.message.trim_end_matches('.'));
        }
        self.tell(FOUND, State::from(databases > 0), &found);
    }
}

/// Maps that a sentence names.
const NAMED: usize = 3;

/// Says which maps were left out, and how they are not. `None`: there are none.
pub fn passed_by(maps: &[String]) -> Option<String> {
    let more = maps.len().checked_sub(NAMED).filter(|more| *more > 0);
    let named = maps
        .get(..maps.len().min(NAMED))
        .filter(|maps| !maps.is_empty())?;
    let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
    Some(format!(
        "not searched: the DataMaps {}{more}, which may be used from here: name those that are meant in \
         `dataMapRefs`, or have their namespaces entered in the operator's settings (`mapNamespaces`)",
        named.join(", ")
    ))
}
