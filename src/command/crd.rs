//! `oubliette crd`: the custom resource definitions.

use std::io::Write;

use anyhow::Context;

use crate::resource;

/// Prints all of them as one YAML stream.
pub fn run(out: &mut impl Write) -> anyhow::Result<()> {
    for (_, text) in resource::yaml()? {
        write!(out, "---\n{text}").context("failed to write the definitions")?;
    }
    Ok(())
}
