//! `signing`: with which key certificates are signed. The key itself is read by whoever calls.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::parse::At;

/// With which key certificates are signed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningSpec {
    /// A file with a private key of Ed25519 in PEM form (PKCS#8), as `openssl genpkey -algorithm ed25519`
    /// writes it. Example: `/etc/oubliette-keys/signing.pem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1, max = 4096))]
    pub key_file: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// With which key certificates are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The file with the private key.
    pub key_file: PathBuf,
}

/// `None` inside: certificates are not signed.
#[expect(
    clippy::option_option,
    reason = "a fault, or a section that is not there"
)]
pub(super) fn parse(at: &At<'_>, spec: Option<&SigningSpec>) -> Option<Option<Signing>> {
    let Some(SigningSpec { key_file, unknown }) = spec else {
        return Some(None);
    };
    at.known::<SigningSpec>(unknown);
    let at = at.field("keyFile");
    let file = PathBuf::from(at.text(key_file.as_ref(), "`/etc/oubliette-keys/signing.pem`")?);
    if !file.is_absolute() {
        at.invalid("is no absolute path; write one such as `/etc/oubliette-keys/signing.pem`");
        return None;
    }
    Some(Some(Signing { key_file: file }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::parse::Faults;
    use crate::api::reason::Reason;

    fn parsed(spec: Option<Value>) -> Result<Option<Signing>, (String, Reason)> {
        let spec: Option<SigningSpec> = spec.map(|spec| serde_json::from_value(spec).unwrap());
        let faults = Faults::default();
        let signing = parse(&faults.at("settings").field("signing"), spec.as_ref());
        let faults = faults.conclude(signing);
        faults.map_err(|faults| (faults[0].to_string(), faults[0].reason))
    }

    #[test]
    fn a_key_is_a_file_and_none_is_none() {
        assert_eq!(parsed(None).unwrap(), None);
        let key = parsed(Some(json!({"keyFile": "/keys/a.pem"})));
        assert_eq!(key.unwrap().unwrap().key_file, PathBuf::from("/keys/a.pem"));
    }

    #[test]
    fn what_names_no_key_is_refused() {
        for (spec, path, reason) in [
            (json!({}), "settings.signing.keyFile: ", Reason::InvalidSpec),
            (
                json!({"keyFile": " "}),
                "settings.signing.keyFile: is empty",
                Reason::InvalidSpec,
            ),
            (
                json!({"keyFile": "a.pem"}),
                "settings.signing.keyFile: is no",
                Reason::InvalidSpec,
            ),
            (
                json!({"keyFile": "/a", "keyfile": "/b"}),
                "settings.signing",
                Reason::UnknownField,
            ),
        ] {
            let (told, why) = parsed(Some(spec)).unwrap_err();
            assert!(told.starts_with(path), "{told}");
            assert_eq!(why, reason, "{told}");
        }
    }
}
