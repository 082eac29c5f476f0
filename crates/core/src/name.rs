//! Names of things in a database: one identifier, and a table with its schema.
//!
//! Owns what counts as a name and how a qualified one is written in YAML. It must not quote for a
//! dialect (`sql` does) and does not fold case: `Learners` and `learners` are different names here,
//! and the catalog says which of them exists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most characters of an identifier: MySQL's and MariaDB's limit, the longer of the two.
pub const MAX_CHARACTERS: usize = 64;

/// PostgreSQL's limit. It cuts longer names off *silently*, so that they name something else.
pub const POSTGRES_MAX_BYTES: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No characters at all, or nothing between two dots.
    #[error("a name is empty in {text:?}: write `table` or `schema.table`")]
    Empty {
        /// The whole text that was read.
        text: String,
    },
    /// Longer than any engine allows.
    #[error("the name {name:?} has {characters} characters; databases allow {MAX_CHARACTERS}")]
    TooLong {
        /// The name.
        name: String,
        /// How long it is.
        characters: usize,
    },
    /// NUL, a line break or another control character.
    #[error("the name {name:?} contains the control character U+{code:04X}: remove it")]
    ControlCharacter {
        /// The name.
        name: String,
        /// The code point found.
        code: u32,
    },
    /// Three parts or more.
    #[error(
        "{text:?} has more than two parts: write `schema.table`, and put a part that contains a dot in double quotes"
    )]
    TooManyParts {
        /// The whole text that was read.
        text: String,
    },
    /// A double quote that does not open and close a whole part.
    #[error(
        "{text:?} has a stray double quote: a quoted part starts and ends with one, and a quote inside it is doubled"
    )]
    StrayQuote {
        /// The whole text that was read.
        text: String,
    },
    /// Blanks around an unquoted part: a slip of the keyboard more often than a name.
    #[error("{text:?} has blanks around a name: remove them, or put the name in double quotes")]
    Blanks {
        /// The whole text that was read.
        text: String,
    },
}

/// One identifier of a database: a schema, a table, a column.
///
/// Any character but control characters is allowed, because dialects quote every identifier; case
/// is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ident(String);

