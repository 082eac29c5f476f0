//! What follows once rows were erased: others are told, people confirm, a certificate is issued, the
//! person is answered, and what a duty kept goes later.

use super::Stage;
use super::{Action, Deciding, LOOK_AGAIN, meaning};
use jiff::Timestamp;

use crate::api::condition::{COMPLETE, ERASED, RESIDUE, State};
use crate::api::erasure_request::{
    DatabaseErasure, KeptStatus, MAX_CONFIRMATIONS, PlaceStatus, RequestOutcome as Outcome,
    RequestState,
};
use crate::api::reason::Reason;
use crate::api::words::Choice;
use crate::decide::Verdict;
use crate::decide::residue::residue;
use crate::erasure::outcome::{PlaceRun, kept};
use crate::erasure::{Request, elsewhere};

impl Deciding<'_, '_> {
    pub(super) fn erased(&mut self, runs: &[PlaceRun]) {
        let databases: Vec<DatabaseErasure> = runs.iter().map(PlaceRun::erasure).collect();
        // Of what stays in a database where it was not carried out once more, this says nothing.
        let beside = |one: &DatabaseErasure| !databases.iter().any(|now| now.map == one.map);
        let before = self.status.kept.take();
        let before = before.filter(|_| self.status.databases.iter().any(beside));
        let changed = databases.iter().any(|d| d.deleted + d.transformed > 0);
        self.went_again(changed);
        if self.status.databases.is_empty() || changed {
            // Another round has another certificate.
            self.status.certificate = None;
        }
        for database in databases {
            let mut before = self.status.databases.iter_mut();
            match before.find(|one| one.map == database.map) {
                // It stands there already: the status was written, and whoever wrote it did not hear of that,
                // or broke off before the job's end was let go.
                Some(before) if before.run == database.run => {}
                Some(before) => {
                    *before = DatabaseErasure {
                        deleted: before.deleted + database.deleted,
                        transformed: before.transformed + database.transformed,
                        ..database
                    }
                }
                None => self.status.databases.push(database),
            }
        }
        // A hold may be released, and a duty whose end nobody knows may get one, on any day; and what
        // did not go although its day has come is not tried again at once.
        let tomorrow = self.now() + LOOK_AGAIN;
        let both = [before, kept(runs)].into_iter().flatten();
        let both = both.reduce(|one, other| KeptStatus {
            rows: one.rows.max(other.rows),
            next_ends_at: one.next_ends_at.min(other.next_ends_at),
        });
        self.status.kept = both.map(|kept| KeptStatus {
            next_ends_at: Some(kept.next_ends_at.unwrap_or(tomorrow).max(tomorrow)),
            ..kept
        });
        if let Some((state, residue)) = residue(runs) {
            self.tell(RESIDUE, state, &residue);
        }
        self.tell(ERASED, State::True, &meaning(Reason::Erased));
        self.complete(if self.status.kept.is_some() {
            Outcome::ErasedInPart
        } else {
            Outcome::Erased
        });
        if self.status.kept.is_none() {
            // Of what was erased in part the rest has followed.
            self.status.outcome = Some(Outcome::Erased.into());
        }
    }

    pub(super) fn look(&self, request: &Request, recorded: &[PlaceStatus]) -> elsewhere::Look {
        let has = |name: &str| self.o.targets.iter().any(|target| target == name);
        let confirmed = &request.confirmations;
        elsewhere::look(self.o.elsewhere, has, confirmed, recorded, self.now())
    }

    /// Whether something was erased, of which others have to be told, and of which there is a certificate.
    pub(super) fn has_erased(&self) -> bool {
        let outcome = self.status.outcome.as_ref().and_then(Choice::known);
        matches!(outcome, Some(Outcome::Erased | Outcome::ErasedInPart))
    }

    /// Tells places outside the databases, and waits for what people confirm. A verdict while something
    /// of it is left.
    fn telling(&mut self, request: &Request) -> Option<Verdict> {
        for (name, answer) in self.o.told {
            let place = self
                .status
                .elsewhere
                .iter_mut()
                .find(|place| place.name == *name);
            if let Some(place) = place {
                *place = match answer {
                    Ok(()) => elsewhere::told(place.clone(), self.o.now),
                    Err(why) => elsewhere::failed(place.clone(), why, self.o.jitter, self.o.now),
                };
            }
        }
        let look = self.look(request, &self.status.elsewhere);
        let reviews = self
            .o
            .reviews
            .iter()
            .map(|column| format!("review/{column}"));
        let open = |item: &String| !request.confirmations.iter().any(|one| one.item == *item);
        let reviews: Vec<String> = reviews.filter(open).collect();
        let ended = look.has_ended() && reviews.is_empty();
        self.status.elsewhere.clone_from(&look.places);
        self.status.to_confirm = look.to_confirm.iter().cloned().chain(reviews).collect();
        self.status.to_confirm.truncate(MAX_CONFIRMATIONS);
        self.next_at = look.next_at;
        if ended {
            return None;
        }
        self.set_state(RequestState::Telling);
        if !look.deliver.is_empty() {
            self.action = Some(Action::Tell(look.deliver));
        }
        if self.status.to_confirm.is_empty() {
            return Some(meaning(Reason::Telling));
        }
        let message = format!(
            "to be confirmed: {}. {}",
            self.status.to_confirm.join(", "),
            Reason::AwaitingConfirmation.remedy()
        );
        Some(Verdict::new(Reason::AwaitingConfirmation, message))
    }

