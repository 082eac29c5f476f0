//! One look at a request of a person: which maps it is about, what people decided, what its job came to;
//! then the status, the ErasurePlan, and the next job.

mod again;
mod certify;
mod duplicates;
mod ended;
mod let_go;
mod places;
mod plan;
mod tell;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::controller::Action as Requeue;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::not_ready;
use oubliette_core::api::erasure_request::{
    CertificateStatus, DigestsStatus, DuplicateStatus, ErasureRequestSpec, ErasureRequestStatus,
};
use oubliette_core::api::parse::FieldError;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::{ApprovalGuard, Asks, TargetKind};
use oubliette_core::decide::approval::Filed;
use oubliette_core::decide::erasure_request::{Action, Decision, Observed, Stage, decide};
use oubliette_core::decide::job::{JobKind, StopWhy};
use oubliette_core::decide::{Meta, Verdict};
use oubliette_core::erasure::Request;
use oubliette_core::erasure::again::is_again;
use oubliette_core::erasure::deadline::{Clock, Standing};
use oubliette_core::erasure::find::Known as KnownPerson;
use oubliette_core::erasure::outcome::RequestOutcome;
use serde_json::{Value, json};
use tokio::time::timeout;

pub(super) use self::duplicates::Duplicates;
pub(super) use self::ended::{Ended, Known};
pub(super) use self::places::{Chosen, choose};
use super::record::{self, RecordFault, Told};
use super::runs::{self, Ticket};
use super::stored::Shown;
use super::{Context, Error, Name, approvals, read};
use crate::metrics::Kind;
use crate::work::erase::{Allowed, Ask};

/// How often a write is tried whose object has changed meanwhile.
const ATTEMPTS: usize = 4;

/// What a look does in ledgers takes no longer than this: rows of a large table may be read for minutes.
const STEP: Duration = Duration::from_mins(10);

/// The object stays until the request has ended, once rows were changed.
const FINALIZER: &str = "oubliette.dev/in-use";

/// What others know that concerns a request.
#[derive(Default)]
struct Given {
    approvals: Vec<Filed>,
    duplicates: Vec<DuplicateStatus>,
}

/// What was done in this look, beside what a job does.
#[derive(Default)]
struct Done {
    /// What was done last: it is not done twice in one look.
    action: Option<Action>,
    forgotten: Option<Result<Option<DigestsStatus>, Verdict>>,
    told: Vec<(String, Result<(), String>)>,
    digests_ended: bool,
    /// Whether its namespace is being deleted.
    ending: bool,
    certified: Option<Result<CertificateStatus, Verdict>>,
}

