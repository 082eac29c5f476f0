//! Keyed digests of erased identifiers, each with what it is kept for and until when. No identifier is
//! here: a digest is the controller's pseudonymised data, and says nothing to whoever lacks the key.

use std::fmt;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::schema::Ledger;
use super::statements::text;
use crate::erasure::{normalise_of, normalise_word};
use crate::name::{Ident, TableName};
use crate::policy::Normalise;
use crate::sql::{Bound, ErasedSql, Writer};
use crate::value::Value;

/// Where in a map the erased identifier stood, as the ledger writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasedAt {
    /// The DataMap's namespace and name.
    pub map: String,
    /// `role/NAME` or `table/NAME`: the role, or the entry with an identifier of its own.
    pub place: String,
    /// The identifier's name.
    pub name: String,
    /// How it was made comparable, in the words of `erasure::normalise_word`.
    pub normalise: String,
}

impl ErasedAt {
    /// An identifier of a role.
    pub fn role(map: &str, role: &str, name: &str, how: Option<Normalise>) -> Self {
        Self::of(map, format!("role/{role}"), name, how)
    }

    /// An identifier that an entry has in a column of its own.
    pub fn entry(map: &str, entry: &str, name: &str, how: Option<Normalise>) -> Self {
        Self::of(map, format!("table/{entry}"), name, how)
    }

    /// The same where the row is kept with the identifier, under a duty: the digest is for mailers, and
    /// the row is no person who has come back.
    #[must_use]
    pub fn kept(self) -> Self {
        Self {
            place: format!("kept/{}", self.place),
            ..self
        }
    }

    /// The place as the map has it, whether or not rows are kept there.
    #[must_use]
    pub fn in_map(&self) -> Self {
        let place = self.place.strip_prefix("kept/").unwrap_or(&self.place);
        Self {
            place: place.to_owned(),
            ..self.clone()
        }
    }

    /// The role, where it stands in one's rows.
    pub fn role_name(&self) -> Option<&str> {
        self.place.strip_prefix("role/")
    }

    /// Whether rows in which it stands again are a person who has come back.
    pub fn is_looked_for(&self) -> bool {
        !self.place.starts_with("kept/")
    }

    fn of(map: &str, place: String, name: &str, how: Option<Normalise>) -> Self {
        Self {
            map: map.to_owned(),
            place,
            name: name.to_owned(),
            normalise: normalise_word(how).to_owned(),
        }
    }

    /// How it was made comparable; the outer `None`: a later version's word.
    pub fn how(&self) -> Option<Option<Normalise>> {
        normalise_of(&self.normalise)
    }
}

/// One digest. Debug output does not show it: it is somebody's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasedRow {
    /// HMAC-SHA256 as 64 hexadecimal digits.
    pub digest: String,
    /// The key's name.
    pub key_id: String,
    /// UID of the request.
    pub request: String,
    /// Where the identifier stood.
    #[serde(flatten)]
    pub at: ErasedAt,
    /// What the digest is kept for.
    pub purpose: String,
    /// When the identifier was erased.
    pub erased_at: String,
    /// When the digest goes.
    pub ends_at: String,
}

impl fmt::Debug for ErasedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedRow")
            .field("request", &self.request)
            .field("at", &self.at)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// Digests of one place under one key, which the ledger has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErasedUnder {
    /// Where their identifiers stood.
    pub at: ErasedAt,
    /// The key's name.
    pub key_id: String,
    /// How many there are.
    pub digests: i64,
    /// When the last of them goes.
    pub until: String,
}

