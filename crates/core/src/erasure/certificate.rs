//! The certificate of an erasure: what was done, as data that outlives rows and request.
//!
//! Owns its fields and their strictness. No personal data of the subject: counts, names of tables,
//! instants. It must not sign: keys are `signing`'s, outside of core.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::erasure_request::RequestOutcome;
use crate::api::people::ViaName;
use crate::api::words::{Word, words};
use crate::digest::{Digest, canonical_json};
use crate::report::Effect;

/// The greatest count: whole numbers up to here are the same in every program that reads JSON (RFC
/// 8785, RFC 7493). No table has so many rows.
pub const MAX_COUNT: i64 = (1 << 53) - 1;

/// What was done about one person's request.
///
/// Its canonical JSON is RFC 8785's: there is no number but whole ones up to [`MAX_COUNT`], and no null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// Which form of certificate it is. It is signed with the rest, so that a signature over a
    /// certificate is none over anything else.
    pub version: Version,
    /// UID of the ErasureRequest.
    pub request: String,
    /// The case's number elsewhere.
    pub case: String,
    /// Keyed digest of the person's identifiers: nobody without the key can compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<KeyedDigest>,
    /// When the request reached the organisation.
    pub received_at: Timestamp,
    /// Digest of the plan that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The instant from which cutoffs and ends of duties were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// Who approved the plan.
    pub approvals: Vec<Approved>,
    /// When the first row was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// When the last search found nothing but what is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// How the request came out.
    #[serde(with = "word")]
    pub outcome: RequestOutcome,
    /// What was done in each database.
    pub databases: Vec<Erased>,
    /// Places outside the databases.
    pub elsewhere: Vec<Told>,
    /// What is left out of reach, and until when.
    pub left: Vec<Left>,
    /// Version of the operator.
    pub operator: String,
    /// When it was issued.
    pub issued_at: Timestamp,
}

impl Certificate {
    /// Its canonical JSON, over which it is digested and signed.
    pub fn to_canonical(&self) -> String {
        canonical_json(self).expect("a certificate is made of texts and whole numbers")
    }

    /// Heads of ledgers in it, each with the database that it is of.
    pub fn heads(&self) -> impl Iterator<Item = (&Erased, Digest)> {
        let heads = self.databases.iter();
        heads.filter_map(|erased| Some((erased, erased.evidence?)))
    }
}

/// Which form of certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// The one that this program writes and reads.
    #[serde(rename = "oubliette.dev/certificate/v1")]
    V1,
}

/// One person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approved {
    /// The name under which they are known to the cluster.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What was done in one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Erased {
    /// Namespace and name of the DataMap.
    pub map: String,
    /// Namespace and name of the TargetDatabase.
    pub database: String,
    /// UID of the TargetDatabase, to which the ledger belongs.
    pub uid: String,
    /// PostgreSQL, MySQL or MariaDB.
    pub engine: String,
    /// The server's version.
    pub server: String,
    /// Primary keys of the runs in its ledger.
    pub runs: Vec<String>,
    /// The head of the ledger's evidence chain after the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// When a search after it found nothing but what is kept.
    pub verified_at: Timestamp,
    /// What became of the rows of each table.
    pub tables: Vec<TableErased>,
    /// Where a search of all texts still found what the person is known by; left out where it found
    /// nothing or was not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residue: Vec<Remains>,
}

/// A column in which what the person is known by is still found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remains {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Rows.
    #[serde(with = "count")]
    pub rows: i64,
}

/// What became of the person's rows in one entry of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableErased {
    /// The entry's name in the map.
    pub entry: String,
    /// The table.
    pub table: String,
    /// What was done.
    pub changed: Vec<Changed>,
    /// What duties keep.
    pub kept: Vec<Kept>,
    /// Rows that a legal hold keeps.
    #[serde(with = "count")]
    pub held: i64,
}

/// Rows that were changed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Changed {
    /// What was done to them.
    pub effect: Effect,
    /// How many.
    #[serde(with = "count")]
    pub rows: i64,
}

