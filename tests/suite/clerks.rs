//! A person's request at the desk: `kubectl oubliette erase` and what follows it, run by kubectl against
//! the real API server, and that the person is in the Secret and nowhere else (P4). The operator's part is
//! played by its account.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::askers::{plan, write_status};
use crate::case::{Case, Needs};
use crate::chart::RELEASE;
use crate::cluster::{API_VERSION, Namespace, resource};
use crate::desk::Terminal;
use crate::plugin::{Person, fails, texts};
use crate::rights::Account;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("a_request_is_filed_from_the_input", filed),
        case("a_request_is_filed_at_a_terminal_that_shows_nothing", typed),
        case("what_cannot_be_filed_leaves_nothing", not_filed),
    ]
}

/// The cases that write what an operator would: the suite's own, which looks at all namespaces, would
/// write over it.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    vec![
        case("a_request_is_shown_decided_confirmed_and_ended", followed),
        case("the_person_is_in_the_secret_and_nowhere_else", nowhere_else),
    ]
}

fn case(name: &str, body: fn(&World) -> Result<()>) -> Case {
    Case::new(format!("clerks::{name}"), Needs::cluster(), body)
}

/// Who asks. No other case and no server says it.
const EMAIL: &str = "euphemia.quist@mail.invalid";
const NUMBER: &str = "learner-7730019";

fn identifiers() -> String {
    format!("email={EMAIL}\nlearnerNumber={NUMBER}\n")
}

/// Runs the plugin with an input, as a dpo would pipe it.
fn piped(person: &Person<'_>, arguments: &[&str], input: &str) -> Result<std::process::Output> {
    let mut command = person.kubectl()?;
    let mut child = command
        .arg("oubliette")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run kubectl")?;
    let mut pipe = child.stdin.take().context("it has no input")?;
    // Whoever refuses the arguments reads nothing.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    Ok(child.wait_with_output()?)
}

/// Files the request sr-0042 from the input.
fn erase(person: &Person<'_>, namespace: &Namespace<'_>, more: &[&str]) -> Result<String> {
    let arguments = [
        &[
            "erase",
            "--case",
            "SR-0042",
            "--identifiers-from",
            "-",
            "-n",
            &namespace.name,
        ],
        more,
    ];
    let output = piped(person, &arguments.concat(), &identifiers())?;
    let (out, err) = texts(&output);
    ensure!(output.status.success(), "{out}{err}");
    Ok(format!("{out}{err}"))
}

fn dpo<'w>(world: &'w World, namespace: &Namespace<'_>) -> Result<Person<'w>> {
    Person::new(world, namespace, Some(&format!("{RELEASE}-dpo")))
}

/// The Secret of a request, which only an administrator reads.
fn secret(namespace: &Namespace<'_>, request: &Value) -> Result<Value> {
    let name = request.pointer("/spec/subject/secretRef/name");
    let name = name.and_then(Value::as_str).context("it names no Secret")?;
    namespace.get_any(&resource("v1", "Secret"), name)
}

fn base64(text: &str) -> Result<Value> {
    let data = k8s_openapi::ByteString(text.as_bytes().to_vec());
    Ok(serde_json::to_value(data)?)
}

