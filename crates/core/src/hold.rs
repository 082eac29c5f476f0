//! A legal hold as the ledger keeps it and the planner sees it: which rows of which table must not
//! change, whatever a policy says.
//!
//! Its values are personal data (they say whom a matter is about): they are wiped when dropped and
//! stand in no Debug output. Where they are copied into a statement, they live as long as that.

mod person;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::person::{HeldPerson, Holds, PERSON};
use crate::erasure::MapName;
use crate::name::{Ident, TableName};
use crate::target::KeyOf;

/// Most values of one hold, over all of its tests.
pub const MOST_VALUES: usize = 1_000;
/// Longest value, in characters.
const LONGEST_VALUE: usize = 1_024;
/// Most values of all holds that concern one rule: they are bound to each of its statements, and the
/// engines take 65,535.
pub const MOST_BOUND: usize = 20_000;

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The resource's UID.
    pub id: String,
    /// Its namespace and name, for people.
    pub name: String,
    /// The table whose rows are held.
    pub table: TableName,
    /// Which rows; all must hold. Never empty.
    pub tests: Vec<HoldTest>,
}

/// One test of one column.
#[derive(Clone, PartialEq, Eq)]
pub struct HoldTest {
    /// The column.
    pub column: Ident,
    /// What it is tested for.
    pub operator: HoldOperator,
    /// For `In`: the values; never empty there.
    pub values: Vec<Zeroizing<String>>,
}

/// A LegalHold as it was written, parsed: without the values, which are in Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedHold {
    /// What is held.
    pub on: WantedOn,
    /// The reference of the matter.
    pub reason: String,
    /// Who places it.
    pub placed_by: String,
    /// When it is to be reviewed.
    pub review_at: Timestamp,
    /// What ends it, once somebody has decided so.
    pub release: Option<Release>,
}

/// What a LegalHold is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedOn {
    /// Rows of one table.
    Rows(WantedRows),
    /// A person.
    Subject(WantedSubject),
}

/// Rows as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedRows {
    /// Name of the TargetDatabase.
    pub database: String,
    /// Its namespace, where it is not the hold's own.
    pub database_namespace: Option<String>,
    /// The table whose rows are held.
    pub table: TableName,
    /// Which rows; all must hold. Never empty.
    pub tests: Vec<WantedTest>,
}

/// A person as they were written: without the identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSubject {
    /// The Secret with the identifiers, in the hold's namespace.
    pub secret: String,
    /// Only through these maps; none: all of the hold's namespace, and of those that the settings name.
    pub maps: Vec<MapName>,
}

/// One test as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTest {
    /// The column.
    pub column: Ident,
    /// What it is tested for.
    pub operator: HoldOperator,
    /// Where the values are; present for `In` only.
    pub values: Option<KeyOf>,
}

/// Who ends a hold, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The reference of the decision.
    pub reason: String,
    /// Who decides.
    pub by: String,
}

/// What a column of a held row is tested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldOperator {
    /// Equal to one of the values.
    In,
    /// NULL.
    IsNull,
    /// Not NULL.
    IsNotNull,
}

impl fmt::Debug for HoldTest {
    /// Shows how many values there are, never one (P4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            column,
            operator,
            values,
        } = self;
        write!(f, "{column} {operator:?} ({} values)", values.len())
    }
}

/// Why values cannot be used. Says how many or where, never what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// Neither lines of text nor a list.
    #[error("is no text in UTF-8")]
    NoText,
    /// It begins like a JSON list and is none of texts and numbers.
    #[error("begins with [ and is no JSON list of texts, whole numbers and booleans")]
    NoList,
    /// Nothing is there.
    #[error("holds no value")]
    Empty,
    /// More than a statement should be given.
    #[error("holds more than {MOST_VALUES} values")]
    TooMany,
    /// Longer than any key.
    #[error("holds a value of more than {LONGEST_VALUE} characters")]
    TooLong,
}

/// The values in a key of a Secret: a JSON list where its first character is `[`, otherwise one
/// value for each line, without the line's end; empty lines are none. Blanks within a line count.
pub fn values(content: &[u8]) -> Result<Vec<Zeroizing<String>>, ValuesError> {
    let text = std::str::from_utf8(content).map_err(|_| ValuesError::NoText)?;
    let values: Vec<Zeroizing<String>> = if text.trim_start().starts_with('[') {
        let list: Vec<Scalar> = serde_json::from_str(text).map_err(|_| ValuesError::NoList)?;
        list.into_iter().map(Scalar::text).collect()
    } else {
        let lines = text.split('\n');
        let lines = lines.map(|line| line.strip_suffix('\r').unwrap_or(line));
        lines
            .filter(|line| !line.is_empty())
            .map(|line| Zeroizing::new(line.to_owned()))
            .collect()
    };
    if values.is_empty() {
        return Err(ValuesError::Empty);
    }
    if values.len() > MOST_VALUES {
        return Err(ValuesError::TooMany);
    }
    if values.iter().any(|v| v.chars().count() > LONGEST_VALUE) {
        return Err(ValuesError::TooLong);
    }
    Ok(values)
}

/// A value of a JSON list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Int(i64),
    Bool(bool),
}

