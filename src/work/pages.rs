//! A batch over pages of a table instead of a window of its key: PostgreSQL deletes in Backlog.

use oubliette_core::name::TableName;
use oubliette_core::plan::RuleDraft;
use oubliette_core::run::{Form, Order};
use oubliette_core::sql::{
    PageStep, Pages, Window, leaf_of, leaf_pages, look_at_leaf, reads_pages_only,
};
use oubliette_core::value::Key;

use super::batch::{CHOSEN, Done, Step, Stop, count, signed, unsigned};
use crate::database::{Access, Database, Fault, Tx};

/// Pages whose way is asked for: about as many as a batch spans.
const EXPLAINED: u32 = 50;

/// The pages of a rule's table; `None`: they cannot be walked.
pub(super) async fn look(database: &Database, rule: &RuleDraft) -> Result<Option<Pages>, Fault> {
    if rule.leaves.is_empty() {
        return Ok(None);
    }
    let mut tx = database.begin(Access::ReadOnly).await?;
    let mut pages = Vec::with_capacity(rule.leaves.len());
    for leaf in &rule.leaves {
        let rows = tx.rows(&look_at_leaf(leaf)).await?;
        let Some(count) = rows.first().and_then(|row| leaf_pages(row)) else {
            tx.rollback().await;
            return Ok(None);
        };
        pages.push(count);
    }
    let pages = Pages(pages);
    for range in pages.split(1) {
        // Of the first leaf that is not empty; the others have the same shape.
        let Some(PageStep { window, leaf, .. }) = pages.step(&range, EXPLAINED) else {
            continue;
        };
        let change = rule.change.of_leaf(&rule.leaves[leaf]);
        if !reads_pages_only(&tx.explained(&change.explain_pages(&window)).await?) {
            tx.rollback().await;
            return Ok(None);
        }
    }
    tx.rollback().await;
    Ok(Some(pages))
}

/// Changes the eligible rows of the next pages.
pub(super) async fn change(
    step: Step<'_>,
    pages: &Pages,
    order: &Order,
    tx: &mut Tx,
) -> Result<Done, Stop> {
    let Some(PageStep {
        window,
        leaf,
        reached,
    }) = pages.step(&order.window, order.width)
    else {
        return Ok(Done::nothing(None));
    };
    if order.pass_by {
        return Ok(Done::nothing(reached));
    }
    let Some(leaf) = step.rule.leaves.get(leaf) else {
        return Err(Stop::Raced);
    };
    let changed = of_leaf(step, leaf, &window, order.form, tx).await?;
    let table = &step.rule.change.window.table;
    if leaf != table && tx.rows(&leaf_of(leaf, table)).await?.is_empty() {
        return Err(Stop::Detached);
    }
    Ok(Done {
        changed,
        ..Done::nothing(reached)
    })
}

/// Changes the eligible rows of some pages of a leaf.
async fn of_leaf(
    step: Step<'_>,
    leaf: &TableName,
    window: &Window,
    form: Form,
    tx: &mut Tx,
) -> Result<u64, Stop> {
    let sql = step.rule.change.of_leaf(leaf);
    // A hold that was placed since the walk began may look at other tables.
    let elsewhere = sql.eligible.looks_elsewhere();
    if form == Form::Window && !elsewhere {
        return Ok(tx.change(&sql.by_window(window)).await?);
    }
    let keys: Vec<Key> = tx
        .rows(&sql.choose(window, true, CHOSEN))
        .await?
        .iter()
        .map(|row| sql.key_row(row).key)
        .collect();
    if unsigned(keys.len()) >= u64::from(CHOSEN) {
        return Err(Stop::TooMany);
    }
    let mut changed = 0;
    for chunk in sql.window.chunks(&keys).filter(|_| elsewhere) {
        let still = count(tx, &sql.still(window, chunk)).await?;
        if still != signed(unsigned(chunk.len())) {
            return Err(Stop::Raced);
        }
    }
    for chunk in sql.window.chunks(&keys) {
        // Locked rows do not move.
        changed += tx.change(&sql.by_keys(window, chunk)).await?;
    }
    if changed != unsigned(keys.len()) {
        return Err(Stop::NotFound);
    }
    Ok(changed)
}
