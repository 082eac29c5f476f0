//! What people get wrong: each gives a condition with a reason and a message that says what to do,
//! and the resource recovers by itself once it is put right.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::cluster::{API_VERSION, documents, expect_refused, ready};
use crate::expect::Grants;
use crate::printed;
use crate::scenario::{PSEUDONYM_KEY, Stage, TARGET};
use crate::sql::next_number;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each_with_operator(
            &format!("bad_input::{name}"),
            servers,
            body,
        ));
    };
    let engines = &Server::ENGINES;
    let one = &[Server::Postgres15];
    on("unknown_table", engines, unknown_table);
    on("unknown_column", engines, unknown_column);
    on("clock_that_is_no_date", engines, clock_that_is_no_date);
    on("unreachable_host", engines, unreachable_host);
    on("wrong_password", engines, wrong_password);
    on(
        "unverifiable_certificate",
        engines,
        unverifiable_certificate,
    );
    on("wrong_database_name", engines, wrong_database_name);
    on("no_right_to_connect", one, no_right_to_connect);
    on("wrong_engine", engines, wrong_engine);
    on("missing_secret", one, missing_secret);
    on("secret_without_a_role", one, secret_without_a_role);
    on("missing_pseudonym_key", one, missing_pseudonym_key);
    on("unfit_pseudonym_key", one, unfit_pseudonym_key);
    on("missing_database", one, missing_database);
    on(
        "database_of_another_namespace",
        one,
        database_of_another_namespace,
    );
    on("impossible_schedule", one, impossible_schedule);
    on("unknown_time_zone", one, unknown_time_zone);
    cases.push(Case::new(
        "bad_input::what_the_api_server_refuses",
        Needs::cluster(),
        refused_at_once,
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
  timeZone: Europe/London
  mode: Enforce
  rules:
  - name: learners
    basis: "Names are kept for one year"
    table: ${schema}.learners
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
"#;

/// A stage on which nothing is applied yet, and the good objects: the TargetDatabase, the policy.
fn stage<'w>(world: &'w World, server: Server, case: &str) -> Result<(Stage<'w>, Value, Value)> {
    let database = world.database(server, case)?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    let stage = Stage::prepare(world, case, database, POLICY, Grants::Printed)?;
    let mut objects = stage.objects(POLICY)?;
    let policy = objects.pop().context("no policy")?;
    let target = objects.pop().context("no TargetDatabase")?;
    Ok((stage, target, policy))
}

/// Puts a value in place.
fn set(object: &mut Value, pointer: &str, value: Value) -> Result<()> {
    *object
        .pointer_mut(pointer)
        .with_context(|| format!("no {pointer}"))? = value;
    Ok(())
}

/// Waits for a reason on one of the two resources, and for these words in its message.
fn complains(stage: &Stage<'_>, kind: &str, reason: &str, words: &[&str]) -> Result<()> {
    let name = if kind == "TargetDatabase" {
        TARGET
    } else {
        &stage.policy
    };
    let object = stage.namespace.wait_reason(kind, name, reason)?;
    let condition = ready(&object).context("no Ready condition")?;
    if condition["status"] != "False" {
        bail!("Ready is not False: {condition}");
    }
    let message = condition["message"].as_str().unwrap_or_default();
    for word in words {
        if !message.contains(word) {
            bail!("the message lacks {word:?}: {message}");
        }
    }
    Ok(())
}

/// Waits until the policy's condition says this.
fn complains_of(stage: &Stage<'_>, words: &str) -> Result<Value> {
    stage.namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        &format!("complains: {words}"),
        PATIENCE,
        |object| match ready(object).and_then(|c| c["message"].as_str()) {
            Some(message) if message.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
}

/// Waits until all is well, runs the policy, and looks at the rows.
fn recovers(world: &World, stage: &Stage<'_>) -> Result<()> {
    stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "Connected")?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    stage.run_to_end()?;
    let left = world.block_on(stage.database.admin.rows("SELECT id FROM learners"))?;
    if left != [[Some("2".to_owned())]] {
        bail!("the run left {left:?}");
    }
    stage.namespace.finish()
}

fn unknown_table(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "unknown_table")?;
    let mut bad = policy.clone();
    let misspelt = format!("{}.lerners", stage.database.schema());
    set(&mut bad, "/spec/rules/0/table", json!(misspelt))?;
    stage.apply(&[target, bad])?;
    complains(&stage, "RetentionPolicy", "TableMissing", &["lerners"])?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

fn unknown_column(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "unknown_column")?;
    let mut bad = policy.clone();
    set(&mut bad, "/spec/rules/0/since/column", json!("leftat"))?;
    stage.apply(&[target, bad])?;
    complains(
        &stage,
        "RetentionPolicy",
        "ColumnMissing",
        &["leftat", "learners"],
    )?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

fn clock_that_is_no_date(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "clock_that_is_no_date")?;
    let mut bad = policy.clone();
    set(&mut bad, "/spec/rules/0/since/column", json!("full_name"))?;
    stage.apply(&[target, bad])?;
    complains(&stage, "RetentionPolicy", "ColumnUnfit", &["full_name"])?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

fn unreachable_host(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "unreachable_host")?;
    let mut bad = target.clone();
    // Nothing listens on port 1.
    set(&mut bad, "/spec/connection/port", json!(1))?;
    stage.apply(&[bad, policy])?;
    complains(&stage, "TargetDatabase", "Unreachable", &[])?;
    complains(&stage, "RetentionPolicy", "DatabaseNotReady", &[TARGET])?;
    stage.apply(&[target])?;
    recovers(world, &stage)
}

