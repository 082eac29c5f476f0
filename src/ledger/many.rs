//! Many runs recorded and ended at once: one transaction for all of them, the rows of each as if it had
//! been alone. What one process leaves half done another goes on with run by run.

use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::ledger::{CheckpointRow, Evidence, Link, NewRun, NewTally};

use super::{LedgerFault, Store, expect_one, finish, read_head};

/// Rows of one statement. What is sent of it should fit one TLS record (see `sql::chunks`), and
/// a row may carry a text of a thousand characters.
const LONG: usize = 8;
/// The same where rows are short.
const SHORT: usize = 48;

/// Every run that is recorded by [`Store::record_all`] has this epoch until somebody takes it over.
pub const FIRST_EPOCH: i64 = 0;

/// A run to be recorded, with its workers.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The run.
    pub run: NewRun,
    /// Its workers.
    pub checkpoints: Vec<CheckpointRow>,
    /// How many related tables each step has.
    pub targets: Vec<i32>,
}

/// A run that has come to its end.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The run.
    pub run: &'a str,
    /// What its steps did, in order.
    pub steps: Vec<Evidence<'a>>,
}

impl Store {
    /// Which of these requests are remembered with a map, or were.
    pub async fn remembered(
        &self,
        map: &str,
        requests: &[&str],
    ) -> Result<Vec<String>, LedgerFault> {
        if requests.is_empty() || !self.has_subjects().await? {
            return Ok(Vec::new());
        }
        let rows = self.read(&self.ledger.subjects_of(map, requests)).await?;
        let names = rows.iter().flatten();
        names.map(|value| super::text(value, "subject")).collect()
    }

    /// Remembers persons until their requests have ended, all or none of them. What was remembered
    /// before stays.
    pub async fn remember_all(
        &self,
        map: &str,
        persons: &[(&str, &Recorded)],
    ) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        for some in persons.chunks(LONG) {
            tx.change(&self.ledger.insert_subjects(map, some)).await?;
        }
        finish(tx).await
    }

    /// Records runs with all of their workers in one transaction. `TakenOver`: another worker
    /// has begun one of one of these policies meanwhile, and none is recorded. `LedgerOwned`: the ledger was
    /// handed over meanwhile.
    pub async fn record_all(&self, runs: &[Beginning]) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        // Under the head's lock: of two that come at once the second sees the first one's runs.
        tx.rows(&self.ledger.lock_head()).await?;
        if let Err(fault) = self.still_ours(&mut tx).await {
            tx.rollback().await;
            return Err(fault);
        }
        for some in runs.chunks(SHORT) {
            let owners: Vec<&str> = some.iter().map(|one| one.run.policy_uid.as_str()).collect();
            if !tx.rows(&self.ledger.open_of(&owners)).await?.is_empty() {
                tx.rollback().await;
                return Err(LedgerFault::TakenOver);
            }
        }
        for some in runs.chunks(LONG) {
            let some: Vec<&NewRun> = some.iter().map(|one| &one.run).collect();
            tx.change(&self.ledger.insert_runs(&some)).await?;
        }
        let mut checkpoints = Vec::new();
        let mut tallies = Vec::new();
        for one in runs {
            let run = one.run.id.as_str();
            for row in &one.checkpoints {
                checkpoints.push((run, row));
                let related = usize::try_from(row.step).ok();
                let related = related.and_then(|step| one.targets.get(step));
                tallies.extend((1..=related.copied().unwrap_or(0)).map(|target| NewTally {
                    run,
                    step: row.step,
                    worker: row.worker,
                    part: row.saved.part,
                    target,
                }));
            }
        }
        for some in checkpoints.chunks(SHORT) {
            tx.change(&self.ledger.insert_checkpoints(some)).await?;
        }
        for some in tallies.chunks(SHORT) {
            tx.change(&self.ledger.insert_tallies(some)).await?;
        }
        finish(tx).await
    }

    /// Ends runs of which nobody has taken one over since they were recorded: each step's evidence, each
    /// run's report, in one transaction. `report` makes that of the run with this place in the list from
    /// the hash of its last link, as text and as what is returned.
    pub async fn finish_all<R>(
        &self,
        ended: &[Ended<'_>],
        report: impl Fn(usize, &str) -> Result<(String, R), LedgerFault>,
    ) -> Result<Vec<R>, LedgerFault> {
        let mut tx = self.begin().await?;
        let ids: Vec<&str> = ended.iter().map(|one| one.run).collect();
        let ours = tx.rows(&self.ledger.lock_runs(&ids, FIRST_EPOCH)).await?;
        if ours.len() != ids.len() {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        let (first, length) = read_head(&tx.rows(&self.ledger.lock_head()).await?)?;
        let mut links: Vec<(i64, &str, Link)> = Vec::new();
        let mut texts = Vec::new();
        let mut reports = Vec::new();
        let (mut head, mut at) = (first.clone(), length);
        for (place, one) in ended.iter().enumerate() {
            for evidence in &one.steps {
                let link = evidence
                    .follows(&head)
                    .map_err(|_| LedgerFault::Malformed("evidence"))?;
                head.clone_from(&link.hash);
                at += 1;
                links.push((at, one.run, link));
            }
            let (text, report) = report(place, &head)?;
            texts.push(text);
            reports.push(report);
        }
        let borrowed: Vec<(i64, &str, &Link)> = links
            .iter()
            .map(|(at, run, link)| (*at, *run, link))
            .collect();
        for some in borrowed.chunks(LONG) {
            tx.change(&self.ledger.insert_links(some)).await?;
        }
        let raised = self.ledger.raise_head_by(at - length, &first, &head);
        expect_one(tx.change(&raised).await?, "chain_head")?;
        tx.change(&self.ledger.finish_steps(&ids)).await?;
        for (one, report) in ended.iter().zip(&texts) {
            let ended = self.ledger.finish_run(one.run, FIRST_EPOCH, "done", report);
            expect_one(tx.change(&ended).await?, "run")?;
        }
        finish(tx).await?;
        Ok(reports)
    }
}
