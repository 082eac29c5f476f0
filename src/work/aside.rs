//! Whole partitions on InnoDB, whose statements about partitions commit by themselves: what is about to
//! be done is recorded, the partition is exchanged for an empty table, what was in it is counted, and the
//! ledger commits before that is dropped. Every statement runs on one connection that has a lock of the
//! server's by name: whoever gets it after a crash finds a state in which nobody else acts, and ends
//! what was begun. Rows that are not to go come back.

use std::time::Duration;

use oubliette_core::ledger::{IntentRow, IntentState, Ledger};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::plan::partition::Part;
use oubliette_core::rows::Rows;
use oubliette_core::run::Saved;
use oubliette_core::sql::Bound;
use oubliette_core::sql::partition::{AsideSql, any, aside};
use oubliette_core::value::Value;

use super::whole::{Tried, Whole, after};
use crate::database::{Access, Fault, FaultClass, Timeouts, Tx};
use crate::ledger::{LedgerFault, Store};

/// How long the lock of a connection that died is waited for: the server ends an idle one before.
const RESERVED: u32 = 40;
/// How often rows are put back before the next attempt of the run does it.
const TRIES: u32 = 20;
/// Limits where rows are put back: a lock holds the application up for a second at the most, and rows
/// that nobody can see are worse than a long statement.
const LIMITS: Timeouts = Timeouts {
    lock: Duration::from_secs(1),
    statement: Duration::from_mins(10),
};

/// Tries to let one partition go.
pub(super) async fn exchange(
    whole: Whole<'_>,
    part: &Part,
    saved: &Saved,
) -> Result<Tried, LedgerFault> {
    let run = &whole.place.0;
    let store = whole.step.store;
    let tried = Box::pin(attempt(whole, part, saved)).await;
    // Whatever came of it: what it left behind is ended before anything else.
    let left = Box::pin(settle(store, run)).await;
    match tried {
        Ok(other) => left.map(|()| other),
        Err(fault) => {
            left?;
            after(fault)
        }
    }
}

async fn attempt(whole: Whole<'_>, part: &Part, saved: &Saved) -> Result<Tried, LedgerFault> {
    let (run, step, _) = whole.place;
    let ledger = whole.step.store.sql();
    let sql = whole.parted.aside_sql(part);
    let rule = whole.rule(saved).await?;
    let mut tx = whole
        .step
        .database
        .begin(Access::Change(whole.step.timeouts))
        .await?;
    if !reserve(&mut tx, &sql, 0).await? {
        return Ok(Tried::Later);
    }
    let known = ledger.intent(run, *step, &part.name.to_string());
    let is_foreign = !tx.rows(&sql.is_there()).await?.is_empty();
    if is_foreign || !tx.rows(&known).await?.is_empty() {
        return Ok(Tried::Stays);
    }
    // A look before anything is touched: rows that come back were out of sight for a moment.
    let seen = whole.count(&mut tx, sql.live(), &rule).await?;
    let fits = |n: i64| (saved.done + Rows::own(n)).fit(saved.ceiling);
    if !seen.is_some_and(fits) {
        return Ok(Tried::Stays);
    }
    if tx.rows(&ledger.lock_run(run, whole.epoch)).await?.len() != 1 {
        return Err(LedgerFault::TakenOver);
    }
    let acting = whole.intent(part, 0, IntentState::Acting);
    tx.change(&ledger.insert_intent(run, &acting)).await?;
    commit(&mut tx).await?;
    for statement in sql.make() {
        alter(&mut tx, &statement).await?;
    }
    if let Some(next) = next_number(&mut tx, &sql).await? {
        alter(&mut tx, &sql.go_on(next)).await?;
    }
    alter(&mut tx, &sql.exchange()).await?;
    let Some(n) = whole.count(&mut tx, sql.exchanged(), &rule).await? else {
        return Ok(Tried::Stays);
    };
    let gone = ledger.carry_intent(run, &acting, IntentState::Gone, n);
    if tx.change(&gone).await? != 1 {
        return Err(LedgerFault::TakenOver);
    }
    let fence = ledger.fence_beside(whole.place, saved, Rows::own(n));
    if tx.change(&fence).await? != 1 {
        return Ok(Tried::Stays);
    }
    commit(&mut tx).await?;
    Ok(Tried::Gone)
}

/// The number that the table's next row gets.
async fn next_number(tx: &mut Tx, sql: &AsideSql) -> Result<Option<u64>, Fault> {
    if let Some(fresh) = sql.fresh_counters() {
        tx.change(&fresh).await?;
    }
    let rows = tx.rows(&sql.next_number()).await?;
    let next = rows.first().and_then(|row| row.first()?.as_text());
    Ok(next.and_then(|next| next.parse().ok()))
}

/// A statement that commits by itself. MariaDB renames the table aside in a transaction of its own, which
/// waits in vain for the session's where that one does not end with the statement.
async fn alter(tx: &mut Tx, statement: &Bound) -> Result<(), Fault> {
    for bound in [
        &Bound::fixed("SET SESSION autocommit = 1", Vec::new()),
        statement,
        &Bound::fixed("SET SESSION autocommit = 0", Vec::new()),
    ] {
        tx.change(bound).await?;
    }
    Ok(())
}

