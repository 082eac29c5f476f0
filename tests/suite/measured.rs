//! `oubliette bench` on real servers: it tells what it measured, what it measured is right, and nothing of
//! it stays behind, however it ends.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use oubliette_core::bench::{Cell, Condition, Run, Sheet, Who, gate};
use tempfile::NamedTempFile;

use crate::case::{Case, Server};
use crate::desk::Terminal;
use crate::sql::{Database, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases. One for each server: on MySQL and MariaDB the schema's name is the server's.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each(
        "measured::a_server_is_measured_and_left_as_it_was",
        &Server::ENGINES,
        measured,
    )
}

/// The benchmark with a user of its own on an empty database.
struct Bench<'w> {
    world: &'w World,
    database: Database,
    url: String,
    password: String,
}

/// A call under way.
struct Call {
    child: Child,
    log: NamedTempFile,
}

impl<'w> Bench<'w> {
    fn set(world: &'w World, server: Server) -> Result<Self> {
        let database = world.database(server, "measured")?;
        let user = format!("bench_{}", next_number());
        let password = format!("pw-{}", next_number());
        world.block_on(database.create_user(&user, &password))?;
        let name = &database.name;
        // What docs/how-to/bench.md says.
        let grants = if server.is_postgres() {
            format!("GRANT CREATE ON DATABASE {name} TO {user}")
        } else {
            format!(
                "GRANT ALL ON oubliette_bench.* TO '{user}'@'%'; GRANT PROCESS ON *.* TO '{user}'@'%'; \
                 GRANT SELECT ON {name}.* TO '{user}'@'%'"
            )
        };
        world.block_on(database.admin.execute(&grants))?;
        Ok(Self {
            world,
            url: database.url(&user),
            database,
            password,
        })
    }

    fn begin(&self, arguments: &[&str]) -> Result<Call> {
        let log = NamedTempFile::new()?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_oubliette")])
            .args(["bench", "--database-url", &self.url])
            .args(arguments)
            .env("OUBLIETTE_DATABASE_PASSWORD", &self.password)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen()?)
            .spawn()
            .context("failed to run oubliette")?;
        Ok(Call { child, log })
    }

    /// Its exit code, answer and words.
    fn end(&self, call: Call) -> Result<(Option<i32>, String, String)> {
        let output = call.child.wait_with_output()?;
        let out = String::from_utf8(output.stdout)?;
        let err = std::fs::read_to_string(call.log.path())?;
        let file = format!("bench-{}-{}.txt", self.database.name, next_number());
        self.world.keep(&file, &format!("{out}\n{err}"))?;
        Ok((output.status.code(), out, err))
    }

    fn call(&self, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
        self.end(self.begin(arguments)?)
    }

    /// Schemas of its names.
    fn schemas(&self) -> Result<i64> {
        self.world.block_on(self.database.admin.number(
            "SELECT count(*) FROM information_schema.schemata \
             WHERE schema_name IN ('oubliette_bench', 'oubliette_bench_ledger')",
        ))
    }

    fn nothing_is_left(&self) -> Result<()> {
        let left = self.schemas()?;
        ensure!(left == 0, "{left} schemas are left");
        Ok(())
    }

    fn sql(&self, sql: &str) -> Result<()> {
        self.world
            .block_on(self.database.admin.execute(sql))
            .map(drop)
    }
}

fn measured(world: &World, server: Server) -> Result<()> {
    let bench = Bench::set(world, server)?;
    let (code, _, err) = bench.call(&[])?;
    ensure!(code == Some(1) && err.contains("--yes"), "{err}");
    bench.nothing_is_left()?;

    everything(&bench)?;
    bench.nothing_is_left()?;

    beside(&bench)?;
    bench.nothing_is_left()?;

    interrupted(&bench)?;
    bench.nothing_is_left()?;

    asked(&bench)?;
    bench.nothing_is_left()?;

    idle(&bench)?;
    shown(&bench)?;
    foreign(&bench)
}

/// What is measured here, each a way of the program of its own.
const WORKS: [&str; 5] = [
    "delete-narrow",
    "delete-graph",
    "delete-partitions",
    "delete-newest-child",
    "anonymise",
];

/// Who is.
const MODES: [Who; 3] = [Who::Single, Who::OublietteBacklogOne, Who::RowByRow];

