//! Every subcommand and flag, and the names under which the program can be called. What they do is in
//! `command`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};

use crate::command::completion;
use crate::{command, operator, settings, telemetry};

/// The name under which kubectl finds the program.
const PLUGIN: &str = "kubectl-oubliette";
/// The name under which kubectl asks what completes a command line of the plugin.
const COMPLETES_PLUGIN: &str = "kubectl_complete-oubliette";

/// Keeps retention promises in PostgreSQL, MySQL and MariaDB databases that already exist.
#[derive(Debug, Parser)]
#[command(name = "oubliette", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The same program as kubectl calls it: what the plugin is for comes first, all else is there.
#[derive(Debug, Parser)]
#[command(
    name = PLUGIN,
    bin_name = "kubectl oubliette",
    version,
    about = "Shows and runs retention policies and erasure requests in a cluster",
    max_term_width = 100
)]
struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    #[command(flatten)]
    Verb(command::plugin::Verb),
    #[command(flatten)]
    Other(Command),
}

/// The plugin's commands. What makes no sense behind kubectl is hidden.
fn plugin() -> clap::Command {
    ["kubectl", "operator"]
        .into_iter()
        .fold(Plugin::command(), |plugin, name| {
            plugin.mut_subcommand(name, |hidden| hidden.hide(true))
        })
}

/// The program under each of its names, for the manual: behind kubectl what is there for kubectl.
pub fn manual() -> [clap::Command; 2] {
    let plugin = clap::Command::new(PLUGIN)
        .about("Shows and runs retention policies and erasure requests in a cluster");
    [
        Cli::command(),
        command::plugin::Verb::augment_subcommands(plugin),
    ]
}

impl Cli {
    /// Reads the command line, by the name under which the program was called.
    pub fn read(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        if !is_called(&arguments, PLUGIN) {
            return Self::try_parse_from(arguments);
        }
        let matches = plugin().try_get_matches_from(arguments)?;
        let command = match Plugin::from_arg_matches(&matches)?.command {
            PluginCommand::Verb(verb) => Command::Kubectl(verb),
            PluginCommand::Other(command) => command,
        };
        Ok(Self { command })
    }
}