/// Rows that one duty keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// The duty's place in the map.
    pub duty: String,
    /// The statute or contract.
    pub law: String,
    /// Its ground in Art. 17(3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ground: Option<String>,
    /// How many.
    #[serde(with = "count")]
    pub rows: i64,
    /// When the duty ends for the last of them; left out where it has no end yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A place outside the databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// Its name in the map.
    pub name: String,
    /// How it is told.
    #[serde(with = "word")]
    pub via: ViaName,
    /// What came of it.
    #[serde(with = "word")]
    pub outcome: PlaceOutcome,
    /// When.
    pub at: Timestamp,
}

words! {
    /// What came of a place outside the databases.
    pub enum PlaceOutcome {
        /// It was told.
        Told,
        /// Somebody has confirmed that it is done.
        Done,
        /// Nobody can tell it (Art. 19).
        Impossible,
        /// It would take disproportionate effort (Art. 19).
        Disproportionate,
    }
}

/// What is left where the operator does not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Left {
    /// Where.
    #[serde(with = "word")]
    pub place: LeftPlace,
    /// Namespace and name of the TargetDatabase that it is about; left out where it is about all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Until when; left out where nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

words! {
    /// Where something may be left.
    pub enum LeftPlace {
        /// Backups and snapshots.
        Backups,
        /// The database's own logs.
        DatabaseLogs,
        /// Replicas and change streams.
        Replicas,
        /// Copies that the plan found, such as materialised views.
        Copies,
        /// The history of the cluster's own store.
        ClusterHistory,
    }
}

/// An HMAC-SHA256, written `hmac-sha256:<64 hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyedDigest(pub [u8; 32]);

/// How a keyed digest begins.
const KEYED: &str = "hmac-sha256:";

impl From<KeyedDigest> for String {
    fn from(digest: KeyedDigest) -> Self {
        format!("{KEYED}{}", hex::encode(digest.0))
    }
}

impl TryFrom<String> for KeyedDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        text.strip_prefix(KEYED)
            .filter(|digits| !digits.contains(|c: char| c.is_ascii_uppercase()))
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .map(|()| Self(bytes))
            .ok_or_else(|| format!("is no keyed digest: {KEYED} and 64 lower-case digits"))
    }
}

/// A word of a list; another one is refused, because nobody knows what it says.
mod word {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, Serializer, Word};
    use crate::api::words::Choice;

    pub(super) fn serialize<T: Word, S: Serializer>(word: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(word.as_str())
    }

    pub(super) fn deserialize<'de, T: Word, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let choice = Choice::<T>::deserialize(from)?;
        choice
            .known()
            .ok_or_else(|| D::Error::custom(format!("expected one of {}", T::list())))
    }
}

