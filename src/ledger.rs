//! The ledger's effects: opens it, records and takes over runs, settles lost answers, adds
//! evidence. Statements and their rules are in `oubliette_core::ledger`.

use std::time::Duration;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::grants::account;
use oubliette_core::ledger::{
    CheckpointRow, Evidence, Ledger, Owner, Rewound, RunRow, Tally, VERSION, printed,
};
use oubliette_core::report::RuleRun;
use oubliette_core::rows::Rows;
use oubliette_core::run::Saved;
use oubliette_core::sql::Bound;
use oubliette_core::value::Value;

use self::owner::owned_by;
use crate::database::{Access, Database, Fault, FaultClass, Timeouts, Tx};

mod chain;
mod erased;
mod hold;
mod intent;
mod many;
mod owner;
mod subject;

pub use many::{Beginning, Ended, FIRST_EPOCH};
pub use subject::Subject;

/// A ledger transaction waits this long for a batch under way: longer than a dying worker's idle
/// limit, so that taking over settles what it left.
const LEDGER_TIMEOUTS: Timeouts = Timeouts {
    lock: Duration::from_secs(40),
    statement: Duration::from_mins(1),
};

/// How often the ledger's creation is begun anew.
const CREATIONS: u32 = 5;
/// How long the other one is given that creates it at the same time.
const BETWEEN: Duration = Duration::from_millis(300);

/// Why the ledger could not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The database said no.
    #[error("ledger: {0}")]
    Database(#[source] Fault),
    /// The ledger must not be used; the message says what to do.
    #[error("{message}")]
    Refused {
        /// The class.
        reason: Reason,
        /// What to do.
        message: String,
    },
    /// Another worker has taken the run over.
    #[error("another worker has taken the run over")]
    TakenOver,
    /// A row of the ledger does not read as this program writes it.
    #[error("a row of the ledger's table {0} is not one that this program wrote")]
    Malformed(&'static str),
}

impl LedgerFault {
    /// The reason a resource shows.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Database(fault) => fault.reason(),
            Self::Refused { reason, .. } => *reason,
            Self::TakenOver => Reason::TakenOver,
            Self::Malformed(_) => Reason::RunFailed,
        }
    }

    /// Whether trying again may help without anybody acting.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(fault) => fault.is_retryable(),
            Self::TakenOver
            | Self::Refused {
                reason: Reason::HoldsUnreadable,
                ..
            } => true,
            Self::Refused { .. } | Self::Malformed(_) => false,
        }
    }
}

impl From<Fault> for LedgerFault {
    fn from(fault: Fault) -> Self {
        Self::Database(fault)
    }
}

/// Which worker of which run.
pub type Place = (String, i32, i32);

/// A run that this worker may carry out.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The epoch that is ours.
    pub epoch: i64,
    /// The open checkpoint rows, by step and worker.
    pub checkpoints: Vec<CheckpointRow>,
}

/// A ledger that is ours.
#[derive(Clone, Debug)]
pub struct Store {
    ledger: Ledger,
    database: Database,
    /// Whose it has to be still when work begins; `None`: nobody asks.
    owner: Option<Owner>,
}

impl Store {
    /// Opens the ledger: creates it where it is missing, claims it where it is nobody's, and refuses
    /// a newer one or somebody else's.
    pub async fn open(
        database: &Database,
        ledger: Ledger,
        owner: &Owner,
    ) -> Result<Self, LedgerFault> {
        let store = Self {
            ledger,
            database: database.clone(),
            owner: Some(owner.clone()),
        };
        store.ensure_present().await?;
        let claim = store.ledger.claim(&owner.cluster, &owner.database);
        let mut row = store.meta().await?;
        if row.is_none() {
            let mut tx = store.begin().await?;
            tx.change(&store.ledger.first_head()).await?;
            tx.change(&claim).await?;
            finish(tx).await?;
            row = store.meta().await?;
        }
        let (version, found) = row.ok_or(LedgerFault::Malformed("meta"))?;
        if version > VERSION {
            return Err(LedgerFault::Refused {
                reason: Reason::LedgerNewer,
                message: format!(
                    "the ledger has version {version}, this program knows {VERSION}: run the newer \
                     oubliette that wrote it"
                ),
            });
        }
        if found != *owner {
            return Err(owned_by(&found));
        }
        Ok(store)
    }

