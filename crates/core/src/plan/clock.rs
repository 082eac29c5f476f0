//! A rule's clock and conditions, typed against the catalog: which instant, date or number the
//! column is compared with.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use super::{Refusal, constant};
use crate::api::reason::Reason;
use crate::catalog::{Column, ColumnKind, Engine, Table};
use crate::name::Ident;
use crate::policy::{Clause, Clock, Condition, EpochUnit, Moment, Policy, Rule, Test};
use crate::sql::{Eligible, TypedCondition, TypedTest};
use crate::value::Value;
use crate::zone::first_reached;

/// Readings of conditions outside these are placeholders, not dates.
const CONDITION_FLOOR: Date = jiff::civil::date(1900, 1, 1);
const CONDITION_CEILING: Date = jiff::civil::date(2200, 1, 1);
/// A clock reading so far ahead of now is a placeholder.
const CEILING_YEARS: i64 = 100;

/// The rule's predicate without transforms, and the cutoff instant that is recorded.
pub(super) fn eligible(
    policy: &Policy,
    rule: &Rule,
    table: &Table,
    engine: Engine,
    as_of: Timestamp,
) -> Result<(Eligible, Timestamp), Vec<Refusal>> {
    let typing = Typing {
        policy,
        rule,
        table,
        engine,
    };
    let mut refusals = Vec::new();
    let clock = typing.clock(as_of).map_err(|r| refusals.push(r)).ok();
    let mut conditions = Vec::new();
    for clause in &rule.conditions {
        match typing.clause(clause) {
            Ok(typed) => conditions.push(typed),
            Err(refusal) => refusals.push(refusal),
        }
    }
    match clock {
        Some(clock) if refusals.is_empty() => Ok((
            Eligible {
                clock: clock.column,
                floor: clock.floor,
                cutoff: clock.cutoff,
                ceiling: clock.ceiling,
                conditions,
                undone: Vec::new(),
                held: Vec::new(),
            },
            clock.instant,
        )),
        _ => Err(refusals),
    }
}

struct TypedClock {
    column: Column,
    floor: Value,
    cutoff: Value,
    ceiling: Value,
    instant: Timestamp,
}

struct Typing<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    table: &'a Table,
    engine: Engine,
}

