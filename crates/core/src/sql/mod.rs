//! SQL text and what is bound to it. Statements are built here and nowhere else.
//!
//! Identifiers are parsed types quoted by the dialect, values are always bound.

use crate::value::Value;

/// A statement's text, made by this module's writer only, so that the one place that asserts SQL
/// safe for the driver can take nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sql(String);

impl Sql {
    /// A statement that is a literal of the program.
    pub fn fixed(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The text, with the engine's placeholders in it (`$1` or `?`).
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A statement ready to run: its text and the values of its placeholders, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The text.
    pub sql: Sql,
    /// One value per placeholder.
    pub values: Vec<Value>,
}

impl Bound {
    /// A literal statement with its values.
    pub fn fixed(text: &'static str, values: Vec<Value>) -> Self {
        Self {
            sql: Sql::fixed(text),
            values,
        }
    }
}
