//! Rows that go beside those that a batch counts, by a trigger or a cascade that is younger than the
//! plan: the engine's own count says so, and nothing is committed.

use anyhow::{Result, ensure};
use oubliette_core::api::reason::Reason;
use oubliette_core::report::RunOutcome;

use crate::case::{Case, Server};
use crate::races::{RULE, TABLE, fill};
use crate::rig::{Rig, own};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body| {
        Case::on_each(&format!("witness::{name}"), servers, body)
    };
    // MariaDB does not count the rows of a cascade.
    let counting = [Server::Postgres15, Server::Postgres18, Server::MySql];
    [
        on(
            "a_trigger_younger_than_the_plan_takes_no_row",
            &Server::ALL,
            |world, server| younger(world, server, trigger(server)),
        ),
        on(
            "a_trigger_younger_than_the_plan_adds_no_row",
            &Server::ALL,
            |world, server| younger(world, server, adding(server)),
        ),
        on(
            "a_deferred_trigger_younger_than_the_plan_takes_no_row",
            &[Server::Postgres15, Server::Postgres18],
            |world, server| younger(world, server, DEFERRED),
        ),
        on(
            "a_cascade_younger_than_the_plan_takes_no_row",
            &counting,
            |world, server| younger(world, server, CASCADE),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const CASCADE: &str = "ALTER TABLE u ADD FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE";

/// It acts at COMMIT, behind every statement of the batch.
const DEFERRED: &str = "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN DELETE FROM ${schema}.u WHERE t_id = OLD.id; RETURN OLD; END $$; \
    CREATE CONSTRAINT TRIGGER forget AFTER DELETE ON t DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION forget()";

fn trigger(server: Server) -> &'static str {
    if server.is_postgres() {
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN DELETE FROM ${schema}.u WHERE t_id = OLD.id; RETURN OLD; END $$; \
         CREATE TRIGGER forget AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION forget()"
    } else {
        "CREATE TRIGGER forget AFTER DELETE ON t FOR EACH ROW DELETE FROM u WHERE t_id = OLD.id"
    }
}

fn adding(server: Server) -> &'static str {
    if server.is_postgres() {
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO ${schema}.v VALUES (OLD.id); RETURN OLD; END $$; \
         CREATE TRIGGER note AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION note()"
    } else {
        "CREATE TRIGGER note AFTER DELETE ON t FOR EACH ROW INSERT INTO v VALUES (OLD.id)"
    }
}

fn younger(world: &World, server: Server, addition: &str) -> Result<()> {
    const ROWS: i64 = 2_000;
    let schema = format!(
        "{TABLE}; CREATE TABLE u (t_id integer NOT NULL PRIMARY KEY); \
         CREATE TABLE v (t_id integer)"
    );
    let rig = Rig::new(world, server, "witness", &schema, RULE)?.steady(200);
    fill(&rig, 2_000)?;
    // Of rows that are walked late: none of them is gone yet when the addition is made.
    rig.sql("INSERT INTO u SELECT id FROM t WHERE id > 1500")?;
    let run = rig.begin_run("one")?;
    rig.wait_until("SELECT count(*) FROM t", |n| n < ROWS)?;
    rig.sql(addition)?;
    let run = rig.block_on(run.ran())?;
    let gone = ROWS - rig.number("SELECT count(*) FROM t")?;
    ensure!(
        run.outcome == RunOutcome::Failed(Reason::RowsUnaccounted) && own(&run) == gone,
        "{gone} rows are gone: {run:?}"
    );
    ensure!(gone < ROWS, "the addition came after the run's end");
    ensure!(
        rig.number("SELECT count(*) FROM u")? == 500,
        "rows went that nobody counted"
    );
    ensure!(
        rig.number("SELECT count(*) FROM v")? == 0,
        "rows came that nobody counted"
    );
    rig.expect_a_whole_chain()
}
