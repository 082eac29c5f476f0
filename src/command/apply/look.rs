//! What is to be done for each policy, as its database is now.

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::approval::ApprovalGuard;
use oubliette_core::decide::job::{JobKind, JobOutcome};
use oubliette_core::decide::whole_second;
use oubliette_core::digest::Digest;
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::plan::{Consent, Plan, Refusal};
use oubliette_core::policy::Mode;

use super::{Entry, Request};
use crate::command::plan;
use crate::command::refused::of_ledger;
use crate::command::told::Told;
use crate::database::{Database, FaultClass};
use crate::inputs::offline::{Offline, Promise};
use crate::ledger::LedgerFault;
use crate::work::owned::{self, OpenRun};

/// What is to be done.
pub(super) enum Task {
    /// A run of what was shown.
    Begin {
        as_of: Timestamp,
        plan: Digest,
        shown: Consent,
        /// The plan itself, where nobody is asked and nothing is changed before it is carried out.
        counted: Option<Box<Plan>>,
    },
    /// The rest of a run that was interrupted.
    Resume { id: String, rest: Consent },
    /// The end of a run that was interrupted and is no longer promised: changes no row.
    GiveUp { id: String },
}

impl Task {
    pub(super) fn changes_rows(&self) -> bool {
        match self {
            Self::Begin { .. } | Self::Resume { .. } => true,
            Self::GiveUp { .. } => false,
        }
    }
}

/// Plans the policies of one round.
pub(super) async fn look_at_all<'p>(
    offline: &mut Offline,
    round: &[&'p Promise],
    request: &Request,
) -> Vec<Entry<'p>> {
    let mut entries: Vec<Entry<'p>> = Vec::new();
    for promise in round {
        let mut told = Told::of(promise);
        let mut task = look(offline, promise, &request.without_map, &mut told).await;
        let mut before = entries.iter().filter_map(|entry| entry.task.as_ref());
        // What one policy changes, the count of the next one has not seen.
        if (!request.yes || before.any(Task::changes_rows))
            && let Some(Task::Begin { counted, .. }) = &mut task
        {
            *counted = None;
        }
        entries.push(Entry {
            promise,
            told,
            interrupted: matches!(task, Some(Task::Resume { .. } | Task::GiveUp { .. })),
            task,
        });
    }
    entries
}

/// Plans one policy and finds out what is to be done. `None`: nothing.
async fn look(
    offline: &mut Offline,
    promise: &Promise,
    without: &[String],
    told: &mut Told,
) -> Option<Task> {
    let enforced = promise.mandate.mode == Mode::Enforce;
    if enforced
        && !told.suspended
        && let Some(refusal) = closed(promise, Timestamp::now())
    {
        told.refuse(&[refusal]);
        return None;
    }
    let (database, key) = plan::gather(offline, promise, enforced, told).await?;
    let engine = database.engine();
    let (owner, open) = match interrupted(&database, promise).await {
        Ok(found) => found,
        Err(fault) => {
            told.refuse(&[of_ledger(&fault)]);
            return None;
        }
    };
    if enforced && let Err(refused) = nothing_forgotten(&database, promise, without).await {
        told.refuse(&[refused]);
        return None;
    }
    // It waits, too.
    let open = open.filter(|_| !told.suspended);
    let as_of = match &open {
        Some((_, as_of)) => *as_of,
        None => whole_second(Timestamp::now()),
    };
    let job = plan::order(promise, &owner, JobKind::Plan).job(database.clone(), owner, key, as_of);
    let planned = plan::watched(&job, as_of).await;
    match (open, planned) {
        (Some((open, _)), planned) if is_for_another(&open, &planned, enforced) => {
            told.notes.push(format!(
                "the run {}, which was interrupted after {} rows, is for another promise or mode \
                 than this one: it ends here, with its counts; then it plans anew",
                open.row.id, open.changed
            ));
            Some(Task::GiveUp { id: open.row.id })
        }
        (Some((open, _)), Ok(plan)) => {
            told.enter_plan(plan.report().clone(), promise, engine);
            told.notes.push(format!(
                "goes on with the run {}, which was interrupted after {} rows; then it plans anew",
                open.row.id, open.changed
            ));
            if let Some(refusal) = unapproved(promise) {
                told.refuse(&[refusal]);
                return None;
            }
            Some(Task::Resume {
                id: open.row.id,
                rest: plan.consent(),
            })
        }
        (_, planned) => {
            let plan = plan::entered(planned, promise, engine, told);
            if enforced && !told.refusals.is_empty() {
                plan::add_ledgers_grants(&database, promise, told).await;
            }
            let plan = plan?;
            if !enforced {
                told.notes.push(
                    "mode DryRun changes nothing; `mode: Enforce` in the manifest carries it out"
                        .to_owned(),
                );
            }
            if enforced && let Some(refusal) = unapproved(promise) {
                told.refuse(&[refusal]);
            }
            let due = enforced && !told.suspended && told.pending() > 0;
            (due && told.refusals.is_empty()).then(|| Task::Begin {
                as_of,
                plan: plan.report().digest,
                shown: plan.consent(),
                counted: Some(Box::new(plan)),
            })
        }
    }
}

