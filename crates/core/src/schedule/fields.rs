//! The five fields of a cron expression, read as CronJob reads them.
//!
//! Owns the grammar: lists of numbers, names, ranges and steps. What it makes are plain sets, so
//! that nothing depends on how the `cron` crate reads the same characters.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

/// One of the five fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or jan to dec.
    Month,
    /// 0 to 7, where 0 and 7 are Sunday, or sun to sat.
    DayOfWeek,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// Neither a number nor a name that the field knows.
    #[error("{field}: {entry:?} cannot be read; write {}", field.examples())]
    Unreadable {
        /// The field.
        field: Field,
        /// The part between two commas.
        entry: String,
    },
    /// A number that the field does not have.
    #[error("{field}: {value} is not between {} and {}", field.first(), field.last_written())]
    OutOfRange {
        /// The field.
        field: Field,
        /// The number as it was written.
        value: String,
    },
    /// A range whose end comes before its beginning.
    #[error("{field}: the range {entry:?} runs backwards; write two ranges with a comma between{}", field.sunday_hint())]
    Backwards {
        /// The field.
        field: Field,
        /// The part between two commas.
        entry: String,
    },
    /// A step of nothing.
    #[error("{field}: the step of {entry:?} is not a number from 1 on")]
    Step {
        /// The field.
        field: Field,
        /// The part between two commas.
        entry: String,
    },
}

/// The numbers that a field selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    field: Field,
    numbers: BTreeSet<u8>,
    /// Whether a `*` says that the field does not restrict. `*/2` and `0-6` do restrict: that
    /// decides whether the two day fields are ORed.
    pub(super) any: bool,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Field {
    const fn first(self) -> u8 {
        match self {
            Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
        }
    }

    /// The last number that has a meaning of its own.
    const fn last(self) -> u8 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
        }
    }

    /// The last number that may be written: 7 is Sunday once more.
    const fn last_written(self) -> u8 {
        match self {
            Self::DayOfWeek => 7,
            Self::Minute | Self::Hour | Self::DayOfMonth | Self::Month => self.last(),
        }
    }

    const fn examples(self) -> &'static str {
        match self {
            Self::Minute => "a number from 0 to 59, `*`, `*/15`, `0-29` or `0,30`",
            Self::Hour => "a number from 0 to 23, `*`, `*/6`, `22-23` or `1,13`",
            Self::DayOfMonth => "a number from 1 to 31, `*`, `*/10`, `1-7` or `1,15`",
            Self::Month => "a number from 1 to 12, a name such as `jan`, `*`, `*/3` or `jan-mar`",
            Self::DayOfWeek => {
                "a number from 0 to 7 (0 and 7 are Sunday), a name such as `sun`, `*` or `mon-fri`"
            }
        }
    }

    const fn sunday_hint(self) -> &'static str {
        match self {
            Self::DayOfWeek => " (a range may end with 7 for Sunday: `6-7`)",
            Self::Minute | Self::Hour | Self::DayOfMonth | Self::Month => "",
        }
    }

    /// Reads a comma-separated list of `*`, numbers, ranges and steps.
    pub(super) fn read(self, text: &str) -> Result<Selected, FieldError> {
        let mut selected = Selected {
            field: self,
            numbers: BTreeSet::new(),
            any: false,
        };
        for entry in text.split(',') {
            let (range, step) = match entry.split_once('/') {
                Some((range, step)) => (range, Some(self.read_step(entry, step)?)),
                None => (entry, None),
            };
            let (from, to) = if matches!(range, "*" | "?") {
                selected.any |= step.is_none_or(|step| step == 1);
                (self.first(), self.last())
            } else if let Some((from, to)) = range.split_once('-') {
                (self.read_number(entry, from)?, self.read_number(entry, to)?)
            } else {
                let from = self.read_number(entry, range)?;
                // `5/15` is `5-59/15`.
                (from, if step.is_some() { self.last() } else { from })
            };
            if from > to {
                return Err(FieldError::Backwards {
                    field: self,
                    entry: entry.to_owned(),
                });
            }
            let numbers = (from..=to).step_by(usize::from(step.unwrap_or(1)));
            selected
                .numbers
                .extend(numbers.map(|number| self.meaning(number)));
        }
        Ok(selected)
    }

    const fn meaning(self, number: u8) -> u8 {
        match (self, number) {
            (Self::DayOfWeek, 7) => 0,
            (_, number) => number,
        }
    }

    fn read_number(self, entry: &str, text: &str) -> Result<u8, FieldError> {
        let names: &[&str] = match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
        };
        for (number, name) in (self.first()..).zip(names) {
            if name.eq_ignore_ascii_case(text) {
                return Ok(number);
            }
        }
        let value = digits(text).ok_or_else(|| FieldError::Unreadable {
            field: self,
            entry: entry.to_owned(),
        })?;
        if !(self.first()..=self.last_written()).contains(&value) {
            return Err(FieldError::OutOfRange {
                field: self,
                value: text.to_owned(),
            });
        }
        Ok(value)
    }

    fn read_step(self, entry: &str, text: &str) -> Result<u8, FieldError> {
        digits(text)
            .filter(|step| *step > 0)
            .ok_or_else(|| FieldError::Step {
                field: self,
                entry: entry.to_owned(),
            })
    }
}

