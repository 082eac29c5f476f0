//! `bed`: the test bed on the command line.

use std::{
    env,
    io::{Read, Write, stdin, stdout},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use bed::{Bed, Bench, Wanted, setup};

const USAGE: &str = "usage:
  bed setup [--only LIST]                                install what is missing (make setup)
  bed run [--only LIST] [--log-statements] -- COMMAND…   run a command with servers beside it
  bed up  [--only LIST] [--log-statements]     start servers, print where they are, stay until stdin ends
LIST is one or more of postgres15,postgres18,mariadb,mysql,cluster,tools (all of these), archiver
--bench sets the servers up as for work: commits reach the disk, caches are large; with it --small-cache, and
--distant for commits of 1 ms and a round trip of 0.5 ms";

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Vec<String>) -> Result<ExitCode> {
    if arguments.is_empty() {
        bail!("{USAGE}");
    }
    let order = arguments.remove(0);
    let mut wanted = Wanted::everything();
    let mut log_statements = false;
    let mut bench = None;
    let mut rest = arguments.into_iter();
    let mut command = Vec::new();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--only" => wanted = Wanted::parse(&rest.next().context(USAGE)?)?,
            "--log-statements" => log_statements = true,
            "--bench" => drop(bench.get_or_insert_with(Bench::default)),
            "--small-cache" => bench.get_or_insert_with(Bench::default).small_cache = true,
            "--distant" => bench.get_or_insert_with(Bench::default).distant = true,
            "--" => command = rest.by_ref().collect(),
            _ => bail!("{USAGE}"),
        }
    }
    wanted.options.log_statements = log_statements;
    wanted.options.bench = bench;
    match order.as_str() {
        "setup" => setup::setup(&wanted).map(|()| ExitCode::SUCCESS),
        "run" => beside(&wanted, &command),
        "up" => up(&wanted),
        _ => bail!("{USAGE}"),
    }
}

fn start(wanted: &Wanted) -> Result<Bed> {
    Bed::start_saying(wanted, &|line| eprintln!("bed: {line}"))
}

/// Runs a command with the servers' addresses in its environment.
fn beside(wanted: &Wanted, command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context(USAGE)?;
    let bed = start(wanted)?;
    let path = env::var("PATH").unwrap_or_default();
    let status = Command::new(program)
        .args(arguments)
        .envs(bed.environment(&path)?)
        .status()
        .with_context(|| format!("failed to run {program}"))?;
    drop(bed);
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Prints the environment for a shell and stays until its standard input ends.
fn up(wanted: &Wanted) -> Result<ExitCode> {
    let bed = start(wanted)?;
    let path = env::var("PATH").unwrap_or_default();
    let mut out = stdout().lock();
    for (name, value) in bed.environment(&path)? {
        writeln!(out, "export {name}='{}'", value.replace('\'', r"'\''"))?;
    }
    writeln!(out, "# ready")?;
    out.flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}
