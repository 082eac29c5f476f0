//! What cases of requests happen in: a namespace with two databases, their maps and people, and what can
//! be asked of it.

use std::fmt::Write as _;
use std::ops::Deref;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::counter::Counter;
use crate::case::Server;
use crate::cluster::{API_VERSION, documents};
use crate::erasures::{LEARNING, LEARNING_MAP, PLATFORM, PLATFORM_MAP};
use crate::operator::Operator;
use crate::printed;
use crate::scenario::{supplies, target_database};
use crate::sql::{Database, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The server of the second database.
pub(super) fn other(server: Server) -> Server {
    if server.is_postgres() {
        Server::MariaDb
    } else {
        Server::Postgres18
    }
}

pub(crate) const REQUEST: &str = "ErasureRequest";
pub(super) const EMAIL: &str = "jose@example.org";
/// What is planned for whoever has that address: learner, two enrolments, an attachment, an address,
/// account and two posts; two messages and a contact.
pub(super) const DELETES: i64 = 8;
pub(super) const TRANSFORMS: i64 = 3;

/// A namespace with the learners and their accounts on another engine, each with its map.
pub(super) struct Office<'w> {
    counter: Counter<'w>,
    pub(super) learning: Database,
    pub(super) platform: Database,
}

impl<'w> Deref for Office<'w> {
    type Target = Counter<'w>;

    fn deref(&self) -> &Counter<'w> {
        &self.counter
    }
}

impl<'w> Office<'w> {
    pub(super) fn open(world: &'w World, server: Server, case: &str) -> Result<Self> {
        Self::with(world, server, case, &json!({}))
    }

    /// With this in the spec of both TargetDatabases.
    pub(super) fn with(world: &'w World, server: Server, case: &str, more: &Value) -> Result<Self> {
        let office = Self::furnish(world, server, case, more)?;
        for map in ["learning", "platform"] {
            office.namespace.wait_reason("DataMap", map, "Mapped")?;
        }
        Ok(office)
    }

    /// Without a look at whether an operator takes the maps.
    pub(super) fn furnish(
        world: &'w World,
        server: Server,
        case: &str,
        more: &Value,
    ) -> Result<Self> {
        let counter = Counter::open(world, case)?;
        let set = |server, name: &str, schema: &str, map: &str| -> Result<Database> {
            let database = world.database(server, &format!("{case}_{name}"))?;
            world.block_on(database.admin.execute(&database.fill(schema)))?;
            let map = documents(&database.fill(map))?.pop().context("no map")?;
            house(&counter, &database, (name, &map), more)?;
            Ok(database)
        };
        let learning = set(server, "learning", LEARNING, LEARNING_MAP)?;
        let platform = set(other(server), "platform", PLATFORM, PLATFORM_MAP)?;
        Ok(Self {
            counter,
            learning,
            platform,
        })
    }

    pub(super) fn file(&self, name: &str) -> Result<()> {
        self.file_with(name, &json!({}))
    }

    /// A Secret with the known address, and a request about it that is planned.
    pub(super) fn planned(&self, name: &str, more: &Value) -> Result<Value> {
        self.secret(name, "oubliette.dev/subject", &json!({"email": EMAIL}))?;
        self.file_with(name, more)?;
        self.state(name, "AwaitingApproval")
    }

    /// The lead approves the plan as it is.
    pub(super) fn agree(&self, name: &str) -> Result<()> {
        self.approve(name, "lead", &self.digest(name)?, DELETES + TRANSFORMS)
    }

    pub(super) fn ids(&self, database: &Database, table: &str) -> Result<String> {
        let rows = self.world.block_on(
            database
                .admin
                .rows(&format!("SELECT id FROM {table} ORDER BY id")),
        )?;
        let ids = rows.iter().map(|row| row[0].clone().unwrap_or_default());
        Ok(ids.collect::<Vec<_>>().join(" "))
    }

