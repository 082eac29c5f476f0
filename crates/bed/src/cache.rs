//! What is kept between runs: where, and under which names. It must not be written by a running server.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Names the way the unstable tree is made; raise it when the packages change.
const UNSTABLE_TREE: &str = "sid";

/// The module of nothing but `tool` lines, which becomes the control plane.
const GO_MOD: &str = include_str!("../../../tests/cluster/go.mod");
const GO_SUM: &str = include_str!("../../../tests/cluster/go.sum");

/// The cache folder: `OUBLIETTE_BED_CACHE`, or a folder in the user's cache folder.
pub fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("OUBLIETTE_BED_CACHE").filter(|it| !it.is_empty()) {
        return Ok(std::path::absolute(folder)?);
    }
    let home = env::var_os("HOME").context("neither OUBLIETTE_BED_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/oubliette-bed"))
}

/// The tree of Debian's unstable suite.
pub(crate) fn unstable_tree() -> Result<PathBuf> {
    Ok(folder()?.join(UNSTABLE_TREE))
}

/// The folder of the control plane's programs, keyed by what they are built from.
pub(crate) fn control_plane() -> Result<PathBuf> {
    Ok(folder()?.join(format!("cluster-{}", digest(&[GO_MOD, GO_SUM])?)))
}

/// The files of the control plane's Go module.
pub(crate) fn control_plane_module() -> [(&'static str, &'static str); 2] {
    [("go.mod", GO_MOD), ("go.sum", GO_SUM)]
}

/// The version that the control plane's module asks for, without its `v`.
pub(crate) fn kubernetes_version() -> &'static str {
    GO_MOD
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
        assert!(kubernetes_version().starts_with("1."), "{GO_MOD}");
    }
}
