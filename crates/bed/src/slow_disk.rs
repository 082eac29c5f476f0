//! A disk whose writes take a while: a library that is put before the C library of a server and waits
//! before each fsync. What a cloud's disk takes, no disk of a workstation does.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::scratch::write_file;

const SOURCE: &str = include_str!("slow_disk.c");

/// Compiles it into a folder, with the C compiler of this machine.
pub(crate) fn compile(folder: &Path, wait: Duration) -> Result<PathBuf> {
    let source = folder.join("slow_disk.c");
    let library = folder.join("slow_disk.so");
    write_file(&source, SOURCE.as_bytes(), 0o644)?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror"])
        .arg(format!("-DWAIT_NANOSECONDS={}L", wait.as_nanos()))
        .arg("-o")
        .args([&library, &source])
        .output()
        .context("failed to run cc, the C compiler that the slow disk needs")?;
    if !output.status.success() {
        bail!(
            "cc failed at the slow disk: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(library)
}
