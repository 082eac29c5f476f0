//! pt-archiver, called as its users call it: a program of its own, with its start in what is measured.
//!
//! The password is in a file that only this user can read, never on the command line.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, bail};
use oubliette_core::bench::Run;
use oubliette_core::bench::archiver::FILE;
use secrecy::ExposeSecret;
use tokio::process::Command;

use super::peer::{CAP, since};
use crate::database::{ConnectSettings, Tls};

/// The program, and the files that tell it where to connect to.
#[derive(Debug)]
pub struct Archiver {
    program: PathBuf,
    defaults: Secret,
    /// The authority of the server's certificate, which the former names.
    _authority: Option<Secret>,
}

/// A file that goes with this value.
#[derive(Debug)]
struct Secret(PathBuf);

impl Secret {
    fn write(ending: &str, content: &[u8]) -> anyhow::Result<Self> {
        let name = format!("oubliette-bench-{:016x}.{ending}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("failed to make {}", path.display()))?;
        let secret = Self(path);
        file.write_all(content)
            .with_context(|| format!("failed to write {}", secret.0.display()))?;
        Ok(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Archiver {
    /// Tells a program where the server is.
    pub fn new(program: &Path, settings: &ConnectSettings) -> anyhow::Result<Self> {
        let authority = match (&settings.ca, settings.tls) {
            (_, Tls::Disable) | (None, _) => None,
            (Some(ca), Tls::VerifyFull | Tls::VerifyCa) => Some(Secret::write("pem", ca)?),
        };
        let mut text = String::from("[client]\n");
        for (name, value) in [
            ("host", settings.host.as_str()),
            ("port", &settings.port.to_string()),
            ("user", &settings.username),
            ("password", settings.password.expose_secret()),
        ] {
            let _ = writeln!(text, "{name}={}", quoted(value)?);
        }
        if let Some(Secret(path)) = &authority {
            let _ = writeln!(text, "ssl-ca={}", quoted(&path.display().to_string())?);
        }
        // Oracle's library knows the one word, MariaDB's the other.
        match settings.tls {
            Tls::Disable => {}
            Tls::VerifyFull => {
                text.push_str("ssl-mode=VERIFY_IDENTITY\nssl-verify-server-cert=1\n");
            }
            Tls::VerifyCa => text.push_str("ssl-mode=VERIFY_CA\nssl=1\n"),
        }
        Ok(Self {
            program: program.to_owned(),
            defaults: Secret::write("cnf", text.as_bytes())?,
            _authority: authority,
        })
    }

    /// Its name and version, as it says them.
    pub async fn version(&self) -> anyhow::Result<String> {
        let said = Command::new(&self.program)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        if !said.status.success() {
            let fault = String::from_utf8_lossy(&said.stderr);
            bail!(
                "{} --version failed ({}): {}",
                self.program.display(),
                said.status,
                fault.trim()
            );
        }
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// Calls it once. How many rows it changed is not known from it, and whoever looks enters that.
    pub async fn run(&self, arguments: &[String]) -> anyhow::Result<Run> {
        let file = self.defaults.0.display().to_string();
        let mut run = Run::default();
        let began = Instant::now();
        let program = Command::new(&self.program)
            .args(arguments.iter().map(|it| it.replace(FILE, &file)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to run {}", self.program.display()))?;
        match tokio::time::timeout(CAP, program.wait_with_output()).await {
            Ok(ended) => {
                let ended = ended.context("failed to wait for pt-archiver")?;
                if !ended.status.success() {
                    let said = String::from_utf8_lossy(&ended.stderr);
                    bail!("pt-archiver failed ({}): {}", ended.status, said.trim());
                }
            }
            Err(_) => run.cut = true,
        }
        run.phases.run = since(began);
        Ok(run)
    }
}

/// A value of an option file.
fn quoted(value: &str) -> anyhow::Result<String> {
    if value.contains(['\n', '\r', '\0']) {
        bail!("a line break in the user's name or password does not fit into pt-archiver's file");
    }
    Ok(format!(
        "\"{}\"",
        value.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use secrecy::SecretString;

    use super::*;
    use crate::database::{DeclaredEngine, Timeouts};

    fn settings() -> ConnectSettings {
        ConnectSettings {
            engine: DeclaredEngine::MySql,
            host: "db.example".to_owned(),
            port: 3307,
            database: "crm".to_owned(),
            username: "somebody".to_owned(),
            password: SecretString::from("a \"planted\" \\ one"),
            tls: Tls::VerifyFull,
            ca: Some(b"PEM".to_vec()),
            reading: Timeouts {
                lock: Duration::from_secs(1),
                statement: Duration::from_secs(1),
            },
            connect_timeout: Duration::from_secs(1),
            max_connections: 1,
        }
    }

    #[test]
    fn the_password_is_in_a_file_of_this_user_alone_that_goes_again() {
        let archiver = Archiver::new(Path::new("pt-archiver"), &settings()).unwrap();
        let path = archiver.defaults.0.clone();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(r#"password="a \"planted\" \\ one""#),
            "{text}"
        );
        let authority = text
            .lines()
            .find_map(|line| line.strip_prefix("ssl-ca="))
            .unwrap();
        let authority = PathBuf::from(authority.trim_matches('"'));
        assert_eq!(fs::read(&authority).unwrap(), b"PEM");
        drop(archiver);
        assert!(!path.exists() && !authority.exists());
    }

    #[tokio::test]
    async fn its_version_is_what_it_says_and_no_guess() {
        // Any program that has one will do.
        let archiver = Archiver::new(Path::new("bash"), &settings()).unwrap();
        let version = archiver.version().await.unwrap();
        assert!(version.contains("bash"), "{version}");
        let archiver = Archiver::new(Path::new("false"), &settings()).unwrap();
        let fault = archiver.version().await.unwrap_err().to_string();
        assert!(fault.contains("false --version failed"), "{fault}");
    }

    #[tokio::test]
    async fn what_it_says_when_it_fails_is_told() {
        let archiver = Archiver::new(Path::new("sh"), &settings()).unwrap();
        let arguments = [
            "-c",
            "echo no such table >&2; test -r \"$0\" && exit 3",
            FILE,
        ];
        let arguments = arguments.map(ToOwned::to_owned);
        let fault = archiver.run(&arguments).await.unwrap_err().to_string();
        assert!(
            fault.contains("no such table") && fault.contains('3'),
            "{fault}"
        );
    }
}
