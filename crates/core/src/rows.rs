//! Rows of a rule, counted two ways: a share of the table bounds its own rows, a number of rows bounds
//! all of them.

use std::ops::{Add, AddAssign, Sub};

/// A count with a comma at each thousand.
pub fn number(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    if count < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows of a rule's own table, and of all of its tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of the rule's own table.
    pub own: i64,
    /// Of all of its tables, its own among them.
    pub all: i64,
}

impl Rows {
    /// None.
    pub const ZERO: Self = Self { own: 0, all: 0 };

    /// Rows of a rule without related tables.
    pub fn own(rows: i64) -> Self {
        Self {
            own: rows,
            all: rows,
        }
    }

    /// What a batch has changed.
    pub fn changed(own: u64, related: u64) -> Self {
        Self {
            own: signed(own),
            all: signed(own.saturating_add(related)),
        }
    }

    /// Whether a ceiling allows them.
    pub fn fit(self, ceiling: Self) -> bool {
        self.own <= ceiling.own && self.all <= ceiling.all
    }

    /// Of each number what the function makes of both.
    #[must_use]
    pub fn with(self, other: Self, each: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            own: each(self.own, other.own),
            all: each(self.all, other.all),
        }
    }

    /// Of each number the lower one.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.with(other, i64::min)
    }

    /// Of each number the higher one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, i64::max)
    }

    /// One of `parts` equal parts, the first of which has the rest as well.
    #[must_use]
    pub fn part(self, parts: i64, first: bool) -> Self {
        let part = |n: i64| n / parts + if first { n % parts } else { 0 };
        Self {
            own: part(self.own),
            all: part(self.all),
        }
    }
}

impl Add for Rows {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, i64::saturating_add)
    }
}

impl AddAssign for Rows {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Rows {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, i64::saturating_sub)
    }
}

fn signed(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
