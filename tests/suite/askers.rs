//! Who may do what with a person's request: the chart's roles and admission policies on the real API
//! server, every allow and every deny tried by whom it concerns.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::approvers::{
    NO_VERB, NOT_YOU, RBAC, bind, creates, is_refused, names_are_left_alone, names_are_written,
    refused,
};
use crate::case::{Case, Needs};
use crate::chart::{self, RELEASE};
use crate::cluster::{API_VERSION, Namespace};
use crate::rights::Account;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a_request_is_filed_in_ones_own_name", filed),
        case("who_deletes_rows_sees_no_plan_of_a_person", plans),
        case("the_operator_alone_writes_plans", operators_plan),
        case(
            "what_is_confirmed_or_ended_is_so_in_ones_own_name",
            own_words,
        ),
        case("who_approves_policies_approves_no_request", approvals),
        case("a_person_s_secret_is_immutable_and_unread", secrets),
        case("the_operator_touches_no_other_secret", operators_secrets),
        case("the_operator_decides_nothing_about_a_request", finalizers),
        case("the_server_writes_who_filed_it", written),
    ]
}

/// The case that writes what an operator would: the suite's own would write over it.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    vec![case("requests_are_found_by_their_state", states)]
}

fn case(name: &str, body: fn(&World) -> Result<()>) -> Case {
    Case::new(format!("askers::{name}"), Needs::cluster(), body)
}

const BY_YOU: &str = "writes their own name into by";
const PLANS: &str = "writes plans";

/// A request as people write it.
pub(crate) fn request(namespace: &Namespace<'_>, name: &str, by: &str) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "ErasureRequest",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {
            "subject": {"secretRef": {"name": format!("{name}-subject")}},
            "caseRef": "SR-0042", "requestedBy": by, "receivedAt": "2026-11-02T09:00:00Z",
        },
    })
}

/// The plan of a request, as the operator writes it.
pub(crate) fn plan(namespace: &Namespace<'_>, name: &str, uid: &str, digest: &str) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "ErasurePlan",
        "metadata": {"name": name, "namespace": namespace.name},
        "spec": {
            "requestRef": {"name": name, "uid": uid}, "digest": digest,
            "asOf": "2026-11-03T09:00:00Z",
            "databases": [{
                "map": format!("{}/crm", namespace.name),
                "database": format!("{}/crm", namespace.name),
                "found": [{"role": "learner", "rows": 1}],
                "tables": [
                    {
                        "entry": "learners", "table": "public.learners", "effect": "Transform",
                        "rows": 1,
                        "kept": [{
                            "duty": "crm learners 1", "law": "Education Act 1996, s. 537A",
                            "ground": "Art17_3_b", "rows": 1, "until": "2031-08-31T00:00:00Z",
                            "openEnded": 0, "tellSubject": true,
                        }],
                        "held": [{"hold": format!("{}/matter-14", namespace.name), "rows": 2}],
                    },
                    {
                        "entry": "enquiries", "table": "public.enquiries", "effect": "Delete",
                        "rows": 12,
                        "related": [{"table": "public.notes", "effect": "Delete", "rows": 30}],
                    },
                ],
                "unclassified": ["public.badges"],
            }],
        },
    })
}

/// A person's Secret. The values stand in no message of a case.
fn secret(namespace: &Namespace<'_>, name: &str, sort: &str, immutable: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": sort, "immutable": immutable,
        "metadata": {"name": name, "namespace": namespace.name},
        "stringData": {"email": "nobody@mail.invalid"},
    })
}

const SUBJECT: &str = "oubliette.dev/subject";

/// eng decides what is deleted; dpo and lead about persons.
struct People<'w> {
    namespace: Namespace<'w>,
    eng: Account<'w>,
    dpo: Account<'w>,
    lead: Account<'w>,
}

fn people<'w>(world: &'w World, case: &str) -> Result<People<'w>> {
    let namespace = world.namespace(case)?;
    bind(&namespace, "eng", "ClusterRole", "oubliette-edit")?;
    for person in ["dpo", "lead"] {
        bind(&namespace, person, "ClusterRole", "oubliette-dpo")?;
    }
    let person = |name| Account::of_person(world, name);
    Ok(People {
        namespace,
        eng: person("eng")?,
        dpo: person("dpo")?,
        lead: person("lead")?,
    })
}

