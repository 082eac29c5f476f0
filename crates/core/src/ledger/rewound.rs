//! A ledger that is behind what is remembered of it: its database was restored from a backup, a
//! failover lost commits, or it is another database. Nothing runs until a person accepts it, and that
//! is evidence too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Link;
use crate::digest::{Digest, DigestError};

/// The annotation of a TargetDatabase by which a person accepts its ledger as it is.
pub const ACCEPT: &str = "oubliette.dev/accept-ledger";

/// What stands in the evidence for the run where it is an acceptance: no id of a run reads like it.
pub(super) const ACCEPTED: &str = "accepted";

/// Heads that a message names; each is as good as all.
const NAMED: usize = 3;

/// A ledger that is behind what is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// The head of its evidence chain; empty where it has no evidence, or is not there at all.
    pub head: String,
    /// Remembered heads that the chain does not have, sorted; never empty.
    pub lost: Vec<String>,
}

/// The evidence that a ledger was accepted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acceptance<'a> {
    /// The TargetDatabase's namespace and name.
    database: &'a str,
    /// The head that was found.
    found: &'a str,
    /// What is not to be looked for any more.
    lost: &'a [String],
    /// The token that the person gave.
    token: String,
    /// When.
    accepted_at: Timestamp,
}

/// The part of an acceptance that is read again.
#[derive(Deserialize)]
struct Lost {
    lost: Vec<String>,
}

impl Rewound {
    /// What is missing: remembered heads that are neither among these links nor in an acceptance.
    /// `None`: nothing.
    pub fn of(
        remembered: &[String],
        links: &[String],
        acceptances: &[String],
        head: String,
    ) -> Option<Self> {
        let accepted: Vec<String> = acceptances
            .iter()
            .filter_map(|body| serde_json::from_str::<Lost>(body).ok())
            .flat_map(|acceptance| acceptance.lost)
            .collect();
        let mut lost: Vec<String> = remembered
            .iter()
            .filter(|head| !links.contains(head) && !accepted.contains(head))
            .cloned()
            .collect();
        lost.sort();
        lost.dedup();
        (!lost.is_empty()).then_some(Self { head, lost })
    }

    /// What accepts this ledger and no other: it changes with what was found and with what is lost,
    /// so that the same backup restored once more has to be accepted once more.
    pub fn token(&self) -> String {
        let text = format!("{}\n{}", self.head, self.lost.join("\n"));
        let digest = Digest::of_bytes(text);
        digest
            .as_bytes()
            .get(..8)
            .map(hex::encode)
            .unwrap_or_default()
    }

    /// What is the case and how it is accepted, in sentences.
    pub fn explain(&self) -> String {
        let mut lost: Vec<&str> = self.lost.iter().take(NAMED).map(String::as_str).collect();
        if self.lost.len() > NAMED {
            lost.push("others");
        }
        let head = if self.head.is_empty() {
            "it is empty, or the user cannot see it".to_owned()
        } else {
            format!("its head is {}", self.head)
        };
        format!(
            "the ledger does not have the evidence that is remembered of it ({}): {head}. The \
             database was restored from a backup, a failover lost commits, or it is another \
             database; rows that had gone may be back. Nothing runs until somebody accepts it with \
             the annotation {ACCEPT}={} on the TargetDatabase",
            lost.join(", "),
            self.token()
        )
    }

    /// The link that records the acceptance; it follows the head that was found.
    pub fn accepted(&self, database: &str, at: Timestamp) -> Result<Link, DigestError> {
        let body = Acceptance {
            database,
            found: &self.head,
            lost: &self.lost,
            token: self.token(),
            accepted_at: at,
        };
        Link::of(&body, &self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_ledger_that_has_all_that_is_remembered_is_not_behind() {
        let links = texts(&["a", "b"]);
        assert_eq!(Rewound::of(&[], &[], &[], "c".into()), None);
        assert_eq!(Rewound::of(&links, &links, &[], "c".into()), None);
    }

    #[test]
    fn what_was_accepted_is_not_missed_again() {
        let found = Rewound::of(&texts(&["b", "a", "b"]), &[], &[], "c".into()).unwrap();
        assert_eq!(found.lost, ["a", "b"]);
        let link = found.accepted("crm/crm", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(link.previous, "c");
        let accepted = [link.body];
        let again = |remembered: &[&str]| {
            Rewound::of(&texts(remembered), &[], &accepted, link.hash.clone())
        };
        assert_eq!(again(&["a", "b"]), None);
        assert_eq!(again(&["a", "d"]).unwrap().lost, ["d"]);
    }

    #[test]
    fn a_token_accepts_one_loss_only_and_is_in_the_explanation() {
        let of = |head: &str, lost: &[&str]| Rewound {
            head: head.to_owned(),
            lost: texts(lost),
        };
        let one = of("h", &["a"]);
        assert!(one.explain().contains(&one.token()));
        assert_eq!(one.token().len(), 16);
        for other in [of("h", &["b"]), of("", &["a"]), of("h", &["a", "b"])] {
            assert_ne!(one.token(), other.token());
        }
    }
}
