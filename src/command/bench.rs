//! `oubliette bench`: how fast the program and others do the same work on somebody's own server.
//!
//! Owns what is asked, in which order it is measured and that nothing is left behind. The tables and the
//! statements of others are `bench`'s, what is told of it is core's.

mod cells;
mod condition;
mod program;
mod shown;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum, value_parser};
use jiff::Timestamp;
use oubliette_core::bench::place::Found;
use oubliette_core::bench::text::{LEDGER, PLACE};
use oubliette_core::bench::work::Layout;
use oubliette_core::bench::{Condition, Run, Sheet, Who, Work, gate};
use oubliette_core::catalog::Engine;
use oubliette_core::decide::whole_second;
use oubliette_core::target::Target;
use tokio_util::sync::CancellationToken;

use super::source::Given;
use super::{NO_DATABASE, ask, form};
use crate::bench::archiver::Archiver;
use crate::bench::ground::{self, Ground};
use crate::bench::machine;
use crate::database::{ConnectSettings, Database};
use crate::inputs::offline::target_of;
use crate::inputs::secrets::{Login, settings};
use crate::inputs::url::DatabaseUrl;
use crate::shutdown;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The database.
    #[command(flatten)]
    pub given: Given,
    /// Does not ask. Needed where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Smaller tables and three times, so that it takes minutes: to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// Rows of the table of `delete-narrow`. Default: 2000000, and 200000 with --quick.
    #[arg(long, value_name = "ROWS", value_parser = value_parser!(u32).range(1_000..=50_000_000))]
    pub rows: Option<u32>,
    /// Rows of every other work's own table. Default: an eighth of those.
    #[arg(long, value_name = "ROWS", value_parser = value_parser!(u32).range(1_000..=50_000_000))]
    pub others: Option<u32>,
    /// How often everything is done. Default: 5, and 3 with --quick.
    #[arg(long, value_name = "TIMES", value_parser = value_parser!(u32).range(1..=100))]
    pub repeat: Option<u32>,
    /// What is measured, such as `delete-narrow`; may be given several times. Default: everything.
    #[arg(long, value_name = "WORK", value_parser = cells::work)]
    pub work: Vec<Work>,
    /// Who is measured, such as `single`; may be given several times. Default: everybody.
    #[arg(long, value_name = "MODE", value_parser = cells::mode)]
    pub mode: Vec<Who>,
    /// What else is the case: `alone`; `foreground`, an application works on the table; `snapshot`, an
    /// old snapshot is held open. `distant` and `larger` say what the server is, and change nothing.
    #[arg(long, value_name = "CONDITION", default_value = Condition::Alone.name(), value_parser = condition::named)]
    pub condition: Condition,
    /// pt-archiver, to compare with on MySQL and MariaDB.
    #[arg(long, value_name = "PROGRAM")]
    pub archiver: Option<PathBuf>,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, 100 columns wide.
    #[default]
    Table,
    /// One JSON document with every run.
    Json,
}

/// Rows are not as they should be.
const WRONG: u8 = 2;
/// Told to stop before the end.
const INTERRUPTED: u8 = 3;

/// Connections of the benchmark itself.
const CONNECTIONS: u32 = 8;

impl Request {
    fn rows(&self) -> u32 {
        self.rows
            .unwrap_or(if self.quick { 200_000 } else { 2_000_000 })
    }

    fn rows_of(&self, layout: &Layout) -> i64 {
        let others = || self.others.unwrap_or(self.rows() / 8).max(1_000);
        i64::from(if layout.is_large {
            self.rows()
        } else {
            others()
        })
    }

    fn repeat(&self) -> u32 {
        self.repeat.unwrap_or(if self.quick { 3 } else { 5 })
    }
}

/// Measures and tells. Exit code 0: done; 1: an error; 2: the program did not change what it should; 3: told
/// to stop. But for 1 before anything was measured, what was is told.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if !request.yes && !ask::possible() {
        bail!(
            "bench asks before it makes a schema and loads the server, and there is no terminal to ask \
             on: give --yes"
        );
    }
    let Some((url, login)) = request.given.database()? else {
        bail!(NO_DATABASE);
    };
    let stop = shutdown::on_signal().context("failed to listen for signals")?;
    let target = target_of(&url)?;
    let first = connect(&target, login.clone()).await?;
    not_foreign(&first).await?;
    not_shown(request, &first).await?;
    if !request.yes && !agreed(request, &target, &first, &stop).await? {
        bail!("nothing was done: the answer was not yes");
    }
    let Some(alone) = ground::alone(&first).await? else {
        bail!(
            "another benchmark is at work in {} on {}: nothing was done. Wait until it has ended",
            place(first.engine()),
            target.address()
        );
    };
    if not_foreign(&first).await? == Found::Own {
        // An earlier one was killed.
        ground::remove(&first).await?;
    }
    let made = ground::make(&first).await;
    made.with_context(|| format!("failed to make {}", place(first.engine())))?;
    let mut sheet = Sheet {
        machine: machine::machine(),
        quick: request.quick,
        begun: whole_second(Timestamp::now()),
        last_begun: None,
        cells: Vec::new(),
    };
    let measured = tokio::select! {
        measured = Box::pin(measure(request, (&url, login), &first, &mut sheet)) => Some(measured),
        () = stop.cancelled() => None,
    };
    // In every case.
    let removed = ground::remove(&first).await;
    if removed.is_err() {
        // First of all, because whatever else fails would hide it.
        eprintln!(
            "failed to remove {}: remove it by hand",
            place(first.engine())
        );
    }
    drop(alone);
    first.close().await;
    gate::apply(&mut sheet);
    let text = match request.output {
        Output::Table => shown::text(&sheet),
        Output::Json => form::json(&sheet)?,
    };
    out.write_all(text.as_bytes())
        .context("failed to write what was measured")?;
    // Whatever it was that went wrong, what was measured before it is told.
    measured.transpose()?;
    removed.context("what was made is left")?;
    Ok(if stop.is_cancelled() {
        ExitCode::from(INTERRUPTED)
    } else if is_right(&sheet) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    })
}

