//! What `plan` and `apply` tell of each policy: the data behind every form of output.
//!
//! Owns the shape of the JSON and YAML and what the exit code means. `plan` in it is the very struct
//! of `status.plan`, `run` the one of `status.lastRun`. Names of tables and counts only (P4).

mod markdown;
mod person;
mod table;
pub(super) mod words;

use std::process::ExitCode;

use clap::ValueEnum;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::words::Word;
use oubliette_core::catalog::Engine;
use oubliette_core::decide::elsewhere;
use oubliette_core::plan::{Refusal, estimate};
use oubliette_core::report::{PlanReport, RunOutcome, RunReport};
use serde::Serialize;

pub(super) use self::markdown::{code, plain};
pub(super) use self::person::block as person;
pub use self::person::{CertificateTold, PersonTold};
use super::{form, told_once};
use crate::database::Database;
use crate::inputs::offline::Promise;

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, 100 columns wide.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// For a comment on a pull request.
    Markdown,
}

/// Everything that was found, one entry per policy in the order of the manifests.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The policies. One whose interrupted run was ended first has a second entry for what came then.
    pub policies: Vec<Told>,
    /// The requests of persons, in the order of the manifests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<PersonTold>,
    /// Whether it was told to stop before its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// What is told of one policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The TargetDatabase, by namespace and name.
    pub database: String,
    /// Where that is: host, port and database.
    pub address: String,
    /// The server that answered, with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// DryRun or Enforce.
    pub mode: &'static str,
    /// Whether it or its database is suspended.
    pub suspended: bool,
    /// The figures, as far as they were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
    /// How many seconds each rule takes at the least, `null` where nobody can know yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub estimated_seconds: Vec<Option<i64>>,
    /// What stands in the way; empty where nothing does.
    pub refusals: Vec<RefusalTold>,
    /// What else a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The statements, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<StatementsTold>,
    /// What a run did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunReport>,
    /// A run that has not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_run: Option<OpenRunTold>,
    /// Where changed rows may still be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_elsewhere: Vec<String>,
}

/// Why a policy was not planned or carried out.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusalTold {
    /// The rule; left out where it is the whole policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The class, as docs/reasons.md explains it.
    pub reason: Reason,
    /// What is in the way.
    pub message: String,
    /// The YAML, SQL or sentence that resolves it.
    pub remedy: String,
}

impl From<&Refusal> for RefusalTold {
    fn from(refusal: &Refusal) -> Self {
        let Refusal {
            rule,
            reason,
            message,
            remedy,
        } = refusal;
        Self {
            rule: rule.clone(),
            reason: *reason,
            message: message.clone(),
            remedy: remedy.clone().unwrap_or_else(|| reason.remedy().to_owned()),
        }
    }
}

/// A run that is open in the ledger: the same command goes on with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenRunTold {
    /// Its id.
    pub run: String,
    /// Rows that it has changed so far.
    pub rows_changed: i64,
}

/// The statements of one rule.
#[derive(Debug, Serialize)]
pub struct StatementsTold {
    /// The rule.
    pub rule: String,
    /// In the order in which they run, with placeholders.
    pub sql: Vec<String>,
}

impl Told {
    /// A policy of which nothing but its manifest is known.
    pub fn of(promise: &Promise) -> Self {
        Self {
            namespace: promise.name.namespace.clone(),
            name: promise.name.name.clone(),
            database: promise.database.to_string(),
            address: promise.address(),
            server: None,
            mode: promise.mandate.mode.as_str(),
            suspended: promise.mandate.suspend || promise.target.suspend,
            plan: None,
            estimated_seconds: Vec::new(),
            refusals: Vec::new(),
            notes: promise
                .approvals
                .iter()
                .map(|name| uncounted(name))
                .collect(),
            statements: Vec::new(),
            run: None,
            open_run: None,
            left_elsewhere: Vec::new(),
        }
    }

