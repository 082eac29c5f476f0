//! What the chart lets the operator's ServiceAccount do and what it keeps from it, and what its
//! admission policies keep from everybody else. Tried with the account's own token.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::chart;
use crate::cluster::{API_VERSION, Namespace, resource};
use crate::operator::SYSTEM_NAMESPACE;
use crate::printed;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("rights::{name}"), Needs::cluster(), body)
    };
    vec![
        case("secrets_by_printed_name_only", secrets_by_printed_name_only),
        case(
            "status_and_nothing_else_of_ours",
            status_and_nothing_else_of_ours,
        ),
        case(
            "one_lease_in_its_own_namespace",
            one_lease_in_its_own_namespace,
        ),
        case("nothing_of_other_people", nothing_of_other_people),
        case("nobody_else_writes_status", nobody_else_writes_status),
        case(
            "readers_read_and_who_is_bound_decides",
            readers_read_and_who_is_bound_decides,
        ),
        case(
            "holds_are_placed_and_released_in_ones_own_name",
            holds_in_ones_own_name,
        ),
        case(
            "a_misspelt_guard_is_refused_from_every_client",
            misspelt_guard_is_refused,
        ),
        case(
            "a_resource_being_deleted_lets_go_of_its_finalizer",
            finalizer_can_be_removed,
        ),
    ]
}

fn database(namespace: &str, secret: &str) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase",
        "metadata": {"name": "crm", "namespace": namespace},
        "spec": {
            "engine": "PostgreSQL", "suspend": true,
            "connection": {
                "host": "nowhere.invalid", "database": "crm",
                "credentials": {"secretRef": {"name": secret}},
            },
        },
    })
}

/// kubectl in the shoes of the ServiceAccount, or of a person.
pub(crate) struct Account<'w> {
    world: &'w World,
    kubeconfig: PathBuf,
    /// Whom the administrator poses as.
    person: Option<String>,
}

impl<'w> Account<'w> {
    /// The ServiceAccount.
    pub(crate) fn of(world: &'w World) -> Result<Self> {
        Ok(Self {
            world,
            kubeconfig: chart::operator_kubeconfig(world)?,
            person: None,
        })
    }

    /// A person, who may what the case's bindings say.
    pub(crate) fn of_person(world: &'w World, name: &str) -> Result<Self> {
        Ok(Self {
            world,
            kubeconfig: world.control_plane()?.cluster.kubeconfig.clone(),
            person: Some(format!("--as={name}")),
        })
    }

    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let person: Vec<&str> = self.person.as_deref().into_iter().collect();
        self.world.control_plane()?.cluster.kubectl_as(
            &self.kubeconfig,
            &[&person, arguments].concat(),
            input,
        )
    }

    pub(crate) fn may(&self, arguments: &[&str], input: &str) -> Result<()> {
        self.kubectl(arguments, input).map(drop)
    }

    /// Fails unless RBAC forbids it: an object that is missing is no refusal.
    pub(crate) fn may_not(&self, arguments: &[&str], input: &str) -> Result<()> {
        match self.kubectl(arguments, input) {
            Ok(_) => bail!("the ServiceAccount may: kubectl {}", arguments.join(" ")),
            Err(error) if format!("{error:#}").contains("is forbidden: User") => Ok(()),
            Err(error) => Err(error.context("not refused by RBAC, but for another reason")),
        }
    }
}

