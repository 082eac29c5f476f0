//! What is kept between runs: where, and under which names. It must not be written by a running server.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Names the way the unstable tree is made; raise it when the packages change.
const UNSTABLE_TREE: &str = "sid";

/// A Go module of nothing but `tool` lines, whose programs are built into the cache.
pub(crate) struct Module {
    /// What its folder in the cache begins with.
    pub(crate) name: &'static str,
    /// Its `go.mod`.
    pub(crate) go_mod: &'static str,
    /// Its `go.sum`.
    pub(crate) go_sum: &'static str,
    /// The programs that it builds.
    pub(crate) programs: &'static [&'static str],
    /// Build tags, with commas between them.
    pub(crate) tags: &'static str,
    /// What their makers' own builds tell the linker: versions that the programs go by.
    pub(crate) linker_flags: fn() -> String,
}

/// The control plane.
pub(crate) const CONTROL_PLANE: Module = Module {
    name: "cluster",
    go_mod: include_str!("../../../tests/cluster/go.mod"),
    go_sum: include_str!("../../../tests/cluster/go.sum"),
    programs: &[
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kubectl",
    ],
    tags: "",
    linker_flags: || {
        let version = kubernetes_version();
        format!("-X k8s.io/component-base/version.gitVersion=v{version}")
    },
};

/// What tests of the chart need. A module of its own: together they would not agree on versions.
pub(crate) const TOOLS: Module = Module {
    name: "tools",
    go_mod: include_str!("../../../tests/tools/go.mod"),
    go_sum: include_str!("../../../tests/tools/go.sum"),
    programs: &["helm", "helm-unittest", "kubeconform", "promtool"],
    // promtool without the service discoveries of every cloud, which no rule needs.
    tags: "remove_all_sd",
    // Without them helm believes in Kubernetes 1.20, and the chart refuses that.
    linker_flags: || {
        let version = kubernetes_version();
        let mut numbers = version.split('.');
        let mut flag = |name| {
            let number = numbers.next().unwrap_or_default();
            format!("-X helm.sh/helm/v3/pkg/chartutil.k8sVersion{name}={number}")
        };
        [flag("Major"), flag("Minor")].join(" ")
    },
};

impl Module {
    /// The folder of its programs, keyed by what they are built from.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let key = digest(&[self.go_mod, self.go_sum, self.tags, &(self.linker_flags)()])?;
        Ok(folder()?.join(format!("{}-{key}", self.name)))
    }

    /// Those of its programs that a folder has not.
    pub(crate) fn absent_from(&self, folder: &Path) -> Vec<&'static str> {
        let absent = |program: &&&str| !folder.join(program).exists();
        self.programs.iter().filter(absent).copied().collect()
    }
}

/// The cache folder: `OUBLIETTE_BED_CACHE`, or a folder in the user's cache folder.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("OUBLIETTE_BED_CACHE").filter(|it| !it.is_empty()) {
        return Ok(std::path::absolute(folder)?);
    }
    let home = env::var_os("HOME").context("neither OUBLIETTE_BED_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/oubliette-bed"))
}

/// A program that tests of the chart need, as setup built it.
pub fn tool(program: &str) -> Result<PathBuf> {
    let folder = TOOLS.folder()?;
    let path = folder.join(program);
    if !path.is_file() {
        bail!("{program} is not in {}: run `make setup`", folder.display());
    }
    Ok(path)
}

/// The tree of Debian's unstable suite.
pub(crate) fn unstable_tree() -> Result<PathBuf> {
    Ok(folder()?.join(UNSTABLE_TREE))
}

/// The version that the control plane's module asks for, without its `v`.
pub(crate) fn kubernetes_version() -> &'static str {
    CONTROL_PLANE
        .go_mod
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("k8s.io/kubernetes v"))
        .and_then(|version| version.split_whitespace().next())
        .unwrap_or_default()
}

/// The folder of freshly initialised data folders.
pub(crate) fn templates() -> Result<PathBuf> {
    let folder = folder()?.join("templates");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A short digest of texts; sha256sum is part of every Debian.
fn digest(texts: &[&str]) -> Result<String> {
    use std::io::Write;
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to run sha256sum")?;
    let mut input = child.stdin.take().context("sha256sum has no input")?;
    for text in texts {
        input.write_all(text.as_bytes())?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    match text.get(..16) {
        Some(digest) if output.status.success() => Ok(digest.to_owned()),
        _ => bail!("sha256sum failed"),
    }
}

/// Copies a folder with owners and modes, by reference where the file system can.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp")
        .args(["-a", "--reflink=auto", "--"])
        .arg(from)
        .arg(to)
        .output()?;
    if !output.status.success() {
        bail!(
            "failed to copy {} to {}: {}",
            from.display(),
            to.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_says_which_kubernetes_is_built() {
        assert!(kubernetes_version().starts_with("1."));
    }
}
