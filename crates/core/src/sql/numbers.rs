//! Ends of windows that nobody has to look for: where a key is whole numbers with few gaps, a window of so many
//! numbers holds no more rows than that, and most of them. Looking for an end reads every key of the window, which
//! is a tenth of what deleting two fifths of its rows costs on InnoDB. Where a window begins is looked for: one key,
//! so that a gap costs nothing, however wide, and says nothing of how long rows take.

use std::fmt;

use super::Window;
use crate::value::{Key, Value};

/// Of so many numbers as many must have a row that the windows are worth their transactions: four in five.
const DENSE: (i64, i64) = (4, 5);
/// Windows of fewer rows are looked for: that is cheap, and around a locked row each step is to meet a row.
const LEAST: u32 = 1_000;

/// What a count has seen of a key's numbers. Held in memory only, as keys are.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Where the first window ended and the last one did.
    ends: Option<(i64, i64)>,
    /// Rows of the windows between them.
    rows: i64,
}

impl fmt::Debug for Numbers {
    /// Never a key, which may be the number of a person (P4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// Where a window ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// At this key.
    At(Key),
    /// Where its range does.
    OfRange,
    /// The database is to be asked, as behind what was counted, where nobody knows how far the table goes.
    Unknown,
}

impl Numbers {
    /// Takes in a window of so many rows that began where the one before had ended.
    pub(crate) fn add(&mut self, rows: i64, end: &Key) {
        let Some(end) = number(end) else {
            return;
        };
        self.ends = Some(match self.ends {
            // Where the first one began, nobody has seen.
            None => (end, end),
            Some((first, _)) => {
                self.rows = self.rows.saturating_add(rows);
                (first, end)
            }
        });
    }

    /// Whether windows of `width` rows that begin in a range may end where [`Numbers::end`] says.
    pub fn lead(&self, range: &Window, width: u32) -> bool {
        let after = range.after.as_ref().and_then(number);
        let counted = self.ends.zip(after);
        width >= LEAST
            && self.are_dense()
            && counted.is_some_and(|((first, last), after)| first <= after && after < last)
    }

    /// Where the window of a range ends whose first row has this key, of `width` rows at the most.
    pub fn end(&self, begin: &Key, range: &Window, width: u32) -> End {
        let begin = number(begin).zip(self.ends);
        let Some((begin, (_, last))) = begin else {
            return End::Unknown;
        };
        let Some(end) = begin.checked_add(i64::from(width) - 1) else {
            return End::Unknown;
        };
        match range.upto.as_ref().map(number) {
            Some(None) => End::Unknown,
            Some(Some(upto)) if upto <= end => End::OfRange,
            _ if end > last => End::Unknown,
            _ => End::At(vec![Value::Int(end)]),
        }
    }

    fn are_dense(&self) -> bool {
        let (few, many) = DENSE;
        let Some(span) = self.ends.and_then(|(first, last)| last.checked_sub(first)) else {
            return false;
        };
        let compared = self.rows.checked_mul(many).zip(span.checked_mul(few));
        span > 0 && compared.is_some_and(|(rows, span)| rows >= span)
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

    fn end(numbers: &Numbers, range: &Window, begin: i64, width: u32) -> End {
        if numbers.lead(range, width) {
            numbers.end(&key(begin), range, width)
        } else {
            End::Unknown
        }
    }

    fn at(number: i64) -> End {
        End::At(key(number))
    }

    #[test]
    fn a_window_of_numbers_is_as_wide_as_its_rows_are_many_at_the_most() {
        let numbers = counted(&[
            (20_000, 1_000_000),
            (40_000, 1_040_000),
            (80_000, 1_130_000),
        ]);
        for (after, upto, begin, width, expected) in [
            (1_000_000, None, 1_000_001, 50_000, at(1_050_000)),
            // It begins behind a gap.
            (1_000_000, None, 1_030_001, 50_000, at(1_080_000)),
            // Nobody knows the numbers of the first window that was counted, or where the table ends.
            (999_999, None, 1_000_000, 50_000, End::Unknown),
            (1_100_000, None, 1_100_001, 50_000, End::Unknown),
            (1_130_000, None, 1_130_001, 1_000, End::Unknown),
            (1_080_000, None, 1_080_001, 50_000, at(1_130_000)),
            (1_080_000, Some(1_130_000), 1_080_001, 50_000, End::OfRange),
            (1_080_000, Some(1_130_001), 1_080_001, 50_000, at(1_130_000)),
            (1_129_000, Some(1_130_000), 1_129_001, 50_000, End::OfRange),
            (1_000_000, None, 1_000_001, 999, End::Unknown),
            (1_000_000, None, i64::MAX - 10, 50_000, End::Unknown),
        ] {
            assert_eq!(
                end(&numbers, &range(after, upto), begin, width),
                expected,
                "{after} {upto:?} {begin} {width}"
            );
        }
        assert!(!numbers.lead(&Window::default(), 50_000));
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", counted(&[(1, 4_711), (20, 4_713)]));
        assert_eq!(shown, "Numbers { rows: 20, .. }");
    }

    #[test]
    fn numbers_with_many_gaps_and_other_keys_are_looked_for() {
        let sparse = counted(&[(20_000, 20_000), (40_000, 71_000)]);
        assert!(!sparse.lead(&range(20_000, None), 50_000));
        let once = counted(&[(20_000, 20_000)]);
        assert!(!once.lead(&range(20_000, None), 20_000));
        assert!(!Numbers::default().lead(&range(0, None), 20_000));
        let dense = counted(&[(20_000, 20_000), (40_000, 60_000)]);
        assert!(dense.lead(&range(20_000, None), 20_000));
        for key in [
            vec![Value::Int(30_000), Value::Int(2)],
            vec![Value::Text("30000".to_owned())],
            vec![Value::Null],
        ] {
            let after = Window {
                after: Some(key.clone()),
                upto: None,
            };
            assert!(!dense.lead(&after, 20_000), "{key:?}");
            assert_eq!(dense.end(&key, &range(20_000, None), 20_000), End::Unknown);
            let mut mixed = Numbers::default();
            mixed.add(20_000, &key);
            mixed.add(20_000, &key);
            assert_eq!(mixed, Numbers::default());
        }
        let extreme = counted(&[(1, i64::MIN), (i64::MAX, i64::MAX)]);
        assert!(!extreme.lead(&range(0, None), 20_000));
    }
}
