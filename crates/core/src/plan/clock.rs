//! A rule's clock and conditions, typed against the catalog: which instant, date or number the
//! column is compared with.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

use super::draft::View;
use super::{Refusal, constant};
use crate::api::reason::Reason;
use crate::catalog::{Column, ColumnKind, Table};
use crate::name::Ident;
use crate::period::{Period, PeriodError};
use crate::policy::{
    Clause, Clock, Condition, EpochUnit, Event, Expiry, Lookup, Moment, Policy, Rule, Since, Test,
};
use crate::sql::{ClockSql, Eligible, EventSql, Reading, TypedCondition, TypedTest};
use crate::value::Value;
use crate::zone::first_reached;

/// Readings of conditions outside these are placeholders, not dates.
const CONDITION_FLOOR: Date = jiff::civil::date(1900, 1, 1);
const CONDITION_CEILING: Date = jiff::civil::date(2200, 1, 1);
/// A clock reading so far ahead of now is a placeholder.
const CEILING_YEARS: i64 = 100;

/// When a rule's rows fall due.
#[derive(Clone, Debug)]
pub enum Due {
    /// So long after their clock, counted in the zone.
    After(Period, TimeZone),
    /// At an instant.
    At(Timestamp),
}

/// How a clock's reading is understood where it is reported.
#[derive(Clone, Debug)]
pub struct ReadAs {
    /// The zone of its wall-clock times; UTC for instants, which are read in it.
    zone: TimeZone,
    /// What one unit of an integer clock is.
    unit: Option<EpochUnit>,
    /// Whether its readings are whole days.
    is_day: bool,
}

impl ReadAs {
    /// The instant at which what has this reading falls due, for reports. A day's has to be over: rows of
    /// it are taken from the next one on.
    pub(super) fn due(&self, reading: &Value, due: &Due) -> Option<Timestamp> {
        let (period, zone) = match due {
            Due::At(instant) => return Some(*instant),
            Due::After(period, zone) => (period, zone),
        };
        let at = period.due(self.instant(reading)?, zone).ok()?;
        if !self.is_day {
            return Some(at);
        }
        let next = zone.to_datetime(at).date().tomorrow().ok()?;
        first_reached(zone, next.at(0, 0, 0, 0))
    }

    /// The instant that a reading means.
    pub(super) fn instant(&self, reading: &Value) -> Option<Timestamp> {
        match reading {
            Value::Int(n) => match self.unit? {
                EpochUnit::Seconds => Timestamp::from_second(*n),
                EpochUnit::Milliseconds => Timestamp::from_millisecond(*n),
                EpochUnit::Microseconds => Timestamp::from_microsecond(*n),
                EpochUnit::Days => Timestamp::from_second(n.checked_mul(86_400)?),
            }
            .ok(),
            Value::Text(text) => self.zone.to_timestamp(text.parse().ok()?).ok(),
            Value::Null | Value::Bytes(_) => None,
        }
    }
}

/// A rule's predicate, and what is recorded and reported of its clock.
pub(super) struct Typed {
    /// The predicate without transforms.
    pub(super) eligible: Eligible,
    /// The recorded cutoff.
    pub(super) cutoff: Timestamp,
    pub(super) due: Due,
    /// One for each of the clock's readings.
    pub(super) read_as: Vec<ReadAs>,
}

