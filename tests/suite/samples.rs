//! Scenarios on published sample databases: `make test-samples DATA=FOLDER`. The data is other
//! people's and not part of the repository; without the folder there are no such cases.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::case::Case;
use crate::discover;
use crate::init;
use crate::scenario;
use crate::world::repository;

/// The folder of the data, where one is named.
fn data() -> Option<PathBuf> {
    std::env::var_os("OUBLIETTE_SAMPLES").map(PathBuf::from)
}

/// Whether there is one.
pub(crate) fn are_there() -> bool {
    data().is_some()
}

/// One case per folder of `tests/samples` and server, and `oubliette init` and `discover` on each database.
pub(crate) fn cases() -> Result<Vec<Case>> {
    if !are_there() {
        return Ok(Vec::new());
    }
    let mut cases = scenario::in_folder("samples", &repository().join("tests/samples"))?;
    cases.extend(init::sample_cases());
    cases.extend(discover::sample_cases());
    Ok(cases)
}

/// The script that fills a sample's database: the files that its `load.txt` names, without what
/// would lead them into a database of their own. `None` for a scenario with a schema of its own.
pub(crate) fn script(folder: &Path) -> Result<Option<String>> {
    let list = folder.join("load.txt");
    if !list.exists() {
        return Ok(None);
    }
    let data = data().ok_or_else(|| anyhow!("OUBLIETTE_SAMPLES names no folder"))?;
    let mut script = String::new();
    for name in std::fs::read_to_string(&list)?.lines() {
        let path = data.join(name);
        let text = std::fs::read(&path)
            .with_context(|| format!("failed to read the sample {}", path.display()))?;
        for line in String::from_utf8_lossy(&text).lines() {
            if !leads_away(line) {
                // Sakila's views name the database that its script makes.
                script.push_str(&line.replace("sakila.", ""));
                script.push('\n');
            }
        }
    }
    Ok(Some(script))
}

/// Whether a line makes, drops or enters a database, or names an owner who is not there.
fn leads_away(line: &str) -> bool {
    let line = line.trim().to_ascii_uppercase();
    let starts = |words: &[&str]| words.iter().any(|w| line.starts_with(w));
    starts(&[
        "DROP DATABASE",
        "CREATE DATABASE",
        "DROP SCHEMA",
        "CREATE SCHEMA",
        "USE ",
        "\\C ",
    ]) || (line.starts_with("ALTER ") && line.contains(" OWNER TO "))
}
