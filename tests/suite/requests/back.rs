//! A person who comes back: with a dump that is restored, and with an import. The real operator finds
//! them by the digests of what it has erased, under the present key and under an earlier one.

use anyhow::{Context, Result, ensure};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::office::{Office, REQUEST, condition, other};
use crate::case::{Case, Needs, Server};
use crate::chart;
use crate::cluster::{API_VERSION, resource};
use crate::operator::{Operator, SYSTEM_NAMESPACE, Settings};
use crate::servers;
use crate::sql::{Database, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases; each has an operator of its own, with a key.
pub(super) fn cases() -> Vec<Case> {
    let case = |server: Server| {
        let name = format!(
            "requests::a_person_who_comes_back_is_known_again::{}",
            server.slug()
        );
        let needs = Needs::cluster().with(server).with(other(server));
        Case::new(name, needs, move |world| comes_back(world, server))
    };
    [Server::Postgres15, Server::MySql].map(case).into()
}

/// The platform's settings and its keys, in a folder of the case's own.
pub(super) struct Platform<'w> {
    world: &'w World,
    folder: tempfile::TempDir,
    lease: String,
    namespace: String,
}

impl<'w> Platform<'w> {
    /// Around an office, which may have operators of its own.
    pub(super) fn of(office: &Office<'w>) -> Result<Self> {
        let platform = Self {
            world: office.world,
            folder: tempfile::tempdir()?,
            lease: format!("keyed-{}", next_number()),
            namespace: office.namespace.name.clone(),
        };
        chart::allow_lease(platform.world, &platform.lease)?;
        Ok(platform)
    }

    /// Starts an operator with this key and earlier ones; letters of which 32 are a key.
    pub(super) fn start(&self, key: char, earlier: &[char]) -> Result<Operator> {
        let file = |letter: &char| -> Result<String> {
            let path = self.folder.path().join(letter.to_string());
            std::fs::write(&path, letter.to_string().repeat(32))?;
            Ok(path.display().to_string())
        };
        let earlier = earlier.iter().map(file).collect::<Result<Vec<_>>>()?;
        let settings = json!({"recordRetention": "P60D", "suppression": {
            "keyFile": file(&key)?, "previousKeyFiles": earlier, "keptFor": "P6Y", "lookEvery": "10s",
        }});
        let path = self.folder.path().join("settings.yaml");
        std::fs::write(&path, settings.to_string())?;
        let identity = format!("{}-{}", self.lease, next_number());
        let mut operator = Operator::start_with(
            &Settings {
                lease: self.lease.clone(),
                log: self.world.evidence.join(format!("operator-{identity}.log")),
                identity,
                watch_namespaces: vec![self.namespace.clone()],
                kubeconfig: chart::operator_kubeconfig(self.world)?,
                health: servers::free_address()?,
            },
            &["--settings", &path.display().to_string()],
        )?;
        operator.wait_ready()?;
        Ok(operator)
    }
}

