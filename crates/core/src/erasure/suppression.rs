//! Keyed digests of erased identifiers: by them a person is known again who must not be contacted, was
//! imported once more, or came back with a backup, and nobody is known to whoever lacks the key.
//!
//! Owns how an identifier is made comparable, and which key digests it. The databases compute the same
//! (`sql::Digested`). It must not show a key or an identifier.

use std::fmt;

use zeroize::Zeroizing;

use crate::hmac::{Pads, hmac_hex};
use crate::policy::Normalise;

/// Shortest key, in bytes.
pub const LEAST_KEY: usize = 32;

/// Digits of a key's name.
const ID_DIGITS: usize = 16;

/// How an identifier is made comparable, as it is written down; `None`: it is compared as it is.
pub fn normalise_word(how: Option<Normalise>) -> &'static str {
    match how {
        None => "None",
        Some(Normalise::LowercaseTrim) => "LowercaseTrim",
        Some(Normalise::DigitsOnly) => "DigitsOnly",
    }
}

/// The way that `normalise_word` wrote; the outer `None`: it did not write it.
pub fn normalise_of(word: &str) -> Option<Option<Normalise>> {
    [
        None,
        Some(Normalise::LowercaseTrim),
        Some(Normalise::DigitsOnly),
    ]
    .into_iter()
    .find(|how| normalise_word(*how) == word)
}

/// An identifier made comparable; what is empty then is nobody's.
pub fn comparable(value: &str, how: Option<Normalise>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(value.len()));
    match how {
        None => text.push_str(value),
        Some(Normalise::LowercaseTrim) => {
            text.push_str(value.trim_matches(' '));
            text.make_ascii_lowercase();
        }
        Some(Normalise::DigitsOnly) => text.extend(value.chars().filter(char::is_ascii_digit)),
    }
    text
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a suppression key has at least {LEAST_KEY} bytes, such as `openssl rand -base64 32` prints; this \
     one has {0}"
)]
pub struct ShortKey(pub usize);

/// A suppression key.
#[derive(Clone)]
pub struct SuppressionKey {
    key: Zeroizing<Vec<u8>>,
    id: String,
}

impl fmt::Debug for SuppressionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SuppressionKey({})", self.id)
    }
}

impl SuppressionKey {
    /// The key in a file or Secret; a line feed at its end is an editor's.
    pub fn of(content: &[u8]) -> Result<Self, ShortKey> {
        let key = content.strip_suffix(b"\n").unwrap_or(content);
        let key = key.strip_suffix(b"\r").unwrap_or(key);
        if key.len() < LEAST_KEY {
            return Err(ShortKey(key.len()));
        }
        let mut id = hmac_hex(key, b"oubliette suppression key v1");
        id.truncate(ID_DIGITS);
        Ok(Self {
            key: Zeroizing::new(key.to_vec()),
            id,
        })
    }

    /// By which the ledger names it; the key does not follow from it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key for one sort of identifier: equal values under two names have digests that nobody can
    /// compare, and no database is given more than it needs.
    pub fn of_identifier(&self, name: &str, how: Option<Normalise>) -> IdentifierKey {
        let domain = format!("oubliette suppression v1\n{name}\n{}", normalise_word(how));
        IdentifierKey {
            key: Zeroizing::new(hmac_hex(&self.key, domain.as_bytes())),
            how,
        }
    }
}

/// The key for one sort of identifier.
pub struct IdentifierKey {
    key: Zeroizing<String>,
    how: Option<Normalise>,
}

impl fmt::Debug for IdentifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentifierKey(_)")
    }
}

impl IdentifierKey {
    /// The digest of an identifier, 64 hexadecimal digits. `None`: nothing is left of it, and it is
    /// nobody's.
    pub fn digest(&self, value: &str) -> Option<String> {
        let text = comparable(value, self.how);
        (!text.is_empty()).then(|| hmac_hex(self.key.as_bytes(), text.as_bytes()))
    }

    /// What a database needs to compute the same.
    pub fn pads(&self) -> Pads {
        Pads::of_key(self.key.as_bytes())
    }
}