/// Makes a transaction's connection the only one that acts on the two tables. From then on a transaction
/// begins with its first statement; the connection is closed in the end, never reused.
async fn reserve(tx: &mut Tx, sql: &AsideSql, seconds: u32) -> Result<bool, Fault> {
    let granted = tx.rows(&sql.reserve(seconds)).await?;
    if granted != [[Value::Int(1)]] {
        return Ok(false);
    }
    for set in [
        "SET SESSION autocommit = 0",
        // A key of 0 that is put back stays one.
        "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_AUTO_VALUE_ON_ZERO')",
        "COMMIT",
    ] {
        tx.change(&Bound::fixed(set, Vec::new())).await?;
    }
    Ok(true)
}

async fn commit(tx: &mut Tx) -> Result<(), Fault> {
    tx.change(&Bound::fixed("COMMIT", Vec::new()))
        .await
        .map(drop)
}

/// Ends whatever a run has begun with partitions: what was counted as gone is dropped, everything else
/// is put back.
pub(super) async fn settle(store: &Store, run: &str) -> Result<(), LedgerFault> {
    for intent in store.intents(run).await? {
        let mut tries = 0;
        while intent.state.is_open() {
            match Box::pin(end(store, run, &intent)).await {
                Ok(()) => break,
                Err(LedgerFault::Database(fault))
                    if fault.class == FaultClass::Lock && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(LedgerFault::Database(fault)) if !fault.is_retryable() => {
                    return Err(LedgerFault::Refused {
                        reason: fault.reason(),
                        message: format!(
                            "partition {} of {} was exchanged for table {}, and what is in it could \
                             not be put back: {fault}. Mend that; the run then goes on by itself",
                            intent.part, intent.of_table, intent.aside
                        ),
                    });
                }
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}

async fn end(store: &Store, run: &str, known: &IntentRow) -> Result<(), LedgerFault> {
    let malformed = || LedgerFault::Malformed("intent");
    let name = |text: &str| text.parse::<TableName>().map_err(|_| malformed());
    let sql = AsideSql {
        engine: store.database().engine(),
        table: name(&known.of_table)?,
        partition: name(&known.part)?.table,
        aside: name(&known.aside)?,
    };
    let ledger = store.sql();
    // It is dropped: whatever stands in the ledger, no other table is.
    if aside(&ledger.place, &sql.table) != Ok(sql.aside.clone()) {
        return Err(malformed());
    }
    let mut tx = store.database().begin(Access::Change(LIMITS)).await?;
    if !reserve(&mut tx, &sql, RESERVED).await? {
        return Err(LedgerFault::TakenOver);
    }
    let rows = tx
        .rows(&ledger.intent(run, known.step, &known.part))
        .await?;
    let row = rows.first().and_then(|row| Ledger::read_intent(row));
    let intent = row.ok_or_else(malformed)?;
    let ended = match intent.state {
        IntentState::Done | IntentState::Returned => return Ok(()),
        IntentState::Gone => IntentState::Done,
        IntentState::Acting => {
            put_back(&mut tx, &sql).await?;
            IntentState::Returned
        }
    };
    if is_there(&mut tx, &sql).await? {
        alter(&mut tx, &sql.drop()).await?;
    }
    tx.change(&ledger.carry_intent(run, &intent, ended, intent.n))
        .await?;
    commit(&mut tx).await?;
    // Not waited for: it ends with the connection, too.
    tx.rows(&sql.release()).await?;
    Ok(())
}

async fn is_there(tx: &mut Tx, sql: &AsideSql) -> Result<bool, Fault> {
    Ok(!tx.rows(&sql.is_there()).await?.is_empty())
}

/// Rows that are aside come back: by an exchange, while nothing is in the partition; what has come into
/// it meanwhile is then aside, and is moved.
async fn put_back(tx: &mut Tx, sql: &AsideSql) -> Result<(), Fault> {
    if !is_there(tx, sql).await? || is_empty(tx, sql, true).await? {
        return Ok(());
    }
    if is_empty(tx, sql, false).await? {
        alter(tx, &sql.exchange()).await?;
    }
    if is_empty(tx, sql, true).await? {
        return Ok(());
    }
    let rows = tx.rows(&sql.columns()).await?;
    let names = rows.iter().filter_map(|row| row.first()?.as_text());
    let columns: Vec<Ident> = names.filter_map(|name| Ident::new(name).ok()).collect();
    for statement in sql.move_back(&columns) {
        tx.change(&statement).await?;
    }
    commit(tx).await
}

async fn is_empty(tx: &mut Tx, sql: &AsideSql, aside: bool) -> Result<bool, Fault> {
    let rows = if aside { sql.exchanged() } else { sql.live() };
    Ok(tx.rows(&any(sql.engine, rows)).await?.is_empty())
}
