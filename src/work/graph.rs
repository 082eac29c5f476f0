//! What hangs on some rows: found from the top down, each row once however many ways lead to it, and
//! changed from the bottom up. A plan finds and counts, a batch locks and changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oubliette_core::catalog::Column;
use oubliette_core::name::Ident;
use oubliette_core::plan::{Above, Link, MOST_HANGING, Node, RuleDraft};
use oubliette_core::sql::{Depth, Grip, KeyRow, Window};
use oubliette_core::value::{Key, Value};

use super::batch::{Stop, count, signed, unsigned};
use super::seal::copy;
use crate::database::{Fault, Tx};

/// Rows that hang on each other so deep are followed, no deeper.
const LEVELS: usize = 64;
/// Keys that a plan remembers from one window to the next, so that a row is counted once. Beyond them
/// it begins anew, and says so: what it holds must not grow with the tables.
const REMEMBERED: usize = 200_000;

/// A row's key, and the values that others refer to.
type Row = (Key, Vec<Value>);

/// What a batch has done to related rows.
pub(super) struct Changed {
    /// Rows that the rule itself reaches, where they went with the others of their table.
    pub(super) own: Option<u64>,
    /// Rows of each node.
    pub(super) related: Vec<u64>,
    /// Rows that let go of others before they went themselves, as the engine counts them.
    pub(super) cut: i64,
}

/// Why a walk did not come to its end.
pub(super) enum Broken {
    Fault(Fault),
    /// More rows hang on the chosen ones than one transaction should change.
    TooMany,
    /// They hang on each other too deep.
    TooDeep,
    /// A row is held that hangs on a chosen one: it came since that one was chosen, and keeps it.
    Held,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Fault(fault) => Self::Fault(fault),
            Broken::TooMany => Self::TooMany,
            Broken::TooDeep => Self::TooDeep,
            Broken::Held => Self::Raced,
        }
    }
}

/// What has been found of one node's rows.
#[derive(Default)]
struct Found {
    /// Rows that are told apart, with the greatest number of steps that lead to each.
    keys: BTreeMap<Key, usize>,
    /// Those of them that lie on a ring, or below one.
    on_ring: BTreeSet<Key>,
    /// What the rows that are new in this walk have for those below.
    read: Vec<Vec<Value>>,
    /// Of rows that are not told apart: what they refer to.
    parents: Vec<Key>,
}

/// A walk over everything that hangs on chosen rows.
pub(super) struct Walk<'a> {
    rule: &'a RuleDraft,
    found: Vec<Found>,
    /// Rows are locked, and each is brought as far down as a way leads; otherwise they are counted.
    locks: bool,
    chosen: usize,
    /// A plan has begun anew to remember which rows it has counted.
    pub(super) forgot: bool,
    /// The chosen rows, where their own columns do not tell them from others of their table.
    told: Option<BTreeSet<Key>>,
    hanging: i64,
    counted: Vec<i64>,
}

impl<'a> Walk<'a> {
    /// A walk of a batch.
    pub(super) fn locking(rule: &'a RuleDraft) -> Self {
        Self::new(rule, true)
    }

    /// A walk of a plan, window by window.
    pub(super) fn counting(rule: &'a RuleDraft) -> Self {
        Self::new(rule, false)
    }

    fn new(rule: &'a RuleDraft, locks: bool) -> Self {
        Self {
            rule,
            found: rule.nodes.iter().map(|_| Found::default()).collect(),
            locks,
            chosen: 0,
            forgot: false,
            told: None,
            hanging: 0,
            counted: vec![0; rule.nodes.len()],
        }
    }

