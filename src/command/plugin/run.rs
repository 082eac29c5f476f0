//! `run`: asks for a run now, by the annotation that the operator looks for, and can wait for its end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use kube::ResourceExt;
use oubliette_core::api::condition::READY;
use oubliette_core::api::reason::Reason;
use oubliette_core::api::retention_policy::{Mode, PastRun, ProgressStatus};
use oubliette_core::api::words::Choice;
use oubliette_core::decide::due::{RUN_NOW, id_of_token};
use oubliette_core::decide::retention_policy::is_gate;
use oubliette_core::report::{Progress, RunOutcome};
use oubliette_core::target::Target;
use serde_json::json;
use tokio::sync::watch;

use super::access::{Access, Cluster};
use super::names;
use super::status::{database_of, ready};
use crate::command::progress::{self, Shown};
use crate::command::told::words::rows;
use crate::resource::{RetentionPolicy, TargetDatabase};

/// How often the policy is looked at while its run is waited for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Within this time an operator that runs and watches the namespace has taken the run up.
const TAKEN_UP: Duration = Duration::from_mins(1);

/// An operator at work has taken it up long before.
const SOON: Duration = Duration::from_secs(10);

const NOT_TAKEN: &str = "no operator has taken it up yet: does one run, and watch this namespace? \
    `kubectl get pods -A -l app.kubernetes.io/name=oubliette` shows it";

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The policy.
    #[arg(add = ArgValueCandidates::new(names::policies))]
    pub policy: String,
    /// Waits until the run has ended and shows how far it is. Ending this command does not end the run.
    #[arg(long)]
    pub wait: bool,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// Asks for a run, and waits for its end where that is asked for.
pub async fn run(request: &Request) -> anyhow::Result<(String, ExitCode)> {
    let cluster = request.access.open().await?;
    let name = &request.policy;
    let policy: RetentionPolicy = cluster.get(name).await?;
    let full = format!("RetentionPolicy {}/{name}", cluster.namespace);
    if let Some(database) = suspended_database(&cluster, &policy).await {
        bail!(
            "{full} would not run: its TargetDatabase {database} is suspended; \
             `kubectl oubliette resume --database` lets it go on"
        );
    }
    let token = token(Timestamp::now());
    cluster
        .change(name, |policy: &RetentionPolicy| {
            if let Some(why) = hindrance(policy) {
                bail!("{full} would not run: {why}");
            }
            let annotation = json!({RUN_NOW: token});
            Ok(Some(json!({"metadata": {"annotations": annotation}})))
        })
        .await?;
    if !request.wait {
        let when = window_opens(&cluster, &policy).await.map_or_else(
            || "as soon as the operator has seen it".to_owned(),
            |at| format!("when the next of its database's pacing.windows opens, at {at}"),
        );
        let text = format!(
            "{full} runs {when} (token {token}); `kubectl oubliette status` shows how far it is\n"
        );
        return Ok((text, ExitCode::SUCCESS));
    }
    let past = followed(&cluster, name, &token).await?;
    let (how, code) = match past.outcome {
        RunOutcome::Completed => ("completed".to_owned(), ExitCode::SUCCESS),
        RunOutcome::Stopped(reason) => (format!("stopped: {reason}"), ExitCode::FAILURE),
        RunOutcome::Failed(reason) => (format!("failed: {reason}"), ExitCode::FAILURE),
    };
    let text = format!(
        "{full} {how}; {} changed, {} left\n",
        rows(past.rows_changed),
        rows(past.rows_left)
    );
    Ok((text, code))
}

/// A token that nobody else has: when, and a number.
fn token(now: Timestamp) -> String {
    format!(
        "{}-{:08x}",
        now.strftime("%Y%m%dT%H%M%SZ"),
        rand::random::<u32>()
    )
}

/// Why nothing of a policy would run, as far as its object tells.
fn hindrance(policy: &RetentionPolicy) -> Option<String> {
    let spec = &policy.spec.0;
    if policy.metadata.deletion_timestamp.is_some() {
        return Some("it is being deleted".to_owned());
    }
    if spec.suspend.unwrap_or_default() {
        return Some("it is suspended; `kubectl oubliette resume` lets it go on".to_owned());
    }
    if spec.mode != Some(Choice::Known(Mode::Enforce)) {
        return Some(
            "its mode is DryRun, in which nothing is changed; set `mode: Enforce`".to_owned(),
        );
    }
    let ready = ready(&policy.status.as_ref()?.conditions)?;
    // What was said of an older spec may not hold any more: the operator will tell.
    let current = ready.observed_generation == policy.metadata.generation;
    let gate = Reason::named(&ready.reason).filter(|reason| current && is_gate(*reason))?;
    let message = ready.message.lines().next().unwrap_or_default();
    Some(format!("{gate}, {message}"))
}

/// The policy's database. Whoever may not see it learns from the operator what it says.
async fn database(cluster: &Cluster, policy: &RetentionPolicy) -> Option<(String, TargetDatabase)> {
    let (namespace, name) = database_of(policy)?;
    let cluster = Cluster {
        client: cluster.client.clone(),
        namespace,
    };
    let database: TargetDatabase = cluster.get(&name).await.ok()?;
    Some((format!("{}/{name}", cluster.namespace), database))
}

/// The policy's database, where it is suspended.
pub(super) async fn suspended_database(
    cluster: &Cluster,
    policy: &RetentionPolicy,
) -> Option<String> {
    let (name, database) = database(cluster, policy).await?;
    let suspended = database.spec.0.suspend.unwrap_or_default();
    suspended.then_some(name)
}

