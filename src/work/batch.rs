//! One transaction of a run: probe, change, count, fence, commit. Any error rolls back and the lane
//! decides; nothing is ever sent after an error (SQL.md section 1).

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use oubliette_core::api::reason::Reason;
use oubliette_core::hmac::Pads;
use oubliette_core::ledger::Ledger;
use oubliette_core::name::TableName;
use oubliette_core::plan::RuleDraft;
use oubliette_core::rows::Rows;
use oubliette_core::run::{Form, MOST_CHANGED, Order, Outcome};
use oubliette_core::sql::{
    Bound, Effect, End, KeyRow, Numbers, Pages, Window, WindowSql, Witness, marked,
};
use oubliette_core::value::{Key, Value};

use super::graph::{Walk, below_locked, take_hold};
use super::groups::Frozen;
use super::holds::Kept;
use super::log;
use super::pages;
use super::seal::{add_copies, copy, stamp};
use super::witness::Stood;
use crate::database::{
    Access, Canceller, CommitFault, Database, Fault, FaultClass, Timeouts, Tx, give_pads,
};
use crate::ledger::{Place, Store};
use crate::metrics::{BatchResult, Metrics};

/// Rows of the rule's own table that one transaction changes by key at the most.
pub(super) const CHOSEN: u32 = MOST_CHANGED;

/// What every batch of a step has in common.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) database: &'a Database,
    pub(super) store: &'a Store,
    /// The rule under the holds for this batch.
    pub(super) rule: &'a RuleDraft,
    /// The rule under the holds in force.
    pub(super) kept: &'a Kept<'a>,
    pub(super) timeouts: Timeouts,
    pub(super) pads: Option<&'a Pads>,
    pub(super) metrics: &'a Metrics,
    /// The table's pages, where they can be walked.
    pub(super) pages: Option<&'a Pages>,
    /// What is known of the key's numbers.
    pub(super) numbers: Numbers,
    /// Whether every table of the database is asked what has changed in it.
    pub(super) thorough: &'a AtomicBool,
    /// The groups of rows that look alike, where the rule promises something of them.
    pub(super) groups: Option<&'a Frozen>,
    /// Where a sweep notes which rows it has changed.
    pub(super) swept: Option<&'a Swept>,
    /// Whether a batch looks how much it writes to the server's log.
    pub(super) log: bool,
}

/// So many keys are noted, and a batch's more. Of further rows that the application writes again it is
/// said that they were overlooked: rather that than the other way round.
const SWEPT: usize = 100_000;

/// Keys of rows that were changed: held in memory only, and only while the sweep lasts (P4).
pub(super) type Swept = std::sync::Mutex<BTreeSet<Key>>;

/// Why a batch was not brought to its commit.
pub(super) enum Stop {
    Fault(Fault),
    /// The fence hit no row.
    Missed(Rows),
    /// Too many rows hang on the window.
    TooMany,
    /// They hang on each other too deep.
    TooDeep,
    /// Rows of this table refer to each other in a ring, over columns that may not be NULL.
    Ring(TableName),
    /// Rows that were locked have other keepers now, or a count's row was not there.
    Raced,
    /// Fewer rows changed than were locked, though nobody else could touch them.
    NotFound,
    /// The sealed table refused a copy.
    Unsealed(Fault),
    /// The partition is no part of the table any more.
    Detached,
    /// The engine may have changed other rows than those that were counted.
    Doubtful,
    /// The engine has changed other rows than those that were counted.
    Unaccounted {
        counted: Witness,
        witnessed: Witness,
    },
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a batch did before its fence.
pub(super) struct Done {
    pub(super) changed: u64,
    /// Rows of each related table.
    pub(super) related: Vec<u64>,
    /// Rows that let go of others before they went, as the engine counts them.
    pub(super) cut: i64,
    pub(super) reached: Option<Key>,
    /// Of the rows changed, where they were chosen by key.
    pub(super) keys: Vec<Key>,
}

impl Done {
    /// Nothing but a step.
    pub(super) fn nothing(reached: Option<Key>) -> Self {
        Self {
            changed: 0,
            related: Vec::new(),
            cut: 0,
            reached,
            keys: Vec::new(),
        }
    }

