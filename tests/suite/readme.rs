//! The README's commands are ones that CI runs, its picture of the demo is the demo's, and what the
//! documents say of the program's own commands can be typed.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use clap::error::ErrorKind;
use oubliette::cli::Cli;

use crate::case::{Case, Needs};
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
    let (readme, ci, demo) = (
        read("README.md")?,
        read(".ci/run")?,
        read("examples/quickstart/demo.sh")?,
    );
    let mut block = "";
    let mut found = 0;
    for line in readme.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = language;
        } else if block == "sh" {
            found += 1;
            ensure!(
                ci.lines().any(|known| known.trim() == line),
                "CI does not run {line:?}"
            );
        } else if let (true, Some(command)) = (block == "console", line.strip_prefix("$ ")) {
            found += 1;
            ensure!(
                demo.contains(&format!("show {command}")),
                "the demo does not run {command:?}"
            );
        }
    }
    ensure!(found >= 4, "only {found} commands were found");
    Ok(())
}

/// In blocks of code as well as in sentences, where arguments may be left out.
fn every_command_can_be_typed(_world: &World) -> Result<()> {
    let mut files = vec![
        repository().join("README.md"),
        repository().join("CHANGELOG.md"),
    ];
    for entry in std::fs::read_dir(repository().join("docs"))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    let mut found = 0;
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let mut in_block = false;
        for line in text.lines() {
            if line.starts_with("```") {
                in_block = !in_block;
                continue;
            }
            let commands: Vec<&str> = if in_block {
                // `helm install oubliette …` is another program's.
                let typed = ["$ oubliette ", "/bin/oubliette ", "run: oubliette "];
                typed
                    .iter()
                    .filter_map(|typed| Some(line.split_once(typed)?.1))
                    .collect()
            } else {
                let quoted = line.split('`').skip(1).step_by(2);
                quoted
                    .filter_map(|text| text.strip_prefix("oubliette "))
                    .collect()
            };
            for command in commands {
                found += 1;
                typed(command, in_block).with_context(|| format!("{}: {line}", file.display()))?;
            }
        }
    }
    ensure!(found > 20, "only {found} commands were found");
    Ok(())
}

fn typed(command: &str, whole: bool) -> Result<()> {
    let words = command
        .split(' ')
        .take_while(|word| !matches!(*word, "|" | "\\|" | ">" | ">>"))
        .map(|word| word.trim_end_matches('…'));
    match Cli::try_parse_from(std::iter::once("oubliette").chain(words)) {
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