fn secrets_by_printed_name_only(world: &World) -> Result<()> {
    let namespace = world.namespace("secrets_by_name")?;
    let name = namespace.name.as_str();
    for secret in ["named", "other"] {
        namespace.apply_value(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": name},
            "stringData": {"username": "u", "password": "p"},
        }))?;
    }
    let account = Account::of(world)?;
    account.may_not(&["get", "secret", "named", "-n", name], "")?;
    namespace.apply(&printed::roles(&[database(name, "named")], name)?)?;
    wait_for("the printed Role is in force", PATIENCE, || {
        let got = account.may(&["get", "secret", "named", "-n", name], "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    account.may_not(&["get", "secret", "other", "-n", name], "")?;
    account.may_not(&["get", "secrets", "-n", name], "")?;
    account.may_not(&["delete", "secret", "named", "-n", name], "")?;
    account.may_not(&["get", "secrets", "-A"], "")?;
    account.may_not(&["get", "configmaps", "-A"], "")?;
    namespace.finish()
}

fn status_and_nothing_else_of_ours(world: &World) -> Result<()> {
    let namespace = world.namespace("status_only")?;
    let name = namespace.name.as_str();
    let object = database(name, "none");
    namespace.apply_value(&object)?;
    let account = Account::of(world)?;
    let with = |arguments: &[&'static str]| -> Vec<&str> { [arguments, &["-n", name]].concat() };
    account.may(&with(&["get", "targetdatabase", "crm"]), "")?;
    account.may(&with(&["get", "retentionpolicies"]), "")?;
    let status = json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase",
        "metadata": {"name": "crm", "namespace": name}, "status": {"version": "15.1"},
    })
    .to_string();
    let write_status = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=rights",
        "--subresource=status",
        "-f",
        "-",
    ];
    account.may(&with(&write_status), &status)?;
    account.may_not(
        &with(&[
            "patch",
            "targetdatabase",
            "crm",
            "--type=merge",
            "-p",
            "{\"spec\":{\"suspend\":false}}",
        ]),
        "",
    )?;
    account.may_not(
        &with(&[
            "annotate",
            "targetdatabase",
            "crm",
            "oubliette.dev/run-now=x",
        ]),
        "",
    )?;
    account.may_not(&with(&["delete", "targetdatabase", "crm"]), "")?;
    let another = object.to_string().replace("\"crm\"", "\"another\"");
    account.may_not(&with(&["create", "-f", "-"]), &another)?;
    namespace.finish()
}

fn one_lease_in_its_own_namespace(world: &World) -> Result<()> {
    let account = Account::of(world)?;
    account.may_not(
        &["get", "lease", "somebody-elses", "-n", SYSTEM_NAMESPACE],
        "",
    )?;
    account.may_not(&["get", "leases", "-n", SYSTEM_NAMESPACE], "")?;
    account.may_not(
        &["delete", "lease", chart::RELEASE, "-n", SYSTEM_NAMESPACE],
        "",
    )?;
    let lease = "{\"apiVersion\": \"coordination.k8s.io/v1\", \"kind\": \"Lease\", \"metadata\": {\"name\": \"x\"}}";
    account.may_not(&["create", "-n", "default", "-f", "-"], lease)
}

fn nothing_of_other_people(world: &World) -> Result<()> {
    let account = Account::of(world)?;
    account.may(&["get", "namespace", "default"], "")?;
    for kind in [
        "namespaces",
        "pods",
        "customresourcedefinitions",
        "clusterroles",
        "nodes",
    ] {
        account.may_not(&["get", kind, "-A"], "")?;
    }
    for kind in [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ] {
        account.may_not(&["delete", kind, "--all"], "")?;
    }
    Ok(())
}

fn nobody_else_writes_status(world: &World) -> Result<()> {
    let namespace = world.namespace("status_writer")?;
    let object = database(&namespace.name, "none");
    let cluster = &world.control_plane()?.cluster;
    let patch = [
        "patch",
        "targetdatabase",
        "crm",
        "-n",
        namespace.name.as_str(),
        "--subresource=status",
        "--type=merge",
        "-p",
        "{\"status\":{\"version\":\"forged\"}}",
    ];
    refused(&namespace, "only the operator's ServiceAccount", || {
        namespace.apply_value(&object)?;
        cluster.kubectl(&patch, "")
    })?;
    namespace.finish()
}

