//! The Approvals: watched, read, and heard by the jobs before any reconcile. Nothing is
//! written to them; what they come to is core's to say.

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use oubliette_core::api::approval::ApprovalSpec;
use oubliette_core::api::parse::message_of;
use oubliette_core::api::words::Word as _;
use oubliette_core::approval::{Ruling, TargetKind};
use oubliette_core::decide::approval::{Filed, is_still_approved};
use oubliette_core::decide::job::{JobKind, StopWhy};
use oubliette_core::decide::target_database::MOST_SKEW;
use tokio_util::sync::CancellationToken;

use super::scope::{changes, note_known};
use super::stored::{Shown, Stored};
use super::watched::Watched;
use super::{Context, Name, read};

/// The watch of a scope's Approvals, until it runs.
pub(super) struct Watch {
    pub(super) approvals: Api<Watched>,
    pub(super) writer: Writer<Stored>,
    pub(super) known: CancellationToken,
}

/// Watches until the token is cancelled.
pub(super) async fn run(watch: Watch, context: &Context, stop: CancellationToken) {
    let Watch {
        approvals,
        writer,
        known,
    } = watch;
    let kind = &context.kinds.approval.kind;
    let saw = |event: &Shown| {
        saw(event, context);
        note_known(event, &known);
    };
    changes(kind, approvals, Some, Stored::whole, writer, saw)
        .take_until(stop.cancelled_owned())
        .for_each(async |_| {})
        .await;
}

/// An Approval appeared or went.
fn saw(event: &Shown, context: &Context) {
    match event {
        watcher::Event::Apply(approval) | watcher::Event::Delete(approval) => {
            if let Some(policy) = about(TargetKind::RetentionPolicy, approval) {
                tell_job(&policy, context);
                context.scopes.nudge_policy(&policy);
            }
            if let Some(request) = about(TargetKind::ErasureRequest, approval) {
                context.scopes.nudge_request(&request);
            }
        }
        // What was seen before it is not complete.
        watcher::Event::Init | watcher::Event::InitApply(_) => {}
        watcher::Event::InitDone => {
            let policies: Vec<Name> = context.scopes.policies().map(|p| Name::of(&p)).collect();
            for policy in policies {
                tell_job(&policy, context);
                context.scopes.nudge_policy(&policy);
            }
        }
    }
}

/// Tells a policy's run to stop where it is no longer approved.
pub(super) fn tell_job(policy: &Name, context: &Context) {
    let filed = filed(policy, context);
    context.runs.stop_where(|ticket| {
        let runs = ticket.policy == *policy && matches!(ticket.kind, JobKind::Run { .. });
        let approved =
            || is_still_approved(ticket.asks, &ticket.uid, ticket.under.as_ref(), &filed);
        (runs && !approved()).then_some(StopWhy::Unapproved)
    });
}

/// How far the measured difference of two clocks may be wrong.
const MEASURED: SignedDuration = SignedDuration::from_secs(5);

/// What is to be taken from an instant by the API server's clock, so that it is one by ours, and rather
/// too early than too late.
fn early(context: &Context) -> SignedDuration {
    match context.memory.api_clock() {
        Some(ahead) => ahead.saturating_add(MEASURED),
        None => MOST_SKEW,
    }
}

/// The Approvals of a policy of that name, in their order.
pub(super) fn filed(policy: &Name, context: &Context) -> Vec<Filed> {
    filed_for(TargetKind::RetentionPolicy, policy, context)
}

/// The Approvals of what has that kind and name, in their order.
pub(super) fn filed_for(kind: TargetKind, target: &Name, context: &Context) -> Vec<Filed> {
    let mut filed: Vec<Filed> = context
        .scopes
        .approvals(&target.namespace)
        .filter(|approval| about(kind, approval).as_ref() == Some(target))
        .filter(|approval| approval.metadata.deletion_timestamp.is_none())
        .map(|approval| filing(&approval, early(context)))
        .collect();
    filed.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
    filed
}

/// Which resource of that kind an Approval is about: a request may have a policy's name.
fn about(kind: TargetKind, approval: &DynamicObject) -> Option<Name> {
    let written = approval.data.pointer("/spec/targetRef/kind")?.as_str()?;
    if written != kind.as_str() {
        return None;
    }
    let name = approval.data.pointer("/spec/targetRef/name")?.as_str()?;
    Some(Name::new(approval.namespace()?, name))
}

fn filing(approval: &DynamicObject, early: SignedDuration) -> Filed {
    let spec: Result<ApprovalSpec, _> = read::spec(approval);
    let created = approval.metadata.creation_timestamp.as_ref();
    Filed {
        name: approval.name_any(),
        at: created
            .and_then(|time| time.0.checked_sub(early).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
        ruling: spec
            .and_then(|spec| Ruling::parse(&spec))
            .map_err(|faults| message_of(&faults)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_approval_of_a_request_is_not_one_of_the_policy_of_that_name() {
        let approval = |kind: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "oubliette.dev/v1alpha1", "kind": "Approval",
                "metadata": {"name": "a", "namespace": "school"},
                "spec": {"targetRef": {"kind": kind, "name": "sr-0042"}},
            }))
            .unwrap()
        };
        let name = Some(Name::new("school".to_owned(), "sr-0042"));
        let kinds = [TargetKind::RetentionPolicy, TargetKind::ErasureRequest];
        for kind in kinds {
            for other in kinds {
                let found = about(kind, &approval(other.as_str()));
                assert_eq!(found, name.clone().filter(|_| kind == other));
            }
            assert_eq!(about(kind, &approval("Deployment")), None);
        }
    }
}
