//! What a request needs next: proof, a search, people, the work itself, an answer; and its whole status.

mod after;
mod again;
mod duplicates;

pub use again::{Back, Looked};
pub use duplicates::passed_by;

use std::time::Duration;

use jiff::Timestamp;

use super::approval::{Filed, Planned, weigh};
use super::job::StopWhy;
use super::retention_policy::whole_second;
use super::retry::Failures;
use super::{Event, Meta, Verdict, of_faults};
use crate::api::condition::{self, APPROVED, FOUND, IDENTIFIED, READY, State};
use crate::api::erasure_request::{
    CertificateStatus, CloseName, DigestsStatus, DuplicateStatus, ErasureRequestStatus,
    RequestOutcome as Outcome, RequestPlan, RequestState,
};
use crate::api::parse::FieldError;
use crate::api::reason::Reason;
use crate::api::retention_policy::ApprovalStatus;
use crate::approval::{ApprovalGuard, Asks, Decision as Ruled, DryRunGuard, Ruling};
use crate::digest::Digest;
use crate::erasure::Request;
use crate::erasure::deadline::Clock;
use crate::erasure::outcome::{RequestOutcome, RequestReport};
use crate::people::Elsewhere;
use crate::settings::calendar::Calendar;
use crate::settings::records::Records;

/// How often a request that waits is looked at.
const LOOK_EVERY: Duration = Duration::from_mins(5);

/// How soon at the earliest rows are looked at again that had to stay.
const LOOK_AGAIN: Duration = Duration::from_hours(24);

/// How far the request's job is.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// There is none.
    Idle,
    /// It is under way.
    Running,
    /// At its end.
    Finished(&'a RequestOutcome),
}

/// What the controller found.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// What its metadata tells.
    pub meta: Meta<'a>,
    /// Whether its namespace is being deleted, and so everything in it.
    pub ending: bool,
    /// What the spec says, or what is wrong with it.
    pub spec: Result<&'a Request, &'a [FieldError]>,
    /// The status as stored.
    pub status: &'a ErasureRequestStatus,
    /// The maps that it is about: a digest of what they say, or why there are none.
    pub maps: Result<Digest, &'a Verdict>,
    /// Their UIDs.
    pub map_uids: &'a [String],
    /// Maps of other namespaces that it could be about, and is not because nobody has named them.
    pub passed_by: &'a [String],
    /// Whether one of the databases asks for four eyes.
    pub four_eyes: bool,
    /// The Approvals of its name.
    pub approvals: &'a [Filed],
    /// Its job.
    pub stage: Stage<'a>,
    /// The time to answer.
    pub clock: &'a Clock,
    /// Places outside the databases, of all maps.
    pub elsewhere: &'a [Elsewhere],
    /// The targets that the operator's settings know.
    pub targets: &'a [String],
    /// What places have answered since they were last decided about.
    pub told: &'a [(String, Result<(), String>)],
    /// Columns that somebody has to look at: entry and column.
    pub reviews: &'a [String],
    /// The certificate, once it is issued and kept, or why not. `None`: that was not tried.
    pub certified: Option<Result<&'a CertificateStatus, &'a Verdict>>,
    /// Whether the ledgers have forgotten the person and the Secret is gone, or why not. `None`: that
    /// was not tried.
    pub forgotten: Option<Result<(), &'a Verdict>>,
    /// Where the digests of what was erased are kept since the person is forgotten.
    pub digests: Option<&'a DigestsStatus>,
    /// What looks through databases have found of the person, those since the operator has begun.
    pub looked: &'a [Looked],
    /// Databases that were restored to an instant before its erasure.
    pub lost: &'a [String],
    /// Other requests about the same person.
    pub duplicates: &'a [DuplicateStatus],
    /// How long records of it are kept, and by which days that is counted.
    pub records: (&'a Records, &'a Calendar),
    /// Whether its digests have just been taken out of their ConfigMap.
    pub digests_ended: bool,
    /// What is remembered of failures.
    pub failures: Failures,
    /// Between 0 and 1, new each time.
    pub jitter: f64,
    /// The clock.
    pub now: Timestamp,
}

