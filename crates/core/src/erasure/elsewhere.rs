//! Places outside the databases (Art. 19): whom the operator tells over HTTP, what a person does and
//! confirms, and when each of it is done.
//!
//! Pure: what was recorded and the time are arguments. A place is told at least once: until its
//! acceptance is recorded it is told again, for ever, and always as the same event. It must not take a
//! place for told that has not accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Confirmation;
use crate::api::erasure_request::{ConfirmedName, MAX_CONFIRMATIONS, PlaceStatus};
use crate::api::people::ViaName;
use crate::api::words::{Word, words};
use crate::backoff;
use crate::people::Elsewhere;

/// Places of one request at the most. Each may have to be confirmed, and other things, too, out of the
/// confirmations that a request takes.
pub const MAX_PLACES: usize = MAX_CONFIRMATIONS * 3 / 4;
/// From so many failures on people are asked, too: some five minutes of them.
pub const TROUBLE: i64 = 6;
/// The pause after the first failure.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause.
const MOST: Duration = Duration::from_hours(1);
/// Longest account of a failure, in characters.
const MAX_FAILURE: usize = 256;

words! {
    /// How a place stands.
    pub enum PlaceState {
        /// It is still to be told, or to be confirmed.
        Pending,
        /// It has accepted the event.
        Told,
        /// A person says that it is done.
        Done,
        /// A person says that nobody can tell it.
        Impossible,
        /// A person says that it would take disproportionate effort.
        Disproportionate,
    }
}

impl From<ConfirmedName> for PlaceState {
    fn from(confirmed: ConfirmedName) -> Self {
        match confirmed {
            ConfirmedName::Done => Self::Done,
            ConfirmedName::Impossible => Self::Impossible,
            ConfirmedName::Disproportionate => Self::Disproportionate,
        }
    }
}

impl PlaceState {
    /// As recorded; what this version does not know has not ended.
    pub fn of(place: &PlaceStatus) -> Self {
        let known = Self::ALL.iter().find(|(_, text)| *text == place.state);
        known.map_or(Self::Pending, |(state, _)| *state)
    }
}

/// Why a place cannot be told. Nothing may be erased before it is mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceFault {
    /// No target has its name.
    #[error(
        "no target in the operator's settings is called {place}, a place of the DataMap with via: \
         Webhook: have it declared there (targets), or write via: Manual and an owner"
    )]
    NoTarget {
        /// The place.
        place: String,
    },
    /// Two maps mean different things by one name.
    #[error(
        "DataMaps differ in how the place {place} is told: write the same via and owner in all of \
         them, or another name where another place is meant"
    )]
    Differs {
        /// The place.
        place: String,
    },
    /// More places than a request can record.
    #[error(
        "the DataMaps name {0} places, and {MAX_PLACES} are the most of one request: give places \
         with one owner one name"
    )]
    TooMany(usize),
}

/// How the places of a request stand, and what is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// What to record: every place, by its name.
    pub places: Vec<PlaceStatus>,
    /// Places to be told now; each is the name of a target.
    pub deliver: Vec<String>,
    /// When the next of the others is to be told.
    pub next_at: Option<Timestamp>,
    /// What somebody has to confirm, or, of a webhook in trouble, may.
    pub to_confirm: Vec<String>,
    /// What keeps places from being told.
    pub faults: Vec<PlaceFault>,
}

impl Look {
    /// Whether nothing is left to do.
    pub fn has_ended(&self) -> bool {
        let ended = |place| PlaceState::of(place) != PlaceState::Pending;
        self.faults.is_empty() && self.places.iter().all(ended)
    }
}

/// How a confirmation names a place.
pub fn item(place: &str) -> String {
    format!("elsewhere/{place}")
}

/// The id of the event that tells a place of a request: the same at each attempt, by which the recipient
/// knows a repetition. Neither a UID nor a place's name holds an underscore, and no full stop may be in
/// it, which separates the parts of what is signed.
pub fn event_id(request_uid: &str, place: &str) -> String {
    format!("{request_uid}_{place}")
}

/// Looks at the places of all maps together; maps that name one place mean one. `has_target`: whether
/// the operator's settings know a target. A place that was recorded stays one, though a map that named
/// it be changed since. What is to be recorded is recorded before anything is delivered, so that the time
/// of an event does not change.
pub fn look<'a>(
    maps: impl IntoIterator<Item = &'a Elsewhere>,
    has_target: impl Fn(&str) -> bool,
    confirmations: &[Confirmation],
    recorded: &[PlaceStatus],
    now: Timestamp,
) -> Look {
    let mut look = Look::default();
    let mut places: BTreeMap<&str, (Option<&str>, Option<&PlaceStatus>)> = BTreeMap::new();
    for place in recorded {
        places.insert(&place.name, (place.owner.as_deref(), Some(place)));
    }
    let mut named: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let mut differ: Vec<&str> = Vec::new();
    for place in maps {
        let owner = place.owner.as_deref();
        let first = *named.entry(&place.name).or_insert(owner);
        if first != owner && !differ.contains(&place.name.as_str()) {
            differ.push(&place.name);
        }
        places.entry(&place.name).or_default().0 = first;
    }
    if places.len() > MAX_PLACES {
        look.faults.push(PlaceFault::TooMany(places.len()));
    }
    for (name, (owner, recorded)) in places {
        let place = || name.to_owned();
        let fault = if differ.contains(&name) {
            Some(PlaceFault::Differs { place: place() })
        } else if owner.is_none() && !has_target(name) {
            Some(PlaceFault::NoTarget { place: place() })
        } else {
            None
        };
        let item = item(name);
        // A confirmation that corrects another one stands behind it.
        let confirmed = confirmations.iter().rfind(|one| one.item == item);
        look.add(name, owner, recorded, confirmed, fault, now);
    }
    look
}

