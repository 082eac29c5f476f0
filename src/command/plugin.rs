//! `kubectl oubliette`, which is `oubliette kubectl` under the name kubectl looks for: what people ask
//! of the resources in a cluster, and tell them.
//!
//! Everything here goes through the API server with the rights of whoever asks. Of a policy it changes
//! no more than an annotation or `spec.suspend`; of a request what its people say. What is decided about
//! a plan is an Approval.

pub mod access;
pub mod approve;
pub mod close;
pub mod confirm;
pub mod erase;
pub mod explain;
pub mod history;
pub mod names;
pub mod reply;
pub mod run;
pub mod show;
pub mod status;
pub mod suspend;
pub mod target;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::form;

/// What is asked of the plugin.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Shows the databases, policies and requests of a namespace: what runs next, what is overdue or
    /// due, what waits and why.
    Status(status::Request),
    /// Says what a reason of a condition, event or refusal means and what to do about it.
    ///
    /// Needs no cluster. Without a name it lists all of them.
    Explain(explain::Request),
    /// Runs a policy now instead of at its time.
    ///
    /// Exit code with --wait: 0 where the run did all it planned, 1 otherwise.
    Run(run::Request),
    /// Approves the plan of a policy or request: shows it, asks, and creates an Approval in your name.
    Approve(approve::ApproveRequest),
    /// Rejects the plan of a policy or request, or asks for changes: nothing of it runs.
    Reject(approve::RejectRequest),
    /// Files a person's request for erasure: creates it with a Secret of what identifies the person.
    ///
    /// The identifiers are asked for without being shown, or read from the input; never given on the
    /// command line.
    Erase(erase::Request),
    /// Shows a person's request: its clock, what is planned table by table, and what waits for whom.
    Show(show::Request),
    /// Records in your name that a place elsewhere has done its part, or that a column was looked at.
    Confirm(confirm::Request),
    /// Ends a person's request without erasing anything more: a decision in your name.
    Close(close::Request),
    /// Writes the letter to the person of an ErasureRequest, or with --sent records that it was sent.
    ///
    /// The letter names nobody: add whom it is to. Only --sent ends the time to answer.
    Reply(reply::Request),
    /// Stops a policy, a request, or all that runs on a database, within one batch, until it is resumed.
    Suspend(suspend::Request),
    /// Lets a suspended policy, request or database go on where it stopped.
    Resume(suspend::Request),
    /// Lists the last runs of a policy, or with --database-url all that the ledger knows.
    History(history::Request),
}

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
}

impl Output {
    /// The data in one of its forms; `table` makes the one for people.
    pub(super) fn text(
        self,
        data: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> anyhow::Result<String> {
        match self {
            Self::Table => Ok(table()),
            Self::Json => form::json(data),
            Self::Yaml => form::yaml(data),
        }
    }
}

/// Does what is asked.
pub async fn run(verb: &Verb, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let text = match verb {
        Verb::Status(request) => status::run(request).await?,
        Verb::Explain(request) => explain::run(request)?,
        Verb::Run(request) => {
            let (text, ended) = run::run(request).await?;
            code = ended;
            text
        }
        Verb::Approve(request) => approve::approve(request).await?,
        Verb::Reject(request) => approve::reject(request).await?,
        Verb::Erase(request) => erase::run(request).await?,
        Verb::Show(request) => show::run(request).await?,
        Verb::Confirm(request) => confirm::run(request).await?,
        Verb::Close(request) => close::run(request).await?,
        Verb::Reply(request) => reply::run(request).await?,
        Verb::Suspend(request) => suspend::run(request, true).await?,
        Verb::Resume(request) => suspend::run(request, false).await?,
        Verb::History(request) => history::run(request).await?,
    };
    out.write_all(text.as_bytes())
        .context("failed to write the answer")?;
    Ok(code)
}