/// What is to be begun, once the status is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for the person and plan.
    Plan,
    /// Carry out what was allowed, or go on with it.
    Run {
        /// The plan.
        digest: Digest,
        /// Most rows.
        max_rows: i64,
        /// When the oldest Approval was made.
        approved_at: Option<Timestamp>,
        /// Tells this round of what a duty kept from others; empty: the first.
        round: String,
    },
    /// Tell these places.
    Tell(Vec<String>),
    /// Issue the certificate, and keep it.
    Certify,
    /// Forget the person in the ledgers, and delete the Secret.
    Forget,
    /// Empty the ConfigMap of that name: the digests in it have ended.
    EndDigests(String),
    /// Delete the request, and with it what was made for it: its records have ended.
    End,
}

/// What to do, and what to tell.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What is to be begun.
    pub action: Option<Action>,
    /// Why a job under way is to stop.
    pub stop: Option<StopWhy>,
    /// The plan that is to be shown in the ErasurePlan, where it is a new one.
    pub plan: Option<RequestReport>,
    /// The whole status.
    pub status: ErasureRequestStatus,
    /// Whether the object must stay until the request has ended.
    pub holds: bool,
    /// Events, each once.
    pub events: Vec<Event>,
    /// What to remember of failures.
    pub failures: Failures,
    /// What failed.
    pub failed: Option<Reason>,
    /// When the time to answer ends, while the person is not answered.
    pub due_at: Option<Timestamp>,
    /// When to look again at the latest.
    pub requeue_after: Duration,
}

/// Decides.
pub fn decide(o: &Observed<'_>) -> Decision {
    let mut deciding = Deciding {
        o,
        status: o.status.clone(),
        action: None,
        stop: None,
        plan: None,
        failures: o.failures,
        next_at: None,
        news: Vec::new(),
    };
    let verdict = deciding.verdict();
    deciding.conclude(&verdict)
}

struct Deciding<'o, 'a> {
    o: &'o Observed<'a>,
    status: ErasureRequestStatus,
    action: Option<Action>,
    stop: Option<StopWhy>,
    plan: Option<RequestReport>,
    failures: Failures,
    /// When a place is to be told again.
    next_at: Option<Timestamp>,
    /// Events beside what Ready tells.
    news: Vec<Event>,
}

impl Deciding<'_, '_> {
    fn verdict(&mut self) -> Verdict {
        if self.status.completed_at.is_some() {
            self.reopen();
        }
        if self.status.finished_at.is_some() {
            self.end_records();
            return Verdict::new(Reason::Completed, "the request has ended");
        }
        if self.o.ending && self.status.begun_at.is_some() {
            return self.abandon();
        }
        let request = match self.o.spec {
            Ok(request) => request,
            Err(faults) => {
                self.stop = Some(StopWhy::SpecInvalid);
                return of_faults(faults);
            }
        };
        if let Stage::Finished(outcome) = self.o.stage
            && let Some(verdict) = self.take(outcome)
        {
            return verdict;
        }
        let begun = self.status.begun_at.is_some();
        if let Some(close) = request.close.as_ref().filter(|_| !begun) {
            self.stop = Some(StopWhy::SpecChanged);
            let outcome = match close.outcome {
                CloseName::Refused => Outcome::Refused,
                CloseName::NotIdentified => Outcome::NotIdentified,
                CloseName::NotOurs => Outcome::NotOurs,
                CloseName::Withdrawn => Outcome::Withdrawn,
            };
            self.complete(outcome);
        }
        if self.o.meta.deleting && !begun {
            self.stop = Some(StopWhy::Deleted);
            self.complete(Outcome::Withdrawn);
            self.status.finished_at = Some(self.now());
            return Verdict::new(Reason::Closed, "it was deleted before anything was erased");
        }
        if self.status.completed_at.is_some() {
            return self.after_completion(request);
        }
        if request.suspend {
            self.stop = Some(StopWhy::Suspended);
            return Verdict::new(Reason::Suspended, "nothing is searched or changed");
        }
        if !begun && !request.is_identified() {
            self.set_state(RequestState::AwaitingIdentity);
            let waits = meaning(Reason::AwaitingIdentity);
            self.tell(IDENTIFIED, State::False, &waits);
            return waits;
        }
        self.tell(IDENTIFIED, State::True, &meaning(Reason::Identified));
        let maps = match self.o.maps {
            Ok(maps) => maps,
            Err(verdict) => return self.fail(verdict.clone()),
        };
        // Before anything is erased: a place that nobody can tell would be passed over.
        let places = self.look(request, &[]);
        if let Some(fault) = places.faults.first().filter(|_| !begun) {
            return Verdict::new(Reason::PlacesUnfit, fault.to_string());
        }
        if let Stage::Running = self.o.stage {
            return self.under_way();
        }
        if let Some(verdict) = self.still_wrong() {
            return verdict;
        }
        self.next(request, maps)
    }