/// When the policy's database may be worked on, where that is not now.
async fn window_opens(cluster: &Cluster, policy: &RetentionPolicy) -> Option<Timestamp> {
    let (_, database) = database(cluster, policy).await?;
    let windows = Target::parse(&database.spec.0).ok()?.windows;
    let now = Timestamp::now();
    windows.opens(now).filter(|opens| *opens > now)
}

/// How a run stands that was asked for by a token.
#[derive(Debug, PartialEq)]
enum Seen {
    /// The operator has not seen the token.
    NotTaken,
    /// The operator has not seen the token and is busy with an older run or plan.
    Behind,
    /// It is under way.
    Under(Option<ProgressStatus>),
    /// Nothing goes on until somebody changes something.
    Held(String),
    /// It goes on by itself, when a window opens.
    Window(String),
    /// It has ended.
    Ended(PastRun),
    /// It was taken up and the status has lost it.
    Lost,
}

impl Seen {
    fn of(policy: &RetentionPolicy, token: &str) -> Self {
        let status = policy.status.clone().unwrap_or_default();
        let id = id_of_token(&policy.uid().unwrap_or_default(), token);
        if let Some(past) = status.history.into_iter().find(|past| past.run == id) {
            return Self::Ended(past);
        }
        let ready = status.conditions.iter().find(|c| c.type_ == READY);
        let held = ready.and_then(|ready| {
            let reason = Reason::named(&ready.reason)?;
            let holds = reason.is_stalled() || reason.is_waiting() || reason == Reason::Suspended;
            let message = ready.message.lines().next().unwrap_or_default();
            holds.then(|| Self::Held(format!("{reason}, {message}")))
        });
        let closed = ready.filter(|_| status.window_opens_at.is_some());
        let closed = closed.and_then(|ready| ready.message.lines().next());
        let closed = closed.map(|message| Self::Window(message.to_owned()));
        let handled = status.handled_run_now.as_deref() == Some(token);
        match (handled, status.open_run, status.progress) {
            (true, Some(open), Some(progress)) if open.run == id => Self::Under(Some(progress)),
            // Nothing is being done for it: either it is tried again, or somebody is needed.
            (true, Some(open), None) if open.run == id => {
                closed.or(held).unwrap_or(Self::Under(None))
            }
            // Nothing ran for it: the plan is made anew, or people are waited for.
            (true, None, Some(_)) | (false, _, Some(_)) => Self::Behind,
            (true, _, _) => held.unwrap_or(Self::Lost),
            (false, Some(_), None) => closed.unwrap_or(Self::Behind),
            (false, None, None) => closed.unwrap_or(Self::NotTaken),
        }
    }
}

/// What becomes of waiting for an operator.
#[derive(Debug, PartialEq)]
enum Unanswered {
    /// It is said, once, where to look.
    Told,
    /// It is given up.
    GivenUp,
}

fn unanswered(since: Duration, told: bool) -> Option<Unanswered> {
    if since > TAKEN_UP {
        Some(Unanswered::GivenUp)
    } else {
        (since > SOON && !told).then_some(Unanswered::Told)
    }
}

/// Waits for the end of a run, and shows meanwhile how far it is.
async fn followed(cluster: &Cluster, name: &str, token: &str) -> anyhow::Result<PastRun> {
    let (sender, mut shown) = watch::channel(Progress::BEGUN);
    let how = if std::io::stderr().is_terminal() {
        Shown::Bar
    } else {
        Shown::Lines
    };
    let full = format!("{}/{name}", cluster.namespace);
    // What nobody has begun has no progress to show.
    let showing = async {
        // The sender outlives this.
        let _ = shown.changed().await;
        progress::show(&full, shown.clone(), how).await
    };
    let ended = async {
        let mut idle_since = Instant::now();
        let mut told = false;
        loop {
            let policy: RetentionPolicy = cluster.get(name).await?;
            let seen = Seen::of(&policy, token);
            if seen != Seen::NotTaken {
                idle_since = Instant::now();
            }
            match seen {
                Seen::Ended(past) => return Ok(past),
                Seen::Held(why) => bail!("the run of {full} waits for somebody: {why}"),
                Seen::Window(why) => {
                    bail!("the run of {full} waits, and goes on without this command: {why}")
                }
                Seen::Lost => bail!(
                    "the run of {full} was taken up and is not in the status any more; \
                     `kubectl oubliette history --database-url` has it from the ledger"
                ),
                Seen::NotTaken => match unanswered(idle_since.elapsed(), told) {
                    None => {}
                    Some(Unanswered::Told) => {
                        told = true;
                        eprintln!("{full}: {NOT_TAKEN}");
                    }
                    Some(Unanswered::GivenUp) => bail!(
                        "the run of {full} was asked for {} s ago: {NOT_TAKEN}. It runs once an \
                         operator sees it",
                        TAKEN_UP.as_secs()
                    ),
                },
                Seen::Under(Some(now)) => {
                    sender.send_replace(shown_of(&now));
                }
                Seen::Under(None) | Seen::Behind => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        ended = ended => ended,
        never = showing => match never {},
    }
}

/// What a status tells of a progress, as it was told to the status.
fn shown_of(told: &ProgressStatus) -> Progress {
    let ProgressStatus {
        phase,
        rule,
        rows_done,
        rows_planned,
        rows_per_second,
        estimated_end_at: _,
        waiting_for,
    } = told;
    Progress {
        // A newer version may know other phases.
        phase: serde_json::from_value(json!(phase)).unwrap_or(Progress::BEGUN.phase),
        rule: rule.clone(),
        done: *rows_done,
        planned: *rows_planned,
        rate: *rows_per_second,
        waiting: waiting_for.as_deref().and_then(Reason::named),
    }
}

#[cfg(test)]
mod tests;
