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
