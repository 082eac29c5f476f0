//! One person's request over two databases of different engines, carried out by `work::erase` without a
//! cluster: who is meant, what goes, what stays, and nobody else's.

use anyhow::{Context, Result, anyhow, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use oubliette::ledger::Store;
use oubliette::work::erase::{Allowed, Ask, Place, forget, perform};
use oubliette::work::hold::{Matter, Place as HeldPlace, keep_person, remembered};
use oubliette::work::job::{RememberedHolds, StopWhy};
use oubliette_core::duty::{DataMap, NamedMap};
use oubliette_core::erasure::Scope;
use oubliette_core::erasure::find::{Doubt, Known};
use oubliette_core::erasure::outcome::{PlaceRun, RequestOutcome, RequestReport};
use oubliette_core::ledger::Ledger;
use oubliette_core::report::Progress;
use oubliette_core::value::Personal;
use secrecy::SecretSlice;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::case::{Case, Server};
use crate::cluster::documents;
use crate::rig::{KEY, Rig};
use crate::world::World;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    let all =
        |name: &str, body| Case::on_each(&format!("erasures::{name}"), &Server::ENGINES, body);
    [
        all(
            "a_person_goes_from_two_databases_and_nobody_else_does",
            whole,
        ),
        all(
            "a_held_person_s_request_takes_nothing_until_the_release",
            held,
        ),
        all(
            "rows_whose_hold_ended_before_they_were_remembered_go",
            released_unremembered,
        ),
        all("who_is_meant_is_never_guessed", doubtful),
        all(
            "what_the_map_says_nothing_of_refuses_the_request",
            unclassified,
        ),
        all("what_a_duty_keeps_stays_and_the_rest_of_the_row_goes", kept),
        all("a_kept_row_goes_when_its_duty_ends", ended),
        all(
            "what_nothing_leads_to_any_more_goes_when_its_duty_ends",
            led_to_by_nothing,
        ),
        all(
            "a_request_about_a_purpose_takes_what_only_it_needs",
            by_purpose,
        ),
        all("a_request_goes_on_after_any_number_of_kills", killed),
        all("a_person_with_many_rows_goes_in_batches", many_rows),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) const LEARNING: &str = "
CREATE TABLE learners (id integer PRIMARY KEY, email varchar(100), uln varchar(20), learner_no integer,
  full_name varchar(100) NOT NULL, emergency_name varchar(100), emergency_email varchar(100));
CREATE TABLE enrolments (id integer PRIMARY KEY, learner_id integer NOT NULL, course varchar(40),
  ended_on date, notes varchar(100));
CREATE TABLE messages (id integer PRIMARY KEY, sender_id integer, recipient_id integer, body varchar(100));
CREATE TABLE attachments (id integer PRIMARY KEY, message_id integer NOT NULL, file varchar(40));
CREATE TABLE newsletter (id integer PRIMARY KEY, address varchar(100));
CREATE INDEX enrolments_learner ON enrolments (learner_id);
CREATE INDEX messages_sender ON messages (sender_id);
CREATE INDEX messages_recipient ON messages (recipient_id);
CREATE INDEX attachments_message ON attachments (message_id);
ALTER TABLE enrolments ADD CONSTRAINT of_learner FOREIGN KEY (learner_id) REFERENCES learners (id);
ALTER TABLE messages ADD CONSTRAINT of_sender FOREIGN KEY (sender_id) REFERENCES learners (id);
ALTER TABLE messages ADD CONSTRAINT of_recipient FOREIGN KEY (recipient_id) REFERENCES learners (id);
ALTER TABLE attachments ADD CONSTRAINT of_message FOREIGN KEY (message_id) REFERENCES messages (id);
INSERT INTO learners VALUES
  (1, ' Jose@Example.org ', '11 11', 71, 'Jose One', NULL, NULL),
  (2, 'josé@example.org', '2222', 72, 'Jose Two', 'Jose One', 'JOSE@example.org'),
  (3, 'family@example.org', '3333', 73, 'Ann', NULL, NULL),
  (4, 'family@example.org', '4444', 74, 'Ben', NULL, NULL),
  (5, 'jose@example.org.uk', NULL, 75, 'Jose Three', NULL, NULL);
INSERT INTO enrolments VALUES (10, 1, 'Art', '2020-01-31', 'n'), (11, 1, 'Maths', NULL, 'n'),
  (12, 2, 'Art', '2020-01-31', 'n');
INSERT INTO messages VALUES (20, 1, 2, 'hello'), (21, 2, 1, 'hello you'), (22, 2, 3, 'others');
INSERT INTO attachments VALUES (30, 20, 'a'), (31, 21, 'b'), (32, 22, 'c');
INSERT INTO newsletter VALUES (40, 'JOSE@EXAMPLE.ORG'), (41, 'josé@example.org'), (42, 'ann@example.org');
";

pub(crate) const LEARNING_MAP: &str = "
databaseRef: {name: learning}
subjects:
- role: learner
  table: ${schema}.learners
  identifiers: [{name: email, column: email, normalise: LowercaseTrim}, {name: uln, column: uln, normalise: DigitsOnly}]
  leadsTo: [{identifier: learnerNumber, column: learner_no}]
- role: contact
  table: ${schema}.learners
  inRowsOfOthers: true
  identifiers: [{name: email, column: emergency_email, normalise: LowercaseTrim}]
tables:
- name: learners
  table: ${schema}.learners
  reachedBy: [{from: learner}]
  decision: {type: Delete}
- name: learners-contact
  table: ${schema}.learners
  reachedBy: [{from: contact}]
  decision: {type: Shared}
  columns: [{column: emergency_name, strategy: Nullify}, {column: emergency_email, strategy: Nullify},
    {column: email}, {column: uln}, {column: learner_no}, {column: full_name}]
- name: enrolments
  table: ${schema}.enrolments
  reachedBy: [{from: learner, match: [{column: learner_id, equals: id}]}]
  decision: {type: Delete}
- name: messages-sent
  table: ${schema}.messages
  reachedBy: [{from: learner, match: [{column: sender_id, equals: id}]}]
  decision: {type: Shared}
  columns: [{column: body, strategy: Constant, constant: {value: erased}}, {column: sender_id, strategy: Nullify}]
- name: messages-received
  table: ${schema}.messages
  reachedBy: [{from: learner, match: [{column: recipient_id, equals: id}]}]
  decision: {type: Shared}
  columns: [{column: recipient_id, strategy: Nullify}]
- name: attachments
  table: ${schema}.attachments
  reachedBy: [{from: messages-sent, match: [{column: message_id, equals: id}]}]
  decision: {type: Delete}
- name: newsletter
  table: ${schema}.newsletter
  reachedBy: [{identifier: {name: email, column: address, normalise: LowercaseTrim}}]
  decision: {type: Delete}
";

pub(crate) const PLATFORM: &str = "
CREATE TABLE accounts (id integer PRIMARY KEY, learner_number integer, username varchar(40));
CREATE TABLE posts (id integer PRIMARY KEY, account_id integer NOT NULL, body varchar(100));
CREATE INDEX posts_account ON posts (account_id);
ALTER TABLE posts ADD CONSTRAINT of_account FOREIGN KEY (account_id) REFERENCES accounts (id);
INSERT INTO accounts VALUES (1, 72, 'two'), (2, 71, 'one'), (3, 710, 'ten');
INSERT INTO posts VALUES (1, 1, 'two'), (2, 2, 'one'), (3, 2, 'one'), (4, 3, 'ten');
";

pub(crate) const PLATFORM_MAP: &str = "
databaseRef: {name: platform}
subjects:
- {role: account, table: \"${schema}.accounts\", identifiers: [{name: learnerNumber, column: learner_number}]}
tables:
- {name: accounts, table: \"${schema}.accounts\", reachedBy: [{from: account}], decision: {type: Delete}}
- name: posts
  table: ${schema}.posts
  reachedBy: [{from: account, match: [{column: account_id, equals: id}]}]
  decision: {type: Delete}
";

/// Two databases with a map each, and what is asked.
struct Town<'w> {
    rigs: Vec<(Rig<'w>, String)>,
    known: Vec<(&'static str, &'static str)>,
    scope: Scope,
    uid: String,
    round: String,
}

impl<'w> Town<'w> {
    /// The learners on one server, their accounts on one of another engine.
    fn new(world: &'w World, server: Server) -> Result<Self> {
        let other = if server.is_postgres() {
            Server::MariaDb
        } else {
            Server::Postgres18
        };
        let learning = Rig::new(world, server, "learning", LEARNING, "")?;
        let platform = Rig::new(world, other, "platform", PLATFORM, "")?;
        Ok(Self {
            uid: learning.uid.clone(),
            rigs: vec![
                (learning, LEARNING_MAP.to_owned()),
                (platform, PLATFORM_MAP.to_owned()),
            ],
            known: vec![("email", "jose@example.org")],
            scope: Scope::default(),
            round: String::new(),
        })
    }

    fn learning(&self) -> &Rig<'w> {
        &self.rigs[0].0
    }

    fn platform(&self) -> &Rig<'w> {
        &self.rigs[1].0
    }

    /// Replaces a part of the learners' map.
    fn with_map(mut self, from: &str, to: &str) -> Result<Self> {
        let map = &mut self.rigs[0].1;
        ensure!(map.contains(from), "the map has no {from}");
        *map = map.replace(from, to);
        Ok(self)
    }

    async fn places(&self) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for (rig, map) in &self.rigs {
            places.push(place(rig, map).await?);
        }
        Ok(places)
    }

    fn ask(&self, allowed: Option<Allowed>) -> Ask {
        let mut known = Known::default();
        for (name, text) in &self.known {
            known.add(name, Personal::new(*text));
        }
        let rig = self.learning();
        Ask {
            uid: self.uid.clone(),
            namespace: "suite".to_owned(),
            name: "request".to_owned(),
            generation: 1,
            scope: self.scope.clone(),
            known,
            subject_uid: "a Secret".to_owned(),
            allowed,
            round: self.round.clone(),
            metrics: rig.metrics.clone(),
            now: rig.now,
        }
    }

    async fn done(&self, allowed: Option<Allowed>) -> Result<RequestOutcome> {
        self.done_until(allowed, None).await
    }

    async fn done_until(
        &self,
        allowed: Option<Allowed>,
        stop: Option<StopWhy>,
    ) -> Result<RequestOutcome> {
        let places = self.places().await?;
        let (progress, _seen) = watch::channel(Progress::BEGUN);
        let (_stop, stopped) = watch::channel(stop);
        let ask = self.ask(allowed);
        Ok(Box::pin(perform(&ask, &places, &progress, stopped)).await)
    }

    fn plan(&self) -> Result<RequestReport> {
        match self.learning().block_on(self.done(None))? {
            RequestOutcome::Planned(report) => Ok(report),
            other => bail!("expected a plan, got {other:?}"),
        }
    }

    fn allowed(report: &RequestReport) -> Allowed {
        Allowed {
            digest: report.digest,
            max_rows: report.totals().rows(),
            approved_at: None,
        }
    }

    fn erase(&self, report: &RequestReport) -> Result<Vec<PlaceRun>> {
        match self
            .learning()
            .block_on(self.done(Some(Self::allowed(report))))?
        {
            RequestOutcome::Erased(runs) => Ok(runs),
            other => bail!("expected the end, got {other:?}"),
        }
    }
}

