//! `oubliette discover` on real catalogs: what it prints is a DataMap that is read and planned with as it
//! is printed, for a user who may do no more than look.

use anyhow::{Context, Result, ensure};
use oubliette::inputs::files;
use oubliette_core::duty::DataMap;
use serde_json::Value;

use crate::case::{Case, Needs, Server};
use crate::init::{oubliette, reader};
use crate::samples;
use crate::sql::Database;
use crate::world::{World, repository};

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each(
        "discover::a_map_is_read_as_it_is_printed",
        &Server::ALL,
        discovered,
    )
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
                format!("samples::discover_on_{folder}::{}", server.slug()),
                Needs::server(server),
                move |world| sample(world, server, folder),
            ));
        }
    }
    cases
}

const SCHEMA: &str = "
CREATE TABLE learners (id integer PRIMARY KEY, full_name varchar(100) NOT NULL, email varchar(100) NOT NULL, learner_no varchar(12), born_on date, mentor integer);
CREATE TABLE enrolments (id integer PRIMARY KEY, learner integer NOT NULL, ended_on date);
CREATE TABLE messages (id integer PRIMARY KEY, sender integer, recipient integer, body varchar(400));
CREATE TABLE visits (id integer PRIMARY KEY, learner_id integer, seen ${instant} NULL);
CREATE TABLE newsletter (email varchar(100) PRIMARY KEY, chosen varchar(20));
CREATE TABLE certificates (id integer PRIMARY KEY, learner_no varchar(12));
CREATE TABLE \"no # odd: t\" (\"on\" integer PRIMARY KEY, \"say 'no', #1\" integer, \"y\" varchar(20));
CREATE TABLE tutors (id integer PRIMARY KEY, surname varchar(40), phone varchar(20));
CREATE TABLE rooms (id integer PRIMARY KEY, label varchar(40));
";

/// Some servers read REFERENCES behind a column and forget it.
const KEYS: &str = "
CREATE UNIQUE INDEX learners_email ON learners (email);
CREATE UNIQUE INDEX learners_no ON learners (learner_no);
ALTER TABLE learners ADD FOREIGN KEY (mentor) REFERENCES learners (id);
ALTER TABLE enrolments ADD FOREIGN KEY (learner) REFERENCES learners (id);
ALTER TABLE messages ADD FOREIGN KEY (sender) REFERENCES learners (id);
ALTER TABLE messages ADD FOREIGN KEY (recipient) REFERENCES learners (id);
ALTER TABLE \"no # odd: t\" ADD FOREIGN KEY (\"say 'no', #1\") REFERENCES enrolments (id);
INSERT INTO learners VALUES (1, 'Ada Bennett', 'ada@example.org', 'L-0042', '1988-07-16', NULL);
INSERT INTO enrolments VALUES (1, 1, '2010-12-31');
";

