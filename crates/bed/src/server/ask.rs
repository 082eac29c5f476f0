//! What tests ask of a running server: statements, databases, users, addresses.

use std::{path::Path, process::Command};

use anyhow::{Result, bail, ensure};

use super::Server;
use crate::{
    client::{self, Login},
    external,
};

impl Server {
    /// Runs a script as the administrator, with the engine's own client (so DELIMITER and `\` commands
    /// work), up to the first error. Returns the rows it printed, tab-separated.
    pub fn sql(&self, database: &str, script: &str) -> Result<String> {
        client::run(self, self.admin(database), script)
    }

    /// Runs a script file as the administrator.
    pub fn sql_file(&self, database: &str, script: &Path) -> Result<String> {
        client::run_file(self, self.admin(database), script)
    }

    /// Runs a script as somebody.
    pub fn sql_as(&self, login: Login<'_>, script: &str) -> Result<String> {
        client::run(self, login, script)
    }

    /// The client program with its arguments, for a script on its standard input that runs
    /// beside something else.
    pub fn client(&self, login: Login<'_>) -> Command {
        client::command(self, login)
    }

    /// The administrator's login to a database.
    pub fn admin<'a>(&'a self, database: &'a str) -> Login<'a> {
        Login {
            user: &self.user,
            password: &self.password,
            database,
        }
    }

    /// Makes a database (UTF-8).
    pub fn create_database(&self, name: &str) -> Result<()> {
        let name = self.quoted(name)?;
        let form = if self.kind.is_postgres() {
            ""
        } else {
            " CHARACTER SET utf8mb4"
        };
        self.ask(&format!("CREATE DATABASE {name}{form}")).map(drop)
    }

    /// Removes a database, connected clients or not.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        let name = self.quoted(name)?;
        let force = if self.kind.is_postgres() {
            " WITH (FORCE)"
        } else {
            ""
        };
        self.ask(&format!("DROP DATABASE IF EXISTS {name}{force}"))
            .map(drop)
    }

    /// Makes a user who may log in, and nothing else.
    pub fn create_user(&self, name: &str, password: &str) -> Result<()> {
        ensure!(
            !password.contains(['\'', '\\']),
            "a test user's password must not need escaping"
        );
        let statement = if self.kind.is_postgres() {
            format!(
                "CREATE ROLE {} LOGIN PASSWORD '{password}'",
                self.quoted(name)?
            )
        } else {
            format!(
                "CREATE USER {}@'%' IDENTIFIED BY '{password}'",
                self.quoted(name)?
            )
        };
        self.ask(&statement).map(drop)
    }

    fn quoted(&self, name: &str) -> Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-$.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            bail!("the name {name} holds characters that the bed does not quote");
        }
        Ok(if self.kind.is_postgres() {
            format!("\"{name}\"")
        } else {
            format!("`{name}`")
        })
    }

    /// The address for a driver (sqlx's parameters), with the certificate verified.
    pub fn url(&self, login: Login<'_>) -> String {
        let Login {
            user,
            password,
            database,
        } = login;
        let (scheme, tls) = match (self.kind.is_postgres(), &self.ca) {
            (true, Some(ca)) => (
                "postgres",
                format!("?sslmode=verify-full&sslrootcert={}", ca.display()),
            ),
            (false, Some(ca)) => (
                "mysql",
                format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={}", ca.display()),
            ),
            (true, None) => ("postgres", String::new()),
            (false, None) => ("mysql", String::new()),
        };
        let encode = external::percent_encode;
        format!(
            "{scheme}://{}:{}@{}:{}/{database}{tls}",
            encode(user),
            encode(password),
            self.host,
            self.port
        )
    }

    /// The administrator's address of the administrative database.
    pub fn admin_url(&self) -> String {
        self.url(self.admin(if self.kind.is_postgres() {
            "postgres"
        } else {
            "mysql"
        }))
    }

    /// Runs one query outside of any database of the tests.
    pub(super) fn ask(&self, query: &str) -> Result<String> {
        let database = if self.kind.is_postgres() {
            "postgres"
        } else {
            "information_schema"
        };
        Ok(self.sql(database, query)?.trim().to_owned())
    }
}
