//! What somebody without a cluster gets wrong, or has to know: the words that help on a laptop.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::applied::{desk, nothing_is_done};
use crate::case::{Case, Needs, Server};
use crate::desk::{Answer, Desk};
use crate::expect::Grants;
use crate::printed;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let one = &[Server::Postgres18, Server::MySql];
    let mut cases = Vec::new();
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each(&format!("laptop::{name}"), servers, body));
    };
    on("a_wrong_url_is_told_as_one", one, wrong_url);
    on("a_missing_ledger_is_told_by_the_plan", one, missing_ledger);
    on("rules_that_meet_in_a_table_are_told", one, two_rules);
    on("guards_hold_for_a_url_too", one, guarded);
    cases.push(Case::new(
        "laptop::files_that_hold_no_manifests_are_named",
        Needs::nothing(),
        no_manifests,
    ));
    cases
}

/// The only refusal of the only policy: its reason, message and remedy.
fn refusal(answer: Answer) -> Result<[String; 3]> {
    let report = answer.expect(1)?.report()?;
    let refusal = &report["policies"][0]["refusals"][0];
    let text = |key: &str| refusal[key].as_str().unwrap_or_default().to_owned();
    Ok([text("reason"), text("message"), text("remedy")])
}

/// Plans with a URL in place of the manifest's connection.
fn plan_at(desk: &Desk<'_>, url: &str, password: &str) -> Result<Answer> {
    let output = desk
        .command(&["plan", "--output", "json", "--database-url", url])
        .env("OUBLIETTE_DATABASE_PASSWORD", password)
        .output()?;
    Ok(Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// A URL of the desk's database.
fn url(desk: &Desk<'_>, port: u16, more: &str) -> String {
    let scheme = if desk.database.server.is_postgres() {
        "postgres"
    } else {
        "mysql"
    };
    let at = &desk.database.endpoint;
    let (user, host, name) = (&desk.user, &at.host, &desk.database.name);
    format!("{scheme}://{user}@{host}:{port}/{name}?{more}")
}

fn wrong_url(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "wrong_url")?;
    let at = desk.database.endpoint.clone();
    let ca = format!("sslrootcert={}", at.ca.display());
    // Nobody listens there.
    for (port, more, reason, helps) in [
        (
            at.port,
            ca.as_str(),
            "AuthenticationFailed",
            "--password-file",
        ),
        (1, &ca, "Unreachable", "firewalls"),
        (at.port, "", "CertificateInvalid", "sslrootcert=FILE"),
    ] {
        let told = refusal(plan_at(&desk, &url(&desk, port, more), "wrong")?)?;
        ensure!(told[0] == reason && told[2].contains(helps), "{told:?}");
        for cluster in ["Secret", "NetworkPolic"] {
            ensure!(!told[2].contains(cluster), "{told:?}");
        }
    }
    let wrong = url(&desk, at.port, "sslrootcert=/dev/null");
    let answer = plan_at(&desk, &wrong, "wrong")?.expect(1)?;
    ensure!(
        answer.err.contains("/dev/null holds no certificate"),
        "{answer:?}"
    );
    nothing_is_done(&desk)
}

fn missing_ledger(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "missing_ledger")?;
    let notes = |answer: Answer| -> Result<String> {
        let notes = &answer.report()?["policies"][0]["notes"];
        Ok(notes.to_string())
    };
    let plan = |desk: &Desk<'_>| desk.call(&["plan", "--output", "json"]);
    let told = notes(plan(&desk)?.expect(2)?)?;
    ensure!(told.contains("there is no ledger yet"), "{told}");
    desk.edit(1, "mode", json!("DryRun"))?;
    let told = notes(plan(&desk)?.expect(2)?)?;
    ensure!(!told.contains("ledger"), "{told}");
    desk.edit(1, "mode", json!("Enforce"))?;

    // One list for the administrator, and it is enough.
    let dry = printed::grants(&desk.objects, &desk.user, Grants::DryRun)?;
    let user = if server.is_postgres() {
        desk.sql("DROP SCHEMA oubliette")?;
        format!("\"{}\"", desk.user)
    } else {
        format!("`{}`@`%`", desk.user)
    };
    if server.is_postgres() {
        desk.sql(&format!("REVOKE ALL ON people, letters FROM {user}"))?;
    } else {
        desk.sql(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {user}"))?;
    }
    desk.sql(&dry.context("nothing was printed")?)?;
    let told = refusal(plan(&desk)?)?;
    ensure!(
        told[0] == "MissingGrants" && told[2].contains("oubliette"),
        "{told:?}"
    );
    desk.sql(&told[2])?;
    desk.apply()?.expect(0)?;

    let mut other = desk.objects.clone();
    other[1]["metadata"]["name"] = json!("stranger");
    desk.sql(&format!(
        "UPDATE {} SET owner_cluster = 'another'",
        desk.ledger("meta")
    ))?;
    let answer = plan(&desk)?.expect(0)?;
    let told = notes(answer)?;
    ensure!(
        told.contains("would be refused (LedgerOwned)") && told.contains("another"),
        "{told}"
    );
    Ok(())
}

fn two_rules(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "two_rules")?;
    let warnings = |desk: &Desk<'_>| -> Result<String> {
        let report = desk.call(&["plan", "--output", "json"])?.report()?;
        Ok(report["policies"][0]["plan"]["warnings"].to_string())
    };
    let told = warnings(&desk)?;
    ensure!(!told.contains("is counted for each"), "{told}");
    let mut rules = desk.objects[1]["spec"]["rules"].clone();
    let mut second = rules[0].clone();
    second["name"] = json!("sooner");
    second["expireAfter"] = json!("P6M");
    if let Some(rules) = rules.as_array_mut() {
        rules.push(second);
    }
    desk.edit(1, "rules", rules)?;
    let told = warnings(&desk)?;
    ensure!(told.contains("the rules people, sooner change"), "{told}");
    Ok(())
}

