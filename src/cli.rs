//! Every subcommand and flag. What they do is in `command`.

use clap::{Args, Parser, Subcommand};

use crate::{command, operator, telemetry};

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
    /// Carries policies out from here, without a cluster: with the guards, the ledger and the checks
    /// of the operator.
    ///
    /// Asks on a terminal before it changes anything. Exit code 0: done, or nothing to do; 1:
    /// something is refused or was not completed, or an error; 2: rows are due and stay (a dry run,
    /// suspended, or the answer was no); 3: told to stop, and the same command goes on.
    Apply(command::apply::Request),
    /// Prints the custom resource definitions, for `kubectl apply -f -`.
    Crd,
    /// Writes the files of the repository that are made by the program (`make generate`).
    #[command(hide = true)]
    Generate(command::generate::Request),
    /// Prints the GRANT statements that give a database user what policies need, and no more.
    Grants(command::grants::Request),
    /// Runs the operator: keeps the promises of all RetentionPolicies of the cluster.
    Operator(Operator),
    /// Prints the ledger's tables for an administrator, or hands a ledger over.
    #[command(subcommand)]
    Ledger(command::ledger::Request),
    /// Shows what policies would do to their database, without a cluster and without changing it.
    ///
    /// Exit code 0: nothing to do; 2: rows would change; 1: something is refused, or an error.
    Plan(command::plan::Request),
    /// Prints the Roles by which the operator may read the Secrets and ConfigMaps that manifests name.
    Rbac(command::rbac::Request),
    /// Prints a page of the reference.
    Reference(command::reference::Request),
}

/// What the operator is told at its start.
#[derive(Debug, Args)]
pub struct Operator {
    /// The process: where it listens, which Lease, what it watches.
    #[command(flatten)]
    pub settings: operator::Settings,
    /// Plans and runs at once, over all databases.
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    pub max_jobs: usize,
    /// What is logged, such as `info,oubliette=debug`.
    #[arg(long, env = telemetry::FILTER_VARIABLE, default_value = telemetry::DEFAULT_FILTER, value_name = "FILTER")]
    pub log: String,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: telemetry::Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use oubliette_core::api::reason::Reason;

    use super::*;

    fn watched(arguments: &[&str]) -> Result<Vec<String>, clap::Error> {
        let command = ["oubliette", "operator"];
        let cli = Cli::try_parse_from(command.iter().chain(arguments))?;
        match cli.command {
            Command::Operator(operator) => Ok(operator.settings.watch_namespaces),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn namespaces_are_repeated_or_listed_with_commas_and_none_is_all() {
        assert_eq!(watched(&[]).unwrap(), Vec::<String>::new());
        let listed = watched(&["--watch-namespace=crm,learning"]).unwrap();
        assert_eq!(listed, ["crm", "learning"]);
        let repeated = watched(&["--watch-namespace", "crm", "--watch-namespace=learning"]);
        assert_eq!(repeated.unwrap(), listed);
    }

    #[test]
    fn a_namespace_without_a_name_is_refused() {
        // Else a variable that is not set would mean one namespace more, or all of them.
        for argument in ["--watch-namespace=", "--watch-namespace=crm,,learning"] {
            assert!(watched(&[argument]).is_err(), "{argument}");
        }
    }

    #[test]
    fn every_command_that_a_remedy_names_exists() {
        for reason in Reason::ALL {
            let quoted = reason.remedy().split('`').skip(1).step_by(2);
            for line in quoted.filter_map(|text| text.strip_prefix("oubliette ")) {
                let mut command = Cli::command();
                // The verbs, up to the first argument.
                for verb in line
                    .split(' ')
                    .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                {
                    let found = command.find_subcommand(verb).cloned();
                    assert!(
                        found.is_some(),
                        "{reason} names `oubliette {line}`, which does not exist"
                    );
                    command = found.unwrap_or_default();
                }
            }
        }
    }
}
