//! `oubliette init` on real catalogs: what it prints is planned as it is printed, by a user who may do no
//! more than look.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::case::{Case, Needs, Server};
use crate::samples;
use crate::sql::{Database, next_number};
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in [
        (
            "a_proposal_is_planned_as_it_is_printed",
            planned as fn(&World, Server) -> Result<()>,
        ),
        ("nothing_to_propose_is_an_error_that_says_why", nothing),
    ] {
        cases.extend(Case::on_each(&format!("init::{name}"), &Server::ALL, body));
    }
    cases.extend(Case::on_each(
        "init::a_web_of_500_tables_is_read_and_planned",
        &[Server::Postgres18],
        web,
    ));
    cases
}

/// The cases on published sample databases.
pub(crate) fn sample_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder, servers) in [
        ("chinook_invoices_postgres", &[Server::Postgres18][..]),
        ("chinook_invoices_mysql", &[Server::MySql, Server::MariaDb]),
        ("sakila_payments_postgres", &[Server::Postgres18]),
        ("sakila_payments_mysql", &[Server::MySql, Server::MariaDb]),
    ] {
        for &server in servers {
            cases.push(Case::new(
                format!("samples::init_on_{folder}::{}", server.slug()),
                Needs::server(server),
                move |world| sample(world, server, folder),
            ));
        }
    }
    cases
}

const SCHEMA: &str = "
CREATE TABLE learners (id integer PRIMARY KEY, full_name varchar(100), born_on date, left_at ${instant} NULL);
CREATE TABLE enrolments (id integer PRIMARY KEY, learner integer NOT NULL, ended_on date);
CREATE TABLE messages (id integer PRIMARY KEY, sender integer, sent ${civil} NULL, body varchar(200));
CREATE TABLE keyless (note varchar(100), noted_at ${instant} NULL);
CREATE TABLE countries (code char(2) PRIMARY KEY, label varchar(100));
CREATE TABLE secret (id integer PRIMARY KEY, made_at ${instant} NULL);
";

/// Some servers read REFERENCES behind a column and forget it.
const KEYS: &str = "
ALTER TABLE enrolments ADD FOREIGN KEY (learner) REFERENCES learners (id);
ALTER TABLE messages ADD FOREIGN KEY (sender) REFERENCES learners (id);
CREATE INDEX messages_sender ON messages (sender);
INSERT INTO learners VALUES (1, 'Ada Bennett', '1988-07-16', '2011-03-14 15:09:26'), (2, 'Ibrahim Cole', NULL, NULL);
INSERT INTO enrolments VALUES (1, 1, '2010-12-31');
INSERT INTO messages VALUES (1, 1, '2010-11-12 13:14:15', 'see you at the library');
INSERT INTO keyless VALUES ('call back', current_timestamp);
";

/// A user who may look at these tables, and on InnoDB see references and triggers.
pub(crate) fn reader(
    world: &World,
    database: &Database,
    tables: &[&str],
) -> Result<(String, String)> {
    let user = format!("reader_{}", next_number());
    let password = format!("pw-{}", next_number());
    world.block_on(database.create_user(&user, &password))?;
    let mut sql = String::new();
    for table in tables {
        let name = format!("{}.{table}", database.schema());
        if database.server.is_postgres() {
            writeln!(sql, "GRANT SELECT ON {name} TO {user};")?;
        } else {
            writeln!(sql, "GRANT SELECT, TRIGGER ON {name} TO '{user}'@'%';")?;
        }
    }
    if !database.server.is_postgres() {
        writeln!(sql, "GRANT PROCESS ON *.* TO '{user}'@'%';")?;
    }
    world.block_on(database.admin.execute(&sql))?;
    Ok((user, password))
}

