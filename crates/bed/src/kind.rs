//! The database servers that the bed knows: what they are called and where their programs are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::cache;

/// One database server of the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The oldest PostgreSQL: this machine's Debian's (15 on Debian 12).
    Postgres15,
    /// The newest PostgreSQL: Debian unstable's (18).
    Postgres18,
    /// This machine's Debian's MariaDB (10.11 on Debian 12).
    MariaDb,
    /// Debian unstable's MySQL.
    MySql,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Postgres15,
        Self::Postgres18,
        Self::MariaDb,
        Self::MySql,
    ];

    /// Its name on the command line, in upper case in environment variables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres15 => "postgres15",
            Self::Postgres18 => "postgres18",
            Self::MariaDb => "mariadb",
            Self::MySql => "mysql",
        }
    }

    /// The server of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The value of `spec.engine` of a `TargetDatabase`.
    pub fn engine(self) -> &'static str {
        match self {
            Self::Postgres15 | Self::Postgres18 => "PostgreSQL",
            Self::MariaDb | Self::MySql => "MySQL",
        }
    }

    /// Whether it is a PostgreSQL.
    pub fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres15 | Self::Postgres18)
    }

    /// Whether it lives in the tree of Debian's unstable suite.
    pub(crate) fn is_unstable(self) -> bool {
        matches!(self, Self::Postgres18 | Self::MySql)
    }

    /// The variable that names a server to use instead.
    pub(crate) fn url_variable(self) -> &'static str {
        match self {
            Self::Postgres15 | Self::Postgres18 => "OUBLIETTE_TEST_POSTGRES_URL",
            Self::MariaDb => "OUBLIETTE_TEST_MARIADB_URL",
            Self::MySql => "OUBLIETTE_TEST_MYSQL_URL",
        }
    }
}

/// The programs of a server.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The folder that is their root, when it is not this machine's.
    pub(crate) root: Option<PathBuf>,
    /// The server program, as seen inside the root.
    pub(crate) server: PathBuf,
}

impl Programs {
    /// Finds the programs of a server on this machine.
    pub(crate) fn find(kind: Kind) -> Result<Self> {
        let root = kind.is_unstable().then(cache::unstable_tree).transpose()?;
        let base = root.as_deref().unwrap_or(Path::new("/"));
        let inside = match kind {
            Kind::Postgres15 | Kind::Postgres18 => postgres_folder(base, kind)?.join("postgres"),
            Kind::MariaDb => PathBuf::from("usr/sbin/mariadbd"),
            Kind::MySql => PathBuf::from("usr/sbin/mysqld"),
        };
        if !base.join(&inside).exists() {
            bail!(
                "{} is not installed ({} is missing): run `make setup`",
                kind.name(),
                base.join(&inside).display()
            );
        }
        Ok(Self {
            root,
            server: Path::new("/").join(inside),
        })
    }

    /// A path as the server sees it.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => inside(root, path),
            None => path.to_owned(),
        }
    }
}

/// A path as a process sees it whose root is `root`.
pub(crate) fn inside(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root)
        .map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
}

/// The program folder of the oldest PostgreSQL of this machine, or of the newest of the tree.
fn postgres_folder(base: &Path, kind: Kind) -> Result<PathBuf> {
    let versions = "usr/lib/postgresql";
    let mut found: Vec<u32> = fs::read_dir(base.join(versions))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("bin/postgres").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    let version = match kind {
        Kind::Postgres18 => found.last(),
        _ => found.first(),
    };
    let version =
        version.with_context(|| format!("{} is not installed: run `make setup`", kind.name()))?;
    Ok(Path::new(versions).join(version.to_string()).join("bin"))
}