fn filed(world: &World) -> Result<()> {
    let namespace = world.namespace("clerks_filed")?;
    let dpo = dpo(world, &namespace)?;
    let more = [
        "--received-at",
        "2026-11-02T09:00:00Z",
        "--role",
        "learner",
        "--map",
        "crm",
        "--map",
        "school/learning",
        "--purpose",
        "marketing",
        "--ground",
        "Art17_1_b",
        "--identity-required",
    ];
    let said = erase(&dpo, &namespace, &more)?;
    ensure!(said.contains("sr-0042 is filed"), "{said}");
    let request = namespace.get("ErasureRequest", "sr-0042")?;
    let spec = &request["spec"];
    let by = spec["requestedBy"].as_str().unwrap_or_default();
    ensure!(by.starts_with("system:serviceaccount:"), "{spec}");
    for (field, value) in [
        ("caseRef", json!("SR-0042")),
        ("receivedAt", json!("2026-11-02T09:00:00Z")),
        ("grounds", json!(["Art17_1_b"])),
        ("identity", json!({"required": true})),
        (
            "scope",
            json!({
                "role": "learner", "purposes": ["marketing"],
                "dataMapRefs": [{"name": "crm"}, {"namespace": "school", "name": "learning"}],
            }),
        ),
    ] {
        ensure!(spec[field] == value, "{field}: {spec}");
    }
    let secret = secret(&namespace, &request)?;
    let data = json!({"email": base64(EMAIL)?, "learnerNumber": base64(NUMBER)?});
    // Not in a message: these are values.
    ensure!(secret["data"] == data, "the Secret holds something else");
    ensure!(secret["type"] == "oubliette.dev/subject" && secret["immutable"] == true);
    let metadata = &secret["metadata"];
    ensure!(
        metadata.pointer("/ownerReferences/0/uid") == request.pointer("/metadata/uid")
            && metadata.pointer("/labels/oubliette.dev~1erasure-request")
                == Some(&json!("sr-0042"))
            && metadata.get("annotations").is_none(),
        "{metadata}"
    );
    // A second one of that name is another request's business.
    let arguments = [
        "erase",
        "--case",
        "SR-0042",
        "--identifiers-from",
        "-",
        "-n",
        &namespace.name,
    ];
    let again = piped(&dpo, &arguments, &identifiers())?;
    fails(&again, &["already exists"])?;
    ensure!(
        namespace.list("v1", "Secret")?.len() == 1,
        "a second Secret is left"
    );
    namespace.finish()
}

fn typed(world: &World) -> Result<()> {
    let namespace = world.namespace("clerks_typed")?;
    let dpo = dpo(world, &namespace)?;
    namespace.apply_value(&json!({
        "apiVersion": API_VERSION, "kind": "DataMap",
        "metadata": {"name": "crm", "namespace": namespace.name},
        "spec": {
            "databaseRef": {"name": "crm"},
            "subjects": [{
                "role": "learner", "table": "public.learners",
                "identifiers": [
                    {"name": "email", "column": "email"},
                    {"name": "phone", "column": "phone"},
                    {"name": "learnerNumber", "column": "number"},
                ],
            }],
            "tables": [{"name": "learners", "table": "public.learners"}],
        },
    }))?;
    let kubeconfig = dpo.kubeconfig.to_string_lossy();
    let mut terminal = Terminal::calling(&[
        "kubectl",
        "erase",
        "--case",
        "SR-0043",
        "--kubeconfig",
        &kubeconfig,
        "-n",
        &namespace.name,
    ])?;
    for (name, value) in [("email", EMAIL), ("phone", ""), ("learnerNumber", NUMBER)] {
        terminal.wait_for(&format!("{name}: "))?;
        terminal.type_unseen(value)?;
    }
    let (code, shown) = terminal.end()?;
    ensure!(
        code == Some(0) && shown.contains("sr-0043 is filed"),
        "{code:?} {shown}"
    );
    ensure!(
        !shown.contains(EMAIL) && !shown.contains(NUMBER),
        "the terminal shows what was typed"
    );
    let request = namespace.get("ErasureRequest", "sr-0043")?;
    let data = json!({"email": base64(EMAIL)?, "learnerNumber": base64(NUMBER)?});
    ensure!(
        secret(&namespace, &request)?["data"] == data,
        "the Secret holds something else"
    );
    namespace.finish()
}

