//! Persons ask: their requests go over several databases, are filed and decided by kubectl, and carried out
//! by an operator of the case's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::asked::{Asked, Step, name_of};
use super::recipient::Recipient;
use super::rows::{Changes, Rows};
use crate::approved::let_clocks_pass;
use crate::approvers::creates;
use crate::askers::write_status;
use crate::case::{Case, Needs, Server};
use crate::chart::RELEASE;
use crate::cluster::{documents, is_current, matches, resource};
use crate::init::oubliette;
use crate::legal_hold;
use crate::operator::Operator;
use crate::plugin::Person;
use crate::requests::counter::Counter;
use crate::requests::office::{REQUEST, house};
use crate::rights::Account;
use crate::sql::Database;
use crate::wait::PATIENCE;
use crate::world::World;

/// The servers of a case's databases: of both families, and of all engines where there are three.
fn servers_from(first: Server) -> [Server; 3] {
    match first {
        Server::MySql => [Server::MySql, Server::Postgres18, Server::MariaDb],
        Server::MariaDb => [Server::MariaDb, Server::Postgres18, Server::MySql],
        postgres => [postgres, Server::MariaDb, Server::MySql],
    }
}

/// The case of an organisation on one server.
pub(super) fn case(name: &str, folder: PathBuf, server: Server) -> Case {
    let needs = servers_from(server)
        .into_iter()
        .fold(Needs::cluster(), Needs::with);
    let (case, name) = (name.to_owned(), format!("{name}::{}", server.slug()));
    Case::new(name, needs, move |world| {
        let asked = Asked::read(&folder)?;
        let mut asking = Asking::begin(world, &case, &folder, &asked, server)?;
        for (i, step) in asked.steps.iter().enumerate() {
            let taken = asking.take(step);
            taken.with_context(|| format!("{}: step {} ({step:?})", asked.about, i + 1))?;
        }
        asking.changes(&BTreeMap::new())?;
        asking.operator.kill()?;
        asking.counter.namespace.finish()
    })
}

/// What a case happens in.
pub(super) struct Asking<'w> {
    pub(super) counter: Counter<'w>,
    /// The databases by their names.
    pub(super) databases: Vec<(String, Database)>,
    pub(super) operator: Operator,
    recipient: Recipient,
    /// The Secrets and requests.
    objects: Vec<Value>,
    /// All rows when they were looked at last.
    rows: BTreeMap<String, Rows>,
    /// Where the platform's keys are.
    keys: tempfile::TempDir,
}