    /// Ends what was begun: nothing that it needs, and nothing that it would write, outlives its namespace.
    fn abandon(&mut self) -> Verdict {
        self.stop = Some(StopWhy::Deleted);
        if let Stage::Running = self.o.stage {
            return Verdict::new(Reason::Running, "its namespace is being deleted: it stops");
        }
        if self.o.forgotten.is_none() && self.o.spec.is_ok() {
            self.action = Some(Action::Forget);
            return Verdict::new(
                Reason::Running,
                "its namespace is being deleted: the ledgers forget the person",
            );
        }
        self.set_state(RequestState::Finished);
        self.status.finished_at = Some(self.now());
        let mut message =
            "its namespace is being deleted: what was not erased by then stays".to_owned();
        if let Some(Err(why)) = self.o.forgotten {
            message.push_str("; a ledger may still know the person: ");
            message.push_str(&why.message);
        }
        Verdict::new(Reason::Abandoned, message)
    }

    fn now(&self) -> Timestamp {
        whole_second(self.o.now)
    }

    fn set_state(&mut self, state: RequestState) {
        self.status.state = Some(state.into());
    }

    fn under_way(&mut self) -> Verdict {
        if self.status.begun_at.is_some() {
            self.set_state(RequestState::Erasing);
            return Verdict::new(Reason::Running, "rows are being erased");
        }
        self.set_state(RequestState::Finding);
        meaning(Reason::Finding)
    }

    /// What was found wrong last is told until it is tried again.
    fn still_wrong(&self) -> Option<Verdict> {
        if self.failures.count == 0 || self.failures.is_over(self.o.now) {
            return None;
        }
        let ready = self.status.conditions.iter().find(|c| c.type_ == READY)?;
        Some(Verdict::new(Reason::named(&ready.reason)?, &ready.message))
    }

    fn fail(&mut self, verdict: Verdict) -> Verdict {
        self.failures = self
            .failures
            .and_one(verdict.reason, self.o.jitter, self.o.now);
        verdict
    }

    /// The next step of a request that is not complete.
    fn next(&mut self, request: &Request, maps: Digest) -> Verdict {
        let begun = self.status.begun_at.is_some();
        if let Some(verdict) = self.lost_map() {
            return verdict;
        }
        let plan = self.status.plan.clone();
        let Some(plan) = plan.filter(|plan| begun || plan.maps == Some(maps)) else {
            self.action = Some(Action::Plan);
            return self.under_way();
        };
        if !begun {
            self.tell_found(plan.databases);
        }
        if plan.databases == 0 {
            self.complete(Outcome::NothingFound);
            return self.after_completion(request);
        }
        let approved = match self.weighed(request, &plan) {
            Ok(approved) => approved,
            // What has begun is carried to its end: half of a person is nobody's wish.
            Err(waits) => {
                let Some(approved) = self.status.approval.clone().filter(|_| begun) else {
                    self.set_state(RequestState::AwaitingApproval);
                    self.tell(APPROVED, State::False, &waits);
                    return waits;
                };
                approved
            }
        };
        self.tell(APPROVED, State::True, &meaning(Reason::Approved));
        self.action = Some(Action::Run {
            digest: approved.plan,
            max_rows: approved.max_rows,
            approved_at: approved.approved_at,
            round: String::new(),
        });
        self.status.approval = Some(approved);
        let now = self.now();
        self.status.begun_at.get_or_insert(now);
        self.under_way()
    }

