//! `letter` and `controller`: the template of the letter to the person, and who signs it. The letter
//! itself is `crate::erasure::letter`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::parse::At;
use crate::erasure::letter::Template;

/// Where the person may complain, where nothing else is set.
pub const COMPLAINTS: &str = "the data protection supervisory authority of the country where you live \
                              or work (in the United Kingdom the Information Commissioner, \
                              https://ico.org.uk/make-a-complaint)";

/// The letter to the person. docs/how-to/answer.md lists what a template may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterSpec {
    /// A template in Jinja that takes the place of the program's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub template: Option<String>,
    /// The file that holds the template, from the folder of the settings file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub template_file: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Who answers, and where the person may complain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControllerSpec {
    /// The organisation. Example: `Example Learning Ltd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// How the person reaches it. Example: `privacy@example.org`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub contact: Option<String>,
    /// Where the person may complain, as it follows the words "you may complain to". Default: the
    /// supervisory authority, with the address of the United Kingdom's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub complaints: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Who answers, and where the person may complain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// The organisation.
    pub name: Option<String>,
    /// How the person reaches it.
    pub contact: Option<String>,
    /// Where the person may complain.
    pub complaints: String,
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            name: None,
            contact: None,
            complaints: COMPLAINTS.to_owned(),
        }
    }
}

/// `file`: what the file of the template holds.
pub(super) fn parse(
    at: &At<'_>,
    spec: Option<&LetterSpec>,
    file: Option<&str>,
) -> Option<Template> {
    let Some(LetterSpec {
        template,
        template_file,
        unknown,
    }) = spec
    else {
        return Some(Template::default());
    };
    at.known::<LetterSpec>(unknown);
    let (at, text) = match (template, template_file) {
        (None, None) => return Some(Template::default()),
        (Some(_), Some(_)) => {
            at.invalid("has both template and templateFile: write one of them");
            return None;
        }
        (Some(text), None) => (at.field("template"), text.as_str()),
        (None, Some(_)) => (at.field("templateFile"), file.unwrap_or_default()),
    };
    if text.trim().is_empty() {
        at.invalid("is empty: leave it out for the program's own template");
        return None;
    }
    Template::parse(text)
        .inspect_err(|error| at.invalid(error.to_string()))
        .ok()
}

pub(super) fn parse_controller(at: &At<'_>, spec: Option<&ControllerSpec>) -> Option<Controller> {
    let Some(ControllerSpec {
        name,
        contact,
        complaints,
        unknown,
    }) = spec
    else {
        return Some(Controller::default());
    };
    at.known::<ControllerSpec>(unknown);
    let text = |field: &str, value: Option<&String>, example: &str| {
        if value.is_none() {
            return Some(None);
        }
        let text = at.field(field).text(value, example)?;
        Some(Some(text.to_owned()))
    };
    let name = text("name", name.as_ref(), "`Example Ltd`");
    let contact = text("contact", contact.as_ref(), "`privacy@example.org`");
    let complaints = text(
        "complaints",
        complaints.as_ref(),
        "`the Information Commissioner`",
    );
    Some(Controller {
        name: name?,
        contact: contact?,
        complaints: complaints?.unwrap_or_else(|| COMPLAINTS.to_owned()),
    })
}
