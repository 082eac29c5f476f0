//! An operator of long standing that nothing is wanted of: what it holds, and what it asks the API
//! server for.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use oubliette_core::bench::goals::{CALLS, MEMORY};
use oubliette_core::bench::{Who, Work};
use oubliette_core::digest::Digest;
use serde_json::{Value, json};

use super::result;
use crate::askers;
use crate::case::{Case, Needs, Server};
use crate::chart::{self, RELEASE};
use crate::cluster::{API_VERSION, Namespace, is_current, ready, resource};
use crate::operator::{Operator, SYSTEM_NAMESPACE, Settings};
use crate::printed;
use crate::requests::office::REQUEST;
use crate::scenario::{supplies, target_database};
use crate::servers;
use crate::sql::Database;
use crate::wait::wait_for;
use crate::world::World;

/// How many resources there are. One request of a hundred waits for proof of who asks; the others
/// have ended.
#[derive(Clone, Copy)]
struct Many {
    requests: u32,
    databases: u32,
    /// Minutes of the stretch in which calls are counted. What is done once an hour is done at a minute of
    /// each object's own, so that a sixth of the hour has a sixth of it.
    idle: u32,
}

const MANY: Many = Many {
    requests: 20_000,
    databases: 500,
    idle: 10,
};
const QUICK: Many = Many {
    requests: 2_000,
    databases: 50,
    idle: 1,
};
/// One of so many requests has not ended.
const LIVES: u32 = 100;

/// Objects that are made at once.
const AT_ONCE: usize = 32;

/// Until the operator has looked at all.
const DEADLINE: Duration = Duration::from_mins(15);

/// The case.
pub(super) fn case() -> Case {
    Case::new(
        "bench::operator_beside_many_resources",
        Needs::cluster(),
        beside_many,
    )
}

fn beside_many(world: &World) -> Result<()> {
    let begun = Timestamp::now();
    let usual = if result::is_quick() { QUICK } else { MANY };
    let many = Many {
        idle: result::size("OUBLIETTE_BENCH_IDLE", MANY.idle, QUICK.idle)?,
        ..usual
    };
    // Of its own: nobody else works by this account, or fills the server.
    let world = world.beside(bed::Cluster::start()?)?;
    chart::install(&world)?;
    let settings = vec![("max_connections".to_owned(), "1200".to_owned())];
    let server = servers::start_one(
        Server::Postgres18,
        &bed::Options {
            settings,
            ..bed::Options::default()
        },
    )?;
    let endpoint = servers::endpoint(&server)?;
    let database = Database::create(&endpoint, Server::Postgres18, "bench_operator");
    let database = world.block_on(database)?;
    let namespace = world.namespace("bench_operator")?;
    furnish(&world, &namespace, &database, many)?;
    let operator = operator(&world)?;
    known(&namespace, &operator, many)?;
    let idle = idle(&world, &operator, many)?;
    let calls: u32 = idle.calls.values().sum();
    // Of databases alone: what is asked for them is not made less by requests for which nothing is.
    let an_hour = f64::from(calls) * 60.0 / f64::from(many.idle) / f64::from(many.databases);
    let mut mode = result::once(Who::Operator, 0, idle.took);
    mode.statements = vec![told(many)];
    for (name, value, unit) in [
        (MEMORY, result::megabytes(idle.resident), "MB"),
        ("memory of no file", result::megabytes(idle.anonymous), "MB"),
        (CALLS, an_hour, "calls/h"),
    ] {
        mode = result::counted(mode, name, value, unit);
    }
    let mut cell = result::bare(Work::Operator);
    cell.modes.push(mode);
    result::write("operator", begun, cell)?;
    let line = format!(
        "bench operator-beside-many-resources: {}: {:.1} MB at the most, {:.1} of them of no file; {calls} \
         calls, {an_hour:.3} an hour for each database: {:?}",
        told(many),
        result::megabytes(idle.resident),
        result::megabytes(idle.anonymous),
        idle.calls,
    );
    eprintln!("{line}");
    world.keep("bench-operator-beside-many-resources.txt", &line)
}

fn told(many: Many) -> String {
    let Many {
        requests,
        databases,
        idle,
    } = many;
    format!(
        "{requests} ErasureRequests, of which {} have not ended, {databases} TargetDatabases, idle for {idle} min",
        requests / LIVES
    )
}

