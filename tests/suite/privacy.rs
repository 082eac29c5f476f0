//! Personal values stay in their databases (P4): after everything else has run and failed, the
//! output of the processes, the API's objects, the metrics and the ledgers are searched for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::case::{Case, Needs, Server};
use crate::expect::Grants;
use crate::scenario::{PSEUDONYM_KEY, Stage};
use crate::world::World;

/// What the scenarios and cases of this suite put into rows, and no manifest, table or server says.
const PLANTED: [&str; 10] = [
    "example.org",
    "Ada Bennett",
    "Ibrahim Cole",
    "020 7946",
    "Planted",
    "planted-1",
    "planted-2",
    "planted-age",
    "1970-05-17",
    PSEUDONYM_KEY,
];

/// The case that plants values where they hurt, run with the others.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each_with_operator("privacy::values_are_planted", &Server::ALL, plant)
}

/// The case that searches for them, run last.
pub(crate) fn last_cases() -> Vec<Case> {
    vec![Case::new(
        "privacy::no_planted_value_is_found",
        Needs::cluster(),
        search,
    )]
}

/// Keys that are e-mail addresses, and values that make statements fail.
fn plant(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "values_are_planted")?;
    // `age` is text, and one of its values is no number: the comparison fails in the middle.
    // The unique index makes the pseudonyms of equal names collide only if they were cut.
    world.block_on(database.admin.execute(&database.fill(
        "CREATE TABLE people (
           email varchar(80) PRIMARY KEY, left_at ${instant} NULL, full_name varchar(80), age varchar(20)
         );
         CREATE TABLE letters (
           id integer PRIMARY KEY, person varchar(80) NOT NULL, body varchar(80),
           FOREIGN KEY (person) REFERENCES people (email)
         );
         CREATE INDEX letters_person ON letters (person);
         INSERT INTO people VALUES
           ('planted-1@example.org', current_timestamp - INTERVAL '2' YEAR, 'Planted One', '41'),
           ('planted-2@example.org', current_timestamp - INTERVAL '2' YEAR, 'Planted Two', 'planted-age'),
           ('planted-3@example.org', current_timestamp, 'Planted Three', '43');
         INSERT INTO letters VALUES (1, 'planted-1@example.org', 'Planted letter');",
    )))?;
    let manifests = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: people}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: people
    basis: "The promise that is tried"
    table: ${schema}.people
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
    related:
    - table: ${schema}.letters
      of: ${schema}.people
      match: [{column: person, equals: email}]
      action: {type: Delete}
"#;
    let stage = Stage::set(
        world,
        "values_are_planted",
        database,
        manifests,
        Grants::Printed,
    )?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    // A reference that appears after the plan: the delete fails, and the server's own words (which
    // a driver repeats) hold the key of the row.
    world.block_on(stage.database.admin.execute(&stage.database.fill(
        "CREATE TABLE visits (
           id integer PRIMARY KEY, person varchar(80), FOREIGN KEY (person) REFERENCES people (email)
         );
         CREATE INDEX visits_person ON visits (person);
         INSERT INTO visits VALUES (1, 'planted-2@example.org');",
    )))?;
    let token = stage.run_now()?;
    stage.namespace.wait_until(
        "RetentionPolicy",
        &stage.policy,
        "has refused or failed the run",
        crate::wait::PATIENCE,
        |object| {
            let reason = crate::cluster::ready(object)
                .and_then(|c| c["reason"].as_str())
                .unwrap_or_default();
            if matches!(reason, "ReferenceUndecided" | "RunFailed" | "Drifted") {
                Ok(())
            } else {
                Err(format!("{token}: the reason is {reason}"))
            }
        },
    )?;
    world.block_on(stage.database.admin.execute("DROP TABLE visits"))?;
    stage.run_to_end()?;
    let left = world.block_on(stage.database.admin.number("SELECT count(*) FROM people"))?;
    ensure!(left == 1, "{left} people are left");
    stage.keep_ledger()?;
    stage.namespace.finish()
}

fn search(world: &World) -> Result<()> {
    let mut files = files_of(&world.evidence)?;
    files.extend(world.control_plane()?.cluster.log_paths());
    let mut found = Vec::new();
    let mut bytes = 0;
    for file in &files {
        let text =
            std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        bytes += text.len();
        let text = String::from_utf8_lossy(&text);
        for (number, line) in text.lines().enumerate() {
            for value in PLANTED {
                if line.contains(value) {
                    found.push(format!("{}:{}: {value}", file.display(), number + 1));
                }
            }
        }
    }
    eprintln!(
        "privacy: searched {} files, {bytes} bytes, for {} values",
        files.len(),
        PLANTED.len()
    );
    ensure!(bytes > 0, "there is nothing to search");
    if !found.is_empty() {
        found.truncate(30);
        bail!("planted values were found:\n{}", found.join("\n"));
    }
    Ok(())
}

/// Every file of a folder.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
