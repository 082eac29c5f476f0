//! Schedules by oracle: croner where clocks do not change, and where they do a clock that is
//! watched minute by minute.

use std::str::FromStr;

use croner::Cron;
use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::zone::zone;

/// One entry of a field, as both `Schedule` and croner read it.
fn entry(first: u8, last: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (first..=last).prop_map(|n| n.to_string()),
        2 => (first..=last, first..=last)
            .prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (first..=last, first..=last, 1..=last.min(10))
            .prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

fn field(first: u8, last: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (2..=last.min(15)).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(entry(first, last), 1..4).prop_map(|list| list.join(",")),
    ]
}

fn named(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let places = 0..names.len();
    prop_oneof![
        prop::sample::select(names).prop_map(str::to_owned),
        (places.clone(), places).prop_map(move |(a, b)| format!(
            "{}-{}",
            names[a.min(b)],
            names[a.max(b)]
        )),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let month = prop_oneof![3 => field(1, 12), 1 => named(&["jan", "FEB", "Mar", "sep", "dec"])];
    // croner reads `SUN` at the beginning of a range as 7, hence no Sunday among the named ranges.
    let weekday = prop_oneof![
        6 => field(0, 7),
        1 => Just("Sun".to_owned()),
        1 => named(&["MON", "Tue", "wed", "fri", "sat"]),
    ];
    (field(0, 59), field(0, 23), field(1, 31), month, weekday).prop_map(
        |(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"),
    )
}

/// Zones with one, two and four changes a year, of an hour and of half an hour, at midnight too.
const CHANGING: [&str; 7] = [
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Pacific/Apia",
];

fn near_a_change(zone: &TimeZone, t: Timestamp) -> bool {
    let (from, to) = (t - 3.hours(), t + 3.hours());
    zone.following(from)
        .next()
        .is_some_and(|change| change.timestamp() <= to)
}

/// What the schedule ought to do, by definition: the clock is watched minute by minute, and it
/// fires when the clock first reaches or passes a time that the expression matches.
fn watched(expression: &str, zone: &TimeZone, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
    let cron = Cron::from_str(expression).unwrap();
    let mut reached = zone.to_datetime(from);
    let mut firings = Vec::new();
    for minute in 1..=minutes {
        let t = from + minute.minutes();
        let shown = zone.to_datetime(t);
        let mut fires = false;
        while reached < shown {
            reached += 1.minute();
            fires |= cron.is_time_matching(&reached).unwrap();
        }
        if fires {
            firings.push(t);
        }
    }
    firings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_croner_where_clocks_do_not_change(
        expression in expression(),
        second in 600_000_000_i64..2_200_000_000,
        name in prop::sample::select(vec!["Etc/UTC", "Asia/Kolkata", "America/Phoenix"]),
    ) {
        let zone = zone(name).unwrap();
        let Ok(schedule) = Schedule::parse(&expression, zone.clone()) else {
            // Days that do not exist: the oracle must not find any either.
            let cron = Cron::from_str(&expression).unwrap();
            let start = Timestamp::from_second(second).unwrap().to_zoned(zone);
            prop_assert!(cron.find_next_occurrence(&start, false).is_err(), "{}", expression);
            return Ok(());
        };
        let cron = Cron::from_str(&expression).unwrap();
        let mut t = Timestamp::from_second(second).unwrap();
        for _ in 0..5 {
            let expected = cron.find_next_occurrence(&t.to_zoned(zone.clone()), false).unwrap();
            let found = schedule.next_after(t);
            prop_assert_eq!(found, Some(expected.timestamp()), "{} after {}", expression, t);
            let back = cron.find_previous_occurrence(&expected, true).unwrap().timestamp();
            prop_assert_eq!(schedule.latest_in(t, expected.timestamp()), Some(back));
            t = expected.timestamp();
        }
    }

    #[test]
    fn it_agrees_with_croner_away_from_changes_of_clocks(
        expression in expression(),
        second in 1_300_000_000_i64..1_900_000_000,
        name in prop::sample::select(CHANGING.to_vec()),
    ) {
        let zone = zone(name).unwrap();
        let Ok(schedule) = Schedule::parse(&expression, zone.clone()) else { return Ok(()) };
        let t = Timestamp::from_second(second).unwrap();
        let cron = Cron::from_str(&expression).unwrap();
        let expected = cron.find_next_occurrence(&t.to_zoned(zone.clone()), false).unwrap();
        let found = schedule.next_after(t).unwrap();
        prop_assume!(![t, expected.timestamp(), found].iter().any(|t| near_a_change(&zone, *t)));
        prop_assert_eq!(found, expected.timestamp(), "{} after {}", expression, t);
    }

    #[test]
    fn the_latest_firing_is_the_one_that_the_next_ones_lead_to(
        expression in expression(),
        second in 1_300_000_000_i64..1_900_000_000,
        length in 0_i64..4_000_000,
        name in prop::sample::select(CHANGING.to_vec()),
    ) {
        let zone = zone(name).unwrap();
        let Ok(schedule) = Schedule::parse(&expression, zone) else { return Ok(()) };
        let after = Timestamp::from_second(second).unwrap();
        let until = Timestamp::from_second(second + length).unwrap();
        match schedule.latest_in(after, until) {
            Some(latest) => {
                prop_assert!(after < latest && latest <= until);
                prop_assert!(schedule.next_after(latest).is_none_or(|next| next > until));
                // It is a firing, and not only an instant without one behind it.
                let before = Timestamp::from_second(latest.as_second() - 1).unwrap();
                prop_assert_eq!(schedule.next_after(before), Some(latest));
            }
            None => prop_assert!(schedule.next_after(after).is_none_or(|next| next > until)),
        }
    }

    #[test]
    fn reading_any_text_never_panics(text in "[-*/,?@0-9a-zA-Z# ]{0,24}") {
        if let Ok(schedule) = Schedule::parse(&text, TimeZone::UTC) {
            prop_assert!(schedule.next_after(Timestamp::UNIX_EPOCH).is_some());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn around_a_change_of_clocks_it_fires_when_a_time_is_first_reached_or_passed(
        minute in field(0, 59),
        hour in field(0, 23),
        day in prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 31)],
        name in prop::sample::select(CHANGING.to_vec()),
        second in 1_300_000_000_i64..1_900_000_000,
        lead in 60_i64..600,
    ) {
        let expression = format!("{minute} {hour} {day} * *");
        let zone = zone(name).unwrap();
        let around = Timestamp::from_second(second).unwrap();
        let change = zone.preceding(around).next().map_or(around, |change| change.timestamp());
        let from = change - lead.minutes();
        let Ok(schedule) = Schedule::parse(&expression, zone.clone()) else { return Ok(()) };
        let expected = watched(&expression, &zone, from, 1_440);
        let until = from + 1_440.minutes();
        let mut found = Vec::new();
        let mut t = from;
        while let Some(next) = schedule.next_after(t).filter(|next| *next <= until) {
            found.push(next);
            t = next;
        }
        prop_assert_eq!(&found, &expected, "{} in {} from {}", expression, name, from);
        for minute in (0..=1_440).step_by(7) {
            let t = from + i64::from(minute).minutes();
            let latest = expected.iter().copied().rfind(|firing| *firing <= t);
            prop_assert_eq!(schedule.latest_in(from, t), latest, "{} in {} at {}", expression, name, t);
        }
    }
}
