//! `oubliette bench-page`: the page of the benchmark, from the results that `make bench` left. Both are committed, and a
//! test compares them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use oubliette_core::bench::page::{Notes, page};
use oubliette_core::bench::{Sheet, gate, joined};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The root of the repository.
    #[arg(default_value = ".")]
    root: PathBuf,
    /// The folder of the results.
    #[arg(long, default_value = "tests/bench/results")]
    results: PathBuf,
    /// The page, from the root.
    #[arg(long, default_value = "docs/benchmarks.md")]
    page: PathBuf,
}

/// What people write about goals.
const NOTES: &str = "tests/bench/notes.yaml";

/// Writes it.
pub fn run(request: &Request) -> anyhow::Result<()> {
    let notes = notes(&request.root)?;
    let text = text(results(&request.results)?, &notes)?;
    let path = request.root.join(&request.page);
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
}

fn text(results: Vec<Sheet>, notes: &Notes) -> anyhow::Result<String> {
    let mut sheet = joined(results)?;
    gate::apply(&mut sheet);
    Ok(page(&sheet, notes)?)
}

fn notes(root: &Path) -> anyhow::Result<Notes> {
    let path = root.join(NOTES);
    let text =
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

/// Every result of a folder, in the order of their names.
fn results(folder: &Path) -> anyhow::Result<Vec<Sheet>> {
    let failed = || {
        format!(
            "failed to read {}: `make bench` writes it",
            folder.display()
        )
    };
    let entries = fs::read_dir(folder).with_context(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path)?;
        anyhow::Ok(serde_json::from_str(&text)?)
    };
    paths
        .iter()
        .map(|path| read(path).with_context(|| format!("{} is no result", path.display())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_of_the_repository_is_about_a_goal() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sheet = r#"{"machine":{"processor":"p","cores":2,"memory":0,"system":"s","program":"1"},
            "quick":false,"begun":"2026-11-26T06:00:00Z","cells":[]}"#;
        let sheet: Sheet = serde_json::from_str(sheet).unwrap();
        let written = text(vec![sheet], &notes(root).unwrap()).unwrap();
        assert!(written.contains("# Benchmarks"), "{written}");
    }

    #[test]
    fn the_page_is_that_of_the_results() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let results = results(&root.join("tests/bench/results")).unwrap();
        let page = fs::read_to_string(root.join("docs/benchmarks.md")).unwrap();
        assert!(
            page == text(results, &notes(root).unwrap()).unwrap(),
            "`cargo run -- bench-page` writes docs/benchmarks.md"
        );
    }

    #[test]
    fn what_is_no_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
        assert!(results(folder.path()).unwrap().is_empty());
        fs::write(folder.path().join("mysql.json"), "{\"cells\":").unwrap();
        let refused = format!("{:#}", results(folder.path()).unwrap_err());
        assert!(refused.contains("mysql.json is no result"), "{refused}");
    }
}
