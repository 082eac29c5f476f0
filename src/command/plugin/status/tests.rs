use serde_json::{Value, json};

use super::*;
use crate::command::columns::WIDTH;

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!([{
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
}

fn object(kind: &str, name: &str, spec: &Value, mut status: Value, ready: Value) -> Value {
    status["conditions"] = ready;
    json!({
        "apiVersion": "oubliette.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "crm", "generation": 1},
        "spec": spec,
        "status": status,
    })
}

fn databases() -> Vec<TargetDatabase> {
    let postgres = json!({"engine": "PostgreSQL", "version": "15.18"});
    let mariadb = json!({"engine": "MariaDB", "version": "10.11.19-MariaDB"});
    let objects = [
        object(
            "TargetDatabase",
            "main",
            &json!({}),
            postgres,
            condition("True", "Connected", "ok"),
        ),
        object(
            "TargetDatabase",
            "library-with-a-name-that-is-longer-than-anybody-should-have-to-read",
            &json!({"suspend": true}),
            mariadb,
            condition(
                "False",
                "LedgerRewound",
                "the ledger lacks evidence that status remembers\nkubectl annotate …",
            ),
        ),
    ];
    objects
        .map(|object| serde_json::from_value(object).unwrap())
        .to_vec()
}

fn policies() -> Vec<RetentionPolicy> {
    let past = json!([{
        "run": "u/2026-01-09T02:30:00Z", "startedAt": "2026-01-09T02:30:00Z",
        "finishedAt": "2026-01-09T02:31:00Z", "outcome": "Completed", "rowsChanged": 12_345,
        "rowsLeft": 0,
    }]);
    let failed = json!([{
        "run": "u/2026-01-08T02:30:00Z", "startedAt": "2026-01-08T02:30:00Z",
        "finishedAt": "2026-01-08T02:30:05Z", "outcome": "Stopped", "reason": "LimitExceeded",
        "rowsChanged": 0, "rowsLeft": 1_234_567,
    }]);
    let of = |database: &str, mode: &str| json!({"databaseRef": {"name": database}, "mode": mode});
    let objects = [
        object(
            "RetentionPolicy",
            "learning",
            &of("main", "Enforce"),
            json!({"history": past, "overdueRows": 0, "nextRunAt": "2026-01-10T02:30:00Z"}),
            condition("True", "Completed", "done"),
        ),
        object(
            "RetentionPolicy",
            "messages",
            &of("main", "Enforce"),
            json!({
                "history": failed, "overdueRows": 1_234_567, "nextRunAt": "2026-01-10T02:30:00Z",
                "openRun": {"run": "u/now-x", "since": "2026-01-09T11:59:00Z"},
                "progress": {
                    "phase": "Running", "rule": "old", "rowsDone": 1_000, "rowsPlanned": 1_234_567,
                    "rowsPerSecond": 250, "estimatedEndAt": "2026-01-09T13:22:14Z",
                    "waitingFor": "RowsLocked",
                },
            }),
            condition("True", "Running", "run u/now-x"),
        ),
        object(
            "RetentionPolicy",
            "borrowers-with-a-name-that-is-longer-than-anybody-should-have-to-read",
            &of(
                "library-with-a-name-that-is-longer-than-anybody-should-have-to-read",
                "DryRun",
            ),
            json!({}),
            condition(
                "False",
                "ReferenceUndecided",
                "rule old: public.loans (borrower_id) references public.borrowers and would refuse \
                 the delete: nothing decides what happens to its rows\nrelated:\n- table: x",
            ),
        ),
        object(
            "RetentionPolicy",
            "of-a-newer-version",
            &of("main", "Enforce"),
            json!({}),
            condition("False", "Quantised", "words of a newer version"),
        ),
    ];
    objects
        .map(|object| serde_json::from_value(object).unwrap())
        .to_vec()
}

fn now() -> Timestamp {
    "2026-01-09T12:00:00Z".parse().unwrap()
}

#[test]
fn the_picture_of_a_namespace_fits_a_terminal() {
    let picture = Picture::of(&databases(), &policies(), &[], &[], &[]);
    let text = table::text(&picture, "namespace crm", now(), false);
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!(text);
    let coloured = table::text(&picture, "namespace crm", now(), true);
    assert_ne!(coloured, text);
    assert_eq!(console::strip_ansi_codes(&coloured), text);
}

#[test]
fn of_several_namespaces_each_name_has_its_own() {
    let (mut databases, policies) = (databases(), policies());
    databases[1].metadata.namespace = Some("library".to_owned());
    let picture = Picture::of(&databases[1..], &policies[..1], &[], &[], &[]);
    let text = table::text(&picture, "any namespace", now(), false);
    assert!(text.contains("  library/library-with-"), "{text}");
    assert!(text.contains("  crm/learning  main"), "{text}");
}

#[test]
fn programs_get_the_same_picture() {
    let picture = Picture::of(&databases(), &policies(), &[], &[], &[]);
    insta::assert_snapshot!(Output::Yaml.text(&picture, String::new).unwrap());
}

#[test]
fn who_falls_behind_says_why_and_when_it_will_have_caught_up() {
    let behind =
        |keep_up: Value| {
            let status = json!({
                "overdueRows": 86_400, "oldestOverdueAt": "2026-01-02T12:00:00Z", "keepUp": keep_up,
            });
            let mut conditions = condition("True", "Running", "run");
            conditions.as_array_mut().unwrap().insert(0, json!({
            "type": "FallingBehind", "status": "True", "reason": "Throttled", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
            let spec = json!({"databaseRef": {"name": "main"}, "mode": "Enforce"});
            let policy = object("RetentionPolicy", "slow", &spec, status, conditions);
            let picture = Picture::of(
                &[],
                &[serde_json::from_value(policy).unwrap()],
                &[],
                &[],
                &[],
            );
            table::text(&picture, "namespace crm", now(), false)
        };
    for (keep_up, end) in [
        (
            json!({"rowsLeft": 1, "caughtUpAt": "2026-01-10T12:00:00Z"}),
            "caught up in",
        ),
        (
            json!({"rowsLeft": 1, "never": true}),
            "never caught up at this pace",
        ),
        (json!({"rowsLeft": 1}), "not known yet"),
    ] {
        let text = behind(keep_up);
        assert!(text.contains("FALLING BEHIND"), "{text}");
        assert!(
            text.contains("crm/slow: Throttled, 86,400 rows overdue"),
            "{text}"
        );
        assert!(text.replace("\n  ", " ").contains(end), "{text}");
    }
}

#[test]
fn nothing_there_is_said_in_a_line() {
    let text = table::text(&Picture::default(), "namespace crm", now(), false);
    assert_eq!(
        text,
        "no TargetDatabase, RetentionPolicy or ErasureRequest in namespace crm\n"
    );
}

#[test]
fn what_the_operator_has_not_looked_at_waits_whatever_its_status_says() {
    let mut policies = policies();
    policies.truncate(1);
    policies[0].metadata.generation = Some(2);
    let picture = Picture::of(&[], &policies, &[], &[], &[]);
    let [waiting] = &picture.waiting[..] else {
        panic!("{picture:?}")
    };
    assert_eq!(waiting.reason, "Pending");
    policies[0].status = None;
    assert_eq!(
        Picture::of(&[], &policies, &[], &[], &[]).waiting[0].reason,
        "Pending"
    );
}

#[test]
fn a_hold_or_map_that_is_not_in_force_waits() {
    let of = |kind, name, state, reason| {
        object(
            kind,
            name,
            &json!({}),
            json!({}),
            condition(state, reason, "why"),
        )
    };
    let holds: Vec<LegalHold> = [("unfit", "False", "HoldUnfit"), ("well", "True", "Held")]
        .map(|(name, state, reason)| of("LegalHold", name, state, reason))
        .map(|object| serde_json::from_value(object).unwrap())
        .to_vec();
    let maps: Vec<DataMap> = [
        ("lost", "False", "DatabaseNotFound"),
        ("well", "True", "Mapped"),
    ]
    .map(|(name, state, reason)| of("DataMap", name, state, reason))
    .map(|object| serde_json::from_value(object).unwrap())
    .to_vec();
    let picture = Picture::of(&[], &[], &[], &holds, &maps);
    let told: Vec<(&str, &str)> = picture
        .waiting
        .iter()
        .map(|waiting| (waiting.kind, waiting.name.as_str()))
        .collect();
    assert_eq!(told, [("LegalHold", "unfit"), ("DataMap", "lost")]);
    let text = table::text(&picture, "namespace crm", now(), false);
    assert!(
        text.contains("HoldUnfit") && !text.contains("Nothing waits."),
        "{text}"
    );
}
