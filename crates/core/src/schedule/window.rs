//! Windows of time in which work may be done: each opens whenever its schedule fires, and stays open
//! for a duration.
//!
//! Open at `t` means: some firing `f` with `f <= t < f + duration`. Windows that overlap or touch are
//! one; a duration that is longer than the time between two firings means always open. The duration is
//! time that passes, not what clocks show: a window that opens at 22:00 for 8 hours closes at 07:00 in
//! the night in which clocks go forward.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Schedule;

/// How many windows are joined to one by one look.
const JOINED: usize = 64;

/// How many stretches of open time are added up; the rest is taken to be like them.
const ADDED: usize = 512;

/// One window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkWindow {
    opens: Schedule,
    lasts: SignedDuration,
}

impl WorkWindow {
    /// Opens when the schedule fires, for so long.
    pub fn new(opens: Schedule, lasts: Duration) -> Self {
        Self {
            opens,
            lasts: SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX),
        }
    }

    /// When it closes, where it is open at `t`.
    fn closes(&self, t: Timestamp) -> Option<Timestamp> {
        let before = t.checked_sub(self.lasts).unwrap_or(Timestamp::MIN);
        let opened = self.opens.latest_in(before, t)?;
        Some(opened.checked_add(self.lasts).unwrap_or(Timestamp::MAX))
    }
}

/// All windows of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkWindows(Vec<WorkWindow>);

impl WorkWindows {
    /// No windows: open at any time.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// These; none means open at any time.
    pub fn new(windows: Vec<WorkWindow>) -> Self {
        Self(windows)
    }

    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether work may be done at `t`.
    pub fn is_open(&self, t: Timestamp) -> bool {
        !self.are_any() || self.closes(t).is_some()
    }

    /// The first instant from `t` on at which work may be done. `None` only after the year 2100.
    pub fn opens(&self, t: Timestamp) -> Option<Timestamp> {
        if self.is_open(t) {
            return Some(t);
        }
        self.0.iter().filter_map(|w| w.opens.next_after(t)).min()
    }

    /// Until when it stays open from `t` on, at which it is open. After many short windows that follow
    /// each other, as far as was looked: whether it is still open then is asked then.
    pub fn open_until(&self, t: Timestamp) -> Timestamp {
        if !self.are_any() {
            return Timestamp::MAX;
        }
        let mut until = t;
        for _ in 0..JOINED {
            match self.closes(until) {
                Some(later) => until = later,
                None => break,
            }
        }
        until
    }

    /// For how long work may be done between two instants.
    pub fn open_between(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let all = to.duration_since(from).max(SignedDuration::ZERO);
        if !self.are_any() {
            return all;
        }
        let mut open = SignedDuration::ZERO;
        let mut at = from;
        for _ in 0..ADDED {
            let Some(opens) = self.opens(at).filter(|opens| *opens < to) else {
                return open;
            };
            at = self.open_until(opens).min(to);
            open = open.saturating_add(at.duration_since(opens));
        }
        let looked = at.duration_since(from).as_secs_f64();
        let share = open.as_secs_f64() / looked.max(1.0);
        SignedDuration::try_from_secs_f64(all.as_secs_f64() * share).unwrap_or(open)
    }

    /// The latest of the windows' ends, where any is open at `t`.
    fn closes(&self, t: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|w| w.closes(t)).max()
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(expression: &str, zone: &str, seconds: u64) -> WorkWindow {
        let schedule = Schedule::parse(expression, TimeZone::get(zone).unwrap()).unwrap();
        WorkWindow::new(schedule, Duration::from_secs(seconds))
    }

    fn nightly() -> WorkWindows {
        WorkWindows::new(vec![window("0 22 * * *", "Europe/London", 8 * 3_600)])
    }

    #[test]
    fn without_windows_it_is_always_open() {
        let now = at("2026-01-10T12:00:00Z");
        let none = WorkWindows::NONE;
        assert!(none.is_open(now) && !none.are_any());
        assert_eq!(none.opens(now), Some(now));
        assert_eq!(none.open_until(now), Timestamp::MAX);
        let later = at("2026-01-10T13:00:00Z");
        assert_eq!(none.open_between(now, later), SignedDuration::from_hours(1));
    }

    #[test]
    fn it_is_open_from_its_firing_to_the_instant_before_its_end() {
        let nightly = nightly();
        for (instant, open) in [
            ("2026-01-10T21:59:59.999Z", false),
            ("2026-01-10T22:00:00Z", true),
            ("2026-01-11T05:59:59.999Z", true),
            ("2026-01-11T06:00:00Z", false),
        ] {
            assert_eq!(nightly.is_open(at(instant)), open, "{instant}");
        }
        let noon = at("2026-01-10T12:00:00Z");
        assert_eq!(nightly.opens(noon), Some(at("2026-01-10T22:00:00Z")));
        let midnight = at("2026-01-11T00:00:00Z");
        assert_eq!(nightly.opens(midnight), Some(midnight));
        assert_eq!(nightly.open_until(midnight), at("2026-01-11T06:00:00Z"));
        assert_eq!(
            nightly.open_between(noon, at("2026-01-12T12:00:00Z")),
            SignedDuration::from_hours(16)
        );
    }

