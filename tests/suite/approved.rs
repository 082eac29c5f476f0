//! What people decide before a run: a plan waits for its approval or its dry run, runs as it was
//! approved, and not when it has become another one.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::cluster::{API_VERSION, is_current};
use crate::controller::{
    ROWS, SCHEMA, at_rest, begin, ends_as_one_run, hurry, ledger_state, left, stage,
    wait_until_it_changes_rows,
};
use crate::expect::Grants;
use crate::legal_hold;
use crate::rights::Account;
use crate::scenario::{Stage, TARGET};
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Case::on_each_with_operator(
        "approved::a_plan_waits_is_approved_and_runs_every_night_within_its_ceiling",
        &Server::ENGINES,
        approved,
    );
    cases.extend(Case::on_each_with_operator(
        "approved::a_dry_run_comes_first_unless_the_guard_is_lifted",
        &Server::ENGINES,
        dry_run,
    ));
    cases.extend(Case::on_each_with_operator(
        "approved::a_hold_that_is_released_voids_older_approvals_and_a_new_one_lets_it_run",
        &Server::ALL,
        loosened,
    ));
    for (name, body) in [
        (
            "an_edit_voids_an_approval_and_it_is_said_what_changed",
            edited as fn(&World, Server) -> Result<()>,
        ),
        (
            "a_changed_schema_voids_an_approval_before_anything_changes",
            altered,
        ),
        (
            "a_rejection_holds_until_its_author_thinks_better_of_it",
            rejected,
        ),
        ("four_eyes_are_those_of_two_people", four_eyes),
        (
            "an_approval_taken_back_stops_the_run_and_a_new_one_resumes_it",
            taken_back,
        ),
        ("a_rejection_stops_the_run", rejected_on_the_way),
        ("a_guard_that_is_tightened_stops_the_run", tightened),
    ] {
        let name = format!("approved::{name}");
        cases.extend(Case::on_each_with_operator(
            &name,
            &[Server::Postgres15],
            body,
        ));
    }
    cases
}

const POLICY: &str = "RetentionPolicy";

/// A policy of 20 expired rows whose database has these guards.
pub(crate) fn guarded<'w>(
    world: &'w World,
    server: Server,
    case: &str,
    guards: &Value,
) -> Result<Stage<'w>> {
    guarded_with(world, server, case, guards, "Enforce")
}

fn guarded_with<'w>(
    world: &'w World,
    server: Server,
    case: &str,
    guards: &Value,
    mode: &str,
) -> Result<Stage<'w>> {
    let database = world.database(server, case)?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    let manifests = crate::controller::POLICY.replace("mode: Enforce", &format!("mode: {mode}"));
    let stage = Stage::prepare(world, case, database, &manifests, Grants::Printed)?;
    expire(&stage, 0, 20)?;
    let mut objects = stage.objects(&manifests)?;
    for object in objects.iter_mut().filter(|o| o["kind"] == "TargetDatabase") {
        object["spec"]["guards"] = guards.clone();
    }
    stage.apply(&objects)?;
    Ok(stage)
}

/// Adds expired rows with the keys from `first` on.
fn expire(stage: &Stage<'_>, first: u32, count: u32) -> Result<()> {
    for id in first..first + count {
        let row =
            format!("INSERT INTO events VALUES ({id}, current_timestamp - INTERVAL '2' YEAR)");
        stage.world.block_on(stage.database.admin.execute(&row))?;
    }
    Ok(())
}

/// Lets people approve in the stage's namespace.
pub(crate) fn bind(stage: &Stage<'_>, people: &[&str]) -> Result<()> {
    for person in people {
        stage.namespace.apply_value(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": person},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "oubliette-approve"},
            "subjects": [{"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}],
        }))?;
    }
    Ok(())
}

