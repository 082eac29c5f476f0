//! Operators and database servers that die, stand still or are doubled in the middle of a run,
//! with the application writing beside it. In the end the rows are right, and the counts in
//! status equal the rows changed.
//!
//! These cases run their own operators, after the suite's has ended: `main.rs` gives them a round
//! of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::chart;
use crate::expect::Grants;
use crate::operator::{Operator, Settings};
use crate::scenario::Stage;
use crate::servers;
use crate::sql::{Database, Link, next_number};
use crate::wait::wait_for;
use crate::world::World;

/// Rows of each of the two tables; half of them are expired.
const ROWS: i64 = 100_000;

/// No row is near the boundary: expired ones are two years old, the others of today.
const CUTOFF: &str = "current_timestamp - INTERVAL '18' MONTH";

/// How long one interrupted run may take on a busy machine.
const RUN: Duration = Duration::from_mins(8);

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for server in Server::ENGINES {
        let needs = || Needs::cluster().with(server);
        let slug = server.slug();
        cases.push(Case::new(
            format!("interruption::operator_is_killed::{slug}"),
            needs(),
            move |world| operator_is_killed(world, server),
        ));
        cases.push(Case::new(
            format!("interruption::operator_stands_still_and_another_takes_over::{slug}"),
            needs(),
            move |world| operator_stands_still(world, server),
        ));
        cases.push(Case::new(
            format!("interruption::database_server_is_killed::{slug}"),
            // A server of its own: the case kills it.
            Needs::cluster(),
            move |world| database_is_killed(world, server),
        ));
    }
    cases
}

/// How often something is killed in one run: `make soak` sets `OUBLIETTE_SOAK_KILLS`.
fn kills() -> Result<usize> {
    match std::env::var("OUBLIETTE_SOAK_KILLS") {
        Ok(text) => text.parse().context("OUBLIETTE_SOAK_KILLS is no number"),
        Err(_) => Ok(3),
    }
}

fn operator_is_killed(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "operator_is_killed")?;
    let trial = Trial::begin(world, database)?;
    let mut operator = trial.operator(world)?;
    let token = trial.stage.run_now()?;
    for mark in trial.marks(kills()?)? {
        trial.wait_until_left(world, mark)?;
        operator.kill()?;
        // Another process, as a new Pod would be: it has to wait for the Lease to expire.
        operator = trial.operator(world)?;
    }
    trial.end(world, &token)
}

fn operator_stands_still(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "operator_stands_still")?;
    let trial = Trial::begin(world, database)?;
    let mut operators = [trial.operator(world)?, trial.operator(world)?];
    let token = trial.stage.run_now()?;
    for mark in trial.marks(2)? {
        trial.wait_until_left(world, mark)?;
        // Whoever leads stands still; the other takes the Lease over and goes on …
        let leader = trial.leader(world)?;
        let (still, other) = if leader == operators[0].settings.identity {
            (0, 1)
        } else {
            (1, 0)
        };
        operators[still].signal("STOP")?;
        let wanted = operators[other].settings.identity.clone();
        wait_for("the other operator leads", Duration::from_mins(2), || {
            let leader = trial.leader(world)?;
            Ok(if leader == wanted {
                Ok(())
            } else {
                Err(format!("{leader} leads"))
            })
        })?;
        // … and has changed rows, or has ended, before the first wakes in the middle of its batch.
        let left = trial.left(world)?;
        wait_for("the other operator changes rows", RUN, || {
            let now = trial.left(world)?;
            Ok(if now < left || now == 0 {
                Ok(())
            } else {
                Err(format!("{now} rows are left"))
            })
        })?;
        operators[still].signal("CONT")?;
        // Who has lost the Lease ends; another process comes in its place, as in its Pod.
        operators[still].wait_ended(Duration::from_mins(1))?;
        operators[still] = trial.operator(world)?;
    }
    let outcome = trial.end(world, &token);
    for operator in &mut operators {
        operator.kill()?;
    }
    outcome
}

fn database_is_killed(world: &World, server: Server) -> Result<()> {
    let own = servers::start_one(server, &bed::Options::default())?;
    let database = world.block_on(Database::create(
        &servers::endpoint(&own)?,
        server,
        "database_is_killed",
    ))?;
    let trial = Trial::begin(world, database)?;
    let operator = trial.operator(world)?;
    let token = trial.stage.run_now()?;
    for mark in trial.marks(kills()?)? {
        trial.wait_until_left(world, mark)?;
        own.kill9()?;
        own.restart()?;
    }
    let outcome = trial.end(world, &token);
    drop(operator);
    outcome
}

/// Two tables, a policy with a rule for each, and an application that writes beside the run.
struct Trial<'w> {
    stage: Stage<'w>,
    lease: String,
    application: Application,
}

const MANIFESTS: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: interrupted}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  pseudonymKey: {secretRef: {name: target-pseudonyms, key: key}}
  rules:
  - name: events
    basis: "Events are kept for one year"
    table: ${schema}.events
    expireAfter: P1Y
    since: {column: at}
    action: {type: Delete}
  - name: people
    basis: "Names are kept for one year"
    table: ${schema}.people
    expireAfter: P1Y
    since: {column: at}
    action: {type: Anonymise, columns: [{column: full_name, strategy: Pseudonym}]}
