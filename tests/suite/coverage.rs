//! Tables that nobody has thought of: found by users who may do no more than look at others, told by
//! `oubliette coverage` and by the status of a TargetDatabase.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, Server};
use crate::expect::Grants;
use crate::init::{Said, oubliette, reader};
use crate::operator::Operator;
use crate::scenario::Stage;
use crate::sql::{Database, next_number};
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "gaps_are_listed_whoever_may_read_them",
            listed as fn(&World, Server) -> Result<()>,
        ),
        ("without_manifests_every_table_is_open", inventory),
    ] {
        cases.extend(Case::on_each(
            &format!("coverage::{name}"),
            &Server::ALL,
            body,
        ));
    }
    cases.extend(Case::on_each(
        "coverage::who_cannot_see_every_table_is_told_so",
        &[Server::MySql, Server::MariaDb],
        unseen,
    ));
    cases.extend(Case::on_each_with_operator(
        "coverage::the_status_counts_gaps_and_names_them",
        &Server::ALL,
        counted,
    ));
    cases
}

const SCHEMA: &str = "
CREATE TABLE people (id integer PRIMARY KEY, email varchar(100), left_at ${instant} NULL);
CREATE TABLE letters (id integer PRIMARY KEY, person integer NOT NULL, body varchar(200));
CREATE TABLE loans (id integer PRIMARY KEY, person integer, lent_on date);
CREATE TABLE rates (id integer PRIMARY KEY, description varchar(100), rate integer);
CREATE TABLE forgotten (id integer PRIMARY KEY, home_phone varchar(100), made_at ${civil} NULL, seen ${instant} NULL);
CREATE TABLE parted (id integer, born date) PARTITION BY RANGE (id);
CREATE TABLE ${odd} (id integer PRIMARY KEY, note varchar(100));
ALTER TABLE letters ADD FOREIGN KEY (person) REFERENCES people (id);
ALTER TABLE loans ADD FOREIGN KEY (person) REFERENCES people (id);
CREATE INDEX letters_person ON letters (person);
CREATE INDEX loans_person ON loans (person);
INSERT INTO people VALUES (1, 'ada@example.org', current_timestamp);
INSERT INTO forgotten VALUES (1, '01632 960001', current_timestamp, current_timestamp);
";

const POLICY: &str = r#"
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: people}
spec:
  databaseRef: {name: target}
  schedule: "0 3 1 1 *"
  rules:
  - name: people
    basis: "Names are kept for one year"
    table: ${table}people
    expireAfter: P1Y
    since: {column: left_at}
    action: {type: Delete}
    related:
    - {table: ${table}letters, of: ${table}people, match: [{column: person, equals: id}], action: {type: Delete}}
    - {table: ${table}loans, of: ${table}people, match: [{column: person, equals: id}], action: {type: Detach}}
"#;

/// Tables about which the policy decides nothing, beside `loans`, whose rows it only detaches.
fn open(server: Server) -> Value {
    let forgotten_dates = json!(["made_at", "seen"]);
    let mut gaps = vec![
        json!({"table": "forgotten", "personal": ["home_phone"], "dates": forgotten_dates}),
        json!({"table": "loans", "personal": ["person"], "dates": ["lent_on"]}),
        json!({"table": odd(server), "personal": ["note"], "dates": []}),
        json!({"table": "parted", "personal": ["born"], "dates": ["born"]}),
    ];
    if server.is_postgres() {
        gaps.push(json!({"table": "typed", "personal": ["seen_from"], "dates": ["at"]}));
    }
    Value::Array(gaps)
}

/// A name that InnoDB keeps in a code of its own.
fn odd(server: Server) -> &'static str {
    if server.is_postgres() {
        "odd-name"
    } else {
        "odd-näme"
    }
}

