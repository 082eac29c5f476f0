//! Running SQL scripts with each engine's own client program, over verified TLS.

use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{Kind, Server, kind::inside};

/// Who connects to which database.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// User name.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
    /// Database.
    pub database: &'a str,
}

/// The client program with its arguments; a script on its standard input is executed up to the
/// first error, answers go to standard output as tab-separated rows.
pub(crate) fn command(server: &Server, login: Login<'_>) -> Command {
    if server.kind.is_postgres() {
        psql(server, login)
    } else {
        mysql(server, login)
    }
}

fn psql(server: &Server, login: Login<'_>) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", "-A", "-t", "-F", "\t", "-w"])
        .args(["-v", "ON_ERROR_STOP=1", "-f", "-"])
        .args(["-h", &server.host, "-p", &server.port.to_string()])
        .args(["-U", login.user, "-d", login.database])
        .env("PGPASSWORD", login.password)
        .env("PGCONNECT_TIMEOUT", "10");
    match &server.ca {
        Some(ca) => command
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", ca),
        None => command.env("PGSSLMODE", "prefer"),
    };
    command
}

fn mysql(server: &Server, login: Login<'_>) -> Command {
    let (mut command, of_mysql) = match &server.root {
        Some(root) => {
            let mut command = Command::new("chroot");
            command.arg(root).arg("/usr/bin/mysql");
            (command, true)
        }
        None if server.kind == Kind::MySql && mysql_is_mysql() => (Command::new("mysql"), true),
        None => (Command::new("mariadb"), false),
    };
    command
        .args([
            "--no-defaults",
            "--protocol=TCP",
            "--batch",
            "--skip-column-names",
            "--raw",
        ])
        .args(["--connect-timeout=10", "--default-character-set=utf8mb4"])
        .arg(format!("--host={}", server.host))
        .arg(format!("--port={}", server.port))
        .arg(format!("--user={}", login.user))
        .arg(format!("--database={}", login.database))
        .env("MYSQL_PWD", login.password);
    if let Some(ca) = &server.ca {
        let ca = server
            .root
            .as_ref()
            .map_or_else(|| ca.clone(), |root| inside(root, ca));
        command.arg(format!("--ssl-ca={}", ca.display()));
        command.arg(if of_mysql {
            "--ssl-mode=VERIFY_IDENTITY"
        } else {
            "--ssl-verify-server-cert"
        });
    }
    command
}

/// Whether the `mysql` on the path is MySQL's and not MariaDB's second name.
fn mysql_is_mysql() -> bool {
    Command::new("mysql")
        .arg("--version")
        .output()
        .is_ok_and(|output| !String::from_utf8_lossy(&output.stdout).contains("MariaDB"))
}

/// Runs a script and returns what it printed.
pub(crate) fn run(server: &Server, login: Login<'_>, script: &str) -> Result<String> {
    // A file, not a pipe: the client may stop reading at the first error.
    let mut input = tempfile::tempfile()?;
    input.write_all(script.as_bytes())?;
    input.rewind()?;
    run_input(server, login, input)
}

/// Runs a script file and returns what it printed.
pub(crate) fn run_file(server: &Server, login: Login<'_>, script: &Path) -> Result<String> {
    let input =
        File::open(script).with_context(|| format!("failed to open {}", script.display()))?;
    run_input(server, login, input)
}

fn run_input(server: &Server, login: Login<'_>, input: File) -> Result<String> {
    let mut command = command(server, login);
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::from(input))
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "{} in {}: {}",
            server.kind.name(),
            login.database,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
