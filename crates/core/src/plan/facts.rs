//! What was measured of a draft: counts, the oldest rows, where windows of the walk ended, and how
//! the database would find its way.

use super::partition::Part;
use crate::catalog::Engine;
use crate::groups::Groups;
use crate::rows::Rows;
use crate::sql::{Counted, KeptRows, Numbers, Pages};
use crate::value::{Key, Value};

/// The figures of a draft.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One per rule, in order.
    pub rules: Vec<RuleFacts>,
}

/// The figures of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleFacts {
    /// What the whole table holds.
    pub counted: Counted,
    /// Rows that would change if nothing were held.
    pub held: i64,
    /// How many of them each hold keeps, in the order of the rule's.
    pub held_by: Vec<i64>,
    /// The groups of rows that look alike, where the rule promises something of them.
    pub groups: Groups,
    /// Rows that are left because their group would be too small.
    pub left: i64,
    /// Rows that would change if no duty kept them, and no hold does.
    pub kept: i64,
    /// What each duty keeps of them, in the order of the rule's.
    pub kept_by: Vec<KeptRows>,
    /// Rows of each related table that hang on eligible rows, in the order of the nodes.
    pub related: Vec<i64>,
    /// Rows that hang on those of several windows may be counted with each of them.
    pub at_most: bool,
    /// Ends of the counted windows with the rows that would change up to them, for splitting the
    /// walk. Keys: held in memory only (P4).
    pub ends: Vec<(Key, Rows)>,
    /// Where the key is whole numbers: how many of them have a row.
    pub numbers: Numbers,
    /// Whether the database would read the whole table to find the end of one window.
    pub unindexed: bool,
    /// The pages of the table's leaves, where they can be walked.
    pub pages: Option<Pages>,
    /// Where the rows are walked in the order of their clock: its cutoff.
    pub clock: Option<Value>,
    /// Partitions behind the cutoff, where the rule asks for them as a whole, each with its rows.
    pub parts: Vec<(Part, i64)>,
}

impl RuleFacts {
    /// The partitions of which every row was eligible when they were counted.
    pub fn whole(&self) -> impl Iterator<Item = &Part> {
        let whole = self
            .parts
            .iter()
            .filter(|(part, _)| part.obstacle.is_none());
        whole.map(|(part, _)| part)
    }
}

impl RuleFacts {
    /// Adds one window's counts.
    pub fn add(&mut self, window: &Counted, end: Option<Key>) {
        let Counted {
            total,
            eligible,
            clock_null,
            implausible,
            oldest,
        } = window;
        self.counted.total += total;
        self.counted.eligible += eligible;
        self.counted.clock_null += clock_null;
        self.counted.implausible += implausible;
        self.counted.oldest.resize(oldest.len(), Value::Null);
        for (known, found) in self.counted.oldest.iter_mut().zip(oldest) {
            if *known == Value::Null || (*found != Value::Null && *found < *known) {
                known.clone_from(found);
            }
        }
        if let Some(end) = end {
            self.numbers.add(*total, &end);
            self.ends.push((end, self.planned()));
        }
    }

    /// Adds what holds keep of one window: a row of [`crate::sql::CountSql::kept`].
    pub fn add_held(&mut self, kept: &[Value]) {
        let mut counts = kept.iter().map(|value| value.as_int().unwrap_or_default());
        self.held += counts.next().unwrap_or_default();
        for (i, rows) in counts.enumerate() {
            match self.held_by.get_mut(i) {
                Some(sum) => *sum += rows,
                None => self.held_by.push(rows),
            }
        }
    }

    /// Adds what duties keep of one window.
    pub fn add_kept(&mut self, (rows, each): (i64, Vec<KeptRows>)) {
        self.kept += rows;
        self.kept_by.resize_with(each.len(), KeptRows::default);
        for (sum, found) in self.kept_by.iter_mut().zip(each) {
            sum.add(found);
        }
    }

    /// Rows that would change.
    pub fn planned(&self) -> Rows {
        Rows {
            own: self.counted.eligible - self.left,
            all: self.counted.eligible - self.left + self.related.iter().sum::<i64>(),
        }
    }

    /// The pages, where walking them is the better way.
    pub fn paying_pages(&self) -> Option<&Pages> {
        let Counted {
            eligible, total, ..
        } = self.counted;
        self.pages.as_ref().filter(|p| p.pay(eligible, total))
    }

    /// Inner bounds that split the rows into up to `lanes` parts as equal as the counted windows
    /// allow, each with the rows up to it.
    pub fn split(&self, lanes: u32) -> Vec<(Key, Rows)> {
        let mut bounds: Vec<(Key, Rows)> = Vec::new();
        let share = self.planned().all / i64::from(lanes.max(1));
        if share == 0 {
            return bounds;
        }
        for lane in 1..lanes {
            let wanted = share * i64::from(lane);
            let Some(end) = self.ends.iter().find(|(_, upto)| upto.all >= wanted) else {
                break;
            };
            if bounds.last() != Some(end) {
                bounds.push(end.clone());
            }
        }
        bounds
    }
}

/// Whether an EXPLAIN of a window's probe says that the whole table would be read: without an index
/// for the key's order, or to sort what is left of it.
pub fn reads_whole_table(engine: Engine, explained: &[Vec<Value>]) -> bool {
    explained
        .iter()
        .flatten()
        .filter_map(Value::as_text)
        .any(|text| match engine {
            // A merge of partitions by their indexes has a sort key, but no sort.
            Engine::Postgres => text.contains("Seq Scan on") || text.contains("Sort  (cost"),
            Engine::MySql | Engine::MariaDb => text == "ALL",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(eligible: i64) -> Counted {
        Counted {
            total: 10,
            eligible,
            ..Counted::default()
        }
    }

    #[test]
    fn a_walk_is_split_where_equal_shares_of_eligible_rows_end() {
        let mut facts = RuleFacts::default();
        for end in 1..=4 {
            facts.add(&counted(5), Some(vec![Value::Int(end * 10)]));
        }
        facts.add(&counted(0), None);
        assert_eq!(facts.split(2), vec![(vec![Value::Int(20)], Rows::own(10))]);
        assert_eq!(facts.split(1), Vec::new());
        assert_eq!(facts.counted.total, 50);
    }

    #[test]
    fn a_few_rows_are_not_split() {
        let mut facts = RuleFacts::default();
        facts.add(&counted(2), Some(vec![Value::Int(1)]));
        assert_eq!(facts.split(8), Vec::new());
    }
}
