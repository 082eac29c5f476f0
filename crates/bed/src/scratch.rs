//! Folders of a running bed: where they are, who owns them, and how those of a dead bed go.
//!
//! Each bed process holds a lock in its own folder below a common parent. A lock falls with its
//! process, however that ended, so the next bed recognises what is left of dead ones and removes it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

/// The user that servers run as when the bed is root: `nobody` (PostgreSQL refuses to run as root).
pub(crate) const NOBODY: u32 = 65534;

/// A folder that goes when this value is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

/// A bed's folder below one parent, with the lock that says the bed is alive.
struct Home {
    parent: PathBuf,
    folder: PathBuf,
    made: usize,
    _alive: File,
}

static HOMES: Mutex<Vec<Home>> = Mutex::new(Vec::new());

impl Scratch {
    /// Makes a folder for one server on this machine.
    pub(crate) fn new(what: &str) -> Result<Self> {
        Self::below(&std::env::temp_dir(), what)
    }

    /// Makes a folder for one server below another folder than the usual one (a chroot's).
    pub(crate) fn below(base: &Path, what: &str) -> Result<Self> {
        let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = base.join(format!(
            "oubliette-bed-{}",
            rustix::process::getuid().as_raw()
        ));
        let at = if let Some(at) = homes.iter().position(|home| home.parent == parent) {
            at
        } else {
            homes.push(Home::new(&parent)?);
            homes.len() - 1
        };
        let home = &mut homes[at];
        home.made += 1;
        let folder = home.folder.join(format!("{what}-{}", home.made));
        make_folder(&folder)?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next bed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Home {
    fn new(parent: &Path) -> Result<Self> {
        make_folder(parent)?;
        let owner = fs::symlink_metadata(parent)?.uid();
        ensure!(
            owner == rustix::process::getuid().as_raw(),
            "{} belongs to user {owner}; remove it, or set TMPDIR",
            parent.display()
        );
        // Making and sweeping take turns: a folder without its lock yet must not look dead.
        let turn = File::create(parent.join("turn"))?;
        turn.lock()?;
        sweep(parent)?;
        let folder = parent.join(format!("{}-{}", std::process::id(), random_hex(4)?));
        make_folder(&folder)?;
        let alive = File::create(folder.join("alive"))?;
        alive.lock()?;
        Ok(Self {
            parent: parent.to_owned(),
            folder,
            made: 0,
            _alive: alive,
        })
    }
}

/// Removes the folders of beds that are no longer alive.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let dead = match File::open(entry.path().join("alive")) {
            Ok(file) => match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            },
            Err(_) => true,
        };
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Makes a folder that others may enter; it may exist already.
fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .with_context(|| format!("failed to make {}", path.display()))
}

/// Writes a file with the given permissions.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .with_context(failed)?;
    file.write_all(content).with_context(failed)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .with_context(failed)
}

/// Gives a folder and all in it to the servers' user, when the bed is root.
pub(crate) fn give_to_servers(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    chown(path, Some(NOBODY), Some(NOBODY))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_servers(&entry?.path())?;
        }
    }
    Ok(())
}

/// Whether the bed runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Random bytes of the kernel, in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    let digits = buffer.iter().map(|byte| format!("{byte:02x}"));
    Ok(digits.collect::<Vec<_>>().concat())
}
