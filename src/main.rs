//! The `oubliette` program: dispatch only.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use oubliette::cli::{Cli, Command};
use oubliette::command;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    match cli.command {
        Command::Crd => command::crd::run(out),
        Command::Generate(request) => command::generate::run(&request),
        Command::Grants(request) => command::grants::run(&request, out),
        Command::Rbac(request) => command::rbac::run(&request, out),
        Command::Reference(request) => command::reference::run(&request, out),
    }
}
