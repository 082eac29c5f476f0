//! The engine alone: jobs made from a policy's rules and carried out by `work::perform`, without a
//! cluster. Cases that force what two sessions can do to each other stand on this.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use oubliette::database::{self, ConnectSettings, DeclaredEngine, Timeouts, Tls};
use oubliette::metrics::Metrics;
use oubliette::work::job::{
    Job, JobKind, JobOutcome, Pacing, PolicyRef, RememberedHolds, STATEMENT_LIMIT, StopWhy,
};
use oubliette::work::{perform, plan};
use oubliette_core::digest::Digest;
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::ledger::Owner;
use oubliette_core::plan::{Assent, Intent, Plan, Refusal};
use oubliette_core::policy::Mandate;
use oubliette_core::report::{PlanReport, Progress, RunOutcome, RunReport};
use oubliette_core::run::BATCHES_PER_PART;
use oubliette_core::schedule::WorkWindows;
use oubliette_core::target::Target;
use secrecy::{SecretSlice, SecretString};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::case::Server;
use crate::cluster::documents;
use crate::sql::{Database, Link, Session, TextRow, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The key of the pseudonyms in these cases.
pub(crate) const KEY: &[u8] = b"a key for the suite's pseudonyms";

/// One database, one policy, and how it is carried out.
pub(crate) struct Rig<'w> {
    pub(crate) world: &'w World,
    pub(crate) server: Server,
    pub(crate) database: Database,
    /// The rules, YAML; `${schema}` and the like are filled in.
    pub(crate) rules: String,
    /// Beside the rules: `limits` and the like.
    pub(crate) spec: Value,
    pub(crate) pacing: Pacing,
    pub(crate) now: Timestamp,
    pub(crate) uid: String,
    pub(crate) owner: Owner,
    /// Where to connect instead of the server's own address, in plain text.
    pub(crate) through: Option<u16>,
    /// As whom, instead of the administrator.
    pub(crate) login: Option<(String, String)>,
    pub(crate) reading: Timeouts,
    /// Where batches are counted.
    pub(crate) metrics: Metrics,
    /// Who may read sealed rows.
    pub(crate) readers: Vec<String>,
    /// Heads of the evidence chain that are remembered elsewhere.
    pub(crate) remembered: Vec<String>,
    /// Holds that objects remember.
    pub(crate) holds: RememberedHolds,
    /// What its runs are allowed by.
    pub(crate) assent: Option<Assent>,
    /// When it may be worked on.
    pub(crate) windows: WorkWindows,
    /// The tables of a DataMap, as YAML, or all of it but its database; empty: there is none.
    pub(crate) tables: String,
}

/// A job under way.
pub(crate) struct Under {
    task: tokio::task::JoinHandle<JobOutcome>,
    stop: watch::Sender<Option<StopWhy>>,
    /// How far it is.
    #[expect(dead_code, reason = "held so that the job has somebody to tell")]
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Under {
    /// Tells it to stop.
    pub(crate) fn stop(&self, why: StopWhy) {
        self.stop.send_replace(Some(why));
    }

    /// Ends it wherever it is, as a kill would: nothing is rolled back or told.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end.
    pub(crate) async fn outcome(self) -> Result<JobOutcome> {
        tokio::time::timeout(Duration::from_mins(4), self.task)
            .await
            .context("the job did not end")?
            .context("the job panicked")
    }

    /// Waits for its end, which must be a run's.
    pub(crate) async fn ran(self) -> Result<RunReport> {
        match self.outcome().await? {
            JobOutcome::Ran { run, .. } => Ok(run),
            other => bail!("expected a run, got {other:?}"),
        }
    }
}

impl<'w> Rig<'w> {
    /// A fresh database with this schema and these rules.
    pub(crate) fn new(
        world: &'w World,
        server: Server,
        name: &str,
        schema: &str,
        rules: &str,
    ) -> Result<Self> {
        let database = world.database(server, name)?;
        let schema = database.fill(schema);
        if !schema.trim().is_empty() {
            world.block_on(database.admin.execute(&schema))?;
        }
        let number = next_number();
        Ok(Self {
            world,
            server,
            rules: rules.to_owned(),
            spec: json!({}),
            pacing: Pacing {
                backlog: true,
                batch_duration: Duration::from_millis(200),
                workers: 1,
                max_rows_per_second: None,
                lock_timeout: Duration::from_secs(1),
                statement_limit: STATEMENT_LIMIT,
                part: BATCHES_PER_PART,
            },
            now: Timestamp::now(),
            uid: format!("uid-{number}"),
            owner: Owner {
                cluster: "suite".to_owned(),
                database: database.name.clone(),
            },
            through: None,
            login: None,
            reading: Timeouts {
                lock: Duration::from_secs(5),
                statement: Duration::from_mins(1),
            },
            metrics: Metrics::new(),
            remembered: Vec::new(),
            holds: RememberedHolds::default(),
            assent: None,
            windows: WorkWindows::default(),
            tables: String::new(),
            readers: Vec::new(),
            database,
        })
    }

