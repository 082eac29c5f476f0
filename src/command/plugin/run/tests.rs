use serde_json::Value;

use super::*;

fn policy(spec: &Value, status: &Value) -> RetentionPolicy {
    serde_json::from_value(json!({
        "apiVersion": "oubliette.dev/v1alpha1",
        "kind": "RetentionPolicy",
        "metadata": {"name": "p", "namespace": "crm", "uid": "u", "generation": 2},
        "spec": spec,
        "status": status,
    }))
    .unwrap()
}

fn ready(reason: &str, generation: i64) -> Value {
    json!([{
        "type": "Ready", "status": "False", "reason": reason, "message": "this is why\nand: yaml",
        "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }])
}

#[test]
fn what_nothing_would_run_for_is_refused_with_the_reason() {
    let enforce = json!({"mode": "Enforce"});
    for (spec, status, words) in [
        (json!({}), json!({}), Some("DryRun")),
        (json!({"mode": "Later"}), json!({}), Some("DryRun")),
        (
            json!({"mode": "Enforce", "suspend": true}),
            json!({}),
            Some("suspended"),
        ),
        (enforce.clone(), json!({}), None),
        (
            enforce.clone(),
            json!({"conditions": ready("Conflict", 2)}),
            Some("Conflict, this is why"),
        ),
        // Said of the spec before: it may have been put right.
        (
            enforce.clone(),
            json!({"conditions": ready("Conflict", 1)}),
            None,
        ),
        // Another attempt may find it otherwise.
        (
            enforce,
            json!({"conditions": ready("LimitExceeded", 2)}),
            None,
        ),
    ] {
        let why = hindrance(&policy(&spec, &status));
        match words {
            None => assert_eq!(why, None),
            Some(words) => assert!(
                why.as_deref()
                    .is_some_and(|why| why.contains(words) && !why.contains('\n')),
                "{why:?}"
            ),
        }
    }
}

#[test]
fn a_run_is_followed_from_its_token_to_its_end() {
    let seen = |status: &Value| Seen::of(&policy(&json!({}), status), "t");
    let progress = json!({
        "phase": "Running", "rowsDone": 1, "rowsPlanned": 2, "rowsPerSecond": 3,
    });
    let open = |id: &str| json!({"run": id, "since": "2026-01-01T00:00:00Z"});
    assert_eq!(seen(&json!({})), Seen::NotTaken);
    assert_eq!(
        seen(&json!({"openRun": open("u/now-older"), "handledRunNow": "older"})),
        Seen::Behind
    );
    assert!(matches!(
        seen(&json!({"openRun": open("u/now-t"), "handledRunNow": "t", "progress": progress})),
        Seen::Under(Some(_))
    ));
    // Tried again by itself.
    let unreachable = ready("Unreachable", 2);
    assert_eq!(
        seen(&json!({"openRun": open("u/now-t"), "handledRunNow": "t", "conditions": unreachable})),
        Seen::Under(None)
    );
    let suspended = ready("Suspended", 2);
    assert_eq!(
        seen(&json!({"openRun": open("u/now-t"), "handledRunNow": "t", "conditions": suspended})),
        Seen::Held("Suspended, this is why".to_owned())
    );
    let past = json!([{
        "run": "u/now-t", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:09Z",
        "outcome": "Completed", "rowsChanged": 7, "rowsLeft": 0,
    }]);
    assert!(matches!(
        seen(&json!({"handledRunNow": "t", "history": past})),
        Seen::Ended(past) if past.rows_changed == 7
    ));
    assert_eq!(seen(&json!({"handledRunNow": "t"})), Seen::Lost);
    // Nothing ran for it: the plan is made anew, and then people are waited for.
    let waits = ready("ApprovalMissing", 2);
    assert_eq!(
        seen(&json!({"handledRunNow": "t", "conditions": waits, "progress": progress})),
        Seen::Behind
    );
    assert_eq!(
        seen(&json!({"handledRunNow": "t", "conditions": waits})),
        Seen::Held("ApprovalMissing, this is why".to_owned())
    );
}

#[test]
fn a_run_that_waits_for_a_window_says_so_wherever_it_stands() {
    let open = |id: &str| json!({"run": id, "since": "2026-01-01T00:00:00Z"});
    for mut status in [
        json!({}),
        json!({"openRun": open("u/now-older")}),
        json!({"openRun": open("u/now-t"), "handledRunNow": "t"}),
    ] {
        status["conditions"] = ready("WindowClosed", 2);
        status["windowOpensAt"] = json!("2026-01-01T22:00:00Z");
        assert_eq!(
            Seen::of(&policy(&json!({}), &status), "t"),
            Seen::Window("this is why".to_owned())
        );
    }
}

#[test]
fn a_token_is_one_that_the_operator_takes() {
    let token = token(Timestamp::UNIX_EPOCH);
    assert!(oubliette_core::decide::due::is_token(&token), "{token}");
    assert!(token.starts_with("19700101T000000Z-"), "{token}");
}

#[test]
fn a_phase_of_a_newer_version_is_shown_as_the_first() {
    let told = ProgressStatus {
        phase: "Pondering".to_owned(),
        rule: None,
        rows_done: 1,
        rows_planned: 2,
        rows_per_second: 0,
        estimated_end_at: None,
        waiting_for: Some("RowsLocked".to_owned()),
    };
    let shown = shown_of(&told);
    assert_eq!(shown.phase, Progress::BEGUN.phase);
    assert_eq!(shown.waiting, Some(Reason::RowsLocked));
}

#[test]
fn a_run_that_no_operator_takes_up_is_told_once_and_then_given_up() {
    let after = |seconds, told| unanswered(Duration::from_secs(seconds), told);
    assert_eq!(after(1, false), None);
    assert_eq!(after(11, false), Some(Unanswered::Told));
    assert_eq!(after(11, true), None);
    assert_eq!(after(61, true), Some(Unanswered::GivenUp));
    for words in ["no operator", "watch this namespace", "kubectl get pods"] {
        assert!(NOT_TAKEN.contains(words), "{NOT_TAKEN}");
    }
}
