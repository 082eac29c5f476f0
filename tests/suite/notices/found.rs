//! Looks for a person who was erased: in dumps of every database, in every object of the cluster, in the
//! operator's log and in its metrics.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::Value;

use super::asking::Asking;

/// What is looked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// Of the person who was erased: nowhere, neither as it is nor in base64.
    gone: Vec<String>,
    /// What the plan said is kept of them: in this table only.
    #[serde(default)]
    kept: Vec<Kept>,
    /// Of others: in a dump at least, or the search sees nothing.
    others: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    value: String,
    database: String,
    table: String,
}

/// A text that is searched.
struct Told {
    whence: String,
    text: String,
}

impl Search {
    pub(super) fn search(&self, asked: &Asking<'_>) -> Result<()> {
        let mut all = dumps(asked)?;
        for other in &self.others {
            ensure!(
                all.iter().any(|dump| dump.text.contains(other)),
                "{other} is in no dump, so the search sees nothing"
            );
        }
        let objects = objects(asked)?;
        let log = std::fs::read_to_string(&asked.operator.settings.log)?;
        for (whence, text, canary) in [
            (
                "the objects",
                objects,
                asked.counter.namespace.name.as_str(),
            ),
            ("the log", log, "all objects are known"),
            (
                "the metrics",
                asked.operator.metrics()?,
                "oubliette_batches_total",
            ),
        ] {
            ensure!(text.contains(canary), "{whence} lack {canary}: {text}");
            let whence = whence.to_owned();
            all.push(Told { whence, text });
        }
        self.look(&all)
    }

    fn look(&self, all: &[Told]) -> Result<()> {
        let mut found = String::new();
        let spelt = |value: &String| -> Result<[String; 2]> {
            let encoded = serde_json::to_value(ByteString(value.clone().into_bytes()))?;
            let encoded = encoded.as_str().context("not text")?;
            Ok([value.clone(), encoded.trim_end_matches('=').to_owned()])
        };
        let mut seen = vec![false; self.kept.len()];
        for value in &self.gone {
            let spellings = spelt(value)?;
            for told in all {
                for line in told.text.lines() {
                    if spellings
                        .iter()
                        .any(|spelling| line.contains(spelling.as_str()))
                    {
                        writeln!(found, "{value} in {}: {line:.300}", told.whence)?;
                    }
                }
            }
        }
        for (kept, seen) in self.kept.iter().zip(&mut seen) {
            let spellings = spelt(&kept.value)?;
            for told in all {
                for line in told.text.lines() {
                    if !spellings
                        .iter()
                        .any(|spelling| line.contains(spelling.as_str()))
                    {
                        continue;
                    }
                    let into = [" ", ".", " `"].map(|before| format!("{before}{}", kept.table));
                    let there = told.whence == kept.database
                        && line.starts_with("INSERT INTO")
                        && into.iter().any(|into| line.contains(into.as_str()));
                    if there {
                        *seen = true;
                    } else {
                        writeln!(found, "{} in {}: {line:.300}", kept.value, told.whence)?;
                    }
                }
            }
        }
        ensure!(found.is_empty(), "what was erased is found:\n{found}");
        ensure!(
            seen.iter().all(|seen| *seen),
            "of {:?} not all is kept: {seen:?}",
            self.kept
        );
        Ok(())
    }
}

/// A dump of each database, its ledger in it.
fn dumps(asked: &Asking<'_>) -> Result<Vec<Told>> {
    let mut all = Vec::new();
    for (name, database) in &asked.databases {
        let server = asked.counter.world.bed_server(database.server)?;
        let text = server.dump(&database.name)?;
        let ledger = if database.server.is_postgres() {
            "INSERT INTO oubliette.run"
        } else {
            "INSERT INTO `oubliette_run`"
        };
        ensure!(text.contains(ledger), "the dump of {name} has no ledger");
        all.push(Told {
            whence: name.clone(),
            text,
        });
    }
    Ok(all)
}

/// Every object of the cluster, with its managed fields, but for those of other cases.
fn objects(asked: &Asking<'_>) -> Result<String> {
    let cluster = &asked.counter.world.control_plane()?.cluster;
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"], "")?;
    let kinds: Vec<&str> = kinds.lines().collect();
    ensure!(kinds.contains(&"secrets"), "{kinds:?}");
    let get = [
        "get",
        &kinds.join(","),
        "-A",
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let list: Value = serde_json::from_str(&cluster.kubectl(&get, "")?)?;
    let own = &asked.counter.namespace.name;
    let mut text = String::new();
    for object in list["items"].as_array().context("no objects")? {
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let of = namespace.or(name).unwrap_or_default();
        // Namespaces of cases are called by t and a number.
        let other = of
            .strip_prefix('t')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && of != own);
        if !other {
            writeln!(text, "{object}")?;
        }
    }
    if !text.contains("managedFields") {
        bail!("objects are shown without their managed fields");
    }
    Ok(text)
}
