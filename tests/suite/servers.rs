//! The suite's view of the bed: which servers run and how they are reached. Starting, stopping and
//! caching them is `crates/bed`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bed::{Bed, Kind, Wanted};

use crate::case::{Needs, Server};
use crate::chart;
use crate::operator::{Operator, Settings};
use crate::world::World;

/// One database server's address and administrator.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Host name that its certificate carries.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// The administrator.
    pub(crate) user: String,
    /// Their password.
    pub(crate) password: String,
    /// The authority of its certificate, PEM.
    pub(crate) ca: PathBuf,
}

/// The running control plane.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    /// The bed's, with kubectl and the logs.
    pub(crate) cluster: Arc<bed::Cluster>,
}

impl ControlPlane {
    /// A client with the administrator's rights.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        client(&self.cluster.kubeconfig).await
    }
}

/// A client of whoever has that kubeconfig.
pub(crate) async fn client(path: &Path) -> Result<kube::Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(
        kubeconfig,
        &kube::config::KubeConfigOptions::default(),
    )
    .await
    .context("the kubeconfig cannot be used")?;
    kube::Client::try_from(config).context("failed to make a client")
}

/// What runs; it stops when this is dropped.
pub(crate) struct Running {
    bed: Bed,
}

/// What the bed calls a server.
fn kind(server: Server) -> Kind {
    match server {
        Server::Postgres15 => Kind::Postgres15,
        Server::Postgres18 => Kind::Postgres18,
        Server::MySql => Kind::MySql,
        Server::MariaDb => Kind::MariaDb,
    }
}

/// Starts what the selected cases need.
pub(crate) fn start(needs: &Needs) -> Result<Running> {
    let wanted = Wanted {
        servers: needs.servers.iter().map(|&server| kind(server)).collect(),
        cluster: needs.cluster,
        options: bed::Options {
            // What is measured is measured as on a machine of its own, where a commit reaches the disk.
            bench: crate::bench::is_asked_for().then(bed::Bench::default),
            ..bed::Options::default()
        },
        ..Wanted::default()
    };
    let bed = Bed::start_saying(&wanted, &|line| eprintln!("bed: {line}"))?;
    Ok(Running { bed })
}

/// A server of the case's own, for those that kill it or set its globals.
pub(crate) fn start_one(server: Server, options: &bed::Options) -> Result<bed::Server> {
    bed::Server::start(kind(server), options)
}

/// How a server of the bed is reached.
pub(crate) fn endpoint(server: &bed::Server) -> Result<Endpoint> {
    Ok(Endpoint {
        host: server.host.clone(),
        port: server.port,
        user: server.user.clone(),
        password: server.password.clone(),
        ca: server.ca.clone().ok_or_else(|| {
            anyhow!(
                "{} has no certificate authority: the suite needs verified TLS",
                server.kind.name()
            )
        })?,
    })
}

/// An address on which nothing listens yet.
pub(crate) fn free_address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.to_string())
}

impl Running {
    /// Hands the running servers to the world, and starts the suite's operator where needed.
    pub(crate) fn populate(&self, world: &mut World, needs: &Needs) -> Result<()> {
        for &server in &needs.servers {
            let running = self.bed.server(kind(server))?;
            world.add_server(server, endpoint(running)?, Arc::clone(running));
        }
        if needs.cluster {
            world.add_control_plane(ControlPlane {
                cluster: Arc::clone(self.bed.cluster()?),
            })?;
            chart::install(world)?;
        }
        if needs.operator {
            let settings = Settings {
                lease: "oubliette".to_owned(),
                identity: "suite".to_owned(),
                watch_namespaces: Vec::new(),
                kubeconfig: chart::operator_kubeconfig(world)?,
                log: world.evidence.join("operator-suite.log"),
                health: free_address()?,
            };
            let mut operator = Operator::start(&settings)?;
            operator.wait_ready()?;
            world.add_operator(operator);
        }
        Ok(())
    }
}
