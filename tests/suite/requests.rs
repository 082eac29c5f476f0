//! ErasureRequests on a real API server, over two databases of different engines, carried out by the
//! real operator: from the Secret and the request to the answer, and everything that stops one.

mod back;
pub(crate) mod counter;
mod interrupted;
pub(crate) mod office;
mod same_person;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::office::{DELETES, EMAIL, Office, REQUEST, TRANSFORMS, condition, other};
use crate::case::{Case, Needs, Server};
use crate::cluster::{API_VERSION, ready, resource};
use crate::operator::Operator;
use crate::wait::{PATIENCE, wait_for};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let on = |name: &str, servers: &[Server], body: fn(&World, Server) -> Result<()>| {
        let cases = servers.iter().map(|&server| {
            Case::new(
                format!("requests::{name}::{}", server.slug()),
                Needs::operator().with(server).with(other(server)),
                move |world| body(world, server),
            )
        });
        cases.collect::<Vec<_>>()
    };
    let one = |name: &str, body| on(name, &[Server::Postgres18], body);
    [
        on(
            "a_person_goes_from_two_databases_is_answered_and_forgotten",
            &Server::ENGINES,
            whole,
        ),
        one("who_is_found_nowhere_or_twice_changes_nothing", doubtful),
        one("a_secret_that_is_unfit_is_waited_for", secrets),
        one("a_database_that_refuses_leaves_nothing_to_approve", refused),
        one("another_plan_s_approval_counts_for_nothing", approvals),
        one("whoever_filed_it_is_no_second_pair_of_eyes", four_eyes),
        one("a_map_that_is_edited_voids_what_was_approved", edited),
        one("a_request_is_ended_before_anything_is_erased", ended),
        one(
            "a_map_of_another_namespace_is_asked_only_where_it_is_named",
            foreign,
        ),
        one(
            "who_must_prove_who_they_are_is_not_looked_for_before",
            identity,
        ),
        one("a_request_that_is_suspended_stops_and_goes_on", suspended),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cases that kill their own operators.
pub(crate) fn own_operator_cases() -> Vec<Case> {
    let server = Server::MySql;
    let case = |name: &str, body: fn(&World, Server) -> Result<()>| {
        Case::new(
            format!(
                "requests::an_operator_that_is_killed_{name}::{}",
                server.slug()
            ),
            Needs::cluster().with(server).with(other(server)),
            move |world| body(world, server),
        )
    };
    let mut cases = vec![
        case("while_it_erases_goes_on", killed),
        case("after_every_step_ends_it_once", interrupted::between_steps),
    ];
    cases.extend(back::cases());
    cases.push(same_person::case());
    cases
}

fn whole(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_whole")?;
    let namespace = &office.namespace;
    let seen = office.planned("sr", &json!({}))?;
    let plan = &seen["status"]["plan"];
    ensure!(
        plan["databases"] == 2 && plan["deletes"] == DELETES && plan["transforms"] == TRANSFORMS,
        "{plan}"
    );
    ensure!(
        ready(&seen).is_some_and(|c| c["reason"] == "ApprovalMissing"),
        "{seen}"
    );
    let shown = namespace.get("ErasurePlan", "sr")?;
    ensure!(shown["spec"]["digest"] == plan["digest"], "{shown}");
    ensure!(
        shown["metadata"]["ownerReferences"][0]["uid"] == seen["metadata"]["uid"],
        "{shown}"
    );
    let mut tables = Vec::new();
    for database in shown["spec"]["databases"]
        .as_array()
        .context("no databases")?
    {
        for table in database["tables"].as_array().context("no tables")? {
            tables.push(format!("{} {}", table["entry"], table["rows"]).replace('"', ""));
        }
    }
    tables.sort();
    let expected = [
        "accounts 1",
        "attachments 1",
        "enrolments 2",
        "learners 1",
        "learners-contact 1",
        "messages-received 1",
        "messages-sent 1",
        "newsletter 1",
        "posts 2",
    ];
    ensure!(tables == expected, "{tables:?}");
    ensure!(seen.pointer("/metadata/finalizers").is_none(), "{seen}");
    office.rows(false)?;

    office.agree("sr")?;
    let seen = office.state("sr", "AwaitingReply")?;
    let status = &seen["status"];
    ensure!(status["outcome"] == "Erased", "{status}");
    office.rows(true)?;
    ensure!(
        seen["metadata"]["finalizers"] == json!(["oubliette.dev/in-use"]),
        "{seen}"
    );
    office.sum("sr", DELETES)?;

    office.reply("sr")?;
    office.state("sr", "Finished")?;
    let freed = |object: &Value| match object.pointer("/metadata/finalizers") {
        None => Ok(()),
        Some(some) => Err(some.to_string()),
    };
    namespace.wait_until(REQUEST, "sr", "is let go", PATIENCE, freed)?;
    office.no_secret("sr")?;
    office.forgotten()?;
    office.nothing_told_of(&[])?;
    office.finish(&["sr"])
}

fn doubtful(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_doubtful")?;
    let subject = "oubliette.dev/subject";
    let nobody = ["nobody@example.org", "'; DELETE FROM newsletter; -- "];
    for (name, email) in ["nobody", "quote"].into_iter().zip(nobody) {
        office.secret(name, subject, &json!({"email": email}))?;
        office.file(name)?;
        let seen = office.state(name, "AwaitingReply")?;
        ensure!(seen["status"]["outcome"] == "NothingFound", "{seen}");
        let complete = condition(&seen, "Complete").context("no Complete")?;
        ensure!(complete["reason"] == "NothingFound", "{complete}");
    }
    // Two of a family have one address, and thousands another.
    let crowd = (100..2_200).map(|id| format!("({id}, 'crowd@example.org', '')"));
    let crowd = crowd.collect::<Vec<_>>().join(", ");
    let crowd = format!("INSERT INTO learners (id, email, full_name) VALUES {crowd}");
    world.block_on(office.learning.admin.execute(&crowd))?;
    for name in ["family", "crowd"] {
        let email = format!("{name}@example.org");
        office.secret(name, subject, &json!({"email": email}))?;
        office.file(name)?;
        let seen = office.reason(name, "Ambiguous")?;
        let found = condition(&seen, "Found").context("no Found")?;
        ensure!(found["status"] == "False", "{found}");
        ensure!(
            seen.pointer("/status/plan").is_none() && seen.pointer("/status/outcome").is_none(),
            "{seen}"
        );
    }
    let gone = "DELETE FROM learners WHERE email = 'crowd@example.org' AND id >= 100";
    let gone = world.block_on(office.learning.admin.execute(gone))?;
    ensure!(gone == 2_100, "{gone} of 2,100 were left");
    office.rows(false)?;
    office.reply("nobody")?;
    office.state("nobody", "Finished")?;
    office.no_secret("nobody")?;
    office.nothing_told_of(&["Approval"])?;
    office.finish(&["nobody", "quote", "family", "crowd"])
}

fn secrets(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_secrets")?;
    let subject = "oubliette.dev/subject";
    office.file("sr")?;
    let seen = office.reason("sr", "SecretMissing")?;
    let message = ready(&seen).and_then(|ready| ready["message"].as_str());
    ensure!(
        message.is_some_and(|message| message.contains("sr-subject")),
        "{message:?}"
    );
    let unfit = [
        (subject, json!({"emial": EMAIL}), "known are email"),
        ("Opaque", json!({"email": EMAIL}), subject),
    ];
    for (kind, known, words) in unfit {
        office.secret("sr", kind, &known)?;
        let seen = office.reason("sr", "SubjectUnfit")?;
        let message = ready(&seen).and_then(|ready| ready["message"].as_str());
        let message = message.context("no message")?;
        ensure!(message.contains(words), "{message}");
        ensure!(!message.contains("jose"), "{message}");
        office.namespace.delete("v1", "Secret", "sr-subject")?;
        office.reason("sr", "SecretMissing")?;
    }
    office.secret("sr", subject, &json!({"email": EMAIL}))?;
    office.state("sr", "AwaitingApproval")?;
    office.rows(false)?;
    office.finish(&["sr"])
}

fn refused(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_refused")?;
    world.block_on(office.platform.admin.execute(
        "CREATE TABLE likes (id integer PRIMARY KEY, account_id integer);
         CREATE INDEX likes_account ON likes (account_id);
         ALTER TABLE likes ADD CONSTRAINT liked_by FOREIGN KEY (account_id) REFERENCES accounts (id)",
    ))?;
    office.secret("sr", "oubliette.dev/subject", &json!({"email": EMAIL}))?;
    office.file("sr")?;
    let seen = office.reason("sr", "Unclassified")?;
    ensure!(seen.pointer("/status/plan").is_none(), "{seen}");
    let message = ready(&seen).and_then(|ready| ready["message"].as_str());
    ensure!(
        message.is_some_and(|message| message.contains("likes")),
        "{message:?}"
    );
    // A table that the map names is not there.
    world.block_on(office.platform.admin.execute("DROP TABLE likes"))?;
    let away = "ALTER TABLE newsletter RENAME TO letters";
    world.block_on(office.learning.admin.execute(away))?;
    let seen = office.reason("sr", "DutiesUnfit")?;
    ensure!(seen.pointer("/status/plan").is_none(), "{seen}");
    let back = "ALTER TABLE letters RENAME TO newsletter";
    world.block_on(office.learning.admin.execute(back))?;
    office.state("sr", "AwaitingApproval")?;
    office.rows(false)?;
    office.finish(&["sr"])
}

fn approvals(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_approvals")?;
    office.planned("sr", &json!({}))?;
    let other = json!(format!("sha256:{}", "0".repeat(64)));
    office.approve("sr", "lead", &other, DELETES + TRANSFORMS)?;
    office.approved("sr", "ApprovalVoid")?;
    let digest = office.digest("sr")?;
    office.approve("sr", "lead", &digest, DELETES + TRANSFORMS - 1)?;
    office.approved("sr", "ApprovalVoid")?;
    office.rows(false)?;
    office.agree("sr")?;
    office.state("sr", "AwaitingReply")?;
    office.rows(true)?;
    office.reply("sr")?;
    office.finish(&["sr"])
}

fn four_eyes(world: &World, server: Server) -> Result<()> {
    let guards = json!({"guards": {"dryRun": "None", "approval": "FourEyes"}});
    let office = Office::with(world, server, "request_four_eyes", &guards)?;
    office.planned("sr", &json!({}))?;
    let digest = office.digest("sr")?;
    office.approve("sr", "dpo", &digest, DELETES + TRANSFORMS)?;
    // The operator has seen it once it has seen a later rejection come and go.
    let rejection = office.decide("sr", "lead", "Reject", &digest, None)?;
    office.approved("sr", "Rejected")?;
    let namespace = office.namespace.name.as_str();
    let take_back = ["delete", "approval", &rejection, "-n", namespace];
    office.person("lead")?.may(&take_back, "")?;
    let seen = office.approved("sr", "ApprovalMissing")?;
    ensure!(seen.pointer("/status/begunAt").is_none(), "{seen}");
    office.rows(false)?;
    office.agree("sr")?;
    office.state("sr", "AwaitingReply")?;
    office.rows(true)?;
    office.reply("sr")?;
    office.finish(&["sr"])
}

fn edited(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_edited")?;
    office.planned("sr", &json!({}))?;
    let before = office.digest("sr")?;
    let map = office.namespace.get("DataMap", "learning")?;
    let mut tables = map["spec"]["tables"].clone();
    ensure!(tables[5]["name"] == "attachments", "{tables}");
    tables[5]["mustKeep"] = json!([{
        "until": {"latestOf": [{"column": "id", "unit": "Days", "plus": "P100Y"}]},
        "against": ["Erasure"], "ground": "Art17_3_b", "law": "an act",
    }]);
    office
        .namespace
        .patch("DataMap", "learning", &json!({"spec": {"tables": tables}}))?;
    let planned_anew = |object: &Value| match object.pointer("/status/plan/digest") {
        Some(digest) if *digest != before => Ok(()),
        other => Err(format!("the digest is {other:?}")),
    };
    let what = "is planned anew";
    office
        .namespace
        .wait_until(REQUEST, "sr", what, PATIENCE, planned_anew)?;
    office.approve("sr", "lead", &before, 100)?;
    office.approved("sr", "ApprovalVoid")?;
    office.rows(false)?;
    let seen = office.namespace.get(REQUEST, "sr")?;
    ensure!(seen["status"]["plan"]["keeps"] == 1, "{seen}");
    office.finish(&["sr"])
}

fn ended(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_ended")?;
    for (name, close, outcome) in [
        (
            "refused",
            json!({"outcome": "Refused", "ground": "Excessive", "by": "dpo"}),
            "Refused",
        ),
        (
            "withdrawn",
            json!({"outcome": "Withdrawn", "by": "dpo"}),
            "Withdrawn",
        ),
    ] {
        office.planned(name, &json!({}))?;
        office.patch(name, &json!({"close": close}))?;
        let seen = office.state(name, "AwaitingReply")?;
        ensure!(seen["status"]["outcome"] == outcome, "{seen}");
        let complete = condition(&seen, "Complete").context("no Complete")?;
        ensure!(complete["reason"] == "Closed", "{complete}");
        // An approval that comes too late changes nothing.
        office.agree(name)?;
        office.reply(name)?;
        office.state(name, "Finished")?;
        office.no_secret(name)?;
    }
    // One that could not even be looked for ends, too.
    let scope = json!({"dataMapRefs": [{"name": "missing"}]});
    let subject = "oubliette.dev/subject";
    office.secret("elsewhere", subject, &json!({"email": EMAIL}))?;
    office.file_with("elsewhere", &json!({"scope": scope}))?;
    let seen = office.reason("elsewhere", "NoMap")?;
    let last: Date = seen["status"]["dueOn"]
        .as_str()
        .context("no dueOn")?
        .parse()?;
    due(&office, "elsewhere", Some(last))?;
    let close = json!({"outcome": "NotOurs", "by": "dpo"});
    office.patch("elsewhere", &json!({"close": close}))?;
    office.state("elsewhere", "AwaitingReply")?;
    office.reply("elsewhere")?;
    office.state("elsewhere", "Finished")?;
    due(&office, "elsewhere", None)?;
    office.no_secret("elsewhere")?;
    // Nobody needs to answer a request that was filed by mistake.
    office.planned("mistaken", &json!({}))?;
    due(&office, "mistaken", Some(last))?;
    office.namespace.delete(API_VERSION, REQUEST, "mistaken")?;
    office.wait_gone("mistaken")?;
    due(&office, "mistaken", None)?;
    office.rows(false)?;
    // What was begun ends with its namespace, which takes everything along that it would need.
    office.planned("begun", &json!({}))?;
    office.agree("begun")?;
    office.state("begun", "AwaitingReply")?;
    office.rows(true)?;
    let namespace = &office.namespace;
    namespace.delete("v1", "Namespace", &namespace.name)?;
    wait_for("the namespace is gone", PATIENCE, || {
        let found = namespace.find_any(&resource("v1", "Namespace"), &namespace.name)?;
        Ok(found.map_or(Ok(()), |found| Err(found["status"].to_string())))
    })
}

/// The metric says that the time to answer ends with this day, or that nobody waits for an answer.
fn due(office: &Office<'_>, name: &str, last: Option<Date>) -> Result<()> {
    let namespace = &office.namespace.name;
    let series = format!(
        "oubliette_request_due_timestamp_seconds{{namespace=\"{namespace}\",name=\"{name}\"}} "
    );
    let ends = last.map(|last| last.tomorrow()?.to_zoned(TimeZone::UTC));
    let ends = ends
        .transpose()?
        .map(|ends| ends.timestamp().as_second().to_string());
    wait_for("the metric of the time to answer", PATIENCE, || {
        let text = office.world.operator(Operator::metrics)?;
        let shown = text.lines().find_map(|line| line.strip_prefix(&series));
        Ok(if shown == ends.as_deref() {
            Ok(())
        } else {
            Err(format!("{name}: {shown:?}, not {ends:?}"))
        })
    })
}

/// Whoever opens a map to others is not told by it whom they erase, nor stops them by what is wrong with it.
fn foreign(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_foreign")?;
    let theirs = world.namespace("request_theirs")?;
    let own = &office.namespace.name;
    let usable = json!({
        "from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": own}},
    });
    theirs.apply_value(&json!({
        "apiVersion": API_VERSION, "kind": "DataMap", "metadata": {"name": "trap"},
        "spec": {
            "databaseRef": {"name": "nowhere"}, "usableFrom": usable,
            "subjects": [{
                "role": "learner", "table": "public.t",
                "identifiers": [{"name": "email", "column": "email"}],
            }],
            "tables": [{
                "name": "t", "table": "public.t", "reachedBy": [{"from": "learner"}],
                "decision": {"type": "Delete"},
            }],
        },
    }))?;
    let seen = office.planned("sr", &json!({}))?;
    ensure!(seen["status"]["plan"]["databases"] == 2, "{seen}");
    let words = format!("not searched: the DataMaps {}/trap", theirs.name);
    let told = |object: &Value| match condition(object, "Found") {
        Some(found) if found["message"].to_string().contains(&words) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let what = "tells of the map";
    office
        .namespace
        .wait_until(REQUEST, "sr", what, PATIENCE, told)?;
    let trap = json!([{"namespace": theirs.name, "name": "trap"}]);
    let subject = "oubliette.dev/subject";
    office.secret("named", subject, &json!({"email": EMAIL}))?;
    office.file_with("named", &json!({"scope": {"dataMapRefs": trap}}))?;
    office.reason("named", "DatabaseNotFound")?;
    office.finish(&["sr", "named"])?;
    theirs.finish()
}

