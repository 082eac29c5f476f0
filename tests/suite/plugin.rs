//! `kubectl oubliette` as people run it: by kubectl itself, against the real API server, with the rights
//! of somebody who may view and of somebody who may edit.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::chart::RELEASE;
use crate::cluster::{API_VERSION, Namespace};
use crate::controller::{ROWS, hurry, stage};
use crate::scenario::TARGET;
use crate::sql::next_number;
use crate::wait::PATIENCE;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, body: fn(&World) -> Result<()>| {
        Case::new(format!("plugin::{name}"), Needs::cluster(), body)
    };
    let mut cases = Case::on_each_with_operator(
        "plugin::an_editor_suspends_resumes_runs_and_reads_the_history",
        &Server::ENGINES,
        editor,
    );
    cases.extend(Case::on_each_with_operator(
        "plugin::an_approver_decides_about_the_plan_that_stands",
        &[Server::Postgres15],
        approver,
    ));
    cases.extend([
        case("a_viewer_sees_and_is_denied_in_one_line", viewer),
        case("what_would_not_run_is_refused_and_not_asked_for", refused),
        case("bad_input_is_one_line_without_a_cluster_or_with", bad_input),
        case(
            "names_come_from_the_cluster_while_a_line_is_typed",
            completion,
        ),
    ]);
    cases
}

/// What is said to somebody who may only view.
const DENIED: [&str; 3] = ["forbidden", "cannot patch", "edit"];

/// Somebody with a token of their own and a role in one namespace.
pub(crate) struct Person<'w> {
    world: &'w World,
    pub(crate) kubeconfig: PathBuf,
    namespace: String,
    /// Where the program is found under the plugin's names.
    path: tempfile::TempDir,
}

