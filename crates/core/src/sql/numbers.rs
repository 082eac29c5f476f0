//! Ends of windows that nobody has to look for: where a key is whole numbers with few gaps, a window of so many
//! numbers holds no more rows than that, and most of them. Looking for an end reads every key of the window, which
//! is a tenth of what deleting two fifths of its rows costs on InnoDB.

use super::Window;
use crate::value::{Key, Value};

/// Of so many numbers as many must have a row that the windows are worth their transactions: four in five.
const DENSE: (i64, i64) = (4, 5);
/// Windows of fewer rows are looked for: that is cheap, and around a locked row each step is to meet a row.
const LEAST: u32 = 1_000;

/// What a count has seen of a key's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Where the last window ended.
    last: Option<i64>,
    /// Rows of the windows that began where another had ended.
    rows: i64,
    /// Numbers of these windows.
    span: i64,
}

impl Numbers {
    /// Takes in a window of so many rows that began where the one before had ended.
    pub(crate) fn add(&mut self, rows: i64, end: &Key) {
        let Some(end) = number(end) else {
            return;
        };
        if let Some(last) = self.last {
            self.rows = self.rows.saturating_add(rows);
            self.span = self.span.saturating_add(end.saturating_sub(last));
        }
        self.last = Some(end);
    }

    /// The end of the next window of a range, of `width` rows at the most: its key, or `None` inside where the
    /// range ends. `None`: the database is to be asked.
    pub fn end(&self, range: &Window, width: u32) -> Option<Option<Key>> {
        let last = self.last.filter(|_| self.are_dense())?;
        if width < LEAST {
            return None;
        }
        let end = number(range.after.as_ref()?)?.checked_add(width.into())?;
        if let Some(upto) = &range.upto
            && number(upto)? <= end
        {
            return Some(None);
        }
        (end <= last).then(|| Some(vec![Value::Int(end)]))
    }

    fn are_dense(&self) -> bool {
        let (few, many) = DENSE;
        self.span > 0
            && self
                .rows
                .checked_mul(many)
                .zip(self.span.checked_mul(few))
                .is_some_and(|(rows, numbers)| rows >= numbers)
    }
}

/// The number that a key is.
fn number(key: &Key) -> Option<i64> {
    match key.as_slice() {
        [Value::Int(number)] => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: i64) -> Key {
        vec![Value::Int(number)]
    }

    fn counted(windows: &[(i64, i64)]) -> Numbers {
        let mut numbers = Numbers::default();
        for (rows, end) in windows {
            numbers.add(*rows, &key(*end));
        }
        numbers
    }

    fn range(after: i64, upto: Option<i64>) -> Window {
        Window {
            after: Some(key(after)),
            upto: upto.map(key),
        }
    }

    #[test]
    fn a_window_of_numbers_needs_no_look() {
        let numbers = counted(&[
            (20_000, 1_000_000),
            (40_000, 1_040_000),
            (80_000, 1_130_000),
        ]);
        for (after, upto, width, end) in [
            (1_000_000, None, 50_000, Some(Some(1_050_000))),
            (-4_000, None, 50_000, Some(Some(46_000))),
            // Behind what was counted nobody knows where the table ends.
            (1_100_000, None, 50_000, None),
            (1_080_000, None, 50_000, Some(Some(1_130_000))),
            (1_080_000, Some(1_130_000), 50_000, Some(None)),
            (1_080_000, Some(1_130_001), 50_000, Some(Some(1_130_000))),
            (1_129_000, Some(1_130_000), 50_000, Some(None)),
            (1_000_000, None, 999, None),
            (i64::MAX - 10, None, 50_000, None),
        ] {
            assert_eq!(
                numbers.end(&range(after, upto), width),
                end.map(|end| end.map(key)),
                "{after} {upto:?} {width}"
            );
        }
        let open = Window::default();
        assert_eq!(numbers.end(&open, 50_000), None);
    }

    #[test]
    fn numbers_with_many_gaps_and_other_keys_are_looked_for() {
        let sparse = counted(&[(20_000, 20_000), (40_000, 71_000)]);
        assert_eq!(sparse.end(&range(20_000, None), 50_000), None);
        let once = counted(&[(20_000, 20_000)]);
        assert_eq!(once.end(&range(0, None), 20_000), None);
        assert_eq!(Numbers::default().end(&range(0, None), 20_000), None);
        let dense = counted(&[(20_000, 20_000), (40_000, 60_000)]);
        for key in [
            vec![Value::Int(1), Value::Int(2)],
            vec![Value::Text("1".to_owned())],
            vec![Value::Null],
        ] {
            let after = Window {
                after: Some(key.clone()),
                upto: None,
            };
            assert_eq!(dense.end(&after, 20_000), None, "{key:?}");
            let mut mixed = Numbers::default();
            mixed.add(20_000, &key);
            mixed.add(20_000, &key);
            assert_eq!(mixed, Numbers::default());
        }
        let extreme = counted(&[(1, i64::MIN), (i64::MAX, i64::MAX)]);
        assert_eq!(extreme.end(&range(0, None), 20_000), None);
    }
}
