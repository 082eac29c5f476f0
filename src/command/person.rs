//! A person's request without a cluster, for `plan` and `apply`: what a controller would remember in a
//! status is found again in the ledgers.
//!
//! Owns what stands for an approval here: the plan that was shown and answered with yes, or an Approval
//! of its digest among the files. Nothing else is carried out.

mod carry;

use jiff::Timestamp;
use oubliette_core::api::erasure_plan::RequestRef;
use oubliette_core::api::erasure_request::RequestOutcome as Outcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::{ApprovalGuard, Asks, DryRunGuard};
use oubliette_core::decide::approval::{Planned, weigh};
use oubliette_core::duty::NamedMap;
use oubliette_core::erasure::elsewhere::{self, PlaceFault};
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::outcome::{RequestOutcome, RequestReport};
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::plan::Refusal;
use tokio_util::sync::CancellationToken;

pub(super) use self::carry::{How, apply};
use super::progress::{self, Shown};
use super::refused::{not_gathered, of_ledger};
use super::told::PersonTold;
use crate::inputs::offline::{Offline, Subject};
use crate::inputs::requests::Petition;
use crate::inputs::secrets::GatherFault;
use crate::metrics::Metrics;
use crate::work::erase::{Allowed, Ask, Place, Standing, perform, standing};
use crate::work::job::RememberedHolds;
use crate::work::owned;

/// What is known of a request before anything of it is done.
struct Looked {
    places: Vec<Place>,
    subject: Subject,
    standing: Standing,
}

/// Looks for the person and plans; changes nothing.
pub(super) async fn plan(
    offline: &mut Offline,
    petition: &Petition,
    as_of: Timestamp,
) -> PersonTold {
    let mut told = PersonTold::of(petition);
    if let Some(looked) = look(offline, petition, as_of, &mut told).await {
        let none = CancellationToken::new();
        let how = progress::on_terminal_or(Shown::Nothing);
        planned(petition, &looked, (as_of, how), &none, &mut told).await;
        if let Standing::Begun { .. } = looked.standing {
            told.note(
                "it has begun: `oubliette apply` goes on with what was planned then, and the plan here is \
                 what a new search finds",
            );
        }
    }
    told
}

/// The databases, who is meant, and how far the request is. `None`: something is in the way, which is
/// entered.
async fn look(
    offline: &mut Offline,
    petition: &Petition,
    now: Timestamp,
    told: &mut PersonTold,
) -> Option<Looked> {
    if told.suspended {
        told.note("suspend: true is set; nothing runs until it is false");
    }
    for refusal in petition.hindrances.iter().chain(&unfit(petition, now)) {
        told.refuse(None, refusal);
    }
    if !told.refusals.is_empty() {
        return None;
    }
    let places = match places(offline, petition).await {
        Ok(places) => places,
        Err((map, refusal)) => {
            told.refuse(Some(&map), &refusal);
            return None;
        }
    };
    let name = petition.name.to_string();
    let standing = match standing(&name, &petition.uid, &places, now).await {
        Ok(standing) => standing,
        Err(fault) => {
            told.refuse(None, &of_ledger(&fault));
            return None;
        }
    };
    let subject = offline.subject(petition);
    match whom(subject, &standing) {
        Ok(subject) => Some(Looked {
            places,
            subject,
            standing,
        }),
        Err(refusal) => {
            told.refuse(None, &refusal);
            None
        }
    }
}

/// Places elsewhere that the maps do not agree about. That nothing here tells one over HTTP is no fault:
/// a person does, and confirms it.
fn unfit(petition: &Petition, now: Timestamp) -> Vec<Refusal> {
    let confirmations = &petition.request.confirmations;
    let look = elsewhere::look(petition.elsewhere(), |_| false, confirmations, &[], now);
    let faults = look.faults.iter();
    let faults = faults.filter(|fault| !matches!(fault, PlaceFault::NoTarget { .. }));
    faults
        .map(|fault| Refusal::whole(Reason::PlacesUnfit, fault.to_string()))
        .collect()
}

