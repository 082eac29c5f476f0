//! Which tables are reached from some, and by which ways. A ring is broken where it closes.

use std::collections::BTreeSet;

use super::Ground;
use super::links::Link;
use crate::api::people::MAX_WAYS;
use crate::catalog::Table;
use crate::name::TableName;

/// Everything that is reached, nearest first; what a table hangs on may also stand behind it.
#[derive(Debug)]
pub(super) struct Reach<'c> {
    pub(super) nodes: Vec<Node<'c>>,
    /// How many of them it began with.
    roots: usize,
}

/// A table that is reached.
#[derive(Debug)]
pub(super) struct Node<'c> {
    pub(super) table: &'c Table,
    /// Over what it hangs on which node.
    pub(super) ways: Vec<(usize, &'c Link<'c>)>,
    /// What would lead back to it or to what it hangs on, and so is no way.
    pub(super) closes: Vec<&'c Link<'c>>,
    /// Ways for which an entry has no room.
    beyond: Vec<&'c Link<'c>>,
}

impl<'c> Reach<'c> {
    /// From these tables on, but not into those that are `known`.
    pub(super) fn of(
        ground: &'c Ground<'c>,
        roots: &[&'c Table],
        known: &BTreeSet<&'c TableName>,
    ) -> Self {
        let node = |table| Node {
            table,
            ways: Vec::new(),
            closes: Vec::new(),
            beyond: Vec::new(),
        };
        let mut nodes: Vec<Node<'c>> = roots.iter().map(|table| node(table)).collect();
        let mut place = 0;
        while place < nodes.len() {
            for link in ground.links.to(&nodes[place].table.name) {
                if known.contains(&link.from.name) {
                    continue;
                }
                let found = nodes.iter().position(|n| n.table.name == link.from.name);
                let child = found.unwrap_or(nodes.len());
                if found.is_none() {
                    nodes.push(node(link.from));
                }
                if hangs_on(&nodes, place, child) {
                    nodes[place].closes.push(link);
                } else if nodes[child].ways.len() < MAX_WAYS {
                    nodes[child].ways.push((place, link));
                } else {
                    nodes[child].beyond.push(link);
                }
            }
            place += 1;
        }
        Self {
            nodes,
            roots: roots.len(),
        }
    }

    /// Whether it began with this one.
    pub(super) fn is_root(&self, place: usize) -> bool {
        place < self.roots
    }

    /// What a person should know of how a table is reached.
    pub(super) fn notes(&self, place: usize) -> Vec<String> {
        let Node {
            table,
            closes,
            beyond,
            ..
        } = &self.nodes[place];
        let closes = closes.iter().map(|link| {
            let columns = link.columns();
            if link.from.name == table.name {
                format!(
                    "{columns} leads back into the table itself: rows that only hang on the \
                     person's rows over it are not reached."
                )
            } else {
                format!(
                    "{} ({columns}) refers to this table and closes a ring: it is no way here.",
                    link.from.name
                )
            }
        });
        let beyond = beyond.iter().map(|link| {
            format!(
                "More ways than an entry takes: {} to {} is left out; write a second entry.",
                link.columns(),
                link.to.name
            )
        });
        closes.chain(beyond).collect()
    }
}

/// Whether the ways of one node lead up to another, or both are one.
fn hangs_on(nodes: &[Node<'_>], place: usize, on: usize) -> bool {
    let mut open = vec![place];
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        if next == on {
            return true;
        }
        if seen.insert(next) {
            open.extend(nodes[next].ways.iter().map(|(above, _)| *above));
        }
    }
    false
}