impl<'w> Person<'w> {
    /// `role`: a ClusterRole, bound in the namespace.
    pub(crate) fn new(
        world: &'w World,
        namespace: &Namespace<'_>,
        role: Option<&str>,
    ) -> Result<Self> {
        let name = format!("person-{}", next_number());
        namespace.apply_value(&json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace.name},
        }))?;
        if let Some(role) = role {
            namespace.apply_value(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": name, "namespace": namespace.name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}],
            }))?;
        }
        let cluster = &world.control_plane()?.cluster;
        let token = cluster.service_account_token(&namespace.name, &name)?;
        let path = tempfile::tempdir()?;
        for link in ["kubectl-oubliette", "kubectl_complete-oubliette"] {
            symlink(env!("CARGO_BIN_EXE_oubliette"), path.path().join(link))?;
        }
        Ok(Self {
            world,
            kubeconfig: cluster.kubeconfig_for_token(&token)?,
            namespace: namespace.name.clone(),
            path,
        })
    }

    /// kubectl, which finds the plugin on its path.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        let cluster = &self.world.control_plane()?.cluster;
        let mut command = cluster.kubectl_command(&self.kubeconfig);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.path.path().display()))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `kubectl oubliette … -n NAMESPACE`.
    fn runs(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.kubectl()?;
        command
            .arg("oubliette")
            .args(arguments)
            .args(["-n", &self.namespace]);
        command.output().context("failed to run kubectl")
    }

    /// Runs it; it must succeed.
    pub(crate) fn may(&self, arguments: &[&str]) -> Result<String> {
        let output = self.runs(arguments)?;
        let (out, err) = texts(&output);
        ensure!(output.status.success(), "{arguments:?}: {out}{err}");
        Ok(out)
    }

    /// Runs it; it must end with exit code 1 and say why in one line with these words.
    pub(crate) fn may_not(&self, arguments: &[&str], words: &[&str]) -> Result<()> {
        let output = self.runs(arguments)?;
        fails(&output, words).with_context(|| format!("{arguments:?}"))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.may(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub(crate) fn fails(output: &Output, words: &[&str]) -> Result<()> {
    let (out, err) = texts(output);
    ensure!(
        output.status.code() == Some(1),
        "{:?}: {out}{err}",
        output.status
    );
    // kubectl adds a line of its own about the plugin's exit code.
    let own: Vec<&str> = err
        .lines()
        .filter(|line| !line.starts_with("error: exit"))
        .collect();
    ensure!(out.is_empty() && own.len() == 1, "not one line: {out}{err}");
    for word in words {
        ensure!(own[0].contains(word), "it does not say {word:?}: {err}");
    }
    Ok(())
}

fn approver(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "plugin_approver")?;
    let namespace = &stage.namespace;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    let guards = json!({"spec": {"guards": {"approval": "Required"}}});
    namespace.patch("TargetDatabase", TARGET, &guards)?;
    hurry(&stage)?;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "ApprovalMissing")?;
    let policy = stage.policy.as_str();
    let person = |role: &str| Person::new(world, namespace, Some(&format!("{RELEASE}-{role}")));
    let (approver, editor) = (person("approve")?, person("edit")?);

    let picture = editor.json(&["status"])?;
    let waiting = &picture["waiting"][0];
    ensure!(waiting["reason"] == "ApprovalMissing", "{picture}");
    let own = &picture["policies"][0];
    ensure!(own["approval"] == "ApprovalMissing", "{own}");
    let object = namespace.get("RetentionPolicy", policy)?;
    let digest = object.pointer("/status/plan/digest").context("no plan")?;
    ensure!(own["plan"] == *digest, "{own}");
    let explained = editor
        .kubectl()?
        .args(["oubliette", "explain", "ApprovalVoid"])
        .output()?;
    ensure!(texts(&explained).0.contains("kubectl oubliette approve"));

    approver.may_not(&["approve", policy], &["--yes", "no terminal"])?;
    let approve = ["approve", policy, "--yes", "--ground", "CHG-1042"];
    editor.may_not(&approve, &["forbidden", "cannot create", "approve"])?;
    approver.may_not(
        &[&approve[..], &["--max-rows", "9999"]].concat(),
        &["10,000 rows", "9999"],
    )?;
    approver.may_not(&["approve", "nobody", "--yes"], &["not found"])?;
    let reject = approver.may(&["reject", policy, "--yes", "--request-changes"])?;
    ensure!(reject.contains("(RequestChanges)"), "{reject}");
    namespace.wait_reason("RetentionPolicy", policy, "ChangesRequested")?;
    let output = editor.runs(&["run", policy, "--wait"])?;
    let (out, err) = texts(&output);
    ensure!(
        output.status.code() == Some(1) && err.contains("waits for somebody: ChangesRequested"),
        "{out}{err}"
    );
    let mut taken_back = approver.kubectl()?;
    let taken_back = taken_back
        .args(["delete", "oap", "--all", "-n", &namespace.name])
        .output()?;
    ensure!(taken_back.status.success(), "{:?}", texts(&taken_back));

    let said = approver.may(&approve)?;
    ensure!(
        said.contains("(Approve)") && said.contains("at most 10,000 rows a run"),
        "{said}"
    );
    namespace.wait_reason("RetentionPolicy", policy, "Scheduled")?;
    let approvals = namespace.list(API_VERSION, "Approval")?;
    let spec = &approvals[0]["spec"];
    ensure!(
        approvals.len() == 1
            && spec["maxRows"] == ROWS
            && spec["ground"] == "CHG-1042"
            && spec["by"]
                .as_str()
                .is_some_and(|by| by.starts_with("system:serviceaccount:")),
        "{approvals:?}"
    );
    let said = editor.may(&["run", policy, "--wait"])?;
    ensure!(said.contains("completed; 10,000 rows changed"), "{said}");
    stage.namespace.finish()
}