/// What the program does is right to the row.
fn everything(bench: &Bench<'_>) -> Result<()> {
    let mut arguments = vec![
        "--yes", "--rows", "2000", "--repeat", "1", "--output", "json",
    ];
    arguments.extend(WORKS.iter().flat_map(|work| ["--work", work]));
    arguments.extend(MODES.iter().flat_map(|who| ["--mode", who.name()]));
    let (code, out, err) = bench.call(&arguments)?;
    ensure!(code == Some(0), "{code:?}: {out}{err}");
    let sheet: Sheet = serde_json::from_str(&out).with_context(|| format!("not a sheet: {out}"))?;
    ensure!(
        sheet.cells.len() == WORKS.len(),
        "{} cells",
        sheet.cells.len()
    );
    for cell in &sheet.cells {
        let name = cell.work.name();
        ensure!(
            cell.expired > 0 && cell.expired < cell.rows,
            "{name}: {}",
            cell.expired
        );
        for mode in &cell.modes {
            let who = mode.name.name();
            let [run] = mode.runs.as_slice() else {
                anyhow::bail!("{name}, {who}: {} runs", mode.runs.len());
            };
            ensure!(
                !run.cut && run.changed == cell.expired,
                "{name}, {who}: {run:?}"
            );
            ensure!(
                !mode.statements.is_empty() && run.phases.run > 0.0,
                "{name}, {who}"
            );
            // What others do may take a row that was renewed meanwhile, which is told; else nobody may err.
            let renewed = oubliette::bench::race::NAME;
            let wrong = |(check, passed): (&String, &bool)| {
                !passed && (mode.name.is_ours() || check != renewed)
            };
            ensure!(
                !run.checks.iter().any(wrong),
                "{name}, {who}: {:?}",
                run.checks
            );
            ensure!(run.checks.len() > 1, "{name}, {who}: {:?}", run.checks);
        }
        for who in [Who::Single, Who::OublietteBacklogOne] {
            ensure!(
                cell.modes.iter().any(|mode| mode.name == who),
                "{name} lacks {who:?}"
            );
        }
    }
    // Who deletes by keys that were read before takes a row that was renewed since then: the check can fail.
    let first = sheet.cells.iter().flat_map(|cell| &cell.modes);
    let mut by_row = first.filter(|mode| mode.name == Who::RowByRow);
    ensure!(by_row.all(|mode| !mode.runs.iter().any(Run::passed)));
    Ok(())
}

/// An application works on the table meanwhile; an old snapshot is held open.
fn beside(bench: &Bench<'_>) -> Result<()> {
    let few = "--yes --quick --rows 16000 --repeat 1 --output json";
    for condition in [
        "foreground --mode oubliette-steady",
        "snapshot --mode single",
    ] {
        let arguments = format!("{few} --condition {condition}");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let (code, out, err) = bench.call(&arguments)?;
        ensure!(code == Some(0), "{condition}: {code:?}: {out}{err}");
        let sheet: Sheet = serde_json::from_str(&out)?;
        let [cell] = sheet.cells.as_slice() else {
            anyhow::bail!("{condition}: {out}");
        };
        let runs: Vec<&Run> = cell.modes.iter().flat_map(|mode| &mode.runs).collect();
        // Where the machine was not quiet, it is done again.
        let again = usize::try_from(gate::AGAIN)?;
        let most = if cell.condition == Condition::Foreground {
            1 + again
        } else {
            1
        };
        ensure!((1..=most).contains(&runs.len()), "{condition}: {out}");
        for run in runs {
            one_of_beside(condition, cell, run)?;
        }
    }
    Ok(())
}

fn one_of_beside(condition: &str, cell: &Cell, run: &Run) -> Result<()> {
    // Rows that the application made or changed are not taken for those that were there.
    ensure!(
        run.passed() && run.changed == cell.expired,
        "{condition}: {run:?}"
    );
    ensure!(
        condition.starts_with(cell.condition.name()),
        "{condition}: {:?}",
        cell.condition
    );
    if cell.condition == Condition::Foreground {
        let seen = run.foreground.as_ref().context("nothing was seen")?;
        for window in [&seen.idle_before, &seen.during, &seen.idle_after] {
            ensure!(window.operations > 0 && window.max > 0.0, "{seen:?}");
        }
        ensure!(run.longest_lock_wait.is_some(), "{run:?}");
    } else {
        ensure!(run.foreground.is_none(), "{run:?}");
    }
    Ok(())
}

/// Ctrl-C in the middle: what was measured is told, and the schema is removed.
fn interrupted(bench: &Bench<'_>) -> Result<()> {
    let arguments = [
        "--yes",
        "--rows",
        "1000",
        "--repeat",
        "100",
        "--work",
        "delete-narrow",
        "--mode",
        "single",
    ];
    let call = bench.begin(&arguments)?;
    wait_for("a run has ended", PATIENCE, || {
        let said = std::fs::read_to_string(call.log.path())?;
        Ok(if said.contains("single, 1") {
            Ok(())
        } else {
            Err(said)
        })
    })?;
    // Nobody else makes what it works on anew.
    let (code, _, err) = bench.call(&arguments)?;
    ensure!(
        code == Some(1) && err.contains("another benchmark is at work"),
        "{code:?}: {err}"
    );
    ensure!(bench.schemas()? > 0, "there is no schema");
    let sent = Command::new("kill")
        .args(["-INT", &call.child.id().to_string()])
        .status()?;
    ensure!(sent.success(), "failed to send SIGINT");
    let (code, out, err) = bench.end(call)?;
    ensure!(
        code == Some(3) && out.contains("delete-narrow (alone) on"),
        "{code:?}: {out}{err}"
    );
    Ok(())
}

