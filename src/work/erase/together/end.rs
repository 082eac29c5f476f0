//! The end of the runs of several requests in one database: what is left is looked for once for all of
//! them, and they are ended at once.

use jiff::Timestamp;
use oubliette_core::catalog::Catalog;
use oubliette_core::ledger::Evidence;
use oubliette_core::plan::Draft;
use oubliette_core::report::{HeldCount, Residual, RunOutcome, RunReport};
use oubliette_core::sql::Numbers;

use super::Alone;
use super::walk::Walking;
use crate::ledger::{Ended, LedgerFault};
use crate::work::holds::{in_force, typed};
use crate::work::job::Job;
use crate::work::measure::{held, independent, residual};
use crate::work::windows::Reading;

impl Walking<'_> {
    /// Looks at every rule's rows once more under the holds of this moment, as whoever carries one run out
    /// does. Returns the requests of which something is left that is not kept: they are gone on with
    /// alone.
    pub(super) async fn verify(
        &mut self,
        of_all: &Job,
        draft: &Draft,
        catalog: &Catalog,
    ) -> Result<Vec<usize>, Alone> {
        let database = &self.place.database;
        let reading = Reading::of(self.pace.is_limited(), 1);
        let holds = in_force(of_all, self.store).await?;
        let holds = Box::pin(typed(of_all, catalog, holds)).await?;
        let unfit = |_| Alone::because("a hold does not fit");
        self.rules = draft.rules_under(&holds, Some(catalog)).map_err(unfit)?;
        for line in &mut self.lines {
            let draft = line.plan.draft();
            line.rules = draft.rules_under(&holds, Some(catalog)).map_err(unfit)?;
        }
        let mut left = Vec::new();
        for (step, rule) in self.rules.iter().enumerate() {
            let known: i64 = residual(database, rule, Numbers::default(), reading)
                .await?
                .iter()
                .map(|w| w.1)
                .sum();
            let plain = independent(database, rule).await?;
            for line in &mut self.lines {
                let rule = &line.rules[step];
                if known > 0 || plain > 0 {
                    let theirs = residual(database, rule, Numbers::default(), reading).await?;
                    if !theirs.is_empty() || independent(database, rule).await? > 0 {
                        left.push(line.member);
                        continue;
                    }
                }
                // Nothing to be kept is nothing that a statement would have to count.
                let facts = Box::pin(held(database, rule, reading)).await?;
                let done = &mut line.steps[step];
                done.kept = rule.kept(&facts);
                done.held_by = HeldCount::of(&rule.count.eligible.held, &facts.held_by);
                done.residual = Residual {
                    held: facts.held,
                    kept: done.kept.rows,
                    ..Residual::default()
                };
            }
        }
        Ok(left)
    }

    /// Ends the runs that are left.
    pub(super) async fn end(self) -> Result<Vec<(usize, RunReport)>, Alone> {
        let finished_at = Timestamp::now();
        let mut ended = Vec::new();
        for line in &self.lines {
            let evidence = |step| Evidence {
                run: &line.run.run.id,
                policy: &line.run.run.policy,
                plan: *line.plan.digest(),
                step,
                finished_at,
            };
            ended.push(Ended {
                run: &line.run.run.id,
                steps: line.steps.iter().map(evidence).collect(),
            });
        }
        let report = |at: usize, head: &str| {
            let line = &self.lines[at];
            let malformed = || LedgerFault::Malformed("run");
            let instant = |text: &str| text.parse().map_err(|_| malformed());
            let run = RunReport {
                run: line.run.run.id.clone(),
                plan: *line.plan.digest(),
                as_of: instant(&line.run.run.as_of)?,
                started_at: instant(&line.run.run.started_at)?,
                finished_at,
                outcome: RunOutcome::Completed,
                rules: line.steps.clone(),
                evidence: head.parse().ok(),
            };
            let text = serde_json::to_string(&run).map_err(|_| malformed())?;
            Ok((text, run))
        };
        let reports = self.store.finish_all(&ended, report).await?;
        let members = self.lines.iter().map(|line| line.member);
        Ok(members.zip(reports).collect())
    }
}