    /// What is left when the person is gone and nobody else, or nobody at all.
    pub(super) fn rows(&self, gone: bool) -> Result<()> {
        let (learning, platform) = (&self.learning, &self.platform);
        for (database, table, all, left) in [
            (learning, "learners", "1 2 3 4 5", "2 3 4 5"),
            (learning, "enrolments", "10 11 12", "12"),
            (learning, "messages", "20 21 22", "20 21 22"),
            (learning, "attachments", "30 31 32", "31 32"),
            (learning, "newsletter", "40 41 42", "41 42"),
            (platform, "accounts", "1 2 3", "1 3"),
            (platform, "posts", "1 2 3 4", "1 4"),
        ] {
            let seen = self.ids(database, table)?;
            let expected = if gone { left } else { all };
            ensure!(seen == expected, "{table} has {seen}, not {expected}");
        }
        let transformed = self.world.block_on(learning.admin.number(
            "SELECT (SELECT count(*) FROM messages WHERE sender_id IS NULL OR recipient_id IS NULL) + \
             (SELECT count(*) FROM learners WHERE id = 2 AND emergency_name IS NULL)",
        ))?;
        let expected = if gone { TRANSFORMS } else { 0 };
        ensure!(
            transformed == expected,
            "{transformed} rows are transformed"
        );
        Ok(())
    }

    /// No ledger knows the person any more.
    pub(super) fn forgotten(&self) -> Result<()> {
        for database in [&self.learning, &self.platform] {
            let table = ledger(database, "subject");
            let known = format!("SELECT count(*) FROM {table} WHERE body <> ''");
            let known = self.world.block_on(database.admin.number(&known))?;
            ensure!(known == 0, "{} knows {known} persons", database.name);
        }
        Ok(())
    }

    /// Ends the case: what was not erased, and what has ended, can be deleted.
    pub(super) fn finish(&self, requests: &[&str]) -> Result<()> {
        for name in requests {
            self.namespace.delete(API_VERSION, REQUEST, name)?;
            self.wait_gone(name)?;
        }
        self.namespace.finish()
    }
}

pub(super) fn ledger(database: &Database, table: &str) -> String {
    if database.server.is_postgres() {
        format!("oubliette.{table}")
    } else {
        format!("oubliette_{table}")
    }
}

pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|condition| condition["type"] == kind)
}

/// A TargetDatabase and its map, both of that name, and what they name.
pub(crate) fn house(
    counter: &Counter<'_>,
    database: &Database,
    (name, map): (&str, &Value),
    more: &Value,
) -> Result<()> {
    let Counter { world, namespace } = counter;
    let (user, password) = (
        format!("oubliette_{}", next_number()),
        format!("pw-{}", next_number()),
    );
    world.block_on(database.create_user(&user, &password))?;
    let everything = if database.server.is_postgres() {
        format!(
            "GRANT CREATE ON DATABASE {} TO {user}; GRANT USAGE ON SCHEMA public TO {user}; \
             GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}",
            database.name
        )
    } else {
        format!(
            "GRANT ALL ON {}.* TO '{user}'@'%'; GRANT PROCESS ON *.* TO '{user}'@'%'",
            database.name
        )
    };
    world.block_on(database.admin.execute(&everything))?;
    for mut object in supplies(database, &user, &password)? {
        let own = object["metadata"]["name"].as_str().unwrap_or_default();
        object["metadata"]["name"] = json!(own.replace("target", name));
        namespace.apply_value(&object)?;
    }
    let text = target_database(database).to_string();
    let text = text.replace("target-credentials", &format!("{name}-credentials"));
    let text = text.replace("target-ca", &format!("{name}-ca"));
    let mut target: Value = serde_json::from_str(&text)?;
    target["metadata"]["name"] = json!(name);
    for (field, value) in more.as_object().into_iter().flatten() {
        target["spec"][field] = value.clone();
    }
    let map = json!({
        "apiVersion": API_VERSION, "kind": "DataMap", "metadata": {"name": name}, "spec": map,
    });
    let objects = [target, map];
    namespace.apply(&printed::roles(&objects, &namespace.name)?)?;
    for object in &objects {
        namespace.apply_value(object)?;
    }
    Ok(())
}

