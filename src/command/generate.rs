//! `oubliette generate`: the files of the repository that the program writes. They are committed, and
//! a test compares them.

mod values;
mod values_schema;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};

use super::reference;
use crate::resource;
use crate::resource::known_fields;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The root of the repository.
    #[arg(default_value = ".")]
    root: PathBuf,
}

/// Every generated file with its path below the repository's root. `manual`: the program under each of
/// its names.
pub fn files(root: &Path, manual: &[Command]) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).with_context(|| format!("failed to read {path}"))
    };
    let readme = "charts/oubliette/README.md";
    let schema = "charts/oubliette/values.schema.json";
    let mut files = vec![
        (
            PathBuf::from(readme),
            values::readme(&read(readme)?, &read("charts/oubliette/values.yaml")?)
                .with_context(|| format!("failed to write the values in {readme}"))?,
        ),
        (
            PathBuf::from(schema),
            values_schema::with_settings(&read(schema)?, &reference::settings_schema()?)
                .with_context(|| format!("failed to write the settings in {schema}"))?,
        ),
        (
            PathBuf::from("charts/oubliette/templates/known-fields.yaml"),
            known_fields::template()?,
        ),
    ];
    for (path, text) in reference::pages(manual)? {
        files.push((PathBuf::from(path), text));
    }
    for (plural, text) in resource::yaml()? {
        let name = format!("{}_{plural}.yaml", resource::GROUP);
        // Helm reads nothing outside its chart, so the chart has copies.
        for folder in ["crds", "charts/oubliette/files/crds"] {
            files.push((Path::new(folder).join(&name), text.clone()));
        }
    }
    Ok(files)
}

/// Writes them.
pub fn run(request: &Request, manual: &[Command]) -> anyhow::Result<()> {
    for (path, text) in files(&request.root, manual)? {
        let path = request.root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("failed to create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_what_the_program_writes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (path, text) in files(root, &crate::cli::manual()).unwrap() {
            let committed = fs::read_to_string(root.join(&path)).unwrap_or_default();
            assert!(
                committed == text,
                "{} is out of date: run `make generate`",
                path.display()
            );
        }
    }
}
