//! `confirm`: adds to what somebody has confirmed in a request, in the name of whoever asks.

use anyhow::bail;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use oubliette_core::api::erasure_request::{ConfirmationSpec, ConfirmedName};
use oubliette_core::api::words::{Choice, Word as _};
use serde_json::json;

use super::access::Access;
use super::names;
use super::target::request_name;
use crate::resource::ErasureRequest;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The request.
    #[arg(value_parser = request_name, add = ArgValueCandidates::new(names::requests))]
    pub name: String,
    /// What, as `show` names it. Example: `elsewhere/paper-files`.
    pub item: String,
    /// Nobody can tell the recipient.
    #[arg(long, conflicts_with = "disproportionate")]
    pub impossible: bool,
    /// Telling the recipient would take disproportionate effort.
    #[arg(long)]
    pub disproportionate: bool,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// Confirms it.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    let cluster = request.access.open().await?;
    let Request { name, item, .. } = request;
    let full = format!("ErasureRequest {}/{name}", cluster.namespace);
    let outcome = match (request.impossible, request.disproportionate) {
        (true, _) => ConfirmedName::Impossible,
        (false, true) => ConfirmedName::Disproportionate,
        (false, false) => ConfirmedName::Done,
    };
    let by = cluster.who().await?;
    // To the second, as Kubernetes writes times.
    let at = Timestamp::from_second(Timestamp::now().as_second())?;
    cluster
        .change(name, |resource: &ErasureRequest| {
            let waits = resource.status.as_ref().map(|status| &status.to_confirm);
            let waits = waits.map(Vec::as_slice).unwrap_or_default();
            let before = resource.spec.0.confirmations.as_deref().unwrap_or_default();
            if before.iter().any(|one| one.item.as_ref() == Some(item)) {
                bail!("{full}: {item:?} is confirmed already");
            }
            if !waits.contains(item) {
                let waits = if waits.is_empty() {
                    "nothing".to_owned()
                } else {
                    waits.join(", ")
                };
                bail!("{full}: nobody waits for {item:?}; what waits to be confirmed: {waits}");
            }
            let mut all = before.to_vec();
            all.push(ConfirmationSpec {
                item: Some(item.clone()),
                outcome: Some(Choice::Known(outcome)),
                by: Some(by.clone()),
                at: Some(at),
                ..ConfirmationSpec::default()
            });
            Ok(Some(json!({"spec": {"confirmations": all}})))
        })
        .await?;
    Ok(format!(
        "{full}: {item} is confirmed ({})\n",
        outcome.as_str()
    ))
}