/// The administrator, whom no role of ours restrains.
fn admin<'w>(world: &'w World, namespace: &Namespace<'_>) -> Result<Account<'w>> {
    bind(namespace, "root", "ClusterRole", "cluster-admin")?;
    Account::of_person(world, "root")
}

/// Merges a patch into an object of a namespace.
fn merge(
    account: &Account<'_>,
    resource: &str,
    (namespace, patch): &(&Namespace<'_>, Value),
) -> Result<String> {
    let patch = patch.to_string();
    let arguments = [
        "patch",
        resource,
        "--type=merge",
        "-n",
        &namespace.name,
        "-p",
        &patch,
    ];
    account.kubectl(&arguments, "")
}

/// Writes a request's whole status, as the operator does: by a patch in its name, so that it may take
/// fields away later.
pub(crate) fn write_status(
    account: &Account<'_>,
    namespace: &Namespace<'_>,
    name: &str,
    status: &Value,
) -> Result<String> {
    let object = json!({
        "apiVersion": API_VERSION, "kind": "ErasureRequest",
        "metadata": {"name": name, "namespace": namespace.name}, "status": status,
    });
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=oubliette",
        "--subresource=status",
        "-f",
        "-",
    ];
    account.kubectl(&arguments, &object.to_string())
}

fn filed(world: &World) -> Result<()> {
    let People {
        namespace,
        eng,
        dpo,
        lead,
    } = people(world, "askers_filed")?;
    creates(&dpo, &request(&namespace, "good", "dpo"))?;
    is_refused(
        &namespace,
        &dpo,
        &request(&namespace, "bad", "lead"),
        "requestedBy must be you",
    )?;
    is_refused(&namespace, &eng, &request(&namespace, "bad", "eng"), RBAC)?;
    let root = admin(world, &namespace)?;
    is_refused(
        &namespace,
        &root,
        &request(&namespace, "bad", "dpo"),
        "requestedBy must be you",
    )?;
    let operator = Account::of(world)?;
    let by = "system:serviceaccount:oubliette-system:oubliette";
    is_refused(&namespace, &operator, &request(&namespace, "bad", by), RBAC)?;
    // Who filed it stays, whoever changes something else.
    let renamed = (&namespace, json!({"spec": {"requestedBy": "lead"}}));
    let words = "requestedBy is immutable";
    refused(words, || merge(&lead, "oer/good", &renamed), || Ok(()))?;
    let suspend = (&namespace, json!({"spec": {"suspend": true}}));
    merge(&lead, "oer/good", &suspend)?;
    ensure!(
        merge(&eng, "oer/good", &suspend).is_err(),
        "eng may suspend a request"
    );
    for account in [&eng, &dpo, &operator] {
        account.may(&["get", "oer", "good", "-n", &namespace.name], "")?;
    }
    for account in [&eng, &operator] {
        account.may_not(&["delete", "oer", "good", "-n", &namespace.name], "")?;
    }
    // The schema.
    for (field, value, words) in [
        ("caseRef", json!("Ada Lovelace"), "caseRef"),
        ("suject", json!({}), "suject"),
        ("grounds", json!(["because"]), "grounds"),
    ] {
        let mut object = request(&namespace, "bad", "dpo");
        object["spec"][field] = value;
        is_refused(&namespace, &dpo, &object, words)?;
    }
    namespace.finish()
}

