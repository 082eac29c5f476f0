use serde_json::{Value, json};

use super::facts::samples;
use super::*;
use crate::api::erasure_plan::ErasurePlanSpec;
use crate::api::erasure_request::{ErasureRequestSpec, ErasureRequestStatus};
use crate::erasure::Request;
use crate::settings::Settings;

#[test]
fn a_letter_of_every_outcome() {
    let letters = samples();
    let parts: Vec<String> = letters
        .iter()
        .map(|facts| {
            let letter = Template::default().render(facts).unwrap();
            let outcome = facts.outcome.unwrap_or("no outcome");
            format!("===== {outcome} =====\n{letter}")
        })
        .collect();
    insta::assert_snapshot!(parts.concat());
}

#[test]
fn the_programs_own_template_is_one_that_would_be_taken() {
    assert_eq!(Template::parse(OWN), Ok(Template::default()));
}

#[test]
fn no_letter_has_blank_lines_in_a_row_or_at_the_end_of_a_line() {
    for facts in samples() {
        let letter = Template::default().render(&facts).unwrap();
        assert!(!letter.contains("\n\n\n"), "{letter}");
        assert!(letter.ends_with(".\n"), "{letter}");
        assert!(
            letter.lines().all(|line| line == line.trim_end()),
            "{letter}"
        );
    }
}