    /// What was begun is not complete without every map that it was planned with.
    fn lost_map(&mut self) -> Option<Verdict> {
        self.status.begun_at?;
        let plan = self.status.plan.as_ref()?;
        let here = |uid: &&String| self.o.map_uids.contains(uid);
        let lost = plan.map_uids.iter().find(|uid| !here(uid))?;
        let message = format!(
            "the DataMap of UID {lost}, by which the request was planned and begun, is gone, or the \
             request may not use it any more: the person's rows in its database cannot be erased by \
             this request. Let the request use it again; where it was deleted, file another \
             ErasureRequest, which is planned by the maps that exist now"
        );
        Some(self.fail(Verdict::new(Reason::NoMap, message)))
    }

    /// What the Approvals come to. Where four eyes are asked for, whoever filed the request is one pair
    /// of them and cannot be the other.
    fn weighed(&self, request: &Request, plan: &RequestPlan) -> Result<ApprovalStatus, Verdict> {
        // What holds it up counts from everybody.
        let own = |ruling: &Ruling| {
            ruling.decision == Ruled::Approve && ruling.by == request.requested_by
        };
        let counts = |filed: &&Filed| !(self.o.four_eyes && filed.ruling.as_ref().is_ok_and(own));
        let filed: Vec<Filed> = self.o.approvals.iter().filter(counts).cloned().collect();
        let asks = Asks {
            approval: ApprovalGuard::Required,
            dry_run: DryRunGuard::None,
        };
        let planned = Planned {
            digest: &plan.digest,
            parts: None,
            rows: Some(plan.rows()),
            loosened: &[],
        };
        weigh(
            asks,
            self.o.meta.uid,
            &planned,
            &filed,
            self.status.approval.as_ref(),
        )
    }

    /// Takes the end of a job. A verdict where nothing follows for now.
    fn take(&mut self, outcome: &RequestOutcome) -> Option<Verdict> {
        match outcome {
            RequestOutcome::Planned(report) => {
                self.failures = Failures::default();
                self.planned(report);
                None
            }
            RequestOutcome::Doubtful { map, role, doubt } => {
                let remedy = Reason::Ambiguous.remedy();
                let message = format!("{map}, role {role}: {doubt}. {remedy}");
                let doubt = Verdict::new(Reason::Ambiguous, message);
                self.tell(FOUND, State::False, &doubt);
                Some(self.fail(doubt))
            }
            RequestOutcome::Refused { report, refusals } => {
                let told: Vec<String> = refusals.iter().map(|(map, r)| told(map, r)).collect();
                let reason = refusals
                    .first()
                    .map_or(Reason::RunFailed, |(_, r)| r.reason);
                // The plan that was looked at is not the one that was approved: people see the new one.
                let void = reason == Reason::ApprovalVoid && report.is_some();
                if let Some(report) = report {
                    // Nothing was begun, whatever was meant to be.
                    self.status.begun_at = None;
                    // A plan in which a database is missing is none: nobody must approve it.
                    self.status.plan = None;
                    if void {
                        self.planned(report);
                    }
                }
                if void {
                    return None;
                }
                Some(self.fail(Verdict::new(reason, told.join("\n"))))
            }
            RequestOutcome::Outdated(report) => {
                self.failures = Failures::default();
                // People see what is to be done now, and allow that.
                self.status.approval = None;
                self.shown(report);
                None
            }
            RequestOutcome::Erased(runs) => {
                self.failures = Failures::default();
                self.erased(runs);
                None
            }
            RequestOutcome::Stopped(StopWhy::WindowClosed) => {
                Some(self.fail(meaning(Reason::WindowClosed)))
            }
            RequestOutcome::Stopped(_) => None,
            RequestOutcome::Failed {
                reason, message, ..
            } => Some(self.fail(Verdict::new(*reason, message))),
        }
    }

    fn planned(&mut self, report: &RequestReport) {
        self.shown(report);
        self.tell_found(databases(report));
    }

