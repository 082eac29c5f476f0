//! When a rule's rows have expired: `expireAfter` with `since`, or `expireOn`.

use jiff::tz::TimeZone;

use super::condition::parse_moment;
use super::lookup::parse_rows;
use super::{At, Names};
use crate::api::since::{
    EpochUnit as EpochUnitWord, EventSpec, ExpireOnSpec, ReadingSpec, SinceSpec,
};
use crate::api::words::Choice;
use crate::period::Period;
use crate::policy::{Clock, EpochUnit, Event, Expiry, Moment, Since};
use crate::zone;

pub(super) fn parse_expiry(
    at: &At<'_>,
    expire_after: Option<&String>,
    since: Option<&SinceSpec>,
    expire_on: Option<&ExpireOnSpec>,
    names: &Names,
) -> Option<Expiry> {
    if let Some(spec) = expire_on {
        if expire_after.is_some() || since.is_some() {
            at.field("expireOn")
                .invalid("is a fixed day: write either it, or expireAfter and since");
        }
        return parse_expire_on(&at.field("expireOn"), spec, names);
    }
    let period = {
        let at = at.field("expireAfter");
        at.text(expire_after, "`P6M`")
            .and_then(|text| at.parsed::<Period>(text))
    };
    let since = {
        let at = at.field("since");
        at.required(since, "`{column: created_at}`")
            .and_then(|since| parse_since(&at, since, names))
    };
    Some(Expiry::After {
        period: period?,
        since: since?,
    })
}

fn parse_expire_on(at: &At<'_>, spec: &ExpireOnSpec, names: &Names) -> Option<Expiry> {
    let ExpireOnSpec {
        instant,
        changed_before,
        unknown,
    } = spec;
    at.known::<ExpireOnSpec>(unknown);
    let from = {
        let at = at.field("instant");
        at.text(instant.as_ref(), "`2018-07-01`")
            .and_then(|text| parse_moment(&at, text))
    };
    let changed = {
        let at = at.field("changedBefore");
        at.required(changed_before.as_ref(), "`{column: updated_at}`")
            .and_then(|spec| parse_reading(&at, spec, names))
    };
    Some(Expiry::On {
        from: from?,
        changed: changed?,
    })
}

fn parse_since(at: &At<'_>, spec: &SinceSpec, names: &Names) -> Option<Since> {
    let SinceSpec {
        column,
        unit,
        time_zone,
        not_before,
        latest,
        parent,
        otherwise,
        unknown,
    } = spec;
    at.known::<SinceSpec>(unknown);
    let (event_at, event) = match (latest, parent) {
        (Some(_), Some(_)) => {
            at.invalid("latest and parent are two clocks: write one of them");
            return None;
        }
        (Some(event), None) => (at.field("latest"), event),
        (None, Some(event)) => (at.field("parent"), event),
        (None, None) => {
            if otherwise.is_some() {
                at.field("otherwise")
                    .invalid("is for latest and parent: remove it");
            }
            let reading = Reading {
                column: column.as_ref(),
                unit: unit.as_ref(),
                time_zone: time_zone.as_ref(),
                not_before: not_before.as_ref(),
            };
            return reading.parse(at, names).map(Since::Own);
        }
    };
    if column.is_some() || unit.is_some() || time_zone.is_some() || not_before.is_some() {
        at.invalid(
            "column, unit, timeZone and notBefore are for a clock in the rule's own table: write \
             them into latest or parent, or leave these out",
        );
    }
    let otherwise_at = at.field("otherwise");
    let otherwise = match otherwise {
        None if latest.is_some() => {
            otherwise_at.required(
                otherwise.as_ref(),
                "`{column: created_at}`: the clock of rows for which there is none",
            );
            None
        }
        None => Some(None),
        Some(spec) => parse_reading(&otherwise_at, spec, names).map(Some),
    };
    let EventSpec {
        table,
        matches,
        via,
        conditions,
        column,
        unit,
        time_zone,
        not_before,
        unknown,
    } = event;
    event_at.known::<EventSpec>(unknown);
    let rows = parse_rows(
        &event_at,
        table.as_ref(),
        matches.as_deref(),
        via.as_ref(),
        conditions.as_deref(),
        names,
    );
    let reading = Reading {
        column: column.as_ref(),
        unit: unit.as_ref(),
        time_zone: time_zone.as_ref(),
        not_before: not_before.as_ref(),
    };
    let clock = reading.parse(&event_at, names);
    Some(Since::Other(Box::new(Event {
        rows: rows?,
        clock: clock?,
        otherwise: otherwise?,
    })))
}

fn parse_reading(at: &At<'_>, spec: &ReadingSpec, names: &Names) -> Option<Clock> {
    let ReadingSpec {
        column,
        unit,
        time_zone,
        not_before,
        unknown,
    } = spec;
    at.known::<ReadingSpec>(unknown);
    let reading = Reading {
        column: column.as_ref(),
        unit: unit.as_ref(),
        time_zone: time_zone.as_ref(),
        not_before: not_before.as_ref(),
    };
    reading.parse(at, names)
}

/// How a column is read as a clock, as it stands in several places.
pub(super) struct Reading<'s> {
    pub(super) column: Option<&'s String>,
    pub(super) unit: Option<&'s Choice<EpochUnitWord>>,
    pub(super) time_zone: Option<&'s String>,
    pub(super) not_before: Option<&'s String>,
}

impl Reading<'_> {
    pub(super) fn parse(&self, at: &At<'_>, names: &Names) -> Option<Clock> {
        let column = at
            .field("column")
            .column(self.column, names, "`created_at`");
        let epoch = match self.unit {
            None => Some(None),
            Some(_) => at.field("unit").word(self.unit).map(|unit| {
                Some(match unit {
                    EpochUnitWord::Seconds => EpochUnit::Seconds,
                    EpochUnitWord::Milliseconds => EpochUnit::Milliseconds,
                    EpochUnitWord::Microseconds => EpochUnit::Microseconds,
                    EpochUnitWord::Days => EpochUnit::Days,
                })
            }),
        };
        let zone_at = at.field("timeZone");
        let zone = match self.time_zone {
            None => Some(None),
            Some(name) => zone::zone(name)
                .inspect_err(|error| zone_at.invalid(error.to_string()))
                .ok()
                .map(Some),
        };
        if self.unit.is_some() && self.time_zone.is_some() {
            at.invalid("unit is for integer columns and timeZone for columns without a zone: write one of them");
        }
        let floor_at = at.field("notBefore");
        let not_before = match self.not_before {
            None => Some(Clock::PLAUSIBLE_FROM),
            Some(text) => parse_moment(&floor_at, text).and_then(|moment| match moment {
                Moment::Instant(instant) => Some(instant),
                Moment::Date(date) => {
                    let zone = zone.clone().flatten().unwrap_or(TimeZone::UTC);
                    date.to_zoned(zone)
                        .inspect_err(|_| floor_at.invalid("is outside the calendar"))
                        .ok()
                        .map(|start| start.timestamp())
                }
            }),
        };
        Some(Clock {
            column: column?,
            epoch: epoch?,
            zone: zone?,
            not_before: not_before?,
        })
    }
}
