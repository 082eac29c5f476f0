//! A person's request carried out from files, without a cluster: what allows it, what it leaves, and that
//! any later call goes on where an earlier one ended.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::desk::{Answer, Desk, Terminal};
use crate::erasures::{LEARNING, LEARNING_MAP, PLATFORM, PLATFORM_MAP};
use crate::rig::series;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let engines = &Server::ENGINES;
    let two = &[Server::Postgres18, Server::MariaDb];
    let one = &[Server::Postgres18];
    let mut cases = Vec::new();
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each(&format!("local::{name}"), servers, body));
    };
    on("a_person_goes_from_two_databases_by_files", engines, whole);
    on("a_request_goes_on_after_a_kill", two, killed);
    on("what_a_duty_kept_goes_with_a_later_call", two, kept);
    on("what_is_left_in_texts_is_told", engines, residue);
    on("whoever_is_shown_the_plan_may_say_no_and_yes", one, asked);
    on(
        "what_is_missing_refuses_before_anything_is_done",
        one,
        refused,
    );
    cases
}

/// What a person is known by; nothing that is printed has it.
const EMAIL: &str = "Jose@example.org";

const REQUEST: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: ErasureRequest
metadata: {name: sr-0042}
spec:
  subject: {secretRef: {name: sr-0042}}
  caseRef: SR-0042
  requestedBy: jane
  receivedAt: 2026-11-02T09:00:00Z
---
apiVersion: v1
kind: Secret
metadata: {name: sr-0042, uid: 0b0f5c8e-6a5e-4a44-9b0f-1d8e6f0f7a11}
type: oubliette.dev/subject
immutable: true
stringData: {email: Jose@example.org}
";

/// A map's manifest.
fn map(name: &str, spec: &str) -> String {
    let spec = spec.trim().replace('\n', "\n  ");
    let head = "apiVersion: oubliette.dev/v1alpha1\nkind: DataMap\n";
    let spec = spec.replace(
        &format!("databaseRef: {{name: {name}}}"),
        "databaseRef: {name: target}",
    );
    format!("{head}metadata: {{name: {name}}}\nspec:\n  {spec}\n---\n")
}

/// A desk with the learners' database and a request.
fn desk<'w>(world: &'w World, server: Server, case: &str, spec: &str) -> Result<Desk<'w>> {
    let manifests = format!("{}{REQUEST}", map("learning", spec));
    let schema = |database: &crate::sql::Database| Ok(database.fill(LEARNING));
    Desk::set(world, server, case, schema, &manifests)
}

/// The object of that kind and name.
fn at(desk: &Desk<'_>, kind: &str, name: &str) -> Result<usize> {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    let mut all = desk.objects.iter();
    all.position(|object| is(&object))
        .with_context(|| format!("no {kind} {name}"))
}

/// A call with the report as JSON; nothing of the person is in what it writes.
fn call(desk: &Desk<'_>, arguments: &[&str]) -> Result<Answer> {
    let answer = desk.call(&[arguments, &["--output", "json"]].concat())?;
    ensure!(
        !answer.out.contains("ose@") && !answer.err.contains("ose@"),
        "{answer:?}"
    );
    Ok(answer)
}

fn first(answer: &Answer) -> Result<Value> {
    Ok(answer.report()?["requests"][0].clone())
}

fn refusal(answer: Answer) -> Result<(Value, String)> {
    let told = first(&answer.expect(1)?)?;
    let refusal = &told["refusals"][0];
    Ok((refusal["reason"].clone(), refusal.to_string()))
}

/// Adds an Approval of the plan that was told.
fn approve(desk: &mut Desk<'_>, told: &Value, decision: &str) -> Result<()> {
    desk.objects.push(json!({
        "apiVersion": "oubliette.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": format!("of-{}", desk.objects.len())},
        "spec": {
            "targetRef": {"kind": "ErasureRequest", "name": "sr-0042", "uid": told["uid"]},
            "decision": decision, "planDigest": told["plan"]["digest"], "maxRows": told["rows"],
            "by": "ann",
        },
    }));
    desk.edit(0, "suspend", json!(false))
}

