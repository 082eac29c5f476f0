//! `suppression`: the keyed digests of erased identifiers, by which a person is known again who must not
//! be contacted, was imported once more, or came back with a backup. Without the section none are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::api::parse::{At, Faults, FieldError, all, one_line, parse_duration};
use crate::duty::NamedMap;
use crate::erasure::SuppressionKey;
use crate::ledger::{ErasedAt, ErasedRow, second};
use crate::period::{Period, PeriodError};
use crate::plan::identifiers_of;

/// Earlier keys at the most: each is tried for the digests that were made under it.
const MAX_PREVIOUS: usize = 8;
/// Characters of a purpose at the most.
const MAX_PURPOSE: usize = 200;
/// How often databases are looked through unless the file says otherwise.
const LOOK_EVERY: Duration = Duration::from_hours(24);
/// What digests are kept for unless the file says otherwise.
const PURPOSE: &str = "not to be contacted again";

/// Digests of erased identifiers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuppressionSpec {
    /// The file with the key: at least 32 bytes, such as `openssl rand -base64 32` prints. Whoever has
    /// it and a ledger can ask whether somebody was erased. Example:
    /// `/etc/oubliette-keys/suppression`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, length(min = 1))]
    pub key_file: Option<String>,
    /// Files with earlier keys. Digests that were made under one of them are found by it until they
    /// end; no new ones are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PREVIOUS))]
    pub previous_key_files: Option<Vec<String>>,
    /// What the digests are kept for, as the record of processing says it. Default: `not to be contacted
    /// again`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_PURPOSE))]
    pub purpose: Option<String>,
    /// How long they are kept after the erasure: a calendar period, such as `P6Y`. At least as long as
    /// the oldest backup, or a restored database would not be recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, regex(pattern = Period::PATTERN))]
    pub kept_for: Option<String>,
    /// How often each mapped database is looked through for erased persons who are back: a duration,
    /// from `10s` to `720h`. A look hashes every identifier in the columns that the DataMaps name.
    /// Default: `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_every: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How digests are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The file with the key.
    pub key_file: String,
    /// Files with earlier keys.
    pub previous_key_files: Vec<String>,
    /// What they are kept for.
    pub purpose: String,
    /// How long.
    pub kept_for: Period,
    /// How often databases are looked through.
    pub look_every: Duration,
}

/// What a request has erased in one database.
#[derive(Clone, Copy)]
pub struct Erasure<'a> {
    /// The request's UID.
    pub request: &'a str,
    /// Only this role.
    pub role: Option<&'a str>,
    /// Names and values of the person's identifiers, those among them to which `leadsTo` has led.
    pub identifiers: &'a [(String, Zeroizing<String>)],
    /// Places whose rows stay with the identifier, under a duty or because others are in them.
    pub kept: &'a BTreeSet<ErasedAt>,
    /// When.
    pub at: Timestamp,
    /// Its digests end then at the earliest.
    pub until: Option<Timestamp>,
}

impl Suppression {
    /// Reads the section, or names every fault.
    pub fn parse(spec: &SuppressionSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let parsed = parse(&faults.at("settings.suppression"), spec);
        faults.conclude(parsed)
    }

    /// The digests that a request leaves behind in one database: one for each place of the map where an
    /// identifier of the person stands.
    pub fn digests(
        &self,
        key: &SuppressionKey,
        map: &NamedMap,
        of: &Erasure<'_>,
    ) -> Result<Vec<ErasedRow>, PeriodError> {
        let Erasure {
            request,
            role,
            identifiers,
            kept,
            at,
            until,
        } = *of;
        let due = self.kept_for.due(at, &TimeZone::UTC)?;
        let ends_at = second(until.map_or(due, |until| until.max(due)));
        let erased_at = second(at);
        let mut rows = Vec::new();
        for (place, how) in identifiers_of(map, role) {
            let values = identifiers.iter().filter(|(name, _)| *name == place.name);
            let key_of = key.of_identifier(&place.name, how);
            for digest in values.filter_map(|(_, value)| key_of.digest(value)) {
                rows.push(ErasedRow {
                    digest,
                    key_id: key.id().to_owned(),
                    request: request.to_owned(),
                    at: if kept.contains(&place) {
                        place.clone().kept()
                    } else {
                        place.clone()
                    },
                    purpose: self.purpose.clone(),
                    erased_at: erased_at.clone(),
                    ends_at: ends_at.clone(),
                });
            }
        }
        Ok(rows)
    }
}

