//! A ledger that is behind what is remembered of it, as after a restore: nothing runs until a person
//! accepts it, and that is evidence.

use anyhow::{Context, Result, bail, ensure};
use oubliette::ledger::Store;
use oubliette::work::accept::accept;
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::ledger::{ACCEPT, Ledger, Rewound, TABLES};
use serde_json::json;

use crate::case::{Case, Server};
use crate::cluster::ready;
use crate::controller::{self, ROWS};
use crate::rig::{Rig, series};
use crate::scenario::{Stage, TARGET};
use crate::sql::Database;
use crate::wait::PATIENCE;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Case::on_each(
        "rewound::a_restored_ledger_is_refused_until_it_is_accepted",
        &Server::ALL,
        restored,
    );
    cases.extend(Case::on_each_with_operator(
        "rewound::a_restored_database_stops_until_a_person_accepts_it",
        &Server::ENGINES,
        restored_under_the_operator,
    ));
    cases
}

/// The backup of a ledger: its tables, copied beside it.
struct Backup(Vec<String>);

impl Backup {
    fn table(database: &Database, name: &str) -> String {
        let dot = if database.server.is_postgres() {
            '.'
        } else {
            '_'
        };
        format!("oubliette{dot}{name}")
    }

    fn take(world: &World, database: &Database) -> Result<Self> {
        let mut restore = Vec::new();
        for name in TABLES {
            let table = Self::table(database, name);
            let sql = format!("CREATE TABLE kept_{name} AS SELECT * FROM {table}");
            world.block_on(database.admin.execute(&sql))?;
            restore.push(format!("DELETE FROM {table}"));
            restore.push(format!("INSERT INTO {table} SELECT * FROM kept_{name}"));
        }
        Ok(Self(restore))
    }

    fn restore(&self, world: &World, database: &Database) -> Result<()> {
        for sql in &self.0 {
            world.block_on(database.admin.execute(sql))?;
        }
        Ok(())
    }
}

const TABLE: &str = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended ${civil} NULL)";
const RULE: &str = "- {table: '${schema}.t', since: {column: ended, timeZone: UTC}}\n";

fn fill(rig: &Rig<'_>) -> Result<()> {
    rig.sql(&format!(
        "INSERT INTO t SELECT n, timestamp '2020-01-01 00:00:00' FROM {}",
        series(rig.server, 100)
    ))
    .map(drop)
}

fn restored(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "restored", TABLE, RULE)?;
    fill(&rig)?;
    let first = rig.run("one")?.evidence.context("no evidence")?;
    let backup = Backup::take(world, &rig.database)?;
    fill(&rig)?;
    let second = rig.run("two")?.evidence.context("no evidence")?;
    rig.remembered = vec![first.to_string(), second.to_string()];
    ensure!(rig.completed("in order")? == [[0]]);
    rig.remembered.sort();

    for round in ["three", "four"] {
        backup.restore(world, &rig.database)?;
        fill(&rig)?;
        refused(&rig, round)?;
        // Whoever accepts something else than what is there is refused, too.
        let rewound = found(&rig)?;
        ensure!(rewound.head == first.to_string(), "{rewound:?}");
        let other = Rewound {
            head: second.to_string(),
            ..rewound.clone()
        };
        ensure!(accepted(&rig, &other).is_err(), "another head was accepted");
        refused(&rig, round)?;
        accepted(&rig, &rewound)?;
        ensure!(rig.completed(round)? == [[100]]);
        rig.expect_a_whole_chain()?;
        // What was remembered meanwhile is missed after the next restore.
        let head = rig.block_on(async { store(&rig).await?.head().await.map_err(Into::into) });
        let (head, _): (String, i64) = head.map_err(|error: anyhow::Error| error)?;
        rig.remembered.push(head);
    }

    // A ledger that is gone is not made anew in silence.
    for table in TABLES {
        rig.sql(&format!("DROP TABLE {}", rig.ledger(table)))?;
    }
    fill(&rig)?;
    refused(&rig, "five")?;
    ensure!(
        !rig.block_on(async {
            store(&rig)
                .await?
                .is_present()
                .await
                .map_err(anyhow::Error::from)
        })?,
        "a ledger was created"
    );
    let rewound = found(&rig)?;
    accepted(&rig, &rewound)?;
    ensure!(rig.completed("five")? == [[100]]);
    rig.expect_a_whole_chain()
}

async fn store(rig: &Rig<'_>) -> Result<Store> {
    let database = rig.connect().await?;
    let ledger = Ledger {
        engine: database.engine(),
        place: "oubliette".parse()?,
    };
    Ok(Store::unchecked(&database, ledger))
}

fn found(rig: &Rig<'_>) -> Result<Rewound> {
    rig.block_on(async {
        let rewound = store(rig).await?.rewound(&rig.remembered).await?;
        rewound.context("the ledger is not behind")
    })
}

fn accepted(rig: &Rig<'_>, rewound: &Rewound) -> Result<()> {
    rig.block_on(async {
        let database = rig.connect().await?;
        let place = "oubliette".parse()?;
        Ok(accept(&database, &place, &rig.owner, rewound, "suite/target").await?)
    })
}

/// The run is refused, and no row has gone.
fn refused(rig: &Rig<'_>, id: &str) -> Result<()> {
    match rig.outcome(id)? {
        JobOutcome::Failed {
            reason: Reason::LedgerRewound,
            message,
            passing: false,
        } => ensure!(message.contains(ACCEPT), "{message}"),
        other => bail!("{other:?}"),
    }
    ensure!(rig.number("SELECT count(*) FROM t")? == 100, "rows went");
    Ok(())
}

fn restored_under_the_operator(world: &World, server: Server) -> Result<()> {
    let stage = controller::stage(world, server, "restored")?;
    controller::hurry(&stage)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    stage.run_to_end()?;
    let backup = Backup::take(world, &stage.database)?;
    controller::fill(world, &stage)?;
    stage.run_to_end()?;

    backup.restore(world, &stage.database)?;
    controller::fill(world, &stage)?;
    let token = stage.run_now()?;
    for (kind, name) in [
        ("RetentionPolicy", stage.policy.as_str()),
        ("TargetDatabase", TARGET),
    ] {
        stage.namespace.wait_reason(kind, name, "LedgerRewound")?;
    }
    ensure!(
        controller::left(world, &stage)? == ROWS,
        "rows went without acceptance"
    );
    annotate(&stage, "0123456789abcdef")?;
    let object = stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "LedgerRewound")?;
    let message = ready(&object)
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default();
    let accepting = message
        .split(&format!("{ACCEPT}="))
        .nth(1)
        .and_then(|rest| rest.get(..16))
        .context("the message has no token")?
        .to_owned();
    annotate(&stage, &accepting)?;
    // The run that was asked for takes place now.
    stage.wait_run_ended(&token, PATIENCE)?;
    ensure!(controller::left(world, &stage)? == 0, "rows are left");
    let evidence = Backup::table(&stage.database, "evidence");
    let told = world.block_on(stage.database.admin.value(&format!(
        "SELECT body FROM {evidence} WHERE run = 'accepted'"
    )))?;
    ensure!(
        told.as_ref().is_some_and(|body| body.contains(&accepting)),
        "the acceptance is not evidenced: {told:?}"
    );
    stage.namespace.wait_event(
        ("TargetDatabase", TARGET),
        "LedgerRewound",
        &["was accepted as it is", &accepting],
    )?;
    stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "Connected")?;
    stage.namespace.finish()
}

fn annotate(stage: &Stage<'_>, token: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {ACCEPT: token}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)
}
