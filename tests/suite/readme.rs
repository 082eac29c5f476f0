//! The README's commands are ones that CI runs, its picture of the demo is the demo's, and what the
//! documents say of the program's own commands can be typed.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::error::ErrorKind;
use oubliette::cli::Cli;

use crate::case::{Case, Needs};
use crate::pages::{self, Block, Page};
use crate::world::{World, repository};

/// The cases of this file.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "readme::every_command_is_one_that_ci_runs",
            Needs::nothing(),
            every_command_is_one_that_ci_runs,
        ),
        Case::new(
            "readme::every_command_of_the_program_can_be_typed",
            Needs::nothing(),
            every_command_can_be_typed,
        ),
    ]
}

fn every_command_is_one_that_ci_runs(_world: &World) -> Result<()> {
    let read = |file: &str| std::fs::read_to_string(repository().join(file));
    let ci = read(".ci/run")?;
    // As the shell reads it.
    let demo = read("examples/quickstart/demo.sh")?
        .replace("-f %s", "-f $here")
        .replace("$here", "examples/quickstart")
        .replace("$work", "target/demo")
        .replace("$policy", "learning")
        .replace("orp %s", "orp learning")
        .replace("approve %s", "approve learning");
    let mut found = 0;
    for file in ["README.md", "docs/tutorial.md"] {
        for block in Page::read(Path::new(file))?.blocks {
            for line in block.lines() {
                if let ("console", Some(command)) = (block.language(), line.strip_prefix("$ ")) {
                    found += 1;
                    ensure!(
                        demo.contains(&format!("show {command}"))
                            || demo.contains(&format!("'$ {command}")),
                        "{file}: the demo does not run {command:?}"
                    );
                } else if block.language() == "sh" && line.starts_with("make ") {
                    found += 1;
                    let command = line.trim_end_matches(" KEEP=1");
                    ensure!(
                        ci.lines().any(|known| known.trim() == command),
                        "{file}: CI does not run {line:?}"
                    );
                }
            }
        }
    }
    ensure!(found >= 13, "only {found} commands were found");
    Ok(())
}

/// In blocks of code as well as in sentences, where arguments may be left out.
fn every_command_can_be_typed(_world: &World) -> Result<()> {
    let mut found = 0;
    for page in pages::all()? {
        let blocks = page.blocks.iter().filter(|b| b.language() != "text");
        let lines = blocks.flat_map(Block::lines).map(|line| (line, true));
        let codes = page.codes.iter().map(|code| (code.clone(), false));
        for (line, whole) in lines.chain(codes) {
            let Some(command) = command(&line) else {
                continue;
            };
            found += 1;
            typed(&command, whole).with_context(|| format!("{}: {line}", page.path.display()))?;
        }
    }
    ensure!(found > 70, "only {found} commands were found");
    Ok(())
}

/// The command line of a line that calls the program. `helm install oubliette …` is another program's.
fn command(line: &str) -> Option<String> {
    let line = line.trim_start();
    let line = ["$ ", "- run: ", "run: ", "ExecStart="]
        .iter()
        .find_map(|before| line.strip_prefix(before))
        .unwrap_or(line);
    if let Some(asked) = line.strip_prefix("kubectl oubliette ") {
        return Some(format!("kubectl-oubliette {asked}"));
    }
    let (program, _) = line.split_once(' ')?;
    let is_ours = program == "oubliette"
        || program.ends_with("/bin/oubliette")
        || program.ends_with("/debug/oubliette");
    is_ours.then(|| line.to_owned())
}

fn typed(command: &str, whole: bool) -> Result<()> {
    let words = command
        .split_whitespace()
        .take_while(|word| !matches!(*word, "|" | "||" | "\\|" | ">" | ">>" | "#"))
        .map(|word| OsString::from(word.trim_end_matches('…')));
    match Cli::read(words.collect()) {
        Ok(_) => Ok(()),
        Err(error)
            if !whole
                && matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                ) =>
        {
            Ok(())
        }
        Err(error) => bail!("{error}"),
    }
}