    /// Creates what is missing of the ledger's tables.
    async fn ensure_present(&self) -> Result<(), LedgerFault> {
        let mut failed = None;
        for _ in 0..CREATIONS {
            // One that an earlier version has made gets what it lacks.
            if self.is_present().await? && self.missing().await?.is_empty() {
                return Ok(());
            }
            // Two that create it at once collide in the catalog, whatever IF NOT EXISTS says.
            failed = match self.create().await {
                Ok(()) => None,
                Err(LedgerFault::Database(fault)) => {
                    tokio::time::sleep(BETWEEN).await;
                    Some(fault)
                }
                Err(refused) => return Err(refused),
            };
        }
        let missing = self.missing().await?;
        match failed {
            _ if missing.is_empty() => Ok(()),
            Some(fault) => Err(fault.into()),
            // IF NOT EXISTS is content with whatever has the name.
            None => Err(LedgerFault::Refused {
                reason: Reason::LedgerUnfit,
                message: format!(
                    "the ledger cannot be created: something that is no ordinary table has the name \
                     of {}",
                    missing.join(", ")
                ),
            }),
        }
    }

    /// The ledger's tables that are not there, as statements name them.
    async fn missing(&self) -> Result<Vec<String>, LedgerFault> {
        Ok(self.ledger.missing(&self.found().await?))
    }

    /// The ledger's tables that are there.
    async fn found(&self) -> Result<Vec<String>, LedgerFault> {
        let rows = self.read(&self.ledger.present()).await?;
        rows.iter()
            .flatten()
            .map(|value| text(value, "meta"))
            .collect()
    }

    /// Whether there is a ledger that the user may not read at all.
    pub async fn is_hidden(&self) -> Result<bool, LedgerFault> {
        if !self.is_present().await? {
            return Ok(false);
        }
        match self.meta().await {
            Ok(_) => Ok(false),
            Err(LedgerFault::Database(fault)) if fault.class == FaultClass::Privilege => Ok(true),
            Err(fault) => Err(fault),
        }
    }

    /// Whether the ledger's tables are there, of this version or an earlier one. One without its holds is refused: made anew they would
    /// be none, and what was held would go.
    pub async fn is_present(&self) -> Result<bool, LedgerFault> {
        let mut found = self.found().await?;
        if self.ledger.lost_holds(&found).is_some() && self.meta().await?.is_some() {
            // It is claimed once all its tables are there, which may have been after the look.
            found = self.found().await?;
            if let Some(lost) = self.ledger.lost_holds(&found) {
                return Err(hold::lost_holds(&lost));
            }
        }
        Ok(self.ledger.is_whole(&found))
    }

    /// A ledger without a look at its owner: for `oubliette ledger adopt`.
    pub fn unchecked(database: &Database, ledger: Ledger) -> Self {
        Self {
            ledger,
            database: database.clone(),
            owner: None,
        }
    }

    /// Whether the ledger is behind what is remembered of it. One that is not there has nothing.
    pub async fn rewound(&self, remembered: &[String]) -> Result<Option<Rewound>, LedgerFault> {
        if remembered.is_empty() {
            return Ok(None);
        }
        if !self.is_present().await? {
            return Ok(Rewound::of(remembered, &[], &[], String::new()));
        }
        let texts = |rows: Vec<Vec<Value>>| -> Result<Vec<String>, LedgerFault> {
            rows.iter()
                .flatten()
                .map(|value| text(value, "evidence"))
                .collect()
        };
        let links = texts(self.read(&self.ledger.links(remembered)).await?)?;
        if remembered.iter().all(|head| links.contains(head)) {
            return Ok(None);
        }
        let acceptances = texts(self.read(&self.ledger.acceptances()).await?)?;
        let (head, _) = self.head().await?;
        Ok(Rewound::of(remembered, &links, &acceptances, head))
    }