#[test]
fn what_would_go_wrong_in_a_letter_is_told_when_the_template_is_read() {
    for (text, words) in [
        ("{{ caze }}", "there is no `caze` in a letter; there are `"),
        ("{{ controller.nmae }}", "`controller.nmae`"),
        ("{% if false %}{{ nobody }}{% endif %}", "`nobody`"),
        ("\n{% if case %}", "line 2: syntax error"),
        ("{{ case | shout }}", "line 1: unknown filter"),
        (
            "{% for part in kept %}\n{{ part.table }}{% endfor %}",
            "line 2: undefined value",
        ),
        // There is not always one.
        ("{{ due_on | day }}", "line 1: "),
        ("{{ extension.months }}", "outcome"),
        ("{{ case | day }}", "is no day"),
        ("{% include 'other' %}", "line 1: "),
    ] {
        let error = Template::parse(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let good = "{% for i in range(2) %}{{ i }}{% endfor %} {{ kept | length }}";
    assert!(Template::parse(good).is_ok());
}

#[test]
fn days_and_numbers_are_written_for_people() {
    let template = "{{ received_on | day }}: {{ erased.deleted | counted('row', 'rows') }}, \
                    {{ erased.transformed | counted('row', 'rows') }}";
    let letter = Template(template.to_owned()).render(&samples()[0]).unwrap();
    assert_eq!(letter, "2 November 2026: 1,204 rows, 1 row");
}

fn request(more: &Value) -> Request {
    let mut spec = json!({
        "subject": {"secretRef": {"name": "s"}}, "caseRef": "SR-7", "requestedBy": "jane",
        "receivedAt": "2026-11-02T09:00:00Z",
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let spec: ErasureRequestSpec = serde_json::from_value(spec).unwrap();
    Request::parse(&spec).unwrap()
}

fn status(kept: i64) -> ErasureRequestStatus {
    serde_json::from_value(json!({
        "outcome": "ErasedInPart",
        "databases": [{"map": "crm/crm", "database": "crm/crm", "run": "r", "deleted": 5,
                       "transformed": 2, "kept": kept, "held": 0,
                       "verifiedAt": "2026-11-10T09:00:00Z"}],
        "kept": {"rows": kept},
        "elsewhere": [
            {"name": "mailing-house", "via": "Webhook", "state": "Told", "attempts": 1},
            {"name": "paper-files", "via": "Manual", "state": "Pending"},
        ],
    }))
    .unwrap()
}

fn plan(deleted: i64) -> ErasurePlanSpec {
    let keep = |law: &str, told: bool| {
        json!({"duty": "d", "law": law, "ground": "Art17_3_b", "rows": 1,
               "until": "2032-12-31T23:30:00Z", "tellSubject": told})
    };
    serde_json::from_value(json!({
        "requestRef": {"name": "r", "uid": "u"},
        "digest": format!("sha256:{}", "0".repeat(64)), "asOf": "2026-11-09T09:00:00Z",
        "databases": [{"map": "crm/crm", "database": "crm/crm", "tables": [
            {"entry": "contacts", "table": "public.contacts", "effect": "Delete", "rows": deleted},
            {"entry": "invoices", "table": "public.invoices", "effect": "Transform", "rows": 2,
             "kept": [keep("Companies Act 2006, s. 388", true), keep("Secret Act", false)]},
        ]}],
    }))
    .unwrap()
}

#[test]
fn a_letter_is_written_from_request_status_and_plan() {
    let spec = json!({"calendar": {"timeZone": "Europe/Berlin"}, "backups": {"keptFor": "P35D"}});
    let spec = serde_json::from_value(spec).unwrap();
    let settings = Settings::parse(&spec, None).unwrap();
    let (request, status) = (request(&json!({})), status(2));
    let facts = LetterFacts::of(&request, &status, Some(&plan(5)), &settings).unwrap();
    insta::assert_yaml_snapshot!(facts);
    let letter = Template::default().render(&facts).unwrap();
    assert!(letter.contains("until 1 January 2033"), "{letter}");
}

#[test]
fn what_the_person_is_not_to_be_told_does_not_come_into_the_facts() {
    let settings = Settings::default();
    let (request, status) = (request(&json!({})), status(2));
    let facts = LetterFacts::of(&request, &status, Some(&plan(5)), &settings).unwrap();
    assert!(!format!("{facts:?}").contains("Secret Act"));
    // The same letter whether something untold is kept or nothing is.
    let mut untold = plan(5);
    untold.databases[0].tables[1].kept.remove(0);
    let facts = LetterFacts::of(&request, &status, Some(&untold), &settings).unwrap();
    let letter = Template::default().render(&facts).unwrap();
    let mut nothing = untold.clone();
    nothing.databases[0].tables[1].kept.clear();
    let mut erased = status.clone();
    erased.kept = None;
    erased.outcome = serde_json::from_value(json!("Erased")).unwrap();
    let facts = LetterFacts::of(&request, &erased, Some(&nothing), &settings).unwrap();
    assert_eq!(Template::default().render(&facts).unwrap(), letter);
}

#[test]
fn without_the_plan_nobody_guesses_what_may_be_told() {
    let settings = Settings::default();
    let request = request(&json!({}));
    let of = |status| LetterFacts::of(&request, &status, None, &settings);
    assert_eq!(of(status(2)), Err(KeptUnknown));
    assert!(of(status(0)).is_ok());
}

#[test]
fn kinds_are_told_only_where_they_fit_what_was_done() {
    let settings = Settings::default();
    let (request, status) = (request(&json!({})), status(2));
    let kinds = |deleted| {
        let facts = LetterFacts::of(&request, &status, Some(&plan(deleted)), &settings).unwrap();
        (facts.erased.deleted, facts.erased.kinds.len())
    };
    assert_eq!(kinds(5), (5, 2));
    assert_eq!(kinds(6), (5, 0));
}

#[test]
fn an_extension_and_a_refusal_are_told_with_their_reasons() {
    let settings = Settings::default();
    let extension = |told: &str| {
        let request = request(&json!({
            "extension": {"months": 1, "reason": "NumberOfRequests", "notifiedAt": told},
        }));
        let status = ErasureRequestStatus::default();
        LetterFacts::of(&request, &status, None, &settings).unwrap()
    };
    let facts = extension("2026-12-02T12:00:00Z");
    let letter = Template::default().render(&facts).unwrap();
    assert!(letter.contains("several requests"), "{letter}");
    // 2 January 2027 is a Saturday.
    assert!(letter.contains("by 4 January 2027"), "{letter}");
    let late = extension("2026-12-03T12:00:00Z");
    assert!(!late.extension.unwrap().in_time);

    let refused = request(&json!({
        "close": {"outcome": "Refused", "ground": "Art17_3_e", "by": "jane"},
    }));
    let status = serde_json::from_value(json!({"outcome": "Refused"})).unwrap();
    let facts = LetterFacts::of(&refused, &status, None, &settings).unwrap();
    let letter = Template::default().render(&facts).unwrap();
    for words in ["17(3)(e)", "complain to", "go to court"] {
        assert!(letter.contains(words), "{words}: {letter}");
    }
}
