//! `oubliette reference`: pages of the manual that the program writes itself.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Command, ValueEnum, ValueHint};
use clap_mangen::Man;
use oubliette_core::api::reason;

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
    /// The program as a page for man.
    Man,
}

/// Prints a page: of the reasons in Markdown, of the program for man. `manual`: the program under each
/// of its names.
pub fn run(request: &Request, manual: &[Command], out: &mut impl Write) -> anyhow::Result<()> {
    let text = match (request.page, &request.folder) {
        (Page::Reasons, None) => reason::page().into_bytes(),
        (Page::Reasons, Some(_)) => bail!("--folder is for man: the reasons are one page"),
        (Page::Man, None) => {
            let program = manual.first().context("there is no program")?;
            let mut page = Vec::new();
            Man::new(program.clone())
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
    };
    out.write_all(&text).context("failed to write the page")
}