    #[test]
    fn in_the_nights_in_which_clocks_change_a_window_lasts_as_long_as_in_others() {
        let nightly = nightly();
        // Forward at 01:00 UTC: from 22:00 GMT to 07:00 BST.
        assert_eq!(
            nightly.open_until(at("2026-03-28T22:00:00Z")),
            at("2026-03-29T06:00:00Z")
        );
        assert_eq!(
            nightly.opens(at("2026-03-29T12:00:00Z")),
            Some(at("2026-03-29T21:00:00Z"))
        );
        // Back at 01:00 UTC: from 22:00 BST to 05:00 GMT.
        assert_eq!(
            nightly.open_until(at("2026-10-24T21:00:00Z")),
            at("2026-10-25T05:00:00Z")
        );
        // One in the hour that is shown twice opens once, in its first pass.
        let twice = WorkWindows::new(vec![window("30 1 * * *", "Europe/London", 600)]);
        let night = at("2026-10-25T00:00:00Z");
        assert_eq!(twice.opens(night), Some(at("2026-10-25T00:30:00Z")));
        assert!(!twice.is_open(at("2026-10-25T01:35:00Z")));
        // One in the hour that is skipped opens at the first instant after it.
        let skipped = at("2026-03-29T00:00:00Z");
        assert_eq!(twice.opens(skipped), Some(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn windows_that_overlap_or_touch_are_one() {
        let both = WorkWindows::new(vec![
            window("0 22 * * *", "Etc/UTC", 3 * 3_600),
            window("0 1 * * *", "Etc/UTC", 3_600),
            window("30 0 * * *", "Etc/UTC", 600),
        ]);
        let evening = at("2026-01-10T22:00:00Z");
        assert_eq!(both.open_until(evening), at("2026-01-11T02:00:00Z"));
        let always = WorkWindows::new(vec![window("0 * * * *", "Etc/UTC", 3_600)]);
        assert!(always.open_until(evening) > at("2026-01-13T00:00:00Z"));
        assert!(always.is_open(always.open_until(evening)));
    }

    #[test]
    fn what_many_short_windows_come_to_is_not_added_up_one_by_one() {
        let often = WorkWindows::new(vec![window("* * * * *", "Etc/UTC", 20)]);
        let from = at("2026-01-10T00:00:00Z");
        let open = often.open_between(from, at("2026-01-13T00:00:00Z"));
        let expected = SignedDuration::from_hours(24).as_secs();
        assert!((open.as_secs() - expected).abs() < 120, "{open:?}");
    }

    fn any_windows() -> impl Strategy<Value = Vec<(&'static str, &'static str, u64)>> {
        let expression = prop::sample::select(vec![
            "0 22 * * *",
            "30 1 * * *",
            "*/20 * * * *",
            "0 0-6 * * 1-5",
            "15 2 1 * *",
            "0 12 * * 0",
        ]);
        let zone = prop::sample::select(vec![
            "Europe/London",
            "Etc/UTC",
            "America/New_York",
            "Australia/Lord_Howe",
        ]);
        prop::collection::vec((expression, zone, 1_u64..90_000), 1..4)
    }

    /// The definition, read from one firing to the next.
    fn is_open_by_definition(windows: &[(&str, &str, u64)], t: Timestamp) -> bool {
        windows.iter().any(|(expression, zone, seconds)| {
            let schedule = window(expression, zone, *seconds).opens;
            let lasts = SignedDuration::from_secs(i64::try_from(*seconds).unwrap());
            let mut firing = schedule.next_after(t - lasts - SignedDuration::from_hours(3));
            while let Some(f) = firing.filter(|f| *f <= t) {
                if t < f + lasts {
                    return true;
                }
                firing = schedule.next_after(f);
            }
            false
        })
    }

    proptest! {
        /// Around the nights in which clocks change, among others.
        #[test]
        fn open_is_what_the_definition_says(
            windows in any_windows(),
            base in prop::sample::select(vec![1_774_742_400_i64, 1_792_886_400, 1_793_491_200, 1_775_260_800]),
            offset in -90_000_i64..180_000,
        ) {
            let t = Timestamp::from_second(base + offset).unwrap();
            let all = WorkWindows::new(windows.iter().map(|(e, z, s)| window(e, z, *s)).collect());
            prop_assert_eq!(all.is_open(t), is_open_by_definition(&windows, t));
        }

        #[test]
        fn between_an_instant_and_the_next_opening_it_is_closed_and_until_its_end_open(
            windows in any_windows(),
            offset in -90_000_i64..180_000,
            part in 0.0_f64..1.0,
        ) {
            let t = Timestamp::from_second(1_774_742_400 + offset).unwrap();
            let all = WorkWindows::new(windows.iter().map(|(e, z, s)| window(e, z, *s)).collect());
            let opens = all.opens(t).unwrap();
            prop_assert!(opens >= t && all.is_open(opens));
            let between = |from: Timestamp, to: Timestamp| {
                from + SignedDuration::from_secs_f64(to.duration_since(from).as_secs_f64() * part)
            };
            if opens > t {
                prop_assert!(!all.is_open(between(t, opens)));
            }
            let until = all.open_until(opens);
            prop_assert!(until > opens);
            prop_assert!(all.is_open(between(opens, until)));
            let open = all.open_between(t, until);
            prop_assert!(open <= until.duration_since(t) && open >= until.duration_since(opens));
        }
    }
}