/// A database with its map, as the cluster would say it.
pub(crate) async fn place(rig: &Rig<'_>, map: &str) -> Result<Place> {
    let target = rig.target()?;
    let spec: Value = documents(&rig.database.fill(map))?
        .pop()
        .context("no map")?;
    let map = DataMap::parse(&serde_json::from_value(spec.clone())?, &target)
        .map_err(|faults| anyhow!("the map's spec: {faults:?}"))?;
    let map = NamedMap {
        name: format!("suite/{}", map.database),
        map,
    };
    Ok(Place {
        maps: vec![map.clone()],
        map_uid: format!("map-of-{}", rig.database.name),
        map,
        spec: json!({"map": spec}),
        name: format!("suite/{}", rig.database.name),
        database: rig.connect().await?,
        owner: rig.owner.clone(),
        target,
        remembered: Vec::new(),
        holds: RememberedHolds::default(),
        pseudonym_key: Some(SecretSlice::from(KEY.to_vec())),
    })
}

/// The ids of a table's rows.
fn ids_of(rig: &Rig<'_>, table: &str) -> Result<String> {
    let rows = rig.rows(&format!("SELECT id FROM {table} ORDER BY id"))?;
    let ids = rows.iter().map(|row| row[0].clone().unwrap_or_default());
    Ok(ids.collect::<Vec<_>>().join(" "))
}

