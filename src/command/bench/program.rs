//! The program itself at the benchmark's work: manifests, plan, ledger, run and verification, by the way
//! that `oubliette apply --yes` takes.

use std::time::Instant;

use anyhow::{Context, bail};
use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::bench::text::{LEDGER, PLACE};
use oubliette_core::bench::work::{KEY, Layout};
use oubliette_core::bench::{Phases, Run, Who};
use oubliette_core::decide::due::id_of_call;
use oubliette_core::decide::job::{JobKind, JobOutcome, StopWhy};
use oubliette_core::decide::whole_second;
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::report::{Phase, Progress, RunOutcome};
use oubliette_core::target::EngineName;
use tokio::sync::watch;

use crate::bench::peer::{CAP, WINDOW, since};
use crate::command::plan;
use crate::inputs::files;
use crate::inputs::offline::Offline;
use crate::inputs::secrets::{Login, PSEUDONYM_KEY_TYPE};
use crate::inputs::url::DatabaseUrl;
use crate::work;
use crate::work::job::{ProgressSender, StopSignal};
use crate::work::owned;

/// The turn in which somebody has a row of those that are due in their hands.
pub(super) const RACE: &str = "race";

/// What is to be run.
pub(super) struct Way<'w> {
    /// Where.
    pub(super) url: &'w DatabaseUrl,
    /// As whom.
    pub(super) login: &'w Login,
    /// The work.
    pub(super) layout: &'w Layout,
    /// In which mode.
    pub(super) who: Who,
    /// What tells this run's policy from those of others.
    pub(super) turn: &'w str,
}

impl Way<'_> {
    /// The manifests. Each turn has a policy of its own: a run of the same plan in the same second would
    /// be the one that has ended.
    fn manifests(&self) -> String {
        let alone = format!("mode: Backlog, batchDuration: {}ms", WINDOW.as_millis());
        let pacing = match self.who {
            Who::OublietteBacklog => format!("{alone}, workers: {}", workers()),
            Who::OublietteBacklogOne => alone,
            _ => "mode: Steady".to_owned(),
        };
        let engine = match self.url.engine {
            EngineName::PostgreSQL => "PostgreSQL",
            EngineName::MySQL => "MySQL",
        };
        let Self {
            who, turn, layout, ..
        } = self;
        let table = layout.tables.first().map_or("", |table| table.name);
        let (key, secret) = if layout.is_keyed() {
            let secret = format!(
                "---\n\
                 apiVersion: v1\n\
                 kind: Secret\n\
                 metadata: {{name: bench}}\n\
                 type: {PSEUDONYM_KEY_TYPE}\n\
                 stringData: {{key: \"{KEY}\"}}\n"
            );
            (
                "pseudonymKey: {secretRef: {name: bench, key: key}}\n  ",
                secret,
            )
        } else {
            ("", String::new())
        };
        format!(
            "apiVersion: oubliette.dev/v1alpha1\n\
             kind: TargetDatabase\n\
             metadata: {{name: bench}}\n\
             spec:\n  \
               engine: {engine}\n  \
               # The one of --database-url.\n  \
               connection: {{host: bench, database: bench, credentials: {{secretRef: {{name: bench}}}}}}\n  \
               ledger: {{schema: {LEDGER}}}\n  \
               pacing: {{{pacing}}}\n\
             ---\n\
             apiVersion: oubliette.dev/v1alpha1\n\
             kind: RetentionPolicy\n\
             metadata: {{name: {}-{turn}}}\n\
             spec:\n  \
               databaseRef: {{name: bench}}\n  \
               schedule: 0 2 * * *\n  \
               mode: Enforce\n  \
               {key}rules:\n  \
               - {{name: rule, basis: benchmark, table: {PLACE}.{table}, {}}}\n\
             {secret}",
            who.name(),
            layout.rule,
        )
    }
}

/// One for each core, as far as a TargetDatabase takes them.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(16))
}