    /// With these rules instead.
    pub(crate) fn rules(mut self, rules: &str) -> Self {
        rules.clone_into(&mut self.rules);
        self
    }

    /// With a DataMap of these tables.
    pub(crate) fn mapped(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.tables);
        self
    }

    /// The DataMap, where there is one.
    fn maps(&self, target: &Target) -> Result<Vec<NamedMap>> {
        let tables = documents(&self.database.fill(&self.tables))?.pop();
        let map = tables.map(|tables| {
            let mut spec = json!({"databaseRef": {"name": "target"}});
            match tables {
                // With `subjects` beside the tables.
                Value::Object(rest) => spec.as_object_mut().context("no map")?.extend(rest),
                tables => spec["tables"] = tables,
            }
            let map = DataMap::parse(&serde_json::from_value(spec)?, target)
                .map_err(|faults| anyhow!("the map's spec: {faults:?}"))?;
            let name = "suite/map".to_owned();
            Ok(NamedMap { name, map })
        });
        map.into_iter().collect()
    }

    /// With several workers.
    pub(crate) fn workers(mut self, workers: u32) -> Self {
        self.pacing.workers = workers;
        self
    }

    /// Rate-limited.
    pub(crate) fn steady(mut self, rows_per_second: u32) -> Self {
        self.pacing.backlog = false;
        self.pacing.max_rows_per_second = Some(rows_per_second);
        self
    }

    /// A connection of the case's own.
    pub(crate) fn link(&self) -> Link {
        let Database { endpoint, name, .. } = &self.database;
        Link::open(
            endpoint,
            self.server,
            name,
            &endpoint.user,
            &endpoint.password,
        )
    }

    /// Runs statements as the administrator.
    pub(crate) fn sql(&self, sql: &str) -> Result<u64> {
        self.block_on(self.database.admin.execute(&self.database.fill(sql)))
    }

    /// The only number of a query.
    pub(crate) fn number(&self, sql: &str) -> Result<i64> {
        self.block_on(self.database.admin.number(&self.database.fill(sql)))
    }