    /// What the engine must have changed, and nothing else.
    pub(super) fn counted(&self, rule: &RuleDraft) -> Witness {
        let nodes = rule.nodes.iter().map(|node| {
            let depth = &node.depth;
            (&depth.effect, node.counted, depth.seal.as_ref())
        });
        let related = nodes.zip(self.related.iter().copied());
        let change = &rule.change;
        let own = (&change.effect, rule.counted, change.seal.as_ref());
        let own = (own, self.changed);
        let mut counted = Witness {
            updated: self.cut,
            ..Witness::default()
        };
        for ((effect, times, seal), rows) in std::iter::once(own).chain(related) {
            add_copies(&mut counted, effect, seal, rows);
            match effect {
                Effect::Delete => counted.deleted += times * signed(rows),
                Effect::Update(..) => counted.updated += times * signed(rows),
            }
        }
        counted
    }
}

/// How a batch under way is cancelled in the server, from the moment its transaction stands.
pub(super) type Handle = std::sync::Mutex<Option<Canceller>>;

/// Tries one transaction, and counts it.
pub(super) async fn attempt(
    step: Step<'_>,
    place: &Place,
    order: &Order,
    handle: &Handle,
) -> Outcome {
    let started = Instant::now();
    let outcome = try_once(step, place, order, handle).await;
    let result = match &outcome {
        Outcome::Committed { .. } => BatchResult::Committed,
        Outcome::Locked => BatchResult::Locked,
        _ => BatchResult::Failed,
    };
    step.metrics
        .batch_ended(step.database.engine(), result, started.elapsed());
    outcome
}

async fn try_once(step: Step<'_>, place: &Place, order: &Order, handle: &Handle) -> Outcome {
    let mut tx = match step.database.begin(Access::Change(step.timeouts)).await {
        Ok(tx) => tx,
        Err(fault) => return outcome(&fault),
    };
    let started = tx.started();
    if let Ok(mut handle) = handle.lock() {
        *handle = Some(tx.canceller());
    }
    match Box::pin(measured(step, place, order, &mut tx)).await {
        Ok((changed, done, log)) => match tx.commit().await {
            Ok(()) => {
                if let Some(Ok(mut swept)) = step.swept.map(Swept::lock)
                    && swept.len() < SWEPT
                {
                    swept.extend(done.keys);
                }
                Outcome::Committed {
                    changed,
                    reached: done.reached,
                    elapsed: started.elapsed(),
                    log,
                }
            }
            Err(CommitFault::RolledBack(fault)) => outcome(&fault),
            Err(CommitFault::Unknown(_)) => Outcome::Lost,
        },
        Err(stop) => {
            tx.rollback().await;
            match stop {
                Stop::Fault(fault) => outcome(&fault),
                Stop::Missed(changed) => Outcome::Missed { changed },
                Stop::TooMany => Outcome::TooMany,
                Stop::TooDeep => Outcome::TooLong,
                Stop::Ring(table) => {
                    tracing::error!(
                        rule = step.rule.name,
                        %table,
                        "batch rolled back: rows refer to each other in a ring, and none of the \
                         columns may be NULL"
                    );
                    Outcome::Failed(Reason::ReferenceRing)
                }
                Stop::Raced => Outcome::Again(Reason::RowsLocked),
                Stop::NotFound => {
                    tracing::error!(
                        rule = step.rule.name,
                        "batch rolled back: locked rows were not found again"
                    );
                    Outcome::Failed(Reason::RowsNotFound)
                }
                Stop::Unsealed(fault) => {
                    tracing::error!(
                        rule = step.rule.name,
                        fault = %fault,
                        "batch rolled back: the sealed table refused a copy"
                    );
                    Outcome::Failed(Reason::SealedAlready)
                }
                Stop::Doubtful => Outcome::Again(Reason::RowsUnaccounted),
                Stop::Detached => Outcome::Failed(Reason::Drifted),
                Stop::Unaccounted { counted, witnessed } => {
                    tracing::error!(
                        rule = step.rule.name,
                        ?counted,
                        ?witnessed,
                        "batch rolled back: the engine changed other rows than those that were counted"
                    );
                    Outcome::Failed(Reason::RowsUnaccounted)
                }
            }
        }
    }
}

fn outcome(fault: &Fault) -> Outcome {
    match fault.class {
        FaultClass::Lock => Outcome::Locked,
        FaultClass::Cancelled => Outcome::TooLong,
        _ if fault.is_retryable() => {
            tracing::warn!(fault = %fault, "batch rolled back, trying again");
            Outcome::Again(fault.reason())
        }
        _ => {
            tracing::error!(fault = %fault, "batch rolled back");
            Outcome::Failed(fault.reason())
        }
    }
}

/// The same with what was written to the log meanwhile, by whomever.
async fn measured(
    step: Step<'_>,
    place: &Place,
    order: &Order,
    tx: &mut Tx,
) -> Result<(Rows, Done, Option<u64>), Stop> {
    if !step.log {
        let (changed, done) = Box::pin(change(step, place, order, tx)).await?;
        return Ok((changed, done, None));
    }
    let before = log::written(tx).await?;
    let (changed, done) = Box::pin(change(step, place, order, tx)).await?;
    let after = log::written(tx).await?;
    let log = before.zip(after);
    Ok((changed, done, log.map(|(was, is)| is.saturating_sub(was))))
}

async fn change(
    step: Step<'_>,
    place: &Place,
    order: &Order,
    tx: &mut Tx,
) -> Result<(Rows, Done), Stop> {
    if let Some(found) = step.pads {
        give_pads(tx, found).await?;
    }
    if let Some(settings) = step.rule.settings() {
        tx.change(&settings).await?;
    }
    let stood = Box::pin(Stood::now(step.rule, step.thorough, tx)).await?;
    let done = match step.pages {
        Some(found) if order.window.pages().is_some() => {
            Box::pin(pages::change(step, found, order, tx)).await?
        }
        _ => match (order.window.clocked(), step.rule.by_clock()) {
            (Some(window), Some(rule)) => {
                let step = Step {
                    rule: &rule,
                    ..step
                };
                let done = Box::pin(over_window(step, place, order, window, tx)).await?;
                Done {
                    reached: done.reached.map(marked),
                    ..done
                }
            }
            _ => Box::pin(over_window(step, place, order, order.window.clone(), tx)).await?,
        },
    };
    let counted = done.counted(step.rule);
    Box::pin(stood.compare(step.rule, counted, step.thorough, tx)).await?;
    let ledger = step.store.sql();
    tally(ledger, place, order.part, &done.related, tx).await?;
    let changed = Rows::changed(done.changed, done.related.iter().sum());
    let fence = ledger.fence(place, order, changed, done.reached.as_ref());
    if tx.change(&fence).await? != 1 {
        return Err(Stop::Missed(changed));
    }
    Ok((changed, done))
}

/// Raises the counts of related tables.
pub(super) async fn tally(
    ledger: &Ledger,
    place: &Place,
    part: i32,
    related: &[u64],
    tx: &mut Tx,
) -> Result<(), Stop> {
    for (target, rows) in (1_i32..).zip(related).filter(|(_, rows)| **rows > 0) {
        let count = ledger.count(place, part, target, signed(*rows));
        if tx.change(&count).await? != 1 {
            return Err(Stop::Raced);
        }
    }
    Ok(())
}

/// The key at the end of the next window of a range, of `width` rows at the most; `None`: it reaches that of
/// the range.
pub(super) async fn end_of(
    sql: &WindowSql,
    numbers: Numbers,
    range: &Window,
    width: u32,
    tx: &mut Tx,
) -> Result<Option<Key>, Fault> {
    if numbers.lead(range, width) {
        let begin = tx.rows(&sql.probe(range, 1)).await?;
        let Some(begin) = begin.first().map(|row| sql.key_of(row)) else {
            return Ok(None);
        };
        match numbers.end(&begin, range, width) {
            End::At(end) => return Ok(Some(end)),
            End::OfRange => return Ok(None),
            End::Unknown => {}
        }
    }
    let end = tx.rows(&sql.probe(range, width)).await?;
    Ok(end.first().map(|row| sql.key_of(row)))
}

/// Finds the end of the next window of the key (or of clock and key), and changes its eligible rows.
async fn over_window(
    step: Step<'_>,
    place: &Place,
    order: &Order,
    mut window: Window,
    tx: &mut Tx,
) -> Result<Done, Stop> {
    let sql = &step.rule.change;
    let end = end_of(&sql.window, step.numbers, &window, order.width, tx);
    let reached = Box::pin(end).await?;
    if reached.is_some() {
        window.upto.clone_from(&reached);
    }
    if order.pass_by {
        Ok(Done::nothing(reached))
    } else if order.form == Form::Window && step.rule.is_one_statement() {
        let changed = tx.change(&sql.by_window(&window)).await?;
        Ok(Done {
            changed,
            ..Done::nothing(reached)
        })
    } else if step.rule.locks_in(order.form) && step.swept.is_none() {
        // A sweep notes whose keys it took.
        let done = Box::pin(by_lock(step.rule, &window, tx)).await?;
        Ok(Done { reached, ..done })
    } else {
        let skip_locked = order.form != Form::Keys;
        let by = stamp(&place.0, step.rule);
        let of = (step.rule, step.groups);
        Box::pin(by_keys(of, &window, reached, skip_locked, &by, tx)).await
    }
}

/// Locks the eligible rows of a window; then what hangs on them goes, and they go themselves, all by what
/// PostgreSQL writes into a locked row.
async fn by_lock(rule: &RuleDraft, window: &Window, tx: &mut Tx) -> Result<Done, Stop> {
    let sql = &rule.change;
    let locked = count(tx, &rule.lock(window)).await?;
    if locked == 0 {
        return Ok(Done::nothing(None));
    }
    if !rule.nodes.is_empty() && locked > i64::from(CHOSEN) {
        return Err(Stop::TooMany);
    }
    let related = Box::pin(below_locked(rule, window, locked, tx)).await?;
    let changed = tx.change(&sql.by_lock(window)).await?;
    // Where nothing hangs on it, what has got a keeper since stays: nothing of it has gone yet.
    if !rule.nodes.is_empty() && signed(changed) != locked {
        let fewer = signed(changed) < locked;
        return Err(if fewer { Stop::NotFound } else { Stop::Raced });
    }
    Ok(Done {
        changed,
        related,
        ..Done::nothing(None)
    })
}

/// Locks the eligible rows first; then, where what keeps them is in other tables, looks again; then
/// everything that hangs on them goes, from the bottom up; then the rows themselves, by key and
/// predicate. Rows that are sealed are copied before they or others change. A child that would come late waits for the lock on its parent.
pub(super) async fn by_keys(
    (rule, groups): (&RuleDraft, Option<&Frozen>),
    window: &Window,
    mut reached: Option<Key>,
    skip_locked: bool,
    by: &str,
    tx: &mut Tx,
) -> Result<Done, Stop> {
    let sql = &rule.change;
    let mut rows: Vec<KeyRow> = tx
        .rows(&sql.choose(window, skip_locked, CHOSEN))
        .await?
        .iter()
        .map(|row| sql.key_row(row))
        .collect();
    if unsigned(rows.len()) >= u64::from(CHOSEN) {
        reached = rows.last().map(|r| r.key.clone());
    }
    if let Some(groups) = groups {
        // A locked row stays in its group: nobody else can change it.
        groups.keep(&mut rows);
    }
    let done = Box::pin(take(rule, window, &rows, by, tx)).await?;
    Ok(Done { reached, ..done })
}

/// Changes rows that are locked, with everything that hangs on them.
pub(super) async fn take(
    rule: &RuleDraft,
    window: &Window,
    rows: &[KeyRow],
    by: &str,
    tx: &mut Tx,
) -> Result<Done, Stop> {
    let sql = &rule.change;
    let read = || rows.iter().map(|row| &row.referenced);
    Box::pin(take_hold(&sql.grips, &sql.referenced, read, tx)).await?;
    let keys: Vec<Key> = rows.iter().map(|r| r.key.clone()).collect();
    let again = rule.asks_again();
    if sql.eligible.looks_elsewhere() && !again {
        // What the choice saw of other tables may be older than its locks (SQL.md section 2).
        let mut still = 0;
        for chunk in sql.window.chunks(&keys) {
            still += count(tx, &sql.still(window, chunk)).await?;
        }
        if still != signed(unsigned(keys.len())) {
            return Err(Stop::Raced);
        }
    }
    if !rule.nodes.iter().any(|node| node.own) {
        Box::pin(copy(tx, sql.window.chunks(&keys), |keys| {
            sql.copy(window, keys, by)
        }))
        .await?;
    }
    let hanging = Box::pin(Walk::locking(rule).change(rows, by, tx)).await?;
    let changed = if let Some(own) = hanging.own {
        // They have gone together with others of their table.
        own
    } else {
        let mut changed = 0;
        for chunk in sql.window.chunks(&keys) {
            changed += tx.change(&rule.by_keys(window, chunk)).await?;
        }
        if changed != unsigned(keys.len()) {
            return Err(if again { Stop::Raced } else { Stop::NotFound });
        }
        changed
    };
    Ok(Done {
        changed,
        related: hanging.related,
        cut: hanging.cut,
        reached: None,
        keys,
    })
}

/// The single number of a counting statement.
pub(super) async fn count(tx: &mut Tx, statement: &Bound) -> Result<i64, Fault> {
    let rows = tx.rows(statement).await?;
    Ok(rows
        .first()
        .and_then(|r| r.first())
        .and_then(Value::as_int)
        .unwrap_or(0))
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
