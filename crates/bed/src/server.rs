//! One database server: its life from a fresh data folder to its end, and what tests ask of it.

mod ask;
mod bench;
mod mysql;
mod postgres;
mod template;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    authority::authority,
    distance::Distance,
    external,
    kind::{Kind, Programs},
    port,
    process::{Launch, Process, port_was_taken, tail, wait_until},
    scratch::{Scratch, give_to_servers, random_hex},
    slow_disk,
};

/// How long a server may take to answer; a killed one recovers first.
const START_LIMIT: Duration = Duration::from_mins(2);

/// How a server is to differ from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether it logs every statement with its text.
    pub log_statements: bool,
    /// Settings of the server (`-c name=value` or `--name=value`).
    pub settings: Vec<(String, String)>,
    /// Set up as for work, where each commit must reach the disk.
    pub bench: Option<Bench>,
}

/// How a server of a benchmark is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bench {
    /// With a cache that the benchmark's data does not fit into.
    pub small_cache: bool,
    /// With a disk on which a commit takes a millisecond, and half a one away from its clients.
    pub distant: bool,
}

/// What a commit waits for more than for the disk of this machine, and the way to a distant server and back.
const SLOW_DISK: Duration = Duration::from_millis(1);
const ROUND_TRIP: Duration = Duration::from_micros(500);

/// A running database server with an administrator's login.
#[derive(Debug)]
pub struct Server {
    /// Which one it is.
    pub kind: Kind,
    /// The host to connect to; its certificate is valid for it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// An administrator.
    pub user: String,
    /// The administrator's password.
    pub password: String,
    /// The file with the authority of its certificate; none for another person's server without one.
    pub ca: Option<PathBuf>,
    /// What it says its version is.
    pub version: String,
    /// Where its client program is, when that is not on this machine's own path.
    pub(crate) root: Option<PathBuf>,
    own: Option<Own>,
}

/// What the bed holds of a server that it started.
#[derive(Debug)]
struct Own {
    launch: Launch,
    log: PathBuf,
    data: PathBuf,
    /// Declared before the folder: the process ends first.
    process: Mutex<Option<Process>>,
    scratch: Scratch,
    /// What stands before its port.
    _distance: Option<Distance>,
}

impl Server {
    /// Starts a server of its own, for tests that kill it or set globals; or takes the one that the
    /// environment names.
    pub fn start(kind: Kind, options: &Options) -> Result<Self> {
        if let Some(server) = external::server(kind)? {
            ensure!(
                options.bench.is_none(),
                "{} names a server of somebody else, which cannot be set up for a benchmark: unset it; \
                 `oubliette bench` measures on such a server as it is",
                kind.url_variable()
            );
            return Ok(server);
        }
        let mut last = None;
        for _ in 0..5 {
            match Self::try_start(kind, options) {
                Ok(Some(server)) => return Ok(server),
                // Somebody took the port first.
                Ok(None) => {}
                Err(error) => {
                    last = Some(error);
                    break;
                }
            }
        }
        let error = last.unwrap_or_else(|| anyhow::anyhow!("found no port to listen on"));
        Err(error.context(format!("failed to start {}", kind.name())))
    }

    fn try_start(kind: Kind, options: &Options) -> Result<Option<Self>> {
        let programs = Programs::find(kind)?;
        let template = template::ready(kind, &programs)?;
        let scratch = template::scratch(kind.name(), &programs)?;
        let data = scratch.path().join("data");
        template.copy_to(&data)?;
        authority()?.write_into(scratch.path())?;
        let port = port::free()?;
        let folder = programs.inside(scratch.path());
        let password = match &template.password {
            Some(password) => password.clone(),
            None => random_hex(12)?,
        };
        let mut settings = Vec::new();
        if let Some(bench) = options.bench {
            settings.extend(bench::settings(kind, bench.small_cache));
        }
        let own = options.settings.iter();
        settings.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
        let logs = options.log_statements;
        let arguments = if kind.is_postgres() {
            postgres::prepare(&data)?;
            postgres::arguments(&folder, port, logs, &settings)
        } else {
            mysql::prepare(kind, scratch.path(), &data, &password)?;
            mysql::arguments(kind, &folder, port, logs, &settings)
        };
        let distant = options.bench.is_some_and(|bench| bench.distant);
        let preload = if distant {
            let library = slow_disk::compile(scratch.path(), SLOW_DISK)?;
            Some(programs.inside(&library))
        } else {
            None
        };
        give_to_servers(scratch.path())?;
        let launch = Launch {
            program: programs.server.clone(),
            arguments,
            root: programs.root.clone(),
            unprivileged: true,
            death: if kind.is_postgres() { "QUIT" } else { "KILL" },
            preload,
        };
        let log = scratch.path().join("server.log");
        let mut process = launch.start(&log)?;
        let mut server = Self {
            kind,
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            user: if kind.is_postgres() {
                "postgres"
            } else {
                "root"
            }
            .to_owned(),
            password,
            ca: Some(scratch.path().join("ca.pem")),
            version: String::new(),
            root: programs.root.clone(),
            own: None,
        };
        let expected = folder.join("data");
        match server.wait_until_own(&mut process, &expected) {
            Ok(()) => {}
            Err(_) if port_was_taken(&log) => return Ok(None),
            Err(error) => return Err(error.context(tail(&log))),
        }
        server.version = server.ask("SELECT version()")?;
        if kind.is_postgres() {
            server.version = server.ask("SHOW server_version")?;
        }
        let distance = distant
            .then(|| Distance::before(port, ROUND_TRIP))
            .transpose()?;
        if let Some(distance) = &distance {
            server.port = distance.port();
        }
        server.own = Some(Own {
            launch,
            log,
            data: expected,
            process: Mutex::new(Some(process)),
            scratch,
            _distance: distance,
        });
        // The password is set; a restart must not set it again.
        if let Some(own) = &mut server.own {
            own.launch
                .arguments
                .retain(|it| !it.starts_with("--init-file="));
        }
        Ok(Some(server))
    }