fn editor(world: &World, server: Server) -> Result<()> {
    let stage = stage(world, server, "plugin_editor")?;
    let namespace = &stage.namespace;
    namespace.wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    hurry(&stage)?;
    let editor = Person::new(world, namespace, Some(&format!("{RELEASE}-edit")))?;
    let policy = stage.policy.as_str();

    let said = editor.may(&["suspend", policy])?;
    ensure!(said.contains("is suspended"), "{said}");
    ensure!(
        editor.may(&["suspend", policy])?.contains("already"),
        "twice"
    );
    namespace.wait_reason("RetentionPolicy", policy, "Suspended")?;
    let picture = editor.json(&["status"])?;
    let waiting = picture["waiting"].as_array().cloned().unwrap_or_default();
    ensure!(
        waiting
            .iter()
            .any(|one| one["reason"] == "Suspended" && one["name"] == policy),
        "{picture}"
    );
    editor.may_not(&["run", policy, "--wait"], &["would not run", "resume"])?;
    editor.may(&["resume", policy])?;
    editor.may_not(
        &["suspend", TARGET, "--database"],
        &["forbidden", "databases-edit"],
    )?;
    let owner = Person::new(world, namespace, Some(&format!("{RELEASE}-databases-edit")))?;
    owner.may(&["suspend", TARGET, "--database"])?;
    let said = editor.may(&["resume", policy])?;
    ensure!(
        said.contains("was not suspended") && said.contains(TARGET),
        "{said}"
    );
    editor.may_not(&["run", policy], &[TARGET, "suspended"])?;
    owner.may(&["resume", "--database", TARGET])?;
    namespace.wait_reason("RetentionPolicy", policy, "Scheduled")?;

    let viewer = Person::new(world, namespace, Some(&format!("{RELEASE}-view")))?;
    viewer.may_not(&["run", policy], &DENIED)?;
    let said = editor.may(&["run", policy, "--wait"])?;
    ensure!(
        said.contains("completed; 10,000 rows changed, 0 rows left"),
        "{said}"
    );
    let object = namespace.get("RetentionPolicy", policy)?;
    let managers = object
        .pointer("/metadata/managedFields")
        .cloned()
        .unwrap_or_default();
    ensure!(
        managers.to_string().contains("\"kubectl-oubliette\""),
        "{managers}"
    );

    let picture = editor.json(&["status"])?;
    ensure!(picture.pointer("/waiting") == Some(&json!([])), "{picture}");
    let database = &picture["databases"][0];
    ensure!(
        database["reason"] == "Connected" && database["openRuns"] == json!([]),
        "{database}"
    );
    let own = &picture["policies"][0];
    ensure!(
        own["name"] == policy && own["reason"] == "Completed" && own["overdueRows"] == 0,
        "{own}"
    );
    let text = editor.may(&["status"])?;
    ensure!(
        text.contains("Nothing waits.") && !text.contains('\u{1b}'),
        "{text}"
    );

    let from_status = editor.json(&["history", policy])?;
    let run = &from_status["runs"][0];
    ensure!(
        run["outcome"] == "Completed" && run["rowsChanged"] == ROWS,
        "{run}"
    );
    let evidence = run["evidence"].as_str().unwrap_or_default();
    ensure!(evidence.starts_with("sha256:"), "{run}");
    let mut of_ledger = editor.kubectl()?;
    of_ledger
        .args([
            "oubliette",
            "history",
            policy,
            "-n",
            &editor.namespace,
            "-o",
            "json",
        ])
        .args(["--database-url", &stage.database.url(&stage.user)])
        .env("OUBLIETTE_DATABASE_PASSWORD", &stage.password);
    let output = of_ledger.output().context("failed to run kubectl")?;
    let (out, err) = texts(&output);
    let from_ledger: Value =
        serde_json::from_str(&out).with_context(|| format!("not JSON: {out}{err}"))?;
    ensure!(
        from_ledger == from_status,
        "{from_ledger}\nand not {from_status}"
    );

    let text = editor.may(&["history", policy])?;
    ensure!(
        text.contains(&evidence[..19]) && text.contains("10,000"),
        "{text}"
    );

    // A token of its own each time.
    let said = editor.may(&["run", policy])?;
    let object = namespace.get("RetentionPolicy", policy)?;
    let token = object.pointer("/metadata/annotations/oubliette.dev~1run-now");
    let token = token.and_then(Value::as_str).context("no annotation")?;
    ensure!(said.contains(token), "{said}");
    let object = stage.wait_run_ended(token, PATIENCE)?;
    ensure!(
        object.pointer("/status/history/1/run") == Some(&run["run"]),
        "{}",
        object["status"]["history"]
    );
    stage.namespace.finish()
}

/// A policy and its database, which no operator looks at.
fn objects(namespace: &Namespace<'_>, mode: &str) -> Result<()> {
    namespace.apply_value(&json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase",
        "metadata": {"name": "crm", "namespace": namespace.name},
        "spec": {
            "engine": "PostgreSQL",
            "connection": {
                "host": "nowhere.invalid", "database": "crm",
                "credentials": {"secretRef": {"name": "none"}},
            },
        },
    }))?;
    namespace.apply_value(&json!({
        "apiVersion": API_VERSION, "kind": "RetentionPolicy",
        "metadata": {"name": "learners", "namespace": namespace.name},
        "spec": {
            "databaseRef": {"name": "crm"}, "schedule": "0 3 1 1 *", "mode": mode,
            "rules": [{
                "name": "old", "basis": "the notice", "table": "public.learners",
                "expireAfter": "P1Y", "since": {"column": "left_at"}, "action": {"type": "Delete"},
            }],
        },
    }))?;
    Ok(())
}