/// A hold by an address leads on to the other database, where nobody knows addresses.
fn held(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    let rows = || -> Result<Vec<String>> {
        let learning = [
            "learners",
            "enrolments",
            "messages",
            "attachments",
            "newsletter",
        ];
        let of = learning.map(|table| (town.learning(), table));
        let platform = ["accounts", "posts"].map(|table| (town.platform(), table));
        let all = of.into_iter().chain(platform);
        all.map(|(rig, table)| {
            Ok(format!(
                "{:?}",
                rig.rows(&format!("SELECT * FROM {table} ORDER BY id"))?
            ))
        })
        .collect()
    };
    let before = rows()?;
    let approved = town.plan()?;
    // On some the request was begun before anybody was held.
    let begun = !server.is_postgres();
    if begun {
        let stopped = town.done_until(Some(Town::allowed(&approved)), Some(StopWhy::Suspended));
        match town.learning().block_on(stopped)? {
            RequestOutcome::Stopped(StopWhy::Suspended) => {}
            other => bail!("expected it to be stopped, got {other:?}"),
        }
    }
    let matter = Matter {
        id: "matter".to_owned(),
        name: "suite/matter".to_owned(),
        reason: "CASE-1".to_owned(),
        placed_by: "dpo".to_owned(),
    };
    let kept = town.learning().block_on(async {
        let mut places = Vec::new();
        for (place, (rig, _)) in town.places().await?.into_iter().zip(&town.rigs) {
            let ledger = Ledger {
                engine: place.database.engine(),
                place: place.target.ledger.clone(),
            };
            places.push(HeldPlace {
                name: place.name,
                store: Store::open(&place.database, ledger, &rig.owner).await?,
                database: place.database,
                through: [place.map.name].into(),
                maps: place.maps,
            });
        }
        let known = town.ask(None).known;
        let none = remembered(&matter.id, &places).await?;
        ensure!(none.known() == Known::default());
        let kept = keep_person(&matter, &places, none, known, true).await?;
        // Asked again the ledgers know it all, and nothing is placed.
        let again = remembered(&matter.id, &places).await?;
        let known = again.known();
        ensure!(known.texts("learnerNumber").len() == 1);
        let again = keep_person(&matter, &places, again, known, true).await?;
        ensure!(again.row == kept.row && again.rows.is_none());
        Ok(kept)
    })?;
    // A learner, a row that names them, two enrolments, two messages, an attachment, an address; an
    // account and two posts.
    ensure!(
        kept.rows == Some(11) && kept.databases.len() == 2,
        "{kept:?}"
    );
    let report = town.plan()?;
    let totals = report.totals();
    ensure!(
        (totals.deletes, totals.transforms) == (0, 0) && totals.held > 0,
        "{totals:?} {report:#?}"
    );
    let report = if begun { approved } else { report };
    let runs = town.erase(&report)?;
    ensure!(runs.iter().all(|place| {
        let rules = &place.run.rules;
        rules.iter().any(|rule| rule.residual.held > 0)
    }));
    ensure!(rows()? == before, "{:?}", rows()?);
    goes_on(town, &report)
}

