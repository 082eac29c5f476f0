//! Holds on persons against runs, on real servers: whatever a rule is about, no row of a held person
//! changes, and no row of anybody else is held for it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use oubliette::ledger::Store;
use oubliette::work::job::JobOutcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::hold::{HeldPerson, PERSON};
use oubliette_core::ledger::HoldRow;
use oubliette_core::people::Known;
use oubliette_core::report::RunOutcome;
use oubliette_core::value::Personal;
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::cluster::{API_VERSION, Namespace};
use crate::holds::{held_by, released, store};
use crate::legal_hold;
use crate::races::{OLD, patient};
use crate::rig::{Rig, own, series};
use crate::scenario::TARGET;
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all =
        |name: &str, body| Case::on_each(&format!("held_persons::{name}"), &Server::ENGINES, body);
    let on = |name: &str, body| {
        let name = format!("held_persons::{name}");
        Case::on_each_with_operator(&name, &[Server::Postgres18, Server::MariaDb], body)
    };
    [
        on(
            "a_hold_on_a_person_outlives_its_object_and_ends_by_release_only",
            outlives,
        ),
        all("no_rule_changes_a_row_of_a_held_person", every_rule),
        all(
            "a_row_that_becomes_a_held_person_s_while_the_batch_waits_stays",
            during_the_wait,
        ),
        all("what_cannot_be_decided_is_held", in_doubt),
        all(
            "persons_who_are_held_in_the_midst_of_a_run_keep_their_rows",
            midst,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const SCHEMA: &str = "
CREATE TABLE learners (id integer NOT NULL PRIMARY KEY, email varchar(80), uln varchar(20), number integer,
  ended ${civil} NULL);
CREATE TABLE messages (id integer NOT NULL PRIMARY KEY, learner_id integer NOT NULL, ended ${civil} NULL,
  FOREIGN KEY (learner_id) REFERENCES learners (id));
CREATE TABLE notes (id integer NOT NULL PRIMARY KEY, message_id integer NOT NULL, ended ${civil} NULL,
  FOREIGN KEY (message_id) REFERENCES messages (id));
CREATE TABLE letters (id integer NOT NULL PRIMARY KEY, learner_id integer NOT NULL, address varchar(80),
  FOREIGN KEY (learner_id) REFERENCES learners (id));
CREATE TABLE newsletter (id integer NOT NULL PRIMARY KEY, address varchar(80), ended ${civil} NULL, word varchar(20));
CREATE TABLE cards (id integer NOT NULL PRIMARY KEY, learner_number integer, ended ${civil} NULL);
CREATE INDEX messages_learner ON messages (learner_id);
CREATE INDEX notes_message ON notes (message_id);
CREATE INDEX letters_learner ON letters (learner_id);
";

/// Of notes the map says nothing: they hang on messages. An address of the newsletter is compared as it is.
const MAP: &str = "
subjects:
- role: learner
  table: ${schema}.learners
  identifiers: [{name: email, column: email, normalise: LowercaseTrim}, {name: uln, column: uln, normalise: DigitsOnly}]
  leadsTo: [{identifier: learnerNumber, column: number}]
tables:
- {name: learners, table: \"${schema}.learners\", reachedBy: [{from: learner}], decision: {type: Delete}}
- name: messages
  table: ${schema}.messages
  reachedBy: [{from: learner, match: [{column: learner_id, equals: id}]}]
  decision: {type: Delete}
- name: letters
  table: ${schema}.letters
  reachedBy: [{identifier: {name: email, column: address, normalise: LowercaseTrim}}]
  decision: {type: Delete}
- name: newsletter
  table: ${schema}.newsletter
  reachedBy: [{identifier: {name: email, column: address}}]
  decision: {type: Delete}
- name: cards
  table: ${schema}.cards
  reachedBy: [{identifier: {name: learnerNumber, column: learner_number}}]
  decision: {type: Delete}
";

const RULES: &str = "
- {table: '${schema}.notes', since: {column: ended, timeZone: UTC}}
- table: ${schema}.messages
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.notes', of: '${schema}.messages', match: [{column: message_id, equals: id}], action: {type: Delete}}
- table: ${schema}.newsletter
  since: {column: ended, timeZone: UTC}
  action: {type: Anonymise, columns: [{column: word, strategy: Constant, constant: {value: gone}}]}
- {table: '${schema}.cards', since: {column: ended, timeZone: UTC}}
- table: ${schema}.learners
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.messages', of: '${schema}.learners', match: [{column: learner_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.letters', of: '${schema}.learners', match: [{column: learner_id, equals: id}], action: {type: Delete}}
  - {table: '${schema}.notes', of: '${schema}.messages', match: [{column: message_id, equals: id}], action: {type: Delete}}
";

/// A household of two with one address, and others.
const ROWS: [&str; 6] = [
    "INSERT INTO learners VALUES (1, ' Ada@Example.org ', '1-1', 71, ${old}), (2, 'ada@example.org', '22', 72, ${old}),
       (3, 'bob@example.org', NULL, 73, ${old}), (4, 'cem@example.org', '44', 74, ${old}), (5, NULL, NULL, NULL, ${old})",
    "INSERT INTO messages VALUES (10, 1, ${old}), (11, 1, NULL), (20, 2, ${old}), (21, 2, NULL), (40, 4, ${old})",
    "INSERT INTO notes VALUES (100, 10, ${old}), (110, 11, NULL), (200, 20, ${old}), (210, 21, NULL), (400, 40, NULL)",
    // To Ada, about Bob.
    "INSERT INTO letters VALUES (30, 3, 'ADA@example.org'), (40, 4, 'cem@example.org')",
    "INSERT INTO newsletter VALUES (1, 'Ada@example.ORG', ${old}, 'old'), (2, 'bob@example.org', ${old}, 'old'), (3, NULL, ${old}, 'old')",
    "INSERT INTO cards VALUES (1, 71, ${old}), (2, 72, ${old}), (3, NULL, ${old})",
];

fn filled<'w>(world: &'w World, server: Server, name: &str, rules: &str) -> Result<Rig<'w>> {
    let rig = Rig::new(world, server, name, SCHEMA, rules)?.mapped(MAP);
    for rows in ROWS {
        rig.sql(&rows.replace("${old}", OLD))?;
    }
    Ok(rig)
}