fn comes_back(world: &World, server: Server) -> Result<()> {
    let office = Office::furnish(world, server, "request_back", &json!({}))?;
    let platform = Platform::of(&office)?;
    let mut operator = platform.start('a', &[])?;
    for map in ["learning", "platform"] {
        office.namespace.wait_reason("DataMap", map, "Mapped")?;
    }
    let backup = world.bed_server(server)?.dump(&office.learning.name)?;
    office.planned("sr", &json!({}))?;
    office.agree("sr")?;
    office.state("sr", "AwaitingReply")?;
    office.rows(true)?;
    office.reply("sr")?;
    let seen = office.state("sr", "Finished")?;
    office.no_secret("sr")?;
    let kept = seen.pointer("/status/digests/configMap");
    ensure!(kept == Some(&json!("sr-erased")), "{seen}");

    // The operator has looked since, and so knows how far the ledger was.
    look(&office, 1)?;
    let what = "remembers the head of its ledger";
    let known = |object: &Value| match object.pointer("/status/ledger/head") {
        Some(_) => Ok(()),
        None => Err("it has none".to_owned()),
    };
    office
        .namespace
        .wait_until("TargetDatabase", "learning", what, PATIENCE, known)?;

    // The person is there again, and the ledger knows of nothing. On the platform they have an account
    // anew, which its map leaves to them.
    let account = "INSERT INTO accounts VALUES (9, 71, 'anew')";
    world.block_on(office.platform.admin.execute(account))?;
    restore(world, &office.learning, &backup)?;
    expect_back(&office)?;
    look(&office, 2)?;
    again(&office, "Restored", None)?;
    let account = "DELETE FROM accounts WHERE id = 9";
    ensure!(office.ids(&office.platform, "accounts")? == "1 3 9");
    world.block_on(office.platform.admin.execute(account))?;
    told_of_nobody(&office)?;
    office.rows(true)?;
    office.forgotten()?;
    for words in [
        "were lost and are applied again",
        "its ledger was accepted as it is",
    ] {
        let database = ("TargetDatabase", "learning");
        office
            .namespace
            .wait_event(database, "Restored", &[words])?;
    }
    let seen = office
        .namespace
        .wait_reason("TargetDatabase", "learning", "Connected")?;
    ensure!(seen.pointer("/status/restored").is_none(), "{seen}");

    // An import is told, with how many rows it is.
    import(&office, 90)?;
    let what = "tells of the person";
    // A look at the platform from before the account went may still tell of that.
    let here = format!("1 row in {}/learning", office.namespace.name);
    let told = |object: &Value| match condition(object, "Reappeared") {
        Some(told) if told["status"] == "True" && told["message"].to_string().contains(&here) => {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    };
    let seen = office
        .namespace
        .wait_until(REQUEST, "sr", what, PATIENCE, told)?;
    ensure!(seen["status"]["state"] == "Finished", "{seen}");
    ensure!(office.ids(&office.learning, "learners")? == "2 3 4 5 90");
    let metrics = operator.metrics()?;
    ensure!(
        metrics
            .lines()
            .any(|line| line.starts_with("oubliette_reappeared_rows{")
                && line.contains("\"learning\"")
                && line.ends_with(" 1")),
        "{metrics}"
    );

    // Where the map says so, it goes as the first time. Whom a Secret names that somebody has made under the name
    // since is nobody's business.
    let before = ended_at(&office)?;
    let somebody = json!({"email": "jose@example.org.uk"});
    office.secret("sr", "oubliette.dev/subject", &somebody)?;
    let patch = json!({"spec": {"reappeared": "EraseAgain"}});
    office.namespace.patch("DataMap", "learning", &patch)?;
    again(&office, "Reappeared", Some(&before))?;
    office.rows(true)?;
    office.namespace.delete("v1", "Secret", "sr-subject")?;
    nothing_told(&office)?;

    // Under a new key the digests of the old one still find who was erased under it.
    operator.kill()?;
    operator = platform.start('b', &['a'])?;
    let before = ended_at(&office)?;
    import(&office, 91)?;
    again(&office, "Reappeared", Some(&before))?;
    office.rows(true)?;
    office.forgotten()?;
    let log = std::fs::read_to_string(&operator.settings.log).context("no log")?;
    ensure!(!log.contains("jose@example.org"), "the log tells who it is");

    records_end(&office)?;
    office.finish(&[])?;
    operator.kill()
}

/// What is kept of a request goes when its time is over; the clock is moved by what the status says.
fn records_end(office: &Office<'_>) -> Result<()> {
    office.chart_with_record_retention()?;
    office.status(
        "sr",
        &json!({"digests": {"endsAt": "2020-01-31T00:00:00Z"}}),
    )?;
    let what = "has let go of its digests";
    let ended = |object: &Value| match object.pointer("/status/digests") {
        None => Ok(()),
        Some(some) => Err(some.to_string()),
    };
    office
        .namespace
        .wait_until(REQUEST, "sr", what, PATIENCE, ended)?;
    let map = office
        .namespace
        .get_any(&resource("v1", "ConfigMap"), "sr-erased")?;
    ensure!(map.get("data").is_none(), "{map}");
    // A day less than the records are kept for, and a day more.
    let before = |days: i64| Timestamp::now() - (days * 24).hours();
    office.status("sr", &json!({"finishedAt": before(59).to_string()}))?;
    let marked = |object: &Value| match object.pointer("/status/observedGeneration") {
        Some(seen) if *seen != json!(0) => Ok(()),
        _ => Err("it was not looked at".to_owned()),
    };
    office.status("sr", &json!({"observedGeneration": 0}))?;
    office
        .namespace
        .wait_until(REQUEST, "sr", "is looked at and stays", PATIENCE, marked)?;
    office.status("sr", &json!({"finishedAt": before(61).to_string()}))?;
    office.wait_gone("sr")
}

impl Office<'_> {
    /// What the chart gives the operator beside where the settings say when records end.
    fn chart_with_record_retention(&self) -> Result<()> {
        let rbac = "rbac.authorization.k8s.io/v1";
        let named = json!({"name": "records", "namespace": self.namespace.name});
        let role = json!({
            "apiVersion": rbac, "kind": "Role", "metadata": named,
            "rules": [{
                "apiGroups": ["oubliette.dev"], "resources": ["erasurerequests"], "verbs": ["delete"],
            }],
        });
        let account = json!({
            "kind": "ServiceAccount", "name": chart::RELEASE, "namespace": SYSTEM_NAMESPACE,
        });
        let binding = json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": named, "subjects": [account],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "records"},
        });
        self.namespace.apply_value(&role)?;
        self.namespace.apply_value(&binding).map(drop)
    }

    /// Writes into the status of a request what time would have.
    fn status(&self, name: &str, status: &Value) -> Result<()> {
        // Nobody else may.
        let operator = format!(
            "--as=system:serviceaccount:{SYSTEM_NAMESPACE}:{}",
            chart::RELEASE
        );
        let arguments = [
            &operator,
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=oubliette",
            "--subresource=status",
            "-f",
            "-",
        ];
        let cluster = &self.world.control_plane()?.cluster;
        wait_for("its status is written", PATIENCE, || {
            let mut object = self.namespace.get(REQUEST, name)?;
            let written = status.as_object().into_iter().flatten();
            for (field, value) in written {
                let before = object["status"][field].take();
                object["status"][field] = match (before, value) {
                    (Value::Object(mut before), Value::Object(value)) => {
                        before.extend(value.clone());
                        Value::Object(before)
                    }
                    (_, value) => value.clone(),
                };
            }
            // The operator may have written since: then the version is refused.
            let object = json!({
                "apiVersion": API_VERSION, "kind": REQUEST, "status": object["status"],
                "metadata": {
                    "name": name, "namespace": self.namespace.name,
                    "resourceVersion": object["metadata"]["resourceVersion"],
                },
            });
            let answer = cluster.kubectl(&arguments, &object.to_string());
            Ok(match answer {
                Err(error) if format!("{error:#}").contains("Conflict") => Err(error.to_string()),
                answer => Ok(answer),
            })
        })?
        .map(drop)
    }
}