/// Refuses a policy of which a DataMap kept rows that is not among the files now: nothing else tells a
/// duty that has ended from a file that was forgotten.
async fn nothing_forgotten(
    database: &Database,
    promise: &Promise,
    without: &[String],
) -> Result<(), Refusal> {
    let name = promise.name.to_string();
    let bound = owned::bound_by(database, &promise.target.ledger, &name).await;
    let bound = match bound {
        Ok(bound) => bound,
        // What the plan says better.
        Err(LedgerFault::Database(fault)) if fault.class == FaultClass::Privilege => return Ok(()),
        Err(fault) => return Err(of_ledger(&fault)),
    };
    let maps = &promise.mandate.policy.maps;
    let given = |map: &String| maps.iter().any(|given| given.name == *map);
    let missing: Vec<String> = bound
        .into_iter()
        .filter(|map| !given(map) && !without.contains(map))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let flags: Vec<String> = missing
        .iter()
        .map(|map| format!("--without-map {map}"))
        .collect();
    Err(Refusal::whole(
        Reason::DutiesUnreadable,
        format!(
            "the last run kept rows by a duty that is not among the files now: DataMap {}",
            missing.join(", ")
        ),
    )
    .remedy(format!(
        "add its file by -f; where it binds no more, and the rows are to go, say so: {}",
        flags.join(" ")
    )))
}

/// The database's owner says when it may be worked on, and a count is work, too.
fn closed(promise: &Promise, now: Timestamp) -> Option<Refusal> {
    let windows = &promise.target.windows;
    (!windows.is_open(now)).then(|| {
        Refusal::whole(
            Reason::WindowClosed,
            "none of the database's pacing.windows is open now: nothing was counted or changed",
        )
        .remedy(format!("call it again {}", when_open(promise, now)))
    })
}

/// When the database may be worked on.
pub(super) fn when_open(promise: &Promise, now: Timestamp) -> String {
    promise.target.windows.opens(now).map_or_else(
        || "with other windows".to_owned(),
        |at| format!("when the next one opens, at {}", whole_second(at)),
    )
}

/// Where approval is asked for, nobody here can tell whose it would be. A dry run is no matter: what is
/// carried out was shown, or `--yes` says that somebody has looked.
fn unapproved(promise: &Promise) -> Option<Refusal> {
    let asks = promise.mandate.asks.approval != ApprovalGuard::None;
    asks.then(|| {
        Refusal::whole(
            Reason::ApprovalMissing,
            "guards.approval asks for Approvals, which count in a cluster only",
        )
        .remedy("let the operator carry it out, or have whoever owns the guards set approval: None")
    })
}

/// Whether a run that was interrupted is for another promise than the present one. What somebody has
/// to mend elsewhere, a grant say, makes it no other one.
fn is_for_another(open: &OpenRun, planned: &Result<Plan, JobOutcome>, enforced: bool) -> bool {
    match planned {
        Ok(plan) => !enforced || plan.report().digest.to_string() != open.row.plan,
        Err(JobOutcome::Refused { refusals, .. }) => {
            refusals.iter().any(|refusal| refusal.reason.is_stalled())
        }
        Err(_) => false,
    }
}

type Interrupted = (Owner, Option<(OpenRun, Timestamp)>);

/// Whose the ledger is, and the policy's run in it that has not ended, with its instant.
async fn interrupted(database: &Database, promise: &Promise) -> Result<Interrupted, LedgerFault> {
    let place = &promise.target.ledger;
    let Some(owner) = owned::owner(database, place).await? else {
        // Who it will be is found out when something is to be recorded.
        return Ok((Owner::without_cluster(uuid(0)), None));
    };
    let uid = plan::order(promise, &owner, JobKind::Plan).policy.uid;
    let Some(open) = owned::open_run(database, place, &uid).await? else {
        return Ok((owner, None));
    };
    let as_of = open.row.as_of.parse();
    let as_of = as_of.map_err(|_| LedgerFault::Malformed("run"))?;
    Ok((owner, Some((open, as_of))))
}
