//! SHA-256 digests, and the one canonical JSON they are taken over.
//!
//! Owns the text form `sha256:<64 hex>` and what makes two documents equal. It must not be given
//! keys: what is keyed belongs to `hmac`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

const PREFIX: &str = "sha256:";

/// Why there is no digest.
#[derive(Debug, Error)]
pub enum DigestError {
    /// The text is not of the form that digests are written in.
    #[error("{text:?} is not a digest: write `sha256:` and 64 lower-case hexadecimal digits")]
    NotADigest {
        /// The text as it was written.
        text: String,
    },
    /// The value has no JSON form, such as a map whose keys are not strings.
    #[error("failed to write the value as canonical JSON")]
    NotJson {
        /// What serde_json objected to.
        #[source]
        source: serde_json::Error,
    },
}

/// A SHA-256 digest, written `sha256:<64 hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of_bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The digest of the value's canonical JSON.
    pub fn of_json(value: &(impl Serialize + ?Sized)) -> Result<Self, DigestError> {
        canonical_json(value).map(Self::of_bytes)
    }

    /// The 32 bytes themselves.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The value's JSON without blanks, with the keys of every object sorted and members that are
/// null left out, so that an absent field and a null one (server-side apply keeps them) are equal.
///
/// As RFC 8785 (keys in the order of their UTF-16 code units), except that integers are exact
/// beyond 2^53. Nulls in arrays stay: they hold a place.
pub fn canonical_json(value: &(impl Serialize + ?Sized)) -> Result<String, DigestError> {
    let value = serde_json::to_value(value).map_err(|source| DigestError::NotJson { source })?;
    let mut text = String::new();
    write_canonical(&mut text, &value);
    Ok(text)
}

fn write_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here, whatever the map's own order: serde_json's depends on features that
            // any crate of the build may switch on.
            let mut present: Vec<_> = members.iter().filter(|(_, v)| !v.is_null()).collect();
            present.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (position, (key, member)) in present.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(out, member);
            }
            out.push('}');
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        text.strip_prefix(PREFIX)
            .filter(|digits| !digits.contains(|c: char| c.is_ascii_uppercase()))
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or_else(|| DigestError::NotADigest {
                text: text.to_owned(),
            })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_digest_of_nothing_is_the_well_known_one() {
        assert_eq!(Digest::of_bytes([]).to_string(), EMPTY);
        assert_eq!(format!("{:?}", Digest::of_bytes("")), EMPTY);
    }

    #[test]
    fn other_texts_are_not_digests() {
        let long = format!("{EMPTY}00");
        for text in [
            "",
            "sha256:",
            &EMPTY[7..],
            &EMPTY.to_uppercase(),
            &EMPTY[..70],
            &long,
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
        let upper = format!("sha256:{}", EMPTY[7..].to_uppercase());
        let error = upper.parse::<Digest>().unwrap_err().to_string();
        assert!(error.contains("lower-case"), "{error}");
    }

    #[test]
    fn digests_are_strings_in_json_and_are_checked_when_read() {
        let digest = Digest::of_bytes("x");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(text, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"sha256:00\"").is_err());
    }

    #[test]
    fn keys_are_sorted_at_every_depth_and_nothing_is_blank() {
        let value = json!({"b": [{"z": 1, "a": "x y"}], "a": {"d": true, "c": -1.5}});
        assert_eq!(
            canonical_json(&value).unwrap(),
            r#"{"a":{"c":-1.5,"d":true},"b":[{"a":"x y","z":1}]}"#
        );
    }

    #[test]
    fn keys_are_sorted_by_utf16_as_rfc_8785_says() {
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "1": 4, "\r": 5});
        assert_eq!(
            canonical_json(&value).unwrap(),
            "{\"\\r\":5,\"1\":4,\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn texts_are_written_as_rfc_8785_says() {
        // Section 3.2.2, without its fractions, and the controls of section 3.2.2.2.
        let text = r#"{"literals": [null, true, false], "numbers": [333333333, 4503599627370496],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        let written = "{\"literals\":[null,true,false],\"numbers\":[333333333,4503599627370496],\
                       \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical_json(&value).unwrap(), written);
        assert_eq!(
            canonical_json("\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}\u{2028}").unwrap(),
            "\"\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\u{2028}\""
        );
    }

    #[test]
    fn a_null_member_equals_an_absent_one_but_not_a_null_in_a_list() {
        let absent = Digest::of_json(&json!({"a": {"b": 1}})).unwrap();
        let null = Digest::of_json(&json!({"a": {"b": 1, "c": null}, "d": null})).unwrap();
        assert_eq!(absent, null);
        assert_eq!(canonical_json(&json!([1, null, 2])).unwrap(), "[1,null,2]");
    }

    #[test]
    fn order_in_lists_and_every_value_count() {
        let of = |value| Digest::of_json(&value).unwrap();
        assert_ne!(of(json!([1, 2])), of(json!([2, 1])));
        assert_ne!(of(json!({"a": 1})), of(json!({"a": "1"})));
        assert_ne!(of(json!({"a": {}})), of(json!({})));
        assert_eq!(canonical_json(&i64::MAX).unwrap(), "9223372036854775807");
    }

    #[test]
    fn what_json_cannot_say_is_an_error() {
        let keyed_by_list = BTreeMap::from([(vec![1], 2)]);
        assert!(matches!(
            Digest::of_json(&keyed_by_list),
            Err(DigestError::NotJson { .. })
        ));
    }

    proptest! {
        #[test]
        fn every_digest_survives_being_written_and_read(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn canonical_json_reads_back_as_the_same_value(
            value in prop::collection::btree_map(any::<String>(), any::<(i64, String, bool)>(), 0..6)
        ) {
            let text = canonical_json(&value).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_json(&read).unwrap(), text);
            prop_assert_eq!(read, serde_json::to_value(&value).unwrap());
        }
    }
}
