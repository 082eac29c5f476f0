//! `oubliette apply`: policies carried out from files, without a cluster. What it leaves in the
//! database is what the operator leaves, whatever happens to it in the middle.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Needs, Server};
use crate::desk::Desk;
use crate::expect::Expect;
use crate::rig::series;
use crate::scenario;
use crate::servers;
use crate::sql::Database;
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = scenarios()?;
    let engines = &Server::ENGINES;
    let one = &[Server::Postgres18];
    let mut on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        cases.extend(Case::on_each(&format!("applied::{name}"), servers, body));
    };
    on("reports_what_it_did", engines, reported);
    on("changes_nothing_unless_enforced", engines, not_enforced);
    on("refuses_more_than_the_limits", one, limited);
    on(
        "counts_a_policy_again_after_another_one",
        engines,
        after_another,
    );
    on("misses_a_map_that_kept_rows", engines, forgotten);
    on("goes_on_after_a_kill", engines, killed);
    on("stops_within_a_batch_and_goes_on", engines, interrupted);
    on("ends_a_run_of_another_promise", one, promise_changed);
    on("is_fenced_off_by_a_later_call", engines, two_at_once);
    on("begins_one_run_of_two_calls", engines, two_from_the_start);
    cases.push(Case::new(
        "applied::goes_on_when_the_database_is_back",
        // A server of its own: the case kills it.
        Needs::nothing(),
        database_killed,
    ));
    Ok(cases)
}

/// Every scenario that is one run: its rows are what the operator leaves.
fn scenarios() -> Result<Vec<Case>> {
    let root = repository().join("tests/scenarios");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&root).context("failed to read the scenarios")? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        let expect = Expect::read(&folder.join("expect.yaml"))?;
        if expect.steps.is_some() || expect.refusal.is_some() {
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.context("a scenario's name is not text")?.to_owned();
        for server in expect.servers()? {
            if !Server::ENGINES.contains(&server) {
                continue;
            }
            let (folder, case) = (folder.clone(), name.clone());
            cases.push(Case::new(
                format!("applied::scenario::{name}::{}", server.slug()),
                Needs::server(server),
                move |world| {
                    let desk = Desk::set(
                        world,
                        server,
                        &case,
                        |database| scenario::schema(database, &folder),
                        &scenario::manifests(&folder)?,
                    )?;
                    desk.apply()?.expect(0)?;
                    let expect = Expect::read(&folder.join("expect.yaml"))?;
                    scenario::expect_rows(world, &desk.database, &expect.rows)
                },
            ));
        }
    }
    ensure!(cases.len() > 50, "only {} scenarios", cases.len());
    Ok(cases)
}

/// Expired rows of the policy's table; as many young ones are beside them.
pub(crate) const ROWS: i64 = 3_000;

/// So slow that the middle of a run cannot be missed.
const SLOWLY: u32 = 500;

pub(crate) const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: people}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  mode: Enforce
  rules:
  - name: people
    basis: "People are kept for one year"
    table: ${schema}.people
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
    related:
    - table: ${schema}.letters
      of: ${schema}.people
      match: [{column: person, equals: id}]
      action: {type: Delete}
"#;

/// Every tenth of the expired people has a letter.
pub(crate) const LETTERS: i64 = ROWS / 10;

pub(crate) fn people(database: &Database) -> String {
    let server = database.server;
    let numbers = series(server, 3_000);
    database.fill(&format!(
        "CREATE TABLE people (id integer PRIMARY KEY, left_at ${{instant}} NULL, full_name varchar(80));
         CREATE TABLE letters (
           id integer PRIMARY KEY, person integer NOT NULL, body varchar(80),
           FOREIGN KEY (person) REFERENCES people (id)
         );
         CREATE INDEX letters_person ON letters (person);
         INSERT INTO people SELECT n, current_timestamp - INTERVAL '2' YEAR, 'Planted One' FROM {numbers};
         INSERT INTO people SELECT {ROWS} + n, current_timestamp, 'Ada Bennett' FROM {numbers};
         INSERT INTO letters SELECT n, n, 'Planted letter' FROM {numbers} WHERE n <= {LETTERS};"
    ))
}

pub(crate) fn desk<'w>(world: &'w World, server: Server, case: &str) -> Result<Desk<'w>> {
    Desk::set(world, server, case, |database| Ok(people(database)), POLICY)
}

/// Expired people that are still there.
pub(crate) fn left(desk: &Desk<'_>) -> Result<i64> {
    desk.number(&format!("SELECT count(*) FROM people WHERE id <= {ROWS}"))
}

