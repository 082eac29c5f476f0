//! Setting `metav1.Condition`s so that `lastTransitionTime` means what it says.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reason::Reason;

/// True when the resource does what it should: the summary. Waiting for people or for time is True.
pub const READY: &str = "Ready";
/// True while the controller is working towards the spec (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// True when nothing will happen until somebody changes something (kstatus: Failed).
pub const STALLED: &str = "Stalled";
/// True when the plan is approved, False while it waits for that; left out where nobody is asked.
pub const APPROVED: &str = "Approved";
/// True while a policy in mode Enforce does not keep what it promises in time, see
/// `KeepUpStatus`.
pub const FALLING_BEHIND: &str = "FallingBehind";
/// True in the last days of the time to answer a person.
pub const DUE_SOON: &str = "DueSoon";
/// True when the time to answer a person has passed without an answer.
pub const OVERDUE: &str = "Overdue";

/// True once the person, and whoever speaks for them, have proved what they must.
pub const IDENTIFIED: &str = "Identified";
/// True once it is known who is meant; False where nobody is, or nobody in particular.
pub const FOUND: &str = "Found";
/// True once everything is done in all databases, and another search found nothing else.
pub const ERASED: &str = "Erased";
/// True where what an erased person is known by is still found in texts, or some could not be searched;
/// left out where no DataMap asks for that search.
pub const RESIDUE: &str = "Residue";
/// True while rows hold an identifier again that was erased; left out otherwise.
pub const REAPPEARED: &str = "Reappeared";
/// True once nothing more is left to be erased; False while a duty keeps a part.
pub const COMPLETE: &str = "Complete";

/// Longest message of a condition; longer ones are cut at a character. (Event notes end at 1,024.)
pub const MAX_MESSAGE: usize = 4096;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `True`.
    True,
    /// `False`.
    False,
    /// `Unknown`.
    Unknown,
}

impl State {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for State {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets one condition in a list, keeping `lastTransitionTime` while its status stays the same.
/// The list stays sorted by type, so that writing it twice gives the same document.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    state: State,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let last_transition_time = conditions
        .iter()
        .find(|c| c.type_ == kind && c.status == state.as_str())
        .map_or(Time(now), |c| c.last_transition_time.clone());
    let condition = Condition {
        type_: kind.to_owned(),
        status: state.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: cut(message, MAX_MESSAGE).to_owned(),
        observed_generation: generation,
        last_transition_time,
    };
    conditions.retain(|c| c.type_ != kind);
    conditions.push(condition);
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// Takes a condition away: kstatus conditions are present only while they are True.
pub fn clear(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|c| c.type_ != kind);
}

/// Sets the three conditions that kstatus reads from one reason: `Ready` always, `Reconciling` and
/// `Stalled` only while they hold.
pub fn summarise(
    conditions: &mut Vec<Condition>,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    use super::reason::Standing;
    let standing = reason.standing();
    let ready = match standing {
        Standing::Well | Standing::Waiting => State::True,
        Standing::Working => State::Unknown,
        Standing::Retrying | Standing::Stalled => State::False,
    };
    set(conditions, READY, ready, reason, message, generation, now);
    for (kind, holds) in [
        (
            RECONCILING,
            matches!(standing, Standing::Working | Standing::Retrying),
        ),
        (STALLED, standing == Standing::Stalled),
    ] {
        if holds {
            set(
                conditions,
                kind,
                State::True,
                reason,
                message,
                generation,
                now,
            );
        } else {
            clear(conditions, kind);
        }
    }
}

/// The first `max` bytes of a text, cut between characters.
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    &text[..end]
}

/// Why a resource is not Ready; `None`: it is, or nobody knows yet.
pub fn not_ready(conditions: &[Condition]) -> Option<Reason> {
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == READY)?;
    if ready.status == "False" {
        Reason::named(&ready.reason)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_stays_while_the_status_stays() {
        let mut conditions = vec![];
        set(
            &mut conditions,
            READY,
            State::True,
            Reason::Scheduled,
            "a",
            Some(1),
            at(10),
        );
        set(
            &mut conditions,
            READY,
            State::True,
            Reason::Completed,
            "b",
            Some(2),
            at(20),
        );
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].reason, "Completed");
        assert_eq!(conditions[0].observed_generation, Some(2));
        set(
            &mut conditions,
            READY,
            State::False,
            Reason::RunFailed,
            "c",
            Some(2),
            at(30),
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn a_failure_is_stalled_for_kstatus_and_its_end_clears_it() {
        let mut conditions = vec![];
        summarise(&mut conditions, Reason::UnknownField, "m", None, at(1));
        let types: Vec<_> = conditions
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str()))
            .collect();
        assert_eq!(types, [("Ready", "False"), ("Stalled", "True")]);
        summarise(&mut conditions, Reason::Scheduled, "m", None, at(2));
        let types: Vec<_> = conditions
            .iter()
            .map(|c| (c.type_.as_str(), c.status.as_str()))
            .collect();
        assert_eq!(types, [("Ready", "True")]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