/// Answers a shell or kubectl that asks what completes a command line. `None`: nobody asks.
pub fn completed(arguments: &[OsString]) -> Option<ExitCode> {
    let answered = if is_called(arguments, COMPLETES_PLUGIN) {
        completion::of_kubectl(arguments.to_vec(), &mut plugin()).map(|()| true)
    } else {
        completion::of_shell(arguments, Cli::command)
    };
    match answered {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // Whatever is said here would stand in the middle of somebody's command line.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

fn is_called(arguments: &[OsString], name: &str) -> bool {
    let program = arguments.first().map(Path::new);
    program
        .and_then(Path::file_stem)
        .is_some_and(|stem| stem == name)
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
    /// Measures on a server of yours how fast this program changes rows, beside what others do the
    /// same with.
    ///
    /// Asks on a terminal, makes a schema (on MySQL and MariaDB a database) `oubliette_bench` with tables
    /// of its own, and removes it in the end. Exit code 0: done; 1: an error; 2: this program itself did
    /// not change what it should; 3: told to stop, with what was measured until then.
    Bench(command::bench::Request),
    /// Writes the benchmark's page of the repository from what `make bench` measured.
    #[command(hide = true)]
    BenchPage(command::bench_page::Request),
    /// Prints a shell's script that completes the command lines of this program.
    Completion(command::completion::Request),
    /// Lists tables with dates or personal-looking columns about whose rows no rule decides.
    ///
    /// Reads names and types of a database's columns, and no row. Exit code 0: there are none; 2: there
    /// are some; 1: an error.
    Coverage(command::coverage::Request),
    /// Prints the custom resource definitions, for `kubectl apply -f -`.
    Crd,
    /// Proposes a `DataMap`, which says where persons are, from what a database's catalog says.
    ///
    /// It is printed with comments and is valid as it stands; each guess is called one. Reads names,
    /// types, keys and references, and no row.
    Discover(command::discover::Request),
    /// Writes the files of the repository that are made by the program (`make generate`).
    #[command(hide = true)]
    Generate(command::generate::Request),
    /// Prints the GRANT statements that give a database user what policies need, and no more.
    Grants(command::grants::Request),
    /// Lists the legal holds of a database's ledger, and releases one whose LegalHold is gone.
    #[command(subcommand)]
    Hold(command::hold::Request),
    /// Proposes a TargetDatabase and a RetentionPolicy from what a database's catalog says.
    ///
    /// It is printed with comments, is valid as it stands, and changes nothing: `DryRun`.
    Init(command::init::Request),
    /// What `kubectl oubliette` does: shows, runs, suspends and explains what is in a cluster.
    #[command(subcommand)]
    Kubectl(command::plugin::Verb),
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
    /// Checks that a certificate is as it was issued, and that a ledger's evidence holds together.
    ///
    /// A certificate is checked without a database or a cluster. Exit code 0: all of it is as it has to
    /// be; 1: something differs or could not be checked, or an error.
    Verify(command::verify::Request),
    /// Says which lines of the input hold an identifier of a person who was erased, so that nobody
    /// writes to them.
    ///
    /// Prints the numbers of these lines, or the values. The database is sent keyed digests only. Exit
    /// code 0: there are none; 2: there are some; 1: an error.
    Suppressed(command::suppressed::Request),
}

/// What the operator is told at its start.
#[derive(Debug, Args)]
pub struct Operator {
    /// The process: where it listens, which Lease, what it watches.
    #[command(flatten)]
    pub settings: operator::Settings,
    /// What the platform has set for requests of persons.
    #[command(flatten)]
    pub platform: settings::Given,
    /// Plans and runs at once, over all databases.
    #[arg(long, default_value_t = 8, value_name = "COUNT", value_parser = value_parser!(u16).range(1..=1000))]
    pub max_jobs: u16,
    /// What is logged, such as `info,oubliette=debug`.
    #[arg(long, env = telemetry::FILTER_VARIABLE, default_value = telemetry::DEFAULT_FILTER, value_name = "FILTER")]
    pub log: String,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: telemetry::Format,
}

#[cfg(test)]
mod tests {
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
    fn arguments_that_nothing_could_be_done_with_are_refused_by_their_names() {
        let url = "--database-url=postgres://u@h/d";
        for (line, words) in [
            (vec!["operator", "--max-jobs", "0"], "--max-jobs"),
            (vec!["init", url, "--name", "Bad Name"], "--name"),
            (vec!["init", url, "-n", "Bad NS"], "--namespace"),
            (vec!["plan", "-f", "x", "-n", "Bad NS"], "--namespace"),
            (vec!["grants", "-f", "x", "--user", ""], "--user"),
            (vec!["ledger", "print", "-f", "x", "--user", ""], "--user"),
            (
                vec!["rbac", "-f", "x", "--service-account", "Bad Name"],
                "--service-account",
            ),
            (
                vec!["rbac", "-f", "x", "--operator-namespace", "Bad"],
                "--operator-namespace",
            ),
            (
                vec!["plan", "-f", "x", "--as-of", "0001-01-01T00:00:00Z"],
                "1970",
            ),
            (
                vec!["plan", "-f", "x", "--as-of", "9000-01-01T00:00:00Z"],
                "8999",
            ),
            (
                vec!["plan", "-f", "x", "--as-of", "yesterday"],
                "2026-12-31T00:00:00Z",
            ),
        ] {
            let told = Cli::try_parse_from([&["oubliette"], line.as_slice()].concat());
            let told = told.unwrap_err().to_string();
            assert!(told.contains(words), "{line:?}: {told}");
        }
        let last = [
            "oubliette",
            "plan",
            "-f",
            "x",
            "--as-of",
            "8999-12-31T23:59:59Z",
        ];
        assert!(Cli::try_parse_from(last).is_ok());
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
    fn read(line: &str) -> Result<Command, clap::Error> {
        let arguments = line.split(' ').map(OsString::from).collect();
        Cli::read(arguments).map(|cli| cli.command)
    }

    #[test]
    fn the_plugin_has_its_verbs_in_front_and_all_else_behind_both_names() {
        for line in [
            "oubliette kubectl explain Conflict",
            "/usr/bin/kubectl-oubliette explain Conflict",
            "kubectl-oubliette.exe explain Conflict",
        ] {
            let command = read(line);
            assert!(
                matches!(
                    command,
                    Ok(Command::Kubectl(command::plugin::Verb::Explain(_)))
                ),
                "{line}: {command:?}"
            );
        }
        for line in ["oubliette crd", "kubectl-oubliette crd"] {
            assert!(matches!(read(line), Ok(Command::Crd)), "{line}");
        }
        assert!(read("oubliette explain Conflict").is_err());
        assert!(read("/kubectl-oubliette/oubliette explain Conflict").is_err());
    }

    #[test]
    fn the_plugin_shows_itself_as_kubectl_calls_it() {
        let help = read("kubectl-oubliette --help").unwrap_err().to_string();
        assert!(
            help.contains("Usage: kubectl oubliette <COMMAND>"),
            "{help}"
        );
        assert!(help.contains("  status "), "{help}");
        assert!(!help.contains("  operator "), "{help}");
    }

    #[test]
    fn kubectl_is_told_verbs_and_reasons_in_cobras_way() {
        let fitting = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let last = arguments.len() - 1;
            completion::candidates(&mut plugin(), arguments, last).unwrap()
        };
        let verbs = fitting("kubectl_complete-oubliette s");
        assert!(verbs.contains("status\tShows the databases"), "{verbs}");
        assert!(verbs.ends_with("\n:4\n"), "{verbs}");
        let reasons = fitting("kubectl_complete-oubliette explain Ledger");
        assert!(reasons.contains("LedgerRewound\t"), "{reasons}");
        assert!(!reasons.contains("Unreachable"), "{reasons}");
    }
    #[test]
    fn krew_links_the_program_under_the_plugins_name() {
        let template = include_str!("../deploy/krew/oubliette.yaml");
        let of_a_release = |line: &&str| line.trim_start().starts_with("{{addURIAndSha ");
        let lines = template.lines().filter(|line| !of_a_release(line));
        let text = lines.collect::<Vec<_>>().join("\n");
        let text = text.replace("{{ .TagName }}", "v0.0.0");
        let manifest: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let name = manifest["metadata"]["name"].as_str().unwrap();
        assert_eq!(format!("kubectl-{name}"), PLUGIN);
        let platforms = manifest["spec"]["platforms"].as_array().unwrap();
        assert_eq!(
            platforms.len(),
            template.lines().filter(of_a_release).count()
        );
        for platform in platforms {
            assert_eq!(platform["bin"], PLUGIN);
            assert_eq!(platform["files"][0]["to"], PLUGIN);
        }
        // What looks like a checksum and is none would be believed.
        assert!(!template.contains("sha256: "), "{template}");
    }
}
