//! Measures a draft: exact counts in paced windows, inside READ ONLY transactions. A window is a
//! transaction of its own, so that no snapshot is held while a large table is counted.

use std::time::{Duration, Instant};

use oubliette_core::catalog::Engine;
use oubliette_core::plan::{
    Above, Draft, Facts, Link, Node, RuleDraft, RuleFacts, is_unindexed, reads_whole_table,
};
use oubliette_core::sql::{
    Bound, CountSql, Counted, Depth, KeyRow, Numbers, Way, Window, clock_pays, follows_index,
    look_at_clock,
};
use oubliette_core::value::{Key, Value};

use super::batch::{count, end_of};
use super::graph::Walk;
use super::groups;
use super::pages;
use super::whole;
use crate::database::{Access, Database, Fault, Tx};

/// Rows one counting statement spans at first and at the most.
const FIRST: u32 = 20_000;
const MOST: u32 = 200_000;
/// Rows of the window whose way is asked for: as many as a batch spans, because for a large part of
/// a table reading all of it is the right way.
const EXPLAINED: u32 = 500;
/// How long one counting statement should take.
const TARGET: Duration = Duration::from_millis(200);

/// Goes over a table's key in windows that follow the measured duration, resting as long as it
/// worked while `gentle`.
pub(super) struct Windows {
    next: Option<Window>,
    width: u32,
    gentle: bool,
}

impl Windows {
    /// The whole table.
    pub(super) fn new(gentle: bool) -> Self {
        Self {
            next: Some(Window::default()),
            width: FIRST,
            gentle,
        }
    }

    /// The next window's start and width; `None` at the end.
    pub(super) fn next(&self) -> Option<(Window, u32)> {
        self.next.clone().map(|w| (w, self.width))
    }

    /// Moves on behind `end` (`None`: that was the last window).
    pub(super) async fn took(&mut self, end: Option<Key>, elapsed: Duration) {
        self.next = end.map(|key| Window {
            after: Some(key),
            upto: None,
        });
        let halve = elapsed > TARGET;
        self.width = if halve {
            (self.width / 2).max(1_000)
        } else {
            (self.width * 2).min(MOST)
        };
        if self.gentle && self.next.is_some() {
            tokio::time::sleep(elapsed).await;
        }
    }
}

/// Measures every rule.
pub(super) async fn measure(
    database: &Database,
    draft: &Draft,
    gentle: bool,
    mut seen: impl FnMut(&str),
) -> Result<Facts, Fault> {
    let mut facts = Facts::default();
    for rule in &draft.rules {
        seen(&rule.name);
        facts
            .rules
            .push(measure_rule(database, rule, gentle).await?);
    }
    Ok(facts)
}

async fn measure_rule(
    database: &Database,
    rule: &RuleDraft,
    gentle: bool,
) -> Result<RuleFacts, Fault> {
    let mut facts = RuleFacts {
        related: vec![0; rule.nodes.len()],
        ..RuleFacts::default()
    };
    let mut hanging = Walk::counting(rule);
    let mut asked = false;
    let mut windows = Windows::new(gentle);
    while let Some((mut window, width)) = windows.next() {
        if window.after.is_some() && !asked {
            asked = true;
            facts.unindexed = unindexed(database, rule, &window).await?;
        }
        let started = Instant::now();
        let mut tx = database.begin(Access::ReadOnly).await?;
        let sql = &rule.count.window;
        let end = end_of(sql, Numbers::default(), &window, width, &mut tx).await?;
        window.upto.clone_from(&end);
        let counted = Box::pin(window_of(
            rule,
            &window,
            width,
            &mut hanging,
            &mut facts,
            &mut tx,
        ))
        .await?;
        tx.rollback().await;
        facts.add(&counted, end.clone());
        if is_unindexed(rule, &facts) {
            // What refuses the plan is what each further window would do.
            return Ok(facts);
        }
        windows.took(end, started.elapsed()).await;
    }
    facts.at_most = hanging.forgot;
    facts.parts = whole::look(database, rule).await?;
    if !gentle {
        facts.pages = pages::look(database, rule).await?;
        facts.clock = by_clock(database, rule, &facts.counted).await?;
    }
    Ok(facts)
}

