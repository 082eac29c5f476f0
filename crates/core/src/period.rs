//! How long: calendar periods for people's data, machine durations for the program's pace.
//!
//! Owns both grammars and the arithmetic of cutoffs. It must not ask for the time: `now` is an
//! argument, and so is the zone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::zone::first_reached;

/// Why a text is not a period, or a period reaches no date.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeriodError {
    /// Not of the form of a calendar period.
    #[error(
        "{text:?} is not a calendar period: write years, months, weeks and days in this order, such as `P6M`, `P1Y6M` or `P90D`"
    )]
    Malformed {
        /// The text as it was written.
        text: String,
    },
    /// No number in it is greater than zero.
    #[error("{text:?} is no time at all: a period is at least one day, `P1D`")]
    Zero {
        /// The text as it was written.
        text: String,
    },
    /// More than the calendar holds.
    #[error("{text:?} is longer than the calendar reaches")]
    TooLong {
        /// The text as it was written.
        text: String,
    },
    /// Counted back from now the period leaves the calendar.
    #[error("{period} before {now} is earlier than the calendar reaches")]
    OutOfCalendar {
        /// The period.
        period: Period,
        /// The instant counted from.
        now: Timestamp,
    },
}

/// A positive ISO 8601 calendar period of years, months, weeks and days: `P6M`, `P1Y6M`, `P90D`.
///
/// It has no length in seconds: a month is what the calendar of a zone says it is. Hence no order
/// either (`P1M` and `P30D` cannot be compared).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    years: i32,
    months: i32,
    weeks: i32,
    days: i32,
}

impl Period {
    /// The form as a pattern for CRD schemas: a first filter only, it also lets `P` and `P0D` by.
    pub const PATTERN: &str = "^P([0-9]{1,6}Y)?([0-9]{1,6}M)?([0-9]{1,6}W)?([0-9]{1,6}D)?$";