    /// Counts what hangs on the eligible rows of a window and was not counted before.
    pub(super) async fn count(&mut self, rows: &[KeyRow], tx: &mut Tx) -> Result<Vec<i64>, Fault> {
        self.counted = vec![0; self.rule.nodes.len()];
        match Box::pin(self.find(rows, tx)).await {
            // Only a batch has limits.
            Ok(()) | Err(Broken::TooMany | Broken::TooDeep | Broken::Held) => {}
            Err(Broken::Fault(fault)) => return Err(fault),
        }
        let remembered: usize = self.found.iter().map(|found| found.keys.len()).sum();
        self.forgot |= remembered > REMEMBERED;
        for found in &mut self.found {
            found.read.clear();
            found.parents.clear();
            if remembered > REMEMBERED {
                found.keys.clear();
            }
        }
        Ok(std::mem::take(&mut self.counted))
    }

    async fn find(&mut self, rows: &[KeyRow], tx: &mut Tx) -> Result<(), Broken> {
        let rule = self.rule;
        self.chosen = rows.len();
        let mut at = 0;
        while let Some(node) = rule.nodes.get(at) {
            let together = match node.ring {
                None => 1,
                ring => {
                    let alike = rule.nodes[at..].iter().take_while(|n| n.ring == ring);
                    alike.count()
                }
            };
            if node.ring.is_some() {
                Box::pin(self.ring(at..at + together, rows, tx)).await?;
            } else if node.is_keyed() {
                let mut reached = BTreeMap::new();
                for link in &node.links {
                    let parents = self.parents(link, rows, &|_| true);
                    reached.extend(self.reach(at, link, &parents, tx).await?);
                }
                self.take(at, reached, 0);
            } else if let Some(link) = node.links.first() {
                Box::pin(self.simple(at, link, rows, tx)).await?;
            }
            at += together;
        }
        Ok(())
    }

    /// Rows that only one way leads to are counted, and read only where others hang on them.
    async fn simple(
        &mut self,
        at: usize,
        link: &Link,
        rows: &[KeyRow],
        tx: &mut Tx,
    ) -> Result<(), Broken> {
        let depth = &self.rule.nodes[at].depth;
        let mut parents = Vec::new();
        let above = self.parents(link, rows, &|_| true);
        for chunk in depth.chunks_below(&link.way, &above) {
            if self.locks {
                // None can come any more, and a change of none would still wait for rows that hang on
                // others: of a small table InnoDB reads all.
                if Box::pin(self.locked_below(at, link, chunk, tx)).await? == 0 {
                    continue;
                }
                parents.extend_from_slice(chunk);
            } else {
                self.counted[at] += count(tx, &depth.pending(&link.way, chunk)).await?;
            }
            if !depth.referenced.is_empty() {
                let read = self.read(depth, link, chunk, tx).await?;
                let read = read.into_iter().map(|(_, referenced)| referenced);
                self.found[at].read.extend(read);
            }
        }
        self.found[at].parents = parents;
        Ok(())
    }

    /// Nodes that hang on each other: step by step, until no row is reached any more, or the same
    /// rows are reached again: these lie on a ring, or below one.
    async fn ring(
        &mut self,
        nodes: Range<usize>,
        rows: &[KeyRow],
        tx: &mut Tx,
    ) -> Result<(), Broken> {
        let rule = self.rule;
        let mut reached: BTreeMap<usize, BTreeMap<Key, Vec<Value>>> = BTreeMap::new();
        for at in nodes.clone() {
            let mut first = BTreeMap::new();
            if rule.nodes[at].own {
                first.extend(rows.iter().map(|r| (r.key.clone(), r.referenced.clone())));
            }
            for link in &rule.nodes[at].links {
                let parents = self.parents(link, rows, &|above| !nodes.contains(&above));
                first.extend(Box::pin(self.reach(at, link, &parents, tx)).await?);
            }
            reached.insert(at, first);
        }
        let mut steps: Vec<BTreeMap<usize, BTreeSet<Key>>> = Vec::new();
        loop {
            let level = steps.len();
            let mut step: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
            for (at, rows) in std::mem::take(&mut reached) {
                let own = level == 0 && rule.nodes[at].own;
                let taken = Box::pin(self.step(at, rows, level, own, tx)).await?;
                step.insert(at, taken);
            }
            let keys: BTreeMap<usize, BTreeSet<Key>> = step
                .iter()
                .map(|(at, rows)| (*at, rows.iter().map(|(key, _)| key.clone()).collect()))
                .collect();
            if keys.values().all(BTreeSet::is_empty) {
                return Ok(());
            }
            if let Some(again) = steps.iter().position(|earlier| *earlier == keys) {
                for (at, keys) in steps.into_iter().skip(again).flatten() {
                    self.found[at].on_ring.extend(keys);
                }
                return Ok(());
            }
            if self.locks {
                if level > LEVELS {
                    return Err(Broken::TooDeep);
                }
                steps.push(keys);
            } else {
                steps = vec![BTreeMap::new()];
            }
            for at in nodes.clone() {
                let mut next = BTreeMap::new();
                for link in &rule.nodes[at].links {
                    let mut parents = BTreeSet::new();
                    for above in &link.above {
                        if let Above::Node(above) = above
                            && let Some(rows) = step.get(above)
                        {
                            let read = rows.iter().map(|(_, referenced)| referenced);
                            parents.extend(tuples(&rule.nodes[*above].depth, link, read));
                        }
                    }
                    let parents: Vec<Key> = parents.into_iter().collect();
                    next.extend(Box::pin(self.reach(at, link, &parents, tx)).await?);
                }
                reached.insert(at, next);
            }
        }
    }