/// Fills a database; on InnoDB with a full-text index, whose tables are the server's own.
fn fill(world: &World, database: &Database) -> Result<()> {
    let server = database.server;
    let (quote, partitions) = if server.is_postgres() {
        ('"', "")
    } else {
        (
            '`',
            " (PARTITION p0 VALUES LESS THAN (9), PARTITION p1 VALUES LESS THAN MAXVALUE)",
        )
    };
    let schema = SCHEMA
        .replace("${odd}", &format!("{quote}{}{quote}", odd(server)))
        .replace("BY RANGE (id)", &format!("BY RANGE (id){partitions}"));
    world.block_on(database.admin.execute(&database.fill(&schema)))?;
    let own = if server.is_postgres() {
        "CREATE TABLE parted_9 PARTITION OF parted FOR VALUES FROM (0) TO (9);
         CREATE DOMAIN instant AS timestamptz; CREATE DOMAIN moment AS instant;
         CREATE TABLE typed (at moment, seen_from inet)"
    } else {
        "ALTER TABLE rates ADD FULLTEXT (description)"
    };
    world.block_on(database.admin.execute(own)).map(drop)
}

/// What was found, with the tables' names as the schema has them.
fn gaps(said: &Said, database: &Database) -> Result<(Value, Value)> {
    let report: Value = serde_json::from_str(&said.out)
        .with_context(|| format!("not JSON: {}{}", said.out, said.err))?;
    let found = &report["databases"][0];
    let schema = format!("{}.", database.schema());
    let mut gaps = found["gaps"].clone();
    for gap in gaps.as_array_mut().into_iter().flatten() {
        let name = gap["table"].as_str().unwrap_or_default();
        gap["table"] = json!(name.strip_prefix(&schema).unwrap_or(name));
    }
    Ok((found["tables"].clone(), gaps))
}

/// As a user without rights reads names on this server: what InnoDB coded is not read.
fn as_read(server: Server, gaps: &mut Value) {
    if server == Server::MySql || server == Server::MariaDb {
        gaps[2]["table"] = json!("odd-n\u{fffd}me");
    }
}

fn listed(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "coverage_listed")?;
    fill(world, &database)?;
    let (user, password) = reader(world, &database, &["people", "letters", "loans"])?;
    let url = database.url(&user);
    // On MySQL and MariaDB the database is what is meant where no schema is written.
    let schema = if server.is_postgres() { "public." } else { "" };
    let policy = POLICY.replace("${table}", schema);
    let ask = |more: &[&str]| {
        let arguments = [&["coverage", "-f", "-"], more].concat();
        oubliette(&arguments, &url, &password, &policy)
    };
    let said = ask(&["-o", "json"])?;
    ensure!(
        said.code == Some(2),
        "{:?} {}{}",
        said.code,
        said.out,
        said.err
    );
    let (tables, found) = gaps(&said, &database)?;
    let mut wanted = open(server);
    as_read(server, &mut wanted);
    ensure!(found == wanted, "{found:#}\n{wanted:#}");
    ensure!(
        tables == if server.is_postgres() { 8 } else { 7 },
        "{tables} tables"
    );
    for output in ["table", "yaml", "markdown"] {
        let said = ask(&["-o", output])?;
        ensure!(said.code == Some(2), "{output}: {:?}", said.code);
        for words in ["forgotten", "made_at", "loans"] {
            ensure!(
                said.out.contains(words),
                "{output} lacks {words}:\n{}",
                said.out
            );
        }
        for value in ["ada@", "960001", password.as_str(), "letters", "rates"] {
            ensure!(
                !said.out.contains(value),
                "{output} tells {value}:\n{}",
                said.out
            );
        }
    }
    let names = wanted.as_array().into_iter().flatten();
    let except = names.map(|gap| {
        let name = gap["table"].as_str().unwrap_or_default();
        // On MySQL and MariaDB the database is what is meant where no schema is written.
        format!("--except={schema}{name}")
    });
    let except: Vec<String> = except.collect();
    let except: Vec<&str> = except.iter().map(String::as_str).collect();
    let said = ask(&except)?;
    ensure!(
        said.code == Some(0),
        "{:?} {}{}",
        said.code,
        said.out,
        said.err
    );
    ensure!(said.out.contains("no gap in "), "{}", said.out);
    Ok(())
}

