//! Until when a person must be answered: one month by the counting of the United Kingdom's regulator,
//! and up to two more where the person was told in time.
//!
//! The month runs from the day on which it begins, whatever the hour and whether anybody works on it,
//! to the same date of the next month, or its last day where it has no such date; where nobody works on
//! that day, to the next working day. Only the answer ends it.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Extension, Request};
use crate::api::condition::{self, DUE_SOON, OVERDUE, State};
use crate::api::reason::Reason;
use crate::settings::calendar::Calendar;

/// The time to answer one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The day from which it is counted.
    pub from: Date,
    /// The last day without an extension.
    pub first: Date,
    /// The last day on which the person may be answered.
    pub last: Date,
    /// What became of the extension, where there is one.
    pub extension: Option<Extended>,
}

/// What became of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// The person was told in time.
    Counts,
    /// The person was told on that day, when the month had passed: it does not count.
    TooLate(Date),
}

impl Deadline {
    /// The time to answer a request; `None`: it has not begun, because a proof is missing.
    pub fn of(request: &Request, calendar: &Calendar) -> Option<Self> {
        let from = calendar.day(request.counts_from()?);
        let last = |months: u8| calendar.working_day_from(months_after(from, months));
        let first = last(1);
        let extended = |extension: Extension| {
            let told = calendar.day(extension.notified_at);
            if told <= first {
                (last(1 + extension.months), Extended::Counts)
            } else {
                (first, Extended::TooLate(told))
            }
        };
        let (last, extension) = match request.extension.map(extended) {
            None => (first, None),
            Some((last, extended)) => (last, Some(extended)),
        };
        Some(Self {
            from,
            first,
            last,
            extension,
        })
    }
}

/// The same date some months later, or that month's last day. Counted from the same start each time:
/// 31 January gives 28 February and 31 March.
fn months_after(day: Date, months: u8) -> Date {
    day.saturating_add(i32::from(months).months())
}

/// How things stand with the time to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A proof is missing.
    NotBegun,
    /// There is time.
    Running,
    /// The last days have begun.
    DueSoon,
    /// The last day has passed.
    Overdue,
    /// The person was answered.
    Answered {
        /// After the last day.
        late: bool,
    },
}

/// The time to answer a request, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// How things stand.
    pub standing: Standing,
    /// The time to answer; `None`: it has not begun.
    pub deadline: Option<Deadline>,
    /// When the standing is another one by itself, if nothing is written meanwhile.
    pub changes_at: Option<Timestamp>,
}

impl Clock {
    /// Looks at a request's time to answer. `soon`: how many days before the last one it is due soon.
    pub fn read(request: &Request, calendar: &Calendar, soon: u16, now: Timestamp) -> Self {
        let deadline = Deadline::of(request, calendar);
        let replied = request.replied_at.filter(|replied| *replied <= now);
        let standing = match (&deadline, replied) {
            (None, Some(_)) => Standing::Answered { late: false },
            (None, None) => Standing::NotBegun,
            (Some(deadline), Some(replied)) => Standing::Answered {
                late: calendar.day(replied) > deadline.last,
            },
            (Some(deadline), None) => {
                let today = calendar.day(now);
                if today > deadline.last {
                    Standing::Overdue
                } else if today >= soon_from(deadline, soon) {
                    Standing::DueSoon
                } else {
                    Standing::Running
                }
            }
        };
        let next = match (standing, &deadline) {
            (Standing::Running, Some(deadline)) => Some(soon_from(deadline, soon)),
            (Standing::DueSoon, Some(deadline)) => deadline.last.tomorrow().ok(),
            _ => None,
        };
        // An answer that is dated in the future counts from then on.
        let answered = request.replied_at.filter(|replied| *replied > now);
        let next = next.and_then(|day| calendar.begins(day));
        Self {
            standing,
            changes_at: next.into_iter().chain(answered).min(),
            deadline,
        }
    }

    /// Sets the conditions DueSoon and Overdue while they hold, and takes them away.
    pub fn condition(
        &self,
        conditions: &mut Vec<Condition>,
        generation: Option<i64>,
        now: Timestamp,
    ) {
        let told = self.reason().zip(self.message());
        for (kind, of) in [(DUE_SOON, Reason::DueSoon), (OVERDUE, Reason::Overdue)] {
            match &told {
                Some((reason, message)) if *reason == of => {
                    condition::set(conditions, kind, State::True, of, message, generation, now);
                }
                _ => condition::clear(conditions, kind),
            }
        }
    }

    /// What somebody has to be told of; `None`: nothing.
    pub fn reason(&self) -> Option<Reason> {
        match self.standing {
            Standing::DueSoon => Some(Reason::DueSoon),
            Standing::Overdue => Some(Reason::Overdue),
            Standing::NotBegun | Standing::Running | Standing::Answered { .. } => None,
        }
    }

    /// When the time to answer ends; `None`: it has not begun, or the person was answered.
    pub fn ends_at(&self, calendar: &Calendar) -> Option<Timestamp> {
        match self.standing {
            Standing::Running | Standing::DueSoon | Standing::Overdue => {
                calendar.begins(self.deadline.as_ref()?.last.tomorrow().ok()?)
            }
            Standing::NotBegun | Standing::Answered { .. } => None,
        }
    }

    /// The time to answer in words; `None`: it has not begun.
    pub fn message(&self) -> Option<String> {
        let Deadline {
            from,
            first,
            last,
            extension,
        } = self.deadline.as_ref()?;
        let text = match self.standing {
            Standing::Overdue => {
                format!("the person has not been answered, and {last} was the last day")
            }
            Standing::Answered { late: true } => {
                format!("the person was answered after {last}, the last day")
            }
            Standing::Answered { late: false } => {
                format!("the person was answered in time: {last} was the last day")
            }
            Standing::NotBegun | Standing::Running | Standing::DueSoon => {
                format!("{last} is the last day to answer the person")
            }
        };
        let extension = match extension {
            None => String::new(),
            Some(Extended::Counts) => " with the extension".to_owned(),
            Some(Extended::TooLate(told)) => format!(
                "; the extension does not count, because the person was told of it on {told}, after \
                 {first}"
            ),
        };
        Some(format!("{text}, counted from {from}{extension}"))
    }
}

/// From which day on it is due soon.
fn soon_from(deadline: &Deadline, soon: u16) -> Date {
    deadline.last.saturating_sub(i32::from(soon).days())
}

#[cfg(test)]
mod tests;
