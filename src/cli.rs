//! Every subcommand and flag. What they do is in `command`.

use clap::{Parser, Subcommand};

use crate::command;

/// Keeps retention promises in PostgreSQL, MySQL and MariaDB databases that already exist.
#[derive(Debug, Parser)]
#[command(name = "oubliette", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the custom resource definitions, for `kubectl apply -f -`.
    Crd,
    /// Writes the files of the repository that are made by the program (`make generate`).
    #[command(hide = true)]
    Generate(command::generate::Request),
    /// Prints the GRANT statements that give a database user what policies need, and no more.
    Grants(command::grants::Request),
    /// Prints the Roles by which the operator may read the Secrets and ConfigMaps that manifests name.
    Rbac(command::rbac::Request),
    /// Prints a page of the reference.
    Reference(command::reference::Request),
}