/// A person who is held through the rig's map.
fn person(id: &str, known: &[(&str, &str)]) -> HeldPerson {
    let mut all = Known::default();
    for (name, text) in known {
        all.add(name, Personal::new(*text));
    }
    HeldPerson {
        id: id.to_owned(),
        name: format!("suite/{id}"),
        maps: BTreeSet::from(["suite/map".to_owned()]),
        known: all,
    }
}

async fn place(store: &Store, person: &HeldPerson) -> Result<()> {
    let row = HoldRow {
        id: person.id.clone(),
        name: person.name.clone(),
        table: PERSON.to_owned(),
        reason: "CASE-1".to_owned(),
        placed_by: "dpo".to_owned(),
        accepted_at: Timestamp::now().to_string(),
        released: None,
    };
    ensure!(store.place_person(person, &row).await? == row);
    Ok(())
}

fn placed(rig: &Rig<'_>, person: &HeldPerson) -> Result<Store> {
    let store = store(rig)?;
    rig.block_on(place(&store, person))?;
    Ok(store)
}

fn ids(rig: &Rig<'_>, of: &str) -> Result<Vec<i64>> {
    let rows = rig.rows(&format!("SELECT id FROM {of} ORDER BY id"))?;
    let ids = rows
        .into_iter()
        .filter_map(|row| row[0].as_ref()?.parse().ok());
    Ok(ids.collect())
}