fn viewer(world: &World) -> Result<()> {
    let namespace = world.namespace("plugin_viewer")?;
    objects(&namespace, "Enforce")?;
    let viewer = Person::new(world, &namespace, Some(&format!("{RELEASE}-view")))?;
    let text = viewer.may(&["status"])?;
    ensure!(text.contains("learners") && text.contains("crm"), "{text}");
    viewer.may(&["history", "learners"])?;
    viewer.may_not(&["suspend", "learners"], &DENIED)?;
    viewer.may_not(&["suspend", "crm", "--database"], &DENIED)?;
    let object = namespace.get("RetentionPolicy", "learners")?;
    ensure!(
        object.pointer("/metadata/annotations").is_none()
            && object.pointer("/spec/suspend") == Some(&json!(false)),
        "{object}"
    );
    let nobody = Person::new(world, &namespace, None)?;
    nobody.may_not(
        &["status"],
        &["cannot list", "targetdatabases", &namespace.name],
    )?;
    nobody.may_not(&["history", "learners"], &["cannot get", "learners"])?;
    // Everywhere is more than one namespace.
    let mut everywhere = viewer.kubectl()?;
    everywhere.args(["oubliette", "status", "-A"]);
    let output = everywhere.output().context("failed to run kubectl")?;
    fails(&output, &["all namespaces", "cannot list"])?;
    namespace.finish()
}

fn refused(world: &World) -> Result<()> {
    let namespace = world.namespace("plugin_refused")?;
    objects(&namespace, "DryRun")?;
    let editor = Person::new(world, &namespace, Some(&format!("{RELEASE}-edit")))?;
    editor.may_not(&["run", "learners"], &["DryRun"])?;
    let object = namespace.get("RetentionPolicy", "learners")?;
    ensure!(
        object.pointer("/metadata/annotations").is_none(),
        "{object}"
    );
    namespace.finish()
}

fn bad_input(world: &World) -> Result<()> {
    let namespace = world.namespace("plugin_bad_input")?;
    let editor = Person::new(world, &namespace, Some(&format!("{RELEASE}-edit")))?;
    editor.may_not(
        &["run", "nobody"],
        &["RetentionPolicy", "nobody", "not found"],
    )?;
    editor.may_not(
        &["suspend", "nobody", "--database"],
        &["TargetDatabase", "not found"],
    )?;
    let text = editor.may(&["status"])?;
    ensure!(
        text.starts_with("no TargetDatabase, RetentionPolicy or ErasureRequest"),
        "{text}"
    );
    for (arguments, words) in [
        (&["explain", "Conflikt"][..], "Conflict"),
        (&["status", "--kubeconfig", "/nowhere"], "/nowhere"),
        (&["run", "nobody", "--kubeconfig", "/nowhere"], "/nowhere"),
        (&["status", "--context", "nobody"], "nobody"),
        (
            &["history", "x", "--database-url", "nonsense"],
            "--database-url",
        ),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oubliette"));
        command
            .arg("kubectl")
            .args(arguments)
            .env("KUBECONFIG", &editor.kubeconfig)
            .stdin(Stdio::null());
        fails(&command.output()?, &[words]).with_context(|| format!("{arguments:?}"))?;
    }
    // It goes to the cluster as the plugin does, and says what went wrong as the plugin does.
    let adopt = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(["ledger", "adopt", "nobody", "-n", &namespace.name])
        .arg("--kubeconfig")
        .arg(&editor.kubeconfig)
        .output()?;
    let named = format!("TargetDatabase {}/nobody", namespace.name);
    fails(&adopt, &[&named, "not found"])?;
    namespace.finish()
}

fn completion(world: &World) -> Result<()> {
    let namespace = world.namespace("plugin_completion")?;
    objects(&namespace, "DryRun")?;
    let viewer = Person::new(world, &namespace, Some(&format!("{RELEASE}-view")))?;
    for (typed, offered) in [
        (&["run", "-n", &namespace.name, ""][..], "learners"),
        (&["suspend", "-n", &namespace.name, "--database", ""], "crm"),
        (&["explain", "Ledg"], "LedgerRewound"),
        (&["st"], "status"),
    ] {
        let mut command = viewer.kubectl()?;
        command.args(["__complete", "oubliette"]).args(typed);
        let output = command.output().context("failed to run kubectl")?;
        let (out, err) = texts(&output);
        let first = |line: &str| line.split('\t').next() == Some(offered);
        ensure!(out.lines().any(first), "{typed:?}: {out}{err}");
    }
    // A shell asks the program itself.
    let mut bash = Command::new("bash");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_oubliette"));
    let folder = program.parent().context("the program is in no folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!(
        "source <(oubliette completion bash)
         COMP_WORDS=(oubliette kubectl run -n {} '') COMP_CWORD=5 COMP_TYPE=9
         _clap_complete_oubliette oubliette '' {}
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        namespace.name, namespace.name
    );
    let output = bash
        .args(["--noprofile", "--norc", "-c", &script])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("KUBECONFIG", &viewer.kubeconfig)
        .output()
        .context("failed to run bash")?;
    let (out, err) = texts(&output);
    ensure!(
        out.lines().any(|line| line.trim() == "learners"),
        "{out}{err}"
    );
    namespace.finish()
}
