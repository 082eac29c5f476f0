//! A certificate by itself: form, digest, key and signature, each compared whatever came of the others.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use oubliette_core::api::words::Word;
use oubliette_core::erasure::{Claims, Document};
use serde::Serialize;

use super::{Check, Checked, Outcome};
use crate::signing::PublicKey;

/// What a certificate says of itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    request: String,
    case: String,
    outcome: &'static str,
    issued_at: Timestamp,
}

impl About {
    fn of(document: &Document) -> Self {
        let certificate = &document.certificate;
        Self {
            request: certificate.request.clone(),
            case: certificate.case.clone(),
            outcome: certificate.outcome.as_str(),
            issued_at: certificate.issued_at,
        }
    }

    /// In one line.
    pub(super) fn sentence(&self) -> String {
        let Self {
            request,
            case,
            outcome,
            issued_at,
        } = self;
        format!("it says: case {case}, request {request}, {outcome}, issued {issued_at}")
    }
}

/// A public key and the file that it came from.
struct Given {
    file: String,
    key: PublicKey,
}

/// Looks at the file. The document, where it has the right form.
pub(super) fn look(
    file: &Path,
    keys: &[PathBuf],
    unsigned: bool,
) -> anyhow::Result<(Checked, Option<Document>)> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("failed to read {name}"))?;
    let mut given = Vec::new();
    for file in keys {
        let name = file.display().to_string();
        given.extend(PublicKey::read(file)?.into_iter().map(|key| Given {
            file: name.clone(),
            key,
        }));
    }
    let (document, checks) = compared(&bytes, &given, unsigned);
    let about = document.as_ref().map(About::of);
    Ok((Checked::new(name, about, checks), document))
}

fn compared(bytes: &[u8], given: &[Given], unsigned: bool) -> (Option<Document>, Vec<Check>) {
    let (document, form) = match Document::parse(bytes) {
        Ok(document) => (Some(document), Check::fits("form", "canonical, version 1")),
        Err(fault) => (None, Check::differs("form", fault.to_string())),
    };
    let claims = Claims::of(bytes);
    let mut checks = vec![form, digest(&claims)];
    if given.is_empty() {
        checks.push(without_key(&claims, unsigned));
    } else {
        checks.push(key(&claims, given));
        checks.push(signature(&claims, given));
    }
    (document, checks)
}

fn digest(claims: &Claims) -> Check {
    let check = "digest";
    match (claims.digest, claims.computed()) {
        (Some(named), Some(computed)) if named == computed => Check::fits(check, named.to_string()),
        (Some(named), Some(computed)) => Check::differs(
            check,
            format!("the file names {named}, and its certificate has {computed}"),
        ),
        (None, Some(computed)) => Check::differs(
            check,
            format!("the file names none, and its certificate has {computed}"),
        ),
        (_, None) => Check::differs(check, "there is no certificate in the file"),
    }
}

/// Nobody gave a key.
fn without_key(claims: &Claims, unsigned: bool) -> Check {
    let said = match (claims.signature, claims.key) {
        (Some(_), Some(key)) => format!("it is signed with the key {key}"),
        _ => "it is not signed".to_owned(),
    };
    let check = "signature";
    if unsigned {
        return Check::new(check, Outcome::LeftOut, said);
    }
    let help = "give the public key with --key, or --unsigned to leave it at form and digest, which \
                whoever edits the file can make anew";
    Check::new(check, Outcome::NotChecked, format!("{said}: {help}"))
}

/// Whether the key that is named is one that was given.
fn key(claims: &Claims, given: &[Given]) -> Check {
    let check = "key";
    let Some(named) = claims.key else {
        return Check::differs(check, "the file names no key");
    };
    if let Some(given) = given.iter().find(|given| given.key.digest() == named) {
        return Check::fits(check, format!("{named} is {}", given.file));
    }
    let others = given.iter();
    let others: Vec<String> = others
        .map(|given| format!("{} ({})", given.key.digest(), given.file))
        .collect();
    let others = others.join(", ");
    Check::differs(check, format!("the file names {named}; given are {others}"))
}

