//! Whether a request is carried out once more: its person is in a database again whose map says so, or
//! a database was restored to an instant before the erasure. Owns what is told of persons who are back.

use jiff::Timestamp;

use super::{Action, Deciding, Stage, meaning};
use crate::api::condition::{self, APPROVED, REAPPEARED, State};
use crate::api::erasure_request::{
    AgainReason, AgainStatus, MAX_MAPS, ReappearedStatus, RequestState,
};
use crate::api::reason::Reason;
use crate::decide::{Event, Verdict, whole_second};
use crate::erasure::Request;
use crate::erasure::again::round;

/// Rows of one map's tables that hold an identifier which the request has erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// Namespace and name of the DataMap.
    pub map: String,
    /// How many.
    pub rows: i64,
    /// Whether the map has the request carried out once more.
    pub again: bool,
}

/// What a look through one database has found of the request's person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Namespace and name of the TargetDatabase.
    pub database: String,
    /// When the look began.
    pub at: Timestamp,
    /// What it found.
    pub back: Vec<Back>,
}

impl Deciding<'_, '_> {
    /// Enters what was found since, and whether the request is to be carried out once more, which
    /// reopens one that has ended.
    pub(super) fn reopen(&mut self) {
        let wanted = self.enter_looks();
        self.tell_reappeared();
        if self.going_again().is_some() || !self.has_erased() || self.status.approval.is_none() {
            return;
        }
        let reason = if !self.o.lost.is_empty() {
            AgainReason::Restored
        } else if wanted && self.status.finished_at.is_some() {
            AgainReason::Reappeared
        } else {
            return;
        };
        let now = self.now();
        self.status.again = Some(AgainStatus {
            round: round(now),
            reason: reason.into(),
            begun_at: now,
            ended_at: None,
        });
        self.status.finished_at = None;
        self.set_state(RequestState::Erasing);
    }

    /// The next step of a request that is carried out once more; `None`: it is not.
    pub(super) fn again(&mut self, request: &Request) -> Option<Verdict> {
        let round = self.going_again()?.round.clone();
        self.set_state(RequestState::Erasing);
        if request.suspend {
            self.stop = Some(super::StopWhy::Suspended);
            return Some(meaning(Reason::Suspended));
        }
        if let Stage::Running = self.o.stage {
            return Some(meaning(Reason::ErasedAgain));
        }
        if let Some(verdict) = self.still_wrong() {
            return Some(verdict);
        }
        let maps = match self.o.maps {
            Ok(maps) => maps,
            Err(verdict) => return Some(self.fail(verdict.clone())),
        };
        if self.status.approval.is_none() {
            // It would change more than was approved.
            let plan = self.status.plan.clone()?;
            match self.weighed(request, &plan) {
                Ok(approved) => self.status.approval = Some(approved),
                Err(waits) => {
                    self.set_state(RequestState::AwaitingApproval);
                    self.tell(APPROVED, State::False, &waits);
                    return Some(waits);
                }
            }
            self.tell(APPROVED, State::True, &meaning(Reason::Approved));
        }
        let approved = self.status.approval.clone()?;
        let approved_under = self.status.plan.as_ref().and_then(|plan| plan.maps);
        self.action = Some(Action::Run {
            digest: approved.plan,
            // No row was allowed by what the maps say now: people see the plan, and allow that.
            max_rows: if approved_under == Some(maps) {
                approved.max_rows
            } else {
                0
            },
            approved_at: approved.approved_at,
            round,
        });
        Some(meaning(Reason::ErasedAgain))
    }

    /// It was carried out once more, to the end; whether rows were `changed`.
    pub(super) fn went_again(&mut self, changed: bool) {
        let now = self.now();
        let Some(again) = self.status.again.as_mut().filter(|a| a.ended_at.is_none()) else {
            return;
        };
        again.ended_at = Some(now);
        if changed {
            // The next look says what is there still.
            self.status.reappeared.clear();
        } else if again.reason.known() == Some(AgainReason::Reappeared) {
            // Nothing takes them away: they are told, and not tried again day by day.
            for one in &mut self.status.reappeared {
                one.left = one.rows;
            }
        }
        self.tell_reappeared();
    }

    /// What is kept of a request that has ended goes when its own time is over.
    pub(super) fn end_records(&mut self) {
        if self.o.digests_ended {
            self.status.digests = None;
        }
        if self.o.meta.deleting {
            return;
        }
        let (records, calendar) = self.o.records;
        let times = self.status.completed_at.zip(self.status.finished_at);
        let ends = times
            .and_then(|(completed, finished)| records.request_ends(completed, finished, calendar));
        if ends.is_some_and(|ends| ends <= self.o.now) {
            self.action = Some(Action::End);
        } else if let Some(kept) = self.status.digests.as_ref()
            && kept.ends_at <= self.o.now
        {
            self.action = Some(Action::EndDigests(kept.config_map.clone()));
        }
    }

    fn going_again(&self) -> Option<&AgainStatus> {
        let again = self.status.again.as_ref();
        again.filter(|again| again.ended_at.is_none())
    }

    /// Whether what was found is more than what was left the last time, in a map that has the request
    /// carried out once more.
    fn enter_looks(&mut self) -> bool {
        let mut wanted = false;
        let ended_at = self.status.again.as_ref().and_then(|again| again.ended_at);
        for looked in self.o.looked {
            let at = whole_second(looked.at);
            let (before, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.status.reappeared)
                .into_iter()
                .partition(|one| one.database == looked.database);
            self.status.reappeared = others;
            // What a look saw that began before it was carried out once more is gone by now.
            if self.going_again().is_some() || ended_at.is_some_and(|ended| at <= ended) {
                self.status.reappeared.extend(before);
                continue;
            }
            for back in looked.back.iter().filter(|back| back.rows > 0) {
                let known = before.iter().find(|one| one.map == back.map);
                let left = known.map_or(0, |one| one.left.min(back.rows));
                wanted |= back.again && back.rows > left;
                self.status.reappeared.push(ReappearedStatus {
                    map: back.map.clone(),
                    database: looked.database.clone(),
                    rows: back.rows,
                    left,
                    seen_at: known
                        .filter(|one| one.rows == back.rows)
                        .map_or(at, |one| one.seen_at),
                });
            }
        }
        self.status.reappeared.truncate(MAX_MAPS);
        wanted
    }

    fn tell_reappeared(&mut self) {
        if self.status.reappeared.is_empty() {
            condition::clear(&mut self.status.conditions, REAPPEARED);
            return;
        }
        let found = self.status.reappeared.iter();
        let found = found.map(|one| {
            let rows = if one.rows == 1 { "row" } else { "rows" };
            format!("{} {rows} in {} (map {})", one.rows, one.database, one.map)
        });
        let message = format!(
            "{}. {}",
            found.collect::<Vec<_>>().join(", "),
            Reason::Reappeared.remedy()
        );
        let mut before = self.o.status.conditions.iter();
        let said = before.any(|c| c.type_ == REAPPEARED && c.message == message);
        if !said {
            let event = Event::new(true, Reason::Reappeared, "Look", &message);
            self.news.push(event);
        }
        self.tell(
            REAPPEARED,
            State::True,
            &Verdict::new(Reason::Reappeared, message),
        );
    }
}