fn identity(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_identity")?;
    // No Secret yet: it would be missed as soon as anybody looked for the person.
    office.file_with("sr", &json!({"identity": {"required": true}}))?;
    let seen = office.state("sr", "AwaitingIdentity")?;
    ensure!(
        ready(&seen).is_some_and(|ready| ready["reason"] == "AwaitingIdentity"),
        "{seen}"
    );
    let proof = json!({"satisfiedAt": "2026-11-05T09:00:00Z", "method": "Callback"});
    office.patch("sr", &json!({"identity": proof}))?;
    office.reason("sr", "SecretMissing")?;
    office.secret("sr", "oubliette.dev/subject", &json!({"email": EMAIL}))?;
    let seen = office.state("sr", "AwaitingApproval")?;
    let identified = condition(&seen, "Identified").context("no Identified")?;
    ensure!(identified["status"] == "True", "{identified}");
    office.finish(&["sr"])
}

fn suspended(world: &World, server: Server) -> Result<()> {
    let office = Office::open(world, server, "request_suspended")?;
    // Many rows, a few at a time.
    office.many()?;
    office.planned("sr", &json!({}))?;
    let digest = office.digest("sr")?;
    office.approve("sr", "lead", &digest, 10_000)?;
    office.begins()?;
    office.patch("sr", &json!({"suspend": true}))?;
    office.reason("sr", "Suspended")?;
    let left = office.posts()?;
    ensure!(left > 0, "it had ended before it was suspended");
    office.patch("sr", &json!({"suspend": false}))?;
    office.hurry()?;
    office.state("sr", "AwaitingReply")?;
    office.many_gone("sr")?;
    office.reply("sr")?;
    office.finish(&["sr"])
}