pub(super) async fn reconcile(
    object: Arc<DynamicObject>,
    context: &Arc<Context>,
) -> Result<Requeue, Error> {
    tokio::select! {
        () = context.scopes.wait_until_known() => {}
        () = context.stop.cancelled() => return Ok(Requeue::await_change()),
    }
    let name = Name::of(&object);
    let uid = object.uid().unwrap_or_default();
    // One that ends is looked at from two sides: as an object, and once it is a note.
    let _alone = context.alone.with(&uid).await;
    let kind = &*context.kinds.request;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &name.namespace, kind);
    let mut object = object;
    let mut done = Done::default();
    for _ in 0..ATTEMPTS {
        context.memory.saw_generation(&object);
        let spec = parse(&object);
        let status = read_status(&object);
        let chosen = match &spec {
            Ok(request) => choose(&name, &request.scope, begun_with(&status), context)
                .await
                .and_then(Chosen::awake),
            Err(_) => Err(Verdict::new(Reason::Pending, "the spec has faults")),
        };
        if let (Ok(request), Ok(chosen)) = (&spec, &chosen) {
            duplicates::recall(&name, &uid, request, &status, chosen, context).await;
        }
        let deleting = object.metadata.deletion_timestamp.is_some();
        done.ending = deleting && context.cluster.is_ending(&name.namespace).await;
        let decision = decide_with(&object, &spec, &status, &chosen, &done, context);
        if let (Some(action), Ok(request)) = (&decision.action, &spec)
            && done.action.as_ref() != Some(action)
        {
            // What a job has done is not in the object yet.
            let status = &decision.status;
            match (action, &chosen) {
                (Action::Forget, _) => {
                    // Before it was begun no ledger knew the person.
                    let known_in = status.begun_at.is_some().then_some(&chosen);
                    let ends = (status, done.ending);
                    let gone = let_go::let_go(&name, &uid, request, ends, known_in, context);
                    done.forgotten = Some(in_time(Box::pin(gone)).await);
                    done.action = Some(action.clone());
                    continue;
                }
                (Action::Certify, Ok(chosen)) => {
                    let issued = certify::issue(&name, &uid, request, status, chosen, context);
                    done.certified = Some(in_time(Box::pin(issued)).await);
                    done.action = Some(action.clone());
                    continue;
                }
                (Action::EndDigests(map), _) => {
                    again::end_digests(&name, &uid, map, context).await?;
                    done.digests_ended = true;
                    done.action = Some(action.clone());
                    continue;
                }
                (Action::End, _) => {
                    again::end(&api, &object).await?;
                    return Ok(Requeue::await_change());
                }
                (Action::Plan | Action::Run { .. } | Action::Tell(_) | Action::Certify, _) => {}
            }
        }
        if let Some(report) = &decision.plan {
            plan::show(&name, &uid, report, &chosen, context).await?;
        }
        match record::tell(&api, kind, &object, &status, &decision.status).await? {
            Told::Written => {}
            Told::Stale(current) => {
                object = current;
                continue;
            }
            Told::Gone => return Ok(Requeue::await_change()),
        }
        hold_on(&api, &object, decision.holds).await?;
        let stop = decision.stop.or_else(|| outbound(&uid, &chosen, context));
        if let Some(why) = stop {
            context.erasures.stop(&uid, why);
        }
        // It stands in the status now: whoever looks again must not add it once more.
        context.erasures.take(&uid);
        context.memory.set_failures(&uid, decision.failures);
        if let (Some(Action::Tell(targets)), Ok(request), Ok(chosen)) =
            (&decision.action, &spec, &chosen)
            && done.told.is_empty()
        {
            // What is told, and since when, is recorded by now.
            let status = &decision.status;
            done.told = tell::tell(&name, &uid, request, status, chosen, targets, context).await;
            object = Arc::new(record::read_again(&api, &name.name).await?);
            continue;
        }
        if let (Some(action), Ok(request), Ok(chosen)) = (decision.action, spec, chosen) {
            start(
                &object,
                &decision.status,
                (request, chosen),
                action,
                context,
            );
        }
        if let Some(reason) = decision.failed {
            context.metrics.failed(Kind::ErasureRequest, reason);
        }
        let why = not_ready(&decision.status.conditions);
        let Name { namespace, name } = &name;
        let metrics = &context.metrics;
        metrics.stands(Kind::ErasureRequest, namespace, name, why);
        metrics.request_due(namespace, name, decision.due_at);
        if !context.scopes.has_request(&uid) {
            // It went meanwhile: nobody drops the series after us.
            metrics.request_due(namespace, name, None);
        }
        record::events(context, kind, &object, decision.events).await;
        return Ok(Requeue::requeue(decision.requeue_after));
    }
    Err(RecordFault::Stale.into())
}

/// UIDs of the maps by which a request was begun.
fn begun_with(status: &ErasureRequestStatus) -> &[String] {
    let begun = status.begun_at.is_some() || status.completed_at.is_some();
    let plan = status.plan.as_ref().filter(|_| begun);
    plan.map(|plan| plan.map_uids.as_slice())
        .unwrap_or_default()
}

/// What a look does in the ledgers, unless one of them keeps it waiting: there are few looks at a time, and others
/// wait for theirs. What was begun is begun anew.
async fn in_time<T>(step: impl Future<Output = Result<T, Verdict>>) -> Result<T, Verdict> {
    let answer = timeout(STEP, step).await;
    answer.unwrap_or_else(|_| {
        let message = "a ledger of the request does not answer in time";
        Err(Verdict::new(Reason::Unreachable, message))
    })
}

/// Why a job stops that was begun under other maps than those that bind it now, whether it waits its turn or
/// is under way: a duty that came since keeps rows that it would take. What is left is planned anew.
fn outbound(uid: &str, chosen: &Result<Chosen, Verdict>, context: &Context) -> Option<StopWhy> {
    let now = chosen.as_ref().ok()?.binds();
    let (ticket, stage) = context.erasures.stage(uid)?;
    let running = matches!(stage, runs::Stage::Running(_));
    (running && ticket.duties.is_some_and(|then| then != now)).then_some(StopWhy::Unapproved)
}

fn decide_with(
    object: &DynamicObject,
    spec: &Result<Request, Vec<FieldError>>,
    status: &ErasureRequestStatus,
    chosen: &Result<Chosen, Verdict>,
    done: &Done,
    context: &Context,
) -> Decision {
    let name = Name::of(object);
    let uid = object.uid().unwrap_or_default();
    let given = Given {
        approvals: approvals::filed_for(TargetKind::ErasureRequest, &name, context),
        duplicates: duplicates::others(&name, &uid, status, context),
    };
    decide_from(object, (spec, status), chosen, done, &given, context)
}

