//! `tests/scenarios/*`: the same manifests on every engine. A folder is a case on each server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::cluster::{self, API_VERSION, Namespace, brief_status, documents};
use crate::expect::{Expect, Grants, Refusal, Rows, Step};
use crate::legal_hold;
use crate::planned;
use crate::printed;
use crate::samples;
use crate::sql::{Database, next_number};
use crate::wait::PATIENCE;
use crate::world::{World, repository};

/// The name that scenarios' policies give in `databaseRef`.
pub(crate) const TARGET: &str = "target";

/// One case per folder and server.
pub(crate) fn cases() -> Result<Vec<Case>> {
    in_folder("scenario", &repository().join("tests/scenarios"))
}

/// The scenarios of a folder, named `PREFIX::FOLDER::SERVER`.
pub(crate) fn in_folder(prefix: &str, root: &Path) -> Result<Vec<Case>> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .with_context(|| format!("failed to read {}", root.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    let mut cases = Vec::new();
    for folder in folders {
        let expect = Expect::read(&folder.join("expect.yaml"))?;
        let name = folder
            .file_name()
            .and_then(|n| n.to_str())
            .ok_or_else(|| anyhow!("a scenario's name is not text"))?
            .to_owned();
        for server in expect.servers()? {
            let folder = folder.clone();
            let case = name.clone();
            cases.push(Case::new(
                format!("{prefix}::{name}::{}", server.slug()),
                Needs::operator().with(server),
                move |world| run(world, server, &case, &folder),
            ));
        }
    }
    Ok(cases)
}

fn run(world: &World, server: Server, case: &str, folder: &Path) -> Result<()> {
    let expect = Expect::read(&folder.join("expect.yaml"))?;
    let database = world.database(server, case)?;
    match samples::script(folder)? {
        Some(script) => {
            world.bed_server(server)?.sql(&database.name, &script)?;
        }
        None => {
            world.block_on(database.admin.execute(&schema(&database, folder)?))?;
        }
    }
    let rows = folder.join("rows.sql");
    if rows.exists() {
        let rows = database.fill(&std::fs::read_to_string(&rows)?);
        world.block_on(database.admin.execute(&rows))?;
    }
    let mut stage = Stage::set(world, case, database, &manifests(folder)?, expect.grants)
        .with_context(|| expect.about.clone())?;
    let outcome = planned::the_same(&stage, &manifests(folder)?)
        .context("`oubliette plan` of the files")
        .and_then(|()| play(&mut stage, &expect));
    // What the API and the ledger hold is searched at the end of the suite, whatever became of the case.
    let finished = stage.keep_ledger().and_then(|()| stage.namespace.finish());
    outcome.with_context(|| {
        format!(
            "{} ({}, namespace {}, database {})",
            expect.about,
            server.slug(),
            stage.namespace.name,
            stage.database.name
        )
    })?;
    finished
}

fn play(stage: &mut Stage<'_>, expect: &Expect) -> Result<()> {
    match (&expect.steps, &expect.refusal) {
        (Some(steps), _) => {
            for (i, step) in steps.iter().enumerate() {
                stage
                    .take(step)
                    .with_context(|| format!("step {} ({step:?})", i + 1))?;
            }
        }
        (None, None) => stage.take(&Step::Run)?,
        (None, Some(_)) => {}
    }
    if let Some(refusal) = &expect.refusal {
        stage.wait_refused(refusal)?;
    }
    stage.rows(&expect.rows)?;
    if let Some(status) = &expect.status {
        stage.wait_status(status)?;
    }
    Ok(())
}

/// The scenario's schema: one for all engines, or the engine's own.
pub(crate) fn schema(database: &Database, folder: &Path) -> Result<String> {
    let own = folder.join(format!("schema.{}.sql", database.server.slug()));
    let family = folder.join(format!("schema.{}.sql", database.server.family()));
    let common = folder.join("schema.sql");
    let path = [own, family, common]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| anyhow!("{} has no schema.sql", folder.display()))?;
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    Ok(database.fill(&text))
}

pub(crate) fn manifests(folder: &Path) -> Result<String> {
    let path = folder.join("manifests.yaml");
    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))
}

/// A database, a namespace and a policy between them.
pub(crate) struct Stage<'w> {
    pub(crate) world: &'w World,
    /// The case's database.
    pub(crate) database: Database,
    /// The case's namespace.
    pub(crate) namespace: Namespace<'w>,
    /// The policy's name.
    pub(crate) policy: String,
    /// The operator's database user.
    pub(crate) user: String,
    /// That user's password.
    pub(crate) password: String,
}

impl<'w> Stage<'w> {
    /// Prepares a stage, then applies the manifests and a TargetDatabase, unless they bring one.
    pub(crate) fn set(
        world: &'w World,
        case: &str,
        database: Database,
        manifests: &str,
        given: Grants,
    ) -> Result<Self> {
        let stage = Self::prepare(world, case, database, manifests, given)?;
        let objects = stage.objects(manifests)?;
        stage.apply(&objects)?;
        Ok(stage)
    }

