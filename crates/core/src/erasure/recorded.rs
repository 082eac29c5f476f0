//! What the ledger of a database remembers of a person while their request is carried out: the keys of
//! their rows, and what leads to rows without one. It is of that database itself, and is cleared when
//! the request has ended (P4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::find::{FoundRole, Known};
use crate::digest::Digest;
use crate::value::{Key, Personal, Value};

/// A value in the ledger: whole numbers, text, hexadecimal digits of bytes, or nothing.
#[derive(Serialize, Deserialize)]
enum Stored {
    /// NULL.
    #[serde(rename = "n")]
    Null,
    /// A whole number.
    #[serde(rename = "i")]
    Int(i64),
    /// Text.
    #[serde(rename = "t")]
    Text(String),
    /// Bytes.
    #[serde(rename = "b")]
    Bytes(String),
}

impl Stored {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Int(n) => Self::Int(*n),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Bytes(bytes) => Self::Bytes(hex::encode(bytes)),
        }
    }

    fn value(self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Int(n) => Value::Int(n),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(digits) => Value::Bytes(hex::decode(digits).ok()?),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    #[serde(rename = "role")]
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Stored>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    known: BTreeMap<String, Vec<String>>,
    kept: BTreeMap<String, Vec<Vec<Stored>>>,
}

/// What is remembered of a person in one database.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Their rows in each role in which they were found.
    pub roles: Vec<FoundRole>,
    /// What they are known by, as far as the map uses it.
    pub known: Known,
    /// Digest of the plan that is carried out here: nothing else is.
    pub plan: Option<Digest>,
    /// Keys of rows that a duty keeps, by entry: they go when it ends.
    pub kept: BTreeMap<String, Vec<Key>>,
}

impl Recorded {
    /// As it stands in the ledger.
    pub fn to_text(&self) -> String {
        let stored = |row: &Vec<Value>| row.iter().map(Stored::of).collect();
        let body = Body {
            plan: self.plan.map(|plan| plan.to_string()),
            roles: self
                .roles
                .iter()
                .map(|found| Role {
                    name: found.role.clone(),
                    columns: found.columns.iter().map(ToString::to_string).collect(),
                    rows: found.rows.iter().map(stored).collect(),
                })
                .collect(),
            known: self
                .known
                .names()
                .map(|name| {
                    let texts = self.known.texts(name).iter();
                    let texts = texts.map(|text| text.expose().to_owned());
                    (name.to_owned(), texts.collect())
                })
                .collect(),
            kept: self
                .kept
                .iter()
                .map(|(entry, keys)| (entry.clone(), keys.iter().map(stored).collect()))
                .collect(),
        };
        // Maps of texts and lists always serialise.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Reads it; `None`: it is not what this program wrote.
    pub fn read(text: &str) -> Option<Self> {
        let Body {
            roles,
            plan,
            known,
            kept,
        } = serde_json::from_str(text).ok()?;
        let row = |row: Vec<Stored>| {
            row.into_iter()
                .map(Stored::value)
                .collect::<Option<Vec<_>>>()
        };
        let rows = |rows: Vec<Vec<Stored>>| rows.into_iter().map(row).collect::<Option<Vec<_>>>();
        let mut all = Self {
            plan: plan.map(|plan| plan.parse()).transpose().ok()?,
            ..Self::default()
        };
        for role in roles {
            let columns = role.columns.iter().map(|name| name.parse().ok());
            all.roles.push(FoundRole {
                role: role.name,
                columns: columns.collect::<Option<_>>()?,
                rows: rows(role.rows)?,
            });
        }
        for (name, texts) in known {
            for text in texts {
                all.known.add(&name, Personal::new(text));
            }
        }
        for (entry, keys) in kept {
            all.kept.insert(entry, rows(keys)?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_and_nothing_else_is_taken_for_it() {
        let mut recorded = Recorded::default();
        recorded.roles.push(FoundRole {
            role: "learner".to_owned(),
            columns: vec!["id".parse().unwrap(), "code".parse().unwrap()],
            rows: vec![
                vec![Value::Int(7), Value::Null],
                vec![Value::Text("ä'\"".to_owned()), Value::Bytes(vec![0, 255])],
            ],
        });
        recorded.known.add("email", Personal::new("a@x"));
        recorded
            .kept
            .insert("enrolments".to_owned(), vec![vec![Value::Int(1)]]);
        let text = recorded.to_text();
        let read = Recorded::read(&text).unwrap();
        assert_eq!(read.roles, recorded.roles);
        assert_eq!(read.known.texts("email"), recorded.known.texts("email"));
        assert_eq!(read.kept, recorded.kept);
        for other in [
            "",
            "{}",
            "[]",
            "{\"roles\":[],\"known\":{},\"kept\":{},\"more\":1}",
        ] {
            assert!(Recorded::read(other).is_none(), "{other}");
        }
        assert!(!format!("{recorded:?}").contains("a@x"));
    }
}