/// A number without a sign; one beyond 255 is far beyond every field's bounds and reads as 255.
fn digits(text: &str) -> Option<u8> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u8::MAX))
}

impl Selected {
    /// The numbers as a list for the `cron` crate; weekdays by name, because it counts from 1.
    pub(super) fn to_list(&self) -> String {
        let spelled: Vec<String> = self
            .numbers
            .iter()
            .map(|number| match self.field {
                Field::DayOfWeek => WEEKDAYS[usize::from(*number)].to_owned(),
                Field::Minute | Field::Hour | Field::DayOfMonth | Field::Month => {
                    number.to_string()
                }
            })
            .collect();
        spelled.join(",")
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(field: Field, text: &str) -> String {
        field.read(text).unwrap().to_list()
    }

    fn refusal(field: Field, text: &str) -> String {
        field.read(text).unwrap_err().to_string()
    }

    #[test]
    fn numbers_lists_ranges_and_steps_become_plain_lists() {
        for (text, expected) in [
            ("5", "5"),
            ("05", "5"),
            ("30,0,30", "0,30"),
            ("8-11", "8,9,10,11"),
            ("8-12/2", "8,10,12"),
            ("*/20", "0,20,40"),
            ("50/4", "50,54,58"),
            ("0-3,58/1", "0,1,2,3,58,59"),
            ("0-59/200", "0"),
            ("7-7", "7"),
        ] {
            assert_eq!(list(Field::Minute, text), expected, "{text}");
        }
    }

    #[test]
    fn zero_and_seven_are_sunday_wherever_they_stand() {
        for (text, expected) in [
            ("0", "sun"),
            ("7", "sun"),
            ("0,7", "sun"),
            ("5-7", "sun,fri,sat"),
            ("1-7/2", "sun,mon,wed,fri"),
            ("0-7", "sun,mon,tue,wed,thu,fri,sat"),
            ("*/2", "sun,tue,thu,sat"),
            ("3/2", "wed,fri"),
            ("1", "mon"),
            ("SUN", "sun"),
            ("mon-FRI/2", "mon,wed,fri"),
            ("Sat,7", "sun,sat"),
        ] {
            assert_eq!(list(Field::DayOfWeek, text), expected, "{text}");
        }
    }

    #[test]
    fn months_have_names() {
        assert_eq!(list(Field::Month, "JAN-mar,12"), "1,2,3,12");
        assert_eq!(list(Field::Month, "*/3"), "1,4,7,10");
    }

    #[test]
    fn only_a_star_without_a_step_leaves_a_field_open() {
        let any = |text| Field::DayOfMonth.read(text).unwrap().any;
        assert!(any("*") && any("?") && any("*/1") && any("3,*"));
        assert!(!any("*/2") && !any("1-31") && !any("3"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_examples() {
        for text in [
            "", "x", "1,", ",1", "-1", "+1", "1-", "1-2-3", "*-5", "1.5", "٣", "jan", "L",
        ] {
            let message = refusal(Field::Hour, text);
            assert!(message.starts_with("hour: "), "{message}");
            assert!(message.contains("write a number from 0 to 23"), "{message}");
        }
        assert!(refusal(Field::Month, "janu").contains("a name such as `jan`"));
        assert!(refusal(Field::DayOfWeek, "5#2").contains("mon-fri"));
        assert!(refusal(Field::DayOfMonth, "15W").contains("`1,15`"));
    }

    #[test]
    fn numbers_beyond_the_field_are_refused_with_its_bounds() {
        for (field, text, message) in [
            (Field::Minute, "60", "minute: 60 is not between 0 and 59"),
            (Field::Hour, "22-24", "hour: 24 is not between 0 and 23"),
            (
                Field::DayOfMonth,
                "0",
                "day of month: 0 is not between 1 and 31",
            ),
            (Field::Month, "13/2", "month: 13 is not between 1 and 12"),
            (
                Field::DayOfWeek,
                "8",
                "day of week: 8 is not between 0 and 7",
            ),
            (
                Field::Minute,
                "99999999999",
                "minute: 99999999999 is not between 0 and 59",
            ),
        ] {
            assert_eq!(refusal(field, text), message);
        }
    }

    #[test]
    fn ranges_that_run_backwards_are_refused() {
        assert!(refusal(Field::Hour, "22-6").contains("write two ranges"));
        assert!(refusal(Field::DayOfWeek, "sat-sun").contains("`6-7`"));
        assert!(refusal(Field::DayOfWeek, "7/2").contains("backwards"));
    }

    #[test]
    fn steps_that_are_no_numbers_from_one_on_are_refused() {
        for text in ["*/0", "*/", "*/x", "*/-1", "1-5/2/2"] {
            assert!(refusal(Field::Minute, text).contains("step"), "{text}");
        }
    }
}
