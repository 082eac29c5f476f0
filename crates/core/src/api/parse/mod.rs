//! From what people write to what the program works with, or every fault of it at once.
//!
//! Each fault names the field by its path and says what to write. What is not known is refused here:
//! a misspelt guard must not vanish (P1). The checks of the CRD schema are repeated: a manifest may
//! come from a file, or from a server with an older schema.

mod action;
mod approval;
mod condition;
mod data_map;
mod erasure_request;
mod legal_hold;
mod lookup;
mod people;
mod policy;
mod rule;
mod seal;
mod since;
mod small_groups;
mod target;
#[cfg(test)]
mod tests;
mod window;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde_json::Value;

use super::reason::Reason;
use super::refs::{DatabaseRef, KeyRef, is_data_key, is_label, is_object_name};
use super::words::{Choice, Word};
use crate::name::Ident;
use crate::schedule::Schedule;
use crate::target::{EngineName, KeyOf, Target};
use crate::zone;

pub(crate) use data_map::twice;
pub use legal_hold::is_reference;
pub(crate) use people::parse_word;
pub(crate) use target::parse_duration;

/// One fault of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// The field, such as `spec.rules[0].expireAfter`.
    pub path: String,
    /// What sort of fault.
    pub reason: Reason,
    /// What is wrong and what to write.
    pub message: String,
}

/// The reason of a list of faults: a field that is not known outweighs a value that cannot be used.
pub fn reason_of(faults: &[FieldError]) -> Reason {
    faults
        .iter()
        .map(|fault| fault.reason)
        .find(|reason| *reason == Reason::UnknownField)
        .or_else(|| faults.first().map(|fault| fault.reason))
        .unwrap_or(Reason::InvalidSpec)
}

/// All faults in one line each, for a condition's message.
pub fn message_of(faults: &[FieldError]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A text from a manifest without what would begin a line of its own or move a terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults(RefCell<Vec<FieldError>>);

impl Faults {
    fn root(&self) -> At<'_> {
        self.at("spec")
    }

    /// The place from which paths are told.
    pub(crate) fn at(&self, path: &str) -> At<'_> {
        At {
            path: path.to_owned(),
            faults: self,
        }
    }

    /// The value, where there was no fault.
    pub(crate) fn conclude<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        let faults = self.0.into_inner();
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            Some(_) | None => Err(faults),
        }
    }
}

/// Of what cannot be the name of an object.
const NO_NAME: &str =
    "is no name that Kubernetes takes: write lower-case letters and digits, with '-' between them";

/// A place in the manifest, to which faults are noted.
pub(crate) struct At<'f> {
    path: String,
    faults: &'f Faults,
}