/// An instant as this table has it: whole seconds of one width, so that texts are in the order of time
/// whatever the collation. Never before the instant.
pub fn second(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let up = if whole < at {
        whole.checked_add(1.second()).unwrap_or(whole)
    } else {
        whole
    };
    up.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Ledger {
    /// The table's name, for statements that join it with a user's.
    fn erased_table(&self) -> Option<TableName> {
        if self.engine.is_innodb() {
            let name = Ident::new(format!("{}_{TABLE}", self.place)).ok()?;
            return Some(name.into());
        }
        Some(TableName::qualified(
            self.place.clone(),
            Ident::new(TABLE).ok()?,
        ))
    }

    /// The digests of one place under one key that have not ended, as a user's table is compared with.
    pub fn erased_sql(&self, under: &ErasedUnder, now: Timestamp) -> Option<ErasedSql> {
        let ErasedAt {
            map,
            place,
            name,
            normalise,
        } = &under.at;
        Some(ErasedSql {
            ledger: self.erased_table()?,
            common: vec![
                ("data_map", map.clone()),
                ("place", place.clone()),
                ("name", name.clone()),
                ("normalise", normalise.clone()),
                ("key_id", under.key_id.clone()),
            ],
            after: second(now),
        })
    }

    /// Adds digests. One that is there already stays as it is. `rows` is not empty.
    pub fn insert_erased(&self, rows: &[ErasedRow]) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, TABLE);
        w.sql(
            " (digest, name, request, data_map, place, normalise, key_id, purpose, erased_at, ends_at) \
             VALUES ",
        );
        w.joined(rows, ", ", |w, row| {
            let at = &row.at;
            let values = [
                &row.digest,
                &at.name,
                &row.request,
                &at.map,
                &at.place,
                &at.normalise,
                &row.key_id,
                &row.purpose,
                &row.erased_at,
                &row.ends_at,
            ];
            w.sql("(").joined(values, ", ", |w, value| {
                w.bind(text(value));
            });
            w.sql(")");
        });
        w.sql(if self.engine.is_innodb() {
            // Not IGNORE, which would cut what is too long.
            " ON DUPLICATE KEY UPDATE purpose = purpose"
        } else {
            " ON CONFLICT DO NOTHING"
        });
        w.finish()
    }

    /// The digests of a request, or all.
    pub fn erased(&self, request: Option<&str>) -> Bound {
        let mut w = self.writer();
        w.sql(
            "SELECT digest, key_id, request, data_map, place, name, normalise, purpose, erased_at, \
             ends_at FROM ",
        );
        self.table(&mut w, TABLE);
        if let Some(request) = request {
            w.sql(" WHERE request = ").bind(text(request));
        }
        w.sql(" ORDER BY erased_at, request, data_map, place, name, normalise, key_id, digest");
        w.finish()
    }

    /// Reads a row of `erased`.
    pub fn read_erased(row: &[Value]) -> Option<ErasedRow> {
        let texts: Vec<String> = texts(row)?;
        let [
            digest,
            key_id,
            request,
            map,
            place,
            name,
            normalise,
            purpose,
            erased_at,
            ends_at,
        ] = texts.try_into().ok()?;
        Some(ErasedRow {
            digest,
            key_id,
            request,
            at: ErasedAt {
                map,
                place,
                name,
                normalise,
            },
            purpose,
            erased_at,
            ends_at,
        })
    }

    /// Which places and keys have digests that have not ended.
    pub fn erased_under(&self, now: Timestamp) -> Bound {
        const BY: &str = "data_map, place, name, normalise, key_id";
        let mut w = self.writer();
        w.sql("SELECT ").sql(BY).sql(", ");
        w.dialect().whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        w.sql(", max(ends_at) FROM ");
        self.table(&mut w, TABLE);
        w.sql(" WHERE ends_at > ").bind(text(&second(now)));
        w.sql(" GROUP BY ").sql(BY).sql(" ORDER BY ").sql(BY);
        w.finish()
    }

    /// Reads a row of `erased_under`.
    pub fn read_erased_under(row: &[Value]) -> Option<ErasedUnder> {
        let [map, place, name, normalise, key_id, digests, until] = row else {
            return None;
        };
        let owned = |value: &Value| value.as_text().map(str::to_owned);
        Some(ErasedUnder {
            at: ErasedAt {
                map: owned(map)?,
                place: owned(place)?,
                name: owned(name)?,
                normalise: owned(normalise)?,
            },
            key_id: owned(key_id)?,
            digests: digests.as_int()?,
            until: owned(until)?,
        })
    }

    /// Those of some digests that the ledger has for an identifier of this name, whatever the map.
    /// `digests` is not empty.
    pub fn suppressed(&self, name: &str, digests: &[String], now: Timestamp) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT DISTINCT digest FROM ");
        self.table(&mut w, TABLE);
        w.sql(" WHERE name = ").bind(text(name)).sql(" AND ");
        among(&mut w, digests, now);
        w.finish()
    }

    /// UIDs of the requests that have left some digests. A digest says nothing under another name.
    /// `digests` is not empty.
    pub fn erased_by(&self, digests: &[String], now: Timestamp) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT DISTINCT request FROM ");
        self.table(&mut w, TABLE);
        w.sql(" WHERE ");
        among(&mut w, digests, now);
        w.finish()
    }

    /// Removes the digests that have ended.
    pub fn prune_erased(&self, now: Timestamp) -> Bound {
        let mut w = self.writer();
        w.sql("DELETE FROM ");
        self.table(&mut w, TABLE);
        w.sql(" WHERE ends_at <= ").bind(text(&second(now)));
        w.finish()
    }
}

const TABLE: &str = "erased";

/// One of some digests, which has not ended.
fn among(w: &mut Writer, digests: &[String], now: Timestamp) {
    w.sql("ends_at > ").bind(text(&second(now)));
    w.sql(" AND digest IN (")
        .joined(digests, ", ", |w, digest| {
            w.bind(text(digest));
        });
    w.sql(")");
}

fn texts(row: &[Value]) -> Option<Vec<String>> {
    row.iter()
        .map(|value| value.as_text().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_texts_in_the_order_of_time() {
        let of = |text: &str| second(text.parse().unwrap());
        assert_eq!(of("2026-11-25T22:00:00Z"), "2026-11-25T22:00:00Z");
        assert_eq!(of("2026-11-25T22:00:00.000001Z"), "2026-11-25T22:00:01Z");
        assert_eq!(of("1969-12-31T23:59:59.5Z"), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_digest_is_read_as_it_was_kept_elsewhere() {
        let row = ErasedRow {
            digest: "ab".repeat(32),
            key_id: "0123456789abcdef".to_owned(),
            request: "uid".to_owned(),
            at: ErasedAt::role(
                "crm/crm",
                "learner",
                "email",
                Some(Normalise::LowercaseTrim),
            ),
            purpose: "not to be contacted again".to_owned(),
            erased_at: "2026-11-25T22:00:00Z".to_owned(),
            ends_at: "2032-11-25T22:00:00Z".to_owned(),
        };
        let kept = serde_json::to_value(&row).unwrap();
        assert_eq!(kept["place"], "role/learner");
        assert_eq!(serde_json::from_value::<ErasedRow>(kept).unwrap(), row);
        assert_eq!(row.at.how(), Some(Some(Normalise::LowercaseTrim)));
        let kept = row.at.clone().kept();
        assert!(!kept.is_looked_for() && row.at.is_looked_for());
        assert_eq!((kept.in_map(), row.at.in_map()), (row.at.clone(), row.at));
        assert_eq!(
            ErasedAt::entry("m", "news", "email", None).place,
            "table/news"
        );
    }
}