impl<'w> Asking<'w> {
    fn begin(
        world: &'w World,
        case: &str,
        folder: &Path,
        asked: &Asked,
        server: Server,
    ) -> Result<Self> {
        let counter = Counter::open(world, &case.replace("::", "_"))?;
        let read = |file: String| -> Result<String> {
            let path = folder.join(file);
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())
        };
        let mut databases = Vec::new();
        let mut rows = BTreeMap::new();
        for (name, server) in asked.databases.iter().zip(servers_from(server)) {
            let database = world.database(server, name)?;
            let script = database.fill(&read(format!("{name}.sql"))?);
            world.block_on(database.admin.execute(&script))?;
            let map = documents(&database.fill(&read(format!("{name}.yaml"))?))?;
            let map = map.first().context("no DataMap")?;
            house(&counter, &database, (name, &map["spec"]), &json!({}))?;
            rows.insert(name.clone(), Rows::of(world, &database)?);
            databases.push((name.clone(), database));
        }
        let recipient = Recipient::open(world)?;
        let keys = tempfile::tempdir()?;
        let operator = operator(&counter, &keys, &recipient)?;
        for (name, _) in &databases {
            counter.namespace.wait_reason("DataMap", name, "Mapped")?;
        }
        Ok(Self {
            objects: documents(&read("requests.yaml".to_owned())?)?,
            counter,
            databases,
            operator,
            recipient,
            rows,
            keys,
        })
    }

    fn database(&self, name: &str) -> Result<&Database> {
        let mut all = self.databases.iter();
        let found = all.find(|(own, _)| own == name);
        found
            .map(|(_, database)| database)
            .context("no such database")
    }

    fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::File(name) => self.file(name),
            Step::Patch { request, spec } => self.counter.patch(request, spec),
            Step::Confirm {
                request,
                items,
                outcome,
            } => self.confirm(request, items, outcome),
            Step::Approve(request) => {
                let seen = self.unapproved(request)?;
                let plan = &seen["status"]["plan"];
                let rows = plan["deletes"].as_i64().zip(plan["transforms"].as_i64());
                let (deletes, transforms) = rows.context("no figures")?;
                self.counter
                    .approve(request, "lead", &plan["digest"], deletes + transforms)
            }
            Step::Reply(request) => self.counter.reply(request),
            Step::State {
                request,
                is,
                status,
            } => {
                let seen = &self.counter.state(request, is)?["status"];
                let status = status.as_ref().unwrap_or(seen);
                matches(status, seen, "status").map_err(|why| anyhow!("{why}: {seen}"))
            }
            Step::Reason { request, reason } => self.counter.reason(request, reason).map(drop),
            Step::Condition {
                request,
                condition,
                reason,
            } => self.condition(request, condition, reason.as_deref()),
            Step::Plan { request, tables } => self.plan(request, tables),
            Step::Changes(expected) => self.changes(expected),
            Step::Sql {
                database,
                statements,
            } => {
                let database = self.database(database)?;
                let statements = database.fill(statements);
                let done = self
                    .counter
                    .world
                    .block_on(database.admin.execute(&statements));
                done.map(drop)
            }
            Step::Hold { database, objects } => {
                let objects = self.database(database)?.fill(objects);
                legal_hold::hold_all(&self.counter.namespace, &objects)
            }
            Step::Release(name) => {
                legal_hold::let_go(&self.counter.namespace, name)?;
                let_clocks_pass(Timestamp::now())
            }
            Step::DutyEnds(request) => self.duty_ends(request),
            Step::Told(expected) => {
                let accepted = self.recipient.accepted();
                ensure!(accepted.len() == 1, "{} were accepted", accepted.len());
                matches(expected, &accepted[0], "event").map_err(|why| anyhow!("{why}"))
            }
            Step::Certificate { request, says } => {
                let (kind, name) = (
                    resource("v1", "ConfigMap"),
                    format!("{request}-certificate"),
                );
                let map = self.counter.namespace.get_any(&kind, &name)?;
                let text = map
                    .pointer("/data/certificate.json")
                    .and_then(Value::as_str);
                let seen: Value = serde_json::from_str(text.context("no certificate")?)?;
                matches(says, &seen, "certificate").map_err(|why| anyhow!("{why}: {seen}"))
            }
            Step::Letter { request, contains } => self.letter(request, contains),
            Step::Suppressed {
                database,
                identifier,
                values,
                erased,
            } => self.suppressed(self.database(database)?, identifier, values, erased),
            Step::Search(search) => search.search(self),
        }
    }

    fn file(&self, name: &str) -> Result<()> {
        let request = self
            .objects
            .iter()
            .find(|object| object["kind"] == REQUEST && name_of(object) == Some(name));
        let request = request.context("no such request")?;
        let secret = &request["spec"]["subject"]["secretRef"]["name"];
        let secret = self
            .objects
            .iter()
            .find(|object| object["kind"] == "Secret" && object["metadata"]["name"] == *secret);
        let officer = self.counter.person("dpo")?;
        for object in secret.into_iter().chain([request]) {
            let mut object = object.clone();
            object["metadata"]["namespace"] = json!(self.counter.namespace.name);
            creates(&officer, &object)?;
        }
        Ok(())
    }

    /// Waits until a plan waits for somebody, at first or once what is left is planned anew.
    fn unapproved(&self, request: &str) -> Result<Value> {
        let waits = |object: &Value| {
            let status = &object["status"];
            let left = status["state"] == "KeptInPart" && status.get("approval").is_none();
            if is_current(object) && (left || status["state"] == "AwaitingApproval") {
                Ok(())
            } else {
                Err(format!("it is {}", status["state"]))
            }
        };
        let namespace = &self.counter.namespace;
        namespace.wait_until(REQUEST, request, "waits for approval", PATIENCE, waits)
    }

    fn confirm(&self, request: &str, items: &[String], outcome: &str) -> Result<()> {
        let what = format!("waits for {items:?} to be confirmed");
        let waits = |object: &Value| {
            let open = object
                .pointer("/status/toConfirm")
                .and_then(Value::as_array);
            let open = open.map_or(&[][..], Vec::as_slice);
            if items.iter().all(|item| open.contains(&json!(item))) {
                Ok(())
            } else {
                Err(format!("it waits for {open:?}"))
            }
        };
        let namespace = &self.counter.namespace;
        let seen = namespace.wait_until(REQUEST, request, &what, PATIENCE, waits)?;
        let mut all = seen["spec"]["confirmations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.extend(items.iter().map(|item| {
            json!({"item": item, "outcome": outcome, "by": "dpo", "at": "2026-11-20T09:00:00Z"})
        }));
        self.counter.patch(request, &json!({"confirmations": all}))
    }

    fn condition(&self, request: &str, condition: &str, reason: Option<&str>) -> Result<()> {
        let what = format!("says {reason:?} of {condition}");
        let says = |object: &Value| {
            let all = object
                .pointer("/status/conditions")
                .and_then(Value::as_array);
            let mut all = all.into_iter().flatten();
            let one = all.find(|one| one["type"] == condition && one["status"] == "True");
            let seen = one.and_then(|one| one["reason"].as_str());
            if seen == reason && is_current(object) {
                Ok(())
            } else {
                Err(format!("it is {seen:?}"))
            }
        };
        let namespace = &self.counter.namespace;
        let seen = namespace.wait_until(REQUEST, request, &what, PATIENCE, says);
        seen.map(drop)
    }

    fn plan(&self, request: &str, expected: &BTreeSet<String>) -> Result<()> {
        self.counter.state(request, "AwaitingApproval")?;
        let plan = self.counter.namespace.get("ErasurePlan", request)?;
        let mut seen = BTreeSet::new();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for database in list(&plan["spec"]["databases"]) {
            let name = text(&database["map"]);
            let name = name.rsplit('/').next().unwrap_or_default();
            for table in list(&database["tables"]) {
                let entry = format!("{name} {}", text(&table["entry"]));
                if table["rows"] != 0 {
                    seen.insert(format!(
                        "{entry} {} {}",
                        text(&table["effect"]),
                        table["rows"]
                    ));
                }
                for kept in list(&table["kept"]) {
                    let (ground, law) = (text(&kept["ground"]), text(&kept["law"]));
                    seen.insert(format!("{entry} keeps {}: {ground}, {law}", kept["rows"]));
                }
                for held in list(&table["held"]) {
                    seen.insert(format!("{entry} holds {}", held["rows"]));
                }
            }
        }
        ensure!(
            seen == *expected,
            "the plan is {seen:#?}, not {expected:#?}"
        );
        Ok(())
    }

    fn changes(&mut self, expected: &BTreeMap<String, BTreeMap<String, Changes>>) -> Result<()> {
        let none = BTreeMap::new();
        for (name, database) in &self.databases {
            let now = Rows::of(self.counter.world, database)?;
            let before = self.rows.insert(name.clone(), now.clone());
            let changes = before.context("no such database")?.until(&now);
            let expected = expected.get(name).unwrap_or(&none);
            ensure!(
                changes == *expected,
                "in {name} there changed {changes:#?}, not {expected:#?}"
            );
        }
        Ok(())
    }

    /// The dates in the rows are made older by the case; the status remembers when they would have passed.
    fn duty_ends(&self, request: &str) -> Result<()> {
        let namespace = &self.counter.namespace;
        let mut status = namespace.get(REQUEST, request)?["status"].clone();
        ensure!(status["kept"]["nextEndsAt"].is_string(), "{status}");
        status["kept"]["nextEndsAt"] = json!("2020-01-01T00:00:00Z");
        write_status(
            &Account::of(self.counter.world)?,
            namespace,
            request,
            &status,
        )?;
        // Nothing else of it was changed, and the next look may be some minutes away.
        self.counter.patch(request, &json!({"suspend": false}))
    }

    fn letter(&self, request: &str, contains: &[String]) -> Result<()> {
        let role = format!("{RELEASE}-dpo");
        let officer = Person::new(self.counter.world, &self.counter.namespace, Some(&role))?;
        let settings = self.keys.path().join("settings.yaml");
        let settings = settings.to_str().context("a path that is text")?;
        let letter = officer.may(&["reply", request, "--settings", settings])?;
        let words = letter.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in contains {
            ensure!(words.contains(part), "the letter lacks {part:?}: {letter}");
        }
        Ok(())
    }

    fn suppressed(
        &self,
        database: &Database,
        identifier: &str,
        values: &[String],
        erased: &[String],
    ) -> Result<()> {
        let key = self.keys.path().join("suppression");
        let key = key.to_str().context("a path that is text")?;
        let arguments = [
            "suppressed",
            "--values",
            "--identifier",
            identifier,
            "--key-file",
            key,
        ];
        let (user, password) = (&database.endpoint.user, &database.endpoint.password);
        let url = database.url(user);
        let said = oubliette(
            &arguments,
            &url,
            password,
            &format!("{}\n", values.join("\n")),
        )?;
        let seen: Vec<&str> = said.out.lines().collect();
        ensure!(seen == *erased, "{seen:?} are suppressed: {}", said.err);
        Ok(())
    }
}

/// An operator for this namespace only, with the settings of the platform.
fn operator(
    counter: &Counter<'_>,
    keys: &tempfile::TempDir,
    recipient: &Recipient,
) -> Result<Operator> {
    let file = |name: &str, text: &str| -> Result<String> {
        let path = keys.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().context("a path that is text")?.to_owned())
    };
    let settings = json!({
        "calendar": {"timeZone": "Europe/London"},
        "controller": {"name": "The organisation", "contact": "privacy@organisation.invalid"},
        "backups": {"keptFor": "P35D"},
        "suppression": {
            "keyFile": file("suppression", &"k".repeat(32))?, "keptFor": "P6Y", "lookEvery": "10s",
        },
        "targets": [{
            "name": "crm", "url": format!("http://127.0.0.1:{}/erasures", recipient.port),
            "insecure": true, "identifiers": ["email"],
            "secretFile": file("crm", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?,
        }],
    });
    // JSON is YAML.
    let settings = file("settings.yaml", &settings.to_string())?;
    let mut operator = counter.operator(&["--settings", &settings])?;
    operator.wait_ready()?;
    Ok(operator)
}
