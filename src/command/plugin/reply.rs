//! `reply`: the letter to the person from what a request's status says, and the record that it was
//! sent, which alone ends the time to answer.
//!
//! It sends nothing and knows no address: the letter goes to standard output.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use kube::ResourceExt;
use oubliette_core::api::erasure_plan::ErasurePlanSpec;
use oubliette_core::api::erasure_request::ErasureRequestStatus;
use oubliette_core::api::parse::message_of;
use oubliette_core::erasure;
use oubliette_core::erasure::letter::LetterFacts;
use oubliette_core::settings::Settings;
use serde_json::json;

use super::access::{Access, Cluster};
use super::names;
use crate::command::ask;
use crate::resource::{ErasurePlan, ErasureRequest};
use crate::{settings, shutdown};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The ErasureRequest.
    #[arg(add = ArgValueCandidates::new(names::requests))]
    pub name: String,
    /// Records that the answer was sent, now or at TIME, such as `2026-11-20T12:00:00Z`, in place of
    /// printing the letter. Asks first; it is written once.
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = NOW,
        value_parser = Sent::read
    )]
    pub sent: Option<Sent>,
    /// With --sent: does not ask. Needed where there is no terminal.
    #[arg(long, requires = "sent")]
    pub yes: bool,
    /// For the letter: its template, who answers, how long backups last.
    #[command(flatten)]
    pub settings: settings::Given,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// When an answer was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Now.
    Now,
    /// At another time.
    At(Timestamp),
}

/// What stands for the present.
const NOW: &str = "now";

impl Sent {
    fn read(text: &str) -> Result<Self, String> {
        if text == NOW {
            return Ok(Self::Now);
        }
        let at = text.parse().map(Self::At);
        at.map_err(|_| "write an instant such as 2026-11-20T12:00:00Z".to_owned())
    }
}

/// Writes the letter, or records that it was sent.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    if request.sent.is_some() && !request.yes && !ask::possible() {
        bail!("it asks, and there is no terminal to ask on: give --yes");
    }
    let settings = request.settings.read()?;
    let cluster = request.access.open().await?;
    let object: ErasureRequest = cluster.get(&request.name).await?;
    let full = format!("ErasureRequest {}/{}", cluster.namespace, request.name);
    let asked = erasure::Request::parse(&object.spec.0)
        .map_err(|faults| anyhow!("{full}: {}", message_of(&faults).replace('\n', "; ")))?;
    let status = object.status.clone().unwrap_or_default();
    if let Some(sent) = request.sent {
        let record = Record {
            full: &full,
            at: whole_seconds(sent)?,
        };
        return record.made(request, &cluster, &asked, &status).await;
    }
    if status.outcome.is_none() && asked.extension.is_none() {
        bail!(
            "{full}: {}: there is nothing to answer yet",
            unended(&status)
        );
    }
    let plan = plan_of(&cluster, &object, &status).await?;
    let letter = letter(&asked, &status, plan.as_ref(), &settings);
    letter.with_context(|| full.clone())
}

/// The letter of a request.
fn letter(
    asked: &erasure::Request,
    status: &ErasureRequestStatus,
    plan: Option<&ErasurePlanSpec>,
    settings: &Settings,
) -> anyhow::Result<String> {
    let facts = LetterFacts::of(asked, status, plan, settings)?;
    let letter = settings.letter.render(&facts);
    letter.context("failed to write the letter by the template of the settings")
}

/// What was planned for a request. Whoever may not see it gets a letter without it, where that would
/// be true.
async fn plan_of(
    cluster: &Cluster,
    object: &ErasureRequest,
    status: &ErasureRequestStatus,
) -> anyhow::Result<Option<ErasurePlanSpec>> {
    let keeps = status.kept.as_ref().is_some_and(|kept| kept.rows > 0);
    match cluster.get::<ErasurePlan>(&object.name_any()).await {
        Ok(plan) => {
            let plan = plan.spec.0;
            let own = object.uid().is_some_and(|uid| plan.request_ref.uid == uid);
            Ok(own.then_some(plan))
        }
        Err(error) if keeps => Err(error),
        Err(_) => Ok(None),
    }
}

/// The instant as a resource holds it.
fn whole_seconds(sent: Sent) -> anyhow::Result<Timestamp> {
    let now = Timestamp::now();
    let at = match sent {
        Sent::Now => now,
        Sent::At(at) if at > now => {
            bail!("--sent={at} is in the future: record it when it is sent")
        }
        Sent::At(at) => at,
    };
    Timestamp::from_second(at.as_second()).context("failed to write the time")
}

/// The record that an answer was sent.
struct Record<'r> {
    /// The request, for messages.
    full: &'r str,
    /// When.
    at: Timestamp,
}

impl Record<'_> {
    async fn made(
        &self,
        request: &Request,
        cluster: &Cluster,
        asked: &erasure::Request,
        status: &ErasureRequestStatus,
    ) -> anyhow::Result<String> {
        let Self { full, at } = self;
        self.is_possible(asked)?;
        if !request.yes {
            let stop = shutdown::on_signal().context("failed to listen for signals")?;
            let question =
                format!("Record that the person was answered at {at}? It is written once.");
            let answer = ask::agreed(&self.shown(asked, status), &question, &stop).await?;
            if answer != Some(true) {
                return Ok("nothing was recorded: the answer was not yes\n".to_owned());
            }
        }
        cluster
            .change(&request.name, |object: &ErasureRequest| {
                match &object.spec.0.reply {
                    Some(_) => Err(anyhow!("{full}: somebody else recorded an answer just now")),
                    None => Ok(Some(json!({"spec": {"reply": {"sentAt": at}}}))),
                }
            })
            .await?;
        Ok(format!("{full}: the person was answered at {at}\n"))
    }

    /// Refuses what cannot have been.
    fn is_possible(&self, asked: &erasure::Request) -> anyhow::Result<()> {
        let Self { full, at } = self;
        if let Some(before) = asked.replied_at {
            bail!("{full}: an answer at {before} is recorded already, and it is written once");
        }
        let received = asked.received_at;
        if *at < received {
            bail!("{full}: it was received at {received} and cannot have been answered at {at}");
        }
        Ok(())
    }

    /// What is decided about.
    fn shown(&self, asked: &erasure::Request, status: &ErasureRequestStatus) -> String {
        let ended = match &status.outcome {
            Some(outcome) => outcome.text().to_owned(),
            None => unended(status),
        };
        let due = status.due_on.as_ref().map_or_else(String::new, |due| {
            format!("; the last day to answer is {due}")
        });
        format!("{}, case {}: {ended}{due}", self.full, asked.case)
    }
}

/// How far a request without an outcome is.
fn unended(status: &ErasureRequestStatus) -> String {
    match &status.state {
        Some(state) => format!("it has no outcome yet ({})", state.text()),
        None => "it has no outcome yet".to_owned(),
    }
}

#[cfg(test)]
mod tests;