fn not_filed(world: &World) -> Result<()> {
    let namespace = world.namespace("clerks_not_filed")?;
    let dpo = dpo(world, &namespace)?;
    let editor = Person::new(world, &namespace, Some(&format!("{RELEASE}-edit")))?;
    let filer = Person::new(world, &namespace, None)?;
    // May file requests and create no Secret.
    namespace.apply_value(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "filer"},
        "rules": [{"apiGroups": ["oubliette.dev"], "resources": ["erasurerequests"], "verbs": ["create"]}],
    }))?;
    namespace.apply_value(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "filer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "filer"},
        "subjects": [{"kind": "Group", "name": format!("system:serviceaccounts:{}", namespace.name), "apiGroup": "rbac.authorization.k8s.io"}],
    }))?;
    let place = ["-n", namespace.name.as_str()];
    let case = [&["erase", "--case", "SR-0042"][..], &place].concat();
    let from_input = [&case[..], &["--identifiers-from", "-"]].concat();
    let good = identifiers();
    for (person, arguments, input, words) in [
        (
            &editor,
            &from_input,
            good.as_str(),
            "cannot create resource \"secrets\"",
        ),
        (
            &filer,
            &from_input,
            &good,
            "cannot create resource \"secrets\"",
        ),
        (&dpo, &from_input, EMAIL, "line 1 of the input has no `=`"),
        (&dpo, &from_input, "", "no identifier is given"),
        (&dpo, &case, &good, "no DataMap"),
        (
            &dpo,
            &[&case[..], &["--identifier", "email"]].concat(),
            &good,
            "no terminal",
        ),
        (
            &dpo,
            &[&from_input[..], &["--received-at", "2999-01-01T00:00:00Z"]].concat(),
            &good,
            "in the future",
        ),
        (
            &dpo,
            &[&from_input[..], &["--name", "x", "--role", "Ada Quist"]].concat(),
            &good,
            "role",
        ),
    ] {
        let output = piped(person, arguments, input)?;
        fails(&output, &[words]).with_context(|| format!("{arguments:?}"))?;
        let (_, err) = texts(&output);
        ensure!(
            !err.contains(EMAIL) && !err.contains(NUMBER),
            "it repeats a value: {arguments:?}"
        );
    }
    // Neither a file nor the command line.
    for more in [
        &["--identifiers-from", "people.txt"][..],
        &["--email", EMAIL],
    ] {
        let output = piped(&dpo, &[&case[..], more].concat(), "")?;
        ensure!(!output.status.success(), "{more:?} is accepted");
    }
    ensure!(
        namespace.list("v1", "Secret")?.is_empty(),
        "a Secret is left"
    );
    ensure!(
        namespace.list(API_VERSION, "ErasureRequest")?.is_empty(),
        "a request is left"
    );
    namespace.finish()
}

/// The status that the operator writes when a plan waits, and the plan.
fn planned(world: &World, namespace: &Namespace<'_>, digest: &str) -> Result<()> {
    let operator = Account::of(world)?;
    let request = namespace.get("ErasureRequest", "sr-0042")?;
    let uid = request.pointer("/metadata/uid").and_then(Value::as_str);
    let plan = plan(namespace, "sr-0042", uid.context("no uid")?, digest);
    operator.may(&["create", "-f", "-"], &plan.to_string())?;
    let status = json!({
        "observedGeneration": request.pointer("/metadata/generation"),
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "ApprovalMissing",
            "message": "nobody has approved it",
            "observedGeneration": request.pointer("/metadata/generation"),
            "lastTransitionTime": "2026-11-03T09:00:00Z",
        }],
        "state": "AwaitingApproval", "dueOn": "2026-12-02",
        "plan": {
            "digest": digest, "asOf": "2026-11-03T09:00:00Z", "databases": 1, "deletes": 42,
            "transforms": 1, "keeps": 1, "held": 2,
        },
        "elsewhere": [{
            "name": "paper-files", "via": "Manual", "owner": "reception", "state": "Pending",
        }],
        "toConfirm": ["elsewhere/paper-files", "elsewhere/mailing-list"],
    });
    write_status(&operator, namespace, "sr-0042", &status)?;
    Ok(())
}