fn plans(world: &World) -> Result<()> {
    let People {
        namespace,
        eng,
        dpo,
        ..
    } = people(world, "askers_plans")?;
    bind(&namespace, "reader", "ClusterRole", "view")?;
    bind(&namespace, "approver", "ClusterRole", "oubliette-approve")?;
    let reader = Account::of_person(world, "reader")?;
    let approver = Account::of_person(world, "approver")?;
    let get = |kind: &'static str| ["get", kind, "-n", &namespace.name];
    dpo.may(&get("oep"), "")?;
    wait_for("the role is aggregated", PATIENCE, || {
        let got = reader.may(&get("oer"), "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    eng.may(&get("oer"), "")?;
    for account in [&eng, &reader, &approver] {
        account.may_not(&get("oep"), "")?;
    }
    namespace.finish()
}

fn operators_plan(world: &World) -> Result<()> {
    let People { namespace, dpo, .. } = people(world, "askers_operators_plan")?;
    let digest = format!("sha256:{}", "0".repeat(64));
    let plan = plan(&namespace, "good", "u-1", &digest);
    is_refused(&namespace, &dpo, &plan, RBAC)?;
    let root = admin(world, &namespace)?;
    is_refused(&namespace, &root, &plan, PLANS)?;
    let operator = Account::of(world)?;
    operator.may(&["create", "-f", "-"], &plan.to_string())?;
    operator.may(&["get", "oep", "good", "-n", &namespace.name], "")?;
    operator.may_not(&["get", "oep", "-n", &namespace.name], "")?;
    let lessened = (&namespace, json!({"spec": {"databases": []}}));
    refused(PLANS, || merge(&root, "oep/good", &lessened), || Ok(()))?;
    // Whoever collects garbage takes owner references away.
    root.may(
        &["annotate", "oep", "good", "a=b", "-n", &namespace.name],
        "",
    )?;
    merge(&operator, "oep/good", &lessened)?;
    operator.may_not(&["delete", "oep", "good", "-n", &namespace.name], "")?;
    namespace.finish()
}

fn own_words(world: &World) -> Result<()> {
    let People {
        namespace,
        dpo,
        lead,
        ..
    } = people(world, "askers_own_words")?;
    creates(&dpo, &request(&namespace, "good", "dpo"))?;
    let confirmation = |item: &str, by: &str| json!({"item": item, "outcome": "Done", "by": by, "at": "2026-11-05T09:00:00Z"});
    let confirms = |all: &[&Value]| (&namespace, json!({"spec": {"confirmations": all}}));
    let (first, second) = (
        confirmation("elsewhere/files", "dpo"),
        confirmation("elsewhere/mail", "lead"),
    );
    let attempt =
        |account: &Account<'_>, all: &[&Value]| merge(account, "oer/good", &confirms(all));
    // A request does not begin with other people's words.
    let mut object = request(&namespace, "bad", "dpo");
    object["spec"]["confirmations"] = json!([second]);
    is_refused(&namespace, &dpo, &object, BY_YOU)?;
    let mut object = request(&namespace, "bad", "dpo");
    object["spec"]["close"] = json!({"outcome": "Withdrawn", "by": "lead"});
    is_refused(&namespace, &dpo, &object, "close.by must be you")?;
    refused(BY_YOU, || attempt(&dpo, &[&second]), || Ok(()))?;
    attempt(&dpo, &[&first])?;
    // Who adds one neither drops nor changes those of others, nor speaks for them once more.
    attempt(&lead, &[&first, &second])?;
    refused(
        BY_YOU,
        || {
            attempt(
                &lead,
                &[&first, &second, &confirmation("elsewhere/more", "dpo")],
            )
        },
        || Ok(()),
    )?;
    refused(
        "a confirmation stays",
        || attempt(&lead, &[&second]),
        || Ok(()),
    )?;
    let close = |by: &str| {
        (
            &namespace,
            json!({"spec": {"close": {"outcome": "Withdrawn", "by": by}}}),
        )
    };
    refused(
        "close.by must be you",
        || merge(&lead, "oer/good", &close("dpo")),
        || Ok(()),
    )?;
    merge(&lead, "oer/good", &close("lead"))?;
    // Afterwards others do other things to it.
    let replied = (
        &namespace,
        json!({"spec": {"reply": {"sentAt": "2026-11-06T09:00:00Z"}}}),
    );
    merge(&dpo, "oer/good", &replied)?;
    namespace.finish()
}

fn approvals(world: &World) -> Result<()> {
    let People {
        namespace,
        eng,
        dpo,
        ..
    } = people(world, "askers_approvals")?;
    bind(&namespace, "approver", "ClusterRole", "oubliette-approve")?;
    let approver = Account::of_person(world, "approver")?;
    let approval = |name: &str, kind: &str, by: &str, decision: &str| {
        let mut object = json!({
            "apiVersion": API_VERSION, "kind": "Approval",
            "metadata": {"name": name, "namespace": namespace.name},
            "spec": {
                "targetRef": {"kind": kind, "name": "sr-0042", "uid": "u-1"},
                "decision": decision, "by": by,
                "planDigest": format!("sha256:{}", "0".repeat(64)),
            },
        });
        if decision == "Approve" {
            object["spec"]["maxRows"] = json!(12);
        }
        object
    };
    let (request, policy) = ("ErasureRequest", "RetentionPolicy");
    creates(&dpo, &approval("good", request, "dpo", "Approve"))?;
    creates(&approver, &approval("also", policy, "approver", "Approve"))?;
    // Each for what the role is about, and for nobody else.
    is_refused(
        &namespace,
        &dpo,
        &approval("bad", policy, "dpo", "Approve"),
        NO_VERB,
    )?;
    is_refused(
        &namespace,
        &approver,
        &approval("bad", request, "approver", "Approve"),
        NO_VERB,
    )?;
    is_refused(
        &namespace,
        &dpo,
        &approval("bad", request, "lead", "Approve"),
        NOT_YOU,
    )?;
    for decision in ["Approve", "Reject", "RequestChanges"] {
        is_refused(
            &namespace,
            &eng,
            &approval("bad", request, "eng", decision),
            RBAC,
        )?;
    }
    // Holding something up needs no verb.
    creates(&approver, &approval("no", request, "approver", "Reject"))?;
    namespace.finish()
}

fn secrets(world: &World) -> Result<()> {
    let People {
        namespace,
        eng,
        dpo,
        ..
    } = people(world, "askers_secrets")?;
    creates(&dpo, &secret(&namespace, "good", SUBJECT, true))?;
    is_refused(
        &namespace,
        &dpo,
        &secret(&namespace, "bad", SUBJECT, false),
        "immutable: true",
    )?;
    let root = admin(world, &namespace)?;
    is_refused(
        &namespace,
        &root,
        &secret(&namespace, "bad", SUBJECT, false),
        "immutable: true",
    )?;
    // Others' Secrets are theirs.
    creates(&root, &secret(&namespace, "other", "Opaque", false))?;
    is_refused(
        &namespace,
        &eng,
        &secret(&namespace, "bad", SUBJECT, true),
        RBAC,
    )?;
    for account in [&eng, &dpo] {
        account.may_not(&["get", "secret", "good", "-n", &namespace.name], "")?;
        account.may_not(&["get", "secrets", "-n", &namespace.name], "")?;
        account.may_not(&["delete", "secret", "good", "-n", &namespace.name], "")?;
    }
    let other = (
        &namespace,
        json!({"stringData": {"email": "somebody@mail.invalid"}}),
    );
    refused(
        "immutable",
        || merge(&root, "secret/good", &other),
        || Ok(()),
    )?;
    namespace.finish()
}

/// Applies what the chart gives for a namespace in which people ask for erasure.
pub(crate) fn requests_in(namespace: &Namespace<'_>) -> Result<()> {
    let values = format!("rbac.requestNamespaces={{{}}}", namespace.name);
    let image = "image.repository=registry.example/x";
    for object in chart::template(&["--set", image, "--set", &values])? {
        if object["metadata"]["namespace"] == namespace.name.as_str() {
            namespace.apply_value(&object)?;
        }
    }
    Ok(())
}

fn operators_secrets(world: &World) -> Result<()> {
    let People { namespace, .. } = people(world, "askers_operators_secrets")?;
    let elsewhere = world.namespace("askers_without_requests")?;
    for namespace in [&namespace, &elsewhere] {
        namespace.apply_value(&secret(namespace, "person", SUBJECT, true))?;
        namespace.apply_value(&secret(namespace, "other", "Opaque", false))?;
    }
    let operator = Account::of(world)?;
    let get = |namespace: &Namespace<'_>| {
        operator.may_not(&["get", "secret", "person", "-n", &namespace.name], "")
    };
    get(&namespace)?;
    requests_in(&namespace)?;
    wait_for("the Role is in force", PATIENCE, || {
        let got = operator.may(&["get", "secret", "person", "-n", &namespace.name], "");
        Ok(got.map_err(|error| format!("{error:#}")))
    })?;
    get(&elsewhere)?;
    operator.may_not(&["get", "secrets", "-n", &namespace.name], "")?;
    let watch = ["get", "secrets", "--watch-only", "-n", &namespace.name];
    operator.may_not(&watch, "")?;
    let label = ["label", "secret", "person", "-n", &namespace.name, "a=b"];
    operator.may_not(&label, "")?;
    let only = "but those of the type oubliette.dev/subject";
    let delete = |name: &'static str| {
        [
            "delete",
            "secret",
            name,
            "-n",
            &namespace.name,
            "--wait=false",
        ]
    };
    refused(only, || operator.kubectl(&delete("other"), ""), || Ok(()))?;
    operator.may(&delete("person"), "")?;
    let create = secret(&namespace, "new", SUBJECT, true).to_string();
    operator.may_not(&["create", "-f", "-"], &create)?;
    let certificate = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"certificate.json": "{}"},
        "metadata": {"name": "good", "namespace": namespace.name},
    });
    operator.may(&["create", "-f", "-"], &certificate.to_string())?;
    operator.may(&["get", "configmap", "good", "-n", &namespace.name], "")?;
    operator.may_not(&["get", "configmaps", "-n", &namespace.name], "")?;
    operator.may_not(&["delete", "configmap", "good", "-n", &namespace.name], "")?;
    elsewhere.finish()?;
    namespace.finish()
}

