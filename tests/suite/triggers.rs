//! Triggers that a rule declares: they act as ever, may add rows and nothing else, and what they do is
//! part of what was planned.

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
        Case::on_each(&format!("triggers::{name}"), servers, body)
    };
    let postgres = [Server::Postgres15, Server::Postgres18];
    [
        on(
            "a_declared_trigger_may_add_rows",
            &Server::ALL,
            |world, server| declared(world, server, "INSERT INTO log VALUES (OLD.id)", true),
        ),
        on(
            "a_declared_trigger_may_delete_none",
            &Server::ALL,
            |world, server| declared(world, server, "DELETE FROM kept WHERE id = OLD.id", false),
        ),
        on(
            "a_declared_trigger_may_change_none",
            &Server::ALL,
            |world, server| {
                declared(
                    world,
                    server,
                    "UPDATE kept SET n = 1 WHERE id = OLD.id",
                    false,
                )
            },
        ),
        on(
            "a_declared_trigger_may_change_the_row_itself",
            &Server::ALL,
            own_row,
        ),
        on(
            "another_definition_is_another_plan",
            &Server::ALL,
            definition,
        ),
        on(
            "a_declared_trigger_of_a_stranger_is_refused",
            &postgres,
            stranger,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn trigger(server: Server, does: &str) -> String {
    if server.is_postgres() {
        format!(
            "CREATE OR REPLACE FUNCTION acts() RETURNS trigger LANGUAGE plpgsql \
             SET search_path = ${{schema}} AS $$ BEGIN {does}; RETURN OLD; END $$; \
             DROP TRIGGER IF EXISTS acts ON t; \
             CREATE TRIGGER acts AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION acts()"
        )
    } else {
        format!(
            "DROP TRIGGER IF EXISTS acts; CREATE TRIGGER acts AFTER DELETE ON t FOR EACH ROW {does}"
        )
    }
}

const DECLARED: &str = "- {table: '${schema}.t', since: {column: ended, timeZone: UTC}, \
    triggers: [{table: '${schema}.t', name: acts, effect: Harmless}]}\n";

fn rig<'w>(world: &'w World, server: Server, name: &str, does: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, TABLE, RULE)?;
    fill(&rig, 300)?;
    rig.sql(
        "CREATE TABLE log (id integer NOT NULL PRIMARY KEY); \
         CREATE TABLE kept (id integer NOT NULL PRIMARY KEY, n integer); \
         INSERT INTO kept SELECT id, 0 FROM t",
    )?;
    rig.sql(&trigger(server, does))?;
    Ok(rig)
}

fn declared(world: &World, server: Server, does: &str, harmless: bool) -> Result<()> {
    let rig = rig(world, server, "declared", does)?;
    let refusals = rig.refused()?;
    let entry = "name: acts, effect: Harmless}";
    ensure!(
        refusals.iter().any(|r| r.reason == Reason::TriggerPresent
            && r.remedy.as_ref().is_some_and(|r| r.contains(entry))),
        "{refusals:?}"
    );
    let rig = rig.rules(DECLARED);
    let run = rig.run("one")?;
    let kept = rig.number("SELECT count(*) FROM kept WHERE n = 0")?;
    ensure!(kept == 300, "{kept}: {run:?}");
    let (left, logged) = (
        rig.number("SELECT count(*) FROM t")?,
        rig.number("SELECT count(*) FROM log")?,
    );
    if harmless {
        ensure!(
            run.outcome == RunOutcome::Completed && own(&run) == 300,
            "{run:?}"
        );
        ensure!((left, logged) == (0, 300), "{left}, {logged}");
    } else {
        ensure!(
            run.outcome == RunOutcome::Failed(Reason::RowsUnaccounted),
            "{run:?}"
        );
        ensure!((left, logged) == (300, 0), "{left}, {logged}");
    }
    Ok(())
}

fn own_row(world: &World, server: Server) -> Result<()> {
    let rule = "- {table: '${schema}.t', since: {column: ended, timeZone: UTC}, \
        action: {type: Anonymise, columns: [{column: note, strategy: Nullify}]}, \
        triggers: [{table: '${schema}.t', name: touch, effect: Harmless}]}\n";
    let rig = Rig::new(world, server, "own_row", TABLE, rule)?;
    fill(&rig, 300)?;
    rig.sql("ALTER TABLE t ADD COLUMN touched integer")?;
    rig.sql(if server.is_postgres() {
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.touched := 1; RETURN NEW; END $$; \
         CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch()"
    } else {
        "CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW SET NEW.touched = 1"
    })?;
    ensure!(rig.completed("one")? == [[300]]);
    ensure!(rig.number("SELECT count(*) FROM t WHERE note IS NULL AND touched = 1")? == 300);
    Ok(())
}

fn definition(world: &World, server: Server) -> Result<()> {
    let rig = rig(
        world,
        server,
        "definition",
        "INSERT INTO log VALUES (OLD.id)",
    )?;
    let rig = rig.rules(DECLARED);
    let before = rig.plan()?.digest;
    rig.sql(&trigger(server, "INSERT INTO log VALUES (OLD.id)"))?;
    ensure!(rig.plan()?.digest == before, "the same definition");
    rig.sql(&trigger(server, "INSERT INTO log VALUES (OLD.id + 1000)"))?;
    ensure!(rig.plan()?.digest != before, "another definition");
    rig.sql(if server.is_postgres() {
        "DROP TRIGGER acts ON t"
    } else {
        "DROP TRIGGER acts"
    })?;
    let plan = rig.plan()?;
    ensure!(
        plan.warnings.iter().any(|w| w.contains("no trigger acts")),
        "{plan:?}"
    );
    Ok(())
}

fn stranger(world: &World, server: Server) -> Result<()> {
    let rig = rig(world, server, "stranger", "INSERT INTO log VALUES (OLD.id)")?;
    let role = format!("{}_stranger", rig.database.name);
    rig.sql(&format!(
        "CREATE ROLE \"{role}\"; ALTER FUNCTION acts() OWNER TO \"{role}\""
    ))?;
    let rig = rig.rules(DECLARED);
    let refusals = rig.refused()?;
    rig.sql("ALTER FUNCTION acts() SECURITY DEFINER")?;
    let plan = rig.plan();
    rig.sql(&format!(
        "DROP OWNED BY \"{role}\" CASCADE; DROP ROLE \"{role}\""
    ))?;
    ensure!(
        refusals.iter().any(|r| r.reason == Reason::TriggerPresent
            && r.message.contains("belong to no administrator")),
        "{refusals:?}"
    );
    plan.map(drop)
}