/// Makes all resources, those that have ended with what an operator has written of them.
fn furnish(
    world: &World,
    namespace: &Namespace<'_>,
    database: &Database,
    many: Many,
) -> Result<()> {
    let (user, password) = ("oubliette_bench", "pw-bench");
    world.block_on(database.create_user(user, password))?;
    for object in supplies(database, user, password)? {
        namespace.apply_value(&object)?;
    }
    let target = target_database(database);
    namespace.apply(&printed::roles(
        std::slice::from_ref(&target),
        &namespace.name,
    )?)?;
    let client = world.client()?;
    let api = |client: &Client, kind: &str| -> Api<DynamicObject> {
        let resource = resource(API_VERSION, kind);
        Api::namespaced_with(client.clone(), &namespace.name, &resource)
    };
    let (databases, requests) = (api(&client, "TargetDatabase"), api(&client, REQUEST));
    // Nobody else may write a status.
    let operator = chart::operator_kubeconfig(world)?;
    let operator = world.block_on(servers::client(&operator))?;
    let written = api(&operator, REQUEST);
    let by = namespace.whoami()?;
    let make = async {
        let all = stream::iter(0..many.databases).map(|number| {
            let mut object = target.clone();
            object["metadata"]["name"] = json!(format!("crm-{number}"));
            create(&databases, object)
        });
        let all = all.buffer_unordered(AT_ONCE);
        all.try_collect::<Vec<()>>().await?;
        let all = stream::iter(0..many.requests).map(|number| {
            let mut object = askers::request(namespace, &format!("sr-{number}"), &by);
            let ends = number % LIVES != 0;
            if ends {
                object["spec"]["reply"] = json!({"sentAt": "2026-11-12T09:00:00Z"});
            } else {
                object["spec"]["identity"] = json!({"required": true});
            }
            let status = ends.then(|| ended(&namespace.name, number));
            let (requests, written) = (&requests, &written);
            async move {
                create(requests, object).await?;
                let Some(status) = status else { return Ok(()) };
                let name = format!("sr-{number}");
                let patch = Patch::Merge(json!({"status": status}));
                let how = PatchParams::default();
                let patched = written.patch_status(&name, &how, &patch).await;
                patched.map(drop).context("a status is refused")
            }
        });
        let all = all.buffer_unordered(AT_ONCE);
        all.try_collect::<Vec<()>>().await.map(drop)
    };
    world.block_on(make)
}

async fn create(api: &Api<DynamicObject>, object: Value) -> Result<()> {
    let object = serde_json::from_value(object)?;
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).context("an object is refused")
}

/// The status of a request that has ended, in a database that is there no more: what a ledger of another
/// one would have to say of it is not looked for.
fn ended(namespace: &str, number: u32) -> Value {
    let digest = |what: &str| Digest::of_bytes(format!("{what} {number}")).to_string();
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": "2026-11-12T09:00:10Z",
        })
    };
    let place = format!("{namespace}/old-{}", number % 50);
    json!({
        "observedGeneration": 1, "state": "Finished", "outcome": "Erased", "dueOn": "2026-12-02",
        "plan": {
            "digest": digest("plan"), "maps": digest("maps"), "asOf": "2026-11-03T09:00:00Z",
            "mapUids": ["5f0c1f0e-5c1f-4f6e-9a53-5b7f3c1d2e4a"],
            "databases": 1, "deletes": 8, "transforms": 3, "keeps": 0, "held": 0,
        },
        "approval": {
            "plan": digest("plan"), "maxRows": 11, "approvedAt": "2026-11-03T10:00:00Z",
            "approvals": [format!("sr-{number}-lead")],
        },
        "begunAt": "2026-11-03T10:00:01Z",
        "databases": [{
            "map": place, "database": place,
            "run": format!("7d4b0a52-6c0e-4a8e-9d0f-{number:012}/{place}"),
            "deleted": 8, "transformed": 3, "kept": 0, "held": 0,
            "verifiedAt": "2026-11-03T10:00:05Z", "evidence": digest("evidence"),
        }],
        "certificate": {
            "digest": digest("certificate"), "configMap": format!("sr-{number}-certificate"),
        },
        "completedAt": "2026-11-03T10:00:06Z", "finishedAt": "2026-11-12T09:00:10Z",
        // Sorted as the operator has them.
        "conditions": [
            condition("Approved", "Approved", "The plan is approved."),
            condition("Complete", "Erased", "The person's rows were erased."),
            condition("Erased", "Erased", "The person's rows were erased."),
            condition("Found", "SubjectFound", "the person is in one database"),
            condition("Identified", "Identified", "It is proved who asks."),
            condition("Ready", "Completed", "the request has ended"),
        ],
    })
}

