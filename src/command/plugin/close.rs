//! `close`: ends a request without erasing anything more, in the name of whoever asks.

use anyhow::{Context, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use oubliette_core::api::erasure_request::{CloseName, CloseSpec, RefusalGround};
use oubliette_core::api::words::{Choice, Word};
use serde_json::json;

use super::access::Access;
use super::names;
use super::target::request_name;
use crate::command::ask;
use crate::resource::ErasureRequest;
use crate::shutdown;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The request.
    #[arg(value_parser = request_name, add = ArgValueCandidates::new(names::requests))]
    pub name: String,
    /// How.
    #[command(flatten)]
    pub how: How,
    /// Does not ask. Needed where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// How a request ends.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct How {
    /// It is refused, on this ground: Unfounded or Excessive (Art. 12(5)), Art17_3_a, Art17_3_b,
    /// Art17_3_c, Art17_3_d or Art17_3_e.
    #[arg(long, value_name = "GROUND", value_parser = word::<RefusalGround>)]
    pub refused: Option<RefusalGround>,
    /// The person did not prove who they are.
    #[arg(long)]
    pub not_identified: bool,
    /// Another body is the controller, to whom it was forwarded.
    #[arg(long)]
    pub not_ours: bool,
    /// The person takes it back.
    #[arg(long)]
    pub withdrawn: bool,
}

/// A word of a list.
pub(super) fn word<T: Word>(text: &str) -> Result<T, String> {
    let found = T::ALL.iter().find(|(_, spelling)| *spelling == text);
    found
        .map(|(word, _)| *word)
        .ok_or_else(|| format!("one of {}", T::list()))
}

impl How {
    fn outcome(&self) -> CloseName {
        if self.refused.is_some() {
            CloseName::Refused
        } else if self.not_identified {
            CloseName::NotIdentified
        } else if self.not_ours {
            CloseName::NotOurs
        } else {
            CloseName::Withdrawn
        }
    }
}

/// Ends it.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    if !request.yes && !ask::possible() {
        bail!(
            "it asks, because it cannot be taken back, and there is no terminal to ask on: give --yes"
        );
    }
    let cluster = request.access.open().await?;
    let name = &request.name;
    let full = format!("ErasureRequest {}/{name}", cluster.namespace);
    let outcome = request.how.outcome();
    if !request.yes {
        let stop = shutdown::on_signal().context("failed to listen for signals")?;
        let shown = format!(
            "{full} ends as {}; this cannot be taken back.",
            outcome.as_str()
        );
        if ask::agreed(&shown, "End it?", &stop).await? != Some(true) {
            return Ok("nothing was decided: the answer was not yes\n".to_owned());
        }
    }
    let close = CloseSpec {
        outcome: Some(Choice::Known(outcome)),
        ground: request.how.refused.map(Choice::Known),
        by: Some(cluster.who().await?),
        ..CloseSpec::default()
    };
    cluster
        .change(name, |resource: &ErasureRequest| {
            if resource.spec.0.close.is_some() {
                bail!("{full} has been ended already");
            }
            Ok(Some(json!({"spec": {"close": close}})))
        })
        .await?;
    Ok(format!(
        "{full} ends as {}: nothing more is erased, and the person is still to be answered\n",
        outcome.as_str()
    ))
}
