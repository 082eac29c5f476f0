//! Measures a draft: exact counts in paced windows, inside READ ONLY transactions.

use std::pin::pin;
use std::sync::PoisonError;

use futures::stream::TryStreamExt;

use oubliette_core::catalog::Engine;
use oubliette_core::groups::Groups;
use oubliette_core::plan::{
    Above, Draft, Facts, Link, Node, RuleDraft, RuleFacts, is_unindexed, reads_whole_table,
};
use oubliette_core::sql::{
    Bound, CountSql, Counted, Depth, KeptRows, KeyRow, Numbers, Way, Window, clock_pays,
    follows_index, look_at_clock,
};
use oubliette_core::value::{Key, Value};
use tokio::sync::Mutex;

use super::batch::count;
use super::graph::Walk;
use super::groups;
use super::pages;
use super::whole;
use super::windows::{Look, Reading, SMALL, Windows};
use crate::database::{Access, Database, Fault, Tx};

/// Rows of the window whose way is asked for: as many as a batch spans, because for a large part of
/// a table reading all of it is the right way.
const EXPLAINED: u32 = 500;

/// Measures every rule.
pub(super) async fn measure(
    database: &Database,
    draft: &Draft,
    reading: Reading,
    mut seen: impl FnMut(&str),
) -> Result<Facts, Fault> {
    let mut facts = Facts::default();
    for rule in &draft.rules {
        seen(&rule.name);
        facts
            .rules
            .push(Box::pin(measure_rule(database, rule, reading)).await?);
    }
    Ok(facts)
}

async fn measure_rule(
    database: &Database,
    rule: &RuleDraft,
    reading: Reading,
) -> Result<RuleFacts, Fault> {
    let mut facts = none_yet(rule);
    let shared = Shared::of(rule);
    let windows = Windows::new(database, &rule.count.window, Numbers::default(), reading);
    let look = async |look: Look| {
        let Look {
            window,
            width,
            mut tx,
        } = look;
        let seen = Box::pin(window_of(rule, &window, width, &shared, &mut tx)).await?;
        tx.rollback().await;
        Ok((seen, window.upto))
    };
    if let Some((seen, end)) = pin!(windows.seen_by(1, look)).try_next().await? {
        seen.enter(end, &mut facts);
    }
    if let Some(window) = windows.next() {
        facts.unindexed = unindexed(database, rule, &window).await?;
        // Several would read the whole table as often, or wait for each other.
        let sessions = if facts.unindexed || are_together(rule) {
            1
        } else {
            reading.sessions()
        };
        for (sessions, rows) in [(1, SMALL), (sessions, i64::MAX)] {
            let mut rest = pin!(windows.seen_by(sessions, look));
            // What refuses the plan is what each further window would do.
            while facts.counted.total < rows
                && !is_unindexed(rule, &facts)
                && let Some((seen, end)) = rest.try_next().await?
            {
                seen.enter(end, &mut facts);
            }
        }
    }
    shared.enter(&mut facts);
    if is_unindexed(rule, &facts) {
        return Ok(facts);
    }
    facts.parts = whole::look(database, rule).await?;
    if reading != Reading::Gently {
        facts.pages = pages::look(database, rule).await?;
        facts.clock = by_clock(database, rule, &facts.counted).await?;
    }
    Ok(facts)
}

fn none_yet(rule: &RuleDraft) -> RuleFacts {
    RuleFacts {
        related: vec![0; rule.nodes.len()],
        ..RuleFacts::default()
    }
}

/// What windows that are counted at once share.
struct Shared<'a> {
    hanging: Mutex<Walk<'a>>,
    groups: std::sync::Mutex<Groups>,
}

impl<'a> Shared<'a> {
    fn of(rule: &'a RuleDraft) -> Self {
        Self {
            hanging: Mutex::new(Walk::counting(rule)),
            groups: std::sync::Mutex::default(),
        }
    }

    fn enter(self, facts: &mut RuleFacts) {
        facts.groups = self
            .groups
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        facts.at_most = self.hanging.into_inner().forgot;
    }
}

/// What one window holds.
struct Seen {
    counted: Counted,
    keepers: Keepers,
    /// Rows of each node that hang on its eligible rows.
    related: Vec<i64>,
}

