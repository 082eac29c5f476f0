//! ErasureRequest: from the manifest to `crate::erasure::Request`.

use super::people::parse_word;
use super::{At, Faults, FieldError, all};
use crate::api::erasure_request::{
    CASE_PATTERN, CloseName, CloseSpec, ConfirmationSpec, ErasureRequestSpec, ExtensionSpec,
    IdentitySpec, MAX_CASE, MAX_CONFIRMATIONS, MAX_MAPS, MapRef, Relation, ReplySpec,
    RequesterSpec, ScopeSpec, SubjectSpec,
};
use crate::api::refs::SecretRef;
use crate::erasure::{Close, Confirmation, Extension, MapName, Request, Scope};

impl Request {
    /// Parses a request's spec, or names every fault of it.
    pub fn parse(spec: &ErasureRequestSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let request = parse_request(&faults.root(), spec);
        faults.conclude(request)
    }
}

fn parse_request(at: &At<'_>, spec: &ErasureRequestSpec) -> Option<Request> {
    let ErasureRequestSpec {
        subject,
        case_ref,
        requested_by,
        received_at,
        requester,
        identity,
        extension,
        grounds,
        scope,
        confirmations,
        close,
        reply,
        suspend,
        unknown,
    } = spec;
    at.known::<ErasureRequestSpec>(unknown);
    let subject_at = at.field("subject");
    let secret = subject_at
        .required(subject.as_ref(), "`{secretRef: {name: oer-2026-0042}}`")
        .and_then(|subject| {
            let SubjectSpec {
                secret_ref,
                unknown,
            } = subject;
            subject_at.known::<SubjectSpec>(unknown);
            parse_secret(
                &subject_at.field("secretRef"),
                secret_ref.as_ref(),
                "`oer-2026-0042`",
            )
        });
    let case_at = at.field("caseRef");
    let case = case_at
        .text(case_ref.as_ref(), "`SR-0042`")
        .and_then(|case| {
            if !is_case(case) {
                // What was written may name somebody.
                case_at.invalid(format!(
                    "is no case number: capital letters and then numbers, such as SR-0042 or \
                 DSAR-2026-42 ({CASE_PATTERN}); it is read by many and must not name anybody"
                ));
                return None;
            }
            Some(case.to_owned())
        });
    let by = at
        .field("requestedBy")
        .text(requested_by.as_ref(), "your own user name");
    let received = at
        .field("receivedAt")
        .required(received_at.as_ref(), "`2026-11-02T09:00:00Z`");
    let speaks = parse_requester(&at.field("requester"), requester.as_ref());
    let identity_at = at.field("identity");
    let none = IdentitySpec::default();
    let IdentitySpec {
        required,
        satisfied_at,
        method,
        unknown,
    } = identity.as_ref().unwrap_or(&none);
    identity_at.known::<IdentitySpec>(unknown);
    if method.is_some() {
        identity_at.field("method").word(method.as_ref())?;
    }
    let grounds_at = at.field("grounds");
    let grounds = grounds.as_deref().unwrap_or_default();
    let grounds = all(grounds, |i, word| grounds_at.index(i).word(Some(word)));
    let extension = match extension {
        None => Some(None),
        Some(extension) => parse_extension(&at.field("extension"), extension).map(Some),
    };
    let scope = parse_scope(&at.field("scope"), scope.as_ref());
    let confirmations_at = at.field("confirmations");
    let confirmations = confirmations.as_deref().unwrap_or_default();
    confirmations_at.bounded(confirmations, MAX_CONFIRMATIONS);
    let confirmations = all(confirmations, |i, one| {
        parse_confirmation(&confirmations_at.index(i), one)
    });
    let close = match close {
        None => Some(None),
        Some(close) => parse_close(&at.field("close"), close).map(Some),
    };
    let replied = match reply {
        None => Some(None),
        Some(ReplySpec { sent_at, unknown }) => {
            let at = at.field("reply");
            at.known::<ReplySpec>(unknown);
            at.field("sentAt")
                .required(sent_at.as_ref(), "`2026-11-20T12:00:00Z`")
                .map(|sent| Some(*sent))
        }
    };
    Some(Request {
        secret: secret?,
        case: case?,
        requested_by: by?.to_owned(),
        received_at: *received?,
        speaks_since: speaks?,
        identity_required: required.unwrap_or(false),
        identified_at: *satisfied_at,
        extension: extension?,
        grounds: grounds?,
        scope: scope?,
        confirmations: confirmations?,
        close: close?,
        replied_at: replied?,
        suspend: suspend.unwrap_or(false),
    })
}

