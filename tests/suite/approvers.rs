//! Who may decide about plans: the chart's roles and admission policies on the real API server, every
//! allow and every deny tried by the person whom it concerns.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs};
use crate::chart;
use crate::cluster::{API_VERSION, Namespace};
use crate::rights::Account;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("approvers::{name}"), Needs::cluster(), body)
    };
    vec![
        case("who_writes_policies_does_not_approve_them", writers),
        case("who_writes_policies_cannot_loosen_what_binds_them", owners),
        case("an_approval_speaks_for_whoever_makes_it", own_name),
        case("approving_needs_the_verb_and_rejecting_does_not", verb),
        case(
            "an_approval_is_never_changed_not_even_by_an_admin",
            immutable,
        ),
        case("a_rejection_is_taken_back_by_its_author", rejections),
        case("the_server_can_write_the_name", mutated),
    ]
}

/// The words of the API server where RBAC, an admission policy or the schema says no.
pub(crate) const RBAC: &str = "is forbidden: User";
pub(crate) const NOT_YOU: &str = "spec.by must be you";
pub(crate) const NO_VERB: &str = "needs the verb approve";
const IMMUTABLE: &str = "an Approval is immutable";
const NOT_YOURS: &str = "only whoever rejected";

fn approval(namespace: &Namespace<'_>, name: &str, by: &str, decision: &str) -> Value {
    let mut approval = json!({
        "apiVersion": API_VERSION, "kind": "Approval",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {
            "targetRef": {"kind": "RetentionPolicy", "name": "enquiries", "uid": "u-1"},
            "decision": decision, "by": by,
            "planDigest": format!("sha256:{}", "0".repeat(64)),
        },
    });
    if decision == "Approve" {
        approval["spec"]["maxRows"] = json!(12);
    }
    approval
}

pub(crate) fn bind(namespace: &Namespace<'_>, person: &str, kind: &str, role: &str) -> Result<()> {
    namespace.apply_value(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": format!("{person}-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": person, "apiGroup": "rbac.authorization.k8s.io"}],
    }))?;
    Ok(())
}

/// A namespace in which eng writes policies and dpo approves.
fn people<'w>(world: &'w World, case: &str) -> Result<(Namespace<'w>, Account<'w>, Account<'w>)> {
    let namespace = world.namespace(case)?;
    bind(&namespace, "eng", "ClusterRole", "oubliette-edit")?;
    bind(&namespace, "dpo", "ClusterRole", "oubliette-approve")?;
    let eng = Account::of_person(world, "eng")?;
    let dpo = Account::of_person(world, "dpo")?;
    Ok((namespace, eng, dpo))
}

/// Waits until somebody may create an object: a role that was just bound takes a moment.
pub(crate) fn creates(account: &Account<'_>, object: &Value) -> Result<()> {
    wait_for("it may be created", PATIENCE, || {
        let done = account.may(&["create", "-f", "-"], &object.to_string());
        Ok(done.map_err(|error| format!("{error:#}")))
    })
}

/// Waits until something is refused with these words: a policy that was just installed takes a moment.
/// `undo`: takes back what got through before.
pub(crate) fn refused(
    words: &str,
    attempt: impl Fn() -> Result<String>,
    undo: impl Fn() -> Result<()>,
) -> Result<()> {
    let what = format!("it is refused ({words})");
    wait_for(&what, PATIENCE, || match attempt() {
        Ok(_) => {
            undo()?;
            Ok(Err("it was accepted".to_owned()))
        }
        Err(error) if format!("{error:#}").contains(words) => Ok(Ok(())),
        Err(error) => Ok(Err(format!("{error:#}"))),
    })
}

/// The creation of an object is refused with these words.
pub(crate) fn is_refused(
    namespace: &Namespace<'_>,
    account: &Account<'_>,
    object: &Value,
    words: &str,
) -> Result<()> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").context("no name")?;
    let version = text("/apiVersion").context("no version")?;
    let kind = text("/kind").context("no kind")?;
    let create = ["create", "-f", "-"];
    refused(
        words,
        || account.kubectl(&create, &object.to_string()),
        || namespace.delete(version, kind, name),
    )
}