/// Does it once; what was called, and what it came to.
pub(super) async fn run(way: &Way<'_>) -> anyhow::Result<(Vec<String>, Run)> {
    let text = way.manifests();
    let mut clock = Clock::start();
    let given = (way.url.clone(), way.login.clone());
    let manifests = files::read_text("bench.yaml", &text, "default")?;
    let (mut offline, promises) = Offline::new(manifests, Some(given))?;
    let promise = promises
        .first()
        .context("the benchmark's policy is missing")?;
    let database = offline.connect(promise).await?;
    let key = offline.pseudonym_key(promise)?;
    let as_of = whole_second(Timestamp::now());
    let owner = owned::owner(&database, &promise.target.ledger).await?;
    let owner = owner.unwrap_or_else(|| Owner::without_cluster(uuid(0)));
    let order = plan::order(promise, &owner, JobKind::Plan);
    let job = order.job(database.clone(), owner, key.clone(), as_of);
    let planned = clock.timed(async |sender, _| work::plan(&job, as_of, sender).await);
    let planned = Box::pin(planned).await;
    clock.turn(Phase::Connecting);
    let shown = match planned {
        Ok(plan) if plan.refusals().is_empty() => plan,
        Ok(plan) => bail!("the benchmark's own plan is refused: {:?}", plan.refusals()),
        Err(outcome) => bail!("the benchmark's own plan failed: {outcome:?}"),
    };
    let newcomer = Owner::without_cluster(uuid(rand::random()));
    let owner = owned::claim(&database, &promise.target.ledger, newcomer).await?;
    let mut order = plan::order(promise, &owner, JobKind::Plan);
    order.kind = JobKind::Run {
        id: id_of_call(&order.policy.uid, as_of, &shown.report().digest),
    };
    order.consent = Some(shown.consent());
    let uid = order.policy.uid.clone();
    let mut job = order.job(database.clone(), owner, key, as_of);
    let statements = shown.statements();
    job.planned = Some(shown);
    let performed = clock.timed(async |sender, stop| work::perform(job, sender, stop).await);
    let outcome = Box::pin(performed).await;
    let mut run = clock.stop();
    run.changed = match outcome {
        JobOutcome::Ran { run, .. } if run.outcome == RunOutcome::Completed => run.own_changed(),
        JobOutcome::Stopped(_) if run.cut => {
            let open = owned::open_run(&database, &promise.target.ledger, &uid).await?;
            open.map_or(0, |open| open.changed)
        }
        // Whoever had a row in their hands for the whole time: it is left, and said to be.
        JobOutcome::Ran { run, .. }
            if way.turn == RACE && run.outcome == RunOutcome::Stopped(Reason::RowsLocked) =>
        {
            run.own_changed()
        }
        JobOutcome::Ran { run, .. } => bail!("oubliette apply ended with {:?}", run.outcome),
        other => bail!("oubliette apply ended with {other:?}"),
    };
    offline.close().await;
    let mut called = vec![format!("oubliette apply -f bench.yaml --yes\n{text}")];
    called.extend(statements.into_iter().flat_map(|(_, sql)| sql));
    Ok((called, run))
}

/// Tells the phases of a run apart.
struct Clock {
    began: Instant,
    turned: Instant,
    phase: Phase,
    phases: Phases,
    cut: bool,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            turned: now,
            phase: Phase::Connecting,
            phases: Phases::default(),
            cut: false,
        }
    }

    fn turn(&mut self, phase: Phase) {
        let took = since(self.turned);
        let Phases {
            setup,
            plan,
            run,
            verify,
        } = &mut self.phases;
        *match self.phase {
            Phase::Connecting => setup,
            Phase::Planning => plan,
            Phase::Running => run,
            Phase::Verifying => verify,
        } += took;
        self.turned = Instant::now();
        self.phase = phase;
    }

    fn stop(mut self) -> Run {
        self.turn(Phase::Connecting);
        Run {
            phases: self.phases,
            cut: self.cut,
            ..Run::default()
        }
    }

    /// Does work, follows its phases, and has it stop after a batch where it passes the cap.
    async fn timed<O>(&mut self, work: impl AsyncFnOnce(&ProgressSender, StopSignal) -> O) -> O {
        let (sender, mut progress) = watch::channel(Progress::BEGUN);
        // Whoever passed the cap before they began to change rows changes none.
        let (stopper, signal) = watch::channel(self.cut.then_some(StopWhy::Shutdown));
        let mut working = Box::pin(work(&sender, signal));
        let cap = tokio::time::sleep(CAP.saturating_sub(self.began.elapsed()));
        tokio::pin!(cap);
        loop {
            tokio::select! {
                outcome = &mut working => return outcome,
                Ok(()) = progress.changed() => {
                    let phase = progress.borrow_and_update().phase;
                    if phase != self.phase {
                        self.turn(phase);
                    }
                }
                () = &mut cap, if !self.cut => {
                    self.cut = true;
                    stopper.send_replace(Some(StopWhy::Shutdown));
                }
            }
        }
    }
}