/// What the program says and does with this input.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn oubliette(
    arguments: &[&str],
    url: &str,
    password: &str,
    input: &str,
) -> Result<Said> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), input)?;
    let output = Command::new(env!("CARGO_BIN_EXE_oubliette"))
        .args(arguments)
        .args(["--database-url", url])
        .env("OUBLIETTE_DATABASE_PASSWORD", password)
        .stdin(Stdio::from(file.reopen()?))
        .output()
        .context("failed to run oubliette")?;
    Ok(Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// Proposes and plans: no refusal. The proposal, and the plan's rules.
fn proposed(url: &str, password: &str, more: &[&str]) -> Result<(String, Vec<Value>)> {
    let init = oubliette(&[&["init"], more].concat(), url, password, "")?;
    ensure!(
        init.code == Some(0) && init.err.is_empty(),
        "{}{}",
        init.out,
        init.err
    );
    let plan = oubliette(&["plan", "-f", "-", "-o", "json"], url, password, &init.out)?;
    let report: Value = serde_json::from_str(&plan.out)
        .with_context(|| format!("not JSON: {}{}\n{}", plan.out, plan.err, init.out))?;
    let told = &report["policies"][0];
    ensure!(
        told["refusals"] == serde_json::json!([]),
        "{told}\n{}",
        init.out
    );
    ensure!(told["mode"] == "DryRun", "{told}");
    ensure!(
        matches!(plan.code, Some(0 | 2)),
        "exit code {:?}",
        plan.code
    );
    let rules = told["plan"]["rules"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    ensure!(!rules.is_empty(), "{told}");
    Ok((init.out, rules))
}

fn planned(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "init_planned")?;
    world.block_on(database.admin.execute(&database.fill(SCHEMA)))?;
    world.block_on(database.admin.execute(KEYS))?;
    let seen = ["learners", "enrolments", "messages", "keyless", "countries"];
    let (user, password) = reader(world, &database, &seen)?;
    let (text, rules) = proposed(&database.url(&user), &password, &[])?;
    let tables: Vec<&str> = rules
        .iter()
        .filter_map(|rule| rule["table"].as_str())
        .collect();
    let schema = database.schema();
    for table in ["learners", "enrolments", "messages"] {
        ensure!(
            tables.contains(&format!("{schema}.{table}").as_str()),
            "{tables:?}\n{text}"
        );
    }
    ensure!(tables.len() == 3, "{tables:?}\n{text}");
    let learners = rules
        .iter()
        .find(|rule| rule["rule"] == "learners")
        .context("no rule")?;
    ensure!(
        learners["eligible"] == 1
            && learners["related"]
                .as_array()
                .is_some_and(|all| all.len() == 2),
        "{learners}"
    );
    for words in [
        "column: left_at",
        "2 rows, the oldest of 2011-03",
        "1 row, the oldest of 2010-12",
        "NoUsableKey",
        "Without a date: ",
    ] {
        ensure!(text.contains(words), "it lacks {words:?}:\n{text}");
    }
    // MySQL does not show a table that the user may not use.
    let shown = text.contains("public.secret: ") && text.contains("(MissingGrants)");
    ensure!(shown == server.is_postgres(), "{text}");
    // Neither a value nor a day, and a day of birth is no clock.
    for value in [
        "Ada",
        "Ibrahim",
        "library",
        "call back",
        "2011-03-14",
        "2010-12-31",
        "born_on",
        &password,
    ] {
        ensure!(!text.contains(value), "it tells {value:?}:\n{text}");
    }
    let own = format!("{schema}.messages");
    let (text, rules) = proposed(
        &database.url(&user),
        &password,
        &["--table", &own, "--name", "mine"],
    )?;
    ensure!(rules.len() == 1 && text.contains("name: mine,"), "{text}");
    let missing = oubliette(
        &["init", "--table", "nowhere.x"],
        &database.url(&user),
        &password,
        "",
    )?;
    ensure!(
        missing.code == Some(1) && missing.out.is_empty() && missing.err.lines().count() == 1,
        "{}",
        missing.err
    );
    Ok(())
}

fn nothing(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "init_nothing")?;
    world.block_on(
        database
            .admin
            .execute("CREATE TABLE keyless (noted_on date)"),
    )?;
    let (user, password) = reader(world, &database, &["keyless"])?;
    let said = oubliette(&["init"], &database.url(&user), &password, "")?;
    ensure!(said.code == Some(1), "{}{}", said.out, said.err);
    ensure!(
        said.out.contains("NoUsableKey") && said.out.contains("kind: TargetDatabase"),
        "{}",
        said.out
    );
    ensure!(!said.out.contains("kind: RetentionPolicy"), "{}", said.out);
    ensure!(
        said.err.lines().count() == 1 && said.err.contains("no rule"),
        "{}",
        said.err
    );
    Ok(())
}

/// How many tables, and references from each to those behind it.
const TABLES: usize = 500;
const REFERENCES: usize = 10;

/// A web in which nearly every table hangs on nearly every other, in more ways than could be counted.
fn web_of(database: &Database) -> String {
    let mut sql = String::new();
    let mut add = |text: String| sql.push_str(&text);
    for table in 0..TABLES {
        let columns: Vec<String> = (0..REFERENCES).map(|n| format!("r{n} integer")).collect();
        add(database.fill(&format!(
            "CREATE TABLE t{table} (id integer PRIMARY KEY, made_at ${{instant}} NULL, {});\n",
            columns.join(", ")
        )));
    }
    for table in 1..TABLES {
        for n in 0..REFERENCES {
            let to = (table * 7 + n * 13) % table;
            add(format!(
                "ALTER TABLE t{table} ADD CONSTRAINT f{table}_{n} FOREIGN KEY (r{n}) REFERENCES t{to} (id);\n"
            ));
        }
    }
    sql
}

fn web(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "init_web")?;
    world
        .bed_server(server)?
        .sql(&database.name, &web_of(&database))?;
    let endpoint = &database.endpoint;
    let url = database.url(&endpoint.user);
    let (text, rules) = proposed(&url, &endpoint.password, &[])?;
    ensure!(rules.len() == 20, "{} rules", rules.len());
    ensure!(
        text.lines().count() < 1_000,
        "{} lines",
        text.lines().count()
    );
    Ok(())
}

fn sample(world: &World, server: Server, folder: &str) -> Result<()> {
    let database = world.database(server, folder)?;
    let script = samples::script(&repository().join("tests/samples").join(folder))?;
    let script = script.context("the sample has no script")?;
    world.bed_server(server)?.sql(&database.name, &script)?;
    let endpoint = &database.endpoint;
    proposed(&database.url(&endpoint.user), &endpoint.password, &[]).map(drop)
}