fn owners(world: &World) -> Result<()> {
    let (namespace, eng, dpo) = people(world, "owners")?;
    bind(
        &namespace,
        "owner",
        "ClusterRole",
        "oubliette-databases-edit",
    )?;
    let owner = Account::of_person(world, "owner")?;
    let object = |kind: &str, name: &str| {
        json!({
            "apiVersion": API_VERSION, "kind": kind,
            "metadata": {"name": name, "namespace": namespace.name},
            "spec": {},
        })
    };
    let asked = json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase",
        "metadata": {"name": "crm", "namespace": namespace.name},
        "spec": {
            "engine": "PostgreSQL",
            "connection": {
                "host": "nowhere.invalid", "database": "crm",
                "credentials": {"secretRef": {"name": "none"}},
            },
            "guards": {"approval": "Required"},
        },
    });
    creates(&owner, &asked)?;
    let mut policy = object("RetentionPolicy", "enquiries");
    policy["spec"] = json!({
        "databaseRef": {"name": "crm"}, "schedule": "0 3 1 1 *", "rules": [{
            "name": "enquiries", "basis": "Enquiries are kept for a year",
            "table": "public.enquiries", "expireAfter": "P1Y", "since": {"column": "left_at"},
            "action": {"type": "Delete"},
        }],
    });
    creates(&eng, &policy)?;
    let patch = |kind: &'static str, name: &'static str, patch: &'static str| -> Vec<&str> {
        let what = ["patch", kind, name, "--type=merge", "-p", patch, "-n"];
        [&what, [namespace.name.as_str()].as_slice()].concat()
    };
    for loosened in [
        "{\"spec\":{\"guards\":{\"approval\":\"None\"}}}",
        "{\"spec\":{\"guards\":null}}",
        "{\"spec\":{\"pacing\":{\"windows\":null}}}",
        "{\"spec\":{\"usableFrom\":{\"from\":\"All\"}}}",
    ] {
        eng.may_not(&patch("odb", "crm", loosened), "")?;
        dpo.may_not(&patch("odb", "crm", loosened), "")?;
    }
    // Nor around it: another TargetDatabase of the same place would have no guards.
    let other = object("TargetDatabase", "mine").to_string();
    eng.may_not(&["create", "-f", "-"], &other)?;
    let delete = ["delete", "odb", "crm", "-n", namespace.name.as_str()];
    eng.may_not(&delete, "")?;
    let suspended = "{\"spec\":{\"suspend\":true}}";
    eng.may(&patch("orp", "enquiries", suspended), "")?;
    owner.may_not(&patch("orp", "enquiries", suspended), "")?;
    owner.may(&patch("odb", "crm", suspended), "")?;
    for kind in ["Approval", "LegalHold", "DataMap"] {
        let own = object(kind, "own").to_string();
        owner.may_not(&["create", "-f", "-"], &own)?;
    }
    for account in [&eng, &owner] {
        let kinds = "odb,orp,olh,odm,oap";
        account.may(&["get", kinds, "-n", namespace.name.as_str()], "")?;
        account.may_not(&["get", "secrets", "-n", namespace.name.as_str()], "")?;
    }
    owner.may(&delete, "")?;
    namespace.finish()
}

