//! `oubliette reference`: pages of the manual that the program writes itself.

mod commands;
mod resources;
mod settings;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Command, ValueEnum, ValueHint};
use clap_mangen::Man;
use oubliette_core::api::reason;

pub(super) use settings::schema as settings_schema;

use crate::metrics;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The page.
    page: Page,
    /// For man: writes the page of every command into this folder instead.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Page {
    /// Every reason of conditions, events and refusals: what it means and what to do.
    Reasons,
    /// Every metric, its labels and what it tells.
    Metrics,
    /// Every field of the resources.
    Resources,
    /// Every field of the operator's settings file.
    Settings,
    /// Every command and flag, the operator's settings among them.
    Commands,
    /// The program as a page for man.
    Man,
}

/// The pages in Markdown, each with its path below the repository's root. `manual`: the program under
/// each of its names.
pub(super) fn pages(manual: &[Command]) -> anyhow::Result<[(&'static str, String); 5]> {
    Ok([
        ("docs/reasons.md", reason::page()),
        ("docs/metrics.md", metrics::page()),
        ("docs/reference/resources.md", resources::page()?),
        ("docs/reference/settings.md", settings::page()?),
        ("docs/reference/commands.md", commands::page(manual)?),
    ])
}

/// Prints a page: in Markdown, or of the program for man. `manual`: the program under each of its names.
pub fn run(request: &Request, manual: &[Command], out: &mut impl Write) -> anyhow::Result<()> {
    let text = match (request.page, &request.folder) {
        (Page::Man, None) => {
            let mut page = Vec::new();
            Man::new(program(manual)?.clone())
                .render(&mut page)
                .context("failed to write the page")?;
            page
        }
        (Page::Man, Some(folder)) => {
            let failed = || format!("failed to write into {}", folder.display());
            fs::create_dir_all(folder).with_context(failed)?;
            for program in manual {
                clap_mangen::generate_to(program.clone(), folder).with_context(failed)?;
            }
            return Ok(());
        }
        (_, Some(_)) => bail!("--folder is for man: the others are one page each"),
        (Page::Reasons, None) => reason::page().into_bytes(),
        (Page::Metrics, None) => metrics::page().into_bytes(),
        (Page::Resources, None) => resources::page()?.into_bytes(),
        (Page::Settings, None) => settings::page()?.into_bytes(),
        (Page::Commands, None) => commands::page(manual)?.into_bytes(),
    };
    out.write_all(&text).context("failed to write the page")
}

/// The program under its own name.
fn program(manual: &[Command]) -> anyhow::Result<&Command> {
    manual.first().context("there is no program")
}

/// A text that neither ends its cell of a table nor its line.
pub(super) fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// `` One of `a`, `b`. ``
fn one_of(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    format!("One of {}.", quoted.join(", "))
}

/// The sentences that there are, one after the other.
fn sentences(parts: impl IntoIterator<Item = String>) -> String {
    let ended = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| match part.chars().last() {
            Some('.' | ':' | '…') => part,
            _ => format!("{part}."),
        });
    ended.collect::<Vec<_>>().join(" ")
}
