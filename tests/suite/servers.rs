//! The suite's view of the bed: which servers run and how they are reached. The bed itself
//! (starting, stopping, caching) is `crates/bed`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::case::Needs;
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
    /// The certificate authority of the bed, PEM.
    pub(crate) ca: PathBuf,
}

/// The running control plane.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    /// The administrator's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
}

impl ControlPlane {
    /// A client with the administrator's rights.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(&self.kubeconfig)
            .with_context(|| format!("failed to read {}", self.kubeconfig.display()))?;
        let config = kube::Config::from_custom_kubeconfig(
            kubeconfig,
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .context("the kubeconfig cannot be used")?;
        kube::Client::try_from(config).context("failed to make a client")
    }
}

/// What runs; it stops when this is dropped.
pub(crate) struct Running {}

/// Starts what the selected cases need.
pub(crate) fn start(needs: &Needs) -> Result<Running> {
    if needs.cluster || !needs.servers.is_empty() {
        bail!("this build has no test bed");
    }
    Ok(Running {})
}

impl Running {
    /// Hands the running servers to the world, and starts the suite's operator where needed.
    pub(crate) fn populate(&mut self, _world: &mut World, _needs: &Needs) -> Result<()> {
        Ok(())
    }
}