impl Scalar {
    fn text(self) -> Zeroizing<String> {
        match self {
            Self::Text(text) => Zeroizing::new(text),
            Self::Int(number) => Zeroizing::new(number.to_string()),
            Self::Bool(bool) => Zeroizing::new(bool.to_string()),
        }
    }
}

/// What the ledger keeps of a test beside its values.
#[derive(Serialize, Deserialize)]
struct Stored {
    column: String,
    operator: HoldOperator,
}

impl Hold {
    /// The columns and operators, for the ledger. They stay when the values are cleared.
    pub fn predicate(&self) -> String {
        let stored: Vec<Stored> = self
            .tests
            .iter()
            .map(|test| Stored {
                column: test.column.to_string(),
                operator: test.operator,
            })
            .collect();
        serde_json::to_string(&stored).expect("texts are JSON")
    }

    /// The values, for the ledger: a list for each test.
    pub fn keys(&self) -> Zeroizing<String> {
        let keys: Vec<Vec<&str>> = self
            .tests
            .iter()
            .map(|test| test.values.iter().map(|v| v.as_str()).collect())
            .collect();
        Zeroizing::new(serde_json::to_string(&keys).expect("texts are JSON"))
    }

    /// A hold as the ledger has it; `None`: it is not one that this program wrote.
    pub fn stored(id: &str, name: &str, table: &str, predicate: &str, keys: &str) -> Option<Self> {
        let stored: Vec<Stored> = serde_json::from_str(predicate).ok()?;
        let keys: Vec<Vec<String>> = serde_json::from_str(keys).ok()?;
        if stored.is_empty() || stored.len() != keys.len() {
            return None;
        }
        let mut tests = Vec::with_capacity(stored.len());
        for (Stored { column, operator }, values) in stored.into_iter().zip(keys) {
            if values.is_empty() == (operator == HoldOperator::In) {
                return None;
            }
            tests.push(HoldTest {
                column: column.parse().ok()?,
                operator,
                values: values.into_iter().map(Zeroizing::new).collect(),
            });
        }
        Some(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            table: table.parse().ok()?,
            tests,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Vec<String>, ValuesError> {
        let values = values(content.as_bytes())?;
        Ok(values.iter().map(|value| value.to_string()).collect())
    }

    #[test]
    fn a_secret_holds_one_value_a_line_or_a_list() {
        assert_eq!(read("7\n"), Ok(vec!["7".to_owned()]));
        let two = Ok(vec!["ada@example.org".to_owned(), " b c ".to_owned()]);
        assert_eq!(read("ada@example.org\r\n\n b c \n"), two);
        assert_eq!(read("[\"ada@example.org\", \" b c \"]\n"), two);
        let mixed = Ok(vec!["7".to_owned(), "true".to_owned()]);
        assert_eq!(read("[7, true]"), mixed);
        for (content, fault) in [
            ("", ValuesError::Empty),
            ("\n\n", ValuesError::Empty),
            ("[]", ValuesError::Empty),
            ("[1.5]", ValuesError::NoList),
            ("[null]", ValuesError::NoList),
            ("[\"a\"", ValuesError::NoList),
        ] {
            assert_eq!(read(content), Err(fault), "{content:?}");
        }
        assert_eq!(values(&[0xff]), Err(ValuesError::NoText));
        assert_eq!(read(&"1\n".repeat(1_001)), Err(ValuesError::TooMany));
        assert_eq!(read(&"x".repeat(1_025)), Err(ValuesError::TooLong));
    }

    fn hold() -> Hold {
        let test = |column: &str, operator, values: &[&str]| HoldTest {
            column: column.parse().unwrap(),
            operator,
            values: values
                .iter()
                .map(|v| Zeroizing::new((*v).to_owned()))
                .collect(),
        };
        Hold {
            id: "uid".to_owned(),
            name: "crm/matter".to_owned(),
            table: "public.learners".parse().unwrap(),
            tests: vec![
                test("email", HoldOperator::In, &["ada@example.org", "\"b\""]),
                test("left_at", HoldOperator::IsNull, &[]),
            ],
        }
    }

    #[test]
    fn a_hold_comes_back_from_the_ledger_as_it_was_put_there() {
        let hold = hold();
        let stored = |predicate: &str, keys: &str| {
            Hold::stored("uid", "crm/matter", "public.learners", predicate, keys)
        };
        let back = stored(&hold.predicate(), &hold.keys());
        assert_eq!(back, Some(hold.clone()));
        assert!(!hold.predicate().contains("ada"));
        for (predicate, keys) in [
            ("[]", "[]"),
            (hold.predicate().as_str(), "[[\"a\"]]"),
            (hold.predicate().as_str(), "[[], []]"),
            ("[{\"column\":\"a\",\"operator\":\"Like\"}]", "[[\"a\"]]"),
        ] {
            assert_eq!(stored(predicate, keys), None, "{predicate} {keys}");
        }
    }

    #[test]
    fn debug_output_never_shows_a_value() {
        let shown = format!("{:?}", hold());
        assert!(shown.contains("email In (2 values)"), "{shown}");
        assert!(!shown.contains("ada"), "{shown}");
    }
}
