//! `oubliette reference`: pages of the manual that the program writes itself.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};
use oubliette_core::api::reason;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The page.
    page: Page,
}

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Page {
    /// Every reason of conditions, events and refusals: what it means and what to do.
    Reasons,
}

/// Prints the page in Markdown.
pub fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<()> {
    let text = match request.page {
        Page::Reasons => reason::page(),
    };
    out.write_all(text.as_bytes())
        .context("failed to write the page")
}
