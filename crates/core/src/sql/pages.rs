//! The walk over a table's pages: PostgreSQL deletes of a large share of a table read each page
//! once, in the order of the file (PERFORMANCE.md 3.1). An update moves a row to another page, before
//! or behind the walk: so it is for deletes only, and a sweep by key follows (12.2, 12.3).

use super::change::ChangeSql;
use super::window::Window;
use super::{Bound, Writer, dialect};
use crate::catalog::Engine;
use crate::name::TableName;
use crate::value::{Key, Value};

/// Pages below which a walk by key is as good.
const FEWEST: u64 = 500;
/// Part of the rows (one in so many) that must be eligible: for fewer, most pages are read in vain.
const SHARE: i64 = 20;

/// A page of a table: everything before it is done, or it is where a range ends. In a checkpoint it
/// stands as a key that begins with NULL, as no key of a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// The table itself (0), or which of its partitions.
    pub leaf: u32,
    /// Counted from 0.
    pub block: u32,
}

impl Page {
    /// As a bound or cursor.
    pub fn key(self) -> Key {
        let int = |n: u32| Value::Int(i64::from(n));
        vec![Value::Null, int(self.leaf), int(self.block)]
    }

    /// The page that a bound or cursor is; `None`: it is the key of a row.
    pub fn of(key: Option<&Key>) -> Option<Self> {
        let [Value::Null, Value::Int(leaf), Value::Int(block)] = key?.as_slice() else {
            return None;
        };
        Some(Self {
            leaf: u32::try_from(*leaf).ok()?,
            block: u32::try_from(*block).ok()?,
        })
    }

    /// A row's identifier at the beginning of the page.
    fn tid(self) -> Value {
        Value::Text(format!("({},0)", self.block))
    }
}

impl Window {
    /// The first page of the window and the one before which it ends; `None`: it is one of keys.
    pub fn pages(&self) -> Option<(Page, Page)> {
        Some((
            Page::of(self.after.as_ref())?,
            Page::of(self.upto.as_ref())?,
        ))
    }

    fn of_pages(from: Page, to: Page) -> Self {
        Self {
            after: Some(from.key()),
            upto: Some(to.key()),
        }
    }
}

/// The pages of a table that can be walked: how many each of its leaves has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages(pub Vec<u32>);

/// One step of a walk over pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageStep {
    /// Pages of one leaf.
    pub window: Window,
    /// The leaf.
    pub leaf: usize,
    /// Where the next step begins; `None`: that was the last one of the range.
    pub reached: Option<Key>,
}

impl Pages {
    /// All pages.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|n| u64::from(*n)).sum()
    }

    /// Whether a walk over them is worth more than one by key.
    pub fn pay(&self, eligible: i64, total: i64) -> bool {
        self.count() >= FEWEST && eligible.saturating_mul(SHARE) >= total
    }

    /// Ranges of about equal length, one for each of `lanes`, that cover every page.
    pub fn split(&self, lanes: u32) -> Vec<Window> {
        let all = self.count();
        let lanes = u64::from(lanes.max(1)).min(all.max(1));
        let bounds: Vec<Page> = (0..=lanes).map(|n| self.at(all * n / lanes)).collect();
        bounds
            .windows(2)
            .map(|pair| Window::of_pages(pair[0], pair[1]))
            .collect()
    }

    /// The page before which `before` others lie.
    fn at(&self, mut before: u64) -> Page {
        for (leaf, blocks) in (0_u32..).zip(&self.0) {
            if before < u64::from(*blocks) {
                let block = u32::try_from(before).unwrap_or(u32::MAX);
                return Page { leaf, block };
            }
            before -= u64::from(*blocks);
        }
        Page {
            leaf: u32::try_from(self.0.len()).unwrap_or(u32::MAX),
            block: 0,
        }
    }

    /// The next `width` pages of a range, or fewer: a step ends with its leaf. `None`: it has no more.
    pub fn step(&self, range: &Window, width: u32) -> Option<PageStep> {
        let (from, end) = range.pages()?;
        let from = self.next(from, end)?;
        let to = Page {
            leaf: from.leaf,
            block: from
                .block
                .saturating_add(width.max(1))
                .min(self.blocks(from.leaf, end)),
        };
        Some(PageStep {
            window: Window::of_pages(from, to),
            leaf: usize::try_from(from.leaf).unwrap_or(usize::MAX),
            reached: self.next(to, end).map(Page::key),
        })
    }

    /// The first page from `from` on that is there and before `end`.
    fn next(&self, mut from: Page, end: Page) -> Option<Page> {
        while from < end && from.block >= self.blocks(from.leaf, end) {
            from = Page {
                leaf: from.leaf + 1,
                block: 0,
            };
        }
        (from < end).then_some(from)
    }

    /// Pages of a leaf before `end`. The file may have grown or shrunk since the range was made.
    fn blocks(&self, leaf: u32, end: Page) -> u32 {
        if leaf == end.leaf {
            return end.block;
        }
        let known = usize::try_from(leaf).ok().and_then(|leaf| self.0.get(leaf));
        known.copied().unwrap_or(0)
    }
}

/// `ctid` within a window of pages, with a trailing ` AND `.
pub(super) fn write_pages(w: &mut Writer<'_>, from: Page, to: Page) {
    w.sql("ctid >= ")
        .bind(from.tid())
        .sql("::text::tid AND ctid < ");
    w.bind(to.tid()).sql("::text::tid AND ");
}