impl Seen {
    /// Adds it to the figures of the windows before.
    fn enter(self, end: Option<Key>, facts: &mut RuleFacts) {
        self.keepers.enter(facts);
        for (all, rows) in facts.related.iter_mut().zip(self.related) {
            *all += rows;
        }
        facts.add(&self.counted, end);
    }
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
    shared: &Shared<'_>,
    tx: &mut Tx,
) -> Result<Seen, Fault> {
    let rows = tx.rows(&rule.count.counts(window)).await?;
    let counted = rows
        .first()
        .and_then(|row| CountSql::counted(row))
        .unwrap_or_default();
    let keepers = keepers(rule, window, tx).await?;
    if let Some(draft) = &rule.groups {
        Box::pin(groups::add(rule, draft, window, tx, &shared.groups)).await?;
    }
    let mut related = vec![0; rule.nodes.len()];
    if counted.eligible > 0 && are_together(rule) {
        let rows: Vec<KeyRow> = {
            let rows = tx.rows(&rule.change.peek(window, width)).await?;
            rows.iter().map(|row| rule.change.key_row(row)).collect()
        };
        related = shared.hanging.lock().await.count(&rows, tx).await?;
    } else if counted.eligible > 0 {
        for (i, related) in related.iter_mut().enumerate() {
            if let Some(statement) = rule.count.related(window, &path(rule, i)) {
                *related = count(tx, &statement).await?;
            }
        }
    }
    Ok(Seen {
        counted,
        keepers,
        related,
    })
}

/// The figures of a rule about a person whose rows are few: they are counted as one window. `most`: rows
/// at the most; with more the figures are no such rule's, and `None`.
pub(super) async fn of_few(
    rule: &RuleDraft,
    most: u32,
    tx: &mut Tx,
) -> Result<Option<RuleFacts>, Fault> {
    let mut facts = none_yet(rule);
    let shared = Shared::of(rule);
    let window = Window::default();
    let seen = Box::pin(window_of(rule, &window, most, &shared, tx)).await?;
    seen.enter(None, &mut facts);
    shared.enter(&mut facts);
    Ok((facts.counted.total <= i64::from(most)).then_some(facts))
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

/// Whether a row that hangs on the rule's can be reached more than once: then only its key says that it was counted.
fn are_together(rule: &RuleDraft) -> bool {
    rule.nodes.iter().any(|node| !is_alone(rule, node))
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
    reading: Reading,
) -> Result<Vec<(Window, i64)>, Fault> {
    let windows = Windows::new(database, &rule.count.window, numbers, reading);
    let look = async |look: Look| {
        let Look { window, mut tx, .. } = look;
        let rows = count(&mut tx, &rule.count.residual(&window)).await?;
        tx.rollback().await;
        Ok((window, rows))
    };
    let mut left = Vec::new();
    let mut seen = pin!(windows.seen(look));
    while let Some((window, rows)) = seen.try_next().await? {
        if rows > 0 {
            left.push((window, rows));
        }
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

/// What holds and duties keep of rows, as the database tells it.
#[derive(Default)]
pub(super) struct Keepers {
    held: Vec<Value>,
    kept: Option<(i64, Vec<KeptRows>)>,
}

impl Keepers {
    pub(super) fn enter(self, facts: &mut RuleFacts) {
        facts.add_held(&self.held);
        if let Some(kept) = self.kept {
            facts.add_kept(kept);
        }
    }
}

/// What holds and duties keep of a rule's rows in a window. Of rows of which only a part is left, the
/// rule before has told.
pub(super) async fn keepers(
    rule: &RuleDraft,
    window: &Window,
    tx: &mut Tx,
) -> Result<Keepers, Fault> {
    let mut keepers = Keepers::default();
    if rule.tells_holds() {
        let held = &rule.count.eligible.held;
        let rows = tx.rows(&rule.count.kept(window, held)).await?;
        keepers.held = rows.into_iter().next().unwrap_or_default();
    }
    if rule.tells_duties() {
        let rows = tx.rows(&rule.count.kept_by_duties(window)).await?;
        let row = rows.first().map_or(&[][..], Vec::as_slice);
        keepers.kept = Some(rule.count.kept_rows(row));
    }
    Ok(keepers)
}

/// What holds and duties keep of a rule's rows: how many in all, and how many each of them does.
pub(super) async fn held(
    database: &Database,
    rule: &RuleDraft,
    reading: Reading,
) -> Result<RuleFacts, Fault> {
    let mut facts = RuleFacts::default();
    if !rule.tells_holds() && !rule.tells_duties() {
        return Ok(facts);
    }
    let windows = Windows::new(database, &rule.count.window, Numbers::default(), reading);
    let look = async |look: Look| {
        let Look { window, mut tx, .. } = look;
        let keepers = keepers(rule, &window, &mut tx).await?;
        tx.rollback().await;
        Ok(keepers)
    };
    let mut seen = pin!(windows.seen(look));
    while let Some(keepers) = seen.try_next().await? {
        keepers.enter(&mut facts);
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