fn finalizers(world: &World) -> Result<()> {
    let People { namespace, dpo, .. } = people(world, "askers_finalizers")?;
    creates(&dpo, &request(&namespace, "good", "dpo"))?;
    is_refused(
        &namespace,
        &dpo,
        &request(&namespace, "bad", "lead"),
        "requestedBy must be you",
    )?;
    let operator = Account::of(world)?;
    for patch in [
        json!({"spec": {"suspend": true}}),
        json!({"spec": {"reply": {"sentAt": "2026-11-06T09:00:00Z"}}}),
    ] {
        let patch = (&namespace, patch);
        let words = "the operator decides nothing";
        refused(words, || merge(&operator, "oer/good", &patch), || Ok(()))?;
    }
    let add = json!({"metadata": {"finalizers": ["oubliette.dev/erasure"]}});
    merge(&operator, "oer/good", &(&namespace, add))?;
    let status = |account: &Account<'_>| {
        write_status(account, &namespace, "good", &json!({"state": "Erasing"}))
    };
    let root = admin(world, &namespace)?;
    refused(
        "only the operator's ServiceAccount",
        || status(&root),
        || Ok(()),
    )?;
    status(&operator)?;
    if status(&dpo).is_ok() {
        bail!("the dpo may write the status");
    }
    dpo.may(
        &[
            "delete",
            "oer",
            "good",
            "-n",
            &namespace.name,
            "--wait=false",
        ],
        "",
    )?;
    let remove = json!({"metadata": {"finalizers": null}});
    merge(&operator, "oer/good", &(&namespace, remove))?;
    wait_for("the request is gone", PATIENCE, || {
        Ok(
            if namespace.list(API_VERSION, "ErasureRequest")?.is_empty() {
                Ok(())
            } else {
                Err("it is there".to_owned())
            },
        )
    })?;
    namespace.finish()
}