/// Whether a text is a case's number: nothing that could name somebody.
fn is_case(text: &str) -> bool {
    let mut parts = text.split('-');
    let letters = parts.next().unwrap_or_default();
    let numbers: Vec<&str> = parts.collect();
    let within = |part: &str, most, plain: fn(&u8) -> bool| {
        (1..=most).contains(&part.len()) && part.as_bytes().iter().all(plain)
    };
    text.len() <= MAX_CASE
        && within(letters, 10, u8::is_ascii_uppercase)
        && (1..=3).contains(&numbers.len())
        && numbers.iter().all(|n| within(n, 12, u8::is_ascii_digit))
}

/// Since when somebody may speak for the person: `Some(None)` for the person, an error while authority is
/// not verified is no fault of the manifest.
#[expect(
    clippy::option_option,
    reason = "a fault, nothing written, or what was written"
)]
fn parse_requester(
    at: &At<'_>,
    spec: Option<&RequesterSpec>,
) -> Option<Option<Option<jiff::Timestamp>>> {
    let Some(RequesterSpec {
        relation,
        authority_verified_at,
        unknown,
    }) = spec
    else {
        return Some(None);
    };
    at.known::<RequesterSpec>(unknown);
    let relation = at
        .field("relation")
        .word_or(relation.as_ref(), Relation::Oneself)?;
    Some((relation != Relation::Oneself).then_some(*authority_verified_at))
}

fn parse_extension(at: &At<'_>, spec: &ExtensionSpec) -> Option<Extension> {
    let ExtensionSpec {
        months,
        reason,
        notified_at,
        unknown,
    } = spec;
    at.known::<ExtensionSpec>(unknown);
    let months_at = at.field("months");
    let months = months_at
        .required(months.as_ref(), "`1`")
        .and_then(|months| months_at.within(*months, 1, 2));
    let reason = at.field("reason").word(reason.as_ref());
    let notified = at
        .field("notifiedAt")
        .required(notified_at.as_ref(), "`2026-11-20T12:00:00Z`");
    Some(Extension {
        months: months?,
        reason: reason?,
        notified_at: *notified?,
    })
}

fn parse_scope(at: &At<'_>, spec: Option<&ScopeSpec>) -> Option<Scope> {
    let Some(ScopeSpec {
        role,
        data_map_refs,
        purposes,
        unknown,
    }) = spec
    else {
        return Some(Scope::default());
    };
    at.known::<ScopeSpec>(unknown);
    let role = match role {
        None => Some(None),
        Some(_) => parse_word(&at.field("role"), role.as_ref(), "`learner`").map(Some),
    };
    let maps = parse_maps(&at.field("dataMapRefs"), data_map_refs.as_deref());
    let purposes_at = at.field("purposes");
    let purposes = purposes.as_deref().unwrap_or_default();
    let purposes = all(purposes, |i, purpose| {
        parse_word(&purposes_at.index(i), Some(purpose), "`marketing`")
    });
    Some(Scope {
        role: role?,
        maps: maps?,
        purposes: purposes?,
    })
}

/// The name of a person's Secret.
pub(super) fn parse_secret(
    at: &At<'_>,
    secret: Option<&SecretRef>,
    example: &str,
) -> Option<String> {
    let SecretRef { name, unknown } = at.required(secret, "`{name: …}`")?;
    at.known::<SecretRef>(unknown);
    let name = at.field("name").object_name(name.as_ref(), example);
    name.map(str::to_owned)
}

/// The DataMaps that are named; none: all.
pub(super) fn parse_maps(at: &At<'_>, maps: Option<&[MapRef]>) -> Option<Vec<MapName>> {
    let maps = maps.unwrap_or_default();
    at.bounded(maps, MAX_MAPS);
    all(maps, |i, map| {
        let at = at.index(i);
        let MapRef {
            namespace,
            name,
            unknown,
        } = map;
        at.known::<MapRef>(unknown);
        let name = at.field("name").object_name(name.as_ref(), "`crm`");
        let namespace = match namespace {
            None => Some(None),
            Some(namespace) => at.field("namespace").namespace(namespace).map(Some),
        };
        Some(MapName {
            namespace: namespace?,
            name: name?.to_owned(),
        })
    })
}