fn writers(world: &World) -> Result<()> {
    let (namespace, eng, dpo) = people(world, "writers")?;
    creates(&dpo, &approval(&namespace, "good", "dpo", "Approve"))?;
    for decision in ["Approve", "Reject", "RequestChanges"] {
        let own = approval(&namespace, "own", "eng", decision);
        is_refused(&namespace, &eng, &own, RBAC)?;
    }
    let with = |arguments: &[&'static str]| -> Vec<&str> {
        [arguments, &["-n", namespace.name.as_str()]].concat()
    };
    eng.may(&with(&["get", "oap", "good"]), "")?;
    eng.may_not(&with(&["delete", "oap", "good"]), "")?;
    dpo.may(&with(&["get", "orp,odb,oap"]), "")?;
    let policy = json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy",
        "metadata": {"name": "enquiries", "namespace": namespace.name}, "spec": {},
    });
    dpo.may_not(&["create", "-f", "-"], &policy.to_string())?;
    dpo.may_not(&with(&["annotate", "oap", "good", "a=b"]), "")?;
    // A reader reads them, as everything of ours.
    bind(&namespace, "reader", "ClusterRole", "view")?;
    let reader = Account::of_person(world, "reader")?;
    wait_for("the role is aggregated", PATIENCE, || {
        let got = reader.may(&with(&["get", "oap"]), "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    let theirs = approval(&namespace, "theirs", "reader", "Reject");
    is_refused(&namespace, &reader, &theirs, RBAC)?;
    // The operator reads and writes nothing.
    let operator = Account::of(world)?;
    operator.may(&with(&["get", "oap", "good"]), "")?;
    operator.may_not(&with(&["delete", "oap", "good"]), "")?;
    let by = "system:serviceaccount:oubliette-system:oubliette";
    let own = approval(&namespace, "operator", by, "Approve");
    is_refused(&namespace, &operator, &own, RBAC)?;
    namespace.finish()
}

fn own_name(world: &World) -> Result<()> {
    let (namespace, _, dpo) = people(world, "own_name")?;
    creates(&dpo, &approval(&namespace, "own", "dpo", "Approve"))?;
    for decision in ["Approve", "Reject"] {
        let forged = approval(&namespace, "forged", "lead", decision);
        is_refused(&namespace, &dpo, &forged, NOT_YOU)?;
        // An administrator is a person as well.
        let admin = Account::of_person(world, "root")?;
        bind(&namespace, "root", "ClusterRole", "cluster-admin")?;
        is_refused(&namespace, &admin, &forged, NOT_YOU)?;
    }
    let mut nameless = approval(&namespace, "nameless", "dpo", "Approve");
    nameless["spec"]["by"].take();
    is_refused(&namespace, &dpo, &nameless, "by")?;
    namespace.finish()
}

fn verb(world: &World) -> Result<()> {
    let (namespace, _, dpo) = people(world, "verb")?;
    // May create Approvals, and has the verb for no policy, or another one.
    namespace.apply_value(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "objector"},
        "rules": [{"apiGroups": ["oubliette.dev"], "resources": ["approvals"], "verbs": ["create"]}],
    }))?;
    namespace.apply_value(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "approver-of-another"},
        "rules": [{
            "apiGroups": ["oubliette.dev"], "resources": ["retentionpolicies"],
            "resourceNames": ["another"], "verbs": ["approve"],
        }],
    }))?;
    bind(&namespace, "objector", "Role", "objector")?;
    bind(&namespace, "objector", "Role", "approver-of-another")?;
    let objector = Account::of_person(world, "objector")?;
    creates(
        &objector,
        &approval(&namespace, "rejection", "objector", "Reject"),
    )?;
    creates(
        &objector,
        &approval(&namespace, "changes", "objector", "RequestChanges"),
    )?;
    let own = approval(&namespace, "own", "objector", "Approve");
    is_refused(&namespace, &objector, &own, NO_VERB)?;
    let mut another = approval(&namespace, "another", "objector", "Approve");
    another["spec"]["targetRef"]["name"] = json!("another");
    creates(&objector, &another)?;
    creates(&dpo, &approval(&namespace, "good", "dpo", "Approve"))?;
    namespace.finish()
}

fn immutable(world: &World) -> Result<()> {
    let (namespace, _, dpo) = people(world, "immutable")?;
    creates(&dpo, &approval(&namespace, "good", "dpo", "Approve"))?;
    bind(&namespace, "root", "ClusterRole", "cluster-admin")?;
    let admin = Account::of_person(world, "root")?;
    let change = |account: &Account<'_>, spec: Value| {
        let patch = json!({"spec": spec}).to_string();
        let what = [
            "patch",
            "oap",
            "good",
            "--type=merge",
            "-n",
            &namespace.name,
            "-p",
            &patch,
        ];
        account.kubectl(&what, "")
    };
    for (field, value) in [
        ("maxRows", json!(1_000_000)),
        ("maxRows", Value::Null),
        ("decision", json!("Reject")),
        ("by", json!("root")),
        ("ground", json!("CHG-1")),
        ("planDigest", json!(format!("sha256:{}", "1".repeat(64)))),
        ("targetRef", json!({"uid": "u-2"})),
    ] {
        let Err(error) = change(&admin, json!({field: value})) else {
            bail!("the administrator may change {field}");
        };
        let error = format!("{error:#}");
        ensure!(error.contains(IMMUTABLE), "{field}: {error}");
    }
    // A field that nobody knows is a change as well.
    ensure!(change(&admin, json!({"maxRow": 1})).is_err());
    dpo.may_not(
        &["annotate", "oap", "good", "a=b", "-n", &namespace.name],
        "",
    )?;
    // The schema.
    for (field, value, words) in [
        ("maxRows", Value::Null, "maxRows"),
        ("maxRows", json!(-1), "maxRows"),
        ("decision", json!("Perhaps"), "decision"),
        ("planDigest", json!("sha256:0"), "planDigest"),
        ("ground", json!("because I say so"), "ground"),
        ("maxRow", json!(1), "maxRow"),
    ] {
        let mut object = approval(&namespace, "bad", "dpo", "Approve");
        object["spec"][field] = value;
        if object["spec"][field].is_null() {
            object["spec"]
                .as_object_mut()
                .context("no spec")?
                .remove(field);
        }
        is_refused(&namespace, &dpo, &object, words)?;
    }
    namespace.finish()
}

