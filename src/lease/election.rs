//! Whether a candidate may have the lease: decisions only, over what it has seen and when.
//!
//! Owns client-go's rule that a lease has run out only when *this* candidate has watched it stay
//! unchanged for its whole duration on its own monotonic clock. The instants that the lease
//! carries are for people: no two clocks are ever compared.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

/// What a lease says, as far as an election needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// `None` when it was released.
    pub(super) holder: Option<String>,
    /// Changes with each renewal; only ever compared with itself.
    renewed: Option<Timestamp>,
    transitions: Option<i32>,
    duration: Option<Duration>,
}

impl Record {
    pub(super) fn of(spec: &LeaseSpec) -> Self {
        let seconds = spec.lease_duration_seconds.map(u64::try_from);
        Self {
            holder: spec
                .holder_identity
                .clone()
                .filter(|holder| !holder.is_empty()),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions,
            duration: seconds.and_then(Result::ok).map(Duration::from_secs),
        }
    }
}

/// What a candidate has seen of the lease, and since when it looks like that.
#[derive(Debug, Default)]
pub(super) struct Sight {
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// `None` when there was no lease.
    record: Option<Record>,
    since: Instant,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// There is no lease: make it.
    Create,
    /// It is free, or has run out: take it.
    Take,
    /// It is ours already, by a write whose answer was lost.
    Renew,
    /// Somebody else holds it.
    Wait,
}

impl Sight {
    /// Notes what the lease looks like. `now` must be read *after* the answer has come: a record
    /// is as old as its first sight at most, never older.
    pub(super) fn note(&mut self, record: Option<Record>, now: Instant) {
        match &self.seen {
            Some(seen) if seen.record == record => {}
            _ => self.seen = Some(Seen { record, since: now }),
        }
    }

    /// The holder last seen.
    pub(super) fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.as_ref()?.holder.as_deref()
    }

    /// Decides for the candidate `me`; `duration` stands in where a lease states none.
    pub(super) fn decide(&self, me: &str, duration: Duration, now: Instant) -> Move {
        let Some(Seen { record, since }) = &self.seen else {
            return Move::Wait;
        };
        let Some(record) = record else {
            return Move::Create;
        };
        match &record.holder {
            None => Move::Take,
            Some(holder) if holder == me => Move::Renew,
            Some(_) if now >= *since + record.duration.unwrap_or(duration) => Move::Take,
            Some(_) => Move::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use proptest::prelude::*;

    use super::*;

    const OURS: Duration = Duration::from_secs(15);

    fn record(holder: &str, renewed: i64) -> Record {
        Record::of(&LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            lease_duration_seconds: Some(20),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn before_the_first_look_nothing_is_done() {
        assert_eq!(
            Sight::default().decide("me", OURS, Instant::now()),
            Move::Wait
        );
    }

    #[test]
    fn without_a_lease_it_is_created() {
        let now = Instant::now();
        let mut sight = Sight::default();
        sight.note(None, now);
        assert_eq!(sight.decide("me", OURS, now), Move::Create);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let now = Instant::now();
        for spec in [
            LeaseSpec::default(),
            LeaseSpec {
                holder_identity: Some(String::new()),
                ..LeaseSpec::default()
            },
        ] {
            let mut sight = Sight::default();
            sight.note(Some(Record::of(&spec)), now);
            assert_eq!(sight.decide("me", OURS, now), Move::Take);
            assert_eq!(sight.holder(), None);
        }
    }

    #[test]
    fn our_own_lease_is_renewed_however_old_it_is() {
        let now = Instant::now();
        let mut sight = Sight::default();
        sight.note(Some(record("me", 0)), now);
        assert_eq!(sight.decide("me", OURS, now), Move::Renew);
        assert_eq!(sight.decide("me", OURS, now + seconds(1000)), Move::Renew);
    }

    #[test]
    fn anothers_lease_is_taken_when_it_has_stood_still_for_its_own_duration() {
        let now = Instant::now();
        let mut sight = Sight::default();
        sight.note(Some(record("other", 7)), now);
        assert_eq!(sight.decide("me", OURS, now), Move::Wait);
        sight.note(Some(record("other", 7)), now + seconds(19));
        assert_eq!(
            sight.decide("me", OURS, now + Duration::from_millis(19_999)),
            Move::Wait
        );
        assert_eq!(sight.decide("me", OURS, now + seconds(20)), Move::Take);
    }

    #[test]
    fn a_renewal_starts_the_wait_again() {
        let now = Instant::now();
        let mut sight = Sight::default();
        sight.note(Some(record("other", 7)), now);
        sight.note(Some(record("other", 9)), now + seconds(19));
        assert_eq!(sight.decide("me", OURS, now + seconds(38)), Move::Wait);
        assert_eq!(sight.decide("me", OURS, now + seconds(39)), Move::Take);
    }

    #[test]
    fn instants_in_the_lease_are_never_compared_with_a_clock() {
        let now = Instant::now();
        for renewed in [-1_000_000, 0, 4_000_000_000] {
            let mut sight = Sight::default();
            sight.note(Some(record("other", renewed)), now);
            assert_eq!(sight.decide("me", OURS, now + seconds(19)), Move::Wait);
            assert_eq!(sight.decide("me", OURS, now + seconds(20)), Move::Take);
        }
    }

    #[test]
    fn a_lease_without_a_duration_or_with_nonsense_stands_for_ours() {
        let now = Instant::now();
        for nonsense in [None, Some(-5)] {
            let mut sight = Sight::default();
            let spec = LeaseSpec {
                holder_identity: Some("other".to_owned()),
                lease_duration_seconds: nonsense,
                ..LeaseSpec::default()
            };
            sight.note(Some(Record::of(&spec)), now);
            assert_eq!(sight.decide("me", OURS, now + seconds(14)), Move::Wait);
            assert_eq!(sight.decide("me", OURS, now + seconds(15)), Move::Take);
        }
    }

    proptest! {
        #[test]
        fn nobody_takes_a_lease_that_changed_within_its_duration(
            looks in prop::collection::vec((0_u64..30, 0_i64..4, prop::bool::ANY), 1..40),
        ) {
            let mut now = Instant::now();
            let mut sight = Sight::default();
            let mut changed: Option<(Instant, Record)> = None;
            for (pause, renewed, other) in looks {
                now += seconds(pause);
                let record = record(if other { "other" } else { "third" }, renewed);
                if changed.as_ref().is_none_or(|(_, last)| *last != record) {
                    changed = Some((now, record.clone()));
                }
                sight.note(Some(record), now);
                let stood = now - changed.as_ref().unwrap().0;
                let expected = if stood >= seconds(20) { Move::Take } else { Move::Wait };
                prop_assert_eq!(sight.decide("me", OURS, now), expected);
            }
        }
    }
}