fn parse_confirmation(at: &At<'_>, spec: &ConfirmationSpec) -> Option<Confirmation> {
    let ConfirmationSpec {
        item,
        outcome,
        by,
        at: when,
        unknown,
    } = spec;
    at.known::<ConfirmationSpec>(unknown);
    let item = at
        .field("item")
        .text(item.as_ref(), "`elsewhere/paper-files`");
    let outcome = at.field("outcome").word(outcome.as_ref());
    let by = at.field("by").text(by.as_ref(), "your own user name");
    let when = at
        .field("at")
        .required(when.as_ref(), "`2026-11-20T12:00:00Z`");
    Some(Confirmation {
        item: item?.to_owned(),
        outcome: outcome?,
        by: by?.to_owned(),
        at: *when?,
    })
}

fn parse_close(at: &At<'_>, spec: &CloseSpec) -> Option<Close> {
    let CloseSpec {
        outcome,
        ground,
        by,
        unknown,
    } = spec;
    at.known::<CloseSpec>(unknown);
    let outcome = at.field("outcome").word(outcome.as_ref());
    let ground_at = at.field("ground");
    let ground = match ground {
        None => Some(None),
        Some(_) => ground_at.word(ground.as_ref()).map(Some),
    };
    let by = at.field("by").text(by.as_ref(), "your own user name");
    let (outcome, ground) = (outcome?, ground?);
    if (outcome == CloseName::Refused) != ground.is_some() {
        ground_at.invalid("Refused needs a ground, such as Art17_3_b, and only it takes one");
        return None;
    }
    Some(Close {
        outcome,
        ground,
        by: by?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::reason::Reason;

    fn good() -> Value {
        json!({
            "subject": {"secretRef": {"name": "oer-2026-0042"}},
            "caseRef": "SR-0042",
            "requestedBy": "jane",
            "receivedAt": "2026-11-02T09:00:00Z",
        })
    }

    fn read(spec: &Value) -> ErasureRequestSpec {
        serde_json::from_value(spec.clone()).unwrap()
    }

    fn parse(spec: &Value) -> Result<Request, Vec<FieldError>> {
        Request::parse(&read(spec))
    }

    #[test]
    fn a_request_is_read() {
        let mut spec = good();
        let request = parse(&spec).unwrap();
        assert_eq!(request.secret, "oer-2026-0042");
        assert!(!request.identity_required && request.speaks_since.is_none());
        spec["requester"] = json!({"relation": "Parent"});
        spec["scope"] = json!({"role": "learner", "dataMapRefs": [{"name": "crm"}],
                               "purposes": ["marketing"]});
        let request = parse(&spec).unwrap();
        assert_eq!(request.speaks_since, Some(None));
        assert_eq!(request.scope.purposes, ["marketing"]);
    }

    #[test]
    fn every_fault_names_its_field_and_no_fault_repeats_what_may_name_somebody() {
        for (field, value, path, words) in [
            ("caseRef", json!("Jane-Doe"), "spec.caseRef", "case number"),
            ("caseRef", json!("SR-"), "spec.caseRef", "case number"),
            ("receivedAt", Value::Null, "spec.receivedAt", "is required"),
            (
                "subject",
                json!({}),
                "spec.subject.secretRef",
                "is required",
            ),
            (
                "close",
                json!({"outcome": "Refused", "by": "j"}),
                "spec.close.ground",
                "Art17_3_b",
            ),
            (
                "close",
                json!({"outcome": "Withdrawn", "ground": "Excessive", "by": "j"}),
                "spec.close.ground",
                "only it",
            ),
            (
                "extension",
                json!({"months": 3, "reason": "Complexity", "notifiedAt": "2026-11-02T09:00:00Z"}),
                "spec.extension.months",
                "1 to 2",
            ),
            (
                "identifiers",
                json!({"email": "a@b"}),
                "spec.identifiers",
                "does not know",
            ),
        ] {
            let mut spec = good();
            spec[field] = value;
            let faults = parse(&spec).unwrap_err();
            let found = faults.iter().find(|fault| fault.path == path);
            let found = found.unwrap_or_else(|| panic!("{path}: {faults:?}"));
            assert!(found.message.contains(words), "{path}: {}", found.message);
            assert!(!found.message.contains("Jane"), "{}", found.message);
            if words == "does not know" {
                assert_eq!(found.reason, Reason::UnknownField);
            }
        }
    }
}
