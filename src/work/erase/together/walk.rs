//! The runs of several requests in one database: recorded at once, walked table by table in transactions
//! that raise every request's own checkpoint by its own rows, looked at once more, and ended at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oubliette_core::hmac::Pads;
use oubliette_core::plan::{ApprovedPlan, RuleDraft};
use oubliette_core::report::{Phase, RuleRun, RunReport};
use oubliette_core::rows::Rows;
use oubliette_core::run::{MOST_CHANGED, Pace, PaceSettings, Saved, Unit};
use oubliette_core::sql::{KeyRow, Window, Witness};
use oubliette_core::value::Key;
use secrecy::ExposeSecret;

use super::super::Place;
use super::plan::{Drafted, Seen, is_direct, whole};
use super::{Alone, Among};
use crate::database::{Access, CommitFault, Timeouts, Tx, give_pads};
use crate::ledger::{Beginning, Store};
use crate::metrics::BatchResult;
use crate::work::batch::{Done, Stop, by_keys, signed, take, tally};
use crate::work::close::untouched;
use crate::work::holds::{in_force, typed};
use crate::work::inspect::releases;
use crate::work::job::Job;
use crate::work::run::beginning;
use crate::work::witness::Stood;

/// Rows that one transaction changes of a table, as many as one statement names keys of.
const ROWS: u32 = 512;

impl From<Stop> for Alone {
    fn from(stop: Stop) -> Self {
        Self::because(match stop {
            Stop::Fault(fault) => return fault.into(),
            Stop::Missed(_) => "a fence hit no row",
            Stop::Unaccounted { .. } => "the engine changed other rows than were counted",
            Stop::Raced | Stop::NotFound => "others changed the rows meanwhile",
            _ => "a batch was rolled back",
        })
    }
}

/// The run of one request.
pub(super) struct Line {
    /// Its place in the list of requests.
    pub(super) member: usize,
    job: Job,
    pub(super) plan: ApprovedPlan,
    pub(super) run: Beginning,
    /// Its rules under the holds in force.
    pub(super) rules: Vec<RuleDraft>,
    /// Its checkpoint of each step.
    saved: Vec<Saved>,
    /// What each step did.
    pub(super) steps: Vec<RuleRun>,
}

/// All of the runs in one place.
pub(super) struct Walking<'a> {
    pub(super) place: &'a Place,
    pub(super) store: &'a Store,
    /// The rules of all persons as if they were one.
    pub(super) rules: Vec<RuleDraft>,
    pads: Option<Pads>,
    timeouts: Timeouts,
    pub(super) pace: Pace,
    thorough: AtomicBool,
    pub(super) lines: Vec<Line>,
}

/// What one line has changed in a transaction.
struct Change {
    line: usize,
    own: u64,
    related: Vec<u64>,
}

impl Change {
    fn rows(&self) -> Rows {
        Rows::changed(self.own, self.related.iter().sum())
    }
}

