//! The last of a request: the ledgers forget the person, digests are kept by which they are known if they come
//! back, and the Secret goes.

use jiff::Timestamp;
use oubliette_core::api::erasure_request::{
    DigestsStatus, ErasureRequestStatus, RequestOutcome as Outcome,
};
use oubliette_core::api::words::Choice;
use oubliette_core::decide::Verdict;
use oubliette_core::erasure::Request;

use super::super::{Context, Name};
use super::again;
use super::places::Chosen;
use crate::ledger::LedgerFault;
use crate::work::erase::{Digests, digests, end_runs, forget};

/// Forgets the person in the ledgers of these maps, and deletes the Secret.
pub(super) async fn let_go(
    name: &Name,
    uid: &str,
    request: &Request,
    (status, ending): (&ErasureRequestStatus, bool),
    known_in: Option<&Result<Chosen, Verdict>>,
    context: &Context,
) -> Result<Option<DigestsStatus>, Verdict> {
    let mut kept = None;
    if let Some(chosen) = known_in {
        let places = chosen
            .as_ref()
            .map_err(Clone::clone)?
            .places(context)
            .await?;
        let platform = &context.platform;
        let outcome = status.outcome.as_ref().and_then(Choice::known);
        let erased = matches!(outcome, Some(Outcome::Erased | Outcome::ErasedInPart));
        let by = platform.suppression.as_ref();
        let by = by.zip(context.suppression.as_deref());
        let at = status.completed_at.unwrap_or_else(Timestamp::now);
        let by = by.map(|(suppression, keys)| Digests {
            suppression,
            key: keys.current(),
            in_part: !request.scope.purposes.is_empty(),
            at,
            until: platform.backups_end(at),
        });
        let told = |fault: LedgerFault| Verdict::new(fault.reason(), fault.to_string());
        let rows = match by.filter(|_| erased) {
            None => Vec::new(),
            Some(by) => Box::pin(digests(uid, &places, by)).await.map_err(told)?,
        };
        // Before the ledgers forget of what they are. Nothing can be made in a namespace that ends.
        if !ending {
            kept = again::keep_digests(name, uid, &rows, context).await?;
        }
        end_runs(uid, &places).await.map_err(told)?;
        forget(uid, &places, &rows).await.map_err(told)?;
    }
    let read = status.begun_at.or(status.completed_at);
    context
        .cluster
        .delete_subject(&name.namespace, &request.secret, read)
        .await
        .map_err(|fault| Verdict::new(fault.reason(), fault.to_string()))?;
    Ok(kept)
}
