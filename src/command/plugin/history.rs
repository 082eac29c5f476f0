//! `history`: the runs of a policy, the newest first: the last ten from its status, or all of them from
//! the ledger in its database, which is only read.

use anyhow::{Context, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::{PastRun, RetentionPolicyStatus};
use oubliette_core::ledger::{Ledger, RunRow};
use oubliette_core::name::Ident;
use oubliette_core::report::{RunOutcome, RunReport};
use serde::Serialize;

use super::access::Access;
use super::{Output, names};
use crate::command::columns::{Cell, coloured, grid};
use crate::command::source::Given;
use crate::command::told::words::{number, seconds};
use crate::ledger::Store;
use crate::resource::RetentionPolicy;

/// Characters of an evidence hash that are shown in a table, `sha256:` among them.
const HASH: usize = 19;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The policy. With --database-url it need not exist any more, and no cluster is asked.
    #[arg(add = ArgValueCandidates::new(names::policies))]
    pub policy: String,
    /// The database whose ledger is read, instead of the policy's status.
    #[command(flatten)]
    pub given: Given,
    /// The ledger's schema; on MySQL and MariaDB the prefix of its tables.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oubliette",
        requires = "database_url"
    )]
    pub ledger: Ident,
    /// Where.
    #[command(flatten)]
    pub access: Access,
    /// How the runs are written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The runs of one policy.
#[derive(Debug, PartialEq, Serialize)]
pub struct History {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The newest first.
    pub runs: Vec<RunTold>,
}

/// One run.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunTold {
    /// Its id in the ledger.
    pub run: String,
    /// The instant from which periods were counted, where it is known: the status keeps that of the
    /// last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// When the first worker began.
    pub started_at: Timestamp,
    /// When the last step was finished; left out while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Completed, Stopped, Failed or Open.
    pub outcome: &'static str,
    /// Why, where it was stopped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Rows changed, related ones among them; left out while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_changed: Option<i64>,
    /// Rows still eligible after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_left: Option<i64>,
    /// Head of the ledger's evidence chain after it, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// Reads and shows.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    let name = request.policy.clone();
    let history = if request.given.database_url.is_some() {
        let namespace = request.access.namespace().await?;
        let runs = of_ledger(request, &format!("{namespace}/{name}")).await?;
        if runs.is_empty() {
            bail!(
                "the ledger has no run of RetentionPolicy {namespace}/{name}: -n names the namespace, \
                 which is `default` for what `oubliette apply` carried out unless the files or its -n \
                 say another"
            );
        }
        History {
            namespace,
            name,
            runs,
        }
    } else {
        let cluster = request.access.open().await?;
        let policy: RetentionPolicy = cluster.get(&name).await?;
        History {
            namespace: cluster.namespace,
            runs: of_status(policy.status.unwrap_or_default()),
            name,
        }
    };
    request
        .output
        .text(&history, || table(&history, coloured()))
}

fn of_status(status: RetentionPolicyStatus) -> Vec<RunTold> {
    let last = status.last_run;
    let told = |past: PastRun| {
        let last = last.as_ref().filter(|last| last.run == past.run);
        let evidence = last.and_then(|last| last.evidence);
        let told = RunTold::ended(past, evidence.map(|hash| hash.to_string()));
        told.counted_from(last.map(|last| last.as_of))
    };
    let ended = status.history.into_iter().map(told);
    let open = status
        .open_run
        .map(|open| RunTold::open(open.run, open.since));
    open.into_iter().chain(ended).collect()
}

async fn of_ledger(request: &Request, policy: &str) -> anyhow::Result<Vec<RunTold>> {
    let connected = request.given.connect().await?;
    let (_, database) = connected.context("--database-url is missing")?;
    let ledger = Ledger {
        engine: database.engine(),
        place: request.ledger.clone(),
    };
    let store = Store::unchecked(&database, ledger);
    let read = async {
        if !store.is_present().await? {
            bail!(
                "there is no ledger {} in this database, or this user may not see it",
                request.ledger
            );
        }
        Ok(store.runs_of(policy).await?)
    };
    let rows = read.await;
    database.close().await;
    rows?.iter().map(RunTold::recorded).collect()
}

impl RunTold {
    fn open(run: String, started_at: Timestamp) -> Self {
        Self {
            run,
            as_of: None,
            started_at,
            finished_at: None,
            outcome: "Open",
            reason: None,
            rows_changed: None,
            rows_left: None,
            evidence: None,
        }
    }