    /// Records that a person accepts the ledger as it was found. `TakenOver`: it has changed since.
    pub async fn accept(&self, found: &Rewound, database: &str) -> Result<(), LedgerFault> {
        let link = found
            .accepted(database, Timestamp::now())
            .map_err(|_| LedgerFault::Malformed("evidence"))?;
        let mut tx = self.begin().await?;
        let (head, length) = read_head(&tx.rows(&self.ledger.lock_head()).await?)?;
        if head != found.head {
            return Err(LedgerFault::TakenOver);
        }
        let raised = self.ledger.raise_head(&head, &link.hash);
        expect_one(tx.change(&raised).await?, "chain_head")?;
        tx.change(&self.ledger.insert_acceptance(length + 1, &link))
            .await?;
        finish(tx).await
    }

    async fn create(&self) -> Result<(), LedgerFault> {
        let place_is_there = match self.ledger.place_present() {
            Some(ask) => !self.read(&ask).await?.is_empty(),
            None => false,
        };
        for statement in self.ledger.create(place_is_there) {
            let mut tx = self.begin().await?;
            match tx.change(&statement).await {
                Ok(_) => finish(tx).await?,
                Err(fault) if fault.reason() == Reason::MissingGrants => {
                    tx.rollback().await;
                    let user = self.user().await?;
                    return Err(LedgerFault::Refused {
                        reason: Reason::LedgerMissing,
                        message: format!(
                            "the ledger is missing and user {user} may not create it; as an \
                             administrator run:\n{}",
                            printed(&self.ledger, &user)
                        ),
                    });
                }
                Err(fault) => {
                    tx.rollback().await;
                    return Err(fault.into());
                }
            }
        }
        Ok(())
    }

    /// The connected user as grants name it.
    pub async fn user(&self) -> Result<String, LedgerFault> {
        let ask = match self.ledger.engine {
            Engine::Postgres => "SELECT pg_catalog.quote_ident(CURRENT_USER::pg_catalog.text)",
            Engine::MySql | Engine::MariaDb => "SELECT CONVERT(CURRENT_USER() USING utf8mb4)",
        };
        let rows = self.read(&Bound::fixed(ask, Vec::new())).await?;
        let name = rows.first().and_then(|row| row.first());
        let name = text(name.ok_or(LedgerFault::Malformed("meta"))?, "meta")?;
        Ok(match self.ledger.engine {
            Engine::Postgres => name,
            engine => account(engine, &name),
        })
    }

    /// The oldest run of a policy that has not ended.
    pub async fn open_run(&self, policy_uid: &str) -> Result<Option<RunRow>, LedgerFault> {
        self.read_run(&self.ledger.open_runs(policy_uid)).await
    }

    /// One run.
    pub async fn run(&self, id: &str) -> Result<Option<RunRow>, LedgerFault> {
        self.read_run(&self.ledger.run(id)).await
    }

    /// The runs of all policies that have not ended, oldest first.
    pub async fn open_runs(&self) -> Result<Vec<RunRow>, LedgerFault> {
        self.read_runs(&self.ledger.all_open_runs()).await
    }

    /// Every run of a policy by its namespace and name, newest first.
    pub async fn runs_of(&self, policy: &str) -> Result<Vec<RunRow>, LedgerFault> {
        self.read_runs(&self.ledger.runs_of(policy)).await
    }

    async fn read_runs(&self, statement: &Bound) -> Result<Vec<RunRow>, LedgerFault> {
        self.read(statement)
            .await?
            .iter()
            .map(|row| Ledger::read_run(row).ok_or(LedgerFault::Malformed("run")))
            .collect()
    }

    async fn read_run(&self, statement: &Bound) -> Result<Option<RunRow>, LedgerFault> {
        let rows = self.read(statement).await?;
        rows.first()
            .map(|row| Ledger::read_run(row).ok_or(LedgerFault::Malformed("run")))
            .transpose()
    }

