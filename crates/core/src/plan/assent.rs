//! What people allowed before a run, held against the plan that the run makes anew: only that plan
//! runs, and no more rows than they allowed.

use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::approval::{PlanParts, difference};
use crate::digest::Digest;
use crate::report::PlanReport;

/// A plan that may run: it is approved, or a dry run of it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assent {
    /// The plan's digest.
    pub plan: Digest,
    /// What it is made of, where that is known.
    pub parts: Option<PlanParts>,
    /// Most rows of the run, where it is approved; otherwise a dry run stands for it.
    pub max_rows: Option<i64>,
}

impl Assent {
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
                kept: crate::report::KeptRows::default(),
                implausible: 0,
                overdue_since: None,
                related: Vec::new(),
                walk: "id".to_owned(),
            }],
            warnings: Vec::new(),
            survivors: Vec::new(),
        }
    }

    #[test]
    fn only_the_plan_that_people_allowed_runs_and_no_more_rows_than_they_did() {
        let assent = |max_rows| Assent {
            plan: Digest::of_bytes("now"),
            parts: None,
            max_rows,
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
}
