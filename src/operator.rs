//! The operator as a process: what surrounds the controllers from its start to its end.
//!
//! Owns the order: signals, health endpoint, the wait for the CRDs, the election, and on the way
//! down the controllers first, then the lease, then the endpoint. It must not know what the
//! controllers do; they are handed to [`run`] by `program`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use kube::{Client, Config};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::lease::{LeaseError, LeaseSettings, lead};
use crate::metrics::Metrics;
use crate::serve::{Gate, Gates, Outside, Pulses, Server};
use crate::shutdown;

/// What the CRDs define, by the names under which they are served.
const SERVED: (&str, [&str; 12]) = (
    "oubliette.dev/v1alpha1",
    [
        "targetdatabases",
        "targetdatabases/status",
        "retentionpolicies",
        "retentionpolicies/status",
        "legalholds",
        "legalholds/status",
        "approvals",
        "datamaps",
        "datamaps/status",
        "erasurerequests",
        "erasurerequests/status",
        "erasureplans",
    ],
);

/// How long one look at the API server may take, and the pause between two.
const CALL: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(2);

/// How often the runtime shows that it turns, and for how long it may be silent.
const BEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// What the operator is told at its start.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub health_address: SocketAddr,
    /// The Lease that elects the replica at work.
    #[arg(long, default_value = "oubliette", value_name = "NAME")]
    pub lease_name: String,
    /// The namespace of the Lease: the operator's own.
    #[arg(long, default_value = "oubliette-system", value_name = "NAMESPACE")]
    pub lease_namespace: String,
    /// What this replica is called in the Lease: its Pod's name.
    #[arg(long, default_value = "oubliette", value_name = "NAME")]
    pub identity: String,
    /// Whether replicas elect one among themselves. Without it there must never be two: the fence in
    /// the database keeps the rows right, but they would take each other's runs over again and again.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub leader_elect: bool,
    /// Serves the resources of these namespaces instead of all; repeated, or with commas between them.
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub watch_namespaces: Vec<String>,
}

/// What the controllers are given.
#[derive(Clone)]
pub struct Surroundings {
    /// A client of the API server.
    pub client: Client,
    /// Gates to require, pulses to beat, metrics to count.
    pub outside: Outside,
    /// The namespaces to serve; all, when empty.
    pub watch_namespaces: Vec<String>,
    /// What this replica is called.
    pub identity: String,
    /// Cancelled when the process is to end. Where the controllers must stop without it, the lease
    /// is being lost.
    pub stop: CancellationToken,
}

