//! What an operator tells from outside: what it waits for, that it lives, and what it counted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::case::{Case, Needs, Server};
use crate::expect::Grants;
use crate::operator::{Operator, SYSTEM_NAMESPACE, Settings, http_get};
use crate::scenario::Stage;
use crate::servers::free_address;
use crate::wait::{PATIENCE, wait_for};
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Case::on_each_with_operator(
        "health::metrics_tell_of_a_run",
        &Server::ENGINES,
        metrics_tell_of_a_run,
    );
    cases.push(Case::new(
        "health::an_operator_without_crds_waits_for_them_and_says_so",
        Needs::nothing(),
        waits_for_crds,
    ));
    cases
}

const SCHEMA: &str = "
CREATE TABLE learners (id integer PRIMARY KEY, left_at ${instant} NULL, full_name varchar(100));
INSERT INTO learners VALUES (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett'), (2, current_timestamp, 'Ibrahim Cole');
";

const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: learners}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: learners
    basis: "Names are kept for one year"
    table: ${schema}.learners
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
"#;

fn metrics_tell_of_a_run(world: &World, server: Server) -> Result<()> {
    let case = format!("metrics_{}", server.slug());
    let database = world.database(server, &case)?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    let stage = Stage::set(world, &case, database, POLICY, Grants::Printed)?;
    stage.run_to_end()?;
    let namespace = stage.namespace.name.clone();
    let series = |name: &str, rest: &str| {
        format!("{name}{{namespace=\"{namespace}\",policy=\"learners\"{rest}}} ")
    };
    // The status is written before the end is counted.
    wait_for("the metrics tell of the run", PATIENCE, || {
        let text = world.operator(Operator::metrics)?;
        let missing = [
            series("oubliette_runs_total", ",outcome=\"completed\"") + "1\n",
            series("oubliette_rows_changed_total", ",effect=\"deleted\"") + "1\n",
            series("oubliette_overdue_rows", "") + "0\n",
            series("oubliette_last_successful_run_timestamp_seconds", ""),
            series("oubliette_next_run_timestamp_seconds", ""),
            "oubliette_is_leader 1\n".to_owned(),
            "oubliette_batches_total{engine=".to_owned(),
        ]
        .into_iter()
        .find(|line| !text.contains(line.as_str()));
        Ok(match missing {
            None => Ok(()),
            Some(line) => Err(format!("{line:?} is not in the metrics")),
        })
    })?;
    stage.namespace.finish()?;
    wait_for("a deleted policy leaves no series", PATIENCE, || {
        let text = world.operator(Operator::metrics)?;
        Ok(
            match text
                .lines()
                .find(|line| line.contains(&format!("\"{namespace}\"")))
            {
                None => Ok(()),
                Some(line) => Err(line.to_owned()),
            },
        )
    })
}

fn waits_for_crds(world: &World) -> Result<()> {
    let cluster = bed::Cluster::start()?;
    cluster.kubectl(&["create", "namespace", SYSTEM_NAMESPACE], "")?;
    let settings = Settings {
        lease: "oubliette".to_owned(),
        identity: "early".to_owned(),
        watch_namespaces: Vec::new(),
        kubeconfig: cluster.kubeconfig.clone(),
        log: world.evidence.join("operator-early.log"),
        health: free_address()?,
    };
    let mut operator = Operator::start(&settings)?;
    let ask = |path: &str| http_get(&settings.health, path);
    wait_for("the operator names what it waits for", PATIENCE, || {
        Ok(match ask("/readyz") {
            Ok((503, body)) if body.contains("[-]crds pending\n") => Ok(()),
            Ok((code, body)) => Err(format!("/readyz answers {code}: {body}")),
            Err(error) => Err(format!("{error:#}")),
        })
    })?;
    ensure!(ask("/readyz/crds")?.0 == 503, "the gate is open");
    ensure!(
        ask("/livez")?.0 == 200,
        "a missing CRD is no reason to restart"
    );

    let crds = repository().join("crds");
    let crds = crds
        .to_str()
        .context("the repository's path is not UTF-8")?;
    cluster.kubectl(&["apply", "--server-side", "-f", crds], "")?;
    operator.wait_ready()?;
    let (code, body) = ask("/readyz?verbose")?;
    ensure!(
        code == 200 && body.contains("[+]crds ok\n[+]lease ok\n"),
        "{body}"
    );

    operator.terminate(Duration::from_secs(10))?;
    let holder = [
        "get",
        "lease",
        "oubliette",
        "-n",
        SYSTEM_NAMESPACE,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    let holder = cluster.kubectl(&holder, "")?;
    ensure!(holder.is_empty(), "the lease was not handed back: {holder}");
    Ok(())
}
