//! The README's commands are ones that CI runs, and its picture of the demo is the demo's.

use anyhow::{Result, ensure};

use crate::case::{Case, Needs};
use crate::world::{World, repository};

/// The cases of this file.
pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new(
        "readme::every_command_is_one_that_ci_runs".to_owned(),
        Needs::nothing(),
        every_command_is_one_that_ci_runs,
    )]
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
