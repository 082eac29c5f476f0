//! The program: dispatch only.
//!
//! The one place that knows both the process around the controllers and the controllers.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context;
use oubliette_core::erasure::SuppressionKeys;

use crate::cli::{Cli, Command};
use crate::signing::SigningKey;
use crate::work::job::StopWhy;
use crate::{cli, command, controller, operator, telemetry};

/// What the process does, by its arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = cli::completed(&arguments) {
        return code;
    }
    let cli = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Standard error may be closed: there is nobody to tell then.
            let _ = usage.print();
            // Not clap's own 2: that says of a plan that rows would change.
            return if usage.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    // A panic's message may quote a value, and its exit code means nothing to a script.
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| run(cli)))
        .unwrap_or_else(|_| Err(telemetry::Panicked.into()));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Whoever reads no more is not told so.
            if !command::is_unread(&error) {
                eprintln!("error: {}", command::told_once(&error));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    if !matches!(cli.command, Command::Operator(_)) {
        let filter = std::env::var(telemetry::FILTER_VARIABLE);
        let filter = filter.as_deref().unwrap_or(COMMAND_FILTER);
        telemetry::install(filter, telemetry::Format::Text)?;
    }
    match cli.command {
        Command::Apply(request) => {
            return runtime()?.block_on(Box::pin(command::apply::run(&request, out)));
        }
        Command::Bench(request) => {
            return runtime()?.block_on(Box::pin(command::bench::run(&request, out)));
        }
        Command::BenchPage(request) => command::bench_page::run(&request)?,
        Command::Completion(request) => command::completion::run(&request, out)?,
        Command::Crd => command::crd::run(out)?,
        Command::Discover(request) => {
            return runtime()?.block_on(Box::pin(command::discover::run(&request, out)));
        }
        Command::Generate(request) => command::generate::run(&request, &cli::manual())?,
        Command::Grants(request) => command::grants::run(&request, out)?,
        Command::Hold(request) => {
            return runtime()?.block_on(Box::pin(command::hold::run(&request, out)));
        }
        Command::Init(request) => {
            return runtime()?.block_on(Box::pin(command::init::run(&request, out)));
        }
        Command::Kubectl(verb) => {
            return runtime()?.block_on(Box::pin(command::plugin::run(&verb, out)));
        }
        Command::Ledger(request) => {
            let text = runtime()?.block_on(Box::pin(command::ledger::run(&request)))?;
            command::ledger::write(&text, out)?;
        }
        Command::Operator(request) => run_operator(request)?,
        Command::Coverage(request) => {
            return runtime()?.block_on(Box::pin(command::coverage::run(&request, out)));
        }
        Command::Plan(request) => {
            return runtime()?.block_on(Box::pin(command::plan::run(&request, out)));
        }
        Command::Rbac(request) => command::rbac::run(&request, out)?,
        Command::Reference(request) => command::reference::run(&request, &cli::manual(), out)?,
        Command::Verify(request) => {
            return runtime()?.block_on(Box::pin(command::verify::run(&request, out)));
        }
        Command::Suppressed(request) => {
            let asking = command::suppressed::run(&request, io::stdin().lock(), out);
            return runtime()?.block_on(Box::pin(asking));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What commands log where nothing else is asked for: their answer is elsewhere, and the HTTP client's
/// errors stand in theirs.
const COMMAND_FILTER: &str = "error,kube_client=off";

/// The runtime of a command, which does one thing at a time.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

/// A run is one deep future; without optimisation its frames need more than tokio's 2 MiB.
const STACK: usize = 8 << 20;

/// At most so many threads: it waits for servers, each thread has a stack and a heap of its own, and a node may
/// have a hundred cores.
const THREADS: usize = 4;

fn run_operator(request: cli::Operator) -> anyhow::Result<()> {
    let cli::Operator {
        settings,
        platform,
        max_jobs,
        log,
        log_format,
    } = request;
    telemetry::install(&log, log_format)?;
    let platform = Arc::new(platform.read()?);
    let signing = platform.signing.as_ref();
    let signing = signing.map(|signing| SigningKey::read(&signing.key_file));
    let signing = signing.transpose()?.map(Arc::new);
    let suppression = platform.suppression.as_ref();
    let suppression = suppression.map(|kept| -> anyhow::Result<SuppressionKeys> {
        let key = |file: &String| command::suppressed::key(Path::new(file));
        let previous = kept.previous_key_files.iter().map(key);
        Ok(SuppressionKeys::new(
            key(&kept.key_file)?,
            previous.collect::<anyhow::Result<_>>()?,
        ))
    });
    let suppression = suppression.transpose()?.map(Arc::new);
    let controllers = |around: operator::Surroundings, token| async move {
        let operator::Surroundings {
            client,
            outside,
            watch_namespaces,
            identity,
            stop,
        } = around;
        let settings = controller::Settings {
            namespaces: watch_namespaces,
            jobs: usize::from(max_jobs),
            identity,
            platform,
            signing,
            suppression,
        };
        let why = move || {
            if stop.is_cancelled() {
                StopWhy::Shutdown
            } else {
                StopWhy::LeaseLost
            }
        };
        controller::run(client, settings, outside, token, why).await;
        Ok::<(), Infallible>(())
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .worker_threads(available_parallelism().map_or(1, usize::from).min(THREADS))
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(operator::run(settings, controllers));
    // What still waits for a server must not hold the end up.
    runtime.shutdown_background();
    Ok(outcome?)
}