/// The ids of a table's rows, summed: no two sets of the few rows have one sum.
fn sum(desk: &Desk<'_>, table: &str) -> Result<i64> {
    desk.number(&format!("SELECT coalesce(sum(id), 0) FROM {table}"))
}

fn untouched(desk: &Desk<'_>) -> Result<()> {
    ensure!(sum(desk, "learners")? == 15 && sum(desk, "newsletter")? == 123);
    ensure!(!desk.has_ledger()?, "there is a ledger");
    Ok(())
}

fn whole(world: &World, server: Server) -> Result<()> {
    let other = if server.is_postgres() {
        Server::MariaDb
    } else {
        Server::Postgres18
    };
    let mut desk = desk(world, server, "local_whole", LEARNING_MAP)?;
    let manifests = map("platform", PLATFORM_MAP);
    let schema = |database: &crate::sql::Database| Ok(database.fill(PLATFORM));
    let platform = Desk::set(world, other, "local_whole_too", schema, &manifests)?;
    for object in &platform.objects {
        let text = object.to_string().replace("\"target", "\"platform");
        desk.objects.push(serde_json::from_str(&text)?);
    }
    desk.edit(0, "suspend", json!(false))?;

    let planned = first(&call(&desk, &["plan"])?.expect(2)?)?;
    ensure!(planned["rows"] == 11, "{planned:#}");
    ensure!(
        planned["databases"] == json!(["default/platform", "default/target"]),
        "{planned:#}"
    );
    let shown = desk.call(&["plan"])?.expect(2)?.out;
    for words in [
        "11 rows would change",
        "DELETED",
        "TRANSFORMED",
        "KEPT: nothing",
        "learners",
    ] {
        ensure!(shown.contains(words), "{words}: {shown}");
    }
    // Nobody has looked at it.
    let (reason, told) = refusal(call(&desk, &["apply", "--yes"])?)?;
    ensure!(
        reason == "ApprovalMissing" && told.contains("kind: Approval"),
        "{told}"
    );
    untouched(&desk)?;

    approve(&mut desk, &planned, "Approve")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("certificate.json").display().to_string();
    let apply = ["apply", "--yes", "--certificate", &file];
    let done = first(&call(&desk, &apply)?.expect(0)?)?;
    ensure!(done["outcome"] == "Erased", "{done:#}");
    let rows = |told: &Value| -> i64 {
        let all = told["erased"].as_array().cloned().unwrap_or_default();
        let of = |one: &Value, key: &str| one[key].as_i64().unwrap_or_default();
        all.iter()
            .map(|one| of(one, "deleted") + of(one, "transformed"))
            .sum()
    };
    ensure!(rows(&done) == 11, "{done:#}");
    for (desk, table, ids) in [
        (&desk, "learners", 14),
        (&desk, "enrolments", 12),
        (&desk, "messages", 63),
        (&desk, "attachments", 63),
        (&desk, "newsletter", 83),
        (&platform, "accounts", 4),
        (&platform, "posts", 5),
    ] {
        ensure!(sum(desk, table)? == ids, "{table}");
    }
    // What somebody else can verify, offline.
    let certificate = std::fs::read_to_string(&file)?;
    ensure!(!certificate.contains("ose@"), "{certificate}");
    let certificate: Value = serde_json::from_str(&certificate)?;
    ensure!(
        certificate["certificate"]["outcome"] == "Erased",
        "{certificate}"
    );
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(["verify", &file, "--unsigned"])
        .output()?;
    ensure!(verified.status.success(), "{verified:?}");

    // Told once more, it searches again and changes nothing; the Secret may be gone.
    let secret = at(&desk, "Secret", "sr-0042")?;
    let secret = desk.objects.remove(secret);
    desk.edit(0, "suspend", json!(false))?;
    let again = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(again["erased"] == done["erased"], "{again:#}\n{done:#}");
    let mut another = secret.clone();
    another["stringData"] = json!({"email": "ann@example.org"});
    desk.objects.push(another);
    desk.edit(0, "suspend", json!(false))?;
    let (reason, told) = refusal(call(&desk, &["apply", "--yes"])?)?;
    ensure!(reason == "SubjectUnfit", "{told}");

    // Once the person is answered, nobody remembers who it was.
    desk.objects.pop();
    let request = at(&desk, "ErasureRequest", "sr-0042")?;
    desk.edit(request, "reply", json!({"sentAt": "2026-11-20T09:00:00Z"}))?;
    let ended = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(
        ended["notes"].to_string().contains("forgotten"),
        "{ended:#}"
    );
    let remembered = desk.ledger("subject");
    let forgotten =
        format!("SELECT count(*) FROM {remembered} WHERE state = 'ended' AND body = ''");
    ensure!(desk.number(&forgotten)? == 1);
    desk.objects.push(secret);
    desk.edit(0, "suspend", json!(false))?;
    let told = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(told["outcome"] == "NothingFound", "{told:#}");
    // The same person comes back: that is no part of what was approved.
    desk.sql(&format!("INSERT INTO newsletter VALUES (90, '{EMAIL}')"))?;
    let (reason, told) = refusal(call(&desk, &["apply", "--yes"])?)?;
    ensure!(reason == "Reappeared", "{told}");
    ensure!(sum(&desk, "newsletter")? == 173);
    Ok(())
}

