//! Reading one row of a catalog statement, column by column.

use oubliette_core::value::Value;
use serde::de::DeserializeOwned;

use crate::database::fault::{Fault, FaultClass};

/// One row, read from the left.
pub(super) struct Answer(std::vec::IntoIter<Value>);

impl Answer {
    pub(super) fn new(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Result<Value, Fault> {
        self.0.next().ok_or_else(unexpected)
    }

    pub(super) fn maybe_int(&mut self) -> Result<Option<i64>, Fault> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(n) => Ok(Some(n)),
            Value::Text(_) | Value::Bytes(_) => Err(unexpected()),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        self.maybe_int()?.ok_or_else(unexpected)
    }

    /// A number of rows or characters; what is unknown or negative counts as 0.
    pub(super) fn count(&mut self) -> Result<u64, Fault> {
        Ok(self
            .maybe_int()?
            .and_then(|n| u64::try_from(n).ok())
            .unwrap_or(0))
    }

    pub(super) fn yes(&mut self) -> Result<bool, Fault> {
        Ok(self.maybe_int()?.is_some_and(|n| n != 0))
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, Fault> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Int(_) | Value::Bytes(_) => Err(unexpected()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        self.maybe_text()?.ok_or_else(unexpected)
    }

    /// A name or type that is only shown to people. Control characters in it, with which its owner
    /// could write lines of their own into messages and terminals, are replaced.
    pub(super) fn shown(&mut self) -> Result<String, Fault> {
        Ok(harmless(&self.text()?))
    }

    /// A list that the statement put into JSON text.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        serde_json::from_str(&self.text()?).map_err(|_| unexpected())
    }
}

/// The text without characters that move a terminal or turn its writing direction.
pub(in crate::database) fn harmless(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| {
            if moves(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

fn unexpected() -> Fault {
    Fault::own(
        FaultClass::Undecodable,
        "the catalog answered in an unexpected form",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_lines_of_its_own() {
        assert_eq!(
            harmless("a\r\nok\u{1b}[2J\u{85}"),
            "a\u{fffd}\u{fffd}ok\u{fffd}[2J\u{fffd}"
        );
        assert_eq!(harmless("gar\u{202e}txt\u{2028}"), "gar\u{fffd}txt\u{fffd}");
        assert_eq!(harmless("Kündigung \"x\" 删除"), "Kündigung \"x\" 删除");
    }
}
