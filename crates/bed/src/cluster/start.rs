//! Starting the three servers of the control plane.

use std::{
    env,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{Cluster, audit};
use crate::{
    authority::{authority, write_key_pair},
    cache::CONTROL_PLANE,
    port,
    process::{Launch, Process, port_was_taken, tail, wait_until},
    scratch::{Scratch, random_hex, write_file},
};

const START_LIMIT: Duration = Duration::from_secs(90);

/// What the bed holds of a control plane that it started. Fields end in this order.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) assets: PathBuf,
    _controllers: Process,
    _apiserver: Process,
    _etcd: Process,
}

/// The folder of the control plane's programs: `KUBEBUILDER_ASSETS`, or the bed's cache.
pub(crate) fn assets_folder() -> Result<PathBuf> {
    match env::var_os("KUBEBUILDER_ASSETS").filter(|it| !it.is_empty()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => CONTROL_PLANE.folder(),
    }
}

pub(super) fn start() -> Result<Cluster> {
    let assets = assets_folder()?;
    if let Some(program) = CONTROL_PLANE.absent_from(&assets).first() {
        bail!(
            "the control plane has no {program} in {}: run `make setup`",
            assets.display()
        );
    }
    for _ in 0..5 {
        if let Some(cluster) = try_start(&assets).context("failed to start the control plane")? {
            return Ok(cluster);
        }
    }
    bail!("found no ports for the control plane")
}

/// Starts everything; none if somebody else took a port first.
fn try_start(assets: &Path) -> Result<Option<Cluster>> {
    let scratch = Scratch::new("cluster")?;
    let folder = scratch.path();
    let at = |name: &str| folder.join(name).display().to_string();
    authority()?.write_into(folder)?;
    write_key_pair(&folder.join("sa.key"), &folder.join("sa.pub"))?;
    write_file(&folder.join("audit.yaml"), audit::POLICY.as_bytes(), 0o644)?;
    let (admin, controllers, stranger) = (random_hex(16)?, random_hex(16)?, random_hex(16)?);
    let tokens = format!(
        "{admin},admin,admin,system:masters\n\
         {controllers},system:kube-controller-manager,controllers,\n\
         {stranger},stranger,stranger,strangers\n"
    );
    write_file(&folder.join("tokens.csv"), tokens.as_bytes(), 0o600)?;

    let (clients, peers, secure) = (port::free()?, port::free()?, port::free()?);
    let (etcd_url, peer_url) = (
        format!("http://127.0.0.1:{clients}"),
        format!("http://127.0.0.1:{peers}"),
    );
    let url = format!("https://127.0.0.1:{secure}");
    let ca = authority()?.pem();
    let kubeconfig = folder.join("admin.kubeconfig");
    write_kubeconfig(&kubeconfig, &url, &ca, &admin)?;
    let for_controllers = folder.join("controllers.kubeconfig");
    write_kubeconfig(&for_controllers, &url, &ca, &controllers)?;
    let for_stranger = folder.join("stranger.kubeconfig");
    write_kubeconfig(&for_stranger, &url, &ca, &stranger)?;

    let launch = |program: &str, arguments: Vec<String>| Launch {
        program: assets.join(program),
        arguments,
        root: None,
        unprivileged: false,
        death: "KILL",
        preload: None,
    };
    let etcd_log = folder.join("etcd.log");
    let mut etcd = launch(
        "etcd",
        vec![
            format!("--data-dir={}", at("etcd")),
            format!("--listen-client-urls={etcd_url}"),
            format!("--advertise-client-urls={etcd_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
        ],
    )
    .start(&etcd_log)?;
    if !wait_for_port(&mut etcd, clients, &etcd_log)? {
        return Ok(None);
    }
    let apiserver_log = folder.join("apiserver.log");
    let mut apiserver = launch(
        "kube-apiserver",
        vec![
            format!("--etcd-servers={etcd_url}"),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            // Loopback is no address for the `kubernetes` Service; nothing in the cluster calls it.
            "--endpoint-reconciler-type=none".into(),
            format!("--secure-port={secure}"),
            format!("--cert-dir={}", at("certificates")),
            format!("--tls-cert-file={}", at("server.pem")),
            format!("--tls-private-key-file={}", at("server.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            "--authorization-mode=Node,RBAC".into(),
            format!("--token-auth-file={}", at("tokens.csv")),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            format!("--audit-policy-file={}", at("audit.yaml")),
            format!("--audit-log-path={}", at("audit.log")),
            "--shutdown-delay-duration=0s".into(),
        ],
    )
    .start(&apiserver_log)?;
    if !wait_for_port(&mut apiserver, secure, &apiserver_log)? {
        return Ok(None);
    }
    let controllers_log = folder.join("controllers.log");
    let mut controllers = launch(
        "kube-controller-manager",
        vec![
            format!("--kubeconfig={}", for_controllers.display()),
            format!("--service-account-private-key-file={}", at("sa.key")),
            format!("--root-ca-file={}", at("ca.pem")),
            "--use-service-account-credentials=true".into(),
            "--leader-elect=false".into(),
            // It serves nothing: one port less to lose.
            "--secure-port=0".into(),
        ],
    )
    .start(&controllers_log)?;

    let mut cluster = Cluster {
        kubeconfig,
        url,
        ca,
        version: String::new(),
        kubectl: assets.join("kubectl"),
        stranger: Some(for_stranger),
        own: None,
        scratch,
    };
    let mut said = String::new();
    wait_until(START_LIMIT, "the control plane to be ready", || {
        for server in [&mut etcd, &mut apiserver, &mut controllers] {
            server.expect_running()?;
        }
        // The controllers are at work once they have made the first service account.
        let ready = cluster
            .kubectl(&["get", "--raw", "/readyz"], "")
            .and_then(|_| {
                cluster.kubectl(&["get", "serviceaccount", "-n", "default", "default"], "")
            });
        Ok(ready.map_err(|error| said = error.to_string()).ok())
    })
    .with_context(|| format!("last answer: {said}\n{}", tail(&apiserver_log)))?;
    cluster.version = cluster.ask_version()?;
    cluster.own = Some(Own {
        assets: assets.to_owned(),
        _controllers: controllers,
        _apiserver: apiserver,
        _etcd: etcd,
    });
    Ok(Some(cluster))
}

/// Waits for a server to listen; false if somebody else has its port.
fn wait_for_port(process: &mut Process, port: u16, log: &Path) -> Result<bool> {
    let listening = wait_until(START_LIMIT, "a server to listen", || {
        process.expect_running()?;
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
    })
    .and_then(|_| process.expect_running());
    match listening {
        Ok(()) => Ok(true),
        Err(_) if port_was_taken(log) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes the kubeconfig of somebody who has a token. JSON is YAML.
pub(super) fn write_kubeconfig(path: &Path, url: &str, ca: &str, token: &str) -> Result<()> {
    let authority = path.with_extension("ca.pem");
    write_file(&authority, ca.as_bytes(), 0o644)?;
    let text = format!(
        r#"{{
  "apiVersion": "v1",
  "kind": "Config",
  "clusters": [{{"name": "bed", "cluster": {{"server": "{url}", "certificate-authority": "{}"}}}}],
  "users": [{{"name": "bed", "user": {{"token": "{token}"}}}}],
  "contexts": [{{"name": "bed", "context": {{"cluster": "bed", "user": "bed", "namespace": "default"}}}}],
  "current-context": "bed"
}}
"#,
        authority.display()
    );
    write_file(path, text.as_bytes(), 0o600)
}