/// Enrolments of the person.
const MANY: i64 = 3_000;

fn killed(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "local_killed", LEARNING_MAP)?;
    let numbers = series(server, 3_000);
    desk.sql(&format!(
        "INSERT INTO enrolments SELECT 1000 + n, 1, 'Art', NULL, 'n' FROM {numbers}"
    ))?;
    desk.pace(500)?;
    let planned = first(&call(&desk, &["plan"])?.expect(2)?)?;
    approve(&mut desk, &planned, "Approve")?;
    let left =
        |desk: &Desk<'_>| desk.number("SELECT count(*) FROM enrolments WHERE learner_id = 1");
    let begun = desk.begin(|| left(&desk))?;
    begun.signal("KILL")?;
    desk.end(begun)?;
    let gone = MANY + 2 - left(&desk)?;
    ensure!(gone > 0 && gone < MANY, "{gone} are gone");
    desk.pace(100_000)?;
    let done = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(
        left(&desk)? == 0 && sum(&desk, "learners")? == 14,
        "{done:#}"
    );
    let erased = &done["erased"][0];
    let counted = erased["deleted"].as_i64().unwrap_or_default();
    let transformed = erased["transformed"].as_i64().unwrap_or_default();
    ensure!(
        Some(counted + transformed) == planned["rows"].as_i64(),
        "{done:#}\n{planned:#}"
    );
    Ok(())
}

fn kept(world: &World, server: Server) -> Result<()> {
    let spec = LEARNING_MAP.replace(
        "- name: newsletter\n",
        "- name: newsletter
  columns: [{column: address, strategy: Nullify}]
  mustKeep:
  - columns: [joined_on]
    until: {latestOf: [{column: joined_on, plus: P50Y}]}
    against: [Erasure]
    ground: Art17_3_b
    law: an Act
",
    );
    let manifests = format!("{}{REQUEST}", map("learning", &spec));
    let schema = |database: &crate::sql::Database| {
        let joined = LEARNING.replace(
            "address varchar(100))",
            "address varchar(100), joined_on date)",
        );
        let joined = joined.replace(
            "(40, 'JOSE@EXAMPLE.ORG'), (41, 'josé@example.org'), (42, 'ann@example.org')",
            "(40, 'JOSE@EXAMPLE.ORG', '2020-01-31'), (41, 'josé@example.org', NULL),
             (42, 'ann@example.org', NULL)",
        );
        Ok(database.fill(&joined))
    };
    let mut desk = Desk::set(world, server, "local_kept", schema, &manifests)?;
    let planned = call(&desk, &["plan"])?.expect(2)?;
    let shown = desk.call(&["plan"])?.expect(2)?.out;
    ensure!(
        shown.contains("until 2070-02-01: Art17_3_b, an Act"),
        "{shown}"
    );
    approve(&mut desk, &first(&planned)?, "Approve")?;
    let done = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(
        done["outcome"] == "ErasedInPart" && done["kept"]["rows"] == 1,
        "{done:#}"
    );
    let stays = "SELECT count(*) FROM newsletter WHERE id = 40 AND address IS NULL";
    ensure!(desk.number(stays)? == 1);
    // A later call finds nothing due.
    call(&desk, &["apply", "--yes"])?.expect(0)?;
    ensure!(desk.number(stays)? == 1);
    // The duty's end comes nearer, in the data and in what the ledger remembers of it.
    desk.sql("UPDATE newsletter SET joined_on = '1970-01-31' WHERE id = 40")?;
    let run = desk.ledger("run");
    desk.sql(&format!(
        "UPDATE {run} SET report = replace(report, '2070-02-01', '2020-01-31')"
    ))?;
    let done = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(done["outcome"] == "Erased", "{done:#}");
    ensure!(sum(&desk, "newsletter")? == 83);
    // Nothing is left to be done by another one.
    let again = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    ensure!(again["erased"] == done["erased"], "{again:#}\n{done:#}");
    Ok(())
}

