//! How a run ends in the ledger, whoever ends it: what its steps did is told from the ledger's own
//! counts, and every step that changed a row has its link in the evidence chain.

use jiff::Timestamp;
use oubliette_core::digest::Digest;
use oubliette_core::ledger::{Evidence, RunRow};
use oubliette_core::plan::ApprovedPlan;
use oubliette_core::report::{KeptRows, Residual, RuleRun, RunOutcome, RunReport, TableCount};

use crate::ledger::{LedgerFault, Store};

/// A run as whoever ends it holds it.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) store: &'a Store,
    pub(super) row: &'a RunRow,
    pub(super) epoch: i64,
}

/// The steps of a plan with nothing done yet: recorded with the run, so that it can be told what an
/// interrupted step did when its policy is no longer there to plan from.
pub(super) fn untouched(plan: &ApprovedPlan) -> Vec<RuleRun> {
    plan.rules()
        .iter()
        .map(|rule| {
            let own = TableCount {
                table: rule.change.window.table.to_string(),
                effect: rule.effect,
                rows: 0,
            };
            let related = rule.nodes.iter().map(|node| TableCount {
                table: node.depth.table.to_string(),
                effect: node.effect,
                rows: 0,
            });
            RuleRun {
                rule: rule.name.clone(),
                cutoff: rule.cutoff,
                changed: std::iter::once(own).chain(related).collect(),
                residual: Residual::default(),
                oldest_left: None,
                held_by: Vec::new(),
                small_groups: None,
                partitions: 0,
                kept: KeptRows::default(),
                failed: None,
            }
        })
        .collect()
}

impl Ending<'_> {
    /// What a step has done so far, as the ledger has it; `None`: the run has no such step.
    pub(super) async fn done(&self, step: usize) -> Result<Option<RuleRun>, LedgerFault> {
        let steps: Vec<RuleRun> =
            serde_json::from_str(&self.row.steps).map_err(|_| LedgerFault::Malformed("run"))?;
        let Some(mut done) = steps.into_iter().nth(step) else {
            return Ok(None);
        };
        let number = i32::try_from(step).unwrap_or(i32::MAX);
        done.partitions = match self.store.partitions(&self.row.id).await?.get(&number) {
            Some(gone) => *gone,
            None => 0,
        };
        let totals = self.store.totals(&self.row.id).await?;
        for (target, table) in (0_i32..).zip(&mut done.changed) {
            table.rows = totals
                .iter()
                .filter(|t| t.step == number && t.target == target)
                .map(|t| t.n)
                .sum();
        }
        Ok(Some(done))
    }

    /// Ends a step with its evidence. Returns the chain's new head.
    pub(super) async fn finish_step(
        &self,
        step: usize,
        done: &RuleRun,
    ) -> Result<Option<Digest>, LedgerFault> {
        let number = i32::try_from(step).unwrap_or(i32::MAX);
        let evidence = self.evidence(done)?;
        let head = self
            .store
            .finish_step(&self.row.id, self.epoch, number, &evidence)
            .await?;
        Ok(head.parse().ok())
    }

    /// Ends the run in the middle of the step after `steps`: what that one did is counted and
    /// evidenced, too, in the transaction that ends the run.
    pub(super) async fn cut_short(
        &self,
        mut steps: Vec<RuleRun>,
        state: &str,
        outcome: RunOutcome,
    ) -> Result<RunReport, LedgerFault> {
        let number = i32::try_from(steps.len()).unwrap_or(i32::MAX);
        // Whoever was told to stop did not wait for an answer that was lost.
        self.store
            .settle_step(&self.row.id, self.epoch, number)
            .await?;
        let half = self
            .done(steps.len())
            .await?
            .filter(|done| done.changed.iter().any(|table| table.rows > 0));
        let Some(half) = half else {
            return self.end(steps, state, outcome).await;
        };
        let evidence = self.evidence(&half)?;
        steps.push(half.clone());
        let mut report = self.report(steps, outcome)?;
        let entered = &mut report;
        self.store
            .cut_short(
                &self.row.id,
                self.epoch,
                number,
                &evidence,
                state,
                move |head| {
                    entered.evidence = head.parse().ok();
                    json(entered)
                },
            )
            .await?;
        Ok(report)
    }

    /// Ends the run.
    pub(super) async fn end(
        &self,
        rules: Vec<RuleRun>,
        state: &str,
        outcome: RunOutcome,
    ) -> Result<RunReport, LedgerFault> {
        let steps = i32::try_from(rules.len()).unwrap_or(i32::MAX);
        let mut report = self.report(rules, outcome)?;
        report.evidence = self.store.head().await?.0.parse().ok();
        self.store
            .finish_run(&self.row.id, self.epoch, steps, state, &json(&report)?)
            .await?;
        Ok(report)
    }

    fn plan(&self) -> Result<Digest, LedgerFault> {
        let parsed = self.row.plan.parse();
        parsed.map_err(|_| LedgerFault::Malformed("run"))
    }

    fn evidence<'e>(&'e self, done: &'e RuleRun) -> Result<Evidence<'e>, LedgerFault> {
        Ok(Evidence {
            run: &self.row.id,
            policy: &self.row.policy,
            plan: self.plan()?,
            step: done,
            finished_at: Timestamp::now(),
        })
    }

    fn report(&self, rules: Vec<RuleRun>, outcome: RunOutcome) -> Result<RunReport, LedgerFault> {
        let instant = |text: &str| text.parse().map_err(|_| LedgerFault::Malformed("run"));
        Ok(RunReport {
            run: self.row.id.clone(),
            plan: self.plan()?,
            as_of: instant(&self.row.as_of)?,
            started_at: instant(&self.row.started_at)?,
            finished_at: Timestamp::now(),
            outcome,
            rules,
            evidence: None,
        })
    }
}

fn json(report: &RunReport) -> Result<String, LedgerFault> {
    serde_json::to_string(report).map_err(|_| LedgerFault::Malformed("run"))
}
