//! One long command of setup: all it says goes to a file, the last line now and then to the terminal.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process::tail;

/// How often it is said how far a step is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A command under way.
pub(super) struct Step {
    what: String,
    child: Child,
    log: PathBuf,
    began: Instant,
}

impl Step {
    /// Starts it; its log is in the cache folder, and stays there when it fails.
    pub(super) fn begin(what: &str, mut command: Command, cache: &Path) -> Result<Self> {
        let name: String = what
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let log = cache.join(format!("setup-{name}.log"));
        let file = File::create(&log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("failed to run {program}"))?;
        eprintln!("bed: {what}: begun");
        Ok(Self {
            what: what.to_owned(),
            child,
            log,
            began: Instant::now(),
        })
    }

    /// Waits for its end, saying how far it is.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut told = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                let said = tail(&self.log);
                let line = said.lines().last().unwrap_or_default();
                let line: String = line.chars().take(100).collect();
                eprintln!("bed: {}: {} s: {line}", self.what, self.seconds());
            }
            thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            bail!(
                "{} failed ({status}); its end, all is in {}:\n{}",
                self.what,
                self.log.display(),
                tail(&self.log)
            );
        }
        eprintln!("bed: {}: done in {} s", self.what, self.seconds());
        let _ = fs::remove_file(&self.log);
        Ok(())
    }

    fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        // Nothing goes on when another step has failed.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The same command, which ends with this process, and with it all that it started and mounted:
/// debootstrap mounts `/proc` below its tree, and whoever removed the tree of a killed one would walk into it.
pub(super) fn ending_with_us(command: &Command) -> Command {
    let unshare = ["--mount", "--pid", "--fork", "--kill-child"];
    let may_unshare = Command::new("unshare")
        .args(unshare)
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success());
    let mut guarded = Command::new("setpriv");
    guarded.args(["--pdeathsig", "KILL", "--"]);
    if may_unshare {
        guarded.arg("unshare").args(unshare).arg("--");
    }
    guarded.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            guarded.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    guarded
}
