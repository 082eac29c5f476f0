//! Schedules by hand: what is refused, and what happens where clocks change.

use super::*;
use crate::zone::zone;

fn schedule(expression: &str, in_zone: &str) -> Schedule {
    Schedule::parse(expression, zone(in_zone).unwrap()).unwrap()
}

fn refusal(expression: &str) -> ScheduleError {
    Schedule::parse(expression, TimeZone::UTC).unwrap_err()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next firings, as the zone's clocks show them.
fn firings(expression: &str, in_zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(expression, in_zone);
    let mut t = at(after);
    let mut shown = Vec::new();
    for _ in 0..count {
        t = schedule.next_after(t).unwrap();
        shown.push(
            schedule
                .zone
                .to_datetime(t)
                .strftime("%a %F %H:%M")
                .to_string(),
        );
    }
    shown
}

#[test]
fn it_fires_daily_at_the_time_of_its_own_zone() {
    let london = schedule("30 2 * * *", "Europe/London");
    assert_eq!(
        london.next_after(at("2026-07-01T00:00:00Z")),
        Some(at("2026-07-01T01:30:00Z"))
    );
    assert_eq!(
        london.next_after(at("2026-12-01T00:00:00Z")),
        Some(at("2026-12-01T02:30:00Z"))
    );
    let kathmandu = schedule("30 2 * * *", "Asia/Kathmandu");
    assert_eq!(
        kathmandu.next_after(at("2026-07-01T00:00:00Z")),
        Some(at("2026-07-01T20:45:00Z"))
    );
}

#[test]
fn a_firing_does_not_follow_itself() {
    let daily = schedule("30 2 * * *", "Etc/UTC");
    let firing = at("2026-07-01T02:30:00Z");
    assert_eq!(
        daily.next_after(at("2026-07-01T02:29:59.999999999Z")),
        Some(firing)
    );
    assert_eq!(daily.next_after(firing), Some(at("2026-07-02T02:30:00Z")));
    assert_eq!(
        daily.next_after(at("2026-07-01T02:30:00.000000001Z")),
        Some(at("2026-07-02T02:30:00Z"))
    );
}

#[test]
fn day_of_month_or_day_of_week_when_both_are_restricted() {
    // Friday the 13th is in February and March: the others fire for one reason each.
    assert_eq!(
        firings("0 3 13 * FRI", "Etc/UTC", "2026-02-07T00:00:00Z", 4),
        [
            "Fri 2026-02-13 03:00",
            "Fri 2026-02-20 03:00",
            "Fri 2026-02-27 03:00",
            "Fri 2026-03-06 03:00"
        ]
    );
    assert_eq!(
        firings("0 3 13 4 FRI", "Etc/UTC", "2026-04-09T00:00:00Z", 3),
        [
            "Fri 2026-04-10 03:00",
            "Mon 2026-04-13 03:00",
            "Fri 2026-04-17 03:00"
        ]
    );
}

#[test]
fn a_stepped_star_restricts_its_day_field_as_in_cronjob() {
    // Odd days OR Mondays (Vixie's cron would have it odd Mondays only).
    assert_eq!(
        firings("0 0 */2 * 1", "Etc/UTC", "2026-02-01T12:00:00Z", 4),
        [
            "Mon 2026-02-02 00:00",
            "Tue 2026-02-03 00:00",
            "Thu 2026-02-05 00:00",
            "Sat 2026-02-07 00:00"
        ]
    );
    // A range over all days restricts too, so that this fires every day.
    assert_eq!(
        firings("0 0 13 * 0-6", "Etc/UTC", "2026-02-01T12:00:00Z", 2),
        ["Mon 2026-02-02 00:00", "Tue 2026-02-03 00:00"]
    );
    // A star with step one does not.
    for any in ["*", "?", "*/1", "*,4"] {
        let expression = format!("0 0 13 * {any}");
        assert_eq!(
            firings(&expression, "Etc/UTC", "2026-02-01T12:00:00Z", 1),
            ["Fri 2026-02-13 00:00"],
            "{expression}"
        );
    }
}

#[test]
fn zero_and_seven_are_sunday() {
    for sunday in ["0", "7", "sun", "SUN", "@weekly"] {
        let expression = if sunday.starts_with('@') {
            sunday.into()
        } else {
            format!("0 0 * * {sunday}")
        };
        assert_eq!(
            firings(&expression, "Etc/UTC", "2026-11-21T00:00:00Z", 2),
            ["Sun 2026-11-22 00:00", "Sun 2026-11-29 00:00"],
            "{expression}"
        );
    }
    assert_eq!(
        firings("0 0 * * 1", "Etc/UTC", "2026-11-21T00:00:00Z", 1),
        ["Mon 2026-11-23 00:00"]
    );
    assert_eq!(
        firings("0 0 * * 6-7", "Etc/UTC", "2026-11-20T12:00:00Z", 3),
        [
            "Sat 2026-11-21 00:00",
            "Sun 2026-11-22 00:00",
            "Sat 2026-11-28 00:00"
        ]
    );
}

#[test]
fn words_stand_for_five_fields() {
    for (word, fields) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        let of = |expression| firings(expression, "Europe/London", "2026-07-01T12:34:56Z", 5);
        assert_eq!(of(word), of(fields), "{word}");
    }
    assert_eq!(schedule("@daily", "Etc/UTC").expression(), "@daily");
}