/// Puts a database back to where it was when it was dumped.
fn restore(world: &World, database: &Database, backup: &str) -> Result<()> {
    let server = world.bed_server(database.server)?;
    if database.server.is_postgres() {
        let empty = "DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS oubliette CASCADE; \
                     CREATE SCHEMA public";
        world.block_on(database.admin.execute(empty))?;
    } else {
        // By a session of its own, which is in no database afterwards.
        let empty = format!("DROP DATABASE {0}; CREATE DATABASE {0}", database.name);
        server.sql("mysql", &empty)?;
    }
    server.sql(&database.name, backup).map(drop)
}

/// The learners are back, what they are elsewhere is not.
fn expect_back(office: &Office<'_>) -> Result<()> {
    let learners = office.ids(&office.learning, "learners")?;
    ensure!(learners == "1 2 3 4 5", "{learners}");
    Ok(())
}

/// Has the operator look at the learners' database now.
fn look(office: &Office<'_>, number: i64) -> Result<()> {
    let pacing = json!({"spec": {"pacing": {"maxRowsPerSecond": 50_000 + number}}});
    office
        .namespace
        .patch("TargetDatabase", "learning", &pacing)
}

/// The person is imported once more, with an enrolment.
fn import(office: &Office<'_>, id: i64) -> Result<()> {
    let sql = format!(
        "INSERT INTO learners VALUES ({id}, 'JOSE@example.org ', '9999', 79, 'Jose Again', NULL, NULL);
         INSERT INTO enrolments VALUES ({id}, {id}, 'Art', NULL, 'n')"
    );
    office
        .world
        .block_on(office.learning.admin.execute(&sql))
        .map(drop)
}

fn ended_at(office: &Office<'_>) -> Result<String> {
    let seen = office.namespace.get(REQUEST, "sr")?;
    let ended = seen
        .pointer("/status/again/endedAt")
        .and_then(Value::as_str);
    Ok(ended.context("it was not carried out again")?.to_owned())
}

/// Waits until the request was carried out once more for this reason, since the one before.
fn again(office: &Office<'_>, reason: &str, before: Option<&str>) -> Result<()> {
    wait_for("it was carried out again", PATIENCE * 2, || {
        let seen = office.namespace.get(REQUEST, "sr")?;
        let status = &seen["status"];
        let ended = status.pointer("/again/endedAt").and_then(Value::as_str);
        let done = ended.is_some() && ended != before && status["again"]["reason"] == reason;
        Ok(if done && status["state"] == "Finished" {
            Ok(())
        } else {
            Err(status.to_string())
        })
    })
}

/// Waits until no look finds the person any more.
fn told_of_nobody(office: &Office<'_>) -> Result<()> {
    let gone = |object: &Value| match condition(object, "Reappeared") {
        Some(told) if told["status"] == "True" => Err(told.to_string()),
        _ => Ok(()),
    };
    office
        .namespace
        .wait_until(REQUEST, "sr", "tells of nobody", PATIENCE, gone)
        .map(drop)
}

/// No object and no event tells of whom it is.
pub(super) fn nothing_told(office: &Office<'_>) -> Result<()> {
    let kinds = [
        (API_VERSION, REQUEST),
        (API_VERSION, "TargetDatabase"),
        ("v1", "ConfigMap"),
        ("events.k8s.io/v1", "Event"),
    ];
    for (version, kind) in kinds {
        for object in office.namespace.list(version, kind)? {
            let text = object.to_string().to_lowercase();
            ensure!(!text.contains("jose"), "{kind} tells who it is");
        }
    }
    Ok(())
}
