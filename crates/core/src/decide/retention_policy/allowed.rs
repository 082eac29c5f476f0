//! What people must have done before a run, and whether they have: a recorded dry run, or Approvals
//! of the plan.

use super::{Deciding, Wanted, whole_second};
use crate::api::condition::{self, APPROVED, State};
use crate::api::reason::Reason;
use crate::api::retention_policy::ApprovalStatus;
use crate::approval::{ApprovalGuard, DryRunGuard, difference};
use crate::decide::approval::{Planned, weigh};
use crate::decide::{Event, Verdict, say};
use crate::plan::Assent;

impl Deciding<'_, '_> {
    /// What the next run may be, or what it waits for; nothing where nothing is asked for. `begun`: it
    /// is the rest of a run, which was begun under a ceiling and after a dry run.
    pub(super) fn allowed(
        &self,
        wanted: &Wanted<'_>,
        begun: bool,
    ) -> Result<Option<Assent>, Verdict> {
        match wanted.asks.approval {
            ApprovalGuard::None => self.looked_at(wanted, begun),
            ApprovalGuard::Required | ApprovalGuard::FourEyes => {
                self.weighed(wanted, begun).map(|approved| {
                    Some(Assent {
                        plan: approved.plan,
                        parts: approved.parts,
                        max_rows: Some(approved.max_rows),
                        approved_at: approved.approved_at,
                    })
                })
            }
        }
    }

    /// A run, where people allow it; otherwise the plan is made anew that they are to look at. What was
    /// due while they were waited for is not made up for: who approves at noon did not ask for the run
    /// of last night.
    pub(super) fn start_if_allowed(
        &mut self,
        wanted: &Wanted<'_>,
        id: String,
        how: &str,
    ) -> Verdict {
        if !wanted.enforce {
            return self.start_plan();
        }
        match self.allowed(wanted, false) {
            Ok(assent) => self.start_run(assent, id, how),
            Err(waits) => {
                let note = format!("nothing runs, though a run is {how}: {}", waits.message);
                self.events
                    .push(Event::new(false, waits.reason, "Run", &note));
                self.start_plan()
            }
        }
    }

    /// Whether anything is asked for and there is no plan yet that it could be asked of.
    pub(super) fn asks_for_a_plan(&self, wanted: &Wanted<'_>) -> bool {
        wanted.enforce && self.status.plan.is_none() && self.allowed(wanted, false).is_err()
    }

    /// What the Approvals of the plan come to.
    fn weighed(&self, wanted: &Wanted<'_>, begun: bool) -> Result<ApprovalStatus, Verdict> {
        let Some(plan) = &self.status.plan else {
            let message = "it is not planned yet; a plan is what is approved";
            return Err(Verdict::new(Reason::ApprovalMissing, message));
        };
        let rows = self.status.planned_rows.unwrap_or_else(|| plan.rows());
        let loosened = [plan.loosened.as_slice(), self.o.released].concat();
        let planned = Planned {
            loosened: &loosened,
            digest: &plan.digest,
            parts: plan.parts.as_ref(),
            rows: (!begun).then_some(rows),
        };
        weigh(
            wanted.asks,
            self.o.meta.uid,
            &planned,
            self.o.approvals,
            self.status.approval.as_ref(),
        )
    }

    /// Whether a dry run of the plan is recorded, where that is asked for.
    fn looked_at(&self, wanted: &Wanted<'_>, begun: bool) -> Result<Option<Assent>, Verdict> {
        if wanted.asks.dry_run == DryRunGuard::None || begun {
            return Ok(None);
        }
        let missing = |message: String| {
            let remedy = Reason::DryRunMissing.remedy();
            Verdict::new(Reason::DryRunMissing, format!("{message}. {remedy}"))
        };
        let Some(plan) = &self.status.plan else {
            return Err(missing("it is not planned yet".to_owned()));
        };
        match &self.status.dry_run {
            None => Err(missing("no dry run is recorded".to_owned())),
            Some(recorded) if recorded.plan == plan.digest => Ok(Some(Assent {
                plan: plan.digest,
                parts: plan.parts,
                max_rows: None,
                approved_at: None,
            })),
            Some(recorded) => {
                let then = (&recorded.plan, recorded.parts.as_ref());
                let now = (&plan.digest, plan.parts.as_ref());
                Err(missing(format!(
                    "the plan is not that of the recorded dry run: {}",
                    difference(then, now)
                )))
            }
        }
    }

    /// Tells in the status what the Approvals came to, and as an event where that is news.
    pub(super) fn tell_approval(&mut self) {
        let Ok(wanted) = self.o.spec else { return };
        if wanted.asks.approval == ApprovalGuard::None {
            condition::clear(&mut self.status.conditions, APPROVED);
            self.status.approval = None;
            return;
        }
        let begun = self.status.open_run.is_some();
        let (state, verdict) = match self.weighed(&wanted, begun) {
            Ok(approved) => {
                let message = say::approved(&approved);
                self.status.approval = Some(approved);
                (State::True, Verdict::new(Reason::Approved, message))
            }
            Err(waits) => (State::False, waits),
        };
        let before = self.o.status.conditions.iter();
        let before = before.rev().find(|c| c.type_ == APPROVED);
        // That a plan needs an approval is no news to whoever has just written the policy.
        let news = before.map_or(verdict.reason != Reason::ApprovalMissing, |before| {
            before.reason != verdict.reason.as_str()
        });
        if news {
            let warning = state == State::False;
            let event = Event::new(warning, verdict.reason, "Approve", &verdict.message);
            self.events.push(event);
        }
        condition::set(
            &mut self.status.conditions,
            APPROVED,
            state,
            verdict.reason,
            &verdict.message,
            Some(self.o.meta.generation),
            whole_second(self.o.now),
        );
    }
}