    /// What a duty kept goes when it has ended; it was approved with the rest, unless a map or a schema has
    /// changed since.
    fn next_round(&mut self, request: &Request, due: Timestamp) -> Option<Verdict> {
        let plan = self.status.plan.clone()?;
        self.set_state(RequestState::KeptInPart);
        if request.suspend {
            return Some(Verdict::new(
                Reason::Suspended,
                "nothing is searched or changed",
            ));
        }
        if let Err(verdict) = self.o.maps {
            return Some(
                self.still_wrong()
                    .unwrap_or_else(|| self.fail(verdict.clone())),
            );
        }
        if let Some(verdict) = self.still_wrong().or_else(|| self.lost_map()) {
            return Some(verdict);
        }
        if self.status.approval.is_none() {
            match self.weighed(request, &plan) {
                Ok(approved) => self.status.approval = Some(approved),
                Err(waits) => return Some(waits),
            }
        }
        let approved = self.status.approval.clone()?;
        self.action = Some(Action::Run {
            digest: approved.plan,
            max_rows: approved.max_rows,
            approved_at: approved.approved_at,
            round: format!("@{due}"),
        });
        Some(Verdict::new(
            Reason::Running,
            "what a duty or a hold kept goes, where that has ended",
        ))
    }

    /// What is left once nothing more is erased for now: others are told, the answer, and what a duty
    /// keeps.
    pub(super) fn after_completion(&mut self, request: &Request) -> Verdict {
        if let Some(verdict) = self.again(request) {
            return verdict;
        }
        if self.has_erased() {
            if let Some(verdict) = self.telling(request) {
                return verdict;
            }
            match self.o.certified {
                Some(Ok(certificate)) => self.status.certificate = Some(certificate.clone()),
                Some(Err(verdict)) => return self.fail(verdict.clone()),
                None => {}
            }
            if self.status.certificate.is_none() {
                if let Some(verdict) = self.still_wrong() {
                    return verdict;
                }
                self.action = Some(Action::Certify);
                return Verdict::new(Reason::Running, "the certificate is being issued");
            }
        }
        let kept = self.status.kept.clone().filter(|kept| kept.rows > 0);
        let reason = match self.status.outcome.as_ref().and_then(Choice::known) {
            _ if kept.is_some() => Reason::KeptInPart,
            Some(Outcome::NothingFound) => Reason::NothingFound,
            Some(
                Outcome::Refused | Outcome::NotIdentified | Outcome::NotOurs | Outcome::Withdrawn,
            ) => Reason::Closed,
            Some(Outcome::Erased | Outcome::ErasedInPart) | None => Reason::Erased,
        };
        self.tell(COMPLETE, State::from(kept.is_none()), &meaning(reason));
        if let Some(kept) = kept
            && let Stage::Running = self.o.stage
        {
            self.set_state(RequestState::KeptInPart);
            let message = format!(
                "{} rows that a duty or a hold kept are looked at again",
                kept.rows
            );
            return Verdict::new(Reason::Running, message);
        }
        if let Some(due) = self.status.kept.as_ref().and_then(|kept| kept.next_ends_at)
            && due <= self.o.now
            && let Some(verdict) = self.next_round(request, due)
        {
            return verdict;
        }
        if request.replied_at.is_none() {
            self.set_state(RequestState::AwaitingReply);
            return meaning(Reason::AwaitingReply);
        }
        if self.status.kept.is_some() {
            self.set_state(RequestState::KeptInPart);
            return meaning(Reason::KeptInPart);
        }
        match self.o.forgotten {
            Some(Ok(())) => {
                if let Some(kept) = self.o.digests {
                    self.status.digests = Some(kept.clone());
                }
            }
            Some(Err(verdict)) => return self.fail(verdict.clone()),
            None => {
                if let Some(verdict) = self.still_wrong() {
                    return verdict;
                }
                self.action = Some(Action::Forget);
                return Verdict::new(
                    Reason::Running,
                    "the person is being forgotten in the ledgers",
                );
            }
        }
        self.set_state(RequestState::Finished);
        self.status.finished_at = Some(self.now());
        Verdict::new(Reason::Completed, "the request has ended")
    }
}
