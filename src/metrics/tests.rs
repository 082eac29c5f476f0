//! What is counted, shown and dropped.

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
    metrics.reappeared("crm", "crm", Some(2));
    metrics.request_due("crm", "sr-1", Some(later));
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
        "oubliette_reappeared_rows{namespace=\"crm\",name=\"crm\"} 2\n",
        "oubliette_request_due_timestamp_seconds{namespace=\"crm\",name=\"sr-1\"} 86400\n",
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
fn a_request_that_is_answered_or_gone_leaves_no_series() {
    let metrics = used();
    let request = Kind::ErasureRequest;
    metrics.request_due("crm", "sr-1", None);
    metrics.request_due("crm", "gone", Some(Timestamp::UNIX_EPOCH));
    metrics.stands(request, "crm", "gone", Some(Reason::NoMap));
    metrics.request_due("crm", "stays", Some(Timestamp::UNIX_EPOCH));
    metrics.keep_requests(|_, name| name == "stays");
    let text = metrics.encode().unwrap();
    assert!(
        !text.contains("\"sr-1\"") && !text.contains("\"gone\""),
        "{text}"
    );
    assert!(text.contains("name=\"stays\"} 0\n"), "{text}");
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
