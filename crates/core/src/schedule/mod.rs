//! When a policy runs: five-field cron with the meaning that CronJob gives it.
//!
//! Owns firing times. It must not ask for the time, and it does not decide whether a run is due:
//! that follows from these instants and the status.
//!
//! The `cron` crate does the searching, in civil time written as UTC, because its own reading of
//! expressions (Quartz: Sunday is 1, day-of-month AND day-of-week) and of clock changes is not
//! CronJob's. `fields` reads the expression; what the crate is given are plain lists.
//!
//! Clock changes: a schedule fires whenever clocks *first* reach or pass a time that it names.
//! - In a repeated hour (clocks go back) it fires in the first pass only.
//! - For times in a skipped hour (clocks go forward) it fires once, at the first instant after the
//!   gap. CronJob would leave that day out; a promise about time must not.

mod fields;
mod window;

use std::str::FromStr;

use chrono::Utc;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use fields::{Field, FieldError};
pub use window::{WorkWindow, WorkWindows};

use crate::zone::first_reached;

/// Why an expression is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "{expression:?} has {found} fields: write five, for minute, hour, day of month, month and day of week, such as `30 2 * * *` (seconds and years cannot be given)"
    )]
    FieldCount {
        /// The expression as it was written.
        expression: String,
        /// How many fields it has.
        found: usize,
    },
    /// `TZ=` or `CRON_TZ=`.
    #[error(
        "{expression:?} names a time zone: write the zone in `timeZone` and only the five fields here"
    )]
    ZoneInExpression {
        /// The expression as it was written.
        expression: String,
    },
    /// `@every`, `@reboot` or another word that is none of ours.
    #[error(
        "{expression:?} is not supported: write five fields such as `30 2 * * *`, or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
    )]
    UnknownShorthand {
        /// The expression as it was written.
        expression: String,
    },
    /// One of the five fields cannot be read.
    #[error("{expression:?}: {problem}")]
    Field {
        /// The expression as it was written.
        expression: String,
        /// Which field, and what is wrong with it.
        problem: FieldError,
    },
    /// Days that no calendar has, such as 30 February.
    #[error("{expression:?} never fires: none of its months has any of its days")]
    NeverFires {
        /// The expression as it was written.
        expression: String,
    },
}

/// A schedule in a time zone. It fires at whole minutes, in the years from 1970 to 2100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    zone: TimeZone,
    /// Fires when any of them does: two where day of month and day of week are both restricted.
    alternatives: Vec<cron::Schedule>,
}

impl Schedule {
    /// Reads five fields, or one of the `@` words, to be evaluated in `zone`.
    pub fn parse(expression: &str, zone: TimeZone) -> Result<Self, ScheduleError> {
        let owned = || expression.to_owned();
        let text = expression.trim();
        // CronJob's library takes both prefixes, CronJob itself refuses them too.
        if text.contains("TZ=") {
            return Err(ScheduleError::ZoneInExpression {
                expression: owned(),
            });
        }
        let fields = match text {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            word if word.starts_with('@') => {
                return Err(ScheduleError::UnknownShorthand {
                    expression: owned(),
                });
            }
            fields => fields,
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[minute, hour, monthday, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::FieldCount {
                expression: owned(),
                found: fields.len(),
            });
        };
        let read = |field: Field, text| {
            field.read(text).map_err(|problem| ScheduleError::Field {
                expression: owned(),
                problem,
            })
        };
        let minutes = read(Field::Minute, minute)?.to_list();
        let hours = read(Field::Hour, hour)?.to_list();
        let dates = read(Field::DayOfMonth, monthday)?;
        let months = read(Field::Month, month)?.to_list();
        let weekdays = read(Field::DayOfWeek, weekday)?;

        let with_days = |dates: &str, weekdays: &str| {
            let quartz = format!("0 {minutes} {hours} {dates} {months} {weekdays}");
            cron::Schedule::from_str(&quartz).expect("lists of numbers within their bounds")
        };
        let mut alternatives = match (dates.any, weekdays.any) {
            (true, true) => vec![with_days("*", "*")],
            (false, true) => vec![with_days(&dates.to_list(), "*")],
            (true, false) => vec![with_days("*", &weekdays.to_list())],
            (false, false) => vec![
                with_days(&dates.to_list(), "*"),
                with_days("*", &weekdays.to_list()),
            ],
        };
        // Between 2000 and 2100 every month has had every day that it can have.
        alternatives.retain(|days| days.after(&utc_seconds(946_684_800)).next().is_some());
        if alternatives.is_empty() {
            return Err(ScheduleError::NeverFires {
                expression: owned(),
            });
        }
        Ok(Self {
            expression: owned(),
            zone,
            alternatives,
        })
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone in which it is evaluated.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first firing after `t`, not at it. `None` only after the year 2100.
    pub fn next_after(&self, t: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(t);
        // More than one turn only in the second pass of a repeated hour, whose times have been
        // reached already: at most one turn for each of its minutes.
        loop {
            civil = self.civil_after(civil)?;
            let firing = first_reached(&self.zone, civil)?;
            if firing > t {
                return Some(firing);
            }
        }
    }

    /// The last firing in `(after, until]`, found from its end: the work does not grow with the
    /// length of the interval.
    pub fn latest_in(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let shown = self.zone.to_datetime(until);
        // In the second pass of a repeated hour all of that hour's times have been reached, also
        // those that the clock does not show again yet.
        let repeated = match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Fold { before, after } => before.seconds() - after.seconds(),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => 0,
        };
        let ahead = SignedDuration::from_secs(i64::from(repeated) + 1);
        let mut civil = shown.saturating_add(ahead);
        loop {
            civil = self.civil_before(civil)?;
            let firing = first_reached(&self.zone, civil)?;
            if firing <= until {
                return (firing > after).then_some(firing);
            }
        }
    }

    /// The first civil time after `civil` that matches.
    fn civil_after(&self, civil: DateTime) -> Option<DateTime> {
        let after = utc_seconds(seconds_as_if_utc(civil));
        self.alternatives
            .iter()
            .filter_map(|days| days.after(&after).next())
            .min()
            .and_then(to_civil)
    }

    /// The last civil time before `civil`, its fraction of a second left aside, that matches.
    fn civil_before(&self, civil: DateTime) -> Option<DateTime> {
        let before = utc_seconds(seconds_as_if_utc(civil));
        self.alternatives
            .iter()
            .filter_map(|days| days.after(&before).next_back())
            .max()
            .and_then(to_civil)
    }
}

/// The last second of 1969 and the first of 2101: what lies beyond them is read as them. The
/// `cron` crate misreads years below zero, and searching back from later years than 2100 it would
/// begin in the wrong month.
const ENDS: (i64, i64) = (-1, 4_133_980_800);

fn seconds_as_if_utc(civil: DateTime) -> i64 {
    let (first, last) = ENDS;
    match TimeZone::UTC.to_timestamp(civil) {
        Ok(t) => t.as_second().clamp(first, last),
        Err(_) if civil.year() < 1970 => first,
        Err(_) => last,
    }
}

fn utc_seconds(seconds: i64) -> chrono::DateTime<Utc> {
    chrono::DateTime::from_timestamp(seconds, 0).expect("between 1969 and 2101")
}

fn to_civil(found: chrono::DateTime<Utc>) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_second(found.timestamp()).ok()?))
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