    /// Takes the rows of a step of a ring. Returns those from which it goes on: in a batch all of
    /// them, so that every row ends behind those that it hangs on, in a plan the new ones.
    async fn step(
        &mut self,
        at: usize,
        rows: BTreeMap<Key, Vec<Value>>,
        level: usize,
        own: bool,
        tx: &mut Tx,
    ) -> Result<Vec<Row>, Broken> {
        let new = self.take(at, rows.clone(), level);
        if self.locks {
            if !own {
                self.hangs(signed(unsigned(new.len())))?;
            }
            return Ok(rows.into_iter().collect());
        }
        if own {
            self.counted[at] -= signed(unsigned(new.len()));
        } else if self.rule.nodes[at].own {
            // Of the rule's own table, those that it reaches itself are counted as its own.
            let keys: Vec<Key> = new.iter().map(|(key, _)| key.clone()).collect();
            for chunk in self.rule.count.window.chunks(&keys) {
                self.counted[at] -= count(tx, &self.rule.count.of_keys(chunk)).await?;
            }
        }
        Ok(new)
    }

    /// Remembers rows that are told apart. Returns those that are new.
    fn take(&mut self, at: usize, rows: BTreeMap<Key, Vec<Value>>, level: usize) -> Vec<Row> {
        let mut new = Vec::new();
        for (key, referenced) in rows {
            if self.found[at].keys.insert(key.clone(), level).is_none() {
                self.found[at].read.push(referenced.clone());
                new.push((key, referenced));
            }
        }
        self.counted[at] += signed(unsigned(new.len()));
        new
    }

    /// The rows that one way leads to.
    async fn reach(
        &mut self,
        at: usize,
        link: &Link,
        parents: &[Key],
        tx: &mut Tx,
    ) -> Result<Vec<Row>, Broken> {
        let node = &self.rule.nodes[at];
        let mut rows = Vec::new();
        for chunk in node.depth.chunks_below(&link.way, parents) {
            if self.locks
                && node.ring.is_none()
                && Box::pin(self.locked_below(at, link, chunk, tx)).await? == 0
            {
                continue;
            }
            rows.extend(self.read(&node.depth, link, chunk, tx).await?);
        }
        Ok(rows)
    }

    async fn read(
        &self,
        depth: &Depth,
        link: &Link,
        parents: &[Key],
        tx: &mut Tx,
    ) -> Result<Vec<Row>, Fault> {
        let statement = if self.locks {
            depth.choose(&link.way, parents)
        } else {
            depth.look(&link.way, parents)
        };
        let rows = tx.rows(&statement).await?;
        let rows: Vec<Row> = rows.iter().map(|row| depth.key_row(row)).collect();
        if self.locks {
            let read = || rows.iter().map(|(_, referenced)| referenced);
            take_hold(&depth.grips, &depth.referenced, read, tx).await?;
        }
        Ok(rows)
    }