/// What the request's clock says now.
fn clock_of(spec: &Result<Request, Vec<FieldError>>, context: &Context) -> Clock {
    let platform = &context.platform;
    match spec {
        Ok(request) => Clock::read(
            request,
            &platform.calendar,
            platform.due_soon_days,
            Timestamp::now(),
        ),
        Err(_) => Clock {
            standing: Standing::NotBegun,
            deadline: None,
            changes_at: None,
        },
    }
}

/// Decides from what is at hand, and asks nobody else.
fn decide_from(
    object: &DynamicObject,
    (spec, status): (&Result<Request, Vec<FieldError>>, &ErasureRequestStatus),
    chosen: &Result<Chosen, Verdict>,
    done: &Done,
    given: &Given,
    context: &Context,
) -> Decision {
    let meta = &object.metadata;
    let uid = object.uid().unwrap_or_default();
    let job = context.erasures.stage(&uid).map(|(_, stage)| stage);
    let platform = &context.platform;
    let clock = clock_of(spec, context);
    let targets: Vec<String> = platform.targets.iter().map(|t| t.name.clone()).collect();
    let name = Name::of(object);
    let digests = done
        .forgotten
        .as_ref()
        .and_then(|tried| tried.as_ref().ok());
    let maps = chosen.as_ref().map_err(Clone::clone);
    let maps = maps.and_then(Chosen::digest);
    decide(&Observed {
        meta: Meta {
            uid: &uid,
            generation: meta.generation.unwrap_or_default(),
            created_at: meta
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deleting: meta.deletion_timestamp.is_some(),
            run_now: None,
        },
        ending: done.ending,
        spec: spec.as_ref().map_err(Vec::as_slice),
        status,
        maps: maps.as_ref().copied(),
        map_uids: &chosen.as_ref().map(Chosen::uids).unwrap_or_default(),
        passed_by: chosen
            .as_ref()
            .map(|chosen| chosen.passed_by.as_slice())
            .unwrap_or_default(),
        four_eyes: chosen.as_ref().is_ok_and(|chosen| chosen.four_eyes),
        approvals: &given.approvals,
        stage: match &job {
            None => Stage::Idle,
            Some(runs::Stage::Running(_)) => Stage::Running,
            Some(runs::Stage::Finished(outcome)) => Stage::Finished(outcome),
        },
        forgotten: done.forgotten.as_ref().map(|tried| match tried {
            Ok(_) => Ok(()),
            Err(verdict) => Err(verdict),
        }),
        digests: digests.and_then(Option::as_ref),
        looked: &context.persons.of_request(&uid),
        lost: &context.persons.lost(&name),
        duplicates: &given.duplicates,
        records: (&platform.records, &platform.calendar),
        digests_ended: done.digests_ended,
        clock: &clock,
        elsewhere: &chosen.as_ref().map(Chosen::elsewhere).unwrap_or_default(),
        targets: &targets,
        told: &done.told,
        reviews: &chosen.as_ref().map(Chosen::reviews).unwrap_or_default(),
        certified: done.certified.as_ref().map(Result::as_ref),
        failures: context.memory.failures(&uid),
        jitter: rand::random(),
        now: Timestamp::now(),
    })
}

/// The spec as the rest of the program reads it, or every fault of it.
fn parse(object: &DynamicObject) -> Result<Request, Vec<FieldError>> {
    let spec: ErasureRequestSpec = read::spec(object)?;
    Request::parse(&spec)
}

pub(super) fn read_status(object: &DynamicObject) -> ErasureRequestStatus {
    read::status(object)
}

/// Keeps the object until the request has ended, or lets it go.
async fn hold_on(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    holds: bool,
) -> Result<(), RecordFault> {
    let mut finalizers = object.finalizers().to_vec();
    let before = finalizers.len();
    finalizers.retain(|name| name != FINALIZER);
    let held = finalizers.len() < before;
    // Nobody may add one to an object that is being deleted.
    if held == holds || (holds && object.metadata.deletion_timestamp.is_some()) {
        return Ok(());
    }
    if holds {
        finalizers.push(FINALIZER.to_owned());
    }
    let patch = json!({"metadata": {"finalizers": finalizers, "uid": object.uid()}});
    let name = object.name_any();
    let how = PatchParams::default();
    match timeout(record::CALL, api.patch(&name, &how, &Patch::Merge(&patch))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => match record::fault(&error) {
            RecordFault::Gone => Ok(()),
            fault => Err(fault),
        },
        Err(_) => Err(RecordFault::Silent),
    }
}

