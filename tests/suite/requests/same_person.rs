//! Requests about one person: each tells of the others, whoever is first, after a restart of the operator
//! and once one of them is complete. None waits for another, and nobody is told who it is.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::back::{Platform, nothing_told};
use super::office::{Office, REQUEST, condition, other};
use crate::case::{Case, Needs, Server};
use crate::wait::PATIENCE;
use crate::world::World;

/// The case; it has an operator of its own, with a key.
pub(super) fn case() -> Case {
    let server = Server::Postgres18;
    Case::new(
        format!(
            "requests::who_asks_twice_is_noticed_and_not_named::{}",
            server.slug()
        ),
        Needs::cluster().with(server).with(other(server)),
        move |world| noticed(world, server),
    )
}

fn noticed(world: &World, server: Server) -> Result<()> {
    let office = Office::furnish(world, server, "request_twice", &json!({}))?;
    let platform = Platform::of(&office)?;
    let mut operator = platform.start('a', &[])?;
    for map in ["learning", "platform"] {
        office.namespace.wait_reason("DataMap", map, "Mapped")?;
    }
    let subject = "oubliette.dev/subject";
    office.planned("first", &json!({}))?;
    office.secret("second", subject, &json!({"email": " JOSE@example.ORG"}))?;
    office.secret("else", subject, &json!({"email": "jose@example.org.uk"}))?;
    for name in ["second", "else"] {
        office.file(name)?;
        office.state(name, "AwaitingApproval")?;
    }
    tells(&office, "first", &[("second", "Open")])?;
    tells(&office, "second", &[("first", "Open")])?;
    tells(&office, "else", &[])?;

    // Whoever begins anew knows of them again.
    operator.kill()?;
    operator = platform.start('a', &[])?;
    office.planned("third", &json!({}))?;
    tells(&office, "third", &[("first", "Open"), ("second", "Open")])?;
    tells(&office, "second", &[("first", "Open"), ("third", "Open")])?;

    office.agree("first")?;
    office.state("first", "AwaitingReply")?;
    office.rows(true)?;
    office.reply("first")?;
    office.state("first", "Finished")?;
    office.no_secret("first")?;
    tells(
        &office,
        "second",
        &[("first", "Completed"), ("third", "Open")],
    )?;
    // By what the ledgers keep: nobody else knows any more whom it was about.
    office.secret("fourth", subject, &json!({"email": "Jose@Example.org"}))?;
    office.file("fourth")?;
    office.state("fourth", "AwaitingReply")?;
    let completed = ("first", "Completed");
    let open = [completed, ("second", "Open"), ("third", "Open")];
    tells(&office, "fourth", &open)?;
    tells(&office, "else", &[])?;

    nothing_told(&office)?;
    let log = std::fs::read_to_string(&operator.settings.log).context("no log")?;
    let log = log.to_lowercase();
    ensure!(!log.contains("jose@example.org"), "the log tells who it is");
    office.finish(&["first", "second", "third", "fourth", "else"])?;
    operator.kill()
}

/// Waits until a request tells of exactly these others, in its status and to whoever approves it.
fn tells(office: &Office<'_>, name: &str, others: &[(&str, &str)]) -> Result<()> {
    let what = format!("tells of {others:?}");
    let right = |object: &Value| {
        let told = object.pointer("/status/duplicates");
        let told = told.and_then(Value::as_array).into_iter().flatten();
        let told: Vec<_> = told
            .map(|one| (one["name"].as_str(), one["state"].as_str()))
            .collect();
        let expected = others
            .iter()
            .map(|(name, state)| (Some(*name), Some(*state)));
        if told != expected.collect::<Vec<_>>() {
            return Err(format!("{told:?}"));
        }
        let found = condition(object, "Found").map(|found| found["message"].to_string());
        let found = found.unwrap_or_default();
        let names = others
            .iter()
            .map(|(name, state)| format!("{name} ({state})"));
        let names = names.collect::<Vec<_>>().join(", ");
        if found.contains(&names) && found.contains("identifiers") != others.is_empty() {
            Ok(())
        } else {
            Err(found)
        }
    };
    office
        .namespace
        .wait_until(REQUEST, name, &what, PATIENCE, right)
        .map(drop)
}