fn inventory(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "coverage_inventory")?;
    fill(world, &database)?;
    let endpoint = &database.endpoint;
    let url = database.url(&endpoint.user);
    let said = oubliette(&["coverage", "-o", "json"], &url, &endpoint.password, "")?;
    ensure!(said.code == Some(2), "{:?} {}", said.code, said.err);
    let (_, found) = gaps(&said, &database)?;
    let names: Vec<&str> = found
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|gap| gap["table"].as_str())
        .collect();
    let mut wanted = vec![
        "forgotten",
        "letters",
        "loans",
        odd(server),
        "parted",
        "people",
    ];
    wanted.extend(server.is_postgres().then_some("typed"));
    ensure!(names == wanted, "{names:?}");
    let said = oubliette(&["coverage", "-f", "-"], &url, &endpoint.password, "")?;
    ensure!(
        said.code == Some(1) && said.out.is_empty(),
        "{:?} {}",
        said.code,
        said.out
    );
    Ok(())
}

/// Says nothing rather than too little.
fn unseen(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "coverage_unseen")?;
    fill(world, &database)?;
    let (user, password) = (format!("blind_{}", next_number()), "pw-blind".to_owned());
    world.block_on(database.create_user(&user, &password))?;
    let grant = format!(
        "GRANT SELECT ON {}.people TO '{user}'@'%'",
        database.schema()
    );
    world.block_on(database.admin.execute(&grant))?;
    let said = oubliette(&["coverage"], &database.url(&user), &password, "")?;
    ensure!(
        said.code == Some(1) && said.out.is_empty(),
        "{:?} {}",
        said.code,
        said.out
    );
    ensure!(said.err.contains("GRANT PROCESS"), "{}", said.err);
    Ok(())
}

fn counted(world: &World, server: Server) -> Result<()> {
    let case = format!("coverage_{}", server.slug());
    let database = world.database(server, &case)?;
    fill(world, &database)?;
    let policy = POLICY.replace("${table}", "${schema}.");
    let stage = Stage::set(world, &case, database, &policy, Grants::Printed)?;
    stage.run_to_end()?;
    let mut gaps = open(server);
    as_read(server, &mut gaps);
    let gaps = gaps.as_array().cloned().unwrap_or_default();
    let schema = stage.database.schema();
    let full = |name: &Value| format!("{schema}.{}", name.as_str().unwrap_or_default());
    let names: Vec<String> = gaps.iter().map(|gap| full(&gap["table"])).collect();
    let tables = if server.is_postgres() { 8 } else { 7 };
    let wanted = json!({"tables": tables, "gaps": gaps.len(), "names": names});
    // It is counted when the database is looked at: at its first look nobody may have known the policy.
    let namespace = &stage.namespace;
    let patch = json!({"spec": {"pacing": {"batchDuration": "60ms"}}});
    namespace.patch("TargetDatabase", "target", &patch)?;
    namespace.wait_until(
        "TargetDatabase",
        "target",
        "counts its gaps",
        PATIENCE,
        |object| {
            let seen = object.pointer("/status/coverage");
            if seen == Some(&wanted) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        },
    )?;
    let series = format!(
        "oubliette_uncovered_tables{{namespace=\"{}\",name=\"target\"}} ",
        namespace.name
    );
    let count = format!("{series}{}\n", gaps.len());
    wait_for("the gaps are a metric", PATIENCE, || {
        let text = world.operator(Operator::metrics)?;
        Ok(text
            .contains(&count)
            .then_some(())
            .ok_or_else(|| format!("no {count}")))
    })?;
    stage.namespace.finish()?;
    wait_for("a deleted database leaves no series", PATIENCE, || {
        let text = world.operator(Operator::metrics)?;
        Ok(if text.contains(&series) {
            Err(series.clone())
        } else {
            Ok(())
        })
    })
}