#[test]
fn a_leap_day_is_a_day() {
    assert_eq!(
        firings("0 0 29 2 *", "Etc/UTC", "2096-01-01T00:00:00Z", 1),
        ["Wed 2096-02-29 00:00"]
    );
    assert_eq!(
        schedule("0 0 29 2 *", "Etc/UTC").next_after(at("2096-03-01T00:00:00Z")),
        None
    );
}

#[test]
fn in_a_repeated_hour_it_fires_in_the_first_pass_only() {
    // London, 25 October 2026: 01:00 to 02:00 is shown twice, from 00:00Z and from 01:00Z.
    let fixed = schedule("30 1 * * *", "Europe/London");
    let first = at("2026-10-25T00:30:00Z");
    assert_eq!(fixed.next_after(at("2026-10-24T12:00:00Z")), Some(first));
    assert_eq!(fixed.next_after(first), Some(at("2026-10-26T01:30:00Z")));
    assert_eq!(
        fixed.next_after(at("2026-10-25T01:15:00Z")),
        Some(at("2026-10-26T01:30:00Z"))
    );

    let frequent = schedule("*/20 * * * *", "Europe/London");
    let mut t = at("2026-10-25T00:00:00Z");
    let mut after = Vec::new();
    for _ in 0..4 {
        t = frequent.next_after(t).unwrap();
        after.push(t.to_string());
    }
    assert_eq!(
        after,
        [
            "2026-10-25T00:20:00Z",
            "2026-10-25T00:40:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T02:20:00Z"
        ]
    );
}

#[test]
fn the_latest_firing_is_found_from_within_a_repeated_hour() {
    let frequent = schedule("*/20 * * * *", "Europe/London");
    let long_ago = at("2026-01-01T00:00:00Z");
    for (until, latest) in [
        ("2026-10-25T00:10:00Z", "2026-10-25T00:00:00Z"),
        ("2026-10-25T00:40:00Z", "2026-10-25T00:40:00Z"),
        // The clock shows 01:10 for the second time; 01:40 has been reached long since.
        ("2026-10-25T01:10:00Z", "2026-10-25T00:40:00Z"),
        ("2026-10-25T01:59:59Z", "2026-10-25T00:40:00Z"),
        ("2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z"),
    ] {
        assert_eq!(
            frequent.latest_in(long_ago, at(until)),
            Some(at(latest)),
            "{until}"
        );
    }
}

#[test]
fn times_in_a_skipped_hour_fire_once_when_the_gap_ends() {
    // London, 29 March 2026: clocks go from 01:00 (01:00Z) to 02:00.
    let gap_ends = at("2026-03-29T01:00:00Z");
    for expression in [
        "30 1 * * *",
        "0,15,30 1 * * *",
        "*/10 1,2 * * *",
        "59 1 29 3 *",
    ] {
        let skipped = schedule(expression, "Europe/London");
        assert_eq!(
            skipped.next_after(at("2026-03-28T12:00:00Z")),
            Some(gap_ends),
            "{expression}"
        );
        assert_eq!(
            skipped.latest_in(at("2026-03-29T00:59:59Z"), gap_ends),
            Some(gap_ends)
        );
        assert_eq!(
            skipped.latest_in(gap_ends, at("2026-03-29T01:09:00Z")),
            None,
            "{expression}"
        );
    }
    let daily = schedule("30 1 * * *", "Europe/London");
    assert_eq!(daily.next_after(gap_ends), Some(at("2026-03-30T00:30:00Z")));
}

#[test]
fn a_time_before_the_gap_is_not_moved() {
    let daily = schedule("30 0 * * *", "Europe/London");
    assert_eq!(
        daily.next_after(at("2026-03-28T12:00:00Z")),
        Some(at("2026-03-29T00:30:00Z"))
    );
    assert_eq!(
        daily.next_after(at("2026-03-29T00:30:00Z")),
        Some(at("2026-03-29T23:30:00Z"))
    );
}

#[test]
fn midnight_itself_may_be_skipped() {
    // Cairo goes from midnight on 24 April 2026 straight to one o'clock.
    assert_eq!(
        firings("@daily", "Africa/Cairo", "2026-04-23T12:00:00Z", 2),
        ["Fri 2026-04-24 01:00", "Sat 2026-04-25 00:00"]
    );
}