/// Rows that are gone, letters among them, by the tables themselves.
pub(crate) fn gone(desk: &Desk<'_>) -> Result<i64> {
    let letters = desk.number("SELECT count(*) FROM letters")?;
    Ok(ROWS + LETTERS - left(desk)? - letters)
}

/// Rows that the ledger counts, over all runs and workers.
pub(crate) fn counted(desk: &Desk<'_>) -> Result<i64> {
    let sql = format!("SELECT sum(n) FROM {}", desk.ledger("checkpoint"));
    desk.number(&sql)
}

/// All that was due is gone, each row is counted once, nothing else is touched.
pub(crate) fn all_is_done(desk: &Desk<'_>) -> Result<()> {
    let (gone, counted) = (gone(desk)?, counted(desk)?);
    ensure!(
        gone == ROWS + LETTERS && counted == gone,
        "{gone} of {} rows are gone, {counted} are counted",
        ROWS + LETTERS
    );
    let young = desk.number("SELECT count(*) FROM people WHERE full_name = 'Ada Bennett'")?;
    ensure!(young == ROWS, "{young} young people are left");
    let open = desk.number(&format!(
        "SELECT count(*) FROM {} WHERE state = 'open'",
        desk.ledger("run")
    ))?;
    ensure!(open == 0, "{open} runs are open");
    Ok(())
}

/// Nothing was changed, and no ledger was made.
pub(crate) fn nothing_is_done(desk: &Desk<'_>) -> Result<()> {
    let gone = gone(desk)?;
    ensure!(gone == 0, "{gone} rows are gone");
    ensure!(!desk.has_ledger()?, "there is a ledger");
    Ok(())
}

/// The rows that a report's first policy says were changed, by table.
fn changed(report: &Value) -> Vec<i64> {
    let tables = report.pointer("/policies/0/run/rules/0/changed");
    let tables = tables.and_then(Value::as_array).cloned();
    let tables = tables.unwrap_or_default();
    tables
        .iter()
        .filter_map(|table| table["rows"].as_i64())
        .collect()
}

fn reported(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "reported")?;
    let planned = desk
        .call(&["plan", "--output", "json"])?
        .expect(2)?
        .report()?;
    let answer = desk.apply()?.expect(0)?;
    let report = answer.report()?;
    let told = &report["policies"][0];
    ensure!(changed(&report) == [ROWS, LETTERS], "{told}");
    ensure!(
        told["plan"]["digest"] == planned["policies"][0]["plan"]["digest"]
            && told["run"]["plan"] == told["plan"]["digest"]
            && told["run"]["outcome"] == "Completed",
        "{told}"
    );
    let head = desk.number(&format!(
        "SELECT count(*) FROM {} WHERE hash = '{}'",
        desk.ledger("chain_head"),
        told["run"]["evidence"].as_str().unwrap_or_default()
    ))?;
    ensure!(head == 1, "the evidence is not the chain's head: {told}");
    ensure!(
        told["leftElsewhere"]
            .as_array()
            .is_some_and(|all| !all.is_empty()),
        "{told}"
    );
    ensure!(
        answer.err.contains("default/people: connecting"),
        "no progress: {}",
        answer.err
    );
    all_is_done(&desk)?;
    for (form, words) in [
        ("table", "nothing to do"),
        ("markdown", "## Retention plan: nothing to do"),
        ("yaml", "policies:"),
    ] {
        let answer = desk
            .call(&["apply", "--yes", "--output", form])?
            .expect(0)?;
        ensure!(answer.out.contains(words), "{form}: {}", answer.out);
    }
    let runs = desk.number(&format!("SELECT count(*) FROM {}", desk.ledger("run")))?;
    ensure!(runs == 1, "{runs} runs");
    Ok(())
}

fn not_enforced(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "not_enforced")?;
    let says = |desk: &Desk<'_>, words: &str| {
        let answer = desk.apply()?.expect(2)?;
        ensure!(answer.out.contains(words), "{}", answer.out);
        nothing_is_done(desk)
    };
    desk.edit(1, "suspend", json!(true))?;
    says(&desk, "suspend: true is set")?;
    desk.edit(1, "suspend", json!(false))?;
    desk.edit(0, "suspend", json!(true))?;
    says(&desk, "suspend: true is set")?;
    desk.edit(0, "suspend", json!(false))?;
    desk.edit(1, "mode", json!("DryRun"))?;
    says(&desk, "`mode: Enforce`")?;
    // It is the default.
    if let Some(spec) = desk.objects[1]["spec"].as_object_mut() {
        spec.remove("mode");
    }
    desk.edit(0, "suspend", json!(false))?;
    says(&desk, "`mode: Enforce`")
}