fn wrong_password(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "wrong_password")?;
    stage
        .namespace
        .apply_value(&stage.credentials("not the password"))?;
    stage.apply(&[target, policy])?;
    complains(
        &stage,
        "TargetDatabase",
        "AuthenticationFailed",
        &["target-credentials"],
    )?;
    stage
        .namespace
        .apply_value(&stage.credentials(&stage.password))?;
    recovers(world, &stage)
}

fn unverifiable_certificate(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "unverifiable_certificate")?;
    // A perfectly good authority, but not the one that signed the server's certificate.
    let other = bed::Authority::new()?.pem();
    stage.namespace.apply_value(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "another-ca"},
        "data": {"ca.crt": other},
    }))?;
    let mut bad = target.clone();
    set(
        &mut bad,
        "/spec/connection/tls/ca/configMapRef/name",
        json!("another-ca"),
    )?;
    stage.apply(&[bad, policy])?;
    complains(&stage, "TargetDatabase", "CertificateInvalid", &[])?;
    stage.apply(&[target])?;
    recovers(world, &stage)
}

fn wrong_database_name(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "wrong_database_name")?;
    let mut bad = target.clone();
    set(
        &mut bad,
        "/spec/connection/database",
        json!("no_such_database"),
    )?;
    stage.apply(&[bad, policy])?;
    // Servers differ: MySQL does not tell a user without rights on a database whether it exists.
    let (reason, words) = if server.is_postgres() {
        ("NoSuchDatabase", "Correct `connection.database`")
    } else {
        (
            "MissingGrants",
            "there is no database `no_such_database`, or `",
        )
    };
    complains(
        &stage,
        "TargetDatabase",
        reason,
        &["no_such_database", words],
    )?;
    stage.apply(&[target])?;
    recovers(world, &stage)
}

/// The message has the statement that admits the user.
fn no_right_to_connect(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "no_right_to_connect")?;
    let administrator = &stage.database.admin;
    let revoke = format!(
        "REVOKE CONNECT ON DATABASE {} FROM PUBLIC, {}",
        stage.database.name, stage.user
    );
    world.block_on(administrator.execute(&revoke))?;
    stage.apply(&[target, policy])?;
    let printed = "GRANT CONNECT ON DATABASE";
    complains(&stage, "TargetDatabase", "MissingGrants", &[printed])?;
    let object = stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "MissingGrants")?;
    let message = ready(&object).and_then(|c| c["message"].as_str());
    let statement = message
        .and_then(|message| message.find(printed).map(|at| &message[at..]))
        .and_then(|rest| rest.split_once(';'))
        .context("the message prints no statement")?;
    world.block_on(administrator.execute(statement.0))?;
    recovers(world, &stage)
}

fn wrong_engine(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "wrong_engine")?;
    let mut bad = target.clone();
    let other = if server.is_postgres() {
        "MySQL"
    } else {
        "PostgreSQL"
    };
    set(&mut bad, "/spec/engine", json!(other))?;
    stage.apply(&[bad, policy])?;
    complains_somehow(&stage)?;
    // The engine is immutable: whoever got it wrong creates the resource anew.
    expect_refused(stage.namespace.apply_value(&target), "immutable")?;
    stage
        .namespace
        .delete(API_VERSION, "TargetDatabase", TARGET)?;
    wait_for("the TargetDatabase is gone", PATIENCE, || {
        let gone = stage
            .namespace
            .list(API_VERSION, "TargetDatabase")?
            .is_empty();
        Ok(if gone {
            Ok(())
        } else {
            Err("it is there".to_owned())
        })
    })?;
    stage.apply(&[target])?;
    recovers(world, &stage)
}

