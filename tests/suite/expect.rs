//! `expect.yaml`: what a scenario does and what has to hold. `tests/scenarios/README.md` explains it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::case::Server;

/// One scenario's expectations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// One sentence: what holds.
    pub(crate) about: String,
    /// The sentences of a privacy notice that it is about; in `examples/notices` only.
    #[serde(default)]
    pub(crate) promises: Vec<Promise>,
    /// The servers it runs on; all, when left out.
    #[serde(default)]
    servers: Vec<String>,
    /// `none`: the operator's user is given nothing but the right to connect, `select`: what a dry
    /// run needs; otherwise what `oubliette grants` prints.
    #[serde(default)]
    pub(crate) grants: Grants,
    /// What happens, in order. Left out: the policy is run once.
    pub(crate) steps: Option<Vec<Step>>,
    /// How the plan is refused (instead of a run).
    pub(crate) refusal: Option<Refusal>,
    /// Rows at the end.
    #[serde(default)]
    pub(crate) rows: Vec<Rows>,
    /// The policy's status at the end: every field named here has that value.
    pub(crate) status: Option<Value>,
}

/// A sentence of a privacy notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promise {
    /// Its number: `N1`.
    pub(crate) row: String,
    /// Its sense, in our words.
    pub(crate) sentence: String,
    /// The rules that keep it; none, if nothing does yet.
    #[serde(default)]
    pub(crate) rules: Vec<String>,
    /// The requests that keep it; in `requests/expect.yaml` only.
    #[serde(default)]
    pub(crate) requests: Vec<String>,
    /// What of it is not kept yet.
    pub(crate) open: Option<String>,
}

/// What the operator's database user may do.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grants {
    /// What `oubliette grants` prints for enforcing.
    #[default]
    Printed,
    /// What `oubliette grants --dry-run` prints.
    DryRun,
    /// Nothing but to connect.
    None,
}

/// One thing that happens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// Run the policy now and wait until the run has ended.
    Run,
    /// Ask for a run and do not wait.
    RunNow,
    /// Statements by the database's owner.
    Sql(String),
    /// A merge patch of the policy.
    Patch(Value),
    /// A merge patch of the TargetDatabase.
    PatchDatabase(Value),
    /// Wait until the Ready condition has this reason.
    Reason(String),
    /// Wait until Ready is False, for whatever reason.
    NotReady,
    /// Wait until the plan is refused like this.
    Refused(Refusal),
    /// Wait until the policy's status has these values.
    Status(Value),
    /// The rows are these now.
    Rows(Vec<Rows>),
    /// Apply LegalHolds and their Secrets, YAML, and wait until they are in force.
    Hold(String),
    /// Release the LegalHold of this name, and wait until that is done.
    Release(String),
    /// Run what `oubliette grants` prints for the operator's user.
    Grant,
}

/// A refused plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// The Ready condition's reason.
    pub(crate) reason: String,
    /// What its message says, each of these.
    #[serde(default)]
    pub(crate) contains: Vec<String>,
}

/// A query and the rows it gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rows {
    /// The query, with an ORDER BY.
    pub(crate) query: String,
    /// Its rows, each value as the server writes it, `null` for NULL.
    pub(crate) result: Vec<Vec<Value>>,
}

impl Expect {
    /// Reads a scenario's file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        serde_saphyr::from_str(&text).map_err(|e| anyhow!("{}: {e}", path.display()))
    }

    /// The servers it runs on.
    pub(crate) fn servers(&self) -> Result<Vec<Server>> {
        if self.servers.is_empty() {
            return Ok(Server::ALL.to_vec());
        }
        let mut servers = Vec::new();
        for name in &self.servers {
            match name.as_str() {
                "postgres" => servers.extend([Server::Postgres15, Server::Postgres18]),
                other => match Server::ALL.into_iter().find(|s| s.slug() == other) {
                    Some(server) => servers.push(server),
                    None => bail!("unknown server {other:?}"),
                },
            }
        }
        Ok(servers)
    }
}

impl Rows {
    /// The result as text, the way a server writes it.
    pub(crate) fn expected(&self) -> Vec<Vec<Option<String>>> {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        self.result
            .iter()
            .map(|row| row.iter().map(text).collect())
            .collect()
    }
}
