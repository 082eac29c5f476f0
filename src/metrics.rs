//! What is counted and shown at `/metrics`, in OpenMetrics text.
//!
//! Owns every metric's name, labels and help: one list, from which the registry and
//! `docs/metrics.md` are made. Labels are bounded by the number of resources, engines and reasons;
//! no name of a table, column or subject and no value is ever one (P4). Counters begin at zero with
//! each process: the record is the status and the ledger, never a metric.

mod described;
mod label;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::report::{Effect, RunOutcome};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub use self::described::{ALL, Described, page};
use self::described::{
    BATCH_DURATION, BATCHES, BUILD_INFO, CAUGHT_UP, FAILURES, FALLING_BEHIND, IS_LEADER,
    LAST_SUCCESS, LOCK_WAITS, NEXT_RUN, NOT_READY, OVERDUE_ROWS, REAPPEARED_ROWS, RECONCILES,
    REQUEST_DUE, ROWS_CHANGED, RUN_DURATION, RUNS, UNCOVERED_TABLES,
};
pub use self::label::{BatchResult, Kind};
use self::label::{
    EFFECTS, OUTCOMES, OfBatch, OfBuild, OfEngine, OfKind, OfObject, OfOutcome, OfPolicy,
    OfPolicyEffect, OfPolicyOutcome, OfReason, OfResource, Word,
};
use self::memory::Memory;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why resources are not Ready, by kind, namespace and name.
type Reasons = BTreeMap<(Kind, String, String), Reason>;

