//! Small groups (k-anonymity): what a rule promises of them, and the arithmetic over their sizes.
//!
//! A group is known here by a digest of its values only, which the database computes. Digests of a few
//! coarse values can be guessed: they are held in memory, for as long as a plan or a step needs them,
//! and stand in no output, not even Debug (P4).

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Ident;
use crate::value::Value;

/// What a rule promises of the rows that look alike once they are anonymised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The columns that make rows look alike. Never empty; unique.
    pub columns: Vec<Ident>,
    /// Fewest rows of a group; at least 2.
    pub k: i64,
    /// What happens where there would be fewer.
    pub below: Below,
    /// That somebody found the result anonymous.
    pub assessment: Option<Assessment>,
}

/// What happens where a group would be smaller than k.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// The plan is refused.
    Refuse,
    /// The rows of such groups are left.
    Leave,
}

/// A recorded assessment that nobody can be identified any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assessment {
    /// Where it is written down.
    #[serde(rename = "ref")]
    #[schemars(length(max = 128))]
    pub reference: String,
    /// Whose it is.
    #[schemars(length(max = 128))]
    pub by: String,
    /// The day on which it was made.
    #[schemars(length(max = 10))]
    pub date: String,
}

/// A group, by the first half of the digest of its values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(u128);

impl Group {
    /// As the database answers: 32 hexadecimal digits.
    pub fn read(value: &Value) -> Option<Self> {
        let text = value.as_text().filter(|text| text.len() == 32)?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group")
    }
}

/// The rows of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows that are done already.
    pub done: i64,
    /// Rows that would be changed and stay.
    pub due: i64,
    /// Rows that would be changed, and that another rule of the policy deletes: no cover for anybody.
    pub going: i64,
}

impl Size {
    /// Rows that look alike once the due ones are changed.
    fn becomes(self) -> i64 {
        self.done + self.due
    }
}

/// The groups of a table as they will be once the rows that are due are changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Groups {
    sizes: BTreeMap<Group, Size>,
    overflown: bool,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Groups({})", self.sizes.len())
    }
}

impl Groups {
    /// Groups that are kept in memory at the most, some 60 bytes each.
    pub const MOST: usize = 1_000_000;

    /// Adds rows of a group.
    pub fn add(&mut self, group: Group, rows: Size) {
        if self.sizes.len() >= Self::MOST && !self.sizes.contains_key(&group) {
            self.overflown = true;
            return;
        }
        let size = self.sizes.entry(group).or_default();
        size.done += rows.done;
        size.due += rows.due;
        size.going += rows.going;
    }

    /// Whether there are more groups than are counted: then nothing is known of any.
    pub fn is_overflown(&self) -> bool {
        self.overflown
    }

    /// Whether rows of a group may be changed: it will have k rows. One that was not counted may not.
    pub fn covers(&self, group: Group, k: i64) -> bool {
        let size = self.sizes.get(&group);
        !self.overflown && size.is_some_and(|size| size.becomes() >= k)
    }

    /// How the groups will be if `below` decides what happens to rows of small ones.
    pub fn weigh(&self, k: i64, below: Below) -> Weighed {
        let mut weighed = Weighed {
            overflown: self.overflown,
            ..Weighed::default()
        };
        for size in self.sizes.values() {
            let small = size.becomes() < k;
            if small {
                weighed.left += size.due + size.going;
                weighed.joining += size.due;
            }
            let rows = match below {
                Below::Leave if small => size.done,
                _ => size.becomes(),
            };
            weighed.enter(rows, k);
        }
        if below == Below::Refuse {
            weighed.left = 0;
        }
        weighed
    }

    /// The groups as they are, of rows that are done: their figures, and how many rows are in groups
    /// smaller than k of which `ours` says that the run has added to them.
    pub fn found(&self, k: i64, ours: impl Fn(Group) -> bool) -> (Weighed, i64) {
        let mut weighed = Weighed {
            overflown: self.overflown,
            ..Weighed::default()
        };
        let mut shrunk = 0;
        for (group, size) in &self.sizes {
            weighed.enter(size.done, k);
            if size.done > 0 && size.done < k && ours(*group) {
                shrunk += size.done;
            }
        }
        (weighed, shrunk)
    }
}

/// What is told of groups: numbers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weighed {
    /// Groups with a row.
    pub groups: i64,
    /// Rows of the smallest of them.
    pub smallest: Option<i64>,
    /// Rows in groups smaller than k.
    pub below: i64,
    /// Rows that are left as they are.
    pub left: i64,
    /// Rows that would be changed into groups smaller than k.
    pub joining: i64,
    /// Whether there are too many groups to be counted.
    pub overflown: bool,
}

impl Weighed {
    fn enter(&mut self, rows: i64, k: i64) {
        if rows == 0 {
            return;
        }
        self.groups += 1;
        self.smallest = Some(self.smallest.map_or(rows, |least| least.min(rows)));
        if rows < k {
            self.below += rows;
        }
    }

    /// As reported of a promise.
    pub fn report(&self, promise: &Promise) -> SmallGroups {
        let Self {
            groups,
            smallest,
            below,
            left,
            joining: _,
            overflown: _,
        } = *self;
        SmallGroups {
            k: promise.k,
            groups,
            smallest,
            rows_below: below,
            left,
            assessment: promise.assessment.clone(),
        }
    }
}

/// The check for small groups of one rule: of a plan as the groups will be, of a run as they were found
/// after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmallGroups {
    /// Fewest rows of a group.
    pub k: i64,
    /// How many groups there are.
    pub groups: i64,
    /// Rows of the smallest group; none where no row is anonymised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<i64>,
    /// Rows in groups smaller than k.
    pub rows_below: i64,
    /// Rows that are left as they are, because their group would be smaller than k.
    pub left: i64,
    /// The recorded assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
}

impl SmallGroups {
    /// Whether rows may be called anonymised: somebody has assessed it, and no group is small.
    pub fn is_anonymous(&self) -> bool {
        self.assessment.is_some() && self.rows_below == 0
    }
}

#[cfg(test)]
mod tests;
