//! What people allowed before a run, held against the plan that the run makes anew: only that plan
//! runs, and no more rows than they allowed.

use jiff::Timestamp;

use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::approval::{PlanParts, difference};
use crate::digest::Digest;
use crate::report::{Loosened, PlanReport};

/// A plan that may run: it is approved, or a dry run of it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assent {
    /// The plan's digest.
    pub plan: Digest,
    /// What it is made of, where that is known.
    pub parts: Option<PlanParts>,
    /// Most rows of the run, where it is approved; otherwise a dry run stands for it.
    pub max_rows: Option<i64>,
    /// When the oldest of its Approvals was made, by the operator's clock and rather too early than too
    /// late; `None`: there are none.
    pub approved_at: Option<Timestamp>,
}

impl Assent {
    /// The newest of these releases that its Approvals are not younger than: they did not reckon with
    /// the rows that may go since.
    pub fn voided_by<'l>(&self, loosened: &'l [Loosened]) -> Option<&'l Loosened> {
        let approved_at = self.approved_at?;
        loosened
            .iter()
            .filter(|l| approved_at <= l.at)
            .max_by_key(|l| l.at)
    }

    /// Why a plan is not the one that may run; empty where it is.
    pub(super) fn refusals(&self, plan: &PlanReport) -> Vec<Refusal> {
        let (reason, what) = match self.max_rows {
            Some(_) => (Reason::ApprovalVoid, "the one that was approved"),
            None => (Reason::DryRunMissing, "that of the recorded dry run"),
        };
        if plan.digest != self.plan {
            let then = (&self.plan, self.parts.as_ref());
            let now = (&plan.digest, plan.parts.as_ref());
            let message = format!("the plan is not {what}: {}", difference(then, now));
            return vec![Refusal::whole(reason, message)];
        }
        if let Some(loosened) = self.voided_by(&plan.loosened) {
            return vec![Refusal::whole(reason, voided(loosened))];
        }
        match self.max_rows {
            Some(most) if plan.rows() > most => {
                let message = format!(
                    "the plan changes {} rows now, {most} are approved",
                    plan.rows()
                );
                vec![Refusal::whole(reason, message)]
            }
            Some(_) | None => Vec::new(),
        }
    }
}

/// What a release does to an approval, in words.
pub(crate) fn voided(loosened: &Loosened) -> String {
    format!(
        "the legal hold {} was released, and rows that it kept may go now: Approvals made at {} or \
         before do not count (the release, with the clocks' difference), later ones do",
        loosened.hold, loosened.at
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Effect, RulePlan};

    fn plan(digest: &str, rows: i64) -> PlanReport {
        PlanReport {
            digest: Digest::of_bytes(digest),
            parts: None,
            as_of: Timestamp::UNIX_EPOCH,
            rules: vec![RulePlan {
                rule: "r".to_owned(),
                table: "public.t".to_owned(),
                effect: Effect::Deleted,
                cutoff: Timestamp::UNIX_EPOCH,
                eligible: rows,
                total: 100,
                clock_null: 0,
                held: 0,
                held_by: Vec::new(),
                small_groups: None,
                kept: crate::report::KeptRows::default(),
                implausible: 0,
                overdue_since: None,
                related: Vec::new(),
                partitions: 0,
                walk: "id".to_owned(),
            }],
            warnings: Vec::new(),
            loosened: Vec::new(),
            survivors: Vec::new(),
        }
    }

    #[test]
    fn only_the_plan_that_people_allowed_runs_and_no_more_rows_than_they_did() {
        let assent = |max_rows| Assent {
            plan: Digest::of_bytes("now"),
            parts: None,
            max_rows,
            approved_at: None,
        };
        for (what, most, found, expected) in [
            ("as approved", Some(20), plan("now", 20), None),
            ("fewer rows", Some(20), plan("now", 0), None),
            (
                "a row more",
                Some(20),
                plan("now", 21),
                Some((Reason::ApprovalVoid, "21 rows now, 20 are approved")),
            ),
            (
                "another plan",
                Some(20),
                plan("another", 1),
                Some((Reason::ApprovalVoid, "not the one that was approved")),
            ),
            ("as tried, whatever the count", None, plan("now", 99), None),
            (
                "not tried",
                None,
                plan("another", 1),
                Some((Reason::DryRunMissing, "not that of the recorded dry run")),
            ),
        ] {
            let refusals = assent(most).refusals(&found);
            match (refusals.as_slice(), expected) {
                ([], None) => {}
                ([only], Some((reason, words))) => {
                    assert_eq!(only.reason, reason, "{what}");
                    assert!(only.message.contains(words), "{what}: {}", only.message);
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_hold_that_was_released_after_the_approval_voids_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let assent = Assent {
            plan: Digest::of_bytes("now"),
            parts: None,
            max_rows: Some(20),
            approved_at: Some(at(10)),
        };
        for (released, void) in [(vec![9], false), (vec![10], true), (vec![9, 11, 3], true)] {
            let mut plan = plan("now", 1);
            plan.loosened = released
                .iter()
                .map(|second| Loosened {
                    hold: format!("crm/h{second}"),
                    at: at(*second),
                })
                .collect();
            let refusals = assent.refusals(&plan);
            assert_eq!(!refusals.is_empty(), void, "{released:?}");
            if let [refusal] = refusals.as_slice() {
                assert_eq!(refusal.reason, Reason::ApprovalVoid);
                let newest = released.iter().max().unwrap();
                assert!(refusal.message.contains(&format!("crm/h{newest}")));
            }
        }
        // A dry run that was recorded says nothing of holds.
        let tried = Assent {
            approved_at: None,
            max_rows: None,
            ..assent
        };
        let mut plan = plan("now", 1);
        plan.loosened = vec![Loosened {
            hold: "crm/h".to_owned(),
            at: at(11),
        }];
        assert!(tried.refusals(&plan).is_empty());
    }
}