"#;

impl<'w> Trial<'w> {
    fn begin(world: &'w World, database: Database) -> Result<Self> {
        world.block_on(fill(&database))?;
        let application = Application::start(world, &database);
        let stage = Stage::set(world, "interrupted", database, MANIFESTS, Grants::Printed)?;
        let lease = format!("interrupted-{}", next_number());
        chart::allow_lease(world, &lease)?;
        Ok(Self {
            stage,
            lease,
            application,
        })
    }

    /// Another operator for this trial's namespace.
    fn operator(&self, world: &World) -> Result<Operator> {
        let identity = format!("{}-{}", self.lease, next_number());
        let settings = Settings {
            lease: self.lease.clone(),
            log: world.evidence.join(format!("operator-{identity}.log")),
            identity,
            watch_namespaces: vec![self.stage.namespace.name.clone()],
            kubeconfig: chart::operator_kubeconfig(world)?,
            health: servers::free_address()?,
        };
        Operator::start(&settings)
    }

    /// Who holds the Lease now; empty when nobody does.
    fn leader(&self, world: &World) -> Result<String> {
        chart::lease_holder(world, &self.lease)
    }

    /// Expired rows that are still to be changed.
    fn left(&self, world: &World) -> Result<i64> {
        let admin = &self.stage.database.admin;
        world.block_on(async {
            let events = admin
                .number(&format!("SELECT count(*) FROM events WHERE at < {CUTOFF}"))
                .await?;
            let people = admin
                .number(&format!(
                    "SELECT count(*) FROM people WHERE at < {CUTOFF} AND full_name NOT LIKE 'p\\_%'"
                ))
                .await?;
            Ok(events + people)
        })
    }

    /// At how many rows left something happens: spread over the run, in order, at random places.
    fn marks(&self, how_many: usize) -> Result<Vec<i64>> {
        let count = i64::try_from(how_many)?;
        let part = ROWS / (count + 1);
        let marks: Vec<i64> = (0..count)
            .rev()
            .map(|i| i * part + rand::random_range(part / 4..part))
            .collect();
        eprintln!("{}: interrupted at {marks:?} rows left", self.lease);
        Ok(marks)
    }

    fn wait_until_left(&self, world: &World, mark: i64) -> Result<()> {
        wait_for(&format!("at most {mark} rows are left"), RUN, || {
            // The server may be away for a moment.
            Ok(match self.left(world) {
                Ok(left) if left <= mark => Ok(()),
                Ok(left) => Err(format!(
                    "{left} rows are left; {}",
                    self.stage.status_text()
                )),
                Err(error) => Err(format!("{error:#}")),
            })
        })
    }

    /// Waits for the end of the run and compares rows and counts.
    fn end(self, world: &World, token: &str) -> Result<()> {
        let mut object = self.stage.wait_run_ended(token, RUN)?;
        let mut counted = counts(&object)?;
        // The server may undo what was interrupted later than the run comes to its end; until then those rows
        // are locked, and the next run takes them.
        if object.pointer("/status/lastRun/reason") == Some(&json!("RowsLocked")) {
            let again = self.stage.run_now()?;
            object = self.stage.wait_run_ended(&again, RUN)?;
            let more = counts(&object)?;
            counted = (counted.0 + more.0, counted.1 + more.1);
        }
        let written = self.application.stop(world)?;
        let admin = &self.stage.database.admin;
        let number = |sql: &str| world.block_on(admin.number(sql));

        // Whatever the application renewed in time is still there, whatever it wrote is.
        let expired_left = number(&format!("SELECT count(*) FROM events WHERE at < {CUTOFF}"))?;
        ensure!(
            expired_left == 0,
            "{expired_left} expired events are left: {:?}",
            object.pointer("/status/lastRun")
        );
        let renewed = number(&format!(
            "SELECT count(*) FROM events WHERE id <= {ROWS} AND id % 2 = 0 AND at >= {CUTOFF}"
        ))?;
        let young = number(&format!(
            "SELECT count(*) FROM events WHERE id <= {ROWS} AND id % 2 = 1"
        ))?;
        ensure!(
            young == ROWS / 2,
            "{young} young events are left of {}",
            ROWS / 2
        );
        let inserted = number(&format!("SELECT count(*) FROM events WHERE id > {ROWS}"))?;
        ensure!(
            inserted >= written.inserted,
            "the application inserted {} events, {inserted} are there",
            written.inserted
        );
        let deleted = ROWS / 2 - renewed;

        // Each expired name is a pseudonym of the original, made once.
        let anonymised =
            number("SELECT count(*) FROM people WHERE id % 2 = 0 AND full_name LIKE 'p\\_%'")?;
        ensure!(
            anonymised == ROWS / 2,
            "{anonymised} names are pseudonyms, not {}",
            ROWS / 2
        );
        let distinct = number("SELECT count(DISTINCT full_name) FROM people WHERE id % 2 = 0")?;
        ensure!(
            distinct == NAMES,
            "{distinct} different pseudonyms for {NAMES} names: some were hashed twice"
        );
        let untouched = number(
            "SELECT count(*) FROM people WHERE id % 2 = 1 AND full_name LIKE 'Ada Bennett %'",
        )?;
        ensure!(
            untouched == ROWS / 2,
            "{untouched} young names are as they were"
        );

        // The counts in status, over however many runs it took.
        let (counted_deleted, counted_anonymised) = counted;
        ensure!(
            counted_deleted == deleted,
            "status counts {counted_deleted} deleted events; {deleted} went (renewed: {renewed})"
        );
        ensure!(
            counted_anonymised == anonymised,
            "status counts {counted_anonymised} names; {anonymised} were changed"
        );
        self.stage.namespace.finish()
    }
}

