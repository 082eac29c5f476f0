//! What the program says of itself on standard error: log lines, and panics without their message.
//!
//! Owns the subscriber, the filter and the panic hook. It must not let a value through (P4):
//! dependencies are held to a ceiling that no filter lifts (a driver at `debug` prints statements
//! and server notices, an HTTP client at `trace` prints Secrets), and of a panic only the place is
//! told, since its message may quote what it choked on.

use std::any::Any;
use std::future::Future;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, PanicHookInfo};

use clap::ValueEnum;
use futures::FutureExt;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// The environment variable that holds the filter.
pub const FILTER_VARIABLE: &str = "OUBLIETTE_LOG";

/// The filter when none is given.
pub const DEFAULT_FILTER: &str = "info";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Whether lines are JSON, given whether standard error is a terminal.
    fn is_json(self, terminal: bool) -> bool {
        match self {
            Self::Auto => !terminal,
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("the log filter '{filter}' is not understood (an example: 'info,oubliette=debug')")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody has set up logging already.
    #[error("logging is set up already")]
    Installed(#[source] SetGlobalDefaultError),
}

/// Starts logging to standard error and hooks panics. Called once, by `program`.
pub fn install(filter: &str, format: Format) -> Result<(), Error> {
    let filter = parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if format.is_json(terminal) {
        Box::new(lines.json().flatten_event(true).with_span_list(false))
    } else {
        Box::new(lines.with_ansi(terminal))
    };
    let subscriber = Registry::default().with(ceilinged(lines, filter));
    // Not `init()`: that also takes in the `log` crate, which no ceiling here knows by its source.
    tracing::subscriber::set_global_default(subscriber).map_err(Error::Installed)?;
    std::panic::set_hook(Box::new(report));
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)
        .map_err(|source| Error::Filter {
            filter: filter.to_owned(),
            source,
        })
}

/// The layer behind the person's filter and behind the ceiling, which the filter cannot lift.
fn ceilinged<S, L>(layer: L, filter: EnvFilter) -> impl Layer<S>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    L: Layer<S>,
{
    let ceiling =
        filter_fn(|metadata: &Metadata<'_>| *metadata.level() <= ceiling(metadata.target()));
    layer.with_filter(filter.and(ceiling))
}

/// The most detailed level that a source may write at, whatever the filter says.
fn ceiling(target: &str) -> LevelFilter {
    let source = target.split("::").next().unwrap_or(target);
    match source {
        "oubliette" | "oubliette_core" => LevelFilter::TRACE,
        // Statements, and notices of the server: a trigger's RAISE NOTICE may quote a row.
        source if source.starts_with("sqlx") => LevelFilter::OFF,
        // Answers of the API server that do not parse are quoted in warnings, and may be Secrets.
        "kube_client" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

/// The panic hook: the place and the thread, never the message.
fn report(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map_or_else(|| "unknown".to_owned(), ToString::to_string);
    tracing::error!(
        panic.location = place,
        panic.thread = std::thread::current().name().unwrap_or("unnamed"),
        "a step of the program panicked; its message is withheld, because it could hold a value"
    );
}

/// A piece of work panicked. Carries nothing of the panic: the hook has told the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the program made an error of its own (a panic; the log names the place)")]
pub struct Panicked;

/// Runs work whose panic must not reach others: one bad object cannot stop the rest.
///
/// Use it instead of reading a `JoinError`, whose text repeats the panic's message.
pub async fn contained<F: Future>(work: F) -> Result<F::Output, Panicked> {
    // Unwind safety: the work is consumed here, nobody sees a value that it left half changed.
    // What it shares with others by lock or channel shows the loss itself (poisoned, closed).
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_: Box<dyn Any + Send>| Panicked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `speak` runs under a filter.
    fn heard(filter: &str, speak: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone());
        let subscriber = Registry::default().with(ceilinged(lines, parse(filter).unwrap()));
        tracing::subscriber::with_default(subscriber, speak);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn no_filter_makes_a_driver_or_client_talk() {
        let text = heard("trace", || {
            tracing::warn!(target: "sqlx::postgres::notice", "jane@example.org");
            tracing::error!(target: "sqlx::query", "jane@example.org");
            tracing::warn!(target: "kube_client::client", "jane@example.org");
            tracing::debug!(target: "hyper::proto", "jane@example.org");
            tracing::trace!(target: "oubliette::database", "walked");
        });
        assert!(!text.contains("jane"), "{text}");
        assert!(text.contains("walked"), "{text}");
    }

    #[test]
    fn a_filter_can_ask_for_less_of_everybody() {
        let text = heard("error", || {
            tracing::info!(target: "oubliette::serve", "listening");
            tracing::error!(target: "kube_runtime", "lost");
        });
        assert!(
            !text.contains("listening") && text.contains("lost"),
            "{text}"
        );
    }

    #[test]
    fn a_module_whose_name_only_begins_like_ours_is_somebody_elses() {
        assert_eq!(ceiling("oubliettes::x"), LevelFilter::INFO);
        assert_eq!(ceiling("oubliette_core::plan"), LevelFilter::TRACE);
        assert_eq!(ceiling("sqlx_postgres::connection"), LevelFilter::OFF);
    }

    #[test]
    fn an_impossible_filter_is_an_error_that_shows_an_example() {
        let error = parse("oubliette=loud").unwrap_err();
        assert!(
            error.to_string().contains("info,oubliette=debug"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_json_unless_a_person_is_watching() {
        assert!(Format::Auto.is_json(false));
        assert!(!Format::Auto.is_json(true));
        assert!(Format::Json.is_json(true));
        assert!(!Format::Text.is_json(false));
    }

    #[tokio::test]
    async fn a_panic_is_contained_and_its_message_goes_no_further() {
        let error = contained(async { panic!("jane@example.org") })
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("jane"));
        assert_eq!(contained(async { 7 }).await, Ok(7));
    }

    #[test]
    fn a_panic_is_logged_by_its_place_only() {
        // In a process of its own kind: the hook is global, so it is called by a thread that has
        // the subscriber, and put back at once.
        let text = heard("info", || {
            let before = std::panic::take_hook();
            let this = std::thread::current().id();
            let before = Arc::new(before);
            let others = before.clone();
            std::panic::set_hook(Box::new(move |panic| {
                if std::thread::current().id() == this {
                    report(panic);
                } else {
                    others(panic);
                }
            }));
            let outcome = std::panic::catch_unwind(|| panic!("jane@example.org"));
            drop(std::panic::take_hook());
            std::panic::set_hook(Box::new(move |panic| before(panic)));
            outcome.unwrap_err();
        });
        assert!(
            text.contains("src/telemetry.rs:") && !text.contains("jane"),
            "{text}"
        );
    }
}
