//! `calendar`: which days are working days, and in which zone a day begins.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::parse::{At, all};
use crate::api::words::{Choice, Word};
use crate::zone::{self, first_reached};

/// How many days before its end the time to answer ends soon, where nothing else is set.
pub const DUE_SOON_DAYS: u16 = 7;
/// Holidays at the most: those of many years.
const MAX_HOLIDAYS: usize = 1000;

/// By which days the time to answer a person is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarSpec {
    /// The IANA name of the zone in which a day begins and ends. Default: Etc/UTC. Example:
    /// `Europe/London`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Etc/UTC"))]
    pub time_zone: Option<String>,
    /// The days of the week on which nobody works. Default: Saturday and Sunday.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), extend("default" = ["Saturday", "Sunday"]))]
    pub weekend: Option<Vec<Choice<DayName>>>,
    /// Other days on which nobody works, each with its year: `2026-12-25`. Where the list has run out,
    /// the last day to answer may be told too early, never too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_HOLIDAYS), inner(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")))]
    pub holidays: Option<Vec<String>>,
    /// How many days before the last one a request is due soon; 0: on the last day only. Default: 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31), extend("default" = DUE_SOON_DAYS))]
    pub due_soon_days: Option<i64>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayName(Weekday);

impl Word for DayName {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self(Weekday::Monday), "Monday"),
        (Self(Weekday::Tuesday), "Tuesday"),
        (Self(Weekday::Wednesday), "Wednesday"),
        (Self(Weekday::Thursday), "Thursday"),
        (Self(Weekday::Friday), "Friday"),
        (Self(Weekday::Saturday), "Saturday"),
        (Self(Weekday::Sunday), "Sunday"),
    ];
}

/// Which days are working days, and in which zone a day begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Where a day begins and ends.
    pub zone: TimeZone,
    /// Days of the week on which nobody works; never all of them.
    pub weekend: Vec<Weekday>,
    /// Other days on which nobody works.
    pub holidays: BTreeSet<Date>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            zone: zone::zone(zone::DEFAULT).unwrap_or(TimeZone::UTC),
            weekend: vec![Weekday::Saturday, Weekday::Sunday],
            holidays: BTreeSet::new(),
        }
    }
}

impl Calendar {
    /// The day on which an instant falls.
    pub fn day(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    /// When a day begins; `None` outside the range of instants.
    pub fn begins(&self, day: Date) -> Option<Timestamp> {
        first_reached(&self.zone, day.at(0, 0, 0, 0))
    }

    /// Whether people work on that day.
    pub fn is_working_day(&self, day: Date) -> bool {
        !self.weekend.contains(&day.weekday()) && !self.holidays.contains(&day)
    }

    /// That day, or the first working day after it.
    pub fn working_day_from(&self, day: Date) -> Date {
        let mut day = day;
        // Some day of each week is a working day but for holidays, of which there is an end.
        while !self.is_working_day(day) {
            let Ok(next) = day.tomorrow() else {
                return day;
            };
            day = next;
        }
        day
    }
}

/// The calendar, and how many days before its end the time to answer ends soon.
pub(super) fn parse(at: &At<'_>, spec: Option<&CalendarSpec>) -> Option<(Calendar, u16)> {
    let none = CalendarSpec::default();
    let CalendarSpec {
        time_zone,
        weekend,
        holidays,
        due_soon_days,
        unknown,
    } = spec.unwrap_or(&none);
    at.known::<CalendarSpec>(unknown);
    let zone = at.field("timeZone").zone(time_zone.as_ref());
    let weekend = match weekend {
        None => Some(Calendar::default().weekend),
        Some(days) => parse_weekend(&at.field("weekend"), days),
    };
    let holidays_at = at.field("holidays");
    let holidays = holidays.as_deref().unwrap_or_default();
    holidays_at.bounded(holidays, MAX_HOLIDAYS);
    let holidays = all(holidays, |i, day| parse_day(&holidays_at.index(i), day));
    let soon_at = at.field("dueSoonDays");
    let soon = soon_at.within(due_soon_days.unwrap_or(DUE_SOON_DAYS.into()), 0, 31);
    let calendar = Calendar {
        zone: zone?,
        weekend: weekend?,
        holidays: holidays?.into_iter().collect(),
    };
    Some((calendar, soon?))
}

fn parse_weekend(at: &At<'_>, days: &[Choice<DayName>]) -> Option<Vec<Weekday>> {
    let days = all(days, |i, day| at.index(i).word(Some(day)).map(|day| day.0))?;
    let week = DayName::ALL.iter();
    if week.clone().all(|(day, _)| days.contains(&day.0)) {
        at.invalid("names all days of the week: leave one working day");
        return None;
    }
    Some(days)
}

/// A day, and nothing else than a day.
fn parse_day(at: &At<'_>, text: &str) -> Option<Date> {
    // The library also takes a time behind it, and reads past it.
    let day: Option<Date> = text
        .parse()
        .ok()
        .filter(|day: &Date| day.to_string() == text);
    if day.is_none() {
        at.invalid(format!("{text:?} is no day: write it as `2026-12-25`"));
    }
    day
}