fn limited(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "limited")?;
    desk.edit(1, "limits", json!({"maxRows": ROWS + LETTERS - 1}))?;
    desk.apply()?.expect_refused("LimitExceeded")?;
    nothing_is_done(&desk)?;
    desk.edit(1, "limits", json!({"maxRows": ROWS + LETTERS}))?;
    desk.apply()?.expect(0)?;
    all_is_done(&desk)
}

/// The first policy leaves so few rows that those of the second one are more than its share.
fn after_another(world: &World, server: Server) -> Result<()> {
    let policy = |name: &str, percent: u8| {
        format!(
            "---
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {{name: {name}}}
spec:
  databaseRef: {{name: target}}
  schedule: '0 3 1 1 *'
  mode: Enforce
  limits: {{maxPercent: {percent}}}
  rules:
  - name: {name}
    basis: People are kept for one year
    table: ${{schema}}.people
    where: [{{column: kind, operator: In, values: [{name}]}}]
    expireAfter: P1Y
    since: {{column: left_at}}
    action: {{type: Delete}}
"
        )
    };
    let manifests = [policy("guests", 100), policy("members", 20)].concat();
    let people = |database: &Database| {
        Ok(database.fill(&format!(
            "CREATE TABLE people (id integer PRIMARY KEY, left_at ${{instant}} NULL, kind varchar(20));
             INSERT INTO people SELECT n, current_timestamp - INTERVAL '2' YEAR, \
               CASE WHEN n <= 800 THEN 'guests' WHEN n <= 950 THEN 'members' ELSE 'staff' END FROM {};",
            series(database.server, 1_000)
        )))
    };
    let desk = Desk::set(world, server, "after_another", people, &manifests)?;
    let report = desk.apply()?.expect(1)?.report()?;
    let refused = report.pointer("/policies/1/refusals/0/reason");
    ensure!(
        report["policies"][0]["run"]["outcome"] == "Completed"
            && refused == Some(&json!("LimitExceeded")),
        "{report}"
    );
    let left = desk.number("SELECT count(*) FROM people")?;
    ensure!(left == 200, "{left} people are left");
    Ok(())
}

fn killed(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "killed")?;
    desk.pace(SLOWLY)?;
    let call = desk.begin(|| left(&desk))?;
    call.signal("KILL")?;
    desk.end(call)?;
    // What it had sent may still be on its way through the server.
    let report = call_again(&mut desk)?;
    ensure!(changed(&report) == [ROWS, LETTERS], "{report}");
    let runs = desk.number(&format!("SELECT count(*) FROM {}", desk.ledger("run")))?;
    ensure!(runs == 1, "{runs} runs");
    Ok(())
}

/// The same command, in no hurry to be slow: the interrupted run ends, and nothing is due then.
fn call_again(desk: &mut Desk<'_>) -> Result<Value> {
    desk.pace(100_000)?;
    let report = desk.apply()?.expect(0)?.report()?;
    let policies = report["policies"].as_array().cloned().unwrap_or_default();
    let [first, second] = policies.as_slice() else {
        bail!("expected the interrupted run and what came then: {report}");
    };
    ensure!(
        first["run"]["outcome"] == "Completed" && second["run"].is_null(),
        "{report}"
    );
    all_is_done(desk)?;
    Ok(report)
}

fn interrupted(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "interrupted")?;
    desk.pace(SLOWLY)?;
    for name in ["INT", "TERM"] {
        let call = desk.begin(|| left(&desk))?;
        call.signal(name)?;
        let answer = desk.end(call)?.expect(3)?;
        let report = answer.report()?;
        let (gone, counted) = (gone(&desk)?, counted(&desk)?);
        let open = &report["policies"][0]["openRun"];
        ensure!(
            0 < gone && gone < ROWS && counted == gone && open["rowsChanged"] == json!(gone),
            "{gone} are gone, {counted} counted: {report}"
        );
        ensure!(report["interrupted"] == json!(true), "{report}");
        ensure!(
            answer.err.contains("stopping after the batch"),
            "{}",
            answer.err
        );
    }
    let report = call_again(&mut desk)?;
    ensure!(changed(&report) == [ROWS, LETTERS], "{report}");
    Ok(())
}

