//! The Kubernetes control plane: etcd, API server and controller manager, without any node.

mod audit;
mod start;

use std::{
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::scratch::{Scratch, random_hex, write_file};

/// A running control plane.
#[derive(Debug)]
pub struct Cluster {
    /// The kubeconfig file of an administrator.
    pub kubeconfig: PathBuf,
    /// The address of the API server.
    pub url: String,
    /// The authority of its certificate, in PEM form.
    pub ca: String,
    /// What it says its version is.
    pub version: String,
    kubectl: PathBuf,
    stranger: Option<PathBuf>,
    own: Option<start::Own>,
    scratch: Scratch,
}

impl Cluster {
    /// Starts a control plane of its own, or takes the one that the environment names.
    pub fn start() -> Result<Self> {
        if wants_existing() {
            return Self::existing();
        }
        start::start()
    }

    /// The cluster of the user's own kubeconfig, when `USE_EXISTING_CLUSTER=true` asks for it.
    fn existing() -> Result<Self> {
        let scratch = Scratch::new("cluster")?;
        let output = Command::new("kubectl")
            .args(["config", "view", "--raw", "--minify", "--flatten"])
            .output()
            .context("USE_EXISTING_CLUSTER needs kubectl on the path")?;
        if !output.status.success() {
            bail!(
                "USE_EXISTING_CLUSTER is set, but kubectl has no cluster: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let kubeconfig = scratch.path().join("admin.kubeconfig");
        write_file(&kubeconfig, &output.stdout, 0o600)?;
        let mut cluster = Self {
            kubeconfig,
            url: String::new(),
            ca: String::new(),
            version: String::new(),
            kubectl: PathBuf::from("kubectl"),
            stranger: None,
            own: None,
            scratch,
        };
        let read = |path: &str| -> Result<String> {
            let template = format!("jsonpath={{{path}}}");
            let arguments = ["config", "view", "--raw", "-o", &template];
            Ok(cluster.kubectl(&arguments, "")?.trim().to_owned())
        };
        let url = read(".clusters[0].cluster.server")?;
        let ca = read(".clusters[0].cluster.certificate-authority-data")?;
        cluster.url = url;
        cluster.ca = base64_decode(&ca)?;
        cluster.version = cluster.ask_version()?;
        Ok(cluster)
    }

    /// Runs kubectl as the administrator and returns what it printed.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        self.kubectl_as(&self.kubeconfig, arguments, input)
    }

    /// Runs kubectl with another kubeconfig.
    pub fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<String> {
        let mut stdin = tempfile::tempfile()?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let output = self
            .kubectl_command(kubeconfig)
            .args(arguments)
            .stdin(Stdio::from(stdin))
            .output()
            .context("failed to run kubectl")?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A kubectl command without arguments, for those that run beside something else.
    pub fn kubectl_command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", self.scratch.path().join("kubectl-cache"));
        command
    }

    /// The folder of etcd, kube-apiserver, kube-controller-manager and kubectl.
    pub fn assets(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.assets.as_path())
    }

    /// A new token of a service account, good for an hour. The account must exist.
    pub fn service_account_token(&self, namespace: &str, account: &str) -> Result<String> {
        let arguments = ["create", "token", account, "-n", namespace, "--duration=1h"];
        Ok(self.kubectl(&arguments, "")?.trim().to_owned())
    }

    /// A kubeconfig file for whoever holds the token.
    pub fn kubeconfig_for_token(&self, token: &str) -> Result<PathBuf> {
        let path = self
            .scratch
            .path()
            .join(format!("{}.kubeconfig", random_hex(6)?));
        start::write_kubeconfig(&path, &self.url, &self.ca, token)?;
        Ok(path)
    }

    /// The kubeconfig file of `stranger` (group `strangers`), who may do nothing until a role says
    /// otherwise; not on another person's cluster.
    pub fn stranger(&self) -> Option<&Path> {
        self.stranger.as_deref()
    }

    /// The logs of the three servers and the API server's audit log, which holds the body of every
    /// write except those of Secrets, and who was refused what.
    pub fn log_paths(&self) -> Vec<PathBuf> {
        let folder = self.scratch.path();
        if self.own.is_none() {
            return Vec::new();
        }
        ["etcd.log", "apiserver.log", "controllers.log", "audit.log"]
            .iter()
            .map(|name| folder.join(name))
            .collect()
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> Option<PathBuf> {
        self.own
            .is_some()
            .then(|| self.scratch.path().join("audit.log"))
    }

    pub(crate) fn environment(&self, path: &str) -> Vec<(String, String)> {
        let mut all = vec![
            (
                "KUBECONFIG".to_owned(),
                self.kubeconfig.display().to_string(),
            ),
            (
                "KUBECACHEDIR".to_owned(),
                self.scratch
                    .path()
                    .join("kubectl-cache")
                    .display()
                    .to_string(),
            ),
        ];
        if let Some(assets) = self.assets() {
            all.push(("PATH".to_owned(), format!("{}:{path}", assets.display())));
            all.push((
                "KUBEBUILDER_ASSETS".to_owned(),
                assets.display().to_string(),
            ));
        }
        if let Some(stranger) = &self.stranger {
            all.push((
                "OUBLIETTE_BED_STRANGER_KUBECONFIG".to_owned(),
                stranger.display().to_string(),
            ));
        }
        all
    }

    fn ask_version(&self) -> Result<String> {
        let answer = self.kubectl(&["get", "--raw", "/version"], "")?;
        answer
            .split_once("\"gitVersion\": \"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .map(|(version, _)| version.to_owned())
            .context("the API server did not say its version")
    }
}

/// Whether the environment asks for the user's own cluster.
pub(crate) fn wants_existing() -> bool {
    std::env::var("USE_EXISTING_CLUSTER").is_ok_and(|it| it.eq_ignore_ascii_case("true"))
}

fn base64_decode(text: &str) -> Result<String> {
    let mut input = tempfile::tempfile()?;
    input.write_all(text.as_bytes())?;
    input.rewind()?;
    let output = Command::new("base64")
        .arg("--decode")
        .stdin(Stdio::from(input))
        .output()
        .context("failed to run base64")?;
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) use start::assets_folder;