/// Whether one of the given keys has signed what is there, whichever is named.
fn signature(claims: &Claims, given: &[Given]) -> Check {
    let check = "signature";
    let (Some(signature), Some(certificate)) = (&claims.signature, &claims.certificate) else {
        return Check::differs(check, "the file has no signature that reads as one");
    };
    let message = certificate.as_bytes();
    let by = given
        .iter()
        .find(|given| given.key.has_signed(message, signature));
    match by {
        Some(given) => Check::fits(check, format!("of Ed25519, by {}", given.file)),
        None => Check::differs(
            check,
            "by none of the given keys: the certificate or its signature was edited, or it is \
             another's",
        ),
    }
}

#[cfg(test)]
mod tests {
    use oubliette_core::digest::canonical_json;
    use oubliette_core::erasure::Certificate;
    use serde_json::{Value, json};

    use super::*;
    use crate::signing::{SigningKey, issue};

    const KEYS: [&str; 2] = [
        "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
",
        "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3
-----END PRIVATE KEY-----
",
    ];

    fn signing(number: usize) -> SigningKey {
        SigningKey::of_pem(KEYS[number].as_bytes()).unwrap()
    }

    fn given(numbers: &[usize]) -> Vec<Given> {
        let given = |number: &usize| Given {
            file: format!("{number}.pem"),
            key: *signing(*number).public(),
        };
        numbers.iter().map(given).collect()
    }

    fn certificate() -> Certificate {
        let text = include_str!("../../../tests/certificates/erased.json");
        serde_json::from_str(text).unwrap()
    }