    /// Waits until the server answers and is the one that was started: another one may listen on
    /// the port by now, and nothing may be executed there.
    fn wait_until_own(&self, process: &mut Process, expected: &Path) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut said = String::new();
        let data = wait_until(START_LIMIT, "the server to answer", || {
            process.expect_running()?;
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
                return Ok(None);
            }
            match self.ask(if self.kind.is_postgres() {
                "SHOW data_directory"
            } else {
                "SELECT @@datadir"
            }) {
                Ok(data) => Ok(Some(data)),
                Err(error) => {
                    said = error.to_string();
                    Ok(None)
                }
            }
        })
        .with_context(|| format!("last answer: {said}"))?;
        ensure!(
            Path::new(&data) == expected,
            "port {} belongs to a server with the data folder {data}, not {}",
            self.port,
            expected.display()
        );
        process.expect_running()
    }

    /// Whether the bed started it, so that it may be killed.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().with_context(|| {
            format!(
                "the server of {} is not the bed's to kill or read",
                self.kind.url_variable()
            )
        })
    }

    fn process(&self) -> Result<MutexGuard<'_, Option<Process>>> {
        Ok(self
            .own()?
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of the server process.
    pub fn id(&self) -> Result<u32> {
        let process = self.process()?;
        Ok(process.as_ref().context("the server is down")?.id())
    }

    /// Where the server writes its log (with the statements, where that was asked for).
    pub fn log_path(&self) -> Result<&Path> {
        Ok(&self.own()?.log)
    }

    /// The folder that holds all of the server's files, seen from this machine.
    pub fn folder(&self) -> Result<&Path> {
        Ok(self.own()?.scratch.path())
    }

    /// Kills the server and its children as an out-of-memory kill would.
    pub fn kill9(&self) -> Result<()> {
        let mut process = self.process()?;
        process.take().context("the server is down")?.kill9()
    }

    /// Sends a signal to the server process (STOP and CONT, to show what a hanging server does).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process()?;
        process
            .as_ref()
            .context("the server is down")?
            .signal(signal)
    }

    /// Starts it again on the same port and data; one that still runs is asked to end first.
    pub fn restart(&self) -> Result<()> {
        let own = self.own()?;
        let mut process = self.process()?;
        if let Some(mut running) = process.take() {
            // INT is PostgreSQL's fast shutdown; TERM would wait for its clients.
            running.signal(if self.kind.is_postgres() {
                Signal::INT
            } else {
                Signal::TERM
            })?;
            wait_until(START_LIMIT, "the server to end", || running.ended())?;
        }
        let fresh = wait_until(START_LIMIT, "the port to be free again", || {
            let mut fresh = own.launch.start(&own.log)?;
            match self.wait_until_own(&mut fresh, &own.data) {
                Ok(()) => Ok(Some(fresh)),
                Err(_) if port_was_taken(&own.log) => Ok(None),
                Err(error) => Err(error),
            }
        });
        *process = Some(fresh.with_context(|| format!("failed to restart {}", self.kind.name()))?);
        Ok(())
    }

    /// A server that somebody else runs.
    pub(crate) fn external(
        kind: Kind,
        host: String,
        port: u16,
        user: String,
        password: String,
        ca: Option<PathBuf>,
    ) -> Result<Self> {
        let mut server = Self {
            kind,
            host,
            port,
            user,
            password,
            ca,
            version: String::new(),
            root: None,
            own: None,
        };
        server.version = server
            .ask(if kind.is_postgres() {
                "SHOW server_version"
            } else {
                "SELECT version()"
            })
            .with_context(|| format!("the server of {} does not answer", kind.url_variable()))?;
        Ok(server)
    }
}
