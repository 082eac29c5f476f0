//! The jobs under way, one at most for each policy, as tasks of their own: a reconcile that waits
//! for a database would hold up all others, and a panic in it would end them.
//!
//! Owns who is told to stop and why, what became of a finished job until its outcome stands in the
//! status or is told elsewhere, and the nudges that bring the controller to look. It must not decide
//! what to start.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::Asks;
use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::plan::Assent;
use oubliette_core::report::Progress;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Name;
use crate::telemetry::contained;

/// How often progress brings the controller to look.
const PROGRESS_EVERY: Duration = Duration::from_secs(3);

/// How long a job may take to end by itself once the process is to end. A batch has its own limit
/// before that, but the ledger waits longer for its locks than the process is given.
const LAST: Duration = Duration::from_secs(8);

/// What the register knows of a policy's job.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    /// The policy.
    pub policy: Name,
    /// Its UID.
    pub uid: String,
    /// Its generation when the job was started.
    pub generation: i64,
    /// What the job promises to carry out: the spec without mode, schedule and suspend.
    pub spec: Value,
    /// Digest of the DataMaps that bind it.
    pub duties: Option<String>,
    /// UIDs of the TargetDatabases: one, or all of a request's.
    pub databases: Vec<String>,
    /// What it is to do.
    pub kind: JobKind,
    /// Whether it was started in mode DryRun.
    pub dry: bool,
    /// What was asked for before it.
    pub asks: Asks,
    /// What it is allowed by, where something was asked for.
    pub under: Option<Assent>,
}

/// How far a job is.
#[derive(Clone, Debug)]
pub(crate) enum Stage<O = JobOutcome> {
    /// Under way.
    Running(Progress),
    /// At its end; kept until the status tells it.
    Finished(Box<O>),
}

/// How a job can end that its work did not end.
pub(crate) trait Ending: Clone + Send + 'static {
    /// Told to stop before it began.
    fn stopped(why: StopWhy) -> Self;
    /// The program made an error of its own.
    fn broken(message: String) -> Self;
}

impl Ending for JobOutcome {
    fn stopped(why: StopWhy) -> Self {
        Self::Stopped(why)
    }

    fn broken(message: String) -> Self {
        Self::Failed {
            reason: Reason::InternalError,
            message,
            passing: true,
        }
    }
}

impl Ending for RequestOutcome {
    fn stopped(why: StopWhy) -> Self {
        Self::Stopped(why)
    }

    fn broken(message: String) -> Self {
        Self::Failed {
            reason: Reason::InternalError,
            message,
            passing: true,
        }
    }
}

/// Tells an outcome that no status will.
type Heir<O> = Box<dyn FnOnce(O) -> BoxFuture<'static, ()> + Send>;

struct Entry<O> {
    ticket: Ticket,
    stop: watch::Sender<Option<StopWhy>>,
    progress: watch::Receiver<Progress>,
    outcome: Option<O>,
    told_at: Option<Timestamp>,
    /// The policy is gone: no status will tell the outcome.
    orphan: bool,
    heir: Heir<O>,
}

/// The register. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Runs<O = JobOutcome> {
    entries: Arc<Mutex<BTreeMap<String, Entry<O>>>>,
    nudges: mpsc::UnboundedSender<Name>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Cuts off what has not ended in time.
    cut: CancellationToken,
}

impl<O: Ending> Runs<O> {
    /// A register for at most `at_once` jobs; the others wait their turn. What is to be looked at
    /// comes out of the receiver.
    pub(crate) fn new(at_once: usize) -> (Self, mpsc::UnboundedReceiver<Name>) {
        let (nudges, incoming) = mpsc::unbounded_channel();
        let runs = Self {
            entries: Arc::new(Mutex::new(BTreeMap::new())),
            nudges,
            slots: Arc::new(Semaphore::new(at_once.max(1))),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        (runs, incoming)
    }

    /// Starts a job unless its policy has one. The work gets where to tell its progress, and where
    /// it hears that it must stop. The heir gets the outcome if the policy is gone by then.
    pub(crate) fn start<W, F, H, T>(&self, ticket: Ticket, work: W, heir: H) -> bool
    where
        W: FnOnce(watch::Sender<Progress>, watch::Receiver<Option<StopWhy>>) -> F + Send + 'static,
        F: Future<Output = O> + Send + 'static,
        H: FnOnce(O) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let mut entries = self.lock();
        if self.closing.is_cancelled() || entries.contains_key(&ticket.uid) {
            return false;
        }
        let (told, progress) = watch::channel(Progress::BEGUN);
        let (stop, stopped) = watch::channel(None);
        let (uid, policy) = (ticket.uid.clone(), ticket.policy.clone());
        let entry = Entry {
            ticket,
            stop,
            progress: progress.clone(),
            outcome: None,
            told_at: None,
            orphan: false,
            heir: Box::new(move |outcome| Box::pin(heir(outcome))),
        };
        entries.insert(uid.clone(), entry);
        drop(entries);

        let runs = self.clone();
        let telling = self.tell(policy.clone(), progress);
        self.spawn(async move {
            let slots = runs.slots.clone();
            let job = async move {
                let mut waiting = stopped.clone();
                // A job that is told to stop must not wait for a slot first.
                let slot = tokio::select! {
                    biased;
                    why = told_to_stop(&mut waiting) => return O::stopped(why),
                    slot = slots.acquire_owned() => slot,
                };
                let outcome = work(told, stopped).await;
                drop(slot);
                outcome
            };
            let outcome = contained(job)
                .await
                .unwrap_or_else(|panic| O::broken(panic.to_string()));
            telling.abort();
            runs.ended(&uid, outcome);
            runs.nudge(policy);
        });
        true
    }