impl Ident {
    /// Checks a bare identifier. Dots and quotes in it are part of the name.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        if name.is_empty() {
            return Err(NameError::Empty { text: name });
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(NameError::ControlCharacter {
                name,
                code: u32::from(control),
            });
        }
        let characters = name.chars().count();
        if characters > MAX_CHARACTERS {
            return Err(NameError::TooLong { name, characters });
        }
        Ok(Self(name))
    }

    /// The identifier as the catalog spells it, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether PostgreSQL would cut this name off and mean another one.
    pub fn is_too_long_for_postgres(&self) -> bool {
        self.0.len() > POSTGRES_MAX_BYTES
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Ident {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Ident {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Ident> for String {
    fn from(ident: Ident) -> Self {
        ident.0
    }
}

impl AsRef<str> for Ident {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A table, with the schema where one is written.
///
/// The text form is `table` or `schema.table`. A part that contains a dot, a double quote or outer
/// blanks stands in double quotes, with quotes inside doubled: `"odd.schema"."t""x"`. Quotes do
/// not change the meaning of case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    /// The schema (on MySQL the database); `None` where the connection's own is meant.
    pub schema: Option<Ident>,
    /// The table itself.
    pub table: Ident,
}

impl TableName {
    /// A table in a schema.
    pub fn qualified(schema: Ident, table: Ident) -> Self {
        Self {
            schema: Some(schema),
            table,
        }
    }
}

impl From<Ident> for TableName {
    fn from(table: Ident) -> Self {
        Self {
            schema: None,
            table,
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, table } = self;
        if let Some(schema) = schema {
            write_part(f, schema)?;
            f.write_str(".")?;
        }
        write_part(f, table)
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &Ident) -> fmt::Result {
    let name = part.as_str();
    if name.contains(['.', '"']) || name.trim() != name {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    } else {
        f.write_str(name)
    }
}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (first, rest) = take_part(text, text)?;
        let Some(rest) = rest else {
            return Ok(Self {
                schema: None,
                table: first,
            });
        };
        let (second, rest) = take_part(text, rest)?;
        match rest {
            None => Ok(Self {
                schema: Some(first),
                table: second,
            }),
            Some(_) => Err(NameError::TooManyParts {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

/// Takes one part off `rest`; the second value is what follows the dot, if there was one.
fn take_part<'t>(text: &str, rest: &'t str) -> Result<(Ident, Option<&'t str>), NameError> {
    let stray = || NameError::StrayQuote {
        text: text.to_owned(),
    };
    let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
        take_quoted(quoted).ok_or_else(stray)?
    } else {
        let end = rest.find('.').unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        if part.contains('"') {
            return Err(stray());
        }
        if part.trim() != part {
            return Err(NameError::Blanks {
                text: text.to_owned(),
            });
        }
        (part.to_owned(), after)
    };
    if part.is_empty() {
        return Err(NameError::Empty {
            text: text.to_owned(),
        });
    }
    let ident = Ident::new(part)?;
    match after.strip_prefix('.') {
        Some(next) => Ok((ident, Some(next))),
        None if after.is_empty() => Ok((ident, None)),
        None => Err(stray()),
    }
}

/// Reads up to the closing quote; gives the part with its quotes undoubled, and what follows.
fn take_quoted(quoted: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> (Option<String>, String) {
        let name: TableName = text.parse().unwrap();
        (name.schema.map(String::from), name.table.into())
    }

    fn refusal(text: &str) -> NameError {
        text.parse::<TableName>().unwrap_err()
    }

    #[test]
    fn a_table_may_stand_alone_or_with_its_schema() {
        assert_eq!(parts("learners"), (None, "learners".into()));
        assert_eq!(
            parts("public.learners"),
            (Some("public".into()), "learners".into())
        );
    }

    #[test]
    fn case_and_unusual_characters_are_kept() {
        assert_eq!(
            parts("Schule.Schüler 2"),
            (Some("Schule".into()), "Schüler 2".into())
        );
    }

    #[test]
    fn quoted_parts_may_contain_dots_and_doubled_quotes() {
        assert_eq!(
            parts(r#""odd.schema"."t""x""#),
            (Some("odd.schema".into()), "t\"x".into())
        );
        assert_eq!(
            parts(r#"public."a.b""#),
            (Some("public".into()), "a.b".into())
        );
        assert_eq!(parts(r#"" padded ""#), (None, " padded ".into()));
    }

    #[test]
    fn only_parts_that_need_quotes_are_written_with_them() {
        for text in ["t", "s.t", r#""a.b".t"#, r#"s."t""x""#, r#"s." t""#] {
            assert_eq!(text.parse::<TableName>().unwrap().to_string(), text);
        }
        assert_eq!(
            r#""s"."t""#.parse::<TableName>().unwrap().to_string(),
            "s.t"
        );
    }

    #[test]
    fn an_empty_part_is_refused() {
        for text in ["", ".", "s.", ".t", r#""""#, r#"s."""#] {
            assert_eq!(refusal(text), NameError::Empty { text: text.into() });
        }
    }

    #[test]
    fn three_parts_are_refused() {
        assert_eq!(
            refusal("a.b.c"),
            NameError::TooManyParts {
                text: "a.b.c".into()
            }
        );
    }

    #[test]
    fn a_stray_quote_is_refused() {
        for text in [r#"a"b"#, r#""a"#, r#""a"b"#, r#"s.t""#, r#""a""b"#] {
            assert_eq!(refusal(text), NameError::StrayQuote { text: text.into() });
        }
    }

    #[test]
    fn blanks_around_an_unquoted_part_are_refused() {
        for text in [" t", "s .t", "s. t", "t ", " "] {
            assert_eq!(refusal(text), NameError::Blanks { text: text.into() });
        }
    }

    #[test]
    fn control_characters_are_refused_even_inside_quotes() {
        for (text, code) in [
            ("a\0b", 0),
            ("\"a\nb\"", 10),
            ("s.t\u{7f}", 0x7f),
            ("a\u{85}b", 0x85),
        ] {
            assert!(
                matches!(refusal(text), NameError::ControlCharacter { code: found, .. } if found == code),
                "{text:?}"
            );
        }
    }

    #[test]
    fn sixty_four_characters_fit_and_sixty_five_do_not() {
        let longest = "ü".repeat(64);
        let ident = Ident::new(longest.clone()).unwrap();
        assert!(ident.is_too_long_for_postgres());
        assert!(matches!(
            Ident::new(longest + "x").unwrap_err(),
            NameError::TooLong { characters: 65, .. }
        ));
    }

    #[test]
    fn postgres_cuts_names_off_after_sixty_three_bytes() {
        assert!(
            !Ident::new("x".repeat(63))
                .unwrap()
                .is_too_long_for_postgres()
        );
        assert!(
            Ident::new("x".repeat(64))
                .unwrap()
                .is_too_long_for_postgres()
        );
        assert!(
            Ident::new("ü".repeat(32))
                .unwrap()
                .is_too_long_for_postgres()
        );
    }

    #[test]
    fn names_are_strings_in_json_and_are_checked_when_read() {
        let name: TableName = serde_json::from_str(r#""public.learners""#).unwrap();
        assert_eq!(
            serde_json::to_string(&name).unwrap(),
            r#""public.learners""#
        );
        let error = serde_json::from_str::<TableName>(r#""a.b.c""#).unwrap_err();
        assert!(
            error.to_string().contains("write `schema.table`"),
            "{error}"
        );
        assert!(serde_json::from_str::<Ident>(r#""""#).is_err());
    }

    fn any_ident() -> impl Strategy<Value = Ident> {
        prop_oneof![
            r#"[a-zA-Z_". ]{1,64}"#,
            prop::collection::vec(
                any::<char>().prop_filter("control", |c| !c.is_control()),
                1..=64
            )
            .prop_map(String::from_iter),
        ]
        .prop_map(|name| Ident::new(name).unwrap())
    }

    proptest! {
        #[test]
        fn every_name_survives_being_written_and_read(
            schema in prop::option::of(any_ident()),
            table in any_ident(),
        ) {
            let name = TableName { schema, table };
            prop_assert_eq!(name.to_string().parse::<TableName>().unwrap(), name);
        }

        #[test]
        fn reading_any_text_never_panics_and_what_is_read_is_stable(text in any::<String>()) {
            if let Ok(name) = text.parse::<TableName>() {
                prop_assert_eq!(name.to_string().parse::<TableName>().unwrap(), name);
            }
        }

        #[test]
        fn texts_of_quotes_and_dots_are_read_stably(text in r#"[a". ]{0,9}"#) {
            if let Ok(name) = text.parse::<TableName>() {
                prop_assert_eq!(name.to_string().parse::<TableName>().unwrap(), name);
            }
        }
    }
}