fn rejections(world: &World) -> Result<()> {
    let (namespace, _, dpo) = people(world, "rejections")?;
    bind(&namespace, "lead", "ClusterRole", "oubliette-approve")?;
    let lead = Account::of_person(world, "lead")?;
    creates(&dpo, &approval(&namespace, "approval", "dpo", "Approve"))?;
    let rejection = approval(&namespace, "rejection", "dpo", "Reject");
    creates(&dpo, &rejection)?;
    let delete = |name: &'static str| ["delete", "oap", name, "-n", &namespace.name];
    refused(
        NOT_YOURS,
        || lead.kubectl(&delete("rejection"), ""),
        || creates(&dpo, &rejection),
    )?;
    // What lets rows go may be stopped by everybody who approves.
    lead.may(&delete("approval"), "")?;
    dpo.may(&delete("rejection"), "")?;
    // One that is left does not keep its namespace.
    creates(&dpo, &rejection)?;
    namespace.finish()
}

/// Installs the chart's mutating policy of that name for a case's namespace only, because others try
/// what happens without it, and returns what it is called here.
pub(crate) fn names_are_written(namespace: &Namespace<'_>, policy: &str) -> Result<String> {
    let values = [
        "--set",
        "image.repository=registry.example/x",
        "--set",
        "admissionPolicies.mutating=true",
    ];
    let label = json!({"kubernetes.io/metadata.name": namespace.name});
    let mine = format!("{policy}-of-{}", namespace.name);
    for mut object in chart::template(&values)? {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if !kind.starts_with("MutatingAdmissionPolicy") || object["metadata"]["name"] != policy {
            continue;
        }
        object["metadata"]["name"] = json!(mine);
        if kind == "MutatingAdmissionPolicy" {
            object["spec"]["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": label});
        } else {
            object["spec"]["policyName"] = json!(mine);
        }
        namespace.apply_value(&object)?;
    }
    Ok(mine)
}

/// Takes it away again.
pub(crate) fn names_are_left_alone(world: &World, mine: &str) -> Result<()> {
    for kind in ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
        let cluster = &world.control_plane()?.cluster;
        cluster.kubectl(&["delete", kind, mine], "")?;
    }
    Ok(())
}

fn mutated(world: &World) -> Result<()> {
    let (namespace, _, dpo) = people(world, "mutated")?;
    let mine = names_are_written(&namespace, "oubliette-approvals")?;
    let create = ["create", "-f", "-", "-o", "jsonpath={.spec.by}"];
    let undo = || namespace.delete(API_VERSION, "Approval", "own");
    for written in [None, Some("lead")] {
        let mut object = approval(&namespace, "own", "nobody", "Approve");
        match written {
            Some(name) => object["spec"]["by"] = json!(name),
            None => {
                object["spec"]
                    .as_object_mut()
                    .context("no spec")?
                    .remove("by");
            }
        }
        wait_for("the name is written", PATIENCE, || {
            Ok(match dpo.kubectl(&create, &object.to_string()) {
                Ok(by) if by.trim() == "dpo" => Ok(()),
                Ok(by) => {
                    undo()?;
                    Err(format!("by is {by}"))
                }
                Err(error) => Err(format!("{error:#}")),
            })
        })?;
        undo()?;
    }
    names_are_left_alone(world, &mine)?;
    namespace.finish()
}
