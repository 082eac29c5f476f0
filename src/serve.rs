//! The HTTP side of the operator: `/livez`, `/readyz`, `/readyz/GATE` and `/metrics`.
//!
//! Owns what is asked of a replica from outside and the two small registers behind it: [`Gates`]
//! (what must have happened before it is ready) and [`Pulses`] (which loops still turn). It must
//! not judge the world: an API server or database that cannot be reached closes a gate at most. It
//! never stops a pulse, because a restart does not mend it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long open connections may take once the server is told to end.
const DRAIN: Duration = Duration::from_secs(2);

/// What must have happened before this replica is ready, by name: `crds`, `lease`,
/// `watch-retentionpolicies` and the like. Cheap to clone; all clones are one register.
///
/// A gate must be one that a replica *without* the lease can pass too, or a rolling update waits
/// for ever: `lease` means "somebody is known to hold it", not "we do".
#[derive(Clone, Debug, Default)]
pub struct Gates {
    gates: Arc<Mutex<BTreeMap<&'static str, bool>>>,
}

impl Gates {
    /// A register without gates: ready at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gate, closed, and hands out what opens it. A gate that exists keeps its state.
    pub fn require(&self, name: &'static str) -> Gate {
        self.lock().entry(name).or_insert(false);
        Gate {
            name,
            gates: self.clone(),
        }
    }