/// What was approved while the person was held is not what may go after the release.
fn goes_on(mut town: Town<'_>, report: &RequestReport) -> Result<()> {
    let approved = Timestamp::now() - SignedDuration::from_mins(1);
    for (rig, _) in &town.rigs {
        let store = crate::holds::store(rig)?;
        rig.block_on(store.release_hold("matter", &crate::holds::released()))?;
    }
    "@later".clone_into(&mut town.round);
    let mut allowed = Town::allowed(report);
    allowed.approved_at = Some(approved);
    let rest = match town.learning().block_on(town.done(Some(allowed)))? {
        RequestOutcome::Outdated(rest) => rest,
        other => bail!("expected another plan, got {other:?}"),
    };
    let totals = rest.totals();
    ensure!(totals.deletes == 8 && totals.held == 0, "{rest:#?}");
    let mut allowed = Town::allowed(&rest);
    allowed.approved_at = Some(Timestamp::now() + SignedDuration::from_mins(1));
    match town.learning().block_on(town.done(Some(allowed)))? {
        RequestOutcome::Erased(_) => {}
        other => bail!("expected the end, got {other:?}"),
    }
    for (rig, table, left) in [
        (town.learning(), "learners", "2 3 4 5"),
        (town.learning(), "enrolments", "12"),
        (town.learning(), "attachments", "31 32"),
        (town.learning(), "newsletter", "41 42"),
        (town.platform(), "accounts", "1 3"),
        (town.platform(), "posts", "1 4"),
    ] {
        let found = ids_of(rig, table)?;
        ensure!(found == left, "{table}: {found}");
    }
    Ok(())
}

