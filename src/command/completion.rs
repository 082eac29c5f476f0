//! `oubliette completion SHELL`: the shell's own script, which asks this program for what fits each
//! time, so that names of policies, databases and namespaces come from the cluster.
//!
//! kubectl asks an executable called `kubectl_complete-oubliette` in the way of cobra: a link of that
//! name to this program answers it.

use std::ffi::OsString;
use std::io::{self, Write};

use anyhow::{Context, anyhow};
use clap::{Args, Command, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::engine::complete;
use clap_complete::env::Shells;

/// The environment variable by which a shell's script says that it asks, and for which shell.
const VARIABLE: &str = "OUBLIETTE_COMPLETE";

/// What kubectl looks for when a command line of the plugin is to be completed.
pub const OF_KUBECTL: &str = "kubectl_complete-oubliette";

/// Cobra's word for "no files".
const NO_FILES: &str = ":4";

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Add `source <(oubliette completion bash)` to ~/.bashrc.
    Bash,
    /// Add `source <(oubliette completion zsh)` to ~/.zshrc, behind compinit.
    Zsh,
    /// Add `oubliette completion fish | source` to ~/.config/fish/config.fish.
    Fish,
}

/// Prints the script.
pub fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<()> {
    let name = match request.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let shells = Shells::builtins();
    let shell = shells
        .completer(name)
        .ok_or_else(|| anyhow!("{name} is not known"))?;
    let program = env!("CARGO_PKG_NAME");
    shell
        .write_registration(VARIABLE, program, program, program, out)
        .context("failed to write the script")
}

/// Answers a shell that asks what fits a command line of `command`. Whether one asks.
pub fn of_shell(arguments: &[OsString], command: impl Fn() -> Command) -> io::Result<bool> {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(arguments, folder.as_deref())
        .map_err(io::Error::other)
}

/// Answers kubectl, which asks what fits the last of the arguments of `command`.
pub fn of_kubectl(arguments: Vec<OsString>, command: &mut Command) -> io::Result<()> {
    let last = arguments.len().saturating_sub(1);
    let text = candidates(command, arguments, last)?;
    io::stdout().lock().write_all(text.as_bytes())
}

/// What fits the argument at `index`, one to a line with its help behind a tab.
pub(crate) fn candidates(
    command: &mut Command,
    arguments: Vec<OsString>,
    index: usize,
) -> io::Result<String> {
    let folder = std::env::current_dir().ok();
    let mut text = String::new();
    for candidate in complete(command, arguments, index, folder.as_deref())? {
        text.push_str(&candidate.get_value().to_string_lossy());
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            text.push('\t');
            text.push_str(help.lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    text.push_str(NO_FILES);
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_a_script_that_asks_this_program() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            run(&Request { shell }, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(
                script.contains(VARIABLE) && script.contains("oubliette"),
                "{script}"
            );
        }
    }
}