    /// The rows of a query.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<TextRow>> {
        self.block_on(self.database.admin.rows(&self.database.fill(sql)))
    }

    /// One of the ledger's tables.
    pub(crate) fn ledger(&self, table: &str) -> String {
        if self.server.is_postgres() {
            format!("oubliette.{table}")
        } else {
            format!("oubliette_{table}")
        }
    }

    /// Runs a future on the suite's runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.world.block_on(future)
    }

    /// The program's own connection.
    pub(crate) async fn connect(&self) -> Result<database::Database> {
        let Database { endpoint, name, .. } = &self.database;
        let (user, password) = self
            .login
            .clone()
            .unwrap_or((endpoint.user.clone(), endpoint.password.clone()));
        let ca = std::fs::read(&endpoint.ca).context("failed to read the CA")?;
        let settings = ConnectSettings {
            engine: if self.server.is_postgres() {
                DeclaredEngine::PostgreSql
            } else {
                DeclaredEngine::MySql
            },
            host: endpoint.host.clone(),
            port: self.through.unwrap_or(endpoint.port),
            database: name.clone(),
            username: user,
            password: SecretString::from(password),
            tls: if self.through.is_some() {
                Tls::Disable
            } else {
                Tls::VerifyFull
            },
            ca: self.through.is_none().then_some(ca),
            reading: self.reading,
            connect_timeout: Duration::from_secs(20),
            max_connections: 8,
        };
        database::Database::connect(&settings)
            .await
            .map_err(|fault| anyhow!("failed to connect: {fault}"))
    }

    /// What the cluster would say of the database.
    pub(crate) fn target(&self) -> Result<Target> {
        Target::parse(&serde_json::from_value(json!({
            "engine": self.server.engine(),
            "connection": {
                "host": "unused",
                "database": self.database.name,
                "credentials": {"secretRef": {"name": "unused"}},
            },
            "seal": {"schema": self.database.sealed(), "readers": self.readers},
        }))?)
        .map_err(|faults| anyhow!("the database's spec: {faults:?}"))
    }

    /// A job, ready to be done.
    pub(crate) async fn job(&self, kind: JobKind) -> Result<Job> {
        let database = self.connect().await?;
        let target = self.target()?;
        let mut rules = documents(&self.database.fill(&self.rules))?
            .pop()
            .ok_or_else(|| anyhow!("there are no rules"))?;
        for (i, rule) in rules.as_array_mut().into_iter().flatten().enumerate() {
            let defaults = BTreeMap::from([
                ("name", json!(format!("r{i}"))),
                ("basis", json!("a promise")),
                ("expireAfter", json!("P1Y")),
                ("since", json!({"column": "ended"})),
                ("action", json!({"type": "Delete"})),
            ]);
            for (field, value) in defaults {
                let fixed =
                    rule.get("expireOn").is_some() && ["expireAfter", "since"].contains(&field);
                if rule.get(field).is_none() && !fixed {
                    rule[field] = value;
                }
            }
        }
        let mut spec = json!({
            "databaseRef": {"name": "target"},
            "schedule": "0 3 * * *",
            "timeZone": "UTC",
            "pseudonymKey": {"secretRef": {"name": "key", "key": "key"}},
            "rules": rules,
        });
        for (field, value) in self.spec.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let mut mandate = Mandate::parse(&serde_json::from_value(spec.clone())?, &target)
            .map_err(|faults| anyhow!("the policy's spec: {faults:?}"))?;
        mandate.policy.maps = self.maps(&target)?;
        Ok(Job {
            policy: PolicyRef {
                uid: self.uid.clone(),
                namespace: "suite".to_owned(),
                name: "policy".to_owned(),
                generation: 1,
            },
            spec,
            rules: mandate.policy,
            database,
            owner: self.owner.clone(),
            ledger: target.ledger,
            pacing: self.pacing,
            pseudonym_key: Some(SecretSlice::from(KEY.to_vec())),
            intent: match kind {
                JobKind::Plan | JobKind::GiveUp { .. } => Intent::DryRun,
                JobKind::Run { .. } => Intent::Enforce,
            },
            kind,
            remembered: self.remembered.clone(),
            holds: self.holds.clone(),
            metrics: self.metrics.clone(),
            consent: None,
            assent: self.assent.clone(),
            approval: self.assent.is_some(),
            windows: self.windows.clone(),
            planned: None,
            now: self.now,
        })
    }

    /// Begins a job beside the case.
    pub(crate) fn begin(&self, kind: JobKind) -> Result<Under> {
        let job = self.block_on(self.job(kind))?;
        Ok(self.spawn(job))
    }

    /// Begins a run of another policy with the same rules.
    pub(crate) fn begin_run_of(&self, policy: &str, id: &str) -> Result<Under> {
        let mut job = self.block_on(self.job(run_kind(id)))?;
        policy.clone_into(&mut job.policy.uid);
        Ok(self.spawn(job))
    }

    /// Begins a run by a plan that was made before.
    pub(crate) fn begin_run_by(&self, planned: Plan, id: &str) -> Result<Under> {
        let mut job = self.block_on(self.job(run_kind(id)))?;
        job.planned = Some(planned);
        Ok(self.spawn(job))
    }

    /// What a run would go by that begins now.
    pub(crate) fn plan_of_run(&self) -> Result<Plan> {
        self.block_on(async {
            let job = self.job(run_kind("planned")).await?;
            let (sender, _) = watch::channel(Progress::BEGUN);
            let planned = plan(&job, job.now, &sender).await;
            job.database.close().await;
            planned.map_err(|outcome| anyhow!("expected a plan, got {outcome:?}"))
        })
    }

    fn spawn(&self, job: Job) -> Under {
        let (stop, signal) = watch::channel(None);
        let (sender, progress) = watch::channel(Progress::BEGUN);
        let task = self.world.handle().spawn(async move {
            let database = job.database.clone();
            let outcome = perform(job, &sender, signal).await;
            database.close().await;
            outcome
        });
        Under {
            task,
            stop,
            progress,
        }
    }

    /// Begins a run beside the case.
    pub(crate) fn begin_run(&self, id: &str) -> Result<Under> {
        self.begin(run_kind(id))
    }

    /// Plans and runs to the end, whatever it is.
    pub(crate) fn outcome(&self, id: &str) -> Result<JobOutcome> {
        let under = self.begin_run(id)?;
        self.block_on(under.outcome())
    }

    /// A plan, which must stand.
    pub(crate) fn plan(&self) -> Result<PlanReport> {
        let under = self.begin(JobKind::Plan)?;
        match self.block_on(under.outcome())? {
            JobOutcome::Planned(plan) => Ok(plan),
            other => bail!("expected a plan, got {other:?}"),
        }
    }

    /// The refusals of a plan, which must be refused.
    pub(crate) fn refused(&self) -> Result<Vec<Refusal>> {
        let under = self.begin(JobKind::Plan)?;
        match self.block_on(under.outcome())? {
            JobOutcome::Refused { refusals, .. } => Ok(refusals),
            other => bail!("expected refusals, got {other:?}"),
        }
    }

    /// A run, which must come to its end.
    pub(crate) fn run(&self, id: &str) -> Result<RunReport> {
        let under = self.begin_run(id)?;
        self.block_on(under.ran())
    }

    /// A run that must complete; the rows it changed, by rule and table.
    pub(crate) fn completed(&self, id: &str) -> Result<Vec<Vec<i64>>> {
        let run = self.run(id)?;
        if run.outcome != RunOutcome::Completed {
            bail!("expected a completed run, got {run:?}");
        }
        Ok(counts(&run))
    }

    /// A session in a transaction that has run these statements.
    pub(crate) fn holding(&self, statements: &str) -> Result<Session> {
        let statements = self.database.fill(statements);
        self.block_on(async {
            let mut session = self.link().session().await?;
            session.execute("BEGIN").await?;
            session.execute(&statements).await?;
            Ok(session)
        })
    }

    /// Runs statements in a session.
    pub(crate) fn in_session(&self, session: &mut Session, sql: &str) -> Result<u64> {
        let sql = self.database.fill(sql);
        self.block_on(session.execute(&sql))
    }

    /// Waits until a statement in this database waits for a lock.
    pub(crate) fn wait_for_a_waiter(&self) -> Result<()> {
        self.wait_for_waiters(1)
    }

    /// Waits until so many statements in this database wait for locks.
    pub(crate) fn wait_for_waiters(&self, number: i64) -> Result<()> {
        let query = if self.server.is_postgres() {
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        } else {
            "SELECT count(*) FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'"
        };
        self.wait_until(query, |n| n >= number)
    }

    /// Waits until the number of a query is as wanted.
    pub(crate) fn wait_until(&self, query: &str, wanted: impl Fn(i64) -> bool) -> Result<()> {
        wait_for(query, PATIENCE, || {
            let n = self.number(query)?;
            Ok(if wanted(n) {
                Ok(())
            } else {
                Err(n.to_string())
            })
        })
    }

    /// The evidence chain holds together from its first link to the head.
    pub(crate) fn expect_a_whole_chain(&self) -> Result<()> {
        let links = self.rows(&format!(
            "SELECT body, previous, hash FROM {} ORDER BY seq",
            self.ledger("evidence")
        ))?;
        let mut head = String::new();
        for link in &links {
            let [Some(body), Some(previous), Some(hash)] = link.as_slice() else {
                bail!("a link has no body")
            };
            let ours = Digest::of_bytes(format!("{head}\n{body}")).to_string();
            if *previous != head || *hash != ours {
                bail!("the chain breaks at {hash}");
            }
            head = ours;
        }
        let stored = self.rows(&format!("SELECT hash FROM {}", self.ledger("chain_head")))?;
        if stored != [[Some(head)]] {
            bail!("the head is not the last link's hash");
        }
        Ok(())
    }

    /// The ledger holds no key of a row: cursors and ranges are cleared.
    pub(crate) fn expect_no_keys_kept(&self) -> Result<()> {
        let kept = self.number(&format!(
            "SELECT count(*) FROM {} WHERE low IS NOT NULL OR high IS NOT NULL \
             OR cursor_key IS NOT NULL",
            self.ledger("checkpoint")
        ))?;
        if kept != 0 {
            bail!("{kept} checkpoint rows still hold keys");
        }
        Ok(())
    }
}

