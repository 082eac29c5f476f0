//! Finding out what is missing, and what stands in the way of installing it.

use std::{env, path::Path};

use anyhow::{Result, bail};

use super::{is_debian, is_root, on_path};
use crate::{
    Kind, Wanted,
    cache::{self, CONTROL_PLANE, TOOLS},
    cluster::{assets_folder, wants_existing},
    external,
    kind::Programs,
};

/// What is missing.
#[derive(Debug, Default)]
pub(super) struct Missing {
    /// Packages of this machine's Debian.
    pub(super) packages: Vec<&'static str>,
    /// The tree of the unstable suite.
    pub(super) unstable_tree: bool,
    /// The control plane's programs.
    pub(super) control_plane: bool,
    /// The programs that tests of the chart need.
    pub(super) tools: bool,
}

impl Missing {
    /// Looks at this machine, for servers that nobody else provides.
    pub(super) fn look(wanted: &Wanted) -> Result<Self> {
        let mut missing = Self::default();
        let mut need = |package: &'static str, there: bool| {
            if !there && !missing.packages.contains(&package) {
                missing.packages.push(package);
            }
        };
        let mut chroots = false;
        for &kind in &wanted.servers {
            let ours = external::named(kind).is_none();
            match kind {
                Kind::Postgres15 | Kind::Postgres18 => {
                    need("postgresql-client", on_path("psql"));
                }
                Kind::MariaDb => need("mariadb-client-core", on_path("mariadb")),
                Kind::MySql if ours => {}
                Kind::MySql => need(
                    "mariadb-client-core",
                    on_path("mysql") || on_path("mariadb"),
                ),
            }
            if !ours {
                continue;
            }
            need("util-linux", on_path("setpriv"));
            let there = Programs::find(kind).is_ok();
            match kind {
                Kind::Postgres15 => need("postgresql", there),
                Kind::MariaDb => need("mariadb-server-core", there),
                Kind::Postgres18 | Kind::MySql => {
                    chroots = true;
                    need("debootstrap", there || on_path("debootstrap"));
                    missing.unstable_tree |= !there;
                }
            }
        }
        if wanted.archiver {
            need("percona-toolkit", on_path("pt-archiver"));
        }
        if chroots && !missing.unstable_tree && !is_root() {
            bail!("PostgreSQL 18 and MySQL run in a tree of their own, which needs root (chroot)");
        }
        if wanted.cluster && !wants_existing() {
            let folder = assets_folder()?;
            let absent = CONTROL_PLANE.absent_from(&folder);
            if !absent.is_empty() && env::var_os("KUBEBUILDER_ASSETS").is_some() {
                bail!(
                    "KUBEBUILDER_ASSETS names {}, which has no {}; unset it to have them built",
                    folder.display(),
                    absent.join(", ")
                );
            }
            missing.control_plane = !absent.is_empty();
        }
        missing.tools = wanted.tools && !TOOLS.absent_from(&TOOLS.folder()?).is_empty();
        Ok(missing)
    }

    /// Whether nothing is missing.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            packages,
            unstable_tree,
            control_plane,
            tools,
        } = self;
        packages.is_empty() && !unstable_tree && !control_plane && !tools
    }

    /// What is about to be installed, one line each.
    pub(super) fn announcement(&self, cache: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.packages.is_empty() {
            lines.push(format!(
                "with apt-get: {} (their services stay off)",
                self.packages.join(" ")
            ));
        }
        if self.unstable_tree {
            lines.push(format!(
                "PostgreSQL 18 and MySQL of Debian unstable, in a tree of their own: {} (0.8 GB, 1-2 minutes)",
                cache.join("sid").display()
            ));
        }
        if self.control_plane {
            lines.push(format!(
                "Kubernetes {} control plane, built with Go: {} (0.3 GB, 5 GB while it is built; 4-8 minutes on 2 cores)",
                cache::kubernetes_version(),
                cache.join("cluster-*").display()
            ));
        }
        if self.tools {
            lines.push(format!(
                "{}, built with Go: {} (0.2 GB, 4 GB while they are built; 3-5 minutes on 2 cores)",
                TOOLS.programs.join(", "),
                cache.join("tools-*").display()
            ));
        }
        lines
    }

    /// Why it cannot be installed here.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        if !self.packages.is_empty() {
            let packages = self.packages.join(" ");
            if !is_debian() {
                obstacles.push(format!(
                    "this is not a Debian with apt-get; install what corresponds to: {packages}"
                ));
            } else if !is_root() {
                obstacles.push(format!(
                    "apt-get needs root: run `make setup` as root once, or `apt-get install {packages}`"
                ));
            }
        }
        if self.unstable_tree && !is_root() {
            obstacles.push("debootstrap needs root: run `make setup` as root".to_owned());
        }
        if self.unstable_tree && !is_debian() && !on_path("debootstrap") {
            obstacles.push("debootstrap is missing".to_owned());
        }
        if (self.control_plane || self.tools) && !on_path("go") {
            obstacles.push(
                "go is missing (1.26, https://go.dev/dl), which builds the control plane and the chart's tools; or, for the former, set \
                 KUBEBUILDER_ASSETS or USE_EXISTING_CLUSTER=true"
                    .to_owned(),
            );
        }
        obstacles
    }
}
