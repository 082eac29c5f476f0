//! `oubliette apply`: carries policies out from here, without a cluster.
//!
//! The work is the controller's own (`work::perform`). What a cluster decides is decided here: whose
//! the ledger is, which run goes on, and who said yes. Nothing runs but what was shown, or what
//! `--yes` stands for.

mod look;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::due::id_of_call;
use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::decide::whole_second;
use oubliette_core::erasure::SuppressionKey;
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::plan::Refusal;
use oubliette_core::report::RunOutcome;
use oubliette_core::settings::Settings;
use tokio_util::sync::CancellationToken;

use look::{Task, look_at_all, when_open};

use super::progress::{self, Shown};
use super::refused::{not_gathered, of_ledger};
use super::source::Source;
use super::told::{self, OpenRunTold, Output, Report, Told};
use super::{ask, person, plan, suppressed};
use crate::inputs::offline::{Offline, Promise};
use crate::signing::SigningKey;
use crate::work::job::Job;
use crate::work::owned;
use crate::{settings, shutdown, work};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Manifests and database.
    #[command(flatten)]
    pub source: Source,
    /// Does not ask. Needed where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// A DataMap, as NAMESPACE/NAME, that kept rows at an earlier run and is not among the files because
    /// it binds no more; may be given several times. Any other that is missing refuses the policy.
    #[arg(long, value_name = "MAP")]
    pub without_map: Vec<String>,
    /// Where the certificate of a request is written, once nothing of it is left to be confirmed; signed
    /// where the settings name a key.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// What the operator would be given: the key of certificates, how long backups last, and by what
    /// erased persons are known again.
    #[command(flatten)]
    pub platform: settings::Given,
    /// How the report is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Plans every policy, asks, carries them out one after the other, and writes what was done.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if !request.yes && !ask::possible() {
        bail!(
            "apply asks before it changes rows, and there is no terminal to ask on: look at the \
             plan with `oubliette plan`, then give --yes"
        );
    }
    let (mut offline, promises) = request.source.open()?;
    let petitions = offline.petitions();
    if request.certificate.is_some() && petitions.len() != 1 {
        bail!(
            "--certificate is of one request, and there are {} among the manifests: give one",
            petitions.len()
        );
    }
    let keys = Keys::read(&request.platform)?;
    let stop = shutdown::on_signal().context("failed to listen for signals")?;
    let mut report = Report::default();
    let mut round: Vec<&Promise> = promises.iter().collect();
    // A second round is for the policies whose interrupted run the first one has ended.
    while !round.is_empty() {
        let mut entries = tokio::select! {
            () = stop.cancelled() => break,
            entries = look_at_all(&mut offline, &round, request) => entries,
        };
        if !request.yes && !agreed(&mut entries, &stop).await? {
            report.policies.extend(entries.into_iter().map(|e| e.told));
            break;
        }
        round.clear();
        for mut entry in entries {
            entry.carry_out(&mut offline, &stop).await;
            if entry.goes_on() && !stop.is_cancelled() {
                round.push(entry.promise);
            }
            report.policies.push(entry.told);
        }
    }
    for petition in &petitions {
        if stop.is_cancelled() {
            break;
        }
        let how = person::How {
            yes: request.yes,
            certificate: request.certificate.as_deref(),
            platform: &keys.platform,
            signing: keys.signing.as_ref(),
            suppression: keys.suppression.as_ref(),
        };
        let told = Box::pin(person::apply(&mut offline, petition, &how, &stop)).await?;
        report.requests.push(told);
    }
    report.interrupted = stop.is_cancelled();
    offline.close().await;
    out.write_all(report.text(request.output)?.as_bytes())
        .context("failed to write the report")?;
    Ok(report.exit_code())
}

/// The platform's settings, and the keys that they name.
struct Keys {
    platform: Settings,
    signing: Option<SigningKey>,
    suppression: Option<SuppressionKey>,
}

impl Keys {
    fn read(given: &settings::Given) -> anyhow::Result<Self> {
        let platform = given.read()?;
        let signing = platform.signing.as_ref();
        let signing = signing.map(|signing| SigningKey::read(&signing.key_file));
        let suppression = platform.suppression.as_ref();
        let suppression = suppression.map(|kept| suppressed::key(Path::new(&kept.key_file)));
        Ok(Self {
            signing: signing.transpose()?,
            suppression: suppression.transpose()?,
            platform,
        })
    }
}

/// How long ago a count may have begun when a run goes by it instead of counting again.
const FRESH: SignedDuration = SignedDuration::from_mins(1);

/// A policy, and what is to be done for it.
struct Entry<'p> {
    promise: &'p Promise,
    told: Told,
    task: Option<Task>,
    /// Whether the task is about a run that was interrupted.
    interrupted: bool,
}