    /// Creates the namespace, the database user with its grants, Secrets and ConfigMap, and applies
    /// none of the manifests.
    pub(crate) fn prepare(
        world: &'w World,
        case: &str,
        database: Database,
        manifests: &str,
        given: Grants,
    ) -> Result<Self> {
        let objects = documents(&database.fill(manifests))?;
        let policy = objects
            .iter()
            .find(|o| o["kind"] == "RetentionPolicy")
            .and_then(|o| o.pointer("/metadata/name"))
            .and_then(Value::as_str)
            .ok_or_else(|| anyhow!("the manifests name no RetentionPolicy"))?
            .to_owned();
        let user = format!("oubliette_{}", next_number());
        let password = format!("pw-{}", next_number());
        world.block_on(database.create_user(&user, &password))?;
        let namespace = world.namespace(case)?;
        let stage = Self {
            world,
            database,
            namespace,
            policy,
            user,
            password,
        };
        stage.grant(&objects, given)?;
        stage.apply_secrets()?;
        Ok(stage)
    }

    /// The manifests of this stage, with a TargetDatabase in front unless they bring one.
    pub(crate) fn objects(&self, manifests: &str) -> Result<Vec<Value>> {
        let mut objects = documents(&self.database.fill(manifests))?;
        if !objects.iter().any(|o| o["kind"] == "TargetDatabase") {
            objects.insert(0, self.target_database());
        }
        Ok(objects)
    }

    /// Applies objects, and the Roles by which the operator may read the Secrets they name.
    pub(crate) fn apply(&self, objects: &[Value]) -> Result<()> {
        self.namespace
            .apply(&printed::roles(objects, &self.namespace.name)?)?;
        for object in objects {
            self.namespace.apply_value(object)?;
        }
        Ok(())
    }

    /// The Secret with the operator's login.
    pub(crate) fn credentials(&self, password: &str) -> Value {
        credentials(&self.user, password)
    }

    /// What the TargetDatabase and the policy name.
    pub(crate) fn supplies(&self) -> Result<Vec<Value>> {
        supplies(&self.database, &self.user, &self.password)
    }

    fn apply_secrets(&self) -> Result<()> {
        for object in self.supplies()? {
            self.namespace.apply_value(&object)?;
        }
        Ok(())
    }

    /// The TargetDatabase of the case's database.
    pub(crate) fn target_database(&self) -> Value {
        target_database(&self.database)
    }

