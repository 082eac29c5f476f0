//! Where commands take manifests and a database from: the flags that they share.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use console::Term;
use jiff::Timestamp;
use oubliette_core::api::refs::{is_label, is_object_name};
use oubliette_core::target::Target;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::database::Database;
use crate::inputs::files;
use crate::inputs::offline::{Offline, Promise, target_of};
use crate::inputs::secrets::{self, Login};
use crate::inputs::url::DatabaseUrl;

/// The environment variable of `--database-url`.
const URL: &str = "OUBLIETTE_DATABASE_URL";
/// The environment variable with the password for it.
const PASSWORD: &str = "OUBLIETTE_DATABASE_PASSWORD";

/// Manifests, and where their database is.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// Manifests: files, folders, or `-` for the input; policies, requests of persons, DataMaps, their
    /// TargetDatabases, and the Secrets, ConfigMaps and Namespaces that these name.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
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

/// The name of a resource, as the API server takes it.
pub(super) fn object_name(text: &str) -> Result<String, &'static str> {
    taken(text, is_object_name)
}

/// The name of a namespace.
pub(super) fn namespace_name(text: &str) -> Result<String, &'static str> {
    taken(text, is_label)
}

fn taken(text: &str, fits: fn(&str) -> bool) -> Result<String, &'static str> {
    fits(text).then(|| text.to_owned()).ok_or(files::NO_NAME)
}

/// The name of a database user.
pub(super) fn user_name(text: &str) -> Result<String, &'static str> {
    let named = !text.is_empty() && !text.starts_with('@') && !text.contains(char::is_control);
    named.then(|| text.to_owned()).ok_or("names no user")
}

/// The instants that a plan can be made for: periods are counted back from them.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let at: Timestamp = text.parse().map_err(|_| {
        "is no instant with its offset from UTC, such as 2026-12-31T00:00:00Z".to_owned()
    })?;
    if (PLAUSIBLE.0..PLAUSIBLE.1).contains(&at) {
        Ok(at)
    } else {
        Err("lies outside of the years 1970 to 8999".to_owned())
    }
}

/// 1970-01-01 and 9000-01-01.
const PLAUSIBLE: (Timestamp, Timestamp) = (
    Timestamp::UNIX_EPOCH,
    Timestamp::constant(221_845_392_000, 0),
);

/// What was given with -f, for people.
pub(super) fn given(files: &[PathBuf]) -> String {
    let names = files.iter().map(|file| match file.display().to_string() {
        input if input == "-" => "the input".to_owned(),
        name => name,
    });
    names.collect::<Vec<_>>().join(", ")
}

impl Source {
    /// The policies, and the way to their databases and to those of requests.
    pub fn open(&self) -> anyhow::Result<(Offline, Vec<Promise>)> {
        let manifests = files::read(&self.files, &self.namespace)?;
        if manifests.policies.is_empty() && manifests.requests.is_empty() {
            bail!(
                "no RetentionPolicy in {}, and no ErasureRequest: give its file with -f",
                given(&self.files)
            );
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

    /// Connects to the database of the URL, where there is one.
    pub async fn connect(&self) -> anyhow::Result<Option<(Target, Database)>> {
        let Some((url, login)) = self.database()? else {
            return Ok(None);
        };
        let target = target_of(&url)?;
        let database = secrets::connect(&target, login, None).await?;
        Ok(Some((target, database)))
    }

    fn login(&self, url: &DatabaseUrl) -> anyhow::Result<Login> {
        let ca = url.ca.as_ref().map(|file| {
            let name = file.display();
            let pem = std::fs::read(file)
                .with_context(|| format!("--database-url: failed to read {name}"))?;
            if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                bail!("--database-url: {name} holds no certificate in PEM form");
            }
            Ok(pem)
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
