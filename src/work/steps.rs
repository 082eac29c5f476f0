//! The steps of a run, a rule each: its workers' walks, verification, and what becomes of the run where a step
//! does not come to its end.

use std::sync::atomic::AtomicBool;

use oubliette_core::api::reason::Reason;
use oubliette_core::hmac::Pads;
use oubliette_core::ledger::{CheckpointRow, RunRow};
use oubliette_core::plan::{ApprovedPlan, RuleFacts};
use oubliette_core::report::{Phase, Residual, RuleRun, RunOutcome, RunReport};
use oubliette_core::run::{
    Halt, Lane, MOST_CHANGED, MOST_CHANGED_IN_BACKLOG, Pace, PaceSettings, Style, Unit,
};
use oubliette_core::sql::{Numbers, Window};
use oubliette_core::value::{Key, Value};
use secrecy::ExposeSecret;

use super::batch::Step;
use super::close::Ending;
use super::groups::Frozen;
use super::holds::Kept;
use super::job::{Job, JobOutcome, ProgressSender, StopSignal, StopWhy};
use super::log;
use super::meter::Meter;
use super::seal::miscounted;
use super::verify::{Verification, Verified, verify};
use super::walk::{Walked, walk};
use super::whole;
use super::windows::Reading;
use crate::database::Timeouts;
use crate::ledger::{LedgerFault, Store, Taken};

/// A range of pages or of the clock that can no longer be walked (a privilege or an index was taken away,
/// a leaf has got a trigger) becomes one of the whole key, which the first worker walks.
fn by_key_instead(row: &mut CheckpointRow, facts: Option<&RuleFacts>) {
    let of_a_row = |key: &Key| key.first() != Some(&Value::Null);
    let went_by_key = row.saved.cursor.as_ref().is_some_and(of_a_row);
    let there = facts.is_some_and(|facts| {
        if row.range.pages().is_some() {
            facts.pages.is_some()
        } else {
            facts.clock.is_some()
        }
    });
    if row.range.is_by_key() || (there && !went_by_key) {
        return;
    }
    row.range = Window::default();
    row.saved.cursor = row.saved.cursor.take().filter(of_a_row);
    row.saved.walked |= row.worker != 0;
}

/// A run at work.
pub(super) struct Run<'a> {
    pub(super) job: &'a Job,
    pub(super) store: &'a Store,
    pub(super) row: &'a RunRow,
    pub(super) plan: &'a ApprovedPlan,
    pub(super) epoch: i64,
}

/// How a step ended.
enum Stepped {
    Done(Box<RuleRun>),
    Ended(Walked),
}