/// How many different names the people have.
const NAMES: i64 = 1000;

/// Rows changed in the last run, by rule.
fn counts(object: &Value) -> Result<(i64, i64)> {
    let rules = object
        .pointer("/status/lastRun/rules")
        .and_then(Value::as_array)
        .ok_or_else(|| anyhow!("the status has no lastRun.rules"))?;
    let of = |name: &str| {
        rules
            .iter()
            .filter(|rule| rule["rule"] == name)
            .filter_map(|rule| rule.pointer("/changed/0/rows"))
            .filter_map(Value::as_i64)
            .sum()
    };
    Ok((of("events"), of("people")))
}

/// Even ids are expired, odd ones of today.
async fn fill(database: &Database) -> Result<()> {
    let sql = if database.server.is_postgres() {
        format!(
            "CREATE TABLE events (id integer PRIMARY KEY, at timestamptz NOT NULL, pad varchar(60));
             CREATE TABLE people (id integer PRIMARY KEY, at timestamptz NOT NULL, full_name varchar(60));
             INSERT INTO events SELECT n, CASE WHEN n % 2 = 0 THEN now() - interval '2 years' ELSE now() END, 'x'
               FROM generate_series(1, {ROWS}) n;
             INSERT INTO people SELECT n, CASE WHEN n % 2 = 0 THEN now() - interval '2 years' ELSE now() END,
               'Ada Bennett ' || (n / 2) % {NAMES} FROM generate_series(1, {ROWS}) n;
             CREATE INDEX ON events (at); CREATE INDEX ON people (at); ANALYZE events; ANALYZE people;"
        )
    } else {
        format!(
            "CREATE TABLE events (id integer PRIMARY KEY, at timestamp NOT NULL, pad varchar(60), INDEX (at));
             CREATE TABLE people (id integer PRIMARY KEY, at timestamp NOT NULL, full_name varchar(60), INDEX (at));
             CREATE TABLE digit (d integer PRIMARY KEY);
             INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
             INSERT INTO events
               SELECT n, IF(n % 2 = 0, now() - INTERVAL 2 YEAR, now()), 'x'
               FROM (SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n
                     FROM digit a, digit b, digit c, digit e, digit f) AS numbers ORDER BY n;
             INSERT INTO people
               SELECT id, at, CONCAT('Ada Bennett ', (id DIV 2) % {NAMES}) FROM events ORDER BY id;
             ANALYZE TABLE events; ANALYZE TABLE people;"
        )
    };
    database.admin.execute(&sql).await.map(|_| ())
}

/// What the application did for certain.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    inserted: i64,
    renewed: i64,
}

/// Writes beside the run: inserts new events and renews expired ones.
struct Application {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Written>>,
}

impl Application {
    fn start(world: &World, database: &Database) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // A pool is made inside of the runtime that it will live in.
        let _inside = world.handle().enter();
        let link = Link::open(
            &database.endpoint,
            database.server,
            &database.name,
            &database.endpoint.user,
            &database.endpoint.password,
        );
        let task = world.handle().spawn(write_until(Arc::clone(&stop), link));
        Self { stop, task }
    }

    fn stop(self, world: &World) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        let written = world
            .block_on(self.task)
            .context("the application panicked")??;
        if written.renewed == 0 {
            bail!("the application renewed nothing, so the case shows less than it should");
        }
        Ok(written)
    }
}

async fn write_until(stop: Arc<AtomicBool>, link: Link) -> Result<Written> {
    let mut written = Written::default();
    let mut next = ROWS;
    let mut pause = tokio::time::interval(Duration::from_millis(10));
    while !stop.load(Ordering::Relaxed) {
        pause.tick().await;
        next += 1;
        // A statement that fails (the server is away) may have been done all the same: a new id is
        // never used twice, so that nothing is counted which is not there.
        if link
            .execute(&format!(
                "INSERT INTO events (id, at, pad) VALUES ({next}, current_timestamp, 'new')"
            ))
            .await
            .is_ok()
        {
            written.inserted += 1;
        }
        let id = 2 * rand::random_range(1..=ROWS / 2);
        if let Ok(1) = link
            .execute(&format!(
                "UPDATE events SET at = current_timestamp WHERE id = {id} AND at < current_timestamp - INTERVAL '18' MONTH"
            ))
            .await
        {
            written.renewed += 1;
        }
    }
    link.close().await;
    Ok(written)
}
