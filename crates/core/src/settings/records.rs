//! `recordRetention` and `backups`: how long what is recorded of a request lasts. When that ends is
//! computed in `crate::erasure::records`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::parse::At;
use crate::period::Period;

/// How long backups of the databases last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupsSpec {
    /// How long a backup is kept at the most: a calendar period, such as `P35D`. What was erased may
    /// come back from a backup for so long. The longest of all databases counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required, regex(pattern = Period::PATTERN))]
    pub kept_for: Option<String>,
    /// What this version does not know; never empty without a refusal.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How long what is recorded of a request lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// How long requests, with plans, certificates and digests, are kept; `None`: nothing ends them.
    pub retention: Option<Period>,
    /// How long backups are kept; `None`: nobody has said.
    pub backups: Option<Period>,
}

/// `at`: the whole file.
pub(super) fn parse(
    at: &At<'_>,
    retention: Option<&String>,
    backups: Option<&BackupsSpec>,
) -> Option<Records> {
    let retention = match retention {
        None => Some(None),
        Some(text) => at.field("recordRetention").parsed(text).map(Some),
    };
    let backups = match backups {
        None => Some(None),
        Some(BackupsSpec { kept_for, unknown }) => {
            let at = at.field("backups");
            at.known::<BackupsSpec>(unknown);
            let at = at.field("keptFor");
            let text = at.text(kept_for.as_ref(), "`P35D`");
            text.and_then(|text| at.parsed(text)).map(Some)
        }
    };
    Some(Records {
        retention: retention?,
        backups: backups?,
    })
}