/// A duty that has ended and a file that was left out look alike: whoever calls says which it is.
fn forgotten(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "forgotten")?;
    desk.sql(
        "UPDATE people SET left_at = current_timestamp - INTERVAL '14' MONTH
         WHERE id BETWEEN 2901 AND 3000",
    )?;
    let policy = desk.objects[1]["spec"].clone();
    desk.objects.push(json!({
        "apiVersion": "oubliette.dev/v1alpha1", "kind": "DataMap", "metadata": {"name": "law"},
        "spec": {
            "databaseRef": policy["databaseRef"],
            "tables": [{
                "name": "people", "table": policy["rules"][0]["table"],
                "mustKeep": [{
                    "until": {"latestOf": [{"column": "left_at", "plus": "P18M"}]},
                    "against": ["Expiry"], "law": "a contract",
                }],
            }],
        },
    }));
    let save = |desk: &mut Desk<'_>| desk.edit(1, "suspend", json!(false));
    save(&mut desk)?;
    desk.apply()?.expect(0)?;
    ensure!(left(&desk)? == 100, "the duty kept {}", left(&desk)?);
    let map = desk.objects.pop().context("no map")?;
    save(&mut desk)?;
    let answer = desk.apply()?.expect_refused("DutiesUnreadable")?;
    ensure!(
        answer.out.contains("--without-map default/law"),
        "{answer:?}"
    );
    ensure!(left(&desk)? == 100, "rows went without the map");
    // With it nothing is missed; without it, what somebody has said.
    desk.objects.push(map);
    save(&mut desk)?;
    desk.apply()?.expect(0)?;
    desk.objects.pop();
    save(&mut desk)?;
    let without = ["--without-map", "default/law"];
    desk.call(&[&["apply", "--yes", "--output", "json"], &without[..]].concat())?
        .expect(0)?;
    all_is_done(&desk)?;
    // From then on it is missed no more.
    desk.apply()?.expect(0)?;
    Ok(())
}

fn database_killed(world: &World) -> Result<()> {
    let server = Server::Postgres18;
    let own = servers::start_one(server, &bed::Options::default())?;
    let endpoint = servers::endpoint(&own)?;
    let database = world.block_on(Database::create(&endpoint, server, "database_killed"))?;
    let schema = people(&database);
    let mut desk = Desk::around(world, database, &schema, POLICY)?;
    desk.pace(SLOWLY)?;
    let call = desk.begin(|| left(&desk))?;
    own.kill9()?;
    let answer = desk.end(call)?.expect_refused("Unreachable")?;
    ensure!(
        answer.out.contains("resumed from its checkpoint"),
        "{}",
        answer.out
    );
    own.restart()?;
    let report = call_again(&mut desk)?;
    ensure!(changed(&report) == [ROWS, LETTERS], "{report}");
    Ok(())
}

fn promise_changed(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "promise_changed")?;
    desk.pace(SLOWLY)?;
    let call = desk.begin(|| left(&desk))?;
    call.signal("KILL")?;
    desk.end(call)?;
    desk.pace(100_000)?;
    // As in the cluster, a dry run ends what was begun.
    desk.edit(1, "mode", json!("DryRun"))?;
    let report = desk.apply()?.expect(2)?.report()?;
    let gone = gone(&desk)?;
    ensure!(
        report["policies"][0]["run"]["reason"] == "Abandoned"
            && changed(&report).iter().sum::<i64>() == gone
            && counted(&desk)? == gone
            && gone < ROWS,
        "{gone} are gone: {report}"
    );
    desk.edit(1, "mode", json!("Enforce"))?;
    let mut rules = desk.objects[1]["spec"]["rules"].clone();
    rules[0]["expireAfter"] = json!("P5Y");
    desk.edit(1, "rules", rules.clone())?;
    desk.apply()?.expect(0)?;
    rules[0]["expireAfter"] = json!("P1Y");
    desk.edit(1, "rules", rules)?;
    desk.apply()?.expect(0)?;
    all_is_done(&desk)
}

fn two_at_once(world: &World, server: Server) -> Result<()> {
    let mut desk = desk(world, server, "two_at_once")?;
    desk.pace(SLOWLY)?;
    let first = desk.begin(|| left(&desk))?;
    let second = desk.apply()?.expect(0)?.report()?;
    desk.end(first)?.expect_refused("TakenOver")?;
    ensure!(changed(&second) == [ROWS, LETTERS], "{second}");
    all_is_done(&desk)
}

/// Neither finds a ledger: whose it is, and whose run, is settled between them.
fn two_from_the_start(world: &World, server: Server) -> Result<()> {
    let desk = desk(world, server, "two_from_the_start")?;
    let calls = [desk.start()?, desk.start()?];
    let mut done = 0;
    for call in calls {
        let answer = desk.end(call)?;
        match answer.code {
            Some(0) => done += 1,
            Some(1) => {}
            other => bail!("{other:?}: {answer:?}"),
        }
    }
    ensure!(done > 0, "neither was done");
    all_is_done(&desk)
}
