//! Who says yes to `oubliette apply`, and to what; and whose the ledger is.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::applied::{
    LETTERS, POLICY, ROWS, all_is_done, counted, desk, gone, nothing_is_done, people,
};
use crate::case::{Case, Needs, Server};
use crate::cluster::ready;
use crate::desk::{Answer, Desk, Terminal};
use crate::expect::Grants;
use crate::printed;
use crate::rig::series;
use crate::scenario::{Stage, TARGET};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let engines = &Server::ENGINES;
    let one = &[Server::Postgres18];
    let mut cases = Vec::new();
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each(&format!("agreed::{name}"), servers, body));
    };
    on(
        "without_yes_and_a_terminal_nothing_is_changed",
        one,
        not_asked,
    );
    on("on_a_terminal_only_yes_changes_rows", one, asked);
    on("what_was_shown_is_what_runs", engines, shown);
    on(
        "a_ledger_that_may_not_be_created_is_printed",
        one,
        no_ledger,
    );
    cases.push(Case::new(
        "agreed::a_ledger_is_the_operators_or_ours_and_changes_hands",
        Needs::operator().with(Server::Postgres18),
        changes_hands,
    ));
    cases
}

fn not_asked(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "not_asked")?;
    let answer = desk.call(&["apply"])?.expect(1)?;
    ensure!(
        answer.err.contains("--yes") && answer.out.is_empty(),
        "{answer:?}"
    );
    nothing_is_done(&desk)
}

/// The question, once it is shown.
fn question(desk: &Desk<'_>) -> Result<Terminal> {
    let terminal = Terminal::open(desk)?;
    terminal.wait_for("Only `yes` goes on: ")?;
    Ok(terminal)
}

fn says(answer: Answer, code: i32, words: &[&str]) -> Result<()> {
    let answer = answer.expect(code)?;
    for words in words {
        ensure!(answer.out.contains(words), "no {words:?}: {}", answer.out);
    }
    Ok(())
}

fn asked(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "asked")?;
    let rows = "Change 3,300 rows of the policy above?";
    let no = question(&desk)?.answer(&desk, "y\n")?;
    says(
        no,
        2,
        &["3,300 rows would change", rows, "the answer was not yes"],
    )?;
    for nearly in ["YES\n", " yes \n"] {
        let no = question(&desk)?.answer(&desk, nearly)?;
        says(no, 2, &["the answer was not yes"])?;
    }
    nothing_is_done(&desk)?;
    // As Ctrl-C does.
    let stopped = question(&desk)?.answer(&desk, "\u{3}")?;
    says(stopped, 3, &[rows])?;
    nothing_is_done(&desk)?;
    let yes = question(&desk)?.answer(&desk, "yes\n")?;
    says(
        yes,
        0,
        &[
            "done, 3,300 rows changed",
            "verified: none",
            "evidence sha256:",
        ],
    )?;
    all_is_done(&desk)
}

fn shown(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "shown")?;
    let terminal = question(&desk)?;
    desk.sql("ALTER TABLE people ADD COLUMN nickname varchar(20)")?;
    let answer = terminal.answer(&desk, "yes\n")?;
    says(
        answer,
        1,
        &["refused (Drifted)", "not the one that was shown"],
    )?;
    ensure!(gone(&desk)? == 0, "rows are gone");

    // A thousand more may have become due meanwhile, and no more than that.
    let terminal = question(&desk)?;
    desk.sql(&format!(
        "INSERT INTO people (id, left_at) SELECT 10000 + n, current_timestamp - INTERVAL '2' YEAR \
         FROM {}",
        series(server, 1_001)
    ))?;
    let answer = terminal.answer(&desk, "yes\n")?;
    says(
        answer,
        1,
        &["refused (LimitExceeded)", "4,301 rows", "4,300 at the most"],
    )?;
    ensure!(gone(&desk)? == 0, "rows are gone");

    // Another call has begun a run, and ended, while somebody thought about it.
    let terminal = question(&desk)?;
    desk.apply()?.expect(0)?;
    says(terminal.answer(&desk, "yes\n")?, 0, &["done, "])?;
    desk.sql("DELETE FROM people WHERE id > 10000")?;
    let counted = counted(&desk)?;
    ensure!(counted == ROWS + LETTERS + 1_001, "{counted} are counted");
    Ok(())
}

fn no_ledger(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "no_ledger")?;
    desk.sql("DROP SCHEMA oubliette")?;
    let answer = desk.apply()?.expect_refused("LedgerMissing")?;
    ensure!(answer.out.contains("CREATE TABLE"), "{}", answer.out);
    let user = format!("TO {};", desk.user);
    ensure!(
        answer.out.contains(&user),
        "{user} is not in {}",
        answer.out
    );
    nothing_is_done(&desk)
}

fn changes_hands(world: &World) -> Result<()> {
    let database = world.database(Server::Postgres18, "changes_hands")?;
    world.block_on(database.admin.execute(&people(&database)))?;
    let stage = Stage::set(world, "changes_hands", database, POLICY, Grants::Printed)?;
    stage.run_to_end()?;
    let again = |number: i64| {
        let sql = format!(
            "INSERT INTO people VALUES ({number}, current_timestamp - INTERVAL '2' YEAR, 'Planted One')"
        );
        world.block_on(stage.database.admin.execute(&sql)).map(drop)
    };
    let there = || {
        let admin = &stage.database.admin;
        world.block_on(admin.number(&format!("SELECT count(*) FROM people WHERE id <= {ROWS}")))
    };
    again(1)?;
    let mut objects = stage.objects(POLICY)?;
    objects.extend(stage.supplies()?);
    let call = |arguments: &[&str]| {
        let output = printed::program(&objects, |command| {
            command
                .args(arguments)
                .args(["--namespace", &stage.namespace.name]);
        })?;
        anyhow::Ok(Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    };
    let apply = || call(&["apply", "--yes", "--output", "json"]);
    let answer = apply()?.expect_refused("LedgerOwned")?;
    ensure!(
        answer.out.contains("oubliette ledger adopt -f FILE") && there()? == 1,
        "{answer:?}"
    );

    let adopted = call(&["ledger", "adopt"])?.expect(0)?;
    ensure!(
        adopted.out.contains("`oubliette apply` without a cluster"),
        "{adopted:?}"
    );
    apply()?.expect(0)?;
    ensure!(there()? == 0, "the row is still there");
    again(2)?;
    stage.run_now()?;
    let owned = stage
        .namespace
        .wait_reason("TargetDatabase", TARGET, "LedgerOwned")?;
    let condition = ready(&owned).map(Value::to_string).unwrap_or_default();
    ensure!(
        condition.contains("oubliette ledger adopt NAME -n NAMESPACE"),
        "{condition}"
    );
    ensure!(there()? == 1, "the operator took a row");

    let kubeconfig = &world.control_plane()?.cluster.kubeconfig;
    let output = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args([
            "ledger",
            "adopt",
            TARGET,
            "--namespace",
            &stage.namespace.name,
        ])
        .env("KUBECONFIG", kubeconfig)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    stage.run_to_end()?;
    ensure!(there()? == 0, "the row is still there");
    apply()?.expect_refused("LedgerOwned")?;
    stage.keep_ledger()?;
    stage.namespace.finish()
}