/// Shows what would be done and asks, where rows would change. Nothing is left to be done where the
/// answer is not yes.
async fn agreed(entries: &mut [Entry<'_>], stop: &CancellationToken) -> anyhow::Result<bool> {
    let changes = |entry: &Entry<'_>| entry.task.as_ref().is_some_and(Task::changes_rows);
    let asked: Vec<&Entry<'_>> = entries.iter().filter(|entry| changes(entry)).collect();
    if asked.is_empty() {
        return Ok(true);
    }
    let of = match (asked.len(), entries.len()) {
        (1, 1) => "the policy above".to_owned(),
        (some, all) if some == all => format!("the {all} policies above"),
        (some, all) => format!("{some} of the {all} policies above"),
    };
    let pending = asked.iter().map(|entry| entry.told.pending()).sum();
    let question = format!("Change {} of {of}?", told::rows(pending));
    let shown = told::table(entries.iter().map(|entry| &entry.told));
    let answer = ask::agreed(&shown, &question, stop).await?;
    if answer == Some(false) {
        for entry in entries.iter_mut().filter(|entry| changes(entry)) {
            let note = "nothing was changed: the answer was not yes";
            entry.told.notes.push(note.to_owned());
        }
    }
    Ok(answer == Some(true))
}

impl Entry<'_> {
    /// Does what is to be done, and enters how it ended.
    async fn carry_out(&mut self, offline: &mut Offline, stop: &CancellationToken) {
        let Some(task) = self.task.take() else {
            return;
        };
        if stop.is_cancelled() {
            return;
        }
        if let Err(refusals) = self.attempt(task, offline, stop).await {
            self.told.refuse(&refusals);
        }
    }

    async fn attempt(
        &mut self,
        task: Task,
        offline: &mut Offline,
        stop: &CancellationToken,
    ) -> Result<(), Vec<Refusal>> {
        let promise = self.promise;
        let database = offline.connect(promise).await;
        let database = database.map_err(|fault| vec![not_gathered(&fault, offline)])?;
        let key = if task.changes_rows() {
            let key = offline.pseudonym_key(promise);
            key.map_err(|fault| vec![not_gathered(&fault, offline)])?
        } else {
            None
        };
        let place = &promise.target.ledger;
        let newcomer = Owner::without_cluster(uuid(rand::random()));
        let owner = owned::claim(&database, place, newcomer).await;
        let owner = owner.map_err(|fault| vec![of_ledger(&fault)])?;

        let mut order = plan::order(promise, &owner, JobKind::Plan);
        let uid = order.policy.uid.clone();
        let mut now = whole_second(Timestamp::now());
        let mut planned = None;
        order.kind = match task {
            Task::Begin {
                as_of,
                plan,
                shown,
                counted,
            } => {
                order.consent = Some(shown);
                let is_fresh = now.duration_since(as_of) < FRESH;
                planned = counted.filter(|_| is_fresh).map(|counted| *counted);
                now = as_of;
                let id = id_of_call(&uid, as_of, &plan);
                JobKind::Run { id }
            }
            Task::Resume { id, rest } => {
                order.consent = Some(rest);
                JobKind::Run { id }
            }
            Task::GiveUp { id } => JobKind::GiveUp { id },
        };
        let mut job = order.job(database.clone(), owner, key, now);
        job.planned = planned;
        match performed(job, stop).await {
            JobOutcome::Ran { run, .. } => {
                self.told.run = Some(run);
                return Ok(());
            }
            JobOutcome::Refused { refusals, .. } => return Err(refusals),
            JobOutcome::Failed {
                reason, message, ..
            } => self.told.refuse(&[Refusal::whole(reason, message)]),
            JobOutcome::Stopped(StopWhy::WindowClosed) => self.told.refuse(&[Refusal::whole(
                Reason::WindowClosed,
                "the window closed in which the database may be worked on: what was done is \
                 committed, and the run stays open",
            )
            .remedy(format!(
                "to go on where it was, call it again {}",
                when_open(promise, Timestamp::now())
            ))]),
            JobOutcome::Stopped(_) | JobOutcome::NeverBegun | JobOutcome::Planned(_) => {}
        }
        // Where the database is away, the ledger cannot tell it now.
        if let Ok(Some(open)) = owned::open_run(&database, place, &uid).await {
            self.told.open_run = Some(OpenRunTold {
                run: open.row.id,
                rows_changed: open.changed,
            });
        }
        Ok(())
    }

    /// Whether a run that was interrupted has ended here, so that the policy is to be planned anew.
    fn goes_on(&self) -> bool {
        self.interrupted
            && match &self.told.run {
                Some(run) => run.outcome == RunOutcome::Completed || told::is_given_up(run),
                // Somebody else has ended it meanwhile.
                None => self.told.refusals.is_empty() && self.told.open_run.is_none(),
            }
    }
}

/// Does a job, shows how far it is, and ends it within a batch when told to stop.
async fn performed(job: Job, stop: &CancellationToken) -> JobOutcome {
    let name = job.policy.to_string();
    let how = progress::on_terminal_or(Shown::Lines);
    progress::shown(&name, how, stop, async |sender, signal| {
        work::perform(job, sender, signal).await
    })
    .await
}