/// A kill between the end of a run and what is remembered of held rows, and a release before it is gone on
/// with: nothing would lead to them in a later round.
fn released_unremembered(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    let rig = town.learning();
    let report = town.plan()?;
    let stopped = town.done_until(Some(Town::allowed(&report)), Some(StopWhy::Suspended));
    match rig.block_on(stopped)? {
        RequestOutcome::Stopped(StopWhy::Suspended) => {}
        other => bail!("expected it to be stopped, got {other:?}"),
    }
    let subject = rig.ledger("subject");
    rig.sql(&format!(
        "CREATE TABLE before_run AS SELECT body FROM {subject}"
    ))?;
    let store = crate::holds::store(rig)?;
    let hold = crate::holds::hold(rig, "hold", "newsletter", "id", &["40"])?;
    rig.block_on(crate::holds::place(&store, &hold))?;
    town.erase(&report)?;
    ensure!(ids_of(rig, "newsletter")? == "40 41 42");
    let new = format!("SELECT count(*) FROM {subject} s JOIN before_run b ON s.body <> b.body");
    ensure!(rig.number(&new)? == 1, "it remembers no key");
    // Where it was when the run had ended.
    rig.sql(&format!(
        "UPDATE {subject} SET body = (SELECT body FROM before_run)"
    ))?;
    rig.block_on(store.release_hold("hold", &crate::holds::released()))?;
    let mut allowed = Town::allowed(&report);
    allowed.approved_at = Some(Timestamp::now() - SignedDuration::from_mins(1));
    let rest = match rig.block_on(town.done(Some(allowed)))? {
        RequestOutcome::Outdated(rest) => rest,
        other => bail!("expected another plan, got {other:?}"),
    };
    ensure!(rest.totals().deletes == 1, "{rest:#?}");
    let mut allowed = Town::allowed(&rest);
    allowed.approved_at = Some(Timestamp::now() + SignedDuration::from_mins(1));
    let ended = || match rig.block_on(town.done(Some(allowed)))? {
        RequestOutcome::Erased(runs) => Ok(runs),
        other => bail!("expected the end, got {other:?}"),
    };
    // Asked again it tells the same.
    for _ in 0..2 {
        let runs = ended()?;
        let rules = runs.iter().flat_map(|place| &place.run.rules);
        let changed = rules.flat_map(|rule| &rule.changed);
        let rows: i64 = changed.map(|count| count.rows).sum();
        ensure!(rows == report.totals().rows(), "{rows} rows: {runs:#?}");
        ensure!(ids_of(rig, "newsletter")? == "41 42");
    }
    Ok(())
}

fn whole(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    let report = town.plan()?;
    let totals = report.totals();
    ensure!(report.places.len() == 2, "{report:?}");
    // Learner, two enrolments, an attachment, an address; account and two posts.
    ensure!(totals.deletes == 8, "{totals:?} {report:#?}");
    ensure!(totals.transforms == 3, "{totals:?} {report:#?}");
    let shown = format!("{report:?}");
    ensure!(!shown.contains("jose@"), "{shown}");
    ensure!(town.plan()?.digest == report.digest);
    let runs = town.erase(&report)?;
    ensure!(runs.len() == 2);
    for (rig, table, ids) in [
        (town.learning(), "learners", "2 3 4 5"),
        (town.learning(), "enrolments", "12"),
        (town.learning(), "messages", "20 21 22"),
        (town.learning(), "attachments", "31 32"),
        (town.learning(), "newsletter", "41 42"),
        (town.platform(), "accounts", "1 3"),
        (town.platform(), "posts", "1 4"),
    ] {
        let left = ids_of(rig, table)?;
        ensure!(left == ids, "{table}: {left}");
    }
    let one = |sql: &str| town.learning().number(sql);
    ensure!(
        one(
            "SELECT count(*) FROM messages WHERE id = 20 AND sender_id IS NULL AND body = 'erased' AND recipient_id = 2"
        )? == 1
    );
    ensure!(
        one(
            "SELECT count(*) FROM messages WHERE id = 21 AND recipient_id IS NULL AND body = 'hello you'"
        )? == 1
    );
    ensure!(
        one(
            "SELECT count(*) FROM learners WHERE id = 2 AND emergency_name IS NULL AND emergency_email IS NULL AND full_name = 'Jose Two'"
        )? == 1
    );
    // Told once more, it says the same and changes nothing.
    let again = town.erase(&report)?;
    for (first, second) in runs.iter().zip(&again) {
        ensure!(first.run == second.run, "{first:?} {second:?}");
    }
    town.learning().block_on(async {
        let places = town.places().await?;
        forget(&town.uid, &places, &[])
            .await
            .map_err(|fault| anyhow!("{fault}"))
    })?;
    let remembered = town.learning().ledger("subject");
    ensure!(
        one(&format!(
            "SELECT count(*) FROM {remembered} WHERE state = 'ended' AND body = ''"
        ))? == 1
    );
    Ok(())
}

