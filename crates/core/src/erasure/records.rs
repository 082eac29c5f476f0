//! When what is recorded of a request ends: the records by their own retention, digests of identifiers
//! when no backup can bring the person back.
//!
//! It must not decide: it gives the instants, and whoever deletes compares them with now.

use jiff::Timestamp;

use crate::period::{Period, PeriodError};
use crate::settings::calendar::Calendar;
use crate::settings::records::Records;

impl Records {
    /// From when on a request that finished then goes, and its plan, certificate and digests with it.
    /// `None`: nothing ends them.
    pub fn end(
        &self,
        finished_at: Timestamp,
        calendar: &Calendar,
    ) -> Result<Option<Timestamp>, PeriodError> {
        after(self.retention, finished_at, calendar)
    }

    /// From when on a request goes: when its records end, and no backup can bring the person back any more
    /// who would be known by it. `None`: never, or the calendar ends before.
    pub fn request_ends(
        &self,
        completed_at: Timestamp,
        finished_at: Timestamp,
        calendar: &Calendar,
    ) -> Option<Timestamp> {
        let end = self.end(finished_at, calendar).ok()??;
        let backups = self.backups_end(completed_at, calendar).ok()?;
        Some(backups.map_or(end, |backups| backups.max(end)))
    }

    /// When the last backup has expired that is older than an erasure: until then the person may come
    /// back with a restored database, and the digests that recognise them are kept. `None`: nobody has
    /// said how long backups last, so digests have no end.
    pub fn backups_end(
        &self,
        erased_at: Timestamp,
        calendar: &Calendar,
    ) -> Result<Option<Timestamp>, PeriodError> {
        after(self.backups, erased_at, calendar)
    }
}

fn after(
    period: Option<Period>,
    began: Timestamp,
    calendar: &Calendar,
) -> Result<Option<Timestamp>, PeriodError> {
    period
        .map(|period| period.due(began, &calendar.zone))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::zone;

    fn records() -> Records {
        Records {
            retention: Some("P3Y".parse().unwrap()),
            backups: Some("P35D".parse().unwrap()),
        }
    }

    fn london() -> Calendar {
        Calendar {
            zone: zone("Europe/London").unwrap(),
            ..Calendar::default()
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn records_end_by_the_calendar_and_not_by_hours() {
        for (finished, end) in [
            ("2026-11-25T10:00:00Z", "2029-11-25T10:00:00Z"),
            // No such day: the last of the month.
            ("2028-02-29T10:00:00Z", "2031-02-28T10:00:00Z"),
            // In London it is the next day already.
            ("2026-06-30T23:30:00Z", "2029-06-30T23:30:00Z"),
        ] {
            assert_eq!(
                records().end(at(finished), &london()).unwrap(),
                Some(at(end))
            );
        }
    }

    #[test]
    fn digests_last_as_long_as_the_last_backup_from_before_the_erasure() {
        // The clocks go back in between: the same time of day.
        let end = records().backups_end(at("2026-10-01T09:00:00Z"), &london());
        assert_eq!(end.unwrap(), Some(at("2026-11-05T10:00:00Z")));
    }

    #[test]
    fn a_request_stays_for_as_long_as_a_backup_may_bring_its_person_back() {
        let (completed, finished) = (at("2026-10-01T09:00:00Z"), at("2026-10-03T09:00:00Z"));
        let of = |retention: &str| {
            let records = Records {
                retention: Some(retention.parse().unwrap()),
                ..records()
            };
            records.request_ends(completed, finished, &london())
        };
        assert_eq!(of("P60D"), Some(at("2026-12-02T10:00:00Z")));
        assert_eq!(of("P1D"), Some(at("2026-11-05T10:00:00Z")));
        let never = Records::default().request_ends(completed, finished, &london());
        assert_eq!(never, None);
    }

    #[test]
    fn what_nobody_has_set_has_no_end() {
        let (none, day) = (Records::default(), at("2026-11-25T10:00:00Z"));
        assert_eq!(none.end(day, &london()), Ok(None));
        assert_eq!(none.backups_end(day, &london()), Ok(None));
    }

    #[test]
    fn what_ends_after_the_calendar_is_an_error() {
        let last = at("9999-12-30T00:00:00Z");
        assert!(records().end(last, &london()).is_err());
    }
}
