//! What is remembered of a request beside its object: whatever others ask of it. Of one that has ended
//! nothing else is held, so it is small.
//!
//! It must not hold anything of the person.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::erasure_request::{
    AgainReason, DuplicateState, ErasureRequestStatus, RequestOutcome,
};
use crate::api::words::Choice;
use crate::digest::Digest;
use crate::settings::calendar::Calendar;
use crate::settings::records::Records;

/// What a request's status tells others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// What it came to; one of a newer version is none.
    pub outcome: Option<RequestOutcome>,
    /// Whether everything was erased, told and confirmed.
    pub is_complete: bool,
    /// Whether it has ended.
    pub is_finished: bool,
    /// Whether its person is told to be in a database again.
    pub is_back: bool,
    /// When the digests end that are kept of it.
    pub digests_end_at: Option<Timestamp>,
    /// Boxed: it is so of few.
    restored: Option<Box<Option<Timestamp>>>,
    /// The heads of evidence chains after its runs, each with its database.
    heads: Box<[(Arc<str>, Digest)]>,
}

impl Remembered {
    /// Of a status. `interned`: a text that many have is held once.
    pub fn of(status: &ErasureRequestStatus, mut interned: impl FnMut(&str) -> Arc<str>) -> Self {
        let again = status.again.as_ref();
        let restored = again.filter(|one| one.reason.known() == Some(AgainReason::Restored));
        let heads = status
            .databases
            .iter()
            .filter_map(|one| Some((interned(&one.database), one.evidence?)));
        Self {
            outcome: status.outcome.as_ref().and_then(Choice::known),
            is_complete: status.completed_at.is_some(),
            is_finished: status.finished_at.is_some(),
            is_back: !status.reappeared.is_empty(),
            digests_end_at: status.digests.as_ref().map(|kept| kept.ends_at),
            restored: restored.map(|again| Box::new(again.ended_at)),
            heads: heads.collect(),
        }
    }

    /// The heads of the evidence chain of a database, by namespace and name, that it remembers.
    pub fn heads(&self, database: &str) -> impl Iterator<Item = String> {
        let here = self.heads.iter().filter(move |(of, _)| **of == *database);
        here.map(|(_, head)| head.to_string())
    }

    /// That it was applied again because a database was restored, and when that was done.
    pub fn restored(&self) -> Option<Option<Timestamp>> {
        self.restored.as_deref().copied()
    }

    /// Whether rows were erased.
    pub fn has_erased(&self) -> bool {
        matches!(
            self.outcome,
            Some(RequestOutcome::Erased | RequestOutcome::ErasedInPart)
        )
    }

    /// How far it is for another request about the same person; `None`: it came to nothing that anybody needs
    /// to know of.
    pub fn as_duplicate(&self) -> Option<DuplicateState> {
        if !self.is_complete {
            return Some(DuplicateState::Open);
        }
        match self.outcome {
            Some(
                RequestOutcome::Withdrawn | RequestOutcome::NotIdentified | RequestOutcome::NotOurs,
            ) => None,
            Some(
                RequestOutcome::Erased
                | RequestOutcome::ErasedInPart
                | RequestOutcome::NothingFound
                | RequestOutcome::Refused,
            )
            | None => Some(DuplicateState::Completed),
        }
    }
}

/// When something is to be done about a request that has ended, if nobody touches it: its digests end, or all
/// that is recorded of it.
pub fn next_end(
    status: &ErasureRequestStatus,
    records: &Records,
    calendar: &Calendar,
) -> Option<Timestamp> {
    let times = status.completed_at.zip(status.finished_at);
    let request =
        times.and_then(|(completed, finished)| records.request_ends(completed, finished, calendar));
    let digests = status.digests.as_ref().map(|kept| kept.ends_at);
    request.into_iter().chain(digests).min()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(status: Value) -> ErasureRequestStatus {
        serde_json::from_value(status).unwrap()
    }

    fn remembered(of: Value) -> Remembered {
        Remembered::of(&status(of), |text| Arc::from(text))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn heads_are_those_of_one_database() {
        let of = |map: &str, database: &str, evidence: Option<Digest>| {
            json!({
                "map": map, "database": database, "run": "r", "deleted": 1, "transformed": 0, "kept": 0,
                "held": 0, "verifiedAt": "2026-11-03T10:00:05Z", "evidence": evidence,
            })
        };
        let [one, other] = ["one", "other"].map(Digest::of_bytes);
        let all = remembered(json!({"databases": [
            of("a/m", "a/crm", Some(one)), of("a/n", "a/crm", Some(other)), of("a/o", "a/lms", Some(one)),
            of("a/p", "a/old", None),
        ]}));
        let heads = |database| all.heads(database).collect::<Vec<_>>();
        assert_eq!(heads("a/crm"), [one.to_string(), other.to_string()]);
        assert_eq!(heads("a/lms"), [one.to_string()]);
        assert_eq!(heads("a/old"), [""; 0]);
    }

    #[test]
    fn others_are_told_of_what_may_have_erased_the_same_person() {
        let of = |outcome: Option<&str>| {
            let completed_at = outcome.map(|_| "2026-11-03T10:00:05Z");
            remembered(json!({"completedAt": completed_at, "outcome": outcome})).as_duplicate()
        };
        assert_eq!(of(None), Some(DuplicateState::Open));
        for none in ["Withdrawn", "NotIdentified", "NotOurs"] {
            assert_eq!(of(Some(none)), None, "{none}");
        }
        // A word of a newer version may be anything.
        for told in ["Erased", "ErasedInPart", "NothingFound", "Refused", "Later"] {
            assert_eq!(of(Some(told)), Some(DuplicateState::Completed), "{told}");
        }
    }

    #[test]
    fn only_what_was_applied_again_after_a_restore_counts_as_that() {
        let of = |reason: &str, ended_at: Option<&str>| {
            let again = json!({"round": "r", "reason": reason, "begunAt": "2026-11-03T10:00:00Z",
                               "endedAt": ended_at});
            remembered(json!({"again": again})).restored()
        };
        let ended = "2026-11-04T10:00:00Z";
        assert_eq!(of("Restored", Some(ended)), Some(Some(at(ended))));
        assert_eq!(of("Restored", None), Some(None));
        assert_eq!(of("Reappeared", Some(ended)), None);
    }

    #[test]
    fn what_ends_first_is_next() {
        let ended = status(json!({
            "completedAt": "2026-11-03T10:00:00Z", "finishedAt": "2026-11-12T09:00:00Z",
            "digests": {"configMap": "c", "endsAt": "2026-12-24T09:00:00Z"},
        }));
        let records = |retention: Option<&str>| Records {
            retention: retention.map(|period| period.parse().unwrap()),
            backups: None,
        };
        let next = |retention| next_end(&ended, &records(retention), &Calendar::default());
        assert_eq!(next(Some("P1D")), Some(at("2026-11-13T09:00:00Z")));
        assert_eq!(next(Some("P3Y")), Some(at("2026-12-24T09:00:00Z")));
        assert_eq!(next(None), Some(at("2026-12-24T09:00:00Z")));
        let kept = ErasureRequestStatus {
            digests: None,
            ..ended
        };
        assert_eq!(next_end(&kept, &records(None), &Calendar::default()), None);
    }
}
