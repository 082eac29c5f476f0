//! Personal values stay in their databases (P4): after everything else has run and failed, the
//! output of the processes, the API's objects, the metrics and the ledgers are searched for them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::case::{Case, Needs, Server};
use crate::expect::Grants;
use crate::legal_hold;
use crate::rig::series;
use crate::scenario::{PSEUDONYM_KEY, Stage, TARGET};
use crate::wait::{PATIENCE, wait_for};
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
    "planted-999",
    "1970-05-17",
    PSEUDONYM_KEY,
];

/// The case that plants, by whose name its namespaces are called.
const PLANTS: &str = "values_are_planted";
/// What must be found, so that nothing found means something: in the output of the operator, the API's
/// objects, the ledgers and the metrics.
const CANARIES: [(&str, &str); 4] = [
    (OPERATOR_LOG, "SQLSTATE 23"),
    ("objects-", "values-are-planted"),
    ("ledger-", "values-are-planted"),
    // A policy's series go with it.
    ("metrics-suite", "oubliette_batches_total"),
];
const OPERATOR_LOG: &str = "operator-suite.log";

/// The case that plants values where they hurt, run with the others.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Case::on_each_with_operator("privacy::values_are_planted", &Server::ALL, plant);
    cases.extend(Case::on_each_with_operator(
        "privacy::values_are_planted_in_seals_groups_and_duties",
        &Server::ALL,
        plant_promises,
    ));
    cases
}

/// The case that searches for them, run last.
pub(crate) fn last_cases() -> Vec<Case> {
    vec![Case::new(
        "privacy::no_planted_value_is_found",
        Needs::cluster(),
        search,
    )]
}

/// Keys that are e-mail addresses, and a statement that fails on one of them in the middle of a run.
fn plant(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, PLANTS)?;
    world.block_on(database.admin.execute(&database.fill(&format!(
        "CREATE TABLE people (
           email varchar(80) PRIMARY KEY, left_at ${{instant}} NULL, full_name varchar(80)
         );
         CREATE TABLE letters (
           id integer PRIMARY KEY, person varchar(80) NOT NULL, body varchar(80),
           FOREIGN KEY (person) REFERENCES people (email)
         );
         CREATE INDEX letters_person ON letters (person);
         INSERT INTO people SELECT concat('planted-', n, '@example.org'),
           current_timestamp - INTERVAL '2' YEAR, concat('Planted ', n) FROM {};
         INSERT INTO people VALUES ('planted-x@example.org', current_timestamp, 'Planted Three');
         INSERT INTO letters VALUES (1, 'planted-1@example.org', 'Planted letter');",
        series(server, 1_000)
    ))))?;
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
    let stage = Stage::set(world, PLANTS, database, manifests, Grants::Printed)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "Scheduled")?;
    // Holds by planted values, of which one does not fit its column.
    legal_hold::place_all(&stage.namespace, &stage.database.fill(HOLDS))?;
    for (hold, reason) in [("matter", "Held"), ("mistaken", "HoldUnfit")] {
        stage.namespace.wait_reason("LegalHold", hold, reason)?;
    }
    // A reference that appears in the middle of the run: the delete fails, and the server's own words
    // (which a driver repeats) hold the key of the row.
    pace(&stage, 100)?;
    let rows = || world.block_on(stage.database.admin.number("SELECT count(*) FROM people"));
    stage.run_now()?;
    wait_for("the first people are gone", PATIENCE, || {
        let rows = rows()?;
        Ok(if rows < 1_001 {
            Ok(())
        } else {
            Err(rows.to_string())
        })
    })?;
    world.block_on(stage.database.admin.execute(&stage.database.fill(
        "CREATE TABLE visits (
           id integer PRIMARY KEY, person varchar(80), FOREIGN KEY (person) REFERENCES people (email)
         );
         CREATE INDEX visits_person ON visits (person);
         INSERT INTO visits VALUES (1, 'planted-999@example.org');",
    )))?;
    let log = world.evidence.join(OPERATOR_LOG);
    let refusal = format!(
        "{}_",
        if server.is_postgres() {
            "visits"
        } else {
            "visits_ibfk"
        }
    );
    wait_for("the server has refused a row", PATIENCE, || {
        let log = std::fs::read_to_string(&log)?;
        let mut lines = log.lines();
        let told = lines.any(|line| line.contains("SQLSTATE 23") && line.contains(&refusal));
        Ok(if told {
            Ok(())
        } else {
            Err("no such line".to_owned())
        })
    })?;
    world.block_on(stage.database.admin.execute("DROP TABLE visits"))?;
    stage.run_to_end()?;
    let left = rows()?;
    ensure!(left == 3, "{left} people are left");
    // The ledger has the values until the release.
    let release = legal_hold::release(&stage.namespace)?;
    stage.namespace.patch("LegalHold", "matter", &release)?;
    stage
        .namespace
        .wait_reason("LegalHold", "matter", "HoldReleased")?;
    stage.run_to_end()?;
    let left = rows()?;
    ensure!(left == 1, "{left} people are left");
    stage.keep_ledger()?;
    stage.namespace.finish()
}

