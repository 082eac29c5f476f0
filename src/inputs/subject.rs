//! A person's identifiers: read from the Secret of a request, held as long as somebody is looked for,
//! and never shown.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use oubliette_core::api::erasure_request::SUBJECT_SECRET;
use oubliette_core::erasure::find::Known;
use oubliette_core::value::Personal;
use zeroize::Zeroize;

use super::secrets::{GatherFault, wipe};

/// Longest identifier, in bytes.
const LONGEST: usize = 1_024;

/// What a person is known by. `names`: the identifiers that the maps know.
pub fn known(mut secret: Secret, names: &[String]) -> Result<Known, GatherFault> {
    let known = read(&mut secret, names);
    wipe(secret);
    known
}

fn read(secret: &mut Secret, names: &[String]) -> Result<Known, GatherFault> {
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let unfit = |problem: String| GatherFault::NoSubject {
        namespace: namespace.clone(),
        name: name.clone(),
        problem,
    };
    if secret.type_.as_deref() != Some(SUBJECT_SECRET) {
        return Err(unfit(format!("is not of type {SUBJECT_SECRET}")));
    }
    if secret.immutable != Some(true) {
        return Err(unfit(
            "is not immutable: who is meant must not change while the request is carried out"
                .to_owned(),
        ));
    }
    let mut known = Known::default();
    let data = secret.data.take().unwrap_or_default();
    for (key, value) in data {
        let mut bytes = value.0;
        let text = std::str::from_utf8(&bytes).map(|text| text.trim_end_matches(['\r', '\n']));
        let problem = match text {
            // Whoever wrote it may have written a name.
            _ if !names.contains(&key) => Some(format!(
                "has a key that no DataMap knows as an identifier; known are {}",
                names.join(", ")
            )),
            Err(_) => Some(format!("has no text under the key {key:?}")),
            Ok(text) if text.trim().is_empty() => Some(format!("is empty under the key {key:?}")),
            Ok(text) if text.len() > LONGEST => Some(format!(
                "has more than {LONGEST} bytes under the key {key:?}"
            )),
            Ok(text) => {
                known.add(&key, Personal::new(text));
                None
            }
        };
        bytes.zeroize();
        if let Some(problem) = problem {
            return Err(unfit(problem));
        }
    }
    if known.names().next().is_none() {
        return Err(unfit("has no identifiers".to_owned()));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(kind: &str, immutable: bool, data: &[(&str, &[u8])]) -> Secret {
        let data = data.iter();
        Secret {
            type_: Some(kind.to_owned()),
            immutable: Some(immutable),
            data: Some(
                data.map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec())))
                    .collect(),
            ),
            ..Secret::default()
        }
    }

    #[test]
    fn identifiers_are_read_and_nothing_of_them_is_told() {
        let names = ["email".to_owned(), "uln".to_owned()];
        let good = secret(SUBJECT_SECRET, true, &[("email", b"jane@x\n")]);
        let read = known(good, &names).unwrap();
        assert_eq!(read.texts("email")[0].expose(), "jane@x");
        for (secret, words) in [
            (secret("Opaque", true, &[("email", b"jane@x")]), "type"),
            (
                secret(SUBJECT_SECRET, false, &[("email", b"jane@x")]),
                "immutable",
            ),
            (secret(SUBJECT_SECRET, true, &[]), "no identifiers"),
            (secret(SUBJECT_SECRET, true, &[("email", b" \n")]), "empty"),
            (
                secret(SUBJECT_SECRET, true, &[("mail", b"jane@x")]),
                "email, uln",
            ),
            (
                secret(SUBJECT_SECRET, true, &[("email", b"\xff")]),
                "no text",
            ),
            (
                secret(SUBJECT_SECRET, true, &[("email", &[b'a'; 2000])]),
                "1024",
            ),
        ] {
            let fault = known(secret, &names).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
            assert!(!fault.contains("jane@x"), "{fault}");
        }
    }
}