/// Nobody has mapped the table, and nobody may read it at first.
fn residue(world: &World, server: Server) -> Result<()> {
    let spec = format!("{}residueScan: true\n", LEARNING_MAP.trim_start());
    let mut desk = desk(world, server, "local_residue", &spec)?;
    desk.sql(
        "CREATE TABLE audit (id integer PRIMARY KEY, body varchar(200), payload json);
         INSERT INTO audit VALUES
           (1, 'wrote to JOSE@Example.org, again', '{\"mail\": \"jose@example.org\"}'),
           (2, 'josé@example.org', '{}'), (3, 'jose@example_org 710', '{\"no\": \"71\"}'),
           (4, ' 71 ', NULL), (5, NULL, NULL)",
    )?;
    if server.is_postgres() {
        desk.sql("CREATE MATERIALIZED VIEW audit_copy AS SELECT body FROM audit")?;
    }
    let planned = first(&call(&desk, &["plan"])?.expect(2)?)?;
    approve(&mut desk, &planned, "Approve")?;
    let done = first(&call(&desk, &["apply", "--yes"])?.expect(0)?)?;
    let table = |name: &str| desk.database.fill(&format!("${{schema}}.{name}"));
    let mut unmapped = vec![table("audit")];
    if server.is_postgres() {
        unmapped.push(table("audit_copy"));
    }
    ensure!(done["outcome"] == "Erased", "{done:#}");
    let of = |told: &Value| told["erased"][0]["residue"].clone();
    // Another person's address has the erased one in it.
    let theirs = json!({"table": table("learners"), "column": "email", "rows": 1});
    ensure!(
        of(&done)["found"] == json!([theirs]) && of(&done)["notSearched"] == json!(unmapped),
        "{done:#}"
    );
    let user = if server.is_postgres() {
        format!("\"{}\"", desk.user)
    } else {
        format!("`{}`@`%`", desk.user)
    };
    for table in &unmapped {
        desk.sql(&format!("GRANT SELECT ON {table} TO {user}"))?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("certificate.json").display().to_string();
    let apply = ["apply", "--yes", "--certificate", &file];
    let told = first(&call(&desk, &apply)?.expect(0)?)?;
    let found = |table: &str, column: &str, rows: i64| json!({"table": table, "column": column, "rows": rows});
    let mut all: Vec<Value> = unmapped.iter().map(|t| found(t, "body", 2)).collect();
    all.extend([found(&unmapped[0], "payload", 1), theirs]);
    let all = json!(all);
    ensure!(
        of(&told)["found"] == all && of(&told)["notSearched"].is_null(),
        "{told:#}"
    );
    let certificate: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    ensure!(
        certificate["certificate"]["databases"][0]["residue"] == all,
        "{certificate}"
    );
    ensure!(desk.number("SELECT count(*) FROM audit")? == 5);
    let shown = desk.call(&["apply", "--yes"])?.expect(0)?.out;
    ensure!(
        shown.contains("2 rows of") && shown.contains("still have an identifier"),
        "{shown}"
    );
    Ok(())
}

fn asked(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "local_asked", LEARNING_MAP)?;
    // Without an UID of its own the digest is of one call only; whoever is asked needs none.
    let secret = at(&desk, "Secret", "sr-0042")?;
    desk.objects[secret]["metadata"] = json!({"name": "sr-0042"});
    desk.edit(0, "suspend", json!(false))?;
    let planned = || -> Result<Value> { first(&call(&desk, &["plan"])?.expect(2)?) };
    let (one, two) = (planned()?, planned()?);
    ensure!(one["plan"]["digest"] != two["plan"]["digest"], "{one:#}");
    ensure!(one["notes"].to_string().contains("metadata.uid"), "{one:#}");
    let terminal = Terminal::open(&desk)?;
    terminal.wait_for("Change 8 rows of the request above?")?;
    let answer = terminal.answer(&desk, "no\n")?.expect(2)?;
    ensure!(answer.out.contains("the answer was not yes"), "{answer:?}");
    untouched(&desk)?;
    let terminal = Terminal::open(&desk)?;
    terminal.wait_for("Change 8 rows of the request above?")?;
    let answer = terminal.answer(&desk, "yes\n")?.expect(0)?;
    ensure!(answer.out.contains("Erased, 8 rows changed"), "{answer:?}");
    ensure!(!answer.out.contains("ose@"), "{answer:?}");
    ensure!(sum(&desk, "learners")? == 14);
    Ok(())
}