fn readers_read_and_who_is_bound_decides(world: &World) -> Result<()> {
    let namespace = world.namespace("people")?;
    let name = namespace.name.as_str();
    // The one role is Kubernetes' own, into which the chart's is aggregated; the other is the chart's.
    for (person, role) in [("reader", "view"), ("decider", "oubliette-databases-edit")] {
        namespace.apply_value(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}],
        }))?;
    }
    let (reader, decider) = (
        Account::of_person(world, "reader")?,
        Account::of_person(world, "decider")?,
    );
    let object = database(name, "none").to_string();
    let create = ["create", "-f", "-", "-n", name];
    let patch = |more: &[&'static str], patch| {
        let what = ["patch", "targetdatabase", "crm", "--type=merge", "-n", name];
        [&what, more, &["-p", patch]].concat()
    };
    let decision = patch(&[], "{\"spec\":{\"suspend\":false}}");
    let forgery = patch(
        &["--subresource=status"],
        "{\"status\":{\"version\":\"forged\"}}",
    );
    reader.may_not(&create, &object)?;
    decider.may(&create, &object)?;
    wait_for("the role is aggregated", PATIENCE, || {
        let got = reader.may(&["get", "odb,orp", "-n", name], "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    reader.may_not(&decision, "")?;
    decider.may(&decision, "")?;
    decider.may_not(&forgery, "")?;
    for account in [&reader, &decider] {
        account.may_not(&["get", "secrets", "-n", name], "")?;
        account.may_not(&["get", "odb", "-n", "default"], "")?;
    }
    namespace.finish()
}

fn holds_in_ones_own_name(world: &World) -> Result<()> {
    let namespace = world.namespace("holders")?;
    let name = namespace.name.as_str();
    for (person, role) in [
        ("dpo-one", "oubliette-dpo"),
        ("dpo-two", "oubliette-dpo"),
        ("engineer", "oubliette-edit"),
        ("onlooker", "view"),
    ] {
        namespace.apply_value(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}],
        }))?;
    }
    let person = |name| Account::of_person(world, name);
    let (one, two) = (person("dpo-one")?, person("dpo-two")?);
    let (engineer, onlooker) = (person("engineer")?, person("onlooker")?);
    let hold = |hold: &str, by: &str| {
        json!({
            "apiVersion": API_VERSION, "kind": "LegalHold", "metadata": {"name": hold},
            "spec": {
                "type": "Rows", "reason": "LIT-1", "placedBy": by, "reviewAt": "2040-01-01T00:00:00Z",
                "rows": {
                    "databaseRef": {"name": "crm"}, "table": "public.people",
                    "where": [{"column": "left_at", "operator": "IsNull"}],
                },
            },
        })
    };
    let create = ["create", "-f", "-", "-n", name];
    let release =
        |by: &str| json!({"spec": {"release": {"reason": "LIT-1", "by": by}}}).to_string();
    let patch = |patch: &str| -> Vec<String> {
        let what = ["patch", "olh", "a", "-n", name, "--type=merge", "-p", patch];
        what.iter().map(|&word| word.to_owned()).collect()
    };
    // An admission policy that was just installed takes a moment.
    wait_for("a forged name is refused", PATIENCE, || {
        match one.kubectl(&create, &hold("forged", "dpo-two").to_string()) {
            Ok(_) => {
                namespace.delete(API_VERSION, "LegalHold", "forged")?;
                Ok(Err("it was accepted".to_owned()))
            }
            Err(error) if format!("{error:#}").contains("spec.placedBy must be") => Ok(Ok(())),
            Err(error) => Ok(Err(format!("{error:#}"))),
        }
    })?;
    for other in [&engineer, &onlooker] {
        other.may_not(&create, &hold("a", "engineer").to_string())?;
    }
    let mut released = hold("forged", "dpo-one");
    released["spec"]["release"] = json!({"reason": "LIT-1", "by": "dpo-two"});
    is_refused(
        &one,
        &create,
        &released.to_string(),
        "spec.release.by must be",
    )?;
    one.may(&create, &hold("a", "dpo-one").to_string())?;
    wait_for("the role is aggregated", PATIENCE, || {
        let got = onlooker.may(&["get", "olh", "a", "-n", name], "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    engineer.may(&["get", "olh", "a", "-n", name], "")?;
    let forged = patch(&release("dpo-one"));
    let forged: Vec<&str> = forged.iter().map(String::as_str).collect();
    is_refused(&two, &forged, "", "spec.release.by must be")?;
    let own = patch(&release("dpo-two"));
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    for other in [&engineer, &onlooker] {
        other.may_not(&own, "")?;
        other.may_not(&["delete", "olh", "a", "-n", name], "")?;
    }
    two.may(&own, "")?;
    // Whoever does something else to it later need not be who released it.
    let later = patch("{\"spec\":{\"reviewAt\":\"2041-01-01T00:00:00Z\"}}");
    one.may(&later.iter().map(String::as_str).collect::<Vec<_>>(), "")?;
    for account in [&one, &two] {
        account.may_not(&["get", "secrets", "-n", name], "")?;
        account.may_not(&["delete", "orp", "any", "-n", name], "")?;
    }
    let status = [
        "patch",
        "olh",
        "a",
        "-n",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        "{\"status\":{\"heldRows\":1}}",
    ];
    one.may_not(&status, "")?;
    let outcome = world.control_plane()?.cluster.kubectl(&status, "");
    match outcome {
        Err(error) if format!("{error:#}").contains("only the operator's ServiceAccount") => {}
        other => bail!("the status was forged: {other:?}"),
    }
    namespace.finish()
}

/// Fails unless an admission policy refuses it with these words.
fn is_refused(account: &Account<'_>, arguments: &[&str], input: &str, words: &str) -> Result<()> {
    match account.kubectl(arguments, input) {
        Ok(_) => bail!("accepted: kubectl {}", arguments.join(" ")),
        Err(error) if format!("{error:#}").contains(words) => Ok(()),
        Err(error) => Err(error.context("refused, but for another reason")),
    }
}

fn misspelt_guard_is_refused(world: &World) -> Result<()> {
    let namespace = world.namespace("misspelt")?;
    let mut object = database(&namespace.name, "none");
    object["spec"]["guard"] = json!({"maxPercent": 20});
    let cluster = &world.control_plane()?.cluster;
    let path = format!(
        "/apis/{API_VERSION}/namespaces/{}/targetdatabases",
        namespace.name
    );
    let text = object.to_string();
    refused(&namespace, "guard", || {
        cluster.kubectl(&["create", "--raw", &path, "-f", "-"], &text)
    })?;
    refused(&namespace, "guard", || {
        cluster.kubectl(&["apply", "--validate=ignore", "-f", "-"], &text)
    })?;
    namespace.finish()
}

/// Waits until something is refused with these words: a policy that was just installed takes a
/// moment. What got through before is removed.
fn refused(
    namespace: &Namespace<'_>,
    words: &str,
    attempt: impl Fn() -> Result<String>,
) -> Result<()> {
    wait_for(
        &format!("it is refused ({words})"),
        PATIENCE,
        || match attempt() {
            Ok(_) => {
                namespace.delete(API_VERSION, "TargetDatabase", "crm")?;
                Ok(Err("it was accepted".to_owned()))
            }
            Err(error) if format!("{error:#}").contains(words) => Ok(Ok(())),
            Err(error) => Ok(Err(format!("{error:#}"))),
        },
    )
}

fn finalizer_can_be_removed(world: &World) -> Result<()> {
    let namespace = world.namespace("finalizer")?;
    let mut object = database(&namespace.name, "none");
    object["metadata"]["finalizers"] = json!(["oubliette.dev/held-by-a-case"]);
    namespace.apply_value(&object)?;
    namespace.delete(API_VERSION, "TargetDatabase", "crm")?;
    let kind = resource(API_VERSION, "TargetDatabase");
    let held = namespace.get_any(&kind, "crm")?;
    if held.pointer("/metadata/deletionTimestamp").is_none() {
        bail!("the finalizer does not hold: {held}");
    }
    namespace.patch(
        "TargetDatabase",
        "crm",
        &json!({"metadata": {"finalizers": null}}),
    )?;
    wait_for("it is gone", PATIENCE, || {
        Ok(match namespace.find_any(&kind, "crm")? {
            None => Ok(()),
            Some(_) => Err("it is there".to_owned()),
        })
    })
}
