use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::erasure_request::ErasureRequestSpec;
use crate::zone::zone;

/// The bank holidays of England around the year's end and Easter.
const HOLIDAYS: [&str; 6] = [
    "2026-12-25",
    "2026-12-28",
    "2027-01-01",
    "2027-03-26",
    "2027-03-29",
    "2028-02-29",
];

fn london() -> Calendar {
    Calendar {
        zone: zone("Europe/London").unwrap(),
        holidays: HOLIDAYS.iter().map(|day| day.parse().unwrap()).collect(),
        ..Calendar::default()
    }
}

fn request(received: &str, more: &Value) -> Request {
    let mut spec = json!({
        "subject": {"secretRef": {"name": "s"}}, "caseRef": "SR-7", "requestedBy": "jane",
        "receivedAt": received,
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let spec: ErasureRequestSpec = serde_json::from_value(spec).unwrap();
    Request::parse(&spec).unwrap()
}

fn last(received: &str, more: &Value) -> String {
    let deadline = Deadline::of(&request(received, more), &london()).unwrap();
    deadline.last.to_string()
}

fn extended(months: u8, told: &str) -> Value {
    json!({"extension": {"months": months, "reason": "Complexity", "notifiedAt": told}})
}

#[test]
fn the_month_ends_on_the_same_date_of_the_next() {
    for (received, ends) in [
        // The regulator's own examples: 3 September, and a day without its like.
        ("2026-09-03T09:00:00Z", "2026-10-05"), // 3 October 2026 is a Saturday
        ("2025-09-03T09:00:00Z", "2025-10-03"),
        ("2027-03-31T09:00:00Z", "2027-04-30"),
        // Whatever the hour, and whether anybody works on that day.
        ("2026-11-02T00:00:00Z", "2026-12-02"),
        ("2026-11-02T23:59:59Z", "2026-12-02"),
        ("2026-11-01T12:00:00Z", "2026-12-01"),
        // The ends of months, with leap days and without.
        ("2027-01-29T09:00:00Z", "2027-03-01"), // 28 February 2027 is a Sunday
        ("2027-01-31T09:00:00Z", "2027-03-01"),
        ("2028-01-31T09:00:00Z", "2028-03-01"), // 29 February 2028: a holiday here
        ("2024-01-30T09:00:00Z", "2024-02-29"),
        ("2024-01-31T09:00:00Z", "2024-02-29"),
        ("2023-01-30T09:00:00Z", "2023-02-28"),
        ("2024-02-29T09:00:00Z", "2024-03-29"),
        ("2026-10-31T09:00:00Z", "2026-11-30"),
        // Holidays and weekends in a row, and the change of the year.
        ("2026-11-25T09:00:00Z", "2026-12-29"),
        ("2026-12-01T09:00:00Z", "2027-01-04"),
        ("2027-02-26T09:00:00Z", "2027-03-30"),
        ("2026-12-31T09:00:00Z", "2027-02-01"),
    ] {
        assert_eq!(last(received, &json!({})), ends, "{received}");
    }
}

#[test]
fn days_are_those_of_the_calendars_zone() {
    for (received, ends) in [
        // In summer London's day begins at 23:00 UTC.
        ("2026-06-30T22:59:59Z", "2026-07-30"),
        ("2026-06-30T23:00:00Z", "2026-08-03"), // 1 August 2026 is a Saturday
        // The nights in which the clocks change.
        ("2026-03-28T23:59:59Z", "2026-04-28"),
        ("2026-03-29T22:59:59Z", "2026-04-29"),
        ("2026-10-24T22:59:59Z", "2026-11-24"),
        ("2026-10-24T23:00:00Z", "2026-11-25"),
        ("2026-10-25T23:59:59Z", "2026-11-25"),
    ] {
        assert_eq!(last(received, &json!({})), ends, "{received}");
    }
}

#[test]
fn further_months_are_counted_from_the_same_start() {
    for (received, months, ends) in [
        ("2026-11-02T09:00:00Z", 1, "2027-01-04"),
        ("2026-11-02T09:00:00Z", 2, "2027-02-02"),
        // Not from the end of the month before, which had fewer days.
        ("2027-01-31T09:00:00Z", 1, "2027-03-31"),
        ("2027-01-31T09:00:00Z", 2, "2027-04-30"),
        ("2027-12-30T09:00:00Z", 1, "2028-03-01"),
        // Not from the working day to which the first one moved.
        ("2026-11-25T09:00:00Z", 1, "2027-01-25"),
    ] {
        assert_eq!(
            last(received, &extended(months, received)),
            ends,
            "{received}"
        );
    }
}

#[test]
fn an_extension_counts_only_where_the_person_was_told_inside_the_first_month() {
    for (told, extension, ends) in [
        ("2026-12-29T23:59:59Z", Extended::Counts, "2027-02-25"),
        (
            "2026-12-30T00:00:00Z",
            Extended::TooLate(jiff::civil::date(2026, 12, 30)),
            "2026-12-29",
        ),
    ] {
        let request = request("2026-11-25T09:00:00Z", &extended(2, told));
        let deadline = Deadline::of(&request, &london()).unwrap();
        assert_eq!(deadline.extension, Some(extension));
        assert_eq!(deadline.last.to_string(), ends);
    }
}

#[test]
fn it_begins_with_the_last_proof_that_is_asked_for() {
    let received = "2026-11-02T09:00:00Z";
    let required = json!({"identity": {"required": true}});
    assert_eq!(Deadline::of(&request(received, &required), &london()), None);
    for (more, ends) in [
        (
            json!({"identity": {"required": true, "satisfiedAt": "2026-11-10T09:00:00Z"}}),
            "2026-12-10",
        ),
        // Nobody had to ask for it.
        (
            json!({"identity": {"satisfiedAt": "2026-11-10T09:00:00Z"}}),
            "2026-12-02",
        ),
        (
            json!({"requester": {"relation": "Parent",
                                 "authorityVerifiedAt": "2026-11-11T09:00:00Z"}}),
            "2026-12-11",
        ),
    ] {
        assert_eq!(last(received, &more), ends, "{more}");
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn only_an_answer_ends_it() {
    let received = "2026-11-02T09:00:00Z";
    let replied = |at: &str| json!({"reply": {"sentAt": at}});
    let withdrawn = json!({"close": {"outcome": "Withdrawn", "by": "jane"}});
    let unproved = json!({"identity": {"required": true}});
    for (more, now, standing, changes) in [
        (
            json!({}),
            "2026-11-24T23:59:59Z",
            Standing::Running,
            Some("2026-11-25T00:00:00Z"),
        ),
        (
            json!({}),
            "2026-11-25T00:00:00Z",
            Standing::DueSoon,
            Some("2026-12-03T00:00:00Z"),
        ),
        (
            json!({}),
            "2026-12-02T23:59:59Z",
            Standing::DueSoon,
            Some("2026-12-03T00:00:00Z"),
        ),
        (json!({}), "2026-12-03T00:00:00Z", Standing::Overdue, None),
        (withdrawn, "2026-12-03T00:00:00Z", Standing::Overdue, None),
        (unproved, "2027-12-03T00:00:00Z", Standing::NotBegun, None),
        (
            replied("2026-12-02T23:59:59Z"),
            "2027-01-01T00:00:00Z",
            Standing::Answered { late: false },
            None,
        ),
        (
            replied("2026-12-03T00:00:00Z"),
            "2027-01-01T00:00:00Z",
            Standing::Answered { late: true },
            None,
        ),
        // What is to be sent is not sent.
        (
            replied("2026-11-26T10:00:00Z"),
            "2026-11-25T12:00:00Z",
            Standing::DueSoon,
            Some("2026-11-26T10:00:00Z"),
        ),
    ] {
        let clock = Clock::read(&request(received, &more), &london(), 7, at(now));
        assert_eq!(clock.standing, standing, "{more} at {now}");
        assert_eq!(clock.changes_at, changes.map(at), "{more} at {now}");
    }
    let day = Clock::read(&request(received, &json!({})), &london(), 0, at(received));
    assert_eq!(day.changes_at, Some(at("2026-12-02T00:00:00Z")));
}

#[test]
fn the_conditions_are_there_while_they_hold() {
    let mut conditions = Vec::new();
    let mut told = |more: &Value, now: &str| {
        let clock = Clock::read(
            &request("2026-11-02T09:00:00Z", more),
            &london(),
            7,
            at(now),
        );
        clock.condition(&mut conditions, Some(1), at(now));
        let told = conditions.iter();
        told.map(|one| (one.type_.clone(), one.reason.clone(), one.message.clone()))
            .collect::<Vec<_>>()
    };
    let one = |kind: &str, message: &str| vec![(kind.into(), kind.into(), message.into())];
    assert_eq!(told(&json!({}), "2026-11-10T00:00:00Z"), vec![]);
    assert_eq!(
        told(&json!({}), "2026-12-01T00:00:00Z"),
        one(
            "DueSoon",
            "2026-12-02 is the last day to answer the person, counted from 2026-11-02"
        )
    );
    assert_eq!(
        told(&extended(1, "2026-12-20T00:00:00Z"), "2026-12-21T00:00:00Z"),
        one(
            "Overdue",
            "the person has not been answered, and 2026-12-02 was the last day, counted from \
             2026-11-02; the extension does not count, because the person was told of it on \
             2026-12-20, after 2026-12-02"
        )
    );
    let replied = json!({"reply": {"sentAt": "2026-12-21T00:00:00Z"}});
    assert_eq!(told(&replied, "2026-12-21T00:00:00Z"), vec![]);
}

/// The last day, found by walking from day to day: to the month that is meant, to the date that is
/// meant or the month's end, and on while nobody works.
fn oracle(from: Date, months: i32, calendar: &Calendar) -> Date {
    let months_since_zero = |day: Date| i32::from(day.year()) * 12 + i32::from(day.month());
    let target = months_since_zero(from) + months;
    let mut day = from;
    while months_since_zero(day) < target {
        day = day.tomorrow().unwrap();
    }
    while day.day() < from.day() && day.tomorrow().unwrap().month() == day.month() {
        day = day.tomorrow().unwrap();
    }
    while matches!(day.weekday().to_monday_one_offset(), 6 | 7) || calendar.holidays.contains(&day)
    {
        day = day.tomorrow().unwrap();
    }
    day
}

proptest! {
    #[test]
    fn it_is_what_counting_day_by_day_gives(
        second in 1_600_000_000_i64..2_000_000_000,
        months in 0_u8..3,
        free in proptest::collection::btree_set(0_i64..120, 0..40),
    ) {
        let received = Timestamp::from_second(second).unwrap();
        let mut calendar = london();
        let from = received.to_zoned(calendar.zone.clone()).date();
        calendar.holidays = free.into_iter().map(|days| from.saturating_add(days.days())).collect();
        let more = match months {
            0 => json!({}),
            months => extended(months, &received.to_string()),
        };
        let deadline = Deadline::of(&request(&received.to_string(), &more), &calendar).unwrap();
        prop_assert_eq!(deadline.first, oracle(from, 1, &calendar));
        prop_assert_eq!(deadline.last, oracle(from, 1 + i32::from(months), &calendar));
    }
}