/// Waits until the TargetDatabase says that it cannot be used, for whatever reason.
fn complains_somehow(stage: &Stage<'_>) -> Result<()> {
    stage
        .namespace
        .wait_until(
            "TargetDatabase",
            TARGET,
            "is refused",
            PATIENCE,
            |object| match ready(object) {
                Some(c) if c["status"] == "False" && c["message"] != "" => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .map(|_| ())
}

fn missing_secret(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "missing_secret")?;
    stage
        .namespace
        .delete("v1", "Secret", "target-credentials")?;
    stage.apply(&[target, policy])?;
    complains(
        &stage,
        "TargetDatabase",
        "SecretMissing",
        &["target-credentials"],
    )?;
    stage
        .namespace
        .apply_value(&stage.credentials(&stage.password))?;
    recovers(world, &stage)
}

fn secret_without_a_role(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "secret_without_a_role")?;
    // Without the Roles that `oubliette rbac` prints.
    stage.namespace.apply_value(&target)?;
    stage.namespace.apply_value(&policy)?;
    complains(
        &stage,
        "TargetDatabase",
        "SecretForbidden",
        &["target-credentials", "oubliette rbac"],
    )?;
    stage.apply(&[target, policy])?;
    recovers(world, &stage)
}

fn missing_pseudonym_key(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "missing_pseudonym_key")?;
    let mut bad = policy.clone();
    set(
        &mut bad,
        "/spec/rules/0/action",
        json!({"type": "Anonymise", "columns": [{"column": "full_name", "strategy": "Pseudonym"}]}),
    )?;
    stage.apply(&[target])?;
    // Not even `oubliette rbac` takes it, so there are no Roles to apply with it.
    stage.namespace.apply_value(&bad)?;
    complains(&stage, "RetentionPolicy", "InvalidSpec", &["pseudonymKey"])?;
    bad["spec"]["pseudonymKey"] = json!({"secretRef": {"name": "no-such-key", "key": "key"}});
    stage.apply(&[bad])?;
    complains(&stage, "RetentionPolicy", "SecretMissing", &["no-such-key"])?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

/// A policy cannot have a Secret's content sent to its database that the operator reads for something
/// else; what the message prints is what it takes.
fn unfit_pseudonym_key(world: &World, server: Server) -> Result<()> {
    let (stage, target, mut policy) = stage(world, server, "unfit_pseudonym_key")?;
    set(
        &mut policy,
        "/spec/rules/0/action",
        json!({"type": "Anonymise", "columns": [{"column": "full_name", "strategy": "Pseudonym"}]}),
    )?;
    let refer = |policy: &mut Value, name: &str, key: &str| {
        policy["spec"]["pseudonymKey"] = json!({"secretRef": {"name": name, "key": key}});
    };
    // The Secret of a TargetDatabase's credentials, which a Role lets the operator read.
    refer(&mut policy, "target-credentials", "password");
    let objects = [target, policy];
    let user_may = printed::grants(&objects, &stage.user, Grants::Printed)?.unwrap_or_default();
    world.block_on(stage.database.admin.execute(&user_may))?;
    stage.apply(&objects)?;
    complains(
        &stage,
        "RetentionPolicy",
        "SecretUnfit",
        &["target-credentials is not of the type oubliette.dev/pseudonym-key"],
    )?;
    let [target, mut policy] = objects;
    refer(&mut policy, "own-key", "no");
    let secret = |kind: &str, content: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own-key"},
            "type": kind, "stringData": {"no": content},
        })
    };
    stage
        .namespace
        .apply_value(&secret("Opaque", PSEUDONYM_KEY))?;
    stage.apply(&[target, policy])?;
    complains(
        &stage,
        "RetentionPolicy",
        "SecretUnfit",
        &["own-key is not of the type"],
    )?;
    let anew = |secret: &Value| {
        stage.namespace.delete("v1", "Secret", "own-key")?;
        stage.namespace.apply_value(secret)
    };
    anew(&secret(
        "oubliette.dev/pseudonym-key",
        "of 31 bytes, which is too short",
    ))?;
    let object = complains_of(&stage, "less than 32 bytes")?;
    // What it prints, with a content of one's own.
    let message = ready(&object).and_then(|c| c["message"].as_str());
    let (_, manifest) = message
        .and_then(|message| message.split_once(":\napiVersion"))
        .context("the message prints no manifest")?;
    let mut printed = documents(&format!("apiVersion{manifest}"))?;
    set(&mut printed[0], "/stringData/no", json!(PSEUDONYM_KEY))?;
    // A key for other databases goes to none but those.
    let mut secret = printed.remove(0);
    secret["metadata"]["annotations"] = json!({"oubliette.dev/database": "other"});
    anew(&secret)?;
    let others = format!(
        "own-key is not for the TargetDatabase {}/{TARGET}",
        stage.namespace.name
    );
    complains_of(&stage, &others)?;
    secret["metadata"]["annotations"] =
        json!({"oubliette.dev/database": format!("other, {TARGET}")});
    stage.namespace.apply_value(&secret)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    stage.run_to_end()?;
    let left = "SELECT id FROM learners WHERE full_name LIKE 'p!_%' ESCAPE '!'";
    let left = world.block_on(stage.database.admin.rows(left))?;
    if left != [[Some("1".to_owned())]] {
        bail!("pseudonyms are in the rows {left:?}");
    }
    stage.namespace.finish()
}