/// The kind of a run.
pub(crate) fn run_kind(id: &str) -> JobKind {
    JobKind::Run { id: id.to_owned() }
}

/// Rows changed, by rule and table (the rule's own first).
pub(crate) fn counts(run: &RunReport) -> Vec<Vec<i64>> {
    run.rules
        .iter()
        .map(|rule| rule.changed.iter().map(|table| table.rows).collect())
        .collect()
}

/// The first rows of a run's rules: `counts` of a policy with one rule and no related tables.
pub(crate) fn own(run: &RunReport) -> i64 {
    counts(run).iter().filter_map(|tables| tables.first()).sum()
}

/// A derived table `s` with the numbers `n` from 1 to `last`.
pub(crate) fn series(server: Server, last: u32) -> String {
    if server.is_postgres() {
        return format!("(SELECT n FROM generate_series(1, {last}) AS g(n)) s");
    }
    let digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL \
                  SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL \
                  SELECT 8 UNION ALL SELECT 9)";
    let places = last.to_string().len();
    let sum: Vec<String> = (0..places)
        .map(|p| format!("d{p}.d * {}", 10_u32.pow(u32::try_from(p).unwrap_or(0))))
        .collect();
    let from: Vec<String> = (0..places).map(|p| format!("{digits} d{p}")).collect();
    format!(
        "(SELECT n FROM (SELECT {} AS n FROM {}) x WHERE n BETWEEN 1 AND {last}) s",
        sum.join(" + "),
        from.join(", ")
    )
}
