//! The letter to the person: what a template may use, and the template itself.
//!
//! No identifier and no name of a person is in it; whoever sends it adds whom it is to. What a person
//! is not to be told of does not come as far as the facts.

mod facts;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::rows::number;

pub use facts::{KeptUnknown, LetterFacts};

/// The program's own template.
const OWN: &str = include_str!("letter/own.txt");
/// By which errors name a template.
const NAME: &str = "letter";

/// A template that was tried on every outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Default for Template {
    fn default() -> Self {
        Self(OWN.to_owned())
    }
}

/// Why a template is none, or makes no letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It names what there is not.
    #[error("there is no `{name}` in a letter; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// It cannot be read, or fails on a letter.
    #[error("line {line}: {message}{tried}")]
    Fails {
        /// Where.
        line: usize,
        /// Why.
        message: String,
        /// On which letter.
        tried: String,
    },
}

impl Template {
    /// Reads a template and tries it on a letter of each kind: whoever writes it learns at once what
    /// would go wrong in the one letter that is rarely written.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self(text.to_owned());
        let environment = template.environment()?;
        let read = environment
            .get_template(NAME)
            .map_err(|error| fails(&error, None))?;
        let mut names: Vec<String> = read.undeclared_variables(true).into_iter().collect();
        names.sort();
        let functions: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
        let whole = serde_json::to_value(facts::full(None)).unwrap_or_default();
        for name in names {
            if !functions.contains(&name.as_str()) {
                check(&whole, &name)?;
            }
        }
        for facts in &facts::samples() {
            fill(&environment, facts, Some(facts))?;
        }
        Ok(template)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Writes the letter.
    pub fn render(&self, facts: &LetterFacts) -> Result<String, TemplateError> {
        fill(&self.environment()?, facts, None)
    }

    fn environment(&self) -> Result<Environment<'_>, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| fails(&error, None))?;
        environment.set_syntax(syntax);
        environment.add_filter("day", day);
        environment.add_filter("counted", counted);
        environment
            .add_template(NAME, &self.0)
            .map_err(|error| fails(&error, None))?;
        Ok(environment)
    }
}

/// `tried`: on which letter a template is tried.
fn fill(
    environment: &Environment<'_>,
    facts: &LetterFacts,
    tried: Option<&LetterFacts>,
) -> Result<String, TemplateError> {
    environment
        .get_template(NAME)
        .and_then(|template| template.render(Serde(facts)))
        .map_err(|error| fails(&error, tried))
}

/// Refuses the path of a name that leads nowhere. What is in a list is seen when it is tried.
fn check(whole: &Value, path: &str) -> Result<(), TemplateError> {
    let mut at = whole;
    for part in path.split('.') {
        let Some(fields) = at.as_object() else {
            return Ok(());
        };
        let Some(field) = fields.get(part) else {
            let known: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
            return Err(TemplateError::Unknown {
                name: path.to_owned(),
                known: known.join(", "),
            });
        };
        at = field;
    }
    Ok(())
}

fn fails(error: &Error, tried: Option<&LetterFacts>) -> TemplateError {
    let kind = error.kind();
    let message = match error.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    };
    let tried = match tried.map(|facts| facts.outcome) {
        None => String::new(),
        Some(None) => " (on a letter that tells of an extension)".to_owned(),
        Some(Some(outcome)) => format!(" (on a letter with the outcome {outcome})"),
    };
    TemplateError::Fails {
        line: error.line().unwrap_or(1),
        message,
        tried,
    }
}

/// `2026-12-02` as `2 December 2026`.
fn day(text: &str) -> Result<String, Error> {
    let day: Date = text.parse().map_err(|_| {
        let message = format!("{text:?} is no day such as 2026-12-02");
        Error::new(ErrorKind::InvalidOperation, message)
    })?;
    Ok(day.strftime("%-d %B %Y").to_string())
}

/// A number with its noun: `1 record`, `12,000 records`.
fn counted(count: i64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}
