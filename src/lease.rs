//! Leader election: one replica works, the others wait.
//!
//! Owns the Lease object and the time in which this replica may believe that it holds it. A lease
//! never guarantees that two replicas do not work at once (a paused process wakes up and is not
//! asked); the fence in the database does (SQL.md section 1). What this module promises is that
//! the token of the work is cancelled *before* another candidate may take over:
//!
//! ```text
//! renewal sent   ├─ renew deadline (10 s) ─┤ token cancelled, work winds down
//!                ├─ lease duration (15 s) ─────────────┤ others may take it
//! ```
//!
//! Both count from the moment at which the last successful renewal was *sent*: others cannot have
//! seen it earlier. Once lost, leadership does not come back: [`lead`] returns an error and the
//! process is meant to end (fail-stop), so that no memory of being the leader survives.

mod election;
#[cfg(test)]
mod fake;
mod settings;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::core::Status;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use election::{Move, Record, Sight};
pub use settings::LeaseSettings;

/// Why this process does not lead any more, or never could.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// Times that cannot work together.
    #[error("failed to begin a leader election: {problem}")]
    Settings {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// Another process holds the lease, or it was deleted.
    #[error(
        "lost the lease {name} to {}: this process must end and stand again",
        holder.as_deref().unwrap_or("nobody (it was released or deleted)")
    )]
    Lost {
        /// The Lease object.
        name: String,
        /// Who holds it now.
        holder: Option<String>,
    },
    /// No renewal succeeded in time.
    #[error(
        "failed to renew the lease {name} within {deadline:?}{}: this process must end and stand again",
        last_problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default()
    )]
    Expired {
        /// The Lease object.
        name: String,
        /// How long was tried.
        deadline: Duration,
        /// What the last attempt met.
        last_problem: Option<String>,
    },
    /// The task that renews the lease panicked.
    #[error("the task that renews the lease {name} ended by itself: this process must end")]
    KeeperEnded {
        /// The Lease object.
        name: String,
    },
}

/// Stands for election, and runs `while_leading` when elected.
///
/// - Returns `Ok(None)` when `shutdown` came before the election.
/// - Returns `Ok(Some(…))` with what `while_leading` returned; the lease has been released.
///   `shutdown` cancels the token that the work was given; the lease is kept and renewed until
///   the work has returned, however long that takes.
/// - Returns an error when leadership was lost. The token was cancelled first, and the work has
///   had the time to return in which nobody else may take over; then it is dropped.
///
/// `holder_seen` is told who holds the lease while this process waits (and when it is elected): a
/// readiness gate for replicas that wait.
///
/// The client must be one of its own, made from a `Config` with `default_retry = false`: kube's
/// own retries would go on for minutes inside of one call. Each call is cut off here in any case.
pub async fn lead<F: Future>(
    client: kube::Client,
    settings: LeaseSettings,
    shutdown: CancellationToken,
    holder_seen: impl FnMut(&str),
    while_leading: impl FnOnce(CancellationToken) -> F,
) -> Result<Option<F::Output>, LeaseError> {
    settings
        .check()
        .map_err(|problem| LeaseError::Settings { problem })?;
    let candidate = Candidate {
        api: Api::namespaced(client, &settings.namespace),
        settings,
    };
    let Some(tenure) = candidate.acquire(&shutdown, holder_seen).await else {
        return Ok(None);
    };
    if shutdown.is_cancelled() {
        candidate.release(tenure).await;
        return Ok(None);
    }
    tracing::info!(lease.name = candidate.settings.name, "leading");

    let token = CancellationToken::new();
    let finished = CancellationToken::new();
    // A task of its own, so that work that is slow to yield does not keep it from renewing.
    let mut keeper = AbortOnDropHandle::new(tokio::spawn(candidate.clone().keep(
        tenure,
        token.clone(),
        finished.clone(),
    )));
    let mut work = pin!(while_leading(token.clone()));
    let output = loop {
        tokio::select! {
            kept = &mut keeper => {
                // Only a loss ends the keeper before it is told to.
                let lost = candidate.ended(kept).err();
                let _ = timeout(candidate.settings.grace(), &mut work).await;
                return Err(lost.unwrap_or_else(|| candidate.keeper_ended()));
            }
            output = &mut work => break output,
            () = shutdown.cancelled(), if !token.is_cancelled() => token.cancel(),
        }
    };
    finished.cancel();
    // The work may have returned because it was lost: then that is the news.
    let tenure = candidate.ended(keeper.await)?;
    candidate.release(tenure).await;
    Ok(Some(output))
}

