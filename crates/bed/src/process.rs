//! Starting and ending server processes so that none outlives the bed.
//!
//! Every server is started through `setpriv --pdeathsig`, which asks the kernel for a signal when
//! the *thread* that started it ends. So all are started by one thread that never ends before
//! the process does. The wish is lost when the user changes, hence `setpriv` does both, in that order.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::scratch::{NOBODY, is_root};

/// What a server process is told to be.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The program, as seen inside `root`.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// The folder to change the root to.
    pub(crate) root: Option<PathBuf>,
    /// Whether to give up being root.
    pub(crate) unprivileged: bool,
    /// The signal the kernel sends when the bed ends, by setpriv's name.
    pub(crate) death: &'static str,
    /// A library that comes before all others, as seen inside `root`.
    pub(crate) preload: Option<PathBuf>,
}

impl Launch {
    /// The command, with nothing of our own environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = match &self.root {
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg("/usr/bin/setpriv");
                command
            }
            None => Command::new("setpriv"),
        };
        command.args(["--pdeathsig", self.death]);
        if self.unprivileged && is_root() {
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        command
            .arg("--")
            .arg(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null())
            // Ctrl-C at the terminal is for the bed; servers end after it.
            .process_group(0);
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command
    }

    /// Runs it to its end; what it said is part of the error.
    pub(crate) fn run_to_end(&self) -> Result<()> {
        let (done, said) = channel();
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = spawn(command)?;
        thread::spawn(move || done.send(child.wait_with_output()));
        let output = said.recv()??;
        if !output.status.success() {
            bail!(
                "{} failed ({}): {}{}",
                self.program.display(),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// Starts it, with all it says appended to a log file.
    pub(crate) fn start(&self, log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut command = self.command();
        command
            .stdout(file.try_clone().context("failed to share the log file")?)
            .stderr(file);
        let child = spawn(command)
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        Ok(Process {
            child,
            log: log.to_owned(),
            tidy: self.death == "QUIT",
        })
    }
}

/// A server process that ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// Whether it ends at once on QUIT, leaving nothing in the kernel.
    tidy: bool,
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// An error if it has ended, with the end of its log.
    pub(crate) fn expect_running(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("ended at once ({status}):\n{}", tail(&self.log));
        }
        Ok(())
    }

    /// Kills it and its children with the signal that cannot be caught, and waits for their end.
    pub(crate) fn kill9(&mut self) -> Result<()> {
        let children = children_of(self.id());
        let _ = self.child.kill();
        self.child.wait()?;
        for &child in &children {
            let _ = kill_process(child, Signal::KILL);
        }
        wait_until(
            Duration::from_secs(20),
            "children of a killed server",
            || {
                Ok(children
                    .iter()
                    .all(|&child| test_kill_process(child).is_err())
                    .then_some(()))
            },
        )
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id())?;
        let id = Pid::from_raw(id).context("a process has the id 0")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let ended = self.tidy
            && self.signal(Signal::QUIT).is_ok()
            && wait_until(Duration::from_secs(5), "the end", || self.ended()).is_ok();
        if !ended {
            let _ = self.kill9();
        }
    }
}

/// Calls `look` until it has an answer; an error of it is final, and so is the deadline.
pub fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(30));
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Whether a log says that the port was taken.
pub(crate) fn port_was_taken(log: &Path) -> bool {
    tail(log).to_lowercase().contains("address already in use")
}

fn children_of(parent: u32) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name before it is in brackets and may hold anything.
            let (_, after) = stat.rsplit_once(')')?;
            let its_parent: u32 = after.split_whitespace().nth(1)?.parse().ok()?;
            (its_parent == parent).then_some(())?;
            Pid::from_raw(id)
        })
        .collect()
}

type Order = (Command, Sender<io::Result<Child>>);

/// Hands a command to the thread that starts all servers.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in orders {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, child) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts servers has ended"))?;
    Ok(child.recv()??)
}
