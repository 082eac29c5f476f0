//! What somebody agreed to who was shown a plan: time passes between the answer and the run, and only
//! what was shown may run.

use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::digest::Digest;
use crate::report::PlanReport;
use crate::rows::{Rows, number};

/// A yes to a plan: to this one, and to no more rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The plan's digest.
    pub(super) digest: Digest,
    /// Most rows that each rule may change.
    pub(super) most: Vec<Rows>,
}

impl Consent {
    /// Most rows that a rule may change.
    pub(super) fn most(&self, rule: usize) -> Rows {
        self.most.get(rule).copied().unwrap_or(Rows::ZERO)
    }

    /// Why a plan is not the one that was agreed to; empty where it is.
    pub(super) fn refusals(&self, plan: &PlanReport) -> Vec<Refusal> {
        let again = "look at the plan as it is now, and decide again";
        if plan.digest != self.digest {
            let message = "the plan is not the one that was shown: the schema has changed since";
            return vec![Refusal::whole(Reason::Drifted, message).remedy(again)];
        }
        let exceeding = plan.rules.iter().enumerate().filter_map(|(index, rule)| {
            let (planned, most) = (rule.planned(), self.most(index));
            let (rows, allowed) = if planned.all > most.all {
                (planned.all, most.all)
            } else {
                (planned.own, most.own)
            };
            let message = format!(
                "the plan changes {} rows now; from what was shown it may be {} at the most",
                number(rows),
                number(allowed)
            );
            (!planned.fit(most))
                .then(|| Refusal::of(&rule.rule, Reason::LimitExceeded, message).remedy(again))
        });
        exceeding.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Effect, RulePlan, TableCount};

    fn plan(digest: &str, rows: &[(i64, i64)]) -> PlanReport {
        let rules = rows
            .iter()
            .enumerate()
            .map(|(i, (eligible, related))| RulePlan {
                rule: format!("r{i}"),
                table: "public.t".to_owned(),
                effect: Effect::Deleted,
                cutoff: jiff::Timestamp::UNIX_EPOCH,
                eligible: *eligible,
                total: 10_000,
                clock_null: 0,
                implausible: 0,
                held: 0,
                held_by: vec![],
                small_groups: None,
                kept: crate::report::KeptRows::default(),
                overdue_since: None,
                related: vec![TableCount {
                    table: "public.u".to_owned(),
                    effect: Effect::Deleted,
                    rows: *related,
                }],
                partitions: 0,
                walk: "id".to_owned(),
            });
        PlanReport {
            digest: Digest::of_bytes(digest),
            parts: None,
            as_of: jiff::Timestamp::UNIX_EPOCH,
            rules: rules.collect(),
            warnings: Vec::new(),
            loosened: Vec::new(),
            survivors: Vec::new(),
        }
    }

    #[test]
    fn only_the_plan_that_was_shown_runs_and_no_more_rows_than_it_may_come_to() {
        let consent = Consent {
            digest: Digest::of_bytes("shown"),
            most: vec![Rows::own(100), Rows { own: 45, all: 50 }],
        };
        let reasons = |plan: &PlanReport| -> Vec<(Option<String>, Reason)> {
            let refusals = consent.refusals(plan).into_iter();
            refusals.map(|r| (r.rule, r.reason)).collect()
        };
        let rule = |name: &str| Some(name.to_owned());
        for (found, expected) in [
            (plan("shown", &[(100, 0), (40, 10)]), vec![]),
            (plan("shown", &[(0, 0), (0, 0)]), vec![]),
            (
                plan("shown", &[(101, 0), (40, 10)]),
                vec![(rule("r0"), Reason::LimitExceeded)],
            ),
            (
                plan("shown", &[(1, 0), (40, 11)]),
                vec![(rule("r1"), Reason::LimitExceeded)],
            ),
            (
                plan("shown", &[(1, 0), (46, 0)]),
                vec![(rule("r1"), Reason::LimitExceeded)],
            ),
            (
                plan("shown", &[(1, 0), (1, 0), (1, 0)]),
                vec![(rule("r2"), Reason::LimitExceeded)],
            ),
            (
                plan("another", &[(1, 0), (1, 0)]),
                vec![(None, Reason::Drifted)],
            ),
        ] {
            assert_eq!(reasons(&found), expected, "{found:?}");
        }
    }
}
