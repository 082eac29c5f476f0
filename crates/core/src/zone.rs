//! Time zones: which names are accepted, and when a civil time is reached.
//!
//! Owns the one mapping from civil time to instants that periods and schedules share. Zones come
//! from the database compiled into the program, so that the same inputs give the same plan on
//! every machine; it must not read the host's zone files or ask for the host's own zone.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use thiserror::Error;

/// The zone of a policy that names none.
pub const DEFAULT: &str = "Etc/UTC";

static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A name that is not a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a time zone: write an IANA name such as `Europe/London` or `Etc/UTC`")]
pub struct UnknownZone {
    /// The name as it was written.
    pub name: String,
}

/// Looks up an IANA time zone by its exact name.
pub fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    let unknown = || UnknownZone {
        name: name.to_owned(),
    };
    let zone = BUNDLED.get(name).map_err(|_| unknown())?;
    // The database ignores case; CronJob does not, and two spellings of one zone would give one
    // plan two digests. `Etc/Unknown` is answered with a zone that has no name.
    if zone.iana_name() == Some(name) {
        Ok(zone)
    } else {
        Err(unknown())
    }
}

/// The first instant at which a clock in `zone` shows `civil` or later.
///
/// A time that occurs twice (clocks go back) is reached the first time; one that never occurs
/// (clocks go forward over it) is reached when the gap ends. Later civil times are therefore never
/// reached earlier. `None` outside the range of representable instants.
pub fn first_reached(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, after } => {
            // Read with the offset of after the gap the time lies before the transition, read
            // with the one of before it lies behind: the transition is in between.
            let start = after.to_timestamp(civil).ok()?;
            let end = before.to_timestamp(civil).ok()?;
            let transition = zone
                .following(start)
                .map(|transition| (transition.timestamp(), transition.offset()))
                .take_while(|(at, _)| *at <= end)
                .find(|(at, offset)| offset.to_datetime(*at) > civil);
            Some(transition.map_or(end, |(at, _)| at))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reached(name: &str, civil: &str) -> String {
        first_reached(&zone(name).unwrap(), civil.parse().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn iana_names_are_found_and_keep_their_spelling() {
        for name in [
            "Etc/UTC",
            "UTC",
            "Europe/London",
            "America/Argentina/Buenos_Aires",
        ] {
            assert_eq!(zone(name).unwrap().iana_name(), Some(name));
        }
    }

    #[test]
    fn the_default_zone_exists() {
        assert!(zone(DEFAULT).is_ok());
    }

    #[test]
    fn what_is_not_an_iana_name_is_refused() {
        for name in [
            "",
            "Local",
            "local",
            "europe/london",
            "Etc/Unknown",
            "CET-1",
            "+01:00",
            "Mars/Base",
        ] {
            assert_eq!(zone(name).unwrap_err(), UnknownZone { name: name.into() });
        }
    }

    #[test]
    fn a_time_that_occurs_once_is_reached_then() {
        assert_eq!(
            reached("Europe/London", "2026-07-01T12:00"),
            "2026-07-01T11:00:00Z"
        );
    }

    #[test]
    fn a_time_that_occurs_twice_is_reached_the_first_time() {
        assert_eq!(
            reached("Europe/London", "2026-10-25T01:30"),
            "2026-10-25T00:30:00Z"
        );
    }

    #[test]
    fn a_time_that_never_occurs_is_reached_when_the_gap_ends() {
        assert_eq!(
            reached("Europe/London", "2026-03-29T01:00"),
            "2026-03-29T01:00:00Z"
        );
        assert_eq!(
            reached("Europe/London", "2026-03-29T01:59:59"),
            "2026-03-29T01:00:00Z"
        );
        assert_eq!(
            reached("Europe/London", "2026-03-29T02:00"),
            "2026-03-29T01:00:00Z"
        );
        // Half an hour on Lord Howe Island, at midnight in Cairo, a whole day in Samoa.
        assert_eq!(
            reached("Australia/Lord_Howe", "2026-10-04T02:10"),
            "2026-10-03T15:30:00Z"
        );
        assert_eq!(
            reached("Africa/Cairo", "2026-04-24T00:00"),
            "2026-04-23T22:00:00Z"
        );
        assert_eq!(
            reached("Pacific/Apia", "2011-12-30T12:00"),
            "2011-12-30T10:00:00Z"
        );
        // By the rule in the zone's footer, beyond the last stored transition.
        assert_eq!(
            reached("Europe/London", "2080-03-31T01:30"),
            "2080-03-31T01:00:00Z"
        );
    }

    #[test]
    fn the_ends_of_time_are_no_instants_in_every_zone() {
        let zone = zone("Pacific/Apia").unwrap();
        assert_eq!(first_reached(&zone, DateTime::MIN), None);
    }

    fn any_zone() -> impl Strategy<Value = TimeZone> {
        prop::sample::select(vec![
            "Etc/UTC",
            "Europe/London",
            "Europe/Berlin",
            "America/New_York",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "Africa/Cairo",
            "Africa/Casablanca",
            "Pacific/Apia",
            "Asia/Kathmandu",
        ])
        .prop_map(|name| zone(name).unwrap())
    }

    proptest! {
        #[test]
        fn it_is_the_first_instant_whose_clock_shows_that_time_or_later(
            zone in any_zone(),
            second in 0_i64..4_102_444_800,
        ) {
            let at = Timestamp::from_second(second).unwrap();
            let civil = zone.to_datetime(at);
            let first = first_reached(&zone, civil).unwrap();
            prop_assert!(first <= at);
            prop_assert!(zone.to_datetime(first) >= civil);
            let before = Timestamp::from_second(first.as_second() - 1).unwrap();
            prop_assert!(zone.to_datetime(before) < civil);
        }

        #[test]
        fn later_times_are_never_reached_earlier(
            zone in any_zone(),
            second in 0_i64..4_102_444_800,
            ahead in 0_i64..200_000,
        ) {
            let civil = |second| TimeZone::UTC.to_datetime(Timestamp::from_second(second).unwrap());
            let sooner = first_reached(&zone, civil(second)).unwrap();
            let later = first_reached(&zone, civil(second + ahead)).unwrap();
            prop_assert!(sooner <= later);
        }
    }
}