fn every_rule(world: &World, server: Server) -> Result<()> {
    let rig = filled(world, server, "every_rule", RULES)?;
    let ada = [("email", "ada@example.org"), ("uln", "11")];
    let store = placed(&rig, &person("ada", &ada))?;
    // Whoever widens it by what was read before takes nothing away that another one has added since.
    for more in ["one", "two"] {
        rig.block_on(store.widen_hold(&person("ada", &[(more, "x")])))?;
    }
    let holds = rig.block_on(store.active_holds())?;
    let names: Vec<&str> = holds.persons.iter().flat_map(|p| p.known.names()).collect();
    ensure!(names == ["email", "one", "two", "uln"], "{names:?}");
    let before = rig.plan()?;
    let held: Vec<i64> = before.rules.iter().map(|rule| rule.held).collect();
    // Of learners Ada, and Bob, on whom a letter to her hangs.
    ensure!(held == [1, 1, 1, 1, 2], "{held:?} {before:?}");
    let run = rig.run("one")?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    for (of, left) in [
        ("learners", vec![1, 3]),
        ("messages", vec![10, 11]),
        ("notes", vec![100, 110]),
        ("letters", vec![30]),
        ("newsletter WHERE word = 'old'", vec![1]),
        ("cards", vec![1]),
    ] {
        let found = ids(&rig, of)?;
        ensure!(found == left, "{of}: {found:?}");
    }
    ensure!(
        held_by(&run) == [1, 1, 1, 1, 2].map(|rows| ("suite/ada", rows)),
        "{run:?}"
    );
    ensure!(!format!("{run:?} {before:?}").contains("example.org"));
    let listed = rig.block_on(store.holds())?;
    ensure!(listed[0].on() == "a person", "{listed:?}");
    rig.block_on(store.release_hold("ada", &released()))?;
    ensure!(rig.rows("SELECT id FROM learners")?.len() == 2);
    rig.run("two")?;
    for of in ["learners", "messages", "notes", "letters", "cards"] {
        ensure!(ids(&rig, of)?.is_empty(), "{of}");
    }
    rig.expect_a_whole_chain()
}

const NEWSLETTER: &str =
    "- {table: '${schema}.newsletter', since: {column: ended, timeZone: UTC}}\n";
const MESSAGES: &str = "
- table: ${schema}.messages
  since: {column: ended, timeZone: UTC}
  related:
  - {table: '${schema}.notes', of: '${schema}.messages', match: [{column: message_id, equals: id}], action: {type: Delete}}
";

fn during_the_wait(world: &World, server: Server) -> Result<()> {
    // A row of her own, and one that is hers because it hangs on hers.
    for (name, rules, table, rows, change) in [
        (
            "becomes_by_address",
            NEWSLETTER,
            "newsletter",
            "INSERT INTO newsletter SELECT n, 'x@example.org', ${old}, 'old' FROM",
            "UPDATE newsletter SET address = 'ADA@example.org' WHERE id = 60",
        ),
        (
            "becomes_by_reference",
            MESSAGES,
            "messages",
            "INSERT INTO messages SELECT n, 2, ${old} FROM",
            "UPDATE messages SET learner_id = 1 WHERE id = 60",
        ),
    ] {
        let rig = patient(Rig::new(world, server, name, SCHEMA, rules)?.mapped(MAP));
        if table == "messages" {
            rig.sql("INSERT INTO learners VALUES (1, 'ada@example.org', NULL, NULL, NULL), (2, 'x', NULL, NULL, NULL)")?;
        }
        let rows = rows.replace("${old}", OLD);
        rig.sql(&format!("{rows} {}", series(server, 100)))?;
        placed(&rig, &person("ada", &[("email", "ada@example.org")]))?;
        let mut application = rig.holding(change)?;
        let run = rig.begin_run("one")?;
        rig.wait_for_a_waiter()?;
        rig.in_session(&mut application, "COMMIT")?;
        let run = rig.block_on(run.ran())?;
        ensure!(
            run.outcome == RunOutcome::Completed && own(&run) == 99,
            "{name}: {run:?}"
        );
        ensure!(held_by(&run) == [("suite/ada", 1)], "{name}: {run:?}");
        ensure!(ids(&rig, table)? == [60], "{name}");
    }
    Ok(())
}