fn doubtful(world: &World, server: Server) -> Result<()> {
    let mut town = Town::new(world, server)?;
    let mut doubt = |known: &[(&'static str, &'static str)]| -> Result<Option<Doubt>> {
        town.known = known.to_vec();
        match town.learning().block_on(town.done(None))? {
            RequestOutcome::Doubtful { doubt, .. } => Ok(Some(doubt)),
            RequestOutcome::Planned(_) => Ok(None),
            other => bail!("{other:?}"),
        }
    };
    // A household with one address.
    let family = ("email", "Family@example.org");
    ensure!(doubt(&[family])? == Some(Doubt::Several(2)));
    ensure!(doubt(&[family, ("uln", "33-33")])?.is_none());
    ensure!(doubt(&[family, ("uln", "1111")])? == Some(Doubt::Contradiction));
    // Nobody, whatever the text is.
    for text in ["' OR 1 = 1 --", "%", "_", "jose@example.or", "", "   "] {
        ensure!(doubt(&[("email", text)])?.is_none());
    }
    town.known = vec![("email", "' OR 1 = 1 --")];
    let report = town.plan()?;
    ensure!(report.places.is_empty(), "{report:?}");
    Ok(())
}

fn unclassified(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    town.learning().sql(
        "CREATE TABLE payments (id integer PRIMARY KEY, learner_id integer);
         CREATE INDEX payments_learner ON payments (learner_id);
         ALTER TABLE payments ADD CONSTRAINT paid_by FOREIGN KEY (learner_id) REFERENCES learners (id);
         ALTER TABLE messages ADD COLUMN subject varchar(40);
         CREATE TABLE badges (holder varchar(40) PRIMARY KEY, learner_id integer, colour integer);
         CREATE INDEX badges_learner ON badges (learner_id)",
    )?;
    // The key of a row that stays may be an address.
    let town = town.with_map(
        "- name: newsletter\n",
        "- {name: badges, table: \"${schema}.badges\", reachedBy: [{from: learner, match: [{column: learner_id, equals: id}]}],
  decision: {type: Anonymise}, columns: [{column: colour, strategy: Nullify}]}
- name: newsletter\n",
    )?;
    match town.learning().block_on(town.done(None))? {
        RequestOutcome::Refused { refusals, .. } => {
            let text: Vec<String> = refusals.iter().map(|(_, r)| r.to_string()).collect();
            let text = text.join("\n");
            ensure!(
                text.contains("payments") && text.contains("messages.subject"),
                "{text}"
            );
            ensure!(
                text.contains("badges.holder") && !text.contains("badges.learner_id"),
                "{text}"
            );
        }
        other => bail!("{other:?}"),
    }
    let town = town.with_map(
        "tables:\n",
        "unclassified: Report\ntables:\n- {name: payments, table: \"${schema}.payments\"}\n",
    )?;
    match town.learning().block_on(town.done(None))? {
        // What refers to a person's row keeps it from going.
        RequestOutcome::Refused { refusals, .. } => {
            let text = format!("{refusals:?}");
            ensure!(text.contains("payments"), "{text}");
        }
        other => bail!("{other:?}"),
    }
    Ok(())
}

