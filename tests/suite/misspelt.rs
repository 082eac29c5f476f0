//! Fields that nobody knows, in manifests that the admission policy let pass: nothing runs, and what
//! runs stops.

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::cluster::{API_VERSION, resource};
use crate::controller::{
    EXPIRED, POLICY, ROWS, SCHEMA, at_rest, begin, ends_as_one_run, hurry, ledger_state, left,
    stage,
};
use crate::expect::Grants;
use crate::scenario::{Stage, TARGET};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| {
        let name = format!("misspelt::{name}");
        Case::on_each_with_operator(&name, &[Server::Postgres15], body)
    };
    [
        on("a_guard_by_raw_post_is_refused", misspelt_guard),
        on(
            "a_guard_of_the_database_stops_its_runs",
            misspelt_in_the_middle_of_the_database,
        ),
        on(
            "a_field_of_the_policy_stops_its_run",
            misspelt_in_the_middle_of_the_policy,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The chart's admission policy refuses it already; a cluster without that policy, or with an older
/// CRD, does not, and then the operator must.
fn misspelt_guard(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "misspelt_guard")?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    world.block_on(database.admin.execute(EXPIRED))?;
    let stage = Stage::set(world, "misspelt_guard", database, POLICY, Grants::Printed)?;
    let client = world.client()?;
    exempt(world, &stage.namespace.name)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;

    let mut policy = stage
        .objects(POLICY)?
        .into_iter()
        .find(|object| object["kind"] == "RetentionPolicy")
        .context("no policy")?;
    policy["metadata"]["name"] = json!("misspelt");
    policy["spec"]["schedule"] = json!("* * * * *");
    policy["spec"]["rules"][0]["wher"] = json!([{"column": "id", "operator": "IsNull"}]);
    let api: Api<DynamicObject> = Api::namespaced_with(
        client,
        &stage.namespace.name,
        &resource(API_VERSION, "RetentionPolicy"),
    );
    let object: DynamicObject = serde_json::from_value(policy)?;
    // The exemption is in force when the API server's own watch has seen it.
    wait_for("the API server takes the misspelt policy", PATIENCE, || {
        let posted = world.block_on(api.create(&PostParams::default(), &object));
        Ok(posted.map(|_| ()).map_err(|error| error.to_string()))
    })?;
    let seen = stage
        .namespace
        .wait_reason("RetentionPolicy", "misspelt", "UnknownField")?;
    let message = crate::cluster::ready(&seen)
        .and_then(|c| c["message"].as_str())
        .unwrap_or_default();
    ensure!(
        message.contains("spec.rules[0].wher") && message.contains("`where`"),
        "the message is {message}"
    );
    ensure!(left(world, &stage)? == ROWS, "rows went without the guard");
    // It stands in nobody's way either.
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    stage.namespace.finish()
}

/// What was misspelt in the middle of a run stops it; corrected, the run goes on.
fn misspelt_in_the_middle(
    world: &World,
    server: Server,
    kind: &str,
    reason: &str,
    misspelt: impl Fn(Value) -> Value,
) -> Result<()> {
    let stage = stage(world, server, "misspelt_in_the_middle")?;
    exempt(world, &stage.namespace.name)?;
    let token = begin(world, &stage)?;
    let name = if kind == "TargetDatabase" {
        TARGET
    } else {
        &stage.policy
    };
    let patch = misspelt(json!(5));
    wait_for("the API server takes the misspelt field", PATIENCE, || {
        let patched = stage.namespace.patch(kind, name, &patch);
        Ok(patched.map_err(|error| error.to_string()))
    })?;
    at_rest(&stage, reason)?;
    ensure!(
        left(world, &stage)? > 0,
        "the run was over before the field was misspelt"
    );
    ensure!(
        ledger_state(world, &stage)?.as_deref() == Some("open"),
        "the ledger ended the run"
    );
    stage.namespace.patch(kind, name, &misspelt(Value::Null))?;
    hurry(&stage)?;
    ends_as_one_run(world, &stage, &token)
}

fn misspelt_in_the_middle_of_the_database(world: &World, server: Server) -> Result<()> {
    misspelt_in_the_middle(
        world,
        server,
        "TargetDatabase",
        "DatabaseNotReady",
        |value| json!({"spec": {"guards": {"maxPercnt": value}}}),
    )
}

fn misspelt_in_the_middle_of_the_policy(world: &World, server: Server) -> Result<()> {
    misspelt_in_the_middle(
        world,
        server,
        "RetentionPolicy",
        "UnknownField",
        |value| json!({"spec": {"limts": value}}),
    )
}

/// Takes one namespace out of the reach of the known-fields policies.
pub(crate) fn exempt(world: &World, namespace: &str) -> Result<()> {
    // One label for all cases: whoever comes second writes the same.
    const LABEL: &str = "oubliette.dev/no-known-fields";
    let client = world.client()?;
    let bindings: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &resource(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
        ),
    );
    let selector = json!({"spec": {"matchResources": {"namespaceSelector": {
        "matchExpressions": [{"key": LABEL, "operator": "DoesNotExist"}],
    }}}});
    let namespaces: Api<DynamicObject> = Api::all_with(client, &resource("v1", "Namespace"));
    let labelled = json!({"metadata": {"labels": {LABEL: "true"}}});
    world.block_on(async {
        let all = bindings.list(&kube::api::ListParams::default()).await?;
        for binding in all {
            let name = binding.metadata.name.unwrap_or_default();
            if name.contains("known-fields-") {
                let parameters = PatchParams::default();
                bindings
                    .patch(&name, &parameters, &Patch::Merge(&selector))
                    .await?;
            }
        }
        let parameters = PatchParams::default();
        namespaces
            .patch(namespace, &parameters, &Patch::Merge(&labelled))
            .await?;
        Ok(())
    })
}
