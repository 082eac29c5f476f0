//! Partitions have rules of their own, by which rows change that a statement reaches through the table
//! above (PostgreSQL): what stands in the way there refuses the plan.

use anyhow::{Result, ensure};
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::patient;
use crate::rig::{Rig, own};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, body| {
        let servers = [Server::Postgres15, Server::Postgres18];
        Case::on_each(&format!("leaves::{name}"), &servers, body)
    };
    [
        on("what_stands_in_the_way_in_a_leaf_refuses_the_plan", leaves),
        on("a_detached_leaf_keeps_its_rows", detached),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SCHEMA: &str = "CREATE TABLE t (id integer NOT NULL, region integer NOT NULL, ended date, \
     note varchar(60), PRIMARY KEY (id, region)) PARTITION BY LIST (region); \
     CREATE TABLE one PARTITION OF t FOR VALUES IN (1); \
     CREATE TABLE two PARTITION OF t FOR VALUES IN (2); \
     CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'";

const DELETE: &str = "- {table: '${schema}.t', since: {column: ended}}\n";
const ANONYMISE: &str = "- table: ${schema}.t
  since: {column: ended}
  action: {type: Anonymise, columns: [{column: note, strategy: Constant, constant: {value: gone}}]}
";

/// What is done to a leaf, what undoes it, and the reason that it gives.
type Obstacle = (&'static str, &'static str, Reason);

const OF_DELETES: [Obstacle; 2] = [
    (
        "CREATE TRIGGER beside AFTER DELETE ON two FOR EACH ROW EXECUTE FUNCTION nothing()",
        "DROP TRIGGER beside ON two",
        Reason::TriggerPresent,
    ),
    (
        "ALTER TABLE two REPLICA IDENTITY NOTHING; CREATE PUBLICATION p_${database} FOR TABLE t",
        "DROP PUBLICATION p_${database}; ALTER TABLE two REPLICA IDENTITY DEFAULT",
        Reason::ReplicaIdentityMissing,
    ),
];

const OF_UPDATES: [Obstacle; 2] = [
    (
        "ALTER TABLE two ADD CONSTRAINT c CHECK (note <> 'gone')",
        "ALTER TABLE two DROP CONSTRAINT c",
        Reason::ConstraintConflict,
    ),
    (
        "CREATE UNIQUE INDEX u ON two (note)",
        "DROP INDEX u",
        Reason::ConstraintConflict,
    ),
];

fn leaves(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "leaves", SCHEMA, DELETE)?;
    rig.sql("INSERT INTO t SELECT n, 1 + n % 2, '2020-01-01', n FROM generate_series(1, 10) g(n)")?;
    for (rules, obstacles) in [(DELETE, OF_DELETES), (ANONYMISE, OF_UPDATES)] {
        rig = rig.rules(rules);
        for (obstacle, end, reason) in obstacles {
            rig.sql(obstacle)?;
            let refusals = rig.refused()?;
            ensure!(
                refusals.len() == 1 && refusals[0].reason == reason,
                "{obstacle}: {refusals:?}"
            );
            ensure!(
                refusals[0].message.starts_with("public.two: "),
                "{obstacle}: {}",
                refusals[0].message
            );
            rig.sql(end)?;
            rig.plan()?;
        }
    }
    ensure!(rig.completed("one")? == [[10]]);
    Ok(())
}

/// The walk over pages names the leaves: all rows of the one that was detached meanwhile went, too.
fn detached(world: &World, server: Server) -> Result<()> {
    let schema = "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, ended date, filler char(200)) \
        PARTITION BY RANGE (id); \
        CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (20001); \
        CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (20001) TO (1000000)";
    let rig = patient(Rig::new(world, server, "detached", schema, DELETE)?);
    rig.sql("INSERT INTO t SELECT n, '2020-01-01', '' FROM generate_series(1, 40000) g(n)")?;
    ensure!(
        rig.plan()?.rules[0].walk.starts_with("pages"),
        "not by pages"
    );
    let mut application = rig.holding("UPDATE t1 SET filler = 'mine' WHERE id = 10000")?;
    let run = rig.begin_run("one")?;
    rig.wait_for_a_waiter()?;
    // It comes between two batches: each keeps the table above from being altered until its end.
    let mut owner = rig.block_on(async { rig.link().session().await })?;
    let detached = world
        .handle()
        .spawn(async move { owner.execute("ALTER TABLE t DETACH PARTITION t2").await });
    rig.wait_for_waiters(2)?;
    rig.in_session(&mut application, "COMMIT")?;
    rig.block_on(detached)??;
    let outcome = rig.block_on(run.outcome())?;
    ensure!(
        matches!(
            outcome,
            JobOutcome::Failed {
                reason: Reason::Drifted,
                ..
            }
        ),
        "{outcome:?}"
    );
    ensure!(rig.number("SELECT count(*) FROM t2")? == 20_000);
    let gone = 20_000 - rig.number("SELECT count(*) FROM t")?;
    let run = rig.run("one")?;
    ensure!(
        run.outcome == RunOutcome::Stopped(Reason::Drifted) && own(&run) == gone,
        "{gone} rows are gone: {run:?}"
    );
    rig.expect_a_whole_chain()
}