fn missing_database(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "missing_database")?;
    stage.apply(&[policy])?;
    complains(&stage, "RetentionPolicy", "DatabaseNotFound", &[TARGET])?;
    stage.apply(&[target])?;
    recovers(world, &stage)
}

fn database_of_another_namespace(world: &World, server: Server) -> Result<()> {
    let (stage, target, mut policy) = stage(world, server, "database_of_another_namespace")?;
    stage.apply(&[target])?;
    let elsewhere = world.namespace("policies-of-others")?;
    policy["spec"]["databaseRef"] = json!({"name": TARGET, "namespace": stage.namespace.name});
    elsewhere.apply_value(&policy)?;
    elsewhere.wait_reason("RetentionPolicy", &stage.policy, "DatabaseNotUsable")?;
    stage.namespace.patch(
        "TargetDatabase",
        TARGET,
        &json!({"spec": {"usableFrom": {"from": "All"}}}),
    )?;
    elsewhere.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    elsewhere.finish()?;
    stage.namespace.finish()
}

fn impossible_schedule(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "impossible_schedule")?;
    let mut bad = policy.clone();
    // The thirty-first of February.
    set(&mut bad, "/spec/schedule", json!("0 3 31 2 *"))?;
    stage.apply(&[target])?;
    // Not even `oubliette rbac` takes it, so there are no Roles to apply with it.
    stage.namespace.apply_value(&bad)?;
    complains(&stage, "RetentionPolicy", "InvalidSpec", &["schedule"])?;
    set(&mut bad, "/spec/schedule", json!("61 3 * * *"))?;
    stage.namespace.apply_value(&bad)?;
    complains(&stage, "RetentionPolicy", "InvalidSpec", &["schedule"])?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

fn unknown_time_zone(world: &World, server: Server) -> Result<()> {
    let (stage, target, policy) = stage(world, server, "unknown_time_zone")?;
    let mut bad = policy.clone();
    set(&mut bad, "/spec/timeZone", json!("Europe/Camelot"))?;
    stage.apply(&[target])?;
    stage.namespace.apply_value(&bad)?;
    complains(
        &stage,
        "RetentionPolicy",
        "InvalidSpec",
        &["Europe/Camelot"],
    )?;
    stage.apply(&[policy])?;
    recovers(world, &stage)
}

/// Zero and negative periods, misspelt fields and the like do not get as far as the operator.
fn refused_at_once(world: &World) -> Result<()> {
    let namespace = world.namespace("refused_at_once")?;
    let good = crate::cluster::documents(&POLICY.replace("${schema}", "public"))?
        .pop()
        .context("no policy")?;
    for period in ["P0D", "-P6M", "P", "6 months", "PT5M"] {
        let mut bad = good.clone();
        set(&mut bad, "/spec/rules/0/expireAfter", json!(period))?;
        expect_refused(namespace.apply_value(&bad), "expireAfter")
            .with_context(|| period.to_owned())?;
    }
    let mut twice = good.clone();
    let rule = twice.pointer("/spec/rules/0").cloned().context("no rule")?;
    if let Some(rules) = twice
        .pointer_mut("/spec/rules")
        .and_then(Value::as_array_mut)
    {
        rules.push(rule);
    }
    expect_refused(namespace.apply_value(&twice), "unique")?;
    let mut misspelt = good.clone();
    misspelt["spec"]["limts"] = json!({"maxRows": 5});
    // An admission policy takes a moment to become active after its installation.
    wait_for("a misspelt field is refused", PATIENCE, || {
        // Another object each time: one that got in before is let be.
        misspelt["metadata"]["name"] = json!(format!("misspelt-{}", next_number()));
        Ok(expect_refused(namespace.apply_value(&misspelt), "limts").map_err(|e| format!("{e:#}")))
    })?;
    let mut action = good.clone();
    set(
        &mut action,
        "/spec/rules/0/action",
        json!({"type": "Shred"}),
    )?;
    expect_refused(namespace.apply_value(&action), "Shred")?;
    namespace.apply_value(&good).map(|_| ())?;
    let mut moved = good;
    set(&mut moved, "/spec/databaseRef/name", json!("elsewhere"))?;
    expect_refused(namespace.apply_value(&moved), "immutable")?;
    namespace.finish()
}
