//! What holds an operator up: a ledger that is locked, an API server that takes no status. It ends
//! all the same, and loses nothing of what it has to tell.

use anyhow::Result;
use oubliette_core::ledger::ACCEPT;
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::controller::{ENDED, begin, ends_as_one_run, hurry, own_operator, stage};
use crate::scenario::{Stage, TARGET};
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases, which run operators of their own.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        let needs = Needs::cluster().with(Server::Postgres15);
        Case::new(format!("held_up::{name}"), needs, body)
    };
    vec![
        case(
            "sigterm_ends_an_operator_that_waits_for_the_ledger_in_seconds",
            sigterm_while_the_ledger_is_locked,
        ),
        case(
            "what_could_not_be_written_is_found_again_and_counted",
            unwritten,
        ),
    ]
}

/// Whoever takes a run over waits longer for a lock of the ledger than a Pod is given to end.
fn sigterm_while_the_ledger_is_locked(world: &World) -> Result<()> {
    let stage = stage(world, Server::Postgres15, "sigterm_locked")?;
    let lease = format!("sigterm-locked-{}", next_number());
    let mut first = own_operator(world, &stage, &lease)?;
    first.wait_ready()?;
    let token = begin(world, &stage)?;
    first.terminate(ENDED)?;
    let holding = world.block_on(async {
        let mut session = stage.database.admin.session().await?;
        session.execute("BEGIN").await?;
        session
            .execute("UPDATE oubliette.run SET epoch = epoch")
            .await?;
        anyhow::Ok(session)
    })?;
    let mut second = own_operator(world, &stage, &lease)?;
    wait_for("the run is being taken over", PATIENCE, || {
        let waiting = world.block_on(stage.database.admin.number(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        ))?;
        Ok(if waiting > 0 {
            Ok(())
        } else {
            Err(stage.status_text())
        })
    })?;
    second.terminate(ENDED)?;
    drop(holding);
    hurry(&stage)?;
    let third = own_operator(world, &stage, &lease)?;
    ends_as_one_run(world, &stage, &token)?;
    drop(third);
    Ok(())
}

/// While the API server takes no status, a look finds that the password is wrong now.
fn unwritten(world: &World) -> Result<()> {
    let stage = stage(world, Server::Postgres15, "unwritten")?;
    let lease = format!("unwritten-{}", next_number());
    let mut operator = own_operator(world, &stage, &lease)?;
    operator.wait_ready()?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let refusal = refuse_status(&stage)?;
    stage
        .namespace
        .apply_value(&stage.credentials("no longer the password"))?;
    // Anything that asks for a look without being a new generation.
    let patch = json!({"metadata": {"annotations": {ACCEPT: "0123456789abcdef"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)?;
    let counted = |kind: &str, reason: &str| {
        let series =
            format!("oubliette_reconcile_failures_total{{kind=\"{kind}\",reason=\"{reason}\"}}");
        wait_for(&format!("{series} counts"), PATIENCE, || {
            let text = operator.metrics()?;
            Ok(if text.contains(&series) {
                Ok(())
            } else {
                Err(stage.status_text())
            })
        })
    };
    counted("TargetDatabase", "InternalError")?;
    stage.namespace.delete(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        &refusal,
    )?;
    stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "AuthenticationFailed")?;
    counted("TargetDatabase", "AuthenticationFailed")?;
    counted("RetentionPolicy", "DatabaseNotReady")?;
    stage.namespace.finish()
}

/// Has the API server refuse every status of a TargetDatabase in the stage's namespace, and waits
/// until it does. Returns the name of the binding.
fn refuse_status(stage: &Stage<'_>) -> Result<String> {
    let name = format!("suite-{}", stage.namespace.name);
    let version = "admissionregistration.k8s.io/v1";
    let on = |groups: Value, versions: Value, resources: Value| {
        json!({
            "apiGroups": groups, "apiVersions": versions, "resources": resources,
            "operations": ["CREATE", "UPDATE"],
        })
    };
    stage.namespace.apply_value(&json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": stage.namespace.name},
                },
                "resourceRules": [
                    on(json!(["oubliette.dev"]), json!(["*"]), json!(["targetdatabases/status"])),
                    on(json!([""]), json!(["v1"]), json!(["configmaps"])),
                ],
            },
            "validations": [{"expression": "false", "message": "held up by the suite"}],
        },
    }))?;
    stage.namespace.apply_value(&json!({
        "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }))?;
    // Policies take effect when the API server has noticed them; the ConfigMap shows it.
    wait_for("statuses are refused", PATIENCE, || {
        let probe = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"},
            "data": {"number": next_number().to_string()},
        });
        Ok(match stage.namespace.apply_value(&probe) {
            Ok(_) => Err("they are taken".to_owned()),
            Err(error) if format!("{error:#}").contains("held up by the suite") => Ok(()),
            Err(error) => return Err(error),
        })
    })?;
    Ok(name)
}