/// A misspelt reference dropped the guards: it stood for a TargetDatabase without any.
fn guarded(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "guarded")?;
    let at = desk.database.endpoint.clone();
    let given = url(&desk, at.port, &format!("sslrootcert={}", at.ca.display()));
    let secret = desk.objects.iter().find(|o| o["kind"] == "Secret");
    let password = secret.and_then(|secret| secret.pointer("/stringData/password"));
    let password = password.and_then(Value::as_str).unwrap_or_default();
    let password = password.to_owned();
    desk.edit(0, "guards", json!({"maxRows": 5}))?;
    let told = refusal(plan_at(&desk, &given, &password)?)?;
    ensure!(
        told[0] == "LimitExceeded"
            && told[1].contains("3,300 rows, guards.maxRows of the TargetDatabase allows 5")
            && told[2].contains("guards: {maxRows: 3300}"),
        "{told:?}"
    );
    desk.edit(1, "databaseRef", json!({"name": "tarcet"}))?;
    let answer = plan_at(&desk, &given, &password)?.expect(1)?;
    ensure!(
        answer.err.contains("tarcet is not among the manifests") && answer.out.is_empty(),
        "{answer:?}"
    );
    nothing_is_done(&desk)
}

fn no_manifests(_: &World) -> Result<()> {
    let program = |arguments: &[&str], input: &[u8]| -> Result<Answer> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oubliette"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no input")?.write_all(input)?;
        let output = child.wait_with_output()?;
        Ok(Answer {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    };
    let folder = tempfile::tempdir()?;
    let file = |name: &str, content: &[u8]| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path.display().to_string())
    };
    let empty = file("empty.yaml", b"# nothing\n")?;
    let binary = file("binary.yaml", &[0x7f, b'E', b'L', b'F', 0xff, 0xfe])?;
    let large = folder.path().join("large.yaml");
    std::fs::File::create(&large)?.set_len(300 << 20)?;
    let large = large.display().to_string();
    for (name, words) in [
        (empty.as_str(), format!("no RetentionPolicy in {empty}")),
        ("/dev/null", "no RetentionPolicy in /dev/null".to_owned()),
        ("-", "no RetentionPolicy in the input".to_owned()),
        (&binary, format!("{binary} is not UTF-8 text")),
        (&large, format!("{large} is larger than 64 MB")),
    ] {
        let answer = program(&["plan", "-f", name], b"")?.expect(1)?;
        ensure!(
            answer.err.contains(&words) && answer.err.lines().count() == 1,
            "{answer:?}"
        );
    }
    // A comment on a pull request is not empty because a manifest is wrong.
    let markdown = ["plan", "--output", "markdown", "-f", &binary];
    let answer = program(&markdown, b"")?.expect(1)?;
    let comment = format!("## Retention plan: failed\n\n    {binary} is not UTF-8 text");
    ensure!(answer.out.starts_with(&comment), "{answer:?}");

    let grants = program(&["grants", "--user", "u", "-f", &empty], b"")?.expect(1)?;
    ensure!(grants.err.contains(&empty), "{grants:?}");

    // Whoever reads no more is not told so.
    let mut unread = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .arg("crd")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(unread.stdout.take());
    let output = unread.wait_with_output()?;
    ensure!(output.stderr.is_empty(), "{output:?}");
    Ok(())
}
