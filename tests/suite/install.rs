//! The chart with everything in it, installed into a control plane of the case's own as people do
//! (`helm template | kubectl apply`), and an operator that works there with no more rights than the
//! Roles in the namespaces it watches.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::chart::{self, EVERYTHING, RELEASE};
use crate::cluster::{API_VERSION, Namespace, documents, ready};
use crate::expect::Grants;
use crate::operator::{Operator, SYSTEM_NAMESPACE, Settings};
use crate::packaged::{RAW, chart_annotation, monitoring_definitions};
use crate::rights::Account;
use crate::scenario::Stage;
use crate::servers::free_address;
use crate::wait::{PATIENCE, wait_for};
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new(
        "install::an_operator_with_roles_in_two_namespaces_works_in_these_and_asks_for_no_more",
        Needs::server(Server::Postgres15),
        in_two_namespaces,
    )]
}

const SCHEMA: &str = "
CREATE TABLE enquiries (id integer PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO enquiries VALUES (1, current_timestamp - INTERVAL '2' YEAR), (2, current_timestamp);
";

const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: enquiries}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: enquiries
    basis: "Enquiries are kept for one year"
    table: ${schema}.enquiries
    expireAfter: P1Y
    since: {column: at}
    action: {type: Delete}
"#;

/// kubectl as people are told to use it.
const APPLY: [&str; 5] = ["apply", "--server-side", "--validate=strict", "-f", "-"];

fn in_two_namespaces(outer: &World) -> Result<()> {
    let world = outer.beside(bed::Cluster::start()?)?;
    let cluster = &world.control_plane()?.cluster;
    let system = Namespace::create(&world, SYSTEM_NAMESPACE)?;
    // As strict as Kubernetes is: a Pod that asks for too much is not made.
    system.apply_value(&json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": SYSTEM_NAMESPACE,
            "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        },
    }))?;
    let monitoring = monitoring_definitions()?;
    cluster.kubectl(&APPLY, &monitoring)?;
    chart::wait_until_served(&system, &documents(&monitoring)?)?;

    let database = world.database(Server::Postgres15, "installed")?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    let stage = Stage::prepare(&world, "watched", database, POLICY, Grants::Printed)?;
    let quiet = world.namespace("watched_too")?;
    let elsewhere = world.namespace("not_watched")?;
    let watched = format!("{},{}", stage.namespace.name, quiet.name);
    let rendered = chart::template_text(&[
        "--values",
        EVERYTHING,
        "--set",
        &format!("watchNamespaces={{{watched}}}"),
        "--set",
        &format!("rbac.requestNamespaces={{{watched}}}"),
    ])?;
    cluster.kubectl(&APPLY, &rendered)?;
    chart::wait_until_served(&system, &documents(&rendered)?)?;
    pods_are_made(&system)?;

    let objects = stage.objects(POLICY)?;
    stage.apply(&objects)?;
    for object in &objects {
        elsewhere.apply_value(object)?;
    }
    let mut operator = Operator::start(&Settings {
        lease: RELEASE.to_owned(),
        identity: "installed".to_owned(),
        // As the chart has it.
        watch_namespaces: vec![watched],
        kubeconfig: chart::operator_kubeconfig(&world)?,
        log: world.evidence.join("operator-installed.log"),
        health: free_address()?,
    })?;
    operator.wait_ready()?;
    stage.run_to_end()?;
    let left = world.block_on(
        stage
            .database
            .admin
            .number("SELECT count(*) FROM enquiries"),
    )?;
    ensure!(left == 1, "{left} rows are left");
    wait_for("an event tells of it", PATIENCE, || {
        let events = stage.namespace.list("events.k8s.io/v1", "Event")?;
        let ours = |event: &Value| event["reportingController"] == "oubliette";
        Ok(if events.iter().any(ours) {
            Ok(())
        } else {
            Err(format!("{} events, none of ours", events.len()))
        })
    })?;
    what_cannot_be_used_is_counted(&quiet, &objects, &operator)?;
    let untouched = elsewhere.get("RetentionPolicy", &stage.policy)?;
    ensure!(
        ready(&untouched).is_some_and(|condition| condition["reason"] == "Pending"),
        "a policy outside the namespaces was looked at: {untouched}"
    );
    operator.terminate(Duration::from_secs(20))?;

    no_more_than_that(&world, &stage.namespace, &elsewhere)?;
    asked_for_no_more(&world)?;
    what_is_published_is_accepted(&world)?;
    for namespace in [&stage.namespace, &quiet, &elsewhere] {
        namespace.finish()?;
    }
    Ok(())
}