impl Typing<'_> {
    fn clock(&self, as_of: Timestamp) -> Result<TypedClock, Refusal> {
        let Clock {
            column: name,
            epoch,
            zone,
            not_before,
        } = &self.rule.clock;
        let column = self.column(name)?;
        let period = &self.rule.expire_after;
        let invalid = |e: crate::period::PeriodError| {
            Refusal::of(&self.rule.name, Reason::InvalidSpec, e.to_string())
        };
        let instant = period.cutoff(as_of, &self.policy.zone).map_err(invalid)?;
        let ceiling = as_of
            .to_zoned(TimeZone::UTC)
            .checked_add(Span::new().years(CEILING_YEARS))
            .map_or(Timestamp::MAX, |z| z.timestamp());
        if epoch.is_some() && column.kind != ColumnKind::Int {
            return Err(self.unfit(column, "since.unit is for integer columns: leave it out"));
        }
        if zone.is_some() && column.kind != ColumnKind::Civil {
            return Err(self.unfit(
                column,
                "since.timeZone is for wall-clock times without a zone: leave it out",
            ));
        }
        let (floor, cutoff, ceiling) = match column.kind {
            ColumnKind::Instant => (utc(*not_before), utc(instant), utc(ceiling)),
            ColumnKind::Civil => {
                let zone = zone.as_ref().ok_or_else(|| {
                    self.unfit(
                        column,
                        "it does not say in which zone its readings are: add since.timeZone",
                    )
                })?;
                let civil = |t| civil_text(zone.to_datetime(t));
                let cutoff = civil_text(civil_cutoff(zone, instant));
                (civil(*not_before), cutoff, civil(ceiling))
            }
            ColumnKind::Date => {
                let date = |t: Timestamp| date_text(TimeZone::UTC.to_datetime(t).date());
                let cutoff = period
                    .cutoff_date(as_of, &self.policy.zone)
                    .map_err(invalid)?;
                (date(*not_before), date_text(cutoff), date(ceiling))
            }
            ColumnKind::Int => {
                let unit = epoch.ok_or_else(|| {
                    self.unfit(
                        column,
                        "say what the number counts: add since.unit \
                         (Seconds, Milliseconds, Microseconds or Days)",
                    )
                })?;
                let count = |t| Value::Int(epoch_count(unit, t));
                (count(*not_before), count(instant), count(ceiling))
            }
            _ => {
                return Err(self.unfit(
                    column,
                    "since.column needs a date, a time or an integer that counts since 1970",
                ));
            }
        };
        Ok(TypedClock {
            column: column.clone(),
            floor,
            cutoff,
            ceiling,
            instant,
        })
    }

    fn column(&self, name: &Ident) -> Result<&Column, Refusal> {
        self.table.column(name).ok_or_else(|| {
            Refusal::of(
                &self.rule.name,
                Reason::ColumnMissing,
                format!("{} has no column {name}", self.table.name),
            )
        })
    }

    fn unfit(&self, column: &Column, what: &str) -> Refusal {
        Refusal::of(
            &self.rule.name,
            Reason::ColumnUnfit,
            format!(
                "{}.{} is {}: {what}",
                self.table.name, column.name, column.type_name
            ),
        )
    }

    fn clause(&self, clause: &Clause) -> Result<TypedCondition, Refusal> {
        match clause {
            Clause::Test(condition) => self
                .condition(condition)
                .map(|(column, test)| TypedCondition::Test(Box::new(column), test)),
            Clause::AnyOf(groups) => groups
                .iter()
                .map(|group| group.iter().map(|c| self.condition(c)).collect())
                .collect::<Result<_, _>>()
                .map(TypedCondition::AnyOf),
        }
    }

    fn condition(&self, condition: &Condition) -> Result<(Column, TypedTest), Refusal> {
        let column = self.column(&condition.column)?;
        let constant = |text: &String| {
            constant::typed(column, self.engine, text).ok_or_else(|| {
                let fits = constant::what_fits(column);
                self.unfit(
                    column,
                    &format!("a value of its condition does not fit the type{fits}"),
                )
            })
        };
        let constants = |texts: &[String]| texts.iter().map(constant).collect::<Result<_, _>>();
        let moment = |at: &Moment| {
            self.moment(column, at).ok_or_else(|| {
                self.unfit(
                    column,
                    "days and wall-clock times are compared with a date, not with an instant",
                )
            })
        };
        let test = match &condition.test {
            Test::IsNull => TypedTest::IsNull,
            Test::IsNotNull => TypedTest::IsNotNull,
            Test::In(_) | Test::NotIn(_) if !listable(column.kind) => {
                return Err(self.unfit(
                    column,
                    "In and NotIn compare text, whole numbers, decimals, uuids, booleans and \
                     enums; times are compared with Before and After",
                ));
            }
            Test::In(values) => TypedTest::In(constants(values)?),
            Test::NotIn(values) => TypedTest::NotIn(constants(values)?),
            Test::Lt(_) | Test::Gt(_) if !numeric(column.kind) => {
                return Err(self.unfit(column, "Lt and Gt compare numbers"));
            }
            Test::Lt(value) => TypedTest::Lt(constant(value)?),
            Test::Gt(value) => TypedTest::Gt(constant(value)?),
            Test::Before(_) | Test::After(_) if !dated(column.kind) => {
                return Err(self.unfit(column, "Before and After compare dates and times"));
            }
            Test::Before(at) => TypedTest::Before {
                floor: moment(&Moment::Date(CONDITION_FLOOR))?,
                moment: moment(at)?,
            },
            Test::After(at) => TypedTest::After {
                moment: moment(at)?,
                ceiling: moment(&Moment::Date(CONDITION_CEILING))?,
            },
        };
        Ok((column.clone(), test))
    }

    fn moment(&self, column: &Column, at: &Moment) -> Option<Value> {
        match (column.kind, at) {
            (ColumnKind::Instant, Moment::Instant(t)) => Some(utc(*t)),
            (ColumnKind::Instant, Moment::Date(d)) => {
                first_reached(&self.policy.zone, d.at(0, 0, 0, 0)).map(utc)
            }
            (ColumnKind::Civil, Moment::Date(d)) => Some(civil_text(d.at(0, 0, 0, 0))),
            (ColumnKind::Date, Moment::Date(d)) => Some(date_text(*d)),
            _ => None,
        }
    }
}