/// Why the operator ended, other than having been asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signals cannot be caught.
    #[error("failed to catch SIGTERM and SIGINT")]
    Signals(#[source] io::Error),
    /// The health endpoint's address cannot be bound.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither a kubeconfig nor a Pod's ServiceAccount.
    #[error(
        "failed to find out how to reach the API server (KUBECONFIG, or a Pod's ServiceAccount)"
    )]
    Config(#[source] Box<kube::config::InferConfigError>),
    /// The configuration gives no client.
    #[error("failed to make a client of the API server")]
    Client(#[source] Box<kube::Error>),
    /// The lease was lost: another replica may work now.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The controllers ended by themselves.
    #[error("failed to run the controllers")]
    Controllers(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs until a signal, the loss of the lease, or the end of the controllers.
///
/// The controllers get a token that is cancelled when they must stop. They have `grace` of the lease
/// to do so when it was lost, and the Pod's when a signal came; the lease is kept until they return.
pub async fn run<F, E>(
    settings: Settings,
    controllers: impl FnOnce(Surroundings, CancellationToken) -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stop = shutdown::on_signal().map_err(Error::Signals)?;
    let outside = Outside {
        gates: Gates::new(),
        pulses: Pulses::new(),
        metrics: Metrics::new(),
    };
    let crds = outside.gates.require("crds");
    let lease = outside.gates.require("lease");
    let _beating = AbortOnDropHandle::new(tokio::spawn(beat(outside.pulses.clone())));

    let address = settings.health_address;
    let server = Server::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let ended = CancellationToken::new();
    let serving = tokio::spawn(server.run(outside.clone(), ended.clone()));
    let outcome = elected(&settings, &outside, &stop, (&crds, &lease), controllers).await;
    ended.cancel();
    if let Ok(Err(error)) = serving.await {
        tracing::warn!(%error, "the health endpoint ended with an error");
    }
    outcome
}

/// From the first call of the API server to the lease's release.
async fn elected<F, E>(
    settings: &Settings,
    outside: &Outside,
    stop: &CancellationToken,
    (crds, lease): (&Gate, &Gate),
    controllers: impl FnOnce(Surroundings, CancellationToken) -> F,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let config = Config::infer()
        .await
        .map_err(|error| Error::Config(Box::new(error)))?;
    let client = client(config.clone())?;
    let election = client_without_retries(config)?;
    if !wait_for_crds(&client, stop).await {
        return Ok(());
    }
    crds.open();

    let Settings {
        health_address: _,
        lease_name,
        lease_namespace,
        identity,
        leader_elect: _,
        watch_namespaces,
    } = settings;
    let surroundings = Surroundings {
        client,
        outside: outside.clone(),
        watch_namespaces: watch_namespaces.clone(),
        identity: identity.clone(),
        stop: stop.clone(),
    };
    if !settings.leader_elect {
        lease.open();
        outside.metrics.leader(true);
        let ended = controllers(surroundings, stop.clone()).await;
        return ended.map_err(|error| Error::Controllers(error.into()));
    }
    let metrics = outside.metrics.clone();
    // A replica that waits is ready too, or a rolling update would wait for ever.
    let seen = |_: &str| lease.open();
    let led = lead(
        election,
        LeaseSettings::new(lease_namespace, lease_name, identity),
        stop.clone(),
        seen,
        |token| async move {
            metrics.leader(true);
            let ended = controllers(surroundings, token).await;
            metrics.leader(false);
            ended
        },
    );
    match led.await? {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(Error::Controllers(error.into())),
    }
}

fn client(config: Config) -> Result<Client, Error> {
    Client::try_from(config).map_err(|error| Error::Client(Box::new(error)))
}

/// For the election, which counts its own seconds: kube would retry inside of one call for minutes.
fn client_without_retries(mut config: Config) -> Result<Client, Error> {
    config.default_retry = false;
    client(config)
}

/// Waits until the CRDs are served, instead of exiting: a restart does not make them appear. By
/// discovery, which everybody may ask, so that no right to read CRDs is needed. False when stopped.
async fn wait_for_crds(client: &Client, stop: &CancellationToken) -> bool {
    let mut said = None;
    loop {
        let missing = tokio::select! {
            () = stop.cancelled() => return false,
            missing = missing(client) => missing,
        };
        let Some(missing) = missing else {
            return true;
        };
        if said.as_ref() != Some(&missing) {
            tracing::warn!(missing, "waiting for the custom resource definitions");
            said = Some(missing);
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = sleep(PAUSE) => {}
        }
    }
}

/// What is not served yet, in words, or why that cannot be told.
async fn missing(client: &Client) -> Option<String> {
    let (version, wanted) = SERVED;
    let served = match timeout(CALL, client.list_api_group_resources(version)).await {
        Ok(Ok(list)) => list.resources,
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Vec::new(),
        Ok(Err(kube::Error::Api(status))) => {
            return Some(format!(
                "{version} (the API server answers {})",
                status.code
            ));
        }
        Ok(Err(_)) => return Some(format!("{version} (the API server cannot be reached)")),
        Err(_) => return Some(format!("{version} (the API server does not answer)")),
    };
    let absent: Vec<&str> = wanted
        .into_iter()
        .filter(|name| !served.iter().any(|served| served.name == *name))
        .collect();
    if absent.is_empty() {
        None
    } else {
        Some(absent.join(", "))
    }
}

/// Shows that the runtime still gives turns to its tasks.
async fn beat(pulses: Pulses) {
    let pulse = pulses.expect("runtime", PATIENCE);
    loop {
        pulse.beat();
        sleep(BEAT).await;
    }
}