/// `at`: the section.
pub(super) fn parse(at: &At<'_>, spec: &SuppressionSpec) -> Option<Suppression> {
    let SuppressionSpec {
        key_file,
        previous_key_files,
        purpose,
        kept_for,
        look_every,
        unknown,
    } = spec;
    at.known::<SuppressionSpec>(unknown);
    let example = "`/etc/oubliette-keys/suppression`";
    let key_file = at.field("keyFile").text(key_file.as_ref(), example);
    let previous_at = at.field("previousKeyFiles");
    let previous = previous_key_files.as_deref().unwrap_or_default();
    previous_at.bounded(previous, MAX_PREVIOUS);
    let previous = all(previous, |i, file| {
        let at = previous_at.index(i);
        let file = at.text(Some(file), example)?;
        if Some(file) == key_file {
            at.invalid("is the file of the present key, too: leave it out");
        }
        Some(file.to_owned())
    });
    let purpose_at = at.field("purpose");
    let purpose = match purpose {
        None => Some(PURPOSE.to_owned()),
        Some(text) => purpose_at
            .text(Some(text), "`not to be contacted again`")
            .map(one_line),
    };
    if purpose
        .as_ref()
        .is_some_and(|p| p.chars().count() > MAX_PURPOSE)
    {
        purpose_at.invalid(format!(
            "has more than {MAX_PURPOSE} characters: shorten it"
        ));
    }
    let kept_at = at.field("keptFor");
    let kept_for = kept_at.text(kept_for.as_ref(), "`P6Y`");
    let kept_for = kept_for.and_then(|text| kept_at.parsed(text));
    let look_at = at.field("lookEvery");
    let look_every = match look_every {
        None => Some(LOOK_EVERY),
        Some(text) => {
            let range = Duration::from_secs(10)..=Duration::from_hours(720);
            parse_duration(&look_at, text, range, "10s to 720h")
        }
    };
    Some(Suppression {
        key_file: key_file?.to_owned(),
        previous_key_files: previous?,
        purpose: purpose?,
        kept_for: kept_for?,
        look_every: look_every?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::data_map::DataMapSpec;
    use crate::api::reason::Reason;
    use crate::duty::DataMap;

    fn parsed(spec: &Value) -> Suppression {
        Suppression::parse(&read(spec)).unwrap()
    }

    fn read(spec: &Value) -> SuppressionSpec {
        serde_json::from_value(spec.clone()).unwrap()
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let short = parsed(&json!({"keyFile": "/k", "keptFor": "P6Y"}));
        assert_eq!(short.purpose, PURPOSE);
        assert_eq!(short.previous_key_files, Vec::<String>::new());
        let long = json!({"keyFile": "/k", "previousKeyFiles": ["/a", "/b"], "purpose": "no letters",
                          "keptFor": "P90D"});
        let long = parsed(&long);
        assert_eq!(long.previous_key_files, ["/a", "/b"]);
        assert_eq!(
            (long.purpose.as_str(), long.kept_for.to_string().as_str()),
            ("no letters", "P90D")
        );
    }

    #[test]
    fn every_fault_names_its_field_and_says_what_to_write() {
        let of = |field: &str, value: Value| {
            let mut spec = json!({"keyFile": "/k", "keptFor": "P6Y"});
            spec[field] = value;
            spec
        };
        for (spec, field, words) in [
            (json!({"keptFor": "P6Y"}), "keyFile", "is required"),
            (json!({"keyFile": "/k"}), "keptFor", "`P6Y`"),
            (of("keptFor", json!("6 years")), "keptFor", "P90D"),
            (of("keyfile", json!("/k")), "keyfile", "`keyFile`"),
            (
                of("previousKeyFiles", json!(["/k"])),
                "previousKeyFiles[0]",
                "leave it out",
            ),
            (
                of("previousKeyFiles", json!(vec!["/a"; 9])),
                "previousKeyFiles",
                "at most 8",
            ),
            (of("lookEvery", json!("1s")), "lookEvery", "10s to 720h"),
            (of("purpose", json!(" ")), "purpose", "is empty"),
            (of("purpose", json!("x".repeat(201))), "purpose", "shorten"),
        ] {
            let faults = Suppression::parse(&read(&spec)).unwrap_err();
            assert!(
                faults.len() == 1
                    && faults[0].path == format!("settings.suppression.{field}")
                    && faults[0].message.contains(words),
                "{spec}: {faults:?}"
            );
            assert_eq!(faults[0].reason == Reason::UnknownField, field == "keyfile");
        }
    }

    #[test]
    fn a_request_leaves_a_digest_at_each_place_of_each_of_its_identifiers() {
        let spec: DataMapSpec = serde_json::from_value(json!({
            "databaseRef": {"name": "crm"},
            "subjects": [
                {"role": "learner", "table": "public.learners", "identifiers": [
                    {"name": "email", "column": "email", "normalise": "LowercaseTrim"},
                    {"name": "number", "column": "no"}]},
                {"role": "referee", "table": "public.learners", "inRowsOfOthers": true,
                 "identifiers": [{"name": "email", "column": "referee_email"}]},
            ],
            "tables": [
                {"name": "learners", "table": "public.learners",
                 "reachedBy": [{"from": "learner"}], "decision": {"type": "Delete"}},
                {"name": "news", "table": "public.news", "decision": {"type": "Delete"},
                 "reachedBy": [{"identifier": {"name": "email", "column": "address"}}]},
            ],
        }))
        .unwrap();
        let map = NamedMap {
            name: "crm/crm".to_owned(),
            map: DataMap::alone(&spec).unwrap(),
        };
        let settings = parsed(&json!({"keyFile": "/k", "keptFor": "P6Y"}));
        let key = SuppressionKey::of(&[7; 32]).unwrap();
        let person = [
            (
                "email".to_owned(),
                Zeroizing::new("Ada@example.org".to_owned()),
            ),
            ("number".to_owned(), Zeroizing::new(String::new())),
            ("other".to_owned(), Zeroizing::new("x".to_owned())),
        ];
        let news = ErasedAt::entry("crm/crm", "news", "email", None);
        let kept = BTreeSet::from([news]);
        let at: Timestamp = "2026-11-25T10:00:00.2Z".parse().unwrap();
        let mut of = Erasure {
            request: "uid",
            role: Some("learner"),
            identifiers: &person,
            kept: &kept,
            at,
            until: None,
        };
        let rows = settings.digests(&key, &map, &of).unwrap();
        let places: Vec<_> = rows.iter().map(|row| row.at.place.as_str()).collect();
        assert_eq!(places, ["role/learner", "kept/table/news"]);
        assert_eq!(rows[0].ends_at, "2032-11-25T10:00:01Z");
        assert_ne!(
            rows[0].digest, rows[1].digest,
            "one is normalised, one is not"
        );
        of.role = None;
        let all = settings.digests(&key, &map, &of);
        assert_eq!(all.unwrap().len(), 3);
    }
}