    fn shown(&mut self, report: &RequestReport) {
        let totals = report.totals();
        let Ok(maps) = self.o.maps else { return };
        self.status.plan = Some(RequestPlan {
            digest: report.digest,
            maps: Some(maps),
            map_uids: self.o.map_uids.to_vec(),
            as_of: report.as_of,
            databases: databases(report),
            deletes: totals.deletes,
            transforms: totals.transforms,
            keeps: totals.keeps,
            held: totals.held,
        });
        self.plan = Some(report.clone());
    }

    fn complete(&mut self, outcome: Outcome) {
        let now = self.now();
        self.status.completed_at.get_or_insert(now);
        self.status.outcome.get_or_insert(outcome.into());
    }

    fn tell(&mut self, kind: &str, state: State, verdict: &Verdict) {
        let now = self.now();
        condition::set(
            &mut self.status.conditions,
            kind,
            state,
            verdict.reason,
            &verdict.message,
            Some(self.o.meta.generation),
            now,
        );
    }

    /// That the time to answer ends soon, or has ended, where that is news.
    fn warned(&self) -> Option<Event> {
        let (reason, message) = self.o.clock.reason().zip(self.o.clock.message())?;
        let mut before = self.o.status.conditions.iter();
        let said = before.any(|c| c.reason == reason.as_str());
        (!said).then(|| Event::new(true, reason, "Answer", &message))
    }

    fn conclude(mut self, verdict: &Verdict) -> Decision {
        let before = self.o.status.conditions.iter().find(|c| c.type_ == READY);
        let said = before.is_some_and(|c| c.reason == verdict.reason.as_str());
        let warning = verdict.reason.is_failure() || verdict.reason == Reason::Ambiguous;
        let events = (!said && verdict.reason != Reason::Pending)
            .then(|| Event::new(warning, verdict.reason, "Erase", &verdict.message));
        let warned = self.warned();
        self.status.observed_generation = Some(self.o.meta.generation);
        condition::summarise(
            &mut self.status.conditions,
            verdict.reason,
            &verdict.message,
            Some(self.o.meta.generation),
            whole_second(self.o.now),
        );
        let wait = |at: Timestamp| at.duration_since(self.o.now).unsigned_abs();
        let retry = self
            .failures
            .retry_at
            .filter(|at| *at > self.o.now)
            .map(wait);
        let kept = self.status.kept.as_ref().and_then(|kept| kept.next_ends_at);
        let times = [kept, self.next_at, self.o.clock.changes_at];
        let times = times.into_iter().flatten().filter(|at| *at > self.o.now);
        let due = times.map(wait).min();
        let deadline = self.o.clock.deadline.as_ref();
        self.status.due_on = deadline.map(|deadline| deadline.last.to_string());
        let open = self.status.finished_at.is_none();
        self.o.clock.condition(
            &mut self.status.conditions,
            Some(self.o.meta.generation),
            whole_second(self.o.now),
        );
        let holds = self.status.begun_at.is_some() && self.status.finished_at.is_none();
        Decision {
            action: self.action,
            stop: self.stop,
            plan: self.plan,
            holds,
            events: events
                .into_iter()
                .chain(warned.filter(|_| open))
                .chain(self.news)
                .collect(),
            due_at: self.o.clock.ends_at(self.o.records.1).filter(|_| open),
            failed: (!said && verdict.reason.is_failure()).then_some(verdict.reason),
            failures: self.failures,
            requeue_after: retry
                .into_iter()
                .chain(due)
                .min()
                .unwrap_or(LOOK_EVERY)
                .min(LOOK_EVERY),
            status: self.status,
        }
    }
}

/// In how many databases something is the person's.
fn databases(report: &RequestReport) -> i64 {
    i64::try_from(report.places.len()).unwrap_or(i64::MAX)
}

fn meaning(reason: Reason) -> Verdict {
    Verdict::new(reason, reason.meaning())
}

fn told(map: &str, refusal: &crate::plan::Refusal) -> String {
    if map.is_empty() {
        refusal.to_string()
    } else {
        format!("{map}: {refusal}")
    }
}

#[cfg(test)]
mod tests;