    /// Enters who answered.
    pub fn enter_server(&mut self, database: &Database) {
        let (engine, version) = (database.engine().name(), &database.version().text);
        // Servers differ in whether they name themselves.
        self.server = Some(if version.contains(engine) {
            version.clone()
        } else {
            format!("{engine} {version}")
        });
    }

    /// Enters a plan's figures.
    pub fn enter_plan(&mut self, plan: PlanReport, promise: &Promise, engine: Engine) {
        let pacing = &promise.target.pacing;
        let seconds = |rows| estimate::seconds(rows, pacing);
        self.estimated_seconds = plan.rules.iter().map(|rule| seconds(rule.rows())).collect();
        self.left_elsewhere = elsewhere::places(Some(engine), &plan.survivors);
        self.plan = Some(plan);
    }

    /// Enters what stands in the way.
    pub fn refuse(&mut self, refusals: &[Refusal]) {
        self.refusals.extend(refusals.iter().map(Into::into));
    }

    /// Rows that would change.
    pub fn pending(&self) -> i64 {
        self.plan.as_ref().map_or(0, PlanReport::rows)
    }
}

fn uncounted(approval: &str) -> String {
    format!(
        "the Approval {approval} is among the manifests and does not count here: only in a cluster is it \
         known whose it is"
    )
}

/// Whether a run was ended because its promise is another one now. What is due by that one is told
/// beside it.
pub fn is_given_up(run: &RunReport) -> bool {
    [Reason::Abandoned, Reason::Drifted]
        .map(RunOutcome::Stopped)
        .contains(&run.outcome)
}

/// A number of rows as people read it.
pub fn rows(count: i64) -> String {
    words::rows(count)
}

/// Policies as people read them.
pub fn table<'t>(policies: impl Iterator<Item = &'t Told>) -> String {
    table::text(policies)
}

/// What is written where the manifests or the database were not even got: a comment on a pull request
/// says so too. Other forms leave it to standard error.
pub fn failed(what: &str, error: &anyhow::Error, output: Output) -> String {
    match output {
        Output::Markdown => markdown::failed(what, &told_once(error)),
        Output::Table | Output::Json | Output::Yaml => String::new(),
    }
}

/// Nothing is to be done, or all of it was.
const NOTHING: u8 = 0;
/// An error, a refusal, or a run that did not come to its end.
const FAILED: u8 = 1;
/// Rows are due and nothing was done about them.
const PENDING: u8 = 2;
/// Told to stop before the end.
const INTERRUPTED: u8 = 3;

impl Report {
    /// 0: nothing to do, or done. 1: refused or not completed. 2: rows are due and stay. 3: told to
    /// stop.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        let code = |told: &Told| match &told.run {
            _ if !told.refusals.is_empty() => FAILED,
            Some(run) if run.outcome == RunOutcome::Completed || is_given_up(run) => NOTHING,
            Some(_) => FAILED,
            None if told.pending() > 0 => PENDING,
            None => NOTHING,
        };
        let mut codes: Vec<u8> = self.policies.iter().map(code).collect();
        codes.extend(self.requests.iter().map(PersonTold::code));
        codes.extend(self.interrupted.then_some(INTERRUPTED));
        let worst = [FAILED, INTERRUPTED, PENDING]
            .into_iter()
            .find(|code| codes.contains(code));
        worst.unwrap_or(NOTHING)
    }

    /// The answer in one of its forms.
    pub fn text(&self, output: Output) -> anyhow::Result<String> {
        Ok(match output {
            Output::Table => {
                let policies = table::blocks(self.policies.iter());
                let requests = self.requests.iter().map(person::block);
                policies.chain(requests).collect::<Vec<_>>().join("\n")
            }
            Output::Markdown => markdown::text(self),
            Output::Json => form::json(self)?,
            Output::Yaml => form::yaml(self)?,
        })
    }
}

#[cfg(test)]
mod tests;