/// What somebody decides about the plan in the policy's status; the answer is the Approval's name.
pub(crate) fn decide(
    stage: &Stage<'_>,
    by: &str,
    decision: &str,
    max_rows: Option<i64>,
) -> Result<String> {
    let policy = stage.namespace.get(POLICY, &stage.policy)?;
    let digest = policy.pointer("/status/plan/digest").context("no plan")?;
    let name = format!("approval-{}", next_number());
    let mut approval = json!({
        "apiVersion": API_VERSION, "kind": "Approval", "metadata": {"name": name},
        "spec": {
            "targetRef": {"kind": POLICY, "name": stage.policy, "uid": policy["metadata"]["uid"]},
            "decision": decision, "planDigest": digest, "by": by, "ground": "CHG-1042",
        },
    });
    if let Some(rows) = max_rows {
        approval["spec"]["maxRows"] = json!(rows);
    }
    let account = Account::of_person(stage.world, by)?;
    let create = ["create", "-f", "-", "-n", stage.namespace.name.as_str()];
    // A role that was just bound takes a moment.
    wait_for("the decision is taken", PATIENCE, || {
        let done = account.may(&create, &approval.to_string());
        Ok(done.map_err(|error| format!("{error:#}")))
    })?;
    Ok(name)
}

fn take_back(stage: &Stage<'_>, approval: &str) -> Result<()> {
    stage.namespace.delete(API_VERSION, "Approval", approval)
}

fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|condition| condition["type"] == kind)
}

/// Waits until the policy is at rest and Approved says this; the answer is its message.
pub(crate) fn wait_approved(stage: &Stage<'_>, status: &str, reason: &str) -> Result<String> {
    let what = format!("says Approved={status}, {reason}");
    let object = stage
        .namespace
        .wait_until(POLICY, &stage.policy, &what, PATIENCE, |object| {
            if object.pointer("/status/progress").is_some() || !is_current(object) {
                return Err("it is at work".to_owned());
            }
            if object.pointer("/status/planGeneration") != object.pointer("/metadata/generation") {
                return Err("it is not planned".to_owned());
            }
            let ready = condition(object, "Ready");
            if ready.is_none_or(|ready| ready["status"] == "Unknown") {
                return Err(format!("Ready is {ready:?}"));
            }
            match condition(object, "Approved") {
                Some(c) if c["status"] == status && c["reason"] == reason => Ok(()),
                other => Err(format!("Approved is {other:?}")),
            }
        })?;
    let message = condition(&object, "Approved").and_then(|c| c["message"].as_str());
    let ready = condition(&object, "Ready").context("no Ready condition")?;
    ensure!(
        ready["status"] == "True",
        "people are waited for, and Ready is {ready}"
    );
    Ok(message.unwrap_or_default().to_owned())
}

/// Asks for a run that does not come: the token is handled, nothing runs and no row changes.
pub(crate) fn nothing_runs(stage: &Stage<'_>, rows: i64) -> Result<()> {
    let token = stage.run_now()?;
    let what = "has handled the token and is at rest";
    let object = stage
        .namespace
        .wait_until(POLICY, &stage.policy, what, PATIENCE, |object| {
            let handled = object.pointer("/status/handledRunNow") == Some(&json!(token));
            let rests = object.pointer("/status/progress").is_none()
                && object.pointer("/status/openRun").is_none();
            if handled && rests {
                Ok(())
            } else {
                Err("not yet".to_owned())
            }
        })?;
    let changed = object
        .pointer("/status/history")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|past| past["run"].as_str().is_some_and(|run| run.contains(&token)));
    ensure!(
        changed.is_none_or(|past| past["outcome"] == "Stopped" && past["rowsChanged"] == 0),
        "it ran: {changed:?}"
    );
    let now = left(stage.world, stage)?;
    ensure!(now == rows, "{now} rows are left of {rows}");
    Ok(())
}