/// The cutoff of a rule whose rows are better walked in the order of their clock.
async fn by_clock(
    database: &Database,
    rule: &RuleDraft,
    counted: &Counted,
) -> Result<Option<Value>, Fault> {
    let (Some(clock), Some(walked)) = (&rule.clock, rule.by_clock()) else {
        return Ok(None);
    };
    let Some(cutoff) = rule.change.eligible.clock.own().map(|own| &own.cutoff) else {
        return Ok(None);
    };
    let sql = &walked.change.window;
    let mut tx = database.begin(Access::ReadOnly).await?;
    let told = tx.rows(&look_at_clock(clock, sql)).await?;
    let told = told.first().map_or(&[][..], Vec::as_slice);
    let mut pays = clock_pays(told, counted.eligible, counted.total);
    if pays {
        let window = Window {
            after: None,
            upto: Some(vec![cutoff.clone()]),
        };
        let probe = sql.explain_probe(&window, EXPLAINED);
        pays = follows_index(&tx.explained(&probe).await?);
    }
    tx.rollback().await;
    Ok(pays.then(|| cutoff.clone()))
}

/// Counts the rows of a window, and what hangs on them. `width`: rows that it spans at the most.
async fn window_of(
    rule: &RuleDraft,
    window: &Window,
    width: u32,
    hanging: &mut Walk<'_>,
    facts: &mut RuleFacts,
    tx: &mut Tx,
) -> Result<Counted, Fault> {
    let rows = tx.rows(&rule.count.counts(window)).await?;
    let counted = rows
        .first()
        .and_then(|row| CountSql::counted(row))
        .unwrap_or_default();
    keepers(rule, window, tx, facts).await?;
    if let Some(draft) = &rule.groups {
        let groups = groups::add(rule, draft, window, tx, &mut facts.groups);
        Box::pin(groups).await?;
    }
    // Where a row can be reached more than once, only its key says that it was counted.
    let together = rule.nodes.iter().any(|node| !is_alone(rule, node));
    if counted.eligible > 0 && together {
        let rows = tx.rows(&rule.change.peek(window, width)).await?;
        let rows: Vec<KeyRow> = rows.iter().map(|row| rule.change.key_row(row)).collect();
        let related = hanging.count(&rows, tx).await?;
        for (all, rows) in facts.related.iter_mut().zip(related) {
            *all += rows;
        }
    } else if counted.eligible > 0 {
        for i in 0..rule.nodes.len() {
            if let Some(statement) = rule.count.related(window, &path(rule, i)) {
                facts.related[i] += count(tx, &statement).await?;
            }
        }
    }
    Ok(counted)
}

/// The figures of a rule about a person whose rows are few: they are counted as one window. `most`: rows
/// at the most; with more the figures are no such rule's, and `None`.
pub(super) async fn of_few(
    rule: &RuleDraft,
    most: u32,
    tx: &mut Tx,
) -> Result<Option<RuleFacts>, Fault> {
    let mut facts = RuleFacts {
        related: vec![0; rule.nodes.len()],
        ..RuleFacts::default()
    };
    let mut hanging = Walk::counting(rule);
    let window = Window::default();
    let counted = Box::pin(window_of(rule, &window, most, &mut hanging, &mut facts, tx)).await?;
    facts.add(&counted, None);
    facts.at_most = hanging.forgot;
    Ok((counted.total <= i64::from(most)).then_some(facts))
}

/// Whether the database has no other way to the end of a window than reading the whole table.
async fn unindexed(database: &Database, rule: &RuleDraft, window: &Window) -> Result<bool, Fault> {
    let sql = &rule.count.window;
    let mut tx = database.begin(Access::ReadOnly).await?;
    if sql.engine == Engine::Postgres {
        // Without statistics it prefers to read and sort a small table whatever its indexes.
        for off in [
            "SET LOCAL enable_seqscan = off",
            "SET LOCAL enable_sort = off",
            "SET LOCAL enable_incremental_sort = off",
        ] {
            tx.change(&Bound::fixed(off, Vec::new())).await?;
        }
    }
    let explained = tx.explained(&sql.explain_probe(window, EXPLAINED)).await?;
    tx.rollback().await;
    Ok(reads_whole_table(sql.engine, &explained))
}

/// Whether one way leads to a node's rows, through one table above.
fn is_alone(rule: &RuleDraft, node: &Node) -> bool {
    let above = |link: &Link| match link.above.as_slice() {
        [Above::Own] => true,
        [Above::Node(above)] => !rule.nodes[*above].is_keyed(),
        _ => false,
    };
    !node.is_keyed() && matches!(node.links.as_slice(), [link] if above(link))
}