    /// The names of the closed gates.
    pub fn pending(&self) -> Vec<&'static str> {
        self.lock()
            .iter()
            .filter(|(_, open)| !**open)
            .map(|(name, _)| *name)
            .collect()
    }

    fn list(&self) -> Vec<Check> {
        self.lock()
            .iter()
            .map(|(name, open)| Check {
                name,
                passed: *open,
            })
            .collect()
    }

    fn set(&self, name: &'static str, open: bool) {
        let before = self.lock().insert(name, open);
        if before != Some(open) {
            tracing::info!(gate = name, open, "a readiness gate changed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, bool>> {
        // Each change is one insert: a panicked holder left nothing half done.
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle of one gate.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    gates: Gates,
}

impl Gate {
    /// What the gate waits for has happened.
    pub fn open(&self) {
        self.gates.set(self.name, true);
    }

    /// It is no longer so.
    pub fn close(&self) {
        self.gates.set(self.name, false);
    }
}

/// The loops that must keep turning for the process to count as alive. Cheap to clone.
///
/// A loop beats once a turn *whatever the turn's outcome*. One that stays silent for longer than
/// it declared is stuck in a way that only a restart mends.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    beats: Arc<Mutex<BTreeMap<&'static str, Beat>>>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    last: Instant,
    patience: Duration,
}

impl Pulses {
    /// A register without loops: alive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a loop, beating now, that is taken for stuck when it is silent for `patience`.
    pub fn expect(&self, name: &'static str, patience: Duration) -> Pulse {
        self.lock().insert(
            name,
            Beat {
                last: Instant::now(),
                patience,
            },
        );
        Pulse {
            name,
            pulses: self.clone(),
        }
    }

    fn list(&self, now: Instant) -> Vec<Check> {
        let alive = |beat: &Beat| now.saturating_duration_since(beat.last) <= beat.patience;
        self.lock()
            .iter()
            .map(|(name, beat)| Check {
                name,
                passed: alive(beat),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Beat>> {
        // Each change is one insert or removal: a panicked holder left nothing half done.
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The heartbeat of one loop. Dropped when the loop ends as it should: it is expected no more.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    pulses: Pulses,
}

impl Pulse {
    /// The loop has turned.
    pub fn beat(&self) {
        if let Some(beat) = self.pulses.lock().get_mut(self.name) {
            beat.last = Instant::now();
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        // A loop that panicked has not ended as it should.
        if !std::thread::panicking() {
            self.pulses.lock().remove(self.name);
        }
    }
}

/// What the server answers from.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Readiness.
    pub gates: Gates,
    /// Liveness.
    pub pulses: Pulses,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// A bound server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled, then for two seconds at most. The token should be one
    /// that is cancelled *after* the work has ended: a draining replica is still alive.
    pub async fn run(self, outside: Outside, stop: CancellationToken) -> io::Result<()> {
        tracing::info!(address = %self.address, "serving health and metrics");
        let stopped = stop.clone();
        let serving = axum::serve(self.listener, router(outside))
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            ended = serving => ended,
            () = drained => Ok(()),
        }
    }
}

fn router(outside: Outside) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/readyz/{gate}", get(readyz_gate))
        .route("/metrics", get(metrics))
        .with_state(outside)
}

/// One line of a verbose answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Check {
    name: &'static str,
    passed: bool,
}

async fn livez(State(outside): State<Outside>, uri: Uri) -> Response {
    // Having answered at all shows that the runtime turns.
    let mut checks = vec![Check {
        name: "ping",
        passed: true,
    }];
    checks.extend(outside.pulses.list(Instant::now()));
    answer("livez", "no heartbeat", &checks, is_verbose(&uri))
}

async fn readyz(State(outside): State<Outside>, uri: Uri) -> Response {
    answer("readyz", "pending", &outside.gates.list(), is_verbose(&uri))
}

async fn readyz_gate(State(outside): State<Outside>, Path(gate): Path<String>) -> Response {
    match outside
        .gates
        .list()
        .into_iter()
        .find(|check| check.name == gate)
    {
        Some(Check { passed: true, .. }) => "ok\n".into_response(),
        Some(Check { passed: false, .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "pending\n").into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such gate\n").into_response(),
    }
}

async fn metrics(State(outside): State<Outside>) -> Response {
    match outside.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `?verbose`, with or without a value, as at the API server.
fn is_verbose(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| pair == "verbose" || pair.starts_with("verbose="))
}

/// The API server's form: `ok`, or the list when it is asked for or something is amiss.
fn answer(endpoint: &str, complaint: &str, checks: &[Check], verbose: bool) -> Response {
    let passed = checks.iter().all(|check| check.passed);
    let status = if passed {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if passed && !verbose {
        return (status, "ok\n").into_response();
    }
    let mut text = String::new();
    for Check { name, passed } in checks {
        let line = if *passed {
            format!("[+]{name} ok")
        } else {
            format!("[-]{name} {complaint}")
        };
        text.push_str(&line);
        text.push('\n');
    }
    let verdict = if passed { "passed" } else { "failed" };
    writeln!(text, "{endpoint} check {verdict}").expect("a String takes all that is written to it");
    (status, text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn outside() -> Outside {
        Outside {
            gates: Gates::new(),
            pulses: Pulses::new(),
            metrics: Metrics::new(),
        }
    }

    async fn read(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ready(outside: &Outside, uri: &'static str) -> (u16, String) {
        read(readyz(State(outside.clone()), Uri::from_static(uri)).await).await
    }

    async fn alive(outside: &Outside) -> (u16, String) {
        read(livez(State(outside.clone()), Uri::from_static("/livez")).await).await
    }

    #[tokio::test]
    async fn readiness_names_what_is_pending() {
        let outside = outside();
        outside.gates.require("crds").open();
        outside.gates.require("lease");
        let (status, text) = ready(&outside, "/readyz").await;
        assert_eq!(status, 503);
        assert_eq!(text, "[+]crds ok\n[-]lease pending\nreadyz check failed\n");
        assert_eq!(outside.gates.pending(), ["lease"]);
    }

    #[tokio::test]
    async fn readiness_is_short_when_all_is_well_and_a_list_when_asked() {
        let outside = outside();
        outside.gates.require("crds").open();
        assert_eq!(ready(&outside, "/readyz").await, (200, "ok\n".to_owned()));
        let list = (200, "[+]crds ok\nreadyz check passed\n".to_owned());
        assert_eq!(ready(&outside, "/readyz?verbose").await, list);
        assert_eq!(
            ready(&outside, "/readyz?timeout=1&verbose=true").await,
            list
        );
        assert_eq!(ready(&outside, "/readyz?verbosely").await.1, "ok\n");
    }

    #[tokio::test]
    async fn one_gate_can_be_asked_for() {
        let outside = outside();
        let gate = outside.gates.require("lease");
        let ask = |name: &str| readyz_gate(State(outside.clone()), Path(name.to_owned()));
        assert_eq!(
            read(ask("lease").await).await,
            (503, "pending\n".to_owned())
        );
        gate.open();
        assert_eq!(read(ask("lease").await).await, (200, "ok\n".to_owned()));
        assert_eq!(read(ask("moon").await).await.0, 404);
    }

    #[test]
    fn requiring_a_gate_again_leaves_it_open() {
        let gates = Gates::new();
        gates.require("crds").open();
        gates.require("crds");
        assert_eq!(gates.pending(), [""; 0]);
        gates.require("crds").close();
        assert_eq!(gates.pending(), ["crds"]);
    }

    const LEASE: Duration = Duration::from_secs(30);

    /// The names of the loops that would be taken for stuck so much later, without a beat.
    fn silent(pulses: &Pulses, later: Duration) -> Vec<&'static str> {
        let checks = pulses.list(Instant::now() + later);
        checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| check.name)
            .collect()
    }

    #[test]
    fn a_loop_is_stuck_when_it_is_silent_for_longer_than_it_declared() {
        let pulses = Pulses::new();
        let pulse = pulses.expect("lease", LEASE);
        assert_eq!(silent(&pulses, LEASE / 2), [""; 0]);
        assert_eq!(silent(&pulses, LEASE * 2), ["lease"]);
        let before = pulses.lock()["lease"].last;
        pulse.beat();
        assert!(pulses.lock()["lease"].last >= before);
    }

    #[tokio::test]
    async fn liveness_names_the_silent_loop() {
        let outside = outside();
        assert_eq!(alive(&outside).await, (200, "ok\n".to_owned()));
        let pulse = outside.pulses.expect("lease", Duration::ZERO);
        while Instant::now() == outside.pulses.lock()["lease"].last {
            tokio::task::yield_now().await;
        }
        let (status, text) = alive(&outside).await;
        assert_eq!(status, 503);
        assert_eq!(
            text,
            "[+]ping ok\n[-]lease no heartbeat\nlivez check failed\n"
        );
        drop(pulse);
    }

    #[tokio::test]
    async fn a_loop_that_ended_is_not_expected_and_one_that_panicked_still_is() {
        let pulses = Pulses::new();
        drop(pulses.expect("ended", LEASE));
        let pulse = pulses.expect("panicked", LEASE);
        let work = async move {
            let _pulse = pulse;
            panic!("stuck");
        };
        crate::telemetry::contained(work).await.unwrap_err();
        assert_eq!(silent(&pulses, LEASE * 2), ["panicked"]);
    }

    #[tokio::test]
    async fn the_server_answers_over_tcp_and_ends_when_told_to() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let stop = CancellationToken::new();
        let server = Server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address();
        let running = tokio::spawn(server.run(outside(), stop.clone()));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(
            text.contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{text}"
        );
        assert!(text.trim_end().ends_with("# EOF"), "{text}");
        // One connection stays open and idle: it must not hold the end up.
        let _idle = tokio::net::TcpStream::connect(address).await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(DRAIN * 5, running).await;
        ended
            .expect("the server ends within its drain time")
            .unwrap()
            .unwrap();
    }
}