fn killed(world: &World, server: Server) -> Result<()> {
    let office = Office::furnish(world, server, "request_killed", &json!({}))?;
    let mut operator = office.operator(&[])?;
    office.many()?;
    office.planned("sr", &json!({}))?;
    let digest = office.digest("sr")?;
    office.approve("sr", "lead", &digest, 10_000)?;
    office.begins()?;
    for _ in 0..2 {
        let left = office.posts()?;
        operator.kill()?;
        ensure!(left > 0, "it had ended before it was killed");
        operator = office.operator(&[])?;
        wait_for("it goes on", Duration::from_mins(2), || {
            let now = office.posts()?;
            Ok(if now < left {
                Ok(())
            } else {
                Err(format!("{now} are left"))
            })
        })?;
    }
    // The ledgers remember who is meant; the Secret is not needed any more.
    office.namespace.delete("v1", "Secret", "sr-subject")?;
    operator.kill()?;
    office.hurry()?;
    // Whoever files requests gets no ConfigMap of somebody else's overwritten, or deleted with the request.
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "sr-certificate"},
        "data": {"tls.crt": "theirs"},
    });
    office.namespace.apply_value(&theirs)?;
    operator = office.operator(&[])?;
    office.reason("sr", "CertificateNotKept")?;
    let map = resource("v1", "ConfigMap");
    let kept = office.namespace.get_any(&map, "sr-certificate")?;
    ensure!(kept["data"] == theirs["data"], "{kept}");
    office
        .namespace
        .delete("v1", "ConfigMap", "sr-certificate")?;
    office.state("sr", "AwaitingReply")?;
    office.many_gone("sr")?;
    office.reply("sr")?;
    office.state("sr", "Finished")?;
    office.forgotten()?;
    office.finish(&["sr"])?;
    operator.kill()
}