#[test]
fn a_whole_day_may_be_skipped_and_fires_once() {
    // Samoa had no 30 December 2011.
    assert_eq!(
        firings("0 */6 30 12 *", "Pacific/Apia", "2011-12-30T09:59:59Z", 1),
        ["Sat 2011-12-31 00:00"]
    );
    let hourly = schedule("0 * * * *", "Pacific/Apia");
    let after = at("2011-12-30T09:00:00Z");
    assert_eq!(hourly.next_after(after), Some(at("2011-12-30T10:00:00Z")));
    assert_eq!(
        hourly.next_after(at("2011-12-30T10:00:00Z")),
        Some(at("2011-12-30T11:00:00Z"))
    );
}

#[test]
fn the_latest_firing_lies_after_the_one_end_and_may_be_the_other() {
    let daily = schedule("30 2 * * *", "Etc/UTC");
    let (first, second) = (at("2026-07-01T02:30:00Z"), at("2026-07-02T02:30:00Z"));
    assert_eq!(daily.latest_in(first, second), Some(second));
    assert_eq!(
        daily.latest_in(first, at("2026-07-02T02:30:00.5Z")),
        Some(second)
    );
    assert_eq!(daily.latest_in(first, at("2026-07-02T02:29:59.9Z")), None);
    assert_eq!(daily.latest_in(second, second), None);
    assert_eq!(daily.latest_in(second, first), None);
    assert_eq!(
        daily.latest_in(at("1970-01-01T00:00:00Z"), at("2026-07-03T00:00:00Z")),
        Some(second)
    );
}

#[test]
fn the_ends_of_the_supported_years_are_ends_and_not_surprises() {
    let yearly = schedule("@yearly", "Europe/London");
    assert_eq!(yearly.next_after(at("2100-06-01T00:00:00Z")), None);
    assert_eq!(yearly.next_after(Timestamp::MAX), None);
    assert_eq!(
        yearly.next_after(Timestamp::MIN),
        Some(at("1969-12-31T23:00:00Z"))
    );
    let ever = |until| yearly.latest_in(Timestamp::MIN, until);
    assert_eq!(ever(Timestamp::MAX), Some(at("2100-01-01T00:00:00Z")));
    assert_eq!(
        ever(at("2150-03-01T00:00:00Z")),
        Some(at("2100-01-01T00:00:00Z"))
    );
    assert_eq!(ever(Timestamp::MIN), None);
    assert_eq!(ever(at("1960-01-01T00:00:00Z")), None);
}

#[test]
fn days_that_no_calendar_has_are_refused() {
    for expression in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30,31 feb ?"] {
        let error = refusal(expression);
        assert_eq!(
            error,
            ScheduleError::NeverFires {
                expression: expression.into()
            }
        );
        assert!(error.to_string().contains("never fires"));
    }
    // With a day of the week beside it, there is always something left.
    assert_eq!(
        firings("0 0 30 2 1", "Etc/UTC", "2026-01-15T00:00:00Z", 1),
        ["Mon 2026-02-02 00:00"]
    );
}

#[test]
fn anything_but_five_fields_is_refused_and_five_are_explained() {
    for (expression, found) in [
        ("", 0),
        ("  ", 0),
        ("* * * *", 4),
        ("0 0 3 * * *", 6),
        ("0 0 3 * * * 2026", 7),
    ] {
        let error = refusal(expression);
        assert_eq!(
            error,
            ScheduleError::FieldCount {
                expression: expression.into(),
                found
            }
        );
        assert!(
            error.to_string().contains("such as `30 2 * * *`"),
            "{error}"
        );
    }
}

#[test]
fn zones_in_the_expression_are_refused_and_sent_to_their_field() {
    for expression in [
        "TZ=Europe/London 0 3 * * *",
        "CRON_TZ=UTC 0 3 * * *",
        "CRON_TZ=UTC @daily",
    ] {
        let error = refusal(expression);
        assert_eq!(
            error,
            ScheduleError::ZoneInExpression {
                expression: expression.into()
            }
        );
        assert!(error.to_string().contains("`timeZone`"), "{error}");
    }
}

#[test]
fn other_words_are_refused_and_the_known_ones_are_listed() {
    for expression in ["@every 5m", "@reboot", "@Daily", "@"] {
        let error = refusal(expression);
        assert_eq!(
            error,
            ScheduleError::UnknownShorthand {
                expression: expression.into()
            }
        );
        assert!(error.to_string().contains("@midnight"), "{error}");
    }
}

#[test]
fn a_field_that_cannot_be_read_is_named() {
    assert_eq!(
        refusal("61 * * * *").to_string(),
        "\"61 * * * *\": minute: 61 is not between 0 and 59"
    );
    assert!(
        refusal("0 0 * * L")
            .to_string()
            .contains("day of week: \"L\" cannot be read")
    );
}

#[test]
fn blanks_around_and_between_fields_do_not_matter() {
    assert_eq!(
        firings(" 30\t2  * * * ", "Etc/UTC", "2026-07-01T00:00:00Z", 1),
        ["Wed 2026-07-01 02:30"]
    );
}