/// Whether the program itself changed what it should and nothing else. What others do is told.
fn is_right(sheet: &Sheet) -> bool {
    let modes = sheet.cells.iter().flat_map(|cell| &cell.modes);
    let mut own = modes.filter(|mode| mode.name.is_ours());
    own.all(|mode| mode.runs.iter().all(Run::passed))
}

/// Refuses a server that would write the key of the pseudonyms into its log: the plan would refuse it hours later.
async fn not_shown(request: &Request, database: &Database) -> anyhow::Result<()> {
    let keyed = match request.work.as_slice() {
        [] => condition::is_measured(request.condition, Work::Anonymise),
        asked => asked.contains(&Work::Anonymise),
    };
    let ours = request.mode.is_empty() || request.mode.iter().any(|who| who.is_ours());
    if !keyed || !ours {
        return Ok(());
    }
    let server = database.probe().await?;
    let shown = server.warnings.iter().filter(|warning| warning.shows_key);
    let shown: Vec<String> = shown
        .map(|warning| format!("{} is {}", warning.setting, warning.value))
        .collect();
    if shown.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: this program does not anonymise where the server would write its key into the log. Change that for the \
         time of the benchmark, or say by --work what is to be measured, without {}",
        shown.join(", "),
        Work::Anonymise.name()
    )
}

/// What the schema is called, for people.
fn place(engine: Engine) -> String {
    match engine {
        Engine::Postgres => format!("the schemas {PLACE} and {LEDGER}"),
        Engine::MySql | Engine::MariaDb => format!("the database {PLACE}"),
    }
}

async fn agreed(
    request: &Request,
    target: &Target,
    database: &Database,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let shown = format!(
        "makes {} on {} ({} {}), with tables of {} rows, changes and makes them anew {} times each{}, as \
         fast as it can, and removes it in the end. An application on that server will notice, and so will \
         replicas: every copy and change goes into the log.\n",
        place(database.engine()),
        target.address(),
        database.engine().name(),
        database.version().text,
        request.rows(),
        request.repeat(),
        if request.condition == Condition::Foreground {
            format!(" (or {} more, where it is not quiet)", gate::AGAIN)
        } else {
            String::new()
        },
    );
    let answer = ask::agreed(&shown, "Go on?", stop).await?;
    Ok(answer == Some(true))
}

async fn connect(target: &Target, login: Login) -> anyhow::Result<Database> {
    let settings = ConnectSettings {
        max_connections: CONNECTIONS,
        ..settings(target, login)
    };
    Ok(Database::connect(&settings).await?)
}

/// Refuses a schema of that name that is somebody else's, and a place that others have a copy of.
async fn not_foreign(database: &Database) -> anyhow::Result<Found> {
    if ground::is_published(database).await? {
        bail!(
            "a publication of this database is FOR ALL TABLES: the benchmark's tables would go to its \
             subscribers, which lack them and would stop there. Give a database that has none"
        );
    }
    let found = ground::found(database).await?;
    if found == Found::Foreign {
        bail!(
            "something of {} is there and is not the benchmark's: rename it, or give another database",
            place(database.engine())
        );
    }
    Ok(found)
}

/// Measures everything in the schema.
async fn measure(
    request: &Request,
    (url, login): (&DatabaseUrl, Login),
    first: &Database,
    sheet: &mut Sheet,
) -> anyhow::Result<()> {
    let mut url = url.clone();
    if first.engine().is_innodb() {
        // There a database is what a schema is elsewhere.
        PLACE.clone_into(&mut url.database);
    }
    let database = connect(&target_of(&url)?, login.clone()).await?;
    let settings = settings(&target_of(&url)?, login.clone());
    let archiver = request.archiver.as_deref();
    let archiver = archiver.map(|program| Archiver::new(program, &settings));
    let mut bench = cells::Bench {
        request,
        archiver: archiver.transpose()?,
        settings,
        url: &url,
        login: &login,
        ground: Ground::of(database.clone()),
    };
    bench.all(sheet).await?;
    database.close().await;
    Ok(())
}