    /// Nudges now and then while progress moves.
    fn tell(
        &self,
        policy: Name,
        mut progress: watch::Receiver<Progress>,
    ) -> tokio::task::AbortHandle {
        let nudges = self.nudges.clone();
        let task = tokio::spawn(async move {
            while progress.changed().await.is_ok() {
                if nudges.send(policy.clone()).is_err() {
                    return;
                }
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
        });
        task.abort_handle()
    }

    /// Brings the controller to look at a policy.
    pub(crate) fn nudge(&self, policy: Name) {
        // Nobody listens any more once the controller has ended: then nobody needs to.
        let _ = self.nudges.send(policy);
    }

    /// The policy's job and how far it is.
    pub(crate) fn stage(&self, uid: &str) -> Option<(Ticket, Stage<O>)> {
        let entries = self.lock();
        let entry = entries.get(uid)?;
        let stage = match &entry.outcome {
            Some(outcome) => Stage::Finished(Box::new(outcome.clone())),
            None => Stage::Running(entry.progress.borrow().clone()),
        };
        Some((entry.ticket.clone(), stage))
    }

    /// When progress was last written to the status.
    pub(crate) fn told_at(&self, uid: &str) -> Option<Timestamp> {
        self.lock().get(uid).and_then(|entry| entry.told_at)
    }

    /// Progress now stands in the status.
    pub(crate) fn told(&self, uid: &str, at: Timestamp) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.told_at = Some(at);
        }
    }

    /// Tells a policy's job to stop.
    pub(crate) fn stop(&self, uid: &str, why: StopWhy) {
        if let Some(entry) = self.lock().get(uid) {
            entry.stop(why);
        }
    }

    /// Tells every job to stop for which the question has an answer. Called as watch events come
    /// in, so that the executor knows before its next batch.
    pub(crate) fn stop_where(&self, question: impl Fn(&Ticket) -> Option<StopWhy>) {
        for entry in self.lock().values() {
            if let Some(why) = question(&entry.ticket) {
                entry.stop(why);
            }
        }
    }

    /// Takes a finished job's outcome, which stands in the status now. Whoever takes it counts it:
    /// nobody else will have it.
    pub(crate) fn take(&self, uid: &str) -> Option<O> {
        let mut entries = self.lock();
        let finished = entries.get(uid)?.outcome.is_some();
        if finished {
            entries.remove(uid)?.outcome
        } else {
            None
        }
    }

    fn ended(&self, uid: &str, outcome: O) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(uid) {
            entry.outcome = Some(outcome);
            if entry.orphan {
                self.bequeath(&mut entries, uid);
            }
        }
    }

    /// The policy is gone: its job is stopped, and its outcome told by its heir.
    pub(crate) fn orphan(&self, uid: &str) {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(uid) {
            entry.orphan = true;
            entry.stop(StopWhy::Deleted);
            if entry.outcome.is_some() {
                self.bequeath(&mut entries, uid);
            }
        }
    }

    fn bequeath(&self, entries: &mut BTreeMap<String, Entry<O>>, uid: &str) {
        let Some(Entry { outcome, heir, .. }) = entries.remove(uid) else {
            return;
        };
        if let Some(outcome) = outcome {
            // Whoever waits until all jobs have ended waits until this is told.
            self.spawn(heir(outcome));
        }
    }

    /// The same for all policies that are gone.
    pub(crate) fn orphan_unless(&self, exists: impl Fn(&Ticket) -> bool) {
        let gone: Vec<String> = self
            .lock()
            .values()
            .filter(|entry| !exists(&entry.ticket))
            .map(|entry| entry.ticket.uid.clone())
            .collect();
        for uid in gone {
            self.orphan(&uid);
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            cut.run_until_cancelled_owned(work).await;
        });
    }

    /// Stops every job and waits until all have ended. None is started any more. One that does not
    /// end is cut off, as a kill would do it: what it has not committed is rolled back, and its run
    /// is resumed.
    pub(crate) async fn close(&self, why: StopWhy) {
        self.closing.cancel();
        self.stop_where(|_| Some(why));
        self.tasks.close();
        if tokio::time::timeout(LAST, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                jobs = self.tasks.len(),
                "some jobs do not end by themselves"
            );
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry<O>>> {
        // Each change is one insert, removal or assignment: a panicked holder left nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Entry<O> {
    /// The first word stands, except that "for good" beats "for now". Some jobs do not heed it.
    fn stop(&self, why: StopWhy) {
        if !self.ticket.kind.heeds(why) {
            return;
        }
        self.stop.send_if_modified(|current| {
            let weaker = match current {
                None => true,
                Some(old) => !for_good(*old) && for_good(why),
            };
            if weaker {
                *current = Some(why);
            }
            weaker
        });
    }
}

fn for_good(why: StopWhy) -> bool {
    match why {
        StopWhy::SpecChanged | StopWhy::Deleted => true,
        StopWhy::Shutdown
        | StopWhy::LeaseLost
        | StopWhy::Suspended
        | StopWhy::WindowClosed
        | StopWhy::Unapproved
        | StopWhy::SpecInvalid => false,
    }
}

async fn told_to_stop(stop: &mut watch::Receiver<Option<StopWhy>>) -> StopWhy {
    match stop.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or(StopWhy::Shutdown),
        // The register is gone: the process ends.
        Err(_) => StopWhy::Shutdown,
    }
}

#[cfg(test)]
mod tests;