/// The whole way from filing to the end; the answer is all that was printed.
fn followed_by(world: &World, namespace: &Namespace<'_>) -> Result<String> {
    let dpo = dpo(world, namespace)?;
    let editor = Person::new(world, namespace, Some(&format!("{RELEASE}-edit")))?;
    let digest = format!("sha256:{}", "7".repeat(64));
    let mut printed = erase(&dpo, namespace, &[])?;
    dpo.may_not(&["approve", "oer/sr-0042", "--yes"], &["no plan yet"])?;
    let shown = dpo.may(&["show", "sr-0042"])?;
    ensure!(shown.contains("Nothing is planned yet"), "{shown}");
    planned(world, namespace, &digest)?;

    let shown = dpo.may(&["show", "oer/sr-0042"])?;
    for words in [
        "SR-0042",
        "AwaitingApproval",
        "2026-12-02",
        "ApprovalMissing",
        "DELETED",
        "12 public.enquiries",
        "30 public.notes",
        "TRANSFORMED",
        "until 2031-08-31: Art17_3_b, Education Act 1996, s. 537A",
        "matter-14 is released",
        "public.badges",
        "reception",
        "confirm sr-0042 elsewhere/paper-files",
    ] {
        // Lines are broken where they are full.
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(flat.contains(words), "{words}: {shown}");
    }
    printed.push_str(&shown);
    let told = dpo.json(&["show", "sr-0042"])?;
    ensure!(
        told.pointer("/plan/digest") == Some(&json!(digest)),
        "{told}"
    );
    printed.push_str(&told.to_string());
    // Who deletes rows sees that somebody asked, and no plan of theirs.
    let shown = editor.may(&["show", "sr-0042"])?;
    ensure!(
        shown.contains("42 rows deleted")
            && shown.contains("not shown")
            && !shown.contains("public."),
        "{shown}"
    );
    printed.push_str(&shown);
    let status = editor.may(&["status"])?;
    ensure!(
        status.contains("REQUEST")
            && status.contains("sr-0042")
            && status.contains("2026-12-02")
            && status.contains("ErasureRequest"),
        "{status}"
    );
    printed.push_str(&status);
    let picture = editor.json(&["status"])?;
    ensure!(
        picture.pointer("/requests/0/plan") == Some(&json!(digest)),
        "{picture}"
    );

    dpo.may_not(&["approve", "oer/sr-0042"], &["no terminal"])?;
    let approve = ["approve", "oer/sr-0042", "--yes", "--ground", "SR-0042"];
    editor.may_not(&approve, &["cannot create resource \"approvals\""])?;
    dpo.may_not(
        &[&approve[..], &["--max-rows", "42"]].concat(),
        &["43 rows", "allows 42"],
    )?;
    printed.push_str(&dpo.may(&["reject", "oer/sr-0042", "--yes", "--request-changes"])?);
    printed.push_str(&dpo.may(&["reject", "oer/sr-0042", "--yes"])?);
    let said = dpo.may(&approve)?;
    ensure!(
        said.contains("(Approve)") && said.contains("at most 43 rows"),
        "{said}"
    );
    printed.push_str(&said);
    let approvals = namespace.list(API_VERSION, "Approval")?;
    let request = namespace.get("ErasureRequest", "sr-0042")?;
    let decisions: Vec<&str> = approvals
        .iter()
        .filter_map(|approval| approval.pointer("/spec/decision")?.as_str())
        .collect();
    ensure!(
        decisions.len() == 3 && decisions.contains(&"RequestChanges"),
        "{decisions:?}"
    );
    for approval in &approvals {
        let spec = &approval["spec"];
        ensure!(
            spec["targetRef"]["kind"] == "ErasureRequest"
                && spec["targetRef"]["uid"] == request["metadata"]["uid"]
                && spec["planDigest"] == digest.as_str(),
            "{spec}"
        );
    }

    for (words, arguments) in [
        ("is suspended", &["suspend", "oer/sr-0042"][..]),
        ("is resumed", &["resume", "oer/sr-0042"]),
        (
            "is confirmed (Done)",
            &["confirm", "sr-0042", "elsewhere/paper-files"],
        ),
        (
            "(Impossible)",
            &[
                "confirm",
                "sr-0042",
                "elsewhere/mailing-list",
                "--impossible",
            ],
        ),
    ] {
        editor.may_not(arguments, &["cannot patch resource \"erasurerequests\""])?;
        let said = dpo.may(arguments)?;
        ensure!(said.contains(words), "{said}");
        printed.push_str(&said);
    }
    dpo.may_not(
        &["confirm", "sr-0042", "elsewhere/paper-files"],
        &["already"],
    )?;
    dpo.may_not(
        &["confirm", "sr-0042", "elsewhere/other"],
        &["nobody waits", "elsewhere/paper-files"],
    )?;
    dpo.may_not(&["close", "sr-0042", "--withdrawn"], &["no terminal"])?;
    let refused = ["close", "sr-0042", "--refused", "Art17_3_e", "--yes"];
    editor.may_not(&refused, &["cannot patch resource \"erasurerequests\""])?;
    let said = dpo.may(&refused)?;
    ensure!(said.contains("ends as Refused"), "{said}");
    printed.push_str(&said);
    dpo.may_not(&["close", "sr-0042", "--withdrawn", "--yes"], &["already"])?;
    let spec = namespace.get("ErasureRequest", "sr-0042")?["spec"].clone();
    let by = &spec["requestedBy"];
    ensure!(
        spec["close"] == json!({"outcome": "Refused", "ground": "Art17_3_e", "by": by})
            && spec["confirmations"]
                .as_array()
                .is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["by"] == *by)),
        "{spec}"
    );
    Ok(printed)
}