/// The instant in UTC; sessions of every engine run with UTC as their zone.
fn utc(t: Timestamp) -> Value {
    civil_text(TimeZone::UTC.to_datetime(t))
}

pub(super) fn civil_text(t: DateTime) -> Value {
    Value::Text(t.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

pub(super) fn date_text(d: Date) -> Value {
    Value::Text(d.to_string())
}

/// The reading below which every row lies before `cutoff`, however an ambiguous one is meant: in
/// the first pass of a repeated hour, readings of that hour may belong to the second.
fn civil_cutoff(zone: &TimeZone, cutoff: Timestamp) -> DateTime {
    let civil = zone.to_datetime(cutoff);
    if let AmbiguousOffset::Fold { before, .. } = zone.to_ambiguous_timestamp(civil).offset()
        && zone.to_offset(cutoff) == before
        && let Some(back) = zone.following(cutoff).next()
    {
        return back.offset().to_datetime(back.timestamp());
    }
    civil
}

/// Whole units since 1970, rounded down: never later than the instant.
fn epoch_count(unit: EpochUnit, t: Timestamp) -> i64 {
    match unit {
        EpochUnit::Seconds => floor_division(t, 1_000_000_000),
        EpochUnit::Milliseconds => floor_division(t, 1_000_000),
        EpochUnit::Microseconds => floor_division(t, 1_000),
        EpochUnit::Days => floor_division(t, 86_400_000_000_000),
    }
}

/// Whole units of so many nanoseconds since 1970, rounded down before 1970 too.
fn floor_division(t: Timestamp, unit: i128) -> i64 {
    // Instants lie within ±10^4 years: microseconds fit 64 bits.
    i64::try_from(t.as_nanosecond().div_euclid(unit)).unwrap_or(i64::MIN)
}

fn dated(kind: ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Date | ColumnKind::Instant | ColumnKind::Civil
    )
}

fn numeric(kind: ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Int | ColumnKind::UnsignedBigInt | ColumnKind::Decimal | ColumnKind::Float
    )
}

pub(super) fn listable(kind: ColumnKind) -> bool {
    matches!(
        kind,
        ColumnKind::Int
            | ColumnKind::UnsignedBigInt
            | ColumnKind::Decimal
            | ColumnKind::Text
            | ColumnKind::Uuid
            | ColumnKind::Bool
            | ColumnKind::Enum
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_first_pass_of_a_repeated_hour_no_reading_of_that_hour_has_expired() {
        let zone = crate::zone::zone("Europe/London").unwrap();
        // 2025-10-26 01:00Z is the second 01:00 in London; half an hour earlier is 01:30 the first time.
        let first = "2025-10-26T00:30:00Z".parse().unwrap();
        let second = "2025-10-26T01:30:00Z".parse().unwrap();
        assert_eq!(
            civil_cutoff(&zone, first).to_string(),
            "2025-10-26T01:00:00"
        );
        assert_eq!(
            civil_cutoff(&zone, second).to_string(),
            "2025-10-26T01:30:00"
        );
    }

    #[test]
    fn epochs_round_down_before_1970_too() {
        let t = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(epoch_count(EpochUnit::Days, t), -1);
        assert_eq!(epoch_count(EpochUnit::Seconds, t), -1);
        assert_eq!(epoch_count(EpochUnit::Milliseconds, t), -500);
    }
}