/// The rule's predicate, typed against the catalog.
pub(super) fn eligible(
    policy: &Policy,
    view: View<'_>,
    rule: &Rule,
    table: &Table,
    as_of: Timestamp,
) -> Result<Typed, Vec<Refusal>> {
    let typing = Typing::of(policy, rule, view);
    let mut refusals = Vec::new();
    let clock = typing
        .expiry(table, as_of)
        .map_err(|r| refusals.extend(r))
        .ok();
    let mut conditions = Vec::new();
    for clause in &rule.conditions {
        match typing.clause(table, clause) {
            Ok(typed) => conditions.push(typed),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let mut lookups = |all: &[Lookup]| -> Vec<_> {
        let typed = all.iter().map(|lookup| typing.lookup(table, lookup));
        typed
            .filter_map(|typed| typed.map_err(|found| refusals.extend(found)).ok())
            .collect()
    };
    let (only_if, unless) = (lookups(&rule.only_if), lookups(&rule.unless));
    match clock {
        Some((clock, cutoffs, read_as)) if refusals.is_empty() => Ok(Typed {
            eligible: Eligible {
                clock,
                conditions,
                only_if,
                unless,
                undone: Vec::new(),
                held: Vec::new(),
                kept: Vec::new(),
                within: Vec::new(),
            },
            cutoff: cutoffs.instant,
            due: cutoffs.due,
            read_as,
        }),
        _ => Err(refusals),
    }
}

/// With what clocks are compared.
pub(super) struct Cutoffs {
    instant: Timestamp,
    date: Date,
    /// Whether the day has come.
    reached: bool,
    ceiling: Timestamp,
    due: Due,
}

impl Cutoffs {
    /// For rows that are judged by no clock.
    fn now(as_of: Timestamp) -> Self {
        Self {
            instant: as_of,
            date: TimeZone::UTC.to_datetime(as_of).date(),
            reached: true,
            ceiling: ceiling(as_of),
            due: Due::At(as_of),
        }
    }

    /// A period before an instant, counted in a zone.
    pub(super) fn after(
        period: Period,
        as_of: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, PeriodError> {
        Ok(Self {
            instant: period.cutoff(as_of, zone)?,
            date: period.cutoff_date(as_of, zone)?,
            reached: true,
            ceiling: ceiling(as_of),
            due: Due::After(period, zone.clone()),
        })
    }
}

/// Clocks that read so much are placeholders.
fn ceiling(as_of: Timestamp) -> Timestamp {
    as_of
        .to_zoned(TimeZone::UTC)
        .checked_add(Span::new().years(CEILING_YEARS))
        .map_or(Timestamp::MAX, |z| z.timestamp())
}

pub(super) struct Typing<'a> {
    policy: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) view: View<'a>,
}

impl<'a> Typing<'a> {
    /// What a rule says, typed.
    pub(super) fn of(policy: &'a Policy, rule: &'a Rule, view: View<'a>) -> Self {
        Self { policy, rule, view }
    }
}

impl Typing<'_> {
    fn expiry(
        &self,
        table: &Table,
        as_of: Timestamp,
    ) -> Result<(ClockSql, Cutoffs, Vec<ReadAs>), Vec<Refusal>> {
        let cutoffs = self.cutoffs(as_of).map_err(|refusal| vec![refusal])?;
        let own = |clock: &Clock, field| self.reading(table, clock, &cutoffs, field);
        let one = |refusal| vec![refusal];
        match &self.rule.expiry {
            Expiry::After {
                since: Since::Own(clock),
                ..
            } => {
                let (reading, read_as) = own(clock, "since").map_err(one)?;
                Ok((ClockSql::Own(Box::new(reading)), cutoffs, vec![read_as]))
            }
            Expiry::On { changed, .. } => {
                let (reading, read_as) = own(changed, "expireOn.changedBefore").map_err(one)?;
                Ok((ClockSql::Own(Box::new(reading)), cutoffs, vec![read_as]))
            }
            Expiry::After {
                since: Since::Other(event),
                ..
            } => {
                let Event {
                    rows,
                    clock,
                    otherwise,
                } = event.as_ref();
                let otherwise = otherwise
                    .as_ref()
                    .map(|clock| own(clock, "since.otherwise"))
                    .transpose()
                    .map_err(one)?;
                let (rows, end) = self.lookup_rows(table, rows)?;
                let of_rows = self.reading(end, clock, &cutoffs, "since.latest or since.parent");
                let (reading, read_as) = of_rows.map_err(one)?;
                let (otherwise, further) = otherwise.unzip();
                let clock = ClockSql::Other(Box::new(EventSql {
                    rows,
                    reading,
                    otherwise,
                }));
                let read_as = std::iter::once(read_as).chain(further).collect();
                Ok((clock, cutoffs, read_as))
            }
            Expiry::Reached(reach) => {
                let reach = self.reach(table, reach)?;
                Ok((
                    ClockSql::Reached(table.name.clone(), reach),
                    cutoffs,
                    Vec::new(),
                ))
            }
        }
    }

    fn cutoffs(&self, as_of: Timestamp) -> Result<Cutoffs, Refusal> {
        let zone = &self.policy.zone;
        let invalid = |e: &dyn std::fmt::Display| {
            Refusal::of(&self.rule.name, Reason::InvalidSpec, e.to_string())
        };
        match &self.rule.expiry {
            Expiry::After { period, .. } => {
                Cutoffs::after(*period, as_of, zone).map_err(|e| invalid(&e))
            }
            Expiry::Reached(_) => Ok(Cutoffs::now(as_of)),
            Expiry::On { from, .. } => {
                let instant = match from {
                    Moment::Instant(instant) => *instant,
                    Moment::Date(day) => first_reached(zone, day.at(0, 0, 0, 0))
                        .ok_or_else(|| invalid(&"expireOn.instant is outside the calendar"))?,
                };
                Ok(Cutoffs {
                    instant,
                    date: zone.to_datetime(instant).date(),
                    reached: instant <= as_of,
                    ceiling: ceiling(as_of),
                    due: Due::At(instant),
                })
            }
        }
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            rule: &self.rule.name,
            zone: &self.policy.zone,
        }
    }

    /// A column that is read as a clock; `field` is where it is written.
    fn reading(
        &self,
        table: &Table,
        clock: &Clock,
        cutoffs: &Cutoffs,
        field: &str,
    ) -> Result<(Reading, ReadAs), Refusal> {
        self.reader().reading(table, clock, cutoffs, field)
    }

    pub(super) fn column<'t>(&self, table: &'t Table, name: &Ident) -> Result<&'t Column, Refusal> {
        self.reader().column(table, name)
    }

    pub(super) fn unfit(&self, table: &Table, column: &Column, what: &str) -> Refusal {
        self.reader().unfit(table, column, what)
    }
    fn clause(&self, table: &Table, clause: &Clause) -> Result<TypedCondition, Refusal> {
        match clause {
            Clause::Test(condition) => self
                .condition(table, condition)
                .map(|(column, test)| TypedCondition::Test(Box::new(column), test)),
            Clause::AnyOf(groups) => groups
                .iter()
                .map(|group| group.iter().map(|c| self.condition(table, c)).collect())
                .collect::<Result<_, _>>()
                .map(TypedCondition::AnyOf),
        }
    }

    pub(super) fn condition(
        &self,
        table: &Table,
        condition: &Condition,
    ) -> Result<(Column, TypedTest), Refusal> {
        let engine = self.view.catalog.engine;
        let column = self.column(table, &condition.column)?;
        let constant = |text: &String| {
            constant::typed(column, engine, text).ok_or_else(|| {
                let fits = constant::what_fits(column);
                self.unfit(
                    table,
                    column,
                    &format!("a value of its condition does not fit the type{fits}"),
                )
            })
        };
        let constants = |texts: &[String]| texts.iter().map(constant).collect::<Result<_, _>>();
        let moment = |at: &Moment| {
            self.moment(column, at).ok_or_else(|| {
                self.unfit(
                    table,
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
                    table,
                    column,
                    "In and NotIn compare text, whole numbers, decimals, uuids, booleans and \
                     enums; times are compared with Before and After",
                ));
            }
            Test::In(values) => TypedTest::In(constants(values)?),
            Test::NotIn(values) => TypedTest::NotIn(constants(values)?),
            Test::Lt(_) | Test::Gt(_) if !numeric(column.kind) => {
                return Err(self.unfit(table, column, "Lt and Gt compare numbers"));
            }
            Test::Lt(value) => TypedTest::Lt(constant(value)?),
            Test::Gt(value) => TypedTest::Gt(constant(value)?),
            Test::Before(_) | Test::After(_) if !dated(column.kind) => {
                return Err(self.unfit(table, column, "Before and After compare dates and times"));
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

/// Reads columns as clocks.
pub(super) struct Reader<'a> {
    /// Whom a refusal names.
    pub(super) rule: &'a str,
    /// The zone in which dates are reported.
    pub(super) zone: &'a TimeZone,
}

impl Reader<'_> {
    /// A column that is read as a clock; `field` is where it is written.
    pub(super) fn reading(
        &self,
        table: &Table,
        clock: &Clock,
        cutoffs: &Cutoffs,
        field: &str,
    ) -> Result<(Reading, ReadAs), Refusal> {
        let Clock {
            column: name,
            epoch,
            zone,
            not_before,
        } = clock;
        let column = self.column(table, name)?;
        let unfit = |what: String| self.unfit(table, column, &what);
        let Cutoffs {
            instant, ceiling, ..
        } = *cutoffs;
        if epoch.is_some() && column.kind != ColumnKind::Int {
            return Err(unfit(format!(
                "{field}.unit is for integer columns: leave it out"
            )));
        }
        if zone.is_some() && column.kind != ColumnKind::Civil {
            return Err(unfit(format!(
                "{field}.timeZone is for wall-clock times without a zone: leave it out"
            )));
        }
        let (floor, cutoff, ceiling) = match column.kind {
            ColumnKind::Instant => (utc(*not_before), utc(instant), utc(ceiling)),
            ColumnKind::Civil => {
                let zone = zone.as_ref().ok_or_else(|| {
                    unfit(format!(
                        "it does not say in which zone its readings are: add {field}.timeZone"
                    ))
                })?;
                let civil = |t| civil_text(zone.to_datetime(t));
                let cutoff = civil_text(civil_cutoff(zone, instant));
                (civil(*not_before), cutoff, civil(ceiling))
            }
            ColumnKind::Date => {
                let date = |t: Timestamp| date_text(TimeZone::UTC.to_datetime(t).date());
                (date(*not_before), date_text(cutoffs.date), date(ceiling))
            }
            ColumnKind::Int => {
                let unit = epoch.ok_or_else(|| {
                    unfit(format!(
                        "say what the number counts: add {field}.unit \
                         (Seconds, Milliseconds, Microseconds or Days)"
                    ))
                })?;
                let count = |t| Value::Int(epoch_count(unit, t));
                (count(*not_before), count(instant), count(ceiling))
            }
            _ => {
                return Err(unfit(format!(
                    "{field}.column needs a date, a time or an integer that counts since 1970"
                )));
            }
        };
        let reading = Reading {
            column: column.clone(),
            cutoff: if cutoffs.reached {
                cutoff
            } else {
                floor.clone()
            },
            floor,
            ceiling,
        };
        let read_as = ReadAs {
            zone: match column.kind {
                ColumnKind::Instant => TimeZone::UTC,
                _ => zone.clone().unwrap_or_else(|| self.zone.clone()),
            },
            unit: *epoch,
            is_day: column.kind == ColumnKind::Date,
        };
        Ok((reading, read_as))
    }

    pub(super) fn column<'t>(&self, table: &'t Table, name: &Ident) -> Result<&'t Column, Refusal> {
        table.column(name).ok_or_else(|| {
            Refusal::of(
                self.rule,
                Reason::ColumnMissing,
                format!("{} has no column {name}", table.name),
            )
        })
    }

    pub(super) fn unfit(&self, table: &Table, column: &Column, what: &str) -> Refusal {
        Refusal::of(
            self.rule,
            Reason::ColumnUnfit,
            format!(
                "{}.{} is {}: {what}",
                table.name, column.name, column.type_name
            ),
        )
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
    fn a_day_falls_due_when_the_whole_of_it_is_as_old() {
        let zone = crate::zone::zone("Europe/London").unwrap();
        let period: Period = "P1Y".parse().unwrap();
        let reading = Value::Text("2025-11-25T00:00:00".to_owned());
        for (is_day, due, last) in [
            (false, "2026-11-25T00:00:00Z", "2026-11-24T23:59:59Z"),
            (true, "2026-11-26T00:00:00Z", "2026-11-25T23:59:59Z"),
        ] {
            let read_as = ReadAs {
                zone: zone.clone(),
                unit: None,
                is_day,
            };
            let after = Due::After(period, zone.clone());
            let told = read_as.due(&reading, &after).unwrap();
            assert_eq!(told.to_string(), due);
            if is_day {
                // As the predicate has it: a day is taken once it is before the cutoff's.
                let day = jiff::civil::date(2025, 11, 25);
                let cutoff = |at: &str| period.cutoff_date(at.parse().unwrap(), &zone).unwrap();
                assert!(day < cutoff(due) && day >= cutoff(last));
            }
        }
    }

    #[test]
    fn epochs_round_down_before_1970_too() {
        let t = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(epoch_count(EpochUnit::Days, t), -1);
        assert_eq!(epoch_count(EpochUnit::Seconds, t), -1);
        assert_eq!(epoch_count(EpochUnit::Milliseconds, t), -500);
    }
}
