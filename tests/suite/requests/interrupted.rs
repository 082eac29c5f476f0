//! A request whose operator is killed after every step that can be seen from outside, and one of whose
//! databases is away for a while. It ends complete, once, with the counts that were planned.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::office::{DELETES, Office, REQUEST, condition, ledger};
use crate::case::Server;
use crate::cluster::{ready, resource};
use crate::proxy::Proxy;
use crate::sql::Database;
use crate::wait::PATIENCE;
use crate::world::World;

/// Places that people look after, so that there is a step more.
const ELSEWHERE: &str = "elsewhere/paper-files";
/// More steps than there are.
const MOST_LIVES: usize = 60;

/// What a request has come to: every part of it only ever grows.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    request: Vec<String>,
    ledgers: Vec<Option<String>>,
}

impl Step {
    fn of(office: &Office<'_>) -> Result<Self> {
        let object = office.namespace.get(REQUEST, "sr")?;
        let status = &object["status"];
        let plan = office
            .namespace
            .find_any(&resource(crate::cluster::API_VERSION, "ErasurePlan"), "sr")?;
        let secret = office
            .namespace
            .find_any(&resource("v1", "Secret"), "sr-subject")?;
        let is = |path: &str| status.pointer(path).is_some().to_string();
        let text = |path: &str| {
            status
                .pointer(path)
                .map(Value::to_string)
                .unwrap_or_default()
        };
        let request = vec![
            text("/state"),
            text("/plan/digest"),
            is("/approval"),
            is("/begunAt"),
            text("/databases").len().min(1).to_string(),
            is("/completedAt"),
            text("/elsewhere/0/state"),
            is("/certificate"),
            is("/finishedAt"),
            plan.is_some().to_string(),
            secret.is_some().to_string(),
            object.pointer("/metadata/finalizers").is_some().to_string(),
        ];
        let databases = [&office.learning, &office.platform];
        let ledgers = databases.map(|database| progress(office.world, database));
        Ok(Self {
            request,
            ledgers: ledgers.into_iter().collect(),
        })
    }
}

/// How far a ledger's runs are; `None`: there is no ledger yet.
fn progress(world: &World, database: &Database) -> Option<String> {
    let [run, checkpoint, evidence, subject] =
        ["run", "checkpoint", "evidence", "subject"].map(|table| ledger(database, table));
    let numbers = format!(
        "SELECT (SELECT count(*) FROM {run}), (SELECT count(*) FROM {run} WHERE state <> 'open'), \
         (SELECT coalesce(sum(n), 0) FROM {checkpoint}), \
         (SELECT count(*) FROM {checkpoint} WHERE state <> 'open'), \
         (SELECT count(*) FROM {evidence}), (SELECT count(*) FROM {subject}), \
         (SELECT count(*) FROM {subject} WHERE state = 'ended')"
    );
    let rows = world.block_on(database.admin.rows(&numbers)).ok()?;
    Some(format!("{rows:?}"))
}

pub(super) fn between_steps(world: &World, server: Server) -> Result<()> {
    let office = Office::furnish(world, server, "request_interrupted", &json!({}))?;
    let proxy = world.block_on(Proxy::start(office.platform.endpoint.port))?;
    let port = json!({"spec": {"connection": {"port": proxy.port()}}});
    office
        .namespace
        .patch("TargetDatabase", "platform", &port)?;
    let elsewhere = json!([{"name": "paper-files", "via": "Manual", "owner": "reception"}]);
    let elsewhere = json!({"spec": {"elsewhere": elsewhere}});
    office.namespace.patch("DataMap", "learning", &elsewhere)?;
    let known = json!({"email": super::office::EMAIL});
    office.secret("sr", "oubliette.dev/subject", &known)?;
    office.file("sr")?;

    let (mut lives, mut away) = (0, false);
    let mut seen = Step::of(&office)?;
    loop {
        let mut operator = office.operator(&[])?;
        let next = next_step(&office, &seen);
        operator.kill()?;
        seen = next?;
        lives += 1;
        ensure!(lives < MOST_LIVES, "it does not come to its end: {seen:?}");
        match seen.request[0].trim_matches('"') {
            "AwaitingApproval" if seen.request[2] == "false" => office.agree("sr")?,
            // One of the databases is away, and is missed before anything goes on.
            "Erasing" if !away => {
                away = true;
                proxy.cut();
                let mut operator = office.operator(&[])?;
                let missed = office.namespace.wait_until(
                    REQUEST,
                    "sr",
                    "misses a database",
                    PATIENCE,
                    |object| match ready(object) {
                        Some(ready) if ready["status"] == "False" => Ok(()),
                        other => Err(format!("Ready is {other:?}")),
                    },
                );
                operator.kill()?;
                proxy.restore();
                let missed = missed?;
                ensure!(missed["status"].get("completedAt").is_none(), "{missed}");
                seen = Step::of(&office)?;
            }
            "Telling" => confirm(&office)?,
            "AwaitingReply" => office.reply("sr")?,
            "Finished" => break,
            _ => {}
        }
    }
    eprintln!("requests: {lives} operators were killed, each after a step");
    ensure!(away, "no database was away");
    let mut operator = office.operator(&[])?;
    office.rows(true)?;
    office.sum("sr", DELETES)?;
    office.forgotten()?;
    office.no_secret("sr")?;
    for database in [&office.learning, &office.platform] {
        let runs = format!("SELECT count(*) FROM {}", ledger(database, "run"));
        let runs = world.block_on(database.admin.number(&runs))?;
        ensure!(runs == 1, "{} has {runs} runs", database.name);
    }
    let object = office.namespace.get(REQUEST, "sr")?;
    let complete = condition(&object, "Complete").context("no Complete")?;
    ensure!(complete["status"] == "True", "{complete}");
    office.finish(&["sr"])?;
    operator.kill()
}

/// Somebody has dealt with the paper.
fn confirm(office: &Office<'_>) -> Result<()> {
    let confirmed = json!([{
        "item": ELSEWHERE, "outcome": "Done", "by": "dpo", "at": "2026-11-20T09:00:00Z",
    }]);
    let object = office.namespace.get(REQUEST, "sr")?;
    if object.pointer("/spec/confirmations").is_some() {
        return Ok(());
    }
    office.patch("sr", &json!({"confirmations": confirmed}))
}

/// Waits, looking all the time, until something is other than it was.
fn next_step(office: &Office<'_>, before: &Step) -> Result<Step> {
    let end = Instant::now() + Duration::from_mins(2);
    while Instant::now() < end {
        let now = Step::of(office)?;
        if now != *before {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("nothing happens after {before:?}")
}