/// The lease as we last wrote it.
#[derive(Debug)]
struct Tenure {
    lease: Lease,
    /// When that write was sent: no one else can have seen it earlier.
    sent: Instant,
}

/// Why a call gave no answer to work with.
#[derive(Debug, Error)]
enum Fault {
    #[error("the API server did not answer in time")]
    TimedOut,
    #[error("{0}")]
    Api(Box<kube::Error>),
}

impl Fault {
    fn is(&self, test: impl Fn(&Status) -> bool) -> bool {
        match self {
            Self::Api(error) => matches!(&**error, kube::Error::Api(status) if test(status)),
            Self::TimedOut => false,
        }
    }
}

enum Renewal {
    Renewed(Box<Lease>),
    Lost { holder: Option<String> },
    Failed(Fault),
}

#[derive(Clone)]
struct Candidate {
    api: Api<Lease>,
    settings: LeaseSettings,
}

impl Candidate {
    /// Waits for the lease; `None` when told to shut down first.
    async fn acquire(
        &self,
        shutdown: &CancellationToken,
        mut holder_seen: impl FnMut(&str),
    ) -> Option<Tenure> {
        let mut sight = Sight::default();
        let mut log = FaultLog::new(&self.settings.name);
        while !shutdown.is_cancelled() {
            match self.attempt(&mut sight, shutdown).await {
                Ok(Some(tenure)) => {
                    holder_seen(&self.settings.identity);
                    return Some(tenure);
                }
                Ok(None) => {
                    log.fine();
                    if let Some(holder) = sight.holder() {
                        holder_seen(holder);
                    }
                }
                Err(fault) => log.fault(&fault),
            }
            // Spread, so that candidates do not keep meeting.
            let pause = self
                .settings
                .retry_period
                .mul_f64(1.0 + rand::random::<f64>() * 0.2);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        None
    }

    /// One look at the lease, and a write where it may be ours.
    async fn attempt(
        &self,
        sight: &mut Sight,
        shutdown: &CancellationToken,
    ) -> Result<Option<Tenure>, Fault> {
        let name = &self.settings.name;
        // The look may be dropped, a write may not: it may be applied, and has to be released then.
        let current = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            current = self.call(self.api.get_opt(name)) => current?,
        };
        let now = Instant::now();
        let spec = |lease: &Lease| Record::of(&lease.spec.clone().unwrap_or_default());
        sight.note(current.as_ref().map(spec), now);
        let decision = sight.decide(&self.settings.identity, self.settings.lease_duration, now);
        let sent = Instant::now();
        let written = match (decision, current) {
            (Move::Create, _) => {
                let lease = self.claim(Lease {
                    metadata: ObjectMeta {
                        name: Some(name.clone()),
                        ..ObjectMeta::default()
                    },
                    ..Lease::default()
                });
                self.call(self.api.create(&PostParams::default(), &lease))
                    .await
            }
            (Move::Take | Move::Renew, Some(lease)) => self.replace(self.claim(lease)).await,
            (Move::Take | Move::Renew, None) | (Move::Wait, _) => return Ok(None),
        };
        match written {
            Ok(lease) => Ok(Some(Tenure { lease, sent })),
            // Somebody was faster.
            Err(fault) if fault.is(|s| s.is_conflict() || s.is_already_exists()) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Renews until `finished`, and then hands back the lease. Its end, whatever the reason,
    /// cancels `token`: it owns the belief of being the leader.
    async fn keep(
        self,
        mut tenure: Tenure,
        token: CancellationToken,
        finished: CancellationToken,
    ) -> Result<Tenure, LeaseError> {
        let _cancelled_at_the_end = token.drop_guard();
        let mut log = FaultLog::new(&self.settings.name);
        let mut tried = tenure.sent;
        loop {
            let deadline = tenure.sent + self.settings.renew_deadline;
            // From beginning to beginning: an attempt that hung has waited enough.
            let next = tried + self.settings.retry_period;
            tokio::select! {
                () = finished.cancelled() => return Ok(tenure),
                () = sleep_until(next.min(deadline)) => {}
            }
            let sent = Instant::now();
            tried = sent;
            if sent >= deadline {
                return Err(LeaseError::Expired {
                    name: self.settings.name.clone(),
                    deadline: self.settings.renew_deadline,
                    last_problem: log.last,
                });
            }
            // The answer of a process that was paused meanwhile may come late: the deadline is
            // looked at again before anything else, because `sent` is what counts.
            match timeout_at(deadline, self.renew(&tenure.lease)).await {
                Ok(Renewal::Renewed(lease)) => {
                    log.fine();
                    tenure = Tenure {
                        lease: *lease,
                        sent,
                    };
                }
                Ok(Renewal::Lost { holder }) => {
                    return Err(LeaseError::Lost {
                        name: self.settings.name.clone(),
                        holder,
                    });
                }
                Ok(Renewal::Failed(fault)) => log.fault(&fault),
                Err(_) => log.fault(&Fault::TimedOut),
            }
        }
    }

    async fn renew(&self, lease: &Lease) -> Renewal {
        let fault = match self.replace(self.claim(lease.clone())).await {
            Ok(lease) => return Renewal::Renewed(Box::new(lease)),
            Err(fault) if fault.is(Status::is_not_found) => return Renewal::Lost { holder: None },
            Err(fault) => fault,
        };
        if !fault.is(Status::is_conflict) {
            return Renewal::Failed(fault);
        }
        // Somebody wrote to it: us (the answer was lost), a person (a label), or a new holder.
        let current = match self.call(self.api.get_opt(&self.settings.name)).await {
            Ok(current) => current,
            Err(fault) => return Renewal::Failed(fault),
        };
        let holder = |lease: &Lease| Record::of(lease.spec.as_ref()?).holder;
        match current {
            Some(lease) if holder(&lease).as_ref() == Some(&self.settings.identity) => {
                match self.replace(self.claim(lease)).await {
                    Ok(lease) => Renewal::Renewed(Box::new(lease)),
                    Err(fault) => Renewal::Failed(fault),
                }
            }
            current => Renewal::Lost {
                holder: current.as_ref().and_then(holder),
            },
        }
    }

    /// Lets the next candidate in at once. Failing only means that it has to wait.
    async fn release(&self, tenure: Tenure) {
        let mut lease = tenure.lease;
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        // The least that the API accepts.
        spec.lease_duration_seconds = Some(1);
        spec.acquire_time = Some(now.clone());
        spec.renew_time = Some(now);
        match self.replace(lease).await {
            Ok(_) => tracing::info!(lease.name = self.settings.name, "released the lease"),
            Err(fault) => tracing::warn!(
                lease.name = self.settings.name,
                problem = %fault,
                "failed to release the lease: the next leader has to wait until it runs out"
            ),
        }
    }

    /// The lease with our name in it and the time of now.
    fn claim(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let ours = before.holder_identity.as_ref() == Some(&self.settings.identity);
        let transitions = before.lease_transitions;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: Some(self.settings.stated_seconds()),
            acquire_time: if ours {
                before.acquire_time
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: match transitions {
                Some(count) if !ours => Some(count.saturating_add(1)),
                count => count.or(Some(0)),
            },
            preferred_holder: before.preferred_holder,
            strategy: before.strategy,
        });
        lease
    }

    /// Writes the lease if nobody has written to it since it was read: the object carries the
    /// `resourceVersion` that it was read with.
    async fn replace(&self, lease: Lease) -> Result<Lease, Fault> {
        let params = PostParams::default();
        self.call(self.api.replace(&self.settings.name, &params, &lease))
            .await
    }

    async fn call<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, Fault> {
        match timeout(self.settings.call_timeout(), call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Fault::Api(Box::new(error))),
            Err(_) => Err(Fault::TimedOut),
        }
    }

    fn ended(
        &self,
        kept: Result<Result<Tenure, LeaseError>, tokio::task::JoinError>,
    ) -> Result<Tenure, LeaseError> {
        kept.unwrap_or_else(|_| Err(self.keeper_ended()))
    }

    fn keeper_ended(&self) -> LeaseError {
        LeaseError::KeeperEnded {
            name: self.settings.name.clone(),
        }
    }
}

/// Says what goes wrong when it changes, not at every attempt.
struct FaultLog {
    lease: String,
    last: Option<String>,
}

impl FaultLog {
    fn new(lease: &str) -> Self {
        Self {
            lease: lease.to_owned(),
            last: None,
        }
    }

    fn fault(&mut self, fault: &Fault) {
        let problem = fault.to_string();
        if self.last.as_ref() != Some(&problem) {
            tracing::warn!(lease.name = self.lease, %problem, "failed to reach the lease; trying again");
        }
        self.last = Some(problem);
    }

    fn fine(&mut self) {
        if self.last.take().is_some() {
            tracing::info!(lease.name = self.lease, "the lease can be reached again");
        }
    }
}