    /// Counts the rows that hang on these parents, which are locked. None of them may be held.
    async fn locked_below(
        &mut self,
        at: usize,
        link: &Link,
        parents: &[Key],
        tx: &mut Tx,
    ) -> Result<i64, Broken> {
        if let Some(held) = self.rule.held_below(at, &link.way, parents)
            && count(tx, &held).await? > 0
        {
            return Err(Broken::Held);
        }
        let depth = &self.rule.nodes[at].depth;
        let rows = count(tx, &depth.count(&link.way, parents)).await?;
        self.hangs(rows)?;
        Ok(rows)
    }

    fn hangs(&mut self, rows: i64) -> Result<(), Broken> {
        self.hanging += rows;
        if self.locks && self.hanging > i64::from(MOST_HANGING) && self.chosen > 1 {
            return Err(Broken::TooMany);
        }
        Ok(())
    }

    /// What the rows above that are new in this walk have for a way, each once.
    fn parents(&self, link: &Link, rows: &[KeyRow], of: &dyn Fn(usize) -> bool) -> Vec<Key> {
        let mut parents = BTreeSet::new();
        for above in &link.above {
            match above {
                Above::Own => {
                    let columns = &self.rule.change.referenced;
                    let names: Vec<_> = columns.iter().map(|column| &column.name).collect();
                    let read = rows.iter().map(|row| &row.referenced);
                    parents.extend(picked(&names, referred(link), read));
                }
                Above::Node(above) if of(*above) => {
                    let read = self.found[*above].read.iter();
                    parents.extend(tuples(&self.rule.nodes[*above].depth, link, read));
                }
                Above::Node(_) => {}
            }
        }
        parents.into_iter().collect()
    }

    /// Locks what hangs on chosen rows and changes it: what stays lets go first, then the others go
    /// from the bottom up.
    pub(super) async fn change(
        mut self,
        rows: &[KeyRow],
        by: &str,
        tx: &mut Tx,
    ) -> Result<Changed, Stop> {
        Box::pin(self.find(rows, tx)).await?;
        // What is sealed is copied as it is, before anything lets go of anything.
        for (node, found) in self.rule.nodes.iter().zip(&self.found) {
            if node.depth.seal.is_some() {
                let keys: Vec<Key> = found.keys.keys().cloned().collect();
                Box::pin(copy(tx, node.depth.chunks(&keys), |keys| {
                    node.depth.copy(keys, by)
                }))
                .await?;
            }
        }
        if self.rule.change.eligible.looks_elsewhere() {
            self.told = Some(rows.iter().map(|row| row.key.clone()).collect());
        }
        let nodes = &self.rule.nodes;
        let mut done = Changed {
            own: None,
            related: vec![0; nodes.len()],
            cut: 0,
        };
        for (at, node) in nodes.iter().enumerate().rev().filter(|(_, n)| !n.goes()) {
            Box::pin(self.update(at, node, rows, &mut done, tx)).await?;
        }
        let mut at = nodes.len();
        while let Some(last) = at.checked_sub(1) {
            let node = &nodes[last];
            at = match node.ring {
                None => last,
                ring => nodes[..last]
                    .iter()
                    .rposition(|n| n.ring != ring)
                    .map_or(0, |before| before + 1),
            };
            if node.ring.is_some() {
                Box::pin(self.untie(at..last + 1, &mut done, tx)).await?;
            } else if node.is_keyed() && node.goes() {
                let keys: Vec<Key> = self.found[last].keys.keys().cloned().collect();
                Box::pin(self.delete(last, &keys, &mut done, tx)).await?;
            } else if let (true, Some(link)) = (node.goes(), node.links.first()) {
                let parents = &self.found[last].parents;
                for chunk in node.depth.chunks_below(&link.way, parents) {
                    done.related[last] += tx.change(&node.depth.change(&link.way, chunk)).await?;
                }
            }
        }
        Ok(done)
    }

