//! Where commands take manifests and a database from: the flags that they share.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use console::Term;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::inputs::files;
use crate::inputs::offline::{Offline, Promise};
use crate::inputs::secrets::Login;
use crate::inputs::url::DatabaseUrl;

/// The environment variable of `--database-url`.
const URL: &str = "OUBLIETTE_DATABASE_URL";
/// The environment variable with the password for it.
const PASSWORD: &str = "OUBLIETTE_DATABASE_PASSWORD";

/// Manifests, and where their database is.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// Manifests: files, folders, or `-` for the input; policies, their TargetDatabases, and the
    /// Secrets, ConfigMaps and Namespaces that these name.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// The database, in place of the connection in its TargetDatabase or of the whole resource.
    #[command(flatten)]
    pub given: Given,
}

/// A database without a TargetDatabase.
#[derive(Clone, Debug, Args)]
pub struct Given {
    /// The database: `postgres://USER@HOST:5432/DATABASE` or `mysql://USER@HOST:3306/DATABASE`; with
    /// manifests, in place of the connection in their TargetDatabase or of the whole resource. The
    /// server's certificate and name are verified unless `?sslmode=disable` or `verify-ca` says
    /// otherwise; `sslrootcert=FILE` has the CA's certificates.
    #[arg(long, value_name = "URL", env = URL, hide_env_values = true)]
    pub database_url: Option<Hidden>,
    /// A file with the password for the URL. Otherwise it comes from OUBLIETTE_DATABASE_PASSWORD, or
    /// is asked for on a terminal.
    #[arg(long, value_name = "FILE", requires = "database_url")]
    pub password_file: Option<PathBuf>,
}

/// A text that may hold a password: shown nowhere, and never refused by its type, because what a
/// command line refuses is printed.
#[derive(Clone)]
pub struct Hidden(Zeroizing<String>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl Source {
    /// The policies, and the way to their databases.
    pub fn open(&self) -> anyhow::Result<(Offline, Vec<Promise>)> {
        let manifests = files::read(&self.files, &self.namespace)?;
        if manifests.policies.is_empty() {
            bail!("no RetentionPolicy among the manifests: give its file with -f");
        }
        if let Some(hold) = manifests.holds.first() {
            bail!(
                "{}: the LegalHold {}/{} is placed by the operator of a cluster only; leave it out. \
                 Holds that are in force are read from the ledger",
                hold.origin,
                hold.namespace,
                hold.name
            );
        }
        Ok(Offline::new(manifests, self.given.database()?)?)
    }
}

impl Given {
    /// Where the database is and as whom to connect, where a URL says so.
    pub fn database(&self) -> anyhow::Result<Option<(DatabaseUrl, Login)>> {
        let Some(text) = &self.database_url else {
            return Ok(None);
        };
        let url: DatabaseUrl = text
            .0
            .parse()
            .map_err(|fault| anyhow!("--database-url: it {fault}"))?;
        let login = self.login(&url)?;
        Ok(Some((url, login)))
    }

    fn login(&self, url: &DatabaseUrl) -> anyhow::Result<Login> {
        let ca = url.ca.as_ref().map(|file| {
            std::fs::read(file)
                .with_context(|| format!("--database-url: failed to read {}", file.display()))
        });
        Ok(Login {
            username: url.username.clone(),
            password: self.password(url)?,
            ca: ca.transpose()?,
        })
    }

    fn password(&self, url: &DatabaseUrl) -> anyhow::Result<SecretString> {
        if let Some(file) = &self.password_file {
            return read_password(file);
        }
        if let Some(password) = &url.password {
            return Ok(password.clone());
        }
        match std::env::var(PASSWORD) {
            Ok(password) => return Ok(SecretString::from(password)),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSWORD} is not UTF-8 text"),
            Err(std::env::VarError::NotPresent) => {}
        }
        // The input may be the manifests.
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            bail!(
                "no password for --database-url: set {PASSWORD}, or name a file with \
                 --password-file (an empty {PASSWORD} stands for none)"
            );
        }
        let term = Term::stderr();
        term.write_str("Password of the database user: ")
            .context("failed to ask for the password")?;
        let password = term
            .read_secure_line()
            .context("failed to read the password")?;
        Ok(SecretString::from(password))
    }
}

/// The file's first line.
fn read_password(file: &Path) -> anyhow::Result<SecretString> {
    let failed = || format!("--password-file: failed to read {}", file.display());
    let text = Zeroizing::new(std::fs::read_to_string(file).with_context(failed)?);
    let line = text.lines().next().unwrap_or_default();
    Ok(SecretString::from(line.to_owned()))
}