const KEEPS: &str = "- name: enrolments
  columns: [{column: notes, strategy: Nullify}]
  mustKeep:
  - columns: [learner_id, course, ended_on]
    until: {latestOf: [{column: ended_on, plus: P50Y}]}
    against: [Erasure]
    ground: Art17_3_b
    law: an Act
";

/// What must be kept of the learners, and what becomes of the rest.
fn keeping(world: &World, server: Server) -> Result<Town<'_>> {
    Town::new(world, server)?
        .with_map("- name: enrolments\n", KEEPS)?
        .with_map(
            "decision: {type: Delete}\n- name: learners-contact",
            "decision: {type: Delete}\n  columns: [{column: email, strategy: Nullify}, \
             {column: uln, strategy: Nullify}, {column: learner_no, strategy: Nullify}, \
             {column: full_name, strategy: Constant, constant: {value: erased}}, \
             {column: emergency_name, strategy: Nullify}, {column: emergency_email, strategy: Nullify}]\n\
             - name: learners-contact",
        )
}

fn kept(world: &World, server: Server) -> Result<()> {
    let town = keeping(world, server)?;
    let report = town.plan()?;
    let totals = report.totals();
    ensure!(totals.keeps >= 2, "{totals:?} {report:#?}");
    town.erase(&report)?;
    let one = |sql: &str| town.learning().number(sql);
    ensure!(
        one(
            "SELECT count(*) FROM enrolments WHERE learner_id = 1 AND notes IS NULL AND course IS NOT NULL"
        )? == 2
    );
    // The row that they hang on stays, and nothing in it tells whose it was.
    ensure!(
        one(
            "SELECT count(*) FROM learners WHERE id = 1 AND full_name = 'erased' AND email IS NULL AND uln IS NULL"
        )? == 1
    );
    ensure!(one("SELECT count(*) FROM enrolments WHERE id = 12 AND notes = 'n'")? == 1);
    Ok(())
}

fn ended(world: &World, server: Server) -> Result<()> {
    let mut town = keeping(world, server)?.with_map(
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
    )?;
    let learning = &town.rigs[0].0;
    learning.sql(
        "ALTER TABLE newsletter ADD COLUMN joined_on date;
         UPDATE newsletter SET joined_on = '2020-01-31' WHERE id = 40",
    )?;
    let report = town.plan()?;
    town.erase(&report)?;
    let one = |town: &Town<'_>, sql: &str| town.learning().number(sql);
    let stays = "SELECT count(*) FROM newsletter WHERE id = 40 AND address IS NULL";
    ensure!(one(&town, stays)? == 1);
    ensure!(ids_of(town.learning(), "enrolments")? == "10 11 12");
    // Nothing in these rows tells any more whose they were.
    town.learning().sql(
        "UPDATE enrolments SET ended_on = '1971-01-31' WHERE learner_id = 1;
         UPDATE newsletter SET joined_on = '1971-01-31' WHERE id = 40",
    )?;
    "@2".clone_into(&mut town.round);
    let restrict = "ALTER TABLE learners ADD CONSTRAINT learners_numbered CHECK (id > 0)";
    town.learning().sql(restrict)?;
    let report = match town
        .learning()
        .block_on(town.done(Some(Town::allowed(&report))))?
    {
        RequestOutcome::Outdated(rest) => rest,
        other => bail!("the schema has changed since it was approved, got {other:?}"),
    };
    ensure!(ids_of(town.learning(), "enrolments")? == "10 11 12");
    let runs = town.erase(&report)?;
    ensure!(runs.len() == 2, "{runs:?}");
    for (table, ids) in [
        ("enrolments", "12"),
        ("learners", "2 3 4 5"),
        ("newsletter", "41 42"),
        ("messages", "20 21 22"),
    ] {
        let left = ids_of(town.learning(), table)?;
        ensure!(left == ids, "{table}: {left}");
    }
    let again = town.plan()?;
    ensure!(again.places.is_empty(), "{again:?}");
    Ok(())
}