    /// Most rows that all workers of a run may change together.
    pub async fn ceiling(&self, id: &str) -> Result<i64, LedgerFault> {
        let mut tx = self.begin().await?;
        let rows = tx.rows(&self.ledger.checkpoints(id)).await?;
        tx.rollback().await;
        rows.iter().try_fold(0_i64, |sum, row| {
            let read = Ledger::read_checkpoint(row).ok_or(LedgerFault::Malformed("checkpoint"))?;
            Ok(sum.saturating_add(read.saved.ceiling.all))
        })
    }

    /// Takes a run over: from here on every other worker's fence misses, and what was under way is
    /// settled.
    pub async fn take_over(&self, id: &str) -> Result<Taken, LedgerFault> {
        let mut tx = self.begin().await?;
        if tx.change(&self.ledger.raise_epoch(id)).await? != 1 {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        if let Err(fault) = self.still_ours(&mut tx).await {
            tx.rollback().await;
            return Err(fault);
        }
        let rows = tx.rows(&self.ledger.run(id)).await?;
        let epoch = rows
            .first()
            .and_then(|row| Ledger::read_run(row))
            .ok_or(LedgerFault::Malformed("run"))?
            .epoch;
        tx.change(&self.ledger.spread_epoch(id, epoch)).await?;
        let checkpoints = tx
            .rows(&self.ledger.checkpoints(id))
            .await?
            .iter()
            .map(|row| Ledger::read_checkpoint(row).ok_or(LedgerFault::Malformed("checkpoint")))
            .collect::<Result<_, _>>()?;
        finish(tx).await?;
        Ok(Taken { epoch, checkpoints })
    }

    /// The worker's own row, read under lock: waits for a transaction whose answer was lost.
    pub async fn settle(&self, place: &Place) -> Result<Option<Saved>, LedgerFault> {
        let mut tx = self.begin().await?;
        let rows = tx
            .rows(&self.ledger.lock_checkpoint(&place.0, place.1, place.2))
            .await?;
        tx.rollback().await;
        rows.first()
            .map(|row| {
                Ledger::read_checkpoint(row)
                    .map(|r| r.saved)
                    .ok_or(LedgerFault::Malformed("checkpoint"))
            })
            .transpose()
    }

    /// Waits for every batch of a step that is still under way somewhere: one whose answer was lost may
    /// commit yet.
    pub async fn settle_step(&self, run: &str, epoch: i64, step: i32) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        let ours = tx.rows(&self.ledger.lock_run(run, epoch)).await?.len() == 1;
        if ours {
            tx.rows(&self.ledger.lock_step(run, step)).await?;
        }
        tx.rollback().await;
        if ours {
            Ok(())
        } else {
            Err(LedgerFault::TakenOver)
        }
    }

