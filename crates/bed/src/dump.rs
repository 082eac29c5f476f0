//! What a database's own dump program writes of it: everything that an administrator would have.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Kind, Server, cache};

/// The dump program of a server, for its administrator and this database. MariaDB's own is in no package
/// that the bed needs: MySQL's reads it as well.
fn command(server: &Server, database: &str) -> Result<Command> {
    let postgres = server.kind.is_postgres();
    let tree = match &server.root {
        Some(root) => Some(root.clone()),
        None if server.kind == Kind::MariaDb => Some(cache::unstable_tree()?),
        None => None,
    };
    let program = if postgres { "pg_dump" } else { "mysqldump" };
    let mut command = match tree {
        Some(root) => {
            let mut command = Command::new("chroot");
            command.arg(root).arg(format!("/usr/bin/{program}"));
            command
        }
        None => Command::new(program),
    };
    let port = server.port.to_string();
    if postgres {
        command
            .args(["--inserts", "-w", "-h", &server.host, "-p", &port])
            .args(["-U", &server.user, "-d", database])
            .env("PGPASSWORD", &server.password)
            .env("PGSSLMODE", "require");
    } else {
        command
            .args(["--no-defaults", "--protocol=TCP", "--ssl-mode=REQUIRED"])
            .args(["--skip-extended-insert", "--no-tablespaces"])
            .args(["--column-statistics=0", "--single-transaction"])
            // It is restored into the server that it is from.
            .arg("--set-gtid-purged=OFF")
            .args(["--routines", "--events", "--triggers"])
            .args(["-h", &server.host, "-P", &port, "-u", &server.user])
            .args(["--databases", database])
            .env("MYSQL_PWD", &server.password);
    }
    Ok(command)
}

impl Server {
    /// A dump of a whole database, a statement for each row.
    pub fn dump(&self, database: &str) -> Result<String> {
        let mut command = command(self, database)?;
        let output = command.output().context("failed to run the dump program")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} did not dump {database}: {said}", self.kind.name());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