impl ChangeSql {
    /// The same change of one leaf of the table.
    #[must_use]
    pub fn of_leaf(&self, leaf: &TableName) -> Self {
        let mut own = self.clone();
        own.window.table = leaf.clone();
        own.window.with_leaves = false;
        own.eligible.of_leaf(leaf);
        own
    }

    /// How the database would find the rows of some pages, asked as a SELECT, which needs no more
    /// than that privilege.
    pub fn explain_pages(&self, window: &Window) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql(d.explain()).sql("SELECT 1");
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write(&mut w);
        w.finish()
    }
}

/// Whether pages of a leaf may be walked by our user and how many it has: one row, `(fit, pages)`;
/// no row: there is no such table. Named itself, a leaf has privileges, row-level security, rules and
/// statement triggers of its own, which do not count where its parent is named.
pub fn look_at_leaf(leaf: &TableName) -> Bound {
    let mut w = Writer::new(dialect(Engine::Postgres));
    w.sql(
        "SELECT (current_setting('server_version_num')::integer >= 140000 AND c.relkind = 'r' \
         AND c.relpersistence <> 't' AND a.amname = 'heap' AND NOT c.relhasrules \
         AND NOT c.relhassubclass AND NOT row_security_active(c.oid) \
         AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid \
         AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND NOT EXISTS (SELECT 1 \
         FROM pg_constraint k WHERE k.oid = t.tgconstraint AND k.contype <> 't'))) \
         AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE') \
         AND has_any_column_privilege(c.oid, 'UPDATE'))::integer, \
         pg_relation_size(c.oid) / current_setting('block_size')::bigint \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_am a ON a.oid = c.relam WHERE ",
    );
    write_named(&mut w, leaf);
    w.finish()
}

/// Whether a leaf is still a part of its table: one row, or none. Asked after its rows were changed,
/// when the lock on it keeps it where it is.
pub fn leaf_of(leaf: &TableName, table: &TableName) -> Bound {
    let mut w = Writer::new(dialect(Engine::Postgres));
    w.sql("SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ");
    write_named(&mut w, leaf);
    // A partition that is being detached is no part of its table any more.
    w.sql(
        " AND NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhdetachpending AND i.inhrelid IN \
         (SELECT a.relid FROM pg_partition_ancestors(c.oid) AS a (relid))) \
         AND EXISTS (SELECT 1 FROM pg_partition_ancestors(c.oid) AS a (relid) \
         JOIN pg_class c ON c.oid = a.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ",
    );
    write_named(&mut w, table);
    w.sql(")");
    w.finish()
}

/// Of `pg_class c` and `pg_namespace n` the row with this name.
fn write_named(w: &mut Writer<'_>, name: &TableName) {
    w.sql("c.relname = ")
        .bind(Value::Text(name.table.as_str().to_owned()));
    w.sql("::text AND n.nspname = ");
    let schema = name.schema.as_ref().map_or("public", |s| s.as_str());
    w.bind(Value::Text(schema.to_owned())).sql("::text");
}

/// Reads the row of `look_at_leaf`: the leaf's pages, where they may be walked.
pub fn leaf_pages(row: &[Value]) -> Option<u32> {
    match row {
        [Value::Int(1), Value::Int(pages)] => u32::try_from(*pages).ok(),
        _ => None,
    }
}

/// Whether an EXPLAIN says that only the pages asked for would be read.
pub fn reads_pages_only(explained: &[Vec<Value>]) -> bool {
    let mut texts = explained.iter().flatten().filter_map(Value::as_text);
    texts.any(|text| text.contains("Tid Range Scan on"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walked(pages: &Pages, range: &Window, widths: &[u32]) -> Vec<(usize, u32)> {
        let mut seen = Vec::new();
        let mut range = range.clone();
        let mut widths = widths.iter().cycle();
        while let Some(step) = pages.step(&range, *widths.next().unwrap()) {
            let (from, to) = step.window.pages().unwrap();
            assert_eq!(from.leaf, to.leaf);
            seen.extend((from.block..to.block).map(|block| (step.leaf, block)));
            let Some(reached) = step.reached else { break };
            assert!(Page::of(Some(&reached)).is_some());
            range.after = Some(reached);
        }
        seen
    }

    proptest! {
        #[test]
        fn lanes_walk_every_page_of_every_leaf_once(
            leaves in prop::collection::vec(0_u32..40, 1..6),
            lanes in 1_u32..17,
            widths in prop::collection::vec(1_u32..50, 1..5),
        ) {
            let pages = Pages(leaves.clone());
            let mut seen: Vec<_> = pages
                .split(lanes)
                .iter()
                .flat_map(|range| walked(&pages, range, &widths))
                .collect();
            let all: Vec<_> = (0..).zip(leaves).flat_map(|(l, n)| (0..n).map(move |b| (l, b))).collect();
            prop_assert_eq!(&seen, &all, "in order of the lanes");
            seen.dedup();
            prop_assert_eq!(seen.len(), all.len());
        }
    }

    #[test]
    fn the_key_of_a_row_is_no_page() {
        let page = Page { leaf: 3, block: 17 };
        assert_eq!(Page::of(Some(&page.key())), Some(page));
        assert_eq!(Page::of(Some(&vec![Value::Int(3), Value::Int(17)])), None);
        assert_eq!(Page::of(None), None);
        assert_eq!(Window::default().pages(), None);
    }

    #[test]
    fn few_pages_and_few_rows_are_walked_by_key() {
        assert!(Pages(vec![400, 200]).pay(50, 1_000));
        assert!(!Pages(vec![400, 200]).pay(49, 1_000));
        assert!(!Pages(vec![400]).pay(1_000, 1_000));
    }
}