fn states(world: &World) -> Result<()> {
    let People { namespace, dpo, .. } = people(world, "askers_states")?;
    let operator = Account::of(world)?;
    for (name, state) in [("first", "Finding"), ("second", "Finished")] {
        creates(&dpo, &request(&namespace, name, "dpo"))?;
        let status = json!({"state": state, "dueOn": "2026-12-02"});
        write_status(&operator, &namespace, name, &status)?;
    }
    let open = [
        "get",
        "oer",
        "-n",
        &namespace.name,
        "--field-selector",
        "status.state!=Finished",
    ];
    let said = dpo.kubectl(&open, "")?;
    ensure!(said.contains("first") && !said.contains("second"), "{said}");
    for column in [
        "CASE",
        "STATE",
        "OUTCOME",
        "DUE",
        "REASON",
        "SR-0042",
        "2026-12-02",
    ] {
        ensure!(said.contains(column), "{column}: {said}");
    }
    namespace.finish()
}

fn written(world: &World) -> Result<()> {
    let People { namespace, dpo, .. } = people(world, "askers_written")?;
    let mine = names_are_written(&namespace, &format!("{RELEASE}-requests"))?;
    let create = ["create", "-f", "-", "-o", "jsonpath={.spec.requestedBy}"];
    let undo = || namespace.delete(API_VERSION, "ErasureRequest", "own");
    for forged in [false, true] {
        let mut object = request(&namespace, "own", "lead");
        if !forged && let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("requestedBy");
        }
        wait_for("the name is written", PATIENCE, || {
            Ok(match dpo.kubectl(&create, &object.to_string()) {
                Ok(by) if by.trim() == "dpo" => Ok(()),
                Ok(by) => {
                    undo()?;
                    Err(format!("requestedBy is {by}"))
                }
                Err(error) => Err(format!("{error:#}")),
            })
        })?;
        undo()?;
    }
    names_are_left_alone(world, &mine)?;
    namespace.finish()
}
