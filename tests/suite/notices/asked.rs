//! `examples/notices/*/requests/expect.yaml`: what persons may ask of an organisation, and what happens then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::found::Search;
use super::rows::Changes;
use crate::cluster::documents;
use crate::expect::Promise;
use crate::requests::office::REQUEST;

/// `expect.yaml` of such a folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// One sentence: what holds.
    pub(super) about: String,
    /// The sentences of the notice that its requests keep.
    pub(super) promises: Vec<Promise>,
    /// The databases: of each NAME there are `NAME.sql` and the DataMap `NAME.yaml`. The first is on the
    /// case's server.
    pub(super) databases: Vec<String>,
    /// What happens, in order.
    pub(super) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Step {
    /// The data protection officer creates the Secret and the request.
    File(String),
    /// … and changes its spec.
    Patch { request: String, spec: Value },
    /// … and says in their own name that these are done, or cannot be.
    Confirm {
        request: String,
        items: Vec<String>,
        outcome: String,
    },
    /// Somebody else approves the plan that stands there, or that of what is left.
    Approve(String),
    /// The person has been answered.
    Reply(String),
    /// Wait until it is in this state; the status has these values.
    State {
        request: String,
        is: String,
        status: Option<Value>,
    },
    /// Wait until it says this.
    Reason { request: String, reason: String },
    /// Wait until a condition is there, or is not.
    Condition {
        request: String,
        condition: String,
        reason: Option<String>,
    },
    /// The plan has these tables: `DATABASE ENTRY EFFECT ROWS`, `DATABASE ENTRY keeps ROWS: GROUND, LAW`, and
    /// `DATABASE ENTRY holds ROWS`.
    Plan {
        request: String,
        tables: BTreeSet<String>,
    },
    /// Since this was looked at last, these rows have changed in these columns, and no other row has.
    Changes(BTreeMap<String, BTreeMap<String, Changes>>),
    /// Statements by the database's owner.
    Sql {
        database: String,
        statements: String,
    },
    /// LegalHolds and their Secrets are applied, and wait until they are in force.
    Hold { database: String, objects: String },
    /// The LegalHold of this name is released, and approvals count again.
    Release(String),
    /// As if the time had come at which the first duty ends.
    DutyEnds(String),
    /// The recipient accepted one event, with these values.
    Told(Value),
    /// The certificate says these.
    Certificate { request: String, says: Value },
    /// The letter to the person says these.
    Letter {
        request: String,
        contains: Vec<String>,
    },
    /// Of these values a mailer is told that they are not to be written to.
    Suppressed {
        database: String,
        identifier: String,
        values: Vec<String>,
        erased: Vec<String>,
    },
    /// The person is looked for.
    Search(Search),
}

impl Asked {
    /// `None`: nobody asks the organisation anything.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("expect.yaml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        serde_saphyr::from_str(&text).map_err(|e| anyhow!("{}: {e}", path.display()))
    }

    /// Every request keeps a promise, and every promise is kept by requests that are filed.
    pub(super) fn is_whole(&self, folder: &Path) -> Result<()> {
        let objects = documents(&std::fs::read_to_string(folder.join("requests.yaml"))?)?;
        let requests = objects.iter().filter(|object| object["kind"] == REQUEST);
        let all: BTreeSet<&str> = requests.filter_map(name_of).collect();
        let promises = self.promises.iter().flat_map(|promise| &promise.requests);
        let named: BTreeSet<&str> = promises.map(String::as_str).collect();
        let filed = self.steps.iter().filter_map(|step| match step {
            Step::File(name) => Some(name.as_str()),
            _ => None,
        });
        let filed: BTreeSet<&str> = filed.collect();
        ensure!(
            named == all && filed == all,
            "{named:?} are named and {filed:?} filed, of {all:?}"
        );
        Ok(())
    }
}

/// What an object is called.
pub(super) fn name_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name")?.as_str()
}