/// Starts the request's job. `status`: as it is now, which is not in the object yet.
fn start(
    object: &DynamicObject,
    status: &ErasureRequestStatus,
    (request, chosen): (Request, Chosen),
    action: Action,
    context: &Arc<Context>,
) {
    let name = Name::of(object);
    let uid = object.uid().unwrap_or_default();
    let (kind, allowed, round) = match action {
        Action::Forget
        | Action::Certify
        | Action::Tell(_)
        | Action::EndDigests(_)
        | Action::End => return,
        Action::Plan => (JobKind::Plan, None, String::new()),
        Action::Run {
            digest,
            max_rows,
            approved_at,
            round,
        } => {
            let allowed = Allowed {
                digest,
                max_rows,
                approved_at,
            };
            (JobKind::Run { id: uid.clone() }, Some(allowed), round)
        }
    };
    let ticket = Ticket {
        policy: name.clone(),
        uid: uid.clone(),
        generation: object.metadata.generation.unwrap_or_default(),
        spec: Value::Null,
        duties: Some(chosen.binds()),
        databases: chosen.databases(),
        kind,
        dry: allowed.is_none(),
        asks: Asks {
            approval: ApprovalGuard::Required,
            ..Asks::NOTHING
        },
        under: None,
    };
    let generation = ticket.generation;
    let begun_at = read_status(object).begun_at;
    let begun = begun_at.is_some() && round.is_empty();
    let status = status.clone();
    let planned = allowed.is_none();
    let work = {
        let (context, name, uid) = (context.clone(), name.clone(), uid.clone());
        move |progress, stop| async move {
            let gathered = async {
                let mut places = chosen.places(&context).await?;
                let known = context
                    .cluster
                    .subject(
                        &name.namespace,
                        &request.secret,
                        &chosen.identifiers,
                        begun_at,
                    )
                    .await;
                let known = match known {
                    Ok(known) => known,
                    // The ledgers remember who is meant.
                    Err(_) if begun || !round.is_empty() => (KnownPerson::default(), String::new()),
                    Err(fault) => return Err(Verdict::new(fault.reason(), fault.to_string())),
                };
                let (mut known, secret) = known;
                if is_again(&round) {
                    let all = &mut places;
                    let found = again::gather(&uid, &name, &status, all, &mut known, &context);
                    Box::pin(found).await?;
                }
                let noted = duplicates::gathered(&uid, &chosen, &places, &known, planned, &context);
                Box::pin(noted).await?;
                Ok((places, (known, secret)))
            };
            let (places, (known, subject_uid)) = match gathered.await {
                Ok(gathered) => gathered,
                Err(Verdict { reason, message }) => {
                    return RequestOutcome::Failed {
                        reason,
                        message,
                        passing: true,
                    };
                }
            };
            let ask = Ask {
                uid,
                namespace: name.namespace.clone(),
                name: name.name.clone(),
                generation,
                scope: request.scope.clone(),
                known,
                subject_uid,
                allowed,
                round,
                metrics: context.metrics.clone(),
                now: oubliette_core::decide::whole_second(Timestamp::now()),
            };
            let turn = context.turns.perform(ask, places, progress, stop);
            Box::pin(turn).await
        }
    };
    context.erasures.start(ticket, work, async |_| {});
}

/// A request appeared, changed or went: its job hears of it before any reconcile.
pub(super) fn saw(event: &Shown, context: &Context) {
    match event {
        watcher::Event::Apply(request) => {
            context.memory.saw_generation(request);
            let Some(uid) = request.uid() else { return };
            if request.data.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
                context.erasures.stop(&uid, StopWhy::Suspended);
            }
            context.scopes.look_again_at_restored(request, context);
            duplicates::saw(request, context);
        }
        watcher::Event::Delete(request) if context.scopes.has_ended(&Name::of(request)) => {
            ended::saw(request, context);
        }
        watcher::Event::Delete(request) => {
            let Some(uid) = request.uid() else { return };
            context.erasures.orphan(&uid);
            duplicates::gone(&uid, context);
            context.memory.forget(&uid);
            let Name { namespace, name } = Name::of(request);
            let metrics = &context.metrics;
            metrics.stands(Kind::ErasureRequest, &namespace, &name, None);
            metrics.request_due(&namespace, &name, None);
        }
        watcher::Event::InitDone => {
            // What was deleted while nobody watched.
            context.metrics.keep_requests(|namespace, name| {
                let name = Name::new(namespace, name);
                context.scopes.has_request_of(&name)
            });
        }
        watcher::Event::Init | watcher::Event::InitApply(_) => {}
    }
}