/// Rows kept whole: one is known by an address only, which may be somebody else's by then; the other hangs
/// on a message that is not the person's any more.
fn led_to_by_nothing(world: &World, server: Server) -> Result<()> {
    let keep = "  mustKeep:
  - until: {latestOf: [{column: made_on, plus: P50Y}]}
    against: [Erasure]
    ground: Art17_3_b
    law: an Act
";
    let mut town = Town::new(world, server)?
        .with_map(
            "- name: newsletter\n",
            &format!("- name: newsletter\n{keep}"),
        )?
        .with_map(
            "- name: attachments\n",
            &format!("- name: attachments\n{keep}"),
        )?;
    let learning = &town.rigs[0].0;
    learning.sql(
        "ALTER TABLE newsletter ADD COLUMN made_on date;
         ALTER TABLE attachments ADD COLUMN made_on date;
         UPDATE newsletter SET made_on = '2020-01-31';
         UPDATE attachments SET made_on = '2020-01-31'",
    )?;
    let report = town.plan()?;
    town.erase(&report)?;
    ensure!(ids_of(town.learning(), "learners")? == "2 3 4 5");
    ensure!(ids_of(town.learning(), "newsletter")? == "40 41 42");
    ensure!(ids_of(town.learning(), "attachments")? == "30 31 32");
    // By now the address is somebody else's, who has come since.
    town.learning().sql(
        "UPDATE newsletter SET made_on = '1971-01-31';
         UPDATE attachments SET made_on = '1971-01-31';
         INSERT INTO newsletter VALUES (43, 'jose@example.org', '1971-01-31')",
    )?;
    "@2".clone_into(&mut town.round);
    town.erase(&report)?;
    ensure!(ids_of(town.learning(), "newsletter")? == "41 42 43");
    ensure!(ids_of(town.learning(), "attachments")? == "31 32");
    Ok(())
}

fn by_purpose(world: &World, server: Server) -> Result<()> {
    let mut town = Town::new(world, server)?.with_map(
        "- name: newsletter\n",
        "- name: newsletter\n  purposes: [marketing]\n",
    )?;
    town.scope.purposes = vec!["marketing".to_owned()];
    let report = town.plan()?;
    let totals = report.totals();
    ensure!((totals.deletes, totals.transforms) == (1, 0), "{report:#?}");
    town.erase(&report)?;
    ensure!(ids_of(town.learning(), "newsletter")? == "41 42");
    ensure!(ids_of(town.learning(), "learners")? == "1 2 3 4 5");
    ensure!(ids_of(town.platform(), "accounts")? == "1 2 3");
    Ok(())
}

fn killed(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    let report = town.plan()?;
    let allowed = Town::allowed(&report);
    // A task that is dropped leaves everything where it is, as a kill would. Each gets twice as far as
    // the one before: a plan alone takes many polls.
    for kills in 0..24_u32 {
        let polls_until_kill = 4_u64 << kills;
        let ended = town.learning().block_on(async {
            let work = town.done(Some(allowed));
            tokio::pin!(work);
            let mut polls = 0;
            std::future::poll_fn(|context| {
                use std::future::Future;
                use std::task::Poll;
                polls += 1;
                match work.as_mut().poll(context) {
                    Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                    Poll::Pending if polls > polls_until_kill => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
            .transpose()
        })?;
        match ended {
            None => {}
            Some(RequestOutcome::Erased(runs)) => {
                let rows: i64 = runs
                    .iter()
                    .flat_map(|place| &place.run.rules)
                    .flat_map(|rule| &rule.changed)
                    .map(|count| count.rows)
                    .sum();
                ensure!(
                    rows == allowed.max_rows,
                    "{rows} rows instead of {}",
                    allowed.max_rows
                );
                ensure!(ids_of(town.learning(), "learners")? == "2 3 4 5");
                ensure!(ids_of(town.platform(), "posts")? == "1 4");
                return Ok(());
            }
            Some(other) => bail!("after {kills} kills: {other:?}"),
        }
    }
    bail!("it did not come to its end")
}

fn many_rows(world: &World, server: Server) -> Result<()> {
    let town = Town::new(world, server)?;
    let rows = crate::rig::series(server, 12_000);
    town.learning().sql(&format!(
        "INSERT INTO enrolments SELECT 1000 + n, CASE WHEN n % 6 = 0 THEN 2 ELSE 1 END, 'Art', NULL, 'n' FROM {rows}"
    ))?;
    let report = town.plan()?;
    town.erase(&report)?;
    let left = town.learning().number("SELECT count(*) FROM enrolments")?;
    ensure!(left == 2_001, "{left}");
    Ok(())
}