    /// What differs, by the names of the checks; empty: it is verified.
    fn differs(bytes: &[u8], keys: &[usize], unsigned: bool) -> Vec<&'static str> {
        let (_, checks) = compared(bytes, &given(keys), unsigned);
        let checks = Checked::new(String::new(), None, checks);
        let wrong = checks
            .checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Differs | Outcome::NotChecked));
        let wrong: Vec<_> = wrong.map(|check| check.name).collect();
        assert_eq!(wrong.is_empty(), checks.verified);
        wrong
    }

    #[test]
    fn what_was_issued_is_verified_with_its_key_and_no_other() {
        let signed = issue(&certificate(), Some(&signing(0))).to_canonical();
        let unsigned = issue(&certificate(), None).to_canonical();
        let (signed, unsigned) = (signed.as_bytes(), unsigned.as_bytes());
        assert_eq!(differs(signed, &[0], false), [""; 0]);
        assert_eq!(differs(signed, &[1, 0], false), [""; 0]);
        assert_eq!(differs(signed, &[1], false), ["key", "signature"]);
        assert_eq!(differs(signed, &[], false), ["signature"]);
        assert_eq!(differs(signed, &[], true), [""; 0]);
        assert_eq!(differs(unsigned, &[0], false), ["key", "signature"]);
        assert_eq!(differs(unsigned, &[], false), ["signature"]);
        assert_eq!(differs(unsigned, &[], true), [""; 0]);
    }

    #[test]
    fn the_key_that_has_signed_is_named() {
        let signed = issue(&certificate(), Some(&signing(1))).to_canonical();
        let (_, checks) = compared(signed.as_bytes(), &given(&[0, 1]), false);
        let said: Vec<_> = checks.iter().map(|check| check.detail.as_str()).collect();
        assert!(said[2].ends_with("is 1.pem"), "{said:?}");
        assert!(said[3].ends_with("by 1.pem"), "{said:?}");
    }

    #[test]
    fn whoever_has_no_key_cannot_make_it_anew() {
        let mut other = certificate();
        other.databases.clear();
        let mut forged = issue(&certificate(), Some(&signing(0)));
        forged.digest = issue(&other, None).digest;
        forged.certificate = other.clone();
        let wrong = differs(forged.to_canonical().as_bytes(), &[0], false);
        assert_eq!(wrong, ["signature"]);
        // With a key of one's own, under the name of the other.
        let mut forged = issue(&other, Some(&signing(1)));
        forged.key = Some(signing(0).public().digest());
        let wrong = differs(forged.to_canonical().as_bytes(), &[0], false);
        assert_eq!(wrong, ["signature"]);
    }

    /// Every value with one thing in it changed, and what was changed.
    fn edits(value: &Value, at: &str) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        let mut to = |what: &str, edited: Value| all.push((format!("{at} {what}"), edited));
        for (what, other) in [
            ("null", json!(null)),
            ("text", json!("x")),
            ("number", json!(7)),
            ("fraction", json!(0.5)),
            ("truth", json!(true)),
            ("list", json!([])),
            ("object", json!({})),
        ] {
            if other != *value {
                to(what, other);
            }
        }
        match value {
            Value::String(text) => {
                to("longer", json!(format!("{text} ")));
                let shorter: String = text.chars().skip(1).collect();
                to("shorter", json!(shorter));
                for (i, c) in text.char_indices() {
                    let other = if c == '1' { "2" } else { "1" };
                    let rest = &text[i + c.len_utf8()..];
                    to(
                        &format!("letter {i}"),
                        json!(format!("{}{other}{rest}", &text[..i])),
                    );
                }
            }
            Value::Number(number) => {
                let number = number.as_i64().unwrap();
                for other in [number + 1, number - 1, -number - 1, i64::MAX] {
                    to(&format!("is {other}"), json!(other));
                }
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    let mut without = items.clone();
                    without.remove(i);
                    to(&format!("without {i}"), json!(without));
                    let mut twice = items.clone();
                    twice.push(item.clone());
                    to(&format!("twice {i}"), json!(twice));
                }
                if items.len() > 1 {
                    let mut turned = items.clone();
                    turned.reverse();
                    to("turned", json!(turned));
                }
            }
            Value::Object(members) => {
                let mut more = members.clone();
                more.insert("more".to_owned(), json!(1));
                to("more", json!(more));
                for name in members.keys() {
                    let mut without = members.clone();
                    let value = without.remove(name).unwrap();
                    to(&format!("without {name}"), json!(without));
                    without.insert(format!("{name}s"), value);
                    to(&format!("{name} renamed"), json!(without));
                }
            }
            _ => {}
        }
        let mut inside = |name: String, value: &Value, put: &dyn Fn(Value) -> Value| {
            for (what, edited) in edits(value, &format!("{at}/{name}")) {
                all.push((what, put(edited)));
            }
        };
        match value {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    inside(i.to_string(), item, &|edited| {
                        let mut items = items.clone();
                        items[i] = edited;
                        json!(items)
                    });
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    inside(name.clone(), value, &|edited| {
                        let mut members = members.clone();
                        members.insert(name.clone(), edited);
                        json!(members)
                    });
                }
            }
            _ => {}
        }
        all
    }

    #[test]
    fn every_edit_of_every_field_is_noticed() {
        let text = issue(&certificate(), Some(&signing(0))).to_canonical();
        let issued: Value = serde_json::from_str(&text).unwrap();
        let edits = edits(&issued, "");
        assert!(edits.len() > 2000, "only {} edits", edits.len());
        for (what, edited) in edits {
            // A null that stands for nothing has no canonical form: as it would be written.
            let written = serde_json::to_string(&edited).unwrap();
            for bytes in [canonical_json(&edited).unwrap(), written] {
                let passes = bytes == text;
                let wrong = differs(bytes.as_bytes(), &[0], false);
                assert_eq!(wrong.is_empty(), passes, "{what}: {wrong:?}");
            }
        }
    }

    #[test]
    fn what_was_written_in_another_way_is_noticed() {
        let text = issue(&certificate(), Some(&signing(0))).to_canonical();
        let twice = text.replacen("\"case\":", "\"case\":\"SR-1\",\"case\":", 1);
        let escaped = text.replacen("SR-0042", "SR-004\\u0032", 1);
        let zone = text.replacen("T09:00:00Z", "T09:00:00+00:00", 1);
        let number = text.replacen("\"rows\":2", "\"rows\":2.0", 1);
        let huge = text.replacen("\"rows\":2", "\"rows\":9007199254740993", 1);
        for edited in [
            format!("{text}\n"),
            format!(" {text}"),
            format!("\u{feff}{text}"),
            text.replacen(':', ": ", 1),
            twice,
            escaped,
            zone,
            number,
            huge,
            String::new(),
            "{}".to_owned(),
            "[".repeat(100_000),
        ] {
            assert_ne!(edited, text);
            let wrong = differs(edited.as_bytes(), &[0], false);
            assert!(wrong.contains(&"form"), "{wrong:?}: {edited:.100}");
        }
        for at in (0..text.len()).step_by(7) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_ne!(differs(&bytes, &[0], false), [""; 0], "byte {at}");
        }
    }
}