impl At<'_> {
    pub(crate) fn field(&self, name: &str) -> Self {
        Self {
            path: format!("{}.{name}", self.path),
            faults: self.faults,
        }
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            faults: self.faults,
        }
    }

    fn fault(&self, reason: Reason, message: impl Into<String>) {
        self.faults.0.borrow_mut().push(FieldError {
            path: one_line(&self.path),
            reason,
            message: one_line(&message.into()),
        });
    }

    pub(crate) fn invalid(&self, message: impl Into<String>) {
        self.fault(Reason::InvalidSpec, message);
    }

    /// Refuses what the struct `S` does not know, and suggests what may have been meant.
    pub(crate) fn known<S: JsonSchema>(&self, unknown: &BTreeMap<String, Value>) {
        if unknown.is_empty() {
            return;
        }
        let known = field_names::<S>();
        for name in unknown.keys() {
            let hint = match nearest(name, &known) {
                Some(close) => format!("; did you mean `{close}`?"),
                None => format!("; known here: {}", known.join(", ")),
            };
            self.field(name).fault(
                Reason::UnknownField,
                format!("this version does not know the field{hint}"),
            );
        }
    }

    /// A field that must be there.
    fn required<'v, T: ?Sized>(&self, value: Option<&'v T>, example: &str) -> Option<&'v T> {
        if value.is_none() {
            self.invalid(format!("is required, such as {example}"));
        }
        value
    }

    /// A text that must be there and not be empty.
    pub(crate) fn text<'v>(&self, value: Option<&'v String>, example: &str) -> Option<&'v str> {
        let text = self.required(value, example)?;
        if text.trim().is_empty() {
            self.invalid(format!("is empty; write something such as {example}"));
            return None;
        }
        Some(text)
    }

    /// The name of another object, which must be there.
    fn object_name<'v>(&self, value: Option<&'v String>, example: &str) -> Option<&'v str> {
        let name = self.text(value, example)?;
        if !is_object_name(name) {
            self.invalid(format!("{name:?} {NO_NAME}, such as {example}"));
            return None;
        }
        Some(name)
    }

    /// The name of a namespace.
    pub(crate) fn namespace(&self, name: &str) -> Option<String> {
        if !is_label(name) {
            self.invalid(format!("{name:?} {NO_NAME}, such as `crm`"));
            return None;
        }
        Some(name.to_owned())
    }

    /// A word of a list that must be there.
    pub(crate) fn word<T: Word>(&self, value: Option<&Choice<T>>) -> Option<T> {
        let Some(choice) = value else {
            self.invalid(format!("is required: one of {}", T::list()));
            return None;
        };
        let word = choice.known();
        if word.is_none() {
            self.invalid(format!(
                "{:?} is not known here: write one of {}",
                choice.text(),
                T::list()
            ));
        }
        word
    }

    /// A word of a list, or its default.
    fn word_or<T: Word>(&self, value: Option<&Choice<T>>, default: T) -> Option<T> {
        match value {
            None => Some(default),
            Some(_) => self.word(value),
        }
    }

    /// A text that parses itself.
    pub(crate) fn parsed<T>(&self, text: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.invalid(error.to_string());
                None
            }
        }
    }

    /// A column's name.
    fn column(&self, value: Option<&String>, names: &Names, example: &str) -> Option<Ident> {
        let text = self.text(value, example)?;
        names.fits(self, self.parsed(text)?)
    }

    /// A time zone by its IANA name.
    pub(crate) fn zone(&self, name: Option<&String>) -> Option<TimeZone> {
        zone::zone(name.map_or(zone::DEFAULT, String::as_str))
            .inspect_err(|error| self.invalid(error.to_string()))
            .ok()
    }

    /// A schedule in a zone; one that could not be read was told.
    fn schedule(
        &self,
        text: Option<&String>,
        zone: Option<TimeZone>,
        example: &str,
    ) -> Option<Schedule> {
        let text = self.text(text, example)?;
        Schedule::parse(text, zone?)
            .inspect_err(|error| self.invalid(error.to_string()))
            .ok()
    }

    /// A number within bounds.
    pub(crate) fn within<N: TryFrom<i64>>(&self, value: i64, least: i64, most: i64) -> Option<N> {
        if (least..=most).contains(&value)
            && let Ok(number) = N::try_from(value)
        {
            return Some(number);
        }
        self.invalid(if most == i64::MAX {
            format!("{value} is too small: write at least {least}")
        } else {
            format!("{value} is out of range: write {least} to {most}")
        });
        None
    }

    /// A list that is not longer than the schema allows.
    pub(crate) fn bounded<T>(&self, list: &[T], most: usize) {
        if list.len() > most {
            self.invalid(format!(
                "has {} entries; at most {most} are allowed",
                list.len()
            ));
        }
    }

    /// The name of a TargetDatabase, and its namespace, where it is another one.
    fn database(&self, reference: Option<&DatabaseRef>) -> Option<(String, Option<String>)> {
        let DatabaseRef {
            name,
            namespace,
            unknown,
        } = self.required(reference, "`{name: crm}`")?;
        self.known::<DatabaseRef>(unknown);
        let name = self.field("name").object_name(name.as_ref(), "`crm`");
        let namespace = match namespace {
            None => Some(None),
            Some(namespace) => self.field("namespace").namespace(namespace).map(Some),
        };
        Some((name?.to_owned(), namespace?))
    }

    /// A name of a Secret or ConfigMap and a key in it.
    fn key_ref(&self, reference: &KeyRef, example: &str) -> Option<KeyOf> {
        let KeyRef { name, key, unknown } = reference;
        self.known::<KeyRef>(unknown);
        let name = self.field("name").object_name(name.as_ref(), "`crm-ca`");
        let key_at = self.field("key");
        let key = key_at.text(key.as_ref(), example).filter(|key| {
            let good = is_data_key(key);
            if !good {
                key_at.invalid(format!(
                    "{key:?} is no key of a Secret or ConfigMap: write at most 253 letters, digits, \
                     '-', '_' and '.', such as {example}"
                ));
            }
            good
        });
        Some(KeyOf {
            name: name?.to_owned(),
            key: key?.to_owned(),
        })
    }
}

/// How names are judged before the database is asked: by the declared engine, where it is known.
struct Names {
    engine: Option<super::target_database::EngineName>,
    /// MySQL: the database in which unqualified tables are. They are qualified here, so that two
    /// spellings of one table cannot pass for two tables.
    database: Option<Ident>,
    /// Where the database's sealed rows are kept.
    seal: Option<crate::target::SealPlace>,
}

impl Names {
    /// Those of a database.
    fn of(target: &Target) -> Self {
        Self {
            engine: Some(target.engine),
            database: match target.engine {
                EngineName::PostgreSQL => None,
                EngineName::MySQL => target.connection.database.parse().ok(),
            },
            seal: target.seal.clone(),
        }
    }

    /// Those of a database that is not known.
    fn unknown() -> Self {
        Self {
            engine: None,
            database: None,
            seal: None,
        }
    }

    fn is_postgres(&self) -> bool {
        self.engine == Some(super::target_database::EngineName::PostgreSQL)
    }

    fn fits(&self, at: &At<'_>, name: Ident) -> Option<Ident> {
        if self.is_postgres() && name.is_too_long_for_postgres() {
            at.invalid(format!(
                "`{name}` is longer than the {} bytes that PostgreSQL keeps of a name",
                crate::name::POSTGRES_MAX_BYTES
            ));
            return None;
        }
        Some(name)
    }
}

/// Parses every entry, so that every fault is noted, and gives the list if all are good.
pub(crate) fn all<S, T>(
    entries: &[S],
    mut parse: impl FnMut(usize, &S) -> Option<T>,
) -> Option<Vec<T>> {
    let parsed: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(i, entry)| parse(i, entry))
        .collect();
    parsed.into_iter().collect()
}

/// The fields that a struct knows, from its schema.
fn field_names<S: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(S);
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// The known name that `name` was probably meant to be: at most a third of it differs.
fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k String> {
    known
        .iter()
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(edits, candidate)| edits * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace) from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