fn approved(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "approved", &guards)?;
    bind(&stage, &["dpo"])?;
    let message = wait_approved(&stage, "False", "ApprovalMissing")?;
    ensure!(message.contains("20 rows"), "{message}");
    nothing_runs(&stage, 20)?;
    let first = decide(&stage, "dpo", "Approve", Some(25))?;
    let message = wait_approved(&stage, "True", "Approved")?;
    ensure!(
        message.contains(&first) && message.contains("25 rows"),
        "{message}"
    );
    ensure!(
        left(world, &stage)? == 20,
        "an approval alone changes nothing"
    );
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    // The same plan the next night.
    expire(&stage, 100, 25)?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    // One row more than anybody allowed: none goes.
    expire(&stage, 200, 26)?;
    nothing_runs(&stage, 26)?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    ensure!(
        message.contains("26 rows") && message.contains("allows 25"),
        "{message}"
    );
    let second = decide(&stage, "dpo", "Approve", Some(26))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    take_back(&stage, &second)?;
    take_back(&stage, &first)?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    stage.namespace.finish()
}

/// A hold on all rows, or on none that there is.
fn hold(stage: &Stage<'_>, name: &str, operator: &str) -> Result<Value> {
    let table = stage.database.fill("${schema}.events");
    let mut object = legal_hold::hold(&stage.namespace, name, &table)?;
    object["spec"]["rows"]["where"] = json!([{"column": "happened_at", "operator": operator}]);
    stage.namespace.apply_value(&object)?;
    stage.namespace.wait_reason("LegalHold", name, "Held")?;
    Ok(object)
}

/// Waits until an approval that is made now is younger than what has just happened, however little
/// exactly the clocks are compared.
pub(crate) fn let_clocks_pass(since: jiff::Timestamp) -> Result<()> {
    wait_for("an approval is younger than the release", PATIENCE, || {
        let passed = jiff::Timestamp::now().duration_since(since).as_secs();
        Ok(if passed > 8 {
            Ok(())
        } else {
            Err(passed.to_string())
        })
    })
}