fn refused(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "local_refused", LEARNING_MAP)?;
    let says = |desk: &Desk<'_>, expected: &str| -> Result<()> {
        let (reason, told) = refusal(call(desk, &["apply", "--yes"])?)?;
        ensure!(reason == expected, "expected {expected}: {told}");
        untouched(desk)
    };
    let planned = first(&call(&desk, &["plan"])?.expect(2)?)?;
    approve(&mut desk, &planned, "Approve")?;
    approve(&mut desk, &planned, "Reject")?;
    desk.objects.last_mut().context("no Approval")?["spec"]["by"] = json!("bob");
    desk.edit(0, "suspend", json!(false))?;
    says(&desk, "Rejected")?;
    desk.objects.pop();
    let request = at(&desk, "ErasureRequest", "sr-0042")?;
    desk.edit(request, "identity", json!({"required": true}))?;
    says(&desk, "AwaitingIdentity")?;
    desk.edit(request, "identity", json!({}))?;
    desk.edit(
        request,
        "scope",
        json!({"dataMapRefs": [{"name": "lerning"}]}),
    )?;
    says(&desk, "NoMap")?;
    desk.edit(request, "scope", json!({}))?;
    desk.edit(0, "guards", json!({"approval": "Required"}))?;
    says(&desk, "ApprovalMissing")?;
    desk.edit(0, "guards", json!({}))?;
    let secret = at(&desk, "Secret", "sr-0042")?;
    let given = desk.objects[secret].clone();
    desk.objects[secret]["stringData"] = json!({"email": "family@example.org"});
    desk.edit(0, "guards", json!({}))?;
    says(&desk, "Ambiguous")?;
    desk.objects.remove(secret);
    desk.edit(0, "guards", json!({}))?;
    says(&desk, "SecretMissing")?;
    desk.objects.push(given);
    // What was approved is of another map.
    let map = at(&desk, "DataMap", "learning")?;
    let last = desk.objects[map]["spec"]["tables"]
        .as_array_mut()
        .context("no tables")?
        .pop();
    desk.edit(0, "guards", json!({}))?;
    says(&desk, "ApprovalVoid")?;
    desk.objects[map]["spec"]["tables"]
        .as_array_mut()
        .context("no tables")?
        .extend(last);
    desk.edit(0, "suspend", json!(true))?;
    let told = first(&call(&desk, &["apply", "--yes"])?.expect(2)?)?;
    ensure!(
        told["notes"].to_string().contains("suspend: true"),
        "{told:#}"
    );
    untouched(&desk)?;
    desk.edit(0, "suspend", json!(false))?;
    call(&desk, &["apply", "--yes"])?.expect(0)?;
    ensure!(sum(&desk, "learners")? == 14);
    Ok(())
}
