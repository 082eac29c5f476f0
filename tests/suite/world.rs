//! What a case is given: the running servers, the control plane, the suite's operator, a runtime,
//! and a place to keep what the privacy case searches at the end.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::case::Server;
use crate::cluster::Namespace;
use crate::operator::Operator;
use crate::servers::{ControlPlane, Endpoint};
use crate::sql::{Database, next_number, slug};

/// Everything that runs for the cases.
pub(crate) struct World {
    runtime: tokio::runtime::Runtime,
    /// Where logs and kept objects go: `target/suite`.
    pub(crate) evidence: PathBuf,
    servers: BTreeMap<Server, (Endpoint, Arc<bed::Server>)>,
    control_plane: Option<ControlPlane>,
    client: Option<kube::Client>,
    operator: Mutex<Option<Operator>>,
}

impl World {
    /// A world in which nothing runs yet.
    pub(crate) fn new(evidence: PathBuf) -> Result<Self> {
        if evidence.exists() {
            std::fs::remove_dir_all(&evidence).context("failed to clear the evidence folder")?;
        }
        std::fs::create_dir_all(&evidence)
            .with_context(|| format!("failed to create {}", evidence.display()))?;
        Ok(Self {
            runtime: runtime()?,
            evidence,
            servers: BTreeMap::new(),
            control_plane: None,
            client: None,
            operator: Mutex::new(None),
        })
    }

    /// The same servers around another control plane.
    pub(crate) fn beside(&self, cluster: bed::Cluster) -> Result<Self> {
        let mut world = Self {
            runtime: runtime()?,
            evidence: self.evidence.clone(),
            servers: self.servers.clone(),
            control_plane: None,
            client: None,
            operator: Mutex::default(),
        };
        world.add_control_plane(ControlPlane {
            cluster: Arc::new(cluster),
        })?;
        Ok(world)
    }

    /// Adds a running database server.
    pub(crate) fn add_server(
        &mut self,
        server: Server,
        endpoint: Endpoint,
        running: Arc<bed::Server>,
    ) {
        self.servers.insert(server, (endpoint, running));
    }

    /// Adds the running control plane.
    pub(crate) fn add_control_plane(&mut self, control_plane: ControlPlane) -> Result<()> {
        self.client = Some(self.runtime.block_on(control_plane.client())?);
        self.control_plane = Some(control_plane);
        Ok(())
    }

    /// Adds the suite's operator.
    pub(crate) fn add_operator(&self, operator: Operator) {
        *self.operator.lock().unwrap_or_else(PoisonError::into_inner) = Some(operator);
    }

    /// Runs a future on the suite's runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The suite's runtime, for tasks that run beside a case.
    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// How to reach a server. It runs if the case's needs name it.
    pub(crate) fn server(&self, server: Server) -> Result<&Endpoint> {
        Ok(&self.running(server)?.0)
    }

    /// A server with its own client program, for scripts that need one.
    pub(crate) fn bed_server(&self, server: Server) -> Result<&bed::Server> {
        Ok(&self.running(server)?.1)
    }

    fn running(&self, server: Server) -> Result<&(Endpoint, Arc<bed::Server>)> {
        self.servers
            .get(&server)
            .ok_or_else(|| anyhow!("the case does not name {server:?} among its needs"))
    }

    /// The control plane. It runs if the case's needs name it.
    pub(crate) fn control_plane(&self) -> Result<&ControlPlane> {
        self.control_plane
            .as_ref()
            .ok_or_else(|| anyhow!("the case does not name the cluster among its needs"))
    }

    /// A client with the cluster administrator's rights.
    pub(crate) fn client(&self) -> Result<kube::Client> {
        self.client
            .clone()
            .ok_or_else(|| anyhow!("the case does not name the cluster among its needs"))
    }

    /// Asks something of the suite's operator. It runs if the case's needs name it.
    pub(crate) fn operator<T>(&self, ask: impl FnOnce(&Operator) -> Result<T>) -> Result<T> {
        let operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        ask(operator
            .as_ref()
            .ok_or_else(|| anyhow!("the case does not name the operator among its needs"))?)
    }

    /// A new, empty database.
    pub(crate) fn database(&self, server: Server, case: &str) -> Result<Database> {
        let endpoint = self.server(server)?;
        self.block_on(Database::create(endpoint, server, case))
    }

    /// A new, empty namespace.
    pub(crate) fn namespace(&self, case: &str) -> Result<Namespace<'_>> {
        Namespace::create(self, &format!("t{}-{}", next_number(), slug(case)))
    }

    /// Keeps a text among what the privacy case searches.
    pub(crate) fn keep(&self, file: &str, text: &str) -> Result<()> {
        let path = self.evidence.join(file);
        std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Stops the operator and gives it time to end by itself.
    pub(crate) fn stop_operator(&self) -> Result<()> {
        let operator = self
            .operator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match operator {
            Some(mut operator) => {
                self.keep("metrics-suite.txt", &operator.metrics()?)?;
                operator.terminate(Duration::from_secs(30))
            }
            None => Ok(()),
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // As the program's own.
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .context("failed to start a runtime")
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