fn loosened(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "loosened", &guards)?;
    let namespace = &stage.namespace;
    let mut matter = hold(&stage, "matter", "IsNotNull")?;
    let other = hold(&stage, "other", "IsNull")?;
    bind(&stage, &["dpo"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    let first = decide(&stage, "dpo", "Approve", Some(25))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 20, "held rows are gone");

    matter["spec"]["release"] = json!({"reason": "LIT-2026-014/closed", "by": namespace.whoami()?});
    namespace.apply_value(&matter)?;
    namespace.wait_reason("LegalHold", "matter", "HoldReleased")?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    let full = format!("{}/matter", namespace.name);
    ensure!(
        message.contains(&first) && message.contains(&full) && !message.contains("LIT-"),
        "{message}"
    );
    nothing_runs(&stage, 20)?;
    let_clocks_pass(jiff::Timestamp::now())?;
    decide(&stage, "dpo", "Approve", Some(25))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);

    // One whose object is gone is released in the ledger, and no object tells it.
    expire(&stage, 100, 5)?;
    let id = namespace.get("LegalHold", "other")?;
    let id = id.pointer("/metadata/uid").and_then(Value::as_str);
    let id = id.context("no UID")?;
    namespace.delete(API_VERSION, "LegalHold", "other")?;
    wait_for(
        "the hold is gone and can be released by its id",
        PATIENCE,
        || {
            let release = [
                "release", "--id", id, "--reason", "LIT-9", "--by", "judge", "--yes",
            ];
            let released = legal_hold::command(&stage, &release)?;
            Ok(if released.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&released.stderr).into_owned())
            })
        },
    )?;
    nothing_runs(&stage, 5)?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    let full = other.pointer("/metadata/name").and_then(Value::as_str);
    ensure!(message.contains(full.unwrap_or_default()), "{message}");
    let_clocks_pass(jiff::Timestamp::now())?;
    decide(&stage, "dpo", "Approve", Some(25))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn edited(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "edited", &guards)?;
    bind(&stage, &["dpo"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    let approval = decide(&stage, "dpo", "Approve", Some(100))?;
    wait_approved(&stage, "True", "Approved")?;
    let limits = |limits: Value| json!({"spec": {"limits": limits}});
    stage
        .namespace
        .patch(POLICY, &stage.policy, &limits(json!({"maxRows": 90})))?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    ensure!(
        message.contains(&approval) && message.contains("changed since: the spec;"),
        "{message}"
    );
    nothing_runs(&stage, 20)?;
    // What is promised again as it was approved is approved.
    stage
        .namespace
        .patch(POLICY, &stage.policy, &limits(Value::Null))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn altered(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "altered", &guards)?;
    bind(&stage, &["dpo"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    decide(&stage, "dpo", "Approve", Some(100))?;
    wait_approved(&stage, "True", "Approved")?;
    let column = "ALTER TABLE events ADD COLUMN note text";
    world.block_on(stage.database.admin.execute(column))?;
    nothing_runs(&stage, 20)?;
    let message = wait_approved(&stage, "False", "ApprovalVoid")?;
    let what = "changed since: the schema of its tables;";
    ensure!(message.contains(what), "{message}");
    decide(&stage, "dpo", "Approve", Some(20))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn rejected(world: &World, server: Server) -> Result<()> {
    let guards = json!({"approval": "Required"});
    let stage = guarded(world, server, "rejected", &guards)?;
    bind(&stage, &["dpo", "lead"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    decide(&stage, "dpo", "Approve", Some(20))?;
    wait_approved(&stage, "True", "Approved")?;
    let rejection = decide(&stage, "lead", "Reject", None)?;
    let message = wait_approved(&stage, "False", "Rejected")?;
    ensure!(message.contains(&rejection), "{message}");
    nothing_runs(&stage, 20)?;
    // Of two words within one second the names decide; they ascend, but not as texts.
    wait_for("a second has passed", PATIENCE, || {
        let made = stage.namespace.get("Approval", &rejection)?;
        let at = made
            .pointer("/metadata/creationTimestamp")
            .and_then(Value::as_str);
        let at: jiff::Timestamp = at.context("no time")?.parse()?;
        let passed = jiff::Timestamp::now().duration_since(at).as_secs() >= 1;
        Ok(if passed {
            Ok(())
        } else {
            Err("the same second".to_owned())
        })
    })?;
    decide(&stage, "lead", "Approve", Some(20))?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

fn four_eyes(world: &World, server: Server) -> Result<()> {
    // The policy tightens what its database asks for.
    let stage = guarded(world, server, "four_eyes", &json!({"approval": "Required"}))?;
    let guards = json!({"spec": {"guards": {"approval": "FourEyes"}}});
    stage.namespace.patch(POLICY, &stage.policy, &guards)?;
    bind(&stage, &["dpo", "lead"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    decide(&stage, "dpo", "Approve", Some(50))?;
    decide(&stage, "dpo", "Approve", Some(50))?;
    let one = |stage: &Stage<'_>| -> Result<()> {
        wait_for("one person is not enough", PATIENCE, || {
            let message = wait_approved(stage, "False", "ApprovalMissing")?;
            let told = message.contains("is of one of them");
            Ok(if told { Ok(()) } else { Err(message) })
        })
    };
    one(&stage)?;
    nothing_runs(&stage, 20)?;
    one(&stage)?;
    decide(&stage, "lead", "Approve", Some(30))?;
    let message = wait_approved(&stage, "True", "Approved")?;
    ensure!(
        message.contains("30 rows"),
        "the lower of two ceilings: {message}"
    );
    // What the policy writes cannot loosen the database's guard.
    let guards = json!({"spec": {"guards": {"approval": "None"}}});
    stage.namespace.patch(POLICY, &stage.policy, &guards)?;
    wait_approved(&stage, "True", "Approved")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}

/// A slow policy that is approved and in the middle of its run.
fn on_the_way<'w>(
    world: &'w World,
    server: Server,
    case: &str,
) -> Result<(Stage<'w>, String, String)> {
    let stage = stage(world, server, case)?;
    stage
        .namespace
        .wait_reason(POLICY, &stage.policy, "Scheduled")?;
    let guards = json!({"spec": {"guards": {"approval": "Required"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &guards)?;
    bind(&stage, &["dpo"])?;
    wait_approved(&stage, "False", "ApprovalMissing")?;
    let approval = decide(&stage, "dpo", "Approve", Some(ROWS))?;
    wait_approved(&stage, "True", "Approved")?;
    let token = stage.run_now()?;
    wait_until_it_changes_rows(world, &stage, PATIENCE)?;
    Ok((stage, approval, token))
}

/// The run has stopped in its middle, stays open, and changes no row any more.
fn stopped(world: &World, stage: &Stage<'_>, reason: &str) -> Result<()> {
    wait_approved(stage, "False", reason)?;
    let object = at_rest(stage, reason)?;
    ensure!(
        object.pointer("/status/openRun").is_some(),
        "the run is not open"
    );
    let rest = left(world, stage)?;
    ensure!(rest > 0 && rest < ROWS, "{rest} rows are left of {ROWS}");
    ensure!(ledger_state(world, stage)?.as_deref() == Some("open"));
    Ok(())
}

fn taken_back(world: &World, server: Server) -> Result<()> {
    let (stage, approval, token) = on_the_way(world, server, "taken_back")?;
    take_back(&stage, &approval)?;
    stopped(world, &stage, "ApprovalMissing")?;
    hurry(&stage)?;
    let rest = left(world, &stage)?;
    decide(&stage, "dpo", "Approve", Some(ROWS))?;
    ensure!(rest > 0);
    ends_as_one_run(world, &stage, &token)
}

fn rejected_on_the_way(world: &World, server: Server) -> Result<()> {
    let (stage, _, token) = on_the_way(world, server, "rejected_on_the_way")?;
    bind(&stage, &["lead"])?;
    let rejection = decide(&stage, "lead", "Reject", None)?;
    stopped(world, &stage, "Rejected")?;
    hurry(&stage)?;
    // Whoever rejected takes it back.
    let lead = Account::of_person(world, "lead")?;
    lead.may(
        &["delete", "oap", &rejection, "-n", &stage.namespace.name],
        "",
    )?;
    ends_as_one_run(world, &stage, &token)
}

fn tightened(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "tightened")?;
    begin(world, &stage)?;
    let guards = json!({"spec": {"guards": {"approval": "Required"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &guards)?;
    stopped(world, &stage, "ApprovalMissing")?;
    stage.namespace.finish()
}

fn dry_run(world: &World, server: Server) -> Result<()> {
    // Nothing is said of guards: the default.
    let stage = guarded(world, server, "dry_run", &json!({}))?;
    let message = |object: &Value| -> String {
        let ready = condition(object, "Ready").and_then(|c| c["message"].as_str());
        ready.unwrap_or_default().to_owned()
    };
    let missing = at_rest(&stage, "DryRunMissing")?;
    ensure!(
        message(&missing).contains("no dry run is recorded"),
        "{missing}"
    );
    ensure!(condition(&missing, "Approved").is_none());
    nothing_runs(&stage, 20)?;
    let mode = |mode: &str| {
        let patch = json!({"spec": {"mode": mode}});
        stage.namespace.patch(POLICY, &stage.policy, &patch)
    };
    mode("DryRun")?;
    at_rest(&stage, "DryRun")?;
    mode("Enforce")?;
    at_rest(&stage, "Scheduled")?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    // Another plan was not tried.
    expire(&stage, 100, 5)?;
    let column = "ALTER TABLE events ADD COLUMN note text";
    world.block_on(stage.database.admin.execute(column))?;
    nothing_runs(&stage, 5)?;
    let missing = at_rest(&stage, "DryRunMissing")?;
    ensure!(
        message(&missing).contains("the schema of its tables"),
        "{missing}"
    );
    // The database's owner can do without.
    let guards = json!({"spec": {"guards": {"dryRun": "None"}}});
    stage.namespace.patch("TargetDatabase", TARGET, &guards)?;
    // Whether the plan or the last run is told depends on the second.
    let what = "waits for nobody";
    stage.namespace.wait_until(
        POLICY,
        &stage.policy,
        what,
        PATIENCE,
        |object| match condition(object, "Ready") {
            Some(ready) if ready["reason"] != "DryRunMissing" => Ok(()),
            other => Err(format!("Ready is {other:?}")),
        },
    )?;
    stage.run_to_end()?;
    ensure!(left(world, &stage)? == 0);
    stage.namespace.finish()
}