/// All metrics of the process. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<OfKind, Counter>,
    failures: Family<OfReason, Counter>,
    not_ready: Family<OfResource, Gauge>,
    /// What `not_ready` has.
    reasons: Arc<Mutex<Reasons>>,
    runs: Family<OfPolicyOutcome, Counter>,
    run_duration: Family<OfOutcome, Histogram>,
    rows_changed: Family<OfPolicyEffect, Counter>,
    overdue_rows: Family<OfPolicy, Gauge>,
    falling_behind: Family<OfPolicy, Gauge>,
    caught_up: Family<OfPolicy, Gauge>,
    uncovered: Family<OfObject, Gauge>,
    /// What `uncovered` has.
    surveyed: Arc<Mutex<BTreeSet<OfObject>>>,
    reappeared: Family<OfObject, Gauge>,
    request_due: Family<OfObject, Gauge>,
    /// What `request_due` has.
    asking: Arc<Mutex<BTreeSet<OfObject>>>,
    last_success: Family<OfPolicy, Gauge>,
    next_run: Family<OfPolicy, Gauge>,
    batches: Family<OfBatch, Counter>,
    batch_duration: Family<OfEngine, Histogram>,
    lock_waits: Family<OfEngine, Counter>,
    is_leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry with every metric in it.
    pub fn new() -> Self {
        let mut all = Registry::default();
        let build = Family::<OfBuild, Gauge>::default();
        build
            .get_or_create(&OfBuild {
                version: Word(env!("CARGO_PKG_VERSION")),
            })
            .set(1);
        register(&mut all, &BUILD_INFO, build);
        let mut metrics = Self {
            reconciles: add(&mut all, &RECONCILES, Family::default()),
            failures: add(&mut all, &FAILURES, Family::default()),
            not_ready: add(&mut all, &NOT_READY, Family::default()),
            reasons: Arc::default(),
            runs: add(&mut all, &RUNS, Family::default()),
            run_duration: add(
                &mut all,
                &RUN_DURATION,
                Family::new_with_constructor(run_buckets),
            ),
            rows_changed: add(&mut all, &ROWS_CHANGED, Family::default()),
            overdue_rows: add(&mut all, &OVERDUE_ROWS, Family::default()),
            falling_behind: add(&mut all, &FALLING_BEHIND, Family::default()),
            caught_up: add(&mut all, &CAUGHT_UP, Family::default()),
            uncovered: add(&mut all, &UNCOVERED_TABLES, Family::default()),
            surveyed: Arc::default(),
            reappeared: add(&mut all, &REAPPEARED_ROWS, Family::default()),
            request_due: add(&mut all, &REQUEST_DUE, Family::default()),
            asking: Arc::default(),
            last_success: add(&mut all, &LAST_SUCCESS, Family::default()),
            next_run: add(&mut all, &NEXT_RUN, Family::default()),
            batches: add(&mut all, &BATCHES, Family::default()),
            batch_duration: add(
                &mut all,
                &BATCH_DURATION,
                Family::new_with_constructor(batch_buckets),
            ),
            lock_waits: add(&mut all, &LOCK_WAITS, Family::default()),
            is_leader: add(&mut all, &IS_LEADER, Gauge::default()),
            registry: Arc::new(Registry::default()),
        };
        all.register_collector(Box::new(Memory));
        metrics.registry = Arc::new(all);
        metrics
    }

    /// The text of `/metrics`.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A reconcile has ended, whatever its outcome.
    pub fn reconciled(&self, kind: Kind) {
        self.reconciles
            .get_or_create(&OfKind { kind: kind.into() })
            .inc();
    }

    /// A reconcile ended in a reason that somebody has to act on, or in an error.
    pub fn failed(&self, kind: Kind, reason: Reason) {
        let labels = OfReason {
            kind: kind.into(),
            reason: reason.into(),
        };
        self.failures.get_or_create(&labels).inc();
    }

    /// Why a resource is not Ready; `None`: it is, or nobody knows yet, or it is gone.
    pub fn stands(&self, kind: Kind, namespace: &str, name: &str, why: Option<Reason>) {
        let labels = |reason: Reason| OfResource {
            kind: kind.into(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            reason: reason.into(),
        };
        let key = (kind, namespace.to_owned(), name.to_owned());
        // One insert or removal: a panicked holder left nothing half done.
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match why {
            Some(reason) => reasons.insert(key, reason),
            None => reasons.remove(&key),
        };
        if let Some(before) = before.filter(|before| Some(*before) != why) {
            self.not_ready.remove(&labels(before));
        }
        if let Some(reason) = why {
            self.not_ready.get_or_create(&labels(reason)).set(1);
        }
    }

    /// Drops the series of databases that are gone.
    pub fn keep_databases(&self, exist: impl Fn(&str, &str) -> bool) {
        self.keep_standing(Kind::TargetDatabase, &exist);
        for OfObject { namespace, name } in gone(&self.surveyed, &exist) {
            self.uncovered(&namespace, &name, None);
        }
    }

    /// Drops the series of requests that are gone.
    pub fn keep_requests(&self, exist: impl Fn(&str, &str) -> bool) {
        self.keep_standing(Kind::ErasureRequest, &exist);
        for OfObject { namespace, name } in gone(&self.asking, &exist) {
            self.request_due(&namespace, &name, None);
        }
    }

    fn keep_standing(&self, of: Kind, exist: impl Fn(&str, &str) -> bool) {
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = reasons.keys().cloned().collect();
        drop(reasons);
        for (kind, namespace, name) in all {
            if kind == of && !exist(&namespace, &name) {
                self.stands(kind, &namespace, &name, None);
            }
        }
    }

    /// How many tables of a database nothing decides about; `None`: nobody can tell, or it is gone.
    pub fn uncovered(&self, namespace: &str, name: &str, gaps: Option<i64>) {
        let labels = OfObject::new(namespace, name);
        // One insert or removal, as above.
        let mut surveyed = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gaps) = gaps {
            self.uncovered.get_or_create(&labels).set(gaps);
            surveyed.insert(labels);
        } else {
            self.uncovered.remove(&labels);
            surveyed.remove(&labels);
        }
    }

    /// How many rows of a database hold an erased identifier again; `None`: nobody is looked for, or it is
    /// gone.
    pub fn reappeared(&self, namespace: &str, name: &str, rows: Option<i64>) {
        tell(&self.reappeared, &OfObject::new(namespace, name), rows);
    }

    /// When the time ends in which the person of a request must be answered; `None`: it has not begun, or
    /// they were answered, or the request is gone.
    pub fn request_due(&self, namespace: &str, name: &str, at: Option<Timestamp>) {
        let labels = OfObject::new(namespace, name);
        // As above; the series is told under the lock, or one that goes could be told last.
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&self.request_due, &labels, at.map(Timestamp::as_second));
        if at.is_some() {
            asking.insert(labels);
        } else {
            asking.remove(&labels);
        }
    }

    /// A run has ended.
    pub fn run_ended(&self, namespace: &str, policy: &str, outcome: RunOutcome, took: Duration) {
        let outcome = Word::from(outcome);
        let (namespace, policy) = (namespace.to_owned(), policy.to_owned());
        self.runs
            .get_or_create(&OfPolicyOutcome {
                namespace,
                policy,
                outcome,
            })
            .inc();
        self.run_duration
            .get_or_create(&OfOutcome { outcome })
            .observe(took.as_secs_f64());
    }

    /// A run that ended has changed rows.
    pub fn rows_changed(&self, namespace: &str, policy: &str, effect: Effect, rows: u64) {
        let (namespace, policy) = (namespace.to_owned(), policy.to_owned());
        let labels = OfPolicyEffect {
            namespace,
            policy,
            effect: effect.into(),
        };
        self.rows_changed.get_or_create(&labels).inc_by(rows);
    }

    /// How many rows are overdue, after a plan or a run.
    pub fn overdue(&self, namespace: &str, policy: &str, rows: i64) {
        self.overdue_rows
            .get_or_create(&OfPolicy::new(namespace, policy))
            .set(rows);
    }

    /// Whether a policy falls behind, and when it will have caught up; `None`: it promises nothing, or
    /// that is not known.
    pub fn falling_behind(
        &self,
        namespace: &str,
        policy: &str,
        behind: Option<bool>,
        caught_up_at: Option<Timestamp>,
    ) {
        let labels = OfPolicy::new(namespace, policy);
        tell(&self.falling_behind, &labels, behind.map(i64::from));
        let at = caught_up_at.map(Timestamp::as_second);
        tell(&self.caught_up, &labels, at);
    }

    /// When the last completed run ended.
    pub fn last_success(&self, namespace: &str, policy: &str, at: Timestamp) {
        self.last_success
            .get_or_create(&OfPolicy::new(namespace, policy))
            .set(at.as_second());
    }

    /// When the next run is due; none while the policy is suspended or does not parse.
    pub fn next_run(&self, namespace: &str, policy: &str, at: Option<Timestamp>) {
        let labels = OfPolicy::new(namespace, policy);
        tell(&self.next_run, &labels, at.map(Timestamp::as_second));
    }

    /// Drops a policy's series: it was deleted, or another replica looks after it now.
    pub fn forget_policy(&self, namespace: &str, policy: &str) {
        self.stands(Kind::RetentionPolicy, namespace, policy, None);
        let labels = OfPolicy::new(namespace, policy);
        self.overdue_rows.remove(&labels);
        self.falling_behind.remove(&labels);
        self.caught_up.remove(&labels);
        self.last_success.remove(&labels);
        self.next_run.remove(&labels);
        let OfPolicy { namespace, policy } = labels;
        for effect in EFFECTS {
            let (namespace, policy) = (namespace.clone(), policy.clone());
            self.rows_changed.remove(&OfPolicyEffect {
                namespace,
                policy,
                effect: effect.into(),
            });
        }
        for outcome in OUTCOMES {
            let (namespace, policy) = (namespace.clone(), policy.clone());
            self.runs.remove(&OfPolicyOutcome {
                namespace,
                policy,
                outcome: Word(outcome),
            });
        }
    }

    /// A batch transaction has ended.
    pub fn batch_ended(&self, engine: Engine, result: BatchResult, took: Duration) {
        let engine = Word::from(engine);
        self.batches
            .get_or_create(&OfBatch {
                engine,
                result: result.into(),
            })
            .inc();
        match result {
            BatchResult::Committed => {
                let took = took.as_secs_f64();
                self.batch_duration
                    .get_or_create(&OfEngine { engine })
                    .observe(took);
            }
            BatchResult::Locked => {
                self.lock_waits.get_or_create(&OfEngine { engine }).inc();
            }
            BatchResult::Failed => {}
        }
    }

    /// Whether this replica holds the lease.
    pub fn leader(&self, is_leader: bool) {
        self.is_leader.set(i64::from(is_leader));
    }
}