    /// Changes rows that stay. Those that go beside them let go of what goes before they do.
    async fn update(
        &self,
        at: usize,
        node: &Node,
        rows: &[KeyRow],
        done: &mut Changed,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        let Some(link) = node.links.first() else {
            return Ok(());
        };
        let Some(beside) = node.beside else {
            let parents = &self.found[at].parents;
            for chunk in node.depth.chunks_below(&link.way, parents) {
                done.related[at] += tx.change(&node.depth.change(&link.way, chunk)).await?;
            }
            return Ok(());
        };
        let going: BTreeSet<&Key> = match beside {
            Above::Own => rows.iter().map(|row| &row.key).collect(),
            Above::Node(beside) => self.found[beside].keys.keys().collect(),
        };
        let found = self.found[at].keys.keys().cloned();
        let (go, stay): (Vec<Key>, Vec<Key>) = found.partition(|key| going.contains(key));
        for chunk in node.depth.chunks(&stay) {
            done.related[at] += tx.change(&node.depth.by_keys(chunk)).await?;
        }
        self.cut(node, link, &go, done, tx).await
    }

    async fn cut(
        &self,
        node: &Node,
        link: &Link,
        keys: &[Key],
        done: &mut Changed,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        for chunk in node.depth.chunks(keys) {
            if let Some(cut) = &link.cut {
                done.cut += node.counted * signed(tx.change(&cut.by_keys(chunk)).await?);
            }
        }
        Ok(())
    }

    /// Deletes rows that hang on each other: on rings where a column may be NULL it becomes NULL
    /// first; the others go from the deepest to the highest.
    async fn untie(
        &self,
        nodes: Range<usize>,
        done: &mut Changed,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        let all = &self.rule.nodes;
        let on_ring = |at: usize| self.found[at].on_ring.iter().cloned().collect::<Vec<_>>();
        if nodes.clone().any(|at| !self.found[at].on_ring.is_empty()) {
            for at in nodes.clone() {
                for link in &all[at].links {
                    self.cut(&all[at], link, &on_ring(at), done, tx).await?;
                }
            }
            // What is left are columns that may not be NULL: they lead from table to table, or on.
            let mut left: Vec<usize> = nodes.clone().collect();
            while !left.is_empty() {
                let holds = |below: usize, above: usize| {
                    let mut links = all[below].links.iter();
                    !self.found[below].on_ring.is_empty()
                        && links.any(|link| {
                            let leads = link.above.contains(&Above::Node(above));
                            link.checked && link.cut.is_none() && leads
                        })
                };
                let free = |&at: &usize| {
                    self.found[at].on_ring.is_empty() || !left.iter().any(|&b| holds(b, at))
                };
                let Some(place) = left.iter().position(free) else {
                    return Err(Stop::Ring(all[left[0]].depth.table.clone()));
                };
                let at = left.remove(place);
                self.delete(at, &on_ring(at), done, tx).await?;
            }
        }
        let mut levels: BTreeMap<usize, BTreeMap<usize, Vec<Key>>> = BTreeMap::new();
        for at in nodes {
            let found = &self.found[at];
            for (key, level) in found
                .keys
                .iter()
                .filter(|(k, _)| !found.on_ring.contains(*k))
            {
                let level = levels.entry(*level).or_default();
                level.entry(at).or_default().push(key.clone());
            }
        }
        for (at, keys) in levels.into_values().rev().flatten() {
            self.delete(at, &keys, done, tx).await?;
        }
        Ok(())
    }