fn followed(world: &World) -> Result<()> {
    let namespace = world.namespace("clerks_followed")?;
    followed_by(world, &namespace)?;
    namespace.finish()
}

fn nowhere_else(world: &World) -> Result<()> {
    let namespace = world.namespace("clerks_nowhere_else")?;
    let mut searched = followed_by(world, &namespace)?;
    let request = namespace.get("ErasureRequest", "sr-0042")?;
    let mut person = secret(&namespace, &request)?;
    let held = person["data"].take();
    ensure!(
        held["email"] == base64(EMAIL)?,
        "the Secret does not hold the person"
    );
    for (version, kind) in [
        (API_VERSION, "ErasureRequest"),
        (API_VERSION, "ErasurePlan"),
        (API_VERSION, "Approval"),
        ("v1", "ConfigMap"),
        ("v1", "Event"),
        ("events.k8s.io/v1", "Event"),
    ] {
        for object in namespace.list(version, kind)? {
            searched.push_str(&object.to_string());
        }
    }
    // Its labels, owner and managed fields.
    searched.push_str(&person.to_string());
    let secret = person
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .context("no name")?;
    // A cluster of somebody else's shows no audit log.
    if let Some(path) = world.control_plane()?.cluster.audit_log() {
        let log = wait_for("the audit log tells of the Secret", PATIENCE, || {
            let log = std::fs::read_to_string(&path)?;
            Ok(if log.contains(secret) {
                Ok(log)
            } else {
                Err("not yet".to_owned())
            })
        })?;
        let here = format!("\"namespace\":\"{}\"", namespace.name);
        searched.extend(log.lines().filter(|line| line.contains(&here)));
    }
    ensure!(
        searched.contains("managedFields") && searched.contains(secret),
        "too little is searched"
    );
    for value in [EMAIL, NUMBER, "euphemia", "7730019"] {
        for spelling in [
            value.to_owned(),
            base64(value)?.as_str().unwrap_or_default().to_owned(),
        ] {
            ensure!(
                !searched.contains(&spelling),
                "an identifier stands outside the Secret"
            );
        }
    }
    // It goes with its request.
    namespace.delete(API_VERSION, "ErasureRequest", "sr-0042")?;
    namespace.finish()
}