    /// Gives one worker of a step what the others may still change. Only while none of the step's
    /// batches is under way.
    pub async fn pool(&self, place: &Place, epoch: i64) -> Result<Saved, LedgerFault> {
        let (run, step, worker) = place;
        let mut tx = self.begin().await?;
        if tx.rows(&self.ledger.lock_run(run, epoch)).await?.len() != 1 {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        let mut own = None;
        let mut spare = Rows::ZERO;
        for row in tx.rows(&self.ledger.lock_step(run, *step)).await? {
            let row = Ledger::read_checkpoint(&row).ok_or(LedgerFault::Malformed("checkpoint"))?;
            if row.worker == *worker {
                own = Some(row.saved);
            } else if row.saved.ceiling != row.saved.done {
                spare += row.saved.ceiling - row.saved.done;
                let other = (run.clone(), *step, row.worker);
                let set = self.ledger.set_ceiling(&other, &row.saved, row.saved.done);
                expect_one(tx.change(&set).await?, "checkpoint")?;
            }
        }
        let mut own = own.ok_or(LedgerFault::Malformed("checkpoint"))?;
        own.ceiling += spare;
        let set = self.ledger.set_ceiling(place, &own, own.ceiling);
        expect_one(tx.change(&set).await?, "checkpoint")?;
        finish(tx).await?;
        Ok(own)
    }

    /// Replaces a worker's checkpoint row by a fresh one under the next part.
    pub async fn roll_over(
        &self,
        place: &Place,
        epoch: i64,
        targets: i32,
    ) -> Result<i32, LedgerFault> {
        let (run, step, worker) = place;
        let mut tx = self.begin().await?;
        if tx.rows(&self.ledger.lock_run(run, epoch)).await?.len() != 1 {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        // A hold is placed under it: one that raises the generation of the open checkpoints while one of
        // them is replaced would find neither (on PostgreSQL the new one is not in its snapshot).
        tx.rows(&self.ledger.lock_head()).await?;
        let rows = tx
            .rows(&self.ledger.lock_checkpoint(run, *step, *worker))
            .await?;
        let mut row = rows
            .first()
            .and_then(|row| Ledger::read_checkpoint(row))
            .ok_or(LedgerFault::Malformed("checkpoint"))?;
        if tx.change(&self.ledger.replace(place, &row.saved)).await? != 1 {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        row.saved.part += 1;
        tx.change(&self.ledger.insert_checkpoint(run, &row)).await?;
        for target in 1..=targets {
            let tally = self
                .ledger
                .insert_tally(run, *step, *worker, row.saved.part, target);
            tx.change(&tally).await?;
        }
        finish(tx).await?;
        Ok(row.saved.part)
    }

    /// Rows changed so far, per step and table.
    pub async fn totals(&self, run: &str) -> Result<Vec<Tally>, LedgerFault> {
        self.read(&self.ledger.totals(run))
            .await?
            .iter()
            .map(|row| Ledger::read_tally(row).ok_or(LedgerFault::Malformed("tally")))
            .collect()
    }

    /// Ends a step and adds its evidence, under the run's lock at our epoch. Returns the chain's
    /// new head.
    pub async fn finish_step(
        &self,
        run: &str,
        epoch: i64,
        step: i32,
        evidence: &Evidence<'_>,
    ) -> Result<String, LedgerFault> {
        let mut tx = self.begin().await?;
        let hash = self.evidence(&mut tx, run, epoch, step, evidence).await?;
        finish(tx).await?;
        Ok(hash)
    }

    /// Ends a step that was not brought to its end, and its run with it, in one transaction: a run
    /// that is still open never has evidence of half a step, which a resume would take for whole.
    /// `report` makes the run's report from the chain's new head.
    pub async fn cut_short(
        &self,
        run: &str,
        epoch: i64,
        step: i32,
        evidence: &Evidence<'_>,
        state: &str,
        report: impl FnOnce(&str) -> Result<String, LedgerFault>,
    ) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        let hash = self.evidence(&mut tx, run, epoch, step, evidence).await?;
        let report = report(&hash)?;
        self.close(&mut tx, run, epoch, state, &report).await?;
        finish(tx).await
    }

    /// Adds a step's evidence under the run's lock at our epoch. An error leaves the transaction to
    /// be rolled back by its drop.
    async fn evidence(
        &self,
        tx: &mut Tx,
        run: &str,
        epoch: i64,
        step: i32,
        evidence: &Evidence<'_>,
    ) -> Result<String, LedgerFault> {
        if tx.rows(&self.ledger.lock_run(run, epoch)).await?.len() != 1 {
            return Err(LedgerFault::TakenOver);
        }
        self.unbroken(tx, run, step).await?;
        let (hash, length) = read_head(&tx.rows(&self.ledger.lock_head()).await?)?;
        let link = evidence
            .follows(&hash)
            .map_err(|_| LedgerFault::Malformed("evidence"))?;
        tx.change(&self.ledger.finish_step(run, step)).await?;
        let raised = tx
            .change(&self.ledger.raise_head(&hash, &link.hash))
            .await?;
        if raised != 1 {
            return Err(LedgerFault::TakenOver);
        }
        tx.change(&self.ledger.insert_evidence(length + 1, run, &link))
            .await?;
        Ok(link.hash)
    }

    /// Fails where a run has not as many steps in the evidence as were finished: a server has taken over that had
    /// not got all that was committed, and going on would hide it.
    async fn unbroken(&self, tx: &mut Tx, run: &str, finished: i32) -> Result<(), LedgerFault> {
        let evidenced = tx.rows(&self.ledger.evidence_of(run)).await?.len();
        if i32::try_from(evidenced) == Ok(finished) {
            return Ok(());
        }
        Err(LedgerFault::Refused {
            reason: Reason::LedgerRewound,
            message: format!(
                "the run {run} has finished {finished} steps, of which the ledger's evidence has {evidenced}, as \
                 after a failover that lost commits: the rows of the others may be back. The run stays \
                 open, and goes on from what the ledger has"
            ),
        })
    }

    async fn close(
        &self,
        tx: &mut Tx,
        run: &str,
        epoch: i64,
        state: &str,
        report: &str,
    ) -> Result<(), LedgerFault> {
        let hit = tx
            .change(&self.ledger.finish_run(run, epoch, state, report))
            .await?;
        if hit != 1 {
            return Err(LedgerFault::TakenOver);
        }
        tx.change(&self.ledger.clear_keys(run)).await?;
        Ok(())
    }

    /// What finished steps of a run did, in order: a resumed run reports them as its own.
    pub async fn finished_steps(&self, run: &str) -> Result<Vec<RuleRun>, LedgerFault> {
        #[derive(serde::Deserialize)]
        struct Body {
            step: RuleRun,
        }
        self.read(&self.ledger.evidence_of(run))
            .await?
            .iter()
            .map(|row| {
                row.first()
                    .and_then(Value::as_text)
                    .and_then(|body| serde_json::from_str::<Body>(body).ok())
                    .map(|body| body.step)
                    .ok_or(LedgerFault::Malformed("evidence"))
            })
            .collect()
    }

    /// Ends a run at our epoch, with evidence of so many steps.
    pub async fn finish_run(
        &self,
        run: &str,
        epoch: i64,
        steps: i32,
        state: &str,
        report: &str,
    ) -> Result<(), LedgerFault> {
        let mut tx = self.begin().await?;
        if tx.rows(&self.ledger.lock_run(run, epoch)).await?.len() != 1 {
            tx.rollback().await;
            return Err(LedgerFault::TakenOver);
        }
        self.unbroken(&mut tx, run, steps).await?;
        self.close(&mut tx, run, epoch, state, report).await?;
        finish(tx).await
    }

    /// The head of the evidence chain: hash and length.
    pub async fn head(&self) -> Result<(String, i64), LedgerFault> {
        read_head(&self.read(&self.ledger.head()).await?)
    }

    /// The statements of this ledger.
    pub fn sql(&self) -> &Ledger {
        &self.ledger
    }

    async fn read(&self, statement: &Bound) -> Result<Vec<Vec<Value>>, LedgerFault> {
        let mut tx = self.database.begin(Access::ReadOnly).await?;
        let rows = tx.rows(statement).await;
        tx.rollback().await;
        Ok(rows?)
    }

    async fn begin(&self) -> Result<Tx, Fault> {
        self.database.begin(Access::Change(LEDGER_TIMEOUTS)).await
    }
}

/// Hash and length of the evidence chain's head.
fn read_head(rows: &[Vec<Value>]) -> Result<(String, i64), LedgerFault> {
    match rows.first().map(Vec::as_slice) {
        Some([hash, length]) => Ok((
            text(hash, "chain_head")?,
            length
                .as_int()
                .ok_or(LedgerFault::Malformed("chain_head"))?,
        )),
        _ => Err(LedgerFault::Malformed("chain_head")),
    }
}

fn expect_one(hit: u64, table: &'static str) -> Result<(), LedgerFault> {
    if hit == 1 {
        Ok(())
    } else {
        Err(LedgerFault::Malformed(table))
    }
}

fn text(value: &Value, table: &'static str) -> Result<String, LedgerFault> {
    value
        .as_text()
        .map(str::to_owned)
        .ok_or(LedgerFault::Malformed(table))
}

/// Commits. An unknown outcome is a fault like any other here: every ledger transaction is guarded
/// by a key or a compare-and-swap, so that doing it again is harmless.
async fn finish(tx: Tx) -> Result<(), LedgerFault> {
    tx.commit()
        .await
        .map_err(|e| LedgerFault::Database(e.fault().clone()))
}