fn in_doubt(world: &World, server: Server) -> Result<()> {
    let mut rig = filled(world, server, "in_doubt", MESSAGES)?;
    let store = store(&rig)?;
    let held = |rig: &Rig<'_>| -> Result<Vec<i64>> {
        Ok(rig.plan()?.rules.iter().map(|rule| rule.held).collect())
    };
    ensure!(held(&rig)? == [0]);
    for (id, known, rows) in [
        // Two of one household fit.
        ("household", vec![("email", "ADA@example.org")], 2),
        // Nobody has both: who has one of them is held.
        (
            "vague",
            vec![("email", "ada@example.org"), ("uln", "44")],
            3,
        ),
        ("nobody", vec![("email", "eve@example.org")], 0),
        // No learner: what cannot be a number is nobody's.
        ("foreign", vec![("learnerNumber", "x")], 0),
    ] {
        rig.block_on(place(&store, &person(id, &known)))?;
        ensure!(held(&rig)? == [rows], "{id}: {:?}", held(&rig)?);
        rig.block_on(store.release_hold(id, &released()))?;
    }
    // A map that is gone, or knows nobody any more.
    rig.block_on(place(&store, &person("ada", &[("uln", "11")])))?;
    ensure!(held(&rig)? == [1]);
    let maps = [
        String::new(),
        MAP.replace(", {name: uln, column: uln, normalise: DigitsOnly}", ""),
        MAP.replace("column: uln,", "column: gone,"),
    ];
    for map in maps {
        rig.tables = map;
        let refused = match rig.outcome("one")? {
            JobOutcome::Refused { refusals, .. } => refusals[0].reason,
            JobOutcome::Failed { reason, .. } => reason,
            other => bail!("it ran: {other:?}"),
        };
        ensure!(refused == Reason::HoldsUnreadable, "{refused:?}");
    }
    ensure!(ids(&rig, "messages")?.len() == 5);
    Ok(())
}

