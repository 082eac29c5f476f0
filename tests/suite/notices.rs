//! `examples/notices/*`: what five organisations promised. Each is a case on every server, with rows
//! dated from now and the manifests applied; and a case with the boundaries of calendars, for which the
//! library is told what now is. What persons may ask of them is a case with an operator of its own.

mod asked;
mod asking;
mod found;
mod recipient;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use self::asked::Asked;
use crate::case::{Case, Needs, Server};
use crate::cluster::documents;
use crate::expect::{Expect, Promise};
use crate::rig::Rig;
use crate::scenario;
use crate::world::{World, repository};

/// The cases of this file that have passed, by name: what `docs/promises.md` is made from.
static PASSED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// What a period's boundaries must have been tried at, as `now` begins or ends: the last of February,
/// without and with a leap day, a 31st, and the nights in which the clocks go back and forward.
const OCCASIONS: [(&str, &[&str]); 5] = [
    ("28 February", &["-02-28T"]),
    ("29 February", &["-02-29T"]),
    ("a 31st", &["-31T"]),
    ("the end of summer time", &["2025-10-25T23", "2025-10-26T0"]),
    (
        "the start of summer time",
        &["2026-03-29T01", "2026-03-29T23"],
    ),
];

/// An organisation's folder.
pub(crate) struct Notice {
    /// The folder's name.
    pub(crate) name: String,
    folder: PathBuf,
    pub(crate) expect: Expect,
    asked: Asked,
    calendar: Vec<OfRule>,
}

/// A rule's boundaries: `calendar.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRule {
    /// The rule.
    rule: String,
    /// What makes a row `${id}` whose period began at `${event}`.
    insert: String,
    /// Which of the rows `${ids}` are as they were.
    left: String,
    boundaries: Vec<Boundary>,
}

/// When rows go and stay, by when their period began.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boundary {
    now: Timestamp,
    goes: Vec<String>,
    stays: Vec<String>,
}

/// The cases.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = scenario::in_folder("notices", &folder())?;
    for notice in Notice::all()? {
        for server in Server::ALL {
            let (name, folder) = (notice.name.clone(), notice.folder.clone());
            cases.push(Case::new(
                format!("notices::{name}::calendar::{}", server.slug()),
                Needs::server(server),
                move |world| calendar(world, server, &Notice::read(&folder)?),
            ));
        }
    }
    let mut cases: Vec<Case> = cases.into_iter().map(remembered).collect();
    cases.push(Case::new(
        "notices::every_rule_is_named_and_tried_at_its_boundaries",
        Needs::nothing(),
        |_| Notice::all()?.iter().try_for_each(Notice::is_whole),
    ));
    Ok(cases)
}

/// The cases that run operators of their own: what persons ask.
pub(crate) fn own_operator_cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for notice in Notice::all()? {
        for server in Server::ENGINES {
            let name = format!("notices::{}::requests", notice.name);
            cases.push(asking::case(&name, notice.requests(), server));
        }
    }
    Ok(cases.into_iter().map(remembered).collect())
}

/// The case, which is remembered if it passes.
fn remembered(case: Case) -> Case {
    let Case { name, needs, body } = case;
    Case::new(name.clone(), needs, move |world| {
        body(world)?;
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        passed.insert(name);
        Ok(())
    })
}

fn folder() -> PathBuf {
    repository().join("examples/notices")
}

impl Notice {
    /// Every organisation, by name.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(folder())?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        folders.retain(|path| path.is_dir());
        folders.sort();
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("calendar.yaml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let name = folder.file_name().and_then(|name| name.to_str());
        Ok(Self {
            name: name.context("a notice's name is not text")?.to_owned(),
            folder: folder.to_owned(),
            expect: Expect::read(&folder.join("expect.yaml"))?,
            asked: Asked::read(&folder.join("requests"))?,
            calendar: serde_saphyr::from_str(&text)
                .map_err(|e| anyhow!("{}: {e}", path.display()))?,
        })
    }

    /// Its README.
    pub(crate) fn readme(&self) -> PathBuf {
        self.folder.join("README.md")
    }

    fn requests(&self) -> PathBuf {
        self.folder.join("requests")
    }

    /// What its rules promise, and then its requests.
    pub(crate) fn promises(&self) -> impl Iterator<Item = &Promise> {
        self.expect.promises.iter().chain(&self.asked.promises)
    }

    /// Those of its cases that have not passed.
    pub(crate) fn not_passed(&self) -> Vec<String> {
        let passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let cases = ["", "calendar::"].into_iter().flat_map(|kind| {
            Server::ALL.map(|server| format!("notices::{}::{kind}{}", self.name, server.slug()))
        });
        let requests = Server::ENGINES
            .map(|server| format!("notices::{}::requests::{}", self.name, server.slug()));
        cases
            .chain(requests)
            .filter(|case| !passed.contains(case))
            .collect()
    }