/// Posts of the person's account that `many` adds.
pub(super) const MANY: i64 = 3_000;

impl Office<'_> {
    /// Gives the person's account many posts, and lets few go in a second.
    pub(super) fn many(&self) -> Result<()> {
        let series = crate::rig::series(self.platform.server, u32::try_from(MANY)?);
        let posts = format!("INSERT INTO posts SELECT 1000 + n, 2, 'one' FROM {series}");
        self.world.block_on(self.platform.admin.execute(&posts))?;
        self.pace(100)
    }

    pub(super) fn pace(&self, rows: i64) -> Result<()> {
        let pacing = json!({"spec": {"pacing": {"maxRowsPerSecond": rows}}});
        self.namespace.patch("TargetDatabase", "platform", &pacing)
    }

    pub(super) fn hurry(&self) -> Result<()> {
        self.pace(100_000)
    }

    /// How many of the person's posts are left.
    pub(super) fn posts(&self) -> Result<i64> {
        let posts = "SELECT count(*) FROM posts WHERE account_id = 2";
        self.world.block_on(self.platform.admin.number(posts))
    }

    /// Waits until some of the many posts are gone.
    pub(super) fn begins(&self) -> Result<()> {
        wait_for("the first posts are gone", PATIENCE, || {
            let left = self.posts()?;
            Ok(if left < MANY + 2 {
                Ok(())
            } else {
                Err(format!("{left} are left"))
            })
        })
    }

    /// All that was many is gone, and was counted once.
    pub(super) fn many_gone(&self, name: &str) -> Result<()> {
        self.rows(true)?;
        self.sum(name, DELETES + MANY)
    }

    /// The databases' figures add up to what was planned.
    pub(super) fn sum(&self, name: &str, deletes: i64) -> Result<()> {
        let seen = self.namespace.get(REQUEST, name)?;
        let databases = seen["status"]["databases"].as_array();
        let databases = databases.context("no databases")?;
        let sum = |field: &str| -> i64 {
            let figures = databases.iter().filter_map(|place| place[field].as_i64());
            figures.sum()
        };
        ensure!(databases.len() == 2, "{databases:?}");
        ensure!(
            sum("deleted") == deletes && sum("transformed") == TRANSFORMS && sum("kept") == 0,
            "{databases:?}"
        );
        Ok(())
    }

    /// Nothing that is known of the person stands in an object, an event, the log or a metric.
    /// There are none of the `absent` kinds.
    pub(super) fn nothing_told_of(&self, absent: &[&str]) -> Result<()> {
        let mut told = String::new();
        for (version, kind) in [
            (API_VERSION, REQUEST),
            (API_VERSION, "ErasurePlan"),
            (API_VERSION, "DataMap"),
            (API_VERSION, "TargetDatabase"),
            (API_VERSION, "Approval"),
            ("events.k8s.io/v1", "Event"),
        ] {
            let objects = self.namespace.list(version, kind)?;
            ensure!(
                objects.is_empty() == absent.contains(&kind),
                "{kind}: {} objects",
                objects.len()
            );
            for object in objects {
                writeln!(told, "{object}")?;
            }
        }
        told += &self.world.operator(Operator::metrics)?;
        let log = self.world.operator(|operator| {
            std::fs::read_to_string(&operator.settings.log).context("failed to read the log")
        })?;
        ensure!(!log.is_empty(), "the log is empty");
        told += &log;
        for (number, line) in told.lines().enumerate() {
            for value in ["example.org", "Jose", "11 11"] {
                ensure!(!line.contains(value), "line {number} tells {value}: {line}");
            }
        }
        Ok(())
    }
}