    /// Deletes locked rows by their keys. Of the rule's own table, those that it reaches itself go by
    /// its whole predicate, and are counted as its own.
    async fn delete(
        &self,
        at: usize,
        keys: &[Key],
        done: &mut Changed,
        tx: &mut Tx,
    ) -> Result<(), Stop> {
        let node = &self.rule.nodes[at];
        let mut gone = 0;
        for chunk in node.depth.chunks(keys) {
            let told = self.told.as_ref().filter(|_| node.own);
            let (reached, chunk): (Vec<Key>, Vec<Key>) = chunk
                .iter()
                .cloned()
                .partition(|key| told.is_some_and(|told| told.contains(key)));
            if !reached.is_empty() {
                let own = tx.change(&node.depth.by_keys(&reached)).await?;
                *done.own.get_or_insert(0) += own;
                gone += own;
            }
            if chunk.is_empty() {
                continue;
            }
            if node.own && told.is_none() {
                let reached = self.rule.change.by_keys(&Window::default(), &chunk);
                let own = tx.change(&reached).await?;
                *done.own.get_or_insert(0) += own;
                gone += own;
            }
            let others = tx.change(&node.depth.by_keys(&chunk)).await?;
            done.related[at] += others;
            gone += others;
        }
        if gone != unsigned(keys.len()) {
            return Err(Stop::Raced);
        }
        Ok(())
    }
}

/// Changes what hangs on the rows that this transaction has locked in a window, without anybody's keys, see
/// [`RuleDraft::goes_by_lock`]. Returns the rows of each node.
pub(super) async fn below_locked(
    rule: &RuleDraft,
    window: &Window,
    locked: i64,
    tx: &mut Tx,
) -> Result<Vec<u64>, Stop> {
    let mut hanging = 0;
    let mut changes = Vec::new();
    for below in rule.below_by_lock(window) {
        let rows = count(tx, &below.count).await?;
        hanging += rows;
        if hanging > i64::from(MOST_HANGING) && locked > 1 {
            return Err(Stop::TooMany);
        }
        if rows > 0 {
            changes.push((below.node, below.change));
        }
    }
    let mut changed = vec![0; rule.nodes.len()];
    for (node, change) in changes {
        changed[node] = tx.change(&change).await?;
    }
    Ok(changed)
}

/// The columns that a way refers to.
fn referred(link: &Link) -> impl Iterator<Item = &Ident> {
    link.way.pairs.iter().map(|(_, to)| &to.name)
}

/// Locks rows by the other keys that foreign keys refer to. `read`: what was read of each of them.
pub(super) async fn take_hold<'v, I: Iterator<Item = &'v Vec<Value>>>(
    grips: &[Grip],
    referenced: &[Column],
    read: impl Fn() -> I,
    tx: &mut Tx,
) -> Result<(), Fault> {
    let names: Vec<_> = referenced.iter().map(|column| &column.name).collect();
    for grip in grips {
        let columns = grip.columns.iter().map(|column| &column.name);
        let keys: Vec<Key> = picked(&names, columns, read()).into_iter().collect();
        for chunk in grip.chunks(&keys) {
            tx.rows(&grip.lock(chunk)).await?;
        }
    }
    Ok(())
}

/// The values that a way's columns refer to, of rows of a node.
fn tuples<'v>(
    depth: &Depth,
    link: &Link,
    rows: impl Iterator<Item = &'v Vec<Value>>,
) -> BTreeSet<Key> {
    let names: Vec<_> = depth.referenced.iter().map(|column| &column.name).collect();
    picked(&names, referred(link), rows)
}

/// The values of some of the columns of rows, each combination once. Nobody refers to a NULL.
fn picked<'v, 'n>(
    names: &[&Ident],
    wanted: impl Iterator<Item = &'n Ident>,
    rows: impl Iterator<Item = &'v Vec<Value>>,
) -> BTreeSet<Key> {
    let places: Option<Vec<usize>> = wanted
        .map(|wanted| names.iter().position(|name| **name == *wanted))
        .collect();
    let places = places.unwrap_or_default();
    rows.filter_map(|row| {
        let picked: Option<Key> = places.iter().map(|&at| row.get(at).cloned()).collect();
        picked.filter(|key| !key.is_empty() && !key.contains(&Value::Null))
    })
    .collect()
}