/// Carries out what is planned in one place. One report for each request that came to its end; the others
/// are out.
pub(super) async fn through(
    among: &mut Among<'_>,
    places: &[Place],
    index: usize,
    drafted: &mut Drafted,
) -> Result<Vec<(usize, RunReport)>, Alone> {
    among.may_go_on(places)?;
    let place = &places[index];
    let lines = lines(among, index, drafted)?;
    let Seen {
        store,
        sight,
        catalog,
    } = &drafted.here[index];
    let recorded = lines
        .iter()
        .map(|line| &drafted.recorded[&line.member][index]);
    let first = &among.members[lines[0].member].ask;
    let of_all = whole(first, place, &recorded.collect::<Vec<_>>(), catalog);
    let draft = sight.draft(&of_all, drafted.as_of)?;
    let begun: Vec<Beginning> = lines.iter().map(|line| line.run.clone()).collect();
    store.record_all(&begun).await?;

    // Read after the checkpoints, whose generation every fence compares.
    let holds = in_force(&of_all, store).await?;
    let holds = Box::pin(typed(&of_all, catalog, holds)).await?;
    let released = releases(&of_all).await?;
    let mut lines = lines;
    for line in &mut lines {
        let loosened = line.plan.loosened(&released, sight.ahead);
        let assent = line.job.assent.as_ref();
        if assent.is_some_and(|assent| assent.voided_by(&loosened).is_some()) {
            return Err(Alone::because("a hold was released"));
        }
        let rules = line.plan.draft().rules_under(&holds, Some(catalog));
        line.rules = rules.map_err(|_| Alone::because("a hold does not fit"))?;
    }
    let rules = draft.rules_under(&holds, Some(catalog));
    let pacing = &of_all.pacing;
    let stated = pacing.max_rows_per_second.map(f64::from);
    let mut walking = Walking {
        place,
        store,
        rules: rules.map_err(|_| Alone::because("a hold does not fit"))?,
        pads: place
            .pseudonym_key
            .as_ref()
            .filter(|_| draft.keyed)
            .map(|key| Pads::of_key(key.expose_secret())),
        timeouts: Timeouts {
            lock: pacing.lock_timeout,
            statement: pacing.statement_limit,
        },
        pace: Pace::new(PaceSettings {
            unit: Unit::Rows,
            target: pacing.batch_duration,
            rate: stated,
            limited: !pacing.backlog || stated.is_some(),
            most_changed: MOST_CHANGED,
            part: pacing.part,
        }),
        thorough: AtomicBool::new(false),
        lines,
    };
    for step in 0..walking.rules.len() {
        for (_, member) in among.iter() {
            let rule = walking.rules[step].name.clone();
            member.progress.send_modify(|progress| {
                progress.phase = Phase::Running;
                progress.rule = Some(rule);
            });
        }
        Box::pin(walking.step(step, among, places)).await?;
    }
    let left = Box::pin(walking.verify(&of_all, &draft, catalog)).await?;
    walking.lines.retain(|line| !left.contains(&line.member));
    among.retain(|at| !left.contains(&at));
    if walking.lines.is_empty() {
        return Err(Alone::because("something is left of each of them"));
    }
    walking.end().await
}

/// The runs that are to be begun.
fn lines(among: &mut Among<'_>, index: usize, drafted: &mut Drafted) -> Result<Vec<Line>, Alone> {
    let mut lines = Vec::new();
    for at in among.left.clone() {
        let plans = drafted.plans.get_mut(&at);
        let taken = plans.and_then(|plans| plans.get_mut(index)?.take());
        let (job, plan) = taken.ok_or_else(|| Alone::because("a plan is missing"))?;
        let id = job.policy.uid.clone();
        let Ok(plan) = plan.under(job.assent.as_ref()).approve(None) else {
            among.retain(|one| one != at);
            continue;
        };
        let run = beginning(&job, &id, &plan)?;
        let saved: Vec<Saved> = run
            .checkpoints
            .iter()
            .map(|row| row.saved.clone())
            .collect();
        if saved.len() != plan.rules().len() {
            return Err(Alone::because("a step has several workers"));
        }
        lines.push(Line {
            member: at,
            job,
            rules: Vec::new(),
            saved,
            steps: untouched(&plan),
            plan,
            run,
        });
    }
    if lines.len() < 2 {
        return Err(Alone::because("there are no two of them"));
    }
    Ok(lines)
}