    /// The instant that lies this period before `now`, counted on the calendar of `zone`.
    ///
    /// What began before it has lasted longer than the period. Where months differ in length the
    /// day is clamped (31 August less `P6M` is the last of February). Where the clocks were
    /// changed, the instant is the first whose local time is not before the one counted to: it is
    /// never so late that something would end early.
    ///
    /// Always count back from now; adding the period to the beginning gives other days.
    pub fn cutoff(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, PeriodError> {
        first_reached(zone, self.civil_cutoff(now, zone)?).ok_or_else(|| self.out_of_calendar(now))
    }

    /// The day that lies this period before today in `zone`, for columns that hold days.
    pub fn cutoff_date(&self, now: Timestamp, zone: &TimeZone) -> Result<Date, PeriodError> {
        self.civil_cutoff(now, zone).map(DateTime::date)
    }

    /// The instant at which what began at `began` has lasted this period, for reports. Never decide
    /// by it: it is not the inverse of `cutoff`.
    pub fn due(&self, began: Timestamp, zone: &TimeZone) -> Result<Timestamp, PeriodError> {
        zone.to_datetime(began)
            .checked_add(self.span())
            .ok()
            .and_then(|civil| first_reached(zone, civil))
            .ok_or_else(|| self.out_of_calendar(began))
    }

    fn civil_cutoff(&self, now: Timestamp, zone: &TimeZone) -> Result<DateTime, PeriodError> {
        zone.to_datetime(now)
            .checked_sub(self.span())
            .map_err(|_| self.out_of_calendar(now))
    }

    fn out_of_calendar(&self, now: Timestamp) -> PeriodError {
        PeriodError::OutOfCalendar { period: *self, now }
    }

    fn span(&self) -> Span {
        let Self {
            years,
            months,
            weeks,
            days,
        } = *self;
        checked_span(years, months, weeks, days).expect("checked when the period was made")
    }
}

fn checked_span(years: i32, months: i32, weeks: i32, days: i32) -> Result<Span, jiff::Error> {
    Span::new()
        .try_years(years)?
        .try_months(months)?
        .try_weeks(weeks)?
        .try_days(days)
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let malformed = || PeriodError::Malformed {
            text: text.to_owned(),
        };
        let too_long = || PeriodError::TooLong {
            text: text.to_owned(),
        };
        let mut rest = text.strip_prefix('P').ok_or_else(malformed)?;
        let mut numbers = [0_i32; 4];
        for (number, designator) in numbers.iter_mut().zip(['Y', 'M', 'W', 'D']) {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = rest.strip_suffix(after).unwrap_or_default();
            let Some(after) = after.strip_prefix(designator) else {
                continue;
            };
            if digits.is_empty() {
                return Err(malformed());
            }
            *number = digits.parse().map_err(|_| too_long())?;
            rest = after;
        }
        if !rest.is_empty() || text == "P" {
            return Err(malformed());
        }
        let [years, months, weeks, days] = numbers;
        if numbers == [0; 4] {
            return Err(PeriodError::Zero {
                text: text.to_owned(),
            });
        }
        checked_span(years, months, weeks, days).map_err(|_| too_long())?;
        Ok(Self {
            years,
            months,
            weeks,
            days,
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            years,
            months,
            weeks,
            days,
        } = *self;
        f.write_str("P")?;
        for (number, designator) in [(years, 'Y'), (months, 'M'), (weeks, 'W'), (days, 'D')] {
            if number > 0 {
                write!(f, "{number}{designator}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

/// Why a text is not a machine duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MachineDurationError {
    /// Not of the form of a duration.
    #[error(
        "{text:?} is not a duration: write numbers with ms, s, m or h, such as `50ms`, `1m30s` or `8h`"
    )]
    Malformed {
        /// The text as it was written.
        text: String,
    },
    /// Nothing in it is greater than zero.
    #[error("{text:?} is no time at all: write at least `1ms`")]
    Zero {
        /// The text as it was written.
        text: String,
    },
    /// More hours than can be written.
    #[error("{text:?} is longer than 999999h")]
    TooLong {
        /// The text as it was written.
        text: String,
    },
}

/// A positive Go-style duration of whole milliseconds: `50ms`, `1m30s`, `8h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MachineDuration {
    milliseconds: u64,
}

const MILLISECONDS_PER_HOUR: u64 = 3_600_000;

impl MachineDuration {
    /// The form as a pattern for CRD schemas; that it is positive needs a rule of its own.
    pub const PATTERN: &str = "^([0-9]{1,6}(ms|s|m|h)){1,4}$";

    const MOST_DIGITS: usize = 6;
    const MOST_TERMS: usize = 4;
    const MOST_HOURS: u64 = 999_999;

    /// The duration as the standard library has it.
    pub fn as_duration(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

impl From<MachineDuration> for Duration {
    fn from(duration: MachineDuration) -> Self {
        duration.as_duration()
    }
}

impl FromStr for MachineDuration {
    type Err = MachineDurationError;

    fn from_str(text: &str) -> Result<Self, MachineDurationError> {
        let malformed = || MachineDurationError::Malformed {
            text: text.to_owned(),
        };
        let mut milliseconds = 0;
        let mut terms = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = rest.strip_suffix(after).unwrap_or_default();
            let (per_unit, after) = take_unit(after).ok_or_else(malformed)?;
            terms += 1;
            if !(1..=Self::MOST_DIGITS).contains(&digits.len()) || terms > Self::MOST_TERMS {
                return Err(malformed());
            }
            let number: u64 = digits.parse().map_err(|_| malformed())?;
            milliseconds += number * per_unit;
            rest = after;
        }
        if text.is_empty() {
            return Err(malformed());
        }
        if milliseconds == 0 {
            return Err(MachineDurationError::Zero {
                text: text.to_owned(),
            });
        }
        if milliseconds > Self::MOST_HOURS * MILLISECONDS_PER_HOUR {
            return Err(MachineDurationError::TooLong {
                text: text.to_owned(),
            });
        }
        Ok(Self { milliseconds })
    }
}

/// The milliseconds of the unit that `text` starts with, and what follows it.
fn take_unit(text: &str) -> Option<(u64, &str)> {
    // `ms` before `m` and `s`: it starts with one and ends with the other.
    [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", MILLISECONDS_PER_HOUR),
    ]
    .into_iter()
    .find_map(|(unit, milliseconds)| Some((milliseconds, text.strip_prefix(unit)?)))
}

impl fmt::Display for MachineDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.milliseconds;
        for (unit, per_unit) in [
            ("h", MILLISECONDS_PER_HOUR),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ] {
            if rest >= per_unit {
                write!(f, "{}{unit}", rest / per_unit)?;
                rest %= per_unit;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for MachineDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for MachineDuration {
    type Error = MachineDurationError;

    fn try_from(text: String) -> Result<Self, MachineDurationError> {
        text.parse()
    }
}

impl From<MachineDuration> for String {
    fn from(duration: MachineDuration) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::zone::zone;

    fn period(text: &str) -> Period {
        text.parse().unwrap()
    }

    fn cutoff(text: &str, now: &str, in_zone: &str) -> String {
        let zone = zone(in_zone).unwrap();
        let cutoff = period(text).cutoff(now.parse().unwrap(), &zone).unwrap();
        cutoff
            .to_zoned(zone)
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    }

    fn cutoff_date(text: &str, now: &str, in_zone: &str) -> String {
        period(text)
            .cutoff_date(now.parse().unwrap(), &zone(in_zone).unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn periods_are_written_back_as_they_were_read() {
        for text in [
            "P6M",
            "P1Y6M",
            "P90D",
            "P2W",
            "P1Y2M3W4D",
            "P19998Y",
            "P7304484D",
        ] {
            assert_eq!(period(text).to_string(), text);
        }
    }

    #[test]
    fn zeros_that_say_nothing_are_dropped() {
        assert_eq!(period("P0Y06M").to_string(), "P6M");
        assert_eq!(period("P0Y6M"), period("P6M"));
    }

    #[test]
    fn what_is_not_a_calendar_period_is_refused() {
        for text in [
            "", "P", "6M", "p6m", "P6m", "6 months", "90d", "-P6M", "P-6M", "+P6M", "P+6M",
            "P0.5Y", "P1,5Y", "PT1H", "P1DT1H", "P1DT", "P6", "PM", "P6M1Y", "P6M6M", "P6M ",
            " P6M", "P 6M", "P1Y6", "P1D1W", "P6M\n", "PP6M", "P٦M",
        ] {
            assert_eq!(
                text.parse::<Period>().unwrap_err(),
                PeriodError::Malformed { text: text.into() }
            );
        }
    }

    #[test]
    fn no_time_at_all_is_refused() {
        for text in ["P0D", "P0Y0M", "P0Y0M0W0D", "P000D"] {
            assert_eq!(
                text.parse::<Period>().unwrap_err(),
                PeriodError::Zero { text: text.into() }
            );
        }
    }

    #[test]
    fn more_than_the_calendar_holds_is_refused() {
        for text in [
            "P19999Y",
            "P239977M",
            "P7304485D",
            "P99999999999999999999Y",
            "P2147483648D",
        ] {
            assert_eq!(
                text.parse::<Period>().unwrap_err(),
                PeriodError::TooLong { text: text.into() }
            );
        }
    }

    #[test]
    fn a_period_that_leaves_the_calendar_is_an_error_and_not_a_date() {
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let utc = zone("Etc/UTC").unwrap();
        let long = period("P19998Y");
        assert_eq!(
            long.cutoff(now, &utc).unwrap_err(),
            PeriodError::OutOfCalendar { period: long, now }
        );
        assert!(long.cutoff_date(now, &utc).is_err());
    }

    #[test]
    fn periods_are_strings_in_json_and_are_checked_when_read() {
        let period: Period = serde_json::from_str("\"P1Y6M\"").unwrap();
        assert_eq!(serde_json::to_string(&period).unwrap(), "\"P1Y6M\"");
        let error = serde_json::from_str::<Period>("\"6 months\"").unwrap_err();
        assert!(error.to_string().contains("such as `P6M`"), "{error}");
    }

    #[test]
    fn the_day_is_clamped_to_the_length_of_the_month() {
        for (text, now, expected) in [
            ("P6M", "2026-08-31T12:00:00Z", "2026-02-28T12:00:00+00:00"),
            ("P6M", "2024-08-31T12:00:00Z", "2024-02-29T12:00:00+00:00"),
            ("P1M", "2026-03-31T12:00:00Z", "2026-02-28T12:00:00+00:00"),
            ("P1M", "2026-07-31T12:00:00Z", "2026-06-30T12:00:00+00:00"),
        ] {
            assert_eq!(cutoff(text, now, "Etc/UTC"), expected);
        }
    }

    #[test]
    fn a_leap_day_less_years_is_the_28th_unless_that_year_has_one() {
        assert_eq!(
            cutoff("P1Y", "2024-02-29T01:02:03Z", "Etc/UTC"),
            "2023-02-28T01:02:03+00:00"
        );
        assert_eq!(
            cutoff("P4Y", "2024-02-29T01:02:03Z", "Etc/UTC"),
            "2020-02-29T01:02:03+00:00"
        );
        assert_eq!(
            cutoff("P1Y", "2025-02-28T01:02:03Z", "Etc/UTC"),
            "2024-02-28T01:02:03+00:00"
        );
        assert_eq!(
            cutoff("P1D", "2024-03-01T00:00:00Z", "Etc/UTC"),
            "2024-02-29T00:00:00+00:00"
        );
    }

    #[test]
    fn years_and_months_are_taken_first_and_days_from_the_clamped_day() {
        assert_eq!(
            cutoff("P1M1D", "2026-03-31T12:00:00Z", "Etc/UTC"),
            "2026-02-27T12:00:00+00:00"
        );
        assert_eq!(
            cutoff("P1Y1M1W1D", "2025-03-31T00:00:00Z", "Etc/UTC"),
            "2024-02-21T00:00:00+00:00"
        );
    }

    #[test]
    fn local_time_of_day_is_kept_across_a_change_of_clocks() {
        assert_eq!(
            cutoff("P6M", "2026-08-31T10:30:00Z", "Europe/London"),
            "2026-02-28T11:30:00+00:00"
        );
        assert_eq!(
            cutoff("P1D", "2026-03-29T12:00:00Z", "Europe/London"),
            "2026-03-28T13:00:00+00:00"
        );
    }

    #[test]
    fn a_cutoff_in_a_skipped_hour_is_the_end_of_the_gap() {
        // 01:30 on 29 March 2026 never was in London: clocks went from 01:00 to 02:00. What began
        // at 02:15 that day has not lasted six months at 01:30 on 29 September.
        assert_eq!(
            cutoff("P6M", "2026-09-29T00:30:00Z", "Europe/London"),
            "2026-03-29T02:00:00+01:00"
        );
    }

    #[test]
    fn a_cutoff_in_a_repeated_hour_is_the_first_pass() {
        assert_eq!(
            cutoff("P1M", "2026-11-25T01:30:00Z", "Europe/London"),
            "2026-10-25T01:30:00+01:00"
        );
    }

    #[test]
    fn now_in_the_second_pass_of_a_repeated_hour_counts_as_the_local_time_it_shows() {
        let first = cutoff("P1M", "2026-10-25T00:30:00Z", "Europe/London");
        let second = cutoff("P1M", "2026-10-25T01:30:00Z", "Europe/London");
        assert_eq!(first, "2026-09-25T01:30:00+01:00");
        assert_eq!(first, second);
    }

    #[test]
    fn the_zone_decides_which_day_it_is() {
        // Half past midnight in Berlin is still the day before in UTC and in New York.
        let now = "2026-08-30T22:30:00Z";
        assert_eq!(cutoff_date("P6M", now, "Europe/Berlin"), "2026-02-28");
        assert_eq!(cutoff_date("P1D", now, "Europe/Berlin"), "2026-08-30");
        assert_eq!(cutoff_date("P1D", now, "Etc/UTC"), "2026-08-29");
        assert_eq!(
            cutoff("P6M", now, "Europe/Berlin"),
            "2026-02-28T00:30:00+01:00"
        );
        assert_eq!(
            cutoff("P6M", now, "America/New_York"),
            "2026-02-28T18:30:00-05:00"
        );
    }

    #[test]
    fn fractions_of_a_second_are_kept() {
        let zone = zone("Europe/London").unwrap();
        let now = "2026-08-31T12:00:00.123456789Z".parse().unwrap();
        let expected: Timestamp = "2026-08-30T12:00:00.123456789Z".parse().unwrap();
        assert_eq!(period("P1D").cutoff(now, &zone), Ok(expected));
    }

    fn duration(text: &str) -> MachineDuration {
        text.parse().unwrap()
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("50ms", 50),
            ("1m30s", 90_000),
            ("8h", 28_800_000),
            ("1h1m1s1ms", 3_661_001),
            ("90s", 90_000),
            ("1s1m", 61_000),
            ("0h5s", 5_000),
            ("010ms", 10),
            ("999999h", 3_599_996_400_000),
        ] {
            assert_eq!(
                duration(text).as_duration(),
                Duration::from_millis(milliseconds),
                "{text}"
            );
        }
    }

    #[test]
    fn durations_are_written_in_their_shortest_form() {
        for (text, written) in [
            ("90s", "1m30s"),
            ("1500ms", "1s500ms"),
            ("60m", "1h"),
            ("0h5s", "5s"),
            ("50ms", "50ms"),
        ] {
            assert_eq!(duration(text).to_string(), written);
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "5",
            "ms",
            "-5s",
            "+5s",
            "5 s",
            "5S",
            "1.5h",
            "1d",
            "PT8H",
            "5us",
            "5ns",
            "1234567s",
            "1s1s1s1s1s",
            "5s ",
            " 5s",
            "5m5",
            "٥s",
        ] {
            assert_eq!(
                text.parse::<MachineDuration>().unwrap_err(),
                MachineDurationError::Malformed { text: text.into() }
            );
        }
    }

    #[test]
    fn no_duration_at_all_and_too_long_a_one_are_refused() {
        for text in ["0s", "0h0m", "000ms"] {
            assert_eq!(
                text.parse::<MachineDuration>().unwrap_err(),
                MachineDurationError::Zero { text: text.into() }
            );
        }
        let text = "999999h1ms";
        assert_eq!(
            text.parse::<MachineDuration>().unwrap_err(),
            MachineDurationError::TooLong { text: text.into() }
        );
    }

    #[test]
    fn durations_are_strings_in_json_and_are_checked_when_read() {
        let read: MachineDuration = serde_json::from_str("\"1m30s\"").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"1m30s\"");
        assert!(serde_json::from_str::<MachineDuration>("\"0s\"").is_err());
    }

    proptest! {
        #[test]
        fn every_period_survives_being_written_and_read(
            years in 0..100_i32, months in 0..500_i32, weeks in 0..500_i32, days in 0..5000_i32,
        ) {
            prop_assume!([years, months, weeks, days] != [0; 4]);
            let made = Period { years, months, weeks, days };
            prop_assert_eq!(period(&made.to_string()), made);
        }

        #[test]
        fn reading_any_text_as_a_period_or_duration_never_panics(text in "P?[0-9YMWDTmsh.+ -]{0,12}") {
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
            }
            if let Ok(duration) = text.parse::<MachineDuration>() {
                prop_assert_eq!(duration.to_string().parse::<MachineDuration>().unwrap(), duration);
            }
        }

        #[test]
        fn a_cutoff_is_before_now_and_never_later_than_jiff_would_have_it(
            second in 1_000_000_000_i64..2_000_000_000,
            months in 0..60_i32, days in 1..400_i32,
            name in prop::sample::select(vec!["Etc/UTC", "Europe/London", "America/New_York", "Africa/Cairo"]),
        ) {
            let zone = zone(name).unwrap();
            let now = Timestamp::from_second(second).unwrap();
            let period = Period { years: 0, months, weeks: 0, days };
            let cutoff = period.cutoff(now, &zone).unwrap();
            let compatible = now.to_zoned(zone.clone()).checked_sub(period.span()).unwrap();
            prop_assert!(cutoff < now);
            prop_assert!(cutoff <= compatible.timestamp());
            let date = period.cutoff_date(now, &zone).unwrap();
            prop_assert!(zone.to_datetime(cutoff).date() >= date);
        }

        #[test]
        fn later_moments_of_a_day_never_give_an_earlier_cutoff(
            second in 1_000_000_000_i64..2_000_000_000,
            later in 0..86_400_i64,
            days in 1..400_i32,
        ) {
            // In UTC: where clocks go back, the same local time is counted from twice.
            let zone = zone("Etc/UTC").unwrap();
            let period = Period { years: 0, months: 0, weeks: 0, days };
            let at = |second| period.cutoff(Timestamp::from_second(second).unwrap(), &zone).unwrap();
            prop_assert!(at(second) <= at(second + later));
        }
    }
}