/// Which of these do not exist any more.
fn gone(all: &Mutex<BTreeSet<OfObject>>, exist: impl Fn(&str, &str) -> bool) -> Vec<OfObject> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let gone = all.iter().filter(|of| !exist(&of.namespace, &of.name));
    gone.cloned().collect()
}

fn add<M: Metric + Clone>(registry: &mut Registry, described: &Described, metric: M) -> M {
    register(registry, described, metric.clone());
    metric
}

fn register(registry: &mut Registry, described: &Described, metric: impl Metric) {
    // The encoder appends `_total` to counters.
    let name = described
        .name
        .strip_suffix("_total")
        .unwrap_or(described.name);
    registry.register(name, described.help, metric);
}

/// Sets a gauge of something, or drops its series.
fn tell<L: Clone + Eq + Hash>(gauge: &Family<L, Gauge>, labels: &L, value: Option<i64>) {
    match value {
        Some(value) => {
            gauge.get_or_create(labels).set(value);
        }
        None => {
            gauge.remove(labels);
        }
    }
}

fn run_buckets() -> Histogram {
    Histogram::new([
        1.0,
        5.0,
        15.0,
        60.0,
        300.0,
        900.0,
        3600.0,
        4.0 * 3600.0,
        12.0 * 3600.0,
    ])
}

fn batch_buckets() -> Histogram {
    // Around the target duration of 50 ms.
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
}

#[cfg(test)]
mod tests;