impl Walking<'_> {
    /// Carries one rule out for all of them.
    async fn step(
        &mut self,
        step: usize,
        among: &mut Among<'_>,
        places: &[Place],
    ) -> Result<(), Alone> {
        let mut after = None;
        while is_direct(&self.rules[step]) {
            self.heed(among, places)?;
            let window = Window {
                after: after.clone(),
                upto: None,
            };
            let thorough = self.is_thorough();
            match Box::pin(self.batch(step, &window)).await {
                // Every table is asked now.
                Err(_) if !thorough && self.is_thorough() => {}
                Err(alone) => return Err(alone),
                Ok(Batch::Done(None)) => return Ok(()),
                Ok(Batch::Done(next)) => after = next,
                // Rows hang on these that no rule before this one has taken: whose are they?
                Ok(Batch::Hanging) => break,
            }
        }
        let mut done = Vec::new();
        loop {
            self.heed(among, places)?;
            let thorough = self.is_thorough();
            match Box::pin(self.one_by_one(step, &mut done)).await {
                Err(_) if !thorough && self.is_thorough() => {}
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(alone) => return Err(alone),
            }
        }
    }

    /// Lets go of the runs of those that were told to stop: whoever hears of it goes on with them, or
    /// gives them up.
    fn heed(&mut self, among: &mut Among<'_>, places: &[Place]) -> Result<(), Alone> {
        among.may_go_on(places)?;
        self.lines.retain(|line| among.left.contains(&line.member));
        Ok(())
    }

    /// Whether every table of the database is asked what has changed in it.
    fn is_thorough(&self) -> bool {
        self.thorough.load(Ordering::Relaxed)
    }

    async fn begin(&self, step: usize) -> Result<(Tx, Stood), Alone> {
        let mut tx = self
            .place
            .database
            .begin(Access::Change(self.timeouts))
            .await?;
        if let Some(pads) = &self.pads {
            give_pads(&mut tx, pads).await?;
        }
        let stood = Box::pin(Stood::now(&self.rules[step], &self.thorough, &mut tx)).await?;
        Ok((tx, stood))
    }

    /// Changes rows of all of them in one transaction.
    async fn batch(&mut self, step: usize, window: &Window) -> Result<Batch, Alone> {
        let (mut tx, stood) = Box::pin(self.begin(step)).await?;
        let changed = Box::pin(self.change(step, window, &mut tx)).await;
        match changed {
            Ok(Some((changes, done, next))) => {
                let counted = done.counted(&self.rules[step]);
                Box::pin(self.commit(step, (tx, stood), changes, counted)).await?;
                Ok(Batch::Done(next))
            }
            Ok(None) => {
                tx.rollback().await;
                Ok(Batch::Hanging)
            }
            Err(alone) => {
                tx.rollback().await;
                Err(alone)
            }
        }
    }

    /// Chooses and locks rows, shares them out by what was read of them under the lock, and changes
    /// them. `None`: other rows hang on them.
    async fn change(
        &self,
        step: usize,
        window: &Window,
        tx: &mut Tx,
    ) -> Result<Option<(Vec<Change>, Done, Option<Key>)>, Alone> {
        let rule = &self.rules[step];
        let sql = &rule.change;
        let chosen = tx.rows(&sql.choose_whose(window, ROWS)).await?;
        let full = chosen.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
        let next = chosen.last().filter(|_| full);
        let next = next.map(|row| sql.key_row(row).key);
        let mut rows: Vec<KeyRow> = Vec::new();
        let mut own = vec![0_u64; self.lines.len()];
        for row in &chosen {
            let whose = sql.whose(row);
            // What is of several persons goes with the first of them, as if they had asked in this order.
            let first = self.lines.iter().position(|line| {
                let reach = line.rules[step].change.eligible.reach();
                reach.is_some_and(|reach| reach.has(whose))
            });
            // What nobody can be told of by its own columns is found when all are looked at once more.
            if let Some(first) = first {
                own[first] += 1;
                rows.push(sql.key_row(row));
            }
        }
        let done = Box::pin(take(rule, window, &rows, "", tx)).await?;
        if done.cut != 0 || done.related.iter().any(|rows| *rows > 0) {
            return Ok(None);
        }
        let changes = own.into_iter().enumerate().filter(|(_, own)| *own > 0);
        let changes = changes.map(|(line, own)| Change {
            line,
            own,
            related: Vec::new(),
        });
        Ok(Some((changes.collect(), done, next)))
    }

    /// Changes the rows of one line after the other, as many as fit into one transaction. `finished`: of
    /// which it was done. Returns whether there may be more.
    async fn one_by_one(&mut self, step: usize, finished: &mut Vec<usize>) -> Result<bool, Alone> {
        let (mut tx, stood) = Box::pin(self.begin(step)).await?;
        let started = tx.started();
        let mut changes = Vec::new();
        let mut counted = Witness::default();
        let mut new = Vec::new();
        let mut more = false;
        for (at, line) in self.lines.iter().enumerate() {
            if finished.contains(&line.member) {
                continue;
            }
            if started.elapsed() >= self.batch_duration() {
                more = true;
                break;
            }
            new.push(line.member);
            let rule = &line.rules[step];
            let planned = line.plan.facts().get(step).map_or(0, |f| f.planned().all);
            // Whose rows came since is found when all are looked at once more.
            if planned > 0 {
                let whole = Window::default();
                let of = (rule, None);
                let done = Box::pin(by_keys(of, &whole, None, true, "", &mut tx)).await;
                let done = match done {
                    Ok(done) => done,
                    Err(stop) => {
                        tx.rollback().await;
                        return Err(stop.into());
                    }
                };
                let of_line = done.counted(rule);
                counted.deleted += of_line.deleted;
                counted.updated += of_line.updated;
                counted.inserted += of_line.inserted;
                if done.changed > 0 || done.related.iter().any(|rows| *rows > 0) {
                    changes.push(Change {
                        line: at,
                        own: done.changed,
                        related: done.related,
                    });
                }
            }
        }
        Box::pin(self.commit(step, (tx, stood), changes, counted)).await?;
        finished.extend(new);
        Ok(more)
    }

    fn batch_duration(&self) -> Duration {
        self.place.target.pacing.batch_duration
    }

    /// Compares with the engine's own count, raises every line's counts and checkpoint by its own rows,
    /// and commits. Whatever does not fit rolls everything back.
    async fn commit(
        &mut self,
        step: usize,
        (mut tx, stood): (Tx, Stood),
        changes: Vec<Change>,
        counted: Witness,
    ) -> Result<(), Alone> {
        let fenced = self.fence(step, stood, &changes, counted, &mut tx);
        if let Err(stop) = Box::pin(fenced).await {
            tx.rollback().await;
            return Err(stop.into());
        }
        let elapsed = tx.started().elapsed();
        let engine = tx.engine();
        match tx.commit().await {
            Ok(()) => {}
            // Who goes on with the runs finds out.
            Err(CommitFault::RolledBack(fault) | CommitFault::Unknown(fault)) => {
                return Err(fault.into());
            }
        }
        let mut all = 0;
        for change in &changes {
            let line = &mut self.lines[change.line];
            let rows = change.rows();
            let saved = &mut line.saved[step];
            saved.seq += 1;
            saved.done += rows;
            let related = change.related.iter().copied();
            let tables = line.steps[step].changed.iter_mut();
            for (table, rows) in tables.zip(std::iter::once(change.own).chain(related)) {
                table.rows += signed(rows);
            }
            all += rows.all;
        }
        let metrics = &self.lines[0].job.metrics;
        metrics.batch_ended(engine, BatchResult::Committed, elapsed);
        let rows = u32::try_from(all).unwrap_or(u32::MAX);
        let rest = self.pace.took(rows, all, elapsed, true);
        tokio::time::sleep(rest).await;
        Ok(())
    }

    async fn fence(
        &self,
        step: usize,
        stood: Stood,
        changes: &[Change],
        counted: Witness,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        Box::pin(stood.compare(&self.rules[step], counted, &self.thorough, tx)).await?;
        let ledger = self.store.sql();
        // As InnoDB finds all checkpoints, which is how whoever places a hold raises them: in another order
        // they would wait for each other, and the server end the hold's transaction, as the smaller one.
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_by_key(|change| &self.lines[change.line].run.run.id);
        for change in changes {
            let line = &self.lines[change.line];
            let saved = &line.saved[step];
            let number = i32::try_from(step).unwrap_or(i32::MAX);
            let of = (line.run.run.id.clone(), number, 0);
            tally(ledger, &of, saved.part, &change.related, tx).await?;
            let rows = change.rows();
            let fence = ledger.fence_beside(&of, saved, rows);
            if tx.change(&fence).await? != 1 {
                return Err(Stop::Missed(rows));
            }
        }
        Ok(())
    }
}

enum Batch {
    /// What was chosen is changed; where the next rows begin, if there are any.
    Done(Option<Key>),
    /// Other rows hang on them.
    Hanging,
}