    /// The policy, its names filled in by `fill`.
    fn policy(&self, fill: impl FnOnce(&str) -> String) -> Result<Value> {
        let objects = documents(&fill(&scenario::manifests(&self.folder)?))?;
        let policy = objects.into_iter().find(|o| o["kind"] == "RetentionPolicy");
        policy.with_context(|| format!("{} has no RetentionPolicy", self.name))
    }

    /// The tables of its DataMap, as YAML; empty: it has none.
    fn mapped(&self, fill: impl FnOnce(&str) -> String) -> Result<String> {
        let objects = documents(&fill(&scenario::manifests(&self.folder)?))?;
        let map = objects.into_iter().find(|o| o["kind"] == "DataMap");
        Ok(map.map_or_else(String::new, |map| map["spec"]["tables"].to_string()))
    }

    /// Every rule keeps a promise, and is tried at its boundaries.
    fn is_whole(&self) -> Result<()> {
        let asked = self.asked.is_whole(&self.requests());
        asked.with_context(|| self.name.clone())?;
        let policy = self.policy(str::to_owned)?;
        let rules = policy["spec"]["rules"].as_array();
        let rules: BTreeMap<&str, &Value> = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| Some((rule["name"].as_str()?, rule)))
            .collect();
        let all: BTreeSet<&str> = rules.keys().copied().collect();
        let promises = self.expect.promises.iter();
        let named: BTreeSet<&str> = promises
            .flat_map(|promise| promise.rules.iter().map(String::as_str))
            .collect();
        ensure!(
            named == all,
            "{}: {named:?} are named, of {all:?}",
            self.name
        );
        for promise in &self.expect.promises {
            ensure!(
                !promise.rules.is_empty() || promise.open.is_some(),
                "{}: nothing keeps {}, and nothing says why",
                self.name,
                promise.row
            );
        }
        let tried: BTreeSet<&str> = self.calendar.iter().map(|c| c.rule.as_str()).collect();
        ensure!(
            tried == all,
            "{}: {tried:?} are tried, of {all:?}",
            self.name
        );
        for OfRule {
            rule, boundaries, ..
        } in &self.calendar
        {
            ensure!(
                boundaries.iter().any(|b| !b.goes.is_empty()),
                "{rule}: no row goes"
            );
            ensure!(
                boundaries.iter().all(|b| !b.stays.is_empty()),
                "{rule}: no row stays"
            );
            let period = rules.get(rule.as_str()).and_then(|r| r.get("expireAfter"));
            let occasions = OCCASIONS.iter().filter(|_| period.is_some());
            for (occasion, patterns) in occasions {
                let mut nows = boundaries.iter().map(|b| b.now.to_string());
                ensure!(
                    nows.any(|now| patterns.iter().any(|pattern| now.contains(pattern))),
                    "{}: {rule} is not tried on {occasion}",
                    self.name
                );
            }
        }
        Ok(())
    }
}

/// Runs the whole policy at each instant, oldest first, on what the boundaries of that instant add.
fn calendar(world: &World, server: Server, notice: &Notice) -> Result<()> {
    let schema = std::fs::read_to_string(notice.folder.join("schema.sql"))?;
    let name = format!("{}_calendar", notice.name);
    let mut rig = Rig::new(world, server, &name, &schema, "")?;
    let policy = notice.policy(|manifests| rig.database.fill(manifests))?;
    rig.rules = policy["spec"]["rules"].to_string();
    let mapped = notice.mapped(|manifests| rig.database.fill(manifests))?;
    rig = rig.mapped(&mapped);
    rig.spec = json!({"timeZone": policy["spec"]["timeZone"]});
    let mut instants: BTreeMap<Timestamp, Vec<(&OfRule, &Boundary)>> = BTreeMap::new();
    for of_rule in &notice.calendar {
        for boundary in &of_rule.boundaries {
            instants
                .entry(boundary.now)
                .or_default()
                .push((of_rule, boundary));
        }
    }
    let mut next = 0_usize;
    for (now, boundaries) in instants {
        let mut expected = Vec::new();
        for (of_rule, Boundary { goes, stays, .. }) in boundaries {
            let first = next;
            for event in goes.iter().chain(stays) {
                let insert = of_rule.insert.replace("${event}", event);
                rig.sql(&insert.replace("${id}", &next.to_string()))?;
                next += 1;
            }
            let ids: Vec<String> = (first..next).map(|id| id.to_string()).collect();
            let (_, stay) = ids.split_at(goes.len());
            let left = of_rule.left.replace("${ids}", &ids.join(", "));
            expected.push((of_rule, left, stay.to_vec()));
        }
        rig.now = now;
        rig.completed(&format!("run-{}", now.as_second()))
            .with_context(|| format!("at {now}"))?;
        for (of_rule, left, stay) in expected {
            let rows = rig.rows(&left)?;
            let seen: Vec<String> = rows.into_iter().flatten().flatten().collect();
            ensure!(
                seen == stay,
                "at {now} rule {} left {seen:?}, not {stay:?}: {left}",
                of_rule.rule
            );
        }
    }
    Ok(())
}