    fn ended(past: PastRun, evidence: Option<String>) -> Self {
        let PastRun {
            run,
            started_at,
            finished_at,
            outcome,
            rows_changed,
            own_rows_changed: _,
            rows_left,
        } = past;
        let (outcome, reason) = match outcome {
            RunOutcome::Completed => ("Completed", None),
            RunOutcome::Stopped(reason) => ("Stopped", Some(reason)),
            RunOutcome::Failed(reason) => ("Failed", Some(reason)),
        };
        Self {
            run,
            as_of: None,
            started_at,
            finished_at: Some(finished_at),
            outcome,
            reason,
            rows_changed: Some(rows_changed),
            rows_left: Some(rows_left),
            evidence,
        }
    }

    fn counted_from(self, as_of: Option<Timestamp>) -> Self {
        Self { as_of, ..self }
    }

    /// A row of the ledger: one that has ended carries its whole report.
    fn recorded(row: &RunRow) -> anyhow::Result<Self> {
        let malformed = || {
            format!(
                "the ledger's run {} is not one that this program wrote",
                row.id
            )
        };
        let as_of = Some(row.as_of.parse().with_context(malformed)?);
        let Some(report) = &row.report else {
            let started_at = row.started_at.parse().with_context(malformed)?;
            return Ok(Self::open(row.id.clone(), started_at).counted_from(as_of));
        };
        let report: RunReport = serde_json::from_str(report).with_context(malformed)?;
        let evidence = report.evidence.map(|hash| hash.to_string());
        Ok(Self::ended(PastRun::from(&report), evidence).counted_from(as_of))
    }
}

fn table(history: &History, coloured: bool) -> String {
    let History {
        namespace,
        name,
        runs,
    } = history;
    if runs.is_empty() {
        return format!("no run of RetentionPolicy {namespace}/{name} is known\n");
    }
    let head = [
        "STARTED", "TOOK", "OUTCOME", "CHANGED", "LEFT", "EVIDENCE", "RUN",
    ];
    let mut rows = vec![head.map(Cell::from)];
    rows.extend(runs.iter().map(cells));
    let right = [false, true, false, true, true, false, false];
    let mut lines = grid(&rows, right, &[6], coloured);
    let ended = runs.iter().filter(|run| run.finished_at.is_some());
    if ended.clone().any(|run| run.evidence.is_none()) {
        lines.push(
            "the status keeps the evidence of the last run: --database-url has the others"
                .to_owned(),
        );
    }
    lines.join("\n") + "\n"
}

fn cells(told: &RunTold) -> [Cell; 7] {
    use oubliette_core::api::reason::Standing;
    let took = told
        .finished_at
        .map(|end| end.duration_since(told.started_at));
    let count = |count: Option<i64>| count.map_or_else(|| "-".to_owned(), number);
    let standing = match (told.outcome, told.reason) {
        ("Completed", _) => Standing::Well,
        ("Open", _) => Standing::Working,
        (_, Some(reason)) => reason.standing(),
        (_, None) => Standing::Stalled,
    };
    let outcome = match told.reason {
        Some(reason) => format!("{}: {reason}", told.outcome),
        None => told.outcome.to_owned(),
    };
    // What tells a run from others stands behind the policy's UID.
    let id = told
        .run
        .rsplit_once('/')
        .map_or(told.run.as_str(), |(_, id)| id);
    let evidence = told.evidence.as_deref().unwrap_or("-");
    [
        Cell::from(told.started_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()),
        Cell::from(took.map_or_else(
            || "-".to_owned(),
            |took| seconds(Some(took.as_secs().max(0))),
        )),
        Cell::standing(outcome, Some(standing)),
        Cell::from(count(told.rows_changed)),
        Cell::from(count(told.rows_left)),
        Cell::from(evidence.chars().take(HASH).collect::<String>()),
        Cell::from(id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_the_status_has_no_more_is_said_to_be_in_the_ledger() {
        let run = |id: &str, evidence: Option<&str>| RunTold {
            run: id.to_owned(),
            as_of: None,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Some(Timestamp::UNIX_EPOCH),
            outcome: "Completed",
            reason: None,
            rows_changed: Some(1),
            rows_left: Some(0),
            evidence: evidence.map(str::to_owned),
        };
        let told = |runs| {
            let (namespace, name) = ("crm".to_owned(), "old".to_owned());
            table(
                &History {
                    namespace,
                    name,
                    runs,
                },
                false,
            )
        };
        let last = || run("u/b", Some("sha256:0d16dc139a9c"));
        assert!(!told(vec![last()]).contains("--database-url"));
        let both = told(vec![last(), run("u/a", None)]);
        assert!(both.ends_with("--database-url has the others\n"), "{both}");
    }
}
