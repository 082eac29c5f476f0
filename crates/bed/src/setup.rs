//! `bed setup`: installs what is missing on this machine, and nothing when nothing is.
//!
//! It changes the machine only through Debian's packages, and the cache folder. No server
//! is started by it, nor left to be started by the system.

mod missing;
mod step;

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail};
use missing::Missing;
use step::{Step, ending_with_us};

use crate::{
    Wanted,
    cache::{self, CONTROL_PLANE, Module, TOOLS},
    scratch::is_root,
};

/// Packages of Debian's unstable suite: the newest PostgreSQL and MySQL, without the latter's service.
const UNSTABLE_PACKAGES: &str = "mysql-server-core,mysql-client-core,postgresql-18";
const UNSTABLE_SUITE: &str = "sid";
const UNSTABLE_MIRROR: &str = "http://deb.debian.org/debian";

/// Installs what the wanted servers need and this machine has not, with its progress on standard error.
pub fn setup(wanted: &Wanted) -> Result<()> {
    if Missing::look(wanted)?.is_empty() {
        eprintln!("bed: all servers are installed");
        return Ok(());
    }
    let cache = cache::folder()?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    let turn = File::create(cache.join("setup.lock"))?;
    if turn.try_lock().is_err() {
        eprintln!("bed: waiting for another setup");
        turn.lock()?;
    }
    // Another one may have done it meanwhile.
    let missing = Missing::look(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("bed: this is going to be installed:");
    for line in missing.announcement(&cache) {
        eprintln!("bed:   {line}");
    }
    let obstacles = missing.obstacles();
    if !obstacles.is_empty() {
        bail!(
            "cannot install it here:\n  {}\nServers of your own can be named instead: see crates/bed/README.md",
            obstacles.join("\n  ")
        );
    }
    install(&missing, &cache).with_context(|| {
        "setup is not complete (it needs the network; call it again, it goes on where it stopped)"
    })?;
    let left = Missing::look(wanted)?;
    if !left.is_empty() {
        bail!(
            "still missing after setup: {}",
            left.announcement(&cache).join("; ")
        );
    }
    eprintln!("bed: all servers are installed");
    Ok(())
}

fn install(missing: &Missing, cache: &Path) -> Result<()> {
    if !missing.packages.is_empty() {
        install_packages(&missing.packages, cache)?;
    }
    // The tree is mostly download and unpacking, the rest is compiling: side by side. All is begun by this
    // thread, which ends last: a step ends with the thread that began it.
    let tree = missing
        .unstable_tree
        .then(|| begin_unstable_tree(cache))
        .transpose()?;
    thread::scope(|scope| {
        let tree = tree.map(|step| scope.spawn(|| finish_unstable_tree(cache, step)));
        if missing.control_plane {
            // The package of etcd's program is called `server`.
            let names = [("server", "etcd")];
            build("Kubernetes control plane", &CONTROL_PLANE, &names, cache)?;
        }
        if missing.tools {
            build("the chart's tools", &TOOLS, &[], cache)?;
        }
        match tree.map(thread::ScopedJoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => bail!("making the tree panicked"),
            None => Ok(()),
        }
    })
}

/// Installs packages of this machine's own Debian.
fn install_packages(packages: &[&str], cache: &Path) -> Result<()> {
    let _quiet = NoServices::new()?;
    let apt = |what: &str, arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8");
        // It is not ended with us: half a package would be left.
        Step::begin(what, command, cache)?.finish()
    };
    apt("Debian's package lists", &["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt("packages", &arguments)?;
    if packages.contains(&"postgresql") {
        disable("postgresql.service");
    }
    Ok(())
}

/// While it lives, packages do not start the services that they bring.
struct NoServices {
    ours: Option<PathBuf>,
}

impl NoServices {
    fn new() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self { ours: None });
        }
        crate::scratch::write_file(policy, b"#!/bin/sh\nexit 101\n", 0o755)?;
        Ok(Self {
            ours: Some(policy.to_owned()),
        })
    }
}