/// Who is meant. Once a request has begun, the ledgers remember; the Secret may be gone, and must not be
/// another person's.
fn whom(given: Result<Subject, GatherFault>, standing: &Standing) -> Result<Subject, Refusal> {
    let Standing::Begun { known, .. } = standing else {
        return given.map_err(|fault| Refusal::whole(fault.reason(), fault.to_string()));
    };
    match given {
        Ok(subject) => {
            let theirs = |name: &str| {
                let mut texts = subject.known.texts(name).iter();
                texts.all(|text| known.texts(name).contains(text))
            };
            let same = subject.known.names().all(theirs);
            if same {
                return Ok(subject);
            }
            Err(Refusal::whole(
                Reason::SubjectUnfit,
                "the request has begun for somebody else than the Secret says now",
            )
            .remedy(
                "give back the Secret that it began with, or leave it out: the ledgers remember who is \
                 meant. Another person has a request of another name or case",
            ))
        }
        Err(GatherFault::NotAmong { .. }) => Ok(Subject {
            known: Known::default(),
            uid: String::new(),
            is_lasting: true,
        }),
        Err(fault) => Err(Refusal::whole(fault.reason(), fault.to_string())),
    }
}

/// The databases, connected. A ledger that is somebody else's refuses; one that is nobody's, or not
/// there, is claimed when rows are to change.
async fn places(
    offline: &mut Offline,
    petition: &Petition,
) -> Result<Vec<Place>, (String, Refusal)> {
    let mut places = Vec::new();
    for chosen in &petition.maps {
        let name = || chosen.map.name.clone();
        let connected = offline.connect_to(&chosen.database, &chosen.target).await;
        let database = connected.map_err(|fault| (name(), not_gathered(&fault, offline)))?;
        let key = offline.key_of_map(chosen);
        let pseudonym_key = key.map_err(|fault| (name(), not_gathered(&fault, offline)))?;
        let owner = owned::owner(&database, &chosen.target.ledger).await;
        let owner = owner.map_err(|fault| (name(), of_ledger(&fault)))?;
        places.push(Place {
            map: chosen.map.clone(),
            map_uid: chosen.uid.clone(),
            maps: chosen.maps.clone(),
            spec: chosen.spec.clone(),
            name: chosen.database.to_string(),
            database,
            owner: owner.unwrap_or_else(|| Owner::without_cluster(uuid(0))),
            target: chosen.target.clone(),
            // Nothing outside of the ledger remembers either without a cluster.
            remembered: Vec::new(),
            holds: RememberedHolds::default(),
            pseudonym_key,
        });
    }
    Ok(places)
}

fn ask(petition: &Petition, subject: &Subject, now: Timestamp) -> Ask {
    Ask {
        uid: petition.uid.clone(),
        namespace: petition.name.namespace.clone(),
        name: petition.name.name.clone(),
        // A manifest has none.
        generation: 0,
        scope: petition.request.scope.clone(),
        known: subject.known.clone(),
        subject_uid: subject.uid.clone(),
        allowed: None,
        round: String::new(),
        metrics: Metrics::new(),
        now,
    }
}

/// Plans, and enters it. `None`: there is nothing to carry out, or something is in the way.
async fn planned(
    petition: &Petition,
    looked: &Looked,
    (as_of, how): (Timestamp, Shown),
    stop: &CancellationToken,
    told: &mut PersonTold,
) -> Option<RequestReport> {
    let ask = ask(petition, &looked.subject, as_of);
    let name = petition.name.to_string();
    let outcome = progress::shown(&name, how, stop, async |sender, signal| {
        Box::pin(perform(&ask, &looked.places, sender, signal)).await
    })
    .await;
    let report = match outcome {
        RequestOutcome::Planned(report) => report,
        outcome => {
            not_done(outcome, petition, told);
            return None;
        }
    };
    if report.places.is_empty() {
        if let Standing::New | Standing::Ended = looked.standing {
            told.outcome = Some(Outcome::NothingFound.into());
        }
        let words = match looked.standing {
            Standing::New => Reason::NothingFound.meaning(),
            Standing::Ended => "it was carried out before and has ended; nobody is found any more",
            Standing::Begun { .. } => "nobody is found any more",
        };
        told.note(words);
        return None;
    }
    enter(&report, petition, told);
    if let Standing::Ended = looked.standing {
        let words =
            "it was carried out before and has ended, and rows of the person are found again";
        let refusal = Refusal::whole(Reason::Reappeared, words).remedy(
            "find out where the rows are from; to erase them, file a request of another name",
        );
        told.refuse(None, &refusal);
        return None;
    }
    if !looked.subject.is_lasting {
        told.note(
            "the digest is of this call only: give the Secret a metadata.uid, such as `uuidgen` prints, \
             where an Approval is to name it. Nobody can then guess from the digest who is meant",
        );
    }
    Some(report)
}

