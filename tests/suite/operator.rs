//! The operator of the tests: the debug binary as a process of its own, with the chart's
//! ServiceAccount and that account's own token, so that a missing verb is a red test.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::wait::{PATIENCE, wait_for};

/// How one operator differs from another.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Its Lease's name: operators of one name elect one among themselves.
    pub(crate) lease: String,
    /// Who it is among these.
    pub(crate) identity: String,
    /// The namespaces it serves; all, when empty.
    pub(crate) watch_namespaces: Vec<String>,
    /// The kubeconfig with its token.
    pub(crate) kubeconfig: PathBuf,
    /// Where its log goes.
    pub(crate) log: PathBuf,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub(crate) health: String,
}

/// Where the chart is installed.
pub(crate) const SYSTEM_NAMESPACE: &str = "oubliette-system";

/// A running operator.
pub(crate) struct Operator {
    child: Child,
    /// How it was started.
    pub(crate) settings: Settings,
}

impl Operator {
    /// Starts one. Its log is appended to, so that a restart keeps what was said before.
    pub(crate) fn start(settings: &Settings) -> Result<Self> {
        Self::start_with(settings, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(settings: &Settings, arguments: &[&str]) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&settings.log)
            .with_context(|| format!("failed to open {}", settings.log.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_oubliette")])
            .arg("operator")
            .args(["--health-address", &settings.health])
            .args(["--lease-name", &settings.lease])
            .args(["--lease-namespace", SYSTEM_NAMESPACE])
            .args(["--identity", &settings.identity])
            // The most talkative it can be: the privacy case reads all of it.
            .args(["--log", "debug", "--log-format", "text"])
            .args(arguments)
            .env("KUBECONFIG", &settings.kubeconfig)
            // As in the image, there are no authorities where libraries look for them.
            .env("SSL_CERT_FILE", "/dev/null")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("failed to share the log")?)
            .stderr(log);
        for namespace in &settings.watch_namespaces {
            command.args(["--watch-namespace", namespace]);
        }
        let child = command.spawn().context("failed to start the operator")?;
        Ok(Self {
            child,
            settings: settings.clone(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .context("failed to run kill")?;
        if !status.success() {
            bail!("failed to send {name} to the operator");
        }
        Ok(())
    }

    /// Ends it at once, as a lost node would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("failed to kill the operator")?;
        self.child
            .wait()
            .context("failed to wait for the operator")?;
        Ok(())
    }

    /// Asks it to end, and fails when it has not within the deadline.
    pub(crate) fn terminate(&mut self, deadline: Duration) -> Result<()> {
        self.signal("TERM")?;
        self.wait_ended(deadline)
    }

    /// Waits until it has ended, and fails when it has not within the deadline.
    pub(crate) fn wait_ended(&mut self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            if Instant::now() >= end {
                self.kill()?;
                bail!("the operator had not ended within {} s", deadline.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        let address = self.settings.health.clone();
        let log = self.settings.log.clone();
        let child = &mut self.child;
        wait_for("the operator is ready", PATIENCE, || {
            if let Some(status) = child.try_wait()? {
                bail!("the operator ended ({status}); see {}", log.display());
            }
            Ok(match http_get(&address, "/readyz") {
                Ok((200, _)) => Ok(()),
                Ok((code, body)) => Err(format!("/readyz answers {code}: {body}")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> Result<String> {
        let (code, body) = http_get(&self.settings.health, "/metrics")?;
        if code != 200 {
            bail!("/metrics answers {code}");
        }
        Ok(body)
    }

    /// Its resident memory, in kibibytes.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        self.kib("VmRSS")
    }

    /// What of that is no file's: heap and stacks.
    pub(crate) fn anonymous_kib(&self) -> Result<u64> {
        self.kib("RssAnon")
    }

    fn kib(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok())
            .with_context(|| format!("no {name} in /proc"))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One plain HTTP request: the status code and the body.
pub(crate) fn http_get(address: &str, path: &str) -> Result<(u16, String)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer
        .split_whitespace()
        .nth(1)
        .and_then(|c| c.parse().ok())
        .context("not an HTTP answer")?;
    let body = answer
        .split_once("\r\n\r\n")
        .map_or("", |(_, body)| body)
        .to_owned();
    Ok((code, body))
}
