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
    LAST_SUCCESS, LOCK_WAITS, NEXT_RUN, NOT_READY, OVERDUE_ROWS, RECONCILES, ROWS_CHANGED,
    RUN_DURATION, RUNS, UNCOVERED_TABLES,
};
pub use self::label::{BatchResult, Kind};
use self::label::{
    EFFECTS, OUTCOMES, OfBatch, OfBuild, OfDatabase, OfEngine, OfKind, OfOutcome, OfPolicy,
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
    uncovered: Family<OfDatabase, Gauge>,
    /// What `uncovered` has.
    surveyed: Arc<Mutex<BTreeSet<OfDatabase>>>,
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
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = reasons.keys().cloned().collect();
        drop(reasons);
        for (kind, namespace, name) in all {
            if kind == Kind::TargetDatabase && !exist(&namespace, &name) {
                self.stands(kind, &namespace, &name, None);
            }
        }
        let surveyed = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = surveyed.iter().cloned().collect();
        drop(surveyed);
        for OfDatabase { namespace, name } in all {
            if !exist(&namespace, &name) {
                self.uncovered(&namespace, &name, None);
            }
        }
    }

    /// How many tables of a database nothing decides about; `None`: nobody can tell, or it is gone.
    pub fn uncovered(&self, namespace: &str, name: &str, gaps: Option<i64>) {
        let labels = OfDatabase {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
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

/// Sets a gauge of a policy, or drops its series.
fn tell(gauge: &Family<OfPolicy, Gauge>, labels: &OfPolicy, value: Option<i64>) {
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
mod tests {
    use super::*;

    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.reconciled(Kind::TargetDatabase);
        metrics.failed(Kind::RetentionPolicy, Reason::MissingGrants);
        let policy = Kind::RetentionPolicy;
        metrics.stands(policy, "crm", "old", Some(Reason::MissingGrants));
        metrics.stands(policy, "crm", "old", Some(Reason::Conflict));
        metrics.run_ended("crm", "old", RunOutcome::Completed, Duration::from_secs(3));
        metrics.rows_changed("crm", "old", Effect::Deleted, 41);
        metrics.rows_changed("crm", "old", Effect::Deleted, 1);
        metrics.overdue("crm", "old", 7);
        let later = Timestamp::from_second(86_400).unwrap();
        metrics.falling_behind("crm", "old", Some(true), Some(later));
        metrics.uncovered("crm", "crm", Some(3));
        metrics.last_success("crm", "old", Timestamp::UNIX_EPOCH);
        metrics.next_run("crm", "old", Some(Timestamp::UNIX_EPOCH));
        let took = Duration::from_millis(40);
        metrics.batch_ended(Engine::MariaDb, BatchResult::Committed, took);
        metrics.batch_ended(Engine::MariaDb, BatchResult::Locked, took);
        metrics.leader(true);
        metrics
    }

    #[test]
    fn what_is_counted_is_shown() {
        let text = used().encode().unwrap();
        for line in [
            "oubliette_reconciles_total{kind=\"TargetDatabase\"} 1\n",
            "oubliette_reconcile_failures_total{kind=\"RetentionPolicy\",reason=\"MissingGrants\"} 1\n",
            "oubliette_not_ready{kind=\"RetentionPolicy\",namespace=\"crm\",name=\"old\",reason=\"Conflict\"} 1\n",
            "oubliette_rows_changed_total{namespace=\"crm\",policy=\"old\",effect=\"deleted\"} 42\n",
            "oubliette_overdue_rows{namespace=\"crm\",policy=\"old\"} 7\n",
            "oubliette_falling_behind{namespace=\"crm\",policy=\"old\"} 1\n",
            "oubliette_caught_up_timestamp_seconds{namespace=\"crm\",policy=\"old\"} 86400\n",
            "oubliette_uncovered_tables{namespace=\"crm\",name=\"crm\"} 3\n",
            "oubliette_batches_total{engine=\"MariaDB\",result=\"locked\"} 1\n",
            "oubliette_batch_duration_seconds_count{engine=\"MariaDB\"} 1\n",
            "oubliette_lock_waits_total{engine=\"MariaDB\"} 1\n",
            "oubliette_is_leader 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn a_deleted_policy_leaves_no_series() {
        let metrics = used();
        metrics.forget_policy("crm", "old");
        let text = metrics.encode().unwrap();
        assert!(!text.contains("\"old\""), "{text}");
    }

    #[test]
    fn a_resource_is_not_ready_for_one_reason_at_a_time() {
        let metrics = used();
        let text = metrics.encode().unwrap();
        assert_eq!(text.matches("oubliette_not_ready{").count(), 1, "{text}");
        let database = Kind::TargetDatabase;
        metrics.stands(database, "crm", "gone", Some(Reason::Unreachable));
        metrics.keep_databases(|_, _| false);
        metrics.stands(Kind::RetentionPolicy, "crm", "old", None);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("oubliette_not_ready{"), "{text}");
        assert!(!text.contains("oubliette_uncovered_tables{"), "{text}");
    }

    #[test]
    fn a_policy_that_never_catches_up_has_no_instant_and_a_dry_run_is_never_behind() {
        let metrics = used();
        metrics.falling_behind("crm", "old", Some(true), None);
        let text = metrics.encode().unwrap();
        assert!(text.contains("oubliette_falling_behind{"), "{text}");
        assert!(!text.contains("caught_up_timestamp_seconds{"), "{text}");
        metrics.falling_behind("crm", "old", None, None);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("oubliette_falling_behind{"), "{text}");
    }

    #[test]
    fn a_suspended_policy_has_no_next_run() {
        let metrics = used();
        metrics.next_run("crm", "old", None);
        assert!(
            !metrics
                .encode()
                .unwrap()
                .contains("next_run_timestamp_seconds{")
        );
    }

    #[test]
    fn every_metric_is_described_with_the_labels_and_sort_it_has() {
        let text = used().encode().unwrap();
        let mut described = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (family, sort) = line.split_once(' ').unwrap();
            let name = if sort == "counter" {
                format!("{family}_total")
            } else {
                family.to_owned()
            };
            let Some(metric) = ALL.iter().find(|metric| metric.name == name) else {
                panic!("{name} is not described");
            };
            assert_eq!(metric.sort, sort, "{name}");
            let series = text.lines().find(|line| {
                line.split(['{', ' ']).next().is_some_and(|shown| {
                    shown == name
                        || shown
                            .strip_suffix("_sum")
                            .is_some_and(|shown| shown == name)
                })
            });
            let series = series.unwrap_or_else(|| panic!("{name} has no series"));
            let labels: Vec<&str> = series
                .split_once('{')
                .map(|(_, rest)| rest.split_once('}').unwrap().0)
                .map(|labels| {
                    labels
                        .split(',')
                        .map(|l| l.split_once('=').unwrap().0)
                        .collect()
                })
                .unwrap_or_default();
            assert_eq!(labels, metric.labels, "{name}");
            described += 1;
        }
        assert_eq!(described, ALL.len());
    }
}