fn maps(petition: &Petition) -> Vec<&NamedMap> {
    petition
        .maps
        .iter()
        .flat_map(|chosen| &chosen.maps)
        .collect()
}

fn enter(report: &RequestReport, petition: &Petition, told: &mut PersonTold) {
    let request = RequestRef {
        name: petition.name.name.clone(),
        uid: petition.uid.clone(),
    };
    told.rows = Some(report.totals().rows());
    told.plan = Some(report.planned(request, &maps(petition)));
}

/// Enters why a job came to nothing.
fn not_done(outcome: RequestOutcome, petition: &Petition, told: &mut PersonTold) {
    match outcome {
        RequestOutcome::Refused { report, refusals } => {
            if let Some(report) = report {
                enter(&report, petition, told);
            }
            for (map, refusal) in &refusals {
                told.refuse(Some(map), refusal);
            }
        }
        RequestOutcome::Doubtful { map, role, doubt } => {
            let message = format!("role {role}: {doubt}");
            told.refuse(Some(&map), &Refusal::whole(Reason::Ambiguous, message));
        }
        RequestOutcome::Failed {
            reason, message, ..
        } => told.refuse(None, &Refusal::whole(reason, message)),
        RequestOutcome::Outdated(report) => {
            enter(&report, petition, told);
            let words = "a map or a schema is another one again";
            told.refuse(None, &Refusal::whole(Reason::ApprovalVoid, words));
        }
        RequestOutcome::Stopped(_) => told.stopped = true,
        // The others are what was asked for.
        RequestOutcome::Planned(_) | RequestOutcome::Erased(_) => {}
    }
}

/// Whether the Approvals among the files allow a plan, and what they say.
fn allowed(
    petition: &Petition,
    report: &RequestReport,
    now: Timestamp,
) -> Result<Allowed, Refusal> {
    let asks = Asks {
        approval: ApprovalGuard::Required,
        dry_run: DryRunGuard::None,
    };
    let rows = report.totals().rows();
    let plan = Planned {
        digest: &report.digest,
        parts: None,
        rows: Some(rows),
        loosened: &[],
    };
    match weigh(asks, &petition.uid, &plan, &petition.approvals, None) {
        Ok(approved) => Ok(Allowed {
            digest: approved.plan,
            max_rows: approved.max_rows,
            approved_at: Some(now),
        }),
        Err(verdict) => Err(Refusal::whole(verdict.reason, verdict.message).remedy(format!(
            "call it on a terminal without --yes, look at the plan and answer; or give an Approval of \
             it with -f:\n{}",
            approval(petition, report)
        ))),
    }
}

/// The Approval that would allow a plan.
fn approval(petition: &Petition, report: &RequestReport) -> String {
    let (name, namespace) = (&petition.name.name, &petition.name.namespace);
    format!(
        "apiVersion: oubliette.dev/v1alpha1\n\
         kind: Approval\n\
         metadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  \
           targetRef: {{kind: ErasureRequest, name: {name}, uid: {uid}}}\n  \
           decision: Approve\n  \
           planDigest: {digest}\n  \
           maxRows: {rows}\n  \
           by: YOU\n",
        uid = petition.uid,
        digest = report.digest,
        rows = report.totals().rows(),
    )
}