impl Run<'_> {
    /// Walks and verifies what is left to be done of its rules, one after the other.
    pub(super) async fn carry_out(
        &self,
        taken: &Taken,
        progress: &ProgressSender,
        stop: &mut StopSignal,
    ) -> Result<JobOutcome, LedgerFault> {
        let pads = self
            .job
            .pseudonym_key
            .as_ref()
            .map(|key| Pads::of_key(key.expose_secret()));
        let mut steps = self.store.finished_steps(&self.row.id).await?;
        let before: i64 = taken.checkpoints.iter().map(|c| c.saved.done.all).sum();
        let meter = Meter::new(progress, before, self.plan.report());
        for (step, _) in (0_i32..).zip(self.plan.rules()).skip(steps.len()) {
            let mut rows: Vec<CheckpointRow> = taken
                .checkpoints
                .iter()
                .filter(|c| c.step == step)
                .cloned()
                .collect();
            match Box::pin(self.step(step, &mut rows, pads.as_ref(), &meter, stop)).await? {
                Stepped::Ended(Walked::Halted(Halt::Fault(reason))) if is_the_rules_own(reason) => {
                    let done = self.ending().done(steps.len()).await?;
                    let done = RuleRun {
                        failed: Some(reason),
                        ..done.ok_or(LedgerFault::Malformed("run"))?
                    };
                    self.ending().finish_step(steps.len(), &done).await?;
                    steps.push(done);
                }
                Stepped::Ended(walked) => return self.ended(walked, steps).await,
                Stepped::Done(done) => {
                    self.ending().finish_step(steps.len(), &done).await?;
                    steps.push(*done);
                }
            }
        }
        let residuals = steps.iter().map(|step| step.residual);
        let left = residuals.fold(Residual::default(), Residual::and);
        let outcome = if left.unexplained > 0 {
            RunOutcome::Failed(Reason::VerificationFailed)
        } else if let Some(reason) = steps
            .iter()
            .filter_map(|step| step.failed)
            .min_by_key(|reason| *reason == Reason::GroupsShrank)
        {
            RunOutcome::Failed(reason)
        } else if left.too_large > 0 {
            RunOutcome::Stopped(Reason::RowsTooLarge)
        } else if left.locked > 0 {
            RunOutcome::Stopped(Reason::RowsLocked)
        } else {
            RunOutcome::Completed
        };
        let run = self.ending().end(steps, "done", outcome).await?;
        Ok(self.ran(run))
    }

    fn ending(&self) -> Ending<'_> {
        Ending {
            store: self.store,
            row: self.row,
            epoch: self.epoch,
        }
    }

    fn ran(&self, run: RunReport) -> JobOutcome {
        JobOutcome::Ran {
            plan: Some(self.plan.report().clone()),
            run,
        }
    }

    /// Walks one rule with all of its workers, then verifies.
    async fn step(
        &self,
        step: i32,
        rows: &mut [CheckpointRow],
        pads: Option<&Pads>,
        meter: &Meter<'_>,
        stop: &mut StopSignal,
    ) -> Result<Stepped, LedgerFault> {
        let index = usize::try_from(step).unwrap_or(usize::MAX);
        let generation = rows.iter().map(|row| row.saved.hold_gen).min();
        let generation = generation.unwrap_or_default();
        let kept = Kept::read(self.job, self.store, self.plan, index, generation);
        let kept = Box::pin(kept).await?;
        let rule = &*Box::pin(kept.at(0)).await?;
        let facts = self.plan.facts().get(index);
        let pages = facts.and_then(|f| f.pages.as_ref());
        for row in rows.iter_mut() {
            by_key_instead(row, facts);
        }
        let resumed = rows.iter().any(|row| row.saved.done.own > 0);
        let pacing = &self.job.pacing;
        let reading = pacing.reading().of_table(facts);
        let groups = Frozen::of(&self.job.database, rule, reading, resumed);
        let groups = Box::pin(groups).await?;
        if groups.as_ref().is_some_and(Frozen::refuses) {
            let refused = Walked::Halted(Halt::Fault(Reason::SmallGroups));
            return Ok(Stepped::Ended(refused));
        }
        let total = self.plan.facts().get(index).map_or(0, |f| f.counted.total);
        let thorough = AtomicBool::new(false);
        let stated = pacing.max_rows_per_second.map(f64::from);
        // By what the database does, not by what somebody states.
        let paced = !pacing.backlog && stated.is_none();
        let common = Step {
            database: &self.job.database,
            store: self.store,
            rule,
            kept: &kept,
            timeouts: Timeouts {
                lock: pacing.lock_timeout,
                statement: pacing.statement_limit,
            },
            pads,
            metrics: &self.job.metrics,
            pages,
            numbers: facts.map_or_else(Numbers::default, |f| f.numbers),
            thorough: &thorough,
            groups: groups.as_ref(),
            swept: None,
            log: paced && Box::pin(log::is_told(&self.job.database)).await?,
        };
        let lanes = u32::try_from(rows.len().max(1)).unwrap_or(1);
        let settings = PaceSettings {
            unit: Unit::Rows,
            target: pacing.batch_duration,
            rate: stated.map(|rate| rate / f64::from(lanes)),
            limited: !pacing.backlog || stated.is_some(),
            most_changed: if pacing.backlog && rule.needs_no_keys() {
                MOST_CHANGED_IN_BACKLOG
            } else {
                MOST_CHANGED
            },
            part: pacing.part,
        };
        let pace = |row: &CheckpointRow| {
            Pace::new(PaceSettings {
                unit: if row.range.pages().is_some() {
                    Unit::Pages
                } else {
                    Unit::Rows
                },
                ..settings
            })
        };
        let style = if !rule.nodes.is_empty()
            || (common.database.engine().is_innodb() && !pacing.backlog)
        {
            Style::SkipLocked
        } else {
            Style::WindowFirst
        };
        meter.phase(Phase::Running, &rule.name);
        let count = |rows: i64, waits| meter.add(rows, waits);
        if let Some(facts) = self.plan.facts().get(index) {
            let of = (self.row.id.as_str(), self.epoch);
            Box::pin(whole::go(common, of, facts, rows, stop, &count)).await?;
        }
        let walks = rows.iter().map(|row| {
            let place = (self.row.id.clone(), row.step, row.worker);
            let mut lane = Lane::new(row.range.clone(), row.saved.clone(), style, pace(row));
            let mut stop = stop.clone();
            let count = &count;
            async move {
                let walked = walk(common, &place, &mut lane, &mut stop, count).await;
                (walked, lane)
            }
        });
        let walked = futures::future::join_all(walks).await;
        for (row, (_, lane)) in rows.iter_mut().zip(&walked) {
            row.saved = lane.saved().clone();
        }

        let full = Walked::Halted(Halt::Ceiling);
        let shared = rows.len() > 1;
        let cut_short = walked
            .iter()
            .filter(|(w, _)| *w != Walked::Done && !(shared && *w == full));
        // What is not the rule's own ends the run, whatever ended the other workers.
        let own = |walked: Walked| matches!(walked, Walked::Halted(Halt::Fault(reason)) if is_the_rules_own(reason));
        if let Some((ended, _)) = cut_short.min_by_key(|(w, _)| own(*w)) {
            return Ok(Stepped::Ended(*ended));
        }
        // A worker whose share was too small goes on with what the others have left of theirs.
        for (row, (_, lane)) in rows.iter_mut().zip(&walked).filter(|(_, w)| w.0 == full) {
            let place = (self.row.id.clone(), row.step, row.worker);
            let saved = self.store.pool(&place, self.epoch).await?;
            let pace = lane.pace().clone().alone(stated);
            let mut lane = Lane::new(row.range.clone(), saved, style, pace);
            match walk(common, &place, &mut lane, stop, &count).await {
                Walked::Done => row.saved = lane.saved().clone(),
                ended => return Ok(Stepped::Ended(ended)),
            }
        }
        meter.phase(Phase::Verifying, &rule.name);
        let Some(first) = rows.first_mut() else {
            return Err(LedgerFault::Malformed("checkpoint"));
        };
        let place = (self.row.id.clone(), step, first.worker);
        // Sweeps go by key. Whoever goes on alone has the whole rate.
        let learnt = walked
            .first()
            .filter(|_| first.range.is_by_key())
            .map_or_else(|| Pace::new(settings), |(_, lane)| lane.pace().clone());
        let saved = &mut first.saved;
        if shared {
            // One worker sweeps everybody's range.
            *saved = self.store.pool(&place, self.epoch).await?;
        }
        let verification = Verification {
            step: common,
            place: &place,
            pace: learnt.alone(stated),
            reading: if settings.limited {
                Reading::Gently
            } else {
                reading
            },
            total,
            changed: &count,
        };
        match verify(&verification, saved, stop).await? {
            Verified::Ended(ended) => Ok(Stepped::Ended(ended)),
            Verified::Classed(residual, held_by, kept_rows, oldest_left) => {
                let done = self.ending().done(index).await?;
                let done = done.ok_or(LedgerFault::Malformed("run"))?;
                let look = miscounted(common.database, rule, &self.row.id, &done, reading);
                let miscounted = Box::pin(look).await?;
                let mut done = RuleRun {
                    residual,
                    oldest_left,
                    held_by,
                    kept: kept_rows,
                    failed: miscounted.then_some(Reason::SealedMiscounted),
                    ..done
                };
                if let Some(groups) = &groups {
                    let rule = Box::pin(kept.now()).await?;
                    let found = groups.found(&self.job.database, &rule, reading, total);
                    Box::pin(found).await?.enter(&mut done);
                }
                Ok(Stepped::Done(Box::new(done)))
            }
        }
    }

    /// A step that did not come to its end.
    async fn ended(&self, walked: Walked, steps: Vec<RuleRun>) -> Result<JobOutcome, LedgerFault> {
        let (state, outcome) = match walked {
            Walked::Done => return Err(LedgerFault::Malformed("checkpoint")),
            Walked::Stopped(why) if !why.abandons() => return Ok(JobOutcome::Stopped(why)),
            Walked::Halted(Halt::TakenOver) => return Err(LedgerFault::TakenOver),
            Walked::Halted(Halt::Fault(Reason::ApprovalVoid)) => {
                return Ok(JobOutcome::Stopped(StopWhy::Unapproved));
            }
            // The run stays open: it goes on where it was once the fault is gone.
            Walked::Halted(Halt::Fault(reason)) if goes_on_after(reason) => {
                let message = if reason == Reason::LedgerRewound {
                    "the ledger went back while the run was under way, as after a failover that lost \
                     commits: the run goes on from what the ledger has"
                } else {
                    "the run was interrupted by the database and will be resumed from its checkpoint"
                };
                return Ok(JobOutcome::Failed {
                    reason,
                    message: message.to_owned(),
                    passing: true,
                });
            }
            Walked::Stopped(_) => ("abandoned", RunOutcome::Stopped(Reason::Abandoned)),
            Walked::Halted(Halt::Ceiling) => ("done", RunOutcome::Stopped(Reason::CeilingReached)),
            Walked::Halted(Halt::Fault(reason)) => ("done", RunOutcome::Failed(reason)),
        };
        let run = self.ending().cut_short(steps, state, outcome).await?;
        Ok(self.ran(run))
    }
}

/// Whether the rule's rows are at fault, which say nothing of the rules after it.
fn is_the_rules_own(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConstraintConflict
            | Reason::ColumnUnfit
            | Reason::RowsNotFound
            | Reason::ReferenceRing
            | Reason::SmallGroups
            | Reason::SealedAlready
    )
}

/// Whether the run goes on where it was once somebody or something has mended the fault. Not where
/// going on would meet it again with the next batch.
fn goes_on_after(reason: Reason) -> bool {
    !is_the_rules_own(reason) && !matches!(reason, Reason::InternalError | Reason::RowsUnaccounted)
}