/// Whoever does not say yes has nothing made.
fn asked(bench: &Bench<'_>) -> Result<()> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), &bench.password)?;
    let file = file.path().to_string_lossy().into_owned();
    let terminal = Terminal::calling(&[
        "bench",
        "--database-url",
        &bench.url,
        "--password-file",
        &file,
    ])?;
    terminal.wait_for("Go on?")?;
    bench.nothing_is_left()?;
    let (code, shown) = terminal.answering("no\n")?;
    ensure!(
        code == Some(1) && shown.contains("nothing was done"),
        "{code:?}: {shown}"
    );
    Ok(())
}

/// Who does none of the work that is asked for is not passed over in silence.
fn idle(bench: &Bench<'_>) -> Result<()> {
    let asked = [
        "--yes",
        "--work",
        "delete-wide",
        "--mode",
        "single",
        "--mode",
        "bare-walk",
    ];
    let (code, _, err) = bench.call(&asked)?;
    ensure!(
        code == Some(1) && err.contains("bare-walk is not measured at this work"),
        "{code:?}: {err}"
    );
    bench.nothing_is_left()?;
    let asked = ["--yes", "--condition", "foreground", "--work", "anonymise"];
    let (code, _, err) = bench.call(&asked)?;
    ensure!(
        code == Some(1) && err.contains("anonymise is not measured beside an application"),
        "{code:?}: {err}"
    );
    bench.nothing_is_left()
}

/// A server whose log would get the key is refused before anything is made, not hours later. On PostgreSQL it is so for
/// one database; elsewhere it would be for everybody.
fn shown(bench: &Bench<'_>) -> Result<()> {
    if !bench.database.server.is_postgres() {
        return Ok(());
    }
    let alter = format!("ALTER DATABASE {}", bench.database.name);
    bench.sql(&format!("{alter} SET log_min_duration_statement = 0"))?;
    for arguments in [&["--yes"][..], &["--yes", "--work", "anonymise"]] {
        let (code, _, err) = bench.call(arguments)?;
        ensure!(
            code == Some(1) && err.contains("log_min_duration_statement is 0"),
            "{code:?}: {err}"
        );
        bench.nothing_is_left()?;
    }
    // One statement has no key.
    let asked = "--yes --work anonymise --mode single --rows 1000 --others 1000 --repeat 1";
    let (code, _, err) = bench.call(&asked.split(' ').collect::<Vec<_>>())?;
    ensure!(code == Some(0), "{code:?}: {err}");
    bench.nothing_is_left()?;
    bench.sql(&format!("{alter} RESET log_min_duration_statement"))
}

/// What somebody else made under that name stays, and what would go to subscribers is not made.
fn foreign(bench: &Bench<'_>) -> Result<()> {
    if bench.database.server.is_postgres() {
        bench.sql("CREATE PUBLICATION everything FOR ALL TABLES")?;
        let (code, _, err) = bench.call(&["--yes"])?;
        ensure!(
            code == Some(1) && err.contains("FOR ALL TABLES"),
            "{code:?}: {err}"
        );
        bench.nothing_is_left()?;
        bench.sql("DROP PUBLICATION everything")?;
    }
    if bench.database.server.is_postgres() {
        // Beside what an earlier benchmark has left.
        let mark = "CREATE TABLE made_by_oubliette_bench (n integer PRIMARY KEY)";
        bench.sql(&format!("CREATE SCHEMA oubliette_bench {mark}"))?;
        bench.sql("CREATE SCHEMA oubliette_bench_ledger CREATE TABLE kept (id integer)")?;
        refused(bench)?;
        bench.sql("SELECT id FROM oubliette_bench_ledger.kept")?;
        bench.sql("DROP SCHEMA oubliette_bench, oubliette_bench_ledger CASCADE")?;
    }
    let word = if bench.database.server.is_postgres() {
        "SCHEMA"
    } else {
        "DATABASE"
    };
    bench.sql(&format!("CREATE {word} oubliette_bench"))?;
    bench.sql("CREATE TABLE oubliette_bench.kept (id integer PRIMARY KEY)")?;
    refused(bench)?;
    bench.sql(&format!(
        "DROP TABLE oubliette_bench.kept; DROP {word} oubliette_bench"
    ))
}

fn refused(bench: &Bench<'_>) -> Result<()> {
    let (code, _, err) = bench.call(&["--yes"])?;
    ensure!(
        code == Some(1) && err.contains("is not the benchmark's"),
        "{code:?}: {err}"
    );
    Ok(())
}