    fn filled(&self, value: &Value) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.database.fill(&value.to_string()),
        )?)
    }

    /// Gives the operator's user what these objects (a policy, perhaps its database) need.
    fn grant(&self, objects: &[Value], given: Grants) -> Result<()> {
        let mut objects = objects.to_vec();
        if !objects.iter().any(|o| o["kind"] == "TargetDatabase") {
            objects.push(self.target_database());
        }
        let Some(sql) = printed::grants(&objects, &self.user, given)? else {
            return Ok(());
        };
        self.world
            .block_on(self.database.admin.execute(&sql))
            .map(|_| ())
            .context("the printed GRANT statements do not run")
    }

    /// Does one step.
    pub(crate) fn take(&self, step: &Step) -> Result<()> {
        match step {
            Step::Run => self.run_to_end(),
            Step::RunNow => self.run_now().map(|_| ()),
            Step::Sql(sql) => {
                let sql = self.database.fill(sql).replace("${user}", &self.user);
                self.world
                    .block_on(self.database.admin.execute(&sql))
                    .map(|_| ())
            }
            Step::Patch(patch) => {
                let patch = self.filled(patch)?;
                self.namespace
                    .patch("RetentionPolicy", &self.policy, &patch)
            }
            Step::PatchDatabase(patch) => {
                let patch = self.filled(patch)?;
                self.namespace.patch("TargetDatabase", TARGET, &patch)
            }
            Step::Reason(reason) => self
                .namespace
                .wait_reason("RetentionPolicy", &self.policy, reason)
                .map(|_| ()),
            Step::NotReady => self
                .namespace
                .wait_until(
                    "RetentionPolicy",
                    &self.policy,
                    "is refused",
                    PATIENCE,
                    |object| match cluster::ready(object) {
                        Some(c) if c["status"] == "False" && cluster::is_current(object) => Ok(()),
                        other => Err(format!("Ready is {other:?}")),
                    },
                )
                .map(|_| ()),
            Step::Refused(refusal) => self.wait_refused(refusal),
            Step::Status(status) => self.wait_status(status),
            Step::Rows(rows) => self.rows(rows),
            Step::Hold(yaml) => legal_hold::hold_all(&self.namespace, &self.database.fill(yaml)),
            Step::Release(name) => legal_hold::let_go(&self.namespace, name),
            Step::Grant => {
                let policy = self.namespace.get("RetentionPolicy", &self.policy)?;
                let target = self.namespace.get("TargetDatabase", TARGET)?;
                self.grant(&[target, policy], Grants::Printed)
            }
        }
    }

    /// Runs the policy out of schedule and waits until the run has ended.
    pub(crate) fn run_to_end(&self) -> Result<()> {
        let token = self.run_now()?;
        self.wait_run_ended(&token, PATIENCE).map(|_| ())
    }

    /// Asks for a run out of schedule; the answer is its token.
    pub(crate) fn run_now(&self) -> Result<String> {
        let token = format!("token-{}", next_number());
        self.namespace.run_now(&self.policy, &token)?;
        Ok(token)
    }

    /// Waits until the run of a token has ended.
    pub(crate) fn wait_run_ended(&self, token: &str, deadline: Duration) -> Result<Value> {
        let dry = |object: &Value| object.pointer("/spec/mode") == Some(&json!("DryRun"));
        self.namespace.wait_until(
            "RetentionPolicy",
            &self.policy,
            "has done the run that was asked for",
            deadline,
            |object| {
                if object.pointer("/status/handledRunNow") != Some(&json!(token)) {
                    return Err("the token is not handled".to_owned());
                }
                match object.pointer("/status/lastRun/run") {
                    _ if dry(object) => Ok(()),
                    Some(Value::String(run)) if run.contains(token) => Ok(()),
                    _ => Err("the run has not ended".to_owned()),
                }
            },
        )
    }

    /// Keeps what the ledger holds for the privacy case.
    pub(crate) fn keep_ledger(&self) -> Result<()> {
        let admin = &self.database.admin;
        let tables = if self.database.server.is_postgres() {
            "SELECT 'oubliette.' || quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'oubliette'"
        } else {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'oubliette\\_%'"
        };
        let mut kept = String::new();
        for row in self.world.block_on(admin.rows(tables))? {
            for table in row.into_iter().flatten() {
                let rows = self
                    .world
                    .block_on(admin.rows(&format!("SELECT * FROM {table}")))?;
                writeln!(kept, "{table}: {rows:?}")?;
            }
        }
        self.world
            .keep(&format!("ledger-{}.txt", self.namespace.name), &kept)
    }

    /// The policy's status, for messages.
    pub(crate) fn status_text(&self) -> String {
        self.namespace
            .get("RetentionPolicy", &self.policy)
            .map_or_else(|error| format!("{error:#}"), |object| brief_status(&object))
    }

    fn wait_refused(&self, refusal: &Refusal) -> Result<()> {
        let object =
            self.namespace
                .wait_reason("RetentionPolicy", &self.policy, &refusal.reason)?;
        let message = cluster::ready(&object)
            .and_then(|c| c["message"].as_str())
            .unwrap_or_default();
        for part in &refusal.contains {
            let part = self.database.fill(part).replace("${user}", &self.user);
            if !message.contains(&part) {
                bail!("the message lacks {part:?}: {message}");
            }
        }
        Ok(())
    }

    fn wait_status(&self, expected: &Value) -> Result<()> {
        let expected = self.filled(expected)?;
        self.namespace.wait_until(
            "RetentionPolicy",
            &self.policy,
            "has the expected status",
            Duration::from_secs(20),
            |object| cluster::matches(&expected, &object["status"], "status"),
        )?;
        Ok(())
    }

    fn rows(&self, expected: &[Rows]) -> Result<()> {
        expect_rows(self.world, &self.database, expected)
            .with_context(|| format!("status: {}", self.status_text()))
    }
}

/// The database has these rows.
pub(crate) fn expect_rows(world: &World, database: &Database, expected: &[Rows]) -> Result<()> {
    for rows in expected {
        let query = database.fill(&rows.query);
        let seen = world.block_on(database.admin.rows(&query))?;
        let wanted = rows.expected();
        if seen != wanted {
            bail!("{query}\n  gives    {seen:?}\n  expected {wanted:?}");
        }
    }
    Ok(())
}

/// The key of every scenario's `target-pseudonyms` Secret.
pub(crate) const PSEUDONYM_KEY: &str = "a key of the scenarios, 32 bytes+";

fn credentials(user: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "target-credentials"},
        "stringData": {"username": user, "password": password},
    })
}

/// What the TargetDatabase of a case's database and its policy name.
pub(crate) fn supplies(database: &Database, user: &str, password: &str) -> Result<Vec<Value>> {
    let ca = std::fs::read_to_string(&database.endpoint.ca)
        .context("failed to read the bed's certificate authority")?;
    Ok(vec![
        credentials(user, password),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "target-ca"},
            "data": {"ca.crt": ca},
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "target-pseudonyms"},
            "type": "oubliette.dev/pseudonym-key",
            "stringData": {"key": PSEUDONYM_KEY},
        }),
    ])
}

/// The TargetDatabase of a case's database.
pub(crate) fn target_database(database: &Database) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "TargetDatabase", "metadata": {"name": TARGET},
        "spec": {
            "engine": database.server.engine(),
            "connection": {
                "host": database.endpoint.host,
                "port": database.endpoint.port,
                "database": database.name,
                "credentials": {"secretRef": {"name": "target-credentials"}},
                "tls": {"mode": "VerifyFull", "ca": {"configMapRef": {"name": "target-ca", "key": "ca.crt"}}},
            },
            // Most cases are about a run, not about what comes before it.
            "guards": {"dryRun": "None"},
            "seal": {"schema": database.sealed()},
            // Nobody else uses these databases.
            "pacing": {"maxRowsPerSecond": 100_000},
        },
    })
}