/// The nodes from the rule's table down to node `i`, where each of them is alone.
fn path(rule: &RuleDraft, i: usize) -> Vec<(&Depth, &Way)> {
    let mut path = Vec::new();
    let mut at = Some(i);
    while let Some(node) = at.and_then(|i| rule.nodes.get(i)) {
        let link = node.links.first();
        path.extend(link.map(|link| (&node.depth, &link.way)));
        at = link.and_then(|link| match link.above.first() {
            Some(Above::Node(above)) => Some(*above),
            Some(Above::Own) | None => None,
        });
    }
    path.reverse();
    path
}

/// What is left of a rule's eligible rows: how many, and in which windows.
pub(super) async fn residual(
    database: &Database,
    rule: &RuleDraft,
    numbers: Numbers,
    gentle: bool,
) -> Result<Vec<(Window, i64)>, Fault> {
    let mut left = Vec::new();
    let mut windows = Windows::new(gentle);
    while let Some((mut window, width)) = windows.next() {
        let started = Instant::now();
        let mut tx = database.begin(Access::ReadOnly).await?;
        let end = end_of(&rule.count.window, numbers, &window, width, &mut tx).await?;
        window.upto.clone_from(&end);
        let rows = count(&mut tx, &rule.count.residual(&window)).await?;
        tx.rollback().await;
        if rows > 0 {
            left.push((window, rows));
        }
        windows.took(end, started.elapsed()).await;
    }
    Ok(left)
}

/// What these windows hold.
pub(super) async fn counted(
    database: &Database,
    rule: &RuleDraft,
    windows: &[(Window, i64)],
) -> Result<Counted, Fault> {
    let mut facts = RuleFacts::default();
    for (window, _) in windows {
        let mut tx = database.begin(Access::ReadOnly).await?;
        let rows = tx.rows(&rule.count.counts(window)).await?;
        tx.rollback().await;
        let counted = rows.first().and_then(|row| CountSql::counted(row));
        facts.add(&counted.unwrap_or_default(), None);
    }
    Ok(facts.counted)
}

/// What holds and duties keep of a rule's rows in a window. Of rows of which only a part is left, the
/// rule before has told.
pub(super) async fn keepers(
    rule: &RuleDraft,
    window: &Window,
    tx: &mut Tx,
    facts: &mut RuleFacts,
) -> Result<(), Fault> {
    if rule.tells_holds() {
        let held = &rule.count.eligible.held;
        let rows = tx.rows(&rule.count.kept(window, held)).await?;
        facts.add_held(rows.first().map_or(&[], Vec::as_slice));
    }
    if rule.tells_duties() {
        let rows = tx.rows(&rule.count.kept_by_duties(window)).await?;
        facts.add_kept(
            rule.count
                .kept_rows(rows.first().map_or(&[], Vec::as_slice)),
        );
    }
    Ok(())
}

/// What holds and duties keep of a rule's rows: how many in all, and how many each of them does.
pub(super) async fn held(
    database: &Database,
    rule: &RuleDraft,
    gentle: bool,
) -> Result<RuleFacts, Fault> {
    let mut facts = RuleFacts::default();
    let any = rule.tells_holds() || rule.tells_duties();
    let mut windows = Windows::new(gentle);
    while let Some((mut window, width)) = windows.next() {
        if !any {
            break;
        }
        let started = Instant::now();
        let mut tx = database.begin(Access::ReadOnly).await?;
        let sql = &rule.count.window;
        let end = end_of(sql, Numbers::default(), &window, width, &mut tx).await?;
        window.upto.clone_from(&end);
        keepers(rule, &window, &mut tx, &mut facts).await?;
        tx.rollback().await;
        windows.took(end, started.elapsed()).await;
    }
    Ok(facts)
}

/// The same count by one plain statement: the independent look that a fault of the walk cannot hide
/// from. Only for tables that one statement may read.
pub(super) async fn independent(database: &Database, rule: &RuleDraft) -> Result<i64, Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let eligible = count(&mut tx, &rule.count.independent()).await?;
    tx.rollback().await;
    Ok(eligible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gentle_count_rests_as_long_as_it_reads() {
        for read in [Duration::from_millis(50), Duration::from_secs(7)] {
            for (gentle, rest) in [(true, read), (false, Duration::ZERO)] {
                let mut windows = Windows::new(gentle);
                let began = tokio::time::Instant::now();
                windows.took(Some(Vec::new()), read).await;
                // Nothing comes after the last window.
                windows.took(None, read).await;
                let rested = began.elapsed();
                let timer = Duration::from_millis(2);
                assert!(rest <= rested && rested <= rest + timer, "{rested:?}");
            }
        }
    }
}