const POSTS: &str = "
CREATE TABLE people (id integer NOT NULL PRIMARY KEY, email varchar(80));
CREATE TABLE posts (id integer NOT NULL PRIMARY KEY, person_id integer, ended ${civil} NULL);
";
const POSTS_MAP: &str = "
subjects:
- {role: person, table: \"${schema}.people\", identifiers: [{name: email, column: email}]}
tables:
- name: posts
  table: ${schema}.posts
  reachedBy: [{from: person, match: [{column: person_id, equals: id}]}]
  decision: {type: Delete}
";
const PERSONS: u32 = 200;
const POSTS_EACH: u32 = 100;

/// Twenty of them, beside the run: what was there when the hold had been accepted is there at the end.
fn midst(world: &World, server: Server) -> Result<()> {
    let rule = "- {table: '${schema}.posts', since: {column: ended, timeZone: UTC}}\n";
    let rig = Rig::new(world, server, "midst", POSTS, rule)?.mapped(POSTS_MAP);
    let mut rig = rig.workers(2);
    rig.pacing.batch_duration = std::time::Duration::from_millis(5);
    rig.sql(&format!(
        "INSERT INTO people SELECT n, concat('p', n, '@example.org') FROM {}",
        series(server, PERSONS)
    ))?;
    rig.sql(&format!(
        "INSERT INTO posts SELECT n, n % {PERSONS} + 1, {OLD} FROM {}",
        series(server, PERSONS * POSTS_EACH)
    ))?;
    let store = store(&rig)?;
    let run = rig.begin_run("one")?;
    let of = |n: u32| format!("SELECT count(*) FROM posts WHERE person_id = {n}");
    let mut there = Vec::new();
    for n in (1..=PERSONS).step_by(10) {
        let email = format!("P{n}@example.org ");
        rig.block_on(place(
            &store,
            &person(&format!("p{n}"), &[("email", &email)]),
        ))?;
        there.push((n, rig.number(&of(n))?));
    }
    let during = !run.has_ended();
    let run = rig.block_on(run.ran())?;
    ensure!(run.outcome == RunOutcome::Completed, "{run:?}");
    let mut kept = 0;
    for (n, before) in there {
        let left = rig.number(&of(n))?;
        ensure!(
            left == before,
            "{during}: of {before} posts of {n} are {left} left"
        );
        kept += left;
    }
    ensure!(
        rig.number("SELECT count(*) FROM posts")? == kept,
        "{during}"
    );
    ensure!(
        own(&run) + kept == i64::from(PERSONS * POSTS_EACH),
        "{run:?}"
    );
    ensure!(rig.plan()?.rules[0].held == kept);
    rig.expect_a_whole_chain()
}

const PEOPLE: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: DataMap
metadata: {name: people}
spec:
  databaseRef: {name: target}
  subjects:
  - {role: person, table: "${schema}.people", identifiers: [{name: name, column: full_name, normalise: LowercaseTrim}]}
  tables:
  - {name: people, table: "${schema}.people", reachedBy: [{from: person}], decision: {type: Delete}}
"#;

/// Applies a hold on a person with their Secret.
fn apply(namespace: &Namespace<'_>, name: &str, key: &str, text: &str) -> Result<Value> {
    let object = json!({
        "apiVersion": API_VERSION, "kind": "LegalHold", "metadata": {"name": name},
        "spec": {
            "type": "Subject",
            "subject": {"secretRef": {"name": format!("{name}-subject")}},
            "reason": "LIT-2026-015",
            "placedBy": namespace.whoami()?,
            "reviewAt": "2040-01-01T00:00:00Z",
        },
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-subject")},
        "type": "oubliette.dev/subject", "immutable": true, "stringData": {key: text},
    });
    legal_hold::place(namespace, &object, &secret)?;
    Ok(object)
}

fn outlives(world: &World, server: Server) -> Result<()> {
    let stage = legal_hold::stage(world, server, "person_outlives")?;
    let namespace = &stage.namespace;
    namespace.apply(&stage.database.fill(PEOPLE))?;
    namespace.wait_reason("DataMap", "people", "Mapped")?;
    apply(namespace, "bad", "nick", "Person 7")?;
    namespace.wait_reason("LegalHold", "bad", "SubjectUnfit")?;
    let other = apply(namespace, "other", "name", "Person 8")?;
    apply(namespace, "matter", "name", " person 7")?;
    let full = |name: &str| format!("{}/{name}", namespace.name);
    for name in ["other", "matter"] {
        let held = namespace.wait_reason("LegalHold", name, "Held")?;
        let status = &held["status"];
        ensure!(status["heldRows"] == 1, "{status}");
        ensure!(status["databases"] == json!([full(TARGET)]), "{status}");
        let active = legal_hold::condition(&held, "Active");
        ensure!(
            active.is_some_and(|active| active["status"] == "True"),
            "{status}"
        );
        ensure!(!status.to_string().contains("erson 7"), "{status}");
    }
    let one = json!([1, [{"hold": full("matter"), "rows": 1}]]);
    let two = json!([2, [{"hold": full("matter"), "rows": 1}, {"hold": full("other"), "rows": 1}]]);
    let seen = legal_hold::kept(&stage)?;
    ensure!(seen == two && legal_hold::left(&stage)? == 2, "{seen}");

    // One is released, of the other the object and the Secret go.
    let mut release = other;
    release["spec"]["release"] = json!({"reason": "LIT-9", "by": namespace.whoami()?});
    namespace.apply_value(&release)?;
    namespace.wait_reason("LegalHold", "other", "HoldReleased")?;
    namespace.delete(API_VERSION, "LegalHold", "matter")?;
    namespace.delete("v1", "Secret", "matter-subject")?;
    let orphaned = json!({"count": 1, "names": [full("matter")]});
    legal_hold::wait_orphaned(&stage, &orphaned)?;
    let seen = legal_hold::kept(&stage)?;
    ensure!(seen == one && legal_hold::left(&stage)? == 1, "{seen}");

    let list = legal_hold::command(&stage, &["list"])?;
    let list = String::from_utf8(list.stdout)?;
    let line = list.lines().find(|line| line.contains("in force"));
    let line = line.context("nothing is in force")?;
    ensure!(line.contains(" on a person, LIT-2026-015"), "{list}");
    let (_, id) = line.split_once("; id ").context("no id")?;
    let release = [
        "release", "--yes", "--id", id, "--reason", "LIT-9", "--by", "judge",
    ];
    let output = legal_hold::command(&stage, &release)?;
    ensure!(output.status.success(), "{output:?}");
    let seen = legal_hold::kept(&stage)?;
    ensure!(
        seen == json!([0, null]) && legal_hold::left(&stage)? == 0,
        "{seen}"
    );
    stage.namespace.finish()
}