/// A number of rows that every program reads as the same.
mod count {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, MAX_COUNT, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(count: &i64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64((*count).clamp(0, MAX_COUNT))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        let count = i64::deserialize(from)?;
        (0..=MAX_COUNT)
            .contains(&count)
            .then_some(count)
            .ok_or_else(|| D::Error::custom(format!("{count} is no number of rows")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../../tests/certificates/erased.json");

    /// What a field may hold, by its path: a list of words, or what is said of it.
    const ALLOWED: &[(&str, &str)] = &[
        ("approvals/at", "instant"),
        ("approvals/by", "name of a user of the cluster"),
        ("asOf", "instant"),
        ("begunAt", "instant"),
        ("case", "pattern"),
        ("databases/database", "name"),
        ("databases/engine", "name"),
        ("databases/evidence", "digest"),
        ("databases/map", "name"),
        ("databases/runs", "id"),
        ("databases/server", "version"),
        ("databases/tables/changed/effect", "word"),
        ("databases/tables/changed/rows", "count"),
        ("databases/tables/entry", "name"),
        ("databases/tables/held", "count"),
        ("databases/tables/kept/duty", "name"),
        ("databases/tables/kept/ground", "word"),
        ("databases/tables/kept/law", "name of a law"),
        ("databases/tables/kept/rows", "count"),
        ("databases/tables/kept/until", "instant"),
        ("databases/tables/table", "name"),
        ("databases/uid", "id"),
        ("databases/verifiedAt", "instant"),
        ("elsewhere/at", "instant"),
        ("elsewhere/name", "name"),
        ("elsewhere/outcome", "word"),
        ("elsewhere/via", "word"),
        ("issuedAt", "instant"),
        ("left/database", "name"),
        ("left/place", "word"),
        ("left/until", "instant"),
        ("operator", "version"),
        ("outcome", "word"),
        ("plan", "digest"),
        ("receivedAt", "instant"),
        ("request", "id"),
        ("subject", "digest"),
        ("verifiedAt", "instant"),
        ("version", "word"),
    ];

    fn example() -> Certificate {
        serde_json::from_str(EXAMPLE).unwrap()
    }

    /// The paths of all leaves, each once, with their values.
    fn leaves<'v>(value: &'v Value, at: &str, all: &mut Vec<(String, &'v Value)>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let path = format!("{at}/{name}");
                    leaves(value, path.trim_start_matches('/'), all);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| leaves(item, at, all)),
            leaf => all.push((at.to_owned(), leaf)),
        }
    }

    #[test]
    fn it_holds_what_is_allowed_and_nothing_else() {
        let value = serde_json::to_value(example()).unwrap();
        let mut all = Vec::new();
        leaves(&value, "", &mut all);
        let paths: BTreeSet<&str> = all.iter().map(|(path, _)| path.as_str()).collect();
        let allowed: BTreeSet<&str> = ALLOWED.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths, allowed);
        for (path, leaf) in all {
            let what = ALLOWED.iter().find(|(known, _)| *known == path).unwrap().1;
            let fits = match what {
                "count" => leaf.as_i64().is_some_and(|n| (0..=MAX_COUNT).contains(&n)),
                "instant" => leaf.as_str().unwrap().parse::<Timestamp>().is_ok(),
                "digest" => leaf.as_str().unwrap().contains("sha256:"),
                _ => leaf.is_string(),
            };
            assert!(fits, "{path}: {leaf}");
        }
    }

    #[test]
    fn what_is_not_known_of_a_field_is_refused() {
        for (is, other) in [
            ("certificate/v1", "certificate/v2"),
            ("ErasedInPart", "Gone"),
            ("\"Masked\"", "\"Blurred\""),
            ("Webhook", "Post"),
            ("Backups", "Cellar"),
            ("hmac-sha256:01", "hmac-sha256:0A"),
            ("hmac-sha256:01", "sha256:01"),
            ("\"held\": 1", "\"held\": -1"),
            ("\"held\": 1", "\"held\": 9007199254740992"),
            ("\"held\": 1", "\"held\": 1.0"),
            ("\"held\": 1", "\"held\": 1, \"name\": \"x\""),
            ("\"held\": 1", "\"held\": 1, \"held\": 1"),
            ("\"case\": \"SR-0042\",", ""),
        ] {
            let edited = EXAMPLE.replacen(is, other, 1);
            assert_ne!(edited, EXAMPLE, "{is}");
            assert!(
                serde_json::from_str::<Certificate>(&edited).is_err(),
                "{other}"
            );
        }
    }

    #[test]
    fn a_count_that_no_table_has_is_written_as_the_greatest_or_none() {
        let mut certificate = example();
        for (held, written) in [(i64::MAX, MAX_COUNT), (MAX_COUNT, MAX_COUNT), (-1, 0)] {
            certificate.databases[0].tables[0].held = held;
            let read: Certificate = serde_json::from_str(&certificate.to_canonical()).unwrap();
            assert_eq!(read.databases[0].tables[0].held, written);
        }
    }

    #[test]
    fn heads_are_told_with_their_databases() {
        let certificate = example();
        let heads: Vec<_> = certificate.heads().collect();
        assert_eq!(heads.len(), 2);
        assert_eq!(heads[1].0.database, "web/shop");
    }
}