/// A sealed table that refuses a key, which the server then repeats; groups that are too small by names; and
/// a row that a duty keeps.
fn plant_promises(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "planted_promises")?;
    world.block_on(database.admin.execute(&database.fill(
        "CREATE TABLE members (
           email varchar(80) PRIMARY KEY, left_at ${instant} NULL, owed date NULL
         );
         CREATE SCHEMA ${sealed};
         CREATE TABLE ${sealed}.members AS SELECT * FROM members WHERE 1 = 0;
         ALTER TABLE ${sealed}.members ADD COLUMN sealed_at ${sealed_at} NOT NULL,
           ADD COLUMN sealed_by ${sealed_by} NOT NULL, ADD PRIMARY KEY (email);
         INSERT INTO members VALUES
           ('planted-1@example.org', current_timestamp - INTERVAL '2' YEAR, '1970-05-17'),
           ('planted-2@example.org', current_timestamp - INTERVAL '2' YEAR, NULL);
         INSERT INTO ${sealed}.members VALUES
           ('planted-1@example.org', current_timestamp, '1970-05-17', current_timestamp, 'earlier');
         CREATE TABLE answers (
           id integer PRIMARY KEY, given_at ${instant} NULL, full_name varchar(80), note varchar(80)
         );
         INSERT INTO answers VALUES
           (1, current_timestamp - INTERVAL '2' YEAR, 'Ada Bennett', 'Planted note'),
           (2, current_timestamp - INTERVAL '2' YEAR, 'Ibrahim Cole', 'Planted note');",
    )))?;
    let stage = Stage::set(
        world,
        "planted_promises",
        database,
        PROMISES,
        Grants::Printed,
    )?;
    let map = stage.database.fill(MAP);
    stage.namespace.apply(&map)?;
    stage.namespace.wait_reason("DataMap", "crm", "Mapped")?;
    let token = stage.run_now()?;
    let policy = stage.wait_run_ended(&token, PATIENCE)?;
    let status = &policy["status"];
    let run = &status["lastRun"];
    ensure!(run["rules"][0]["failed"] == "SealedAlready", "{run}");
    ensure!(
        status["plan"]["rules"][0]["kept"]["duties"][0]["openEnded"] == 1,
        "{status}"
    );
    ensure!(
        status["plan"]["rules"][1]["smallGroups"]["left"] == 2,
        "{status}"
    );
    stage.apply(&stage.objects(&PROMISES.replace("below: Leave", "below: Refuse"))?)?;
    stage
        .namespace
        .wait_reason("RetentionPolicy", &stage.policy, "SmallGroups")?;
    let rows = world.block_on(
        stage
            .database
            .admin
            .number("SELECT count(*) FROM answers WHERE note IS NOT NULL"),
    )?;
    ensure!(rows == 2, "{rows} answers have their note");
    stage.keep_ledger()?;
    stage.namespace.finish()
}

const PROMISES: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: members}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: members
    basis: "The promise that is tried"
    table: ${schema}.members
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Seal, seal: {expireAfter: P1Y}}
  - name: answers
    basis: "The promise that is tried"
    table: ${schema}.answers
    expireAfter: P1Y
    since: {column: given_at}
    action:
      type: Anonymise
      columns: [{column: note, strategy: Nullify}]
      kAnonymity: {quasiIdentifiers: [full_name], k: 2, below: Leave}
"#;

const MAP: &str = r"
apiVersion: oubliette.dev/v1alpha1
kind: DataMap
metadata: {name: crm}
spec:
  databaseRef: {name: target}
  tables:
  - name: members
    table: ${schema}.members
    mustKeep:
    - until: {latestOf: [{column: owed, plus: P1Y}]}
      against: [Expiry]
      law: an act
";

const HOLDS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: matter}
stringData: {emails: "planted-1@example.org\nplanted-2@example.org\n"}
---
apiVersion: oubliette.dev/v1alpha1
kind: LegalHold
metadata: {name: matter}
spec:
  type: Rows
  rows:
    databaseRef: {name: target}
    table: ${schema}.people
    where: [{column: email, operator: In, valuesFrom: {secretRef: {name: matter, key: emails}}}]
  reason: CASE-1
  reviewAt: "2040-01-01T00:00:00Z"
---
apiVersion: oubliette.dev/v1alpha1
kind: LegalHold
metadata: {name: mistaken}
spec:
  type: Rows
  rows:
    databaseRef: {name: target}
    table: ${schema}.letters
    where: [{column: id, operator: In, valuesFrom: {secretRef: {name: matter, key: emails}}}]
  reason: CASE-1
  reviewAt: "2040-01-01T00:00:00Z"
"#;

fn pace(stage: &Stage<'_>, rows: u32) -> Result<()> {
    let patch = json!({"spec": {"pacing": {"maxRowsPerSecond": rows}}});
    stage.namespace.patch("TargetDatabase", TARGET, &patch)
}

fn search(world: &World) -> Result<()> {
    let mut files = files_of(&world.evidence)?;
    files.extend(world.control_plane()?.cluster.log_paths());
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut told = [false; CANARIES.len()];
    for file in &files {
        let text =
            std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        bytes += text.len();
        let text = String::from_utf8_lossy(&text);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        for (told, (kind, canary)) in told.iter_mut().zip(CANARIES) {
            *told |= name.starts_with(kind) && text.contains(canary);
        }
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
    for (told, (kind, canary)) in told.iter().zip(CANARIES) {
        ensure!(
            told,
            "{canary} is in nothing that begins with {kind}: the search sees nothing there (it needs \
             privacy::values_are_planted in the same run)"
        );
    }
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