/// Keeps a service that came with a package from starting with the machine.
fn disable(service: &str) {
    // A machine without systemd has nothing to disable.
    let _ = Command::new("systemctl")
        .args(["disable", "--quiet", service])
        .output();
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours {
            let _ = fs::remove_file(policy);
        }
    }
}

fn partial_tree() -> Result<PathBuf> {
    Ok(cache::unstable_tree()?.with_extension("partial"))
}

fn begin_unstable_tree(cache: &Path) -> Result<Step> {
    let partial = partial_tree()?;
    remove_folder(&partial)?;
    let mut command = Command::new("debootstrap");
    command
        .arg("--variant=minbase")
        .arg(format!("--include={UNSTABLE_PACKAGES}"))
        .arg(UNSTABLE_SUITE)
        .arg(&partial)
        .arg(UNSTABLE_MIRROR)
        .env("DEBIAN_FRONTEND", "noninteractive");
    Step::begin("PostgreSQL 18 and MySQL", ending_with_us(&command), cache)
}

fn finish_unstable_tree(cache: &Path, step: Step) -> Result<()> {
    step.finish()?;
    let partial = partial_tree()?;
    for left_over in [
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
    ] {
        remove_folder(&partial.join(left_over))?;
    }
    fs::rename(&partial, cache::unstable_tree()?)
        .with_context(|| format!("failed to put the tree in place in {}", cache.display()))
}

/// Builds programs from their published modules, with Go caches of its own that go afterwards.
fn build(what: &str, module: &Module, new_names: &[(&str, &str)], cache: &Path) -> Result<()> {
    let folder = module.folder()?;
    let work = cache.join(format!("{}.partial", module.name));
    remove_folder(&work)?;
    let programs = work.join("bin");
    fs::create_dir_all(&programs)?;
    fs::write(work.join("go.mod"), module.go_mod)?;
    fs::write(work.join("go.sum"), module.go_sum)?;
    let mut command = Command::new("go");
    command
        .current_dir(&work)
        .args(["build", "-v", "-trimpath", "-tags", module.tags, "-ldflags"])
        .arg(format!("-s -w {}", (module.linker_flags)()))
        .arg("-o")
        .arg(&programs)
        .arg("tool")
        .env("GOFLAGS", "-modcacherw -mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", work.join("build-cache"))
        .env("GOMODCACHE", work.join("module-cache"));
    Step::begin(what, ending_with_us(&command), cache)?.finish()?;
    for (built, wanted) in new_names {
        fs::rename(programs.join(built), programs.join(wanted))?;
    }
    remove_folder(&folder)?;
    fs::rename(&programs, &folder)?;
    remove_folder(&work)
}

/// Removes a folder, unless something is mounted below it, which would be emptied too.
fn remove_folder(path: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("failed to list mounts")?;
    if let Some(mount) = mount_below(&mounts, path) {
        bail!("{mount} is mounted; `umount {mount}`, then try again");
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to remove {}", path.display())),
    }
}

/// The first mount at or below a folder, in the lines of mountinfo.
fn mount_below<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .find(|mount| Path::new(mount).starts_with(folder))
}

/// Whether a program is on the search path, or where only administrators look.
fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = if path.is_empty() {
        OsStr::new("/usr/bin").to_owned()
    } else {
        path
    };
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).is_file())
}

/// Whether this machine takes Debian's packages.
fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let of_debian = release.lines().any(|line| {
        line.split_once('=').is_some_and(|(name, value)| {
            let mut values = value.trim_matches('"').split(' ');
            matches!(name, "ID" | "ID_LIKE") && values.any(|it| it == "debian")
        })
    });
    of_debian && on_path("apt-get")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_mount_below_it_is_recognised() {
        let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      42 27 0:39 / /cache/sid.partial/proc rw,relatime - proc proc rw\n";
        let below = |folder: &str| mount_below(mounts, Path::new(folder));
        assert_eq!(below("/cache/sid.partial"), Some("/cache/sid.partial/proc"));
        assert_eq!(below("/cache"), Some("/cache/sid.partial/proc"));
        assert_eq!(below("/cache/sid"), None);
        assert_eq!(below("/tmp"), None);
    }
}
