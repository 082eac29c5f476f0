//! Partitions have rules of their own, by which rows change that a statement reaches through the table
//! above (PostgreSQL): what stands in the way there refuses the plan.

use anyhow::{Result, ensure};
use oubliette_core::api::reason::Reason;

use crate::case::{Case, Server};
use crate::rig::Rig;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let servers = [Server::Postgres15, Server::Postgres18];
    Case::on_each(
        "leaves::what_stands_in_the_way_in_a_leaf_refuses_the_plan",
        &servers,
        leaves,
    )
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
