use serde_json::{Value, json};

use super::*;

fn asked(more: &Value) -> erasure::Request {
    let mut spec = json!({
        "subject": {"secretRef": {"name": "s"}}, "caseRef": "SR-7", "requestedBy": "jane",
        "receivedAt": "2026-11-02T09:00:00Z",
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    erasure::Request::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn status(status: &Value) -> ErasureRequestStatus {
    serde_json::from_value(status.clone()).unwrap()
}

#[test]
fn the_letter_is_written_by_the_settings_template() {
    let asked = asked(&json!({}));
    let found = status(&json!({"outcome": "NothingFound"}));
    let settings = Settings::default();
    let own = letter(&asked, &found, None, &settings).unwrap();
    assert!(own.starts_with("Our reference: SR-7\n"), "{own}");

    let spec = json!({"letter": {"template": "{{ case }}: {{ outcome }}\n"}});
    let spec = serde_json::from_value(spec).unwrap();
    let settings = Settings::parse(&spec, None).unwrap();
    let other = letter(&asked, &found, None, &settings).unwrap();
    assert_eq!(other, "SR-7: NothingFound\n");

    let kept = status(&json!({"outcome": "ErasedInPart", "kept": {"rows": 1}}));
    let error = letter(&asked, &kept, None, &settings).unwrap_err();
    assert!(error.to_string().contains("ErasurePlan"), "{error}");
}

#[test]
fn an_answer_is_recorded_once_and_not_before_the_request() {
    let record = |at: &str| Record {
        full: "ErasureRequest crm/r",
        at: at.parse().unwrap(),
    };
    assert!(
        record("2026-11-02T09:00:00Z")
            .is_possible(&asked(&json!({})))
            .is_ok()
    );
    let told = |at: &str, more: &Value| {
        let error = record(at).is_possible(&asked(more)).unwrap_err();
        error.to_string()
    };
    let early = told("2026-11-02T08:59:59Z", &json!({}));
    assert!(
        early.contains("received at 2026-11-02T09:00:00Z"),
        "{early}"
    );
    let twice = json!({"reply": {"sentAt": "2026-11-20T09:00:00Z"}});
    let twice = told("2026-11-21T09:00:00Z", &twice);
    assert!(twice.contains("recorded already"), "{twice}");
}

#[test]
fn what_is_decided_about_is_shown_with_its_last_day() {
    let record = Record {
        full: "ErasureRequest crm/r",
        at: "2026-11-20T09:00:00Z".parse().unwrap(),
    };
    for (given, shown) in [
        (
            json!({"outcome": "Erased", "dueOn": "2026-12-02"}),
            "ErasureRequest crm/r, case SR-7: Erased; the last day to answer is 2026-12-02",
        ),
        (
            json!({"state": "Finding"}),
            "ErasureRequest crm/r, case SR-7: it has no outcome yet (Finding)",
        ),
        (
            json!({}),
            "ErasureRequest crm/r, case SR-7: it has no outcome yet",
        ),
    ] {
        assert_eq!(record.shown(&asked(&json!({})), &status(&given)), shown);
    }
}

#[test]
fn a_time_is_now_or_an_instant_that_has_been() {
    assert_eq!(Sent::read("now"), Ok(Sent::Now));
    let at = "2026-11-20T12:00:00.7Z";
    let sent = Sent::read(at).unwrap();
    assert_eq!(sent, Sent::At(at.parse().unwrap()));
    assert!(Sent::read("yesterday").unwrap_err().contains("2026-11-20"));
    let future = Sent::At("9000-01-01T00:00:00Z".parse().unwrap());
    assert!(whole_seconds(future).is_err());
    let past = Sent::At("2020-11-20T12:00:00.7Z".parse().unwrap());
    assert_eq!(
        whole_seconds(past).unwrap().to_string(),
        "2020-11-20T12:00:00Z"
    );
}
