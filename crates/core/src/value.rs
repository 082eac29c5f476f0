//! The four shapes in which a database value passes through the program.
//!
//! Owns the shapes and their redaction. It must not print a value: keys can be e-mail addresses (P4).

use std::fmt;

use zeroize::Zeroizing;

/// One value read from or bound to a statement. The dialect casts it to the column's type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Int(i64),
    /// Text, also for every type that is read and written in its text form (uuid, numeric, time).
    Text(String),
    /// Raw bytes (binary keys).
    Bytes(Vec<u8>),
}

impl fmt::Debug for Value {
    /// Shows the shape only, never the content (P4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Int(_) => "Int(_)",
            Self::Text(_) => "Text(_)",
            Self::Bytes(_) => "Bytes(_)",
        })
    }
}

impl Value {
    /// The integer, where the value is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Null | Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    /// The text, where the value is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            Self::Null | Self::Int(_) | Self::Bytes(_) => None,
        }
    }
}

/// What somebody is known by, such as an e-mail address: cleared when it is let go of, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal(Zeroizing<String>);

impl Personal {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for whoever binds it to a statement.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Personal {
    /// Shows nothing of it (P4).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(_)")
    }
}

/// The values of one row's key, in the order of the key's columns.
pub type Key = Vec<Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_a_value() {
        let shown = format!(
            "{:?}",
            vec![Value::Text("ada@example.org".into()), Value::Int(7)]
        );
        assert_eq!(shown, "[Text(_), Int(_)]");
    }
}