fn operator(world: &World) -> Result<Operator> {
    let identity = "bench-operator".to_owned();
    chart::allow_lease(world, &identity)?;
    let mut operator = Operator::start(&Settings {
        lease: identity.clone(),
        log: world.evidence.join("operator-bench.log"),
        identity,
        watch_namespaces: Vec::new(),
        kubeconfig: chart::operator_kubeconfig(world)?,
        health: servers::free_address()?,
    })?;
    operator.wait_ready()?;
    Ok(operator)
}

/// Waits until the operator has looked at everything.
fn known(namespace: &Namespace<'_>, operator: &Operator, many: Many) -> Result<()> {
    wait_for("the operator has looked at all", DEADLINE, || {
        let metrics = operator.metrics()?;
        for (kind, least) in [(REQUEST, many.requests), ("TargetDatabase", many.databases)] {
            let series = format!("oubliette_reconciles_total{{kind=\"{kind}\"}} ");
            let looks = metrics.lines().find_map(|line| line.strip_prefix(&series));
            let looks: u32 = looks.and_then(|looks| looks.parse().ok()).unwrap_or(0);
            if looks < least {
                return Ok(Err(format!("{looks} looks at {least} of {kind}")));
            }
        }
        let connected = namespace.list(API_VERSION, "TargetDatabase")?;
        let mut others = connected.iter().filter(|object| {
            let is_ready = ready(object).is_some_and(|ready| ready["status"] == "True");
            !is_ready || !is_current(object)
        });
        Ok(others.next().map_or(Ok(()), |one| {
            Err(format!("{}: {}", one["metadata"]["name"], one["status"]))
        }))
    })
}

/// What was seen of an operator that nothing was wanted of.
struct Idle {
    took: Duration,
    /// The most that it held, and how much of that was of no file.
    resident: u64,
    anonymous: u64,
    /// Calls by what they asked for.
    calls: BTreeMap<String, u32>,
}

fn idle(world: &World, operator: &Operator, many: Many) -> Result<Idle> {
    let log = world.control_plane()?.cluster.audit_log();
    let log = log.context("a cluster of somebody else's shows no audit log")?;
    let from = std::fs::metadata(&log)?.len();
    let began = Instant::now();
    let (mut resident, mut anonymous) = (0, 0);
    while began.elapsed() < Duration::from_mins(many.idle.into()) {
        let now = operator.resident_kib()?;
        if now > resident {
            (resident, anonymous) = (now, operator.anonymous_kib()?);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(Idle {
        took: began.elapsed(),
        resident,
        anonymous,
        calls: calls(&log, from)?,
    })
}

/// The operator's calls in the audit log from there on, without reads of Secrets; it has no Leases.
fn calls(log: &Path, from: u64) -> Result<BTreeMap<String, u32>> {
    let account = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{RELEASE}");
    let mut file = std::fs::File::open(log).context("failed to open the audit log")?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        // A watch is told of twice, when it begins and when it ends.
        if event["user"]["username"] != account.as_str() || event["stage"] != "ResponseComplete" {
            continue;
        }
        let of = |field: &str| event["objectRef"][field].as_str().unwrap_or_default();
        let what = match (of("resource"), of("subresource")) {
            ("secrets", _) => continue,
            ("", _) => event["requestURI"].as_str().unwrap_or_default().to_owned(),
            (resource, "") => resource.to_owned(),
            (resource, part) => format!("{resource}/{part}"),
        };
        let verb = event["verb"].as_str().unwrap_or_default();
        *calls.entry(format!("{verb} {what}")).or_default() += 1;
    }
    Ok(calls)
}