/// Proposes a map, and reads it as everybody would. Its text, and what it says.
fn proposed(
    database: &Database,
    login: (&str, &str),
    subjects: &[&str],
) -> Result<(String, DataMap)> {
    let (user, password) = login;
    let schema = database.schema();
    let mut arguments = vec!["discover".to_owned(), "--name=crm".to_owned()];
    arguments.push("--namespace=learning".to_owned());
    arguments.extend(
        subjects
            .iter()
            .map(|name| format!("--subject-table={schema}.{name}")),
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = oubliette(&arguments, &database.url(user), password, "")?;
    ensure!(
        said.code == Some(0) && said.err.is_empty(),
        "{:?} {}{}",
        said.code,
        said.out,
        said.err
    );
    let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    std::fs::write(file.path(), &said.out)?;
    let mut read =
        files::read(&[file.path().to_owned()], "default").with_context(|| said.out.clone())?;
    let map = read.maps.pop().context("there is no map in it")?;
    ensure!(
        (map.namespace.as_str(), map.name.as_str()) == ("learning", "crm"),
        "{map:?}"
    );
    let map = DataMap::alone(&map.spec).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    planned(database, login, &said.out)?;
    let again = oubliette(&arguments, &database.url(user), password, "")?;
    ensure!(again.out == said.out, "{}\n{}", said.out, again.out);
    Ok((said.out, map))
}

/// A policy is planned under the map: were it not to fit the database, the plan would be refused.
fn planned(database: &Database, login: (&str, &str), map: &str) -> Result<()> {
    let (user, password) = login;
    let url = database.url(user);
    let init = oubliette(
        &["init", "--name=crm", "--namespace=learning"],
        &url,
        password,
        "",
    )?;
    ensure!(init.code == Some(0), "{}{}", init.out, init.err);
    let both = format!("{}---\n{map}", init.out);
    let plan = oubliette(&["plan", "-f", "-", "-o", "json"], &url, password, &both)?;
    let report: Value = serde_json::from_str(&plan.out)
        .with_context(|| format!("not JSON: {}{}\n{both}", plan.out, plan.err))?;
    let refusals = &report["policies"][0]["refusals"];
    ensure!(*refusals == serde_json::json!([]), "{refusals}\n{map}");
    Ok(())
}

fn discovered(world: &World, server: Server) -> Result<()> {
    let database = world.database(server, "discovered")?;
    let spelt = |sql: &str| {
        let sql = database.fill(sql);
        if server.is_postgres() {
            sql
        } else {
            sql.replace('"', "`")
        }
    };
    world.block_on(database.admin.execute(&spelt(SCHEMA)))?;
    world.block_on(database.admin.execute(&spelt(KEYS)))?;
    let odd = if server.is_postgres() {
        "\"no # odd: t\""
    } else {
        "`no # odd: t`"
    };
    let seen = [
        "learners",
        "enrolments",
        "messages",
        "visits",
        "newsletter",
        "certificates",
        odd,
        "tutors",
        "rooms",
    ];
    let (user, password) = reader(world, &database, &seen)?;
    let login = (user.as_str(), password.as_str());
    let (text, map) = proposed(&database, login, &["learners"])?;
    let entries: Vec<&str> = map.tables.iter().map(|entry| entry.name.as_str()).collect();
    for entry in [
        "learners",
        "enrolments",
        "messages",
        "visits",
        "newsletter",
        "certificates",
        "no-odd-t",
    ] {
        ensure!(
            entries.contains(&entry),
            "no {entry} in {entries:?}\n{text}"
        );
    }
    ensure!(entries.len() == 7, "{entries:?}\n{text}");
    for words in [
        "# guess: by its name, and a unique index\n    - {name: email, column: email, normalise: LowercaseTrim}\n",
        "# guess: by name and type; no foreign key says so\n    - {from: learner, match: [{column: learner_id, equals: id}]}\n",
        "- {from: learner, match: [{column: sender, equals: id}]}\n",
        "- {from: enrolments, match: [{column: \"say 'no', #1\", equals: id}]}\n",
        "- {identifier: learnerNo, column: learner_no}",
        "- {identifier: {name: learnerNo, column: learner_no, normalise: LowercaseTrim}}",
        "decision: {type: Shared}",
        "decision: {type: Anonymise}",
        ".tutors: surname, phone",
    ] {
        ensure!(text.contains(words), "it lacks {words:?}:\n{text}");
    }
    for value in ["Ada", "ada@", "L-0042", "1988", login.1] {
        ensure!(!text.contains(value), "it tells {value:?}:\n{text}");
    }
    for subject in [&[][..], &["--subject-table=nowhere.people"]] {
        let arguments = [&["discover"], subject].concat();
        let said = oubliette(&arguments, &database.url(login.0), login.1, "")?;
        ensure!(said.code == Some(1) && said.out.is_empty(), "{}", said.out);
        ensure!(
            said.err.lines().count() == 1
                && said.err.contains("--subject-table")
                && said
                    .err
                    .contains(&format!("{}.learners", database.schema())),
            "{}",
            said.err
        );
    }
    Ok(())
}

fn sample(world: &World, server: Server, folder: &str) -> Result<()> {
    let database = world.database(server, &format!("discover_{folder}"))?;
    let script = samples::script(&repository().join("tests/samples").join(folder))?;
    let script = script.context("the sample has no script")?;
    world.bed_server(server)?.sql(&database.name, &script)?;
    let endpoint = &database.endpoint;
    let login = (endpoint.user.as_str(), endpoint.password.as_str());
    // What the published schemas call their tables.
    let (subjects, hang): (&[&str], &[&str]) = match (folder, server.is_postgres()) {
        ("chinook_invoices_postgres", _) => {
            (&["customer", "employee"], &["invoice", "invoice-line"])
        }
        ("chinook_invoices_mysql", _) => (&["Customer", "Employee"], &["invoice", "invoiceline"]),
        _ => (&["customer", "staff"], &["rental", "payment"]),
    };
    let (text, map) = proposed(&database, login, subjects)?;
    for entry in hang {
        ensure!(
            map.tables.iter().any(|found| found.name == *entry),
            "no {entry}:\n{text}"
        );
    }
    Ok(())
}