impl Look {
    fn add(
        &mut self,
        name: &str,
        owner: Option<&str>,
        recorded: Option<&PlaceStatus>,
        confirmed: Option<&Confirmation>,
        fault: Option<PlaceFault>,
        now: Timestamp,
    ) {
        let mut place = standing(name, owner, recorded, now);
        let before = PlaceState::of(&place);
        // Whom only a person can tell, or nobody answers; what was confirmed once stays so.
        let asks = match before {
            PlaceState::Told => false,
            PlaceState::Pending => owner.is_some() || fault.is_some() || place.attempts >= TROUBLE,
            PlaceState::Done | PlaceState::Impossible | PlaceState::Disproportionate => true,
        };
        match confirmed.filter(|_| asks) {
            Some(one) => {
                place = PlaceStatus {
                    at: Some(one.at),
                    ..settled(place, one.outcome.into())
                };
            }
            None if before == PlaceState::Pending => {
                if asks {
                    self.to_confirm.push(item(name));
                }
                match fault {
                    Some(fault) => self.faults.push(fault),
                    None if owner.is_none() => self.schedule(&place, now),
                    None => {}
                }
            }
            None => {}
        }
        self.places.push(place);
    }

    fn schedule(&mut self, place: &PlaceStatus, now: Timestamp) {
        // And the second that an attempt waits for to begin.
        let most = MOST.saturating_add(Duration::from_secs(1));
        let most = SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX);
        match place.next_attempt_at {
            // Later than any pause: the clock was put back.
            Some(at) if at > now && at.duration_since(now) <= most => {
                self.next_at = Some(self.next_at.map_or(at, |next| next.min(at)));
            }
            Some(_) | None => self.deliver.push(place.name.clone()),
        }
    }
}

/// The place as recorded, under what the maps say today; one that is new is pending.
fn standing(
    name: &str,
    owner: Option<&str>,
    recorded: Option<&PlaceStatus>,
    now: Timestamp,
) -> PlaceStatus {
    let via = match owner {
        Some(_) => ViaName::Manual,
        None => ViaName::Webhook,
    };
    let recorded = recorded.cloned().unwrap_or_else(|| PlaceStatus {
        name: name.to_owned(),
        via: String::new(),
        owner: None,
        state: PlaceState::Pending.as_str().to_owned(),
        at: Some(now),
        attempts: 0,
        next_attempt_at: None,
        failure: None,
    });
    if PlaceState::of(&recorded) == PlaceState::Told {
        return recorded;
    }
    PlaceStatus {
        via: via.as_str().to_owned(),
        owner: owner.map(str::to_owned),
        ..recorded
    }
}

fn settled(place: PlaceStatus, state: PlaceState) -> PlaceStatus {
    PlaceStatus {
        state: state.as_str().to_owned(),
        next_attempt_at: None,
        failure: None,
        ..place
    }
}

/// The place after it has accepted the event.
#[must_use]
pub fn told(place: PlaceStatus, now: Timestamp) -> PlaceStatus {
    PlaceStatus {
        at: Some(now),
        ..settled(place, PlaceState::Told)
    }
}

/// The place after an attempt that failed, because of `why`. `jitter` is between 0 and 1. What has
/// ended meanwhile stays so.
#[must_use]
pub fn failed(place: PlaceStatus, why: &str, jitter: f64, now: Timestamp) -> PlaceStatus {
    if PlaceState::of(&place) != PlaceState::Pending {
        return place;
    }
    let attempts = place.attempts.saturating_add(1);
    let count = u32::try_from(attempts).unwrap_or(u32::MAX);
    let pause = backoff::pause(count, FIRST, MOST, jitter);
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    PlaceStatus {
        attempts,
        next_attempt_at: now.checked_add(pause).ok().and_then(upto_second),
        failure: Some(why.chars().take(MAX_FAILURE).collect()),
        ..place
    }
}

/// Who looks at a place does so in whole seconds: in the middle of one it would come too early, and be
/// told to come again at a time that had passed.
fn upto_second(at: Timestamp) -> Option<Timestamp> {
    let begun = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second() + begun).ok()
}

#[cfg(test)]
mod tests;