/// The key for new digests, and those under which older ones were made.
#[derive(Clone, Debug)]
pub struct SuppressionKeys {
    current: SuppressionKey,
    previous: Vec<SuppressionKey>,
}

impl SuppressionKeys {
    /// The keys; `previous` may be empty.
    pub fn new(current: SuppressionKey, previous: Vec<SuppressionKey>) -> Self {
        Self { current, previous }
    }

    /// The key for new digests.
    pub fn current(&self) -> &SuppressionKey {
        &self.current
    }

    /// The key of that name.
    pub fn by_id(&self, id: &str) -> Option<&SuppressionKey> {
        self.all().find(|key| key.id == id)
    }

    /// All of them, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &SuppressionKey> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(letter: u8) -> SuppressionKey {
        SuppressionKey::of(&[letter; LEAST_KEY]).unwrap()
    }

    const LOWER: Option<Normalise> = Some(Normalise::LowercaseTrim);
    const DIGITS: Option<Normalise> = Some(Normalise::DigitsOnly);

    #[test]
    fn what_is_written_alike_has_one_digest_and_look_alikes_have_their_own() {
        let email = key(1).of_identifier("email", LOWER);
        let digest = |value: &str| email.digest(value).unwrap();
        assert_eq!(digest("jose@x.org"), digest("  JOSE@X.org "));
        for other in [
            "jos\u{e9}@x.org",
            "JOS\u{c9}@x.org",
            "jose@x.org\u{a0}",
            "jose@x.org\t",
        ] {
            assert_ne!(digest("jose@x.org"), digest(other), "{other}");
        }
        // Beyond A to Z case is kept.
        assert_ne!(digest("jos\u{e9}@x.org"), digest("jos\u{c9}@x.org"));
        let number = key(1).of_identifier("phone", DIGITS);
        assert_eq!(number.digest("+44 20-7946"), number.digest("44207946"));
    }

    #[test]
    fn what_is_empty_is_nobodys() {
        assert_eq!(key(1).of_identifier("email", LOWER).digest("   "), None);
        assert_eq!(key(1).of_identifier("phone", DIGITS).digest("none"), None);
        assert_eq!(key(1).of_identifier("number", None).digest(""), None);
        assert!(key(1).of_identifier("number", None).digest(" ").is_some());
    }

    #[test]
    fn a_digest_says_nothing_under_another_name_normalisation_or_key() {
        let digest = |key: &SuppressionKey, name, how| key.of_identifier(name, how).digest("7");
        let mut all = vec![
            digest(&key(1), "email", None),
            digest(&key(1), "phone", None),
            digest(&key(1), "email", LOWER),
            digest(&key(1), "email", DIGITS),
            digest(&key(2), "email", None),
        ];
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
    }

    #[test]
    fn digests_stay_what_they_were() {
        // Those in ledgers must be found by later versions.
        let key = SuppressionKey::of(b"0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(key.id(), "bf5ffd4858aac92d");
        let digest = key
            .of_identifier("email", LOWER)
            .digest(" Jose@Example.org");
        assert_eq!(
            digest.unwrap(),
            "25467d3e73ff3d629402bd7333af70c79d1cb1010176abfe4017af4b8fa34977"
        );
    }

    #[test]
    fn words_come_back_and_keys_are_not_shown() {
        for how in [None, LOWER, DIGITS] {
            assert_eq!(normalise_of(normalise_word(how)), Some(how));
        }
        assert_eq!(normalise_of("lowercasetrim"), None);
        assert_eq!(SuppressionKey::of(&[7; 31]).unwrap_err(), ShortKey(31));
        let keys = SuppressionKeys::new(key(65), vec![key(66)]);
        let shown = format!("{keys:?} {:?}", key(65).of_identifier("email", None));
        assert!(
            !shown.contains("AAAA") && !shown.contains("65, 65"),
            "{shown}"
        );
        assert_eq!(keys.by_id(key(66).id()).unwrap().id(), key(66).id());
        assert!(keys.by_id("other").is_none());
    }
}