/// Manifests that no job is made from: nobody would be told of them by the end of one.
fn what_cannot_be_used_is_counted(
    quiet: &Namespace<'_>,
    objects: &[Value],
    operator: &Operator,
) -> Result<()> {
    // As in a cluster without the admission policies: little else gets as far as the operator.
    quiet.delete(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "oubliette-known-fields-targetdatabases",
    )?;
    for object in objects {
        let mut bad = object.clone();
        if bad["kind"] == "RetentionPolicy" {
            // The thirty-first of February.
            bad["spec"]["schedule"] = json!("0 3 31 2 *");
        } else {
            bad["spec"]["guard"] = json!({"maxPercent": 20});
        }
        wait_for("it is accepted", PATIENCE, || {
            let applied = quiet.apply_value(&bad);
            Ok(applied.map(drop).map_err(|error| format!("{error:#}")))
        })?;
    }
    wait_for("both are counted", PATIENCE, || {
        let text = operator.metrics()?;
        let missing = [
            "{kind=\"RetentionPolicy\",reason=\"InvalidSpec\"} ",
            "{kind=\"TargetDatabase\",reason=\"UnknownField\"} ",
        ]
        .into_iter()
        .find(|series| !text.contains(series));
        Ok(missing.map_or(Ok(()), |series| {
            Err(format!("{series} is not in the metrics"))
        }))
    })
}

/// The Deployment's Pods come as far as they do without a node.
fn pods_are_made(system: &Namespace<'_>) -> Result<()> {
    wait_for("both Pods are made", PATIENCE, || {
        let pods = system.list("v1", "Pod")?;
        Ok(if pods.len() == 2 {
            Ok(())
        } else {
            let sets = system.list("apps/v1", "ReplicaSet")?;
            let why: Vec<String> = sets
                .iter()
                .map(|set| set["status"]["conditions"].to_string())
                .collect();
            Err(format!("{} Pods; ReplicaSets: {why:?}", pods.len()))
        })
    })
}

fn no_more_than_that(
    world: &World,
    watched: &Namespace<'_>,
    elsewhere: &Namespace<'_>,
) -> Result<()> {
    let account = Account::of(world)?;
    let elsewhere = elsewhere.name.as_str();
    account.may_not(&["get", "orp", "-A"], "")?;
    account.may_not(&["get", "orp", "-n", elsewhere], "")?;
    account.may_not(&["get", "odb", "target", "-n", elsewhere], "")?;
    account.may_not(&["get", "namespace", elsewhere], "")?;
    account.may_not(&["get", "namespaces"], "")?;
    account.may_not(&["delete", "orp", "--all", "-n", &watched.name], "")
}

/// The API server refused the operator nothing while it worked: what it asks for is what the chart gives.
/// (The refusals that this case provoked came from kubectl.)
fn asked_for_no_more(world: &World) -> Result<()> {
    let path = world.control_plane()?.cluster.audit_log();
    // A cluster of somebody else's shows none.
    let Some(path) = path else { return Ok(()) };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let account = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{RELEASE}");
    let mut seen = 0;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        let agent = event["userAgent"].as_str().unwrap_or_default();
        if event["user"]["username"] != account.as_str() || agent.starts_with("kubectl") {
            continue;
        }
        seen += 1;
        ensure!(
            event["responseStatus"]["code"] != 403,
            "the operator was refused: {}",
            event["requestURI"]
        );
    }
    ensure!(seen > 0, "the audit log does not show the operator");
    Ok(())
}

/// The raw manifests and the chart's examples, as the API server and the admission policies see them.
fn what_is_published_is_accepted(world: &World) -> Result<()> {
    let cluster = &world.control_plane()?.cluster;
    let raw = std::fs::read_to_string(repository().join(RAW))?;
    let dry = ["--dry-run=server", "--force-conflicts"];
    let apply = [&APPLY[..], &dry].concat();
    cluster
        .kubectl(&apply, &raw)
        .with_context(|| format!("{RAW} is refused"))?;
    let examples = documents(&chart_annotation("artifacthub.io/crdsExamples")?)?;
    let examples = examples.first().and_then(Value::as_array);
    let examples = examples.context("the chart has no examples")?;
    ensure!(examples.len() == 2, "there are {} examples", examples.len());
    for example in examples {
        ensure!(example["apiVersion"] == API_VERSION, "{example}");
        cluster
            .kubectl(&apply, &example.to_string())
            .context("an example of the chart is refused")?;
    }
    Ok(())
}
