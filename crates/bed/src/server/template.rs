//! Initialised data folders: made once per server version, kept in the cache, copied for every start.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    cache::{self, copy_folder},
    kind::{Kind, Programs},
    process::Launch,
    scratch::{Scratch, give_to_servers, random_hex, write_file},
};

/// Raised when the way of initialising changes.
const RECIPE: u32 = 1;

/// An initialised data folder that nobody writes to.
pub(super) struct Template {
    folder: PathBuf,
    /// The administrator's password, where initialising sets one.
    pub(super) password: Option<String>,
}

impl Template {
    /// Makes a data folder of it.
    pub(super) fn copy_to(&self, data: &Path) -> Result<()> {
        copy_folder(&self.folder.join("data"), data)
    }
}

/// A folder for one server, where the server can see it.
pub(super) fn scratch(what: &str, programs: &Programs) -> Result<Scratch> {
    match &programs.root {
        Some(root) => Scratch::below(&root.join("tmp"), what),
        None => Scratch::new(what),
    }
}

/// The template of a server, made now if there is none.
pub(super) fn ready(kind: Kind, programs: &Programs) -> Result<Template> {
    let templates = cache::templates()?;
    let key = format!("{}-{}-{RECIPE}", kind.name(), version(programs)?);
    let folder = templates.join(&key);
    if !folder.exists() {
        // One maker at a time; the other finds it done.
        let turn = File::create(templates.join(format!("{}.lock", kind.name())))?;
        turn.lock()?;
        if !folder.exists() {
            make(kind, programs, &folder)
                .with_context(|| format!("failed to initialise {}", kind.name()))?;
        }
    }
    let password = match fs::read_to_string(folder.join("password")) {
        Ok(password) => Some(password),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Template { folder, password })
}

/// The version of the program, in letters that suit a file name.
fn version(programs: &Programs) -> Result<String> {
    let mut command = Launch {
        program: programs.server.clone(),
        arguments: vec!["--version".to_owned()],
        root: programs.root.clone(),
        unprivileged: true,
        death: "KILL",
        preload: None,
    }
    .command();
    let output = command.output().context("failed to ask for the version")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text
        .split_whitespace()
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let version = words.next_back().context("a server has no version")?;
    Ok(version
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '.' })
        .collect())
}

fn make(kind: Kind, programs: &Programs, folder: &Path) -> Result<()> {
    // In a scratch folder first: the servers' user cannot enter the cache of another user.
    let scratch = scratch("template", programs)?;
    let data = programs.inside(&scratch.path().join("data"));
    let data = data.display();
    let password = scratch.path().join("password");
    let (program, arguments) = if kind.is_postgres() {
        write_file(&password, random_hex(12)?.as_bytes(), 0o600)?;
        let password = programs.inside(&password);
        (
            programs.server.with_file_name("initdb"),
            vec![
                format!("--pgdata={data}"),
                format!("--pwfile={}", password.display()),
                "--username=postgres".into(),
                "--auth=scram-sha-256".into(),
                "--encoding=UTF8".into(),
                "--locale=C.UTF-8".into(),
                "--no-sync".into(),
            ],
        )
    } else if kind == Kind::MariaDb {
        (
            PathBuf::from("/usr/bin/mariadb-install-db"),
            vec![
                "--no-defaults".into(),
                format!("--datadir={data}"),
                "--auth-root-authentication-method=normal".into(),
                "--skip-test-db".into(),
                "--skip-name-resolve".into(),
            ],
        )
    } else {
        (
            programs.server.clone(),
            vec![
                "--no-defaults".into(),
                "--initialize-insecure".into(),
                format!("--datadir={data}"),
            ],
        )
    };
    give_to_servers(scratch.path())?;
    Launch {
        program,
        arguments,
        root: programs.root.clone(),
        unprivileged: true,
        death: "KILL",
        preload: None,
    }
    .run_to_end()?;
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    copy_folder(scratch.path(), &partial)?;
    Ok(fs::rename(&partial, folder)?)
}
